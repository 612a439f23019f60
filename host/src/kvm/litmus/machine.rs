//! The VM of a program, before its first vCPU runs: a fresh one, or one that goes on where another was saved.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use kvm_bindings::{KVM_CAP_ARM_PMU_V3, KVM_CAP_MAX_VCPUS};
use kvm_ioctls::{DeviceFd, VcpuFd};
use vtick_abi::layout::{PROGRAM_BASE, RAM_BASE, RAM_SIZE};
use vtick_abi::litmus::Header;
use vtick_gic::State;

use super::super::clock::counter;
use super::super::kick::Kick;
use super::super::vcpu::{SavedRegisters, Vcpu};
use super::super::vgic;
use super::super::vm::{Features, Vm};
use super::super::{Context, Error, registers};
use super::helper::{Chore, Helper};
use super::{Placement, ProgramRun};
use crate::kvm::lock;
use vtick_contract::fault::{Fault, Injector};
use vtick_contract::{Event, Program};
use vtick_core::controller::Controller;
use vtick_core::lines::Levels;

/// How long a vCPU waits for the others, on a host that is as fast as programs are made for.
const MEETING_PATIENCE: Duration = Duration::from_millis(100);

/// How much of RAM is looked at at once: what is zero need not be written to a fresh VM.
const PAGE: usize = 4096;
const _: () = assert!((RAM_SIZE as usize).is_multiple_of(PAGE));

/// A whole machine between two VMs.
pub(super) struct Saved {
    ram: Vec<u8>,
    gic: State,
    vcpus: Vec<SavedVcpu>,
    /// Host counter minus guest counter: the guest's goes on.
    offset: u64,
    counter_offset: Option<u64>,
}

/// One of its vCPUs.
pub(super) struct SavedVcpu {
    pub(super) registers: SavedRegisters,
    /// The levels that the GIC was last told of.
    pub(super) seen: Levels,
}

/// What came of preparing a VM.
pub(super) enum Prepared {
    /// It may run: what its threads share, its vCPUs with the levels that the GIC knows of, and the helper's chores.
    Ready(Arc<ProgramRun>, Vec<(Vcpu, Levels)>, mpsc::Receiver<Chore>),
    /// This host cannot run the program, for this reason.
    Unavailable(String),
}

/// What a program runs on.
pub(super) struct Hardware {
    pub(super) vm: Arc<Vm>,
    pub(super) kicks: Arc<[Kick]>,
    pub(super) controller: Arc<Controller>,
}

/// What a program needs and this host has not, if anything.
fn lacking(program: &Program, vm: &Vm) -> Option<String> {
    let setup = &program.setup;
    if setup.pmu && vm.fd.check_extension_raw(KVM_CAP_ARM_PMU_V3.into()) <= 0 {
        return Some("this host has no PMU to give to a guest (KVM_CAP_ARM_PMU_V3)".to_owned());
    }
    let most = vm.fd.check_extension_raw(KVM_CAP_MAX_VCPUS.into());
    let wanted = setup.creation_order().len();
    (wanted > most as usize).then(|| format!("a VM has at most {most} vCPUs on this host, {wanted} are needed"))
}

/// Makes the VM of `program`: as it is before the guest's first instruction, or as it was `saved`. Registers that the
/// kernel refuses then are noted.
pub(super) fn prepare(
    program: &Program,
    fault: Option<Fault>,
    placement: Placement,
    saved: Option<&Saved>,
    events: &mut Vec<Event>,
) -> Result<Prepared, Error> {
    let vm = Vm::new()?;
    if let Some(reason) = lacking(program, &vm) {
        return Ok(Prepared::Unavailable(reason));
    }
    match saved {
        None => {
            let (header, ops) = program.encode();
            vm.write_records(PROGRAM_BASE, &[header])?;
            vm.write_records(PROGRAM_BASE + size_of::<Header>() as u64, &ops)?;
        }
        Some(saved) => write_ram(&vm, &saved.ram)?,
    }

    // All vCPUs, in their order; then those that run, in theirs. The others are there, and that is all.
    let mut created = Vec::new();
    for id in program.setup.creation_order() {
        created.push((id, vm.fd.create_vcpu(id).call("KVM_CREATE_VCPU")?));
    }
    let gic = match program.setup.vgic {
        None => Ok(None),
        Some(vgic) => vgic::create(&vm.fd, vgic).map(Some),
    };
    let gic = match gic {
        Err(absent @ Error::NoVgic(_)) => return Ok(Prepared::Unavailable(absent.to_string())),
        other => other?,
    };
    let mut vcpus = Vec::new();
    let mut kicks = Vec::new();
    for index in 0..program.setup.vcpus {
        let place = created.iter().position(|(id, _)| *id == program.setup.kvm_id(index)).expect("it was created");
        let features = Features { pmu: program.setup.pmu, off: program.setup.off >> index & 1 != 0, aarch32: false };
        let (vcpu, kick) = vm.prepare(created.swap_remove(place).1, index, features)?;
        vcpus.push((vcpu, Levels::NONE));
        kicks.push(kick);
    }
    let (helper, chores) = mpsc::channel();
    let controller = Controller::new(program.setup.vcpus, program.setup.routing);
    let hardware = Hardware { vm: Arc::new(vm), kicks: kicks.into(), controller: Arc::new(controller) };
    let run = ProgramRun::new(program, fault, placement, hardware, (created, gic), Helper::Own(helper));
    let Some(saved) = saved else {
        if let Some(reason) = run.begin(program, &mut vcpus[0].0)? {
            return Ok(Prepared::Unavailable(reason));
        }
        return Ok(Prepared::Ready(Arc::new(run), vcpus, chores));
    };
    run.go_on(saved, &mut vcpus, events)?;
    Ok(Prepared::Ready(Arc::new(run), vcpus, chores))
}

fn write_ram(vm: &Vm, ram: &[u8]) -> Result<(), Error> {
    for (page, bytes) in ram.chunks_exact(PAGE).enumerate().filter(|(_, bytes)| *bytes != [0; PAGE]) {
        vm.write(RAM_BASE + (page * PAGE) as u64, bytes)?;
    }
    Ok(())
}

impl Saved {
    /// Host counter minus guest counter.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

impl ProgramRun {
    pub(super) fn new(
        program: &Program,
        fault: Option<Fault>,
        placement: Placement,
        Hardware { vm, kicks, controller }: Hardware,
        others: (Vec<(u64, VcpuFd)>, Option<DeviceFd>),
        helper: Helper,
    ) -> ProgramRun {
        ProgramRun {
            vm,
            controller,
            kicks,
            actions: program.actions().to_vec(),
            kvm_ids: (0..program.setup.vcpus).map(|index| program.setup.kvm_id(index)).collect(),
            powers_off: program.setup.powers_off,
            sleeps: program.sleeps(),
            notes_pc: program.setup.notes_pc,
            aloud: program.setup.aloud,
            most_returns: program.most_returns(),
            given_up: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            placement,
            offset: AtomicU64::new(0),
            counter_offset: OnceLock::new(),
            fault: fault.map(|fault| Mutex::new(Injector::new(fault, program.setup.vgic))),
            meeting_patience: MEETING_PATIENCE * u32::try_from(program.setup.patience).unwrap_or(u32::MAX),
            meeting: Default::default(),
            helper,
            helped: Mutex::default(),
            _others: others,
        }
    }

    /// Does what is to be done before the guest starts. `Some`: why this host cannot run the program.
    fn begin(&self, program: &Program, vcpu: &mut Vcpu) -> Result<Option<String>, Error> {
        let mut events = Vec::new();
        for action in program.actions_before() {
            self.act(0, vcpu, action.0, &mut events);
            if let Some(Event::Action { result: error @ ..0, .. }) = events.last()
                && program.is_required(action)
            {
                let what = program.describe_action(self.actions[action.0]);
                return Ok(Some(format!("{what} returned {error} on this kernel")));
            }
        }
        lock(&self.helped).append(&mut events);
        Ok(None)
    }

    /// Saves the machine: its vCPUs were, and no thread runs in it any more.
    pub(super) fn save(&self, vcpus: Vec<(usize, SavedVcpu)>) -> Result<Saved, Error> {
        let mut ram = vec![0; RAM_SIZE as usize];
        self.vm.read(RAM_BASE, &mut ram)?;
        let mut vcpus = vcpus;
        vcpus.sort_by_key(|(index, _)| *index);
        Ok(Saved {
            ram,
            gic: self.controller.save(),
            vcpus: vcpus.into_iter().map(|(_, vcpu)| vcpu).collect(),
            offset: self.offset.load(Ordering::Acquire),
            counter_offset: self.counter_offset.get().copied(),
        })
    }

    /// Puts vCPUs and GIC of a fresh VM into the state that was saved.
    fn go_on(&self, saved: &Saved, vcpus: &mut [(Vcpu, Levels)], events: &mut Vec<Event>) -> Result<(), Error> {
        self.offset.store(saved.offset, Ordering::Release);
        if let Some(offset) = saved.counter_offset {
            self.counter_offset.get_or_init(|| offset);
        }
        let mut gic = saved.gic.clone();
        if let Some(fault) = &self.fault {
            lock(fault).restore(&mut gic);
        }
        self.controller.restore(&gic).map_err(std::io::Error::other).call("restoring the GIC")?;
        for (index, ((vcpu, seen), was)) in vcpus.iter_mut().zip(&saved.vcpus).enumerate() {
            *seen = was.seen;
            // The counters go on; to restore them would turn them back.
            let refused =
                vcpu.restore(&was.registers, |id| !matches!(id, registers::TIMER_CNT | registers::PTIMER_CNT));
            events.extend(refused.iter().filter_map(|error| error.refusal(Some(index), false)).map(Event::Refused));
        }
        // One counter for the whole VM, and the last thing to set: creating vCPUs turns it to zero.
        vcpus[0].0.set_register(registers::TIMER_CNT, counter().wrapping_sub(saved.offset))
    }
}
