//! `firedrill history`, `compare` and `gate`: past runs in the state directory.

use std::fs;

use serde_json::Value;

use crate::home::{Ended, Home, Running};
use crate::plans::lab;

/// A plan that is not started: it asks where nobody listens. Its record is kept within a moment.
pub fn unwell(home: &Home) -> &'static str {
    home.file("unwell.yaml", lab(&[("${lab:talk}/", "http://127.0.0.1:1/")]))
}

/// The run's record, as `change` makes it, kept as the run `id`.
pub fn plant(home: &Home, of: &str, id: &str, change: impl Fn(&mut Value)) {
    let runs = home.path("firedrill/runs");
    let mut record: Value =
        serde_json::from_slice(&fs::read(runs.join(of).join("record.json")).unwrap()).unwrap();
    record["run"] = id.into();
    change(&mut record);
    fs::create_dir_all(runs.join(id)).unwrap();
    fs::write(runs.join(id).join("record.json"), serde_json::to_vec(&record).unwrap()).unwrap();
}

pub fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended}"))
}

#[test]
fn a_drill_that_passed_opens_the_gate_until_its_plan_is_edited() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    home.run(&["gate", plan]).has(1, &["CLOSED", "it was never drilled"]);
    home.run(&["run", plan, "-q"]).has(0, &["PASS"]);
    let id = home.only_run();
    assert!(home.path(&format!("firedrill/runs/{id}/summary.json")).exists());
    let said = ["OPEN: the plan's last drill passed", &*id, "note: it drilled a lab"];
    home.run(&["gate", plan, "--max-age", "1d", "--require-all"]).has(0, &said);
    // By its name, and as the only one that was ever drilled.
    home.run(&["gate", "--plan", "short"]).has(0, &["OPEN", "(plan.yaml)"]);
    home.run(&["gate"]).has(0, &["OPEN", "(plan.yaml)"]);
    home.run(&["gate", plan, "--within-p75"])
        .says(1, &["CLOSED", "too few earlier drills like it passed (0 of the 4 needed)"]);
    home.run(&["gate", plan, "--max-age", "0s"]).has(1, &["CLOSED", " old, of 0 ms allowed"]);
    let history = home.run(&["history"]);
    history.has(0, &["short (lab)", "PASS", "talk", "the first of its kind"]);
    let shown = json(&home.run(&["history", "--format", "json", "--plan", plan]));
    assert_eq!(shown["runs"][0]["run"], id.as_str());
    assert_eq!(shown["runs"][0]["hash"].as_str().unwrap().len(), 64);
    let alike = home.run(&["compare", "last", &id[..10]]);
    alike.has(0, &["the same in both", "Times: no difference shown", "talk"]);

    let login = "services:\n  login: {}\n  talk:\n    probes";
    home.file("plan.yaml", lab(&[("services:\n  talk:\n    probes", login)]));
    let ended = home.run(&["gate", plan, "--require-all", "--format", "json"]);
    ended.has(1, &[]);
    let gate = json(&ended);
    assert_eq!(gate["open"], false);
    assert_eq!(gate["plans"][0]["objections"][0]["code"], "plan-edited");
    assert_eq!(gate["unproven"][0]["service"], "login");
    fs::remove_file(home.path(plan)).unwrap();
    home.run(&["gate", "--plan", "short"])
        .says(1, &["not known", "No such file", "path of the plan"]);
    home.run(&["gate", plan]).is(
        2,
        "",
        "error: there is no plan file plan.yaml, and no run of a plan of that name\n",
    );
}

#[test]
fn values_of_variables_are_a_part_of_what_was_run() {
    let home = Home::new();
    let text = lab(&[
        ("${lab:talk}/", "http://127.0.0.1:1/"),
        ("at_most: 20s", "at_most: \"${var:most}\""),
    ]);
    let plan = home.file("plan.yaml", text);
    home.run(&["run", plan, "-q", "--var", "most=20s"]).has(3, &[]);
    let codes = |args: &[&str]| {
        let ended = home.run(&[&["gate", plan, "--format", "json"], args].concat());
        let objections = json(&ended)["plans"][0]["objections"].clone();
        let codes = objections.as_array().unwrap().iter();
        codes.map(|why| why["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&["--var", "most=20s"]), ["not-passed"]);
    assert_eq!(codes(&["--var", "most=20s", "--var", "another=1"]), ["not-passed"]);
    assert_eq!(codes(&["--var", "most=21s"]), ["not-passed", "other-vars"]);
    assert_eq!(codes(&[]), ["not-passed", "other-vars"]);
}

#[test]
fn a_variable_counts_however_the_plan_spells_it() {
    let home = Home::new();
    let text = lab(&[("${lab:talk}/", "http://127.0.0.1:1/${var:\\x74arget}")]);
    let plan = home.file("plan.yaml", text);
    home.run(&["run", plan, "-q", "--var", "target=staging"]).has(3, &[]);
    let objections = |target: &str| {
        let ended = home.run(&["gate", plan, "--format", "json", "--var", target]);
        json(&ended)["plans"][0]["objections"].to_string()
    };
    assert!(!objections("target=staging").contains("other-vars"));
    assert!(objections("target=production").contains("other-vars"));
}

#[test]
fn the_last_run_is_the_one_that_the_history_says_is_last() {
    let home = Home::new();
    home.run(&["run", unwell(&home), "-q"]).has(3, &[]);
    let first = home.only_run();
    // An old run in a directory whose name comes last, as from a backup.
    plant(&home, &first, "old-backup", |record| {
        record["started_at"] = "2001-01-01T00:00:00Z".into();
        record["run"] = "20010101T000000Z-aaaa".into();
    });
    let report = home.run(&["report", "last", "--format", "json"]);
    assert_eq!((json(&report)["run"].as_str(), &*report.stderr), (Some(&*first), ""));
    let runs = home.path("firedrill/runs");
    for (id, said) in [("20000101T000000Z-bbbb", false), ("29990101T000000Z-cccc", true)] {
        fs::create_dir(runs.join(id)).unwrap();
        fs::write(runs.join(id).join("record.json"), "{").unwrap();
        let report = home.run(&["report", "last", "--format", "json"]);
        assert_eq!(json(&report)["run"].as_str(), Some(&*first));
        // It may be the last, which nobody can tell.
        assert_eq!(report.stderr.contains(id), said, "{report}");
    }
}

#[test]
fn a_record_of_another_format_is_refused_by_all() {
    let home = Home::new();
    home.run(&["run", unwell(&home), "-q"]).has(3, &[]);
    let id = home.only_run();
    for format in [0.into(), 2.into(), Value::Null] {
        plant(&home, &id, &id, |record| record["format"] = format.clone());
        home.run(&["history"]).has(0, &["is left out"]);
        home.run(&["gate"]).has(1, &["is left out"]);
        home.run(&["compare", &id, &id]).has(2, &["record.json: its record "]);
        home.run(&["report", &id]).has(2, &["record.json: it "]);
    }
}

#[test]
fn a_gate_needs_no_secret() {
    let home = Home::new();
    let text = lab(&[
        ("${lab:talk}/", "http://127.0.0.1:1/${env:TOKEN}"),
        ("name: short", "name: secretive"),
    ]);
    let plan = home.file("plan.yaml", text);
    home.run(&["gate", plan]).has(1, &["secretive", "it was never drilled"]);
    home.file("plan.yaml", "just words");
    home.run(&["gate", plan]).has(2, &["plan.yaml is no plan", "firedrill check plan.yaml"]);
}

#[test]
fn a_broken_record_is_named_and_skipped_and_closes_the_gate() {
    let home = Home::new();
    let plan = unwell(&home);
    home.run(&["run", plan, "-q"]).has(3, &[]);
    let good = home.only_run();
    let runs = home.path("firedrill/runs");
    for (id, contents) in [
        ("29990101T000000Z-aaaa", "{"),
        ("29990101T000000Z-bbbb", ""),
        ("20000101T000000Z-cccc", "[]"),
    ] {
        fs::create_dir(runs.join(id)).unwrap();
        fs::write(runs.join(id).join("record.json"), contents).unwrap();
    }
    plant(&home, &good, "29990101T000000Z-dddd", |record| record["format"] = 9.into());
    fs::create_dir_all(runs.join("29990101T000000Z-eeee/record.json")).unwrap();
    // Neither of them is a run.
    fs::create_dir(runs.join("notes")).unwrap();
    fs::write(runs.join("file"), "").unwrap();
    let ended = home.run(&["history"]);
    ended.has(0, &["short", "NOT STARTED", &good]);
    for (id, why) in [
        ("29990101T000000Z-aaaa", "its record is damaged: EOF"),
        ("29990101T000000Z-bbbb", "its record is damaged: EOF"),
        ("20000101T000000Z-cccc", "its record is damaged: invalid"),
        ("29990101T000000Z-dddd", "its record has format 9, and this firedrill reads format 1"),
        ("29990101T000000Z-eeee", "its record cannot be read: it is no file"),
    ] {
        assert!(ended.stderr.contains(&format!("warning: {id} is left out: {why}")), "{ended}");
    }
    assert_eq!(ended.stderr.lines().count(), 5, "{ended}");
    let gate = json(&home.run(&["gate", plan, "--format", "json"]));
    let objections = gate["plans"][0]["objections"].as_array().unwrap();
    let lost = objections.iter().filter(|why| why["code"] == "lost-run").count();
    assert_eq!(lost, 4, "the fifth is older than the last drill: {gate}");
}

#[test]
fn a_record_that_was_replaced_is_summed_up_again() {
    let home = Home::new();
    home.run(&["run", unwell(&home), "-q"]).has(3, &[]);
    let id = home.only_run();
    home.run(&["history"]).has(0, &["NOT STARTED"]);
    plant(&home, &id, &id, |record| record["verdict"] = "INCONCLUSIVE".into());
    home.run(&["history"]).has(0, &["INCONCLUSIVE"]);
    let index = home.path(&format!("firedrill/runs/{id}/summary.json"));
    fs::write(&index, "{").unwrap();
    home.run(&["history"]).has(0, &["INCONCLUSIVE"]);
    assert!(fs::read_to_string(index).unwrap().contains("INCONCLUSIVE"), "it was mended");
}

#[test]
fn a_run_is_found_by_all_that_a_person_would_call_it() {
    let home = Home::new();
    home.run(&["run", unwell(&home), "-q"]).has(3, &[]);
    let first = home.only_run();
    plant(&home, &first, "29990101T000000Z-aaaa", |_| ());
    plant(&home, &first, "29990101T000000Z-aabb", |_| ());
    let directory = format!("firedrill/runs/{first}");
    let record = format!("{directory}/record.json");
    for name in [&first, &first[..8], &directory, &record] {
        let found = json(&home.run(&["compare", name, "last", "--format", "json"]));
        assert_eq!(found["before"]["run"], first.as_str(), "{name}");
        assert_eq!(found["after"]["run"], "29990101T000000Z-aabb", "the latest one");
    }
    home.run(&["compare", "29990101T000000Z-aa", "last"])
        .has(2, &["may be any of 2 runs, such as 29990101T000000Z-aaaa and 29990101T000000Z-aabb"]);
    for unknown in ["nothing", "..", "../runs/..", "unwell.yaml/x"] {
        home.run(&["compare", unknown, "last"]).has(2, &["there is no run ", "firedrill history"]);
    }
    home.run(&["compare", "unwell.yaml", "last"]).has(2, &["unwell.yaml: its record is damaged"]);
}

#[test]
fn without_any_run_each_says_so() {
    let home = Home::new();
    home.run(&["history"]).has(0, &["no run is kept in "]);
    home.run(&["history", "--plan", "pay"]).has(0, &["no run of pay is kept in "]);
    home.run(&["compare", "last", "last"]).has(2, &["no run is kept in "]);
    home.run(&["gate"]).has(1, &["CLOSED: no plan was named, and none was ever drilled"]);
    home.run(&["gate", "pay"]).has(2, &["there is no plan file pay"]);
    home.run(&["gate", "--max-age", "30"]).has(2, &["write it with a unit, as 30d, 12h or 2w"]);
    home.run(&["history", "--state-dir", "nowhere"]).has(2, &["there is no state directory "]);
    home.untouched();
}

#[test]
fn hostile_names_in_records_steer_no_terminal() {
    let home = Home::new();
    home.run(&["run", unwell(&home), "-q"]).has(3, &[]);
    let id = home.only_run();
    let hostile = format!("\u{1b}[31m<script>\u{202e}\n{}", "x".repeat(1 << 20));
    plant(&home, &id, &id, |record| {
        record["plan"]["name"] = hostile.as_str().into();
        record["plan"]["file"] = hostile.as_str().into();
        record["run"] = hostile.as_str().into();
    });
    for args in [&["history"][..], &["compare", "last", "last"], &["gate"]] {
        let ended = home.run(args);
        let shown = format!("{}{}", ended.stdout, ended.stderr);
        assert!(shown.contains("script"), "{args:?} {ended}");
        assert!(
            !shown.contains(['\u{1b}', '\u{202e}']) && shown.len() < 50_000,
            "{args:?}: {}",
            shown.len()
        );
    }
}

#[test]
fn a_drill_that_goes_on_does_not_count_and_one_that_died_closes_the_gate() {
    let home = Home::new();
    let plan = home
        .file("plan.yaml", lab(&[("hold: 100ms", "hold: 30s"), ("at_most: 20s", "at_most: 60s")]));
    home.run(&["run", unwell(&home), "-q"]).has(3, &[]);
    let first = home.only_run();
    let mut drill = Running::start(&home, &["run", plan]);
    // Whatever else has to do with it: the cut is confirmed.
    drill.until("the failover is watched");
    let id = home.only_run_but(&first);
    home.run(&["history"]).has(0, &[&format!("note: {id} is left out: it is still going on")]);
    let during = json(&home.run(&["gate", plan, "--format", "json"]));
    assert!(
        during["plans"][0]["notes"][0].as_str().unwrap().contains("still going on"),
        "{during}"
    );
    // Nothing is released while it lasts, whoever asks.
    let cut = format!("{id} is going on and has traffic cut; wait for its end");
    let fresh = home.file("fresh.yaml", lab(&[("name: short", "name: fresh")]));
    for asked in [plan, fresh] {
        home.run(&["gate", asked]).says(1, &[&cut]);
    }
    drill.signal("KILL");
    drill.rest();
    home.run(&["history"]).has(0, &[&format!("warning: {id} is left out: it left no record")]);
    // All that there is of this plan is the journal of a drill that died.
    std::fs::remove_dir_all(home.path("firedrill/runs").join(&first)).unwrap();
    for asked in [&["gate", "--format", "json"][..], &["gate", "short", "--format", "json"]] {
        let gate = json(&home.run(asked));
        let codes = gate["plans"][0]["objections"].as_array().unwrap().iter();
        let codes: Vec<_> = codes.map(|why| why["code"].as_str().unwrap()).collect();
        assert_eq!((&gate["open"], &*codes), (&false.into(), &["lost-run", "never-drilled"][..]));
    }
    let gate = json(&home.run(&["gate", plan, "--format", "json"]));
    assert_eq!(gate["plans"][0]["objections"][0]["code"], "lost-run", "{gate}");
    // The journal says whose it was: no other plan's gate has to do with it.
    let other = home.file("other.yaml", lab(&[("name: short", "name: other")]));
    let gate = json(&home.run(&["gate", other, "--format", "json"]));
    assert_eq!(gate["plans"][0]["objections"][0]["code"], "never-drilled", "{gate}");
}
