//! `firedrill run`: the drill.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::output::{self, Asked, Reports};
use super::{Exit, StateArgs, VarArgs, input, signals, state};
use crate::drill::{Charge, conduct};
use crate::journal::Journal;
use crate::model::{DrillEvent, Plan, Provider, RunRecord};
use crate::report;
use crate::screen::{Screen, ScreenKind};

/// Options of `firedrill run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// A report, to stdout or to a file: table or json; repeatable
    #[arg(long = "report", value_name = "FORMAT[=PATH]", value_parser = output::report)]
    reports: Vec<Asked>,
    /// Cut without asking; needed without a terminal for anything but the lab
    #[arg(long)]
    yes: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    vars: VarArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// Runs the drill of a plan. Everything that can be refused is refused before the first change.
pub(super) fn run(args: &RunArgs) -> Exit {
    let parsed = match input::read(&args.plan, &args.vars) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error),
    };
    input::show_findings(&parsed);
    let file = parsed.file;
    let Some(plan) = parsed.outcome.plan else { return Exit::Usage };
    let reports = match Reports::open(&args.reports) {
        Ok(reports) => reports,
        Err(error) => return refuse(&error),
    };
    if let Err(error) = confirm(&plan, args.yes) {
        return refuse(&error);
    }
    match drill(args, plan, file) {
        Ok(record) => {
            reports.write(&record);
            record.verdict.into()
        }
        Err(error) => {
            output::say(format_args!("error: {error}"));
            Exit::NotStarted
        }
    }
}

fn refuse(error: &str) -> Exit {
    output::say(format_args!("error: {error}"));
    Exit::Usage
}

/// Asks a person, unless `--yes` was given or only the lab is cut.
fn confirm(plan: &Plan, yes: bool) -> Result<(), String> {
    let through = || plan.through.iter().filter_map(|place| plan.traffic.get(*place));
    if yes || through().all(|control| control.provider == Provider::Lab) {
        return Ok(());
    }
    let (mut stderr, stdin) = (io::stderr(), io::stdin());
    let datacenter = plan.datacenter(plan.cut.datacenter);
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Err(format!(
            "this plan cuts traffic to {datacenter} outside of the lab, and there is no terminal to \
             ask at; give --yes"
        ));
    }
    let names: Vec<&str> = through().map(|control| control.name.as_str()).collect();
    let _ = write!(
        stderr,
        "This cuts {datacenter} ({}) through {}, for at most {}.\nType {datacenter} to go on: ",
        plan.cut.mode.kind(),
        names.join(", "),
        crate::model::Shown(plan.timing.at_most),
    );
    let _ = stderr.flush();
    let mut answer = String::new();
    match stdin.lock().read_line(&mut answer) {
        Ok(_) if answer.trim() == datacenter => Ok(()),
        _ => Err("not confirmed; nothing was touched".to_owned()),
    }
}

fn drill(args: &RunArgs, plan: Plan, file: String) -> Result<RunRecord, String> {
    raise_file_limit();
    let run = state::run_id();
    let directory = state::runs(&args.state)?.join(&run);
    let journal = Journal::create(&directory).map_err(|error| {
        format!(
            "the journal could not be created in {}: {error}; without it a crash could leave \
             traffic cut; give a writable directory with --state-dir",
            directory.display()
        )
    })?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| format!("the runtime could not be started: {error}"))?;
    let record = runtime.block_on(async {
        let stop = signals::stop_on_signals()
            .map_err(|error| format!("signals could not be caught: {error}"))?;
        let mut screen = screen(args.quiet);
        let listener = Box::new(move |event: &DrillEvent| {
            screen.show(event);
            if matches!(event, DrillEvent::Ended { .. }) {
                screen.finish();
            }
        });
        let plan = Arc::new(plan);
        let journal = Box::new(journal);
        Ok::<_, String>(conduct(Charge { plan, file, run, journal, stop, listener }).await)
    })?;
    keep(&directory, &record);
    Ok(record)
}

fn screen(quiet: bool) -> Screen {
    let stderr = io::stderr();
    let kind = match (quiet, stderr.is_terminal()) {
        (true, _) => ScreenKind::Quiet,
        (false, true) => ScreenKind::Live,
        (false, false) => ScreenKind::Plain,
    };
    Screen::new(kind, output::color(&stderr))
}

/// Keeps the run record beside the journal, for later reports.
fn keep(directory: &Path, record: &RunRecord) {
    let kept = report::json(record)
        .map_err(io::Error::from)
        .and_then(|bytes| output::write_whole(&directory.join("record.json"), &bytes));
    if let Err(error) = kept {
        let place = directory.display();
        output::say(format_args!("warning: the run record could not be kept in {place}: {error}"));
    }
}

/// Every sample in flight needs a file descriptor, and the default soft limit is often 1024.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If it is refused, samples that find no descriptor say so: they end as unknown.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
