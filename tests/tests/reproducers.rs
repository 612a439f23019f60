//! The C programs that `cargo xtask export --c` writes: each compiles without a warning and comes to vtick's own verdict. Not
//! part of `.ci/run`: it needs a cross compiler (Debian's package gcc-aarch64-linux-gnu) and runs the suite twice on
//! each kernel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use vtick_tests::xtask;

/// Exit statuses of kselftest (tools/testing/selftests/kselftest.h).
const OK: i32 = 0;
const NOT_OK: i32 = 1;
const SKIP: i32 = 4;

fn compile(source: &Path, program: &Path) {
    let compiled = Command::new("aarch64-linux-gnu-gcc")
        .args(["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .args([program, source])
        .output()
        .expect("aarch64-linux-gnu-gcc can be started: install gcc-aarch64-linux-gnu");
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success() && said.is_empty(), "{}: {said}", source.display());
}

/// The name of each check with the word that `vtick test` has for it on a kernel.
fn verdicts(kernel: &str, checks: &[String]) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record.json").display().to_string();
    let named: Vec<&str> = checks.iter().map(String::as_str).collect();
    let ran = xtask(&[&["test", "--kernel", kernel, "--output", &record, "--timeout", "1800"], &named[..]].concat());
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&record).unwrap_or_else(|_| panic!("no record\n{}", ran.all()))).unwrap();
    let checks = record["checks"].as_array().unwrap_or_else(|| panic!("no checks in {record}"));
    let word = |check: &serde_json::Value| check["verdict"].as_str().unwrap_or_else(|| panic!("{check}")).to_owned();
    checks.iter().map(|check| (check["name"].as_str().unwrap().to_owned(), word(check))).collect()
}

/// Exports and compiles all checks that can be exported, with the program that runs them in a row.
fn programs(folder: &Path) -> Vec<String> {
    let listed = xtask(&["test", "--list"]);
    let mut exported = Vec::new();
    for name in listed.stdout.lines().filter_map(|line| line.split_whitespace().nth(1)) {
        let source = folder.join(format!("{name}.c"));
        let ran = xtask(&["export", "--c", name, "--output", &source.display().to_string()]);
        if ran.status == Some(0) {
            compile(&source, &folder.join(name));
            exported.push(name.to_owned());
        } else {
            assert!(ran.error_line().contains("cannot be said in C: "), "{name}: {}", ran.all());
        }
    }
    compile(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/reproducers/run-all.c")), &folder.join("run-all"));
    exported
}

/// The exit status of each program on a kernel.
fn statuses(kernel: &str, folder: &Path, programs: &[String]) -> BTreeMap<String, i32> {
    let with = programs.iter().map(String::as_str).chain(["run-all"]);
    let files: Vec<PathBuf> = with.map(|name| folder.join(name)).collect();
    let mut arguments: Vec<String> =
        ["run", "--kernel", kernel, "--timeout", "1800", "--silence", "900"].map(str::to_owned).into();
    for file in files {
        arguments.extend(["--with".to_owned(), file.display().to_string()]);
    }
    arguments.extend(["--".to_owned(), "/bin/run-all".to_owned()]);
    arguments.extend(programs.iter().map(|name| format!("/bin/{name}")));
    let ran = xtask(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let ended = ran.stdout.lines().filter_map(|line| line.strip_prefix("== /bin/")?.split_once(' '));
    let statuses: BTreeMap<_, _> = ended.map(|(name, status)| (name.to_owned(), status.parse().unwrap())).collect();
    assert_eq!(statuses.len(), programs.len(), "{}", ran.all());
    statuses
}

#[test]
#[ignore = "boots emulated hosts and needs a cross compiler"]
fn each_c_program_comes_to_the_verdict_of_vtick() {
    let folder = tempfile::tempdir().unwrap();
    let programs = programs(folder.path());
    assert!(programs.len() > 100, "{programs:?}");
    let mut wrong = Vec::new();
    for kernel in ["debian:6.12", "debian:7.3.4", "debian:6.1.0-47"] {
        let verdicts = verdicts(kernel, &programs);
        let statuses = statuses(kernel, folder.path(), &programs);
        for name in &programs {
            let (verdict, status) = (verdicts.get(name).map(String::as_str), statuses[name]);
            let due: &[i32] = match verdict {
                Some("held") => &[OK],
                Some("violated") => &[NOT_OK],
                Some("not-exercised") => &[SKIP],
                // Neither says anything of the kernel.
                Some("disturbed" | "harness-error") => &[OK, NOT_OK, SKIP],
                _ => &[],
            };
            if !due.contains(&status) {
                wrong.push(format!("{kernel} {name}: vtick says {verdict:?}, the program ends with {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
