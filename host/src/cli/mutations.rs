//! Records that were cut, edited and made up, thousands of them: every view shows them or refuses them in one line, and
//! none panics.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use vtick_abi::measure::Sample;

use super::{Cli, Command, compare, report};
use vtick_contract::{Ending, Event, GuestRecord, Program, Return, Transcript, checks};
use vtick_core::exit::Exit;
use vtick_core::lines::{Levels, Line};
use vtick_core::stopped::Stopped;
use vtick_core::{Host, Unit};
use vtick_latency::{Irqchip, Ledger, Measurement, SCENARIOS, Scenario};
use vtick_report::Record;
use vtick_shell::say::captured;

/// Numbers at which sums and products go wrong, and what is no number of ours.
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "255",
    "4294967295",
    "4294967296",
    "1125899906842624",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "0.5",
    "1e300",
];

/// Draws numbers, the same ones for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

fn host() -> Host {
    Host { kernel: "6.12.1".into(), cntfrq: 1_000_000_000, cpus: 1, unit: Unit::Nanoseconds, ..Host::default() }
}

/// A record of measurements of each kind.
fn of_measurements() -> String {
    let mut record = Record::new(host());
    for name in ["vtimer-spin", "mmio-read", "sgi-self", "periodic-saturated"] {
        let plain = SCENARIOS.iter().find(|scenario| scenario.name == name).expect("a scenario of that name");
        for irqchip in [Irqchip::User, Irqchip::Bare] {
            let mut measurement = Measurement::new(&Scenario { warm_up: 0, ..plain.clone() }, irqchip);
            let samples = (1..=20).map(|n| Sample {
                deadline: n * 50_000,
                vector: n * 50_000 + 7_000 + n,
                acknowledged: n * 50_000 + 8_000,
                handled: n * 50_000 + 8_010,
                ended: n * 50_000 + 9_000,
                resumed: n * 50_000 + 9_100,
                iar: 27,
                ..Sample::default()
            });
            measurement.batch(samples, &[], 0, Ledger { lines: 40, level_exits: 40, ..Ledger::default() });
            record.latency.push(measurement.outcome());
        }
    }
    record.to_json()
}

/// Everything that can stand in a transcript.
fn transcript(program: &Program) -> Transcript {
    let mut events = Vec::new();
    for op in 0..12 {
        let at = 1000 + u64::from(op) * 10;
        let (before, after) = (at, at + 5);
        events.push(Event::Guest(GuestRecord { vcpu: 0, op, kind: op % 4, before, after, value: at }));
        let exit = Exit::MmioWrite { address: 0x0a00_0000, len: 4, value: 1 };
        events.push(Event::Return(Return {
            vcpu: 0,
            entered: at,
            returned: at + 1,
            exit,
            levels: Levels(3),
            pc: None,
            reason: None,
        }));
        events.push(Event::Line { at, vcpu: 0, line: Line::Irq, level: op % 2 == 0 });
    }
    let actions = 0..program.actions().len();
    events.extend(actions.map(|action| Event::Action { at: 2000, action, result: -22, due: None }));
    let endings = vec![Ending::Stopped(Stopped::overslept()); program.setup.vcpus];
    Transcript::new(program, events, endings, 100)
}

/// A record of checks that are violated, and one that is not exercised.
fn of_checks() -> String {
    let mut record = Record::new(host());
    for check in checks::all().step_by(9) {
        record.checks.push(vtick_contract::run(
            &vtick_contract::Case::Check(check),
            &record.host,
            vtick_contract::Terms::EXACT,
            |program| Ok::<_, String>(transcript(program)),
        ));
    }
    record.to_json()
}

/// One damage or a few.
fn mutate(text: &str, random: &mut Random) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(40)).min(bytes.len());
        match random.below(12) {
            // Most often a number: what is cut is refused by the JSON parser.
            0..=8 => {
                let digit = |byte: &u8| byte.is_ascii_digit();
                let Some(start) = bytes[at..].iter().position(digit).map(|found| at + found) else { continue };
                let start = bytes[..start].iter().rposition(|byte| !digit(byte)).map_or(0, |before| before + 1);
                let end = bytes[start..].iter().position(|byte| !digit(byte)).map_or(bytes.len(), |len| start + len);
                bytes.splice(start..end, NUMBERS[random.below(NUMBERS.len())].bytes());
            }
            9 => drop(bytes.splice(at..end, [])),
            10 => bytes[at] = b"<\"\\x\x00\xff,}"[random.below(8)],
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

/// Runs a command line on the record; what it printed, and whether it could.
fn view(line: &[&str]) -> Result<String, String> {
    let cli = Cli::try_parse_from([&["vtick"], line].concat()).map_err(|error| error.to_string())?;
    let (text, done) = captured::of(|| match cli.command {
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(&args),
        _ => unreachable!("a view was asked for"),
    });
    done.map(|_| text).map_err(|error| format!("{error:#}"))
}

/// Tries `count` damaged records in each view: how many were shown, and how many refused.
fn try_records(count: u64) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let text = |path: &Path| path.display().to_string();
    let originals: [(PathBuf, String); 2] =
        [(place("measured.json"), of_measurements()), (place("checked.json"), of_checks())];
    originals.iter().for_each(|(path, json)| fs::write(path, json).unwrap());
    let [measured, checked] = originals.each_ref().map(|(path, _)| text(path));
    let (damaged, page) = (text(&place("damaged.json")), text(&place("page.html")));
    let damaged = damaged.as_str();
    let of_measured: [&[&str]; 5] = [
        &["report", damaged],
        &["report", damaged, &measured],
        &["report", damaged, "--html", &page],
        &["compare", &measured, damaged, "--fail-over", "2"],
        &["compare", damaged, &measured, "--markdown"],
    ];
    let of_checked: [&[&str]; 4] = [
        &["report", damaged],
        &["report", damaged, &checked],
        &["report", damaged, "--as", "ktap"],
        &["report", damaged, "--as", "junit"],
    ];
    // Undamaged, every view shows something: otherwise nothing would be tried.
    for (original, views) in [(&measured, &of_measured[..]), (&checked, &of_checked)] {
        fs::copy(original, damaged).unwrap();
        for line in views {
            view(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        }
    }
    let (mut shown, mut refused) = (0, 0);
    for seed in 0..count {
        let mut random = Random(seed);
        let which = seed as usize % 2;
        fs::write(damaged, mutate(&originals[which].1, &mut random)).unwrap();
        let mut all_shown = true;
        for line in if which == 0 { &of_measured[..] } else { &of_checked } {
            let seen = std::panic::catch_unwind(|| view(line));
            let kept = || {
                let kept = std::env::temp_dir().join(format!("vtick-mutation-{seed}.json"));
                fs::copy(damaged, &kept).unwrap();
                kept
            };
            match seen.unwrap_or_else(|_| panic!("seed {seed}, {line:?}: a panic; the record is {}", kept().display()))
            {
                Ok(_) => {}
                Err(error) => {
                    all_shown = false;
                    assert_eq!(error.lines().count(), 1, "seed {seed}, {line:?}: one line was due: {error}");
                }
            }
        }
        if all_shown { shown += 1 } else { refused += 1 }
    }
    (shown, refused)
}

#[test]
fn damaged_records_are_shown_or_refused_in_one_line() {
    let (shown, refused) = try_records(40);
    assert!(shown > 4 && refused > 4, "{shown} shown, {refused} refused");
}

#[test]
#[ignore = "takes minutes: cargo test -p vtick --release mutations -- --ignored"]
fn ten_thousand_damaged_records_are_shown_or_refused_in_one_line() {
    let (shown, refused) = try_records(10_000);
    println!("{shown} shown, {refused} refused");
    assert!(shown > 1_000 && refused > 1_000, "{shown} shown, {refused} refused");
}
