//! C2: attributes that say which interrupts the timers drive in an in-kernel GIC (Linux,
//! Documentation/virt/kvm/devices/vcpu.rst, KVM_ARM_VCPU_TIMER_CTRL). Without such a GIC there is nothing to be driven.

use super::common::{VTIMER, levels_at};
use crate::{Action, Check, Clause, FailsOn, Fault, Judge, Program, judge, violated};
use vtick_core::Vgic;
use vtick_core::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "timer-interrupts-cannot-be-chosen-without-a-vgic",
        clause: Clause::C2,
        claim: "Without an in-kernel GIC, KVM_SET_DEVICE_ATTR of a timer's interrupt fails with EINVAL, and the vtimer's \
                level shows in the vtimer's bit as before.",
        catches: "A number that was taken from userspace, and leads a timer into a GIC that is not there.",
        fails_on: FailsOn::Faults(&[Fault::SetDropped, Fault::LevelNeverSet]),
        program: cannot_be_chosen,
    },
    Check {
        name: "timer-interrupts-of-a-vgic-vm-read-as-they-were-chosen",
        clause: Clause::C2,
        claim: "With an in-kernel GICv3, the timers' interrupts are PPIs 27 and 30 until others are chosen before the \
                first KVM_RUN; those of EL2's timers, where the kernel knows them, are PPIs 28 and 26; a number that is \
                no PPI is refused with EINVAL, an unknown timer with ENXIO, and any \
                choice after the first KVM_RUN with EBUSY.",
        catches: "An interrupt that is chosen and not used, or exchanged under a running guest.",
        fails_on: FailsOn::Faults(&[Fault::SetDropped, Fault::GetReadsZero]),
        program: read_as_chosen,
    },
];

/// KVM_ARM_VCPU_TIMER_IRQ_VTIMER and its like (arch/arm64/include/uapi/asm/kvm.h), and one that no kernel has.
const VTIMER_IRQ: u64 = 0;
const PTIMER_IRQ: u64 = 1;
const HVTIMER_IRQ: u64 = 2;
const HPTIMER_IRQ: u64 = 3;
const NO_TIMER: u64 = 99;

fn cannot_be_chosen(p: &mut Program) -> Judge {
    let set = p.before(Action::SetTimerInterrupt { attribute: VTIMER_IRQ, intid: 20 });
    let high = VTIMER.expire(p);
    VTIMER.off(p);
    judge(move |t| {
        match t.result(set)? {
            refused if refused == -i64::from(libc::EINVAL) => {}
            other => return violated(format!("KVM_SET_DEVICE_ATTR returned {other}, expected -EINVAL")),
        }
        levels_at(t, high, Levels::VTIMER, "after the deadline")?;
        Ok("refused; the level shows where it did".to_owned())
    })
}

fn read_as_chosen(p: &mut Program) -> Judge {
    p.in_kernel(Vgic::V3);
    let get = |attribute| Action::GetTimerInterrupt { attribute };
    let set = |attribute, intid| Action::SetTimerInterrupt { attribute, intid };
    let refused = |errno: i32| -i64::from(errno);
    let before = [
        (Action::HasTimerInterrupt { attribute: VTIMER_IRQ }, 0),
        (Action::HasTimerInterrupt { attribute: PTIMER_IRQ }, 0),
        (Action::HasTimerInterrupt { attribute: NO_TIMER }, refused(libc::ENXIO)),
        (get(VTIMER_IRQ), 27),
        (get(PTIMER_IRQ), 30),
        (get(NO_TIMER), refused(libc::ENXIO)),
        (set(VTIMER_IRQ, 20), 0),
        (set(PTIMER_IRQ, 21), 0),
        (set(VTIMER_IRQ, 15), refused(libc::EINVAL)),
        (set(VTIMER_IRQ, 32), refused(libc::EINVAL)),
        (set(NO_TIMER, 22), refused(libc::ENXIO)),
        (get(VTIMER_IRQ), 20),
        (get(PTIMER_IRQ), 21),
    ];
    let before = before.map(|(action, due)| (p.before(action), due));
    // Those of EL2, which not every kernel knows.
    let of_el2 = [(HVTIMER_IRQ, 28), (HPTIMER_IRQ, 26)].map(|(attribute, due)| (p.before(get(attribute)), due));
    let after = [(set(VTIMER_IRQ, 23), refused(libc::EBUSY)), (get(VTIMER_IRQ), 20)];
    let after = after.map(|(action, due)| (p.ask(action).1, due));
    judge(move |t| {
        for (index, (action, due)) in before.iter().chain(&after).enumerate() {
            match t.result(*action)? {
                result if result == *due => {}
                result => return violated(format!("call {} returned {result}, expected {due}", index + 1)),
            }
        }
        for (action, due) in of_el2 {
            match t.result(action)? {
                result if result == due || result == refused(libc::ENXIO) => {}
                result => return violated(format!("the interrupt of a timer of EL2 reads {result}, expected {due}")),
            }
        }
        Ok("each read as chosen".to_owned())
    })
}
