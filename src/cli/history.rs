//! `firedrill history`: past runs, and how their recovery times went.

use std::num::NonZeroUsize;
use std::path::Path;

use clap::Args;

use super::form::Form;
use super::runs::{self, Past};
use super::state::State;
use super::{Exit, StateArgs, VarArgs, form, input, output};
use crate::model::{LostRun, Name, printable};
use crate::past;
use crate::report;

/// So many runs are in a table if nothing else is asked for.
const SCREEN: usize = 30;

/// Options of `firedrill history`.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Only runs of this plan: its name, or its file
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// Only so many runs, the latest [default: 30 in a table, all in JSON]
    #[arg(long, value_name = "N")]
    last: Option<NonZeroUsize>,
    /// How stdout is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// Prints the past runs. Reads only, but for the summaries beside the records.
pub(super) fn history(args: &HistoryArgs) -> Exit {
    form::end(told(args))
}

fn told(args: &HistoryArgs) -> Result<Exit, String> {
    let state = State::of(&args.state)?;
    let plan = args.plan.as_deref().map(|plan| named(plan, &args.vars)).transpose()?;
    let Past { runs, lost } = runs::past(&state)?;
    let every = match args.format {
        Form::Table => SCREEN,
        Form::Json => usize::MAX,
    };
    let last = args.last.map_or(every, NonZeroUsize::get);
    let history = past::history(runs, lost, plan.as_ref(), last);
    history.left_out.iter().for_each(say_left_out);
    Ok(match args.format {
        Form::Json => form::json(report::pretty(&history)),
        Form::Table if history.runs.is_empty() => {
            let of = plan.map_or(String::new(), |plan| format!(" of {plan}"));
            output::line(&printable(&format!("no run{of} is kept in {}", state.place())))
        }
        Form::Table => output::data(report::history(&history, output::style()).as_bytes()),
    })
}

/// Says on stderr that a run is left out.
pub(super) fn say_left_out(lost: &LostRun) {
    let how = if lost.under_way { "note" } else { "warning" };
    let (run, why) = (printable(&lost.run), printable(&lost.why));
    output::say(format_args!("{how}: {run} is left out: {why}"));
}

/// The name of the plan that a person calls `plan`: by its file, if there is one.
fn named(plan: &str, vars: &VarArgs) -> Result<Name, String> {
    let path = Path::new(plan);
    match path.is_file() {
        true => Ok(input::outline(path, vars)?.2.name),
        false => Ok(Name::from(plan)),
    }
}
