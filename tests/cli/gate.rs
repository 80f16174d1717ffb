//! What `firedrill gate` must not open for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::home::{Ended, Home, end};
use crate::past::{json as parsed, plant};
use crate::plans::lab;

/// Makes a record one of a drill that passed: the least that a PASS stands on.
fn passed(record: &mut Value) {
    let time = |low: u64, high: u64| json!({ "low_ms": low, "high_ms": high, "seamless": false, "relapses": 0, "split": null });
    record["verdict"] = "PASS".into();
    record["reasons"] = json!([]);
    for mark in [
        "cut_issued_ms",
        "cut_confirmed_ms",
        "restore_issued_ms",
        "restore_confirmed_ms",
        "ended_ms",
    ] {
        record["marks"][mark] = 1000.into();
    }
    record["proof"] = json!({ "controls": [], "services": [], "missing": [] });
    record["controls"] = json!([{
        "name": "wan", "provider": "lab", "before": null, "cut": null, "after": null, "restored": "yes"
    }]);
    record["services"] = json!([{
        "name": "talk", "users": null, "recovery": time(100, 200), "failback": null, "probes": [],
        "promises": [{
            "promise": "recover_within", "budget_ms": 5000, "measured": { "low_ms": 100, "high_ms": 200 },
            "bad": null, "probe": "get", "judgement": "kept", "why": "back"
        }]
    }]);
}

const OLD: &str = "20260101T000000Z-aaaa";

/// A home with a plan that passed some time ago, and nothing else.
fn home_with(plan: &str) -> (Home, String) {
    let home = Home::new();
    fs::write(home.path("plan.yaml"), plan).unwrap();
    let id = kept_as(&home, OLD, &[]);
    (home, id)
}

/// Runs the plan, which is not started, and keeps its record as that of a drill `id` that passed on the first of the year.
fn kept_as(home: &Home, id: &str, vars: &[&str]) -> String {
    home.run(&[&["run", "plan.yaml", "-q"], vars].concat()).has(3, &[]);
    let refused = newest(home);
    plant(home, &refused, id, |record| {
        record["started_at"] = "2026-01-01T00:00:00Z".into();
        passed(record);
    });
    fs::remove_dir_all(home.path("firedrill/runs").join(refused)).unwrap();
    id.to_owned()
}

/// The id of the latest run.
fn newest(home: &Home) -> String {
    let runs = fs::read_dir(home.path("firedrill/runs")).unwrap();
    runs.map(|run| run.unwrap().file_name().into_string().unwrap()).max().unwrap()
}

fn gate(home: &Home, args: &[&str]) -> (bool, Vec<String>) {
    let ended = home.run(&[&["gate", "--format", "json"], args].concat());
    let found = parsed(&ended);
    let plans = found["plans"].as_array().unwrap().iter();
    let each = plans.flat_map(|plan| plan["objections"].as_array().unwrap());
    let all = found["objections"].as_array().unwrap().iter().chain(each);
    let codes = all.map(|why| why["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ended.code, i32::from(found["open"] != true), "{ended}");
    (found["open"] == true, codes)
}

fn open() -> (bool, Vec<String>) {
    (true, vec![])
}

fn shut(codes: &[&str]) -> (bool, Vec<String>) {
    (false, codes.iter().map(|&code| code.to_owned()).collect())
}

/// A plan that is not started: it asks where nobody listens.
fn short() -> String {
    lab(&[("${lab:talk}/", "http://127.0.0.1:1/")])
}

fn records(home: &Home) -> usize {
    let runs = fs::read_dir(home.path("firedrill/runs")).unwrap();
    runs.filter(|run| run.as_ref().unwrap().path().join("record.json").exists()).count()
}

#[test]
fn whatever_refuses_a_drill_it_leaves_a_record_and_the_pass_before_it_does_not_count() {
    type Refuse = fn(&Home) -> Ended;
    let refusals: [(&str, Refuse); 3] = [
        ("the calendar", |home| home.run(&["run", "plan.yaml", "-q"])),
        ("a cut", |home| {
            let other = home.path("firedrill/runs/20251231T000000Z-bbbb");
            fs::create_dir(&other).unwrap();
            fs::write(other.join("journal"), "torn\ntorn\n").unwrap();
            let ended = home.run(&["run", "plan.yaml", "-q"]);
            fs::remove_dir_all(other).unwrap();
            ended
        }),
        ("the file limit", |home| {
            let mut command = Command::new("sh");
            let run = format!(
                "ulimit -n 40; exec '{}' run plan.yaml -q",
                crate::home::binary().display()
            );
            home.prepare(command.args(["-c", &run]));
            end(command.spawn().unwrap())
        }),
    ];
    for (what, refuse) in refusals {
        let never = "blocked: { zone: UTC, dates: [\"2000-01-01..2999-12-31\"] }\n";
        let text = if what == "the calendar" { short() + never } else { short() };
        let (home, _) = home_with(&text);
        assert_eq!(gate(&home, &["plan.yaml"]), open(), "{what}");
        let ended = refuse(&home);
        assert_eq!(ended.code, 3, "{what}: {ended}");
        assert!(!ended.stderr.contains("could not be kept"), "{what}: {ended}");
        assert_eq!(records(&home), 2, "{what}");
        let run = home.path("firedrill/runs").join(newest(&home));
        assert!(!run.join("journal").exists(), "{what}");
        assert_eq!(fs::metadata(&run).unwrap().permissions().mode() & 0o777, 0o700, "{what}");
        if what == "the calendar" {
            // Nothing was asked of the system: what it did last counts, and the refusal is noted.
            assert_eq!(gate(&home, &["plan.yaml"]), open(), "{what}");
            home.run(&["gate", "plan.yaml"]).says(0, &["was refused by the plan's calendar"]);
        } else {
            assert!(gate(&home, &["plan.yaml"]).1.contains(&"not-passed".to_owned()), "{what}");
        }
        // All others cope with a run that has no journal.
        home.run(&["history"]).has(0, &["NOT STARTED", "PASS"]);
        home.run(&["report", "last"]).has(0, &["NOT STARTED"]);
        home.run(&["status"]).has(0, &["nothing is cut"]);
        home.run(&["restore"]).has(0, &["nothing to restore"]);
        let id = newest(&home);
        for settled in [&["restore", &*id][..], &["restore", &*id, "--settled"]] {
            home.run(settled).has(0, &[&format!("{id} was refused before it touched anything")]);
        }
        home.run(&["report", &id, "--format", "csv"])
            .has(2, &[&format!("{id} was refused before a sample was sent")]);
        // What is left of it without its record may have been anything.
        fs::remove_file(run.join("record.json")).unwrap();
        assert_eq!(gate(&home, &["plan.yaml"]), shut(&["lost-run"]), "{what}");
    }
}

#[test]
fn a_refused_drill_whose_record_cannot_be_kept_says_so_and_is_refused_all_the_same() {
    let home = Home::new();
    let plan = home.file("plan.yaml", short());
    home.file("file", "");
    home.run(&["run", plan, "--state-dir", "file/state"]).has(
        3,
        &[
            "NOT STARTED",
            "warning: the run record could not be kept in",
            "`gate` and `history` cannot see",
        ],
    );
}

#[test]
fn the_environment_may_choose_another_system_and_tokens_may_change() {
    let text = lab(&[(
        "{ url: \"${lab:talk}/\" }",
        "{ url: \"http://${env:HOST}:1/\", headers: { authorization: \"${env:TOKEN}\" } }",
    )]);
    let with =
        |home: Home, host: &str| home.with_env("HOST", host).with_env("TOKEN", "first-token");
    let home = with(Home::new(), "127.0.0.1");
    home.file("plan.yaml", &text);
    kept_as(&home, OLD, &[]);
    assert_eq!(gate(&home, &["plan.yaml"]), open());
    let key = home.path("firedrill/env.key");
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!((fs::read(&key).unwrap().len(), mode & 0o777), (32, 0o600));
    let record: Value = serde_json::from_slice(
        &fs::read(home.path("firedrill/runs").join(OLD).join("record.json")).unwrap(),
    )
    .unwrap();
    let kept = record["plan"]["env"]["values"].as_object().unwrap();
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["HOST"], "a token chooses nothing");
    assert!(!home.everything().contains("first-token"));

    let as_gate = |env: &[(&str, &str)]| {
        let mut command = home.command(&["gate", "plan.yaml", "--format", "json"]);
        for name in ["HOST", "TOKEN"] {
            command.env_remove(name);
        }
        let ended = end(command.envs(env.iter().copied()).spawn().unwrap());
        let objections = parsed(&ended)["plans"][0]["objections"].clone();
        assert!(!ended.stdout.contains("127.0.0") && !ended.stderr.contains("127.0.0"), "{ended}");
        objections.as_array().unwrap().iter().map(|why| why["code"].to_string()).collect::<String>()
    };
    assert_eq!(as_gate(&[("HOST", "127.0.0.1"), ("TOKEN", "second-token")]), "");
    assert_eq!(as_gate(&[("HOST", "127.0.0.1")]), "");
    assert_eq!(as_gate(&[("HOST", "127.0.0.2")]), "\"other-env\"");
    assert_eq!(as_gate(&[]), "\"env-unknown\"");
    fs::remove_file(&key).unwrap();
    assert_eq!(as_gate(&[("HOST", "127.0.0.1")]), "\"env-unknown\"");
    fs::write(&key, [7; 32]).unwrap();
    assert_eq!(as_gate(&[("HOST", "127.0.0.1")]), "\"env-unknown\"", "another machine's key");
}

#[test]
fn traffic_that_another_plan_left_cut_closes_it() {
    let (home, _) = home_with(&short());
    let other = home.path("firedrill/runs/20251231T000000Z-bbbb");
    fs::create_dir(&other).unwrap();
    // What a journal that is no journal did is not known.
    fs::write(other.join("journal"), "torn\ntorn\n").unwrap();
    home.run(&["status"]).has(6, &["20251231T000000Z-bbbb"]);
    assert_eq!(gate(&home, &["plan.yaml"]), shut(&["traffic-cut"]));
    home.run(&["gate", "plan.yaml"]).says(
        1,
        &[
            "CLOSED: traffic may be cut",
            "20251231T000000Z-bbbb may have left traffic cut",
            "status",
        ],
    );
    fs::remove_dir_all(&other).unwrap();
    assert_eq!(gate(&home, &["plan.yaml"]), open());
    // One that cannot be looked at at all.
    fs::create_dir(&other).unwrap();
    assert!(Command::new("mkfifo").arg(other.join("journal")).status().unwrap().success());
    assert_eq!(gate(&home, &["plan.yaml"]), shut(&["traffic-cut"]));
}

#[test]
fn each_of_two_plans_of_one_name_has_to_pass() {
    let (home, id) = home_with(&short());
    let text = short();
    for place in ["a", "b"] {
        fs::create_dir(home.path(place)).unwrap();
        fs::write(home.path(&format!("{place}/talk.yaml")), format!("{text}# {place}\n")).unwrap();
        home.run(&["run", &format!("{place}/talk.yaml"), "-q"]).has(3, &[]);
        let run = newest(&home);
        let to = format!("20260102T00000{}Z-cccc", u8::from(place == "b"));
        plant(&home, &run, &to, |record| {
            record["started_at"] = format!("2026-01-02T00:00:0{}Z", u8::from(place == "b")).into();
            if place == "b" {
                passed(record);
            }
        });
        fs::remove_dir_all(home.path("firedrill/runs").join(run)).unwrap();
    }
    fs::remove_dir_all(home.path("firedrill/runs").join(id)).unwrap();
    assert_eq!(gate(&home, &["b/talk.yaml"]), open());
    assert_eq!(gate(&home, &["./b/talk.yaml"]), open(), "the same file");
    assert_eq!(gate(&home, &["a/talk.yaml"]), shut(&["not-passed"]));
    assert_eq!(gate(&home, &[]), shut(&["not-passed"]), "both of them");
    assert_eq!(gate(&home, &["--plan", "short"]), shut(&["not-passed"]));
    // Once `b` is gone, its pass may have been of `a` before; once `a` is gone, its failure is earlier.
    fs::rename(home.path("a"), home.path("gone")).unwrap();
    assert_eq!(gate(&home, &["b/talk.yaml"]), open());
    assert_eq!(gate(&home, &[]), open());
    fs::rename(home.path("gone"), home.path("a")).unwrap();
    fs::rename(home.path("b"), home.path("gone")).unwrap();
    assert_eq!(gate(&home, &["a/talk.yaml"]), shut(&["plan-edited"]));
}

#[test]
fn a_plan_is_judged_by_the_drills_with_the_values_that_it_is_asked_with() {
    let home = Home::new();
    home.file("plan.yaml", lab(&[("${lab:talk}/", "http://127.0.0.1:1/${var:region}")]));
    for (id, region) in [(OLD, "region=east"), ("20260101T000000Z-bbbb", "region=west")] {
        kept_as(&home, id, &["--var", region]);
    }
    let with = |region: &str| gate(&home, &["plan.yaml", "--var", region]);
    assert_eq!((with("region=east"), with("region=west")), (open(), open()));
    assert_eq!(with("region=north"), shut(&["other-vars"]));
    assert_eq!(gate(&home, &["plan.yaml"]), shut(&["other-vars"]));
}

#[test]
fn a_plan_that_came_through_a_pipe_is_not_looked_for_there_again() {
    let (home, id) = home_with(&short());
    let file = |name: &str| plant(&home, &id, &id, |record| record["plan"]["file"] = name.into());
    for pipe in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        file(pipe);
        let mut command = home.command(&["gate", "--format", "json"]);
        // What it reads now, even the very plan, is not what stands in the record's file.
        command.stdin(fs::File::open(home.path("plan.yaml")).unwrap());
        let found = parsed(&end(command.spawn().unwrap()));
        let why = &found["plans"][0]["objections"][0];
        assert_eq!(why["code"], "plan-unreadable", "{found}");
        assert!(why["text"].as_str().unwrap().contains("is no file that stays"), "{found}");
    }
    assert_eq!(gate(&home, &["plan.yaml"]), open());
}

#[test]
fn a_key_that_cannot_be_used_is_told_as_such() {
    let text = lab(&[("${lab:talk}/", "http://${env:HOST}:1/")]);
    let home = Home::new().with_env("HOST", "127.0.0.1");
    home.file("plan.yaml", &text);
    kept_as(&home, OLD, &[]);
    let key = home.path("firedrill/env.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    home.run(&["gate", "plan.yaml"]).has(0, &["warning: ", "has the mode 644", "type `chmod 600"]);
    fs::write(&key, "short").unwrap();
    home.run(&["gate", "plan.yaml"]).says(1, &["cannot be used: ", "is no key; remove it"]);
    assert_eq!(gate(&home, &["plan.yaml"]), shut(&["env-unknown"]));
}

#[test]
fn a_record_that_was_changed_under_its_length_and_time_is_read_again() {
    let (home, id) = home_with(&short());
    assert_eq!(gate(&home, &["plan.yaml"]), open());
    let record = home.path("firedrill/runs").join(id).join("record.json");
    let text = fs::read_to_string(&record).unwrap();
    let at = fs::metadata(&record).unwrap().modified().unwrap();
    fs::write(&record, text.replace("\"PASS\"", "\"FAIL\"")).unwrap();
    fs::File::options().write(true).open(&record).unwrap().set_modified(at).unwrap();
    assert_eq!(gate(&home, &["plan.yaml"]), shut(&["not-passed"]));
}

#[test]
fn a_record_that_says_pass_and_means_it_not_closes_it() {
    let (home, id) = home_with(&short());
    plant(&home, &id, &id, |record| {
        record["services"][0]["promises"][0]["judgement"] = "broken".into();
    });
    assert_eq!(gate(&home, &["plan.yaml"]), shut(&["contradictory"]));
    home.run(&["gate", "plan.yaml"])
        .says(1, &["says PASS, although talk: recover_within is not shown to be kept"]);
}

#[test]
fn copies_of_a_run_are_one_run() {
    let (home, id) = home_with(&short());
    let runs = home.path("firedrill/runs");
    for copy in 0..5 {
        copied(&runs.join(&id), &runs.join(format!("copy-{copy}")));
    }
    let ended = home.run(&["history", "--format", "json"]);
    assert_eq!(parsed(&ended)["runs"].as_array().unwrap().len(), 1);
    assert_eq!(gate(&home, &["plan.yaml"]), open());
    plant(&home, &id, "20260101T000000Z-dddd", |record| {
        record["started_at"] = "2026-01-03T00:00:00Z".into()
    });
    assert_eq!(gate(&home, &["plan.yaml", "--within-p75"]), shut(&["too-few"]));
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::copy(from.join("record.json"), to.join("record.json")).unwrap();
}
