//! The contract as a program: it says of every event of a transcript whether it must have happened, may have, or must
//! not have, whatever program ran. The checks' own judges look at what each was written for; this looks at everything.
//!
//! A transcript is taken apart vCPU by vCPU ([`vcpu`]): what drives its outputs ([`state`]) and when that changed
//! ([`history`]), which of its records belong to handlers ([`flow`]), which lines userspace drove ([`lines`]). Each change
//! lies between two readings of the counter. Then each of the [`rules`] looks for what no sound kernel can do. Where
//! readings leave open which of two things came first, all that either allows is allowed.

mod flow;
mod history;
mod lines;
mod objection;
mod requests;
mod rules;
mod state;
#[cfg(test)]
mod tests;
mod tolerance;
mod vcpu;

use vtick_abi::litmus::Op;

use self::requests::Request;
use self::state::State;
use self::vcpu::{Parts, Vcpu};
use super::{Action, Clause, GuestRecord, Program, Return, TimerRegister, Transcript};
use vtick_core::lines::Levels;

pub use objection::Objection;
pub use rules::RULES;
pub use tolerance::Tolerance;

/// The devices of a vCPU, in the order of their bits in the level field.
const LEVELS: [Levels; 3] = [Levels::VTIMER, Levels::PTIMER, Levels::PMU];

/// What is known of the run that is judged, and what was found.
struct Judge<'a> {
    program: &'a Program,
    ops: &'a [Op],
    tolerance: &'a Tolerance,
    requests: &'a [Request],
    version_is_1: bool,
    /// How long the threads of its vCPUs waited for a CPU, in ticks, where the host says.
    waited: u64,
    objections: Vec<Objection>,
}

impl Judge<'_> {
    /// Objects; once per rule and vCPU, for what follows is mostly more of the same.
    fn object(&mut self, clause: Clause, rule: &'static str, vcpu: usize, at: u64, what: String) {
        debug_assert!(RULES.iter().any(|(known, _)| *known == rule), "{rule} is not in the list of rules");
        if !self.objections.iter().any(|known| (known.rule, known.vcpu) == (rule, vcpu)) {
            self.objections.push(Objection { clause, rule, vcpu, at, what });
        }
    }

    /// An operation, for a person.
    fn op(&self, op: u32) -> String {
        format!("`{}`", self.program.describe(self.program.step(op)))
    }
}

/// What the contract has against this transcript of `program`; nothing, if it shows a sound kernel. In the order of time.
pub fn judge(program: &Program, transcript: &Transcript, tolerance: &Tolerance) -> Vec<Objection> {
    if transcript.unavailable.is_some() {
        return Vec::new();
    }
    let encoded = transcript.encoded(program);
    let requests = requests::collect(program, transcript);
    let mut judge = Judge {
        program,
        ops: &encoded.ops,
        tolerance,
        requests: &requests,
        version_is_1: version_is_1(&requests),
        waited: transcript.waited,
        objections: Vec::new(),
    };
    rules::requests::judge(&mut judge, &requests, transcript);
    if !requests.iter().any(moves_the_clock) {
        look_at_vcpus(&mut judge, transcript, encoded.header.entry, &requests);
    }
    // A vCPU that hangs does so for what another rule names, if one does.
    let named = |objection: &Objection| {
        matches!(objection.clause, Clause::C4 | Clause::C6 | Clause::C8 | Clause::C11 | Clause::C13 | Clause::C14)
    };
    if !judge.objections.iter().any(named) {
        for (index, ending) in transcript.endings.iter().enumerate() {
            rules::quiet::ends_well(&mut judge, index, ending);
        }
    }
    let mut objections = judge.objections;
    if let (Some(neighbour), Some(transcript)) = (program.neighbour(), &transcript.neighbour) {
        let beside = self::judge(neighbour, transcript, tolerance).into_iter();
        objections.extend(beside.map(|o| Objection { what: format!("in the VM beside this one, {}", o.what), ..o }));
    }
    objections.sort_by_key(|objection| objection.at);
    objections
}

fn look_at_vcpus(judge: &mut Judge, transcript: &Transcript, entries: impl AsRef<[u32]>, requests: &[Request]) {
    let vcpus = judge.program.setup.vcpus;
    let mut returns: Vec<Vec<&Return>> = vec![Vec::new(); vcpus];
    let mut records: Vec<Vec<&GuestRecord>> = vec![Vec::new(); vcpus];
    transcript.returns().filter(|exit| exit.vcpu < vcpus).for_each(|exit| returns[exit.vcpu].push(exit));
    // A record comes from the guest's memory: of an operation that the program has not there is nothing to follow.
    let is_known = |record: &&GuestRecord| record.vcpu < vcpus && (record.op as usize) < judge.ops.len();
    transcript.records().filter(is_known).for_each(|record| records[record.vcpu].push(record));
    let lines = lines::histories(judge.program, transcript, requests, &returns, judge.tolerance.kick);
    let physical_offset = requests.iter().find_map(|request| match request.action {
        Action::CounterOffset(offset) if !request.failed() => Some(offset),
        _ => None,
    });
    for (index, (records, returns)) in records.into_iter().zip(returns).enumerate() {
        let vcpu = Vcpu::new(Parts {
            index,
            ops: judge.ops,
            entry: entries.as_ref()[index],
            records,
            skew: judge.tolerance.restore,
            returns,
            requests: requests.iter().filter(|request| request.vcpu == index && !request.by_helper()).collect(),
            state: State::reset(transcript.offset, physical_offset.unwrap_or(0), judge.program.setup.pmu),
            ending: transcript.endings.get(index),
        });
        rules::registers::judge(judge, &vcpu);
        if judge.program.setup.vgic.is_some() {
            rules::truth::of_vgic_vm(judge, &vcpu);
            continue;
        }
        rules::truth::judge(judge, &vcpu);
        rules::truth::pmu_is_restored(judge, &vcpu);
        rules::notice::judge(judge, &vcpu);
        rules::lines::judge(judge, &vcpu, &lines[index]);
        rules::sleep::judge(judge, &vcpu, &lines[index]);
        rules::quiet::judge(judge, &vcpu);
    }
}

/// Whether the capability was asked for and its version is 1: a later one may bring bits that nobody knows yet.
fn version_is_1(requests: &[Request]) -> bool {
    requests.iter().any(|request| match request.action {
        Action::CheckExtension { capability } => {
            capability == rules::requests::KVM_CAP_ARM_USER_IRQ && request.result == 1
        }
        _ => false,
    })
}

/// Whether an action moves the guest's counter: then its readings cannot be put on the host's.
fn moves_the_clock(request: &Request) -> bool {
    match request.action {
        Action::Set(TimerRegister::Cntvct | TimerRegister::Cntpct, _) | Action::CreateVcpu(_) => !request.failed(),
        _ => false,
    }
}
