//! Counts the instructions that each kind of access takes in the GIC, with callgrind.
//!
//! `cargo run -p vtick-gic --profile measured --example instructions` (needs valgrind). The counts are of this machine's
//! instruction set and this compiler's code, with nothing of KVM or of the runner in them; they repeat exactly.

use std::hint::black_box;
use std::process::{Command, ExitCode};

use vtick_gic::Gic;

const TIMER: u32 = 27;
const ISENABLER1: u64 = 0x104;
const IPRIORITYR: u64 = 0x400;
const SGIR: u64 = 0xf00;
const CTLR: u64 = 0x00;
const IAR: u64 = 0x0c;
const EOIR: u64 = 0x10;
const DIR: u64 = 0x1000;

/// How often each access is made; the count is the mean.
const TIMES: u64 = 100;

#[derive(Clone, Copy)]
enum Access {
    ReadDistributor(u64, usize),
    WriteDistributor(u64, usize, u32),
    ReadCpuInterface(u64),
    WriteCpuInterface(u64, u32),
    Ppi(bool),
}

/// What is counted: one access and looking at the output, as the runner does.
#[inline(never)]
fn counted(gic: &mut Gic, access: Access) -> u32 {
    let value = match access {
        Access::ReadDistributor(offset, len) => gic.read_distributor(0, offset, len),
        Access::WriteDistributor(offset, len, value) => {
            gic.write_distributor(0, offset, len, value);
            0
        }
        Access::ReadCpuInterface(offset) => gic.read_cpu_interface(0, offset, 4),
        Access::WriteCpuInterface(offset, value) => {
            gic.write_cpu_interface(0, offset, 4, value);
            0
        }
        Access::Ppi(level) => {
            gic.set_ppi(0, TIMER, level);
            0
        }
    };
    if gic.take_changed() & 1 != 0 { value | u32::from(gic.output(0).irq) << 31 } else { value }
}

type Prepare = fn(&mut Gic);

fn nothing(_: &mut Gic) {}

fn raise(gic: &mut Gic) {
    gic.set_ppi(0, TIMER, true);
}

fn acknowledge(gic: &mut Gic) {
    raise(gic);
    gic.read_cpu_interface(0, IAR, 4);
    gic.set_ppi(0, TIMER, false);
}

fn end_with_eoimode_1(gic: &mut Gic) {
    gic.write_cpu_interface(0, CTLR, 4, 0x201);
    acknowledge(gic);
    gic.write_cpu_interface(0, EOIR, 4, TIMER);
}

fn eight_pending_below(gic: &mut Gic) {
    for intid in 33..41 {
        gic.write_distributor(0, IPRIORITYR + intid, 1, 0xa0);
        gic.set_spi(intid as u32, true);
    }
    raise(gic);
}

fn disable(gic: &mut Gic) {
    gic.write_distributor(0, ISENABLER1 + 0x80, 4, !0);
}

/// What is measured, how the GIC is prepared each time, and the access.
const SCENARIOS: &[(&str, Prepare, Access)] = &[
    ("(reserved space: the harness)", nothing, Access::ReadDistributor(0x2000, 4)),
    ("GICC_IAR, timer pending", raise, Access::ReadCpuInterface(IAR)),
    ("GICC_IAR, 8 more pending", eight_pending_below, Access::ReadCpuInterface(IAR)),
    ("GICC_IAR, spurious", nothing, Access::ReadCpuInterface(IAR)),
    ("GICC_EOIR, EOImode 0", acknowledge, Access::WriteCpuInterface(EOIR, TIMER)),
    ("GICC_DIR, EOImode 1", end_with_eoimode_1, Access::WriteCpuInterface(DIR, TIMER)),
    ("GICD_ISENABLER write, 1 bit", disable, Access::WriteDistributor(ISENABLER1, 4, 1 << 3)),
    ("GICD_ISENABLER write, 32 bits", disable, Access::WriteDistributor(ISENABLER1, 4, !0)),
    ("GICD_ISENABLER read", nothing, Access::ReadDistributor(ISENABLER1, 4)),
    ("GICD_SGIR to itself", nothing, Access::WriteDistributor(SGIR, 4, 2 << 24 | 5)),
    ("GICD_SGIR to all others", nothing, Access::WriteDistributor(SGIR, 4, 1 << 24 | 5)),
    ("GICD_IPRIORITYR byte write", nothing, Access::WriteDistributor(IPRIORITYR + 40, 1, 0xa0)),
    ("PPI up", nothing, Access::Ppi(true)),
    ("PPI down", raise, Access::Ppi(false)),
];

/// CPUs and SPIs.
const SIZES: &[(usize, usize)] = &[(1, 0), (1, 224), (8, 224), (8, 988)];

fn booted(cpus: usize, spis: usize) -> Gic {
    let mut gic = Gic::new(cpus, spis).expect("a GIC of this size");
    gic.write_distributor(0, 0, 4, 1);
    for cpu in 0..cpus {
        gic.write_cpu_interface(cpu, CTLR, 4, 1);
        gic.write_cpu_interface(cpu, 4, 4, 0xff);
        for word in 0..32 {
            gic.write_distributor(cpu, 0x100 + 4 * word, 4, !0);
        }
    }
    for word in 8..255 {
        gic.write_distributor(0, 0x800 + 4 * word, 4, !0);
    }
    gic
}

/// What runs under callgrind.
fn run(scenario: usize, size: usize) {
    let (_, prepare, access) = SCENARIOS[scenario];
    let (cpus, spis) = SIZES[size];
    for _ in 0..TIMES {
        let mut gic = booted(cpus, spis);
        prepare(&mut gic);
        gic.take_changed();
        black_box(counted(black_box(&mut gic), black_box(access)));
    }
}

/// Runs this program under callgrind, which prints the number of instructions collected within `counted`.
fn count(scenario: usize, size: usize) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted*"])
        .arg(this)
        .args([scenario.to_string(), size.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected :")).ok_or_else(|| log.to_string())?;
    let total: u64 = collected.1.trim().parse().map_err(|_| log.to_string())?;
    Ok(total / TIMES)
}

fn main() -> ExitCode {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    if let [scenario, size] = arguments[..] {
        run(scenario, size);
        return ExitCode::SUCCESS;
    }
    print!("{:32}", "instructions, with CPUs/INTIDs");
    for (cpus, spis) in SIZES {
        print!("{:>8}", format!("{cpus}/{}", spis + 32));
    }
    println!();
    for (scenario, (name, ..)) in SCENARIOS.iter().enumerate() {
        print!("{name:32}");
        for size in 0..SIZES.len() {
            match count(scenario, size) {
                Ok(instructions) => print!("{instructions:>8}"),
                Err(error) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
            }
        }
        println!();
    }
    ExitCode::SUCCESS
}
