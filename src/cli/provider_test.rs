//! `firedrill provider-test`: the contract of traffic controls, put to the test at those of a plan. It cuts real traffic, under all that
//! keeps a drill from leaving it cut.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use super::ground::{Ground, confirm};
use super::leash::Leash;
use super::signals::Stop;
use super::state::{self, State};
use super::whole::{self, Kind};
use super::{Exit, StateArgs, VarArgs, form, input, output};
use crate::drill::{Charge, closed_now, keep_contract, not_tested};
use crate::model::{ContractRecord, Plan, PlanFile, Provider, Why};
use crate::report;

/// The record's name in the directory of its run: it is no drill's, so that neither `history` nor `gate` takes it for one.
const RECORD: &str = "provider-test.json";

/// Options of `firedrill provider-test`.
#[derive(Debug, Args)]
pub(super) struct ProviderTestArgs {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Only this one of the controls that the plan cuts through; repeatable
    #[arg(long = "control", value_name = "NAME")]
    controls: Vec<String>,
    /// How stdout is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: form::Form,
    /// Cut without asking; needed without a terminal
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

/// Puts the controls of a plan to the test.
pub(super) fn provider_test(args: &ProviderTestArgs) -> Exit {
    let Some(parsed) = input::read_aloud(&args.plan, &args.vars) else { return Exit::Usage };
    let file = parsed.outcome.source;
    let Some(mut plan) = parsed.outcome.plan else { return Exit::Usage };
    let closed = closed_now(&plan);
    let chosen = choose(&mut plan, &args.controls).and_then(|()| match &closed {
        None => confirm(&plan, args.yes),
        // Nobody is asked to confirm what the calendar forbids.
        Some(_) => Ok(()),
    });
    if let Err(error) = chosen {
        output::say(format_args!("error: {error}"));
        return Exit::Usage;
    }
    let run = state::test_id();
    let record = match closed {
        Some(why) => not_tested(&plan, file.path, run, why),
        None => test(args, &plan, &file, &run).unwrap_or_else(|error| {
            output::say(format_args!("error: {error}"));
            not_tested(&plan, file.path, run, Why::new("not-ready", error))
        }),
    };
    let printed = match args.format {
        form::Form::Table => output::data(report::contract(&record, output::style()).as_bytes()),
        form::Form::Json => form::json(report::pretty(&record)),
    };
    if record.can_be_restored() {
        let state = State::of(&args.state);
        let restore = format!("restore {}", record.run);
        let command = state.map_or(format!("firedrill {restore}"), |it| it.command(&restore));
        output::say(command);
    }
    // Last: its disk may hang.
    keep(&args.state, &record);
    Exit::from(record.verdict).if_printed(printed)
}

/// Leaves only the controls that are to be put to the test in `plan`, one after another.
///
/// # Errors
/// A sentence for people, where there is none.
fn choose(plan: &mut Plan, names: &[String]) -> Result<(), String> {
    let through: BTreeSet<usize> = plan.steps.concat().into_iter().collect();
    let name = |place: &usize| plan.traffic.get(*place).map(|spec| spec.name.as_str());
    let known: Vec<&str> = through.iter().filter_map(name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let known = known.join(", ");
        return Err(format!("the plan does not cut through {unknown}; it does through {known}"));
    }
    let is_meant = |place: &usize| {
        name(place).is_some_and(|name| names.is_empty() || names.iter().any(|it| it == name))
    };
    let lives_here = |place: &usize| {
        let provider = plan.traffic.get(*place).map(|spec| &spec.provider);
        matches!(provider, Some(Provider::Lab | Provider::Proxy(_)))
    };
    let (own, tested): (Vec<usize>, Vec<usize>) =
        plan.steps.concat().into_iter().filter(is_meant).partition(lives_here);
    if !own.is_empty() {
        let own: Vec<&str> = own.iter().filter_map(name).collect();
        let own = own.join(", ");
        output::say(format_args!(
            "left out: {own}; what lives in the drill's own process is tested with firedrill"
        ));
    }
    if tested.is_empty() {
        return Err("there is no provider to test; nothing was touched".to_owned());
    }
    plan.steps = tested.into_iter().map(|place| vec![place]).collect();
    Ok(())
}

fn test(
    args: &ProviderTestArgs,
    plan: &Plan,
    file: &PlanFile,
    run: &str,
) -> Result<ContractRecord, String> {
    let mut plan = plan.clone();
    let Ground { runtime, leases, unsure, journal, path } =
        Ground::take(&args.state, &mut plan, run)?;
    let stop = Stop::new(path.clone());
    let (record, leash) = runtime.block_on(async {
        stop.on_signals().map_err(|error| format!("signals could not be caught: {error}"))?;
        stop.on_closed_stdout().map_err(|error| format!("stdout cannot be watched: {error}"))?;
        let (leash, guardian) = Leash::start(&path, &plan, &leases, stop.clone())?;
        let charge = Charge {
            plan: Arc::new(plan),
            file: file.clone(),
            run: run.to_owned(),
            host: state::host(),
            journal: Box::new(journal),
            stop: stop.why(),
            hurry: stop.hurry(),
            unsure,
            guardian,
            listener: Box::new(|_| {}),
            sampled: Box::new(|_| {}),
        };
        let quiet = args.quiet;
        if !quiet {
            tokio::spawn(say_that_it_stops(stop.why()));
        }
        let tell = move |event: &_| {
            if !quiet {
                output::say_lines(report::contract_event(event).trim_end());
            }
        };
        Ok::<_, String>((keep_contract(charge, Box::new(tell)).await, leash))
    })?;
    // A look at a kill switch on a dead network disk may hang for ever: nobody waits for it.
    runtime.shutdown_background();
    leash.wait();
    drop(leases);
    Ok(record)
}

/// Says so at once: the call that is under way may take its time.
async fn say_that_it_stops(mut why: watch::Receiver<Option<Why>>) {
    let why = why.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
    if let Some(why) = why {
        output::say(format_args!("STOPPING: {}; traffic is being restored", why.text));
    }
}

/// Keeps the record beside the journal, where there is one.
fn keep(args: &StateArgs, record: &ContractRecord) {
    let kept = State::of(args).and_then(|state| {
        let directory = state.run(&record.run);
        if !directory.is_dir() {
            return Ok(());
        }
        let bytes = report::pretty(record).map_err(|error| error.to_string())?;
        let write = whole::write(&directory.join(RECORD), Kind::Private, &bytes);
        write.map_err(|error| format!("{}: {error}", directory.display()))
    });
    if let Err(error) = kept {
        output::say(format_args!("warning: the record of the test could not be kept: {error}"));
    }
}
