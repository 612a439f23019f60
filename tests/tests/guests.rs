//! Small guests of our own that look at the machine as public test suites and firmware do, booted as a user boots them.
//! Ignored by default: each boots an emulated host.

use vtick_tests::guest::{Guest, Width};
use vtick_tests::{Ran, xtask};

/// Boots the guest with these options.
fn boot(guest: &Guest, options: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = guest.save(&folder).display().to_string();
    xtask(&[&["boot", "--kernel", &path, "--memory", "64M", "--timeout", "60"], options].concat())
}

/// It ends with this status, every line of its checks says PASS, and there are so many of them.
fn passes(ran: &Ran, status: i32, checks: usize) {
    assert_eq!(ran.status, Some(status), "{}", ran.all());
    let verdicts = |word| ran.stdout.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((verdicts("PASS "), verdicts("FAIL ")), (checks, 0), "{}", ran.all());
}

/// A place where this machine has nothing: the GPIO controller of `virt`.
const GPIO: u64 = 0x0903_0000;

#[test]
#[ignore = "boots an emulated host"]
fn empty_slots_answer_and_what_is_nowhere_reads_zero_is_told_once_and_counted() {
    let mut guest = Guest::new();
    guest
        .expect_at("the magic number of an empty slot", 0x0a00_3e00, Width::Word, 0x7472_6976)
        .expect_at("what micro-bench reads", 0x0a00_0008, Width::Word, 0)
        .expect_at("no function on the PCI bus", 0x40_1000_0000, Width::Word, 0xffff_ffff)
        .write(GPIO, 0xff, Width::Byte)
        .expect_at("an address with nothing behind it", GPIO, Width::Double, 0)
        .off();
    let ran = boot(&guest, &["--stats"]);
    passes(&ran, 0, 4);
    assert_eq!(ran.stderr.matches("where this machine has nothing").count(), 1, "{}", ran.all());
    assert!(ran.stderr.contains("vCPU 0 at PC 0x4008"), "{}", ran.all());
    assert!(ran.stdout.contains("2 accesses at addresses where this machine has nothing"), "{}", ran.all());

    let strict = boot(&guest, &["--strict"]);
    assert_eq!(strict.status, Some(1), "{}", strict.all());
    assert!(
        strict.stderr.contains("writes 0xff, 1 byte, at 0x9030000, where this machine has nothing"),
        "{}",
        strict.all()
    );
}

#[test]
#[ignore = "boots an emulated host"]
fn a_test_guest_has_no_arguments_that_nobody_gave_it_a_device_tree_where_it_looks_and_a_verdict() {
    let mut guest = Guest::new();
    // The magic number of a device tree, as a little-endian guest reads it.
    const FDT: u64 = 0xedfe_0dd0;
    guest.load(10, 21, Width::Word).expect("the device tree in x0", 10, FDT);
    guest.expect_at("the device tree at the start of RAM", 0x4000_0000, Width::Word, FDT);
    let mut failing = guest.clone();
    let ran = boot(guest.print("\nEXIT: STATUS=1\n").off(), &[]);
    passes(&ran, 0, 2);
    let ran = boot(failing.print("\nEXIT: STATUS=3\n").off(), &[]);
    passes(&ran, 1, 2);
    assert!(ran.stderr.contains("the guest ended with exit code 1"), "{}", ran.all());
    let ran = boot(Guest::new().print("EXIT: STATUS=155\n").off(), &[]);
    assert_eq!(ran.status, Some(4), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_line_of_the_console_ends_the_run_well_or_not() {
    // `b .` behind it: the guest never ends by itself.
    let mut guest = Guest::new();
    guest.print("the service is up\n");
    let ran = boot(&guest, &["--exit-on", "is up"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    let ran = boot(&guest, &["--exit-on", "is down", "--fail-on", "service"]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    assert!(ran.stderr.contains("the guest said \"the service is up\" (--fail-on)"), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_guest_exits_through_the_testdev_with_its_code() {
    /// The first slot, and where the guest has its queue and its buffer.
    const SLOT: u64 = 0x0a00_0000;
    const QUEUE: u64 = 0x4020_0000;
    const BUFFER: u64 = 0x4030_0000;
    let mut guest = Guest::new();
    guest.expect_at("a console", SLOT + 8, Width::Word, 3).expect_at("a legacy one", SLOT + 4, Width::Word, 1);
    for (register, value) in [(0x28, 0x1000), (0x30, 1), (0x38, 16), (0x3c, 0x1000), (0x40, QUEUE >> 12)] {
        guest.write(SLOT + register, value, Width::Word);
    }
    guest.write(BUFFER, u32::from_le_bytes(*b"5q\0\0").into(), Width::Word);
    guest.write(QUEUE, BUFFER, Width::Double).write(QUEUE + 8, 2, Width::Double);
    // One entry in the available ring, and a notification.
    guest.write(QUEUE + 256 + 2, 1, Width::Half).write(SLOT + 0x50, 1, Width::Word);
    let ran = boot(&guest, &["--testdev"]);
    passes(&ran, 1, 2);
    assert!(ran.stderr.contains("the guest ended with exit code 5"), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn the_rtcs_alarm_ends_a_wfi_and_is_cleared_by_any_write() {
    const RTC: u64 = 0x0901_0000;
    const GICD: u64 = 0x0800_0000;
    const GICC: u64 = 0x0801_0000;
    const RIS: u64 = RTC + 0x14;
    const MIS: u64 = RTC + 0x18;
    const ICR: u64 = RTC + 0x1c;
    let mut guest = Guest::new();
    guest.expect_at("revision 1", RTC + 0xfe8, Width::Word, 0x14);
    // INTID 34 to CPU 0; the CPU's own interrupts stay masked, which ends a WFI all the same.
    guest.write(GICD, 1, Width::Word).write(GICD + 0x104, 1 << 2, Width::Word).write(GICD + 0x822, 1, Width::Byte);
    guest.write(GICC + 4, 0xff, Width::Word).write(GICC, 1, Width::Word);
    // The match register: two seconds from now.
    guest.read(10, RTC, Width::Word).add(10, 2).mov(19, RTC + 4).store(10, 19, Width::Word);
    guest.expect_at("not pending yet", GICD + 0x204, Width::Word, 0).write(RTC + 0x10, 1, Width::Word);
    guest.raw(0xd503_207f); // wfi
    guest.expect_at("raw status", RIS, Width::Word, 1).expect_at("masked status", MIS, Width::Word, 1);
    guest.expect_at("acknowledged", GICC + 0xc, Width::Word, 34).write(GICC + 0x10, 34, Width::Word);
    guest.write(ICR, 0x8000_0000, Width::Word);
    guest.expect_at("cleared", RIS, Width::Word, 0).expect_at("not pending any more", GICD + 0x204, Width::Word, 0);
    let ran = boot(guest.print("EXIT: STATUS=1\n").off(), &["--stats"]);
    passes(&ran, 0, 7);
    assert!(ran.stdout.contains("34 (RTC)                             1"), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_guest_that_resets_itself_starts_again_with_its_ram_as_it_was_unless_it_is_not_to() {
    /// In RAM, away from the guest.
    const NOTE: u64 = 0x4030_0000;
    let mut guest = Guest::new();
    guest.read(10, NOTE, Width::Word).if_zero(10, |guest| {
        guest.print("first\n").write(NOTE, 1, Width::Word).reset();
    });
    guest.expect_at("the second time", NOTE, Width::Word, 1).off();
    let ran = boot(&guest, &["--stats"]);
    passes(&ran, 0, 1);
    assert_eq!(ran.stdout.matches("first\n").count(), 1, "{}", ran.all());
    assert!(ran.stderr.contains("the guest starts again") && ran.stdout.contains("1 times"), "{}", ran.all());
    let ran = boot(&guest, &["--no-reboot"]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    assert!(ran.stderr.contains("is not started again (--no-reboot)"), "{}", ran.all());
}

#[test]
#[ignore = "boots emulated hosts, and fetches a kernel"]
fn a_32_bit_kernel_boots_on_a_cpu_that_has_aarch32_and_is_refused_in_a_line_on_another() {
    let guest = ["boot", "--kernel", "debian:armmp", "--cpus", "2", "--stats", "--exit-on", "Unable to mount root fs"];
    let ran = xtask(&[&guest[..], &["--cpu", "cortex-a57"]].concat());
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    for due in ["Booting Linux on physical CPU", "SMP: Total of 2 processors activated", "27 (virtual timer)"] {
        assert!(ran.stdout.contains(due), "{due:?} was due\n{}", ran.all());
    }
    let ran = xtask(&guest);
    assert!(ran.error_line().contains("no AArch32 at EL1"), "{}", ran.all());
}
