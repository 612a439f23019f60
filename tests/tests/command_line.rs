//! What is refused before anything long begins: one clear line each, and status 2. Nothing here boots or fetches.

use std::fs;

use vtick_tests::xtask;

/// A file of `len` zero bytes with `patches` put in, in a folder that goes with the returned guard.
fn file(len: usize, patches: &[(usize, &[u8])]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Image");
    let mut bytes = vec![0; len];
    for (offset, patch) in patches {
        bytes[*offset..offset + patch.len()].copy_from_slice(patch);
    }
    fs::write(&path, bytes).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn checks_are_listed_and_explained_without_a_host() {
    let list = xtask(&["test", "--list"]);
    assert_eq!(list.status, Some(0), "{}", list.all());
    assert!(list.stdout.lines().count() >= 10, "{}", list.stdout);

    let explained = xtask(&["test", "--explain", "wfi-wakes-on-the-vtimer-with-interrupts-masked"]);
    assert_eq!(explained.status, Some(0), "{}", explained.all());
    for part in ["must see", "clause   C11", "source", "catches", "fails on", "wfi-never-wakes", "WFI"] {
        assert!(explained.stdout.contains(part), "no {part} in\n{}", explained.stdout);
    }
}

#[test]
fn an_unknown_check_is_answered_with_near_ones() {
    let line = xtask(&["test", "wfi-wakes-on-the-vtimr-with-interrupts-masked"]);
    let line = line.error_line();
    assert!(line.starts_with("no check named wfi-wakes-on-the-vtimr"), "{line}");
    assert!(line.contains("did you mean wfi-wakes-on-the-vtimer-with-interrupts-masked"), "{line}");
}

#[test]
fn a_record_that_is_none_is_refused_and_so_is_a_view_that_it_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str, json: &str| {
        let path = folder.path().join(name).display().to_string();
        fs::write(&path, json).unwrap();
        path
    };
    let other = record("other.json", r#"{ "format": "lmbench", "version": 1 }"#);
    let line = xtask(&["report", &other]);
    assert!(line.error_line().contains("not a record of vtick, but of lmbench"), "{}", line.all());
    let torn = record("torn.json", r#"{ "format": "vtick", "vers"#);
    let line = xtask(&["report", "--as", "ktap", &torn]);
    assert!(line.error_line().contains("torn.json: not a record of vtick"), "{}", line.all());
}

#[test]
fn an_unknown_scenario_is_answered_with_near_ones() {
    let line = xtask(&["bench", "no-such-thing"]);
    assert!(line.error_line().starts_with("no scenario named no-such-thing"), "{}", line.all());
    let line = xtask(&["bench", "neighbor"]);
    assert!(line.error_line().contains("did you mean vtimer-wfi-neighbour?"), "{}", line.all());
}

#[test]
fn an_unknown_option_is_answered_with_a_near_one_and_not_with_a_way_to_make_a_name_of_it() {
    let line = xtask(&["test", "--modus", "vhe"]);
    assert_eq!(line.status, Some(2), "{}", line.all());
    assert!(line.stderr.contains("unexpected argument '--modus'"), "{}", line.all());
    assert!(line.stderr.contains("`cargo xtask test` has an option --mode\n"), "{}", line.all());
    assert!(!line.stderr.contains("-- --modus"), "{}", line.all());
}

#[test]
fn a_format_that_is_made_of_records_is_answered_with_the_way_to_it() {
    let line = xtask(&["test", "--as", "junit"]);
    assert!(line.stderr.contains("--output FILE, then `report FILE --as junit`"), "{}", line.all());
    let line = xtask(&["test", "--as", "xml"]);
    assert!(!line.stderr.contains("report FILE"), "{}", line.all());
}

#[test]
fn a_clause_is_explained_with_its_checks() {
    let explained = xtask(&["test", "--explain", "C11"]);
    assert_eq!(explained.status, Some(0), "{}", explained.all());
    for part in ["C11 (", "promise  WFI ends when", "source", "wfi-wakes-on-the-vtimer-with-interrupts-masked"] {
        assert!(explained.stdout.contains(part), "no {part} in\n{}", explained.stdout);
    }
    assert!(!explained.stdout.contains("rising-level-ends-kvm-run"), "{}", explained.stdout);
    let both = xtask(&["test", "--list", "--explain", "C11"]);
    assert!(both.stderr.contains("'--list' cannot be used with '--explain"), "{}", both.all());
}

#[test]
fn shares_of_an_exploration_are_counted_from_one() {
    let line = xtask(&["explore", "--shard", "0/4"]);
    assert!(line.stderr.contains("with I from 1 to N"), "{}", line.all());
}

#[test]
fn the_help_of_a_command_is_about_this_command() {
    let help = xtask(&["bench", "--help"]);
    assert_eq!(help.status, Some(0), "{}", help.all());
    assert!(help.stdout.starts_with("Usage: cargo xtask bench [OPTIONS] [ARGUMENTS FOR VTICK]"), "{}", help.stdout);
    for part in ["measure timer-interrupt latency", "--host-gic GIC", "--verbose", "[SCENARIO]..."] {
        assert!(help.stdout.contains(part), "no {part} in\n{}", help.stdout);
    }
    for part in ["kconfig", "Options of matrix", "Options of boot"] {
        assert!(!help.stdout.contains(part), "{part} in\n{}", help.stdout);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let line = xtask(&["bench", "--output", "no/such/folder/record.json"]);
    assert!(line.error_line().contains("no/such/folder/record.json"), "{}", line.all());
}

#[test]
fn a_kernel_that_is_no_arm64_image_is_refused_and_told_apart() {
    let (_guard, nothing) = file(4096, &[]);
    let (_guard2, x86) = file(4096, &[(0x1fe, &[0x55, 0xaa]), (0x202, b"HdrS")]);
    for (kernel, due) in
        [(nothing.as_str(), "no arm64 kernel Image"), (x86.as_str(), "x86"), ("no/such/Image", "No such file")]
    {
        let ran = xtask(&["test", "--kernel", kernel]);
        assert!(ran.error_line().contains(due), "{due} was due\n{}", ran.all());
    }
}

#[cfg(not(target_arch = "aarch64"))]
#[test]
fn a_native_run_on_another_machine_is_refused() {
    let ran = xtask(&["test", "--host", "native"]);
    assert!(ran.error_line().contains("arm64"), "{}", ran.all());
}
