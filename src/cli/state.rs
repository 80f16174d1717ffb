//! The state directory: a directory a run, with its journal and its record, and the locks of controls.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;

use super::StateArgs;
use crate::journal::{FILE, Run, Unusable};
use crate::lease::{Holder, Lease, Leases, LockFiles, NotTaken};
use crate::model::{ControlSpec, Name};
use crate::restore::Reached;

/// Who does not say by then who it is has only its address.
const IDENTITY: Duration = Duration::from_secs(5);

/// Where runs are kept.
pub(super) struct State {
    root: PathBuf,
    /// Whether somebody named it.
    given: bool,
}

/// A lease that was not to be had.
pub(super) struct Refused {
    control: Name,
    /// Why.
    pub why: NotTaken,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hint = match self.why {
            NotTaken::Held(_) => "wait until it has ended",
            NotTaken::Failed(_) => "give a writable directory with --state-dir",
        };
        write!(f, "{} cannot be touched now: {}; {hint}", self.control, self.why)
    }
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
            return Ok(State { root, given: true });
        }
        let base = etcetera::choose_base_strategy().map_err(|error| {
            format!("no home directory for the journal ({error}); give one with --state-dir")
        })?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Ok(State { root: state.join("firedrill"), given: false })
    }

    /// The directory of a run.
    pub fn run(&self, id: &str) -> PathBuf {
        self.root.join("runs").join(id)
    }

    /// How to call `command` so that it looks into this directory.
    pub fn command(&self, command: &str) -> String {
        match self.given {
            true => format!("firedrill {command} --state-dir '{}'", self.root.display()),
            false => format!("firedrill {command}"),
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> std::path::Display<'_> {
        self.root.display()
    }

    /// Holds that a directory that somebody named is there: in one that is not, nothing is ever cut.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn must_be_there(&self) -> Result<(), String> {
        if self.given && !self.root.is_dir() {
            return Err(format!("there is no state directory {}", self.root.display()));
        }
        Ok(())
    }

    /// The leases of `places`, each with the control that steers it, for `run` alone. What the run has already, through its watchdog, is no
    /// hindrance to itself: the journal's lock keeps the two apart.
    ///
    /// # Errors
    /// The first that was not to be had, and why.
    pub fn take(
        &self,
        places: &[(Name, String)],
        run: &str,
        plan: &Name,
    ) -> Result<Vec<Box<dyn Lease>>, Refused> {
        let files = LockFiles::new(self.root.join("locks"));
        let (plan, pid) = (plan.to_string(), std::process::id());
        let holder = Holder { run: run.to_owned(), plan, host: host(), pid };
        let mut leases = Vec::new();
        for (control, place) in places {
            match files.take(place, &holder) {
                Ok(lease) => leases.push(lease),
                Err(NotTaken::Held(Some(held))) if held.run == run => {}
                Err(why) => return Err(Refused { control: control.clone(), why }),
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
            match owned(&journal).and_then(|()| find(&journal)) {
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

/// Holds that what is at `path` is ours: what others wrote into the state directory must not move our traffic.
///
/// # Errors
/// When another user owns it, or that cannot be told.
fn owned(path: &Path) -> io::Result<()> {
    let (owner, us) = (fs::metadata(path)?.uid(), rustix::process::geteuid().as_raw());
    if owner == us {
        return Ok(());
    }
    let text = format!("it belongs to user {owner}, and this is user {us}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// The journal at `path`, which may also be its run's directory.
///
/// # Errors
/// When it cannot be read.
pub(super) fn find(path: &Path) -> io::Result<Found> {
    let journal = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let mut file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(&journal)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    // Shared, so that two who look do not see each other.
    let live = matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock));
    let run = Run::read_from(&mut file)?;
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
    /// Whether somebody puts back now what this run cut: its drill is dead.
    pub fn is_being_restored(&self) -> bool {
        let Ok(run) = &self.run else { return false };
        let pid = i32::try_from(run.opened.pid).ok().and_then(rustix::process::Pid::from_raw);
        let lives = pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
        self.live && run.open().next().is_some() && run.opened.host == host() && !lives
    }

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

/// What `control` steers, by its address and by who answers there: one may have several addresses. Secrets may be in
/// it.
pub(super) async fn places(control: &ControlSpec, reached: Reached) -> Vec<(Name, String)> {
    let mut places = control.provider.places();
    if let Ok(Some(reached)) = reached {
        let identity = tokio::time::timeout(IDENTITY, reached.identity()).await;
        places.extend(identity.ok().flatten());
    }
    places.into_iter().map(|place| (control.name.clone(), place)).collect()
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
