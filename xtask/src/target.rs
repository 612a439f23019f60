//! `--target ssh://[USER@]HOST[:PORT]`: another machine as the host, reached with the user's own `ssh`.
//!
//! The static runner is copied into a folder of its own there, run, and removed with that folder; what it says is passed on
//! as it comes. `VTICK_SSH` names another program than `ssh`, with its options, as `GIT_SSH_COMMAND` does for git.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::emulated::Files;
use crate::process::{ATTENTION, Running, check_interrupted, spawn};

/// The longest that a file may take to be copied, one way.
const COPYING: Duration = Duration::from_secs(300);
/// How `ssh` says that it failed itself.
const NO_CONNECTION: i32 = 255;
/// How a shell says that a program is there and cannot be run, and that there is none.
const NOT_RUN: [i32; 2] = [126, 127];

/// Where a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    host: String,
    port: Option<u16>,
    /// The program that reaches it, with its options.
    ssh: Vec<String>,
}

/// What is to be done there.
#[derive(Debug)]
pub(crate) struct Work {
    /// Programs that are copied; they are found by their names.
    pub(crate) programs: Vec<PathBuf>,
    /// The command.
    pub(crate) argv: Vec<String>,
    /// Files to bring back; a path that is not absolute is in the folder in which the command runs.
    pub(crate) fetch: Vec<String>,
    /// The longest that the command may take.
    pub(crate) limit: Duration,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "--target ssh://{}{port}", self.host)
    }
}

impl Target {
    /// Reads `ssh://[USER@]HOST[:PORT]`; an IPv6 address in brackets.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("--target {text}: ssh://[USER@]HOST[:PORT] is needed");
        let place = text.strip_prefix("ssh://").map(|place| place.trim_end_matches('/')).ok_or_else(wrong)?;
        let (user, place) = match place.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, place),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((address, rest)) => (address, rest.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(|port| port.parse().map_err(|_| wrong())).transpose()?;
        // A host that starts with a hyphen would be an option of ssh.
        let plain = |name: &str| !name.is_empty() && !name.starts_with('-') && !name.contains(char::is_whitespace);
        if !plain(host) || !user.is_none_or(plain) {
            return Err(wrong());
        }
        let program = std::env::var("VTICK_SSH").unwrap_or_default();
        let program = if program.trim().is_empty() { "ssh" } else { &program };
        Ok(Self {
            host: user.map_or(host.to_owned(), |user| format!("{user}@{host}")),
            port,
            ssh: program.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Does it: the status of the command, and the files it left.
    pub(crate) fn run(&self, work: Work) -> Result<(i32, Files)> {
        let folder = self.make_folder()?;
        let done = self.run_in(&folder, work);
        // Whatever came of it. What cannot be removed is below a folder for temporary files.
        let _left_behind = self.say(&format!("rm -rf {}", quoted(&folder)), &[], COPYING);
        done
    }

    fn make_folder(&self) -> Result<String> {
        let (status, said, complaint) =
            self.say(r#"umask 077; mktemp -d "${TMPDIR:-/tmp}/vtick.XXXXXX""#, &[], COPYING)?;
        let folder = String::from_utf8_lossy(&said).lines().last().unwrap_or_default().to_owned();
        let host = &self.host;
        match status {
            0 if folder.starts_with('/') => Ok(folder),
            NO_CONNECTION => bail!("{self}: {complaint}; `ssh {host}` has to work without a question"),
            _ => bail!("{self}: no folder could be made there: {complaint}"),
        }
    }

    fn run_in(&self, folder: &str, work: Work) -> Result<(i32, Files)> {
        for program in &work.programs {
            let name = program.file_name().with_context(|| format!("{} is no file", program.display()))?;
            let contents = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
            let there = quoted(&format!("{folder}/{}", name.to_string_lossy()));
            let (status, _, complaint) = self.say(&format!("cat >{there} && chmod 700 {there}"), &contents, COPYING)?;
            if status != 0 {
                bail!("{self}: {} could not be copied there: {complaint}", program.display());
            }
        }
        let status = self.command(folder, &work)?;
        if NOT_RUN.contains(&status) {
            bail!("{self}: {} does not run there; the runner is a program for arm64 Linux", work.argv.join(" "));
        }
        let mut files = Files::new();
        for path in &work.fetch {
            let there = if path.starts_with('/') { path.clone() } else { format!("{folder}/{path}") };
            let (status, contents, _) = self.say(&format!("cat {}", quoted(&there)), &[], COPYING)?;
            match status {
                0 => files.push((path.clone(), contents)),
                NO_CONNECTION => bail!("{self}: the connection broke before {path} was here"),
                _ => {}
            }
        }
        Ok((status, files))
    }

    /// Runs the command, which is killed there as soon as nobody here listens any more.
    fn command(&self, folder: &str, work: &Work) -> Result<i32> {
        let argv: Vec<_> = work.argv.iter().map(|word| quoted(word)).collect();
        let folder = quoted(folder);
        let script = format!(
            "cd {folder} || exit 126; PATH={folder}:$PATH; export PATH; exec 3<&0; {} </dev/null 3<&- & running=$!; \
             {{ cat; kill $running; }} <&3 >/dev/null 2>&1 & wait $running",
            argv.join(" ")
        );
        let mut ssh = self.ssh(&script);
        let mut running = spawn(ssh.stdin(Stdio::piped()))?;
        let listening = running.0.stdin.take();
        let status = wait(&mut running, work.limit).with_context(|| self.to_string())?;
        drop(listening);
        match status {
            Some(NO_CONNECTION) => bail!("{self}: the connection broke while the command ran"),
            Some(status) => Ok(status),
            None => bail!("{self}: the run was stopped after {} s (--timeout)", work.limit.as_secs()),
        }
    }

    /// Runs a script there that says little: its status, what it printed, and the last line of its complaint.
    fn say(&self, script: &str, input: &[u8], limit: Duration) -> Result<(i32, Vec<u8>, String)> {
        let mut ssh = self.ssh(script);
        let mut running = spawn(ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let (stdin, stdout, stderr) = (running.0.stdin.take(), running.0.stdout.take(), running.0.stderr.take());
        std::thread::scope(|scope| {
            // What is no longer read there shows in the status.
            scope.spawn(move || stdin.map(|mut stdin: ChildStdin| stdin.write_all(input)));
            let said = scope.spawn(move || all(stdout));
            let complaints = scope.spawn(move || all(stderr));
            let status = wait(&mut running, limit).with_context(|| self.to_string());
            // Its pipes close with it, or the threads would wait for ever.
            drop(running);
            let (said, complaints) = (said.join().unwrap_or_default(), complaints.join().unwrap_or_default());
            let complaints = String::from_utf8_lossy(&complaints).trim().to_owned();
            let complaint = complaints.lines().last().unwrap_or("nothing was said of why").trim().to_owned();
            match status? {
                Some(status) => Ok((status, said, complaint)),
                None => bail!("{self}: no answer within {} s", limit.as_secs()),
            }
        })
    }

    /// The user's ssh, which asks nothing and does not wait for a machine that is gone.
    fn ssh(&self, script: &str) -> Command {
        let mut ssh = Command::new(&self.ssh[0]);
        ssh.args(&self.ssh[1..]);
        for setting in ["BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=4"] {
            ssh.args(["-o", setting]);
        }
        ssh.args(self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        // Whatever shell is the user's there.
        ssh.args(["-T", "--", &self.host, &format!("exec sh -c {}", quoted(script))]);
        ssh
    }
}

/// The status with which it ends, as a shell has it; `None` if it has not ended by then.
fn wait(running: &mut Running, limit: Duration) -> Result<Option<i32>> {
    let started = Instant::now();
    loop {
        if let Some(status) = running.0.try_wait()? {
            return Ok(Some(status.code().unwrap_or(NO_CONNECTION)));
        }
        check_interrupted()?;
        if started.elapsed() > limit {
            return Ok(None);
        }
        std::thread::sleep(ATTENTION / 5);
    }
}

fn all(end: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error is what there is.
    let _broken = end.map(|mut end| end.read_to_end(&mut bytes));
    bytes
}

/// A word as a shell takes it literally.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use crate::process::run;

    const SSHD: &str = "/usr/sbin/sshd";

    /// A machine that can be reached: an sshd on a port of its own, which knows one key.
    struct Machine {
        folder: tempfile::TempDir,
        port: u16,
        _sshd: Running,
    }

    impl Machine {
        /// `None` where no sshd is installed.
        fn start() -> Option<Self> {
            if !Path::new(SSHD).exists() {
                eprintln!("skipped: {SSHD} is not there (Debian's package openssh-server)");
                return None;
            }
            let folder = tempfile::tempdir().unwrap();
            let here = folder.path().display();
            for key in ["host", "key", "stranger"] {
                let file = folder.path().join(key);
                run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file), None).unwrap();
            }
            fs::copy(folder.path().join("key.pub"), folder.path().join("authorized")).unwrap();
            // Where it is not one of the system's services, nobody has made this folder.
            let _may_be_there = fs::create_dir("/run/sshd");
            let port = free_port();
            let config = format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized\n\
                 PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 PermitRootLogin yes\n"
            );
            fs::write(folder.path().join("config"), config).unwrap();
            let mut sshd = Command::new(SSHD);
            sshd.args(["-D", "-e", "-f"]).arg(folder.path().join("config"));
            let log = fs::File::create(folder.path().join("log")).unwrap();
            let sshd = spawn(sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log)).unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                assert!(Instant::now() < deadline, "{SSHD} does not listen: {log}");
                std::thread::sleep(ATTENTION);
            }
            Some(Self { folder, port, _sshd: sshd })
        }

        fn target(&self, key: &str, port: u16) -> Target {
            let file = |name: &str| self.folder.path().join(name).display().to_string();
            let hosts = format!("UserKnownHostsFile={}", file("known"));
            let options =
                ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=accept-new", "-o", &hosts, "-i", &file(key)];
            Target {
                host: "127.0.0.1".to_owned(),
                port: Some(port),
                ssh: options.iter().map(|&word| word.to_owned()).chain(["-oIdentitiesOnly=yes".to_owned()]).collect(),
            }
        }

        /// A program that stands in for the runner.
        fn program(&self, script: &str) -> PathBuf {
            let place = self.folder.path().join("run it");
            fs::write(&place, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
            place
        }

        fn work(&self, script: &str) -> Work {
            Work {
                programs: vec![self.program(script)],
                argv: ["run it", "it's", "$HOME", ""].map(str::to_owned).to_vec(),
                fetch: vec!["record".to_owned(), "absent".to_owned()],
                limit: Duration::from_secs(60),
            }
        }
    }

    fn free_port() -> u16 {
        TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn a_program_runs_there_with_its_arguments_and_what_it_wrote_comes_back_with_its_status() {
        let Some(machine) = Machine::start() else { return };
        let work = machine.work(
            r#"printf '%s|' "$@" >record; printf '\0\377' >>record; pwd >"$0.folder"; cp "$0.folder" record2; exit 3"#,
        );
        let work = Work { fetch: ["record", "absent", "record2"].map(str::to_owned).to_vec(), ..work };
        let (status, files) = machine.target("key", machine.port).run(work).unwrap();
        assert_eq!(status, 3);
        assert_eq!(files[0], ("record".to_owned(), b"it's|$HOME||\0\xff".to_vec()));
        let folder = String::from_utf8(files[1].1.clone()).unwrap();
        assert!(!Path::new(folder.trim()).exists(), "{folder} is still there");
    }

    #[test]
    fn a_program_that_takes_too_long_is_stopped_there_too() {
        let Some(machine) = Machine::start() else { return };
        let pid = machine.folder.path().join("pid");
        let work = machine.work(&format!("echo $$ >{}; exec sleep 600", pid.display()));
        let work = Work { limit: Duration::from_secs(5), ..work };
        let error = machine.target("key", machine.port).run(work).unwrap_err().to_string();
        assert!(error.ends_with("the run was stopped after 5 s (--timeout)"), "{error}");
        let process = PathBuf::from(format!("/proc/{}", fs::read_to_string(pid).unwrap().trim()));
        let deadline = Instant::now() + Duration::from_secs(30);
        while process.exists() {
            assert!(Instant::now() < deadline, "{} is still there", process.display());
            std::thread::sleep(ATTENTION);
        }
    }

    #[test]
    fn why_a_machine_cannot_be_used_is_one_line() {
        let Some(machine) = Machine::start() else { return };
        let fails = |key: &str, port: u16, script: &str| {
            let error = format!("{:#}", machine.target(key, port).run(machine.work(script)).unwrap_err());
            assert_eq!(error.lines().count(), 1, "{error}");
            error
        };
        let nobody = free_port();
        let error = fails("key", nobody, "");
        let due = format!(
            "--target ssh://127.0.0.1:{nobody}: ssh: connect to host 127.0.0.1 port {nobody}: Connection refused;"
        );
        assert!(error.starts_with(&due), "{error}");
        let error = fails("stranger", machine.port, "");
        assert!(
            error.contains("Permission denied (publickey)") && error.ends_with("has to work without a question"),
            "{error}"
        );
        let foreign = machine.folder.path().join("foreign");
        // An ELF file for a machine that nobody has.
        fs::write(&foreign, b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xff\xff".repeat(8)).unwrap();
        let work = Work { programs: vec![foreign], argv: vec!["foreign".to_owned()], ..machine.work("") };
        let error = format!("{:#}", machine.target("key", machine.port).run(work).unwrap_err());
        assert!(error.ends_with("foreign does not run there; the runner is a program for arm64 Linux"), "{error}");
    }

    #[test]
    fn a_target_is_read_as_it_is_written_elsewhere() {
        let read = |text: &str| Target::parse(text).map(|target| (target.host, target.port));
        assert_eq!(read("ssh://board"), Ok(("board".to_owned(), None)));
        assert_eq!(read("ssh://me@10.0.0.1:2222/"), Ok(("me@10.0.0.1".to_owned(), Some(2222))));
        assert_eq!(read("ssh://me@[fe80::1]:22"), Ok(("me@fe80::1".to_owned(), Some(22))));
        for wrong in
            ["board", "ssh://", "ssh://-oProxyCommand=x", "ssh://a@", "ssh://a:b", "ssh://a b", "ssh://a:70000"]
        {
            assert_eq!(read(wrong), Err(format!("--target {wrong}: ssh://[USER@]HOST[:PORT] is needed")));
        }
    }
}
