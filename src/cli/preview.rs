//! `firedrill preview`: what a drill would call, in order, and how each call is undone. It only reads.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Exit, VarArgs, check, form, input, output};
use crate::drill;
use crate::model::{ControlSpec, ControlState, Plan};
use crate::placement::Placement;
use crate::report::{self, Previewed};
use crate::traffic::{self, TrafficControl};

/// Options of `firedrill preview`.
#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// How stdout is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: form::Form,
    #[command(flatten)]
    vars: VarArgs,
}

/// How long reading a control may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Prints what a drill of the plan would do.
pub(super) fn preview(args: &PreviewArgs) -> Exit {
    let Some(parsed) = input::read_aloud(&args.plan, &args.vars) else { return Exit::Usage };
    let Some(plan) = &parsed.outcome.plan else { return Exit::Usage };
    let mut checked = check::found(&parsed);
    let addresses = check::located(plan);
    checked.addresses = addresses.against.into_iter().map(|it| it.what).collect();
    let placement = Placement::of(plan, &addresses.located);
    if placement.is_told() {
        checked.placement = vec![placement.of_the_cut()];
    }
    let controls = match controls(plan) {
        Ok(controls) => controls,
        Err(error) => {
            output::say(format_args!("error: {error}"));
            return Exit::Usage;
        }
    };
    let ahead = drill::ahead(plan);
    match args.format {
        form::Form::Table => {
            let text = report::preview(plan, &checked, &controls, &ahead, output::style());
            output::data(text.as_bytes())
        }
        form::Form::Json => form::json(report::preview_json(plan, &checked, &controls, &ahead)),
    }
}

/// Every control that the plan cuts through, as it is now.
fn controls(plan: &Plan) -> Result<Vec<Previewed>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not be started: {error}"))?;
    let through = plan.through.iter().filter_map(|place| plan.traffic.get(*place));
    Ok(through.map(|spec| runtime.block_on(control(plan, spec))).collect())
}

async fn control(plan: &Plan, spec: &ControlSpec) -> Previewed {
    let (calls, by_hand) = (Vec::new(), Vec::new());
    let unread =
        |error: String| Previewed { spec: spec.clone(), states: Some(Err(error)), calls, by_hand };
    let control = match traffic::reach(spec) {
        Ok(Some(control)) => control,
        Ok(None) => {
            let calls = drill::calls_of_our_own(plan, spec);
            return Previewed { spec: spec.clone(), states: None, calls, by_hand: Vec::new() };
        }
        Err(error) => return unread(error.to_string()),
    };
    match tokio::time::timeout(LIMIT, control.inspect()).await {
        Ok(Ok(state)) => read(plan, spec, &*control, &state),
        Ok(Err(error)) => unread(error.to_string()),
        Err(_) => unread(format!("no answer within {}", crate::model::Shown(LIMIT))),
    }
}

fn read(
    plan: &Plan,
    spec: &ControlSpec,
    control: &dyn TrafficControl,
    state: &ControlState,
) -> Previewed {
    let before = state.cuttable(&plan.cut);
    let after = control.cut_state(&plan.cut, &before);
    let calls = control.calls(&plan.cut, &before);
    let by_hand = control.by_hand(&before);
    Previewed { spec: spec.clone(), states: Some(Ok((before, after))), calls, by_hand }
}
