//! Help, version and command lines that make no sense.

use crate::home::Home;

const HELP: &str = "\
Disaster-recovery drills: cut traffic to a datacenter, watch the failover as users see it, put the
traffic back, and say PASS or FAIL with the evidence

Usage: firedrill [OPTIONS] <COMMAND>

Commands:
  run            Run the drill: the report on stdout, progress on stderr
  check          Print every finding of every plan, and what is lost with each datacenter; touches
                 nothing
  preview        What the drill would call, in order, and how each call is undone; only reads
  provider-test  Put the plan's controls to the test: cuts real traffic through one after another,
                 and puts it back
  restore        Put traffic back from the journal
  status         What is cut right now, and by which run
  report         Draw a past run again, in any format
  history        Past runs, the latest first, and how their recovery times went
  compare        What got slower or faster from one run to another, and what was not measured
  gate           Whether the last drill of each plan lets a release go out
  proxy          The proxy on its own, with Toxiproxy's HTTP API: its cuts outlive a drill
  init           Write a commented plan to begin with; asks a few things on a terminal
  notify         Send those whom the plan's `notify` names a message that is marked as a test
  schema         Print the JSON Schema of a plan or a run record
  completions    Print the script that completes commands in a shell
  man            Print the man page, or write one for each command
  help           Print this message or the help of the given subcommand(s)

Options:
      --ascii    Draw tables in ASCII, as on a terminal whose locale is not UTF-8
  -h, --help     Print help
  -V, --version  Print version

Exit codes:
  0  PASS
  1  FAIL: a promise was broken
  2  usage or plan invalid: nothing was touched
  3  NOT STARTED: preflight or steady state refused; nothing was cut
  4  INCONCLUSIVE: not proven either way; traffic is restored
  5  STOPPED by a guardrail, the deadline or a person; traffic is restored
  6  NOT RESTORED: traffic may still be cut; outranks all others
";

const RUN_HELP: &str = "\
Run the drill: the report on stdout, progress on stderr

Usage: firedrill run [OPTIONS] <PLAN>

Arguments:
  <PLAN>  The plan

Options:
      --report <FORMAT[=PATH]>  A report, to stdout or to a file: table, json, html, junit, markdown
                                or openmetrics; repeatable
      --events[=<PATH>]         Each event of the drill as a line of JSON, as it happens: to stdout,
                                in place of the table, or to PATH
      --yes                     Cut without asking; needed without a terminal for anything but the
                                lab
  -q, --quiet                   Show no progress
      --var <NAME=VALUE>        Fill in ${var:NAME}; repeatable
      --state-dir <DIR>         Where journals and run records are kept [default: firedrill in the
                                XDG state directory] [env: FIREDRILL_STATE_DIR=]
      --ascii                   Draw tables in ASCII, as on a terminal whose locale is not UTF-8
  -h, --help                    Print help
";

#[test]
fn the_help_lists_every_command_and_every_exit_code() {
    Home::new().run(&["--help"]).is(0, HELP, "");
    Home::new().run(&["help"]).is(0, HELP, "");
}

#[test]
fn the_help_of_run_lists_every_option() {
    Home::new().run(&["run", "--help"]).is(0, RUN_HELP, "");
}

const TEST_HELP: &str = "\
Put the plan's controls to the test: cuts real traffic through one after another, and puts it back

Usage: firedrill provider-test [OPTIONS] <PLAN>

Arguments:
  <PLAN>  The plan

Options:
      --control <NAME>    Only this one of the controls that the plan cuts through; repeatable
      --format <FORMAT>   How stdout is written [default: table] [possible values: table, json]
      --yes               Cut without asking; needed without a terminal
  -q, --quiet             Show no progress
      --var <NAME=VALUE>  Fill in ${var:NAME}; repeatable
      --state-dir <DIR>   Where journals and run records are kept [default: firedrill in the XDG
                          state directory] [env: FIREDRILL_STATE_DIR=]
      --ascii             Draw tables in ASCII, as on a terminal whose locale is not UTF-8
  -h, --help              Print help (see more with '--help')
";

#[test]
fn the_help_of_provider_test_lists_every_option() {
    Home::new().run(&["provider-test", "-h"]).is(0, TEST_HELP, "");
}

#[test]
fn whatever_stands_on_the_command_line_steers_neither_terminal_nor_ci_runner() {
    let home = Home::new();
    for hostile in ["--\n::error::x", "--a\u{1b}[31mb", "--##[error]x", "--a\rb"] {
        let ended = home.run(&["run", hostile]);
        ended.has(2, &["error: ", "Usage: firedrill run"]);
        assert!(!ended.stderr.contains(['\u{1b}', '\r']), "{ended}");
        assert!(!ended.stderr.contains("::error") && !ended.stderr.contains("##["), "{ended}");
    }
    home.run(&["run", "--nonsense"]).has(2, &["error: unexpected argument '--nonsense' found\n"]);
}

#[test]
fn the_version_is_one_line() {
    let line = format!("firedrill {}\n", env!("CARGO_PKG_VERSION"));
    Home::new().run(&["--version"]).is(0, &line, "");
}

#[test]
fn without_a_command_the_help_is_an_error() {
    Home::new().run(&[]).is(2, "", HELP);
}

#[test]
fn a_command_line_that_makes_no_sense_says_what_would() {
    let home = Home::new();
    for (args, wanted) in [
        (
            &["ruin"][..],
            "error: unrecognized subcommand 'ruin'\n\n  tip: a similar subcommand exists: 'run'\n\n\
             Usage: firedrill [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.\n",
        ),
        (
            &["run"],
            "error: the following required arguments were not provided:\n  <PLAN>\n\n\
             Usage: firedrill run <PLAN>\n\nFor more information, try '--help'.\n",
        ),
        (
            &["run", "a.yaml", "--report", "xml"],
            "error: invalid value 'xml' for '--report <FORMAT[=PATH]>': write table, json, html, junit, \
             markdown, openmetrics, or FORMAT=PATH for a file\n\nFor more information, try '--help'.\n",
        ),
        (
            &["run", "a.yaml", "--report", "json="],
            "error: invalid value 'json=' for '--report <FORMAT[=PATH]>': a path is missing after the \
             `=`\n\nFor more information, try '--help'.\n",
        ),
        (
            &["run", "a.yaml", "--var", "region"],
            "error: invalid value 'region' for '--var <NAME=VALUE>': write it as NAME=VALUE\n\n\
             For more information, try '--help'.\n",
        ),
    ] {
        home.run(args).is(2, "", wanted);
    }
    home.untouched();
}
