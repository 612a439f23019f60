//! The console: a PL011 UART.
//!
//! Tag `[PL011]`: Arm DDI 0183G, *PrimeCell UART (PL011) Technical Reference Manual*. What the guest sends is gone at
//! once, so its transmit FIFO is always empty; what it is sent waits in the receive FIFO, and behind that in `backlog`.
//! Choice: the receive timeout, 32 bit periods without a read, is over at once.

use std::collections::VecDeque;

use super::Device;

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
/// The most that waits for the guest to read it.
const BACKLOG: usize = 4096;

/// A PL011. What the guest sends goes to `send`, which is called with the device locked and must not block.
pub struct Pl011<S> {
    send: S,
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
    /// A UART after reset.
    pub fn new(send: S) -> Pl011<S> {
        // `[PL011/3.3.8, 3.3.9]`: CR has TXE and RXE set, IFLS is at half.
        Pl011 {
            send,
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
        }
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
            self.received.extend(self.backlog.drain(..room));
            self.raw |= RT;
        }
        if self.received.len() >= self.trigger() {
            self.raw |= RX;
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
            }
            ILPR => self.ilpr = value & 0xff,
            IBRD => self.ibrd = value,
            FBRD => self.fbrd = value & 0x3f,
            LCR_H => {
                self.lcr_h = value & 0xff;
                self.fill();
            }
            CR => self.cr = value,
            IFLS => self.ifls = value & 0x3f,
            IMSC => self.mask = value & INTERRUPTS,
            ICR => self.raw &= !value,
            DMACR => self.dmacr = value & 7,
            // RSR is ECR to a write: there are no errors to clear.
            RSR => {}
            _ => {}
        }
    }
}

impl<S: FnMut(u8) + Send> Device for Pl011<S> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let value = if offset.is_multiple_of(4) { self.register(offset) } else { 0 };
        data.iter_mut().zip(value.to_le_bytes()).for_each(|(byte, value)| *byte = value);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if offset.is_multiple_of(4) {
            let at = |index| data.get(index).copied().unwrap_or(0);
            self.set_register(offset, u16::from_le_bytes([at(0), at(1)]));
        }
    }

    fn output(&self) -> bool {
        self.raw & self.mask != 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

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
        let mut uart = Pl011::new(move |byte| sender.send(byte).unwrap());
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
