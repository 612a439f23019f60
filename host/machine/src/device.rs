//! What a device of the machine is to everything around it: registers, and the level of one interrupt output.

/// A device behind a window of guest physical addresses. Its vCPUs' threads call it with a lock held, so it never blocks.
///
/// A device that reads or writes guest memory, or talks to the world outside, is given the means when it is made.
pub trait Device: Send {
    /// Answers a read of `data.len()` bytes (1, 2, 4 or 8) at `offset` in the window, little-endian. What cannot be
    /// read is zero.
    fn read(&mut self, offset: u64, data: &mut [u8]);

    /// Takes a write of `data.len()` bytes (1, 2, 4 or 8) at `offset` in the window, little-endian. What cannot be
    /// written is ignored.
    fn write(&mut self, offset: u64, data: &[u8]);

    /// The level of its interrupt output, looked at after each access and after each input from outside.
    fn output(&self) -> bool;

    /// The tick of its clock at which something happens in it by itself, if anything will. Looked at like its output.
    fn due(&self) -> Option<u64> {
        None
    }

    /// Lets happen what was due by now.
    fn elapse(&mut self) {}
}
