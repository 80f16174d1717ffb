//! The command line: one file a subcommand.

mod alarm;
mod by_hand;
mod check;
mod compare;
mod environment;
mod events;
mod exit;
mod form;
mod gate;
mod github;
mod ground;
mod history;
mod init;
mod input;
mod leash;
mod manual;
mod notify;
mod output;
mod preview;
mod provider_test;
mod proxy;
mod reach;
mod report;
mod restore;
mod run;
mod runs;
mod schema;
mod seal;
mod settle;
mod signals;
mod source;
mod state;
mod status;
mod telling;
mod watchdog;
mod whole;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use exit::Exit;

/// Disaster-recovery drills: cut traffic to a datacenter, watch the failover as users see it, put
/// the traffic back, and say PASS or FAIL with the evidence.
#[derive(Debug, Parser)]
#[command(version, after_help = exit::HELP, max_term_width = 100)]
struct Cli {
    /// Draw tables in ASCII, as on a terminal whose locale is not UTF-8
    #[arg(long, global = true, display_order = 100)]
    ascii: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the drill: the report on stdout, progress on stderr
    Run(run::RunArgs),
    /// Print every finding of every plan, and what is lost with each datacenter; touches nothing
    Check(check::CheckArgs),
    /// What the drill would call, in order, and how each call is undone; only reads
    Preview(preview::PreviewArgs),
    /// Put the plan's controls to the test: cuts real traffic through one after another, and puts it back
    ProviderTest(provider_test::ProviderTestArgs),
    /// Put traffic back from the journal
    Restore(restore::RestoreArgs),
    /// What is cut right now, and by which run
    Status(status::StatusArgs),
    /// Draw a past run again, in any format
    Report(report::ReportArgs),
    /// Past runs, the latest first, and how their recovery times went
    History(history::HistoryArgs),
    /// What got slower or faster from one run to another, and what was not measured
    Compare(compare::CompareArgs),
    /// Whether the last drill of each plan lets a release go out
    Gate(gate::GateArgs),
    /// The proxy on its own, with Toxiproxy's HTTP API: its cuts outlive a drill
    Proxy(proxy::ProxyArgs),
    /// Write a commented plan to begin with; asks a few things on a terminal
    // Boxed, for it is far larger than the others.
    Init(Box<init::InitArgs>),
    /// Send those whom the plan's `notify` names a message that is marked as a test
    Notify(notify::NotifyArgs),
    /// Print the JSON Schema of a plan or a run record
    Schema(schema::SchemaArgs),
    /// Print the script that completes commands in a shell
    Completions(manual::CompletionsArgs),
    /// Print the man page, or write one for each command
    Man(manual::ManArgs),
    /// What a drill starts beside itself
    #[command(hide = true)]
    Watchdog(watchdog::WatchdogArgs),
}

/// What fills in a plan.
#[derive(Debug, Args)]
struct VarArgs {
    /// Fill in ${var:NAME}; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = input::variable)]
    vars: Vec<(String, String)>,
}

/// Where runs are kept.
#[derive(Debug, Args)]
struct StateArgs {
    /// Where journals and run records are kept [default: firedrill in the XDG state directory]
    #[arg(long, value_name = "DIR", env = "FIREDRILL_STATE_DIR")]
    state_dir: Option<PathBuf>,
}

/// Runs the command line `args`, the program's name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(refused) => {
            // Help and version go to stdout and are no errors; a closed stdout is none either.
            return if refused.use_stderr() { misused(&refused) } else { printed(&refused) };
        }
    };
    // By itself it would be written at once, and wait for a stderr that stands still.
    std::panic::set_hook(Box::new(|panic| output::say_lines(format_args!("firedrill {panic}"))));
    // A drill, a test and their watchdog have traffic to put back while they talk.
    if !matches!(cli.command, Command::Run(_) | Command::ProviderTest(_) | Command::Watchdog(_)) {
        output::be_patient();
    }
    if cli.ascii {
        output::be_ascii();
    }
    with_last_words(|| obey(cli.command), output::last_words)
}

fn printed(help: &clap::Error) -> Exit {
    let _ = help.print();
    Exit::Pass
}

/// Says what is wrong with the command line. The words in it may be anybody's, as those of a pull request: none of them
/// steers the terminal or a CI runner.
fn misused(error: &clap::Error) -> Exit {
    let text = error.render().to_string();
    if output::is_printable(&text) {
        let _ = error.print();
    } else {
        output::be_patient();
        with_last_words(|| output::say_lines(&text), output::last_words);
    }
    Exit::Usage
}

fn obey(command: Command) -> Exit {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Preview(args) => preview::preview(&args),
        Command::ProviderTest(args) => provider_test::provider_test(&args),
        Command::Restore(args) => restore::restore(&args),
        Command::Status(args) => status::status(&args),
        Command::History(args) => history::history(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Gate(args) => gate::gate(&args),
        Command::Report(args) => report::report(&args),
        Command::Notify(args) => notify::notify(&args),
        Command::Proxy(args) => proxy::proxy(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::Init(args) => init::init(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
        Command::Watchdog(args) => watchdog::watchdog(&args),
    }
}

/// What `work` gives. Even when it panics, `last_words` are said first: what the panic says is among them.
fn with_last_words<T>(work: impl FnOnce() -> T, last_words: fn()) -> T {
    struct Last(fn());
    impl Drop for Last {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let _last = Last(last_words);
    work()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn the_last_words_are_said_even_by_a_command_that_panics() {
        static SAID: AtomicUsize = AtomicUsize::new(0);
        let say = || {
            SAID.fetch_add(1, Relaxed);
        };
        assert_eq!(with_last_words(|| 7, say), 7);
        assert_eq!(SAID.load(Relaxed), 1);
        let ended = std::panic::catch_unwind(|| with_last_words(|| panic!("for a test"), say));
        assert!(ended.is_err(), "it goes on, so that the process ends with 101");
        assert_eq!(SAID.load(Relaxed), 2);
    }
}
