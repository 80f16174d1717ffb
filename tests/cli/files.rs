//! Files and streams that are not what they should be: private ones, pipes, full disks, links, and names that steer.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::home::{Home, code, end};
use crate::past::{plant, unwell};
use crate::plans::lab;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A home with a run that was not started, and its id.
fn refused() -> (Home, String) {
    let home = Home::new();
    home.run(&["run", unwell(&home), "-q"]).has(3, &[]);
    let id = home.only_run();
    (home, id)
}

#[test]
fn what_lies_in_a_run_is_private_and_a_private_report_stays_so() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    home.file("private.html", "old");
    fs::set_permissions(home.path("private.html"), Permissions::from_mode(0o600)).unwrap();
    home.run(&["run", plan, "-q", "--report", "html=private.html"]).has(0, &["PASS"]);
    assert!(fs::read_to_string(home.path("private.html")).unwrap().starts_with("<!DOCTYPE"));
    assert_eq!(mode(&home.path("private.html")), 0o600);
    let run = home.path("firedrill/runs").join(home.only_run());
    for file in ["record.json", "samples", "summary.json", "journal"] {
        assert_eq!(mode(&run.join(file)), 0o600, "{file}");
    }
    fs::remove_file(run.join("summary.json")).unwrap();
    home.run(&["history"]).has(0, &["PASS"]);
    assert_eq!(mode(&run.join("summary.json")), 0o600);
}

#[test]
fn pipes_and_devices_where_files_of_runs_should_be_hold_nobody_up() {
    let (home, id) = refused();
    pipe(&home.path("pipe"));
    for other in ["./pipe", "/dev/zero", "/dev/stdin"] {
        home.run(&["report", other]).has(2, &["it is no file"]);
        home.run(&["compare", other, other]).has(2, &["it is no file"]);
    }
    let samples = home.path("firedrill/runs").join(&id).join("samples");
    let _ = fs::remove_file(&samples);
    pipe(&samples);
    home.run(&["report", "last", "--format", "csv"]).has(2, &["samples: it is no file"]);
    for (file, why) in [("pipe", "it is no file"), ("/dev/zero", "is no file that stays")] {
        plant(&home, &id, &id, |record| record["plan"]["file"] = file.into());
        home.run(&["gate"]).says(1, &["CLOSED", why]);
    }
    home.run(&["gate", "./pipe"]).has(2, &["it is no file"]);
    let record = home.path("firedrill/runs").join(&id).join("record.json");
    fs::remove_file(&record).unwrap();
    pipe(&record);
    for args in [&["history"][..], &["gate"]] {
        assert!(home.run(args).stderr.contains("its record cannot be read: it is no file"));
    }
}

#[test]
fn a_report_to_a_pipe_is_written_to_it() {
    let (home, _) = refused();
    pipe(&home.path("pipe"));
    let child = home.command(&["report", "last", "--format", "json=pipe"]).spawn().unwrap();
    let read: Value = serde_json::from_slice(&fs::read(home.path("pipe")).unwrap()).unwrap();
    assert_eq!(read["verdict"], "NOT STARTED");
    end(child).is(0, "", "");
}

#[test]
fn a_report_to_a_stream_that_leads_into_a_file_is_added_to_it() {
    let (home, _) = refused();
    home.file("log", "before\n");
    for stream in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/stderr"] {
        let log = || Stdio::from(OpenOptions::new().append(true).open(home.path("log")).unwrap());
        let before = fs::read_to_string(home.path("log")).unwrap();
        let args = ["report", "last", "--format", &format!("json={stream}")];
        let mut child = home.command(&args).stdout(log()).stderr(log()).spawn().unwrap();
        assert_eq!(code(&mut child), 0, "{stream}");
        let after = fs::read_to_string(home.path("log")).unwrap();
        let added = after.strip_prefix(&before).unwrap();
        assert!(serde_json::from_str::<Value>(added).is_ok(), "{stream}: {added}");
    }
}

#[test]
fn what_could_not_be_printed_is_no_success() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    home.run(&["run", plan, "-q"]).has(0, &["PASS"]);
    let lists = [
        &["history"][..],
        &["history", "--format", "json"],
        &["compare", "last", "last"],
        &["schema"],
        &["schema", "record"],
        &["man"],
        &["completions", "bash"],
        // As a table it has nothing to print.
        &["check", plan, "--format", "json"],
        &["preview", plan],
        &["init", "-", "--yes"],
        &["status"],
        &["report", "last"],
        &["gate", plan],
    ];
    let full = |args: &[&str]| {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        end(home.command(args).stdout(Stdio::from(full)).spawn().unwrap())
    };
    let unread = |args: &[&str]| {
        let mut child = home.command(args).spawn().unwrap();
        drop(child.stdout.take());
        code(&mut child)
    };
    for args in lists {
        full(args).has(2, &["error: ", "could not be written: No space left on device"]);
        assert_eq!(unread(args), 0, "{args:?}");
    }
    // A closed gate stays closed, whoever hears of it.
    let closed = ["gate", plan, "--max-age", "0s"];
    full(&closed).has(1, &["No space left on device"]);
    assert_eq!(unread(&closed), 1);
}

#[test]
fn two_reports_for_one_file_are_refused_before_anything_is_touched() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    home.file("real", "old");
    symlink("real", home.path("link")).unwrap();
    symlink(".", home.path("here")).unwrap();
    let said = "two things would be written to ";
    for (one, other) in [
        ("json=new", "html=./new"),
        ("json=new", "html=here/new"),
        ("json=real", "html=link"),
        ("json=real", "html=here/../real"),
    ] {
        let other = other.replace("here/../", &format!("{}/", home.root().display()));
        home.run(&["run", plan, "--report", one, "--report", &other]).has(2, &[said]);
        home.run(&["report", "last", "--format", one, "--format", &other]).has(2, &[]);
    }
    home.run(&["run", plan, "--report", "json=real", "--events=link"]).has(2, &[said]);
    home.untouched();
    assert_eq!(fs::read_to_string(home.path("real")).unwrap(), "old");
    home.run(&["run", unwell(&home), "-q"]).has(3, &[]);
    home.run(&["report", "last", "--format", "csv=new", "--format", "json=./new"]).has(2, &[said]);
    let nowhere = ["report", "last", "--format", "json=/dev/null", "--format", "html=/dev/null"];
    home.run(&nowhere).is(0, "", "");
}

#[test]
fn names_that_steer_do_nothing_in_errors() {
    let (home, id) = refused();
    let hostile = "\u{1b}[31m\n::error::pwned \u{202e}";
    plant(&home, &id, "20990101T000000Z-aaaa", |record| record["verdict"] = hostile.into());
    plant(&home, &id, &format!("20990101T000000Z-aa{hostile}"), |_| ());
    home.file(&format!("{hostile}.json"), "{");
    let plan = lab(&[("name: short", "name: \"\\e[31m ##[error]x\"\n\"::error::x\": ##[error]y")]);
    home.file("hostile.yaml", plan);
    let file = format!("./{hostile}.json");
    for args in [
        &["report", "20990101T000000Z-aaaa"][..],
        &["report", "20990101T000000Z-aa"],
        &["report", &file],
        &["report", hostile],
        &["report", "last", "--format", &format!("json=no/{hostile}")],
        &["compare", "20990101T000000Z-aaaa", "20990101T000000Z-aaaa"],
        &["compare", &file, &file],
        &["gate", hostile],
        &["gate", &file],
        &["check", &file],
        &["check", "hostile.yaml"],
        &["history", "--plan", &file],
        &["restore", hostile],
    ] {
        let ended = home.run(args);
        let shown = format!("{}{}", ended.stdout, ended.stderr);
        assert!(ended.code != 0 && !ended.stderr.is_empty(), "{args:?} {ended}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{args:?} {ended}");
        let obeyed = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
        assert!(!shown.lines().any(obeyed), "{args:?} {ended}");
    }
}

#[test]
fn a_secret_that_is_typed_into_a_plan_is_warned_of_and_not_kept() {
    let home = Home::new();
    let typed = "url: \"http://127.0.0.1:1/\", headers: { authorization: \"Bearer typed-secret\" }";
    let text = lab(&[("url: \"${lab:talk}/\"", typed)]);
    let plan = home.file("plan.yaml", text);
    let checked = home.run(&["check", plan]);
    checked.has(0, &["plan.yaml:14:71", "`authorization` is typed into the plan", "${env:NAME}"]);
    let ended = home.run(&["run", plan, "-q", "--report", "html=drill.html"]);
    ended.has(3, &["`authorization` is typed into the plan"]);
    fs::remove_file(home.path(plan)).unwrap();
    let written = home.everything();
    assert!(written.contains("authorization: ***"), "{written}");
    for place in [&written, &checked.stderr, &ended.stderr, &ended.stdout] {
        assert!(!place.contains("typed-secret"), "{place}");
    }
}
