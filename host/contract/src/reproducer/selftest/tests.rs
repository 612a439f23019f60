use super::*;
use crate::FailsOn;

/// A tree with what the series looks at, of a library of the given age.
fn tree(new: bool) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let (arch, makefile) = if new { ("arm64", "Makefile.kvm") } else { ("aarch64", "Makefile") };
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Makefile", "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n");
    write("MAINTAINERS", &format!("KVM\nF:\ttools/testing/selftests/kvm/{arch}/\n"));
    let kvm = "tools/testing/selftests/kvm";
    let programs: String = ["arch_timer", "psci_test", "vgic_init", "vgic_irq"]
        .map(|name| format!("TEST_GEN_PROGS_{arch} += {arch}/{name}\n"))
        .concat();
    write(&format!("{kvm}/{makefile}"), &format!("# tests\n{programs}TEST_GEN_PROGS_x86 += x86/a\n"));
    let (processor, ucall) = if new {
        ("void test_disable_default_vgic(void);\n", "\tchar buffer[UCALL_BUFFER_LEN];\n")
    } else {
        ("", "void ucall_init(struct kvm_vm *vm, void *arg);\n")
    };
    write(&format!("{kvm}/include/{arch}/processor.h"), processor);
    write(&format!("{kvm}/include/{arch}/arch_timer.h"), "");
    write(&format!("{kvm}/include/ucall_common.h"), ucall);
    write(&format!("{kvm}/{arch}/arch_timer.c"), "");
    let tree = Tree::read(folder.path()).unwrap();
    (folder, tree)
}

fn series(new: bool) -> Vec<(String, String)> {
    write(&tree(new).1, &"Ada Example <ada@example.org>".parse().unwrap()).unwrap()
}

#[test]
fn each_check_of_the_selftest_was_seen_to_fail_on_a_fault() {
    for case in cases() {
        let Case::Check(check) = &case else { unreachable!("all are checks") };
        assert!(matches!(check.fails_on, FailsOn::Faults([_, ..])), "{}", check.name);
    }
}

#[test]
fn the_series_is_a_letter_and_a_patch_that_adds_the_test_and_its_line() {
    let [(cover, letter), (_, patch)] = &series(true)[..] else { panic!("two files") };
    assert_eq!(cover, "0000-cover-letter.patch");
    assert!(letter.contains("Subject: [PATCH 0/1] ") && !letter.contains("\ndiff --git"));
    assert!(patch.contains(
        "@@ -1,6 +1,7 @@\n # tests\n TEST_GEN_PROGS_arm64 += arm64/arch_timer\n TEST_GEN_PROGS_arm64 += arm64/psci_test\n\
         +TEST_GEN_PROGS_arm64 += arm64/user_irq\n TEST_GEN_PROGS_arm64 += arm64/vgic_init\n"
    ));
    assert!(patch.contains("\nSigned-off-by: Ada Example <ada@example.org>\n---\n"));
    for name in CHECKS {
        assert!(patch.contains(&format!(".name = \"{name}\"")) && letter.contains(name), "{name}");
    }
    let added = patch.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++"));
    assert!(added.clone().all(|line| !line.contains("//if") && !line.contains('@')), "a place is left open");
    let columns = |line: &str| line.chars().map(|c| if c == '\t' { 8 } else { 1 }).sum::<usize>() - 1;
    assert_eq!(added.map(columns).filter(|&columns| columns > 100).count(), 0, "checkpatch.pl objects to more");
}

#[test]
fn an_older_library_is_used_as_it_is() {
    let (old, new) = (&series(false)[1].1, &series(true)[1].1);
    assert!(old.contains("b/tools/testing/selftests/kvm/aarch64/user_irq.c") && !old.contains("/arm64/"));
    for (call, in_old, in_new) in
        [("ucall_init(", true, false), ("test_disable_default_vgic(", false, true), ("uc.buffer", false, true)]
    {
        assert_eq!((old.contains(call), new.contains(call)), (in_old, in_new), "{call}");
    }
}

#[test]
fn a_guest_says_where_it_is_only_where_that_is_judged_and_asserts_the_rest() {
    let (_, text) = &series(true)[1];
    let text = text.replace("\n+", "\n");
    assert!(text.contains(
        "\tat(1);\n\tarmed = in_us(VIRTUAL, 3000);\n\ttimer_set_cval(VIRTUAL, armed);\n\ttimer_set_ctl(VIRTUAL, \
         CTL_ENABLE);\n\tsleep_in_wfi();\n\tGUEST_ASSERT(timer_get_cntct(VIRTUAL) - armed < usec_to_cycles(LATE_US));\n\t\
         at(2);\n"
    ));
    assert!(
        text.contains("\texpect(returned(1, 1, VTIMER) > 0, \"a return between at(1) and at(2) shows only VTIMER\");")
    );
}

#[test]
fn what_is_no_tree_of_linux_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Tree::read(folder.path()).unwrap_err()
    };
    assert!(Tree::read(folder.path()).unwrap_err().ends_with("it is no source tree of Linux: it has no Makefile"));
    assert!(refused("Makefile", "all:\n").ends_with("its Makefile has no VERSION and PATCHLEVEL"));
    let why = refused("Makefile", "VERSION = 4\nPATCHLEVEL = 4\nSUBLEVEL = 1\n");
    assert!(why.ends_with("Linux 4.4.1 has no tools/testing/selftests/kvm/arm64, which the test is built on"), "{why}");
    let (folder, tree) = tree(true);
    std::fs::write(folder.path().join("tools/testing/selftests/kvm/arm64/user_irq.c"), "").unwrap();
    assert!(Tree::read(folder.path()).unwrap_err().contains("user_irq.c already"), "{tree:?}");
}

#[test]
fn an_author_is_a_name_and_an_address() {
    for wrong in ["", "Ada", "ada@example.org", "Ada <ada>", "<ada@example.org>", "Ada <ada@example.org> x"] {
        assert!(wrong.parse::<Author>().is_err(), "{wrong}");
    }
    assert!("Ada Lovelace <ada@example.org>".parse::<Author>().is_ok());
}
