//! The order of runs, their trends, and what is usual among them.

use std::time::Duration;

use super::super::history::{FEWEST, history, usual};
use super::{bounds, lost, run};
use crate::model::*;

fn ids(history: &History) -> Vec<&str> {
    history.runs.iter().map(|run| run.run.as_str()).collect()
}

#[test]
fn the_latest_run_comes_first_and_the_earlier_ones_are_counted() {
    let runs = vec![run(2, 10), run(5, 10), run(1, 10), run(3, 10)];
    let history = history(runs, vec![], None, 3);
    assert_eq!(ids(&history), ["run-005", "run-003", "run-002"]);
    assert_eq!(history.earlier, 1);
}

#[test]
fn one_plan_has_its_own_runs_and_those_that_may_be_its_own() {
    let other = Summary { plan: "mail".into(), ..run(4, 10) };
    let left = vec![lost(Some("mail"), None), lost(Some("pay"), None), lost(None, None)];
    let history = history(vec![run(1, 10), other], left, Some(&"pay".into()), usize::MAX);
    assert_eq!(ids(&history), ["run-001"]);
    let plans: Vec<_> = history.left_out.iter().map(|lost| lost.plan.clone()).collect();
    assert_eq!(plans, [Some("pay".into()), None]);
}

#[test]
fn a_trend_has_the_runs_that_are_like_the_latest_one_the_oldest_first() {
    let unlike = [
        Summary { lab: true, ..run(2, 900) },
        Summary { cut: "west".to_owned(), ..run(3, 900) },
        Summary { mode: Mode::Reset, ..run(4, 900) },
        Summary { plan: "mail".into(), ..run(9, 900) },
    ];
    let runs = [run(1, 10), run(5, 20), run(6, 100)].into_iter().chain(unlike).collect();
    let history = history(runs, vec![], None, usize::MAX);
    let trend = history.trends.iter().find(|trend| trend.plan.as_str() == "pay").unwrap();
    let points: Vec<&str> = trend.points.iter().map(|point| point.run.as_str()).collect();
    assert_eq!(points, ["run-001", "run-005", "run-006"]);
    // [50, 100] after [10, 20].
    assert_eq!(trend.change, Some(Change::Slower));
    let plans: Vec<&str> = history.trends.iter().map(|trend| trend.plan.as_str()).collect();
    assert_eq!(plans, ["mail", "pay"], "the plan of the latest run first");
    assert_eq!(history.trends[0].change, None, "it has nothing before it");
}

#[test]
fn a_drill_that_measured_nothing_does_not_hide_the_trend() {
    let refused = Summary { slowest: None, cut: "west".to_owned(), ..run(3, 0) };
    let all = history(vec![run(1, 10), run(2, 20), refused.clone()], vec![], None, 1);
    assert_eq!((&*all.trends[0].cut, all.trends[0].points.len()), ("east", 2));
    assert_eq!(history(vec![refused], vec![], None, 1).trends[0].cut, "west");
}

#[test]
fn a_trend_looks_back_beyond_the_runs_that_are_shown() {
    let history = history((1..=9).map(|day| run(day, 10)).collect(), vec![], None, 1);
    assert_eq!((history.runs.len(), history.trends[0].points.len()), (1, 9));
}

#[test]
fn three_of_four_passed_runs_are_within_the_75th_percentile() {
    let p75 = |highs: &[u64]| {
        let runs: Vec<Summary> = highs.iter().map(|high| run(1, *high)).collect();
        usual(runs.iter()).p75.map(|p75| p75.as_millis())
    };
    assert_eq!(p75(&[1, 2, 3]), None);
    assert_eq!(p75(&[40, 10, 30, 20]), Some(30));
    assert_eq!(p75(&[50, 40, 30, 20, 10]), Some(40));
    assert_eq!(p75(&[1, 2, 3, 4, 5, 6, 7, 8]), Some(6));
    assert_eq!(p75(&[7; 100]), Some(7));
    assert_eq!(FEWEST, 4);
}

#[test]
fn only_passed_runs_whose_recovery_was_seen_to_end_tell_what_is_usual() {
    let failed = Summary { verdict: Verdict::Fail, ..run(1, 10) };
    let unmeasured = Summary { slowest: None, ..run(1, 10) };
    let mut unseen = run(1, 10);
    unseen.slowest.as_mut().unwrap().recovery = Some(Bounds { high: None, ..bounds(5, 10) });
    let runs = [run(1, 10), failed, unmeasured, unseen];
    let usual = usual(runs.iter());
    assert_eq!((usual.count, usual.p75), (1, None::<Duration>));
}
