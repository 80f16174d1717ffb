//! What is said where the lab knows no time, and of a load that was not all offered.

use super::*;

/// What the table says of talk, whose times the lab does not know.
fn told(change: impl Fn(&mut LabServiceTruth)) -> String {
    let mut record = build::passed();
    let lab = record.lab.as_mut().unwrap();
    for talk in lab.services.values_mut() {
        (talk.recovery, talk.failback) = (None, None);
        change(talk);
    }
    plain(&record, 120)
}

#[test]
fn why_the_lab_knows_no_time_is_told_as_it_was() {
    let capacity = "capacity decided what was answered";
    let never_whole = "it came to no instant from which every request could be served";
    let never_out = "the balancer never took the cut datacenter out";
    type Change = fn(&mut LabServiceTruth);
    let cases: [(&str, Change); 3] = [
        (capacity, |talk| talk.strain.refused = 3),
        (never_whole, |_| {}),
        (never_out, |talk| talk.changes.retain(|change| change.is_in)),
    ];
    for (said, change) in cases {
        let text = told(change);
        for other in [capacity, never_whole, never_out] {
            assert_eq!(text.contains(other), other == said, "{other}: {text}");
        }
    }
}

#[test]
fn a_truth_is_laid_only_beside_what_was_asked_of_it() {
    let outside = |asks: &str| {
        let mut record = build::passed();
        record.services[0].probes[0].asks = asks.to_owned();
        for talk in record.lab.as_mut().unwrap().services.values_mut() {
            talk.recovery = Some(build::ms(5_000));
        }
        plain(&record, 120).contains("OUTSIDE")
    };
    assert!(outside("GET ${lab:talk}/send"));
    assert!(!outside("GET ${lab:images}/"));
}

#[test]
fn a_load_says_how_much_of_it_was_offered() {
    let load = |rate| {
        let mut record = build::features();
        record.loads[0].rate = rate;
        plain(&record, 120)
    };
    // The course has 2 samples in each tenth of a second: 20 a second.
    let text = load(2_000.0);
    assert!(text.contains("up to 20 of 2000"), "{text}");
    let text = load(20.0);
    assert!(text.contains("up to 20 requests") && !text.contains(" of 20 requests"), "{text}");
}
