//! Reports for machines and pull requests, and events, as the command writes them.

use std::io::{BufRead, BufReader};
use std::process::Command;

use serde_json::Value;

use crate::home::{Home, code, end};
use crate::plans::lab;

fn text(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path(name)).unwrap()
}

fn events(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The kinds of events, in order, without the looks at the services.
fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["event"].as_str().unwrap());
    kinds.filter(|kind| *kind != "watched").collect()
}

#[test]
fn one_drill_gives_every_report_that_is_asked_for() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let mut args = vec!["run", plan, "--quiet", "--report", "table"];
    for report in
        ["junit=drill.xml", "markdown=drill.md", "openmetrics=drill.prom", "table=drill.txt"]
    {
        args.extend(["--report", report]);
    }
    let ended = home.run(&args);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended}");
    let junit = quick_junit::Report::deserialize_from_str(&text(&home, "drill.xml")).unwrap();
    assert_eq!((junit.tests, junit.failures, junit.errors), (3, 0, 0));
    assert!(text(&home, "drill.md").starts_with("## ✅ PASS: short\n"));
    assert!(text(&home, "drill.prom").ends_with("\n# EOF\n"));
    assert_eq!(text(&home, "drill.txt"), ended.stdout);
}

#[test]
fn a_drill_that_does_not_start_is_not_green() {
    let home = Home::new();
    // Nobody serves there.
    let plan = home.file("plan.yaml", lab(&[("${lab:talk}", "http://127.0.0.1:1")]));
    let ended = home.run(&["run", plan, "--report", "junit", "--report", "markdown=drill.md"]);
    let junit = quick_junit::Report::deserialize_from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, junit.errors), (3, 3), "{ended}");
    assert!(text(&home, "drill.md").starts_with("## 🚫 NOT STARTED: short\n"));
}

#[test]
fn events_come_in_lines_while_the_drill_runs() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let args = ["run", plan, "--events", "--report", "json=drill.json"];
    let mut child = home.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["number"]), (&"started".into(), &1.into()));
    // It has not ended: nothing is kept before the end.
    assert!(!home.path("drill.json").exists());
    let rest: Vec<String> = lines.collect();
    assert_eq!(code(&mut child), 0);
    let rest = events(&rest.join("\n"));
    let stages: Vec<&str> = rest.iter().filter_map(|event| event["stage"].as_str()).collect();
    let wanted = ["preflight", "baseline", "cut", "observe", "hold", "restore", "failback"];
    assert_eq!(stages, wanted);
    assert_eq!(kinds(&rest).last(), Some(&"ended"));
    assert_eq!(rest.last().unwrap()["verdict"], "PASS");
    assert!(rest.iter().zip(2..).all(|(event, number)| event["number"] == number));
    assert!(rest.iter().any(|event| event["services"][0]["good"]["whole"].as_u64() > Some(0)));
}

#[test]
fn events_to_a_file_leave_stdout_to_the_table() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let ended = home.run(&["run", plan, "--events=drill.jsonl"]);
    assert!(ended.code == 0 && ended.stdout.starts_with("PASS  short: "), "{ended}");
    let events = events(&text(&home, "drill.jsonl"));
    assert_eq!(
        (kinds(&events)[0], events.last().unwrap()["event"].as_str()),
        ("started", Some("ended"))
    );
}

#[test]
fn events_and_a_report_do_not_share_stdout_and_both_paths_must_be_writable() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let said = "both the events and a report would go to stdout";
    home.run(&["run", plan, "--events", "--report", "json"]).has(2, &[said]);
    home.run(&["run", plan, "--events=no/such"])
        .has(2, &["no/such could not be opened: ", "nothing was touched"]);
    home.run(&["run", plan, "--report", "junit=no/such"])
        .has(2, &["no/such could not be opened: "]);
    home.untouched();
}

#[test]
fn a_run_that_is_refused_before_its_drill_begins_ends_its_events_too() {
    let home = Home::new();
    let never = "blocked: { zone: UTC, dates: [\"2000-01-01..2999-12-31\"] }\nlab:";
    let plan = home.file("plan.yaml", lab(&[("lab:\n", &format!("{never}\n"))]));
    let ended = home.run(&["run", plan, "--events"]);
    let events = events(&ended.stdout);
    assert_eq!((ended.code, kinds(&events)), (3, vec!["ended"]), "{ended}");
    assert_eq!(events[0]["verdict"], "NOT STARTED");
}

/// A reader that never reads a pipe must not keep a drill from its restore, nor from its end.
#[test]
fn a_pipe_that_nobody_reads_holds_no_drill_up() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let fifo = home.path("events");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Opened for both, so that the drill does not wait for a reader; a pipe of one page is full at once.
    let pipe = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    rustix::pipe::fcntl_setpipe_size(&pipe, 4096).unwrap();
    let ended = home.run(&["run", plan, "--events=events"]);
    assert!(ended.code == 0 && ended.stdout.starts_with("PASS  short: "), "{ended}");
    assert!(home.journal().contains("restore-confirmed"));
}

fn under_github() -> Home {
    let home = Home::new();
    let summary = home.path("summary.md").display().to_string();
    home.with_env("GITHUB_ACTIONS", "true").with_env("GITHUB_STEP_SUMMARY", &summary)
}

#[test]
fn under_github_actions_the_summary_and_the_annotations_come_by_themselves() {
    let home = under_github();
    home.file("summary.md", "before");
    let slow = ("check_every: 100ms, check_timeout: 1s, fall: 2", "check_every: 400ms, fall: 3");
    let plan = lab(&[slow, ("recover_within: 5s", "recover_within: 100ms")]);
    let plan = home.file("plan.yaml", plan);
    let ended = home.run(&["run", plan, "--report", "json"]);
    assert_eq!(ended.code, 1, "{ended}");
    assert!(text(&home, "summary.md").starts_with("before\n## ❌ FAIL: short\n"), "{ended}");
    let annotations: Vec<&str> =
        ended.stderr.lines().filter(|line| line.starts_with("::error ")).collect();
    assert_eq!(annotations.len(), 2, "{ended}");
    assert!(annotations[0].starts_with("::error file=plan.yaml,title=FAIL%3A short::"), "{ended}");
    assert!(annotations[1].contains("title=talk recover_within is broken::"), "{ended}");
    assert!(serde_json::from_str::<Value>(&ended.stdout).is_ok(), "stdout is the report: {ended}");
}

#[test]
fn a_summary_that_cannot_be_written_changes_no_verdict() {
    let home =
        Home::new().with_env("GITHUB_ACTIONS", "true").with_env("GITHUB_STEP_SUMMARY", "/dev/full");
    let ended = home.run(&["run", home.file("plan.yaml", lab(&[])), "-q"]);
    ended.has(0, &["PASS", "warning: the job summary /dev/full could not be written"]);
}

/// A terminal of so many columns, with a locale.
fn table(columns: u16, locale: &str, more: &[&str]) -> String {
    let home = Home::new().with_env("LANG", locale).with_env("NO_COLOR", "1");
    let plan = home.file("plan.yaml", lab(&[]));
    let binary = crate::home::binary().display();
    let run = format!("stty cols {columns}; '{binary}' run {plan} --quiet {}", more.join(" "));
    let mut command = Command::new("script");
    home.prepare(command.args(["-qec", &run, "/dev/null"]));
    command.env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env("SHELL", "/bin/sh");
    let ended = end(command.spawn().unwrap());
    assert_eq!(ended.code, 0, "{ended}");
    ended.stdout.replace('\r', "")
}

#[test]
fn a_terminal_without_utf8_gets_ascii_and_no_line_is_too_wide() {
    for (locale, more, is_ascii) in
        [("C.UTF-8", &[][..], false), ("C.UTF-8", &["--ascii"], true), ("C", &[], true)]
    {
        for columns in [60, 120] {
            let text = table(columns, locale, more);
            assert_eq!(text.is_ascii(), is_ascii, "{locale} {more:?}\n{text}");
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(columns.into()), "{text}");
        }
    }
}

#[test]
fn a_pipe_gets_utf8_whatever_the_locale_unless_ascii_is_asked_for() {
    let home = Home::new().with_env("LC_ALL", "C");
    let plan = home.file("plan.yaml", lab(&[]));
    assert!(home.run(&["run", plan, "-q"]).stdout.contains('─'));
    assert!(home.run(&["--ascii", "run", plan, "-q"]).stdout.is_ascii());
}
