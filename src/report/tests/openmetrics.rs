//! Metrics in the part of OpenMetrics that Prometheus' text format shares. Real readers are in `tests/cli/metrics.rs`.

use std::collections::BTreeSet;

use super::{CASES, Case, build};
use crate::model::*;
use crate::report::openmetrics;

/// The value of the sample of `name` whose labels hold all of `labels`.
fn value<'a>(text: &'a str, name: &str, labels: &[&str]) -> Option<&'a str> {
    let start = format!("firedrill_{name}{{");
    text.lines()
        .find(|line| line.starts_with(&start) && labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit_once(' ').unwrap().1)
}

#[test]
fn every_family_is_written_once_and_the_end_is_marked() {
    let more: [Case; 2] = [("hostile", build::hostile), ("many", build::many_services)];
    for (name, build) in CASES.into_iter().chain(more) {
        let text = openmetrics(&build());
        assert!(text.ends_with("\n# EOF\n"), "{name}");
        let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
        let mut family = "";
        for line in text.lines().take_while(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split(' ').next().unwrap();
                assert!(families.insert(family), "{name}: {family} twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert_eq!(rest, format!("{family} gauge"), "{name}");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(sample.starts_with(&format!("{family}{{plan=\"")), "{name}: {line}");
                assert!(sample.ends_with("\"}"), "{name}: {line}");
                assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{name}: {line}");
                assert!(samples.insert(sample) || name == "hostile", "{name}: {line} twice");
            }
        }
    }
    insta::assert_snapshot!("openmetrics-fail", openmetrics(&build::failed()));
}

#[test]
fn exactly_one_verdict_and_one_judgement_holds() {
    for (name, build) in CASES {
        let record = build();
        let text = openmetrics(&record);
        let of = |verdict: &str| value(&text, "drill_verdict", &[&format!("\"{verdict}\"")]);
        assert_eq!(of(&record.verdict.to_string()), Some("1"), "{name}");
        let ones = |family: &str| {
            let start = format!("firedrill_{family}{{");
            text.lines().filter(|line| line.starts_with(&start) && line.ends_with(" 1")).count()
        };
        assert_eq!(ones("drill_verdict"), 1, "{name}");
        let promises = record.services.iter().flat_map(|service| &service.promises).count();
        assert_eq!(ones("promise_judgement"), promises, "{name}");
    }
}

#[test]
fn what_was_not_measured_has_no_sample_and_what_did_not_end_is_infinite() {
    let text = openmetrics(&build::unmeasured());
    for name in ["service_recovery_low_seconds", "service_recovery_high_seconds"] {
        assert_eq!(value(&text, name, &[]), None, "{text}");
    }
    let text = openmetrics(&build::stopped());
    assert_eq!(value(&text, "service_recovery_low_seconds", &[]), Some("1.18"));
    assert_eq!(value(&text, "service_recovery_high_seconds", &[]), Some("+Inf"));
    assert_eq!(value(&text, "drill_traffic_restored", &[]), Some("1"));
    let text = openmetrics(&build::not_restored());
    assert_eq!(value(&text, "drill_traffic_restored", &[]), Some("0"));
    assert_eq!(value(&text, "drill_cut_seconds", &[]), Some("+Inf"));
    let text = openmetrics(&build::not_started());
    assert_eq!(value(&text, "drill_cut_seconds", &[]), Some("0"));
}

#[test]
fn hostile_strings_stay_in_their_labels() {
    let long = "\\\"".repeat(1 << 19);
    for nasty in ["x\"} 1\nfiredrill_drill_verdict{", "\\", "\\\"", "a\nb\r# EOF", "판교", &long]
    {
        let text = openmetrics(&build::hostile_as(nasty));
        let harmless = openmetrics(&build::hostile_as("harmless"));
        assert_eq!(text.lines().count(), harmless.lines().count(), "{nasty:?}");
        assert!(text.len() < 200_000, "{}", text.len());
        for c in text.chars().filter(|c| *c != '\n') {
            assert!(!is_steering(c), "{c:?} of {nasty:?}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let quotes = line.replace("\\\\", "").replace("\\\"", "").matches('"').count();
            assert!(quotes.is_multiple_of(2), "{line}");
        }
    }
}
