//! The console, raw, with everything that went out over it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};
use vtick_frame::{Encoder, Message};

use crate::kmsg::Kmsg;

/// How often everything is sent once more. Each round is needed only if the kernel printed during the one before.
const REPETITIONS: usize = 3;

/// Sends messages, and all of them again if the kernel may have torn one.
#[derive(Debug)]
pub(crate) struct Wire {
    console: File,
    encoder: Encoder,
    sent: Vec<u8>,
    kmsg: Kmsg,
}

impl Wire {
    pub(crate) fn open() -> io::Result<Self> {
        let flags = i32::try_from(OFlags::NOCTTY.bits()).map_err(io::Error::other)?;
        let console = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/console")?;
        let mut settings = tcgetattr(&console)?;
        settings.make_raw();
        tcsetattr(&console, OptionalActions::Now, &settings)?;
        Ok(Self { console, encoder: Encoder::default(), sent: Vec::new(), kmsg: Kmsg::open()? })
    }

    /// Sends one message. A console that can't be written leaves nobody to tell.
    pub(crate) fn send(&mut self, message: &Message) {
        let lines = self.encoder.encode(message);
        let _unreportable = self.console.write_all(&lines);
        self.sent.extend(lines);
    }

    /// Sends what the kernel has logged since the last call.
    pub(crate) fn send_kernel_log(&mut self) {
        let text = self.kmsg.read();
        if !text.is_empty() {
            self.send(&Message::KernelLog(text));
        }
    }

    /// Waits until the last byte has left the UART.
    pub(crate) fn drain(&self) {
        let _unreportable = tcdrain(&self.console);
    }

    /// Closes the conversation, and makes sure all of it has passed.
    ///
    /// Nothing comes back over this line, so what the other side misses is not known. But the kernel's own messages
    /// are what tears a line, and the log tells whether there were any that reach the console: then everything is sent
    /// again, until a round passed in silence. That a message may reach the console long after it was logged (printk
    /// has threads for it) does not matter this way.
    pub(crate) fn finish(&mut self) {
        self.send(&Message::End);
        let mut printed_before = 0;
        for _ in 0..REPETITIONS {
            self.drain();
            self.kmsg.read();
            if self.kmsg.on_console == printed_before {
                return;
            }
            printed_before = self.kmsg.on_console;
            let _unreportable = self.console.write_all(&self.sent);
        }
        self.drain();
    }
}
