//! The series as mails, as `git format-patch` writes them.

use super::super::template::wrapped;
use super::tree::KVM;
use super::{Tree, cases, user_irq};
use crate::Clause;

/// The widest line of a mail's text.
const WIDTH: usize = 72;
const SUBJECT: &str = "KVM: selftests: arm64: Test interrupts without an in-kernel irqchip";

/// Who signs the series off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author(String);

impl std::str::FromStr for Author {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_address = |text: &str| {
            let (name, host) = text.split_once('@').unwrap_or_default();
            !name.is_empty() && !host.is_empty() && !text.contains([' ', '<', '>'])
        };
        let parts = text.strip_suffix('>').and_then(|text| text.split_once(" <"));
        match parts {
            Some((name, address)) if !name.trim().is_empty() && is_address(address) && !text.contains('\n') => {
                Ok(Author(text.to_owned()))
            }
            _ => Err(format!("{text}: write it as \"NAME <ADDRESS>\"")),
        }
    }
}

/// The files of the series: names and texts.
pub fn write(tree: &Tree, author: &Author) -> Result<Vec<(String, String)>, String> {
    let test = user_irq(tree);
    let name = format!("{KVM}/{}/user_irq.c", tree.folder);
    let (makefile, hunk) = makefile_hunk(tree)?;
    let changed = [(makefile.clone(), 1), (name.clone(), test.lines().count())];
    let added: String = test.lines().map(|line| format!("+{line}\n")).collect();
    let diff = format!(
        "diff --git a/{makefile} b/{makefile}\n--- a/{makefile}\n+++ b/{makefile}\n{hunk}diff --git a/{name} b/{name}\nnew \
         file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{} @@\n{added}",
        test.lines().count(),
    );
    let patch = format!(
        "{}{}\nSigned-off-by: {}\n---\n{}{}\n{diff}-- \nvtick {}\n\n",
        head(author, "PATCH 1/1"),
        body(),
        author.0,
        maintained(tree),
        statistics(&changed),
        env!("CARGO_PKG_VERSION"),
    );
    let cover = format!(
        "{}{}\n{}\n-- \nvtick {}\n\n",
        head(author, "PATCH 0/1"),
        letter(tree, author),
        statistics(&changed),
        env!("CARGO_PKG_VERSION"),
    );
    let file = SUBJECT.replace(": ", "-").replace(' ', "-");
    Ok(vec![
        ("0000-cover-letter.patch".to_owned(), cover),
        (format!("0001-{}.patch", file.chars().take(52).collect::<String>()), patch),
    ])
}

fn head(author: &Author, number: &str) -> String {
    let zero = "0".repeat(40);
    format!(
        "From {zero} Mon Sep 17 00:00:00 2001\nFrom: {}\nSubject: [{number}] {SUBJECT}\nMIME-Version: 1.0\nContent-Type: \
         text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n",
        author.0
    )
}

/// The message of the commit.
fn body() -> String {
    let paragraphs = [
        "A VM without an in-kernel irqchip gets the outputs of its timers and its PMU in kvm_run (KVM_CAP_ARM_USER_IRQ), and \
         its interrupts by KVM_IRQ_LINE. No test has covered this: WFI in such a VM slept for ever from v5.19 on, and \
         nobody noticed for four years.",
        "Add a test of what userspace depends on: each exit shows the levels, a change ends KVM_RUN once, a level that \
         userspace ignores costs nothing, the IRQ line reaches a guest that runs and a guest that sleeps, and WFI ends when \
         a timer fires.",
        "A guest that sleeps for ever is stopped after a second, so that the test fails instead of hanging.",
    ];
    paragraphs.map(|paragraph| wrap(paragraph, "")).join("\n")
}

/// The text of the cover letter.
fn letter(tree: &Tree, author: &Author) -> String {
    let name = author.0.split(" <").next().expect("a name stands before the address");
    let mut text = wrap(
        "KVM has no test of VMs without an in-kernel irqchip (KVM_CAP_ARM_USER_IRQ), and has broken them without \
         anyone noticing: from v5.19 on, and for four years, WFI in such a VM never ended. This adds one to the selftests \
         of arm64. Of the clauses that userspace depends on, it holds KVM to these:",
        "",
    );
    text.push('\n');
    let mut last: Option<Clause> = None;
    for case in cases() {
        if last != Some(case.clause()) {
            text += &wrap(&format!("{}: {}", case.clause(), case.clause().text()), "");
            last = Some(case.clause());
        }
        text += &wrap(&format!("- {}: {}", case.name(), case.claim()), "    ");
    }
    text.push('\n');
    text += &wrap(
        "The tests are generated from the checks of vtick, a tool that holds kernels to all promises of this mode; each \
         check was seen to fail on a kernel, or on a fault put into a good one, before it was trusted.",
        "",
    );
    text.push('\n');
    text += &wrap(
        &format!(
            "The patch is for the selftests' library of Linux {}. To build the test: make ARCH=arm64 \
             CROSS_COMPILE=aarch64-linux-gnu- headers_install, then the same with -C tools/testing/selftests TARGETS=kvm.",
            tree.version
        ),
        "",
    );
    format!("{text}\n{name} (1):\n  {SUBJECT}\n")
}

/// checkpatch.pl asks whether MAINTAINERS needs a change where a file is new: the answer, below the message.
fn maintained(tree: &Tree) -> String {
    let line = |covers: &String| format!(" MAINTAINERS | unchanged: \"F: {covers}\" covers the new file\n");
    tree.maintained.as_ref().map(line).unwrap_or_default()
}

/// How many lines are added to which files.
fn statistics(changed: &[(String, usize)]) -> String {
    let widest = changed.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let files: String = changed.iter().map(|(name, lines)| format!(" {name:widest$} | {lines:3} +\n")).collect();
    let lines: usize = changed.iter().map(|(_, lines)| lines).sum();
    let created = &changed.last().expect("a file is new").0;
    format!("{files} {} files changed, {lines} insertions(+)\n create mode 100644 {created}\n", changed.len())
}

/// The line of the test in the list of tests: the name of the changed file, and the change.
fn makefile_hunk(tree: &Tree) -> Result<(String, String), String> {
    let (name, text) = &tree.makefile;
    let lines: Vec<&str> = text.lines().collect();
    let prefix = format!("TEST_GEN_PROGS_{0} += {0}/", tree.folder);
    let added = format!("{prefix}user_irq");
    let is_of = |line: &&&str| line.starts_with(&prefix);
    let later = lines.iter().position(|line| is_of(&line) && **line > *added);
    let last = lines.iter().rposition(|line| is_of(&line)).map(|last| last + 1);
    let at = later.or(last).ok_or_else(|| format!("{KVM}/{name}: it has no line that starts with {prefix}"))?;
    let (from, to) = (at.saturating_sub(3), (at + 3).min(lines.len()));
    let context = |lines: &[&str]| lines.iter().map(|line| format!(" {line}\n")).collect::<String>();
    let (old, start) = (to - from, from + 1);
    let hunk = format!(
        "@@ -{start},{old} +{start},{} @@\n{}+{added}\n{}",
        old + 1,
        context(&lines[from..at]),
        context(&lines[at..to])
    );
    Ok((format!("{KVM}/{name}"), hunk))
}

/// A paragraph; lines but the first begin with `indent`, and the first with two columns less, where there are as many.
fn wrap(text: &str, indent: &str) -> String {
    wrapped(text, WIDTH, &indent[..indent.len().saturating_sub(2)], indent).join("\n") + "\n"
}
