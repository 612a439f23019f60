//! Files that a person names: only regular ones of a sane size are read, so that nothing hangs on a pipe or reads a device
//! for ever; and places to write to, tried before the work.

use std::fs::{File, FileType, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// More than any kernel has: distributions' are 30 to 60 MB, with debug information 1 GB.
pub const MOST_OF_KERNEL: u64 = 2 << 30;
/// More than any list, journal, patch or record that a person gives.
pub const MOST_OF_TEXT: u64 = 256 << 20;
/// More than anything that is put into an emulated host.
pub const MOST: u64 = 8 << 30;
/// What a place to write to is tried with.
const TRIAL: usize = 64 << 10;

/// Opens the regular file that `option` names. One of more than `most` bytes is refused. Errors are one line.
pub fn open_regular(option: &str, path: &Path, most: u64) -> Result<File, String> {
    open(option, path, most, OpenOptions::new().read(true))
}

/// The same, of a file that is written, too.
pub fn open_writable(option: &str, path: &Path, most: u64) -> Result<File, String> {
    open(option, path, most, OpenOptions::new().read(true).write(true))
}

fn open(option: &str, path: &Path, most: u64, how: &mut OpenOptions) -> Result<File, String> {
    let named = || format!("{option} {}", path.display());
    // A FIFO without a writer would keep an ordinary open waiting.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = how.custom_flags(nonblocking).open(path).map_err(|error| match kind(path) {
        Some(kind) => format!("{}: it is {kind}; a regular file is needed", named()),
        None => format!("{}: {error}", named()),
    })?;
    let metadata = file.metadata().map_err(|error| format!("{}: {error}", named()))?;
    if let Some(kind) = of_type(metadata.file_type()) {
        return Err(format!("{}: it is {kind}; a regular file is needed", named()));
    }
    if metadata.len() > most {
        return Err(format!("{}: it has {} bytes, and the most is {most}", named(), metadata.len()));
    }
    Ok(file)
}

/// All of the regular file that `option` names.
pub fn read_regular(option: &str, path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let file = open_regular(option, path, most)?;
    let mut contents = Vec::new();
    // It may grow meanwhile.
    let read = file.take(most + 1).read_to_end(&mut contents);
    read.map_err(|error| format!("{option} {}: {error}", path.display()))?;
    if contents.len() as u64 > most {
        return Err(format!("{option} {}: it grows beyond {most} bytes", path.display()));
    }
    Ok(contents)
}

/// The text of the regular file that `option` names.
pub fn read_text(option: &str, path: &Path) -> Result<String, String> {
    let bytes = read_regular(option, path, MOST_OF_TEXT)?;
    String::from_utf8(bytes).map_err(|_| format!("{option} {}: the file is not UTF-8 text", path.display()))
}

/// What a path leads to, if that is no regular file.
fn kind(path: &Path) -> Option<&'static str> {
    std::fs::metadata(path).ok().and_then(|metadata| of_type(metadata.file_type()))
}

fn of_type(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        kind if kind.is_fifo() => Some("a FIFO"),
        kind if kind.is_char_device() => Some("a character device"),
        kind if kind.is_block_device() => Some("a block device"),
        kind if kind.is_socket() => Some("a socket"),
        _ => Some("no file"),
    }
}

/// Whether `option` can be written to this place later: tried, without leaving a trace. An existing file is not changed.
pub fn check_writable(option: &str, path: &Path) -> Result<(), String> {
    let named = format!("{option} {}", path.display());
    if path == Path::new("/dev/null") {
        return Ok(());
    }
    if let Some(kind) = kind(path) {
        return Err(format!("{named}: cannot write to {kind}; name a file"));
    }
    let existed = path.exists();
    let failed = |error: std::io::Error| format!("{named}: cannot write: {error}");
    OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    // Beside it, whether there is room: a disk that is full takes an empty file, and nothing more.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let trial = folder.join(format!(".vtick-trial-{}", std::process::id()));
    let room = OpenOptions::new().write(true).create_new(true).open(&trial).ok().map(|mut file| {
        let written = file.write_all(&[0; TRIAL]).and_then(|()| file.sync_data());
        std::fs::remove_file(&trial).and(written)
    });
    if !existed {
        std::fs::remove_file(path).map_err(failed)?;
    }
    room.unwrap_or(Ok(())).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refusal(path: &Path, most: u64) -> String {
        let error = read_regular("--kernel", path, most).unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with(&format!("--kernel {}: ", path.display())), "{error}");
        error
    }

    #[test]
    fn anything_but_a_regular_file_of_a_sane_size_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, file) = (folder.path().join("a fifo"), folder.path().join("Ä file"));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::fs::write(&file, "12345").unwrap();
        for (path, due) in [
            (Path::new("/dev/zero"), "it is a character device; a regular file is needed"),
            (folder.path(), "it is a folder"),
            (&fifo, "it is a FIFO"),
            (&folder.path().join("absent"), "No such file"),
        ] {
            let error = refusal(path, 1 << 20);
            assert!(error.contains(due), "{due} was due: {error}");
        }
        assert!(refusal(&file, 4).contains("it has 5 bytes, and the most is 4"));
        assert_eq!(read_regular("--kernel", &file, 5).unwrap(), b"12345");
        assert_eq!(read_text("--kernel", &file).unwrap(), "12345");
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(read_text("--kernel", &file).unwrap_err().ends_with("Ä file: the file is not UTF-8 text"));
        if !rustix::process::geteuid().is_root() {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
            assert!(refusal(&file, 5).contains("Permission denied"));
        }
    }

    #[test]
    fn a_place_that_takes_nothing_is_found_out_and_a_possible_one_is_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| check_writable("--output", path).unwrap_err();
        assert!(error(Path::new("/dev/full")).contains("/dev/full: cannot write to a character device"));
        assert!(error(folder.path()).contains("cannot write to a folder"));
        assert!(error(&folder.path().join("absent/r.json")).contains("No such file"));
        let possible = folder.path().join("r.json");
        check_writable("--output", &possible).unwrap();
        assert!(!possible.exists());
        std::fs::write(&possible, "kept").unwrap();
        check_writable("--output", &possible).unwrap();
        assert_eq!(std::fs::read_to_string(&possible).unwrap(), "kept");
        check_writable("--output", Path::new("/dev/null")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no trace");
    }
}
