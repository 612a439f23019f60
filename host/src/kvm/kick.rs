//! Getting a vCPU's thread out of KVM_RUN from another thread.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use kvm_ioctls::{KvmRunWrapper, VcpuFd};
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

use super::affinity::pin_thread;
use super::conditions::{place_of, run_delay_of};
use super::{Context, Error};
use crate::presence::{Here, Presence};

/// The handle by which other threads reach a vCPU's thread.
pub(super) struct Kick {
    run: KvmRunWrapper,
    /// By the kernel's id.
    thread: Presence<libc::pid_t>,
    /// How often the thread was told to stop.
    stops: AtomicU32,
}

extern "C" fn wake(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

impl Kick {
    /// A handle for the vCPU behind `fd`; `run_size` is the VM's KVM_GET_VCPU_MMAP_SIZE.
    pub(super) fn new(fd: &VcpuFd, run_size: usize) -> Result<Kick, Error> {
        // The handler does nothing: it is there so that the signal ends system calls and not the process.
        register_signal_handler(SIGRTMIN(), wake).call("sigaction")?;
        let run = KvmRunWrapper::mmap_from_fd(fd, run_size).call("mmap of kvm_run")?;
        Ok(Kick { run, thread: Presence::default(), stops: AtomicU32::new(0) })
    }

    /// Called by the vCPU's thread itself, first. It can be reached as long as it keeps what is returned.
    #[must_use = "the thread cannot be reached any more once this is dropped"]
    pub(super) fn here_i_am(&self) -> Here<'_, libc::pid_t> {
        // Not by the C library's function: Rust's own library refers to that weakly, and where nothing else of the static
        // program needs it, as on an arm64 machine, the linker leaves a call of nothing.
        // SAFETY: always succeeds.
        let id = unsafe { libc::syscall(libc::SYS_gettid) };
        self.thread.enter(libc::pid_t::try_from(id).expect("a thread's id is a pid_t"))
    }

    /// How long the thread has been ready to run and did not, in nanoseconds; 0: it has not begun or has ended, or the kernel
    /// does not say.
    pub(super) fn run_delay(&self) -> u64 {
        self.thread.reach(|&id| run_delay_of(id)).flatten().unwrap_or(0)
    }

    /// Moves the thread to this CPU. Whether that could be done.
    pub(super) fn move_to(&self, cpu: usize) -> bool {
        self.thread.reach(|&id| pin_thread(id, cpu).is_ok()).unwrap_or(false)
    }

    /// Where the thread is, as far as the host's kernel tells.
    pub(super) fn place(&self) -> String {
        self.thread.reach(|&id| place_of(id)).unwrap_or_else(|| "its thread has not begun, or has ended".to_owned())
    }

    /// Whether the thread was told to stop. Asked after each KVM_RUN that ended in EINTR.
    pub(super) fn must_stop(&self) -> bool {
        self.stops() > 0
    }

    /// How often the thread was told to stop, since [`go_on`](Kick::go_on).
    pub(super) fn stops(&self) -> u32 {
        self.stops.load(Ordering::Acquire)
    }

    /// A signal, and nothing else: ends the KVM_RUN under way. A thread that has ended gets none.
    pub(super) fn signal(&self) {
        // SAFETY: takes numbers and sends a signal that has a handler. By the kernel's id and not by pthread_kill, which
        // would follow the handle of a thread that nobody joins; the id is this thread's, because it is there.
        self.thread.reach(|&id| unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, SIGRTMIN()) });
    }

    /// Takes back that the thread was told to stop, which it did.
    pub(super) fn go_on(&self) {
        self.stops.store(0, Ordering::Release);
    }

    /// Tells the thread to stop, and ends the KVM_RUN under way or about to start.
    pub(super) fn stop(&self) {
        self.stops.fetch_add(1, Ordering::AcqRel);
        let run: *const kvm_bindings::kvm_run = self.run.as_ref();
        // SAFETY: the page is mapped as long as `self.run`. The kernel and the vCPU's thread read this byte, which any
        // thread may set at any time ([KVM-API/5], kvm_run.immediate_exit); as an atomic it cannot tear.
        unsafe { AtomicU8::from_ptr((&raw const (*run).immediate_exit).cast_mut()) }.store(1, Ordering::Release);
        self.signal();
    }
}
