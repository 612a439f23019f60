//! A return of KVM_RUN, parsed once into a value that owns what it says.

use serde::{Deserialize, Serialize};

/// Why KVM_RUN returned. Tag `[KVM-API]`: Linux, Documentation/virt/kvm/api.rst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Exit {
    /// -1 with EINTR: a signal, `immediate_exit`, or a device level that changed. Only the level field tells which.
    Interrupted,
    /// KVM_EXIT_MMIO, a read of `len` bytes; the answer is given before the next KVM_RUN.
    MmioRead {
        /// Guest physical address.
        address: u64,
        /// Bytes: 1, 2, 4 or 8.
        len: u8,
    },
    /// KVM_EXIT_MMIO, a write of `len` bytes.
    MmioWrite {
        /// Guest physical address.
        address: u64,
        /// Bytes: 1, 2, 4 or 8.
        len: u8,
        /// What was written, little-endian, zero-extended.
        value: u64,
    },
    /// KVM_EXIT_SYSTEM_EVENT of this type (1 shutdown, 2 reset, 3 crash, ...).
    SystemEvent {
        /// KVM_SYSTEM_EVENT_*.
        event: u32,
    },
    /// A load or store outside RAM for which the CPU gave no syndrome: ENOSYS, or KVM_EXIT_ARM_NISV.
    NoSyndrome,
    /// KVM_EXIT_FAIL_ENTRY.
    FailEntry {
        /// hardware_entry_failure_reason.
        hardware_reason: u64,
    },
    /// KVM_EXIT_INTERNAL_ERROR.
    InternalError,
    /// -1 with an errno that is none of the above.
    Failed {
        /// The errno.
        errno: i32,
    },
    /// Any other exit reason.
    Other {
        /// KVM_EXIT_*.
        number: u32,
    },
}

impl Exit {
    /// Zero-extends the little-endian bytes of an MMIO write.
    pub fn mmio_write(address: u64, data: &[u8]) -> Exit {
        let mut bytes = [0; 8];
        bytes[..data.len()].copy_from_slice(data);
        Exit::MmioWrite { address, len: data.len() as u8, value: u64::from_le_bytes(bytes) }
    }

    /// The guest physical address of an MMIO exit.
    pub fn address(&self) -> Option<u64> {
        match *self {
            Exit::MmioRead { address, .. } | Exit::MmioWrite { address, .. } => Some(address),
            _ => None,
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Exit::Interrupted => write!(f, "EINTR"),
            Exit::MmioRead { address, len } => write!(f, "MMIO read {len} at {address:#x}"),
            Exit::MmioWrite { address, len, value } => write!(f, "MMIO write {len} at {address:#x} = {value:#x}"),
            Exit::SystemEvent { event } => write!(f, "system event {event}"),
            Exit::NoSyndrome => write!(f, "access without syndrome"),
            Exit::FailEntry { hardware_reason } => write!(f, "FAIL_ENTRY {hardware_reason:#x}"),
            Exit::InternalError => write!(f, "INTERNAL_ERROR"),
            Exit::Failed { errno } => write!(f, "errno {errno} ({})", std::io::Error::from_raw_os_error(errno)),
            Exit::Other { number } => write!(f, "exit reason {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_write_is_zero_extended_from_little_endian_bytes() {
        assert_eq!(Exit::mmio_write(0x1000, &[0x34, 0x12]), Exit::MmioWrite { address: 0x1000, len: 2, value: 0x1234 });
    }
}
