//! `firedrill schema`: the forms of firedrill's files, for editors and programs.

use clap::{Args, ValueEnum};

use super::{Exit, output};
use crate::report;

/// Options of `firedrill schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Of what
    #[arg(value_name = "FORM")]
    of: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The run record
    Record,
}

/// Prints a JSON Schema.
pub(super) fn schema(args: &SchemaArgs) -> Exit {
    match args.of {
        Form::Record => output::data(report::record_schema().as_bytes()),
    }
    Exit::Pass
}
