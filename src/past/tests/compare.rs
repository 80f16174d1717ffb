//! What is said to be different between two runs, and what is not.

use super::super::{Whole, compare, whole};
use super::bounds;
use super::summary::record;
use crate::model::*;

fn recovery(low: u64, high: u64) -> Option<Recovery> {
    Some(Recovery { bounds: bounds(low, high), seamless: false, relapses: 0, split: None })
}

fn whole_of(change: impl Fn(&mut RunRecord)) -> Whole {
    let mut record = record();
    change(&mut record);
    whole(&serde_json::to_vec(&record).unwrap()).unwrap()
}

/// Compares the record with what `change` makes of it.
fn changed(change: impl Fn(&mut RunRecord)) -> Comparison {
    let after = |record: &mut RunRecord| {
        record.started_at += jiff::SignedDuration::from_hours(1);
        change(record);
    };
    compare(&whole_of(|_| ()), &whole_of(after))
}

fn time<'a>(
    comparison: &'a Comparison,
    service: &str,
    probe: Option<&str>,
    what: Timed,
) -> &'a ComparedTime {
    let is = |time: &&ComparedTime| {
        time.service.as_str() == service
            && time.probe.as_ref().map(Name::as_str) == probe
            && time.what == what
    };
    comparison.times.iter().find(is).unwrap()
}

#[test]
fn two_runs_that_are_alike_show_no_difference() {
    let comparison = changed(|_| ());
    assert_eq!(comparison.plan, PlanChange::Same);
    assert_eq!(comparison.notes, [""; 0]);
    for time in &comparison.times {
        let measured = time.before.is_some();
        let expected = if measured { Change::NoDifferenceShown } else { Change::NeverMeasured };
        assert_eq!(time.change, expected, "{time:?}");
    }
    assert_eq!(comparison.times.len(), 4, "service and probe, recovery and failback");
    assert_eq!(comparison.promises[0].change, Some(Change::NoDifferenceShown));
    assert_eq!(comparison.user_minutes[0].change, Change::NoDifferenceShown);
}

#[test]
fn times_that_do_not_overlap_are_told_of_services_probes_and_promises() {
    let comparison = changed(|record| {
        let shop = &mut record.services[0];
        shop.recovery = recovery(201, 300);
        shop.probes[0].recovery = recovery(10, 99);
        shop.promises[0].measured = Some(bounds(201, 300));
        shop.promises[0].judgement = Judgement::Broken;
        shop.impact.as_mut().unwrap().user_minutes = Some(UserMinutes { low: 9.0, high: 9.5 });
    });
    assert_eq!(time(&comparison, "shop", None, Timed::Recovery).change, Change::Slower);
    assert_eq!(time(&comparison, "shop", Some("get"), Timed::Recovery).change, Change::Faster);
    let promise = &comparison.promises[0];
    assert_eq!(promise.change, Some(Change::Slower));
    let judged = (promise.before.unwrap().judgement, promise.after.unwrap().judgement);
    assert_eq!(judged, (Judgement::Kept, Judgement::Broken));
    assert_eq!(comparison.user_minutes[0].change, Change::Slower);
}

#[test]
fn what_was_measured_in_one_run_only_is_told() {
    let comparison = changed(|record| {
        record.services[0].recovery = None;
        record.services[0].failback = recovery(1, 2);
    });
    assert_eq!(time(&comparison, "shop", None, Timed::Recovery).change, Change::NotMeasuredNow);
    assert_eq!(time(&comparison, "shop", None, Timed::Failback).change, Change::NotMeasuredBefore);
}

#[test]
fn services_probes_and_promises_that_came_and_went_are_told() {
    let comparison = changed(|record| {
        let mut login = record.services[0].clone();
        login.name = "login".into();
        login.impact = None;
        login.promises.clear();
        record.services[0] = login;
    });
    let recovery = |service| time(&comparison, service, None, Timed::Recovery).change;
    assert_eq!(
        (recovery("login"), recovery("shop")),
        (Change::NotMeasuredBefore, Change::NotMeasuredNow)
    );
    let [promise] = &comparison.promises[..] else { panic!("{comparison:?}") };
    assert!(promise.before.is_some() && promise.after.is_none());
    assert_eq!(comparison.user_minutes[0].change, Change::NotMeasuredNow);
}

#[test]
fn a_promise_that_bounds_no_time_is_neither_slower_nor_faster() {
    let sustain = |record: &mut RunRecord| {
        let why = String::new();
        record.services[0].promises =
            vec![PromiseResult::new(Promise::Sustain, Judgement::Kept, why)];
    };
    let comparison = compare(&whole_of(sustain), &whole_of(sustain));
    assert_eq!(comparison.promises[0].change, None);
}

#[test]
fn what_became_of_the_plan_is_told() {
    let plan = |change: fn(&mut PlanSummary)| changed(|record| change(&mut record.plan)).plan;
    assert_eq!(plan(|plan| plan.name = "other".into()), PlanChange::Another);
    assert_eq!(plan(|plan| plan.hash = Some("other".into())), PlanChange::OtherVars);
    let edited = plan(|plan| {
        plan.hash = Some("other".into());
        plan.text = Some("other".into());
    });
    assert_eq!(edited, PlanChange::Edited);
    // Two texts that were too long to be kept are not the same text.
    assert_eq!(
        plan(|plan| (plan.hash, plan.text) = (Some("other".into()), None)),
        PlanChange::Edited
    );
    assert_eq!(plan(|plan| plan.hash = None), PlanChange::Unknown);
}

#[test]
fn what_keeps_two_runs_from_being_comparable_is_said() {
    let notes = |change: fn(&mut RunRecord)| changed(change).notes.join("; ");
    assert!(
        notes(|it| it.plan.cut.mode = Mode::Reset)
            .contains("east by blackhole, then east by reset")
    );
    assert!(
        notes(|it| it.plan.cut.datacenters = vec![DatacenterId(1)]).contains("west by blackhole")
    );
    assert!(notes(|it| it.lab = Some(LabTruth::default())).contains("second run drilled a lab"));
    assert!(notes(|it| it.verdict = Verdict::NotStarted).contains("second run was not started"));
    assert!(notes(|it| it.started_at = super::day(-1)).contains("first run is the later one"));
    let degrade = |latency: u64| {
        whole_of(move |record| {
            let latency = std::time::Duration::from_millis(latency);
            record.plan.cut.mode = Mode::Degrade(Degrade { latency, ..Degrade::default() });
        })
    };
    let notes = compare(&degrade(1), &degrade(2)).notes;
    assert!(notes[0].contains("numbers of the degraded path"), "{notes:?}");
}

#[test]
fn losses_are_told_whether_they_were_promised_or_not() {
    let losing = |lost: Option<(u64, Option<u64>)>| {
        whole_of(move |record: &mut RunRecord| {
            let lost = lost.map(|(low, high)| CountBounds { low, high });
            let ledger = |lost| LedgerRecord { lost, ..LedgerRecord::default() };
            record.services[0].probes[0].ledger = lost.map(ledger);
        })
    };
    let change = |before, after| {
        let comparison = compare(&losing(before), &losing(after));
        comparison.losses.first().map(|loss| loss.change)
    };
    let exactly = |count| Some((count, Some(count)));
    assert_eq!(change(exactly(0), exactly(7)), Some(Change::Slower));
    assert_eq!(change(exactly(7), exactly(0)), Some(Change::Faster));
    assert_eq!(change(exactly(7), exactly(7)), Some(Change::NoDifferenceShown));
    // Nobody knows how many were lost where not all was read.
    assert_eq!(change(exactly(7), Some((0, None))), Some(Change::NoDifferenceShown));
    assert_eq!(change(exactly(7), Some((8, None))), Some(Change::Slower));
    assert_eq!(change(None, exactly(0)), Some(Change::NotMeasuredBefore));
    assert_eq!(change(None, None), None, "there is no ledger");
}
