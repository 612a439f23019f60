//! C2: the field speaks only for VMs without an in-kernel irqchip.

use vtick_abi::litmus::{kind, sysreg};

use super::common::{VTIMER, expect_value, value_at};
use crate::{Action, Check, Clause, Expectation, FailsOn, Fault, Judge, Program, Step, judge, violated};
use vtick_core::Vgic;
use vtick_core::lines::Levels;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "vgicv3-vm-shows-no-level",
        clause: Clause::C2,
        claim: "In a VM with an in-kernel GICv3 an expired vtimer shows in the timer's registers and never in the \
                field.",
        catches: "Levels reported for a VM whose interrupts the kernel delivers: userspace would deliver them again.",
        fails_on: FailsOn::Faults(&[Fault::LevelHighFromTheStart, Fault::LevelInVgicVm]),
        program: |p| vgic_vm_shows_no_level(p, Vgic::V3),
    },
    Check {
        name: "vgicv2-vm-shows-no-level",
        clause: Clause::C2,
        claim: "In a VM with an in-kernel GICv2 an expired vtimer shows in the timer's registers and never in the \
                field.",
        catches: "Levels reported for a VM whose interrupts the kernel delivers: userspace would deliver them again.",
        fails_on: FailsOn::Faults(&[Fault::LevelHighFromTheStart, Fault::LevelInVgicVm]),
        program: |p| vgic_vm_shows_no_level(p, Vgic::V2),
    },
    Check {
        name: "cpu-line-is-refused-in-a-vgicv3-vm",
        clause: Clause::C2,
        claim: "KVM_IRQ_LINE of type CPU fails with ENXIO in a VM with an in-kernel GICv3.",
        catches: "Two owners of one line: userspace's level and the vGIC's in HCR_EL2.VI.",
        fails_on: FailsOn::Faults(&[Fault::BadLineAccepted]),
        program: |p| cpu_line_is_refused(p, Vgic::V3),
    },
    Check {
        name: "cpu-line-is-refused-in-a-vgicv2-vm",
        clause: Clause::C2,
        claim: "KVM_IRQ_LINE of type CPU fails with ENXIO in a VM with an in-kernel GICv2.",
        catches: "Two owners of one line: userspace's level and the vGIC's in HCR_EL2.VI.",
        fails_on: FailsOn::Faults(&[Fault::BadLineAccepted]),
        program: |p| cpu_line_is_refused(p, Vgic::V2),
    },
    Check {
        name: "gic-system-registers-are-undefined",
        clause: Clause::C2,
        claim: "ICC_IAR1_EL1, ICC_PMR_EL1 and ICC_IGRPEN1_EL1 are UNDEFINED in a VM without an in-kernel GIC.",
        catches: "GICv3 system registers left usable in such a VM (commit da888524c393).",
        fails_on: FailsOn::OnlyKernels(
            "Whether an instruction is UNDEFINED is decided in the guest, where no layer of the runner's comes.",
        ),
        program: |p| {
            undefined(p, |p| {
                vec![p.read(sysreg::ICC_IAR1), p.write(sysreg::ICC_PMR, 0xff), p.write(sysreg::ICC_IGRPEN1, 1)]
            })
        },
    },
    Check {
        name: "gic-system-register-enable-is-undefined",
        clause: Clause::C2,
        claim: "ICC_SRE_EL1 is UNDEFINED in a VM without an in-kernel GIC.",
        catches: "A guest that takes the visible GICv3 for a working GICv3.",
        fails_on: FailsOn::OnlyKernels(
            "Whether an instruction is UNDEFINED is decided in the guest; and all kernels deviate.",
        ),
        program: |p| undefined(p, |p| vec![p.read(sysreg::ICC_SRE)]),
    },
];

fn vgic_vm_shows_no_level(p: &mut Program, vgic: Vgic) -> Judge {
    p.in_kernel(vgic);
    VTIMER.expire(p);
    let ctl = p.read(sysreg::CNTV_CTL);
    p.mmio_write();
    VTIMER.off(p);
    expect_value(p, ctl, 5);
    p.expect(Expectation::EveryReturn(Levels::NONE, None));
    judge(move |t| {
        value_at(t, ctl, 5, "CNTV_CTL after the deadline")?;
        match t.returns().find(|r| r.levels != Levels::NONE) {
            None => Ok(format!("expired, and none of {} returns showed a level", t.returns().count())),
            Some(r) => violated(format!("a return with {} showed levels {}, expected none", r.exit, r.levels)),
        }
    })
}

fn cpu_line_is_refused(p: &mut Program, vgic: Vgic) -> Judge {
    p.in_kernel(vgic);
    let asked = p.before(Action::RawLine { irq: 0, level: true });
    p.expect(Expectation::Result(asked, -i64::from(libc::ENXIO)));
    judge(move |t| match t.result(asked)? {
        error if error == -i64::from(libc::ENXIO) => Ok("ENXIO".to_owned()),
        other => violated(format!("KVM_IRQ_LINE of type CPU returned {other}, expected -ENXIO")),
    })
}

fn undefined(p: &mut Program, accesses: fn(&mut Program) -> Vec<Step>) -> Judge {
    let accesses = accesses(p);
    accesses.iter().for_each(|&step| p.expect(Expectation::Undefined(step)));
    judge(move |t| {
        for &step in &accesses {
            let record = t.at(step)?;
            if record.kind != kind::FAULT {
                let value = record.value;
                return violated(format!("access {} gave {value:#x}, expected an UNDEFINED exception", record.op + 1));
            }
        }
        Ok("UNDEFINED".to_owned())
    })
}
