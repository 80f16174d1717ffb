//! `notify`: who is told, and what is wrong with saying so.

use super::bad::{album_below, snapshot};
use super::{GOOD, SECRET, parsed_with};
use crate::model::{NotifyEvent, NotifyKind, Plan};

fn plan(notify: &str) -> Plan {
    let outcome = parsed_with(format!("{GOOD}notify: {notify}\n").as_bytes(), &[]);
    outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings))
}

#[test]
fn everyone_is_told_what_they_want_and_what_is_usual() {
    let plan = plan(
        "{ oncall: { slack: { url: \"https://hooks.example/${env:TOKEN}\" } }, \
           board: { grafana: { url: \"https://g.example\", token: \"${env:TOKEN}\" }, on: cut } }",
    );
    let [oncall, board] = &plan.notify[..] else { panic!("{:?}", plan.notify) };
    assert_eq!((oncall.name.as_str(), &oncall.kind), ("oncall", &NotifyKind::Slack));
    assert_eq!(oncall.on, NotifyKind::Slack.usual());
    assert_eq!(oncall.url.reveal_plain(), format!("https://hooks.example/{SECRET}"));
    assert!(board.wants(NotifyEvent::Cut) && board.wants(NotifyEvent::NotRestored));
    assert!(!board.wants(NotifyEvent::Verdict));
    assert_eq!(board.headers[0].1.reveal_plain(), format!("Bearer {SECRET}"));
    assert_eq!(board.headers[0].1.to_string(), "Bearer ${env:TOKEN}");
}

#[test]
fn a_secret_that_is_typed_is_not_in_what_records_keep() {
    let notify = "notify: { a: { slack: { url: \"https://hooks.example/T0/typed-secret-1\" } }, \
                  b: { grafana: { url: \"https://g.example\", token: typed-secret-2 } } }";
    let outcome = parsed_with(format!("{GOOD}{notify}\n").as_bytes(), &[]);
    assert_eq!(outcome.findings.len(), 2, "{:#?}", outcome.findings);
    let kept = outcome.source.text.unwrap();
    assert!(kept.contains("slack: { url: ***") && !kept.contains("typed-secret"), "{kept}");
}

#[test]
fn who_is_told_does_not_choose_what_is_drilled() {
    let notify = "notify: { a: { webhook: { url: \"https://h/${env:TOKEN}\", headers: { x: \"${env:TOKEN}\" }, \
                  body: '\"${env:TOKEN}\"', ca: \"/${env:TOKEN}\" } } }";
    let outcome =
        parsed_with(format!("{GOOD}{notify}\n").replace("http://", "https://").as_bytes(), &[]);
    assert!(outcome.plan.is_some(), "{:#?}", outcome.findings);
    assert_eq!(outcome.chosen, Default::default(), "a token that is changed closes no gate");
}

#[test]
fn what_could_not_be_sent_is_refused() {
    let hook =
        |more: &str| format!("notify: {{ a: {{ webhook: {{ url: \"http://h\", {more} }} }} }}");
    let bodies = [
        "body: '{\"text\": {{titel}}}'",
        "body: '{\"text\": {{title}}'",
        "body: '{{title'",
        "body: 'Drill {{plan}}'",
        "headers: { content-type: application/xml }, body: '<x>{{title}}</x>'",
        "method: GET",
        "headers: { authorization: Bearer abc }",
        "ca: /etc/ca.pem",
    ]
    .map(hook);
    let cases = [
        "notify: []",
        "notify: { a: {} }",
        "notify: { a: { slak: { url: \"https://h\" } } }",
        "notify: { a: { slack: {}, teams: {} } }",
        "notify: { a: { slack: {} } }",
        "notify: { a: { slack: { url: \"https://hooks.example/T0/B0/x\" } } }",
        "notify: { a: { slack: { url: \"hooks.example/${env:TOKEN}\" } } }",
        "notify: { a: { slack: { url: \"https://h/${env:NOBODY}\" } } }",
        "notify: { a: { slack: { url: \"${lab:talk}/${env:TOKEN}\" } } }",
        "notify: { a: { slack: { url: \"https://h/${env:TOKEN}\" }, on: [verdct, cut, cut] } }",
        "notify: { a b: { slack: { url: \"https://h/${env:TOKEN}\" } } }",
        "notify: { a: { grafana: { url: \"https://g?x\", token: abc, panel: 2 } } }",
    ];
    let cases: Vec<&str> = cases.into_iter().chain(bodies.iter().map(String::as_str)).collect();
    snapshot("notify", &album_below(&cases));
}
