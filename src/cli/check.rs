//! `firedrill check`: every finding of every plan and the placement check, nothing touched.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::form::Form;
use super::input::Parsed;
use super::{Exit, VarArgs, form, input, output};
use crate::drill::{Addresses, locate};
use crate::model::{Against, Checked, FindingRecord, Forecast, Loss, Name, Outlook, Plan, Subject};
use crate::placement::Placement;
use crate::plan::{Objection, Severity};
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
    format: Form,
    #[command(flatten)]
    vars: VarArgs,
}

/// What to make of a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Deal {
    /// Print it
    #[default]
    Warn,
    /// Print it, and what the plan's own cut loses is an error
    Deny,
    /// Do not look for it
    Off,
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
        match args.format {
            Form::Table => {
                let text = report::placement(&checked, output::style());
                exit = exit.if_printed(output::data(text.as_bytes()));
            }
            Form::Json => all.push(checked),
        }
    }
    if args.format == Form::Json {
        exit = exit.if_printed(form::json(report::checks(&all)));
    }
    exit
}

/// Checks one plan; an error if there is no plan in it, or what it loses is denied.
fn check_one(path: &Path, args: &CheckArgs) -> Result<Checked, Checked> {
    let mut parsed = input::read(path, &args.vars).map_err(|error| {
        output::say(format_args!("error: {error}"));
        unread(path, error)
    })?;
    let plan = parsed.outcome.plan.as_ref().filter(|_| args.placement != Deal::Off);
    let (losses, against) = plan.map(place).unwrap_or_default();
    if args.placement == Deal::Deny {
        let objections = objections(&losses, &against);
        parsed.outcome.object(&parsed.text, objections);
    }
    input::show_findings(&parsed);
    let mut checked = found(&parsed);
    checked.placement = losses.into_iter().map(Loss::news).collect();
    checked.addresses = against.into_iter().map(|it| it.what).collect();
    let is_error = |finding: &FindingRecord| finding.severity == "error";
    match checked.findings.iter().any(is_error) {
        true => Err(checked),
        false => Ok(checked),
    }
}

/// What the placement check has against the plan's own cut; what goes with its other datacenters is only told.
fn objections(losses: &[Loss], against: &[Against]) -> Vec<Objection> {
    let code = "placement";
    let cut = losses.iter().filter(|loss| loss.is_cut);
    let lost = cut.flat_map(|loss| {
        let one = |about: fn(Name) -> Subject| {
            move |it: &Forecast| {
                let (name, outlook) = (&it.name, it.predicted);
                let why = if it.chain.len() > 1 { it.why() } else { it.reason() };
                let what = format!("`{name}` is {outlook} without {}: {why}", loss.place());
                let root = it.chain.last().unwrap_or(name);
                let hint = match outlook {
                    Outlook::Down => format!("let `{root}` stand in another datacenter too"),
                    _ => format!("see to `{root}`: what is left must carry an ordinary peak"),
                };
                Objection { about: about(name.clone()), code, what, hint }
            }
        };
        let is_lost = |it: &&Forecast| it.predicted.is_loss();
        let parts = loss.control_plane.iter().filter(is_lost).map(one(Subject::ControlPlane));
        parts.chain(loss.services.iter().filter(is_lost).map(one(Subject::Service)))
    });
    let against = against.iter().filter(|it| it.is_sure).map(|it| Objection {
        about: it.about.clone(),
        code,
        what: it.what.clone(),
        hint: "let it lie elsewhere, or mend `networks`".to_owned(),
    });
    lost.chain(against).collect()
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

/// The placement check, for what the plan cuts and for each of its datacenters, and what its addresses say.
fn place(plan: &Plan) -> (Vec<Loss>, Vec<Against>) {
    let Addresses { located, against } = located(plan);
    let placement = Placement::of(plan, &located);
    let losses = if placement.is_told() { placement.losses() } else { Vec::new() };
    (losses, against)
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
