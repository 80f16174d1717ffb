//! `firedrill preview`: calls with what undoes them, what they need, what can be measured, and how long it takes.

use crate::home::Home;
use crate::plans::lab;

#[test]
fn a_preview_says_each_call_what_undoes_it_what_can_be_measured_and_how_long_it_takes() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    home.run(&["preview", plan]).says(
        0,
        &[
            "1. east/talk: open becomes reset undone by: east/talk: open again",
            "write to the state directory",
            "listen on ports of loopback",
            "up to 100 connections at once",
            // One replica is left, so that two good answers in a row prove it: two periods of 20 ms.
            "recover_within 5 s: every 20 ms by get, k up to 2: k periods wide",
            "kept below about 4.96 s, broken above about 5.04 s",
            "lost writes are not measured",
            "shortest 2.1 s, if nothing ever fails",
            "typical 12.1 s, if every promise is just kept",
            "longest ",
        ],
    );
    home.untouched();
}

#[test]
fn a_preview_lists_what_a_ledger_writes_reads_and_removes() {
    let home = Home::new();
    let ledger = |more: &str| {
        let requests =
            "write: { url: \"${lab:talk}/{{key}}\", method: PUT }, read: \"${lab:talk}/ids\"";
        format!("ledger: {{ http: {{ {requests}{more} }}, settle: 500ms }}")
    };
    let remove = ", remove: { url: \"${lab:talk}/?p={{prefix}}\", method: DELETE }";
    let promises = "recover_within: 5s, failback_within: 5s";
    let change = |ledger: &str, lose: &str| {
        lab(&[
            ("http: { url: \"${lab:talk}/\" }", ledger),
            (promises, &format!("{promises}, {lose}")),
        ])
    };
    let plan = home.file("plan.yaml", change(&ledger(remove), "lose_at_most: 1s"));
    home.run(&["preview", plan]).says(
        0,
        &[
            "talk/get a record every 20 ms: PUT ${lab:talk}/{{key}}",
            "read back while cut and after failback: GET ${lab:talk}/ids; missing ones are waited for 500 ms",
            "removed at the end: DELETE ${lab:talk}/?p={{prefix}}",
            "lose_at_most 1 s: every 20 ms by get: the window is uncertain by one period of writes, 20 ms",
        ],
    );
    let plan = home.file("stays.yaml", change(&ledger(""), "lose_at_most: 0"));
    let ended = home.run(&["preview", plan]);
    assert!(!ended.stdout.contains("lost writes are not measured"), "{ended}");
    ended.says(0, &["not removed: the records stay", "counted exactly, of a write every 20 ms"]);
    home.untouched();
}

#[test]
fn a_promise_that_cannot_be_kept_by_sampling_shows_before_the_drill() {
    let home = Home::new();
    let change = [
        ("talk: { east: 1, west: 1 }", "talk: { east: 1, west: 9 }"),
        ("recover_within: 5s, failback_within: 5s", "recover_within: 150ms"),
    ];
    let plan = home.file("plan.yaml", lab(&change));
    home.run(&["check", plan]).is(0, "", "");
    home.run(&["preview", plan]).says(0, &["cannot be kept: bounds k periods wide"]);
}

#[test]
fn a_preview_says_what_is_cut_side_by_side_and_what_after_it() {
    let home = Home::new();
    let tool = |name: &str| {
        let command = format!("[/bin/false, {name}]");
        format!(
            "  {name}: {{ exec: {{ inspect: {command}, cut: {command}, restore: {command}, modes: [reset] }} }}\n"
        )
    };
    let traffic = format!("traffic:\n{}{}", tool("dns"), tool("edge"));
    let plan = |through: &str| lab(&[("traffic:\n", &traffic), ("through: [wan]", through)]);
    let steps = home.file("steps.yaml", plan("through: [wan, dns], then: [edge]"));
    home.run(&["preview", steps]).says(
        0,
        &[
            "cut 3 controls in 2 steps, one step after another",
            "step 1 of 2, side by side wan",
            "step 2 of 2 edge",
        ],
    );
    let one = home.file("one.yaml", plan("through: [wan, dns, edge]"));
    home.run(&["preview", one]).says(0, &["cut 3 controls side by side, each read back"]);
    let ended = home.run(&["preview", steps, "--format", "json"]);
    let preview: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let steps: Vec<_> = (0..3).map(|at| preview["controls"][at]["step"].clone()).collect();
    assert_eq!(steps, [1, 1, 2]);
}

#[test]
fn a_preview_for_programs_holds_the_same() {
    let home = Home::new().with_env("TOKEN", "hunter2");
    let plan = lab(&[(
        "{ url: \"${lab:talk}/\" }",
        "{ url: \"${lab:talk}/\", headers: { x: \"${env:TOKEN}\" } }",
    )]);
    let plan = home.file("plan.yaml", plan);
    let ended = home.run(&["preview", plan, "--format", "json"]);
    assert!(ended.code == 0 && !ended.stdout.contains("hunter2"), "{ended}");
    let preview: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(preview["controls"][0]["calls"][0]["call"], "east/talk: open becomes reset");
    assert_eq!(preview["promises"][0]["width_ms"], 40.0);
    assert_eq!(preview["promises"][0]["can_be_kept"], true);
    assert_eq!(preview["length"]["shortest_ms"], 2100.0);
    let needs = preview["needs"].as_array().unwrap();
    assert!(needs.contains(&"TOKEN in the environment".into()), "{needs:?}");
    assert_eq!(preview["findings"], serde_json::json!([]));
}
