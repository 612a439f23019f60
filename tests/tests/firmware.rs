//! edk2, as Debian has it, on our machine in the emulated host. Ignored by default: together they take minutes.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use vtick_tests::{Ran, xtask};

/// Room for a FAT file system with a few small files.
const DISK: u64 = 1 << 20;
/// Flash enough for the firmware's variables.
const VARIABLES: u64 = 1 << 20;

/// Makes a disk on which the firmware's shell finds a script to run.
fn disk(at: &Path, script: &str) {
    let mut file = File::options().read(true).write(true).create_new(true).open(at).unwrap();
    file.set_len(DISK).unwrap();
    fatfs::format_volume(&mut file, FormatVolumeOptions::new()).unwrap();
    let file_system = FileSystem::new(file, FsOptions::new()).unwrap();
    let mut startup = file_system.root_dir().create_file("startup.nsh").unwrap();
    startup.write_all(script.replace('\n', "\r\n").as_bytes()).unwrap();
}

/// Starts only edk2, with a disk that has this script on it.
fn shell(script: &str, options: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    disk(&place, script);
    let disk = format!("{}{options}", place.display());
    xtask(&[&["boot", "--firmware", "debian", "--timeout", "60", "--disk", &disk], more].concat())
}

fn says(ran: &Ran, due: &str) {
    assert!(ran.stdout.contains(due), "{due:?} was due\n{}", ran.all());
}

/// The few that run on every change.
mod short {
    use super::*;

    #[test]
    #[ignore = "boots an emulated host"]
    fn edk2_boots_a_stock_kernel_which_takes_its_interrupts_and_powers_off() {
        let line = "console=ttyAMA0 quiet demo.rounds=10";
        let ran = xtask(&["boot", "--firmware", "debian", "--kernel", "debian:6.12", "--append", line]);
        assert_eq!(ran.status, Some(0), "{}", ran.all());
        for due in ["UEFI firmware", "demo: 0 warnings about interrupts or timers", "demo: ok"] {
            says(&ran, due);
        }
    }
}

#[test]
#[ignore = "boots an emulated host"]
fn edk2_alone_reaches_its_shell_reads_and_writes_a_disk_and_powers_off() {
    let script = "fs0:\necho to the disk > file.txt\ntype file.txt\nls\nreset -s\n";
    let ran = shell(script, "", &[]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    for due in ["UEFI Interactive Shell", "FS0:", "to the disk", "file.txt"] {
        says(&ran, due);
    }
}

#[test]
#[ignore = "boots an emulated host"]
fn a_disk_that_is_read_only_is_not_written() {
    let script = "fs0:\nmkdir made\nif exist made then\necho it is there\nelse\necho it is not\nendif\nreset -s\n";
    for (options, due, not_due) in
        [("", "it is there\r\n", "it is not\r\n"), (",ro", "it is not\r\n", "it is there\r\n")]
    {
        let ran = shell(script, options, &[]);
        assert_eq!(ran.status, Some(0), "{}", ran.all());
        says(&ran, due);
        assert!(!ran.stdout.contains(not_due), "{}", ran.all());
    }
}

#[test]
#[ignore = "boots emulated hosts"]
fn variables_are_kept_from_one_start_to_the_next_and_a_reset_is_no_clean_end() {
    let folder = tempfile::tempdir().unwrap();
    let variables = folder.path().join("variables");
    File::create(&variables).unwrap().set_len(VARIABLES).unwrap();
    let keep = ["--vars", &variables.display().to_string()];
    let first = shell("echo found %kept%\nset kept something\nreset -s\n", ",ro", &keep);
    assert_eq!(first.status, Some(0), "{}", first.all());
    let second = shell("echo found %kept%\nreset\n", ",ro", &keep);
    says(&second, "found something");
    assert_eq!(second.status, Some(1), "{}", second.all());
    assert!(second.stderr.contains("the guest asked for a reset"), "{}", second.all());
}
