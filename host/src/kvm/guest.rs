//! What a guest was doing when something went wrong inside it: in its own words, or by its registers.

use vtick_abi::mailbox::{Exception, Panic};

use super::clock::counter;
use super::vcpu::Vcpu;
use super::vm::Vm;
use super::{Error, registers};
use vtick_contract::Ending;
use vtick_core::lines::Levels;
use vtick_core::stopped::Ptimer;
use vtick_core::stopped::Stopped;
use vtick_machine::Stage1;

/// `wfi` (Arm ARM DDI 0487, C6.2: WFI).
pub(super) const WFI: u32 = 0xd503_207f;
/// `hvc #0` (Arm ARM DDI 0487, C6.2: HVC).
pub(super) const HVC: u32 = 0xd400_0002;

/// The instruction at a virtual address of the guest, as its CPU would fetch it. Outside RAM there is none.
fn instruction(vm: &Vm, stage1: &Stage1, address: u64) -> Option<u32> {
    let descriptor = |at| vm.read_record(at).ok();
    let at = stage1.translate(address, descriptor)?;
    vm.read_record(at).ok()
}

/// How the vCPU translates addresses.
fn stage1(vcpu: &Vcpu) -> Result<Stage1, Error> {
    Ok(Stage1 {
        sctlr: vcpu.register(registers::SCTLR_EL1)?,
        tcr: vcpu.register(registers::TCR_EL1)?,
        ttbr: [vcpu.register(registers::TTBR0_EL1)?, vcpu.register(registers::TTBR1_EL1)?],
    })
}

/// The instruction before the one that the vCPU runs next.
pub(super) fn last_instruction(vm: &Vm, vcpu: &Vcpu) -> Result<Option<u32>, Error> {
    let pc = vcpu.register(registers::PC)?;
    Ok(instruction(vm, &stage1(vcpu)?, pc.wrapping_sub(4)))
}

/// An exception nobody expected; `address` is where the guest left its report.
pub(super) fn exception(vm: &Vm, address: u64) -> Result<Ending, Error> {
    let Exception { vector, esr, elr, far, .. } = vm.read_record(address)?;
    Ok(Ending::Exception { vector, esr, elr: vm.symbolize(elr), far })
}

/// A panic; `address` is where the guest says where its message is.
pub(super) fn panic(vm: &Vm, address: u64) -> Result<Ending, Error> {
    let Panic { text, len } = vm.read_record(address)?;
    let mut message = vec![0; len.min(4096) as usize];
    vm.read(text, &mut message)?;
    // What a guest says goes to terminals: nothing of it moves the cursor.
    let message = String::from_utf8_lossy(&message).replace(|c: char| c.is_control() && c != '\n', "?");
    Ok(Ending::Panic { message })
}

/// The physical timer, where this kernel knows its registers.
fn ptimer(vcpu: &Vcpu) -> Option<Ptimer> {
    let read = |register| vcpu.register(register).ok();
    Some(Ptimer {
        ctl: read(registers::PTIMER_CTL)?,
        cval: read(registers::PTIMER_CVAL)?,
        count: read(registers::PTIMER_CNT)?,
    })
}

/// Where a vCPU is that was stopped; `levels` as it last reported them by itself.
pub(super) fn stopped(vm: &Vm, vcpu: &Vcpu, levels: Levels) -> Result<Stopped, Error> {
    let pc = vcpu.register(registers::PC)?;
    let stage1 = stage1(vcpu)?;
    let [next, last] = [pc, pc.wrapping_sub(4)].map(|at| instruction(vm, &stage1, at));
    Ok(Stopped {
        at: counter(),
        pc,
        symbol: vm.symbolize(pc),
        // KVM may have stepped over the WFI already when the signal came.
        in_wfi: [next, last].contains(&Some(WFI)),
        in_hvc: last == Some(HVC),
        suspended: vcpu.is_suspended()?,
        pstate: vcpu.register(registers::PSTATE)?,
        cntv_ctl: vcpu.register(registers::TIMER_CTL)?,
        cntv_cval: vcpu.register(registers::TIMER_CVAL)?,
        cntvct: vcpu.register(registers::TIMER_CNT)?,
        ptimer: ptimer(vcpu),
        levels,
    })
}
