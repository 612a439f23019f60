//! The VM a program runs in.

use vtick_core::Vgic;
use vtick_core::lines::Routing;

/// The VM a program runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Number of vCPUs that run the program.
    pub vcpus: usize,
    /// KVM's ids of all the VM's vCPUs, in the order of their creation; those of `runs_on`, unless said here.
    pub creation: Vec<u64>,
    /// KVM's id of each vCPU that runs the program; 0, 1, ... unless said here.
    pub runs_on: Vec<u64>,
    /// Which interrupt controller the kernel emulates.
    pub vgic: Option<Vgic>,
    /// What the runner does with the levels KVM reports.
    pub routing: Routing,
    /// Whether the vCPUs have a PMU (KVM_ARM_VCPU_PMU_V3).
    pub pmu: bool,
    /// vCPUs that are off until another turns them on, a bit each (KVM_ARM_VCPU_POWER_OFF).
    pub off: u8,
    /// How long the program may take before the watchdog ends it, in counter ticks.
    pub limit: u64,
    /// How many times longer than otherwise vCPUs wait for each other in userspace.
    pub patience: u64,
    /// The seed of what disturbs the threads of the program, if something does.
    pub disturb: Option<u64>,
    /// How often KVM_RUN may return on a vCPU before the program is ended: 0: [`Program::most_returns`] says.
    ///
    /// [`Program::most_returns`]: super::Program::most_returns
    pub most_returns: u64,
    /// Whether a guest runs at all.
    pub needs_guest: bool,
    /// Whether being ended by the watchdog is what the program is for.
    pub may_not_end: bool,
    /// Whether the guest ends by turning its machine off.
    pub powers_off: bool,
    /// Whether each return of KVM_RUN notes the program counter: a system call more each time.
    pub notes_pc: bool,
    /// Whether each return of KVM_RUN is told to the host kernel's log, to be the last words of a host that dies.
    pub aloud: bool,
}

impl Setup {
    /// One vCPU, no in-kernel interrupt controller, levels ignored, an end within `limit`.
    pub(super) fn new(limit: u64, scale: u64) -> Setup {
        Setup {
            vcpus: 1,
            creation: Vec::new(),
            runs_on: Vec::new(),
            vgic: None,
            routing: Routing::Ignore,
            pmu: false,
            off: 0,
            limit,
            patience: scale,
            disturb: None,
            most_returns: 0,
            needs_guest: true,
            may_not_end: false,
            powers_off: false,
            notes_pc: false,
            aloud: false,
        }
    }

    /// KVM's id of the vCPU that runs part `index` of the program.
    pub fn kvm_id(&self, index: usize) -> u64 {
        self.runs_on.get(index).copied().unwrap_or(index as u64)
    }

    /// KVM's ids of all vCPUs, in the order of their creation.
    pub fn creation_order(&self) -> Vec<u64> {
        match self.creation[..] {
            [] => (0..self.vcpus).map(|index| self.kvm_id(index)).collect(),
            _ => self.creation.clone(),
        }
    }
}
