//! C9: KVM_IRQ_LINE finds the vCPU it names.

use vtick_abi::litmus::sysreg;

use super::common::{expect_bits, expect_levels};
use crate::{Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, judge, violated};
use vtick_core::lines::{Levels, Line};

/// ISR_EL1.I (Arm ARM DDI 0487, D24: ISR_EL1).
const ISR_IRQ: u64 = 1 << 7;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "line-reaches-the-vcpu-it-names-and-no-other",
        clause: Clause::C9,
        claim: "KVM_IRQ_LINE for vCPU 1 raises its line and not that of vCPU 0.",
        catches: "The vCPU's number ignored, or taken from the calling thread.",
        fails_on: FailsOn::Faults(&[Fault::OnlyTheLineOfVcpu0]),
        program: |p| {
            p.vcpu_ids([0, 1], &[0, 1]);
            reaches_vcpu_1(p, 1 << 16)
        },
    },
    Check {
        name: "vcpu-created-out-of-order-is-named-by-its-index",
        clause: Clause::C9,
        claim: "With vCPU id 1 created before id 0, KVM_IRQ_LINE for vcpu_index 1 reaches the one created second, as \
                [KVM-API/4.25] says: vcpu_index, not id.",
        catches: "An id taken for an index, or the other way round: userspace raises the line of another vCPU.",
        fails_on: FailsOn::OnlyKernels("Kernels from 6.7 deviate: it is violated without a fault."),
        program: |p| {
            // The second to be created is id 0: it runs part 1 of the program.
            p.vcpu_ids([1, 0], &[1, 0]);
            reaches_vcpu_1(p, 1 << 16)
        },
    },
    Check {
        name: "vcpu-beyond-255-is-named-through-vcpu2-index",
        clause: Clause::C9,
        claim: "With 257 vCPUs, KVM_IRQ_LINE with vcpu2_index 1 and vcpu_index 0 reaches vCPU 256 and not vCPU 0.",
        catches: "vcpu2_index ignored: the line of vCPU 0 is raised instead.",
        fails_on: FailsOn::Faults(&[Fault::Vcpu2IndexIgnored]),
        program: |p| {
            p.vcpu_ids(0..257, &[0, 256]);
            reaches_vcpu_1(p, 1 << 28)
        },
    },
    Check {
        name: "vcpu-whose-id-is-not-its-index-is-named",
        clause: Clause::C9,
        claim: "Of two vCPUs with the ids 0 and 5, KVM_IRQ_LINE reaches the second by its index or by its id, and refuses \
                the other number with EINVAL.",
        catches: "A search of the vCPUs that ends before the last.",
        fails_on: FailsOn::Faults(&[Fault::OnlyTheLineOfVcpu0, Fault::BadLineAccepted]),
        program: named_by_index_or_id,
    },
    Check {
        name: "line-of-one-vcpu-wakes-no-other",
        clause: Clause::C9,
        claim: "A vCPU asleep in WFI sleeps on while the line of another vCPU is raised and lowered.",
        catches: "A kick to every vCPU, or to the wrong one.",
        fails_on: FailsOn::Faults(&[Fault::KickedAllTheTime, Fault::OnlyTheLineOfVcpu0]),
        program: wakes_no_other,
    },
];

/// Part 0 of the program raises a line by KVM_IRQ_LINE's argument `irq`, and both parts look which one came up.
fn reaches_vcpu_1(p: &mut Program, irq: u32) -> Judge {
    p.ask(Action::Meet);
    let (_, raised) = p.ask(Action::RawLine { irq, level: true });
    p.ask(Action::Meet);
    let mine = p.read(sysreg::ISR);
    p.ask(Action::Meet);
    p.ask(Action::RawLine { irq, level: false });
    let theirs = p.on_vcpu(1, |p| {
        p.ask(Action::Meet);
        p.ask(Action::Meet);
        let theirs = p.read(sysreg::ISR);
        p.ask(Action::Meet);
        theirs
    });
    p.expect(Expectation::Result(raised, 0));
    expect_bits(p, mine, 0, ISR_IRQ);
    expect_bits(p, theirs, ISR_IRQ, ISR_IRQ);
    judge(move |t| {
        let result = t.result(raised)?;
        let (mine, theirs) = (t.at(mine)?.value & ISR_IRQ != 0, t.at(theirs)?.value & ISR_IRQ != 0);
        match (result, mine, theirs) {
            (0, false, true) => Ok("the named vCPU's line came up, the other's did not".to_owned()),
            _ => violated(format!(
                "KVM_IRQ_LINE(irq = {irq:#x}) returned {result}; IRQ came up on the vCPU named: {theirs}, on the \
                 other: {mine}; expected 0, true, false"
            )),
        }
    })
}

fn named_by_index_or_id(p: &mut Program) -> Judge {
    const ID: u64 = 5;
    p.vcpu_ids([0, ID], &[0, ID]);
    p.ask(Action::Meet);
    let raised = [1, ID as u32].map(|number| p.ask(Action::RawLine { irq: number << 16, level: true }).1);
    p.ask(Action::Meet);
    let mine = p.read(sysreg::ISR);
    let theirs = p.on_vcpu(1, |p| {
        p.ask(Action::Meet);
        p.ask(Action::Meet);
        p.read(sysreg::ISR)
    });
    expect_bits(p, mine, 0, ISR_IRQ);
    expect_bits(p, theirs, ISR_IRQ, ISR_IRQ);
    judge(move |t| {
        let [by_index, by_id] = [t.result(raised[0])?, t.result(raised[1])?];
        let (mine, theirs) = (t.at(mine)?.value & ISR_IRQ != 0, t.at(theirs)?.value & ISR_IRQ != 0);
        let refused = -i64::from(libc::EINVAL);
        match (by_index, by_id, mine, theirs) {
            (0, id, false, true) if id == refused => Ok("named by its index".to_owned()),
            (index, 0, false, true) if index == refused => Ok("named by its id".to_owned()),
            _ => violated(format!(
                "KVM_IRQ_LINE returned {by_index} for index 1 and {by_id} for id {ID}; IRQ came up on that vCPU: {theirs}, \
                 on vCPU 0: {mine}"
            )),
        }
    })
}

fn wakes_no_other(p: &mut Program) -> Judge {
    p.stop_after(p.us(100_000));
    p.ask(Action::Meet);
    let asleep = p.wfi();
    let (raised, ran_on) = p.on_vcpu(1, |p| {
        p.ask(Action::Meet);
        // Time for the other to fall asleep, and then to wake.
        p.ask(Action::Stay { ticks: p.us(1000) });
        let (_, raised) = p.ask(Action::Line { vcpu: 1, line: Line::Irq, level: true });
        p.ask(Action::Stay { ticks: p.us(1000) });
        p.ask(Action::Line { vcpu: 1, line: Line::Irq, level: false });
        (raised, p.mmio_read())
    });
    p.expect(Expectation::NeverEnds(asleep));
    p.expect(Expectation::Result(raised, 0));
    expect_levels(p, ran_on, Levels::NONE);
    judge(move |t| {
        t.at(ran_on)?;
        match (t.result(raised)?, t.all(asleep).next()) {
            (0, None) => Ok("still asleep".to_owned()),
            (0, Some(woke)) => violated(format!("WFI ended after {} ticks", woke.after - woke.before)),
            (error, _) => violated(format!("KVM_IRQ_LINE returned {error}, expected 0")),
        }
    })
}
