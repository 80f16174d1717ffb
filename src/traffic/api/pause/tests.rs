//! When something is asked again, and after how long.

use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;

use super::*;
use crate::traffic::api::mask::Mask;

fn answer(status: &str, headers: &[(&'static str, &'static str)]) -> Result<Answer, Lost> {
    saying(status, headers, "")
}

fn saying(
    status: &str,
    headers: &[(&'static str, &'static str)],
    body: &str,
) -> Result<Answer, Lost> {
    let headers = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let head = (status.parse().unwrap(), headers.collect());
    Ok(Answer::new(head, body.into(), &Mask::default(), false))
}

#[test]
fn tries_are_few_and_their_pauses_grow_and_differ() {
    let pauses = || -> Vec<Duration> {
        let mut pauses = Pauses::default();
        std::iter::from_fn(|| pauses.next(&answer("503", &[]), true)).collect()
    };
    let drawn: Vec<Vec<Duration>> = (0..50).map(|_| pauses()).collect();
    for pauses in &drawn {
        assert_eq!(pauses.len(), TRIES as usize - 1);
        for (pause, longest) in pauses.iter().zip([200, 400, 800, 1600]) {
            let longest = Duration::from_millis(longest);
            assert!((longest / 2..=longest).contains(pause), "{pause:?} of {longest:?}");
        }
    }
    assert!(drawn.iter().any(|pauses| pauses != &drawn[0]), "{:?}", drawn[0]);
}

#[test]
fn only_what_may_be_better_a_moment_later_is_asked_again() {
    for (status, again) in [
        ("200", false),
        ("307", false),
        ("400", false),
        ("403", false),
        ("408", true),
        ("429", true),
        ("500", true),
        ("501", false),
        ("504", true),
    ] {
        for repeatable in [true, false] {
            let pause = Pauses::default().next(&answer(status, &[]), repeatable);
            assert_eq!(pause.is_some(), again && repeatable, "{status}");
        }
    }
}

#[test]
fn a_ration_of_googles_is_told_and_asked_again_as_such_and_no_other_403_is() {
    let by_error = |reason: &str| json!({ "error": { "errors": [{}, { "reason": reason }] } });
    let by_detail = |reason: &str| json!({ "error": { "details": [{ "reason": reason }] } });
    for (status, body, is_ration) in [
        ("403", by_error("rateLimitExceeded"), true),
        ("403", by_error("userRateLimitExceeded"), true),
        ("403", by_detail("RATE_LIMIT_EXCEEDED"), true),
        ("403", by_error("forbidden"), false),
        ("403", by_error("quotaExceeded"), false),
        ("403", by_detail("IAM_PERMISSION_DENIED"), false),
        ("403", json!({ "error": { "errors": [7], "details": { "reason": "x" } } }), false),
        ("403", json!({ "message": "rateLimitExceeded" }), false),
        ("400", by_error("rateLimitExceeded"), false),
        ("200", by_error("rateLimitExceeded"), false),
    ] {
        let answer = saying(status, &[], &body.to_string());
        for repeatable in [true, false] {
            let pause = Pauses::default().next(&answer, repeatable);
            assert_eq!(pause.is_some(), is_ration && repeatable, "{status} {body}");
        }
        let hint = answer.as_ref().unwrap().hint();
        assert_eq!(hint.contains("takes no more calls for now"), is_ration, "{hint}: {body}");
    }
    let half = saying("403", &[], r#"{"error":{"errors":[{"reason":"rateLimitExceeded""#);
    assert_eq!(Pauses::default().next(&half, true), None);
}

#[test]
fn a_loop_of_its_own_keeps_to_the_pause_that_is_named_or_gives_up() {
    let (own, minute) = (Duration::from_secs(2), Duration::from_secs(60));
    let named = |seconds: &'static str| answer("429", &[("retry-after", seconds)]).unwrap();
    let drawn = |answer: Option<&Answer>| -> Vec<Duration> {
        (0..50).map(|_| again(answer, own, minute).unwrap()).collect()
    };
    let (seven, silent) = (named("7"), answer("503", &[]).unwrap());
    for (pauses, least, most) in [
        (drawn(None), own / 2, own),
        (drawn(Some(&silent)), own / 2, own),
        (drawn(Some(&seven)), Duration::from_secs(7), Duration::from_millis(7500)),
    ] {
        assert!(pauses.iter().all(|it| (least..=most).contains(it)), "{pauses:?}");
        assert!(pauses.iter().any(|it| it != &pauses[0]), "{pauses:?}");
    }
    assert_eq!(again(Some(&seven), own, Duration::from_secs(7)), None);
    assert_eq!(again(Some(&named("18446744073709551615")), own, minute), None);
    assert_eq!(again(None, own, Duration::from_secs(1)), None);
}

#[test]
fn a_provider_that_says_when_to_come_again_is_heard() {
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    for (headers, seconds) in [
        (vec![("retry-after", "7")], Some(7)),
        (vec![("retry-after", "Wed, 21 Oct 2015 07:30:00 GMT"), date], Some(120)),
        // Without its own clock beside it, a time says nothing; and one that is over, nothing more.
        (vec![("retry-after", "Wed, 21 Oct 2015 07:30:00 GMT")], None),
        (vec![("retry-after", "Wed, 21 Oct 2015 07:20:00 GMT"), date], None),
        (vec![("retry-after", "soon"), date], None),
        (vec![("retry-after", "-1")], None),
    ] {
        let answer = answer("429", &headers);
        assert_eq!(wait(answer.as_ref().unwrap()), seconds.map(Duration::from_secs), "{headers:?}");
        let pause = Pauses::default().next(&answer, true).unwrap();
        assert!(pause > Duration::from_secs(seconds.unwrap_or(0)), "{pause:?}: {headers:?}");
    }
    let forever = answer("503", &[("retry-after", "18446744073709551615")]);
    // No answer makes the sum overflow.
    assert!(Pauses::default().next(&forever, true).unwrap() > Duration::from_secs(u64::MAX - 1));
}
