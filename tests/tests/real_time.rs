//! Emulated hosts whose time is real: no two runs are the same. Not part of `.ci/run`, because a machine that is busy enough
//! disturbs everything.

use vtick_tests::verdict::{verdicts, violated};
use vtick_tests::xtask;

#[test]
#[ignore = "boots emulated hosts"]
fn a_host_whose_time_is_real_has_no_violation_of_its_own_and_those_of_a_faulty_kernel() {
    let ran = xtask(&["test", "--clock", "real", "--host-cpus", "2", "--timeout", "1800"]);
    assert_eq!(ran.status, Some(0), "{}", ran.all());
    let all = verdicts(&ran);
    assert_eq!(violated(&all), [""; 0], "{}", ran.all());
    let exercised = all.iter().filter(|v| v.is_held() || v.line.starts_with("violated")).count();
    assert!(exercised * 10 >= all.len() * 9, "{exercised} of {} exercised\n{}", all.len(), ran.all());
    let ran = xtask(&["test", "--clock", "real", "--kernel", "debian:6.1.0-47", "wfi-wakes-on-the-vtimer"]);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    assert!(ran.stdout.contains("fixed by commit 4ce98bf0865c"), "{}", ran.all());
}
