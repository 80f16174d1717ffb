//! The state directory: a directory a run, with its journal and its record, and the locks of controls.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::StateArgs;
use crate::journal::{FILE, Run, Unusable};
use crate::lease::{Holder, Lease, Leases, LockFiles, NotTaken};
use crate::model::{ControlSpec, Name};

/// Where runs are kept.
pub(super) struct State {
    root: PathBuf,
}

/// A journal that was found.
pub(super) struct Found {
    /// The run's id, by the name of its directory.
    pub id: String,
    /// The journal.
    pub journal: PathBuf,
    /// What it says.
    pub run: Result<Run, Unusable>,
    /// Whether its drill, or somebody who restores it, is at work now.
    pub live: bool,
}

impl State {
    /// The state directory of `args`.
    ///
    /// # Errors
    /// A sentence for people, when there is no home to put it in.
    pub fn of(args: &StateArgs) -> Result<State, String> {
        if let Some(directory) = &args.state_dir {
            // The watchdog and later commands may stand in another directory.
            let root = std::path::absolute(directory)
                .map_err(|error| format!("{}: {error}", directory.display()))?;
            return Ok(State { root });
        }
        let base = etcetera::choose_base_strategy().map_err(|error| {
            format!("no home directory for the journal ({error}); give one with --state-dir")
        })?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Ok(State { root: state.join("firedrill") })
    }

    /// The directory of a run.
    pub fn run(&self, id: &str) -> PathBuf {
        self.root.join("runs").join(id)
    }

    /// The leases of `controls`, for `run` alone.
    ///
    /// # Errors
    /// A sentence for people, naming who has one already.
    pub fn take(
        &self,
        controls: &[&ControlSpec],
        run: &str,
        plan: &Name,
    ) -> Result<Vec<Box<dyn Lease>>, String> {
        let files = LockFiles::new(self.root.join("locks"));
        let (plan, pid) = (plan.to_string(), std::process::id());
        let holder = Holder { run: run.to_owned(), plan, host: host(), pid };
        let mut leases = Vec::new();
        for control in controls {
            for place in control.provider.places() {
                let lease = files.take(&place, &holder).map_err(|error| {
                    let hint = match error {
                        NotTaken::Held(_) => "wait until it has ended",
                        NotTaken::Failed(_) => "give a writable directory with --state-dir",
                    };
                    format!("{} cannot be touched now: {error}; {hint}", control.name)
                })?;
                leases.push(lease);
            }
        }
        Ok(leases)
    }

    /// Every journal, the oldest first.
    ///
    /// # Errors
    /// A sentence for people, when one cannot be read: what it says might matter.
    pub fn journals(&self) -> Result<Vec<Found>, String> {
        let runs = self.root.join("runs");
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&runs, &error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&runs, &error))?;
            let journal = entry.path().join(FILE);
            match find(&journal) {
                Ok(journal) => found.push(journal),
                // A directory without a journal is none of ours, or its run ended before it began.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) => {}
                Err(error) => return Err(unreadable(&journal, &error)),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!(
        "{} cannot be read: {error}; whether an earlier run left traffic cut is not known; run this as \
         the user who ran the drill, or give the right --state-dir",
        path.display()
    )
}

/// The journal at `path`, which may also be its run's directory.
///
/// # Errors
/// When it cannot be read.
pub(super) fn find(path: &Path) -> io::Result<Found> {
    let journal = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let file = fs::File::open(&journal)?;
    // Shared, so that two who look do not see each other.
    let live = matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock));
    let run = Run::read(&fs::read(&journal)?);
    drop(file);
    let id = match &run {
        Ok(run) => run.opened.run.clone(),
        Err(_) => {
            let directory = journal.parent().and_then(Path::file_name).unwrap_or_default();
            directory.to_string_lossy().into_owned()
        }
    };
    Ok(Found { id, journal, run, live })
}

impl Found {
    /// Whether traffic may be cut by this run, with nobody at work on it.
    pub fn is_left(&self) -> bool {
        let cut = match &self.run {
            Ok(run) => run.open().next().is_some() || run.lost().next().is_some(),
            Err(Unusable::Empty | Unusable::OtherFormat { ended: true, .. }) => false,
            // What it did is not known.
            Err(_) => true,
        };
        cut && !self.live
    }
}

/// A new run's id: sorts by time, and two at the same moment differ.
pub(super) fn run_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    format!("{now}-{:04x}", fastrand::u16(..))
}

/// The name of this machine.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
