//! The state directory: a directory a run, with its journal and its record, and the locks of controls.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;
use futures_util::future::join_all;

use super::{StateArgs, source};
use crate::clock::Clock;
use crate::journal::{FILE, Hand, Run, Unusable};
use crate::lease::{Holder, Lease, Leases, LockFiles, NotTaken};
use crate::model::{Act, ControlSpec, Name};
use crate::restore::{Reached, call_within};
use crate::traffic::ControlError;

/// Who does not say by then who it is does not answer.
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

/// The journals of a state directory.
pub(super) struct Journals {
    /// Those that can be told apart, the oldest first.
    pub found: Vec<Found>,
    /// Those that are not ours to read, or cannot be read.
    pub shut: Vec<Shut>,
}

/// A journal that cannot be read, and why.
pub(super) struct Shut {
    journal: PathBuf,
    why: io::Error,
}

impl std::fmt::Display for Shut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let journal = self.journal.display();
        write!(
            f,
            "{journal} cannot be read: {}; whether an earlier run left traffic cut is not known; as the user \
             who ran the drill, type `firedrill restore '{journal}'`",
            self.why
        )
    }
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
        self.runs().join(id)
    }

    /// The directory that holds those of all runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The key that values of the environment are sealed with.
    pub fn key(&self) -> PathBuf {
        self.root.join("env.key")
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

    /// Every journal.
    ///
    /// # Errors
    /// A sentence for people, when the directory cannot be read: what it holds might matter.
    pub fn journals(&self) -> Result<Journals, String> {
        self.journals_that(owned)
    }

    /// Every journal, those of other users too, for who does not act on what they say.
    ///
    /// # Errors
    /// As [`State::journals`].
    pub fn journals_of_all(&self) -> Result<Journals, String> {
        self.journals_that(|_| Ok(()))
    }

    fn journals_that(&self, may_be_read: fn(&Path) -> io::Result<()>) -> Result<Journals, String> {
        let runs = self.runs();
        let (mut found, mut shut) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Journals { found, shut });
            }
            Err(error) => return Err(unreadable(&runs, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&runs, &error))?;
            let journal = entry.path().join(FILE);
            match may_be_read(&journal).and_then(|()| find(&journal)) {
                Ok(journal) => found.push(journal),
                // A directory without a journal is none of ours, or its run ended before it began.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) => {}
                Err(why) => shut.push(Shut { journal, why }),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        shut.sort_by(|a, b| a.journal.cmp(&b.journal));
        Ok(Journals { found, shut })
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
    let mut file = source::open(&journal)?;
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
        self.is_at_work() && self.has_lost_its_drill()
    }

    /// Whether its drill is known to be dead.
    pub fn has_lost_its_drill(&self) -> bool {
        let Ok(run) = &self.run else { return false };
        let by_another = |by| matches!(by, Some(Hand::Watchdog | Hand::Person));
        let dead = || run.opened.host == host() && !lives(run.opened.pid);
        run.controls.iter().any(|entry| by_another(entry.by)) || dead()
    }

    /// Whether somebody is at work on what this run may have cut: its drill, its watchdog or a person.
    pub fn is_at_work(&self) -> bool {
        self.live && self.run.as_ref().is_ok_and(|run| run.open().next().is_some())
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

/// Whether a process of this machine lives. One that has ended and was not waited for yet does not.
fn lives(pid: u32) -> bool {
    let Some(known) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    let there = match rustix::process::test_kill_process(known) {
        Ok(()) | Err(rustix::io::Errno::PERM) => true,
        Err(_) => false,
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind its name, which may hold anything.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    there && !matches!(state, Some("Z" | "X"))
}

/// What controls steer, each by its address and by who answers there: one may have several addresses. Secrets may be
/// in it.
#[derive(Default)]
pub(super) struct Places {
    pub known: Vec<(Name, String)>,
    /// Those of which only the address is known, and why.
    pub unknown: Vec<ControlError>,
}

/// What `controls` steer. They are asked side by side.
pub(super) async fn places<'a>(
    controls: impl Iterator<Item = (&'a ControlSpec, Reached)>,
) -> Places {
    let asked = controls.map(|(control, reached)| async move {
        // What cannot even be tried is refused where it is tried.
        let identity = match reached {
            Ok(Some(reached)) => {
                call_within(IDENTITY, Clock::start(), &*reached, Act::Preflight, reached.identity())
                    .await
                    .result
            }
            Ok(None) | Err(_) => Ok(None),
        };
        (control, identity)
    });
    let mut places = Places::default();
    for (control, identity) in join_all(asked).await {
        let by_name = identity.unwrap_or_else(|error| {
            places.unknown.push(error);
            None
        });
        let all = control.provider.settings().places().into_iter().chain(by_name);
        places.known.extend(all.map(|place| (control.name.clone(), place)));
    }
    places
}

/// A new run's id: sorts by time, and two at the same moment differ.
pub(super) fn run_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    format!("{now}-{:04x}", fastrand::u16(..))
}

/// What the id of a run ends with that is a test of controls, and no drill.
const TEST: &str = "-provider-test";

/// A new id for a test of controls.
pub(super) fn test_id() -> String {
    run_id() + TEST
}

/// Whether the run of this id is no drill, but a test of controls.
pub(super) fn is_test(id: &str) -> bool {
    id.ends_with(TEST)
}

/// The time by the wall clock, for what depends on how long ago a drill was.
pub(super) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The name of this machine.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    use super::*;

    #[test]
    fn a_process_that_has_ended_does_not_live_though_nobody_waited_for_it() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = WaitId::Pid(Pid::from_child(&child));
        waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        assert!(!lives(child.id()), "a zombie");
        child.wait().unwrap();
        assert!(lives(std::process::id()));
        assert!(!lives(u32::MAX));
    }
}
