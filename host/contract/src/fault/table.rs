//! The faults. Which check must turn violated by which is said by the checks: [`Check::fails_on`].
//!
//! [`Check::fails_on`]: crate::Check::fails_on

/// A fault as it is called and described.
pub struct Described {
    /// The fault.
    pub fault: Fault,
    /// Its name: lower case, words joined by `-`.
    pub name: &'static str,
    /// What the kernel does wrong.
    pub what: &'static str,
}

/// A fault a line: variant, name, what the kernel does wrong.
macro_rules! faults {
    ($($fault:ident $name:literal: $what:literal;)*) => {
        /// What is wrong with the kernel that an [`Injector`](super::Injector) plays.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $what] $fault,)*
        }

        /// All faults that can be injected.
        pub const FAULTS: &[Described] = &[$(Described { fault: Fault::$fault, name: $name, what: $what }),*];
    };
}

faults! {
    // The level field, and saying that there is one.
    CapabilityAbsent "capability-absent": "KVM_CHECK_EXTENSION says 0 for KVM_CAP_ARM_USER_IRQ.";
    LevelNeverSet "level-never-set": "The level field is always zero.";
    PtimerNeverSet "ptimer-level-never-set": "The physical timer's bit is always zero.";
    PmuNeverSet "pmu-level-never-set": "The PMU's bit is always zero.";
    LevelStuckHigh "level-stuck-high": "A bit that was set once is never cleared.";
    LevelHighFromTheStart "level-high-from-the-start": "The virtual timer's bit is always set.";
    LevelLate "level-late-by-a-return": "Each return shows the levels of the return before.";
    LevelIsAPulse "level-is-a-pulse": "A level shows on the return on which it rose and on no other.";
    LevelLostOnMmioRead "level-lost-on-mmio-reads": "MMIO read exits show no level.";
    LevelLostOnMmioWrite "level-lost-on-mmio-writes": "MMIO write exits show no level.";
    LevelLostOnSignal "level-lost-on-signals": "A return for a signal shows no level.";
    LevelLostOnSystemEvent "level-lost-on-system-events": "KVM_EXIT_SYSTEM_EVENT shows no level.";
    BitsSwapped "bits-swapped": "vtimer, ptimer and PMU are reported in each other's bits.";
    UnknownBit "unknown-bit": "A bit is set that no version of the capability speaks of.";
    UnknownHighBit "unknown-high-bit":
        "A bit is set in the upper half of the 64 bits, where no version of the capability has one.";
    LevelOnEveryVcpu "level-on-every-vcpu": "Each vCPU shows the levels of all.";
    LevelInVgicVm "level-in-a-vgic-vm": "A VM with an in-kernel GIC shows levels.";
    FallOfOneHidden "fall-of-one-hidden": "A level that falls while another stays high is shown high.";
    RiseOfSecondMissed "rise-of-second-missed": "A level that rises while another is high is not shown.";
    FieldNeedsValidRegs "field-needs-valid-regs": "The field is zero when kvm_valid_regs is zero.";
    FieldClearedByDirtyRegs "field-cleared-by-dirty-regs": "The field is zero when kvm_dirty_regs is not zero.";
    // Returning: too rarely, too often, too late.
    NoReturnOnRise "no-return-on-rise": "A rising level ends no KVM_RUN.";
    NoReturnOnFall "no-return-on-fall": "A falling level ends no KVM_RUN.";
    StormWhileHigh "storm-while-high": "While a level is high KVM_RUN returns again and again without entering the guest.";
    StormWithoutLevel "storm-without-a-level":
        "Once a timer's output is asserted KVM_RUN returns for ever without entering the guest, and shows no level.";
    StormWithoutEnd "storm-without-end": "Once a level is high KVM_RUN returns for ever without entering the guest.";
    StormFromTheStart "storm-from-the-start": "After its first return KVM_RUN returns for ever without entering the guest.";
    SignalsIgnored "signals-ignored":
        "Neither a signal nor immediate_exit ends KVM_RUN: nothing stops a vCPU that does not exit by itself.";
    ReturnsWithoutReason "returns-without-reason": "Every second KVM_RUN returns EINTR without entering the guest.";
    KickedAllTheTime "kicked-all-the-time": "KVM_RUN ends every half millisecond without a reason.";
    RaisedLineReturns "raised-line-returns": "A line that is raised ends KVM_RUN once before the guest is entered.";
    ImmediateExitIgnored "immediate-exit-ignored": "KVM_RUN enters the guest although immediate_exit is set.";
    ImaskIgnored "imask-ignored": "A timer's output is reported although IMASK is set.";
    EnableIgnored "enable-ignored": "A timer's output is reported although ENABLE is clear.";
    WfiNeverWakes "wfi-never-wakes":
        "A vCPU asleep in WFI does not wake when its timer expires (as from v5.19 to commit 4ce98bf0865c).";
    SuspendNeverWakes "cpu-suspend-never-wakes":
        "A vCPU in PSCI CPU_SUSPEND does not wake when its timer expires (as before commit a867e9d0cc15).";
    WakesLate "wakes-late": "A vCPU asleep in WFI wakes a tenth of a second after its timer expired.";
    // Lines, addressing and state.
    LineUpIgnored "line-up-ignored": "KVM_IRQ_LINE raises nothing.";
    LineDownIgnored "line-down-ignored": "KVM_IRQ_LINE lowers nothing.";
    FiqIgnored "fiq-ignored": "KVM_IRQ_LINE does nothing for FIQ.";
    LinesSwapped "lines-swapped": "KVM_IRQ_LINE drives FIQ for IRQ and IRQ for FIQ.";
    LineIsAPulse "line-is-a-pulse": "A raised line falls by itself at once.";
    LineLostOnReturn "line-lost-on-return": "A line falls when KVM_RUN returns.";
    LoweringOneLowersBoth "lowering-one-lowers-both": "Lowering one line lowers the other, too.";
    LineWaitsForExit "line-waits-for-an-exit": "A line that another thread drives changes only at the vCPU's next exit.";
    UnchangedLineKicks "unchanged-line-kicks": "KVM_IRQ_LINE that changes nothing ends KVM_RUN.";
    OnlyTheLineOfVcpu0 "only-the-line-of-vcpu-0":
        "KVM_IRQ_LINE drives the lines of vCPU 0, whichever vCPU its argument names.";
    Vcpu2IndexIgnored "vcpu2-index-ignored": "KVM_IRQ_LINE ignores vcpu2_index.";
    BadLineAccepted "bad-line-accepted": "KVM_IRQ_LINE with a bad number succeeds and does nothing.";
    SetDropped "set-one-reg-dropped": "KVM_SET_ONE_REG of CVAL or of the counter does nothing.";
    CtlSetDropped "set-one-reg-of-ctl-dropped": "KVM_SET_ONE_REG of CTL does nothing.";
    GetReadsZero "get-one-reg-reads-zero": "KVM_GET_ONE_REG of a timer register reads zero.";
    ReinitKeepsTimers "re-init-keeps-timers": "KVM_ARM_VCPU_INIT leaves the timers as they were.";
    RestoreLosesTimers "restored-timers-lost": "Timers restored after KVM_ARM_VCPU_INIT stay off.";
    MigrationStopsTimer "migration-stops-timer": "A vCPU whose thread moves to another CPU loses its timer.";
    CounterOffsetIgnored "counter-offset-ignored": "KVM_ARM_SET_COUNTER_OFFSET succeeds and does nothing.";
    HostWarns "host-warns": "The host kernel warns of KVM in its log.";
    NeighbourTimerMasked "neighbour-timer-masked":
        "The timer of the VM beside this one is masked (as before commit d60d8b64280c).";
    PmuFlagIsEnough "pmu-flag-is-enough": "An overflow flag sets the PMU's bit although its interrupt is not enabled.";
    // The GIC, and the way to it.
    LineDrivenTwice "line-driven-twice": "Each change of a line is two calls of KVM_IRQ_LINE.";
    SgiDropped "sgi-dropped": "Every fourth write to GICD_SGIR is lost.";
    SgiSourceLost "sgi-source-lost": "GICC_IAR names CPU 0 as the source of every SGI.";
    SgiFilterIgnored "sgi-filter-ignored": "GICD_SGIR's filter is taken for 0: the target list.";
    SgiToOthersComesBack "sgi-to-others-comes-back": "An SGI for all other CPUs comes to its sender, too.";
    PrioritiesIgnored "priorities-ignored": "Writes to GICD_IPRIORITYR are lost.";
    PriorityMaskIgnored "priority-mask-ignored": "GICC_PMR lets every priority through.";
    BinaryPointIgnored "binary-point-ignored": "Writes to GICC_BPR are lost.";
    EoiIgnored "eoi-ignored": "Writes to GICC_EOIR are lost.";
    EoiDropsTwo "eoi-drops-two": "A write to GICC_EOIR drops two active priorities.";
    EoiDeactivatesAlways "eoi-deactivates-always": "GICC_EOIR deactivates, whatever GICC_CTLR.EOImode says.";
    DirIgnored "dir-ignored": "Writes to GICC_DIR are lost.";
    SpiDropped "spi-dropped": "A device's output does not arrive at the GIC.";
    SpiLevelForgotten "spi-level-forgotten":
        "The GIC takes an input that is still high at the end of its interrupt for low.";
    EdgeIsLevel "edge-is-level": "Writes to GICD_ICFGR are lost: every SPI is level-sensitive.";
    PulseForgotten "pulse-forgotten": "An edge is forgotten when its input falls.";
    GroupsIgnored "groups-ignored": "Writes to GICD_IGROUPR are lost.";
    ActiveWritesIgnored "active-writes-ignored": "Writes to GICD_ISACTIVER and GICD_ICACTIVER are lost.";
    RegistersAreMemory "gic-registers-are-memory": "The Distributor's registers read as what was written to them.";
    ByteWritesAreWords "byte-writes-are-words": "A byte written to the Distributor clears the three beside it.";
    IdentificationIsZero "gic-identification-is-zero": "Identification registers read as zero.";
    CpusMiscounted "gic-cpus-miscounted": "GICD_TYPER counts one CPU more than there are.";
    RestoreForgetsActive "restore-forgets-active": "In a restored GIC no interrupt is active.";
    RestoreForgetsPriorities "restore-forgets-priorities": "In a restored GIC no priority is active.";
    RestoreForgetsPending "restore-forgets-pending": "In a restored GIC an interrupt is pending only if its input is high.";
    RestoreForgetsLevels "restore-forgets-levels": "In a restored GIC all inputs are low.";
}

impl Fault {
    /// Whether it is of the GIC or of the way to it, and so none of the kernel's.
    pub fn is_of_the_gic(self) -> bool {
        // Those come last, from this one on.
        self >= Fault::LineDrivenTwice
    }
}
