//! A journal on disk.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::read::{Run, Tail, Unusable};
use super::record::{Record, line};

/// The name of the journal in a run's directory.
pub const FILE: &str = "journal";

/// Where records are written down before the acts that they stand for.
pub trait Append: Send {
    /// Writes `record` so that it survives a crash of the machine.
    ///
    /// # Errors
    /// When it is not certain that it does. The act must then not follow.
    fn append(&mut self, record: &Record) -> io::Result<()>;
}

/// What a journal needs of a file.
pub trait Disk: Send {
    /// Adds `bytes` at the end. Some of them may be there after an error.
    ///
    /// # Errors
    /// When not all could be written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written survive a crash of the machine.
    ///
    /// # Errors
    /// When that is not certain.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file off after `length` bytes.
    ///
    /// # Errors
    /// When it could not be cut.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Disk for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal<D = File> {
    disk: D,
    /// Bytes that are to be kept.
    length: u64,
    /// What follows them could not be taken away yet.
    torn: bool,
    /// Their last line has no end yet.
    unended: bool,
}

impl Journal {
    /// Creates `directory` with an empty journal in it, both for the owner alone.
    ///
    /// # Errors
    /// When the directory cannot be made, or holds a journal already.
    pub fn create(directory: &Path) -> io::Result<Journal> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = directory.join(FILE);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        // The entries of the new directories must survive too, not only the file's contents.
        for place in directory.ancestors().take(3).filter(|place| !place.as_os_str().is_empty()) {
            File::open(place)?.sync_all()?;
        }
        file.lock()?;
        Ok(Journal { disk: file, length: 0, torn: false, unended: false })
    }

    /// Opens the journal at `path` to go on with it, and reads it: a line that a crash tore off is taken away with the next record. It
    /// is locked for as long as this lives.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it, so that its run is still going on; `UnexpectedEof` when it is
    /// empty, `InvalidData` when it cannot be used; else when it cannot be opened or read.
    pub fn resume(path: &Path) -> io::Result<(Run, Journal)> {
        Journal::resume_on(&Journal::hold(path)?)
    }

    /// Opens the journal at `path` to go on with it later, even if it is removed meanwhile.
    ///
    /// # Errors
    /// When it cannot be opened for reading and writing.
    pub fn hold(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).open(path)
    }

    /// As [`Journal::resume`], of a file that is held.
    ///
    /// # Errors
    /// As there.
    pub fn resume_on(file: &File) -> io::Result<(Run, Journal)> {
        let mut file = file.try_clone()?;
        lock(&file)?;
        let run = Run::read_from(&mut file)?.map_err(|error| {
            let kind = match error {
                Unusable::Empty => io::ErrorKind::UnexpectedEof,
                Unusable::NotAJournal | Unusable::OtherFormat { .. } => io::ErrorKind::InvalidData,
            };
            io::Error::new(kind, error)
        })?;
        let journal = Journal::on(file, run.whole, run.tail);
        Ok((run, journal))
    }
}

/// In the place of a journal that cannot be written: a restore goes on all the same.
#[derive(Debug)]
pub struct Unwritten;

impl Append for Unwritten {
    fn append(&mut self, _: &Record) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// Who only looks at a journal holds it for a moment; who writes it, for long.
fn lock(file: &File) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if tries < 20 => tries += 1,
            result => return Ok(result?),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl<D: Disk> Journal<D> {
    /// A journal on `disk`, of which the first `whole` bytes are kept. What its `tail` needs is done with the next record: until
    /// then nothing waits for the disk, which may hang.
    pub fn on(disk: D, whole: u64, tail: Tail) -> Journal<D> {
        let (torn, unended) = (tail == Tail::Torn, tail == Tail::Unended);
        Journal { disk, length: whole, torn, unended }
    }
}

impl<D: Disk> Append for Journal<D> {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut line = line(record)?;
        if self.torn {
            // What is written after half a line is lost with it.
            self.disk.truncate(self.length)?;
            self.torn = false;
        }
        if self.unended {
            line.insert(0, '\n');
        }
        if let Err(error) = self.disk.write(line.as_bytes()).and_then(|()| self.disk.sync()) {
            // A full disk may have taken half of it. And the whole of it says that the act may have followed,
            // which it must not.
            self.torn = self.disk.truncate(self.length).is_err();
            return Err(error);
        }
        self.unended = false;
        self.length += line.len() as u64;
        Ok(())
    }
}
