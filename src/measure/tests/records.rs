//! Drills that are judged by ledgers: alone, beside probes, unread, and with writes that never come back.

use std::sync::Arc;

use super::super::{Ending, Judged, Observation, judge, prove};
use super::verdicts::{CUT_AT, END, good_samples, held, marks, plan};
use super::*;
use crate::model::{
    Blindness, CountBounds, ExecLedger, Judgement, LedgerProbe, LedgerStore, LossBudget, Plan,
    ProbeId, ProbeKind, ProbeSpec, Promise, Promises, ReadBack, ReadStage, Sampled, SeqSet, Text,
    VantageId, Verdict,
};

/// What is read back in a test.
struct World {
    plan: Plan,
    samples: Vec<Sample>,
    /// Acknowledged writes that a reading after failover, and one after failback, do not have; `None`: it fails.
    missing: [Option<Vec<u64>>; 2],
    /// Whether missing records had their time.
    settled: bool,
    /// Whether records are asked for one by one.
    one_by_one: bool,
}

fn ledger() -> ProbeKind {
    let words = || vec![Text::from("./ledger")];
    let exec = ExecLedger { write: words(), read: words(), remove: None };
    let store = LedgerStore::Exec(exec);
    ProbeKind::Ledger(LedgerProbe { store, create: false, keep: true, settle: span(100) })
}

/// The drill that passes, with a ledger for its only probe.
fn world(promises: Promises) -> World {
    let mut plan = plan();
    plan.services[0].promises = promises;
    plan.services[0].probes[0].kind = ledger();
    World {
        plan,
        samples: good_samples(),
        missing: [Some(vec![]), Some(vec![])],
        settled: true,
        one_by_one: false,
    }
}

fn none_lost() -> Promises {
    Promises {
        recover_within: Some(span(800)),
        lose_at_most: Some(LossBudget::Writes(0)),
        duplicate_at_most: Some(0),
        ..Promises::default()
    }
}

impl World {
    fn observed(&self) -> (Arc<Plan>, Observation) {
        let plan = Arc::new(self.plan.clone());
        let mut observation = Observation::new(plan.clone(), Offset::ZERO);
        observation.marks = marks();
        let probe = ProbeId::default();
        for sample in &self.samples {
            observation.push(Sampled { vantage: VantageId(0), probe, sample: *sample });
        }
        let stages = [(ReadStage::AfterFailover, 2_900), (ReadStage::AfterFailback, END)];
        for ((stage, began), missing) in stages.into_iter().zip(&self.missing) {
            let Some(ledger) = observation.ledger(probe) else { continue };
            let there = |sample: &&Sample| {
                let is_missing = missing.as_ref().is_some_and(|it| it.contains(&sample.seq));
                sample.outcome.is_good() && sample.done <= ms(began) && !is_missing
            };
            let seen: SeqSet = self.samples.iter().filter(there).map(|it| it.seq).collect();
            let end = missing.as_ref().map(|_| ()).ok_or_else(|| "status 503".to_owned());
            let (began, ended) = (ms(began), ms(began + 1));
            ledger.read(ReadBack {
                stage,
                began,
                ended,
                seen,
                foreign: 0,
                one_by_one: self.one_by_one,
                end,
            });
            if self.settled {
                ledger.settle(stage);
            }
        }
        (plan, observation)
    }

    fn judged(&self) -> Judged {
        let (plan, observation) = self.observed();
        let proof = prove(&plan, &observation, vec![held()]);
        judge(&plan, &observation, &proof, Ending::default())
    }
}

fn of(judged: &Judged, promise: Promise) -> (Judgement, String) {
    let found = judged.services[0].promises.iter().find(|result| result.promise == promise);
    let found = found.unwrap_or_else(|| panic!("{promise}"));
    (found.judgement, found.why.clone())
}

#[test]
fn a_drill_of_only_a_ledger_passes_when_all_is_there() {
    let judged = world(none_lost()).judged();
    assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.reasons);
    // Its writes are samples like any others.
    let recovery = judged.services[0].recovery.unwrap();
    assert!(
        recovery.bounds.low > span(150) && recovery.bounds.high < Some(span(250)),
        "{recovery:?}"
    );
}

#[test]
fn a_lost_write_fails_the_drill_at_either_end() {
    // The last write before the cut.
    let last = CUT_AT / 20 - 1;
    for end in [0, 1] {
        let mut world = world(none_lost());
        world.missing[end] = Some(vec![last]);
        let judged = world.judged();
        assert_eq!(judged.verdict, Verdict::Fail, "{end}: {:?}", judged.reasons);
        let (judgement, why) = of(&judged, Promise::LoseAtMost);
        assert_eq!(judgement, Judgement::Broken);
        assert!(why.starts_with("1 of "), "{why}");
    }
    let mut allowed = world(Promises { lose_at_most: Some(LossBudget::Writes(1)), ..none_lost() });
    allowed.missing[1] = Some(vec![last]);
    assert_eq!(allowed.judged().verdict, Verdict::Pass);
}

#[test]
fn a_window_is_judged_by_its_bounds() {
    let last = CUT_AT / 20 - 1;
    let within = |millis| {
        let mut world =
            world(Promises { lose_at_most: Some(LossBudget::Window(span(millis))), ..none_lost() });
        // From 5 periods before the cut on.
        world.missing[0] = Some((last - 4..=last).collect());
        of(&world.judged(), Promise::LoseAtMost)
    };
    assert_eq!(within(150).0, Judgement::Kept);
    assert_eq!(within(50).0, Judgement::Broken);
    let (judgement, why) = within(110);
    assert_eq!(judgement, Judgement::Undecided);
    assert!(why.contains("too close to decide") && why.contains("every"), "{why}");
}

#[test]
fn what_was_not_read_is_inconclusive_and_says_what_to_do() {
    for (end, stage) in [(0, "after failover"), (1, "after failback")] {
        let mut world = world(none_lost());
        world.missing[end] = None;
        let judged = world.judged();
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{:?}", judged.reasons);
        assert!(
            judged.reasons.iter().all(|why| why.code == "promise-undecided"),
            "{:?}",
            judged.reasons
        );
        for promise in [Promise::LoseAtMost, Promise::DuplicateAtMost] {
            let (_, why) = of(&judged, promise);
            assert!(
                why.contains(&format!("{stage} it could not be read back: status 503; ")),
                "{why}"
            );
        }
    }
    let mut hasty = world(none_lost());
    hasty.missing[0] = Some(vec![3]);
    hasty.settled = false;
    let judged = hasty.judged();
    assert_eq!(judged.verdict, Verdict::Inconclusive, "{:?}", judged.reasons);
    let (_, why) = of(&judged, Promise::LoseAtMost);
    assert!(why.contains("before what is missing had its time; give it `settle`"), "{why}");
}

#[test]
fn a_certain_loss_fails_the_drill_though_the_other_end_was_not_read() {
    let mut world = world(none_lost());
    world.missing = [Some(vec![3]), None];
    let judged = world.judged();
    assert_eq!(judged.verdict, Verdict::Fail, "{:?}", judged.reasons);
    let counted = judged.services[0].promises.iter().find_map(|it| it.counted);
    assert_eq!(counted, Some(CountBounds { low: 1, high: None }));
}

#[test]
fn the_service_s_promise_is_kept_by_its_ledgers_without_promises_of_their_own() {
    let mut world = world(none_lost());
    let silent = ProbeSpec { name: "other".into(), ..world.plan.services[0].probes[0].clone() };
    world.plan.services[0].probes.push(silent);
    // One that wrote nothing hides no loss of another, and is no pass.
    let judged = world.judged();
    assert_eq!(of(&judged, Promise::LoseAtMost).0, Judgement::Undecided);
    world.missing[0] = Some(vec![3]);
    let judged = world.judged();
    assert_eq!(judged.verdict, Verdict::Fail, "{:?}", judged.reasons);
    // Judged by its own promises, it counts for the service's no more.
    world.plan.services[0].probes[0].promises =
        Promises { recover_within: Some(span(800)), ..Promises::default() };
    let judged = world.judged();
    assert_eq!(of(&judged, Promise::LoseAtMost).0, Judgement::Undecided, "of the silent one");
}

#[test]
fn a_ledger_without_a_recovery_promise_is_waited_for_until_there_is_only_time_to_read_it() {
    let lose = Promises { lose_at_most: Some(LossBudget::Writes(0)), ..Promises::default() };
    let settled = |promises: Promises, back: bool, until: u64| {
        let mut world = world(promises);
        if !back {
            let after = |sample: &&mut Sample| sample.sent >= ms(CUT_AT);
            world.samples.iter_mut().filter(after).for_each(|sample| sample.outcome = BAD);
        }
        world.samples.retain(|sample| sample.sent < ms(until));
        // Nine tenths of it are over 2.7 s after the cut.
        world.plan.timing.at_most = span(3_000);
        let (_, mut observation) = world.observed();
        observation.marks.restore_issued = None;
        observation.marks.restore_confirmed = None;
        observation.is_settled()
    };
    assert!(settled(lose, true, 2_000), "its writes are back and stable");
    assert!(!settled(lose, true, 1_300), "not stable yet");
    assert!(!settled(lose, false, 3_600), "they may still come back");
    assert!(settled(lose, false, 3_800), "what is left is needed to read");
    let sustained = Promises { sustain: true, ..lose };
    assert!(!settled(sustained, false, 3_800), "more is promised than its records");
}

/// Turns what was sent within `during` into `outcome`, which no store acknowledged.
fn turned(world: &mut World, during: std::ops::Range<u64>, outcome: Outcome) {
    let hit = |sample: &&mut Sample| (ms(during.start)..ms(during.end)).contains(&sample.sent);
    for sample in world.samples.iter_mut().filter(hit) {
        (sample.outcome, sample.acknowledged) = (outcome, false);
    }
}

#[test]
fn none_lost_is_no_pass_where_little_was_at_risk() {
    let lose = Promises { lose_at_most: Some(LossBudget::Writes(0)), ..Promises::default() };
    let unknown = Outcome::Unknown(Blindness::TooManyInFlight);
    let cases = [
        (CUT_AT..2_950, BAD, "no write was acknowledged while cut"),
        (CUT_AT - 700..CUT_AT, BAD, "no write was acknowledged in the last"),
        (0..CUT_AT, BAD, "no write was acknowledged before the cut"),
        (1_500..1_900, unknown, "the observer could not ask"),
        (1_500..2_400, unknown, "the observer was blind"),
    ];
    for (during, outcome, says) in cases {
        for budget in [lose, Promises { duplicate_at_most: Some(0), ..Promises::default() }] {
            let mut world = world(budget);
            assert_eq!(world.judged().services[0].promises[0].judgement, Judgement::Kept);
            turned(&mut world, during.clone(), outcome);
            let result = world.judged().services[0].promises.remove(0);
            // Copies are made when writes fail over; what was at risk before it is no matter for them.
            let expected = match result.promise {
                Promise::DuplicateAtMost if during.end == CUT_AT => Judgement::Kept,
                _ => Judgement::Undecided,
            };
            assert_eq!(result.judgement, expected, "{during:?}: {}", result.why);
            assert!(expected == Judgement::Kept || result.why.contains(says), "{}", result.why);
        }
    }
    // What is lost breaks the promise all the same.
    let mut broken = world(lose);
    turned(&mut broken, CUT_AT..2_950, BAD);
    broken.missing[0] = Some(vec![3]);
    assert_eq!(of(&broken.judged(), Promise::LoseAtMost).0, Judgement::Broken);
}

#[test]
fn a_pause_before_the_cut_is_within_the_bounds_of_a_window() {
    let judged = |millis| {
        let budget = Some(LossBudget::Window(span(millis)));
        let mut world = world(Promises { lose_at_most: budget, ..Promises::default() });
        turned(&mut world, CUT_AT - 700..CUT_AT, BAD);
        of(&world.judged(), Promise::LoseAtMost).0
    };
    assert_eq!(judged(600), Judgement::Undecided);
    assert_eq!(judged(800), Judgement::Kept);
}

#[test]
fn copies_that_no_reading_could_show_are_never_none() {
    let mut world = world(none_lost());
    world.one_by_one = true;
    let judged = world.judged();
    assert_eq!(of(&judged, Promise::LoseAtMost).0, Judgement::Kept);
    let (judgement, why) = of(&judged, Promise::DuplicateAtMost);
    assert_eq!(judgement, Judgement::Undecided);
    assert!(why.contains("one by one") && why.contains("let `read` list them"), "{why}");
}
