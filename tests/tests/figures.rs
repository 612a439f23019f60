//! What the stopwatch is to show: figures of the default host, which are exact there, so that more than a limit is more
//! on every machine. Ignored by default: it boots emulated hosts.

use std::path::PathBuf;

use vtick_tests::record::measured;
use vtick_tests::{Ran, xtask};

/// Measures into a record of this name; nothing may be lost or out of order.
fn bench(folder: &tempfile::TempDir, name: &str, arguments: &[&str]) -> (Ran, PathBuf) {
    let place = folder.path().join(name);
    let ran = xtask(&[&["bench", "--output", place.to_str().unwrap()], arguments].concat());
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    (ran, place)
}

#[test]
#[ignore = "boots an emulated host"]
fn the_default_kernels_figures_are_within_their_limits() {
    let folder = tempfile::tempdir().unwrap();
    let (ran, place) = bench(&folder, "record.json", &[]);
    let figure = |scenario, irqchip, figure: &str| measured(&place, scenario, irqchip).number(&format!("{figure}/p50"));
    for (scenario, name, most) in [
        ("vtimer-spin", "deadline_to_handler", 7_700),
        ("vtimer-wfi", "deadline_to_handler", 13_600),
        ("vtimer-spin", "whole", 22_000),
        ("mmio-read", "whole", 6_500),
    ] {
        let found = figure(scenario, "user", name);
        assert!(found <= most, "{scenario}, {name}: {found}, at most {most}\n{}", ran.stdout);
        let floor = figure(scenario, "bare", name);
        assert!(found as f64 <= floor as f64 * 1.05, "{scenario}, {name}: {found} over a floor of {floor}");
    }
    let spin = measured(&place, "vtimer-spin", "user");
    assert_eq!(spin.number("deadline_to_handler/p50"), spin.number("deadline_to_handler/p99"), "settled");
    // In MMIO traffic some levels come with an access that is the guest's own.
    for (scenario, least) in [("vtimer-spin", 4.999), ("vtimer-wfi", 4.999), ("vtimer-mmio", 4.0)] {
        let measured = measured(&place, scenario, "user");
        let calls = measured.system_calls();
        assert!((least..=5.0).contains(&calls), "{scenario}: {calls}");
        assert_eq!((measured.number("counts/lost"), measured.number("counts/spurious")), (0, 0), "{scenario}");
    }
}

#[test]
#[ignore = "boots an emulated host"]
fn userspace_answers_each_access_to_its_gic_within_its_limit() {
    let ran = xtask(&["run", "--", "vtick", "bench", "--accesses"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    assert!(ran.stdout.contains("held: none takes more than 400"), "{}", ran.all());
}

#[test]
#[ignore = "boots emulated hosts"]
fn a_planted_slowdown_of_a_hundred_instructions_is_found_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name, more: &[&str]| bench(&folder, name, &[&["vtimer-spin", "--interrupts", "300"], more].concat()).1;
    let (before, again, planted) = (run("a.json", &[]), run("b.json", &[]), run("c.json", &["--plant", "100"]));
    let compare = |after: &PathBuf, limit: &str| {
        xtask(&["compare", before.to_str().unwrap(), after.to_str().unwrap(), "--fail-over", limit])
    };
    let same = compare(&again, "0%");
    assert_eq!(same.status, Some(0), "{}", same.all());
    assert!(same.stdout.contains("identical: "), "{}", same.all());
    let found = compare(&planted, "1%");
    assert_eq!(found.status, Some(1), "{}", found.all());
    let line = found.stdout.lines().find(|line| line.contains("user") && line.contains("deadline to handler"));
    // The turns of a loop, the call of it, and what the caller has to keep over a call.
    let more =
        line.and_then(|line| line.split_whitespace().find_map(|word| word.strip_prefix('+')?.parse::<u64>().ok()));
    assert!(more.is_some_and(|more| (100..=130).contains(&more)), "{}", found.stdout);
    assert_eq!(compare(&planted, "5%").status, Some(0));
}

/// What QEMU 7.2 (`-M virt,gic-version=2,kernel-irqchip=off`, one CPU, 512 MiB) took in the same host, from the making of
/// the vCPU to the first process of 6.12.118 and this initramfs. A bound, which stays when the kernel moves on.
const QEMU_TO_INIT: u64 = 1_089_790_100;

#[test]
#[ignore = "boots an emulated host"]
fn a_stock_kernel_reaches_its_first_process_in_no_more_instructions_than_under_qemu() {
    let quiet = "console=ttyAMA0 quiet demo.rounds=1";
    let guest = ["--kernel", "debian:6.12", "--append", quiet, "--stats", "--mark", "demo: Linux"];
    let ran = xtask(&[&["boot", "--cpus", "1"], &guest[..]].concat());
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    let number = |line: &str, end: &str| {
        let text = ran.stdout.lines().find_map(|text| text.trim().strip_prefix(line)?.strip_suffix(end));
        let text = text.unwrap_or_else(|| panic!("{line:?} was due\n{}", ran.all())).trim();
        text.replace(',', "").parse::<u64>().unwrap()
    };
    assert!(number("to the mark", " instructions") <= QEMU_TO_INIT, "{}", ran.stdout);
    // In QEMU's whole boot there are 6,282 for 589 timer interrupts. The RTC's alarm and the PMU have theirs, too.
    let lines = number("KVM_IRQ_LINE called", "");
    let all = ran.stdout.lines().find_map(|text| text.strip_prefix("in all ")?.split_once(" interrupts"));
    let interrupts: u64 = all.expect("a count of all interrupts").0.replace(',', "").parse().unwrap();
    assert!(lines <= 2 * interrupts, "{lines} for {interrupts}\n{}", ran.stdout);
}

#[test]
#[ignore = "boots emulated hosts"]
fn an_sgi_finds_its_way_on_each_interrupt_controller() {
    let folder = tempfile::tempdir().unwrap();
    for (gic, chips) in [("3", ["user", "vgicv3"]), ("2", ["user", "vgicv2"])] {
        let arguments =
            ["sgi-self", "sgi-other", "--interrupts", "200", "--host-gic", gic, "--irqchip", &chips.join(",")];
        let (ran, place) = bench(&folder, gic, &arguments);
        for (scenario, due) in [("sgi-self", 200), ("sgi-other", 400)] {
            for chip in chips {
                let found = measured(&place, scenario, chip);
                assert_eq!(found.number("counts/acknowledged"), due, "{scenario} on {chip}\n{}", ran.stdout);
                assert_eq!(found.system_calls(), if chip == "user" { 5.0 } else { 0.0 }, "{scenario} on {chip}");
                assert!(found.number("deadline_to_handler/p50") > 1_000, "{scenario} on {chip}\n{}", ran.stdout);
            }
        }
    }
}

#[test]
#[ignore = "boots emulated hosts"]
fn vcpus_on_several_host_cpus_are_pinned_and_measure_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    for (cpus, pinned) in [
        ("2", [vec![0, 1], vec![0, 1, 0, 1], [0, 1].repeat(4)]),
        ("4", [vec![2, 3], vec![0, 1, 2, 3], [0, 1, 2, 3].repeat(2)]),
    ] {
        let vcpus = ["vtimer-wfi-2cpu", "vtimer-wfi-4cpu", "vtimer-wfi-8cpu"];
        let scenarios = [&vcpus[..], &["sgi-other", "--interrupts", "100", "--no-floor"]].concat();
        let run = |name| bench(&folder, name, &[&scenarios[..], &["--host-cpus", cpus]].concat());
        let ((first, place), (second, _)) = (run("first.json"), run("second.json"));
        assert_eq!(first.stdout, second.stdout);
        for (scenario, pinned) in vcpus.iter().zip(pinned) {
            let found = measured(&place, scenario, "user");
            assert_eq!(found.number("counts/delivered"), 100 * pinned.len() as u64, "{scenario}\n{}", first.stdout);
            assert_eq!(found.pinned(), pinned, "{scenario}");
        }
        assert_eq!(measured(&place, "sgi-other", "user").number("counts/delivered"), 200);
    }
}
