//! The devices of a run, each at its place.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::kvm::Error;
use crate::kvm::slot::Slot;
use crate::kvm::vm::Vm;
use vtick_core::controller::Controller;
use vtick_machine::virtio::{self, LegacyTransport, Transport};
use vtick_machine::{Bus, Console, Device, Moved, Pl011, Pl031, Plan, Port, Setup, TestdevCommands, map};

/// Memory slots: RAM is slot 0.
const ROM_SLOT: u32 = 1;
const FLASH_SLOT: u32 = 2;

/// Gives the guest what is typed: says how much of it was taken, and what moved.
pub(super) type Typed = Box<dyn FnMut(&Controller, &[u8]) -> (usize, Moved) + Send>;

/// Puts the devices on the bus, and what is read without an exit into the VM's memory. `printer` makes what a console
/// prints with, `exit` takes the exit code that a testdev gets. Returns the console that is typed on.
pub(super) fn attach<P: FnMut(u8) + Send + 'static>(
    bus: &mut Bus,
    vm: &Vm,
    setup: &Setup,
    plan: &mut Plan<'_>,
    printer: impl Fn() -> P,
    mut exit: impl FnMut(u32) + Send + 'static,
) -> Result<Typed, Error> {
    let clock = bus.clock();
    let uart = bus.attach_timed(map::UART, Pl011::new(clock, printer()));
    // Of a host whose clock is before its epoch there is no more to say.
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    bus.attach_timed(map::RTC, Pl031::new(clock, time));

    if let Some((rom, mut flash)) = plan.firmware.take() {
        let slot = Slot::new(vm, ROM_SLOT, rom.memory().clone())?;
        slot.show(true)?;
        bus.attach(rom.window(), Port::new(rom.window(), rom));
        let slot = Slot::new(vm, FLASH_SLOT, flash.memory().clone())?;
        slot.show(true)?;
        flash.mapped_by(Box::new(move |mapped| {
            // The guest would read the wrong thing from here on, and there is no way to tell it.
            slot.show(mapped).expect("the kernel has memory for a slot that it had before");
        }));
        bus.attach(flash.window(), Port::new(flash.window(), flash));
        let fw_cfg = setup.fw_cfg(vm.memory.clone());
        bus.attach(map::FW_CFG, Port::new(map::FW_CFG, fw_cfg));
    }

    let mut slots = (0..map::VIRTIO_SLOTS).map(map::virtio);
    let typed: Typed = match setup.console {
        Console::Uart => Box::new(move |controller, bytes| uart.with(controller, |uart| uart.receive(bytes))),
        Console::Virtio => {
            let window = slots.next().expect("the first of them");
            let console = Transport::new(virtio::Console::new(printer()), vm.memory.clone());
            let port = Port::new(window, console);
            bus.attach(window, port.clone());
            Box::new(move |controller, bytes| port.with(controller, |console| console.receive(bytes)))
        }
    };
    for (window, disk) in slots.zip(plan.disks.drain(..)) {
        let disk: Arc<Port<dyn Device>> = Port::new(window, Transport::new(disk, vm.memory.clone()));
        bus.attach(window, disk);
    }
    if setup.testdev {
        let mut commands = TestdevCommands::default();
        let testdev = virtio::Console::new(move |byte| {
            if let Some(code) = commands.take(byte) {
                exit(code);
            }
        });
        if let Some(window) = (0..map::VIRTIO_SLOTS).map(map::virtio).find(|window| !bus.has(*window)) {
            bus.attach(window, Port::new(window, LegacyTransport::new(testdev, vm.memory.clone())));
        }
    }
    Ok(typed)
}
