//! `firedrill status`: what is cut right now, and by which run.

use clap::Args;

use super::state::{Found, Journals, State};
use super::{Exit, StateArgs, output, restore};
use crate::journal::{Entry, Last, Run, Unusable};

/// Options of `firedrill status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The controls of this machine are those of the machine that the drill ran on
    #[arg(long)]
    any_host: bool,
    #[command(flatten)]
    state: StateArgs,
}

/// Lists the runs that may have traffic cut now. Reads only.
pub(super) fn status(args: &StatusArgs) -> Exit {
    match list(args) {
        Ok(exit) => exit,
        Err(error) => {
            output::say(format_args!("error: {error}"));
            Exit::NotRestored
        }
    }
}

fn list(args: &StatusArgs) -> Result<Exit, String> {
    let state = State::of(&args.state)?;
    state.must_be_there()?;
    let Journals { found: mut journals, shut } = state.journals()?;
    for journal in &shut {
        output::say(format_args!("error: {journal}"));
    }
    let all = journals.len();
    journals.retain(|found| found.live || found.is_left());
    if journals.is_empty() && shut.is_empty() {
        let runs = if all == 1 { "run" } else { "runs" };
        let text = format!("nothing is cut by the {all} {runs} in {}", state.place());
        return Ok(output::line(&text));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not be started: {error}"))?;
    let (mut left, mut printed) = (!shut.is_empty(), Exit::Pass);
    for found in &journals {
        left |= found.is_left() || found.is_being_restored();
        printed = printed.if_printed(output::line(&runtime.block_on(told(args, &state, found))));
    }
    let found = if left { Exit::NotRestored } else { Exit::Pass };
    Ok(found.if_printed(printed))
}

/// A paragraph about a run.
async fn told(args: &StatusArgs, state: &State, found: &Found) -> String {
    let run = match &found.run {
        Ok(run) => run,
        Err(Unusable::Empty) if found.live => {
            return format!("{} is getting ready; nothing is cut by it yet", found.id);
        }
        Err(error) => {
            let journal = found.journal.display();
            let known = "if you know that its traffic is back, remove its directory";
            return format!("{}: {journal}: {error}; {known}", found.id);
        }
    };
    let opened = &run.opened;
    let mode = opened.order.mode.kind();
    let what = match (found.is_being_restored(), found.live) {
        (true, _) => "IS BEING PUT BACK, after its drill died",
        (false, true) => "is going on",
        (false, false) => "LEFT TRAFFIC CUT",
    };
    let mut lines = vec![format!(
        "{} {what}: {} ({mode}), plan {}, begun {:.0} on {}",
        found.id,
        run.lost_traffic(),
        opened.plan,
        opened.at,
        opened.host
    )];
    for entry in &run.controls {
        // A drill that goes on knows best, and its controls are busy with it.
        let now = match found.live || !entry.last.is_open() {
            true => String::new(),
            false => format!("; {}", restore::look(args.any_host, run, entry).await.text),
        };
        lines.push(format!("  {}: {}{now}", entry.control.name, last(entry)));
    }
    lines.extend(run.lost().map(|name| format!("  {name}: its line in the journal is damaged")));
    if !found.live {
        let restore = state.command(&format!("restore {}", restore_name(run, found)));
        lines.push(format!("  put it back: {restore}"));
    }
    lines.join("\n")
}

fn restore_name(run: &Run, found: &Found) -> String {
    let directory = found.journal.parent();
    match directory.and_then(|directory| directory.file_name()) {
        Some(name) if name.to_string_lossy() == run.opened.run => run.opened.run.clone(),
        _ => found.journal.display().to_string(),
    }
}

fn last(entry: &Entry) -> &'static str {
    match entry.last {
        Last::None => "not touched",
        Last::CutIntended => "perhaps cut",
        Last::CutConfirmed => "cut",
        Last::RestoreIntended => "a restore was begun",
        Last::RestoreConfirmed => "restored",
    }
}
