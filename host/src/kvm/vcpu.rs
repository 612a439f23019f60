//! A vCPU: KVM_RUN with its exit parsed, the level field, registers.

use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use kvm_bindings::{
    KVM_ARM_VCPU_EL1_32BIT, KVM_ARM_VCPU_TIMER_CTRL, KVM_EXIT_FAIL_ENTRY, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_INTR,
    KVM_EXIT_MMIO, KVM_EXIT_SYSTEM_EVENT, KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_STOPPED, KVM_MP_STATE_SUSPENDED,
    KVM_SYSTEM_EVENT_WAKEUP, RegList, kvm_device_attr, kvm_mp_state, kvm_run, kvm_vcpu_init,
};
use kvm_ioctls::VcpuFd;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

use super::ioctl::{KVM_RUN, ioctl};
use super::{Context, Error, registers};
use vtick_core::exit::Exit;
use vtick_core::lines::Levels;

/// KVM_EXIT_ARM_NISV.
const KVM_EXIT_ARM_NISV: u32 = 28;
/// What KVM_RUN returns for a level that changed, for a signal and for `immediate_exit`.
const INTERRUPTED: i64 = -(libc::EINTR as i64);
/// What KVM_RUN returns for an access that it can neither emulate nor describe.
const NO_SYNDROME: i64 = -(libc::ENOSYS as i64);

/// PSTATE at entry: EL1h, all interrupts masked.
pub(super) const PSTATE_EL1H_DAIF: u64 = 0x3c5;

/// The same in AArch32 state: Supervisor mode; and with the bit of T32 code (Arm ARM DDI 0487, G8: CPSR).
const PSTATE_SVC_AIF: u64 = 0x1d3;
const PSTATE_T32: u64 = 1 << 5;

ioctl_iow_nr!(KVM_SET_DEVICE_ATTR, kvm_bindings::KVMIO, 0xe1, kvm_device_attr);
ioctl_iow_nr!(KVM_GET_DEVICE_ATTR, kvm_bindings::KVMIO, 0xe2, kvm_device_attr);
ioctl_iow_nr!(KVM_HAS_DEVICE_ATTR, kvm_bindings::KVMIO, 0xe3, kvm_device_attr);

/// The number of an ioctl, as the C library takes it.
type Ioctl = libc::c_ulong;

/// More registers than a vCPU has.
const MOST_REGISTERS: usize = 500;

/// A vCPU of a VM without an in-kernel irqchip.
pub(super) struct Vcpu {
    fd: VcpuFd,
    init: kvm_vcpu_init,
    /// The ids of its registers, once they were asked for: they stay the same.
    ids: OnceLock<Vec<u64>>,
}

/// The registers of a vCPU, by their ids.
pub(super) struct SavedRegisters(Vec<(u64, Vec<u8>)>);

impl Vcpu {
    /// A vCPU that was initialised with `init`.
    pub(super) fn new(fd: VcpuFd, init: kvm_vcpu_init) -> Vcpu {
        Vcpu { fd, init, ids: OnceLock::new() }
    }

    /// KVM_RUN. Whatever it returned, [`levels`](Vcpu::levels) is to be looked at.
    #[inline(always)]
    pub(super) fn run(&mut self) -> Exit {
        // SAFETY: KVM_RUN takes no argument; what it changes is guest memory, which Rust never borrows, and the page
        // below, which is not borrowed here.
        match unsafe { ioctl(self.fd.as_raw_fd(), KVM_RUN, 0) } {
            0 => self.parse(),
            INTERRUPTED => Exit::Interrupted,
            NO_SYNDROME => Exit::NoSyndrome,
            error => Exit::Failed { errno: -error as i32 },
        }
    }

    /// What kvm_run says of a KVM_RUN that succeeded.
    #[inline(always)]
    fn parse(&mut self) -> Exit {
        let run = self.fd.get_kvm_run();
        if run.exit_reason != KVM_EXIT_MMIO {
            return other_exit(run);
        }
        // SAFETY: the member of the union that goes with KVM_EXIT_MMIO; any bits are valid integers.
        let mmio = unsafe { &run.__bindgen_anon_1.mmio };
        let (address, len) = (mmio.phys_addr, mmio.len.clamp(1, 8));
        if mmio.is_write == 0 {
            return Exit::MmioRead { address, len: len as u8 };
        }
        // The bytes behind `len` are whatever was there before.
        let value = u64::from_le_bytes(mmio.data) & (u64::MAX >> (64 - 8 * len));
        Exit::MmioWrite { address, len: len as u8, value }
    }

    /// `kvm_run.s.regs.device_irq_level`, as the last return of KVM_RUN left it.
    #[inline(always)]
    pub(super) fn levels(&mut self) -> Levels {
        let run = self.fd.get_kvm_run();
        // SAFETY: the union holds the synced registers and nothing else on arm64; any bits are a valid u64. Volatile,
        // because the kernel writes this page behind the compiler's back.
        Levels(unsafe { (&raw const run.s.regs.device_irq_level).read_volatile() })
    }

    /// `kvm_run.exit_reason`, as the last return of KVM_RUN left it.
    pub(super) fn exit_reason(&mut self) -> u32 {
        self.fd.get_kvm_run().exit_reason
    }

    /// The answer to an MMIO read that KVM_RUN returned with, taken in by the next KVM_RUN.
    #[inline(always)]
    pub(super) fn answer(&mut self, value: u64) {
        let run = self.fd.get_kvm_run();
        run.__bindgen_anon_1.mmio.data = value.to_le_bytes();
    }

    /// Makes the next KVM_RUN return at once, or not.
    pub(super) fn set_immediate_exit(&mut self, immediate_exit: bool) {
        self.fd.set_kvm_immediate_exit(u8::from(immediate_exit));
    }

    /// KVM_GET_ONE_REG of a 64-bit register.
    pub(super) fn register(&self, id: u64) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.get(id, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// KVM_SET_ONE_REG of a 64-bit register.
    pub(super) fn set_register(&self, id: u64, value: u64) -> Result<(), Error> {
        self.set(id, &value.to_le_bytes())
    }

    fn get(&self, id: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let failed = |e: kvm_ioctls::Error| Error::Register {
            call: "KVM_GET_ONE_REG",
            id,
            value: None,
            cause: std::io::Error::from_raw_os_error(e.errno()),
        };
        self.fd.get_one_reg(id, bytes).map(drop).map_err(failed)
    }

    fn set(&self, id: u64, bytes: &[u8]) -> Result<(), Error> {
        let failed = |e: kvm_ioctls::Error| {
            let mut value = [0; 8];
            let whole = bytes.len() <= value.len();
            value.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            let value = whole.then_some(u64::from_le_bytes(value));
            let cause = std::io::Error::from_raw_os_error(e.errno());
            Error::Register { call: "KVM_SET_ONE_REG", id, value, cause }
        };
        self.fd.set_one_reg(id, bytes).map(drop).map_err(failed)
    }

    /// KVM_ARM_VCPU_INIT as the first time, with every register that `keep` names as it was before. Returns what
    /// [`restore`](Vcpu::restore) does.
    pub(super) fn reinit(&mut self, keep: impl Fn(u64) -> bool) -> Result<Vec<Error>, Error> {
        let saved = self.save()?;
        self.init_again()?;
        Ok(self.restore(&saved, keep))
    }

    /// Every register there is (KVM_GET_REG_LIST). An exit that waits for its answer is finished first: its instruction
    /// is behind the vCPU then.
    pub(super) fn save(&mut self) -> Result<SavedRegisters, Error> {
        self.set_immediate_exit(true);
        let finished = self.run();
        self.set_immediate_exit(false);
        if finished != Exit::Interrupted {
            let cause = std::io::Error::other(finished.to_string());
            return Err(Error::Call { call: "KVM_RUN with immediate_exit", cause });
        }
        let ids = self.ids()?;
        let mut saved = Vec::with_capacity(ids.len());
        for &id in ids {
            // KVM_REG_SIZE_MASK: log2 of the size in bytes.
            let mut bytes = vec![0; 1 << (id >> 52 & 0xf)];
            self.get(id, &mut bytes)?;
            saved.push((id, bytes));
        }
        Ok(SavedRegisters(saved))
    }

    /// KVM_GET_REG_LIST.
    fn ids(&self) -> Result<&[u64], Error> {
        if self.ids.get().is_none() {
            let mut ids = RegList::new(MOST_REGISTERS).map_err(std::io::Error::other).call("a list of registers")?;
            self.fd.get_reg_list(&mut ids).call("KVM_GET_REG_LIST")?;
            self.ids.get_or_init(|| ids.as_slice().to_vec());
        }
        Ok(self.ids.get().map_or(&[], Vec::as_slice))
    }

    /// Sets every register that `keep` names to what was saved. Returns those that the kernel refused: all others are
    /// set.
    pub(super) fn restore(&self, saved: &SavedRegisters, keep: impl Fn(u64) -> bool) -> Vec<Error> {
        let kept = saved.0.iter().filter(|(id, _)| keep(*id));
        kept.filter_map(|(id, bytes)| self.set(*id, bytes).err()).collect()
    }

    /// The vCPU is about to run from `entry` with `arguments` in x0 and so on, the MMU off and all interrupts masked.
    pub(super) fn enter_at(&self, entry: u64, arguments: &[u64]) -> Result<(), Error> {
        let aarch32 = self.init.features[0] >> KVM_ARM_VCPU_EL1_32BIT & 1 != 0;
        // An odd address is one of T32 code.
        let (pstate, pc) = match (aarch32, entry & 1) {
            (false, _) => (PSTATE_EL1H_DAIF, entry),
            (true, 0) => (PSTATE_SVC_AIF, entry),
            (true, _) => (PSTATE_SVC_AIF | PSTATE_T32, entry - 1),
        };
        self.set_register(registers::PSTATE, pstate)?;
        self.set_register(registers::PC, pc)?;
        arguments.iter().zip(0..).try_for_each(|(&value, index)| self.set_register(registers::x(index), value))
    }

    /// The next KVM_RUN lasts until an interrupt comes for the vCPU, and says so.
    pub(super) fn sleep(&self) -> Result<(), Error> {
        self.set_mp_state(KVM_MP_STATE_SUSPENDED)
    }

    /// As after a reset, and about to run as [`enter_at`](Vcpu::enter_at) says.
    pub(super) fn start_again(&self, entry: u64, argument: u64) -> Result<(), Error> {
        self.init_again()?;
        // It may be one that was off in the beginning.
        self.set_mp_state(KVM_MP_STATE_RUNNABLE)?;
        self.enter_at(entry, &[argument])
    }

    fn set_mp_state(&self, mp_state: u32) -> Result<(), Error> {
        self.fd.set_mp_state(kvm_mp_state { mp_state }).call("KVM_SET_MP_STATE")
    }

    /// KVM_ARM_VCPU_INIT as the first time.
    pub(super) fn init_again(&self) -> Result<(), Error> {
        self.fd.vcpu_init(&self.init).call("KVM_ARM_VCPU_INIT")
    }

    /// Sets kvm_run.kvm_valid_regs and kvm_run.kvm_dirty_regs.
    pub(super) fn set_sync_flags(&mut self, flags: u64) {
        let run = self.fd.get_kvm_run();
        run.kvm_valid_regs = flags;
        run.kvm_dirty_regs = flags;
    }

    /// A suspended vCPU that has been woken runs again.
    pub(super) fn resume(&self) -> Result<(), Error> {
        self.set_mp_state(KVM_MP_STATE_RUNNABLE)
    }

    /// KVM_HAS_DEVICE_ATTR of a timer's interrupt ([KVM-vCPU/2], KVM_ARM_VCPU_TIMER_CTRL).
    pub(super) fn has_timer_interrupt(&self, attribute: u64) -> Result<(), Error> {
        self.timer_attribute(KVM_HAS_DEVICE_ATTR(), "KVM_HAS_DEVICE_ATTR", attribute, &mut 0)
    }

    /// KVM_GET_DEVICE_ATTR of the same: an INTID.
    pub(super) fn timer_interrupt(&self, attribute: u64) -> Result<u32, Error> {
        let mut intid = 0;
        self.timer_attribute(KVM_GET_DEVICE_ATTR(), "KVM_GET_DEVICE_ATTR", attribute, &mut intid)?;
        Ok(intid)
    }

    /// KVM_SET_DEVICE_ATTR of the same.
    pub(super) fn set_timer_interrupt(&self, attribute: u64, mut intid: u32) -> Result<(), Error> {
        self.timer_attribute(KVM_SET_DEVICE_ATTR(), "KVM_SET_DEVICE_ATTR", attribute, &mut intid)
    }

    fn timer_attribute(&self, request: Ioctl, call: &'static str, attr: u64, intid: &mut u32) -> Result<(), Error> {
        let addr = std::ptr::from_mut(intid) as u64;
        let argument = kvm_device_attr { group: KVM_ARM_VCPU_TIMER_CTRL, attr, addr, flags: 0 };
        // SAFETY: the kernel reads `argument`, and reads or writes `intid`, during the call.
        match unsafe { ioctl_with_ref(&self.fd, request, &argument) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()).call(call),
        }
    }

    fn mp_state(&self) -> Result<u32, Error> {
        Ok(self.fd.get_mp_state().call("KVM_GET_MP_STATE")?.mp_state)
    }

    /// KVM_GET_MP_STATE: whether userspace has suspended the vCPU.
    pub(super) fn is_suspended(&self) -> Result<bool, Error> {
        Ok(self.mp_state()? == KVM_MP_STATE_SUSPENDED)
    }

    /// KVM_GET_MP_STATE: whether the vCPU is off (PSCI).
    pub(super) fn is_off(&self) -> Result<bool, Error> {
        Ok(self.mp_state()? == KVM_MP_STATE_STOPPED)
    }

    /// The program counter.
    pub(super) fn pc(&self) -> u64 {
        self.register(registers::PC).unwrap_or(0)
    }
}

/// Exits that end a run, or are rare.
#[cold]
fn other_exit(run: &kvm_run) -> Exit {
    match run.exit_reason {
        KVM_EXIT_INTR => Exit::Interrupted,
        KVM_EXIT_SYSTEM_EVENT => {
            // SAFETY: the member of the union that goes with this exit; any bits are a valid integer.
            let (event, data) = unsafe {
                let event = &run.__bindgen_anon_1.system_event;
                (event.type_, event.ndata)
            };
            match (event, data) {
                // Nothing is defined that a wake-up could have to say ([KVM-API/5], `ndata`).
                (KVM_SYSTEM_EVENT_WAKEUP, 1..) => Exit::Other { number: KVM_EXIT_SYSTEM_EVENT },
                _ => Exit::SystemEvent { event },
            }
        }
        KVM_EXIT_FAIL_ENTRY => Exit::FailEntry {
            // SAFETY: as above.
            hardware_reason: unsafe { run.__bindgen_anon_1.fail_entry.hardware_entry_failure_reason },
        },
        KVM_EXIT_INTERNAL_ERROR => Exit::InternalError,
        KVM_EXIT_ARM_NISV => Exit::NoSyndrome,
        number => Exit::Other { number },
    }
}
