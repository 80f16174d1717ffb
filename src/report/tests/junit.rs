//! JUnit XML as its readers see it.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{CASES, Case, build};
use crate::model::*;
use crate::report::junit;

const MORE: [Case; 2] = [("hostile", build::hostile), ("many", build::many_services)];

fn all() -> impl Iterator<Item = Case> {
    CASES.into_iter().chain(MORE)
}

fn xml(record: &RunRecord) -> String {
    String::from_utf8(junit(record).unwrap()).unwrap()
}

fn read(record: &RunRecord) -> Report {
    Report::deserialize_from_str(&xml(record)).unwrap()
}

/// What an element may hold: attributes it must have, others it may have, and elements within it.
struct Rule {
    name: &'static str,
    must: &'static [&'static str],
    may: &'static [&'static str],
    holds: &'static [&'static str],
}

/// What is common to the schemas of Jenkins' xUnit plugin, of Surefire and of Ant, for the elements that we write.
const RULES: [Rule; 9] = [
    Rule {
        name: "testsuites",
        must: &[],
        may: &["name", "time", "tests", "failures", "errors"],
        holds: &["testsuite"],
    },
    Rule {
        name: "testsuite",
        must: &["name", "tests", "failures", "errors"],
        may: &["time", "skipped", "timestamp"],
        holds: &["properties", "testcase"],
    },
    Rule { name: "properties", must: &[], may: &[], holds: &["property"] },
    Rule { name: "property", must: &["name", "value"], may: &[], holds: &[] },
    Rule {
        name: "testcase",
        must: &["name", "classname"],
        may: &["time"],
        holds: &["failure", "error", "system-out"],
    },
    Rule { name: "failure", must: &["type", "message"], may: &[], holds: &[] },
    Rule { name: "error", must: &["type", "message"], may: &[], holds: &[] },
    Rule { name: "system-out", must: &[], may: &[], holds: &[] },
    Rule { name: "", must: &[], may: &[], holds: &["testsuites"] },
];

fn rule(name: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.name == name).unwrap_or_else(|| panic!("<{name}>"))
}

/// The element's name, when it may stand in `parent` with the attributes that it has.
fn allowed(start: &BytesStart<'_>, parent: &str) -> String {
    let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
    assert!(rule(parent).holds.contains(&name.as_str()), "<{name}> in <{parent}>");
    let attributes: BTreeMap<String, String> = start
        .attributes()
        .map(|attribute| {
            let attribute = attribute.unwrap();
            let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
            (name, String::from_utf8(attribute.value.to_vec()).unwrap())
        })
        .collect();
    let Rule { must, may, .. } = rule(&name);
    assert!(must.iter().all(|must| attributes.contains_key(*must)), "<{name}> {attributes:?}");
    for (attribute, value) in &attributes {
        assert!(must.contains(&&**attribute) || may.contains(&&**attribute), "{name} {attribute}");
        if ["time", "tests", "failures", "errors", "skipped"].contains(&&**attribute) {
            let digits = value.chars().all(|c| c.is_ascii_digit() || c == '.');
            assert!(digits && value.parse::<f64>().is_ok(), "{attribute}={value}");
        }
    }
    name
}

/// Holds the document to [`RULES`] and its counts to what it holds.
fn keeps_to_the_rules(xml: &str) {
    let mut reader = Reader::from_str(xml);
    let mut open = vec![String::new()];
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                let name = allowed(&start, open.last().unwrap());
                *seen.entry(name.clone()).or_default() += 1;
                open.push(name);
            }
            Event::Empty(start) => {
                *seen.entry(allowed(&start, open.last().unwrap())).or_default() += 1;
            }
            Event::End(_) => drop(open.pop()),
            Event::Eof => break,
            _ => {}
        }
    }
    let report = Report::deserialize_from_str(xml).unwrap();
    let count = |name: &str| seen.get(name).copied().unwrap_or(0) as usize;
    assert_eq!(report.tests, count("testcase"));
    assert_eq!((report.failures, report.errors), (count("failure"), count("error")));
}

#[test]
fn every_report_keeps_to_the_common_schema() {
    for (_, build) in all() {
        keeps_to_the_rules(&xml(&build()));
    }
}

#[test]
#[should_panic(expected = "<system-err> in <testsuites>")]
fn a_document_that_does_not_is_found() {
    keeps_to_the_rules("<testsuites><system-err/></testsuites>");
}

/// `+` for a success, `F` for a failure, `E` for an error.
fn sign(status: &TestCaseStatus) -> char {
    match status {
        TestCaseStatus::Success { .. } => '+',
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => 'F',
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, .. } => 'E',
        TestCaseStatus::Skipped { .. } => panic!("skipped"),
    }
}

#[test]
fn only_a_pass_is_green_and_what_is_not_proven_is_an_error() {
    for (name, build) in all() {
        let mut record = build();
        for keeps_its_promises in [true, false] {
            if !keeps_its_promises {
                record.services.clear();
            }
            let report = read(&record);
            let drill = &report.test_suites[0].test_cases[0];
            let wanted = match record.verdict {
                Verdict::Pass => '+',
                Verdict::Fail => 'F',
                _ => 'E',
            };
            assert_eq!((drill.name.as_str(), sign(&drill.status)), ("drill", wanted), "{name}");
            let is_green = report.failures + report.errors == 0;
            assert_eq!(is_green, record.verdict == Verdict::Pass, "{name}");
        }
    }
}

#[test]
fn each_promise_is_a_case_with_its_measured_time_and_budget() {
    let signs = |record: &RunRecord| -> String {
        let report = read(record);
        let suite = report.test_suites.into_iter().find(|suite| suite.name.as_str() == "talk");
        suite.unwrap().test_cases.iter().map(|case| sign(&case.status)).collect()
    };
    assert_eq!(signs(&build::passed()), "++");
    assert_eq!(signs(&build::failed()), "F+");
    assert_eq!(signs(&build::leaking()), "E+");
    assert_eq!(signs(&build::stopped()), "EE");
    assert_eq!(signs(&build::not_started()), "EE");
    insta::assert_snapshot!("junit-fail", xml(&build::failed()));
}

#[test]
fn cases_of_a_service_have_names_of_their_own() {
    for (name, build) in CASES {
        for suite in read(&build()).test_suites {
            let mut names: Vec<&str> = suite.test_cases.iter().map(|it| it.name.as_str()).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{name}: {names:?}");
        }
    }
}

#[test]
fn hostile_strings_end_no_element_and_steer_no_terminal() {
    let long = "x".repeat(1 << 20);
    for nasty in [
        "<script>alert(1)</script>",
        "]]></system-out><error/>",
        "\" onload='x' &lt; &#0; &bogus;",
        "a\u{202e}b\u{9b}31m\u{ffff}\u{0}\x1b[2J",
        &long,
    ] {
        let xml = xml(&build::hostile_as(nasty));
        keeps_to_the_rules(&xml);
        assert!(xml.len() < 200_000, "{}", xml.len());
        for c in xml.chars().filter(|c| *c != '\n') {
            assert!(!is_steering(c), "{c:?} of {nasty:?}");
        }
        assert!(!xml.contains("<script"), "{xml}");
    }
}
