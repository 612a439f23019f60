//! What the guest prints, on its way out. A thread of its own writes it, so that no vCPU waits for a terminal, or makes
//! a system call for each character.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the first character of something waits for others before all are written.
const LINGER: Duration = Duration::from_millis(10);
/// From how many bytes on a vCPU is to wait until some are written.
const FULL: usize = 256 << 10;
/// How long it waits before it looks around.
const PATIENCE: Duration = Duration::from_millis(100);
/// How much of a line is heard.
const LINE: usize = 4096;

/// The end of the pipe into which the guest prints.
pub struct Output {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something was put in, or the end has come.
    filled: Condvar,
    /// Something was written.
    drained: Condvar,
    /// Bytes that wait.
    len: AtomicUsize,
    closed: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
}

impl Output {
    /// Writes what is printed to `to`, until this is dropped.
    pub fn new(mut to: impl Write + Send + 'static) -> std::io::Result<Output> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("console".to_owned()).spawn(move || theirs.write_all(&mut to))?;
        Ok(Output { shared, writer: Some(writer) })
    }

    /// What a UART prints with, one character at a time. It never blocks. `hear`, if there is one, is called at the end
    /// of each line with the line, of which it gets the first 4 KiB.
    pub fn printer<H: FnMut(&[u8]) + Send>(&self, mut hear: Option<H>) -> impl FnMut(u8) + Send + use<H> {
        let shared = Arc::clone(&self.shared);
        let mut line = Vec::new();
        move |byte| {
            shared.put(byte);
            match &mut hear {
                Some(hear) if byte == b'\n' => {
                    hear(&line);
                    line.clear();
                }
                Some(_) if line.len() < LINE => line.push(byte),
                _ => {}
            }
        }
    }

    /// Waits, if too much waits to be written, until less does or `give_up` says so.
    #[inline(always)]
    pub fn pace(&self, give_up: impl Fn() -> bool) {
        if self.shared.len.load(Ordering::Relaxed) >= FULL {
            self.shared.wait_until_drained(give_up);
        }
    }
}

impl Drop for Output {
    /// Everything printed so far is written before this returns.
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        drop(self.shared.lock());
        self.shared.filled.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in a character.
    fn put(&self, byte: u8) {
        let mut waiting = self.lock();
        waiting.bytes.push(byte);
        let len = waiting.bytes.len();
        self.len.store(len, Ordering::Relaxed);
        drop(waiting);
        if len == 1 {
            self.filled.notify_one();
        }
    }

    #[cold]
    fn wait_until_drained(&self, give_up: impl Fn() -> bool) {
        let mut waiting = self.lock();
        while waiting.bytes.len() >= FULL && !give_up() {
            waiting = self.drained.wait_timeout(waiting, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The thread's body.
    fn write_all(&self, to: &mut impl Write) {
        let mut writable = true;
        loop {
            let mut waiting = self.lock();
            while waiting.bytes.is_empty() && !self.closed.load(Ordering::Acquire) {
                waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            if !self.closed.load(Ordering::Acquire) {
                drop(waiting);
                std::thread::sleep(LINGER);
                waiting = self.lock();
            }
            let bytes = std::mem::take(&mut waiting.bytes);
            self.len.store(0, Ordering::Relaxed);
            drop(waiting);
            self.drained.notify_all();
            if bytes.is_empty() {
                return;
            }
            // Nobody reads any more: what is printed from here on is lost, and the guest runs on.
            writable = writable && to.write_all(&bytes).and_then(|()| to.flush()).is_ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Nobody hears the lines.
    const DEAF: Option<fn(&[u8])> = None;

    /// Hands on every write.
    struct Sink(mpsc::Sender<Vec<u8>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_that_is_printed_is_written_in_order_and_in_few_pieces() {
        let (sender, written) = mpsc::channel();
        let output = Output::new(Sink(sender)).unwrap();
        let mut print = output.printer(DEAF);
        let text: Vec<u8> = (0..10_000).map(|n| (n % 251) as u8).collect();
        text.iter().for_each(|&byte| print(byte));
        drop(output);
        let pieces: Vec<Vec<u8>> = written.iter().collect();
        assert_eq!(pieces.concat(), text);
        assert!(pieces.len() < 1000, "{} writes", pieces.len());
    }

    #[test]
    fn a_prompt_without_end_of_line_is_written_too() {
        let (sender, written) = mpsc::channel();
        let output = Output::new(Sink(sender)).unwrap();
        output.printer(DEAF)(b'#');
        assert_eq!(written.recv_timeout(Duration::from_secs(10)), Ok(b"#".to_vec()));
    }

    #[test]
    fn a_line_is_heard_at_its_end_and_a_long_one_in_part() {
        let (sender, lines) = mpsc::channel();
        let output = Output::new(std::io::sink()).unwrap();
        let mut print = output.printer(Some(move |line: &[u8]| sender.send(line.to_vec()).unwrap()));
        b"in\nthis is in".iter().for_each(|&byte| print(byte));
        b"it, i think".iter().for_each(|&byte| print(byte));
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), [b"in".to_vec()], "the second goes on");
        b"\r\n\n".iter().for_each(|&byte| print(byte));
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), [b"this is init, i think\r".to_vec(), vec![]]);
        (0..2 * LINE).for_each(|_| print(b'x'));
        print(b'\n');
        assert_eq!(lines.try_recv(), Ok(vec![b'x'; LINE]));
    }

    #[test]
    fn a_reader_who_is_gone_stops_nobody() {
        let (sender, written) = mpsc::channel();
        drop(written);
        let output = Output::new(Sink(sender)).unwrap();
        let mut print = output.printer(DEAF);
        for _ in 0..3 * FULL {
            print(b'x');
            output.pace(|| false);
        }
    }
}
