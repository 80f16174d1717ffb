//! A PASS whose own record says otherwise.

use super::super::summary;
use super::summary::record;
use crate::model::*;

fn contradiction(change: impl Fn(&mut RunRecord)) -> Option<String> {
    let mut record = record();
    change(&mut record);
    summary(&serde_json::to_vec(&record).unwrap()).unwrap().contradiction
}

#[test]
fn a_pass_that_was_earned_does_not_contradict_itself() {
    assert_eq!(contradiction(|_| ()), None);
    // Only a PASS claims anything.
    for verdict in [Verdict::Fail, Verdict::Inconclusive, Verdict::NotStarted] {
        assert_eq!(contradiction(|it| (it.verdict, it.services) = (verdict, vec![])), None);
    }
}

#[test]
fn whatever_a_pass_is_made_of_must_hold() {
    let promise = |record: &mut RunRecord, change: fn(&mut PromiseResult)| {
        change(&mut record.services[0].promises[0]);
    };
    type Change<'a> = &'a dyn Fn(&mut RunRecord);
    let changes: [(&str, Change); 15] = [
        ("shop: recover_within", &|it| promise(it, |it| it.judgement = Judgement::Broken)),
        ("shop: recover_within", &|it| promise(it, |it| it.judgement = Judgement::Undecided)),
        ("shop: recover_within", &|it| promise(it, |it| it.measured = None)),
        ("shop: recover_within", &|it| promise(it, |it| it.budget = None)),
        ("shop: recover_within", &|it| {
            promise(it, |it| it.measured = Some(super::bounds(1, 1001)))
        }),
        ("shop: recover_within", &|it| it.services[0].recovery = None),
        ("no promise", &|it| it.services[0].promises.clear()),
        ("no promise", &|it| it.services.clear()),
        ("wan is not known", &|it| it.controls[0].restored = Restored::No),
        ("wan is not known", &|it| it.controls[0].restored = Restored::Untouched),
        ("wan is not known", &|it| it.controls.clear()),
        ("it says: leaked", &|it| it.proof.missing = vec![Why::new("leak", "leaked")]),
        ("it says: too slow", &|it| it.reasons = vec![Why::new("promise-broken", "too slow")]),
        ("nothing was cut", &|it| it.marks.cut_confirmed = None),
        ("nothing was restored", &|it| it.marks.restore_confirmed = None),
    ];
    for (number, (said, change)) in changes.into_iter().enumerate() {
        let found = contradiction(change);
        assert!(found.as_ref().is_some_and(|it| it.contains(said)), "{number} {said}: {found:?}");
    }
}
