//! `firedrill check`: every finding of every plan and the placement check, nothing touched.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::input::Parsed;
use super::{Exit, VarArgs, input, output};
use crate::drill::{Addresses, locate};
use crate::model::{Checked, FindingRecord, Plan};
use crate::placement::Placement;
use crate::plan::Severity;
use crate::report;

/// Options of `firedrill check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The plans to check
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    /// What to make of services and control planes that are lost with a datacenter
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    placement: Deal,
    /// How stdout is written; with json, findings are in it too
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    vars: VarArgs,
}

/// What to make of a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Deal {
    /// Print it
    #[default]
    Warn,
    /// Print it, and end with exit code 2
    Deny,
    /// Do not look for it
    Off,
}

/// How plans that are not run are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
}

/// Checks all plans, whatever is wrong with the first of them.
pub(super) fn check(args: &CheckArgs) -> Exit {
    let mut exit = Exit::Pass;
    let mut all = Vec::new();
    for path in &args.plans {
        let checked = check_one(path, args).unwrap_or_else(|checked| {
            exit = Exit::Usage;
            checked
        });
        if args.placement == Deal::Deny && checked.has_losses() {
            exit = Exit::Usage;
        }
        match args.format {
            Format::Table => output::data(report::placement(&checked, output::style()).as_bytes()),
            Format::Json => all.push(checked),
        }
    }
    if args.format == Format::Json {
        match report::checks(&all) {
            Ok(bytes) => output::data(&bytes),
            Err(error) => output::say(format_args!("error: the JSON could not be made: {error}")),
        }
    }
    exit
}

/// Checks one plan; an error if there is no plan in it.
fn check_one(path: &Path, args: &CheckArgs) -> Result<Checked, Checked> {
    let parsed = input::read(path, &args.vars).map_err(|error| {
        output::say(format_args!("error: {error}"));
        unread(path, error)
    })?;
    input::show_findings(&parsed);
    let mut checked = found(&parsed);
    let Some(plan) = &parsed.outcome.plan else { return Err(checked) };
    if args.placement != Deal::Off {
        place(plan, &mut checked);
    }
    Ok(checked)
}

fn unread(path: &Path, error: String) -> Checked {
    let severity = "error";
    let finding =
        FindingRecord { severity, code: "file", line: 0, column: 0, what: error, hint: None };
    let file = path.display().to_string();
    Checked { file, findings: vec![finding], placement: Vec::new(), addresses: Vec::new() }
}

/// What is wrong with a plan, its placement not looked at yet.
pub(super) fn found(parsed: &Parsed) -> Checked {
    let findings = parsed.outcome.findings.iter().map(|finding| FindingRecord {
        severity: match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        code: finding.code,
        line: finding.line,
        column: finding.column,
        what: finding.what.clone(),
        hint: finding.hint.clone(),
    });
    let (file, findings) = (parsed.file.clone(), findings.collect());
    Checked { file, findings, placement: Vec::new(), addresses: Vec::new() }
}

/// Adds the placement check, for what the plan cuts and for each of its datacenters.
fn place(plan: &Plan, checked: &mut Checked) {
    let Addresses { located, against } = located(plan);
    checked.addresses = against;
    let placement = Placement::of(plan, &located);
    if placement.is_told() {
        checked.placement = placement.losses().into_iter().map(crate::model::Loss::news).collect();
    }
}

/// Resolves the plan's addresses, if it says which networks are whose.
pub(super) fn located(plan: &Plan) -> Addresses {
    if plan.networks.0.is_empty() {
        return Addresses::default();
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let found = runtime.block_on(locate(plan));
            // A name server that hangs is not waited for.
            runtime.shutdown_background();
            found
        }
        Err(error) => {
            output::say(format_args!("warning: addresses could not be looked up: {error}"));
            Addresses::default()
        }
    }
}
