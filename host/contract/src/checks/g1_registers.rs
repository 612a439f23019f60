//! G1: the GIC's registers. What kvm-unit-tests look for, on one CPU and on three, and a little more.

use super::gic::{GICD_ICPIDR2, GICD_IIDR, GICD_IPRIORITYR, GICD_ISENABLER, GICD_ITARGETSR, GICD_TYPER, enable, gave};
use crate::fault::Fault;
use crate::{Action, Check, Clause, FailsOn, Judge, Program, Step, Transcript, Unheld, judge, violated};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "gic-of-one-cpu-describes-itself",
        clause: Clause::G1,
        claim: "GICD_TYPER counts one CPU and 256 interrupts, GICD_IIDR names an implementer, and ICPIDR2 says GICv2.",
        catches: "A guest that looks for CPUs that are not there, or takes the GIC for another.",
        fails_on: FailsOn::Faults(&[Fault::CpusMiscounted, Fault::IdentificationIsZero]),
        program: |p| describes_itself(p, 1),
    },
    Check {
        name: "gic-of-three-cpus-describes-itself",
        clause: Clause::G1,
        claim: "GICD_TYPER counts three CPUs, and each CPU reads the same value.",
        catches: "A guest that looks for CPUs that are not there.",
        fails_on: FailsOn::Faults(&[Fault::CpusMiscounted]),
        program: |p| describes_itself(p, 3),
    },
    Check {
        name: "read-only-registers-keep-their-values",
        clause: Clause::G1,
        claim: "Writing zeros and ones to GICD_TYPER, GICD_IIDR, ICPIDR2 and reserved words changes nothing.",
        catches: "A register that is mere memory.",
        fails_on: FailsOn::Faults(&[Fault::RegistersAreMemory]),
        program: read_only,
    },
    Check {
        name: "priorities-are-kept-in-every-width",
        clause: Clause::G1,
        claim: "GICD_IPRIORITYR keeps the five implemented bits of each interrupt's priority, in words and in bytes, and \
                a byte write leaves the bytes beside it.",
        catches: "A byte that clears its neighbours; a priority that is not stored.",
        fails_on: FailsOn::Faults(&[Fault::PrioritiesIgnored, Fault::ByteWritesAreWords, Fault::RegistersAreMemory]),
        program: priorities,
    },
    Check {
        name: "registers-beyond-the-last-interrupt-are-raz-wi",
        clause: Clause::G1,
        claim: "GICD_IPRIORITYR, GICD_ITARGETSR and GICD_ISENABLER of interrupts that do not exist read as zero, and \
                ignore writes.",
        catches: "An access behind the end of an array.",
        fails_on: FailsOn::Faults(&[Fault::RegistersAreMemory]),
        program: beyond_the_last,
    },
    Check {
        name: "targets-of-spis-on-one-cpu",
        clause: Clause::G1,
        claim: "On one CPU, GICD_ITARGETSR of an SPI keeps the bit of the CPU that exists, in words and bytes, and no \
                other.",
        catches: "Targets that do not exist; content that is lost.",
        fails_on: FailsOn::Faults(&[Fault::RegistersAreMemory, Fault::ByteWritesAreWords]),
        program: |p| targets(p, 1),
    },
    Check {
        name: "targets-of-spis-on-three-cpus",
        clause: Clause::G1,
        claim: "On three CPUs, GICD_ITARGETSR of an SPI keeps the bits of CPUs that exist, in words and bytes, and no \
                others.",
        catches: "Targets that do not exist; content that is lost; a byte that clears its neighbours.",
        fails_on: FailsOn::Faults(&[Fault::RegistersAreMemory, Fault::ByteWritesAreWords]),
        program: |p| targets(p, 3),
    },
    Check {
        name: "targets-of-sgis-and-ppis-are-banked-and-read-only",
        clause: Clause::G1,
        claim: "GICD_ITARGETSR of SGIs and PPIs reads, on each of three CPUs, as that CPU's own bit, whatever is \
                written.",
        catches: "A CPU that does not find out which it is.",
        fails_on: FailsOn::Faults(&[Fault::RegistersAreMemory]),
        program: banked_targets,
    },
];

/// INTIDs of our GIC: 32 private ones and 224 SPIs.
const INTERRUPTS: u64 = 256;
/// The first SPI.
const FIRST_SPI: u64 = 32;
/// The low 12 bits of GICD_IIDR: the implementer's JEP106 code.
const IMPLEMENTER: u64 = 0xfff;

/// The value of a step that ran once.
fn value(t: &Transcript, step: Step) -> Result<u64, Unheld> {
    Ok(t.at(step)?.value)
}

fn describes_itself(p: &mut Program, cpus: usize) -> Judge {
    let look = |p: &mut Program| {
        enable(p);
        (p.load(4, GICD_TYPER), p.load(4, GICD_IIDR), p.load(4, GICD_ICPIDR2))
    };
    let mut looked = vec![look(p)];
    looked.extend((1..cpus).map(|cpu| p.on_vcpu(cpu, look)));
    judge(move |t| {
        for &(typer, iidr, icpidr2) in &looked {
            let typer = value(t, typer)?;
            let (seen_cpus, seen_interrupts) = ((typer >> 5 & 7) + 1, 32 * ((typer & 0x1f) + 1));
            if (seen_cpus, seen_interrupts) != (cpus as u64, INTERRUPTS) {
                return violated(format!(
                    "GICD_TYPER {typer:#x} means {seen_cpus} CPUs and {seen_interrupts} interrupts, expected {cpus} \
                     and {INTERRUPTS}"
                ));
            }
            if value(t, iidr)? & IMPLEMENTER == 0 {
                return violated("GICD_IIDR names no implementer");
            }
            let version = value(t, icpidr2)? >> 4 & 0xf;
            if version != 2 {
                return violated(format!("ICPIDR2 says architecture version {version}, expected 2"));
            }
        }
        Ok(format!("{cpus} CPUs, {INTERRUPTS} interrupts, GICv2"))
    })
}

/// Reads a word, writes ones and zeros to it, and reads it after each.
fn written_to(p: &mut Program, address: u64) -> (u64, [Step; 3]) {
    let before = p.load(4, address);
    p.store(4, address, 0xffff_ffff);
    let ones = p.load(4, address);
    p.store(4, address, 0);
    (address, [before, ones, p.load(4, address)])
}

/// That a register read the same all three times; and, if `due` says so, this.
fn unchanged(t: &Transcript, (address, steps): (u64, [Step; 3]), due: Option<u64>) -> Result<(), Unheld> {
    let [before, ones, zeros] = [value(t, steps[0])?, value(t, steps[1])?, value(t, steps[2])?];
    if ones != before || zeros != before || due.is_some_and(|due| due != before) {
        return violated(format!(
            "the register at {address:#x} read {before:#x}, after writing ones {ones:#x}, after zeros {zeros:#x}"
        ));
    }
    Ok(())
}

fn read_only(p: &mut Program) -> Judge {
    enable(p);
    let fixed = [GICD_TYPER, GICD_IIDR, GICD_ICPIDR2].map(|address| written_to(p, address));
    let reserved = [GICD_IIDR + 4, GICD_ISENABLER - 0x60, GICD_ICPIDR2 - 0x28].map(|address| written_to(p, address));
    judge(move |t| {
        fixed.iter().try_for_each(|&register| unchanged(t, register, None))?;
        reserved.iter().try_for_each(|&register| unchanged(t, register, Some(0)))?;
        Ok("unchanged by zeros and ones".to_owned())
    })
}

fn priorities(p: &mut Program) -> Judge {
    let (first, last) = (GICD_IPRIORITYR + FIRST_SPI, GICD_IPRIORITYR + INTERRUPTS - 4);
    const PATTERN: u64 = 0x7f3f_bf1f;
    // 32 priority levels [GICv2/3.3], in each of four bytes.
    const IMPLEMENTED: u64 = 0xf8f8_f8f8;
    enable(p);
    p.store(4, first, 0xffff_ffff);
    let ones = p.load(4, first);
    p.store(4, first, 0);
    let zeros = p.load(4, first);
    p.store(4, last, PATTERN);
    let word = p.load(4, last);
    let bytes: Vec<Step> = (0..4).map(|n| p.load(1, last + n)).collect();
    p.store(1, last + 2, 0xe1);
    let patched = p.load(4, last);
    judge(move |t| {
        gave(t, ones, &[IMPLEMENTED], "all ones read back")?;
        gave(t, zeros, &[0], "zeros read back")?;
        gave(t, word, &[PATTERN & IMPLEMENTED], "a pattern read back")?;
        for (n, &byte) in bytes.iter().enumerate() {
            gave(t, byte, &[(PATTERN & IMPLEMENTED) >> (8 * n) & 0xff], "a byte of it")?;
        }
        gave(t, patched, &[(PATTERN & 0xff00_ffff | 0x00e1_0000) & IMPLEMENTED], "the pattern with one byte written")?;
        Ok("five bits of priority, kept in words and bytes".to_owned())
    })
}

fn beyond_the_last(p: &mut Program) -> Judge {
    enable(p);
    let behind = [GICD_IPRIORITYR + INTERRUPTS, GICD_ITARGETSR + INTERRUPTS, GICD_ISENABLER + INTERRUPTS / 8];
    let behind = behind.map(|address| written_to(p, address));
    judge(move |t| {
        behind.iter().try_for_each(|&register| unchanged(t, register, Some(0)))?;
        Ok("zero, whatever was written".to_owned())
    })
}

fn targets(p: &mut Program, cpus: usize) -> Judge {
    const PATTERN: u64 = 0x0103_0207;
    let register = GICD_ITARGETSR + FIRST_SPI;
    let exist = ((1 << cpus) - 1) * 0x0101_0101;
    enable(p);
    p.store(4, register, 0xffff_ffff);
    let ones = p.load(4, register);
    p.store(4, register, PATTERN);
    let word = p.load(4, register);
    let bytes: Vec<Step> = (0..4).map(|n| p.load(1, register + n)).collect();
    p.store(1, register + 1, 0xff);
    p.store(1, register + 3, 0);
    let patched = p.load(4, register);
    for cpu in 1..cpus {
        p.on_vcpu(cpu, enable);
    }
    judge(move |t| {
        gave(t, ones, &[exist], "all ones read back")?;
        gave(t, word, &[PATTERN & exist], "a pattern read back")?;
        for (n, &byte) in bytes.iter().enumerate() {
            gave(t, byte, &[(PATTERN & exist) >> (8 * n) & 0xff], "a byte of it")?;
        }
        gave(t, patched, &[(PATTERN & 0x00ff_00ff | 0xff00) & exist], "the pattern with two bytes written")?;
        Ok(format!("bits of {cpus} CPUs kept, the others zero"))
    })
}

fn banked_targets(p: &mut Program) -> Judge {
    let look = |p: &mut Program| {
        enable(p);
        let registers = [0, 16, 28].map(|intid| written_to(p, GICD_ITARGETSR + intid));
        let byte = p.load(1, GICD_ITARGETSR + 27);
        p.ask(Action::Meet);
        (registers, byte)
    };
    let mut looked = vec![look(p)];
    looked.extend((1..3).map(|cpu| p.on_vcpu(cpu, look)));
    judge(move |t| {
        for (cpu, (registers, byte)) in looked.iter().enumerate() {
            let own = 1 << cpu;
            registers.iter().try_for_each(|&register| unchanged(t, register, Some(own * 0x0101_0101)))?;
            gave(t, *byte, &[own], "a byte of GICD_ITARGETSR")?;
        }
        Ok("each CPU reads its own bit".to_owned())
    })
}
