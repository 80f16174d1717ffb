//! Things that go wrong: the right verdict, and traffic as it was.

use super::*;
use crate::model::{Act, Offset, Restored, Verdict};

/// Runs a drill with `faults` and checks its verdict and first reason.
async fn expect(faults: Faults, verdict: Verdict, code: &str) -> Ended {
    let ended = drill(plan(&[]), faults.clone(), None).await;
    let codes: Vec<&str> = ended.record.reasons.iter().map(|why| why.code.as_str()).collect();
    assert_eq!(ended.record.verdict, verdict, "{faults:?}: {:?}", ended.record.reasons);
    assert!(codes.contains(&code), "{faults:?}: {codes:?}");
    ended
}

#[tokio::test(start_paused = true)]
async fn a_control_that_cannot_be_read_before_the_cut_is_never_cut() {
    let faults = Faults { unreadable: Some((1, 99)), ..Faults::default() };
    let ended = expect(faults, Verdict::NotStarted, "control-unreadable").await;
    assert_eq!(ended.world.log(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_cut_is_restored_all_the_same() {
    for took_effect in [false, true] {
        let faults = Faults { cut_refused: Some(took_effect), ..Faults::default() };
        let ended = expect(faults, Verdict::Inconclusive, "cut-failed").await;
        assert!(!ended.world.is_cut());
        assert!(ended.world.log().contains(&"control: restore".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_cut_is_looked_at_first_but_where_a_state_between_is_known_to_nobody() {
    let proxy =
        r#"proxy: { routes: [{ datacenter: east, listen: "127.0.0.1:1", to: "127.0.0.1:2" }] }"#;
    let exec = "exec: { inspect: [./i], cut: [./c], restore: [./r], modes: [blackhole] }";
    for (provider, first) in [(proxy, Act::Inspect), (exec, Act::Restore)] {
        let faults = Faults { cut_refused: Some(true), ..Faults::default() };
        let ended = drill(plan(&[(proxy, provider)]), faults, None).await;
        let after = ended.record.calls.iter().skip_while(|call| call.act != Act::Cut).nth(1);
        assert_eq!(after.unwrap().act, first, "{provider}");
        assert!(!ended.world.is_cut());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_does_nothing_proves_nothing() {
    let faults = Faults { cut_ignored: true, ..Faults::default() };
    expect(faults, Verdict::Inconclusive, "cut-not-confirmed").await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_does_not_hold_proves_nothing() {
    let faults = Faults { cut_lost: Some(span(1200)), ..Faults::default() };
    expect(faults, Verdict::Inconclusive, "cut-did-not-hold").await;
}

#[tokio::test(start_paused = true)]
async fn a_leak_proves_nothing() {
    let ended =
        expect(Faults { leaks: true, ..Faults::default() }, Verdict::Inconclusive, "leak").await;
    assert!(!ended.record.proof.services[0].examples.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_is_refused_is_tried_again() {
    let faults = Faults { restores_refused: 5, ..Faults::default() };
    let ended = drill(plan(&[]), faults, None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    assert_eq!(ended.record.controls[0].restored, Restored::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_never_works_outranks_everything() {
    let faults = Faults { restores_refused: u32::MAX, ..Faults::default() };
    let ended = expect(faults, Verdict::NotRestored, "not-restored").await;
    assert!(ended.world.is_cut());
    let text = &ended.record.reasons[0].text;
    assert!(text.contains("busy") && text.contains("try again"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_control_that_cannot_be_read_after_the_restore_is_not_restored() {
    let faults = Faults { unreadable: Some((6, u32::MAX)), ..Faults::default() };
    expect(faults, Verdict::NotRestored, "not-restored").await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_cut_that_could_not_be_written_down_before() {
    for full in 0..8 {
        let faults = Faults { journal_full: Some(full), ..Faults::default() };
        let ended = drill(plan(&[]), faults, None).await;
        let cut = ended.world.log().contains(&"control: cut".to_owned());
        assert_eq!(cut, full >= 3, "full at record {full}");
        assert!(!ended.world.is_cut(), "full at record {full}");
        let expected = if full < 3 { Verdict::NotStarted } else { Verdict::Inconclusive };
        let whole = full == 6 || full == 7;
        if !whole {
            assert_eq!(ended.record.verdict, expected, "full at record {full}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_reading_that_hangs() {
    let faults =
        Faults { failover: Duration::from_secs(3600), hanging_read: Some(4), ..Faults::default() };
    let patient = [("recover_within: 1s", "recover_within: 19s")];
    let ended = drill(plan(&patient), faults, Some(span(2500))).await;
    assert_eq!(ended.record.verdict, Verdict::Stopped, "{:?}", ended.record.reasons);
    assert!(!ended.world.is_cut());
    assert!(ended.took < span(2800), "{:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn at_most_holds_for_controls_that_hang_or_are_slow() {
    let hangs = Faults { hanging_read: Some(4), ..Faults::default() };
    let slow = Faults { call: span(10_000), ..Faults::default() };
    for faults in [hangs, slow] {
        let faults = Faults { failover: Duration::from_secs(3600), ..faults };
        let short =
            [("recover_within: 1s", "recover_within: 2500ms"), ("at_most: 20s", "at_most: 3s")];
        let ended = drill(plan(&short), faults.clone(), None).await;
        let marks = ended.record.marks;
        let cut_for = marks.restore_issued.unwrap().since(marks.cut_issued.unwrap());
        assert!(cut_for <= span(3600), "{cut_for:?}: {faults:?}");
        assert!(!ended.world.is_cut());
        assert_ne!(ended.record.verdict, Verdict::Pass);
    }
}

#[tokio::test(start_paused = true)]
async fn a_control_that_went_silent_before_the_restore_proves_nothing() {
    let faults = Faults { unreadable: Some((5, 6)), ..Faults::default() };
    expect(faults, Verdict::Inconclusive, "control-not-read").await;
}

#[tokio::test(start_paused = true)]
async fn a_control_far_away_is_waited_for_where_nobody_is_without_service() {
    let faults = Faults { call: span(900), ..Faults::default() };
    let longer =
        [("recover_within: 1s, failback_within: 1s", "recover_within: 9s, failback_within: 3s")];
    let ended = drill(plan(&longer), faults, None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_lands_after_its_refusal_is_restored_too() {
    let faults = Faults { cut_late: Some(span(300)), ..Faults::default() };
    let ended = expect(faults, Verdict::Inconclusive, "cut-failed").await;
    assert!(!ended.world.is_cut());
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_lands_after_the_restore_was_confirmed_is_restored_anew() {
    let faults = Faults { cut_late: Some(span(2300)), ..Faults::default() };
    let ended = expect(faults, Verdict::Inconclusive, "cut-failed").await;
    assert!(!ended.world.is_cut());
    assert_eq!(ended.record.controls[0].restored, Restored::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_cut_is_read_back_is_a_stop() {
    let faults = Faults { hanging_read: Some(3), ..Faults::default() };
    let ended = drill(plan(&[]), faults, Some(span(1500))).await;
    assert_eq!(ended.record.verdict, Verdict::Stopped, "{:?}", ended.record.reasons);
    assert!(!ended.world.is_cut());
    let asked = ended.record.marks.restore_issued.unwrap();
    assert!(asked < Offset::ZERO.plus(span(1600)), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_control_that_panics_while_cut_is_restored_all_the_same() {
    let faults = Faults { panicking_read: Some(4), ..Faults::default() };
    let ended = drill(plan(&[]), faults, None).await;
    assert!(!ended.world.is_cut());
    assert!(ended.world.log().contains(&"journal: closed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_cut_hangs_is_not_kept_waiting() {
    let faults = Faults { hanging_cut: true, ..Faults::default() };
    let ended = drill(plan(&[]), faults, Some(span(1500))).await;
    assert_eq!(ended.record.verdict, Verdict::Stopped, "{:?}", ended.record.reasons);
    let asked = ended.record.marks.restore_issued.unwrap();
    assert!(asked < Offset::ZERO.plus(span(1600)), "{asked:?}");
    assert!(!ended.world.is_cut());
}

#[tokio::test(start_paused = true)]
async fn samples_in_flight_are_not_waited_for_when_traffic_is_not_back() {
    // The watchdog gives a restore its time and no more, and would kill a drill that waits on.
    let slow = || plan(&[("timeout: 200ms", "timeout: 10s")]);
    let ended = drill(slow(), Faults::default(), None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    assert_eq!(ended.world.grace(), Some(span(10_000)));
    let faults = Faults { restores_refused: u32::MAX, ..Faults::default() };
    let ended = drill(slow(), faults, None).await;
    assert_eq!(ended.record.verdict, Verdict::NotRestored);
    assert_eq!(ended.world.grace(), Some(Duration::ZERO));
}
