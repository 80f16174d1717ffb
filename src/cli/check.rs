//! `firedrill check`: every finding of every plan, nothing touched.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, VarArgs, input, output};

/// Options of `firedrill check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The plans to check
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    #[command(flatten)]
    vars: VarArgs,
}

/// Checks all plans, whatever is wrong with the first of them.
pub(super) fn check(args: &CheckArgs) -> Exit {
    let mut exit = Exit::Pass;
    for path in &args.plans {
        match input::read(path, &args.vars) {
            Err(error) => {
                output::say(format_args!("error: {error}"));
                exit = Exit::Usage;
            }
            Ok(parsed) => {
                input::show_findings(&parsed);
                if parsed.outcome.plan.is_none() {
                    exit = Exit::Usage;
                }
            }
        }
    }
    exit
}
