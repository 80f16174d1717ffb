//! Past runs in the state directory: found by what a person calls them, and read in short.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::history::say_left_out;
use super::source::{contents, open};
use super::state::{self, Found, State};
use super::whole::{self, Kind};
use crate::journal::{self, Unusable};
use crate::model::{LostRun, Summary};
use crate::past::{self, Indexed, Stamp, Whole, order};

/// The run record's name in the directory of its run.
pub(super) const RECORD: &str = "record.json";

/// The name of its summary beside it. It may go away at any time: it is made anew from the record.
const INDEX: &str = "summary.json";

/// No record is larger, in bytes: whatever is there is not read into memory.
pub(super) const LARGEST: u64 = 1 << 30;

/// The record of the run that a person calls `run`: `last`, its id, the beginning of its id if there is only one such, or the path of
/// a record or of the directory that it is in.
///
/// # Errors
/// A sentence for people.
pub(super) fn resolve(state: &State, run: &str) -> Result<PathBuf, String> {
    let path = Path::new(run);
    // What has a `/` in it is no id, and must not lead out of the state directory by looking like one.
    if !matches!(path.components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
        return at(path).ok_or_else(|| unknown(state, run));
    }
    if run == "last" {
        return last(state);
    }
    let ids = kept(state)?;
    if ids.iter().any(|id| id == run) {
        return Ok(state.run(run).join(RECORD));
    }
    let begins: Vec<&String> = ids.iter().filter(|id| id.starts_with(run)).collect();
    match begins[..] {
        [one] => Ok(state.run(one).join(RECORD)),
        [] => at(path).ok_or_else(|| unknown(state, run)),
        [first, second, ..] => Err(format!(
            "{run} may be any of {} runs, such as {first} and {second}; write more of its id",
            begins.len()
        )),
    }
}

/// The record of the latest run, in the order of the history. Runs that might be later and cannot be read are said.
fn last(state: &State) -> Result<PathBuf, String> {
    let mut last: Option<(Summary, PathBuf)> = None;
    let mut left_out = Vec::new();
    for directory in directories(state)? {
        match summary(&directory) {
            Ok(run) if last.as_ref().is_none_or(|(last, _)| order(last) < order(&run)) => {
                last = Some((run, directory));
            }
            Ok(_) | Err(Without::Record) => {}
            Err(why) => left_out.extend(lost(&directory, why)),
        }
    }
    let later = |lost: &&LostRun| {
        lost.at.is_none_or(|at| last.as_ref().is_none_or(|(last, _)| at >= last.started_at))
    };
    left_out.iter().filter(later).for_each(say_left_out);
    let (_, directory) = last.ok_or_else(|| format!("no run is kept in {}", state.place()))?;
    Ok(directory.join(RECORD))
}

/// The record at `path`, or in the directory that it is.
fn at(path: &Path) -> Option<PathBuf> {
    let record = if path.is_dir() { path.join(RECORD) } else { path.to_owned() };
    record.exists().then_some(record)
}

fn unknown(state: &State, run: &str) -> String {
    format!(
        "there is no run {run} in {}, and no such file; `{}` lists them",
        state.place(),
        state.command("history")
    )
}

/// The ids of the runs that have a record, the earliest first.
fn kept(state: &State) -> Result<Vec<String>, String> {
    let directories = directories(state)?.into_iter();
    let ids = directories.filter(|directory| directory.join(RECORD).exists());
    Ok(ids.map(|directory| id(&directory)).collect())
}

/// The directories of all runs, in the order of their names, which is that of time.
fn directories(state: &State) -> Result<Vec<PathBuf>, String> {
    let runs = state.runs();
    let broken = |error: io::Error| format!("{} cannot be read: {error}", runs.display());
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(broken(error)),
    };
    let mut directories = Vec::new();
    for entry in entries {
        directories.push(entry.map_err(broken)?.path());
    }
    directories.sort();
    Ok(directories)
}

fn id(directory: &Path) -> String {
    directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads the record at `path`.
///
/// # Errors
/// A sentence for people.
pub(super) fn read(path: &Path) -> Result<Whole, String> {
    let broken = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = open(path).map_err(|error| broken(&error))?;
    let bytes = contents(&mut file, LARGEST).map_err(|error| broken(&error))?;
    past::whole(&bytes).map_err(|error| broken(&error))
}

/// The past runs of a state directory.
#[derive(Default)]
pub(super) struct Past {
    /// Those whose records can be read, each once.
    pub runs: Vec<Summary>,
    /// Those of which there is none, or none that can be read.
    pub lost: Vec<LostRun>,
}

/// Reads all past runs in short.
///
/// # Errors
/// A sentence for people, when the directory cannot be read.
pub(super) fn past(state: &State) -> Result<Past, String> {
    state.must_be_there()?;
    let mut past = Past::default();
    let mut summaries = Vec::new();
    for directory in directories(state)? {
        match summary(&directory) {
            Ok(summary) => summaries.push(summary),
            Err(why) => past.lost.extend(lost(&directory, why)),
        }
    }
    let (runs, disputed) = past::distinct(summaries);
    past.runs = runs;
    past.lost.extend(disputed);
    Ok(past)
}

/// What stands between a run and its summary.
enum Without {
    /// There is no record.
    Record,
    /// There is one, and it cannot be read, as the sentence says.
    Readable(String),
}

/// The summary of the run in `directory`: from its index, or from its record, which is then indexed.
fn summary(directory: &Path) -> Result<Summary, Without> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Without::Record,
        _ => Without::Readable(format!("its record cannot be read: {error}")),
    };
    let mut record = open(&directory.join(RECORD)).map_err(unreadable)?;
    let stamp = stamp(&record).map_err(unreadable)?;
    let indexed = open(&directory.join(INDEX)).and_then(|mut file| contents(&mut file, LARGEST));
    if let Some(summary) = indexed.ok().and_then(|bytes| Indexed::read(&bytes, stamp)) {
        return Ok(summary);
    }
    let bytes = contents(&mut record, LARGEST).map_err(unreadable)?;
    let summary = past::summary(&bytes).map_err(|error| Without::Readable(error.to_string()))?;
    // In a directory that may only be read, it is made each time.
    let _ = write_index(directory, &Indexed::new(stamp, summary.clone()));
    Ok(summary)
}

/// Writes the index beside the record that was just kept in `directory`.
///
/// # Errors
/// When there is no record, or the index cannot be written.
pub(super) fn index(directory: &Path) -> io::Result<()> {
    let mut record = open(&directory.join(RECORD))?;
    let stamp = stamp(&record)?;
    let summary = past::summary(&contents(&mut record, LARGEST)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    write_index(directory, &Indexed::new(stamp, summary))
}

/// Not synced: one that a crash tore is made anew.
fn write_index(directory: &Path, index: &Indexed) -> io::Result<()> {
    whole::write(&directory.join(INDEX), Kind::Index, &index.bytes()?)
}

fn stamp(file: &File) -> io::Result<Stamp> {
    let metadata = file.metadata()?;
    Ok(Stamp {
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        inode: metadata.ino(),
    })
}

/// What is to be said of a run without a summary; nothing of a directory that is none of ours.
fn lost(directory: &Path, without: Without) -> Option<LostRun> {
    if state::is_test(&id(directory)) {
        return None;
    }
    let journal = state::find(&directory.join(journal::FILE)).ok();
    let live = journal.as_ref().is_some_and(|found| found.live);
    let opened = match &journal {
        Some(Found { run: Ok(run), .. }) => Some(&run.opened),
        _ => None,
    };
    let why = match (without, &journal) {
        (Without::Readable(why), _) => why,
        // One that was refused keeps a record alone; where that is gone too, its directory tells by its name.
        (Without::Record, None) if begun(&id(directory)).is_none() => return None,
        (Without::Record, None) => "it left neither a record nor a journal".to_owned(),
        (Without::Record, Some(_)) if live => "it is still going on".to_owned(),
        (Without::Record, Some(Found { run: Err(Unusable::Empty), .. })) => {
            "it ended before it began, and left no record".to_owned()
        }
        (Without::Record, Some(_)) => {
            "it left no record, as when its drill died or its disk was full".to_owned()
        }
    };
    let run = id(directory);
    Some(LostRun {
        plan: opened.map(|opened| opened.plan.clone()),
        at: opened.map(|opened| opened.at).or_else(|| begun(&run)),
        under_way: live && !directory.join(RECORD).exists(),
        why,
        run,
    })
}

/// When a run began, by its id; see [`state::run_id`].
fn begun(id: &str) -> Option<jiff::Timestamp> {
    let (time, _) = id.split_once('-')?;
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time)
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}
