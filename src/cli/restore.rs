//! `firedrill restore`: traffic is put back from the journal alone.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use clap::Args;

use super::state::{Found, Journals, State};
use super::{Exit, StateArgs, by_hand, input, output, reach, runs, settle, state};
use crate::clock::Clock;
use crate::journal::{
    Action, Append, Aside, Entry, Hand, Journal, Opened, Record, Run, Says, Unusable, Unwritten,
    action,
};
use crate::lease::{Lease, NotTaken};
use crate::model::{Act, ControlState, Verdict};
use crate::restore::{End, Limits, Outcome, Reading, Restored, call_within, restore_run};

/// The longest that one call may take.
const CALL: Duration = Duration::from_secs(15);

/// A lock that is not taken by then is on a disk that hangs.
const LOCKS: Duration = Duration::from_secs(2);

/// How often a journal that somebody holds is tried. Each try waits for a moment by itself: some 5 s in all.
const TRIES: usize = 12;

/// Options of `firedrill restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A run's id, or the path of its journal; without it, every run that left traffic cut
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Show what would be called, and call nothing that changes anything
    #[arg(long)]
    dry_run: bool,
    /// Touch nothing, and write down that a person has put right what RUN left
    #[arg(long, requires = "run", conflicts_with = "dry_run")]
    settled: bool,
    /// Also where a control cannot be read, because it is gone for good
    #[arg(long, requires = "settled")]
    pub even_unread: bool,
    /// The controls of this machine are those of the machine that the drill ran on
    #[arg(long)]
    pub any_host: bool,
    /// How long to go on trying when a control does not answer
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = input::duration)]
    try_for: Duration,
    #[command(flatten)]
    state: StateArgs,
}

/// Restores one run, or all that left traffic cut.
pub(super) fn restore(args: &RestoreArgs) -> Exit {
    let Journals { found: chosen, shut } = match choose(args) {
        Ok(Chosen::Journals(chosen)) => chosen,
        Ok(Chosen::Refused(run)) => {
            output::say(format_args!("{run} was refused before it touched anything"));
            return Exit::Pass;
        }
        Err(error) => {
            output::say(format_args!("error: {error}"));
            return Exit::Usage;
        }
    };
    if chosen.is_empty() && shut.is_empty() {
        output::say(format_args!("no run left traffic cut; nothing to restore"));
    }
    let mut good = shut.is_empty();
    for found in &chosen {
        let done = if args.settled { settle::settle(args, found) } else { one(args, found) };
        match done {
            Ok(back) => good &= back,
            Err(error) => {
                output::say(format_args!("error: {}: {error}", found.id));
                good = false;
            }
        }
    }
    for journal in &shut {
        output::say(format_args!("error: {journal}"));
    }
    if good { Exit::Pass } else { Exit::NotRestored }
}

/// What is meant.
enum Chosen {
    Journals(Journals),
    /// A run that has no journal, because it was refused before it needed one.
    Refused(String),
}

/// The runs that are meant.
fn choose(args: &RestoreArgs) -> Result<Chosen, String> {
    let Some(name) = &args.run else {
        let state = State::of(&args.state)?;
        state.must_be_there()?;
        let mut journals = state.journals()?;
        journals.found.retain(|found| found.is_left() || found.is_at_work());
        return Ok(Chosen::Journals(journals));
    };
    let path = PathBuf::from(name);
    let place =
        if name.contains('/') || path.exists() { path } else { State::of(&args.state)?.run(name) };
    let found = match state::find(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && was_refused(&place) => {
            return Ok(Chosen::Refused(name.clone()));
        }
        found => found,
    };
    let found = found.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no run {name}: no journal in {}; `firedrill status` lists the runs that left \
             traffic cut",
            place.display()
        ),
        _ => format!("{}: {error}", place.display()),
    })?;
    Ok(Chosen::Journals(Journals { found: vec![found], shut: Vec::new() }))
}

/// Whether the run in `directory`, which has no journal, says that it was not started.
fn was_refused(directory: &Path) -> bool {
    let record = runs::read(&directory.join(runs::RECORD));
    record.is_ok_and(|whole| whole.summary.verdict == Verdict::NotStarted)
}

/// Restores one. `true`: nothing is known or feared to be cut by it any more.
fn one(args: &RestoreArgs, found: &Found) -> Result<bool, String> {
    let run = match &found.run {
        Ok(run) => run,
        Err(Unusable::Empty) if found.live => {
            return Err(
                "its drill is getting ready; stop it with SIGTERM if it should not cut".to_owned()
            );
        }
        Err(error @ Unusable::Empty) => {
            output::say(format_args!("{}: {error}", found.id));
            return Ok(true);
        }
        Err(error) => return Err(format!("{}: {error}", found.journal.display())),
    };
    let runtime = runtime()?;
    warn(run);
    if args.dry_run {
        if found.is_at_work() && !found.has_lost_its_drill() {
            output::say(format_args!("{}: {}", found.id, going_on(run)));
        }
        runtime.block_on(dry_run(args, run));
        return Ok(run.open().next().is_none() && run.lost().next().is_none());
    }
    let (run, mut journal) = open(found, run)?;
    let _leases = leases(args, &run, &runtime)?;
    let reach = |spec: &_| reach::reach(&run, spec, args.any_host);
    let hurry = tokio::sync::watch::Sender::new(false);
    let work = restore_run(
        &run,
        &reach,
        Hand::Person,
        &mut *journal,
        Clock::start(),
        Limits { total: args.try_for, call: CALL },
        hurry.subscribe(),
    );
    let outcomes = runtime.block_on(work);
    Ok(told(&run, &outcomes))
}

/// The journal to write to, and the run read anew under its lock: whoever held it until now may have gone on with it.
/// Where it cannot be had although the drill is dead, traffic is put back all the same: doing that twice does no harm.
///
/// # Errors
/// A sentence for people, when the drill is still going on.
fn open(found: &Found, run: &Run) -> Result<(Run, Box<dyn Append>), String> {
    let place = found.journal.display().to_string();
    let mut resumed = Journal::resume(&found.journal);
    if is_held(&resumed) {
        if !found.has_lost_its_drill() {
            return Err(going_on(run));
        }
        output::say(format_args!(
            "{}: it is being put back now, by its watchdog or by another `restore`; waiting for that for some \
             seconds",
            found.id
        ));
        let again = |_| Some(Journal::resume(&found.journal)).filter(|again| !is_held(again));
        resumed = (0..TRIES).find_map(again).unwrap_or(resumed);
    }
    match resumed.and_then(|(run, journal)| Ok((run, Aside::new(journal)?))) {
        Ok((run, journal)) => Ok((run, Box::new(Outspoken { journal, place, has_failed: false }))),
        Err(error) => {
            output::say(unwritten(&place, &error));
            let now = state::find(&found.journal).ok().and_then(|found| found.run.ok());
            Ok((now.unwrap_or_else(|| run.clone()), Box::new(Unwritten)))
        }
    }
}

fn is_held<T>(resumed: &io::Result<T>) -> bool {
    resumed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn going_on(run: &Run) -> String {
    let Opened { pid, host, .. } = &run.opened;
    let place = if *host == state::host() { String::new() } else { format!(" on {host}") };
    let what = if run.open().next().is_some() { " and has traffic cut" } else { "" };
    format!(
        "its drill is still going on{what}; stop it with `kill -TERM {pid}`{place}, then it restores by itself"
    )
}

fn unwritten(journal: &str, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::WouldBlock => "whoever has it does not let go of it".to_owned(),
        _ => error.to_string(),
    };
    format!(
        "warning: {journal} cannot be written ({why}), so nobody will see there that it was restored; call \
         this again when it can"
    )
}

/// A journal that says it once when it does not take what it is given.
struct Outspoken {
    journal: Aside,
    place: String,
    has_failed: bool,
}

impl Append for Outspoken {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let result = self.journal.append(record);
        if let (Err(error), false) = (&result, self.has_failed) {
            self.has_failed = true;
            output::say(unwritten(&self.place, error));
        }
        result
    }
}

/// The controls to restore, for us alone: no drill may begin on them meanwhile. Where no lock can be had, none keeps
/// anybody from putting traffic back.
///
/// # Errors
/// When another run has one of them.
fn leases(
    args: &RestoreArgs,
    run: &Run,
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<Box<dyn Lease>>, String> {
    let without = |why: &dyn std::fmt::Display| {
        output::say(format_args!("warning: {why}; nothing keeps a drill from beginning meanwhile"));
        Ok(Vec::new())
    };
    let state = match State::of(&args.state) {
        Ok(state) => state,
        Err(error) => return without(&error),
    };
    let open = run.open().map(|entry| {
        let spec = &entry.control;
        (spec, reach::reach(run, spec, args.any_host))
    });
    let places = runtime.block_on(state::places(open));
    for error in &places.unknown {
        output::say(format_args!("warning: whether another drill has it is not known: {error}"));
    }
    let (id, plan) = (run.opened.run.clone(), run.opened.plan.clone());
    match within(LOCKS, move || state.take(&places.known, &id, &plan)) {
        Some(Ok(leases)) => Ok(leases),
        Some(Err(refused)) if matches!(refused.why, NotTaken::Failed(_)) => without(&refused),
        Some(Err(refused)) => Err(refused.to_string()),
        None => without(&"the disk with the locks hangs"),
    }
}

/// What `work` gives, in a thread of its own; `None` when it takes longer than `limit`.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = sync_channel(1);
    let work = move || drop(tell.send(work()));
    std::thread::Builder::new().name("locks".to_owned()).spawn(work).ok()?;
    told.recv_timeout(limit).ok()
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not be started: {error}"))
}

/// Says what of a journal is damaged, and what that means for the way back.
pub(super) fn warn(run: &Run) {
    let id = &run.opened.run;
    if !run.damaged.is_empty() {
        let lines: Vec<String> = run.damaged.iter().map(usize::to_string).collect();
        output::say(format_args!(
            "warning: {id}: damaged lines in the journal: {}; what may have stood there is taken to be \
             an intent to cut",
            lines.join(", ")
        ));
    }
    for control in run.lost() {
        output::say(format_args!(
            "error: {id}: the journal's line with the state of {control} is damaged, so it cannot be put \
             back from here; look at it yourself"
        ));
    }
}

/// Says what came of each control.
pub(super) fn told(run: &Run, outcomes: &[Outcome]) -> bool {
    for outcome in outcomes {
        let entry = run.controls.iter().find(|entry| entry.control.name == outcome.control);
        let Some(entry) = entry else { continue };
        output::say_lines(sentence(run, entry, outcome).trim_end());
    }
    outcomes.iter().all(Outcome::is_good) && run.lost().next().is_none()
}

fn sentence(run: &Run, entry: &Entry, outcome: &Outcome) -> String {
    let (id, name) = (&run.opened.run, &outcome.control);
    let mut text = format!("{id}: {name}: ");
    let problem = match &outcome.restored {
        Restored::Untouched => {
            let why = match entry.last.is_open() {
                false if entry.by.is_some() => "it was restored before; nothing was touched",
                _ => "no cut was intended; nothing was touched",
            };
            return text + why;
        }
        Restored::Gone => {
            return text
                + "it lived in the drill's process and ended with that; nothing is left to restore";
        }
        Restored::Done(done) => match &done.end {
            End::Untouched => return text + "nothing was to be done",
            End::Restored { undone: true } => {
                return text + "it was as before the drill already; another hand, or an expiry";
            }
            End::Restored { undone: false } => {
                return text + "restored: read back as it was before the drill";
            }
            End::Failed(error) => error.to_string(),
            End::Foreign(parts) => {
                let now = done.state.clone().unwrap_or_default();
                text += "NOT RESTORED: another hand changed it, so this was not touched:\n";
                for part in parts {
                    let of = |state: &ControlState| described(state, part);
                    let _ = writeln!(
                        text,
                        "  {part}: before the drill {}; our cut {}; now {}",
                        of(&entry.before),
                        of(&entry.cut),
                        of(&now)
                    );
                }
                return text
                    + &format!(
                        "  decide what is right, set it by hand, then `firedrill restore {id} --settled`"
                    );
            }
        },
        Restored::Unreachable(error) => error.to_string(),
    };
    let _ = writeln!(text, "NOT RESTORED: {problem}\n  by hand:");
    for command in by_hand::commands(entry) {
        let _ = writeln!(text, "    {command}");
    }
    text
}

fn described(state: &ControlState, part: &str) -> String {
    match state.parts.get(part) {
        None => "gone".to_owned(),
        Some(part) => {
            let each = part.settings.iter().map(|(key, value)| format!("{key} {value}"));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Shows what would be called, after a reading of each control.
async fn dry_run(args: &RestoreArgs, run: &Run) {
    for entry in &run.controls {
        let (id, name) = (&run.opened.run, &entry.control.name);
        let look = look(args.any_host, run, entry).await;
        let what = match action(entry.last, look.says) {
            Action::Nothing => "nothing: no cut was intended",
            Action::Tell => "nothing: it was restored before",
            Action::AskPerson => "what another hand changed is not touched; for the rest:",
            Action::Retry => "tried again until it answers, or given up:",
            Action::Confirm | Action::ConfirmUndone => "put back once more, which changes nothing:",
            Action::Restore | Action::RestoreAndWait => "put back:",
        };
        output::say(format_args!("{id}: {name}: {}: {what}", look.text));
        if entry.last.is_open() {
            for command in by_hand::commands(entry) {
                output::say(format_args!("  {command}"));
            }
        }
    }
}

/// What a control says now.
pub(super) struct Look {
    pub says: Says,
    pub text: String,
    /// Parts where our cut is in force.
    pub cut: usize,
}

/// Reads a control of a run.
pub(super) async fn look(any_host: bool, run: &Run, entry: &Entry) -> Look {
    let control = match reach::reach(run, &entry.control, any_host) {
        Ok(Some(control)) => control,
        Ok(None) => {
            return Look { says: Says::NotCut, text: "ended with its drill".to_owned(), cut: 0 };
        }
        Err(error) => return Look { says: Says::Unreachable, text: error.to_string(), cut: 0 },
    };
    let read = call_within(CALL, Clock::start(), &*control, Act::Inspect, control.inspect()).await;
    match read.result {
        Err(error) => {
            Look { says: Says::Unreachable, text: format!("unreachable: {error}"), cut: 0 }
        }
        Ok(state) => {
            let reading = Reading::at(&*control, &state, &entry.before, &entry.cut);
            let counts = [
                (reading.cut.len(), "cut"),
                (reading.back.len(), "as before"),
                (reading.foreign.len(), "changed by another hand"),
            ];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts: Vec<String> =
                counts.map(|(count, what)| format!("{count} {what}")).collect();
            let text = format!("now {}", counts.join(", "));
            Look { says: reading.says(), text, cut: reading.cut.len() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_hangs_keeps_nobody_from_restoring() {
        let (_never, hangs) = sync_channel::<()>(0);
        assert_eq!(within(Duration::from_millis(1), move || hangs.recv()), None);
        assert_eq!(within(Duration::MAX, || 7), Some(7));
    }
}
