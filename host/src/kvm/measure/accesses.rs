//! What userspace spends on each access to the GIC, counted in the very loop that measurements run.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vtick_abi::layout::PROGRAM_BASE;
use vtick_abi::litmus::Header;
use vtick_abi::mailbox;
use vtick_abi::measure::Config;

use super::{Ended, MeasureError, MeasuredRun, watch};
use crate::kvm::irqchip::{Counted, User};
use crate::kvm::vm::Vm;
use crate::kvm::{Context, clock, lock};
use vtick_contract::Ending;
use vtick_core::controller::Controller;
use vtick_core::lines::{Levels, Routing};
use vtick_latency::{AccessCosts, Irqchip, Measurement, SCENARIOS, access_program};

/// Runs the program that makes the accesses, on one vCPU.
pub(in crate::kvm) fn accesses() -> Result<AccessCosts, MeasureError> {
    let vm = Vm::new()?;
    let (header, ops) = access_program(clock::cntfrq()).encode();
    vm.write_records(PROGRAM_BASE, &[header])?;
    vm.write_records(PROGRAM_BASE + size_of::<Header>() as u64, &ops)?;
    let (vcpu, kick) = vm.vcpu(0)?;
    let run = Arc::new(MeasuredRun {
        vm,
        controller: Controller::new(1, Routing::Gic),
        kicks: vec![kick],
        irqchip: Irqchip::User,
        command: mailbox::COMMAND_LITMUS,
        intid: 0,
        plant: 0,
        progress: AtomicU64::new(0),
        running: AtomicUsize::new(1),
        _vgic: None,
    });
    let noted = Arc::new(Mutex::new(AccessCosts::default()));
    let (shared, costs, watcher) = (Arc::clone(&run), Arc::clone(&noted), std::thread::current());
    let body = move || -> Ended {
        let _here = shared.kicks[0].here_i_am();
        // Nothing is measured but the accesses: this only goes with the loop.
        let mut measurement = Measurement::new(&SCENARIOS[0], Irqchip::User);
        let mut chip = Counted::new(User { controller: &shared.controller, cpu: 0, seen: Levels::NONE });
        let ending = shared.run_loop(0, vcpu, &mut chip, &mut measurement);
        *lock(&costs) = chip.costs;
        shared.running.fetch_sub(1, Ordering::Release);
        watcher.unpark();
        (ending, measurement)
    };
    let thread = std::thread::Builder::new().name("vcpu0".to_owned()).spawn(body).call("starting a vCPU thread")?;
    for (ending, _) in watch(&run, vec![thread], &Config::default())? {
        match ending? {
            Ending::Done => {}
            other => {
                let (scenario, ending) = ("accesses".to_owned(), vtick_contract::diagnose(&other));
                return Err(MeasureError::Ended { scenario, samples: 0, ending });
            }
        }
    }
    let costs = lock(&noted).clone();
    Ok(costs)
}
