//! Promises of single features, promises on the time while cut, and what users lost.

use super::super::{Ending, Judged, Observation, judge, prove};
use super::verdicts::{CUT_AT, END, EVERY, RESTORED_AT, good_samples, held, marks, plan};
use super::*;
use crate::model::{
    Blindness, BudgetNow, Judgement, LoadFrom, LoadSpec, Plan, ProbeId, ProbeSpec, Promise,
    Promises, Ramp, Sample, Sampled, VantageId, Verdict,
};
use std::sync::Arc;

/// Judges a drill with the samples of each probe, probe by probe.
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
    let proof = prove(&plan, &observation, vec![held()]);
    judge(&plan, &observation, &proof, Ending::default())
}

/// A second probe beside the one that passes, with promises of its own.
fn with_images(promises: Promises) -> Plan {
    let mut plan = plan();
    let images =
        ProbeSpec { name: "images".into(), promises, ..plan.services[0].probes[0].clone() };
    plan.services[0].probes.push(images);
    plan
}

fn turned_bad(during: std::ops::Range<u64>, one_in: u64) -> Vec<Sample> {
    let turned = |(place, sample): (usize, Sample)| {
        let bad = during.contains(&(sample.sent.as_nanos() / 1_000_000))
            && (place as u64).is_multiple_of(one_in);
        Sample { outcome: if bad { BAD } else { sample.outcome }, ..sample }
    };
    good_samples().into_iter().enumerate().map(turned).collect()
}

fn of(judged: &Judged, promise: Promise, feature: Option<&str>) -> Judgement {
    let mut results = judged.services[0].promises.iter();
    let found = results.find(|result| {
        result.promise == promise && result.feature.as_ref().map(|name| name.as_str()) == feature
    });
    found.unwrap_or_else(|| panic!("{promise} of {feature:?}")).judgement
}

#[test]
fn a_feature_is_judged_by_its_own_promise_and_the_service_by_the_others() {
    let within = |millis| Promises { recover_within: Some(span(millis)), ..Promises::default() };
    // Images are away until 2.5 s, 1.5 s after the cut; text is back after 200 ms.
    let probes = [good_samples(), turned_bad(1_000..2_500, 1)];
    let late = judged(with_images(within(1_000)), &probes);
    assert_eq!(late.verdict, Verdict::Fail);
    assert_eq!(of(&late, Promise::RecoverWithin, Some("images")), Judgement::Broken);
    assert_eq!(of(&late, Promise::RecoverWithin, None), Judgement::Kept);
    // What is back hides nothing: the service is as slow as its slowest feature.
    assert!(late.services[0].recovery.unwrap().bounds.low >= span(1_450));
    let early = judged(with_images(within(1_600)), &probes);
    assert_eq!(early.verdict, Verdict::Pass, "{:?}", early.reasons);
    let silent = judged(with_images(within(1_600)), &probes[..1]);
    assert_eq!(of(&silent, Promise::RecoverWithin, Some("images")), Judgement::Undecided);
}

#[test]
fn while_a_feature_is_away_its_budget_runs_and_what_is_decided_counts() {
    let within = |millis| Promises { recover_within: Some(span(millis)), ..Promises::default() };
    let now = |until: u64, budget: u64| {
        let plan = Arc::new(with_images(within(budget)));
        let mut observation = Observation::new(plan, Offset::ZERO);
        observation.marks = Marks { restore_issued: None, restore_confirmed: None, ..marks() };
        for (samples, probe) in [good_samples(), turned_bad(1_000..2_500, 1)].iter().zip(0..) {
            let probe = ProbeId { service: 0, probe };
            for sample in samples.iter().filter(|sample| sample.sent < Offset::from_millis(until)) {
                observation.push(Sampled { vantage: VantageId(0), probe, sample: *sample });
            }
        }
        observation.now(Offset::from_millis(until)).remove(0)
    };
    let down = now(2_000, 1_600);
    let began = Offset::from_millis(1_000);
    let (from, promise) = (marks().cut_issued.unwrap(), Promise::RecoverWithin);
    assert!(down.down_since.is_some_and(|since| (began..=began.plus(span(100))).contains(&since)));
    assert_eq!(down.budget, Some(BudgetNow { promise, from, within: span(1_600) }));
    // Text is back and has kept its own promise; failback and images are not decided.
    assert_eq!((down.kept, down.broken), (1, 0));
    assert!(down.promises >= 2 && down.good.part < down.good.whole, "{down:?}");
    assert_eq!(now(2_400, 1_000).broken, 1);
    let back = now(4_000, 1_600);
    assert_eq!((back.down_since, back.budget, back.kept), (None, None, 2));
}

#[test]
fn survivors_that_do_not_carry_the_load_break_their_promise() {
    let good = |share| Promises {
        recover_within: Some(span(800)),
        good_while_cut: Some(share),
        ..Promises::default()
    };
    // From 1.8 s on every fourth request fails.
    let probes = [good_samples(), turned_bad(1_000..3_000, 4)];
    let broken = judged(with_images(good(0.9)), &probes);
    assert_eq!(of(&broken, Promise::GoodWhileCut, Some("images")), Judgement::Broken);
    assert_eq!(broken.verdict, Verdict::Fail);
    // Expected to be degraded by so much, it counts as recovered, and the drill passes.
    let expected = judged(with_images(good(0.7)), &probes);
    assert_eq!(expected.verdict, Verdict::Pass, "{:?}", expected.reasons);
    let result = expected.services[0].promises.iter().find(|p| p.held.is_some()).unwrap();
    let share = result.held.unwrap().certain().value().unwrap();
    assert!((0.7..0.8).contains(&share), "{share}");
}

#[test]
fn trouble_within_the_promised_share_does_not_prolong_an_outage() {
    let promises = Promises {
        recover_within: Some(span(300)),
        good_while_cut: Some(0.5),
        ..Promises::default()
    };
    // Away for 200 ms, and then one request in four fails, for as long as it is cut.
    let probes = [good_samples(), turned_bad(1_000..3_000, 4)];
    let kept = judged(with_images(promises), &probes);
    assert_eq!(of(&kept, Promise::RecoverWithin, Some("images")), Judgement::Kept, "{kept:?}");
    // And before the stretch is over, nothing is broken yet.
    let early: Vec<Sample> =
        probes[1].iter().copied().filter(|sample| sample.done < ms(1_450)).collect();
    let early = judged(with_images(promises), &[good_samples(), early]);
    assert_eq!(of(&early, Promise::RecoverWithin, Some("images")), Judgement::Undecided);
}

#[test]
fn the_time_of_99_in_100_is_judged_while_cut_alone() {
    let p99 = |millis| Promises {
        recover_within: Some(span(800)),
        p99_while_cut: Some(span(millis)),
        ..Promises::default()
    };
    let slow = |sample: Sample| {
        let in_window = (1_900..3_100).contains(&(sample.sent.as_nanos() / 1_000_000));
        let took = if in_window { span(40) } else { sample.done.since(sample.sent) };
        Sample { done: sample.sent.plus(took), ..sample }
    };
    let mut samples: Vec<Sample> = good_samples().into_iter().map(slow).collect();
    samples.sort_by_key(|sample| sample.done);
    let probes = [good_samples(), samples];
    let promised = |millis| of_p99(&judged(with_images(p99(millis)), &probes));
    assert_eq!(promised(30), Judgement::Broken);
    assert_eq!(promised(50), Judgement::Kept);
    let failing = [good_samples(), turned_bad(1_900..3_100, 20)];
    let broken = of_p99(&judged(with_images(p99(1_000)), &failing));
    assert_eq!(broken, Judgement::Broken, "a request without an answer is slower than any");
}

fn of_p99(judged: &Judged) -> Judgement {
    of(judged, Promise::P99WhileCut, Some("images"))
}

#[test]
fn a_window_that_was_hardly_watched_decides_nothing() {
    let promises = Promises {
        // Until 200 ms before the restore: less than `stable_for`.
        recover_within: Some(span(2_000)),
        good_while_cut: Some(0.5),
        ..Promises::default()
    };
    let short = judged(with_images(promises), &[good_samples(), good_samples()]);
    assert_eq!(of(&short, Promise::GoodWhileCut, Some("images")), Judgement::Undecided);
    assert_eq!(short.verdict, Verdict::Inconclusive);
}

#[test]
fn what_users_lost_is_that_of_the_feature_that_was_bad_for_longest() {
    let mut plan = with_images(Promises::default());
    plan.services[0].users = Some(6_000);
    let probes = [good_samples(), turned_bad(1_000..2_500, 1)];
    let judged = judged(plan, &probes);
    let impact = judged.services[0].impact.clone().unwrap();
    assert_eq!(impact.probe.as_str(), "images");
    // 1.5 s of bad samples: one for each period.
    let bad = probes[1].iter().filter(|sample| sample.outcome == BAD).count() as u32;
    assert_eq!(impact.bad.low, span(EVERY) * bad);
    assert!(impact.bad.low.abs_diff(span(1_500)) <= span(EVERY), "{:?}", impact.bad);
    let minutes = impact.user_minutes.unwrap();
    let expected = impact.bad.low.as_secs_f64() / 60.0 * 6_000.0;
    assert!((minutes.low - expected).abs() < 1e-6 && minutes.high >= minutes.low);
}

#[test]
fn nobody_lost_anything_before_the_cut() {
    let plan = Arc::new(plan());
    let mut observation = Observation::new(plan, Offset::ZERO);
    for sample in good_samples().into_iter().take(10) {
        let sample = Sample { outcome: BAD, ..sample };
        let probe = ProbeId::default();
        observation.push(Sampled { vantage: VantageId(0), probe, sample });
    }
    assert_eq!(observation.services()[0].impact, None);
}

#[test]
fn a_feature_that_promised_nothing_of_the_failback_must_be_back_all_the_same() {
    let promises = Promises { recover_within: Some(span(800)), ..Promises::default() };
    let mut plan = with_images(promises);
    plan.services[0].probes[1].required = false;
    let dead = judged(plan.clone(), &[good_samples(), turned_bad(RESTORED_AT + 100..END, 1)]);
    assert_eq!(dead.verdict, Verdict::Inconclusive, "{:?}", dead.services[0].promises);
    let codes: Vec<&str> = dead.reasons.iter().map(|why| why.code.as_str()).collect();
    assert_eq!(codes, ["not-back"]);
    assert!(dead.reasons[0].text.contains("talk/images"), "{:?}", dead.reasons);
    let back = judged(plan, &[good_samples(), good_samples()]);
    assert_eq!(back.verdict, Verdict::Pass, "{:?}", back.reasons);
}

#[test]
fn what_users_lost_counts_the_features_that_are_judged_and_no_others() {
    let promises = Promises { recover_within: Some(span(800)), ..Promises::default() };
    let lost = |promises: Promises| {
        let mut plan = with_images(promises);
        plan.services[0].probes[1].required = false;
        let judged = judged(plan, &[good_samples(), turned_bad(1_000..2_500, 1)]);
        judged.services[0].impact.clone().unwrap().probe.to_string()
    };
    assert_eq!(lost(promises), "images");
    assert_eq!(lost(Promises::default()), "get");
}

/// A load that rises from the cut on.
fn with_load(plan: Plan, rise: u64) -> Plan {
    let load = LoadSpec {
        name: "crowd".into(),
        kind: plan.services[0].probes[0].kind.clone(),
        timeout: span(500),
        connection: plan.services[0].probes[0].connection,
        from: LoadFrom::Cut,
        ramp: Ramp { after: span(0), rise: span(rise), rate: 100.0, lasting: None },
    };
    Plan { loads: vec![load], ..plan }
}

#[test]
fn a_load_that_was_still_rising_at_the_restore_was_not_offered() {
    let whole = RESTORED_AT - CUT_AT;
    let codes = |rise: u64| -> Vec<String> {
        let judged = judged(with_load(plan(), rise), &[good_samples()]);
        judged.reasons.iter().map(|why| why.code.to_string()).collect()
    };
    assert_eq!(codes(whole + 100), ["load-not-offered"]);
    assert_eq!(codes(whole - 100), Vec::<String>::new());
}

#[test]
fn what_holds_on_the_way_up_does_not_stand_for_the_top() {
    let promises = Promises {
        recover_within: Some(span(300)),
        good_while_cut: Some(0.8),
        ..Promises::default()
    };
    // Only in the last 500 ms while cut, every second request fails.
    let probes = [good_samples(), turned_bad(RESTORED_AT - 500..RESTORED_AT, 2)];
    let share = |plan: Plan| of(&judged(plan, &probes), Promise::GoodWhileCut, Some("images"));
    assert_eq!(share(with_images(promises)), Judgement::Kept);
    let rising = with_load(with_images(promises), RESTORED_AT - 500 - CUT_AT);
    assert_eq!(share(rising), Judgement::Broken);
    // And at a top that was not watched for long enough, nothing is decided.
    let late = with_load(with_images(promises), RESTORED_AT - 100 - CUT_AT);
    assert_eq!(share(late), Judgement::Undecided);
}

#[test]
fn one_probe_that_could_not_be_asked_hides_no_other_that_failed() {
    let promises = Promises {
        recover_within: Some(span(300)),
        good_while_cut: Some(0.8),
        ..Promises::default()
    };
    let mut plan = plan();
    let get = plan.services[0].probes[0].clone();
    plan.services[0].promises.good_while_cut = promises.good_while_cut;
    plan.services[0].probes.push(ProbeSpec { name: "images".into(), ..get });
    let unknown = |sample: Sample| match sample.outcome == BAD {
        true => Sample { outcome: Outcome::Unknown(Blindness::Stalled), ..sample },
        false => sample,
    };
    let window = CUT_AT + 300..RESTORED_AT;
    let blind: Vec<Sample> = turned_bad(window.clone(), 2).into_iter().map(unknown).collect();
    let judged = judged(plan, &[blind, turned_bad(window, 3)]);
    assert_eq!(of(&judged, Promise::GoodWhileCut, None), Judgement::Broken);
}

#[test]
fn of_services_that_never_came_back_the_one_with_the_most_users_leads() {
    let mut plan = plan();
    let mut mail = plan.services[0].clone();
    mail.name = "mail".into();
    plan.services[0].users = Some(9_000);
    plan.services.push(mail);
    let mut observation = Observation::new(Arc::new(plan), Offset::ZERO);
    observation.marks = marks();
    let down = turned_bad(CUT_AT..RESTORED_AT, 1);
    // The last bad sample of mail was sent later: chance, and no reason to lead.
    let earlier = down.iter().filter(|sample| sample.sent < ms(RESTORED_AT - 100));
    let later = down.iter().filter(|sample| sample.sent < ms(RESTORED_AT));
    for sample in earlier {
        let probe = ProbeId { service: 0, probe: 0 };
        observation.push(Sampled { vantage: VantageId(0), probe, sample: *sample });
    }
    for sample in later {
        let probe = ProbeId { service: 1, probe: 0 };
        observation.push(Sampled { vantage: VantageId(0), probe, sample: *sample });
    }
    let names: Vec<String> =
        observation.services().iter().map(|service| service.name.to_string()).collect();
    assert_eq!(names, ["talk", "mail"]);
}
