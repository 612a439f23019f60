//! What this process started does not outlive it, even where it is killed: cargo dies with it (PR_SET_PDEATHSIG), but the
//! compilers that cargo started do not.
//!
//! A shell beside this process is told of every process group that is started and of every one that has ended. When this
//! process is gone, however that came, the shell's input ends, and it kills the groups that are left.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Reads lines of a sign and a process group; at their end kills what is left.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
left=" "
while read -r sign group; do
  case $sign in
    +) left="$left$group " ;;
    -) before=${left%% $group *}; left="$before ${left#* $group }" ;;
  esac
done
for group in $left; do kill -s KILL -- "-$group"; done 2>/dev/null
"#;

/// The shell's input, once it has been started; `None` inside: there is no shell here.
static SHELL: Mutex<Option<Option<ChildStdin>>> = Mutex::new(None);

/// A process group that does not outlive this process, until this is dropped.
#[derive(Debug)]
pub(crate) struct Guarded(u32);

impl Guarded {
    /// Guards the group that this process leads.
    pub(crate) fn new(group: u32) -> Self {
        tell('+', group);
        Self(group)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        tell('-', self.0);
    }
}

fn tell(sign: char, group: u32) {
    let mut shell = SHELL.lock().unwrap_or_else(PoisonError::into_inner);
    // Where there is no shell, or it is gone, this process still kills what it started when it ends in an orderly way.
    let input = shell.get_or_insert_with(start);
    if let Some(pipe) = input
        && writeln!(pipe, "{sign} {group}").is_err()
    {
        *input = None;
    }
}

fn start() -> Option<ChildStdin> {
    let mut shell = Command::new("sh");
    // In a group of its own, where no Ctrl-C reaches it.
    shell.args(["-c", SCRIPT]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // It ends by itself, after this process.
    shell.spawn().ok()?.stdin.take()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::*;

    /// A group with a process in it that its leader started: the leader, and the other's folder in /proc.
    fn group() -> (std::process::Child, PathBuf) {
        let mut leader = Command::new("sh");
        leader.args(["-c", "sleep 60 & echo $!; wait"]).process_group(0).stdout(Stdio::piped());
        let mut leader = leader.spawn().unwrap();
        let mut id = [0; 16];
        let len = leader.stdout.as_mut().unwrap().read(&mut id).unwrap();
        let id = String::from_utf8_lossy(&id[..len]).trim().to_owned();
        (leader, PathBuf::from("/proc").join(id))
    }

    fn is_alive(process: &std::path::Path) -> bool {
        std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn when_the_input_ends_the_groups_that_are_left_are_killed_and_no_others() {
        let ((mut left, theirs), (mut ended, others)) = (group(), group());
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).stdin(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut pipe = shell.stdin.take().unwrap();
        writeln!(pipe, "+ {}\n+ {}\n- {}", ended.id(), left.id(), ended.id()).unwrap();
        drop(pipe);
        assert!(shell.wait().unwrap().code().is_some());
        left.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while is_alive(&theirs) {
            assert!(Instant::now() < deadline, "{} is still there", theirs.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(is_alive(&others), "its group was taken off the list");
        let _mine = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&ended),
            rustix::process::Signal::KILL,
        );
        ended.wait().unwrap();
    }
}
