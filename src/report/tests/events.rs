//! Events as lines of JSON, as `docs/events.md` describes them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::build::{at, ms};
use crate::model::*;
use crate::report::{event_line, left_out_line};

/// An event of each kind.
fn events(text: &str) -> Vec<DrillEvent> {
    vec![
        DrillEvent::Started {
            run: text.into(),
            plan: text.into(),
            lost: text.into(),
            datacenters: vec!["east".into(), text.into()],
            services: vec![text.into()],
            at_most: ms(60_000),
        },
        DrillEvent::Entered { stage: Stage::Baseline, at: at(12), at_most: Some(ms(3000)) },
        DrillEvent::Waiting { at: at(3000), why: Why::new("guardrail", text), at_most: ms(10_000) },
        DrillEvent::Called(ControlCall {
            control: text.into(),
            act: Act::Cut,
            issued: at(3000),
            done: at(3003),
            error: Some(text.into()),
            exchanges: vec![Exchange {
                asked: text.into(),
                answered: text.into(),
                took: std::time::Duration::from_millis(2),
            }],
        }),
        DrillEvent::Watched {
            at: at(3250),
            services: vec![ServiceNow {
                service: text.into(),
                good: Share { part: 3, whole: 5 },
                served: vec![0, 5],
                state: text.into(),
                down_since: Some(at(3100)),
                budget: Some(BudgetNow {
                    promise: Promise::RecoverWithin,
                    from: at(3000),
                    within: ms(2000),
                }),
                promises: 3,
                kept: 1,
                broken: 0,
            }],
            guardrails: [
                Standing::Unread,
                Standing::Within,
                Standing::Beyond { since: at(3000), lasting: ms(500) },
                Standing::Unreadable { since: at(2000), lasting: ms(9000) },
                Standing::Broken,
            ]
            .map(|standing| GuardrailNow {
                name: text.into(),
                kind: GuardrailKind::GoodShare,
                standing,
                value: Some(0.5),
            })
            .into(),
            loads: vec![LoadNow {
                name: text.into(),
                wanted: 12.5,
                offered: 12.0,
                good: Share { part: 11, whole: 12 },
            }],
        },
        DrillEvent::Decided { at: at(4000), service: text.into(), text: text.into() },
        DrillEvent::Stopping { at: at(4100), why: Why::new("signal", text) },
        DrillEvent::Ended { at: at(9000), verdict: Verdict::Stopped },
    ]
}

/// The line of each event, and of one that says that some are missing.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<Vec<u8>> = events(text)
        .iter()
        .zip(1..)
        .map(|(event, number)| event_line(event, number).unwrap())
        .collect();
    lines.push(left_out_line(at(9000), 7, 9).unwrap());
    lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
}

#[test]
fn each_event_is_a_line_with_its_kind_and_instant() {
    insta::assert_snapshot!("events", lines("talk").concat());
    for (line, event) in lines("talk").iter().zip(events("talk")) {
        let read: Value = serde_json::from_str(line).unwrap();
        assert_eq!(read["at_ms"], event.at().as_nanos() as f64 / 1e6, "{line}");
    }
}

#[test]
fn hostile_strings_are_read_back_as_they_were_and_steer_nothing() {
    let long = "x".repeat(1 << 20);
    for nasty in [
        "a\nb\r\u{2028}",
        "\x1b[2J\u{9b}31m\u{7f}",
        "\u{202e}\u{e0041}\u{fe0f}판교",
        "\"}\\",
        &long,
    ] {
        for (line, event) in lines(nasty).iter().zip(events(nasty)) {
            assert!(line.ends_with('\n'));
            assert!(line.trim_end_matches('\n').chars().all(|c| !is_steering(c)), "{line:?}");
            let read: Value = serde_json::from_str(line).unwrap();
            if let DrillEvent::Decided { .. } = event {
                assert_eq!((&read["service"], &read["text"]), (&nasty.into(), &nasty.into()));
            }
        }
    }
}

#[test]
fn every_event_and_field_is_described_in_docs_events_md_and_nothing_else() {
    let docs = include_str!("../../../docs/events.md");
    let rows = |from: &str| -> BTreeSet<String> {
        let section = docs.split(from).nth(1).unwrap().split("\n## ").next().unwrap();
        let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        cells.map(|(word, _)| word.to_owned()).collect()
    };
    let (mut kinds, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for line in lines("talk") {
        let read: Value = serde_json::from_str(&line).unwrap();
        kinds.insert(read["event"].as_str().unwrap().to_owned());
        super::fields(&read, &mut fields);
    }
    assert_eq!(rows("## Events"), kinds);
    assert_eq!(rows("## Fields"), fields);
}
