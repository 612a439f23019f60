//! The rules, a file per group of clauses: what must have happened, what may, and what must not.
//!
//! A rule objects only to what no sound kernel can do. Where a transcript leaves open what came first, it is silent.

pub(super) mod lines;
pub(super) mod notice;
pub(super) mod quiet;
pub(super) mod registers;
pub(super) mod requests;
pub(super) mod sleep;
pub(super) mod truth;

/// All rules by name, each with what it says.
pub const RULES: &[(&str, &str)] = &[
    ("truth", "C3: each return shows the level that each device has."),
    ("truth-on-immediate-exit", "C3: a return for immediate_exit shows the levels, too."),
    ("pmu-is-restored", "C12: a PMU whose registers are restored has the output that it had."),
    ("unknown-bit", "C1: the field has no bit but those of the capability's version."),
    ("level-in-vgic-vm", "C2: a VM with an in-kernel interrupt controller shows no level."),
    ("notice-of-rise", "C4: no guest code runs after a rise before KVM_RUN has returned."),
    ("notice-of-fall", "C4: no guest code runs behind an exit that follows a fall before KVM_RUN has returned."),
    ("return-without-cause", "C6: EINTR has a cause: a level that changed, a signal, immediate_exit."),
    ("eintr-says-intr", "C6: with EINTR the exit reason is KVM_EXIT_INTR, except with immediate_exit."),
    ("unknown-exit", "C6: KVM_RUN returns only with exits that the guest asked for."),
    ("signal-ends-kvm-run", "C6: a signal ends KVM_RUN."),
    ("access-is-an-exit", "C5: an access is an exit while it runs, on the clock of guest and host."),
    ("access-is-one-exit", "C5: an access is at most one exit."),
    ("read-gets-its-answer", "C5: a read gets the answer that userspace gave."),
    ("immediate-exit", "C3: with immediate_exit set KVM_RUN returns EINTR before the guest runs."),
    ("progress", "C6: the guest comes to its end."),
    ("taken-with-line-low", "C8: the guest takes no interrupt whose line is low."),
    ("taken-while-masked", "C8: the guest takes no masked interrupt."),
    ("isr-shows-the-lines", "C8: ISR_EL1 shows the lines."),
    ("high-line-is-taken", "C8: no guest code runs on with a line high and unmasked."),
    (
        "overslept",
        "C11: a sleep ends when a line is high, or a level rises that KVM has not yet reported to userspace.",
    ),
    ("woke-without-reason", "C11: a sleep ends for no other reason."),
    ("register-reads-the-state", "C10: timer registers read as the guest wrote them, and by the counter."),
    ("one-reg-reads-the-state", "C12: ONE_REG reads timer registers as the guest wrote them, and by the counter."),
    ("program-goes-on", "C12: the guest's program goes on where it was."),
    ("gic-registers-are-undefined", "C2: a GICv3's system registers are UNDEFINED in a VM without a GICv3."),
    ("capability", "C1: the capability is there."),
    ("line-id", "C8, C2: KVM_IRQ_LINE takes the lines that exist, and refuses others."),
    ("state-can-be-set", "C12: registers can be read and set, and a vCPU initialised again."),
    ("host-warns", "C13: the host kernel prints no warning."),
];
