//! The console: a PL011 UART.
//!
//! Tag `[PL011]`: Arm DDI 0183G, *PrimeCell UART (PL011) Technical Reference Manual*. What the guest sends is gone at
//! once, so its transmit FIFO is always empty; what it is sent waits in the receive FIFO, and behind that in `backlog`.
//!
//! Choices. The receive timeout of characters that come is over at once; where the guest has cleared that interrupt
//! with characters still in the FIFO, it comes again 32 bit periods later, or 32 after the last read
//! `[PL011/2.4.2, UARTRTINTR]`. A character that is sent raises the transmit interrupt at once; where the guest clears
//! that before the character would have left a real line, it comes again when the character would have.

use std::collections::VecDeque;

use super::{Clock, Device};

// Offsets `[PL011/3.2]`.
const DR: u64 = 0x00;
const RSR: u64 = 0x04;
const FR: u64 = 0x18;
const ILPR: u64 = 0x20;
const IBRD: u64 = 0x24;
const FBRD: u64 = 0x28;
const LCR_H: u64 = 0x2c;
const CR: u64 = 0x30;
const IFLS: u64 = 0x34;
const IMSC: u64 = 0x38;
const RIS: u64 = 0x3c;
const MIS: u64 = 0x40;
const ICR: u64 = 0x44;
const DMACR: u64 = 0x48;
const IDENTIFICATION: u64 = 0xfe0;

// FR `[PL011/3.3.3]`.
const TXFE: u16 = 1 << 7;
const RXFF: u16 = 1 << 6;
const RXFE: u16 = 1 << 4;
/// LCR_H.FEN: FIFOs enabled; otherwise they are one character deep `[PL011/3.3.7]`.
const FEN: u16 = 1 << 4;
// Interrupts: bits of IMSC, RIS, MIS and ICR `[PL011/3.3.10]`.
const RX: u16 = 1 << 4;
const TX: u16 = 1 << 5;
const RT: u16 = 1 << 6;
const INTERRUPTS: u16 = 0x7ff;

/// UARTPeriphID0 to 3 of revision r1p4, UARTPCellID0 to 3 `[PL011/3.3.14]`.
const IDS: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// Depth of a FIFO, in characters.
const FIFO: usize = 16;
/// UARTCLK, ticks a second, as the device tree says.
pub(super) const UARTCLK: u32 = 24_000_000;
/// Bit periods of the receive timeout, and of a character with its start and stop bits.
const TIMEOUT_BITS: u64 = 32;
const CHARACTER_BITS: u64 = 10;
/// UARTCLK periods of a bit at 115,200 baud, for a guest that has set no rate.
const USUAL_BIT: u64 = 208;

/// The most that waits for the guest to read it.
const BACKLOG: usize = 4096;

/// A PL011. What the guest sends goes to `send`, which is called with the device locked and must not block.
pub struct Pl011<S> {
    send: S,
    clock: Clock,
    /// Ticks of a bit period.
    bit: u64,
    /// When the receive timeout comes again.
    timeout: Option<u64>,
    /// When the last character would have left the line, and when the transmit interrupt comes again.
    leaves: u64,
    transmitted: Option<u64>,
    received: VecDeque<u8>,
    backlog: VecDeque<u8>,
    raw: u16,
    mask: u16,
    ilpr: u16,
    ibrd: u16,
    fbrd: u16,
    lcr_h: u16,
    cr: u16,
    ifls: u16,
    dmacr: u16,
}

impl<S: FnMut(u8)> Pl011<S> {
    /// A UART after reset, that lives by `clock`.
    pub fn new(clock: Clock, send: S) -> Pl011<S> {
        // `[PL011/3.3.8, 3.3.9]`: CR has TXE and RXE set, IFLS is at half.
        let mut this = Pl011 {
            send,
            clock,
            bit: 0,
            timeout: None,
            leaves: 0,
            transmitted: None,
            received: VecDeque::with_capacity(FIFO),
            backlog: VecDeque::new(),
            raw: 0,
            mask: 0,
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            lcr_h: 0,
            cr: 0x300,
            ifls: 0x12,
            dmacr: 0,
        };
        this.set_rate();
        this
    }

    /// A bit takes 16 times the divisor, which has six bits behind the point `[PL011/3.3.5, 3.3.6]`.
    fn set_rate(&mut self) {
        let divisor = u64::from(self.ibrd) << 6 | u64::from(self.fbrd);
        let periods = if self.ibrd == 0 { USUAL_BIT } else { (16 * divisor) >> 6 };
        self.bit = (periods * self.clock.frequency() / u64::from(UARTCLK)).max(1);
    }

    /// Takes in what was typed. Returns how many bytes there was room for.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(BACKLOG - self.backlog.len());
        self.backlog.extend(&bytes[..taken]);
        self.fill();
        taken
    }

    fn depth(&self) -> usize {
        if self.lcr_h & FEN != 0 { FIFO } else { 1 }
    }

    /// Characters at which the receive interrupt is due `[PL011/3.3.9]`.
    fn trigger(&self) -> usize {
        if self.lcr_h & FEN == 0 {
            return 1;
        }
        match self.ifls >> 3 & 7 {
            0 => FIFO / 8,
            1 => FIFO / 4,
            2 => FIFO / 2,
            3 => FIFO * 3 / 4,
            _ => FIFO * 7 / 8,
        }
    }

    /// Moves what waits into the FIFO, as far as it goes.
    fn fill(&mut self) {
        let room = self.depth().saturating_sub(self.received.len()).min(self.backlog.len());
        if room > 0 {
            let before = self.received.len();
            self.received.extend(self.backlog.drain(..room));
            self.raw |= RT;
            self.timeout = None;
            // It comes when the level is reached, not as long as it is there.
            if before < self.trigger() && self.received.len() >= self.trigger() {
                self.raw |= RX;
            }
        }
    }

    /// Counts 32 bit periods, where the receive timeout has been cleared and there is something to read.
    fn await_timeout(&mut self) {
        let awaited = self.raw & RT == 0 && !self.received.is_empty();
        self.timeout = awaited.then(|| self.clock.now() + TIMEOUT_BITS * self.bit);
    }

    fn clear(&mut self, interrupts: u16) {
        self.raw &= !interrupts;
        if interrupts & RT != 0 {
            self.await_timeout();
        }
        if interrupts & TX != 0 {
            self.transmitted = Some(self.leaves).filter(|&leaves| leaves > self.clock.now());
        }
    }

    /// The character that the guest reads.
    fn take(&mut self) -> u8 {
        let byte = self.received.pop_front().unwrap_or(0);
        if self.received.len() < self.trigger() {
            self.raw &= !RX;
        }
        if self.received.is_empty() {
            self.raw &= !RT;
        }
        self.await_timeout();
        self.fill();
        byte
    }

    fn flags(&self) -> u16 {
        let full = if self.received.len() >= self.depth() { RXFF } else { 0 };
        TXFE | full | if self.received.is_empty() { RXFE } else { 0 }
    }

    fn register(&mut self, offset: u64) -> u16 {
        match offset {
            DR => self.take().into(),
            FR => self.flags(),
            ILPR => self.ilpr,
            IBRD => self.ibrd,
            FBRD => self.fbrd,
            LCR_H => self.lcr_h,
            CR => self.cr,
            IFLS => self.ifls,
            IMSC => self.mask,
            RIS => self.raw,
            MIS => self.raw & self.mask,
            DMACR => self.dmacr,
            IDENTIFICATION..=0xffc => IDS[(offset - IDENTIFICATION) as usize / 4].into(),
            // RSR: no framing, parity, break or overrun error ever.
            _ => 0,
        }
    }

    fn set_register(&mut self, offset: u64, value: u16) {
        match offset {
            DR => {
                (self.send)(value as u8);
                // It went into an empty FIFO and left it: back at or below the trigger level.
                self.raw |= TX;
                self.transmitted = None;
                self.leaves = self.clock.now() + CHARACTER_BITS * self.bit;
            }
            ILPR => self.ilpr = value & 0xff,
            IBRD => {
                self.ibrd = value;
                self.set_rate();
            }
            FBRD => {
                self.fbrd = value & 0x3f;
                self.set_rate();
            }
            LCR_H => {
                self.lcr_h = value & 0xff;
                self.fill();
            }
            CR => self.cr = value,
            IFLS => self.ifls = value & 0x3f,
            IMSC => self.mask = value & INTERRUPTS,
            ICR => self.clear(value & INTERRUPTS),
            DMACR => self.dmacr = value & 7,
            // RSR is ECR to a write: there are no errors to clear.
            RSR => {}
            _ => {}
        }
    }
}

impl<S: FnMut(u8) + Send> Device for Pl011<S> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        self.elapse();
        data.fill(0);
        let value = if offset.is_multiple_of(4) { self.register(offset) } else { 0 };
        data.iter_mut().zip(value.to_le_bytes()).for_each(|(byte, value)| *byte = value);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.elapse();
        if offset.is_multiple_of(4) {
            let at = |index| data.get(index).copied().unwrap_or(0);
            self.set_register(offset, u16::from_le_bytes([at(0), at(1)]));
        }
    }

    fn output(&self) -> bool {
        self.raw & self.mask != 0
    }

    fn due(&self) -> Option<u64> {
        match (self.timeout, self.transmitted) {
            (Some(timeout), Some(transmitted)) => Some(timeout.min(transmitted)),
            (timeout, transmitted) => timeout.or(transmitted),
        }
    }

    fn elapse(&mut self) {
        if self.timeout.is_none() && self.transmitted.is_none() {
            return;
        }
        let now = self.clock.now();
        if self.timeout.take_if(|due| *due <= now).is_some() {
            self.raw |= RT;
        }
        if self.transmitted.take_if(|due| *due <= now).is_some() {
            self.raw |= TX;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::time::manual::{FREQUENCY, clock, forward};

    fn read(uart: &mut impl Device, offset: u64) -> u16 {
        let mut data = [0xff; 2];
        uart.read(offset, &mut data);
        u16::from_le_bytes(data)
    }

    fn write(uart: &mut impl Device, offset: u64, value: u16) {
        uart.write(offset, &value.to_le_bytes());
    }

    /// A UART with FIFOs whose receive and transmit interrupts are unmasked.
    fn uart() -> (Pl011<impl FnMut(u8) + Send>, mpsc::Receiver<u8>) {
        let (sender, sent) = mpsc::channel();
        let mut uart = Pl011::new(clock(), move |byte| sender.send(byte).unwrap());
        write(&mut uart, LCR_H, 0x70);
        write(&mut uart, IMSC, RX | TX | RT);
        (uart, sent)
    }

    #[test]
    fn what_is_written_is_sent_and_raises_the_transmit_interrupt_until_it_is_cleared() {
        let (mut uart, sent) = uart();
        assert!(!uart.output(), "nothing was sent yet");
        write(&mut uart, DR, b'x'.into());
        assert_eq!(sent.try_recv(), Ok(b'x'));
        assert_eq!((uart.output(), read(&mut uart, MIS)), (true, TX));
        write(&mut uart, ICR, TX);
        assert!(!uart.output());
        write(&mut uart, IMSC, 0);
        write(&mut uart, DR, b'y'.into());
        assert_eq!((uart.output(), read(&mut uart, RIS), read(&mut uart, MIS)), (false, TX, 0), "masked");
        assert_eq!(read(&mut uart, FR), TXFE | RXFE, "never full");
    }

    #[test]
    fn what_is_typed_raises_an_interrupt_until_the_last_of_it_is_read() {
        let (mut uart, _sent) = uart();
        assert_eq!(uart.receive(b"ls"), 2);
        assert_eq!((uart.output(), read(&mut uart, RIS), read(&mut uart, FR)), (true, RT, TXFE));
        assert_eq!((read(&mut uart, DR), uart.output()), (b'l'.into(), true));
        assert_eq!((read(&mut uart, DR), uart.output()), (b's'.into(), false));
        assert_eq!((read(&mut uart, DR), read(&mut uart, FR)), (0, TXFE | RXFE), "empty");
    }

    /// Ticks of 32 bit periods at 115,200 baud: 277 us.
    const TIMEOUT: u64 = 32 * (USUAL_BIT * FREQUENCY / UARTCLK as u64);

    #[test]
    fn a_character_that_came_before_its_interrupt_was_cleared_is_not_forgotten() {
        let (mut uart, _sent) = uart();
        uart.receive(b"a");
        assert_eq!(read(&mut uart, DR), u16::from(b'a'));
        // The driver has seen an empty FIFO, and clears the interrupts: in between comes the next character.
        uart.receive(b"b");
        write(&mut uart, ICR, RX | RT);
        assert_eq!((read(&mut uart, RIS), uart.output(), read(&mut uart, FR) & RXFE), (0, false, 0));
        let due = uart.due().expect("the timeout comes again");
        forward(TIMEOUT - 1);
        assert_eq!(read(&mut uart, RIS), 0);
        forward(1);
        assert!(due <= uart.clock.now());
        uart.elapse();
        assert_eq!((uart.output(), read(&mut uart, MIS), uart.due()), (true, RT, None));
        assert_eq!((read(&mut uart, DR), uart.output(), uart.due()), (b'b'.into(), false, None));
    }

    #[test]
    fn each_read_puts_a_cleared_timeout_off_and_the_last_one_ends_it() {
        let (mut uart, _sent) = uart();
        uart.receive(b"abc");
        write(&mut uart, ICR, RT);
        forward(TIMEOUT / 2);
        read(&mut uart, DR);
        forward(TIMEOUT / 2);
        assert_eq!(read(&mut uart, RIS), 0, "not 32 bit periods since the read");
        forward(TIMEOUT);
        assert_eq!(read(&mut uart, RIS), RT);
        write(&mut uart, ICR, RT);
        read(&mut uart, DR);
        read(&mut uart, DR);
        assert_eq!(uart.due(), None, "there is nothing to wait for");
    }

    #[test]
    fn the_timeout_is_as_long_as_the_rate_makes_it() {
        let (mut uart, _sent) = uart();
        // 24 MHz / (16 * 1.5) is a million bits a second.
        write(&mut uart, IBRD, 1);
        write(&mut uart, FBRD, 32);
        uart.receive(b"a");
        write(&mut uart, ICR, RT);
        assert_eq!(uart.due(), Some(uart.clock.now() + 32 * FREQUENCY / 1_000_000));
    }

    #[test]
    fn the_receive_interrupt_is_of_reaching_the_level_and_not_of_being_there() {
        let (mut uart, _sent) = uart();
        uart.receive(b"1234567890");
        write(&mut uart, ICR, RX | RT);
        write(&mut uart, LCR_H, 0x70);
        assert_eq!((read(&mut uart, DR), read(&mut uart, RIS)), (b'1'.into(), 0), "9 of 16, all along");
        uart.receive(b"x");
        assert_eq!(read(&mut uart, RIS), RT, "a new one, but no level that was reached");
        for _ in 0..3 {
            read(&mut uart, DR);
        }
        uart.receive(b"y");
        assert_eq!(read(&mut uart, RIS), RX | RT, "8 of 16 again");
    }

    #[test]
    fn a_transmit_interrupt_cleared_before_its_character_had_left_comes_when_it_has() {
        let (mut uart, _sent) = uart();
        write(&mut uart, DR, b'x'.into());
        write(&mut uart, ICR, TX);
        assert!(!uart.output());
        forward(TIMEOUT * 10 / 32 + 1);
        uart.elapse();
        assert_eq!(read(&mut uart, MIS), TX);
        write(&mut uart, ICR, TX);
        assert_eq!((uart.due(), uart.output()), (None, false), "once");
        write(&mut uart, DR, b'y'.into());
        forward(TIMEOUT);
        write(&mut uart, ICR, TX);
        assert_eq!((uart.due(), uart.output()), (None, false), "it had left");
    }

    #[test]
    fn the_receive_interrupt_comes_and_goes_at_the_trigger_level() {
        let (mut uart, _sent) = uart();
        uart.receive(b"1234567");
        assert_eq!(read(&mut uart, RIS) & RX, 0, "7 of 16");
        uart.receive(b"8");
        assert_eq!(read(&mut uart, RIS) & RX, RX, "8 of 16");
        read(&mut uart, DR);
        assert_eq!(read(&mut uart, RIS) & RX, 0, "7 of 16");
    }

    #[test]
    fn more_than_the_fifo_holds_waits_behind_it_in_order() {
        let (mut uart, _sent) = uart();
        let typed: Vec<u8> = (0..40).collect();
        assert_eq!(uart.receive(&typed), 40);
        assert_eq!(read(&mut uart, FR) & RXFF, RXFF);
        let read: Vec<u16> = (0..40).map(|_| read(&mut uart, DR)).collect();
        assert_eq!(read, (0..40).collect::<Vec<u16>>());
        assert!(!uart.output());
        assert_eq!(uart.receive(&[0; 2 * BACKLOG]), BACKLOG, "no more than there is room for");
    }

    #[test]
    fn without_fifos_one_character_is_all() {
        let (mut uart, _sent) = uart();
        write(&mut uart, LCR_H, 0x60);
        uart.receive(b"ab");
        assert_eq!(read(&mut uart, FR) & (RXFF | RXFE), RXFF);
        assert_eq!(
            (read(&mut uart, RIS), read(&mut uart, DR), read(&mut uart, DR)),
            (RX | RT, b'a'.into(), b'b'.into())
        );
    }

    #[test]
    fn drivers_find_a_pl011_by_its_identification() {
        let (mut uart, _sent) = uart();
        let ids: Vec<u16> = (0..8).map(|n| read(&mut uart, IDENTIFICATION + 4 * n)).collect();
        assert_eq!(ids, IDS.map(u16::from));
    }

    #[test]
    fn odd_widths_and_places_read_zero_and_write_nothing() {
        let (mut uart, sent) = uart();
        uart.write(1, b"x");
        uart.write(DR, b"y");
        assert_eq!(sent.try_iter().collect::<Vec<_>>(), b"y");
        let mut data = [0xff; 8];
        uart.read(FR, &mut data);
        assert_eq!(data, [(TXFE | RXFE) as u8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((read(&mut uart, FR + 2), read(&mut uart, 0x100)), (0, 0));
    }
}
