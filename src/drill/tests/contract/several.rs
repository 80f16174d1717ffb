//! Several controls: each is back before the next is touched, and what one breaks keeps the others whole.

use super::*;

/// Three controls, of which the second has `fault`.
fn second(fault: Fault) -> Setup {
    let providers = vec![("a", Fault::None), ("b", fault), ("c", Fault::None)];
    Setup { providers, ..Setup::default() }
}

/// What is changed at a control that keeps every rule, in order.
fn all_of(name: &str) -> Vec<String> {
    let changes = ["restore", "cut", "cut", "restore", "restore", "restore"];
    changes.map(|what| format!("{name} {what}")).into()
}

#[tokio::test(start_paused = true)]
async fn they_are_tested_one_after_another_and_each_is_back_before_the_next_is_touched() {
    for names in [&["a", "b"][..], &["a", "b", "c"]] {
        let providers = names.iter().map(|name| (*name, Fault::None)).collect();
        let tested = test_all(Setup { providers, ..Setup::default() }).await;
        assert_eq!(tested.record.verdict, Verdict::Pass, "{}", tested.told);
        let wanted: Vec<String> = names.iter().flat_map(|name| all_of(name)).collect();
        assert_eq!(tested.asked, wanted);
        let begun: Vec<&str> = tested.told.lines().filter(|line| line.contains("ing")).collect();
        for (place, name) in names.iter().enumerate() {
            assert!(tested.is_whole(place));
            let rules = &tested.record.controls[place].rules;
            assert!(rules.iter().all(|rule| rule.kept == RuleEnd::Yes), "{}", tested.told);
            assert!(begun.contains(&format!("{name}: cutting, for at most 6 s").as_str()));
        }
        let text = format!("PASS  simulated: {} controls kept every rule", names.len());
        assert!(tested.table().starts_with(&text), "{}", tested.table());
        // Every one was read before the first was touched.
        let line = |text: &str| tested.told.find(text).unwrap();
        let last = names[names.len() - 1];
        assert!(
            line(&format!("{last}: kept: others serve on")) < line("a: kept: a restore of what")
        );
    }
}

/// The faults that are seen before anything is touched, and the verdict.
const BEFORE: [(Fault, Verdict); 2] =
    [(Fault::ReadsOtherwise, Verdict::Fail), (Fault::NobodyLeft, Verdict::NotStarted)];

#[tokio::test(start_paused = true)]
async fn none_is_touched_where_the_last_of_them_is_not_ready() {
    for (fault, verdict) in BEFORE {
        let providers = vec![("a", Fault::None), ("b", fault)];
        let tested = test_all(Setup { providers, ..Setup::default() }).await;
        assert_eq!(tested.record.verdict, verdict, "{}", tested.told);
        assert!(tested.asked.is_empty(), "{fault:?}: {:?}", tested.asked);
        assert!(tested.table().contains("b: not kept") || tested.table().contains("b says"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_a_rule_leaves_no_other_cut_and_none_after_it_is_touched() {
    use Fault::{
        CutAgainHangs, CutAgainLate, CutAgainOpens, CutAgainRefused, CutHangs, CutIgnored,
        CutPanics, CutRefused, CutsAnother, CutsHalf, CutsUnforetold, HandAtCutAgain,
        NeverRestores, RestoreAgainOpens, RestoreUncutOpens, RestoresByToggling,
        RestoresOnlyItsOwn, RestoresWrong,
    };
    for (fault, verdict, is_back) in [
        (RestoresByToggling, Verdict::Fail, true),
        (RestoreUncutOpens, Verdict::NotRestored, false),
        (CutRefused, Verdict::Fail, true),
        (CutIgnored, Verdict::Fail, true),
        (CutHangs, Verdict::Fail, true),
        (CutPanics, Verdict::Fail, true),
        (CutsAnother, Verdict::NotRestored, false),
        (CutsHalf, Verdict::Fail, true),
        (CutsUnforetold, Verdict::NotRestored, false),
        (CutAgainOpens, Verdict::Fail, true),
        (CutAgainRefused, Verdict::Fail, true),
        (CutAgainHangs, Verdict::Inconclusive, true),
        (CutAgainLate(span(1_500)), Verdict::Fail, true),
        (HandAtCutAgain, Verdict::NotRestored, false),
        (NeverRestores, Verdict::NotRestored, false),
        (RestoresWrong, Verdict::NotRestored, false),
        (RestoresOnlyItsOwn, Verdict::NotRestored, false),
        (RestoreAgainOpens, Verdict::NotRestored, false),
    ] {
        let tested = test_all(second(fault)).await;
        assert_eq!(tested.record.verdict, verdict, "{fault:?}: {}", tested.told);
        let whole = [0, 1, 2].map(|place| tested.is_whole(place));
        assert_eq!(whole, [true, is_back, true], "{fault:?}: {}", tested.told);
        assert_eq!(tested.asked[..6], all_of("a"), "{fault:?}");
        assert!(!tested.asked.iter().any(|asked| asked.starts_with("c ")), "{fault:?}");
        // The words are those of the second, and so is what is to be done.
        let of = |place: usize| &tested.record.controls[place];
        assert!(of(0).rules.iter().all(|rule| rule.kept == RuleEnd::Yes), "{fault:?}");
        assert_eq!([0, 1, 2].map(|place| of(place).by_hand.is_empty()), [true, is_back, true]);
        assert!(tested.record.reasons.iter().all(|why| why.text.starts_with("b: ")));
        let touched = of(2).rules.iter().filter(|rule| rule.kept != RuleEnd::Untried).count();
        assert_eq!(touched, 3, "{fault:?}: {}", tested.told);
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_it_between_two_controls_finds_nothing_cut() {
    for text in ["a: kept: a second restore", "b: kept: a restore of what"] {
        let tested = test_all(Setup { stop_when: Some(text), ..second(Fault::None) }).await;
        assert_eq!(tested.record.verdict, Verdict::Stopped, "{}", tested.told);
        assert_eq!(tested.codes(), ["signal"]);
        assert!(!tested.asked.contains(&"b cut".to_owned()), "{:?}", tested.asked);
        assert!([0, 1, 2].iter().all(|place| tested.is_whole(*place)));
        let table = tested.table();
        assert!(table.starts_with("STOPPED  simulated: stopped in blackhole of east"), "{table}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_it_while_the_second_is_cut_gets_that_back_at_once() {
    let setup = Setup { stop_when: Some("b: kept: cut, it reads"), ..second(Fault::None) };
    let tested = test_all(setup).await;
    assert_eq!(tested.record.verdict, Verdict::Stopped, "{}", tested.told);
    assert_eq!(tested.asked[6..], ["b restore", "b cut", "b restore"]);
    assert!([0, 1, 2].iter().all(|place| tested.is_whole(*place)));
}

#[tokio::test(start_paused = true)]
async fn what_another_hand_did_to_one_that_is_not_cut_yet_keeps_it_from_being_cut() {
    let hand_when = Some(("a: cutting", 1, "east-2"));
    let tested = test_all(Setup { hand_when, ..second(Fault::None) }).await;
    assert_eq!(tested.record.verdict, Verdict::Inconclusive, "{}", tested.told);
    assert_eq!(tested.codes(), ["changed-before-the-cut"]);
    assert_eq!(tested.asked, all_of("a"));
    assert_eq!([0, 1, 2].map(|place| tested.is_whole(place)), [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn what_another_hand_did_to_one_that_is_back_is_said_and_not_undone() {
    let hand_when = Some(("b: cutting", 0, "east-2"));
    let tested = test_all(Setup { hand_when, ..second(Fault::None) }).await;
    assert_eq!(tested.record.verdict, Verdict::NotRestored, "{}", tested.told);
    assert_eq!(tested.codes(), ["another-hand"]);
    assert_eq!(tested.parts[0]["east-2"], part(0, Passage::Open, "3"), "{}", tested.told);
    assert_eq!([1, 2].map(|place| tested.is_whole(place)), [true, true]);
}

#[tokio::test(start_paused = true)]
async fn none_is_cut_beside_a_guardrail_that_is_not_clear() {
    // Not beyond its limit for long enough to stop the test, and clear again after 10 s.
    let unclear = Some((Offset::from_millis(150), Offset::from_millis(10_000)));
    let tested = test_all(Setup { unclear, ..second(Fault::None) }).await;
    assert_eq!(tested.record.verdict, Verdict::Pass, "{}", tested.told);
    let begun = |place| tested.rule(place, Rule::RestoreUncut).began;
    assert!(begun(0) < Offset::from_millis(150), "{}", begun(0));
    assert!(begun(1) >= Offset::from_millis(10_000), "{}", begun(1));
}
