//! How commands that tell of more than one run write stdout, and end.

use clap::ValueEnum;

use super::{Exit, output};

/// How stdout is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Form {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Prints what was made as JSON. As [`output::data`].
#[must_use]
pub(super) fn json(made: Result<Vec<u8>, impl std::fmt::Display>) -> Exit {
    match made {
        Ok(bytes) => output::data(&bytes),
        Err(error) => {
            output::say(format_args!("error: the JSON could not be made: {error}"));
            Exit::Usage
        }
    }
}

/// How a command ends that has an answer, or a sentence that says why there is none.
pub(super) fn end(answer: Result<Exit, String>) -> Exit {
    answer.unwrap_or_else(|error| {
        output::say(format_args!("error: {error}"));
        Exit::Usage
    })
}
