//! `firedrill completions` and `firedrill man`: what shells and readers are told of the command line itself.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::whole::Kind;
use super::{Cli, Exit, exit, output, whole};

/// Options of `firedrill completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Options of `firedrill man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Where to write a page for each command; without it, the first page goes to stdout
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// The command line's description of itself, without what people do not call.
fn described() -> Command {
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|part| !part.is_hide_set()).cloned();
    let about = all.get_about().map(ToString::to_string).unwrap_or_default();
    let mut command = Command::new("firedrill")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(exit::HELP)
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands(shown);
    command.build();
    command
}

/// Prints the script that completes commands in a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut described(), "firedrill", &mut script);
    output::data(&script)
}

/// Prints or writes the man pages.
pub(super) fn man(args: &ManArgs) -> Exit {
    let written = match &args.directory {
        None => page(described()).map(|page| output::data(&page)),
        Some(directory) => pages(directory).map(|()| Exit::Pass),
    };
    match written {
        Ok(exit) => exit,
        Err(error) => {
            output::say(format_args!("error: the man pages could not be written: {error}"));
            Exit::Usage
        }
    }
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}

fn pages(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let all = described();
    for command in all.get_subcommands().cloned().chain([all.clone()]) {
        // As built: `firedrill-run` for a page of its own, which the first page names.
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        whole::write(&directory.join(format!("{name}.1")), Kind::Report, &page(command)?)?;
    }
    Ok(())
}
