//! The parts of a line that differ from one to the next: numbers, registers, names.

use vtick_abi::layout::MAX_VCPUS;
use vtick_abi::litmus::{FLAGS, REGISTERS, daif};

use super::Units;
use super::names::{ERRNOS, SYSREGS, TIMER_REGISTERS};
use super::token::Token;
use crate::program::labels::Labels;
use crate::program::{ActionRef, Point, Step, TimerRegister, Value};
use vtick_core::lines::Levels;

/// What stands in a slot.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Number(u64),
    Value(Value),
    Timer(TimerRegister),
    Step(Step),
    Action(ActionRef),
    Point(Point),
    Name(String),
    List(Vec<u64>),
}

/// What a text may go on with: for a person, and the words that may have been misspelt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) what: String,
    pub(super) words: Vec<String>,
}

impl Wanted {
    pub(super) fn new(what: impl Into<String>) -> Wanted {
        Wanted { what: what.into(), words: Vec::new() }
    }

    pub(super) fn word(word: &str) -> Wanted {
        Wanted { what: format!("`{word}`"), words: vec![word.to_owned()] }
    }

    fn one_of<'a>(what: &str, words: impl IntoIterator<Item = &'a str>) -> Wanted {
        Wanted { what: what.to_owned(), words: words.into_iter().map(str::to_owned).collect() }
    }
}

/// What numbers and names mean.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) units: Units,
    pub(super) labels: &'a Labels,
}

/// The tokens of a line, and how many of them were read.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) tokens: &'a [Token<'a>],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at)
    }

    /// Reads this word or sign.
    pub(super) fn take(&mut self, text: &str) -> Result<(), Wanted> {
        if self.peek().is_some_and(|token| token.text == text) {
            self.at += 1;
            return Ok(());
        }
        Err(Wanted::word(text))
    }

    fn number(&mut self, what: &str) -> Result<u64, Wanted> {
        let number = self.peek().filter(|token| token.is_number).ok_or_else(|| Wanted::new(what))?;
        let digits = number.text.replace('_', "");
        let value = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        let value = value.map_err(|_| Wanted::new("a number below 2^64"))?;
        self.at += 1;
        Ok(value)
    }

    fn number_below(&mut self, bound: u64, what: &str) -> Result<u64, Wanted> {
        let start = self.at;
        let number = self.number(what)?;
        if number >= bound {
            self.at = start;
            return Err(Wanted::new(format!("{what} from 0 to {}", bound - 1)));
        }
        Ok(number)
    }

    fn name(&mut self, what: &str) -> Result<&'a str, Wanted> {
        let word = self.peek().filter(|token| is_name(token)).ok_or_else(|| Wanted::new(what))?;
        self.at += 1;
        Ok(word.text)
    }

    fn choice<T: Copy>(&mut self, what: &str, choices: &[(&str, T)]) -> Result<T, Wanted> {
        let found = self.peek().and_then(|token| choices.iter().find(|(name, _)| *name == token.text));
        let (_, value) = found.ok_or_else(|| Wanted::one_of(what, choices.iter().map(|(name, _)| *name)))?;
        self.at += 1;
        Ok(*value)
    }

    /// A number, with a unit of time behind it or not.
    fn length(&mut self, units: Units, what: &str) -> Result<u64, Wanted> {
        let start = self.at;
        let number = self.number(what)?;
        let per_second = match self.peek().map(|token| token.text) {
            Some("us") => 1_000_000,
            Some("ms") => 1_000,
            Some("s") => 1,
            Some("ticks") => 0,
            _ => return Ok(number),
        };
        self.at += 1;
        match (units, per_second) {
            (_, 0) => Ok(number),
            (Units::Micros(cntfrq), per_second) => {
                let ticks = u128::from(number) * u128::from(cntfrq) / per_second;
                u64::try_from(ticks).map_err(|_| {
                    self.at = start;
                    Wanted::new("less than 2^64 ticks")
                })
            }
            (Units::Ticks, _) => unreachable!("ticks are printed, and never read"),
        }
    }

    fn register(&mut self) -> Result<u16, Wanted> {
        let register = self.peek().and_then(|token| token.text.strip_prefix('r')?.parse::<u16>().ok());
        let register = register.filter(|register| usize::from(*register) < REGISTERS);
        let register = register.ok_or_else(|| Wanted::new("a general register (r0 to r7)"))?;
        self.at += 1;
        Ok(register)
    }

    fn value(&mut self, units: Units) -> Result<Value, Wanted> {
        const WHAT: &str = "a value (a number, now, physical now, or a register r0 to r7, + or - a number)";
        let of: fn(u64, u16) -> Value = match self.peek().map(|token| token.text) {
            Some("now") => |add, _| Value::Now(add),
            Some("physical") => {
                self.at += 1;
                if self.peek().is_none_or(|token| token.text != "now") {
                    return Err(Wanted::word("now"));
                }
                |add, _| Value::NowPhysical(add)
            }
            Some(_) if self.clone().register().is_ok() => |add, register| Value::Register(register, add),
            _ => return Ok(Value::Is(self.length(units, WHAT)?)),
        };
        let register = self.clone().register().unwrap_or(0);
        self.at += 1;
        let add = match self.peek().map(|token| token.text) {
            Some("+") => {
                self.at += 1;
                self.length(units, "a number")?
            }
            Some("-") => {
                self.at += 1;
                self.length(units, "a number")?.wrapping_neg()
            }
            _ => 0,
        };
        Ok(of(add, register))
    }

    fn list(&mut self) -> Result<Vec<u64>, Wanted> {
        // More than any kernel's KVM_CAP_MAX_VCPUS.
        const BOUND: u64 = 4096;
        let first = self.number_below(BOUND, "a vCPU's id")?;
        let mut list = vec![first];
        if self.take("to").is_ok() {
            list.extend(first + 1..=self.number_below(BOUND, "a vCPU's id")?);
        }
        while self.take(",").is_ok() {
            list.push(self.number_below(BOUND, "a vCPU's id")?);
        }
        Ok(list)
    }

    fn lines(&mut self) -> Result<u64, Wanted> {
        let first = self.choice("IRQ or FIQ", LINES)?;
        if first == 0 && self.take("and").is_ok() {
            self.take("FIQ")?;
            return Ok((daif::IRQ | daif::FIQ).into());
        }
        Ok(if first == 0 { daif::IRQ } else { daif::FIQ }.into())
    }

    fn levels(&mut self) -> Result<u64, Wanted> {
        if self.take("none").is_ok() {
            return Ok(0);
        }
        let mut all = 0;
        loop {
            all |= self.choice("levels (none, vtimer, ptimer, pmu, or several of them with +)", LEVELS)?;
            if self.take("+").is_err() {
                return Ok(all);
            }
        }
    }

    fn result(&mut self) -> Result<u64, Wanted> {
        const WHAT: &str = "a result (a number, or an error such as -EINVAL)";
        let negative = self.take("-").is_ok();
        let value = match self.choice(WHAT, ERRNOS) {
            Ok(errno) => errno as u64,
            Err(wanted) if self.peek().is_none_or(|token| !token.is_number) => return Err(wanted),
            Err(_) => self.number(WHAT)?,
        };
        Ok(if negative { value.wrapping_neg() } else { value })
    }

    fn step(&mut self, labels: &Labels) -> Result<Step, Wanted> {
        let step = self.peek().and_then(|token| labels.find(token.text)?.step);
        let step = step.ok_or_else(|| Wanted::one_of("the name of a step above", labels.steps()))?;
        self.at += 1;
        Ok(step)
    }
}

/// Whether it can be the name of a step.
pub(super) fn is_name(token: &Token) -> bool {
    !token.is_number && token.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

const LINES: &[(&str, u64)] = &[("IRQ", 0), ("FIQ", 1)];
const VERBS: &[(&str, u64)] = &[("lower", 0), ("raise", 1)];
const LEVELS: &[(&str, u64)] = &[("vtimer", Levels::VTIMER.0), ("ptimer", Levels::PTIMER.0), ("pmu", Levels::PMU.0)];

/// Reads what the slot called `slot` may hold.
pub(super) fn read(slot: &str, cursor: &mut Cursor, context: Context) -> Result<Piece, Wanted> {
    let number = Piece::Number;
    Ok(match slot {
        "number" | "hex" => number(cursor.number("a number")?),
        "bit" => number(cursor.number_below(64, "a bit")?),
        "u32" => number(cursor.number_below(1 << 32, "a number")?),
        "u16" => number(cursor.number_below(1 << 16, "a number")?),
        "flag" => number(cursor.number_below(FLAGS as u64, "a flag")?),
        "vcpu" => number(cursor.number_below(MAX_VCPUS as u64, "a vCPU")?),
        "intid" => {
            let start = cursor.at;
            let intid = cursor.number("the INTID of an SPI")?;
            if !(32..1020).contains(&intid) {
                cursor.at = start;
                return Err(Wanted::new("the INTID of an SPI (32 to 1019)"));
            }
            number(intid)
        }
        "width" => {
            const WIDTHS: &[(&str, u64)] = &[("1", 1), ("2", 2), ("4", 4), ("8", 8)];
            number(cursor.choice("a width in bytes (1, 2, 4 or 8)", WIDTHS)?)
        }
        "register" => number(cursor.register()?.into()),
        "sysreg" => number(cursor.choice("a system register", SYSREGS)?.into()),
        "timer" => Piece::Timer(cursor.choice("a timer register", TIMER_REGISTERS)?),
        "value" | "time" => Piece::Value(cursor.value(context.units)?),
        "ticks" => number(cursor.length(context.units, "a length of time")?),
        "lines" => number(cursor.lines()?),
        "line" => number(cursor.choice("IRQ or FIQ", LINES)?),
        "verb" => number(cursor.choice("raise or lower", VERBS)?),
        "levels" => number(cursor.levels()?),
        "result" => number(cursor.result()?),
        "list" => Piece::List(cursor.list()?),
        "name" => Piece::Name(cursor.name("a name")?.to_owned()),
        "step" => Piece::Step(cursor.step(context.labels)?),
        "point" => {
            let ends = &[("start", false), ("end", true)];
            let end = cursor.choice("start of or end of a step", ends)?;
            cursor.take("of")?;
            Piece::Point(Point { step: cursor.step(context.labels)?, end })
        }
        "action" => {
            let action = cursor.peek().and_then(|token| context.labels.find(token.text)?.action);
            let wanted = || Wanted::one_of("the name of something that the host does", context.labels.actions());
            let action = action.ok_or_else(wanted)?;
            cursor.at += 1;
            Piece::Action(action)
        }
        unknown => unreachable!("no slot is called {unknown}"),
    })
}

/// Shows what stands in the slot called `slot`.
pub(super) fn show(slot: &str, piece: &Piece, context: Context) -> String {
    let name = |name: Option<&str>| name.unwrap_or("(unnamed)").to_owned();
    match (slot, piece) {
        ("hex", Piece::Number(number)) => format!("{number:#x}"),
        ("register", Piece::Number(number)) => format!("r{number}"),
        ("sysreg", Piece::Number(number)) => known(SYSREGS, |register| u64::from(*register) == *number),
        ("ticks", Piece::Number(ticks)) => length(*ticks, context.units),
        ("lines", Piece::Number(3)) => "IRQ and FIQ".to_owned(),
        ("lines", Piece::Number(bits)) => known(&[("IRQ", daif::IRQ), ("FIQ", daif::FIQ)], |b| u64::from(*b) == *bits),
        ("line", Piece::Number(line)) => known(LINES, |known| known == line),
        ("verb", Piece::Number(level)) => known(VERBS, |known| known == level),
        ("levels", Piece::Number(0)) => "none".to_owned(),
        ("levels", Piece::Number(levels)) => Levels(*levels).to_string(),
        ("result", Piece::Number(result)) => match ERRNOS.iter().find(|(_, e)| i64::from(-*e) == *result as i64) {
            Some((name, _)) => format!("-{name}"),
            None => (*result as i64).to_string(),
        },
        (_, Piece::Number(number)) => plain(*number),
        ("time", Piece::Value(Value::Is(time))) if *time > 0 => in_micros(*time, context.units).unwrap_or(plain(*time)),
        (_, Piece::Value(value)) => operand(*value, context.units),
        (_, Piece::Timer(register)) => register.to_string(),
        (_, Piece::Step(step)) => name(context.labels.of_step(*step)),
        (_, Piece::Action(action)) => name(context.labels.of_action(*action)),
        (_, Piece::Point(Point { step, end })) => {
            format!("{} of {}", if *end { "end" } else { "start" }, name(context.labels.of_step(*step)))
        }
        (_, Piece::Name(name)) => name.clone(),
        (_, Piece::List(list)) => match list[..] {
            [first, .., last] if list.len() > 4 && list.iter().copied().eq(first..=last) => {
                format!("{first} to {last}")
            }
            _ => list.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        },
    }
}

fn known<T>(names: &[(&str, T)], is: impl Fn(&T) -> bool) -> String {
    names.iter().find(|(_, value)| is(value)).map_or("(unknown)", |(name, _)| name).to_owned()
}

fn plain(number: u64) -> String {
    if number > 0xffff_ffff { format!("{number:#x}") } else { number.to_string() }
}

/// Whole microseconds that are so many ticks, and nothing else that could be said.
fn in_micros(ticks: u64, units: Units) -> Option<String> {
    let Units::Micros(cntfrq) = units else { return None };
    let micros = u128::from(ticks) * 1_000_000 / u128::from(cntfrq);
    (micros * u128::from(cntfrq) / 1_000_000 == ticks.into()
        && u128::from(ticks) * 1_000_000 % u128::from(cntfrq) == 0
        && micros < 1 << 40)
        .then(|| format!("{micros} us"))
}

fn length(ticks: u64, units: Units) -> String {
    match (in_micros(ticks, units), units) {
        (Some(micros), _) => micros,
        (None, Units::Ticks) => format!("{ticks} ticks"),
        (None, Units::Micros(_)) => format!("{} ticks", plain(ticks)),
    }
}

fn operand(value: Value, units: Units) -> String {
    let sum = |name: &str, add: u64, shown: fn(u64, Units) -> String| match add as i64 {
        0 => name.to_owned(),
        add if add < 0 => format!("{name} - {}", shown(add.unsigned_abs(), units)),
        add => format!("{name} + {}", shown(add as u64, units)),
    };
    let bare = |ticks, units| in_micros(ticks, units).unwrap_or_else(|| plain(ticks));
    match value {
        Value::Is(number) => plain(number),
        Value::Now(add) => sum("now", add, bare),
        Value::NowPhysical(add) => sum("physical now", add, bare),
        Value::Register(register, add) => sum(&format!("r{register}"), add, |add, _| plain(add)),
    }
}
