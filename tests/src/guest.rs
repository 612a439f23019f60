//! Small guests, put together instruction by instruction: flat binaries that look at the machine and say what they saw
//! in lines of "PASS" and "FAIL".
//!
//! Encodings: Arm ARM (DDI 0487), C6.2.

use std::path::PathBuf;

/// The UART's base address, which x20 holds from the start.
const UART: u64 = 0x0900_0000;
/// PSCI SYSTEM_OFF and SYSTEM_RESET (Arm DEN 0022).
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;

/// The width of an access.
#[derive(Clone, Copy, Debug)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Width {
    /// Opcode of a load at `[xn]`; a store's has bit 22 clear.
    fn load(self) -> u32 {
        0x3940_0000 | (self as u32) << 30
    }
}

/// A guest in the making. It prints by x20, and uses x0 to x3 and x19 for itself; x10 to x15 and x21 on are its tests'.
#[derive(Clone, Debug)]
pub struct Guest {
    code: Vec<u32>,
}

impl Default for Guest {
    fn default() -> Guest {
        Guest::new()
    }
}

impl Guest {
    /// A guest that does nothing yet. It keeps the address of its device tree, which it got in x0, in x21.
    pub fn new() -> Guest {
        // mov x21, x0
        let mut guest = Guest { code: vec![0xaa00_03f5] };
        guest.mov(20, UART);
        guest
    }

    /// Any instruction.
    pub fn raw(&mut self, word: u32) -> &mut Guest {
        self.code.push(word);
        self
    }

    /// x`d` := a constant.
    pub fn mov(&mut self, d: u32, value: u64) -> &mut Guest {
        self.raw(0xd280_0000 | (value as u32 & 0xffff) << 5 | d); // movz
        for half in 1..4 {
            self.raw(0xf280_0000 | half << 21 | ((value >> (16 * half)) as u32 & 0xffff) << 5 | d); // movk
        }
        self
    }

    /// x`t` := what is at an address.
    pub fn read(&mut self, t: u32, address: u64, width: Width) -> &mut Guest {
        self.mov(19, address).load(t, 19, width)
    }

    /// x`t` := what is where x`n` says.
    pub fn load(&mut self, t: u32, n: u32, width: Width) -> &mut Guest {
        self.raw(width.load() | n << 5 | t)
    }

    /// Writes x`t` to where x`n` says.
    pub fn store(&mut self, t: u32, n: u32, width: Width) -> &mut Guest {
        self.raw(width.load() & !(1 << 22) | n << 5 | t)
    }

    /// Writes a constant to an address.
    pub fn write(&mut self, address: u64, value: u64, width: Width) -> &mut Guest {
        self.mov(19, address).mov(1, value).store(1, 19, width)
    }

    /// x`t` := x`t` + a constant below 4096.
    pub fn add(&mut self, t: u32, value: u32) -> &mut Guest {
        self.raw(0x9100_0000 | (value & 0xfff) << 10 | t << 5 | t)
    }

    /// Prints.
    pub fn print(&mut self, text: &str) -> &mut Guest {
        for byte in text.bytes() {
            self.raw(0x5280_0000 | u32::from(byte) << 5 | 1); // movz w1
            self.raw(0xb900_0000 | 20 << 5 | 1); // str w1, [x20]
        }
        self
    }

    /// Skips what `then` puts together, if x`t` is zero.
    fn unless_zero(&mut self, t: u32, then: impl FnOnce(&mut Guest)) -> &mut Guest {
        let at = self.code.len();
        self.raw(0);
        then(self);
        self.code[at] = 0xb400_0000 | ((self.code.len() - at) as u32) << 5 | t; // cbz
        self
    }

    /// Prints "PASS" or "FAIL" and `name`: whether x`t` is this.
    pub fn expect(&mut self, name: &str, t: u32, value: u64) -> &mut Guest {
        self.mov(2, value);
        self.raw(0xcb00_0002 | t << 16 | 2 << 5); // sub x2, x2, xt
        self.mov(3, 1);
        self.unless_zero(2, |guest| {
            guest.print(&format!("FAIL {name}\n")).mov(3, 0);
        });
        self.unless_zero(3, |guest| {
            guest.print(&format!("PASS {name}\n"));
        })
    }

    /// Reads an address and compares.
    pub fn expect_at(&mut self, name: &str, address: u64, width: Width, value: u64) -> &mut Guest {
        self.read(10, address, width).expect(name, 10, value)
    }

    /// Repeats what `body` puts together until x`t` is not zero.
    pub fn until(&mut self, t: u32, body: impl FnOnce(&mut Guest)) -> &mut Guest {
        let at = self.code.len();
        body(self);
        let back = (at as i64 - self.code.len() as i64) as u32 & 0x7_ffff;
        self.raw(0xb400_0000 | back << 5 | t) // cbz
    }

    /// Does what `body` puts together if x`t` is zero.
    pub fn if_zero(&mut self, t: u32, body: impl FnOnce(&mut Guest)) -> &mut Guest {
        let at = self.code.len();
        self.raw(0);
        body(self);
        self.code[at] = 0xb500_0000 | ((self.code.len() - at) as u32) << 5 | t; // cbnz
        self
    }

    /// A PSCI call without arguments.
    pub fn psci(&mut self, function: u64) -> &mut Guest {
        self.mov(0, function).raw(0xd400_0002) // hvc #0
    }

    /// Switches the machine off.
    pub fn off(&mut self) -> &mut Guest {
        self.psci(SYSTEM_OFF)
    }

    /// Starts the machine again.
    pub fn reset(&mut self) -> &mut Guest {
        self.psci(SYSTEM_RESET)
    }

    /// Writes it to a file in `folder`, followed by `b .`, and gives its name.
    pub fn save(&self, folder: &tempfile::TempDir) -> PathBuf {
        let place = folder.path().join("guest.flat");
        let words = self.code.iter().chain(&[0x1400_0000]);
        std::fs::write(&place, words.flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()).expect("a place for it");
        place
    }
}
