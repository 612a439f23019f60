//! One vCPU in a transcript: what drives its outputs, what userspace was told, and when its guest code ran.

use vtick_abi::litmus::{Op, code, daif, kind, sysreg};

use super::flow::{Traced, trace};
use super::history::{History, Output};
use super::requests::Request;
use super::state::{Between, State, Which};
use crate::{Action, Clause, Ending, GuestRecord, Return, TimerRegister, Value};
use vtick_core::lines::Levels;

/// A KVM_RUN that returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct KvmRun {
    pub(super) exit: Return,
    /// What userspace was told by the return before.
    pub(super) told: Levels,
    /// Guest code ran, or KVM_RUN was called, no earlier than here: what it returned was found out after this.
    pub(super) looked: u64,
    /// Whether it was called with `immediate_exit` set.
    pub(super) immediate: bool,
}

/// A reading of the counter by the guest: its code ran at this time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant {
    pub(super) at: u64,
    /// The KVM_RUN it ran in; one more than there are: one that did not return.
    pub(super) run: usize,
    /// The operation.
    pub(super) op: u32,
}

/// One vCPU in a transcript.
pub(super) struct Vcpu<'a> {
    pub(super) index: usize,
    pub(super) traced: Vec<Traced>,
    pub(super) runs: Vec<KvmRun>,
    pub(super) instants: Vec<Instant>,
    /// Outputs, in the order of their bits in the level field.
    pub(super) devices: [History; 3],
    /// Whether IRQs, and FIQs, are unmasked.
    pub(super) unmasked: [History; 2],
    /// Reads of timer registers that do not fit, each with what is due.
    pub(super) misread: Vec<(Clause, u64, String)>,
    /// When its registers were restored, each with whether the PMU's output had been high, and for certain.
    pub(super) restored: Vec<(u64, bool)>,
    pub(super) ending: Option<&'a Ending>,
}

/// What a vCPU is made of.
pub(super) struct Parts<'a> {
    pub(super) index: usize,
    pub(super) ops: &'a [Op],
    pub(super) entry: u32,
    pub(super) records: Vec<&'a GuestRecord>,
    /// By how much the guest's counter may be behind in a fresh VM, after each move.
    pub(super) skew: u64,
    pub(super) returns: Vec<&'a Return>,
    /// What its thread was asked to do.
    pub(super) requests: Vec<&'a Request>,
    pub(super) state: State,
    pub(super) ending: Option<&'a Ending>,
}

impl<'a> Vcpu<'a> {
    pub(super) fn new(parts: Parts<'a>) -> Vcpu<'a> {
        let Parts { index, ops, entry, records, skew, returns, requests, state, ending } = parts;
        let moves: Vec<u64> = requests.iter().filter(|r| r.action == Action::MoveToFreshVm).map(|r| r.at).collect();
        let behind = |at: u64| skew * moves.partition_point(|&moved| moved <= at) as u64;
        let traced = trace(ops, entry, &records, behind);
        let readings = readings(&records, &returns, (!moves.is_empty()).then_some(behind));
        let mut runs = Vec::with_capacity(returns.len());
        let mut told = Levels::NONE;
        let mut immediates = requests.iter().filter(|r| matches!(r.action, Action::ImmediateExit { .. })).peekable();
        let mut moved = moves.iter().peekable();
        for &&exit in &returns {
            let ran = readings.partition_point(|&(at, _)| at <= exit.returned);
            let looked = readings[..ran].last().map_or(exit.entered, |&(at, _)| at.max(exit.entered));
            let immediate = immediates.next_if(|asked| asked.at <= exit.entered).is_some();
            if moved.next_if(|&&moved| moved <= exit.entered).is_some() {
                // A fresh VM's level field shows nothing.
                told = Levels::NONE;
            }
            runs.push(KvmRun { exit, told, looked, immediate });
            told = exit.levels;
        }
        let instants = readings
            .iter()
            .map(|&(at, op)| Instant { at, run: runs.partition_point(|run| run.exit.returned < at), op })
            .collect();
        let devices = state.outputs().map(History::new);
        let masked = || History::new(Output::Low);
        let mut vcpu = Vcpu {
            index,
            traced,
            runs,
            instants,
            devices,
            unmasked: [masked(), masked()],
            misread: Vec::new(),
            restored: Vec::new(),
            ending,
        };
        vcpu.follow(ops, &requests, state, skew);
        vcpu
    }

    /// When this KVM_RUN was called, and what userspace was told before. Of one that did not return only this is known:
    /// it was called after the last that did.
    pub(super) fn entered(&self, run: usize) -> (u64, Levels) {
        match (self.runs.get(run), self.runs.last()) {
            (Some(run), _) => (run.exit.entered, run.told),
            (None, Some(last)) => (last.exit.returned, last.exit.levels),
            (None, None) => (0, Levels::NONE),
        }
    }

    /// What userspace had been told by then.
    pub(super) fn told_at(&self, at: u64) -> Levels {
        self.entered(self.runs.partition_point(|run| run.exit.returned < at)).1
    }

    /// Goes through records and requests in their order, and writes down how outputs and masks change.
    fn follow(&mut self, ops: &[Op], requests: &[&Request], mut state: State, skew: u64) {
        let mut requests = requests.iter().peekable();
        let mut masks = Masks::default();
        // A write that an interrupt came into, and what handlers wrote meanwhile.
        let mut interrupted: Vec<Interrupted> = Vec::new();
        for place in 0..self.traced.len() {
            let traced = self.traced[place];
            let Traced { record, behind, depth, ended, .. } = &traced;
            let (depth, by) = (*depth, record.before + behind);
            while let Some(request) = requests.next_if(|request| request.at <= traced.over()) {
                self.request(request, &mut state, skew);
            }
            let op = &ops[record.op as usize];
            masks.resumed(&traced, &mut self.unmasked);
            if traced.is_interrupt() {
                let outer = self.traced[place..].iter().find(|t| t.depth == depth && !t.is_interrupt());
                let under_way = outer.filter(|outer| outer.record.before < record.before);
                if let Some(under_way) = under_way {
                    let (g, op) = (&under_way.record, &ops[under_way.record.op as usize]);
                    masks.under_way(op, g.before, by, &mut self.unmasked);
                    if op.code == code::WRITE && interrupted.last().is_none_or(|last| last.depth < depth) {
                        interrupted.push(Interrupted { depth, register: op.what, overwritten: false });
                        state.forget(op.what);
                        self.note(&state, g.before, by);
                    }
                }
                masks.taken(record.before, by, &mut self.unmasked);
            } else if record.kind == kind::OP {
                let was_interrupted = interrupted.pop_if(|last| last.depth == depth);
                masks.operation(op, &traced, &mut self.unmasked);
                match op.code {
                    code::WRITE => {
                        interrupted.iter_mut().for_each(|outer| outer.overwritten |= outer.register == op.what);
                        state.write(op.what, record.value, record.before, record.after);
                        if was_interrupted.is_some_and(|interrupted| interrupted.overwritten) {
                            state.forget(op.what);
                        }
                        self.note(&state, record.before, traced.over());
                    }
                    code::READ => self.read(&state, op.what, record),
                    _ => {}
                }
            }
            masks.ended(*ended, record.after);
        }
        for request in requests {
            self.request(request, &mut state, skew);
        }
    }

    /// The outputs are those of `state` from a time between these two on.
    fn note(&mut self, state: &State, from: u64, to: u64) {
        for (history, output) in self.devices.iter_mut().zip(state.outputs()) {
            if history.last() != output {
                history.change(from, to, output);
            }
        }
    }

    /// Its thread was asked to do something that changes its state.
    fn request(&mut self, request: &Request, state: &mut State, skew: u64) {
        if request.failed() {
            return;
        }
        match request.action {
            Action::Set(register, value) => {
                let value = match value {
                    Value::Is(value) => Between(value, value),
                    Value::Now(ahead) | Value::NowPhysical(ahead) => {
                        let which = match value {
                            Value::Now(_) => Which::Virtual,
                            _ => Which::Physical,
                        };
                        let offset = state.timer(which).offset;
                        let at = |time: u64| time.wrapping_sub(offset).wrapping_add(ahead);
                        Between(at(request.from), at(request.at))
                    }
                    Value::Register(..) => return,
                };
                state.set(register, value);
            }
            Action::Reinit { restore_timers } => {
                self.restored(state, request);
                state.reinit(restore_timers);
            }
            Action::MoveToFreshVm => {
                self.restored(state, request);
                state.moved(skew);
            }
            Action::Get(register) => return self.get(state, register, request),
            _ => return,
        }
        self.note(state, request.from, request.at);
    }

    /// Its registers are about to be restored.
    fn restored(&mut self, state: &State, request: &Request) {
        match state.outputs()[2] {
            Output::Unknown => {}
            output => self.restored.push((request.at, output != Output::Low)),
        }
    }

    /// KVM_GET_ONE_REG: it reads as the state is.
    fn get(&mut self, state: &State, register: TimerRegister, request: &Request) {
        let which = if is_physical(register) { Which::Physical } else { Which::Virtual };
        let (timer, value) = (state.timer(which), request.result as u64);
        let due = match register {
            TimerRegister::CntvCtl | TimerRegister::CntpCtl => {
                (!timer.may_read_ctl(value, request.from, request.at)).then(|| timer.due_ctl())
            }
            TimerRegister::CntvCval | TimerRegister::CntpCval => {
                (!timer.cval().contains(value)).then(|| format!("{:#x}", timer.cval().0))
            }
            TimerRegister::Cntvct | TimerRegister::Cntpct => {
                let at = |time: u64| time.wrapping_sub(timer.offset);
                let due = Between(at(request.from), at(request.at));
                (!due.contains(value)).then(|| format!("{:#x} to {:#x}", due.0, due.1))
            }
        };
        if let Some(due) = due {
            self.misread.push((
                Clause::C12,
                request.at,
                format!("KVM_GET_ONE_REG of {register} read {value:#x}, expected {due}"),
            ));
        }
    }

    /// The guest read a system register.
    fn read(&mut self, state: &State, register: u16, record: &GuestRecord) {
        let (name, which) = match register {
            sysreg::CNTV_CTL | sysreg::CNTV_CVAL | sysreg::CNTVCT => ("CNTV", Which::Virtual),
            sysreg::CNTP_CTL | sysreg::CNTP_CVAL | sysreg::CNTPCT => ("CNTP", Which::Physical),
            _ => return,
        };
        let (timer, value) = (state.timer(which), record.value);
        let (name, due) = match register {
            sysreg::CNTV_CTL | sysreg::CNTP_CTL => {
                let fits = timer.may_read_ctl(value, record.before, record.after);
                (format!("{name}_CTL"), (!fits).then(|| timer.due_ctl()))
            }
            sysreg::CNTV_CVAL | sysreg::CNTP_CVAL => {
                (format!("{name}_CVAL"), (!timer.cval().contains(value)).then(|| format!("{:#x}", timer.cval().0)))
            }
            _ => {
                let at = |time: u64| time.wrapping_sub(timer.offset);
                let due = Between(at(record.before), at(record.after));
                (format!("{name}CT"), (!due.contains(value)).then(|| format!("{:#x} to {:#x}", due.0, due.1)))
            }
        };
        if let Some(due) = due {
            self.misread.push((
                Clause::C10,
                record.after,
                format!("the guest read {name} as {value:#x}, expected {due}"),
            ));
        }
    }
}

/// The guest's readings of the counter, each with its operation, in order. In a fresh VM its counter may be `behind`: a
/// reading that may lie on either side of an end of KVM_RUN says nothing of that, and is left out.
fn readings(records: &[&GuestRecord], returns: &[&Return], behind: Option<impl Fn(u64) -> u64>) -> Vec<(u64, u32)> {
    let mut readings: Vec<(u64, u32)> = Vec::with_capacity(records.len() * 2);
    readings.extend(records.iter().flat_map(|g| [(g.before, g.op), (g.after, g.op)]));
    if let Some(behind) = behind {
        let ends: Vec<u64> = returns.iter().flat_map(|exit| [exit.entered, exit.returned]).collect();
        let side = |at: u64| ends.partition_point(|&end| end <= at);
        readings.retain(|&(at, _)| behind(at) == 0 || side(at) == side(at + behind(at)));
    }
    if !readings.is_sorted() {
        readings.sort_unstable();
    }
    readings
}

fn is_physical(register: TimerRegister) -> bool {
    matches!(register, TimerRegister::CntpCtl | TimerRegister::CntpCval | TimerRegister::Cntpct)
}

/// A write that an interrupt came into: before or after it took effect.
struct Interrupted {
    depth: usize,
    register: u16,
    /// Whether a handler wrote the same register.
    overwritten: bool,
}

/// PSTATE.{I, F}, of the code that runs now and of all that it interrupted.
struct Masks {
    /// Whether IRQ and FIQ are unmasked; `None`: not known.
    stack: Vec<[Option<bool>; 2]>,
    /// A handler has ended at this time or later.
    ended: Option<u64>,
}

impl Default for Masks {
    /// A program starts with both masked.
    fn default() -> Masks {
        Masks { stack: vec![[Some(false); 2]], ended: None }
    }
}

impl Masks {
    fn top(&mut self) -> &mut [Option<bool>; 2] {
        self.stack.last_mut().expect("the main program is never left")
    }

    fn note(&mut self, from: u64, to: u64, histories: &mut [History; 2]) {
        for (history, unmasked) in histories.iter_mut().zip(*self.top()) {
            let output = unmasked.map_or(Output::Unknown, Output::level);
            if history.last() != output {
                history.change(from, to, output);
            }
        }
    }

    /// The next record after a handler's end: what it interrupted goes on.
    fn resumed(&mut self, next: &Traced, histories: &mut [History; 2]) {
        if let Some(ended) = self.ended.take() {
            let by = if next.record.before >= ended { next.record.before } else { next.record.after };
            self.note(ended, by + next.behind, histories);
        }
    }

    /// An interrupt came into this operation: it may have unmasked it.
    fn under_way(&mut self, op: &Op, from: u64, to: u64, histories: &mut [History; 2]) {
        match op.code {
            code::UNMASK => self.change(op.what, Some(true)),
            code::DOZE => *self.top() = [None; 2],
            _ => return,
        }
        self.note(from, to, histories);
    }

    fn taken(&mut self, from: u64, to: u64, histories: &mut [History; 2]) {
        self.stack.push([Some(false); 2]);
        self.note(from, to, histories);
    }

    fn operation(&mut self, op: &Op, traced: &Traced, histories: &mut [History; 2]) {
        let record = &traced.record;
        match op.code {
            code::MASK => self.change(op.what, Some(false)),
            code::UNMASK => self.change(op.what, Some(true)),
            code::DOZE => {
                *self.top() = [None; 2];
                self.note(record.before, record.before, histories);
                *self.top() = [Some(false); 2];
                return self.note(record.after, traced.over(), histories);
            }
            _ => return,
        }
        self.note(record.before, traced.over(), histories);
    }

    fn ended(&mut self, handlers: usize, at: u64) {
        if handlers > 0 {
            self.stack.truncate(self.stack.len() - handlers);
            self.ended = Some(at);
        }
    }

    fn change(&mut self, bits: u16, unmasked: Option<bool>) {
        for (bit, state) in [daif::IRQ, daif::FIQ].into_iter().zip(self.top()) {
            if bits & bit != 0 {
                *state = unmasked;
            }
        }
    }
}
