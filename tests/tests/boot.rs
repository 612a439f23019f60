//! Stock guests booted as a user boots them, in the emulated host. Ignored by default: together they take minutes.

use vtick_tests::trace::Accesses;
use vtick_tests::{Ran, xtask, xtask_at_terminal};

/// What the demonstration's guest has to say where all is well.
fn is_well(ran: &Ran, cpus: usize) {
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    let guest = ran.stdout.replace('\r', "");
    for due in ["demo: ok\n", &format!("demo: {cpus} CPUs, "), "demo: 0 warnings about interrupts or timers\n"] {
        assert!(guest.contains(due), "{due:?} was due\n{}", ran.all());
    }
}

/// `INTID` and the counts of its CPUs, as the guest told them of the moment of a mark; and that mark.
fn counts(guest: &str) -> (String, Vec<(u64, Vec<u64>)>) {
    let told: Vec<_> =
        guest.lines().filter_map(|line| line.trim().strip_prefix("demo: at ")?.split_once(": INTID ")).collect();
    let mark = told.first().expect("counts were due").0.to_owned();
    let counts = told.iter().map(|(_, row)| {
        let mut numbers = row.split_whitespace().map(|number| number.parse().expect("a number"));
        (numbers.next().expect("an INTID"), numbers.collect())
    });
    (mark, counts.collect())
}

/// The numbers of the line of `--stats` that starts with `what`.
fn stats(ran: &Ran, what: &str) -> Vec<u64> {
    let line = ran.stdout.lines().find_map(|line| line.trim().strip_prefix(what));
    let line = line.unwrap_or_else(|| panic!("{what:?} was due\n{}", ran.all()));
    line.split_whitespace().filter_map(|word| word.replace(',', "").parse().ok()).collect()
}

/// The guest's own count of every interrupt is what the runner saw it take, at the very same moment; and the books at the
/// end are of that, and of the little that came after.
fn counts_agree(ran: &Ran, trace: &str) {
    assert!(trace.contains("\"oldest events not kept\":0"), "the trace is not whole");
    let accesses = Accesses::read(trace);
    let (mark, rows) = counts(&ran.stdout);
    let at = accesses.printed(&format!("demo: {mark}\r\n")).expect("the mark was due on the console");
    assert!(rows.iter().any(|(intid, _)| *intid == 27), "{rows:?}");
    for (intid, counted) in rows {
        for (vcpu, counted) in counted.iter().enumerate() {
            let (acknowledged, ended) = accesses.taken(vcpu, intid, at);
            // While it goes to sleep the kernel takes the clock's alarm without counting it.
            let ended = if intid == 34 { 0 } else { ended };
            assert!(
                ended <= *counted && *counted <= acknowledged,
                "INTID {intid}: vCPU {vcpu} counted {counted}, {acknowledged} were acknowledged and {ended} ended by then"
            );
            let (whole, _) = accesses.taken(vcpu, intid, f64::MAX);
            assert_eq!(stats(ran, &format!("{intid} ("))[vcpu], whole, "INTID {intid} of vCPU {vcpu}\n{}", ran.stdout);
        }
    }
}

/// Boots the demonstration and compares the counts.
fn demonstration(arguments: &[&str], cpus: usize) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.json").display().to_string();
    let cpus_wanted = cpus.to_string();
    let ran = xtask(&[&["boot", "--cpus", &cpus_wanted, "--stats", "--trace", &trace], arguments].concat());
    is_well(&ran, cpus);
    counts_agree(&ran, &std::fs::read_to_string(trace).unwrap());
}

/// The few that run on every change.
mod short {
    use super::*;

    #[test]
    #[ignore = "boots an emulated host"]
    fn a_stock_kernel_on_two_vcpus_takes_its_interrupts_and_counts_as_many_as_the_runner() {
        demonstration(&["--append", "console=ttyAMA0 quiet demo.rounds=20"], 2);
    }

    #[test]
    #[ignore = "boots an emulated host"]
    fn on_the_kernel_on_which_every_wfi_hangs_the_runner_says_so() {
        let ran = xtask(&["boot", "--host-kernel", "debian:6.1.0-47"]);
        assert_eq!(ran.status, Some(1), "{}", ran.all());
        for due in ["virtual timer expired", "level never reported", "wake-up from WFI", "4ce98bf0865c"] {
            assert!(ran.stderr.contains(due), "{due:?} was due\n{}", ran.all());
        }
    }
}

#[test]
#[ignore = "boots an emulated host"]
fn with_nothing_said_it_demonstrates() {
    let ran = xtask(&["boot"]);
    is_well(&ran, 2);
    assert!(ran.stdout.contains("arch_timer") && ran.stdout.contains("IPI0:"), "{}", ran.all());
    for due in ["ended the state \"freeze\"", "ended the state \"mem\"", "samples of the cycle counter, "] {
        assert!(ran.stdout.contains(due), "{due:?} was due\n{}", ran.all());
    }
}

#[test]
#[ignore = "boots emulated hosts"]
fn stock_kernels_on_any_number_of_vcpus_take_their_interrupts() {
    for kernel in ["debian:6.12", "debian:6.1"] {
        for cpus in [1, 2, 4] {
            eprintln!("{kernel} on {cpus} vCPUs");
            demonstration(&["--kernel", kernel], cpus);
        }
    }
}

#[test]
#[ignore = "boots an emulated host"]
fn a_guest_that_fails_ends_with_status_1() {
    let mut terminal = xtask_at_terminal(&["boot", "--append", "console=ttyAMA0 quiet demo.interactive"]);
    terminal.wait_for("demo> ");
    terminal.type_in("fail\r");
    assert_eq!(terminal.end(), Some(1), "{}", terminal.all());
    assert!(!terminal.is_raw(), "the terminal has its settings back");
}

#[test]
#[ignore = "boots an emulated host"]
fn a_person_at_the_terminal_is_answered_and_leaves_as_they_like() {
    let interactive = ["boot", "--cpus", "2", "--append", "console=ttyAMA0 quiet demo.interactive"];
    let mut terminal = xtask_at_terminal(&interactive);
    terminal.wait_for("demo> ");
    assert!(terminal.is_raw(), "every key is the guest's");
    terminal.type_in("echo one two\r");
    terminal.wait_for("\none two");
    terminal.type_in("interrupts\r");
    terminal.wait_for("arch_timer");
    terminal.type_in("sleep mem\r");
    terminal.wait_for("demo: awake again");
    terminal.type_in("reboot\r");
    terminal.wait_for("the guest starts again");
    terminal.wait_for("demo> ");
    terminal.type_in("echo back again\r");
    terminal.wait_for("\nback again");
    terminal.type_in("off\r");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.all());
    assert!(!terminal.is_raw(), "the terminal has its settings back");

    let mut terminal = xtask_at_terminal(&interactive);
    terminal.wait_for("demo> ");
    terminal.type_in("\x01x");
    terminal.wait_for("left by Ctrl-A x");
    terminal.end();
    assert!(!terminal.is_raw(), "the terminal has its settings back");
}
