//! Several ledgers, of which one hangs and one is slow: each is read by itself, the controls and guardrails are looked at
//! beside it, and a stop is one.

use super::*;
use crate::model::{LedgerReads, Restored};

/// Three ledgers in the place of one.
fn three() -> String {
    let (served_by, keep) = LEDGER.split_once('\n').unwrap();
    let named = |name: &str| keep.replace("keep:\n", &format!("{name}:\n"));
    format!("{served_by}\n{keep}{}{}", named("slow"), named("hung"))
}

/// One store reads at once, one takes its time, and one hangs from reading number `from` on.
fn one_hangs(from: u32) -> impl Fn(&str) -> Sick {
    move |name| match name {
        "slow" => Sick { takes: span(700), ..Sick::default() },
        "hung" => Sick { hangs: Some(("GET", from)), ..Sick::default() },
        _ => Sick::default(),
    }
}

fn reads(ended: &Ended, name: &str, stage: ReadStage) -> LedgerReads {
    let mut probes = service(ended).probes.iter();
    let probe = probes.find(|probe| probe.name.as_str() == name).unwrap();
    let mut reads = probe.ledger.as_ref().unwrap().reads.iter();
    reads.find(|read| read.stage == stage).unwrap_or_else(|| panic!("{name} {stage}")).clone()
}

/// With three ledgers, and this long at most.
async fn drilled(at_most: &str, from: u32, stop_at: Option<Duration>) -> Ended {
    let at_most = format!("at_most: {at_most}");
    let three = three();
    let changes = [(LEDGER, three.as_str()), ("at_most: 20s", at_most.as_str())];
    kept_each(&changes, one_hangs(from), stop_at).await.0
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_holds_up_no_other_and_traffic_only_for_so_long() {
    let ended = drilled("60s", 3, None).await;
    let marks = ended.record.marks;
    let settled = marks.cut_confirmed.unwrap().plus(span(300 + 500));
    let took = |name: &str| {
        let read = reads(&ended, name, ReadStage::AfterFailover);
        assert!(read.began >= settled, "not before the failover is settled: {read:?}");
        assert_eq!(read.unfinished.is_some(), name == "hung", "{read:?}");
        (read.attempts, read.ended.since(read.began))
    };
    let ((quick_tries, quick), (slow_tries, slow)) = (took("keep"), took("slow"));
    assert_eq!((quick_tries, slow_tries), (1, 1));
    assert!(quick < span(50) && slow >= span(700) && slow < span(750), "{quick:?}, {slow:?}");
    let (tries, hung) = took("hung");
    assert_eq!(tries, 2, "what failed is tried again, once after its time");
    assert!(hung >= span(10_000) && hung < span(11_100), "{hung:?}");
    let why = reads(&ended, "hung", ReadStage::AfterFailover).unfinished.unwrap();
    assert!(why.contains("nothing came for 10 s"), "{why}");
    let cut = cut_for(&ended).unwrap();
    assert!(cut < span(30_000), "it does not wait for `at_most`: {cut:?}");
    assert_eq!(ended.record.verdict, Verdict::Inconclusive, "{:?}", ended.record.reasons);
    let read = ended.record.proof.controls[0].reads;
    assert!(read >= cut.as_secs().saturating_sub(2), "{read} readings of the control in {cut:?}");
    assert_eq!(ended.record.proof.controls[0].reads_cut, read);
}

#[tokio::test(start_paused = true)]
async fn at_most_is_held_and_listeners_hear_of_the_services_all_along() {
    let ended = drilled("6s", 3, None).await;
    assert!(cut_for(&ended).unwrap() <= span(6_100), "{:?}", cut_for(&ended));
    for name in ["keep", "slow"] {
        assert_eq!(reads(&ended, name, ReadStage::AfterFailover).unfinished, None, "{name}");
    }
    // The watchdog hears of us whenever they do.
    let told = ended.events.iter().filter_map(|event| match event {
        DrillEvent::Watched { at, .. } => Some(*at),
        _ => None,
    });
    let told: Vec<Offset> = told.collect();
    let longest = told.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert!(longest <= crate::watchdog::BEAT + span(10), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_guardrail_that_breaks_while_a_ledger_hangs_ends_the_reading_at_once() {
    let three = three();
    let end = "at_most: 20s }\n";
    let guarded =
        "at_most: 60s }\nguardrails: [{ service: talk, good_share_below: 20%, for: 2s }]\n";
    let changes = [(LEDGER, three.as_str()), (end, guarded)];
    let quiet = |name: &str| match name {
        // Its writes end being answered well into the reading.
        "keep" => Sick { hangs: Some(("PUT", 300)), ..Sick::default() },
        name => one_hangs(3)(name),
    };
    let (ended, _) = kept_each(&changes, quiet, None).await;
    assert_eq!(ended.record.verdict, Verdict::Stopped, "{:?}", ended.record.reasons);
    assert_eq!(ended.record.reasons[0].code, "guardrail-broken", "{:?}", ended.record.reasons);
    let broke = ended.record.guardrails[0].broken.unwrap();
    let marks = ended.record.marks;
    let asked = marks.restore_issued.unwrap();
    assert!(asked.since(broke) <= span(10), "broke at {broke}, restored at {asked}");
    let read = reads(&ended, "keep", ReadStage::AfterFailover);
    assert!(broke > read.began, "it broke at {broke}, while was read since {}", read.began);
    assert_eq!(ended.record.controls[0].restored, Restored::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_is_read_after_failback_is_a_stop() {
    let whole = drilled("20s", 4, None).await;
    assert_eq!(whole.record.verdict, Verdict::Inconclusive, "{:?}", whole.record.reasons);
    let began = reads(&whole, "keep", ReadStage::AfterFailback).began;
    for after in [5, 300, 2_000, 9_000] {
        let stop = Duration::from_nanos(began.plus(span(after)).as_nanos());
        let ended = drilled("20s", 4, Some(stop)).await;
        assert_eq!(ended.record.verdict, Verdict::Stopped, "{after}: {:?}", ended.record.reasons);
        assert_eq!(ended.record.reasons[0].code, "signal");
        assert!(ended.took <= stop + span(510), "{after}: {:?} for {stop:?}", ended.took);
        assert!(!ended.world.is_cut());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_records_are_removed_ends_that_and_takes_nothing_from_the_verdict() {
    let hangs = Sick { hangs: Some(("DELETE", 1)), ..Sick::default() };
    let (whole, _) = kept(&[], hangs.clone(), None).await;
    assert_eq!(whole.record.verdict, Verdict::Pass, "{:?}", whole.record.reasons);
    let stop = whole.took - CALL_LIMIT / 2;
    let (ended, _) = kept(&[], hangs, Some(stop)).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    assert!(ended.took <= stop + span(510), "{:?} for {stop:?}", ended.took);
    let left = ledger(&ended).left_behind.clone().unwrap();
    assert!(left.contains("stopped"), "{left}");
}

#[tokio::test(start_paused = true)]
async fn samples_that_end_break_no_guardrail_while_is_read_after_failback() {
    let end = "at_most: 20s }\n";
    let guarded = format!(
        "{end}guardrails: [{{ service: talk, good_share_below: 20%, for: 2s, grace: 10s }}]\n"
    );
    // Read for longer than a guardrail may stay unread.
    let patient = Sick { stale: span(28_000), ..Sick::default() };
    let changes = [
        (end, guarded.as_str()),
        ("settle: 300ms", "settle: 40s"),
        ("at_most: 20s", "at_most: 90s"),
    ];
    let (ended, _) = kept(&changes, patient, None).await;
    let read = ledger(&ended).reads.iter().find(|it| it.stage == ReadStage::AfterFailback).unwrap();
    let since = ended.record.marks.restore_confirmed.unwrap();
    assert!(read.ended.since(since) > span(20_000), "{read:?}");
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
}
