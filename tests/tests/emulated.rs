//! The two commands as a user runs them, on real kernels in the emulated host. Ignored by default: together they take
//! a minute, and Debian's archive the first time.

use vtick_tests::record::{described, measured};
use vtick_tests::verdict::{Verdict, verdicts, violated};
use vtick_tests::xtask;

#[test]
#[ignore = "boots an emulated host"]
fn the_kernel_on_which_every_wfi_hangs_is_found_out_with_a_diagnosis() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let ran = xtask(&["test", "--kernel", "debian:6.1.0-47", "--output", &path.display().to_string()]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    let verdicts = verdicts(&ran);
    let wfi = verdicts.iter().find(|v| v.line.ends_with(" wfi-wakes-on-the-vtimer-with-interrupts-masked")).unwrap();
    assert!(wfi.is_violated(), "{}", wfi.line);
    for part in ["guest asleep in WFI at PC 0x", "virtual timer expired", "level never reported"] {
        assert!(wfi.says(part), "no {part:?} in\n{}", wfi.below.join("\n"));
    }
    for verdict in verdicts.iter().filter(|verdict| verdict.is_violated()) {
        assert!(verdict.says("fixed by commit 4ce98bf0865c"), "{}\n{}", verdict.line, verdict.below.join("\n"));
    }
    let held = verdicts.iter().filter(|verdict| verdict.is_held()).count();
    assert!(held > 50, "the others still run: {held} held of {}", verdicts.len());
    described(&path);
}

#[test]
#[ignore = "boots emulated hosts"]
fn repaired_kernels_hold_every_check() {
    for kernel in ["debian:6.1.0-50", "debian:6.12"] {
        let ran = xtask(&["test", "--kernel", kernel]);
        assert_eq!(ran.status, Some(0), "{kernel}\n{}", ran.all());
        let verdicts = verdicts(&ran);
        assert!(verdicts.len() >= 60, "{kernel}: {}", verdicts.len());
        assert_eq!(violated(&verdicts), [""; 0], "{kernel}");
    }
}

#[test]
#[ignore = "boots emulated hosts"]
fn every_injected_fault_is_caught() {
    let ran = xtask(&["test", "--inject", "all", "--host-cpus", "2"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    assert!(ran.stdout.contains(", 0 missed, 0 not exercised"), "{}", ran.stdout);
}

#[test]
#[ignore = "boots emulated hosts"]
fn a_disturbed_host_has_no_violation_of_its_own_and_the_same_seed_makes_the_same_record() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str| {
        let path = folder.path().join(name);
        let output = path.display().to_string();
        let ran = xtask(&["test", "--disturb", "1", "--host-cpus", "2", "--timeout", "1800", "--output", &output]);
        assert_eq!(ran.status, Some(0), "{}", ran.all());
        assert_eq!(violated(&verdicts(&ran)), [""; 0], "{}", ran.all());
        described(&path)
    };
    let (first, second) = (record("a.json"), record("b.json"));
    assert!(first.contains("\"event\": \"disturbed\""), "nothing was disturbed");
    assert!(first == second, "the records of one seed differ");
    let ran = xtask(&["test", "--disturb", "2-3", "--host-cpus", "1", "--timeout", "1800"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_storm_on_every_check_is_cut_short_and_told_in_few_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let ran = xtask(&["test", "--inject", "storm-from-the-start", "--output", &path.display().to_string()]);
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("exit storm: ") && ran.stdout.contains(" returns, every "), "{}", ran.stdout);
    assert!(ran.stdout.len() < 1 << 20, "{} bytes of output", ran.stdout.len());
    let record = described(&path).len();
    assert!(record < 10_000_000, "{record} bytes of record");
}

#[test]
#[ignore = "boots emulated hosts"]
fn a_vcpu_that_no_signal_brings_back_costs_a_fresh_host_and_no_verdict() {
    let ran = xtask(&["test", "--inject", "signals-ignored", "wfi-does-not-wake", "guest-without-timers"]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    let verdicts = verdicts(&ran);
    assert_eq!(verdicts.len(), 3, "{}", ran.all());
    assert!(verdicts.iter().any(|verdict| verdict.says("no signal brought it back from KVM_RUN")), "{}", ran.all());
    assert!(ran.stdout.contains("3 checks: 1 held, 2 violated"), "{}", ran.all());
    assert!(ran.stderr.contains("going on in a fresh host"), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_kernel_without_the_capability_violates_c1_and_exercises_nothing_else() {
    let ran = xtask(&["test", "--inject", "capability-absent"]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    assert!(ran.stdout.contains(": 0 held, 2 violated, "), "{}", ran.stdout);
}

#[test]
#[ignore = "boots emulated hosts"]
fn a_register_that_a_kernel_refuses_is_named_with_its_cause_and_costs_no_other_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let ran = xtask(&["test", "--kernel", "debian:6.12.43+deb12", "--output", &path.display().to_string()]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    for part in ["KVM_SET_ONE_REG of ID_PFR1_EL1 (0x603000000013c009)", "fixed by commit 50e7cce81b9b"] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    let listed = xtask(&["test", "--list"]).stdout.lines().count();
    assert_eq!(verdicts(&ran).len(), listed, "{}", ran.stdout);
    described(&path);
}

#[test]
#[ignore = "boots emulated hosts"]
fn measurements_in_a_saved_host_and_in_a_fresh_one_print_the_same_digits_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str, options: &[&str]| {
        let path = folder.path().join(name);
        let output = path.display().to_string();
        let ran = xtask(&[&["bench", "--interrupts", "500", "--output", &output], options].concat());
        assert_eq!(ran.status, Some(0), "{}", ran.all());
        assert!(ran.stdout.contains("500 ended, 0 lost, 0 spurious"), "{}", ran.stdout);
        (ran.stdout, described(&path))
    };
    let first = record("a.json", &[]);
    assert!(first.1.contains("\"deterministic\": true"), "{}", first.1);
    assert_eq!(first, record("b.json", &[]));
    assert_eq!(first, record("c.json", &["--fresh"]));
}

#[test]
#[ignore = "boots an emulated host"]
fn a_scenario_that_cannot_be_measured_costs_no_other_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let output = path.display().to_string();
    let scenarios = ["vtimer-spin", "vtimer-wfi", "--interrupts", "200", "--silence", "300"];
    let ran = xtask(&[&["bench", "--kernel", "debian:6.1.0-47", "--output", &output], &scenarios[..]].concat());
    assert_eq!(ran.status, Some(2), "{}", ran.all());
    assert!(ran.stderr.contains("error: vtimer-wfi: the guest did not come to its end"), "{}", ran.all());
    let record = described(&path);
    assert!(record.contains("\"incomplete\": \"vtimer-wfi: the guest did not"), "{}", ran.all());
    assert_eq!(measured(&path, "vtimer-spin", "user").number("counts/delivered"), 200);
}

#[test]
#[ignore = "boots an emulated host"]
fn the_static_binary_alone_is_enough_on_an_arm64_host() {
    let ran = xtask(&["run", "--", "vtick", "test"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    assert!(verdicts(&ran).len() >= 10, "{}", ran.stdout);
    let ran = xtask(&["run", "--", "vtick", "bench", "--interrupts", "100"]);
    assert!(ran.stdout.contains("100 interrupts due, 100 delivered, 100 acknowledged"), "{}", ran.all());
}

#[test]
#[ignore = "asks Debian's archive"]
fn an_unknown_kernel_is_answered_with_the_ones_there_are() {
    let ran = xtask(&["test", "--kernel", "debian:6.1.0-999"]);
    let line = ran.error_line();
    assert!(line.contains("there is no such kernel") && line.contains("6.1.0-47"), "{line}");
}

/// The `.litmus` files of a folder of this crate, in order, as xtask is to be told of them.
fn programs(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> =
        names.filter(|name| name.ends_with(".litmus")).map(|name| format!("tests/{folder}/{name}")).collect();
    files.sort();
    files
}

#[test]
#[ignore = "boots an emulated host"]
fn programs_of_the_findings_are_violated_where_the_kernel_has_the_fault() {
    let files = programs("programs/findings");
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let ran = xtask(&[&["test", "--kernel", "debian:6.12", "--program"], &files[..]].concat());
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    let verdicts = verdicts(&ran);
    assert_eq!(verdicts.len(), files.len(), "{}", ran.all());
    let lines = verdicts.iter().map(|verdict| verdict.line);
    let found: Vec<&str> = lines.filter(|line| line.starts_with("violated")).collect();
    // Those of findings 1 and 8 want a host without a vGIC; 7 and 10 break no clause.
    let due = ["11-pmu", "3-immediate", "4-irq-line", "5-created", "6-icc-sre"];
    assert_eq!(found.len(), due.len(), "{}", ran.all());
    assert!(due.iter().all(|name| found.iter().any(|line| line.contains(name))), "{found:?}");
}

#[test]
#[ignore = "boots an emulated host"]
fn programs_of_files_hold_on_a_sound_kernel_and_find_the_sleep_that_never_ends() {
    let files = programs("programs");
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let on = |kernel| xtask(&[&["test", "--kernel", kernel, "--program"], &files[..]].concat());
    let ran = on("debian:6.12");
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    assert!(verdicts(&ran).iter().all(Verdict::is_held), "{}", ran.all());
    assert_eq!(verdicts(&ran).len(), files.len(), "{}", ran.all());
    let ran = on("debian:6.1.0-47");
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    let verdicts = verdicts(&ran);
    let found = violated(&verdicts);
    assert_eq!(found.len(), 2, "{}", ran.all());
    assert!(found.iter().all(|line| line.ends_with("-wakes")), "{found:?}");
}
