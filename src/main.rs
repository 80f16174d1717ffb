//! The `firedrill` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(firedrill::cli::main(std::env::args_os()) as u8)
}
