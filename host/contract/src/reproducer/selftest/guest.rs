//! The guest's part of a test: the program's operations as statements on the library of the kernel's selftests.

use vtick_abi::layout::MAILBOX_BASE;
use vtick_abi::litmus::{NO_HANDLER, base, code, daif, sysreg};
use vtick_abi::mailbox;

use super::super::guest::register;
use super::super::notes::Note;
use super::super::{FAST, Number, Source, number};
use crate::expect::LATE_US;
use crate::program::{Action, ActionRef, Deadline, Expectation, Step, TimerRegister, Value};
use vtick_core::lines::Line;

impl Source<'_> {
    /// The functions that the guest runs: its program, and its handler where it has one.
    pub(super) fn guest_functions(&self, name: &str) -> String {
        let mut text = String::new();
        let irq = self.header.irq[0];
        assert_eq!(self.header.fiq[0], NO_HANDLER, "{name}: the selftest has no handler of FIQs");
        assert_eq!(self.program.setup.vcpus, 1, "{name}: the selftest has one vCPU");
        if irq != NO_HANDLER {
            let body: String = self.statements(irq, false).iter().map(|line| format!("\t{line}\n")).collect();
            text += &format!(
                "static void {name}_irq(struct ex_regs *regs)\n{{\n\tWRITE_ONCE(guest_irqs, guest_irqs + 1);\n{body}}}\n\n"
            );
        }
        let mut variables: Vec<String> = self.variables();
        variables.dedup();
        if !variables.is_empty() {
            variables = vec![format!("u64 {};", variables.join(", ")), String::new()];
        }
        let lines = variables.into_iter().chain(self.statements(self.header.entry[0], true));
        let body: String =
            lines.map(|line| if line.is_empty() { "\n".to_owned() } else { format!("\t{line}\n") }).collect();
        text + &format!("static void {name}(void)\n{{\n{body}}}\n")
    }

    /// The operations from `entry` to their end.
    fn statements(&self, entry: u32, marked: bool) -> Vec<String> {
        let marks = if marked { self.marks() } else { Vec::new() };
        let mut lines = Vec::new();
        for index in entry.. {
            if let Some(mark) = marks.iter().position(|&number| number == index + 1) {
                lines.push(format!("at({});", mark + 1));
            }
            if self.ops[index as usize].code == code::END {
                break;
            }
            let step = self.program.step(index);
            if self.notes.place(index, Note::Before).is_some() {
                lines.push("before = timer_get_cntct(VIRTUAL);".to_owned());
            }
            lines.extend(self.statement(index as usize));
            lines.extend(self.assertions(step));
        }
        if marked {
            lines.push("GUEST_DONE();".to_owned());
        }
        lines
    }

    /// What the guest keeps, for what it asserts later.
    fn variables(&self) -> Vec<String> {
        let (mut names, mut index) = (Vec::new(), self.header.entry[0]);
        while self.ops[index as usize].code != code::END {
            if self.notes.place(index, Note::Before).is_some() {
                names.push("before".to_owned());
            }
            if self.notes.place(index, Note::Value).is_some() {
                names.push(self.variable(self.program.step(index)));
            }
            index += 1;
        }
        names
    }

    /// The variable of a step's value.
    fn variable(&self, step: Step) -> String {
        let line = self.program.line(step);
        line.split_once(": ").expect("a step that an expectation speaks of has a name").0.replace('-', "_")
    }

    /// One operation. Its result goes into a variable where something is asserted of it.
    pub(super) fn statement(&self, index: usize) -> Vec<String> {
        let op = &self.ops[index];
        let step = self.program.step(index as u32);
        let kept = self.notes.place(index as u32, Note::Value).is_some();
        let keep =
            |value: String| if kept { format!("{} = {value};", self.variable(step)) } else { format!("{value};") };
        let operand = self.expression(index);
        let both = daif::IRQ | daif::FIQ;
        match op.code {
            code::SET if !kept => Vec::new(),
            code::SET => vec![keep(operand)],
            // What nobody looks at takes no exit either.
            code::READ if !kept && op.what == sysreg::CNTV_CTL => Vec::new(),
            code::READ => vec![keep(format!("read_sysreg({})", register(op.what)))],
            code::WRITE if kept => {
                let name = self.variable(step);
                vec![format!("{name} = {operand};"), write(op.what, &name)]
            }
            code::WRITE => vec![write(op.what, &operand)],
            code::MASK if op.what == both => vec!["local_irq_disable();".to_owned()],
            code::UNMASK if op.what == both => vec!["local_irq_enable();".to_owned()],
            code::WFI => vec!["sleep_in_wfi();".to_owned()],
            code::SPIN => vec![format!("spin_until({operand});")],
            code::TAKE => vec![keep(format!("take_irqs({}, {operand})", op.extra))],
            code::LOAD if op.extra == MAILBOX_BASE + mailbox::SCRATCH && !kept => vec!["mmio_read();".to_owned()],
            code::STORE if op.extra == MAILBOX_BASE + mailbox::SINK => vec!["mmio_write();".to_owned()],
            code::HVC if op.value == 0x8400_0000 && !kept => vec!["psci_version();".to_owned()],
            code::ACTION => vec![self.request(ActionRef(op.extra as usize))],
            _ => unreachable!("the selftest has no words for {}", self.program.line(step)),
        }
    }

    /// What the guest asks userspace for.
    fn request(&self, action: ActionRef) -> String {
        match self.program.actions()[action.0] {
            Action::Line { vcpu: 0, line: Line::Irq, level: true } => "GUEST_SYNC(RAISE_IRQ);".to_owned(),
            Action::Line { vcpu: 0, line: Line::Irq, level: false } => "GUEST_SYNC(LOWER_IRQ);".to_owned(),
            Action::LineAfter { vcpu: 0, line: Line::Irq, level: true, .. } => {
                format!("GUEST_SYNC_ARGS(RAISE_IRQ_LATER, {}, 0, 0, 0);", self.wait(action))
            }
            Action::Set(TimerRegister::CntvCval, Value::Now(ticks)) => match number(ticks, ticks / 2) {
                Number::Micros(micros) => format!("GUEST_SYNC_ARGS(SET_VTIMER_CVAL, {micros}, 0, 0, 0);"),
                Number::Is(_) => unreachable!("deadlines are lengths of time"),
            },
            action => unreachable!("the selftest has no words for {}", self.program.action_line(action)),
        }
    }

    /// The operand of an operation, as an expression.
    fn expression(&self, index: usize) -> String {
        let op = &self.ops[index];
        let timer = match op.base {
            base::ZERO => None,
            base::NOW => Some("VIRTUAL"),
            base::NOW_PHYSICAL => Some("PHYSICAL"),
            _ => unreachable!("the selftest has no general registers"),
        };
        match (timer, self.value(index)) {
            (None, Number::Is(value)) if op.code == code::WRITE && op.what >= sysreg::PMCR => format!("{value:#x}"),
            (None, Number::Is(value)) => value.to_string(),
            (Some(timer), Number::Micros(micros)) if micros >= 0 => format!("in_us({timer}, {micros})"),
            (Some(timer), Number::Is(0)) => format!("timer_get_cntct({timer})"),
            _ => unreachable!("the selftest has no words for {}", self.program.line(self.program.step(index as u32))),
        }
    }

    /// What the guest can assert by itself once a step is done.
    fn assertions(&self, done: Step) -> Vec<String> {
        let all = self.program.expectations().iter();
        all.filter_map(|expectation| match *expectation {
            Expectation::InTime(step, Deadline { step: set, physical }) if step == done => {
                let timer = if physical { "PHYSICAL" } else { "VIRTUAL" };
                Some(format!("GUEST_ASSUME(timer_get_cntct({timer}) < {});", self.variable(set)))
            }
            Expectation::Gives { step, due, mask: u64::MAX } if step == done => {
                Some(format!("GUEST_ASSERT_EQ({}, {due});", self.variable(step)))
            }
            Expectation::EndsAt(step, Deadline { step: set, physical }) if step == done => {
                let timer = if physical { "PHYSICAL" } else { "VIRTUAL" };
                let late = format!("timer_get_cntct({timer}) - {}", self.variable(set));
                Some(format!("GUEST_ASSERT({late} < usec_to_cycles(LATE_US));"))
            }
            Expectation::EndsWithin(step, ticks) if step == done => {
                let micros = (ticks / (FAST / 1_000_000)).checked_sub(LATE_US).expect("it may be late, too");
                let most = if micros == 0 { "LATE_US".to_owned() } else { format!("{micros} + LATE_US") };
                Some(format!("GUEST_ASSERT(timer_get_cntct(VIRTUAL) - before < usec_to_cycles({most}));"))
            }
            _ => None,
        })
        .collect()
    }
}

/// Writes a system register, and an ISB behind.
fn write(what: u16, value: &str) -> String {
    let ctl = || match value {
        "1" => "CTL_ENABLE",
        "2" => "CTL_IMASK",
        "3" => "CTL_ENABLE | CTL_IMASK",
        other => other,
    };
    match what {
        sysreg::CNTV_CVAL => format!("timer_set_cval(VIRTUAL, {value});"),
        sysreg::CNTP_CVAL => format!("timer_set_cval(PHYSICAL, {value});"),
        sysreg::CNTV_CTL => format!("timer_set_ctl(VIRTUAL, {});", ctl()),
        sysreg::CNTP_CTL => format!("timer_set_ctl(PHYSICAL, {});", ctl()),
        _ if what >= sysreg::PMCR => format!("write_pmu({value}, {});", register(what)),
        _ => unreachable!("the selftest writes timers and the PMU"),
    }
}
