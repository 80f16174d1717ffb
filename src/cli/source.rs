//! What is read: files of earlier runs and of plans, opened so that nothing can hang there and nothing is without end.

use std::fs::{File, OpenOptions, metadata};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the file at `path`.
///
/// # Errors
/// When it cannot be read, or is anything but a file: a pipe that nobody writes to would hang, a device never end.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // Opening a device may do something by itself, so that it is looked at before; and behind, for it may be another by then.
    if !metadata(path)?.is_file() {
        return Err(no_file());
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no file")
}

/// Reads `file` to its end.
///
/// # Errors
/// When it cannot be read, or has more than `largest` bytes.
pub(super) fn contents(file: &mut File, largest: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if length <= largest {
        // One byte more than allowed: it may grow meanwhile.
        file.take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    let length = length.max(bytes.len() as u64);
    if length > largest {
        let text = format!("it has {length} bytes, and no more than {largest} are read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// The contents of the file at `path`.
///
/// # Errors
/// As [`open`] and [`contents`].
pub(super) fn bytes(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    contents(&mut open(path)?, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened_and_none_that_is_too_large_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), kind, 0o600.into(), 0).unwrap();
        for other in [path("pipe"), "/dev/zero".into(), directory.path().to_owned()] {
            assert_eq!(bytes(&other, 10).unwrap_err().to_string(), "it is no file", "{other:?}");
        }
        std::fs::write(path("file"), "0123456789").unwrap();
        assert_eq!(bytes(&path("file"), 10).unwrap(), b"0123456789");
        let error = bytes(&path("file"), 9).unwrap_err().to_string();
        assert_eq!(error, "it has 10 bytes, and no more than 9 are read");
    }
}
