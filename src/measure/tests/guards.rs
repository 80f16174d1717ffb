//! Guardrails: the state machine, and the windows over samples.

use proptest::prelude::*;

use super::*;
use crate::measure::{Gauge, Guard};
use crate::model::{
    Blindness, Guardrail, GuardrailCheck, GuardrailReading, Phase, ProbeId, PrometheusQuery,
    QueryLimit, Sampled, VantageId,
};

fn check(limit: QueryLimit) -> GuardrailCheck {
    let (url, query) = ("http://prometheus:9090".into(), "errors".to_owned());
    GuardrailCheck::Prometheus(PrometheusQuery { url, query, limit, headers: Vec::new(), ca: None })
}

fn guard(lasting: u64, grace: u64) -> Guard {
    let spec = Guardrail {
        name: "errors".into(),
        check: check(QueryLimit::Above(0.5)),
        every: span(1000),
        timeout: span(1000),
        lasting: span(lasting),
        grace: span(grace),
    };
    Guard::new(spec, ms(0))
}

fn within(value: f64) -> GuardrailReading {
    GuardrailReading::Within { value: Some(value) }
}

fn beyond(value: f64) -> GuardrailReading {
    GuardrailReading::Beyond { value: Some(value), what: format!("it is {value}") }
}

fn dark() -> GuardrailReading {
    GuardrailReading::Unreadable("refused".to_owned())
}

/// Reads once a second; gives the second at which it broke, and the code.
fn play(guard: &mut Guard, readings: &[GuardrailReading]) -> Option<(usize, String)> {
    let mut broken = None;
    for (second, reading) in readings.iter().enumerate() {
        if let Some(why) = guard.take(ms(1000 * second as u64), reading.clone()) {
            assert!(broken.is_none(), "it says so once");
            broken = Some((second, why.code));
        }
    }
    broken
}

#[test]
fn what_is_beyond_its_limit_breaks_after_its_time_and_not_before() {
    let broken = |lasting, readings: &[_]| play(&mut guard(lasting, 60_000), readings);
    let code = "guardrail-broken".to_owned();
    assert_eq!(broken(0, &[within(0.0), beyond(1.0)]), Some((1, code.clone())));
    let row = [within(0.0), beyond(1.0), beyond(0.9), beyond(0.8), beyond(0.7), within(0.1)];
    assert_eq!(broken(2000, &row), Some((3, code.clone())));
    assert_eq!(broken(4000, &row), None);
    // A reading within the limit begins the time anew.
    let flapping = [beyond(1.0), beyond(1.0), within(0.0), beyond(1.0), beyond(1.0), beyond(1.0)];
    assert_eq!(broken(2000, &flapping), Some((5, code.clone())));
    // One that fails does not.
    let holes = [beyond(1.0), dark(), beyond(1.0)];
    assert_eq!(broken(2000, &holes), Some((2, code)));
}

#[test]
fn what_cannot_be_read_is_broken_after_its_grace() {
    let broken = |grace, readings: &[_]| play(&mut guard(0, grace), readings);
    let code = "guardrail-unreadable".to_owned();
    assert_eq!(broken(3000, &[within(0.0), dark(), dark(), dark()]), Some((3, code.clone())));
    assert_eq!(broken(4000, &[within(0.0), dark(), dark(), dark()]), None);
    assert_eq!(broken(2000, &[dark(), dark(), dark()]), Some((2, code.clone())), "from the start");
    assert_eq!(broken(2000, &[dark(), within(0.0), dark(), within(0.0), dark()]), None);
    assert_eq!(broken(0, &[within(0.0), dark()]), Some((1, code)), "no grace at all");
}

#[test]
fn nothing_is_clear_before_it_was_read_and_found_good() {
    let mut guard = guard(60_000, 60_000);
    for (reading, clear) in [
        (None, false),
        (Some(dark()), false),
        (Some(beyond(1.0)), false),
        (Some(within(0.0)), true),
        (Some(dark()), false),
        (Some(within(0.0)), true),
        (Some(beyond(1.0)), false),
    ] {
        reading.map(|reading| guard.take(ms(0), reading));
        assert_eq!(guard.is_clear(), clear);
    }
}

#[test]
fn the_reason_names_the_guardrail_the_value_and_the_limit() {
    let mut broken = guard(0, 3000);
    let why = broken.take(ms(5), beyond(0.7)).unwrap();
    assert_eq!(why.text, "guardrail errors is broken: it is 0.7 (limit: `errors` above 0.5)");
    let mut unread = guard(0, 3000);
    let why = unread.take(ms(4000), dark()).unwrap();
    assert_eq!(
        why.text,
        "guardrail errors could not be read for 4 s (grace: 3 s), which counts as broken: refused"
    );
    let record = broken.record();
    assert_eq!((record.last, record.worst, record.broken), (Some(0.7), Some(0.7), Some(ms(5))));
    assert_eq!((unread.record().reads, unread.record().unreadable), (1, 1));
}

#[test]
fn the_worst_value_is_kept_whichever_side_that_is() {
    let mut above = guard(60_000, 60_000);
    let mut below = guard(60_000, 60_000).spec().clone();
    below.check = check(QueryLimit::Below(0.1));
    let mut below = Guard::new(below, ms(0));
    for value in [0.3, 0.4, f64::NAN, 0.2] {
        above.take(ms(0), within(value));
        below.take(ms(0), within(value));
    }
    assert_eq!((above.record().worst, above.record().last), (Some(0.4), Some(0.2)));
    assert_eq!(below.record().worst, Some(0.2));
    below.take(ms(0), beyond(f64::NEG_INFINITY));
    assert_eq!((below.record().worst, below.record().last), (None, None), "JSON has no infinity");
}

/// A plan with a fast and a slow required probe, and one that is not required.
fn plan() -> crate::model::Plan {
    let mut plan = super::verdicts::plan();
    let probes = &mut plan.services[0].probes;
    probes[0].every = span(20);
    let mut slow = probes[0].clone();
    (slow.name, slow.every) = ("slow".into(), span(500));
    let mut extra = slow.clone();
    (extra.name, extra.required) = ("extra".into(), false);
    probes.extend([slow, extra]);
    plan
}

fn good_share(limit: f64) -> Gauge {
    Gauge::new(&plan(), &GuardrailCheck::GoodShareBelow { service: 0, limit }).unwrap()
}

fn latency(limit: u64) -> Gauge {
    let check = GuardrailCheck::LatencyAbove { service: 0, limit: span(limit) };
    Gauge::new(&plan(), &check).unwrap()
}

fn push(gauge: &mut Gauge, probe: u32, done: u64, took: u64, outcome: Outcome) {
    let sample = sample(0, done - took, took, outcome, ServedBy::Unnamed);
    let probe = ProbeId { service: 0, probe };
    gauge.push(&Sampled { vantage: VantageId(0), probe, sample });
}

fn is_beyond(gauge: &mut Gauge, now: u64) -> bool {
    matches!(gauge.read(ms(now)), GuardrailReading::Beyond { .. })
}

const HUNG: Outcome = Outcome::Bad(Reason::TimeOut(Phase::Answer));

#[test]
fn the_share_is_that_of_the_worst_required_probe() {
    let mut gauge = good_share(0.5);
    assert!(matches!(gauge.read(ms(0)), GuardrailReading::Unreadable(_)), "no sample yet");
    for at in (1000..=6000).step_by(20) {
        push(&mut gauge, 0, at, 1, Outcome::Good);
    }
    let unread = GuardrailReading::Unreadable("no sample of slow says anything".to_owned());
    assert_eq!(gauge.read(ms(6000)), unread);
    for at in (1000..=6000).step_by(500) {
        push(&mut gauge, 1, at, 1, if at <= 3000 { Outcome::Good } else { BAD });
        push(&mut gauge, 2, at, 1, BAD);
    }
    let what = "slow was good for 4 of 10 samples in the last 5 s".to_owned();
    assert_eq!(gauge.read(ms(6000)), GuardrailReading::Beyond { value: Some(0.4), what });
    let mut wider = good_share(0.4);
    for at in (1500..=6000).step_by(500) {
        push(&mut wider, 0, at, 1, Outcome::Good);
        push(&mut wider, 1, at, 1, if at <= 3000 { Outcome::Good } else { BAD });
    }
    assert_eq!(wider.read(ms(6000)), GuardrailReading::Within { value: Some(0.4) }, "not below");
}

#[test]
fn what_we_could_not_ask_says_nothing() {
    let mut gauge = good_share(0.5);
    for at in (0..2000).step_by(20) {
        push(&mut gauge, 0, at + 1, 1, Outcome::Unknown(Blindness::NoNetwork));
        push(&mut gauge, 1, at + 1, 1, Outcome::Good);
    }
    assert!(matches!(gauge.read(ms(2000)), GuardrailReading::Unreadable(_)));
    push(&mut gauge, 0, 2000, 1, Outcome::Good);
    assert_eq!(gauge.read(ms(2000)), GuardrailReading::Within { value: Some(1.0) });
}

#[test]
fn one_sample_in_twenty_may_be_slow_and_not_one_more() {
    let slow_of = |slow: u64, all: u64| {
        let mut gauge = latency(100);
        push(&mut gauge, 1, 900, 1, Outcome::Good);
        for number in 0..all {
            let took = if number < slow { 101 } else { 100 };
            push(&mut gauge, 0, 500 + number, took, Outcome::Good);
        }
        is_beyond(&mut gauge, 900)
    };
    assert!(!slow_of(0, 20) && !slow_of(1, 20) && slow_of(2, 20));
    assert!(!slow_of(5, 100) && slow_of(6, 100) && slow_of(1, 19));
}

#[test]
fn a_time_out_is_as_slow_as_it_was_waited_for_and_a_refusal_is_no_latency() {
    let mut gauge = latency(100);
    push(&mut gauge, 1, 900, 1, Outcome::Good);
    for at in 500..600 {
        push(&mut gauge, 0, at, 150, BAD);
    }
    assert!(matches!(gauge.read(ms(900)), GuardrailReading::Unreadable(_)));
    for at in 600..610 {
        push(&mut gauge, 0, at, 150, HUNG);
    }
    let GuardrailReading::Beyond { value, what } = gauge.read(ms(900)) else { panic!() };
    // The histogram shows within a tenth.
    assert!((150.0..165.0).contains(&value.unwrap()), "{value:?}");
    assert!(what.contains("10 of 10 above 100 ms"), "{what}");
}

#[test]
fn the_past_is_forgotten() {
    let mut gauge = good_share(0.5);
    for at in (20..=1000).step_by(20) {
        push(&mut gauge, 0, at, 1, BAD);
        push(&mut gauge, 1, at, 1, Outcome::Good);
    }
    assert!(is_beyond(&mut gauge, 1000));
    for at in (1020..=2100).step_by(20) {
        push(&mut gauge, 0, at, 1, Outcome::Good);
    }
    assert_eq!(gauge.read(ms(2100)), GuardrailReading::Within { value: Some(1.0) });
    assert!(matches!(gauge.read(ms(60_000)), GuardrailReading::Unreadable(_)), "all of it");
}

proptest! {
    /// One sample alone never breaks a guardrail whose `for` the plan's check lets pass.
    #[test]
    fn one_bad_sample_is_gone_before_it_could_break_anything(
        every in 1_u64..3000, at in 0_u64..60_000, looks in 50_u64..500,
    ) {
        let mut plan = plan();
        plan.services[0].probes.truncate(1);
        plan.services[0].probes[0].every = span(every);
        let check = GuardrailCheck::GoodShareBelow { service: 0, limit: 1.0 };
        let mut gauge = Gauge::new(&plan, &check).unwrap();
        let (bad, mut beyond) = (at / every * every, None);
        let mut longest = span(0);
        let shortest = Guardrail::shortest(span(every));
        let end = bad + 2 * shortest.as_millis() as u64;
        let mut due = (0..).map(|number| number * every).peekable();
        for now in (bad..end).step_by(looks as usize) {
            while let Some(sent) = due.next_if(|sent| *sent <= now) {
                let outcome = if sent == bad { BAD } else { Outcome::Good };
                push(&mut gauge, 0, sent, 0, outcome);
            }
            match is_beyond(&mut gauge, now) {
                true => longest = longest.max(ms(now).since(*beyond.get_or_insert(ms(now)))),
                false => beyond = None,
            }
        }
        prop_assert!(longest < shortest, "{longest:?} of {shortest:?}");
    }
}
