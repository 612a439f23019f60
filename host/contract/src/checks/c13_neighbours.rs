//! C13: such a VM does no harm to its neighbours or its host.

use vtick_abi::layout::{GICC_BASE, GICD_BASE, GICR_BASE};
use vtick_abi::litmus::sysreg;

use super::common::{VTIMER, sleep, taken_at};
use crate::{Action, Check, Clause, FailsOn, Fault, Judge, Program, Step, Value, judge, not_exercised, violated};
use vtick_core::Vgic;
use vtick_core::lines::Routing;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "vgicv3-neighbour-keeps-its-timer",
        clause: Clause::C13,
        claim: "A VM with an in-kernel GICv3 on the same host CPU takes each of its vtimer interrupts, spinning and \
                asleep, while this VM's vtimer comes and goes.",
        catches: "The host's timer interrupt left masked for the VM that comes next (commit d60d8b64280c).",
        fails_on: FailsOn::Faults(&[Fault::NeighbourTimerMasked]),
        program: |p| neighbour_keeps_its_timer(p, Some(Vgic::V3)),
    },
    Check {
        name: "vgicv2-neighbour-keeps-its-timer",
        clause: Clause::C13,
        claim: "A VM with an in-kernel GICv2 on the same host CPU takes each of its vtimer interrupts, spinning and \
                asleep, while this VM's vtimer comes and goes.",
        catches: "The host's timer interrupt left masked for the VM that comes next (commit d60d8b64280c).",
        fails_on: FailsOn::Faults(&[Fault::NeighbourTimerMasked]),
        program: |p| neighbour_keeps_its_timer(p, Some(Vgic::V2)),
    },
    Check {
        name: "two-such-vms-keep-their-timers",
        clause: Clause::C13,
        claim: "Two VMs without an in-kernel irqchip on one host CPU each take each of their vtimer interrupts.",
        catches: "A level, or a mask on the host's timer interrupt, that one VM leaves to the other.",
        fails_on: FailsOn::Faults(&[Fault::WfiNeverWakes, Fault::NeighbourTimerMasked]),
        program: |p| neighbour_keeps_its_timer(p, None),
    },
    Check {
        name: "re-init-after-a-failed-run-makes-the-host-warn-of-nothing",
        clause: Clause::C13,
        claim: "A second KVM_ARM_VCPU_INIT, after a KVM_RUN that failed for lack of a PMU, makes the host kernel \
                print no warning.",
        catches: "The WARN_ON of CVE-2024-53195: a count of such VMs that a failed run leaves behind.",
        fails_on: FailsOn::Faults(&[Fault::HostWarns]),
        program: forbidden_init_sequence,
    },
];

const ROUNDS: usize = 3;

/// Writes what the guest needs to take its vtimer's interrupt, with the interrupt controller it has.
fn set_up(p: &mut Program, vgic: Option<Vgic>) {
    p.setup.vgic = vgic;
    match vgic {
        None => {
            p.route(Routing::Wire);
            p.on_irq(|p| {
                VTIMER.off(p);
                // The exit by which the line falls.
                p.mmio_read();
            });
        }
        Some(Vgic::V2) => {
            // GICD_CTLR, GICD_ISENABLER0, GICC_PMR, GICC_CTLR ([GICv2/4.3], [GICv2/4.4]).
            for (register, value) in
                [(GICD_BASE, 1), (GICD_BASE + 0x100, 1 << 27), (GICC_BASE + 4, 0xff), (GICC_BASE, 1)]
            {
                p.store(4, register, value);
            }
            p.on_irq(|p| {
                let iar = p.load(4, GICC_BASE + 0xc);
                p.into_register(iar, 0);
                VTIMER.off(p);
                p.store(4, GICC_BASE + 0x10, Value::Register(0, 0));
            });
        }
        Some(Vgic::V3) => {
            // GICD_CTLR.{ARE, EnableGrp1}, then GICR_IGROUPR0 and GICR_ISENABLER0 in the redistributor's second frame
            // (Arm IHI 0069, 12.9 and 12.11).
            for (register, value) in
                [(GICD_BASE, 0x12), (GICR_BASE + 0x1_0080, 0xffff_ffff), (GICR_BASE + 0x1_0100, 1 << 27)]
            {
                p.store(4, register, value);
            }
            p.write(sysreg::ICC_PMR, 0xff);
            p.write(sysreg::ICC_IGRPEN1, 1);
            p.on_irq(|p| {
                let iar = p.read(sysreg::ICC_IAR1);
                p.into_register(iar, 0);
                VTIMER.off(p);
                p.write(sysreg::ICC_EOIR1, Value::Register(0, 0));
            });
        }
    }
}

/// Takes vtimer interrupts, by turns spinning and asleep. The last step's value is how many.
fn tick(p: &mut Program) -> Step {
    let patience = p.us(100_000);
    p.unmask();
    for round in 0..ROUNDS as u64 {
        p.arm_vtimer(p.us(500));
        p.take(2 * round + 1, Value::Now(patience));
        // Masked while it goes to sleep: an interrupt taken just before WFI would wake nothing.
        p.mask();
        p.arm_vtimer(sleep(p));
        p.mmio_read();
        p.wfi();
        p.unmask();
        p.take(2 * round + 2, Value::Now(patience));
    }
    p.take(2 * ROUNDS as u64, Value::Now(0))
}

fn neighbour_keeps_its_timer(p: &mut Program, vgic: Option<Vgic>) -> Judge {
    set_up(p, None);
    let mine = tick(p);
    let theirs = p.beside(|p| {
        set_up(p, vgic);
        tick(p)
    });
    judge(move |t| {
        taken_at(t, mine, 2 * ROUNDS as u64)?;
        taken_at(t.neighbour()?, theirs, 2 * ROUNDS as u64)?;
        Ok(format!("{} interrupts were taken in each of the VMs", 2 * ROUNDS))
    })
}

fn forbidden_init_sequence(p: &mut Program) -> Judge {
    p.with_pmu();
    let done = p.before(Action::ForbiddenInitSequence);
    judge(move |t| {
        if t.warnings.is_none() {
            return not_exercised("the host kernel's log (/dev/kmsg) may not be read");
        }
        match t.result(done)? {
            error if error == -i64::from(libc::EINVAL) => Ok("KVM_RUN returned EINVAL, and no warning".to_owned()),
            other => violated(format!("KVM_RUN with a PMU that was not set up returned {other}, expected -EINVAL")),
        }
    })
}
