//! `firedrill schema`: the JSON Schemas of what firedrill reads and writes.

use clap::{Args, ValueEnum};

use super::{Exit, output};

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
}

/// Prints a schema.
pub(super) fn schema(args: &SchemaArgs) -> Exit {
    let text = match args.of {
        Of::Plan => include_str!("../../docs/plan.schema.json"),
    };
    output::data(text.as_bytes());
    Exit::Pass
}
