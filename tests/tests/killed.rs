//! Hosts that are killed from outside at random moments of the suite. Not part of `.ci/run`: each kill costs a boot.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use vtick_tests::verdict::{verdicts, violated};
use vtick_tests::{Ran, command, xtask};

/// Processes of this name whose parent is `parent`.
fn children(parent: u32, name: &str) -> Vec<i32> {
    let of_process = |folder: fs::DirEntry| {
        let stat = fs::read_to_string(folder.path().join("stat")).ok()?;
        // proc(5): pid (comm) state ppid
        let (pid, rest) = stat.split_once(" (")?;
        let (comm, rest) = rest.rsplit_once(") ")?;
        let its_parent = rest.split(' ').nth(1)?;
        (comm == name && its_parent == parent.to_string()).then(|| pid.parse().ok())?
    };
    fs::read_dir("/proc").unwrap().filter_map(|folder| of_process(folder.ok()?)).collect()
}

/// Runs the command and kills its host `kills` times, each time a few verdicts and a moment after the last.
fn killed(arguments: &[&str], seed: u64, kills: usize) -> (Ran, usize) {
    let mut random = seed;
    let mut below = |most: u64| {
        // Knuth's MMIX generator: its upper bits are good enough for moments.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % most
    };
    let mut running = command(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo can be started");
    let mut complaints = running.stderr.take().unwrap();
    let stderr = std::thread::spawn(move || {
        let mut said = String::new();
        complaints.read_to_string(&mut said).map(|_| said)
    });
    let (mut stdout, mut done, mut wait) = (String::new(), 0, below(20));
    for line in BufReader::new(running.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let is_verdict = line.starts_with("held ");
        stdout += &line;
        stdout.push('\n');
        if !is_verdict || done == kills {
            continue;
        }
        if wait > 0 {
            wait -= 1;
            continue;
        }
        std::thread::sleep(Duration::from_millis(below(100)));
        let hosts = children(running.id(), "qemu-system-aar");
        for host in &hosts {
            let host = rustix::process::Pid::from_raw(*host).unwrap();
            let _gone_by_itself = rustix::process::kill_process(host, rustix::process::Signal::KILL);
        }
        done += usize::from(!hosts.is_empty());
        wait = below(20);
    }
    let status = running.wait().unwrap().code();
    (Ran { status, stdout, stderr: stderr.join().unwrap().unwrap() }, done)
}

/// Kills the hosts of a kernel's suite and compares with a run that nobody disturbed.
fn every_verdict_is_kept(kernel: &str, status: i32) {
    let arguments = ["test", "--kernel", kernel];
    let whole = xtask(&arguments);
    let due = verdicts(&whole);
    for seed in 1..=2 {
        let (ran, kills) = killed(&arguments, seed, 5);
        assert_eq!(kills, 5, "{}", ran.all());
        assert_eq!(ran.status, Some(status), "seed {seed}: {}", ran.all());
        let came = verdicts(&ran);
        assert_eq!(came.len(), due.len(), "seed {seed}: {}", ran.all());
        assert_eq!(violated(&came), violated(&due), "seed {seed}: {}", ran.all());
    }
}

#[test]
#[ignore = "boots emulated hosts"]
fn a_sound_kernel_whose_hosts_are_killed_has_all_its_verdicts() {
    every_verdict_is_kept("debian:6.12", 0);
}

#[test]
#[ignore = "boots emulated hosts"]
fn a_faulty_kernel_whose_hosts_are_killed_is_violated_all_the_same() {
    every_verdict_is_kept("debian:6.1.0-47", 1);
}
