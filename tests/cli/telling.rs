//! Others are told: real servers hear what a drill does, and none of them changes it.

use serde_json::Value;

use crate::balancer::{Balancer, Restores};
use crate::home::Home;
use crate::inbox::{Answer, Heard, Inbox};
use crate::plans::{lab, own};

/// The drill on the lab, which tells whom `notify` names.
fn plan(notify: &str) -> String {
    lab(&[("cut: {", &format!("notify:\n{notify}cut: {{"))])
}

fn record(home: &Home) -> Value {
    let run = home.only_run();
    let path = home.path(&format!("firedrill/runs/{run}/record.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn events(heard: &[Heard]) -> Vec<String> {
    heard.iter().map(|it| it.json()["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn everyone_hears_of_a_drill_in_their_own_words() {
    let (slack, teams, hook) = (Inbox::new(), Inbox::new(), Inbox::new());
    let board =
        Inbox::answering(|_, _| Answer::With(200, "{\"message\":\"Annotation added\",\"id\":7}"));
    let home = Home::new()
        .with_env("SLACK_URL", &slack.url("/services/T0/B0/s3cr3t"))
        .with_env("TEAMS_URL", &teams.url("/workflows/s3cr3t?sig=s3cr3t"))
        .with_env("TOKEN", "s3cr3t-token");
    let text = plan(&format!(
        "  oncall: {{ slack: {{ url: \"${{env:SLACK_URL}}\" }} }}\n\
         \x20 team: {{ teams: {{ url: \"${{env:TEAMS_URL}}\" }}, on: verdict }}\n\
         \x20 board: {{ grafana: {{ url: \"{}\", token: \"${{env:TOKEN}}\", dashboard: abc }} }}\n\
         \x20 hook: {{ webhook: {{ url: \"{}\" }} }}\n",
        board.url(""),
        hook.url("/drills")
    ));
    let ended = home.run(&["run", home.file("plan.yaml", text), "--report", "json=drill.json"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(slack.heard().len(), 2, "started and verdict: {ended}");
    assert!(slack.heard()[1].json()["text"].as_str().unwrap().starts_with("PASS: short: talk"));
    let card = teams.heard()[0].json()["attachments"][0]["content"].to_string();
    assert!(card.contains("PASS: short"), "{card}");
    assert_eq!(events(&hook.heard()), ["started", "cut", "restored", "verdict"]);

    let heard = board.heard();
    let asked: Vec<&str> = heard.iter().map(|it| &*it.method).collect();
    assert_eq!(asked, ["POST", "PATCH", "PATCH"]);
    assert_eq!(heard[0].header("authorization"), Some("Bearer s3cr3t-token"));
    let record = record(&home);
    let time = |number: usize, name: &str| heard[number].json()[name].as_f64().unwrap();
    let region = time(1, "timeEnd") - time(0, "time");
    let ended_at = record["marks"]["ended_ms"].as_f64().unwrap();
    assert!(region > 0.0 && region < ended_at, "{region} of {ended_at}");

    let told = record["notifications"].as_array().unwrap();
    assert_eq!(told.len(), 2 + 1 + 3 + 4);
    assert!(told.iter().all(|it| it["outcome"] == "delivered"), "{told:#?}");
    ended.says(0, &["told: oncall 2 of 2, hook 4 of 4, board 3 of 3, team 1 of 1"]);
    for place in [&ended.stdout, &ended.stderr, &home.everything()] {
        assert!(!place.contains("s3cr3t"), "{place}");
    }
    // Drawn again it is what it was.
    let again = home.run(&["report", &home.only_run()]);
    assert_eq!(again.stdout, ended.stdout);
}

#[test]
fn hooks_that_hang_refuse_or_lie_change_neither_the_verdict_nor_the_restore() {
    let hangs = Inbox::answering(|_, _| Answer::Hang);
    let drips = Inbox::answering(|_, _| Answer::Drip);
    let refuses = Inbox::answering(|_, _| Answer::With(404, "{\"id\": \"none\"}"));
    let home = Home::new();
    let mut notify = String::new();
    for (name, inbox) in [("hangs", &hangs), ("drips", &drips), ("refuses", &refuses)] {
        notify += &format!("  {name}: {{ webhook: {{ url: \"{}\" }} }}\n", inbox.url("/"));
    }
    let ended = home.run(&["run", home.file("plan.yaml", plan(&notify))]);
    ended.says(0, &["PASS", "hangs 0 of 4", "drips 0 of 4", "refuses 0 of 4", "(status 404)"]);
    // Whoever hangs heard of the beginning; all was back long before it was given up.
    let record = record(&home);
    let told = record["notifications"].as_array().unwrap();
    let hung = |it: &&Value| it["name"] == "hangs" && it["event"] == "started";
    let first = told.iter().find(hung).unwrap();
    assert_eq!(first["outcome"], "failed");
    assert!(record["marks"]["restore_confirmed_ms"].is_f64());
}

#[test]
fn a_drill_that_may_not_start_tells_why() {
    let hook = Inbox::new();
    let text = plan(&format!("  hook: {{ webhook: {{ url: \"{}\" }} }}\n", hook.url("/")))
        .replace("cut: {", "blocked: { zone: UTC, dates: [\"2000-01-01..2999-01-01\"] }\ncut: {");
    let home = Home::new();
    let ended = home.run(&["run", home.file("plan.yaml", text)]);
    assert_eq!(ended.code, 3, "{ended}");
    let heard = hook.heard();
    assert_eq!(events(&heard), ["verdict"]);
    assert_eq!(heard[0].json()["verdict"], "NOT STARTED");
    assert!(heard[0].json()["reasons"][0].is_string(), "{heard:?}");
}

#[test]
fn a_notification_can_be_tried_and_check_and_preview_send_nothing() {
    let (good, bad) = (Inbox::new(), Inbox::answering(|_, _| Answer::With(410, "")));
    let home = Home::new().with_env("HOOK", &good.url("/s3cr3t"));
    let text = plan(&format!(
        "  oncall: {{ slack: {{ url: \"${{env:HOOK}}\" }} }}\n\
         \x20 gone: {{ webhook: {{ url: \"{}\" }}, on: [cut] }}\n",
        bad.url("/")
    ));
    let plan = home.file("plan.yaml", text);
    home.run(&["check", plan]).has(0, &[]);
    let preview = home.run(&["preview", plan]);
    let at = format!("slack at {}: started, stopping, verdict, taken-over", good.address());
    preview.says(0, &["Who is told", &at]);
    assert!(good.heard().is_empty() && bad.heard().is_empty());

    let gone = format!("gone (webhook at {}): not delivered: status 410\n", bad.address());
    let both = home.run(&["notify", plan]);
    both.has(1, &[&gone, "oncall (slack at 127.0.0.1:"]);
    assert!(good.heard()[0].body.contains("TEST, no drill"), "{:?}", good.heard());
    home.run(&["notify", plan, "--event", "verdict"]).has(0, &["delivered after"]);
    assert_eq!((good.heard().len(), bad.heard().len()), (2, 1));
    home.run(&["notify", plan, "--event", "party"]).has(2, &["not-restored"]);
    assert!(!both.stdout.contains("s3cr3t") && !preview.stdout.contains("s3cr3t"));
    home.run(&["status"]).has(0, &["nothing is cut"]);
}

#[test]
fn a_drill_that_cannot_restore_tells_everyone_whatever_they_wanted_to_know() {
    let is_alarm = |it: &Heard| it.body.contains("not-restored");
    let hook = Inbox::new();
    // It never answers to the cut, is busy at the first alarm, and takes the second.
    let hangs = Inbox::answering(move |number, heard| match is_alarm(heard) {
        false => Answer::Hang,
        true if number == 1 => Answer::With(503, ""),
        true => Answer::With(200, ""),
    });
    let balancer = Balancer::new(Restores::Lost);
    let provider = format!(
        "{{ haproxy: {{ address: \"{}\", servers: {{ east: [app/east-1], west: [app/west-1] }} }} }}",
        balancer.address()
    );
    let notify = format!(
        "notify:\n  hook: {{ webhook: {{ url: \"{}\" }}, on: [] }}\n\
         \x20 hangs: {{ webhook: {{ url: \"{}\" }}, on: [cut] }}\ncut: {{",
        hook.url("/"),
        hangs.url("/")
    );
    let home = Home::new();
    let plan = home.file("plan.yaml", own(balancer.web(None), &provider, &[("cut: {", &notify)]));
    let ended = home.run(&["run", plan, "--yes"]);
    assert_eq!(ended.code, 6, "{ended}");
    let heard = hook.heard();
    assert_eq!(events(&heard), ["not-restored"], "{ended}");
    let told = heard[0].json();
    assert_eq!(told["verdict"], "NOT RESTORED");
    assert_eq!(told["restore"], format!("firedrill restore {}", home.only_run()).as_str());
    assert!(told["reasons"][0].is_string(), "{told}");
    // The alarm did not wait for the one who hangs on an earlier message.
    assert_eq!(hangs.heard().iter().filter(|it| is_alarm(it)).count(), 2);
    ended.has(6, &["NOT RESTORED: do this now: firedrill restore"]);
    ended.says(6, &["told: hangs 1 of 2, hook 1 of 1; failed: cut to hangs"]);
}
