//! The latency loop: arm the virtual timer, wait, take the interrupt, note the counter at every step.
#![allow(unsafe_code)] // samples are in memory shared with the host

use aarch64_cpu::registers::{CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0, Readable, Writeable};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vtick_abi::layout::{MAX_VCPUS, MEASURE_BASE, records_base};
use vtick_abi::litmus::daif;
use vtick_abi::mailbox as regs;
use vtick_abi::measure::{Config, MAX_SAMPLES, Sample, wait};

use crate::gicv2::{self, Gic};
use crate::vectors::{self, Frame, Handled};
use crate::{mailbox, sysreg};

/// What the handler of one vCPU leaves for the loop it interrupted.
struct Taken {
    /// Interrupts handled so far. Written last.
    count: AtomicU64,
    vector: AtomicU64,
    acknowledged: AtomicU64,
    handled: AtomicU64,
    ended: AtomicU64,
    iar: AtomicU64,
    spurious: AtomicU64,
}

static TAKEN: [Taken; MAX_VCPUS] = [const {
    Taken {
        count: AtomicU64::new(0),
        vector: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
        handled: AtomicU64::new(0),
        ended: AtomicU64::new(0),
        iar: AtomicU64::new(0),
        spurious: AtomicU64::new(0),
    }
}; MAX_VCPUS];

/// Takes as many timer interrupts as the host asks for. Returns how many samples are left in the record area.
pub(crate) fn run(vcpu: usize) -> usize {
    // SAFETY: the host wrote a configuration there before it started this vCPU, and leaves it alone.
    let config = unsafe { *(MEASURE_BASE as *const Config) };
    assert!(config.batch > 0 && config.batch <= MAX_SAMPLES, "a batch of {} samples", config.batch);
    vectors::install(vcpu, handle);
    let gic = Gic::new();
    gic.enable();
    gic.enable_interrupt(gicv2::VTIMER);

    let mut filled = 0;
    for _ in 0..config.interrupts {
        let sample = take(vcpu, &config);
        // SAFETY: `filled < batch <= MAX_SAMPLES`: inside this vCPU's record area, which the host reads after
        // `SAMPLES` or `DONE` alone.
        unsafe { (records_base(vcpu) as *mut Sample).add(filled).write(sample) }
        filled += 1;
        if filled as u64 == config.batch {
            mailbox::write(regs::SAMPLES, config.batch);
            filled = 0;
        }
    }
    filled
}

/// Arms the timer once and takes its interrupt, or gives up when patience ends.
fn take(vcpu: usize, config: &Config) -> Sample {
    let taken = &TAKEN[vcpu];
    let before = taken.count.load(Relaxed);
    let deadline = now().wrapping_add(config.delay);
    let give_up = deadline.wrapping_add(config.patience);
    CNTV_CVAL_EL0.set(deadline);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
    sysreg::isb();
    match config.wait {
        wait::SPIN => {
            sysreg::unmask(daif::IRQ);
            while taken.count.load(Relaxed) == before && now() < give_up {
                core::hint::spin_loop();
            }
            sysreg::mask(daif::IRQ);
        }
        // Masked while it sleeps: a pending interrupt ends WFI all the same, and none can come between a check and the
        // WFI and be slept over.
        wait::WFI => {
            while taken.count.load(Relaxed) == before && now() < give_up {
                sysreg::dsb();
                sysreg::wfi();
                sysreg::unmask(daif::IRQ);
                sysreg::isb();
                sysreg::mask(daif::IRQ);
            }
        }
        other => panic!("no way to wait numbered {other}"),
    }
    let resumed = now();
    let spurious = taken.spurious.swap(0, Relaxed);
    if taken.count.load(Relaxed) == before {
        CNTV_CTL_EL0.set(0);
        sysreg::isb();
        return Sample { deadline, resumed, spurious, ..Sample::default() };
    }
    Sample {
        deadline,
        vector: taken.vector.load(Relaxed),
        acknowledged: taken.acknowledged.load(Relaxed),
        handled: taken.handled.load(Relaxed),
        ended: taken.ended.load(Relaxed),
        resumed,
        iar: taken.iar.load(Relaxed),
        spurious,
    }
}

fn handle(vcpu: usize, frame: &mut Frame) -> Handled {
    if frame.vector() != vectors::IRQ {
        return Handled::Unexpected;
    }
    let taken = &TAKEN[vcpu];
    let gic = Gic::new();
    let iar = gic.acknowledge();
    let acknowledged = now();
    if gicv2::intid(iar) == gicv2::SPURIOUS {
        taken.spurious.fetch_add(1, Relaxed);
        return Handled::Return;
    }
    // The timer's output is a level: silence it before the end of interrupt, or it comes again.
    CNTV_CTL_EL0.set(0);
    sysreg::isb();
    let handled = now();
    gic.end(iar);
    let ended = now();
    taken.vector.store(frame.counter, Relaxed);
    taken.acknowledged.store(acknowledged, Relaxed);
    taken.handled.store(handled, Relaxed);
    taken.ended.store(ended, Relaxed);
    taken.iar.store(u64::from(iar), Relaxed);
    taken.count.fetch_add(1, Relaxed);
    Handled::Return
}

fn now() -> u64 {
    sysreg::isb();
    CNTVCT_EL0.get()
}
