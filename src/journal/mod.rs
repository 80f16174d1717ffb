//! The journal: from it alone traffic can be restored.
//!
//! One record a line, each with a checksum in front, synced to disk before the act that it stands for.
//! A line that a crash tore off at the end is left out when reading; a damaged one before it is an error.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{ControlSpec, ControlState, CutOrder, Name, Verdict};

/// The version of the format that this code writes.
pub const FORMAT: u32 = 1;

/// What is written down, in the order of a drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A run began.
    Opened {
        /// [`FORMAT`].
        format: u32,
        /// The version of firedrill.
        firedrill: String,
        /// The run's id.
        run: String,
        /// The plan's name.
        plan: Name,
        /// What is to be cut.
        order: CutOrder,
    },
    /// The state of a control before any change, and how to reach it.
    Snapshot {
        /// Its settings.
        control: ControlSpec,
        /// Its state.
        state: ControlState,
    },
    /// It is about to be cut.
    CutIntended {
        /// Which one.
        control: Name,
    },
    /// It was read back as cut.
    CutConfirmed {
        /// Which one.
        control: Name,
    },
    /// It is about to be restored.
    RestoreIntended {
        /// Which one.
        control: Name,
    },
    /// It was read back as it was.
    RestoreConfirmed {
        /// Which one.
        control: Name,
    },
    /// The run ended.
    Closed {
        /// How.
        verdict: Verdict,
    },
}

/// Where records are written down before the acts that they stand for.
pub trait Append: Send {
    /// Writes `record` so that it survives a crash of the machine.
    ///
    /// # Errors
    /// When it is not certain that it does. The act must then not follow.
    fn append(&mut self, record: &Record) -> io::Result<()>;
}

/// A journal on disk.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Bytes of whole records.
    length: u64,
}

impl Journal {
    /// Creates `directory` with an empty journal in it, both for the owner alone.
    ///
    /// # Errors
    /// When the directory cannot be made, or holds a journal already.
    pub fn create(directory: &Path) -> io::Result<Journal> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = directory.join("journal");
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        // The entries of the new directories must survive too, not only the file's contents.
        for place in directory.ancestors().take(3).filter(|place| !place.as_os_str().is_empty()) {
            File::open(place)?.sync_all()?;
        }
        Ok(Journal { file, path, length: 0 })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Append for Journal {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_string(record)?;
        let line = format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes()));
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // A full disk may have taken half of it; what is written next must not follow on that.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        self.file.sync_data()
    }
}

/// Reads a journal's text back.
///
/// # Errors
/// When a line other than a torn last one is damaged; says which.
pub fn read(text: &str) -> Result<Vec<Record>, Damaged> {
    let mut records = Vec::new();
    for (place, line) in text.split_inclusive('\n').enumerate() {
        match (parse(line), line.ends_with('\n')) {
            (Some(record), true) => records.push(record),
            (_, false) => break,
            (None, true) => return Err(Damaged { line: place + 1 }),
        }
    }
    Ok(records)
}

fn parse(line: &str) -> Option<Record> {
    let (sum, text) = line.strip_suffix('\n')?.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (sum == crc32fast::hash(text.as_bytes())).then(|| serde_json::from_str(text).ok())?
}

/// A line of a journal that is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the journal is damaged")]
pub struct Damaged {
    /// Which one, from 1.
    pub line: usize,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written() -> (tempfile::TempDir, String, Vec<Record>) {
        let home = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&home.path().join("runs/one")).unwrap();
        let records = vec![
            Record::CutIntended { control: "wan".into() },
            Record::CutConfirmed { control: "wan".into() },
            Record::Closed { verdict: Verdict::Pass },
        ];
        records.iter().for_each(|record| journal.append(record).unwrap());
        let text = std::fs::read_to_string(journal.path()).unwrap();
        (home, text, records)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (_home, text, records) = written();
        assert_eq!(read(&text).unwrap(), records);
    }

    #[test]
    fn a_journal_cut_off_anywhere_gives_the_whole_records_before_it() {
        let (_home, text, records) = written();
        for end in 0..text.len() {
            let whole = text[..end].matches('\n').count();
            assert_eq!(read(&text[..end]).unwrap(), records[..whole], "cut off at {end}");
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let (_home, text, _) = written();
        let damaged = text.replacen("wan", "lan", 1);
        assert_eq!(read(&damaged), Err(Damaged { line: 1 }));
    }

    #[test]
    fn only_the_owner_can_read_it_and_it_is_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::create(home.path()).unwrap();
        let mode = std::fs::metadata(journal.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Journal::create(home.path()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }
}
