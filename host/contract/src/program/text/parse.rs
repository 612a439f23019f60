//! A text read as a program, line by line.

use vtick_abi::litmus::{Op, REGISTERS, code};

use super::actions::ACTIONS;
use super::error::SyntaxError;
use super::expectations::EXPECTATIONS;
use super::form::{self, Failure};
use super::operations::{OPERATIONS, number, of};
use super::setup::TRAITS;
use super::slot::{Context, Cursor, Wanted, is_name};
use super::token::{Token, tokens};
use super::{Litmus, limits};
use crate::program::labels::Labels;
use crate::program::{Action, ActionRef, Program, Step};

/// Words that lines begin with: no step can have them for a name.
const RESERVED: [&str; 13] =
    ["claim", "clause", "VM", "vCPU", "before", "require", "beside", "expect", "assume", "skip", "host", "if", "loop"];

/// Reads a program for a machine whose counter runs at `cntfrq` Hz, and which makes all spans `scale` times as long. The
/// error says where the text is wrong, and what was expected there.
pub fn parse(text: &str, cntfrq: u64, scale: u64) -> Result<Litmus, SyntaxError> {
    let mut parser = Parser {
        program: Program::paced(cntfrq, scale),
        outer: None,
        claim: String::new(),
        clause: None,
        block: None,
        conditions: Vec::new(),
        action_lines: Vec::new(),
        line: 0,
    };
    for line in text.lines() {
        parser.line += 1;
        match line.trim_start().strip_prefix("claim:") {
            Some(claim) => parser.claim = format!("{} {}", parser.claim, claim.trim()).trim().to_owned(),
            None => parser.statement(line)?,
        }
    }
    parser.finish()
}

/// What was read so far.
struct Parser {
    program: Program,
    /// The program of the VM that the present one runs beside, and the lines of its actions.
    outer: Option<(Program, Vec<usize>)>,
    claim: String,
    clause: Option<String>,
    /// The block that operations go into.
    block: Option<usize>,
    /// The conditions that are open: where they stand in the block, and in which line.
    conditions: Vec<(usize, usize)>,
    action_lines: Vec<usize>,
    line: usize,
}

impl Parser {
    fn statement(&mut self, line: &str) -> Result<(), SyntaxError> {
        let tokens = tokens(line, self.line)?;
        let mut cursor = Cursor { tokens: &tokens, at: 0 };
        let end = line.trim_end().chars().count() + 1;
        let Some(first) = cursor.peek() else { return Ok(()) };
        let done = match first.text {
            "clause" => self.clause(&mut cursor),
            "VM" => self.vm(&mut cursor),
            "before" | "require" => self.before(&mut cursor, first.text == "require"),
            "vCPU" => self.header(&mut cursor),
            "beside" => self.beside(&mut cursor),
            "expect" | "assume" | "skip" => self.expectation(&cursor),
            "}" => self.end_condition(&mut cursor),
            _ => self.operation(&mut cursor),
        };
        done.map_err(|failure| self.error(&failure, &tokens, end))
    }

    fn context<'a>(&self, labels: &'a Labels) -> Context<'a> {
        Context { units: self.program.units(), labels }
    }

    fn clause(&mut self, cursor: &mut Cursor) -> Result<(), Failure> {
        cursor.at += 1;
        take(cursor, ":")?;
        let name = cursor.peek().filter(|token| is_name(token));
        let name = name.ok_or_else(|| Failure::wanting(cursor, Wanted::new("a clause, such as C11")))?;
        self.clause = Some(name.text.to_owned());
        cursor.at += 1;
        end(cursor)
    }

    fn vm(&mut self, cursor: &mut Cursor) -> Result<(), Failure> {
        cursor.at += 1;
        take(cursor, ":")?;
        if self.block.is_some() {
            return Err(wrong("what a VM is like is said before its first vCPU's block"));
        }
        let said = form::parse(TRAITS, cursor, &self.program, self.context(&self.program.labels))?;
        said.apply(&mut self.program.setup);
        Ok(())
    }

    fn before(&mut self, cursor: &mut Cursor, required: bool) -> Result<(), Failure> {
        cursor.at += 1;
        take(cursor, ":")?;
        let name = self.label(cursor)?;
        let action = form::parse(ACTIONS, cursor, &self.program, self.context(&self.program.labels))?;
        if action == Action::MoveToFreshVm {
            return Err(wrong("only vCPUs that run can ask for a fresh VM"));
        }
        let action = if required { self.program.require(action) } else { self.program.before(action) };
        self.action_lines.push(self.line);
        if let Some(name) = name {
            self.program.labels.add(name, None, Some(action));
        }
        Ok(())
    }

    fn header(&mut self, cursor: &mut Cursor) -> Result<(), Failure> {
        let pieces = self.slots("vCPU <vcpu>", cursor)?;
        let vcpu = number(&pieces[0]) as usize;
        let line = if cursor.take(",").is_ok() {
            take(cursor, "on")?;
            Some(number(&self.slots("<line>", cursor)?[0]))
        } else {
            None
        };
        take(cursor, ":")?;
        end(cursor)?;
        self.no_open_condition()?;
        let program = &mut self.program;
        let (title, place) = match line {
            None => (format!("vCPU {vcpu}"), &mut program.main[vcpu]),
            Some(0) => (format!("vCPU {vcpu}, on IRQ"), &mut program.irq[vcpu]),
            Some(_) => (format!("vCPU {vcpu}, on FIQ"), &mut program.fiq[vcpu]),
        };
        // vCPU 0 has a block from the start: it is this one, if nothing is in it yet.
        let again = match *place {
            Some(0) => self.block == Some(0) || !program.blocks[0].ops.is_empty(),
            other => other.is_some(),
        };
        if again {
            return Err(wrong(format!("{title} has a block already")));
        }
        if *place != Some(0) {
            *place = Some(program.blocks.len());
            program.blocks.push(super::super::Block { title, ops: Vec::new() });
        }
        self.block = *place;
        program.setup.vcpus = program.setup.vcpus.max(vcpu + 1);
        Ok(())
    }

    fn beside(&mut self, cursor: &mut Cursor) -> Result<(), Failure> {
        cursor.at += 1;
        take(cursor, ":")?;
        end(cursor)?;
        self.no_open_condition()?;
        if self.outer.is_some() {
            return Err(wrong("there are two VMs at most"));
        }
        let fresh = Program::paced(self.program.cntfrq, self.program.scale);
        let program = std::mem::replace(&mut self.program, fresh);
        self.outer = Some((program, std::mem::take(&mut self.action_lines)));
        self.block = None;
        Ok(())
    }

    fn expectation(&mut self, cursor: &Cursor) -> Result<(), Failure> {
        let expectation = form::parse(EXPECTATIONS, cursor, &self.program, self.context(&self.program.labels))?;
        self.program.expect(expectation);
        Ok(())
    }

    fn end_condition(&mut self, cursor: &mut Cursor) -> Result<(), Failure> {
        cursor.at += 1;
        end(cursor)?;
        let (Some((condition, _)), Some(block)) = (self.conditions.pop(), self.block) else {
            return Err(wrong("no condition is open that this could end"));
        };
        let ops = &mut self.program.blocks[block].ops;
        ops[condition].extra = ops.len() as u64;
        Ok(())
    }

    fn no_open_condition(&self) -> Result<(), Failure> {
        match self.conditions.last() {
            None => Ok(()),
            Some((_, line)) => Err(wrong(format!("the condition of line {line} is not ended by }}"))),
        }
    }

    fn operation(&mut self, cursor: &mut Cursor) -> Result<(), Failure> {
        let Some(block) = self.block else {
            let begins = ["claim:", "clause:", "VM:", "before:", "require:", "vCPU 0:", "beside:"];
            return Err(Failure { at: 0, wanted: begins.map(Wanted::word).to_vec(), wrong: None });
        };
        let name = self.label(cursor)?;
        let register = self.result_register(cursor)?;
        let mut op = match cursor.peek().map(|token| token.text) {
            Some("if") => {
                let pieces = self.slots("if <register> is <value> {", cursor)?;
                end(cursor)?;
                let (base, value) = of(&pieces[1]).encode();
                self.conditions.push((self.program.blocks[block].ops.len(), self.line));
                Op { code: code::UNLESS, what: number(&pieces[0]) as u16, base, reg: u16::MAX, value, extra: 0 }
            }
            Some("loop") => {
                let pieces = self.slots("loop <register> to <step>", cursor)?;
                end(cursor)?;
                let super::slot::Piece::Step(Step { block: target, index }) = pieces[1] else {
                    unreachable!("{pieces:?} in a slot for a step")
                };
                if target as usize != block {
                    return Err(wrong("a loop stays in its block"));
                }
                let reg = number(&pieces[0]) as u16;
                Op { code: code::LOOP, what: 0, base: 0, reg, value: 0, extra: index.into() }
            }
            Some("host") => {
                cursor.at += 1;
                take(cursor, ":")?;
                let action = form::parse(ACTIONS, cursor, &self.program, self.context(&self.program.labels))?;
                self.program.actions.push(action);
                self.action_lines.push(self.line);
                let extra = self.program.actions.len() as u64 - 1;
                Op { code: code::ACTION, what: 0, base: 0, reg: u16::MAX, value: 0, extra }
            }
            _ => form::parse(OPERATIONS, cursor, &self.program, self.context(&self.program.labels)).map_err(
                |failure| {
                    let others = ["if", "loop", "host:"].map(Wanted::word).to_vec();
                    failure.or(Failure { at: cursor.at, wanted: others, wrong: None })
                },
            )?,
        };
        if let Some(register) = register {
            if matches!(op.code, code::UNLESS | code::LOOP) {
                return Err(wrong("this has no result to keep in a register"));
            }
            op.reg = register;
        }
        let ops = &mut self.program.blocks[block].ops;
        ops.push(op);
        let step = Step { block: block as u32, index: ops.len() as u32 - 1 };
        if let Some(name) = name {
            let action = super::super::labels::asks(&op);
            self.program.labels.add(name, Some(step), action);
        }
        Ok(())
    }

    /// The name in front of a step.
    fn label(&self, cursor: &mut Cursor) -> Result<Option<String>, Failure> {
        let [name, colon, ..] = &cursor.tokens[cursor.at..] else { return Ok(None) };
        if !is_name(name) || colon.text != ":" || name.text == "host" {
            return Ok(None);
        }
        if RESERVED.contains(&name.text) || register(name).is_some() {
            return Err(wrong(format!("`{}` has a meaning of its own: no step can have it for a name", name.text)));
        }
        if self.program.labels.find(name.text).is_some() {
            return Err(wrong(format!("there is a step called `{}` already", name.text)));
        }
        cursor.at += 2;
        Ok(Some(name.text.to_owned()))
    }

    fn result_register(&self, cursor: &mut Cursor) -> Result<Option<u16>, Failure> {
        match &cursor.tokens[cursor.at..] {
            [first, equals, ..] if equals.text == "=" => {
                let register = register(first)
                    .ok_or_else(|| Failure::wanting(cursor, Wanted::new("a general register (r0 to r7)")))?;
                cursor.at += 2;
                Ok(Some(register))
            }
            _ => Ok(None),
        }
    }

    fn slots(&self, pattern: &str, cursor: &mut Cursor) -> Result<Vec<super::slot::Piece>, Failure> {
        form::slots(pattern, cursor, self.context(&self.program.labels))
            .map_err(|wanted| Failure::wanting(cursor, wanted))
    }

    fn finish(mut self) -> Result<Litmus, SyntaxError> {
        let last = self.line.max(1);
        let at = |line: usize, message: String| SyntaxError::new(line, 1, message);
        if let Err(Failure { wrong: Some(message), .. }) = self.no_open_condition() {
            return Err(at(last, message));
        }
        let programs = [Some((&self.program, &self.action_lines)), self.outer.as_ref().map(|(p, lines)| (p, lines))];
        for (program, lines) in programs.into_iter().flatten() {
            limits::check(program).map_err(|excess| {
                let line = excess.action.map_or(last, |ActionRef(action)| lines[action]);
                at(line, excess.message)
            })?;
        }
        if let Some((mut outer, _)) = self.outer.take() {
            outer.neighbour = Some(Box::new(self.program));
            self.program = outer;
        }
        Ok(Litmus { claim: self.claim, clause: self.clause, program: self.program })
    }

    /// A failure as a person reads it.
    fn error(&self, failure: &Failure, tokens: &[Token], end: usize) -> SyntaxError {
        if let Some(wrong) = &failure.wrong {
            return SyntaxError::new(self.line, tokens[0].column, wrong.clone());
        }
        let found = tokens.get(failure.at);
        let mut wanted: Vec<&str> = Vec::new();
        for what in failure.wanted.iter().map(|wanted| wanted.what.as_str()) {
            if !wanted.contains(&what) {
                wanted.push(what);
            }
        }
        let wanted = match &wanted[..] {
            [] => "the end of the line".to_owned(),
            [one] => (*one).to_owned(),
            [all @ .., last] => format!("{} or {last}", all.join(", ")),
        };
        let mut message = format!(
            "expected {wanted}; found {}",
            match found {
                Some(token) => format!("`{}`", token.text),
                None => "the end of the line".to_owned(),
            }
        );
        let words = failure.wanted.iter().flat_map(|wanted| &wanted.words);
        let near = words.map(|word| (found.map_or(9, |token| strsim::damerau_levenshtein(word, token.text)), word));
        if let Some((_, word)) = near.filter(|(distance, word)| *distance <= 2 && *distance < word.len()).min() {
            message += &format!(" (is `{word}` meant?)");
        }
        SyntaxError::new(self.line, found.map_or(end, |token| token.column), message)
    }
}

fn register(token: &Token) -> Option<u16> {
    token.text.strip_prefix('r')?.parse().ok().filter(|register| usize::from(*register) < REGISTERS)
}

fn take(cursor: &mut Cursor, text: &str) -> Result<(), Failure> {
    cursor.take(text).map_err(|wanted| Failure::wanting(cursor, wanted))
}

fn end(cursor: &Cursor) -> Result<(), Failure> {
    if cursor.peek().is_none() { Ok(()) } else { Err(Failure::wanting(cursor, Wanted::new("the end of the line"))) }
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure { at: 0, wanted: Vec::new(), wrong: Some(message.into()) }
}
