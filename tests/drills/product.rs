//! Drills on a lab with a product in it: what is switched, what calls what, what is lost.

use firedrill::lab::LabFaults;
use firedrill::model::{LabActor, Name, RunRecord, Verdict};

use super::world::drill;

/// Talk stands by in west, and writes what it is sent to a store that follows with a lag.
const PLAN: &str = r#"
version: 1
name: product
datacenters: [east, west]
lab:
  balancer: { check_every: 100ms, check_timeout: 100ms, fall: 2, rise: 2 }
  services:
    talk:
      replicas: { east: 2, west: 2 }
      calls: [accounts]
      paths: { /images: [objects] }
      switched_by: switch-over
    objects: { east: 1 }
  stores:
    accounts: { primary: east, replicas: [west], lag: 300ms, switched_by: switch-over }
  controllers:
    switch-over: { in: [east, west], detect: 300ms, promote: 200ms }
traffic: { wan: { lab: {} } }
services:
  talk:
    probes:
      send:
        http: { url: "${lab:talk}/send", method: POST }
        every: 25ms
        timeout: 500ms
        served_by: { header: x-datacenter }
      images:
        http: "${lab:talk}/images"
        every: 50ms
        timeout: 500ms
        required: false
    promises: { recover_within: 8s, failback_within: 8s }
cut: { datacenter: east, mode: blackhole, through: [wan] }
timing: { baseline: 1s, stable_for: 1s, hold: 0s, at_most: 12s }
"#;

/// The truth about talk lies within what was measured of its probe `send`.
fn holds_the_truth(record: &RunRecord) {
    let truth = &record.lab.as_ref().unwrap().services[&Name::from("talk")];
    let service = &record.services[0];
    for (known, measured) in
        [(truth.recovery, service.recovery), (truth.failback, service.failback)]
    {
        let (known, measured) = (known.unwrap(), measured.unwrap());
        assert!(measured.bounds.contains(known), "{known:?} in {} {truth:#?}", measured.bounds);
    }
}

#[test]
fn a_product_whose_controller_survives_fails_over_but_for_what_stood_in_one_place() {
    let record = drill(PLAN, LabFaults::default());
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
    holds_the_truth(&record);
    let truth = record.lab.as_ref().unwrap();
    let talk = &truth.services[&Name::from("talk")];
    assert_eq!(talk.paths["/images"].recovery, None);
    let by: Vec<LabActor> = talk.switches.iter().map(|switch| switch.by).collect();
    assert_eq!(by, [LabActor::Controller; 2]);
    let images = record.services[0].probes.iter().find(|probe| probe.name.as_str() == "images");
    assert!(images.unwrap().recovery.is_none_or(|recovery| recovery.bounds.high.is_none()));
}

#[test]
fn a_product_whose_controller_burns_with_it_stays_down() {
    let burns = PLAN.replace("in: [east, west]", "in: [east]");
    let record = drill(&burns, LabFaults::default());
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
    let truth = record.lab.as_ref().unwrap();
    assert_eq!(truth.services[&Name::from("talk")].recovery, None);
    assert!(truth.controllers[&Name::from("switch-over")].is_empty());
}

#[test]
fn an_operator_saves_it_late() {
    let by_hand = PLAN
        .replace("in: [east, west]", "in: [east]")
        .replace("traffic:", "  operator: { after: 2s }\ntraffic:");
    let record = drill(&by_hand, LabFaults::default());
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
    holds_the_truth(&record);
    let talk = &record.lab.as_ref().unwrap().services[&Name::from("talk")];
    assert_eq!(talk.switches[0].by, LabActor::Operator);
    assert!(talk.recovery.unwrap().as_secs() >= 2);
}
