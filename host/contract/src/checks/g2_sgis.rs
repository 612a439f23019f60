//! G2: SGIs between vCPUs.

use std::collections::BTreeMap;

use super::common::sleep;
use super::gic::{
    GICD_ISPENDR, GICD_SGIR, acknowledged, enable, gave, lines_only_moved, sgi_to, sgi_to_others, sgi_to_self,
    take_and_count,
};
use crate::fault::Fault;
use crate::{Action, Check, Clause, FailsOn, Judge, Program, Step, Value, judge, violated};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "sgi-to-self-comes-once",
        clause: Clause::G2,
        claim: "An SGI to the sending CPU itself, by filter or by list, is taken there once, from that source.",
        catches: "Filters confused; an SGI that is lost, or comes twice.",
        fails_on: FailsOn::Faults(&[Fault::SgiFilterIgnored, Fault::LineUpIgnored]),
        program: |p| {
            let by_list = |cpu: usize| Send::new(cpu, sgi_to(1 << cpu, 1), 1 << cpu);
            let by_filter = |cpu: usize| Send::new(cpu, sgi_to_self(2), 1 << cpu);
            exchange(p, 3, &rounds((0..3).flat_map(|cpu| [by_list(cpu), by_filter(cpu)])))
        },
    },
    Check {
        name: "sgi-to-a-list-comes-only-to-that-list",
        clause: Clause::G2,
        claim: "An SGI to a list of CPUs, sent by each CPU in turn, is taken once by each on the list and by no other, \
                and names its sender.",
        catches: "A line raised at the wrong vCPU; a source that is lost.",
        fails_on: FailsOn::Faults(&[Fault::SgiSourceLost, Fault::OnlyTheLineOfVcpu0]),
        program: |p| {
            let even = |cpu| Send::new(cpu, sgi_to(0b0101, 1), 0b0101);
            let next = |cpu: usize| Send::new(cpu, sgi_to(1 << ((cpu + 1) % 4), 2), 1 << ((cpu + 1) % 4));
            exchange(p, 4, &rounds((0..4).flat_map(|cpu| [even(cpu), next(cpu)])))
        },
    },
    Check {
        name: "sgi-to-all-others-comes-to-all-others",
        clause: Clause::G2,
        claim: "An SGI to all other CPUs, sent by each CPU in turn, is taken once by each of them, and not by its \
                sender.",
        catches: "A broadcast that includes its sender, or misses a CPU.",
        fails_on: FailsOn::Faults(&[Fault::SgiToOthersComesBack, Fault::SgiFilterIgnored]),
        program: |p| exchange(p, 4, &rounds((0..4).map(|cpu| Send::new(cpu, sgi_to_others(1), 0b1111 & !(1 << cpu))))),
    },
    Check {
        name: "every-sgi-of-a-storm-among-eight-vcpus-is-taken-once",
        clause: Clause::G2,
        claim: "Eight vCPUs send each other all sixteen SGIs at the same time, through all three filters: each is taken \
                exactly once for each source and target.",
        catches: "An SGI lost, doubled, or attributed to another source when several are pending.",
        fails_on: FailsOn::Faults(&[Fault::SgiDropped, Fault::SgiSourceLost, Fault::SgiToOthersComesBack]),
        program: storm,
    },
    Check {
        name: "lines-are-driven-only-when-they-move",
        clause: Clause::G2,
        claim: "While four vCPUs send each other SGIs, vtick calls KVM_IRQ_LINE for each line that moves, and for no \
                other.",
        catches: "System calls that change nothing.",
        fails_on: FailsOn::Faults(&[Fault::LineDrivenTwice]),
        program: |p| {
            let all = |cpu| {
                [Send::new(cpu, sgi_to(0b1111, 1), 0b1111), Send::new(cpu, sgi_to_others(2), 0b1111 & !(1 << cpu))]
            };
            exchange(p, 4, &[(0..4).flat_map(all).collect()])
        },
    },
    Check {
        name: "sgi-wakes-a-vcpu-from-wfi",
        clause: Clause::G2,
        claim: "An SGI wakes a vCPU that sleeps in WFI, which takes it.",
        catches: "A line that is raised and wakes nobody.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::OnlyTheLineOfVcpu0, Fault::LineWaitsForExit]),
        program: |p| sgi_reaches(p, true),
    },
    Check {
        name: "sgi-kicks-a-running-vcpu",
        clause: Clause::G2,
        claim: "An SGI interrupts a vCPU that spins without exits.",
        catches: "A line that waits for the vCPU's next exit.",
        fails_on: FailsOn::Faults(&[Fault::LineUpIgnored, Fault::LineWaitsForExit]),
        program: |p| sgi_reaches(p, false),
    },
];

/// A write to GICD_SGIR, and who has to take that SGI.
#[derive(Clone, Copy)]
struct Send {
    sender: usize,
    sgir: u64,
    targets: usize,
}

impl Send {
    fn new(sender: usize, sgir: u64, targets: usize) -> Send {
        Send { sender, sgir, targets }
    }

    fn reaches(&self, cpu: usize) -> bool {
        self.targets >> cpu & 1 == 1
    }

    /// GICC_IAR of the CPU that takes it.
    fn iar(&self) -> u64 {
        (self.sender as u64) << 10 | self.sgir & 0xf
    }
}

/// One send a round: the next only when everybody has taken the last.
fn rounds(sends: impl Iterator<Item = Send>) -> Vec<Vec<Send>> {
    sends.map(|send| vec![send]).collect()
}

/// `vcpus` vCPUs send each other SGIs. Those of a round are all under way at the same time, each taken as it comes; the
/// vCPUs meet in userspace when they have taken all that is due in a round, so that none coalesces with one of the next.
fn exchange(p: &mut Program, vcpus: usize, rounds: &[Vec<Send>]) -> Judge {
    p.setup.limit = p.us(3_000_000);
    let mut steps = vec![part(p, 0, rounds)];
    for cpu in 1..vcpus {
        steps.push(p.on_vcpu(cpu, |p| part(p, cpu, rounds)));
    }
    let sent: usize = rounds.iter().map(Vec::len).sum();
    let sends = || rounds.iter().flatten();
    let mut due = vec![BTreeMap::new(); vcpus];
    for (cpu, due) in due.iter_mut().enumerate() {
        sends().filter(|send| send.reaches(cpu)).for_each(|send| *due.entry(send.iar()).or_insert(0) += 1);
    }
    judge(move |t| {
        let mut taken = 0;
        for (cpu, (&(iar, pending), due)) in steps.iter().zip(&due).enumerate() {
            let seen = acknowledged(t, cpu, iar, due)?;
            gave(t, pending, &[0], "SGIs still pending at the end")?;
            match t.interrupts(cpu).count() {
                interrupts if interrupts == seen => taken += seen,
                interrupts => return violated(format!("vCPU {cpu} took {interrupts} interrupts, expected {seen}")),
            }
        }
        let calls = lines_only_moved(t)?;
        Ok(format!("{sent} writes to GICD_SGIR, {taken} SGIs expected and {taken} taken; lines driven {calls} times"))
    })
}

/// One vCPU's part in [`exchange`]: the steps of its acknowledgements, and of a look at what is pending at the end.
fn part(p: &mut Program, cpu: usize, rounds: &[Vec<Send>]) -> (Step, Step) {
    let flag = cpu as u16;
    enable(p);
    let iar = take_and_count(p, flag);
    p.ask(Action::Meet);
    let mut due = 0;
    for round in rounds {
        p.unmask();
        for send in round.iter().filter(|send| send.sender == cpu) {
            p.store(4, GICD_SGIR, send.sgir);
        }
        due += round.iter().filter(|send| send.reaches(cpu)).count() as u64;
        p.doze(flag, due);
        p.ask(Action::Meet);
    }
    // What was not due is taken here.
    p.unmask();
    p.ask(Action::Meet);
    p.mask();
    (iar, p.load(4, GICD_ISPENDR))
}

fn storm(p: &mut Program) -> Judge {
    const CPUS: usize = 8;
    let list = |cpu: usize, intid: usize, round: usize| 0b1011_0001_usize.rotate_left((cpu + intid + round) as u32 % 8);
    let send = |cpu: usize, intid: usize, round: usize| match intid {
        0..6 => {
            // Eight bits go round in eight.
            let list = (list(cpu, intid, round) | list(cpu, intid, round) >> 8) & 0xff;
            Send::new(cpu, sgi_to(list as u64, intid as u64), list)
        }
        6..11 => Send::new(cpu, sgi_to_others(intid as u64), 0xff & !(1 << cpu)),
        _ => Send::new(cpu, sgi_to_self(intid as u64), 1 << cpu),
    };
    let round = |round| {
        (0..CPUS).flat_map(|cpu| (0..16).map(move |intid| (cpu, intid))).map(move |(c, i)| send(c, i, round)).collect()
    };
    let rounds: Vec<Vec<Send>> = (0..3).map(round).collect();
    exchange(p, CPUS, &rounds)
}

/// vCPU 0 sends an SGI to vCPU 1, which sleeps or spins.
fn sgi_reaches(p: &mut Program, asleep: bool) -> Judge {
    let delay = sleep(p);
    let patience = p.us(100_000);
    enable(p);
    p.ask(Action::Meet);
    p.ask(Action::Stay { ticks: delay });
    let sent = p.store(4, GICD_SGIR, sgi_to(0b10, 5));
    let (iar, waited) = p.on_vcpu(1, |p| {
        enable(p);
        let iar = take_and_count(p, 0);
        p.ask(Action::Meet);
        if asleep {
            return (iar, p.doze(0, 1));
        }
        p.unmask();
        let waited = p.take(1, Value::Now(patience));
        p.mask();
        (iar, waited)
    });
    judge(move |t| {
        let (sent, waited) = (t.at(sent)?, t.at(waited)?);
        gave(t, iar, &[5], "GICC_IAR")?;
        if waited.before > sent.before {
            return crate::disturbed("the SGI was sent before the other vCPU waited for it");
        }
        match t.interrupts(1).next() {
            Some(irq) => Ok(format!("taken {} ticks after the write to GICD_SGIR began", irq.before - sent.before)),
            None => violated("no interrupt was taken"),
        }
    })
}
