//! Where the DNS leads users, and clients that go on with what they know, in the light of the cut.

use std::sync::Arc;

use super::super::{Ending, Judged, Observation, judge, prove};
use super::verdicts::{CUT_AT, END, EVERY, good_samples, held, marks, plan};
use super::*;
use crate::model::{
    DnsCache, DnsExpect, DnsProbe, DnsType, LookUp, Mode, Plan, ProbeId, ProbeKind, ProbeSpec,
    Promises, Sampled, ServedBySource, VantageId, Verdict,
};

/// Judges a drill with the samples of each probe, with nothing to prove the cut but they.
fn judged(plan: Plan, probes: &[Vec<Sample>]) -> Judged {
    let plan = Arc::new(plan);
    let mut observation = Observation::new(plan.clone(), Offset::ZERO);
    observation.marks = marks();
    for (samples, number) in probes.iter().zip(0..) {
        let probe = ProbeId { service: 0, probe: number };
        for sample in samples {
            observation.push(Sampled { vantage: VantageId(0), probe, sample: *sample });
        }
    }
    let mut control = held();
    control.path = None;
    let proof = prove(&plan, &observation, vec![control]);
    judge(&plan, &observation, &proof, Ending::default())
}

/// A probe of the DNS beside the one of the service.
fn with_dns(authority: bool, mode: Mode) -> Plan {
    let dns = DnsProbe {
        name: "talk.example".into(),
        record: DnsType::A,
        servers: Vec::new(),
        authority,
        tcp: false,
        expect: DnsExpect::default(),
    };
    beside(mode, |probe| ProbeSpec {
        kind: ProbeKind::Dns(dns),
        served_by: Some(ServedBySource::Answer { places: Vec::new(), lost: vec![CUT] }),
        ..probe
    })
}

fn beside(mode: Mode, change: impl FnOnce(ProbeSpec) -> ProbeSpec) -> Plan {
    let mut plan = plan();
    plan.cut.mode = mode;
    let probe = ProbeSpec { name: "second".into(), ..plan.services[0].probes[0].clone() };
    plan.services[0].probes.push(change(probe));
    plan
}

/// Good all along; to the cut datacenter until `moved`, and again from 3.2 s on.
fn led(moved: u64) -> Vec<Sample> {
    let of = |seq| {
        let sent = seq * EVERY;
        let by = if (moved..3200).contains(&sent) { SURVIVOR } else { CUT };
        sample(seq, sent, 2, Outcome::Good, ServedBy::Datacenter(by))
    };
    (0..END / EVERY).map(of).collect()
}

/// A drain in which nothing fails.
fn drained() -> Vec<Sample> {
    led(CUT_AT)
}

fn codes(judged: &Judged) -> Vec<&str> {
    judged.reasons.iter().map(|why| why.code.as_str()).collect()
}

#[test]
fn while_a_datacenter_is_dead_an_answer_that_leads_there_is_an_outage_and_no_leak() {
    for mode in [Mode::Blackhole, Mode::Reset] {
        let judged = judged(with_dns(true, mode), &[good_samples(), led(1500)]);
        assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.reasons);
        let dns = &judged.services[0].probes[1];
        let bounds = dns.recovery.unwrap().bounds;
        assert_eq!((bounds.low, bounds.high), (span(1480 - 1002), Some(span(1502 - 1000))));
        let astray = ("leads to what is cut".to_owned(), 24);
        assert_eq!(dns.counts.reasons, [astray].into());
        let cohort = dns.cohort.as_ref().unwrap();
        assert_eq!((cohort.last_led_there, cohort.cache), (Some(ms(1480)), None));
    }
    let late = judged(with_dns(true, Mode::Blackhole), &[good_samples(), led(2500)]);
    assert_eq!((late.verdict, codes(&late)), (Verdict::Fail, vec!["promise-broken"]));
}

#[test]
fn an_answer_of_the_dns_does_not_prove_that_nothing_gets_through() {
    let silent = |it: &Sample| Sample { served_by: ServedBy::Unnamed, ..*it };
    let silent: Vec<Sample> = good_samples().iter().map(silent).collect();
    let judged = judged(with_dns(true, Mode::Blackhole), &[silent, led(1500)]);
    assert!(codes(&judged).contains(&"not-seen-by-users"), "{:?}", judged.reasons);
}

#[test]
fn in_a_drain_the_zone_leaks_and_a_copy_has_its_time() {
    let moved_at_once = judged(with_dns(true, Mode::Drain), &[drained(), led(CUT_AT)]);
    assert_eq!(moved_at_once.verdict, Verdict::Pass, "{:?}", moved_at_once.reasons);
    let of_the_zone = judged(with_dns(true, Mode::Drain), &[drained(), led(1500)]);
    assert_eq!(codes(&of_the_zone), ["leak"]);
    let of_a_copy = judged(with_dns(false, Mode::Drain), &[drained(), led(1500)]);
    assert_eq!(of_a_copy.verdict, Verdict::Pass, "{:?}", of_a_copy.reasons);
    let copy = &of_a_copy.services[0].probes[1];
    assert_eq!(copy.counts.bad, 0);
    assert_eq!(copy.cohort.as_ref().unwrap().last_led_there, Some(ms(1480)));
}

#[test]
fn clients_that_keep_an_answer_may_use_it_in_a_drain_and_nowhere_else() {
    for (cache, mode, expected) in [
        (DnsCache::Ttl, Mode::Drain, vec![]),
        (DnsCache::For(span(500)), Mode::Drain, vec![]),
        (DnsCache::None, Mode::Drain, vec!["leak"]),
        (DnsCache::Ttl, Mode::Blackhole, vec!["leak"]),
    ] {
        let lost = Vec::new();
        let look_up = LookUp { servers: Vec::new(), cache, every_address: false, lost };
        let plan = beside(mode, |probe| ProbeSpec {
            look_up: Some(look_up),
            cohort: Some("kept".into()),
            promises: Promises::default(),
            ..probe
        });
        let judged = judged(plan, &[drained(), led(1500)]);
        assert_eq!(codes(&judged), expected, "{cache:?} {mode:?}");
        let cohort = judged.services[0].probes[1].cohort.as_ref().unwrap();
        assert_eq!((cohort.cache, cohort.last_led_there), (Some(cache), Some(ms(1480))));
        assert_eq!(judged.services[0].probes[0].cohort, None);
    }
}
