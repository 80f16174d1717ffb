//! The lab, well and sick.

use firedrill::lab::{Broken, LabFaults, Leak};
use firedrill::model::{DatacenterId, Offset, RunRecord, Verdict};

use super::world::{codes, drill};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

/// Budgets are wide: these tests are of verdicts, and the machine may be busy.
const PLAN: &str = r#"
version: 1
name: lab
datacenters: [east, west]
lab:
  balancer: { check_every: 100ms, check_timeout: 100ms, fall: 2, rise: 2 }
  services: { talk: { east: 2, west: 2 } }
traffic: { wan: { lab: {} } }
services:
  talk:
    probes:
      get:
        http: "${lab:talk}/"
        every: 25ms
        timeout: 500ms
        served_by: { header: x-datacenter }
    promises: { recover_within: 8s, failback_within: 8s }
cut: { datacenter: east, mode: blackhole, through: [wan] }
timing: { baseline: 1s, stable_for: 1s, hold: 0s, at_most: 30s }
"#;

fn well(text: &str) -> RunRecord {
    let record = drill(text, LabFaults::default());
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
    let truth = &record.lab.as_ref().unwrap().services[&"talk".into()];
    let service = &record.services[0];
    let (recovery, failback) = (service.recovery.unwrap(), service.failback.unwrap());
    if let Some(known) = truth.recovery {
        assert!(recovery.bounds.contains(known), "{known:?} in {} {truth:#?}", recovery.bounds);
    }
    if let Some(known) = truth.failback {
        assert!(failback.bounds.contains(known), "{known:?} in {} {truth:#?}", failback.bounds);
    }
    record
}

#[test]
fn a_blackhole_is_survived_and_measured() {
    let record = well(PLAN);
    assert!(record.services[0].probes[0].counts.bad > 0, "nobody notices a fire for free");
}

#[test]
fn a_reset_is_survived_and_measured() {
    well(&PLAN.replace("mode: blackhole", "mode: reset"));
}

#[test]
fn a_drain_is_survived_and_measured() {
    well(&PLAN.replace("mode: blackhole", "mode: drain"));
}

#[test]
fn a_sick_datacenter_is_left_too() {
    let sick = "mode: degrade, degrade: { latency: 400ms }";
    let record = drill(&PLAN.replace("mode: blackhole", sick), LabFaults::default());
    assert_eq!(record.verdict, Verdict::Pass, "{:#?}", record.reasons);
}

#[test]
fn connections_that_are_kept_fail_over_too() {
    well(&PLAN.replace("every: 25ms", "every: 25ms\n        connection: keep-alive"));
}

#[test]
fn a_standby_takes_over_and_gives_back() {
    let record = well(&PLAN.replace("rise: 2 }", "rise: 2, spread: first }"));
    assert_eq!(record.proof.services[0].before.value(), Some(1.0));
    assert_eq!(record.proof.services[0].during.part, 0);
}

#[test]
fn a_forgotten_route_into_the_cut_datacenter_is_a_leak() {
    let leak = Some(Leak { datacenter: EAST, every: 5 });
    let record = drill(PLAN, LabFaults { leak, ..LabFaults::default() });
    assert_eq!(record.verdict, Verdict::Inconclusive, "{:#?}", record.reasons);
    assert!(codes(&record).contains(&"leak"), "{:#?}", record.reasons);
    assert!(!record.proof.services[0].examples.is_empty());
}

#[test]
fn a_service_that_is_down_before_the_drill_is_not_cut() {
    let during = Offset::ZERO..Offset::from_nanos(u64::MAX);
    let broken = Some(Broken { datacenters: vec![EAST, WEST], during });
    let record = drill(PLAN, LabFaults { broken, ..LabFaults::default() });
    assert_eq!(record.verdict, Verdict::NotStarted);
    assert!(codes(&record).contains(&"not-steady"), "{:#?}", record.reasons);
    assert!(record.marks.cut_issued.is_none());
}

#[test]
fn a_service_that_goes_down_for_another_reason_fails() {
    // From half a second after the cut, the survivors are broken too.
    let during = Offset::from_millis(1700)..Offset::from_nanos(u64::MAX);
    let broken = Some(Broken { datacenters: vec![WEST], during });
    let impatient = PLAN.replace("recover_within: 8s", "recover_within: 2s");
    let record = drill(&impatient, LabFaults { broken, ..LabFaults::default() });
    assert_eq!(record.verdict, Verdict::Fail, "{:#?}", record.reasons);
    assert!(codes(&record).contains(&"promise-broken"));
}

#[test]
fn a_datacenter_that_serves_nothing_is_not_cut() {
    let idle = PLAN
        .replace("rise: 2 }", "rise: 2, spread: first }")
        .replace("datacenter: east, mode", "datacenter: west, mode");
    let record = drill(&idle, LabFaults::default());
    assert_eq!(record.verdict, Verdict::NotStarted);
    assert_eq!(codes(&record), ["served-nothing"]);
}
