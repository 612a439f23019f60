//! Programs are run, judged, and what the model objects to is confirmed, made small and kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::finding::{Finding, Key};
use super::journal::{At, Journal};
use super::judge;
use crate::kvm::{Kvm, Log, Reused, cpu_time};
use vtick_contract::fault::Fault;
use vtick_contract::model::Objection;
use vtick_contract::{Ending, Program, Transcript};
use vtick_core::Host;
use vtick_explore::compare::Shape;
use vtick_explore::{Scale, Sketch, shrink};

/// Runs that making a program small may take.
const MOST_SHRINKING: usize = 300;
/// Objections that no fresh VM confirmed: after so many of them no more are looked into.
const MOST_UNCONFIRMED: usize = 20;

/// After so many programs it is looked whether the host's kernel has warned.
const LOG_EVERY: usize = 16;

/// Numbers of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Programs that were run because it was their turn.
    pub(super) programs: u64,
    /// Those of them to which the model objected.
    pub(super) objected: u64,
    /// Those of them that were repeated in a fresh VM, and those that did something else there.
    pub(super) repeated: u64,
    pub(super) differed: u64,
    /// Programs that this host cannot run.
    pub(super) unavailable: u64,
    /// VMs that could not be reused.
    pub(super) spent: u64,
}

/// An exploration under way.
pub(super) struct Session<'a> {
    kvm: &'a Kvm,
    pub(super) host: &'a Host,
    pub(super) scale: Scale,
    pub(super) fault: Option<Fault>,
    machines: HashMap<(usize, bool), Reused>,
    log: Log,
    /// Programs that ran since the log was looked at.
    unlooked: Vec<Program>,
    pub(super) journal: Journal,
    pub(super) findings: BTreeMap<Key, Finding>,
    /// Keys that were seen, confirmed or not.
    seen: BTreeSet<Key>,
    unconfirmed: usize,
    pub(super) counts: Counts,
    /// CPU time of this process when the session began.
    began: Duration,
    /// Every so manieth program is repeated in a fresh VM.
    repeat: u64,
    /// Findings are kept, and not shown.
    pub(super) quiet: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(kvm: &'a Kvm, host: &'a Host, scale: Scale, repeat: u64, journal: Journal) -> Session<'a> {
        let seen = journal.past().iter().map(|finding| finding.key.clone()).collect();
        let findings = journal.past().iter().map(|finding| (finding.key.clone(), finding.clone())).collect();
        Session {
            kvm,
            host,
            scale,
            fault: None,
            machines: HashMap::new(),
            log: kvm.log(),
            unlooked: Vec::new(),
            journal,
            findings,
            seen,
            unconfirmed: 0,
            counts: Counts::default(),
            began: cpu_time(),
            repeat,
            quiet: false,
        }
    }

    /// Forgets what was found, for another fault.
    pub(super) fn begin_again(&mut self, fault: Option<Fault>) {
        self.fault = fault;
        self.findings.clear();
        self.seen.clear();
        self.machines.clear();
        (self.counts, self.unconfirmed) = (Counts::default(), 0);
    }

    /// What it took so far, all included: CPU time in nanoseconds, which are instructions where those are counted.
    pub(super) fn cost(&self) -> u64 {
        (cpu_time() - self.began).as_nanos() as u64
    }

    /// Tells how far it has come.
    pub(super) fn tell(&mut self, position: u64, of: u64) {
        let at = At { position, of, programs: self.counts.programs, cost: self.cost() };
        self.journal.at(at);
    }

    /// Runs the program of a sketch and looks into what the model has against it. Whether it had something.
    pub(super) fn explore(&mut self, sketch: &Sketch) -> anyhow::Result<bool> {
        let program = sketch.program(&self.scale);
        let (transcript, objections) = self.count(&program)?;
        if transcript.unavailable.is_none() && self.repeat > 0 && self.counts.programs.is_multiple_of(self.repeat) {
            self.repeat(&program, &transcript)?;
        }
        for objection in &objections {
            if self.is_new(objection) {
                self.look_into(sketch, &program, objection)?;
            }
        }
        self.ran(program);
        Ok(!objections.is_empty())
    }

    /// The same of a program that is no word over the alphabet, and so cannot be made smaller.
    pub(super) fn explore_as_is(&mut self, program: &Program) -> anyhow::Result<(Transcript, bool)> {
        let (transcript, objections) = self.count(program)?;
        for objection in &objections {
            if self.is_new(objection) {
                self.keep(program, objection, None)?;
            }
        }
        self.ran(program.clone());
        Ok((transcript, !objections.is_empty()))
    }

    fn count(&mut self, program: &Program) -> anyhow::Result<(Transcript, Vec<Objection>)> {
        let (transcript, objections) = self.judged(program)?;
        self.counts.programs += 1;
        if let Some(Ending::Panic { message }) = transcript.endings.iter().find(|e| matches!(e, Ending::Panic { .. })) {
            self.panicked(program, &transcript, message);
        }
        self.counts.objected += u64::from(!objections.is_empty());
        self.counts.unavailable += u64::from(transcript.unavailable.is_some());
        Ok((transcript, objections))
    }

    /// A program has run. Whether the host's kernel has warned is looked at after a few: that costs as much as a tenth
    /// of a program.
    fn ran(&mut self, program: Program) {
        self.unlooked.push(program);
        if self.unlooked.len() >= LOG_EVERY {
            self.look_at_log();
        }
    }

    /// Whether the host's kernel has warned. Most warnings come once after a boot: there is no second try, and all programs
    /// since the last look are named.
    pub(super) fn look_at_log(&mut self) {
        let programs = std::mem::take(&mut self.unlooked);
        if let (Some([first, ..]), Some((last, others))) = (self.log.warnings().as_deref(), programs.split_last()) {
            let mut timeline = Vec::new();
            for other in others {
                timeline.push("or it was this program, which ran before:".to_owned());
                timeline.extend(other.to_string().lines().map(str::to_owned));
            }
            self.harness(("host", "warned"), format!("the host kernel warned: {first}"), last, timeline);
        }
    }

    /// The guest found something wrong with itself or with the program.
    fn panicked(&mut self, program: &Program, transcript: &Transcript, message: &str) {
        let what = format!("the guest panicked: {message}; no kernel is blamed for that");
        self.harness(("harness", "panic"), what, program, transcript.timeline(program));
    }

    /// Keeps something that is not the model's to say, once.
    fn harness(&mut self, key: (&str, &str), what: String, program: &Program, timeline: Vec<String>) {
        let key = (key.0.to_owned(), key.1.to_owned());
        if self.seen.insert(key.clone()) {
            let program = program.to_string();
            self.add(Finding { key, what, program, operations: None, timeline, confirmed: true });
        }
    }

    fn is_new(&self, objection: &Objection) -> bool {
        self.unconfirmed < MOST_UNCONFIRMED && !self.seen.contains(&key(objection))
    }

    /// Runs a program in a VM that is reused, where that suits it, and has it judged.
    fn judged(&mut self, program: &Program) -> anyhow::Result<(Transcript, Vec<Objection>)> {
        let place = (program.setup.vcpus, program.setup.pmu);
        if !self.machines.contains_key(&place) && (!program.setup.pmu || self.has_pmu()?) {
            self.machines.insert(place, self.kvm.reused(place.0, place.1, self.scale.limit)?);
        }
        let transcript = match self.machines.get_mut(&place) {
            Some(machine) if machine.suits(program) => {
                let transcript = machine.run(program, self.fault)?;
                if !machine.is_usable() {
                    self.machines.remove(&place);
                    self.counts.spent += 1;
                }
                transcript
            }
            _ => self.kvm.run(program, self.fault)?,
        };
        let objections = judge::judge(program, &transcript, self.host);
        Ok((transcript, objections))
    }

    fn has_pmu(&self) -> anyhow::Result<bool> {
        let mut program = Program::new(self.scale.cntfrq);
        program.with_pmu();
        Ok(self.kvm.run(&program, None)?.unavailable.is_none())
    }

    /// Repeats a program in a fresh VM: what a reset fails to reset shows.
    fn repeat(&mut self, program: &Program, transcript: &Transcript) -> anyhow::Result<()> {
        self.counts.repeated += 1;
        let shape = Shape::of(program, transcript);
        let fresh = self.kvm.run(program, self.fault)?;
        if Shape::of(program, &fresh) == shape {
            return Ok(());
        }
        // Its first accesses take longer in a fresh VM. One that is as warm as the other has no such excuse.
        let warm = self.fresh(program)?;
        if Shape::of(program, &warm) == shape {
            return Ok(());
        }
        self.counts.differed += 1;
        let what = "a VM that is reused and a fresh one did not do the same".to_owned();
        let mut timeline = vec!["in the VM that is reused:".to_owned()];
        timeline.extend(transcript.timeline(program));
        timeline.push("in a fresh one:".to_owned());
        timeline.extend(warm.timeline(program));
        self.harness(("harness", "reset"), what, program, timeline);
        Ok(())
    }

    /// Runs a program in a VM of its own, which has run an empty one before: what the guest touches first is there.
    fn fresh(&self, program: &Program) -> anyhow::Result<Transcript> {
        let mut machine = self.kvm.reused(program.setup.vcpus, program.setup.pmu, self.scale.limit)?;
        if !machine.suits(program) {
            return Ok(self.kvm.run(program, self.fault)?);
        }
        let empty = Sketch { routing: program.setup.routing, words: vec![Vec::new(); program.setup.vcpus] };
        let mut empty = empty.program(&self.scale);
        empty.setup.pmu = program.setup.pmu;
        machine.run(&empty, None)?;
        Ok(machine.run(program, self.fault)?)
    }

    /// Makes the program as small as it can be with the same objection, and keeps it.
    fn look_into(&mut self, sketch: &Sketch, program: &Program, objection: &Objection) -> anyhow::Result<()> {
        let wanted = key(objection);
        let scale = self.scale;
        let smallest = shrink::shrink(sketch, MOST_SHRINKING, |candidate| {
            let (_, objections) = self.judged(&candidate.program(&scale))?;
            Ok::<_, anyhow::Error>(objections.iter().any(|objection| key(objection) == wanted))
        })?;
        let small = smallest.program(&scale);
        if !self.keep(&small, objection, Some(smallest.len()))? {
            self.seen.remove(&wanted);
            self.keep(program, objection, Some(sketch.len()))?;
        }
        Ok(())
    }

    /// Runs a program in fresh VMs to see the objection once more, and keeps it either way. Whether it was seen.
    fn keep(&mut self, program: &Program, objection: &Objection, operations: Option<usize>) -> anyhow::Result<bool> {
        let wanted = key(objection);
        self.seen.insert(wanted.clone());
        let mut last = None;
        for cold in [true, false] {
            let transcript = if cold { self.kvm.run(program, self.fault)? } else { self.fresh(program)? };
            let objections = judge::judge(program, &transcript, self.host);
            let again = objections.into_iter().find(|objection| key(objection) == wanted);
            let confirmed = again.is_some();
            let what = again.map_or_else(|| objection.what.clone(), |objection| objection.what);
            let timeline = transcript.timeline(program);
            let program = program.to_string();
            let finding = Finding { key: wanted.clone(), what, program, operations, timeline, confirmed };
            if confirmed {
                self.add(finding);
                return Ok(true);
            }
            last = Some(finding);
        }
        self.unconfirmed += 1;
        last.into_iter().for_each(|finding| self.add(finding));
        Ok(false)
    }

    /// An earlier run's host died of this program.
    pub(super) fn blame(&mut self, sketch: &Option<Sketch>, how: &str) {
        let key = ("host".to_owned(), "died".to_owned());
        let program = sketch.as_ref().map(|sketch| sketch.program(&self.scale).to_string()).unwrap_or_default();
        let what = format!("it took the host down with it: {how}");
        let operations = sketch.as_ref().map(Sketch::len);
        self.add(Finding { key, what, program, operations, timeline: Vec::new(), confirmed: true });
    }

    fn add(&mut self, finding: Finding) {
        if !self.quiet {
            finding.show();
        }
        self.journal.finding(&finding);
        self.findings.insert(finding.key.clone(), finding);
    }
}

fn key(objection: &Objection) -> Key {
    (objection.clause.to_string(), objection.rule.to_string())
}
