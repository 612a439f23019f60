//! Guests that do what no guest should, booted as a user would boot them: each ends in one diagnosis, and in time.
//! Ignored by default: each boots an emulated host.

use vtick_tests::{Ran, xtask};

// PSCI functions (Arm DEN 0022) by HVC: `movz w0, #0x8400, lsl #16; movk w0, #n; hvc #0`, and `b .` behind it.
const CPU_OFF: [u32; 4] = [0x52b0_8000, 0x7280_0040, 0xd400_0002, 0x1400_0000];
const SYSTEM_OFF: [u32; 4] = [0x52b0_8000, 0x7280_0100, 0xd400_0002, 0x1400_0000];
const SYSTEM_RESET: [u32; 4] = [0x52b0_8000, 0x7280_0120, 0xd400_0002, 0x1400_0000];

/// movz x1, #0xdead, lsl #16: an address where this machine has nothing.
const X1_NOWHERE: u32 = 0xd2bb_d5a1;

/// Boots a flat binary of these instructions; `kernel`: that of the emulated host.
fn boot(kernel: &str, instructions: &[u32]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.flat");
    std::fs::write(&path, instructions.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let path = path.display().to_string();
    let vtick = [
        "vtick",
        "boot",
        "--strict",
        "--no-reboot",
        "--kernel",
        "/bin/guest.flat",
        "--memory",
        "64M",
        "--timeout",
        "10",
    ];
    let own = ["run", "--kernel", kernel, "--silence", "300", "--with", &path, "--"];
    xtask(&[&own[..], &vtick[..]].concat())
}

/// Boots a guest that cannot go on, and checks what is said of it.
fn ends_with(instructions: &[u32], due: &[&str]) {
    let ran = boot("debian:6.12", instructions);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    for due in due {
        assert!(ran.stderr.contains(due), "no {due:?} in\n{}", ran.all());
    }
    assert_eq!(ran.stderr.contains("--timeout"), due.contains(&"--timeout"), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_guest_that_powers_off_is_no_failure_even_after_an_smc() {
    // movz w0, #0x8400, lsl #16; smc #0: PSCI_VERSION, which KVM does not answer here.
    let ran = boot("debian:6.12", &[&[0x52b0_8000, 0xd400_0003], &SYSTEM_OFF[..]].concat());
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), ""), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn a_jump_to_nowhere_is_an_instruction_abort_for_ever() {
    // movz x0, #0xdead, lsl #16; br x0. The vectors are at 0, where there is nothing either.
    let due = ["takes an exception at the start of its own handler, for ever: instruction abort at 0x200"];
    ends_with(&[0xd2bb_d5a0, 0xd61f_0000], &due);
}

#[test]
#[ignore = "boots an emulated host"]
fn vectors_that_take_an_exception_themselves_stop_the_hosts_time_and_are_found_from_outside() {
    // movz x0, #0x4100, lsl #16; msr vbar_el1, x0; isb; udf: the vectors are zeros, which are udf too.
    let ran = boot("debian:6.12", &[0xd2a8_2000, 0xd518_c000, 0xd503_3fdf, 0]);
    assert_eq!(ran.status, Some(2), "{}", ran.all());
    assert!(ran.stderr.contains("stands still") && ran.stderr.contains("PC 0x41000200 in EL1h"), "{}", ran.all());
}

#[test]
#[ignore = "fetches a toolchain where there is none"]
fn what_is_cut_off_or_too_large_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path.display().to_string()
    };
    // Linux, Documentation/arch/arm64/booting.rst: image_size at 16, magic at 56.
    let mut image = vec![0; 4096];
    image[16..24].copy_from_slice(&0x10_0000_u64.to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    let (kernel, cut) = (file("Image", &image), file("Cut", &image[..1000]));
    let ran = xtask(&["boot", "--kernel", &cut]);
    assert!(ran.error_line().contains("is a truncated arm64 kernel Image"), "{}", ran.all());
    let initrd = file("initrd", &vec![0; 65 << 20]);
    let ran = xtask(&["boot", "--kernel", &kernel, "--initrd", &initrd, "--memory", "64M"]);
    assert!(ran.error_line().contains("bytes of RAM: see --memory"), "{}", ran.all());
}

#[test]
#[ignore = "boots an emulated host"]
fn wild_reads_and_writes_name_their_address() {
    // ldr w2, [x1]
    ends_with(
        &[X1_NOWHERE, 0xb940_0022],
        &["vCPU 0: the guest reads 4 bytes at 0xdead0000, where this machine has nothing"],
    );
    // str w2, [x1]
    ends_with(&[X1_NOWHERE, 0xb900_0022], &["the guest writes 0x0, 4 bytes, at 0xdead0000"]);
}

#[test]
#[ignore = "boots an emulated host"]
fn an_access_without_syndrome_is_explained() {
    // movz x1, #0x900, lsl #16: the UART; ldr w2, [x1], #4.
    ends_with(&[0xd2a1_2001, 0xb840_4422], &["by an instruction that KVM cannot emulate", "0x40080004"]);
}

#[test]
#[ignore = "boots an emulated host"]
fn an_endless_loop_with_interrupts_off_ends_with_the_time_it_was_given() {
    // b .
    ends_with(&[0x1400_0000], &["--timeout", "stopped at PC 0x40080000", "PSTATE 0x3c5"]);
}

#[test]
#[ignore = "boots emulated hosts"]
fn a_guest_that_turns_itself_off_or_wants_a_reset_has_ended() {
    ends_with(&CPU_OFF, &["every vCPU has turned itself off (PSCI CPU_OFF)"]);
    ends_with(&SYSTEM_RESET, &["asked for a reset (PSCI SYSTEM_RESET)"]);
}

#[test]
#[ignore = "boots emulated hosts"]
fn a_wfi_that_never_wakes_is_named_with_the_commit_that_repairs_it_and_where_it_wakes_all_is_well() {
    // CNTV_TVAL := 1 << 24; CNTV_CTL := 1; isb; wfi.
    let arm = [0xd2a0_2001, 0xd51b_e301, 0xd280_0021, 0xd51b_e321, 0xd503_3fdf, 0xd503_207f];
    let guest = [&arm[..], &SYSTEM_OFF[..]].concat();
    let ran = boot("debian:6.1.0-47", &guest);
    assert_eq!(ran.status, Some(1), "{}", ran.all());
    for due in ["guest asleep in WFI at PC 0x4008001", "level never reported", "fixed by commit 4ce98bf0865c"] {
        assert!(ran.stderr.contains(due), "no {due:?} in\n{}", ran.all());
    }
    for kernel in ["debian:6.1.0-50", "debian:6.12"] {
        let ran = boot(kernel, &guest);
        assert_eq!(ran.status, Some(0), "{kernel}\n{}", ran.all());
    }
}
