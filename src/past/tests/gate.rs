//! A gate is open only for what is proven.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::super::gate::{Known, Rules, decide as decide_by};
use super::super::own::{Chosen, Wanted};
use super::{bounds, day, lost, run};
use crate::model::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub fn pay() -> Wanted {
    Wanted {
        plan: "pay".into(),
        file: "pay.yaml".to_owned(),
        hash: Ok("now".to_owned()),
        vars: BTreeMap::new(),
        other_vars: BTreeSet::new(),
        chosen: Chosen::default(),
        services: vec!["shop".into()],
        others: vec![],
    }
}

/// Decides where no traffic is cut.
pub fn decide(
    wanted: &[Wanted],
    runs: &[Summary],
    lost: &[LostRun],
    rules: &Rules,
    now: Timestamp,
) -> Gate {
    decide_by(wanted, Known { runs, lost, cut: &[] }, rules, now)
}

pub fn codes(gate: &Gate) -> Vec<&str> {
    gate.plans.iter().flat_map(|plan| &plan.objections).map(|why| why.code.as_str()).collect()
}

fn decide_for(runs: &[Summary], lost: &[LostRun]) -> Gate {
    decide(&[pay()], runs, lost, &Rules::default(), day(100))
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
fn it_may_be_as_slow_as_its_history_explains_and_no_slower() {
    let rules = Rules { within_p75: true, ..Rules::default() };
    // Of the high bounds 10, 20, 30 and 40 one of four is at most 10 and three of four are at most 30.
    let history = |low| {
        let mut last = run(5, 1000);
        last.slowest.as_mut().unwrap().recovery = Some(bounds(low, 1000));
        [run(1, 40), run(2, 10), run(3, 30), run(4, 20), last]
    };
    objections(&history(60), rules, &[]);
    let gate = objections(&history(61), rules, &["slower"]);
    let text = &gate.plans[0].objections[0].text;
    for said in ["at least 61 ms", "the 4 earlier", "at most 30 ms", "more than 60 ms"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    objections(&history(61), Rules::default(), &[]);
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
    // The last drill began in the middle of a second, and the id of the lost one tells that second alone.
    let ms = jiff::SignedDuration::from_millis;
    let at = |at: Timestamp| LostRun { at: Some(at), ..lost(Some("pay"), None) };
    let last = [Summary { started_at: day(5) + ms(900), ..run(5, 10) }];
    let after = |lost| decide_for(&last, &[lost]).plans[0].objections.len();
    assert_eq!(after(at(day(5))), 1, "the same second");
    assert_eq!(after(at(day(5) - ms(1000))), 0, "the second before");
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

#[test]
fn traffic_that_any_run_left_cut_closes_it() {
    let runs = [run(1, 10)];
    let cut = ["run-mail may have left traffic cut".to_owned()];
    let known = Known { runs: &runs, lost: &[], cut: &cut };
    let gate = decide_by(&[pay()], known, &Rules::default(), day(100));
    assert!(!gate.open && gate.plans[0].objections.is_empty(), "{gate:?}");
    assert_eq!(gate.objections, [Why::new("traffic-cut", cut[0].clone())]);
    assert!(decide_by(&[pay()], Known { cut: &[], ..known }, &Rules::default(), day(100)).open);
}

#[test]
fn a_record_that_contradicts_itself_proves_nothing() {
    let but = |run: Summary| Summary { contradiction: Some("shop is broken".to_owned()), ..run };
    let gate = objections(&[but(run(1, 10))], Rules::default(), &["contradictory"]);
    assert!(gate.plans[0].objections[0].text.contains("although shop is broken"), "{gate:?}");
    assert_eq!(gate.unproven.len(), 1);
    // Nor is it a measure of others.
    let rules = Rules { within_p75: true, ..Rules::default() };
    let runs = [run(1, 10), run(2, 10), but(run(3, 10)), run(4, 10), run(5, 10)];
    objections(&runs, rules, &["too-few"]);
}

fn sealed(key: &str, values: &[(&str, &str)]) -> Option<Sealed> {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Some(Sealed { key: key.to_owned(), values: values.collect() })
}

#[test]
fn the_environment_must_choose_the_same_system() {
    let decide = |then: Option<Sealed>, names: &[&str], now: Option<Sealed>| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let wanted = Wanted { chosen: Chosen { names, sealed: now, unusable: None }, ..pay() };
        let run = Summary { env: then, ..run(1, 10) };
        let gate = decide(&[wanted], &[run], &[], &Rules::default(), day(100));
        assert_eq!(gate.open, codes(&gate).is_empty());
        assert_eq!(gate.unproven.is_empty(), gate.open, "what is not known proves nothing either");
        let why = gate.plans[0].objections.first();
        why.map(|why| (why.code.clone(), why.text.clone())).unwrap_or_default()
    };
    let staging = || sealed("key", &[("HOST", "staging")]);
    assert_eq!(decide(staging(), &["HOST"], staging()).0, "");
    assert_eq!(decide(None, &[], sealed("key", &[])).0, "", "it asks for none");
    let (code, text) = decide(staging(), &["HOST"], sealed("key", &[("HOST", "production")]));
    assert_eq!(code, "other-env");
    assert!(
        text.contains("${env:HOST} had another value") && !text.contains("production"),
        "{text}"
    );
    for (now, hint) in [
        (sealed("key", &[]), "set it as it was in the drill, or let --var"),
        (sealed("another", &[("HOST", "staging")]), "run the gate where the drill ran"),
        (None, "run the gate where the drill ran"),
    ] {
        let (code, text) = decide(staging(), &["HOST"], now);
        assert!(code == "env-unknown" && text.contains(hint), "{code}: {text}");
    }
    assert_eq!(decide(None, &["HOST"], staging()).0, "plan-unknown", "an older record");
    let broken = Some("env.key is no key".to_owned());
    let chosen = Chosen { unusable: broken, ..Chosen::default() };
    let run = Summary { env: staging(), ..run(1, 10) };
    let gate = decide_by(
        &[Wanted { chosen, ..pay() }],
        Known { runs: &[run], lost: &[], cut: &[] },
        &Rules::default(),
        day(100),
    );
    let why = &gate.plans[0].objections[0];
    assert!(why.code == "env-unknown" && why.text.ends_with("used: env.key is no key"), "{why:?}");
    // A name that only one of the two knows.
    assert_eq!(decide(staging(), &[], sealed("key", &[])).0, "env-unknown");
    assert_eq!(decide(sealed("key", &[]), &["HOST"], staging()).0, "other-env");
}

#[test]
fn only_drills_of_the_same_system_are_alike() {
    let rules = Rules { within_p75: true, ..Rules::default() };
    let env = |env, run: Summary| Summary { env, ..run };
    let staging = || sealed("key", &[("HOST", "staging")]);
    let names = ["HOST".to_owned()].into();
    let wanted = Wanted { chosen: Chosen { names, sealed: staging(), unusable: None }, ..pay() };
    let runs = |other| {
        let earlier = (1..4).map(|day| env(staging(), run(day, 10)));
        let more = [env(other, run(4, 10)), env(staging(), run(5, 10))];
        earlier.chain(more).collect::<Vec<_>>()
    };
    let codes_of = |other| {
        let gate = decide(std::slice::from_ref(&wanted), &runs(other), &[], &rules, day(100));
        codes(&gate).join(" ")
    };
    assert_eq!(codes_of(staging()), "");
    assert_eq!(codes_of(sealed("key", &[("HOST", "production")])), "too-few");
}

#[test]
fn a_service_of_a_lab_proves_none_of_the_same_name_in_production() {
    let rules = Rules { require_all: true, ..Rules::default() };
    let mail = Wanted { plan: "mail".into(), hash: Ok("mail".to_owned()), ..pay() };
    let both = Wanted { services: vec!["shop".into(), "login".into()], ..pay() };
    let lab = |plan: &str, hash: &str| Summary {
        plan: plan.into(),
        hash: Some(hash.to_owned()),
        lab: true,
        measured: vec!["shop".into(), "login".into()],
        ..run(3, 10)
    };
    let unproven = |runs: &[Summary]| {
        let gate = decide(&[both.clone(), mail.clone()], runs, &[], &rules, day(100));
        assert_eq!(gate.open, gate.unproven.is_empty() && codes(&gate).is_empty());
        let names = gate.unproven.iter().map(|it| format!("{}/{}", it.plan, it.service));
        names.collect::<Vec<_>>()
    };
    assert_eq!(unproven(&[run(5, 10), lab("mail", "mail")]), ["pay/login"]);
    // What the plan was once, with a lab in it, proves nothing of what it is now.
    assert_eq!(unproven(&[run(5, 10), lab("pay", "then"), lab("mail", "mail")]), ["pay/login"]);
}
