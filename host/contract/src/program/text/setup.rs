//! How the VM of a program reads.

use super::form::Form;
use super::operations::number;
use super::slot::Piece::{self, List, Number};
use crate::program::{Program, Setup};
use vtick_core::Vgic;
use vtick_core::lines::Routing;

/// One thing that is said of a VM.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trait {
    Vgic(Vgic),
    Routing(Routing),
    Pmu,
    Creation(Vec<u64>),
    RunsOn(Vec<u64>),
    Off(u64),
    StoppedAfter(u64),
    EndsWithin(u64),
    PowersOff,
    NotesPc,
    NoGuest,
    MostReturns(u64),
}

/// All that has to be said of a VM that is not like any other.
pub(super) fn traits(program: &Program) -> Vec<Trait> {
    let setup = &program.setup;
    let usual = Setup::new(program.cntfrq / 4 * program.scale, program.scale);
    let mut traits = Vec::new();
    if let Some(vgic) = setup.vgic {
        traits.push(Trait::Vgic(vgic));
    }
    if setup.routing != usual.routing {
        traits.push(Trait::Routing(setup.routing));
    }
    if setup.pmu {
        traits.push(Trait::Pmu);
    }
    if !setup.creation.is_empty() {
        traits.push(Trait::Creation(setup.creation.clone()));
    }
    if !setup.runs_on.is_empty() {
        traits.push(Trait::RunsOn(setup.runs_on.clone()));
    }
    traits.extend((0..8).filter(|vcpu| setup.off >> vcpu & 1 != 0).map(Trait::Off));
    if setup.may_not_end {
        traits.push(Trait::StoppedAfter(setup.limit));
    } else if setup.limit != usual.limit {
        traits.push(Trait::EndsWithin(setup.limit));
    }
    if setup.powers_off {
        traits.push(Trait::PowersOff);
    }
    if setup.notes_pc {
        traits.push(Trait::NotesPc);
    }
    if !setup.needs_guest {
        traits.push(Trait::NoGuest);
    }
    if setup.most_returns != usual.most_returns {
        traits.push(Trait::MostReturns(setup.most_returns));
    }
    traits
}

impl Trait {
    /// Makes it so.
    pub(super) fn apply(self, setup: &mut Setup) {
        match self {
            Trait::Vgic(vgic) => setup.vgic = Some(vgic),
            Trait::Routing(routing) => setup.routing = routing,
            Trait::Pmu => setup.pmu = true,
            Trait::Creation(ids) => setup.creation = ids,
            Trait::RunsOn(ids) => setup.runs_on = ids,
            Trait::Off(vcpu) => setup.off |= 1 << vcpu,
            Trait::StoppedAfter(ticks) => (setup.limit, setup.may_not_end) = (ticks, true),
            Trait::EndsWithin(ticks) => setup.limit = ticks,
            Trait::PowersOff => setup.powers_off = true,
            Trait::NotesPc => setup.notes_pc = true,
            Trait::NoGuest => setup.needs_guest = false,
            Trait::MostReturns(count) => setup.most_returns = count,
        }
    }
}

/// A VM line without a slot.
macro_rules! plain {
    ($pattern:literal, $is:pat, $said:expr) => {
        Form { pattern: $pattern, write: |said, _| matches!(said, $is).then(Vec::new), read: |_, _| Ok($said) }
    };
}

/// A VM line with one slot.
macro_rules! slotted {
    ($pattern:literal, $trait:path, $piece:path, $read:expr) => {
        Form {
            pattern: $pattern,
            write: |said, _| match said {
                $trait(value) => Some(vec![$piece(value.clone())]),
                _ => None,
            },
            read: |pieces, _| Ok($trait($read(&pieces[0]))),
        }
    };
}

pub(super) const TRAITS: &[Form<Trait>] = &[
    plain!("in-kernel GICv2", Trait::Vgic(Vgic::V2), Trait::Vgic(Vgic::V2)),
    plain!("in-kernel GICv3", Trait::Vgic(Vgic::V3), Trait::Vgic(Vgic::V3)),
    plain!("levels raise IRQ", Trait::Routing(Routing::Wire), Trait::Routing(Routing::Wire)),
    plain!("levels go into the GIC", Trait::Routing(Routing::Gic), Trait::Routing(Routing::Gic)),
    plain!("PMU", Trait::Pmu, Trait::Pmu),
    slotted!("vCPUs are created with ids <list>", Trait::Creation, List, list),
    slotted!("vCPUs with ids <list> run the program", Trait::RunsOn, List, list),
    slotted!("vCPU <vcpu> is off", Trait::Off, Number, number),
    slotted!("is stopped after <ticks>", Trait::StoppedAfter, Number, number),
    slotted!("ends within <ticks>", Trait::EndsWithin, Number, number),
    plain!("is powered off by the guest", Trait::PowersOff, Trait::PowersOff),
    plain!("no guest runs", Trait::NoGuest, Trait::NoGuest),
    slotted!("is stopped after <number> returns", Trait::MostReturns, Number, number),
    plain!("returns note the PC", Trait::NotesPc, Trait::NotesPc),
];

fn list(piece: &Piece) -> Vec<u64> {
    match piece {
        List(list) => list.clone(),
        other => unreachable!("{other:?} in a slot for a list"),
    }
}
