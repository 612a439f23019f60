//! A program as text.

use vtick_abi::litmus::{self as abi, Op, code, daif, sysreg};

use super::{Program, Step, Value};

impl Program {
    /// A step as a line of text.
    pub fn describe(&self, step: Step) -> String {
        match self.blocks.get(step.block as usize).and_then(|block| block.ops.get(step.index as usize)) {
            Some(op) => self.describe_op(op),
            None => "end".to_owned(),
        }
    }

    fn describe_op(&self, op: &Op) -> String {
        let value = Value::decode(op.base, op.value);
        let lines = |bits: u16| match bits {
            daif::IRQ => "IRQ",
            daif::FIQ => "FIQ",
            _ => "IRQ and FIQ",
        };
        let text = match op.code {
            code::SET => format!("note {value}"),
            code::READ => format!("read {}", sysreg_name(op.what)),
            code::WRITE => format!("{} := {value}", sysreg_name(op.what)),
            code::MASK => format!("mask {}", lines(op.what)),
            code::UNMASK => format!("unmask {}", lines(op.what)),
            code::WFI => "WFI".to_owned(),
            code::WFE => "WFE".to_owned(),
            code::SEV => "SEV".to_owned(),
            code::SPIN => format!("spin until {value}"),
            code::TAKE => format!("spin until {} interrupts were taken, or {value}", op.extra),
            code::LOAD => format!("MMIO read {} at {:#x}", op.what, op.extra),
            code::STORE => format!("MMIO write {} at {:#x} := {value}", op.what, op.extra),
            code::HVC if value == Value::Is(0xc400_0003) => format!("PSCI CPU_ON of vCPU {}", op.what),
            code::HVC => format!("HVC x0 = {value}, x1 = {:#x}", op.extra),
            code::ACTION => format!("host: {}", self.actions[op.extra as usize]),
            code::SIGNAL if value == Value::Is(0) => format!("signal flag {}", op.what),
            code::SIGNAL => format!("signal flag {} + {value}", op.what),
            code::AWAIT => format!("spin until flag {} is {}, or {value}", op.what, op.extra),
            code::LOOP => format!("loop over r{}", op.reg),
            code::BARRIER => "barrier".to_owned(),
            code::UNLESS => format!("if r{} is {value}, what comes before operation {} here:", op.what, op.extra),
            code::FIELD => format!("bits {} to {} of {value}", op.extra + u64::from(op.what) - 1, op.extra),
            code::DOZE => format!("WFI, and take interrupts, until flag {} is {}", op.what, op.extra),
            unknown => format!("operation code {unknown}"),
        };
        match op.reg {
            register if usize::from(register) < abi::REGISTERS && op.code != code::LOOP => {
                format!("r{register} = {text}")
            }
            _ => text,
        }
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.setup.irqchip != super::Irqchip::Userspace {
            writeln!(f, "VM with {}", self.setup.irqchip)?;
        }
        if !self.setup.runs_on.is_empty() {
            let created = &self.setup.creation;
            let created =
                if created.len() > 4 { format!("0 to {}", created.len() - 1) } else { format!("{created:?}") };
            writeln!(f, "vCPUs created: {created}; those that run: {:?}", self.setup.runs_on)?;
        }
        for &index in &self.before {
            writeln!(f, "before: {}", self.actions[index])?;
        }
        for block in self.blocks.iter().filter(|block| !block.ops.is_empty()) {
            writeln!(f, "{}:", block.title)?;
            for op in &block.ops {
                writeln!(f, "    {}", self.describe_op(op))?;
            }
        }
        match &self.neighbour {
            Some(neighbour) => write!(f, "beside it, on the same host CPU:\n{neighbour}"),
            None => Ok(()),
        }
    }
}

fn sysreg_name(register: u16) -> &'static str {
    match register {
        sysreg::CNTV_CTL => "CNTV_CTL",
        sysreg::CNTV_CVAL => "CNTV_CVAL",
        sysreg::CNTV_TVAL => "CNTV_TVAL",
        sysreg::CNTVCT => "CNTVCT",
        sysreg::CNTP_CTL => "CNTP_CTL",
        sysreg::CNTP_CVAL => "CNTP_CVAL",
        sysreg::CNTP_TVAL => "CNTP_TVAL",
        sysreg::CNTPCT => "CNTPCT",
        sysreg::ISR => "ISR_EL1",
        sysreg::DAIF => "DAIF",
        sysreg::MPIDR => "MPIDR_EL1",
        sysreg::CNTFRQ => "CNTFRQ",
        sysreg::PMCR => "PMCR",
        sysreg::PMCNTENSET => "PMCNTENSET",
        sysreg::PMCNTENCLR => "PMCNTENCLR",
        sysreg::PMINTENSET => "PMINTENSET",
        sysreg::PMINTENCLR => "PMINTENCLR",
        sysreg::PMOVSSET => "PMOVSSET",
        sysreg::PMOVSCLR => "PMOVSCLR",
        sysreg::PMCCNTR => "PMCCNTR",
        sysreg::PMCCFILTR => "PMCCFILTR",
        sysreg::PMSWINC => "PMSWINC",
        sysreg::PMSELR => "PMSELR",
        sysreg::PMXEVTYPER => "PMXEVTYPER",
        sysreg::PMXEVCNTR => "PMXEVCNTR",
        sysreg::ICC_SRE => "ICC_SRE_EL1",
        sysreg::ICC_IAR1 => "ICC_IAR1_EL1",
        sysreg::ICC_EOIR1 => "ICC_EOIR1_EL1",
        sysreg::ICC_PMR => "ICC_PMR_EL1",
        sysreg::ICC_IGRPEN1 => "ICC_IGRPEN1_EL1",
        _ => "(unknown system register)",
    }
}
