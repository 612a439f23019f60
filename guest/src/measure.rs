//! The latency loop: cause an interrupt, take it, note the counter at every step; or time an operation.
#![allow(unsafe_code)] // samples are in memory shared with the host

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use vtick_abi::layout::{MAX_VCPUS, MEASURE_BASE, records_base};
use vtick_abi::litmus::daif;
use vtick_abi::mailbox as regs;
use vtick_abi::measure::{Config, MAX_SAMPLES, Sample, stimulus, wait};

use crate::irqchip::{self, Irqchip};
use crate::timer::{self, Timer, now};
use crate::vectors::{self, Frame, Handled};
use crate::{mailbox, sysreg};
use vtick_abi::intid;

/// PSCI_VERSION (Arm DEN 0022), which KVM answers without userspace.
const PSCI_VERSION: u64 = 0x8400_0000;

/// What a vCPU and its interrupt handler tell each other.
struct Shared {
    // Written by the loop, with interrupts masked.
    stimulus: AtomicU32,
    chip: AtomicU32,
    /// CNTPCT - CNTVCT.
    offset: AtomicU64,
    /// Zero: one-shot.
    period: AtomicU64,
    /// The deadline the timer is armed for; or when the SGI was sent, which the other vCPU writes.
    armed: AtomicU64,
    // Written by the handler.
    /// Interrupts handled so far.
    count: AtomicU64,
    /// The deadline of the one handled last.
    deadline: AtomicU64,
    vector: AtomicU64,
    acknowledged: AtomicU64,
    handled: AtomicU64,
    ended: AtomicU64,
    iar: AtomicU32,
    missed: AtomicU32,
    spurious: AtomicU32,
}

static SHARED: [Shared; MAX_VCPUS] = [const {
    Shared {
        stimulus: AtomicU32::new(0),
        chip: AtomicU32::new(0),
        offset: AtomicU64::new(0),
        period: AtomicU64::new(0),
        armed: AtomicU64::new(0),
        count: AtomicU64::new(0),
        deadline: AtomicU64::new(0),
        vector: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
        handled: AtomicU64::new(0),
        ended: AtomicU64::new(0),
        iar: AtomicU32::new(0),
        missed: AtomicU32::new(0),
        spurious: AtomicU32::new(0),
    }
}; MAX_VCPUS];

/// Takes as many samples as the host asks for, and hands all of them over.
pub(crate) fn run(vcpu: usize) {
    // SAFETY: the host wrote a configuration there before it started this vCPU, and leaves it alone.
    let config = unsafe { *(MEASURE_BASE as *const Config) };
    assert!(config.batch > 0 && config.batch <= MAX_SAMPLES, "a batch of {} samples", config.batch);
    assert!(config.warm_up <= MAX_SAMPLES, "{} samples to warm up", config.warm_up);
    let shared = &SHARED[vcpu];
    shared.stimulus.store(config.stimulus, Relaxed);
    shared.chip.store(config.chip, Relaxed);
    shared.offset.store(timer::virtual_counter_offset(), Relaxed);
    shared.period.store(config.period, Relaxed);
    vectors::install(vcpu, handle);
    let chip = Irqchip::new(config.chip, vcpu);
    chip.enable();
    chip.enable_interrupt(shared.intid());

    let mut filled = 0;
    let mut armed = false;
    for index in 0..config.warm_up + config.interrupts {
        let sample = match config.stimulus {
            stimulus::VTIMER | stimulus::PTIMER => tick(shared, &config, &mut armed),
            stimulus::SGI => sgi(shared, &config, &chip),
            stimulus::SGI_OTHER => sgi_from_the_other(vcpu, &config, &chip, index == 0),
            operation => operate(operation, &chip),
        };
        // SAFETY: `filled < MAX_SAMPLES`: inside this vCPU's record area, which the host reads after `SAMPLES` or
        // `DONE` alone.
        unsafe { (records_base(vcpu) as *mut Sample).add(filled).write(sample) }
        filled += 1;
        let taken = index + 1;
        if filled as u64 == config.batch || taken == config.warm_up || taken == config.warm_up + config.interrupts {
            // A periodic timer starts anew: its ticks must not pass while the host takes samples out.
            shared.stop(&mut armed);
            mailbox::write(regs::SAMPLES, filled as u64);
            filled = 0;
        }
    }
    if config.stimulus == stimulus::SGI_OTHER && vcpu == 1 {
        send_to_the_other(vcpu, &chip);
    }
}

impl Shared {
    #[inline(always)]
    fn timer(&self) -> Option<Timer> {
        match self.stimulus.load(Relaxed) {
            stimulus::VTIMER => Some(Timer::Virtual),
            stimulus::PTIMER => Some(Timer::Physical { offset: self.offset.load(Relaxed) }),
            _ => None,
        }
    }

    fn intid(&self) -> u32 {
        match self.timer() {
            Some(Timer::Virtual) => intid::VTIMER,
            Some(Timer::Physical { .. }) => intid::PTIMER,
            None => intid::SGI,
        }
    }

    fn stop(&self, armed: &mut bool) {
        if core::mem::take(armed)
            && let Some(timer) = self.timer()
        {
            timer.disable();
        }
    }

    /// Waits until the interrupt after the first `before` is handled, or until `give_up`.
    #[inline(always)]
    fn wait(&self, how: u32, before: u64, give_up: u64) {
        match how {
            wait::SPIN => {
                sysreg::unmask(daif::IRQ);
                while self.count.load(Relaxed) == before && now() < give_up {
                    core::hint::spin_loop();
                }
                sysreg::mask(daif::IRQ);
            }
            // Masked while it sleeps: a pending interrupt ends WFI all the same, and none can come between a check and
            // the WFI and be slept over.
            wait::WFI => {
                while self.count.load(Relaxed) == before && now() < give_up {
                    sysreg::dsb();
                    sysreg::wfi();
                    sysreg::unmask(daif::IRQ);
                    sysreg::isb();
                    sysreg::mask(daif::IRQ);
                }
            }
            wait::MMIO => {
                sysreg::unmask(daif::IRQ);
                while self.count.load(Relaxed) == before && now() < give_up {
                    let _ = mailbox::read(regs::SCRATCH);
                }
                sysreg::mask(daif::IRQ);
            }
            other => panic!("no way to wait numbered {other}"),
        }
    }

    /// What the handler left, if it ran since `before`; else a sample of `deadline` without an interrupt.
    fn sample(&self, before: u64, deadline: u64) -> Sample {
        let resumed = now();
        let spurious = self.spurious.swap(0, Relaxed);
        if self.count.load(Relaxed) == before {
            return Sample { deadline, resumed, spurious, ..Sample::default() };
        }
        Sample {
            deadline: self.deadline.load(Relaxed),
            vector: self.vector.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            handled: self.handled.load(Relaxed),
            ended: self.ended.load(Relaxed),
            resumed,
            iar: u64::from(self.iar.load(Relaxed)),
            spurious,
            missed: self.missed.load(Relaxed),
        }
    }
}

/// Takes the timer's next interrupt, or gives up when patience ends. A one-shot timer is armed for it; a periodic one
/// is if it does not run.
fn tick(shared: &Shared, config: &Config, armed: &mut bool) -> Sample {
    let before = shared.count.load(Relaxed);
    if config.period == 0 || !*armed {
        // An odd step that shares no factor with a round spread visits all of it.
        let phase = before.wrapping_mul(997).checked_rem(config.spread).unwrap_or(0);
        let deadline = now().wrapping_add(config.delay + phase);
        shared.armed.store(deadline, Relaxed);
        if let Some(timer) = shared.timer() {
            timer.arm(deadline);
        }
        *armed = true;
    }
    let deadline = shared.armed.load(Relaxed);
    shared.wait(config.wait, before, deadline.wrapping_add(config.patience));
    let mut sample = shared.sample(before, deadline);
    if sample.vector == 0 {
        shared.stop(armed);
        let passed = sample.resumed.wrapping_sub(deadline).checked_div(config.period);
        sample.missed = passed.unwrap_or(0) as u32;
    }
    sample
}

/// Sends an SGI to itself and takes it.
fn sgi(shared: &Shared, config: &Config, chip: &Irqchip) -> Sample {
    let before = shared.count.load(Relaxed);
    sysreg::unmask(daif::IRQ);
    let sent = now();
    shared.armed.store(sent, Relaxed);
    chip.send_to_self(intid::SGI);
    shared.wait(wait::SPIN, before, sent.wrapping_add(config.patience));
    shared.sample(before, sent)
}

/// Takes the SGI that the other vCPU sends. The two take turns: vCPU 0 sends and waits for the answer; vCPU 1 answers
/// when it is ready for the next one, so that neither hands samples over while an SGI is on its way. Its last answer is
/// still to be sent when all samples are taken.
fn sgi_from_the_other(vcpu: usize, config: &Config, chip: &Irqchip, is_first: bool) -> Sample {
    let shared = &SHARED[vcpu];
    let before = shared.count.load(Relaxed);
    if vcpu == 0 || !is_first {
        send_to_the_other(vcpu, chip);
    }
    shared.wait(config.wait, before, now().wrapping_add(config.patience));
    shared.sample(before, shared.armed.load(Relaxed))
}

fn send_to_the_other(vcpu: usize, chip: &Irqchip) {
    let other = vcpu ^ 1;
    SHARED[other].armed.store(now(), Relaxed);
    // The other vCPU's handler reads that, after this SGI has come.
    sysreg::dsb();
    chip.send_to(other, intid::SGI);
}

/// Times one operation.
fn operate(operation: u32, chip: &Irqchip) -> Sample {
    let deadline = now();
    match operation {
        stimulus::HVC => {
            sysreg::hvc([PSCI_VERSION, 0, 0, 0]);
        }
        stimulus::MMIO_READ => {
            mailbox::read(regs::SCRATCH);
        }
        stimulus::MMIO_WRITE => mailbox::write(regs::SINK, 0),
        stimulus::GIC_READ => {
            chip.read();
        }
        stimulus::GIC_WRITE => chip.enable_interrupt(intid::SGI),
        other => panic!("no stimulus numbered {other}"),
    }
    Sample { deadline, resumed: now(), ..Sample::default() }
}

fn handle(vcpu: usize, frame: &mut Frame) -> Handled {
    if frame.vector() != vectors::IRQ {
        return Handled::Unexpected;
    }
    let shared = &SHARED[vcpu];
    let chip = Irqchip::new(shared.chip.load(Relaxed), vcpu);
    let iar = chip.acknowledge();
    let acknowledged = now();
    if irqchip::intid(iar) == irqchip::SPURIOUS {
        shared.spurious.fetch_add(1, Relaxed);
        return Handled::Return;
    }
    // The timer's output is a level: silence it before the end of interrupt, or it comes again.
    let deadline = shared.armed.load(Relaxed);
    if let Some(timer) = shared.timer() {
        match shared.period.load(Relaxed) {
            0 => timer.disable(),
            period => {
                let (next, missed) = next_tick(deadline, period, now());
                timer.set_deadline(next);
                shared.armed.store(next, Relaxed);
                shared.missed.store(missed, Relaxed);
            }
        }
    }
    let handled = now();
    chip.end(iar);
    let ended = now();
    shared.deadline.store(deadline, Relaxed);
    shared.vector.store(frame.counter, Relaxed);
    shared.acknowledged.store(acknowledged, Relaxed);
    shared.handled.store(handled, Relaxed);
    shared.ended.store(ended, Relaxed);
    shared.iar.store(iar, Relaxed);
    shared.count.fetch_add(1, Relaxed);
    // Where interrupts come faster than they are handled, the next would be taken before the loop has seen this one.
    frame.return_masked();
    Handled::Return
}

/// The first deadline after `now` of a timer that ticked at `deadline`, and how many passed between the two.
fn next_tick(deadline: u64, period: u64, now: u64) -> (u64, u32) {
    let next = deadline.wrapping_add(period);
    if next > now {
        return (next, 0);
    }
    let missed = (now - next) / period + 1;
    (next.wrapping_add(missed * period), missed as u32)
}
