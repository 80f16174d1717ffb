//! What the reports look like, and what they keep to.

mod ascii;
mod build;
mod cohorts;
mod csv;
mod events;
mod github;
mod html;
mod junit;
mod ledgers;
mod markdown;
mod openmetrics;
mod past;
mod schema;
mod truths;

use std::collections::BTreeSet;

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::{TableStyle, json, table};
use crate::model::*;

type Case = (&'static str, fn() -> RunRecord);

const CASES: [Case; 15] = [
    ("pass", build::passed),
    ("fail", build::failed),
    ("features", build::features),
    ("inconclusive-leak", build::leaking),
    ("not-started", build::not_started),
    ("stopped", build::stopped),
    ("guarded", build::guarded),
    ("not-restored", build::not_restored),
    ("seamless", build::seamless),
    ("unmeasured", build::unmeasured),
    ("placed", build::placed),
    ("switched", build::switched),
    ("ledger-lost", build::lost_writes),
    ("ledger-split", build::split_brain),
    ("ledger-unread", build::unread),
];

fn plain(record: &RunRecord, width: u16) -> String {
    table(record, TableStyle { width, ..TableStyle::FILE })
}

/// `text` without its colours.
fn stripped(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').unwrap().1)
}

#[test]
fn every_verdict_reads_well_at_60_80_and_120_columns() {
    for (name, build) in CASES {
        for width in [60, 80, 120] {
            insta::assert_snapshot!(format!("{name}-{width}"), plain(&build(), width));
        }
    }
}

#[test]
fn no_line_is_wider_than_asked_for() {
    let more: [Case; 2] = [("hostile", build::hostile), ("many", build::many_services)];
    for (name, build) in CASES.into_iter().chain(more) {
        let record = build();
        for width in 40..=160 {
            for line in plain(&record, width).lines() {
                // What is to be copied is never broken.
                let command = line.trim_start();
                if command.starts_with("firedrill restore ") || command.starts_with("echo '") {
                    continue;
                }
                assert!(line.width() <= usize::from(width), "{name} at {width}: {line}");
            }
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    for (name, build) in CASES {
        let coloured = table(&build(), TableStyle { width: 100, color: true, ascii: false });
        assert!(coloured.contains("\x1b["), "{name}");
        let coloured: Vec<String> =
            stripped(&coloured).lines().map(|line| line.trim_end().to_owned()).collect();
        let plain = plain(&build(), 100);
        assert_eq!(coloured, plain.lines().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn the_verdict_is_the_first_word_and_in_its_colour() {
    let first = |build: fn() -> RunRecord| {
        let text = table(&build(), TableStyle { width: 80, color: true, ascii: false });
        text.lines().next().unwrap().to_owned()
    };
    assert!(first(build::passed).starts_with("\x1b[1;32mPASS\x1b[0m  quickstart: talk"));
    assert!(first(build::failed).starts_with("\x1b[1;31mFAIL\x1b[0m  "));
    assert!(first(build::leaking).starts_with("\x1b[1;33mINCONCLUSIVE\x1b[0m  "));
    assert!(first(build::stopped).starts_with("\x1b[1;35mSTOPPED\x1b[0m  "));
    assert!(first(build::not_restored).starts_with("\x1b[1;97;41mNOT RESTORED\x1b[0m  "));
}

#[test]
fn hostile_strings_steer_no_terminal() {
    let record = build::hostile();
    for color in [false, true] {
        let text = stripped(&table(&record, TableStyle { width: 80, color, ascii: false }));
        for c in text.chars().filter(|c| *c != '\n') {
            assert_eq!(printable(&c.to_string()), c.to_string(), "{c:?} in\n{text}");
        }
        assert!(text.contains('\u{fffd}'), "{text}");
    }
}

#[test]
fn a_cut_that_was_accepted_and_in_effect_much_later_says_when() {
    let mut record = build::passed();
    let call = |act, issued, done| ControlCall {
        control: record.controls[0].name.clone(),
        act,
        issued: build::at(issued),
        done: build::at(done),
        error: None,
        exchanges: Vec::new(),
    };
    record.calls = vec![
        call(Act::Inspect, 100, 110),
        call(Act::Cut, 3000, 3200),
        call(Act::Inspect, 3990, 3999),
        call(Act::Restore, 9000, 9100),
        call(Act::Inspect, 20_000, 20_100),
    ];
    assert!(!plain(&record, 200).contains("in effect"), "at once");
    record.calls[2] = ControlCall { done: build::at(34_100), ..record.calls[2].clone() };
    let text = plain(&record, 200).replace('\u{a0}', " ");
    assert!(
        text.contains("; the cut was accepted after 200 ms, and in effect after 31.1 s"),
        "{text}"
    );
    record.marks.cut_confirmed = None;
    assert!(!plain(&record, 200).contains("in effect"), "it never was");
}

#[test]
fn what_was_not_measured_says_so_and_is_no_number() {
    let text = plain(&build::unmeasured(), 120);
    let row = text.lines().find(|line| line.contains("recover_within")).unwrap();
    assert!(row.contains("not measured"), "{row}");
    assert!(!row.contains("0 ms"), "{row}");
}

#[test]
fn the_first_sentence_says_what_decided() {
    let sentence = |change: fn(&mut RunRecord)| {
        let mut record = build::failed();
        record.plan.about = None;
        change(&mut record);
        let text = plain(&record, 200);
        let first = text.lines().next().unwrap();
        first.split_once("quickstart: ").unwrap().1.split_once(';').unwrap().0.to_owned()
    };
    let talk = "talk (47,430,000 users)";
    assert_eq!(sentence(|_| ()), format!("{talk} was away for at least 612 ms (budget 500 ms)"));
    let unseen = |record: &mut RunRecord| {
        record.services[0].promises[0].measured =
            Some(Bounds { low: build::ms(60_000), high: None });
    };
    assert_eq!(sentence(unseen), format!("{talk} had not recovered after 1 min (budget 500 ms)"));
    let failback = |record: &mut RunRecord| {
        record.services[0].promises[0].judgement = Judgement::Kept;
        record.services[0].promises[1].judgement = Judgement::Broken;
    };
    assert_eq!(
        sentence(failback),
        format!("{talk} took at least 180 ms to fail back (budget 1 s)")
    );
    let sustain = |record: &mut RunRecord| {
        record.services[0].users = Some(1);
        record.services[0].promises = vec![PromiseResult {
            promise: Promise::Sustain,
            budget: None,
            measured: None,
            bad: Some(1),
            ..build::promise(Promise::Sustain, 0, 0, 0)
        }];
        record.services[0].promises[0].judgement = Judgement::Broken;
    };
    assert_eq!(sentence(sustain), "talk (1 user) had to stay up, and 1 request failed");
}

#[test]
fn an_answer_outside_the_bounds_is_shouted() {
    let mut record = build::passed();
    let talk = record.lab.as_mut().unwrap().services.get_mut(&Name::from("talk")).unwrap();
    talk.recovery = Some(build::ms(900));
    let text = plain(&record, 120);
    assert!(text.contains("recovery took 900 ms, OUTSIDE the measured [612 ms, 812 ms]"), "{text}");
}

#[test]
fn fifty_services_fit_on_two_screens() {
    let text = plain(&build::many_services(), 120);
    assert!(text.contains("service-00, the slowest of 50 services, was back"), "{text}");
    assert!(text.contains("and 80 more, all kept"), "{text}");
    assert!(text.contains("(200 ms slower, jitter 50 ms, 5 % lost"), "{text}");
    assert!(text.contains("and 39 more probes"), "{text}");
    assert!(text.lines().count() < 130, "{}", text.lines().count());
}

#[test]
fn an_empty_record_is_drawn_too() {
    let mut record = build::passed();
    record.services.clear();
    record.controls.clear();
    record.plan.through.clear();
    record.plan.datacenters.clear();
    record.proof = Proof::default();
    record.lab = Some(LabTruth::default());
    assert!(plain(&record, 0).starts_with("PASS  quickstart: ? was cut"));
}

#[test]
fn json_is_read_back_as_it_was_written() {
    let hostile: Case = ("hostile", build::hostile);
    for (name, build) in CASES.into_iter().chain([hostile]) {
        let record = build();
        let bytes = json(&record).unwrap();
        assert_eq!(bytes.last(), Some(&b'\n'));
        let mut text = std::str::from_utf8(&bytes).unwrap().chars();
        assert!(text.all(|c| c == '\n' || !is_steering(c)), "{name}");
        assert_eq!(serde_json::from_slice::<RunRecord>(&bytes).unwrap(), record, "{name}");
    }
}

#[test]
fn the_examples_of_docs_reports_md_are_what_is_drawn() {
    let record = build::failed();
    let docs = include_str!("../../../docs/reports.md");
    let holds = |kind: &str, drawn: &str| {
        let (_, rest) = docs.split_once(&format!("```{kind}\n")).unwrap();
        let (example, _) = rest.split_once("\n```\n").unwrap();
        assert!(drawn.contains(example), "{kind}: {example}\nis not in\n{drawn}");
    };
    holds("text table", &plain(&record, 80));
    holds("xml junit", std::str::from_utf8(&super::junit(&record).unwrap()).unwrap());
    holds("markdown markdown", &super::markdown(&record));
    holds("text openmetrics", &super::openmetrics(&record));
}

#[test]
fn every_field_is_described_in_docs_record_md_and_nothing_else() {
    let docs = include_str!("../../../docs/record.md");
    let described: BTreeSet<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(field, _)| field)
        .collect();
    let mut written = BTreeSet::new();
    let others = build::every_provider().into_iter().chain([build::cohorts()]);
    for record in CASES.map(|(_, build)| build()).into_iter().chain(others) {
        let value: Value = serde_json::from_slice(&json(&record).unwrap()).unwrap();
        fields(&value, &mut written);
    }
    let written: BTreeSet<&str> = written.iter().map(String::as_str).collect();
    assert_eq!(described, written);
    assert!(docs.contains(&format!("format {}", RunRecord::FORMAT)));
}

/// Collects the names of fields, leaving out keys that are data: names, states, reasons.
fn fields(value: &Value, into: &mut BTreeSet<String>) {
    /// Fields that hold a map with keys of the drill's own, and how deep.
    const MAPS: [(&str, u32); 14] = [
        ("vars", 1),
        ("values", 1),
        ("parts", 1),
        ("settings", 1),
        ("reasons", 1),
        ("blindness", 1),
        ("latency", 1),
        ("served", 2),
        ("services", 1),
        ("answers", 1),
        ("paths", 1),
        ("stores", 1),
        ("controllers", 1),
        ("datacenters", 1),
    ];
    match value {
        Value::Array(values) => values.iter().for_each(|value| fields(value, into)),
        Value::Object(object) => {
            for (name, value) in object {
                into.insert(name.clone());
                let depth = MAPS.iter().find(|(map, _)| map == name).map_or(0, |(_, depth)| *depth);
                below(value, depth, into);
            }
        }
        _ => {}
    }
}

fn below(value: &Value, depth: u32, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if depth > 0 => {
            object.values().for_each(|value| below(value, depth - 1, into));
        }
        _ => fields(value, into),
    }
}
