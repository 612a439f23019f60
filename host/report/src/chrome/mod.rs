//! A trace in the JSON form of Chrome's Trace Event Format, which ui.perfetto.dev opens.
//!
//! Each vCPU has a track of slices, the guest's and the host's turn about; levels, lines and devices' outputs are
//! counters of 0 and 1; an interrupt is an asynchronous slice from its cause to its end, with one for the time that it
//! waited and one for the time that it was active inside.
//!
//! Time stamps are microseconds in that format. Where a tick is an instruction, a thousand instructions are written as
//! one microsecond, and the file says so where a person sees it: in the name of the process.

#[cfg(test)]
mod checker;
mod turn;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

use turn::Turn;
use vtick_core::Unit;
use vtick_core::lines::INTIDS;
use vtick_trace::{Event, Interrupt, Source, TimedEvent, Trace, interrupts};

/// The one process of the trace.
const PROCESS: u32 = 1;

/// Writes all of `trace`.
pub fn write(trace: &Trace, out: impl Write) -> io::Result<()> {
    let merged = trace.merged();
    let start = merged.iter().map(|(_, record)| begin(record.at, &record.event)).min().unwrap_or(0);
    let last = merged.last().map_or(start, |(_, record)| record.at);
    let frequency = trace.frequency.max(1);
    let mut writer = Writer { out, start, last, unit: trace.unit, frequency, separator: "\n" };
    let about = about(trace);
    let head = serde_json::to_string(&about)?;
    write!(writer.out, "{{\"displayTimeUnit\":\"ns\",\"otherData\":{head},\"traceEvents\":[")?;
    writer.names(trace, &about)?;
    for (source, tape) in &trace.tapes {
        if let Source::Vcpu(vcpu) = *source {
            writer.turns(vcpu, tape.records().map(|record| (record.at, record.event)))?;
        }
    }
    writer.signals(&merged)?;
    for (number, interrupt) in interrupts(trace.vcpus(), &merged).iter().enumerate() {
        writer.interrupt(number, interrupt)?;
    }
    writeln!(writer.out, "\n]}}")?;
    writer.out.flush()
}

/// When the event began.
fn begin(at: u64, event: &Event) -> u64 {
    match *event {
        Event::Returned { entered, .. } => entered.min(at),
        _ => at,
    }
}

/// What a reader has to know.
fn about(trace: &Trace) -> Value {
    let (unit, counter) = match trace.unit {
        Unit::Instructions => {
            ("1000 instructions are shown as 1 us; nothing here is time".to_owned(), "counts instructions".to_owned())
        }
        Unit::Nanoseconds => ("time".to_owned(), format!("{} Hz", trace.frequency)),
    };
    json!({ "unit": unit, "counter": counter, "oldest events not kept": trace.lost() })
}

/// What belongs together of a process's asynchronous events: with a global id they would stand apart from the process.
#[derive(Serialize)]
struct Id {
    local: String,
}

/// One event in the file. Fields as the format names them.
#[derive(Serialize)]
struct Entry<'a> {
    ph: &'a str,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    cat: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id2: Option<Id>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    args: Map<String, Value>,
}

struct Writer<W> {
    out: W,
    /// Counter at time zero of the trace.
    start: u64,
    /// Counter at the last event.
    last: u64,
    unit: Unit,
    frequency: u64,
    separator: &'static str,
}

impl<W: Write> Writer<W> {
    fn write(&mut self, line: &Entry) -> io::Result<()> {
        write!(self.out, "{}", self.separator)?;
        self.separator = ",\n";
        Ok(serde_json::to_writer(&mut self.out, line)?)
    }

    /// Microseconds, or thousands of instructions, since the trace's start.
    fn time(&self, at: u64) -> f64 {
        let ticks = at.saturating_sub(self.start);
        let thousandths = match self.unit {
            Unit::Instructions => ticks,
            Unit::Nanoseconds => (u128::from(ticks) * 1_000_000_000 / u128::from(self.frequency)) as u64,
        };
        thousandths as f64 / 1000.0
    }

    fn names(&mut self, trace: &Trace, about: &Value) -> io::Result<()> {
        let unit = about["unit"].as_str().unwrap_or_default();
        let mut named = |tid: u32, what: &str, name: String| {
            let args = Map::from_iter([("name".to_owned(), Value::from(name))]);
            self.write(&Entry { ph: "M", pid: PROCESS, tid, ts: None, cat: "", id2: None, name: what, args })
        };
        named(0, "process_name", format!("VM ({unit})"))?;
        for vcpu in 0..trace.vcpus() {
            named(thread(vcpu), "thread_name", format!("vCPU {vcpu}"))?;
        }
        Ok(())
    }

    /// The guest's and the host's turns on one vCPU. Begin and end are events of their own that share their stamps, so
    /// that no rounding makes two neighbours overlap.
    fn turns(&mut self, vcpu: u8, records: impl Iterator<Item = (u64, Event)>) -> io::Result<()> {
        let mut host: Option<Turn> = None;
        let mut last = 0;
        for (at, event) in records {
            last = last.max(at);
            match event {
                Event::Returned { entered, reason, detail, levels } => {
                    if let Some(turn) = host.take() {
                        self.slice(vcpu, &turn.name(), turn.since, entered, turn.args())?;
                    }
                    self.slice(vcpu, "guest", entered, at, Map::new())?;
                    host = Some(Turn { since: at, reason, detail, levels, access: None });
                }
                Event::Access { .. } => {
                    if let Some(turn) = &mut host {
                        turn.access = Some(event);
                    }
                }
                Event::Line { .. } | Event::Output { .. } => {}
            }
        }
        match host {
            Some(turn) => self.slice(vcpu, &turn.name(), turn.since, last, turn.args()),
            None => Ok(()),
        }
    }

    fn slice(&mut self, vcpu: u8, name: &str, from: u64, to: u64, args: Map<String, Value>) -> io::Result<()> {
        let (from, to) = (self.time(from), self.time(to));
        let tid = thread(vcpu);
        self.write(&Entry { ph: "B", pid: PROCESS, tid, ts: Some(from), cat: "vcpu", id2: None, name, args })?;
        let (cat, name, args) = ("", "", Map::new());
        self.write(&Entry { ph: "E", pid: PROCESS, tid, ts: Some(to.max(from)), cat, id2: None, name, args })
    }

    /// Levels, lines and outputs, each as it changes.
    fn signals(&mut self, merged: &[(Source, &TimedEvent)]) -> io::Result<()> {
        let mut seen = BTreeMap::new();
        for (source, record) in merged {
            match (*source, record.event) {
                (Source::Vcpu(vcpu), Event::Returned { levels, .. }) => {
                    let before = seen.insert(vcpu, levels).unwrap_or_default();
                    for (device, _) in INTIDS.into_iter().filter(|(device, _)| (before.0 ^ levels.0) & device.0 != 0) {
                        self.signal(vcpu, record.at, &format!("vCPU {vcpu} {device}"), levels.contains(device))?;
                    }
                }
                (_, Event::Line { vcpu, line, high }) => {
                    self.signal(vcpu, record.at, &format!("vCPU {vcpu} {line}"), high)?;
                }
                (_, Event::Output { intid, high }) => self.signal(0, record.at, &format!("SPI {intid}"), high)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn signal(&mut self, vcpu: u8, at: u64, name: &str, high: bool) -> io::Result<()> {
        let args = Map::from_iter([("level".to_owned(), Value::from(u8::from(high)))]);
        let (tid, ts) = (thread(vcpu), Some(self.time(at)));
        self.write(&Entry { ph: "C", pid: PROCESS, tid, ts, cat: "", id2: None, name, args })
    }

    fn interrupt(&mut self, number: usize, interrupt: &Interrupt) -> io::Result<()> {
        let Interrupt { vcpu, intid, sender, raised, acknowledged, ended } = *interrupt;
        let Some(begin) = raised.or(acknowledged) else { return Ok(()) };
        // What has no end in the trace lasts to the end of it.
        let end = ended.unwrap_or(self.last);
        let mut args = Map::new();
        if let Some(sender) = sender {
            args.insert("sent by".to_owned(), format!("vCPU {sender}").into());
        }
        if acknowledged.is_none() {
            args.insert("acknowledged".to_owned(), "never".into());
        } else if ended.is_none() {
            args.insert("ended".to_owned(), "never".into());
        }
        let name = format!("vCPU {vcpu} {}", interrupt_name(intid));
        let mut event = |ph: &str, at: u64, name: &str, args: Map<String, Value>| {
            let (tid, ts) = (thread(vcpu), Some(self.time(at)));
            let id2 = Some(Id { local: format!("{number:#x}") });
            self.write(&Entry { ph, pid: PROCESS, tid, ts, cat: "interrupt", id2, name, args })
        };
        event("b", begin, &name, args)?;
        if raised.is_some() {
            event("b", begin, "pending", Map::new())?;
            event("e", acknowledged.unwrap_or(end), "pending", Map::new())?;
        }
        if let Some(acknowledged) = acknowledged {
            event("b", acknowledged, "active", Map::new())?;
            event("e", end, "active", Map::new())?;
        }
        event("e", end, &name, Map::new())
    }
}

fn thread(vcpu: u8) -> u32 {
    u32::from(vcpu) + 1
}

/// An INTID with what it stands for.
fn interrupt_name(intid: u32) -> String {
    match INTIDS.into_iter().find(|(_, of_device)| *of_device == intid) {
        Some((device, _)) => format!("PPI {intid} {device}"),
        None if intid < 16 => format!("SGI {intid}"),
        None if intid < 32 => format!("PPI {intid}"),
        None => format!("SPI {intid}"),
    }
}

#[cfg(test)]
mod tests {
    use vtick_abi::layout::{GICC_BASE, GICD_BASE};

    use super::*;
    use vtick_core::exit::Exit;
    use vtick_core::lines::{Levels, Line};
    use vtick_trace::Tape;

    const IAR: u64 = GICC_BASE + 0xc;
    const EOIR: u64 = GICC_BASE + 0x10;

    /// A timer interrupt on vCPU 0, from 1000 on, and an SGI from vCPU 1 that nobody takes.
    fn sample(unit: Unit, frequency: u64, length: usize) -> Trace {
        let mut first = Tape::new(length);
        first.returned(1000, 2001, &Exit::Interrupted, Levels::VTIMER);
        first.line(2500, 0, Line::Irq, true);
        first.returned(3000, 4000, &Exit::MmioRead { address: IAR, len: 4 }, Levels::VTIMER);
        // As a run does it: the line is driven before the access is written down.
        first.line(4500, 0, Line::Irq, false);
        first.access(4000, IAR, 4, 27, false);
        first.returned(5000, 6000, &Exit::mmio_write(EOIR, &[27]), Levels::NONE);
        first.access(6000, EOIR, 4, 27, true);
        first.returned(6500, 7000, &Exit::SystemEvent { event: 1 }, Levels::NONE);
        let mut second = Tape::new(length);
        second.returned(1500, 4200, &Exit::mmio_write(GICD_BASE + 0xf00, &[5, 0, 1, 0]), Levels::NONE);
        second.access(4200, GICD_BASE + 0xf00, 4, 1 << 16 | 5, true);
        let mut outside = Tape::new(length);
        outside.output(3333, 33, true);
        outside.output(3334, 33, false);
        let tapes = vec![(Source::Vcpu(0), first), (Source::Vcpu(1), second), (Source::Outside, outside)];
        Trace { unit, frequency, tapes }
    }

    fn written(trace: &Trace) -> Value {
        let mut out = Vec::new();
        write(trace, &mut out).unwrap();
        let parsed: Value = serde_json::from_slice(&out).unwrap();
        checker::check(&parsed).unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&out)));
        parsed
    }

    fn find<'a>(trace: &'a Value, ph: &str, name: &str) -> Vec<&'a Value> {
        let events = trace["traceEvents"].as_array().unwrap();
        events.iter().filter(|event| event["ph"] == ph && event["name"] == name).collect()
    }

    #[test]
    fn a_timer_interrupt_is_a_slice_from_its_level_to_eoir_with_waiting_and_active_inside() {
        let trace = written(&sample(Unit::Instructions, 1_000_000_000, 64));
        let times = |ph: &str, name: &str| find(&trace, ph, name)[0]["ts"].as_f64().unwrap();
        // The trace starts when vCPU 0 was entered, at 1000.
        assert_eq!((times("b", "vCPU 0 PPI 27 vtimer"), times("e", "vCPU 0 PPI 27 vtimer")), (1.001, 5.0));
        assert_eq!((times("b", "pending"), times("e", "pending")), (1.001, 3.0));
        assert_eq!((times("b", "active"), times("e", "active")), (3.0, 5.0));
        assert_eq!(find(&trace, "b", "vCPU 0 SGI 5")[0]["args"]["acknowledged"], "never");
    }

    #[test]
    fn guest_and_host_take_turns_and_the_hosts_is_named_by_what_it_served() {
        let trace = written(&sample(Unit::Instructions, 1_000_000_000, 64));
        let on_first = |event: &&Value| event["tid"] == 1 && event["ph"] == "B";
        let names: Vec<_> = trace["traceEvents"].as_array().unwrap().iter().filter(on_first).collect();
        let names: Vec<_> = names.iter().map(|event| event["name"].as_str().unwrap()).collect();
        let due = ["guest", "EINTR", "guest", "read GICC_IAR", "guest", "write GICC_EOIR", "guest", "system event"];
        assert_eq!(names, due);
        assert_eq!(find(&trace, "B", "read GICC_IAR")[0]["args"]["value"], "0x1b");
    }

    #[test]
    fn levels_lines_and_outputs_are_counters_of_zero_and_one() {
        let trace = written(&sample(Unit::Instructions, 1_000_000_000, 64));
        for (name, due) in [
            ("vCPU 0 vtimer", [(1.001, 1), (5.0, 0)]),
            ("vCPU 0 IRQ", [(1.5, 1), (3.5, 0)]),
            ("SPI 33", [(2.333, 1), (2.334, 0)]),
        ] {
            let seen: Vec<_> =
                find(&trace, "C", name).iter().map(|e| (e["ts"].clone(), e["args"]["level"].clone())).collect();
            assert_eq!(seen, due.map(|(ts, level)| (json!(ts), json!(level))), "{name}");
        }
    }

    #[test]
    fn instructions_are_written_as_thousandths_and_called_instructions_and_ticks_become_time() {
        let instructions = written(&sample(Unit::Instructions, 25_000_000, 64));
        assert!(instructions["otherData"]["unit"].as_str().unwrap().starts_with("1000 instructions are shown as 1 us"));
        let process = find(&instructions, "M", "process_name")[0]["args"]["name"].as_str().unwrap();
        assert!(process.contains("1000 instructions"), "{process}");
        assert_eq!(find(&instructions, "B", "guest")[1]["ts"], 2.0);
        // At 25 MHz a tick is 40 ns.
        let time = written(&sample(Unit::Nanoseconds, 25_000_000, 64));
        assert_eq!(time["otherData"]["unit"], "time");
        assert_eq!(find(&time, "B", "guest")[1]["ts"], 80.0);
    }

    #[test]
    fn a_tape_that_overflowed_gives_a_sound_trace_that_says_so() {
        for length in 0..9 {
            let trace = sample(Unit::Instructions, 1, length);
            assert_eq!(written(&trace)["otherData"]["oldest events not kept"], trace.lost(), "{length}");
        }
    }
}
