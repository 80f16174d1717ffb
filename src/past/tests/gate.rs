//! A gate is open only for what is proven.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::gate::{Rules, Wanted, decide};
use super::{bounds, day, lost, run};
use crate::model::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn pay() -> Wanted {
    Wanted {
        plan: "pay".into(),
        file: "pay.yaml".to_owned(),
        hash: Ok("now".to_owned()),
        vars: BTreeMap::new(),
        services: vec!["shop".into()],
    }
}

fn codes(gate: &Gate) -> Vec<&str> {
    gate.plans.iter().flat_map(|plan| &plan.objections).map(|why| why.code.as_str()).collect()
}

/// What a gate for `pay` has against `runs` on the day 100.
#[track_caller]
fn objections(runs: &[Summary], rules: Rules, expected: &[&str]) -> Gate {
    let gate = decide(&[pay()], runs, &[], &rules, day(100));
    assert_eq!(codes(&gate), expected, "{gate:?}");
    assert_eq!(gate.open, expected.is_empty());
    gate
}

#[test]
fn a_last_drill_that_passed_and_ran_the_plan_as_it_is_opens_it() {
    objections(&[run(1, 10)], Rules::default(), &[]);
    let earlier = Summary { verdict: Verdict::Fail, hash: None, ..run(0, 10) };
    objections(&[run(1, 10), earlier], Rules::default(), &[]);
}

#[test]
fn nothing_asked_is_nothing_proven() {
    assert!(!decide(&[], &[run(1, 10)], &[], &Rules::default(), day(100)).open);
    objections(&[], Rules::default(), &["never-drilled"]);
    objections(
        &[Summary { plan: "mail".into(), ..run(1, 10) }],
        Rules::default(),
        &["never-drilled"],
    );
}

#[test]
fn no_other_verdict_of_the_last_drill_opens_it() {
    use Verdict::{Fail, Inconclusive, NotRestored, NotStarted, Stopped};
    for verdict in [Fail, Inconclusive, NotRestored, NotStarted, Stopped] {
        let runs = [run(1, 10), Summary { verdict, ..run(2, 10) }];
        let gate = objections(&runs, Rules::default(), &["not-passed"]);
        assert!(gate.plans[0].objections[0].text.contains(&verdict.to_string()));
    }
}

#[test]
fn the_last_drill_must_be_young_enough_to_the_moment() {
    let rules = |days| Rules { max_age: Some(DAY * days), ..Rules::default() };
    objections(&[run(70, 10)], rules(30), &[]);
    let gate = objections(&[run(69, 10)], rules(30), &["too-old"]);
    assert_eq!(gate.plans[0].objections[0].text, "its last drill is 31 d old, of 30 d allowed");
    objections(&[run(69, 10)], Rules::default(), &[]);
}

#[test]
fn a_drill_from_the_future_is_not_young() {
    let rules = Rules { max_age: Some(DAY * 30), ..Rules::default() };
    for rules in [rules, Rules::default()] {
        objections(&[run(99, 10), run(101, 10)], rules, &["from-the-future"]);
    }
}

#[test]
fn a_plan_that_was_edited_is_not_verified() {
    let with = |hash: Option<&str>| [Summary { hash: hash.map(str::to_owned), ..run(1, 10) }];
    objections(&with(Some("then")), Rules::default(), &["plan-edited"]);
    objections(&with(None), Rules::default(), &["plan-unknown"]);
    let region = BTreeMap::from([("region".to_owned(), "test".to_owned())]);
    let vars = Summary { hash: Some("then".to_owned()), vars: region, ..run(1, 10) };
    let gate = objections(&[vars], Rules::default(), &["other-vars"]);
    assert!(gate.plans[0].objections[0].text.contains("--var region=test"));
    let gone = Wanted { hash: Err("no such file".to_owned()), ..pay() };
    let gate = decide(&[gone], &[run(1, 10)], &[], &Rules::default(), day(100));
    assert_eq!((codes(&gate), gate.open), (vec!["plan-unreadable"], false));
}

#[test]
fn it_may_be_as_slow_as_three_of_four_earlier_drills_and_no_slower() {
    let rules = Rules { within_p75: true, ..Rules::default() };
    let history = |last| [run(1, 40), run(2, 10), run(3, 30), run(4, 20), run(5, last)];
    objections(&history(30), rules, &[]);
    let gate = objections(&history(31), rules, &["slower"]);
    let text = &gate.plans[0].objections[0].text;
    assert!(text.contains("up to 31.0 ms") || text.contains("up to 31 ms"), "{text}");
    objections(&history(31), Rules::default(), &[]);
}

#[test]
fn with_too_few_earlier_drills_it_is_not_known_whether_it_got_slower() {
    let rules = Rules { within_p75: true, ..Rules::default() };
    objections(&[run(1, 10), run(2, 10), run(3, 10), run(4, 10)], rules, &["too-few"]);
    objections(&[run(1, 10), run(2, 10), run(3, 10), run(4, 10), run(5, 10)], rules, &[]);
    // The last one is no measure of itself, and what is unlike it is none either.
    for unlike in [
        Summary { lab: true, ..run(2, 10) },
        Summary { mode: Mode::Reset, ..run(2, 10) },
        Summary { cut: "west".to_owned(), ..run(2, 10) },
        Summary { verdict: Verdict::Fail, ..run(2, 10) },
    ] {
        let runs = [run(1, 10), unlike, run(3, 10), run(4, 10), run(5, 10)];
        objections(&runs, rules, &["too-few"]);
    }
}

#[test]
fn a_recovery_that_was_not_seen_to_end_is_not_within_anything() {
    let rules = Rules { within_p75: true, ..Rules::default() };
    let mut runs: Vec<Summary> = (1..=6).map(|day| run(day, 10)).collect();
    let open = Bounds { high: None, ..bounds(1, 1) };
    runs[5].slowest.as_mut().unwrap().recovery = Some(open);
    objections(&runs, rules, &["not-measured"]);
    runs[5].slowest = None;
    objections(&runs, rules, &["not-measured"]);
}

#[test]
fn a_run_without_a_record_that_may_be_the_last_one_closes_it() {
    let decide =
        |lost: LostRun| decide(&[pay()], &[run(5, 10)], &[lost], &Rules::default(), day(100));
    for may_be in
        [lost(Some("pay"), Some(6)), lost(None, Some(6)), lost(None, None), lost(Some("pay"), None)]
    {
        let gate = decide(may_be);
        assert_eq!((codes(&gate), gate.open), (vec!["lost-run"], false));
    }
    for is_not in [lost(Some("mail"), Some(6)), lost(Some("pay"), Some(4)), lost(None, Some(4))] {
        assert!(decide(is_not).open);
    }
    let gate = decide(LostRun { under_way: true, ..lost(Some("pay"), Some(6)) });
    assert!(gate.open && gate.plans[0].notes[0].contains("still going on"), "{gate:?}");
}

#[test]
fn a_drill_of_a_lab_is_told_as_such() {
    let gate = objections(&[Summary { lab: true, ..run(1, 10) }], Rules::default(), &[]);
    assert!(gate.plans[0].notes[0].contains("lab"));
    assert_eq!(objections(&[run(1, 10)], Rules::default(), &[]).plans[0].notes, [""; 0]);
}

#[test]
fn a_service_that_no_passed_drill_measured_closes_it_if_all_are_required() {
    let wanted = [Wanted { services: vec!["shop".into(), "login".into()], ..pay() }];
    let unproven = |runs: &[Summary], require_all, max_age: Option<Duration>| {
        let rules = Rules { require_all, max_age, ..Rules::default() };
        let gate = decide(&wanted, runs, &[], &rules, day(100));
        let names: Vec<String> = gate.unproven.iter().map(|it| it.service.to_string()).collect();
        (gate.open, names)
    };
    let login = |days| Summary { measured: vec!["login".into()], ..run(days, 10) };
    let none: Vec<String> = vec![];
    assert_eq!(unproven(&[run(99, 10)], false, None), (true, vec!["login".to_owned()]));
    assert_eq!(unproven(&[run(99, 10)], true, None), (false, vec!["login".to_owned()]));
    // An earlier drill may have measured it.
    assert_eq!(unproven(&[login(50), run(99, 10)], true, None), (true, none));
    let failed = Summary { verdict: Verdict::Fail, ..login(50) };
    assert!(!unproven(&[failed, run(99, 10)], true, None).0);
    let other = Summary { plan: "mail".into(), ..login(50) };
    assert!(!unproven(&[other, run(99, 10)], true, None).0);
    assert!(!unproven(&[login(50), run(99, 10)], true, Some(DAY * 30)).0);
}

#[test]
fn every_plan_has_to_pass_and_each_says_its_own() {
    let mail = Wanted { plan: "mail".into(), file: "mail.yaml".to_owned(), ..pay() };
    let runs =
        [run(1, 10), Summary { plan: "mail".into(), verdict: Verdict::Stopped, ..run(2, 10) }];
    let gate = decide(&[pay(), mail], &runs, &[], &Rules::default(), day(100));
    assert!(!gate.open);
    assert_eq!(gate.plans.iter().map(|plan| plan.objections.len()).collect::<Vec<_>>(), [0, 1]);
}
