//! `firedrill gate`: whether the last drills let a release go out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::form::Form;
use super::history::say_left_out;
use super::runs::{self, Past};
use super::state::{self, State};
use super::{Exit, StateArgs, VarArgs, form, input, output};
use crate::model::{Name, Summary};
use crate::past::{self, Rules, Wanted, latest};
use crate::report;

/// Options of `firedrill gate`.
#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// The plans: files, or names of plans that were drilled, in the file that they were drilled from [default: every
    /// plan that was ever drilled]
    #[arg(value_name = "PLAN")]
    plans: Vec<String>,
    /// The same, repeatable
    #[arg(long = "plan", value_name = "PLAN")]
    more: Vec<String>,
    /// The last drill of each plan is at most so old, as 30d
    #[arg(long, value_name = "AGE", value_parser = input::age)]
    max_age: Option<Duration>,
    /// Its recovery was no slower than three of four of the earlier drills like it that passed
    #[arg(long)]
    within_p75: bool,
    /// Every service of the plans was measured in a drill that passed
    #[arg(long)]
    require_all: bool,
    /// How stdout is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// Decides, prints why, and ends with 0 if the release may go out and with 1 if not. Reads only, but for the summaries
/// beside the records.
pub(super) fn gate(args: &GateArgs) -> Exit {
    form::end(told(args))
}

fn told(args: &GateArgs) -> Result<Exit, String> {
    let state = State::of(&args.state)?;
    let Past { runs, lost } = runs::past(&state)?;
    lost.iter().for_each(say_left_out);
    let wanted = wanted(args, &runs)?;
    let rules =
        Rules { max_age: args.max_age, within_p75: args.within_p75, require_all: args.require_all };
    let gate = past::decide(&wanted, &runs, &lost, &rules, state::now());
    match args.format {
        Form::Json => form::json(report::pretty(&gate)),
        Form::Table => output::data(report::gate(&gate, output::style()).as_bytes()),
    }
    Ok(if gate.open { Exit::Pass } else { Exit::Fail })
}

/// The plans that were asked for, each once, as they are now.
fn wanted(args: &GateArgs, runs: &[Summary]) -> Result<Vec<Wanted>, String> {
    let mut last: BTreeMap<&Name, &Summary> = BTreeMap::new();
    for run in runs {
        let known = last.entry(&run.plan).or_insert(run);
        *known = latest(known, run);
    }
    let asked: Vec<&String> = args.plans.iter().chain(&args.more).collect();
    if asked.is_empty() {
        return Ok(last.values().map(|run| drilled(run, &args.vars)).collect());
    }
    let mut wanted = Vec::new();
    let mut seen = BTreeSet::new();
    for asked in asked.into_iter().filter(|asked| seen.insert(*asked)) {
        let path = Path::new(asked);
        wanted.push(match last.get(&Name::from(asked.as_str())) {
            Some(run) if !path.exists() => drilled(run, &args.vars),
            None if !path.exists() => {
                return Err(format!(
                    "there is no plan file {asked}, and no run of a plan of that name"
                ));
            }
            _ => read(path, &args.vars)?,
        });
    }
    Ok(wanted)
}

/// The plan of a run as it is now, in the file that it was read from then.
fn drilled(run: &Summary, vars: &VarArgs) -> Wanted {
    let now = read(Path::new(&run.file), vars).and_then(|wanted| match wanted.plan == run.plan {
        true => Ok(wanted),
        false => Err(format!("{} now holds the plan {}", run.file, wanted.plan)),
    });
    now.unwrap_or_else(|error| Wanted {
        plan: run.plan.clone(),
        file: run.file.clone(),
        hash: Err(format!("{error}; give the gate the path of the plan")),
        vars: BTreeMap::new(),
        services: run.measured.clone(),
    })
}

fn read(path: &Path, vars: &VarArgs) -> Result<Wanted, String> {
    let (file, outline) = input::outline(path, vars)?;
    let hash = file.hash.ok_or_else(|| format!("{} has no digest", file.path));
    let (plan, services) = (outline.name, outline.services);
    Ok(Wanted { plan, file: file.path, hash, vars: file.vars, services })
}
