//! PSCI SYSTEM_SUSPEND (Arm DEN 0022, 5.20): KVM leaves all of it to userspace ([KVM-API/5], KVM_SYSTEM_EVENT_SUSPEND).
//!
//! The vCPU that calls sleeps until an interrupt comes, then starts anew at the address that it gave.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::GuestRun;
use crate::kvm::vcpu::Vcpu;
use crate::kvm::{Error, registers};

/// PSCI DENIED: another CPU is on.
const DENIED: i64 = -3;
/// How long the other vCPUs' threads may take to say whether theirs is off, and how often they are asked.
const PATIENCE: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_millis(1);

impl GuestRun {
    /// A vCPU asks for it. KVM_RUN is to be called again whatever comes of it.
    #[cold]
    pub(super) fn suspend(&self, cpu: usize, vcpu: &Vcpu) -> Result<(), Error> {
        if self.others_are_off(cpu) { vcpu.sleep() } else { vcpu.set_register(registers::X0, DENIED as u64) }
    }

    /// An interrupt has come for a vCPU that sleeps.
    #[cold]
    pub(super) fn wake(&self, cpu: usize, vcpu: &Vcpu) -> Result<(), Error> {
        let [entry, context] = [registers::x(1), registers::x(2)].map(|register| vcpu.register(register));
        vcpu.start_again(entry?, context?)?;
        // Its interrupt inputs went with its other state: they are what they were.
        self.machine.controller.again(cpu, |line, level| self.vm.irq_line(cpu, line, level))
    }

    /// Whether every other vCPU is off: their threads have to look, because only they can ask while KVM_RUN lasts.
    fn others_are_off(&self, cpu: usize) -> bool {
        let others = || self.vcpus.iter().enumerate().filter(|(other, _)| *other != cpu).map(|(_, other)| other);
        let started = Instant::now();
        // What was seen may be long ago.
        others().for_each(|other| other.seen.forget());
        loop {
            if others().all(|other| other.seen.is_off()) {
                return true;
            }
            if started.elapsed() > PATIENCE || self.vcpus[cpu].kick.must_stop() {
                return false;
            }
            for other in others().filter(|other| !other.seen.is_off()) {
                other.look.store(true, Ordering::Relaxed);
                other.kick.signal();
            }
            std::thread::sleep(PERIOD);
        }
    }
}
