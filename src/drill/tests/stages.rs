//! The stages in their order, and how a drill leaves each of them.

use super::*;
use crate::model::{Restored, Stage, Verdict};

fn stages(ended: &Ended) -> Vec<Stage> {
    let entered = |event: &DrillEvent| match event {
        DrillEvent::Entered { stage, .. } => Some(*stage),
        _ => None,
    };
    ended.events.iter().filter_map(entered).collect()
}

fn codes(ended: &Ended) -> Vec<&str> {
    ended.record.reasons.iter().map(|why| why.code.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_drill_goes_through_its_stages_and_passes() {
    let ended = drill(plan(&[]), Faults::default(), None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    use Stage::*;
    let all = [Preflight, Baseline, Cut, Observe, Hold, Restore, Failback];
    assert_eq!(stages(&ended), all);
    assert_eq!(
        ended.world.log(),
        [
            "journal: opened",
            "journal: snapshot",
            "journal: cut intended",
            "control: cut",
            "journal: cut confirmed",
            "journal: restore intended",
            "control: restore",
            "journal: restore confirmed",
            "journal: closed",
        ]
    );
    let recovery = ended.record.services[0].recovery.unwrap();
    assert!(recovery.bounds.contains(span(300)), "{}", recovery.bounds);
    assert!(recovery.bounds.width().unwrap() <= span(20 + 2 + 6), "{}", recovery.bounds);
    let failback = ended.record.services[0].failback.unwrap();
    assert!(failback.bounds.contains(span(100)), "{}", failback.bounds);
}

#[tokio::test(start_paused = true)]
async fn a_drill_takes_no_longer_than_its_parts() {
    let ended = drill(plan(&[("hold: 2s", "hold: 0s")]), Faults::default(), None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass);
    let recovery = ended.record.services[0].recovery.unwrap().bounds.high.unwrap();
    let failback = ended.record.services[0].failback.unwrap().bounds.high.unwrap();
    let parts = span(1000) + recovery + span(500) + failback + span(500);
    assert!(ended.took <= parts + span(100), "{:?} for {parts:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn a_failover_that_takes_too_long_fails_as_soon_as_that_is_certain() {
    let faults = Faults { failover: Duration::from_secs(3600), ..Faults::default() };
    let ended = drill(plan(&[]), faults, None).await;
    assert_eq!(ended.record.verdict, Verdict::Fail);
    assert_eq!(codes(&ended), ["promise-broken"]);
    assert!(!stages(&ended).contains(&Stage::Hold), "users are not kept waiting for nothing");
    let marks = ended.record.marks;
    let cut_for = marks.restore_issued.unwrap().since(marks.cut_issued.unwrap());
    assert!(cut_for < span(1500), "budget and time-out: {cut_for:?}");
    assert!(!ended.world.is_cut());
}

#[tokio::test(start_paused = true)]
async fn traffic_is_never_cut_for_longer_than_at_most() {
    let faults = Faults { failover: Duration::from_secs(3600), ..Faults::default() };
    let patient = [("recover_within: 1s", "recover_within: 19s")];
    let ended = drill(plan(&patient), faults, None).await;
    let marks = ended.record.marks;
    let cut_for = marks.restore_issued.unwrap().since(marks.cut_issued.unwrap());
    assert!(cut_for <= span(20_000) + span(10), "{cut_for:?}");
    assert!(!ended.world.is_cut());
    assert_ne!(ended.record.verdict, Verdict::Pass);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_stops_a_drill_that_decides_nothing() {
    let faults = Faults { failover: Duration::from_secs(3600), ..Faults::default() };
    let undecided = [("recover_within: 1s, ", "")];
    let ended = drill(plan(&undecided), faults, None).await;
    assert_eq!(ended.record.verdict, Verdict::Stopped, "{:?}", ended.record.reasons);
    assert_eq!(codes(&ended), ["deadline"]);
    assert!(!ended.world.is_cut());
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_moment_restores() {
    let whole = drill(plan(&[]), Faults::default(), None).await.took;
    let mut verdicts = std::collections::BTreeMap::new();
    for millis in (0..whole.as_millis() as u64).step_by(37) {
        let ended = drill(plan(&[]), Faults::default(), Some(span(millis))).await;
        assert!(!ended.world.is_cut(), "stopped at {millis} ms");
        let log = ended.world.log();
        let intended = log.iter().filter(|line| *line == "journal: cut intended").count();
        let confirmed = log.iter().filter(|line| *line == "journal: restore confirmed").count();
        assert_eq!(intended, confirmed, "stopped at {millis} ms: {log:?}");
        *verdicts.entry(ended.record.verdict.to_string()).or_insert(0) += 1;
    }
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["STOPPED"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_before_the_cut_touches_nothing() {
    let ended = drill(plan(&[]), Faults::default(), Some(span(500))).await;
    assert_eq!(ended.record.verdict, Verdict::Stopped);
    assert_eq!(ended.record.controls[0].restored, Restored::Untouched);
    assert!(!ended.world.log().iter().any(|line| line.starts_with("control")));
}

#[tokio::test(start_paused = true)]
async fn a_feature_that_may_take_its_time_to_fail_back_is_waited_for() {
    let own = "        promises: { recover_within: 1s, failback_within: 12s }\ncut:";
    let changes = [
        ("    promises: { recover_within: 1s, failback_within: 1s }\ncut:", own),
        ("at_most: 20s", "at_most: 6s"),
    ];
    let faults = Faults { failback: Duration::from_secs(8), ..Faults::default() };
    let ended = drill(plan(&changes), faults, None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    let failback = ended.record.services[0].failback.unwrap();
    assert!(failback.bounds.contains(Duration::from_secs(8)), "{}", failback.bounds);
}
