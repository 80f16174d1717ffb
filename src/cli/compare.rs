//! `firedrill compare`: what is different between two runs.

use clap::Args;

use super::form::Form;
use super::state::State;
use super::{Exit, StateArgs, form, output, runs};
use crate::past;
use crate::report;

/// Options of `firedrill compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The earlier run: its id or the beginning of it, `last`, or the path of a record
    #[arg(value_name = "RUN")]
    before: String,
    /// The run to hold against it
    #[arg(value_name = "RUN")]
    after: String,
    /// How stdout is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
    #[command(flatten)]
    state: StateArgs,
}

/// Compares two runs. Reads only.
pub(super) fn compare(args: &CompareArgs) -> Exit {
    form::end(told(args))
}

fn told(args: &CompareArgs) -> Result<Exit, String> {
    let state = State::of(&args.state)?;
    let read = |run: &str| runs::resolve(&state, run).and_then(|path| runs::read(&path));
    let comparison = past::compare(&read(&args.before)?, &read(&args.after)?);
    Ok(match args.format {
        Form::Json => form::json(report::pretty(&comparison)),
        Form::Table => output::data(report::comparison(&comparison, output::style()).as_bytes()),
    })
}
