//! The two tables of registers, and the decoder: the only place that knows an offset.

use crate::Gic;

/// How the bytes of a row's registers belong to interrupts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// This many 32-bit registers that aren't about particular interrupts.
    Words(usize),
    /// A field of this many bits (1, 2 or 8) for each interrupt that may exist.
    PerInterrupt(usize),
    /// A field of 8 bits for each SGI.
    PerSgi,
}

impl Layout {
    /// What the row occupies. Reserved fields of INTIDs 1020 to 1023 are included.
    const fn bytes(self) -> usize {
        match self {
            Words(words) => words * 4,
            PerInterrupt(bits) => 1024 * bits / 8,
            PerSgi => 16,
        }
    }
}

/// The widths that a row allows `[GICv2/4.1.4]`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Widths {
    Word,
    WordOrByte,
}

/// One access, as the functions of a row see it.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    /// Which CPU.
    pub(crate) cpu: usize,
    /// The first INTID that is covered; for [`Layout::Words`], the index of the register.
    pub(crate) first: usize,
    /// How many interrupts that exist are covered: at least one; for [`Layout::Words`], 0.
    pub(crate) count: usize,
}

type Read = fn(&mut Gic, Access) -> u32;
type Write = fn(&mut Gic, Access, u32);

/// One row: a register, or a run of registers that differ by the interrupts they are about.
struct Register {
    name: &'static str,
    /// The section of the specification, for the reader and for messages.
    section: &'static str,
    offset: usize,
    layout: Layout,
    widths: Widths,
    read: Read,
    write: Write,
}

fn raz(_: &mut Gic, _: Access) -> u32 {
    0
}

fn wi(_: &mut Gic, _: Access, _: u32) {}

use Layout::{PerInterrupt, PerSgi, Words};
use Widths::{Word, WordOrByte};

/// Makes one row. Read-only is `wi`, write-only is `raz`.
const fn row(
    section: &'static str,
    offset: usize,
    name: &'static str,
    layout: Layout,
    widths: Widths,
    read: Read,
    write: Write,
) -> Register {
    Register { name, section, offset, layout, widths, read, write }
}

/// `[GICv2/4.1.2]`. What is not here is reserved, or GICD_NSACR, which only the Security Extensions give a meaning.
#[rustfmt::skip]
const DISTRIBUTOR_ROWS: &[Register] = &[
    row("GICv2/4.3.1",  0x000, "GICD_CTLR",       Words(1),        Word,       Gic::read_gicd_ctlr,      Gic::write_gicd_ctlr),
    row("GICv2/4.3.2",  0x004, "GICD_TYPER",      Words(1),        Word,       Gic::read_typer,          wi),
    row("GICv2/4.3.3",  0x008, "GICD_IIDR",       Words(1),        Word,       Gic::read_gicd_iidr,      wi),
    row("GICv2/4.3.4",  0x080, "GICD_IGROUPR",    PerInterrupt(1), Word,       Gic::read_group,          Gic::write_group),
    row("GICv2/4.3.5",  0x100, "GICD_ISENABLER",  PerInterrupt(1), Word,       Gic::read_enable,         Gic::write_set_enable),
    row("GICv2/4.3.6",  0x180, "GICD_ICENABLER",  PerInterrupt(1), Word,       Gic::read_enable,         Gic::write_clear_enable),
    row("GICv2/4.3.7",  0x200, "GICD_ISPENDR",    PerInterrupt(1), Word,       Gic::read_pending,        Gic::write_set_pending),
    row("GICv2/4.3.8",  0x280, "GICD_ICPENDR",    PerInterrupt(1), Word,       Gic::read_pending,        Gic::write_clear_pending),
    row("GICv2/4.3.9",  0x300, "GICD_ISACTIVER",  PerInterrupt(1), Word,       Gic::read_active,         Gic::write_set_active),
    row("GICv2/4.3.10", 0x380, "GICD_ICACTIVER",  PerInterrupt(1), Word,       Gic::read_active,         Gic::write_clear_active),
    row("GICv2/4.3.11", 0x400, "GICD_IPRIORITYR", PerInterrupt(8), WordOrByte, Gic::read_priority,       Gic::write_priority),
    row("GICv2/4.3.12", 0x800, "GICD_ITARGETSR",  PerInterrupt(8), WordOrByte, Gic::read_targets,        Gic::write_targets),
    row("GICv2/4.3.13", 0xc00, "GICD_ICFGR",      PerInterrupt(2), Word,       Gic::read_config,         Gic::write_config),
    row("GICv2/4.3.15", 0xf00, "GICD_SGIR",       Words(1),        Word,       raz,                      Gic::write_sgir),
    row("GICv2/4.3.16", 0xf10, "GICD_CPENDSGIR",  PerSgi,          WordOrByte, Gic::read_sgi_pending,    Gic::write_clear_sgi_pending),
    row("GICv2/4.3.17", 0xf20, "GICD_SPENDSGIR",  PerSgi,          WordOrByte, Gic::read_sgi_pending,    Gic::write_set_sgi_pending),
    row("GICv2/4.3.18", 0xfd0, "ICPIDR/ICCIDR",   Words(12),       Word,       Gic::read_identification, wi),
];

/// `[GICv2/4.1.3]`.
#[rustfmt::skip]
const CPU_INTERFACE_ROWS: &[Register] = &[
    row("GICv2/4.4.1",  0x0000, "GICC_CTLR",   Words(1), Word, Gic::read_gicc_ctlr, Gic::write_gicc_ctlr),
    row("GICv2/4.4.2",  0x0004, "GICC_PMR",    Words(1), Word, Gic::read_pmr,       Gic::write_pmr),
    row("GICv2/4.4.3",  0x0008, "GICC_BPR",    Words(1), Word, Gic::read_bpr,       Gic::write_bpr),
    row("GICv2/4.4.4",  0x000c, "GICC_IAR",    Words(1), Word, Gic::read_iar,       wi),
    row("GICv2/4.4.5",  0x0010, "GICC_EOIR",   Words(1), Word, raz,                 Gic::write_eoir),
    row("GICv2/4.4.6",  0x0014, "GICC_RPR",    Words(1), Word, Gic::read_rpr,       wi),
    row("GICv2/4.4.7",  0x0018, "GICC_HPPIR",  Words(1), Word, Gic::read_hppir,     wi),
    row("GICv2/4.4.8",  0x001c, "GICC_ABPR",   Words(1), Word, Gic::read_abpr,      Gic::write_abpr),
    row("GICv2/4.4.9",  0x0020, "GICC_AIAR",   Words(1), Word, Gic::read_aiar,      wi),
    row("GICv2/4.4.10", 0x0024, "GICC_AEOIR",  Words(1), Word, raz,                 Gic::write_aeoir),
    row("GICv2/4.4.11", 0x0028, "GICC_AHPPIR", Words(1), Word, Gic::read_ahppir,    wi),
    row("GICv2/4.4.12", 0x00d0, "GICC_APR",    Words(4), Word, Gic::read_apr,       Gic::write_apr),
    row("GICv2/4.4.13", 0x00e0, "GICC_NSAPR",  Words(4), Word, Gic::read_nsapr,     Gic::write_nsapr),
    row("GICv2/4.4.14", 0x00fc, "GICC_IIDR",   Words(1), Word, Gic::read_gicc_iidr, wi),
    row("GICv2/4.4.15", 0x1000, "GICC_DIR",    Words(1), Word, raz,                 Gic::write_dir),
];

/// The Distributor's frame of 4 KiB.
pub(crate) static DISTRIBUTOR: Frame<0x400> = Frame::new(DISTRIBUTOR_ROWS);
/// The CPU interface's frame of 8 KiB; nothing follows GICC_DIR.
pub(crate) static CPU_INTERFACE: Frame<0x401> = Frame::new(CPU_INTERFACE_ROWS);

/// A table of registers, with the row of each 32-bit word of the frame looked up beforehand.
pub(crate) struct Frame<const WORDS: usize> {
    rows: &'static [Register],
    /// For each word the index of its row, or [`RESERVED`].
    index: [u8; WORDS],
}

const RESERVED: u8 = 0xff;

impl<const WORDS: usize> Frame<WORDS> {
    /// Fails to compile if two rows overlap or if one doesn't fit.
    const fn new(rows: &'static [Register]) -> Self {
        let mut index = [RESERVED; WORDS];
        let mut row = 0;
        while row < rows.len() {
            let mut word = rows[row].offset / 4;
            let end = word + rows[row].layout.bytes() / 4;
            while word < end {
                assert!(index[word] == RESERVED, "two rows overlap");
                index[word] = row as u8;
                word += 1;
            }
            row += 1;
        }
        Frame { rows, index }
    }

    fn row(&self, offset: u64) -> Option<&'static Register> {
        let index = *self.index.get(usize::try_from(offset / 4).ok()?)?;
        self.rows.get(usize::from(index))
    }

    /// Decodes an access; `None` is one that the specification doesn't allow, which is RAZ/WI.
    fn decode(&self, gic: &Gic, cpu: usize, offset: u64, len: usize) -> Option<(&'static Register, Access)> {
        let row = self.row(offset)?;
        let width_is_allowed = match len {
            4 => offset.is_multiple_of(4),
            1 => row.widths == WordOrByte,
            _ => false,
        };
        if !width_is_allowed || cpu >= gic.cpus() {
            return None;
        }
        let byte = offset as usize - row.offset;
        let (first, count) = match row.layout {
            Words(_) => return Some((row, Access { cpu, first: byte / 4, count: 0 })),
            PerInterrupt(1) => (byte * 8, 32),
            PerInterrupt(2) => (byte * 4, 16),
            PerInterrupt(_) | PerSgi => (byte, len),
        };
        // The fields of interrupts that don't exist are RAZ/WI.
        let exist = gic.interrupts().checked_sub(first).filter(|exist| *exist > 0)?;
        Some((row, Access { cpu, first, count: count.min(exist) }))
    }

    pub(crate) fn read(&self, gic: &mut Gic, cpu: usize, offset: u64, len: usize) -> u32 {
        let Some((row, access)) = self.decode(gic, cpu, offset, len) else { return 0 };
        let value = (row.read)(gic, access);
        gic.settle();
        value
    }

    pub(crate) fn write(&self, gic: &mut Gic, cpu: usize, offset: u64, len: usize, value: u32) {
        let Some((row, access)) = self.decode(gic, cpu, offset, len) else { return };
        (row.write)(gic, access, value);
        gic.settle();
    }
}

/// The name and the section of the specification of the register at an offset of the Distributor's frame, or of the CPU
/// interface's, for those who report accesses. `None` is reserved space.
pub fn register_name(is_distributor: bool, offset: u64) -> Option<(&'static str, &'static str)> {
    let row = if is_distributor { DISTRIBUTOR.row(offset) } else { CPU_INTERFACE.row(offset) };
    row.map(|row| (row.name, row.section))
}
