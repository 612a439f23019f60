//! The guest image: an ELF file, embedded in the runner. What of it is loaded where, and which function an address
//! lies in.

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

/// The guest image, parsed.
pub struct Image<'data> {
    file: object::File<'data>,
}

/// A piece of the image: `bytes` go to guest physical `address`; RAM behind them is zero from the start.
pub struct Segment<'data> {
    /// Guest physical address.
    pub address: u64,
    /// What goes there.
    pub bytes: &'data [u8],
}

/// Why bytes are no guest image.
#[derive(Debug, thiserror::Error)]
#[error("the guest image is no ELF file that vtick can load: {0}")]
pub struct ImageError(#[from] object::Error);

impl<'data> Image<'data> {
    /// Parses an ELF file.
    pub fn parse(bytes: &'data [u8]) -> Result<Image<'data>, ImageError> {
        Ok(Image { file: object::File::parse(bytes)? })
    }

    /// Where a vCPU starts.
    pub fn entry(&self) -> u64 {
        self.file.entry()
    }

    /// What is to be loaded.
    pub fn segments(&self) -> Result<Vec<Segment<'data>>, ImageError> {
        let segments = self.file.segments();
        Ok(segments
            .map(|segment| Ok(Segment { address: segment.address(), bytes: segment.data()? }))
            .collect::<Result<_, object::Error>>()?)
    }

    /// `function+0xoffset` of an address, or the bare address if it is in no function.
    pub fn symbolize(&self, address: u64) -> String {
        let function = self
            .file
            .symbols()
            .filter(|s| s.kind() == SymbolKind::Text && s.address() <= address)
            .max_by_key(|s| (s.address(), s.size()))
            .filter(|s| s.size() == 0 || address < s.address() + s.size());
        match function.and_then(|s| Some((s.name().ok()?, s.address()))) {
            Some((name, start)) => {
                format!("{address:#x} ({:#}+{:#x})", rustc_demangle::demangle(name), address - start)
            }
            None => format!("{address:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_elf_file_is_refused() {
        assert!(Image::parse(b"MZ this is something else").is_err());
    }
}
