//! Two plans of one name, plans that were moved, and copies of records.

use super::super::gate::Rules;
use super::super::own::{Other, Wanted};
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
    let edited = wanted("new.yaml", "A", &[("old.yaml", "never-run")]);
    objections(edited, &failed, &["not-passed", "plan-edited"]);
    // It ran what is in this file now.
    let same = [ran(1, "new.yaml", "A", Pass), ran(2, "old.yaml", "A", Fail)];
    objections(wanted("new.yaml", "A", &[("old.yaml", "A")]), &same, &["not-passed"]);
    // A drill from its new place settles it.
    let again = [ran(2, "old.yaml", "A-old", Fail), ran(3, "new.yaml", "A", Pass)];
    objections(wanted("new.yaml", "A", &[]), &again, &[]);
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
