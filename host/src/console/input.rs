//! What is typed, on its way to the guest: a thread that ends when it is told to, or when there is no more.

use std::io::{Stdin, stdin};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use vtick_shell::{Escape, Typed};

/// How long to wait before what a guest had no room for is offered again.
const AGAIN: Duration = Duration::from_millis(10);

/// The thread that reads standard input, as long as this lives.
pub struct Input {
    /// Closed to end the thread.
    end: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Input {
    /// Starts it. `deliver` gives bytes to the guest and says how many it took. If standard input is a `terminal`, Ctrl-A
    /// x calls `quit`.
    pub fn start(
        terminal: bool,
        deliver: impl FnMut(&[u8]) -> usize + Send + 'static,
        quit: impl Fn() + Send + 'static,
    ) -> std::io::Result<Input> {
        let (told, end) = rustix::pipe::pipe()?;
        let escape = terminal.then(Escape::default);
        let body = move || pass_on(&stdin(), &told, escape, deliver, quit);
        let thread = std::thread::Builder::new().name("input".to_owned()).spawn(body)?;
        Ok(Input { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Passes on what comes, until `told` is closed, the input ends, or the user quits.
fn pass_on(
    from: &Stdin,
    told: &OwnedFd,
    mut escape: Option<Escape>,
    mut deliver: impl FnMut(&[u8]) -> usize,
    quit: impl Fn(),
) {
    let mut waiting: Vec<u8> = Vec::new();
    loop {
        let mut descriptors = [PollFd::new(told, PollFlags::IN), PollFd::new(from, PollFlags::IN)];
        // While the guest has no room, nothing more is read.
        let (awaited, patience) = match waiting.is_empty() {
            true => (&mut descriptors[..], None),
            false => (&mut descriptors[..1], Timespec::try_from(AGAIN).ok()),
        };
        match poll(awaited, patience.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if !descriptors[0].revents().is_empty() {
            return;
        }
        if waiting.is_empty() && !descriptors[1].revents().is_empty() {
            let mut buffer = [0; 256];
            match rustix::io::read(from, &mut buffer) {
                Ok(len @ 1..) => waiting.extend(&buffer[..len]),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Ok(0) | Err(_) => return,
            }
            if escape.as_mut().map(|escape| escape.filter(&mut waiting)) == Some(Typed::Quit) {
                quit();
                return;
            }
        }
        if !waiting.is_empty() {
            let taken = deliver(&waiting).min(waiting.len());
            waiting.drain(..taken);
        }
    }
}
