//! Two plans of one name, plans that were moved, and copies of records.

use super::super::gate::Rules;
use super::super::own::{Chosen, Other, Wanted};
use super::super::{distinct, history};
use super::gate::{codes, decide, pay};
use super::{day, run};
use crate::model::*;

/// A run on the day `days` of what was in `file` then.
fn ran(days: i64, file: &str, hash: &str, verdict: Verdict) -> Summary {
    Summary { file: file.to_owned(), hash: Some(hash.to_owned()), verdict, ..run(days, 10) }
}

fn wanted(file: &str, hash: &str, others: &[(&str, &str)]) -> Wanted {
    let other =
        |(file, hash): &(&str, &str)| Other { file: (*file).to_owned(), hash: (*hash).to_owned() };
    let others = others.iter().map(other).collect();
    Wanted { file: file.to_owned(), hash: Ok(hash.to_owned()), others, ..pay() }
}

#[track_caller]
fn objections(wanted: Wanted, runs: &[Summary], expected: &[&str]) {
    let gate = decide(&[wanted], runs, &[], &Rules::default(), day(100));
    assert_eq!(codes(&gate), expected, "{gate:?}");
}

#[test]
fn each_of_two_plans_of_one_name_is_judged_by_its_own_last_drill() {
    use Verdict::{Fail, Pass};
    let a = || wanted("a/pay.yaml", "A", &[("b/pay.yaml", "B")]);
    let b = || wanted("b/pay.yaml", "B", &[("a/pay.yaml", "A")]);
    let runs = [ran(1, "b/pay.yaml", "B", Fail), ran(2, "a/pay.yaml", "A", Pass)];
    objections(a(), &runs, &[]);
    objections(b(), &runs, &["not-passed"]);
    let runs = [ran(2, "b/pay.yaml", "B", Fail), ran(1, "a/pay.yaml", "A", Pass)];
    objections(a(), &runs, &[]);
    objections(b(), &runs, &["not-passed"]);
    // What the other file held once is the other plan's too.
    let runs = [
        ran(1, "a/pay.yaml", "A", Pass),
        ran(2, "b/pay.yaml", "B-old", Fail),
        ran(3, "b/pay.yaml", "B", Pass),
    ];
    objections(a(), &runs, &[]);
    objections(b(), &runs, &[]);
}

#[test]
fn a_plan_that_was_moved_is_not_passed_by_what_it_was_before_it_failed() {
    use Verdict::{Fail, Pass};
    // The old file is gone, or holds something else: the failure may have been of this plan.
    let failed = [ran(1, "new.yaml", "A", Pass), ran(2, "old.yaml", "A-old", Fail)];
    objections(wanted("new.yaml", "A", &[]), &failed, &["not-passed", "plan-edited"]);
    let never = [ran(1, "new.yaml", "A-old", Pass), ran(2, "old.yaml", "A-old", Fail)];
    let edited = wanted("new.yaml", "A", &[("old.yaml", "never-run")]);
    objections(edited.clone(), &never, &["not-passed", "plan-edited"]);
    // This file was drilled as it is, and the other one is there: it is the other's failure, edited since or not.
    objections(edited, &failed, &[]);
    // It ran what is in this file now.
    let same = [ran(1, "new.yaml", "A", Pass), ran(2, "old.yaml", "A", Fail)];
    objections(wanted("new.yaml", "A", &[("old.yaml", "A")]), &same, &["not-passed"]);
    // A drill from its new place settles it.
    let again = [ran(2, "old.yaml", "A-old", Fail), ran(3, "new.yaml", "A", Pass)];
    objections(wanted("new.yaml", "A", &[]), &again, &[]);
}

#[test]
fn an_edit_of_another_plan_of_its_name_closes_nothing() {
    use Verdict::{Fail, Pass};
    for verdict in [Pass, Fail] {
        let runs = [ran(1, "a/pay.yaml", "A", Pass), ran(2, "b/pay.yaml", "B", verdict)];
        objections(wanted("a/pay.yaml", "A", &[("b/pay.yaml", "B-edited")]), &runs, &[]);
        let b = wanted("b/pay.yaml", "B-edited", &[("a/pay.yaml", "A")]);
        let gate = decide(&[b], &runs, &[], &Rules::default(), day(100));
        assert!(codes(&gate).contains(&"plan-edited"), "{gate:?}");
        // Not so where `a` itself was edited: whose run it was is not known.
        let a = wanted("a/pay.yaml", "A-edited", &[("b/pay.yaml", "B-edited")]);
        assert!(!decide(&[a], &runs, &[], &Rules::default(), day(100)).open);
    }
}

#[test]
fn a_plan_with_values_is_judged_by_the_drills_with_the_same_values() {
    use Verdict::{Fail, Pass};
    let of = |hash: &str, others: &[&str]| {
        let other_vars = others.iter().map(|&other| other.to_owned()).collect();
        Wanted { other_vars, ..wanted("pay.yaml", hash, &[]) }
    };
    let runs = [ran(1, "pay.yaml", "east", Pass), ran(2, "pay.yaml", "west", Fail)];
    objections(of("east", &["west"]), &runs, &[]);
    objections(of("west", &["east"]), &runs, &["not-passed"]);
    // Without a drill of its own it is as ever; so is it where the text was another one.
    objections(of("north", &["east", "west"]), &runs, &["not-passed", "plan-edited"]);
    objections(of("east", &[]), &runs, &["not-passed", "plan-edited"]);
    let old = [runs[0].clone(), Summary { hash: None, ..ran(3, "pay.yaml", "", Pass) }];
    objections(of("east", &["west"]), &old, &["plan-unknown"]);
}

#[test]
fn a_plan_whose_system_the_environment_chooses_is_judged_by_the_drills_of_that_system() {
    use Verdict::{Fail, Pass};
    let sealed = |key: &str, host: &str| {
        let values = [("HOST".to_owned(), host.to_owned())].into();
        Some(Sealed { key: key.to_owned(), values })
    };
    let asked = |host: &str| {
        let names = ["HOST".to_owned()].into();
        let chosen = Chosen { names, sealed: sealed("key", host), unusable: None };
        Wanted { chosen, ..wanted("pay.yaml", "A", &[]) }
    };
    let ran = |day, env, verdict| Summary { env, ..ran(day, "pay.yaml", "A", verdict) };
    let runs = [ran(1, sealed("key", "east"), Pass), ran(2, sealed("key", "west"), Fail)];
    objections(asked("east"), &runs, &[]);
    objections(asked("west"), &runs, &["not-passed"]);
    objections(asked("north"), &runs, &["not-passed", "other-env"]);
    // What is not known counts for all.
    for unknown in [sealed("another", "west"), None] {
        let runs = [runs[0].clone(), ran(2, unknown, Fail)];
        let gate = decide(&[asked("east")], &runs, &[], &Rules::default(), day(100));
        assert!(codes(&gate).contains(&"not-passed"), "{gate:?}");
    }
}

#[test]
fn what_was_refused_while_the_drill_went_on_is_not_the_last_one() {
    use Verdict::{NotStarted, Pass};
    let long = Summary { ended_at: day(3), ..ran(1, "pay.yaml", "A", Pass) };
    let refused = ran(2, "pay.yaml", "A", NotStarted);
    objections(wanted("pay.yaml", "A", &[]), &[long.clone(), refused], &[]);
    let later = ran(4, "pay.yaml", "A", NotStarted);
    objections(wanted("pay.yaml", "A", &[]), &[long, later], &["not-passed"]);
}

#[test]
fn what_the_calendar_refused_is_noted_and_is_no_drill() {
    let off = |day| Summary { kept_off: true, ..ran(day, "pay.yaml", "A", Verdict::NotStarted) };
    let runs = [ran(1, "pay.yaml", "A", Verdict::Pass), off(2), off(3)];
    let gate = |runs: &[Summary]| {
        decide(&[wanted("pay.yaml", "A", &[])], runs, &[], &Rules::default(), day(100))
    };
    let open = gate(&runs);
    let note = "2 later drills, run-003 the last of them, were refused by the plan's calendar";
    assert!(open.open && open.plans[0].notes[0].starts_with(note), "{open:?}");
    assert_eq!(codes(&gate(&runs[1..])), ["never-drilled"]);
    assert_eq!(gate(&runs[..1]).plans[0].notes, [""; 0]);
}

#[test]
fn a_path_from_elsewhere_tells_no_file() {
    use Verdict::{Fail, Pass};
    // `pay.yaml` was another file where the gate is called, and once drilled from here too.
    let runs = [
        ran(1, "/x/pay.yaml", "A", Pass),
        ran(2, "pay.yaml", "B", Pass),
        ran(3, "pay.yaml", "A-old", Fail),
    ];
    let asked = wanted("/x/pay.yaml", "A", &[("pay.yaml", "B")]);
    objections(asked, &runs, &["not-passed", "plan-edited"]);
}

#[test]
fn copies_of_a_record_are_one_run() {
    let copies = vec![run(1, 10); 5];
    let (runs, lost) = distinct([copies, vec![run(2, 10)]].concat());
    assert_eq!((runs.len(), lost.len()), (2, 0));
    let gate = |runs: &[Summary], lost: &[LostRun]| {
        let rules = Rules { within_p75: true, ..Rules::default() };
        codes(&decide(&[pay()], runs, lost, &rules, day(100))).join(" ")
    };
    assert_eq!(gate(&runs, &lost), "too-few");
    assert_eq!(history(runs, lost, None, 10).runs.len(), 2);
}

#[test]
fn records_that_tell_one_run_differently_are_none() {
    let failed = Summary { verdict: Verdict::Fail, ..run(2, 10) };
    let (runs, lost) = distinct(vec![run(1, 10), run(2, 10), failed]);
    assert_eq!((runs.len(), lost.len()), (1, 1));
    assert!(lost[0].why.contains("2 records"), "{lost:?}");
    let gate = decide(&[pay()], &runs, &lost, &Rules::default(), day(100));
    assert_eq!(codes(&gate), ["lost-run"]);
}
