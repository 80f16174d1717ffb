//! Ledgers kept by commands, with the real binary: what they say counts, and none of them outlives the drill.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;
use crate::plans::lab;

/// Writes what it is told to a file; says who it is, so that its end can be seen.
const WRITE: &str = "sleep 1000 & echo \"$$ $!\" >> pids
while read -r key value; do echo \"$key\" >> records; echo \"ok $key\"; done; wait
";

/// A home with a ledger whose records `read` lists, and the path of the plan.
fn home(write: &str, read: &str, more: &str) -> Home {
    let home = Home::new().with_env("PATH", "/usr/bin:/bin").with_env("PASSWORD", "hunter2");
    home.file("write.sh", write);
    home.file("read.sh", read);
    home.file("records", "");
    let ledger = format!(
        "served_by: {{ header: x-datacenter }}
      keep:
        ledger:
          exec:
            write: [sh, write.sh, \"${{env:PASSWORD}}\"]
            read: [sh, read.sh, \"${{env:PASSWORD}}\"]
            {more}
          settle: 300ms
        every: 50ms
        promises: {{ recover_within: 5s, lose_at_most: 0, duplicate_at_most: 0 }}"
    );
    let plan = lab(&[("served_by: { header: x-datacenter }", &ledger), ("reset", "blackhole")]);
    home.file("plan.yaml", plan);
    home
}

fn run(home: &Home) -> (i32, Value) {
    let ended =
        home.run(&["run", "plan.yaml", "--report", "table", "--report", "json=record.json"]);
    let record = std::fs::read(home.path("record.json")).unwrap_or_default();
    let record = serde_json::from_slice(&record).unwrap_or_else(|_| panic!("{ended}"));
    assert!(!home.everything().contains("hunter2"), "{ended}");
    assert!(!format!("{ended}").contains("hunter2"), "{ended}");
    nobody_is_left(home);
    (ended.code, record)
}

/// Holds that nothing lives any more that a command wrote its number of down. Who is killed takes a moment to die.
#[track_caller]
fn nobody_is_left(home: &Home) {
    let pids = std::fs::read_to_string(home.path("pids")).unwrap_or_default();
    for pid in pids.split_whitespace() {
        let dead = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            matches!(stat.split(' ').nth(2), None | Some("Z" | "X"))
        };
        let limit = Instant::now() + Duration::from_secs(10);
        while !dead() {
            assert!(Instant::now() < limit, "{pid} lives on");
            std::thread::yield_now();
        }
    }
}

fn ledger(record: &Value) -> &Value {
    record.pointer("/services/0/probes/1/ledger").unwrap_or_else(|| panic!("{record:#}"))
}

#[test]
fn commands_keep_a_ledger_and_end_with_the_drill() {
    let home = home(WRITE, "cat records", "remove: [sh, -c, \"mv records removed; : > records\"]");
    let (code, record) = run(&home);
    let found = ledger(&record);
    assert_eq!(code, 0, "{record:#}");
    assert_eq!(found["lost"], serde_json::json!({ "low": 0, "high": 0 }));
    assert!(
        found["acknowledged"].as_u64() > Some(20) && found["left_behind"].is_null(),
        "{found:#}"
    );
    let written = std::fs::read_to_string(home.path("removed")).unwrap().lines().count();
    assert!(written as u64 >= found["acknowledged"].as_u64().unwrap(), "{written} {found:#}");
    let pids = std::fs::read_to_string(home.path("pids")).unwrap();
    assert_eq!(
        pids.split_whitespace().count(),
        4,
        "tried once before the drill, and then used: {pids}"
    );
}

#[test]
fn a_command_that_forgets_is_found_out() {
    // Every tenth record is forgotten, and the first there twice.
    let read = "head -n 1 records; sed 'n;n;n;n;n;n;n;n;n;d' records";
    let (code, record) = run(&home(WRITE, read, ""));
    let found = ledger(&record);
    assert_eq!(code, 1, "{record:#}");
    let lost = found["lost"]["low"].as_u64().unwrap();
    assert!(lost > 1 && found["lost"]["high"].as_u64() == Some(lost), "{found:#}");
    assert_eq!(found["duplicated"], serde_json::json!({ "low": 1, "high": 1 }));
    assert!(found["left_behind"].is_string(), "{found:#}");
}

#[test]
fn a_reading_that_is_cut_short_is_never_0_lost() {
    for cut_short in ["head -c 100 records", "cat records; exit 9", "cat records; kill -9 $$"] {
        // The first reading is before the drill, the second before the cut.
        let whole =
            "if mkdir begun 2>/dev/null || mkdir known 2>/dev/null; then cat records; exit 0; fi";
        let home = home(WRITE, &format!("{whole}; {cut_short}"), "");
        let (code, record) = run(&home);
        assert_eq!(code, 4, "{cut_short}: {record:#}");
        assert_eq!(ledger(&record)["lost"]["high"], Value::Null, "{cut_short}");
        assert_eq!(ledger(&record)["lost"]["low"], 0, "{cut_short}");
    }
}

#[test]
fn a_ledger_that_cannot_be_read_back_is_told_before_anything_is_cut() {
    for (read, told) in [
        ("cat records; exit 9", "cannot be read back"),
        ("head -c 100 records", "cannot be read back"),
        ("true", "see that `read` asks the same place as `write`"),
    ] {
        let home = home(WRITE, &format!("if mkdir begun 2>/dev/null; then exit 0; fi; {read}"), "");
        let (code, record) = run(&home);
        assert_eq!(code, 3, "{read}: {record:#}");
        assert_eq!(record["reasons"][0]["code"], "ledger-not-ready", "{record:#}");
        assert!(record["reasons"].to_string().contains(told), "{record:#}");
        assert!(record["marks"]["cut_issued_ms"].is_null());
    }
}

#[test]
fn commands_that_cannot_work_are_told_before_anything_is_cut() {
    for (write, read, told) in [
        ("echo no way in >&2; exit 3", "true", "no way in"),
        (WRITE, "echo \"bad password $1\" >&2; exit 3", "bad password [secret]"),
        ("while read -r key value; do echo \"refused $key\"; done", "true", "not-steady"),
    ] {
        let home = home(write, read, "");
        let (code, record) = run(&home);
        assert_eq!(code, 3, "{record:#}");
        assert!(record["reasons"].to_string().contains(told), "{record:#}");
        assert!(record["marks"]["cut_issued_ms"].is_null());
    }
}
