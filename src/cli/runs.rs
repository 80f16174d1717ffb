//! Past runs in the state directory: found by what a person calls them.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::state::State;

/// The run record's name in the directory of its run.
pub(super) const RECORD: &str = "record.json";

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
    let ids = kept(state)?;
    if run == "last" {
        let last = ids.last().ok_or_else(|| format!("no run is kept in {}", state.place()))?;
        return Ok(state.run(last).join(RECORD));
    }
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

/// The record at `path`, or in the directory that it is.
fn at(path: &Path) -> Option<PathBuf> {
    let record = if path.is_dir() { path.join(RECORD) } else { path.to_owned() };
    record.exists().then_some(record)
}

fn unknown(state: &State, run: &str) -> String {
    format!("there is no run {run} in {} that left a record, and no such file", state.place())
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
