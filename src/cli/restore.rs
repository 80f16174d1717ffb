//! `firedrill restore`: traffic is put back from the journal alone.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;

use super::state::{Found, State};
use super::{Exit, StateArgs, by_hand, input, output, reach, state};
use crate::clock::Clock;
use crate::journal::{
    Action, Append, Entry, Hand, Journal, Record, Run, Says, Unusable, Unwritten, action,
};
use crate::lease::{Lease, NotTaken};
use crate::model::{Act, ControlState};
use crate::restore::{End, Limits, Outcome, Reading, Restored, call_within, restore_run};

/// The longest that one call may take.
const CALL: Duration = Duration::from_secs(15);

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
    /// The controls of this machine are those of the machine that the drill ran on
    #[arg(long)]
    any_host: bool,
    /// How long to go on trying when a control does not answer
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = input::duration)]
    try_for: Duration,
    #[command(flatten)]
    state: StateArgs,
}

/// Restores one run, or all that left traffic cut.
pub(super) fn restore(args: &RestoreArgs) -> Exit {
    let chosen = match choose(args) {
        Ok(chosen) => chosen,
        Err(error) => {
            output::say(format_args!("error: {error}"));
            return Exit::Usage;
        }
    };
    if chosen.is_empty() {
        output::say(format_args!("no run left traffic cut; nothing to restore"));
    }
    if args.settled {
        return settle(args, &chosen);
    }
    let mut good = true;
    for found in &chosen {
        match one(args, found) {
            Ok(back) => good &= back,
            Err(error) => {
                output::say(format_args!("error: {}: {error}", found.id));
                good = false;
            }
        }
    }
    if good { Exit::Pass } else { Exit::NotRestored }
}

/// The runs that are meant.
fn choose(args: &RestoreArgs) -> Result<Vec<Found>, String> {
    let Some(name) = &args.run else {
        let state = State::of(&args.state)?;
        state.must_be_there()?;
        let mut left = state.journals()?;
        left.retain(|found| found.is_left() || found.is_being_restored());
        return Ok(left);
    };
    let path = PathBuf::from(name);
    let place =
        if name.contains('/') || path.exists() { path } else { State::of(&args.state)?.run(name) };
    let found = state::find(&place).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!(
            "there is no run {name}: no journal in {}; `firedrill status` lists the runs that left \
             traffic cut",
            place.display()
        ),
        _ => format!("{}: {error}", place.display()),
    })?;
    Ok(vec![found])
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
        runtime.block_on(dry_run(args, run));
        return Ok(run.open().next().is_none() && run.lost().next().is_none());
    }
    if found.is_being_restored() {
        return Err("it is being put back now, by its watchdog or by another `restore`".to_owned());
    }
    // Read anew under the lock: whoever held it until now may have gone on with it.
    let (run, mut journal): (Run, Box<dyn Append>) = match Journal::resume(&found.journal) {
        Ok((run, journal)) => (run, Box::new(journal)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            let text = "its drill is still going on, or somebody restores it now; stop the drill with SIGTERM, \
                        then it restores by itself";
            return Err(text.to_owned());
        }
        Err(error) => {
            output::say(format_args!(
                "warning: {} cannot be written ({error}), so nobody will see there that it was restored",
                found.journal.display()
            ));
            (run.clone(), Box::new(Unwritten))
        }
    };
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

/// The controls to restore, for us alone: no drill may begin on them meanwhile.
fn leases(
    args: &RestoreArgs,
    run: &Run,
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<Box<dyn Lease>>, String> {
    let state = State::of(&args.state)?;
    let places = run.open().map(|entry| {
        state::places(&entry.control, reach::reach(run, &entry.control, args.any_host))
    });
    let places = runtime.block_on(join_all(places)).concat();
    match state.take(&places, &run.opened.run, &run.opened.plan) {
        Ok(leases) => Ok(leases),
        // Where no lock can be had, none keeps anybody from putting traffic back.
        Err(refused) if matches!(refused.why, NotTaken::Failed(_)) => {
            output::say(format_args!("warning: {refused}"));
            Ok(Vec::new())
        }
        Err(refused) => Err(refused.to_string()),
    }
}

/// Writes down that a person has decided what is right.
fn settle(args: &RestoreArgs, chosen: &[Found]) -> Exit {
    let mut good = true;
    for found in chosen {
        let settled = still_cut(args, found).and_then(|()| {
            confirm_all(found)
                .map_err(|error| format!("{} cannot be written: {error}", found.journal.display()))
        });
        match settled {
            Ok(()) => {
                output::say(format_args!("{}: settled by you; nothing was touched", found.id))
            }
            Err(error) => {
                output::say(format_args!("error: {}: {error}", found.id));
                good = false;
            }
        }
    }
    if good { Exit::Pass } else { Exit::NotRestored }
}

/// Holds that no cut of the run's is in force, so far as its controls can be read.
fn still_cut(args: &RestoreArgs, found: &Found) -> Result<(), String> {
    let Ok(run) = &found.run else { return Ok(()) };
    let looks = run.open().map(|entry| async move {
        (&entry.control.name, look(args.any_host, run, entry).await.cut)
    });
    let looks = runtime()?.block_on(join_all(looks));
    let cut = looks.into_iter().find(|(_, cut)| *cut > 0);
    cut.map_or(Ok(()), |(control, cut)| {
        Err(format!(
            "{control} says that our cut is still in force ({cut} of its parts), so nothing was settled; \
             `firedrill restore {}` puts back what nobody else changed",
            found.id
        ))
    })
}

fn confirm_all(found: &Found) -> std::io::Result<()> {
    let (run, mut journal) = Journal::resume(&found.journal)?;
    let open = run.open().map(|entry| &entry.control.name).chain(run.lost());
    for control in open.cloned().collect::<Vec<_>>() {
        journal.append(&Record::RestoreConfirmed { control, by: Hand::Person })?;
    }
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not be started: {error}"))
}

fn warn(run: &Run) {
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
        output::say(format_args!("{}", sentence(run, entry, outcome).trim_end()));
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
    cut: usize,
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
    let name = entry.control.name.clone();
    let read = call_within(CALL, Clock::start(), name, Act::Inspect, control.inspect()).await;
    match read.result {
        Err(error) => {
            Look { says: Says::Unreachable, text: format!("unreachable: {error}"), cut: 0 }
        }
        Ok(state) => {
            let reading = Reading::of(&state, &entry.before, &entry.cut);
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
