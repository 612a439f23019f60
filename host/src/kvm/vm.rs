//! A VM: memory with the guest image in it, vCPUs ready to run, and its KVM_IRQ_LINE.

use std::io::ErrorKind;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Mutex;

use kvm_bindings::{
    KVM_ARM_VCPU_EL1_32BIT, KVM_ARM_VCPU_PMU_V3, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT,
    KVM_ARM_VCPU_POWER_OFF, KVM_ARM_VCPU_PSCI_0_2, KVM_CAP_ARM_EL1_32BIT, KVM_CAP_ARM_PMU_V3,
    KVM_CAP_ARM_SYSTEM_SUSPEND, KVM_CAP_ARM_USER_IRQ, KVM_CAP_HALT_POLL, kvm_device_attr, kvm_enable_cap,
    kvm_userspace_memory_region, kvm_vcpu_init,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};
use vtick_abi::layout::{RAM_BASE, RAM_SIZE};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::ioctl::{KVM_IRQ_LINE, ioctl};
use super::kick::Kick;
use super::vcpu::{PSTATE_EL1H_DAIF, Vcpu};
use super::{Context, Error, GUEST, lock, registers};
use crate::image::Image;
use vtick_core::lines::{Line, irq_line_id};

/// A VM without an in-kernel irqchip.
pub(super) struct Vm {
    // Before the fd: vCPUs and memory go with it.
    pub(super) fd: VmFd,
    pub(super) memory: GuestMemoryMmap,
    /// The guest image, where that is what runs.
    image: Option<Image<'static>>,
    /// The address that was looked up last, with its text: vCPUs that are stopped are mostly at the same.
    symbol: Mutex<(u64, String)>,
    kvm: Kvm,
}

/// What a vCPU is created with.
#[derive(Clone, Copy, Default)]
pub(super) struct Features {
    /// A PMU.
    pub(super) pmu: bool,
    /// In AArch32 state at EL1.
    pub(super) aarch32: bool,
    /// Not running until another vCPU turns it on.
    pub(super) off: bool,
}

/// How the vCPUs of a stock guest begin.
pub(super) struct Stock {
    /// Where the first starts.
    pub(super) entry: u64,
    /// Guest physical address of the device tree, of which it is told in x0 or, in AArch32 state, in r2.
    pub(super) fdt: u64,
    /// All are in AArch32 state at EL1.
    pub(super) aarch32: bool,
    /// All have a PMU.
    pub(super) pmu: bool,
}

/// Opens /dev/kvm.
pub(super) fn open() -> Result<Kvm, Error> {
    Kvm::new().map_err(|e| {
        let cause = std::io::Error::from_raw_os_error(e.errno());
        match cause.kind() {
            ErrorKind::NotFound => Error::NoKvm,
            ErrorKind::PermissionDenied => Error::NotPermitted,
            _ if matches!(e.errno(), libc::ENODEV | libc::ENXIO) => Error::NoKvm,
            _ => Error::Call { call: "opening /dev/kvm", cause },
        }
    })
}

/// A VM with nothing in it.
pub(super) fn bare() -> Result<VmFd, Error> {
    open()?.create_vm().call("KVM_CREATE_VM")
}

/// What KVM_CHECK_EXTENSION(KVM_CAP_ARM_USER_IRQ) says of a VM.
pub(super) fn capability() -> Result<i32, Error> {
    let vm = open()?.create_vm().call("KVM_CREATE_VM")?;
    Ok(vm.check_extension_raw(KVM_CAP_ARM_USER_IRQ.into()))
}

impl Vm {
    /// A VM with the guest image loaded and zeroed RAM around it.
    pub(super) fn new() -> Result<Vm, Error> {
        let image = Image::parse(GUEST)?;
        let vm = Vm::with_ram(RAM_SIZE)?;
        for segment in image.segments()? {
            vm.write(segment.address, segment.bytes)?;
        }
        Ok(Vm { image: Some(image), ..vm })
    }

    /// A VM with so many bytes of zeroed RAM.
    pub(super) fn with_ram(bytes: u64) -> Result<Vm, Error> {
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(RAM_BASE), bytes as usize)])
            .map_err(std::io::Error::other)
            .call("mapping guest RAM")?;
        Vm::with_memory(memory)
    }

    /// A VM with this RAM.
    pub(super) fn with_memory(memory: GuestMemoryMmap) -> Result<Vm, Error> {
        let kvm = open()?;
        let fd = kvm.create_vm().call("KVM_CREATE_VM")?;
        for (slot, region) in memory.iter().enumerate() {
            let region = kvm_userspace_memory_region {
                slot: slot as u32,
                guest_phys_addr: region.start_addr().0,
                memory_size: region.len(),
                userspace_addr: region.as_ptr() as u64,
                flags: 0,
            };
            // SAFETY: the mapping is `memory`'s, which lives as long as the VM.
            unsafe { fd.set_user_memory_region(region) }.call("KVM_SET_USER_MEMORY_REGION")?;
        }
        Ok(Vm { fd, memory, image: None, symbol: Mutex::default(), kvm })
    }

    /// Has the host back RAM by huge pages where it can: fewer faults while a guest touches it for the first time.
    pub(super) fn prefer_huge_pages(&self) {
        for region in self.memory.iter() {
            // SAFETY: advice on a mapping of ours, which changes nothing of what is in it.
            unsafe { libc::madvise(region.as_ptr().cast(), region.len() as usize, libc::MADV_HUGEPAGE) };
        }
    }

    /// Creates vCPU `index`, initialised and about to enter the guest.
    pub(super) fn vcpu(&self, index: usize) -> Result<(Vcpu, Kick), Error> {
        let fd = self.fd.create_vcpu(index as u64).call("KVM_CREATE_VCPU")?;
        self.prepare(fd, index, Features::default())
    }

    /// Initialises a vCPU that is to run as the guest's vCPU `index`, and puts it before the guest's first instruction.
    pub(super) fn prepare(&self, fd: VcpuFd, index: usize, features: Features) -> Result<(Vcpu, Kick), Error> {
        let (vcpu, kick) = self.initialise(fd, features)?;
        self.enter(&vcpu, index)?;
        Ok((vcpu, kick))
    }

    /// Puts the guest's vCPU `index`, which has said hello once, before the guest's first instruction again.
    pub(super) fn restart(&self, vcpu: &Vcpu, index: usize) -> Result<(), Error> {
        self.enter(vcpu, index)?;
        vcpu.set_register(registers::x(3), 1)
    }

    /// Puts the guest's vCPU `index` before the guest's first instruction, where it turns its MMU on whether that is on
    /// already or not.
    fn enter(&self, vcpu: &Vcpu, index: usize) -> Result<(), Error> {
        vcpu.set_register(registers::PSTATE, PSTATE_EL1H_DAIF)?;
        vcpu.set_register(registers::PC, self.image.as_ref().map_or(RAM_BASE, Image::entry))?;
        vcpu.set_register(registers::X0, index as u64)
    }

    /// Has a vCPU that waits sleep at once, where this kernel can be told so, and not look for a while whether the wait
    /// is over (KVM_CAP_HALT_POLL).
    pub(super) fn do_not_poll(&self) {
        let nothing = kvm_enable_cap { cap: KVM_CAP_HALT_POLL, ..Default::default() };
        // A kernel that cannot be told polls: that costs time and changes nothing.
        let _ = self.fd.enable_cap(&nothing);
    }

    /// Creates vCPU `index` of a stock guest: the first about to run, the others off, for the first to turn on (PSCI
    /// CPU_ON).
    pub(super) fn stock_vcpu(&self, index: usize, stock: &Stock) -> Result<(Vcpu, Kick), Error> {
        let fd = self.fd.create_vcpu(index as u64).call("KVM_CREATE_VCPU")?;
        let (vcpu, kick) = self.initialise(fd, Features { off: index != 0, pmu: stock.pmu, aarch32: stock.aarch32 })?;
        if index == 0 {
            // Linux, Documentation/arch/arm/booting.rst: no machine type but the device tree's.
            let arguments = if stock.aarch32 { &[0, u32::MAX.into(), stock.fdt][..] } else { &[stock.fdt] };
            vcpu.enter_at(stock.entry, arguments)?;
        }
        Ok((vcpu, kick))
    }

    /// KVM_ARM_VCPU_INIT, with PSCI and these features besides.
    fn initialise(&self, fd: VcpuFd, features: Features) -> Result<(Vcpu, Kick), Error> {
        let mut init = kvm_vcpu_init::default();
        self.fd.get_preferred_target(&mut init).call("KVM_ARM_PREFERRED_TARGET")?;
        init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
        init.features[0] |= u32::from(features.pmu) << KVM_ARM_VCPU_PMU_V3;
        init.features[0] |= u32::from(features.aarch32) << KVM_ARM_VCPU_EL1_32BIT;
        init.features[0] |= u32::from(features.off) << KVM_ARM_VCPU_POWER_OFF;
        fd.vcpu_init(&init).call("KVM_ARM_VCPU_INIT")?;
        if features.pmu {
            // Without this KVM_RUN fails. Only VMs with an in-kernel GIC have an interrupt number for it.
            let attribute = kvm_device_attr {
                flags: 0,
                group: KVM_ARM_VCPU_PMU_V3_CTRL,
                attr: KVM_ARM_VCPU_PMU_V3_INIT.into(),
                addr: 0,
            };
            fd.set_device_attr(&attribute).call("KVM_SET_DEVICE_ATTR to initialise the PMU")?;
        }
        let kick = Kick::new(&fd, self.fd.run_size())?;
        Ok((Vcpu::new(fd, init), kick))
    }

    /// KVM_CHECK_EXTENSION on /dev/kvm.
    pub(super) fn check_system_extension(&self, capability: u32) -> i32 {
        self.kvm.check_extension_raw(capability.into())
    }

    /// Has KVM offer PSCI SYSTEM_SUSPEND to the guest, if it can.
    pub(super) fn offer_suspend(&self) -> Result<(), Error> {
        if self.fd.check_extension_raw(KVM_CAP_ARM_SYSTEM_SUSPEND.into()) <= 0 {
            return Ok(());
        }
        let capability = kvm_enable_cap { cap: KVM_CAP_ARM_SYSTEM_SUSPEND, ..Default::default() };
        self.fd.enable_cap(&capability).call("KVM_ENABLE_CAP(KVM_CAP_ARM_SYSTEM_SUSPEND)")
    }

    /// Whether vCPUs can be in AArch32 state at EL1.
    pub(super) fn has_aarch32(&self) -> bool {
        self.fd.check_extension_raw(KVM_CAP_ARM_EL1_32BIT.into()) > 0
    }

    /// Whether vCPUs can have a PMU.
    pub(super) fn has_pmu(&self) -> bool {
        self.fd.check_extension_raw(KVM_CAP_ARM_PMU_V3.into()) > 0
    }

    /// Writes guest memory.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        self.memory
            .write_slice(bytes, GuestAddress(address))
            .map_err(std::io::Error::other)
            .call("writing guest memory")
    }

    /// Zeroes guest memory.
    pub(super) fn clear(&self, range: Range<u64>) -> Result<(), Error> {
        static ZEROES: [u8; 64 << 10] = [0; 64 << 10];
        let mut at = range.start;
        while at < range.end {
            let part = (range.end - at).min(ZEROES.len() as u64);
            self.write(at, &ZEROES[..part as usize])?;
            at += part;
        }
        Ok(())
    }

    /// Writes plain data into guest memory.
    pub(super) fn write_records<T: IntoBytes + Immutable>(&self, address: u64, records: &[T]) -> Result<(), Error> {
        self.write(address, records.as_bytes())
    }

    /// Reads a record from guest memory.
    pub(super) fn read_record<T: FromBytes + IntoBytes>(&self, address: u64) -> Result<T, Error> {
        let mut record = T::new_zeroed();
        self.read(address, record.as_mut_bytes())?;
        Ok(record)
    }

    /// Reads guest memory into a buffer.
    pub(super) fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.memory.read_slice(bytes, GuestAddress(address)).map_err(std::io::Error::other).call("reading guest memory")
    }

    /// `function+0xoffset` of a guest address.
    pub(super) fn symbolize(&self, address: u64) -> String {
        let mut symbol = lock(&self.symbol);
        if symbol.0 != address || symbol.1.is_empty() {
            let text = self.image.as_ref().map_or_else(|| format!("{address:#x}"), |image| image.symbolize(address));
            *symbol = (address, text);
        }
        symbol.1.clone()
    }

    /// KVM_IRQ_LINE of a CPU line.
    #[inline(always)]
    pub(super) fn irq_line(&self, vcpu: usize, line: Line, level: bool) -> Result<(), Error> {
        self.raw_irq_line(irq_line_id(vcpu as u32, line), level)
    }

    /// KVM_IRQ_LINE with an argument as it stands.
    #[inline(always)]
    pub(super) fn raw_irq_line(&self, irq: u32, level: bool) -> Result<(), Error> {
        let request = [irq, u32::from(level)];
        // SAFETY: `request` is a struct kvm_irq_level, {irq, level}, which the kernel reads.
        match unsafe { ioctl(self.fd.as_raw_fd(), KVM_IRQ_LINE, request.as_ptr() as u64) } {
            0 => Ok(()),
            error => Err(line_failed(error)),
        }
    }
}

#[cold]
fn line_failed(result: i64) -> Error {
    let cause = match result {
        // Neither 0, success, nor an errno ([KVM-API/4.25]).
        1.. => std::io::Error::other(format!("it returned {result}, expected 0")),
        error => std::io::Error::from_raw_os_error(-error as i32),
    };
    Error::Call { call: "KVM_IRQ_LINE", cause }
}
