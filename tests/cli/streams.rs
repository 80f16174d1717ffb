//! Streams that are closed, full or terminals.

use std::process::{Command, Stdio};

use crate::home::{Home, binary, code, end};
use crate::plans::lab;

/// The command within a terminal of its own, which `script` makes.
pub fn in_terminal(home: &Home, args: &[&str]) -> Command {
    let words: Vec<String> = std::iter::once(binary().display().to_string())
        .chain(args.iter().map(|arg| (*arg).to_owned()))
        .map(|word| format!("'{word}'"))
        .collect();
    let mut command = Command::new("script");
    home.prepare(command.args(["-qec", &words.join(" "), "/dev/null"]));
    command.env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env("SHELL", "/bin/sh");
    command
}

#[test]
fn a_report_in_a_terminal_is_coloured_unless_that_is_refused() {
    let plan = |home: &Home| home.file("plan.yaml", lab(&[])).to_owned();
    let home = Home::new();
    let ended = end(in_terminal(&home, &["run", &plan(&home), "-q"]).spawn().unwrap());
    ended.has(0, &["PASS", "\u{1b}["]);
    let home = Home::new().with_env("NO_COLOR", "1");
    let ended = end(in_terminal(&home, &["run", &plan(&home), "-q"]).spawn().unwrap());
    ended.has(0, &["PASS"]);
    assert!(!ended.stdout.contains('\u{1b}'), "{ended}");
}

#[test]
fn nothing_is_coloured_outside_of_a_terminal() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[("every: 20ms", "every: 20")]));
    let ended = home.run(&["check", plan]);
    ended.has(2, &["plan.yaml:15:16"]);
    assert!(!ended.stderr.contains('\u{1b}'), "{ended}");
}

#[test]
fn a_reader_who_has_seen_enough_changes_no_exit_code() {
    for args in [&["--help"][..], &["--version"], &["help", "run"]] {
        let mut child = Home::new().command(args).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(code(&mut child), 0, "{args:?}");
    }
}

#[test]
fn a_drill_whose_progress_nobody_reads_ends_with_its_verdict() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let mut child = home.command(&["run", plan, "--report", "json=drill.json"]).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(code(&mut child), 0);
    assert!(home.journal().contains("restore-confirmed"));
    assert!(home.path("drill.json").exists());
}

#[test]
fn a_refusal_that_nobody_hears_is_still_a_refusal() {
    let home = Home::new();
    let mut child = home.command(&["run", "missing.yaml"]).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(code(&mut child), 2);
}

#[test]
fn a_full_disk_under_stdout_is_said_and_changes_no_verdict() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = end(home.command(&["run", plan]).stdout(Stdio::from(full)).spawn().unwrap());
    ended.has(0, &["error: a report could not be written: No space left on device"]);
}

#[test]
fn a_report_to_a_device_writes_to_it_and_never_replaces_it() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let ended = home.run(&["run", plan, "-q", "--report", "json=/dev/stderr"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(serde_json::from_str::<serde_json::Value>(&ended.stderr).is_ok(), "{ended}");
}

#[test]
fn a_report_goes_through_a_link_to_the_file_that_it_leads_to() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[("recover_within: 5s", "recover_within: 4s")]));
    home.file("real.json", "old");
    std::os::unix::fs::symlink("real.json", home.path("link.json")).unwrap();
    home.run(&["run", plan, "--report", "json=link.json"]).has(0, &[]);
    assert!(home.path("link.json").is_symlink());
    assert!(std::fs::read_to_string(home.path("real.json")).unwrap().starts_with('{'));
}

/// A limit on the size of files stands in for a disk that fills up in the middle of a record.
#[test]
fn a_journal_that_is_full_stops_the_drill_and_stays_readable() {
    let text = lab(&[]);
    let whole = Home::new();
    whole.run(&["run", whole.file("plan.yaml", &text)]).has(0, &[]);
    let whole = whole.journal();
    for (record, code) in
        [("snapshot", 3), ("cut-intended", 3), ("cut-confirmed", 4), ("restore-intended", 4)]
    {
        let home = Home::new();
        let plan = home.file("plan.yaml", &text);
        let bytes = whole.find(record).unwrap();
        let drill = binary().display();
        let run = format!("trap '' XFSZ; exec prlimit --fsize={bytes} '{drill}' run {plan}");
        let mut command = Command::new("sh");
        home.prepare(command.args(["-c", &run]));
        let ended = end(command.spawn().unwrap());
        ended.has(code, &["the journal could not be written"]);
        assert_eq!(code == 4, ended.stdout.contains("wan (lab)  restored"), "{ended}");
        // What did not fit was taken back, and shorter records that came later are whole.
        let journal = home.journal();
        let read = firedrill::journal::Run::read(journal.as_bytes()).unwrap();
        assert_eq!((read.whole, read.damaged), (journal.len() as u64, vec![]), "{journal}");
    }
}
