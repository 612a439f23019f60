//! The guest's part: arm64 assembly. Registers: x9 to x14 scratch, x18 how many interrupts were taken, x19 to x26 the
//! program's r0 to r7, x27 and x28 the step that a handler and the program are at, x30 the MMIO page, the others notes.

use vtick_abi::litmus::{NO_HANDLER, Op, base, code, daif, sysreg};

use super::notes::Note;
use super::{Number, Source};

/// Lines of an asm() statement.
#[derive(Default)]
struct Assembly {
    text: String,
    /// Where its last line begins.
    line: usize,
    /// Whether more instructions may stand on that.
    open: bool,
    /// Where the instructions begin that the last comment is about; `None`: it is not for a line's end.
    commented: Option<(usize, String)>,
}

/// The most columns of the instructions of a line.
const WIDTH: usize = 88;

/// The most columns of a line with a comment at its end, tabs written out.
const WHOLE: usize = 100;

impl Assembly {
    /// A comment about the instructions that follow.
    fn comment(&mut self, text: &str) {
        self.close();
        self.commented = Some((self.text.len(), format!("/* {text} */")));
    }

    /// Puts the last comment behind its instructions if they are a line and it fits, or else before them.
    fn close(&mut self) {
        self.open = false;
        let Some((at, comment)) = self.commented.take() else { return };
        let about = self.text[at..].trim_end_matches('\n').trim_start_matches('\t');
        let column = 8 + about.len() + 1;
        if !about.is_empty() && !about.contains('\n') && column + comment.len() <= WHOLE {
            self.text.truncate(self.text.len() - 1);
            self.text += &format!(" {comment}\n");
        } else {
            self.text.insert_str(at, &format!("\t{comment}\n"));
        }
    }

    /// Instructions, as many on a line as fit.
    fn say(&mut self, instructions: &str) {
        for instruction in instructions.lines().filter(|line| !line.is_empty()) {
            let instruction = instruction.replace('\\', "\\\\").replace('"', "\\\"");
            match self.text.strip_suffix("\\n\"\n") {
                Some(before) if self.open && before.len() - self.line + instruction.len() < WIDTH => {
                    let behind = if before.ends_with(':') { " " } else { "; " };
                    self.text.truncate(before.len());
                    self.text += &format!("{behind}{instruction}\\n\"\n");
                }
                _ => {
                    self.line = self.text.len();
                    self.text += &format!("\t\"{instruction}\\n\"\n");
                }
            }
            self.open = true;
        }
    }

    /// A line that stands for itself.
    fn alone(&mut self, line: &str) {
        self.close();
        self.say(line);
        self.open = false;
    }
}

impl Source<'_> {
    /// All that the vCPUs run.
    pub(super) fn assembly(&self) -> String {
        let mut asm = Assembly::default();
        let micros = |index: &usize| matches!(self.value(*index), Number::Micros(_));
        let lengths: Vec<usize> = (0..self.ops.len()).filter(micros).collect();
        let bases: Vec<u16> = lengths.iter().map(|&index| self.ops[index].base).collect();
        let physical = bases.contains(&base::NOW_PHYSICAL);
        let from_now = physical || bases.contains(&base::NOW);
        let (parameter, counter) = if physical { (", now=cntvct_el0", "\\now") } else { ("", "cntvct_el0") };
        let ticks = "mrs x14, cntfrq_el0\nmul x10, x10, x14\nldr x14, =1000000\nsdiv x10, x10, x14";
        let add = format!("isb\nmrs x9, {counter}\nadd x9, x9, x10\n.endm");
        if bases.iter().any(|it| !matches!(*it, base::NOW | base::NOW_PHYSICAL)) {
            asm.comment("x10 := so many microseconds in ticks of the counter");
            asm.say(&format!(".macro ticks us; ldr x10, =\\us\n{ticks}\n.endm"));
            if from_now {
                asm.comment("x9 := now + so many microseconds");
                asm.say(&format!(".macro from_now us{parameter}; ticks \\us\n{add}"));
            }
        } else if from_now {
            asm.comment("x9 := now + so many microseconds");
            asm.say(&format!(".macro from_now us{parameter}; ldr x10, =\\us\n{ticks}\n{add}"));
        }
        asm.say(".pushsection .data; .balign 0x10000; .globl ram; ram:");
        for vcpu in 0..self.program.setup.vcpus {
            self.vcpu_assembly(&mut asm, vcpu);
        }
        asm.alone(&format!(".ltorg; .org ram + {:#x}; .popsection", self.ram()));
        asm.text
    }

    /// How much RAM the guest has: code, then at its end a stack for each vCPU, and the flags below them.
    pub(super) fn ram(&self) -> usize {
        0x1_0000 * (self.program.setup.vcpus.div_ceil(4) + self.ops.len() / 500)
    }

    fn vcpu_assembly(&self, asm: &mut Assembly, vcpu: usize) {
        let none = |entry: u32| entry == NO_HANDLER;
        let (irq, fiq) = (self.header.irq[vcpu], self.header.fiq[vcpu]);
        let may_be_undefined = |op: &Op| matches!(op.code, code::READ | code::WRITE) && op.what >= sysreg::PMCR;
        let asks_for_undefined = !self.program.setup.pmu && self.ops.iter().any(may_be_undefined);
        let tells = "str xzr, [x30, #0x28]; b .";
        if vcpu > 0 {
            asm.alone(&format!(".ltorg; .balign 0x800; .globl guest{vcpu}"));
        }
        asm.say(&format!("guest{vcpu}: b start{vcpu}"));
        if none(irq) && none(fiq) && !asks_for_undefined {
            asm.comment("vectors: NOPs lead to the end");
            asm.say(&format!(".org guest{vcpu} + 0x200; .fill 128, 4, 0xd503201f; {tells}"));
        } else {
            let target = |entry, name| if none(entry) { format!("bad{vcpu}") } else { format!("{name}{vcpu}") };
            if asks_for_undefined {
                asm.comment("an UNDEFINED access gives -1, and the guest goes on behind it");
                asm.say(&format!(".org guest{vcpu} + 0x200; mrs x10, esr_el1\nlsr x10, x10, #26\ncbnz x10, bad{vcpu}"));
                asm.say("mrs x10, elr_el1\nadd x10, x10, #4\nmsr elr_el1, x10\nmov x9, #-1\neret");
                asm.close();
            } else {
                asm.close();
                asm.say(&format!(".org guest{vcpu} + 0x200; b bad{vcpu}"));
            }
            let (irq, fiq) = (target(irq, "irq"), target(fiq, "fiq"));
            asm.say(&format!(".org guest{vcpu} + 0x280; b {irq}\n.org guest{vcpu} + 0x300; b {fiq}"));
            asm.say(&format!(".org guest{vcpu} + 0x380; bad{vcpu}: {tells}"));
        }
        asm.close();
        asm.say(&format!("start{vcpu}: adr x9, guest{vcpu}; msr vbar_el1, x9; isb; mov x30, #0xb000000"));
        if !none(irq) || !none(fiq) {
            asm.say(&format!("mov x9, #{:#x}\nmov sp, x9", self.ram() - vcpu * 0x1000));
        }
        self.block(asm, vcpu, self.header.entry[vcpu], 28);
        asm.comment("the end");
        asm.say("mov x28, #0xffff; str xzr, [x30, #0x10]; b .");
        for (entry, name) in [(irq, "irq"), (fiq, "fiq")] {
            if !none(entry) {
                self.handler(asm, vcpu, entry, name);
            }
        }
        asm.close();
    }

    fn handler(&self, asm: &mut Assembly, vcpu: usize, entry: u32, name: &str) {
        let ops = self.ops[entry as usize..].iter().take_while(|op| op.code != code::END);
        let mut body = Assembly::default();
        self.block(&mut body, vcpu, entry, 27);
        body.close();
        let (mut unmasks, mut calls, mut registers) = (false, false, Vec::new());
        for op in ops {
            unmasks |= op.code == code::UNMASK || op.code == code::DOZE;
            calls |= op.code == code::HVC;
            registers.extend((op.reg < 8).then(|| 19 + op.reg));
        }
        registers.sort_unstable();
        registers.dedup();
        let uses = |names: &[&str]| names.iter().any(|name| body.text.contains(name));
        let scratch = [("x11, x12", uses(&["x11", "x12"])), ("x13, x14", uses(&["x13", "ticks ", "from_now "]))];
        let mut saved = vec!["x9, x10".to_owned()];
        saved.extend(scratch.into_iter().filter(|(_, is)| *is).map(|(pair, _)| pair.to_owned()));
        if calls {
            saved.extend(["x0, x1".to_owned(), "x2, x3".to_owned()]);
        }
        saved.extend(registers.iter().map(|register| format!("x{register}, xzr")));
        asm.close();
        asm.say(&format!("{name}{vcpu}:"));
        for pair in &saved {
            asm.say(&format!("stp {pair}, [sp, #-16]!"));
        }
        if unmasks {
            asm.say("mrs x9, elr_el1\nmrs x10, spsr_el1\nstp x9, x10, [sp, #-16]!");
        }
        asm.say("add x18, x18, #1");
        asm.text += &body.text;
        asm.open = false;
        if unmasks {
            asm.say("msr daifset, #3\nldp x9, x10, [sp], #16\nmsr elr_el1, x9\nmsr spsr_el1, x10");
        }
        for pair in saved.iter().rev() {
            // What is loaded to the zero register is gone.
            asm.say(&format!("ldp {pair}, [sp], #16"));
        }
        asm.say("mov x27, #0\neret");
    }

    /// The operations from `entry` to their end; the number of each goes into register `at`.
    fn block(&self, asm: &mut Assembly, vcpu: usize, entry: u32, at: u16) {
        let mut index = entry as usize;
        loop {
            let branches = |code| matches!(code, code::LOOP | code::UNLESS);
            if self.ops.iter().any(|op| branches(op.code) && op.extra == index as u64) {
                asm.close();
                asm.say(&format!(".Lstep{}:", index + 1));
            }
            if self.ops[index].code == code::END {
                return;
            }
            let step = self.program.step(index as u32);
            asm.comment(&self.program.line(step));
            asm.say(&format!("mov x{at}, #{}", index + 1));
            if let Some(place) = self.notes.place(index as u32, Note::Before) {
                asm.say(&format!("isb\nmrs x{place}, cntvct_el0"));
            }
            self.operation(asm, vcpu, index);
            let op = &self.ops[index];
            if op.reg < 8 && op.code != code::LOOP {
                asm.say(&format!("mov x{}, x9", 19 + op.reg));
            }
            let notes = [(Note::Value, ""), (Note::After, "cntvct_el0"), (Note::AfterPhysical, "cntpct_el0")];
            for (note, counter) in notes {
                if let Some(place) = self.notes.place(index as u32, note) {
                    asm.say(&match note {
                        Note::Value => format!("mov x{place}, x9"),
                        _ => format!("isb\nmrs x{place}, {counter}"),
                    });
                }
            }
            index += 1;
        }
    }

    /// One operation, its result in x9.
    fn operation(&self, asm: &mut Assembly, vcpu: usize, index: usize) {
        let op = &self.ops[index];
        let below = self.ram() - 0x1000 * (self.program.setup.vcpus + 1);
        let flag = below + 8 * usize::from(op.what);
        let both = daif::IRQ | daif::FIQ;
        let width = if op.what == 8 { 'x' } else { 'w' };
        let suffix = match op.what {
            1 => "b",
            2 => "h",
            _ => "",
        };
        let near = op.extra.wrapping_sub(0x0b00_0000);
        let address = if near < 0x1000 { format!("[x30, #{near:#x}]") } else { "[x10]".to_owned() };
        let far = if near < 0x1000 { String::new() } else { format!("ldr x10, ={:#x}", op.extra) };
        match op.code {
            code::SET => self.operand(asm, index),
            code::READ => asm.say(&format!("mrs x9, {}", register(op.what))),
            code::WRITE => {
                self.operand(asm, index);
                asm.say(&format!("msr {}, x9\nisb", register(op.what)));
            }
            code::MASK => asm.say(&format!("msr daifset, #{}", op.what)),
            code::UNMASK => asm.say(&format!("msr daifclr, #{}", op.what)),
            code::WFI => asm.say("dsb sy\nwfi"),
            code::WFE => asm.say("wfe"),
            code::SEV => asm.say("sev"),
            code::BARRIER => asm.say("dsb sy\nisb"),
            code::SPIN => {
                self.operand(asm, index);
                asm.say("1: isb\nmrs x10, cntvct_el0\ncmp x10, x9\nb.lo 1b");
            }
            code::TAKE => {
                self.operand(asm, index);
                asm.say(&format!("ldr x11, ={:#x}\n1: cmp x18, x11\nb.hs 2f\nisb\nmrs x10, cntvct_el0", op.extra));
                asm.say("cmp x10, x9\nb.lo 1b\n2: mov x9, x18");
            }
            code::LOAD => asm.say(&format!("{far}\nldr{suffix} {width}9, {address}")),
            code::STORE => {
                self.operand(asm, index);
                asm.say(&format!("{far}\ndsb sy\nstr{suffix} {width}9, {address}"));
            }
            code::HVC => {
                self.operand(asm, index);
                let vcpu = op.what;
                let is_there = vcpu > 0 && usize::from(vcpu) < self.program.setup.vcpus;
                let entry = if is_there { format!("adr x2, guest{vcpu}") } else { "mov x2, #0".to_owned() };
                asm.say(&format!("mov x0, x9\nldr x1, ={:#x}\n{entry}\nmov x3, #{vcpu}", op.extra));
                asm.say("hvc #0\nmov x9, x0");
            }
            code::ACTION => {
                let late = Self::is_late(&self.program.actions()[op.extra as usize]);
                let place = if late { "0x20" } else { "0x18" };
                asm.say(&format!("mov x9, #{}\nstr x9, [x30, #{place}]", op.extra));
            }
            code::SIGNAL => {
                self.operand(asm, index);
                asm.say(&format!("mrs x12, daif\nmsr daifset, #{both}\nldr x11, ={flag:#x}\nadd x11, x11, x9, lsl #3"));
                let own = 0x100 * vcpu;
                asm.say(&format!("ldr x10, [x11, #{own}]\nadd x10, x10, #1\nstr x10, [x11, #{own}]"));
                self.sum(asm);
                asm.say("msr daif, x12\nmov x9, x13");
            }
            code::AWAIT => {
                self.operand(asm, index);
                asm.say(&format!("ldr x11, ={flag:#x}\nldr x12, ={:#x}\n1:", op.extra));
                self.sum(asm);
                asm.say("cmp x13, x12\nb.hs 2f\nisb\nmrs x10, cntvct_el0\ncmp x10, x9\nb.lo 1b\n2: mov x9, x13");
            }
            code::DOZE => {
                asm.say(&format!("msr daifset, #{both}\nldr x11, ={flag:#x}\nldr x12, ={:#x}\n1:", op.extra));
                self.sum(asm);
                asm.say(&format!(
                    "cmp x13, x12\nb.hs 2f\ndsb sy\nwfi\nmsr daifclr, #{both}\nisb\nmsr daifset, #{both}"
                ));
                asm.say("b 1b\n2: mov x9, x13");
            }
            code::UNLESS => {
                self.operand(asm, index);
                asm.say(&format!("cmp x{}, x9\nb.ne .Lstep{}", 19 + op.what, op.extra + 1));
            }
            code::LOOP => {
                let left = 19 + op.reg;
                asm.say(&format!("cbz x{left}, 1f\nsub x{left}, x{left}, #1\n1: cbnz x{left}, .Lstep{}", op.extra + 1));
            }
            code::FIELD => {
                self.operand(asm, index);
                asm.say(&format!("ubfx x9, x9, #{}, #{}", op.extra, op.what));
            }
            unknown => unreachable!("operation code {unknown}"),
        }
    }

    /// What the vCPUs have added to the flag at x11, in x13: each has a word of its own.
    fn sum(&self, asm: &mut Assembly) {
        asm.say("mov x13, #0");
        for vcpu in 0..self.program.setup.vcpus {
            asm.say(&format!("ldr x10, [x11, #{}]\nadd x13, x13, x10", 0x100 * vcpu));
        }
    }

    /// The operand of an operation, in x9.
    fn operand(&self, asm: &mut Assembly, index: usize) {
        let op = &self.ops[index];
        let (number, from) = (self.value(index), op.base);
        if let (Number::Micros(micros), base::NOW | base::NOW_PHYSICAL) = (number, from) {
            let now = if from == base::NOW { "" } else { ", cntpct_el0" };
            return asm.say(&format!("from_now {micros}{now}"));
        }
        let from = match from {
            base::ZERO => return constant(asm, "x9", number),
            base::NOW => "isb\nmrs x9, cntvct_el0".to_owned(),
            base::NOW_PHYSICAL => "isb\nmrs x9, cntpct_el0".to_owned(),
            register => format!("mov x9, x{}", 19 + register - base::REGISTER),
        };
        if number == Number::Is(0) {
            return asm.say(&from);
        }
        constant(asm, "x10", number);
        asm.say(&format!("{from}\nadd x9, x9, x10"));
    }
}

fn constant(asm: &mut Assembly, register: &str, number: Number) {
    match number {
        Number::Is(value) if value < 0x1_0000 => asm.say(&format!("mov {register}, #{value}")),
        Number::Is(value) => asm.say(&format!("ldr {register}, ={value:#x}")),
        Number::Micros(micros) if register == "x10" => asm.say(&format!("ticks {micros}")),
        Number::Micros(micros) => asm.say(&format!("ticks {micros}\nmov {register}, x10")),
    }
}

/// The assembler's name of a system register.
pub(super) fn register(number: u16) -> &'static str {
    match number {
        sysreg::CNTV_CTL => "cntv_ctl_el0",
        sysreg::CNTV_CVAL => "cntv_cval_el0",
        sysreg::CNTV_TVAL => "cntv_tval_el0",
        sysreg::CNTVCT => "cntvct_el0",
        sysreg::CNTP_CTL => "cntp_ctl_el0",
        sysreg::CNTP_CVAL => "cntp_cval_el0",
        sysreg::CNTP_TVAL => "cntp_tval_el0",
        sysreg::CNTPCT => "cntpct_el0",
        sysreg::ISR => "isr_el1",
        sysreg::DAIF => "daif",
        sysreg::MPIDR => "mpidr_el1",
        sysreg::CNTFRQ => "cntfrq_el0",
        sysreg::PMCR => "pmcr_el0",
        sysreg::PMCNTENSET => "pmcntenset_el0",
        sysreg::PMCNTENCLR => "pmcntenclr_el0",
        sysreg::PMINTENSET => "pmintenset_el1",
        sysreg::PMINTENCLR => "pmintenclr_el1",
        sysreg::PMOVSSET => "pmovsset_el0",
        sysreg::PMOVSCLR => "pmovsclr_el0",
        sysreg::PMCCNTR => "pmccntr_el0",
        sysreg::PMCCFILTR => "pmccfiltr_el0",
        sysreg::PMSWINC => "pmswinc_el0",
        sysreg::PMSELR => "pmselr_el0",
        sysreg::PMXEVTYPER => "pmxevtyper_el0",
        sysreg::PMXEVCNTR => "pmxevcntr_el0",
        sysreg::ICC_SRE => "S3_0_C12_C12_5",
        sysreg::ICC_IAR1 => "S3_0_C12_C12_0",
        sysreg::ICC_EOIR1 => "S3_0_C12_C12_1",
        sysreg::ICC_PMR => "S3_0_C4_C6_0",
        sysreg::ICC_IGRPEN1 => "S3_0_C12_C12_7",
        unknown => unreachable!("system register {unknown}"),
    }
}
