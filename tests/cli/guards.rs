//! Guardrails, the kill switch and windows: what stops a drill, and what lets it not start.

use crate::home::{Home, Running};
use crate::page::Page;
use crate::plans::lab;

/// A drill that stays cut for much longer than any test takes, with more at its end.
fn long(below: &str) -> String {
    let change = [("stable_for: 500ms", "stable_for: 50s"), ("at_most: 20s", "at_most: 10m")];
    format!("{}{below}\n", lab(&change))
}

/// Runs a long drill until it is cut, then does `act`, which has to end it.
#[track_caller]
fn stopped_by(home: &Home, below: &str, act: impl FnOnce(), said: &[&str]) {
    let plan = home.file("plan.yaml", long(below));
    let mut drill =
        Running::start(home, &["run", plan, "--report", "json=drill.json", "--report", "table"]);
    drill.until(" observe: ");
    act();
    drill.end().says(5, &[&["STOPPED", "wan (lab) restored"], said].concat());
    let journal = home.journal();
    assert!(journal.contains("restore-confirmed"), "{journal}");
}

/// Runs a drill that must not start for this reason.
#[track_caller]
fn refused(below: &str, said: &[&str]) -> Home {
    let home = Home::new();
    let ended = home.run(&["run", home.file("plan.yaml", long(below))]);
    ended.says(3, &[&["NOT STARTED", "nothing was cut"], said].concat());
    assert!(!home.journals().concat().contains("cut-intended"));
    home
}

#[test]
fn a_kill_switch_file_stops_a_drill_under_way() {
    let home = Home::new();
    let act = || assert_eq!(home.file("stop", ""), "stop");
    let file = home.path("stop").display().to_string();
    let reason = format!("the kill switch is set: {file} exists");
    let said = [reason.as_str(), "kill-switch set "];
    stopped_by(&home, &format!("kill_switch: {{ file: {file}, every: 100ms }}"), act, &said);
    let record = std::fs::read_to_string(home.path("drill.json")).unwrap();
    assert!(record.contains("\"kind\": \"kill-switch\""), "{record}");
}

#[test]
fn a_kill_switch_file_that_is_there_opens_nothing() {
    let home = Home::new();
    home.file("stop", "");
    // Nothing listens there: had it been opened, the reason would be another.
    let switch = format!("kill_switch: {{ file: {} }}", home.path("stop").display());
    let plan = long(&switch).replace("${lab:talk}/", "http://127.0.0.1:1/");
    let ended = home.run(&["run", home.file("plan.yaml", plan)]);
    ended.has(3, &["NOT STARTED", "the kill switch is set: ", "/stop exists"]);
    assert_eq!(home.journal().lines().count(), 0, "{}", home.journal());
    assert!(!ended.stderr.contains("preflight"), "{ended}");
}

#[test]
fn a_kill_switch_file_that_nobody_could_set_starts_nothing() {
    let home = Home::new();
    let file = home.path("not-mounted/stop");
    let switch = format!("kill_switch: {{ file: {}, every: 100ms, grace: 300ms }}", file.display());
    let ended = home.run(&["run", home.file("plan.yaml", long(&switch))]);
    ended.says(3, &["NOT STARTED", "the kill switch could not be read", "its directory: No such"]);
    assert!(!home.journal().contains("cut-intended"));
}

#[test]
fn a_kill_switch_url_stops_a_drill_under_way() {
    let (home, page) = (Home::new(), Page::new("go on"));
    let below = format!("kill_switch: {{ url: \"http://{}/\", every: 100ms }}", page.address());
    let act = || page.serve(410, "stop");
    stopped_by(&home, &below, act, &["the kill switch is set: its URL answers with status 410"]);
}

#[test]
fn a_kill_switch_that_cannot_be_read_starts_nothing() {
    let below = "kill_switch: { url: \"http://127.0.0.1:1/\", every: 100ms, grace: 300ms }";
    refused(
        below,
        &[
            "the kill switch could not be read for ",
            "no answer: refused",
            "kill-switch unreadable ",
        ],
    );
}

#[test]
fn a_check_that_goes_bad_stops_a_drill_under_way() {
    let (home, page) = (Home::new(), Page::new("well"));
    let address = page.address();
    let below = format!(
        "guardrails: [{{ http: {{ url: \"http://{address}/\", expect: {{ body: well }} }}, every: 100ms, for: 300ms }}]"
    );
    let act = || page.serve(200, "sick");
    let said = ["guardrail http is broken: the answer was bad: wrong body", "http broken "];
    stopped_by(&home, &below, act, &said);
}

#[test]
fn guardrails_that_hold_take_nothing_from_a_pass() {
    let home = Home::new();
    let below = "guardrails:\n\
                 - { service: talk, good_share_below: 1%, for: 19s }\n\
                 - { service: talk, latency_above: 1900ms, for: 19s }\n\
                 - { http: \"${lab:talk}/\", every: 100ms, for: 19s }\n";
    let switch =
        format!("kill_switch: {{ file: {}, every: 100ms }}\n", home.path("stop").display());
    let plan = format!("{}{below}{switch}", lab(&[]));
    let ended = home.run(&[
        "run",
        home.file("plan.yaml", plan),
        "--report",
        "table",
        "--report",
        "json=drill.json",
    ]);
    ended.has(0, &["PASS", "Guardrails", "talk-good-share  held: worst "]);
    // A switch that stayed clear is no news to people, and evidence to machines.
    assert!(!ended.stdout.contains("kill-switch"), "{ended}");
    let record = std::fs::read(home.path("drill.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let switches = record["guardrails"].as_array().unwrap().iter();
    let switches: Vec<_> = switches.filter(|rail| rail["kind"] == "kill-switch").collect();
    let named: Vec<_> = switches.iter().map(|switch| &switch["name"]).collect();
    assert_eq!(named, ["kill-switch", "machine-kill-switch"]);
    assert!(switches.iter().all(|switch| switch["reads"].as_u64() > Some(0)), "{switches:?}");
    assert_eq!(switches[1]["limit"], "/etc/firedrill.stop exists");
}

#[test]
fn outside_of_its_windows_a_drill_does_not_start() {
    // Three days from now, whatever the day is when this runs.
    let day = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).weekday().wrapping_add(3);
    let day = &format!("{day:?}")[..3];
    let below = format!("allowed: {{ zone: UTC, windows: [\"{day} 10:00-11:00\"] }}");
    let home = refused(&below, &["outside of the plan's allowed windows; the next one begins on "]);
    assert!(home.journals().is_empty(), "{:?}", home.journals());
}

#[test]
fn on_a_blocked_date_a_drill_does_not_start() {
    let below = "allowed: { zone: UTC, windows: [\"00:00-24:00\"] }\n\
                 blocked: { zone: Asia/Seoul, dates: [\"2000-01-01..2999-12-31\"] }";
    refused(below, &["the plan blocks 2000-01-01..2999-12-31, and it is ", " in Asia/Seoul"]);
}

#[test]
fn within_a_window_a_drill_starts() {
    let home = Home::new();
    let below = "allowed: { zone: Asia/Seoul, windows: [\"00:00-24:00\"] }\n";
    let plan = format!("{}{below}", lab(&[]));
    home.run(&["run", home.file("plan.yaml", plan)]).has(0, &["PASS"]);
}

#[test]
fn a_machine_without_time_zones_says_so() {
    let home = Home::new().with_env("TZDIR", "zones");
    std::fs::create_dir(home.path("zones")).unwrap();
    std::fs::copy("/usr/share/zoneinfo/UTC", home.path("zones/UTC")).unwrap();
    let below = "allowed: { zone: Europe/Berlin, windows: [\"10:00-16:00\"] }";
    let ended = home.run(&["check", home.file("plan.yaml", long(below))]);
    ended.has(2, &["this machine knows no time zones", "install the tzdata package"]);
    let utc = below.replace("Europe/Berlin", "UTC");
    home.run(&["check", home.file("plan.yaml", long(&utc))]).is(0, "", "");
}
