//! Guardrails in whole drills: what breaks before the cut starts nothing, what breaks after it restores.

use super::web::{Does, Web};
use super::*;
use crate::model::{GuardrailRecord, Offset, Restored, Verdict};

const GUARDRAILS: &str = "timing: { baseline: 1s, stable_for: 500ms, hold: 2s, at_most: 20s }\n";

/// The simulated plan with guardrails, each on a line of its own.
fn guarded(guardrails: &str, changes: &[(&str, &str)]) -> Plan {
    let with = format!("{GUARDRAILS}guardrails:\n{guardrails}\n");
    plan(&[&[(GUARDRAILS, with.as_str())], changes].concat())
}

#[track_caller]
fn only(ended: &Ended) -> &GuardrailRecord {
    assert_eq!(ended.record.guardrails.len(), 1);
    &ended.record.guardrails[0]
}

/// It stopped for this reason, and traffic is back.
#[track_caller]
fn stopped(ended: &Ended, code: &str) -> String {
    assert_eq!(ended.record.verdict, Verdict::Stopped, "{:?}", ended.record.reasons);
    assert_eq!(ended.record.reasons[0].code, code, "{:?}", ended.record.reasons);
    assert!(!ended.world.is_cut());
    assert_eq!(ended.record.controls[0].restored, Restored::Yes);
    let text = ended.record.reasons[0].text.clone();
    assert_eq!(only(ended).why.as_ref(), Some(&text));
    text
}

/// It did not start for this reason, and nothing was touched.
#[track_caller]
fn refused(ended: &Ended, code: &str) -> String {
    assert_eq!(ended.record.verdict, Verdict::NotStarted, "{:?}", ended.record.reasons);
    assert_eq!(ended.record.reasons[0].code, code, "{:?}", ended.record.reasons);
    assert!(!ended.world.log().iter().any(|line| line.starts_with("control")));
    ended.record.reasons[0].text.clone()
}

/// From the cut to the guardrail's break.
fn broke_after(ended: &Ended) -> Duration {
    let cut = ended.record.marks.cut_issued.unwrap();
    only(ended).broken.unwrap().since(cut)
}

fn never_back() -> Faults {
    Faults { failover: Duration::from_secs(3600), ..Faults::default() }
}

const PATIENT: (&str, &str) = ("recover_within: 1s", "recover_within: 19s");

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_away_for_too_long_stops_the_drill() {
    let plan = guarded("  - { service: talk, good_share_below: 20%, for: 4s }", &[PATIENT]);
    let ended = drill(plan, never_back(), None).await;
    let text = stopped(&ended, "guardrail-broken");
    assert!(text.starts_with("guardrail talk-good-share is broken: get was good for "), "{text}");
    assert!(text.ends_with("(limit: below 20 % good for 4 s)"), "{text}");
    // 200 ms time-out, up to 1 s until the share of the last second is below 20 %, 4 s that it stays so.
    let after = broke_after(&ended);
    assert!(after > span(4800) && after < span(5500), "{after:?}");
    let marks = ended.record.marks;
    let restored = marks.restore_issued.unwrap().since(marks.cut_issued.unwrap());
    assert!(restored < after + span(20), "at once: {restored:?} for {after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failover_within_the_guardrails_time_breaks_nothing() {
    let plan = guarded("  - { service: talk, good_share_below: 99%, for: 4s }", &[PATIENT]);
    let faults = Faults { failover: span(2500), ..Faults::default() };
    let ended = drill(plan, faults, None).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    let guardrail = only(&ended);
    assert_eq!((guardrail.broken, guardrail.last, guardrail.worst), (None, Some(1.0), Some(0.0)));
    assert!(guardrail.reads > 20 && guardrail.limit == "below 99 % good for 4 s");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_too_slow_for_too_long_stops_the_drill() {
    let plan = guarded("  - { service: talk, latency_above: 100ms, for: 3s }", &[PATIENT]);
    let ended = drill(plan, never_back(), None).await;
    let text = stopped(&ended, "guardrail-broken");
    assert!(text.starts_with("guardrail talk-latency is broken: get had a p95 of "), "{text}");
    assert!(text.ends_with("(limit: p95 above 100 ms for 3 s)"), "{text}");
    let after = broke_after(&ended);
    assert!(after > span(3200) && after < span(3800), "{after:?}");
    // In milliseconds; samples hang for the time-out of 200 ms.
    assert!((200.0..220.0).contains(&only(&ended).worst.unwrap()), "{:?}", only(&ended));
}

#[tokio::test(start_paused = true)]
async fn samples_that_say_nothing_for_too_long_stop_the_drill() {
    let plan =
        guarded("  - { service: talk, good_share_below: 20%, for: 9s, grace: 3s }", &[PATIENT]);
    let faults = Faults { blind_from: Some(Offset::from_millis(2000)), ..never_back() };
    let ended = drill(plan, faults, None).await;
    let text = stopped(&ended, "guardrail-unreadable");
    assert!(text.ends_with("which counts as broken: no sample of get says anything"), "{text}");
    // What was asked before still counts for the length of a window.
    let after = only(&ended).broken.unwrap().since(Offset::from_millis(2000));
    assert!(after > span(3900) && after < span(4500), "{after:?}");
}

fn http(every: &str) -> String {
    format!("  - {{ name: shop, http: \"http://shop.example/\", {every} }}")
}

fn ok_until(bad_from: u64, then: Does) -> Web {
    Web::new(move |now| match now < Offset::from_millis(bad_from) {
        true => Does::Answer(200, "[]".to_owned()),
        false => then.clone(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_check_that_goes_bad_while_cut_stops_the_drill() {
    let rail = http("every: 500ms, for: 1s");
    for (then, said) in [
        (Does::Answer(503, String::new()), "status 503"),
        (Does::Refuse, "refused"),
        (Does::Hang, "time-out (answer)"),
    ] {
        let web = ok_until(1600, then);
        let ended = drill_beside(guarded(&rail, &[PATIENT]), never_back(), None, web).await;
        let text = stopped(&ended, "guardrail-broken");
        let wanted = format!(
            "guardrail shop is broken: the answer was bad: {said} (limit: a bad answer for 1 s)"
        );
        assert_eq!(text, wanted);
        assert!(broke_after(&ended) < span(3000), "{:?}", broke_after(&ended));
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_bad_before_the_cut_starts_nothing() {
    let web = ok_until(0, Does::Answer(500, String::new()));
    let ended = drill_beside(guarded(&http("every: 1s"), &[]), Faults::default(), None, web).await;
    let text = refused(&ended, "guardrail-broken");
    assert!(text.contains("guardrail shop is broken: the answer was bad: status 500"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_cut_while_a_guardrail_is_beyond_its_limit() {
    // Bad from the middle of the baseline, and for less than it would take to break: the cut waits.
    let script = |now: Offset| match now.as_nanos() / 1_000_000 {
        800..4000 => Does::Answer(500, String::new()),
        _ => Does::Answer(200, String::new()),
    };
    let plan = guarded(&http("every: 500ms, for: 10s"), &[]);
    let ended = drill_beside(plan, Faults::default(), None, Web::new(script)).await;
    assert_eq!(ended.record.verdict, Verdict::Pass, "{:?}", ended.record.reasons);
    let cut = ended.record.marks.cut_issued.unwrap();
    assert!(cut >= Offset::from_millis(4000) && cut < Offset::from_millis(4600), "{cut}");
}

const QUERY: &str = "  - { name: errors, prometheus: { url: \"http://p.example\", query: errors, above: 0.1 }, \
                     every: 1s, grace: 3s }";

#[tokio::test(start_paused = true)]
async fn a_guardrail_that_cannot_be_read_any_more_stops_the_drill_after_its_grace() {
    let found = "{\"data\": {\"resultType\": \"scalar\", \"result\": [1, \"0\"]}}";
    let web = Web::new(move |now| match now < Offset::from_millis(2500) {
        true => Does::Answer(200, found.to_owned()),
        false => Does::Refuse,
    });
    let ended = drill_beside(guarded(QUERY, &[PATIENT]), never_back(), None, web).await;
    let text = stopped(&ended, "guardrail-unreadable");
    assert_eq!(
        text,
        "guardrail errors could not be read for 3 s (grace: 3 s), which counts as broken: no answer: refused"
    );
    assert_eq!(only(&ended).broken, Some(Offset::from_millis(5000)));
}

#[tokio::test(start_paused = true)]
async fn a_guardrail_that_cannot_be_read_before_the_cut_starts_nothing() {
    for does in
        [Does::Refuse, Does::Hang, Does::Answer(400, "{\"error\": \"parse error\"}".to_owned())]
    {
        let web = Web::new(move |_| does.clone());
        let ended = drill_beside(guarded(QUERY, &[]), Faults::default(), None, web).await;
        refused(&ended, "guardrail-unreadable");
        assert!(ended.took >= span(3000) && ended.took < span(5000), "{:?}", ended.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_from_outside_is_passed_on_beside_guardrails() {
    let plan = || guarded(&http("every: 1s"), &[]);
    let web = || ok_until(u64::MAX / 2_000_000, Does::Refuse);
    for (at, cut) in [(500, false), (2000, true)] {
        let ended = drill_beside(plan(), Faults::default(), Some(span(at)), web()).await;
        assert_eq!(ended.record.verdict, Verdict::Stopped, "{:?}", ended.record.reasons);
        assert_eq!(ended.record.reasons[0].code, "signal");
        assert_eq!(ended.record.marks.cut_issued.is_some(), cut);
        assert!(!ended.world.is_cut());
    }
}

#[tokio::test(start_paused = true)]
async fn a_guardrail_that_breaks_at_any_moment_leaves_nothing_cut() {
    let rail = http("every: 100ms");
    let whole = 4500;
    let mut verdicts = std::collections::BTreeMap::new();
    for millis in (50..whole).step_by(100) {
        let web = ok_until(millis, Does::Answer(500, String::new()));
        let ended = drill_beside(guarded(&rail, &[]), Faults::default(), None, web).await;
        assert!(!ended.world.is_cut(), "broken at {millis} ms");
        let was_cut = ended.record.marks.cut_issued.is_some();
        let verdict = ended.record.verdict;
        match verdict {
            Verdict::NotStarted => assert!(!was_cut, "broken at {millis} ms"),
            Verdict::Stopped => assert!(was_cut, "broken at {millis} ms"),
            other => assert_eq!(other, Verdict::Pass, "broken at {millis} ms"),
        }
        *verdicts.entry(verdict.to_string()).or_insert(0) += 1;
    }
    assert!(verdicts["NOT STARTED"] >= 9 && verdicts["STOPPED"] >= 20, "{verdicts:?}");
}
