//! `firedrill schema`: the JSON Schemas of what firedrill reads and writes.

use clap::{Args, ValueEnum};

use super::{Exit, output};
use crate::report;

/// Options of `firedrill schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Of what
    #[arg(value_enum, default_value_t, value_name = "WHAT")]
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Of {
    /// What a plan may hold, for editors
    #[default]
    Plan,
    /// What a run record holds, for programs
    Record,
}

/// Prints a schema.
pub(super) fn schema(args: &SchemaArgs) -> Exit {
    match args.of {
        Of::Plan => output::data(include_str!("../../docs/plan.schema.json").as_bytes()),
        Of::Record => output::data(report::record_schema().as_bytes()),
    }
}
