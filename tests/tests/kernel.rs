//! Which code of the kernel the checks run, and whether they would notice if it were a little different. Ignored by
//! default: hosts are booted.

use serde_json::Value;
use vtick_tests::xtask;

#[test]
#[ignore = "boots an emulated host"]
fn nothing_that_is_listed_as_out_of_reach_runs() {
    let ran = xtask(&["test", "--clause", "C", "--coverage"]);
    assert!(ran.stdout.contains("% of those that can be expected to"), "{}", ran.all());
    assert!(!ran.stdout.contains("listed as out of reach, but ran"), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_mutant_has_the_same_fate_when_its_name_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let tried = |arguments: &[&str]| {
        let file = folder.path().join("mutants.json");
        let output = format!("--output={}", file.display());
        let ran = xtask(&[&["mutate", "--clause", "C11", &output], arguments].concat());
        let json = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {}", ran.all()));
        let report: Value = serde_json::from_str(&json).unwrap();
        let mutant = |mutant: &Value| [&mutant["mutant"], &mutant["verdict"], &mutant["by"]].map(Value::to_string);
        report["mutants"].as_array().unwrap().iter().map(mutant).collect::<Vec<_>>()
    };
    let first = tried(&["--sample", "2"]);
    assert_eq!(first.len(), 2);
    for [name, verdict, by] in first {
        let again = tried(&["--replay", name.trim_matches('"')]);
        assert_eq!(again, [[name, verdict, by]]);
    }
}
