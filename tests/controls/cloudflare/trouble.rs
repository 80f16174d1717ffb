//! What goes wrong on the way to Cloudflare, and there.

use std::time::Duration;

use firedrill::model::CloudflareBy;
use firedrill::traffic::TrafficControl;
use jiff::{Timestamp, ToSpan};
use serde_json::json;

use super::account::{Cloudflare, State, TOKEN};
use super::{control, drain, front, limited, www};
use crate::contract;
use crate::rest::said;

/// What is steered.
type By = fn() -> CloudflareBy;

#[tokio::test]
async fn a_cloudflare_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for by in [www(), front()] {
        let control = limited(silent.local_addr().unwrap(), by, TOKEN, Duration::from_millis(200));
        contract::gives_up_within(&control, &drain(), Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn preflight_names_what_is_missing_and_changes_nothing() {
    type Change = fn(&mut State);
    let in_time = |hours: i64| json!((Timestamp::now() + hours.hours()).to_string());
    let cases: [(By, Change, &str); 5] = [
        (www, |it| it.token["status"] = json!("disabled"), "the API token is disabled"),
        (front, |it| it.pools.truncate(1), "no pool or origin has the name `front-b`, `mixed/b-?`"),
        (
            front,
            |it| it.pools[2]["origins"][1]["name"] = json!("a-1"),
            "the pool mixed has several origins `a-1`",
        ),
        (
            www,
            |it| it.records.retain(|it| it["type"] != "AAAA"),
            "has no record www.shop.example/AAAA",
        ),
        (www, |it| it.is_of_a_person = false, ""),
    ];
    for (by, change, what) in cases {
        let cloudflare = Cloudflare::start().await;
        change(&mut cloudflare.state());
        match control(cloudflare.at, by()).preflight().await {
            Ok(()) => assert!(what.is_empty(), "{what}"),
            Err(error) => assert!(!what.is_empty() && error.what.contains(what), "{error}"),
        }
        assert_eq!(cloudflare.state().count("P", ""), 0);
    }
    for is_of_a_person in [true, false] {
        let cloudflare = Cloudflare::start().await;
        cloudflare.state().is_of_a_person = is_of_a_person;
        cloudflare.state().token["expires_on"] = in_time(2);
        control(cloudflare.at, front()).preflight().await.unwrap();
        cloudflare.state().token["expires_on"] = in_time(0);
        let error = control(cloudflare.at, front()).preflight().await.unwrap_err();
        assert!(error.what.contains("in less than an hour"), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_told_and_not_shown() {
    let cloudflare = Cloudflare::start().await;
    for by in [www(), front()] {
        let control = limited(cloudflare.at, by, "v1.stale_9", Duration::from_secs(5));
        let error = control.preflight().await.unwrap_err();
        assert!(error.what.contains("401 Unauthorized: Authentication error"), "{error}");
        assert!(error.hint.contains("have not expired"), "{error}");
        let shown = format!("{error} {:?} {:?}", control.exchanges(), control.spec());
        assert!(!shown.contains("stale"), "{shown}");
    }
    // One with a line break cannot be sent.
    let control = limited(cloudflare.at, www(), "a\nb", Duration::from_secs(5));
    let error = control.inspect().await.unwrap_err();
    assert!(error.what.contains("`authorization` has characters"), "{error}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_for_each_call_and_nothing_is_cut() {
    let calls: [(By, &str, &str); 4] = [
        (www, "GET", "/dns_records"),
        (www, "POST", "/dns_records/batch"),
        (front, "GET", "/pools"),
        (front, "PATCH", "/pools"),
    ];
    for (by, method, path) in calls {
        let cloudflare = Cloudflare::start().await;
        let control = control(cloudflare.at, by());
        let snapshot = control.inspect().await.unwrap();
        cloudflare.state().refused = Some((method, path, 403, 10000, "Authentication error"));
        let error = control.cut(&drain(), &snapshot).await.unwrap_err();
        assert!(error.what.contains("403 Forbidden: Authentication error"), "{error}");
        assert!(error.hint.contains("`firedrill preview` lists what they need"), "{error}");
        cloudflare.state().refused = None;
        assert_eq!(control.inspect().await.unwrap(), snapshot, "{method} {path}");
    }
}

#[tokio::test]
async fn what_cloudflare_takes_and_does_not_do_is_no_cut() {
    for by in [www(), front()] {
        let cloudflare = Cloudflare::start().await;
        let control = control(cloudflare.at, by);
        let snapshot = control.inspect().await.unwrap();
        cloudflare.state().obeys = false;
        control.cut(&drain(), &snapshot).await.unwrap();
        let now = control.inspect().await.unwrap();
        assert!(!now.is_cut(&drain()) && now == snapshot);
    }
}

#[tokio::test]
async fn an_error_in_an_answer_of_200_is_an_error() {
    for (by, method) in [(www(), "POST"), (front(), "PATCH")] {
        let cloudflare = Cloudflare::start().await;
        let control = control(cloudflare.at, by);
        let snapshot = control.inspect().await.unwrap();
        for (words, method, path) in [("Quota exceeded", method, ""), ("Try later", "GET", "s")] {
            cloudflare.state().refused = Some((method, path, 200, 1234, words));
            let error = control.cut(&drain(), &snapshot).await.unwrap_err();
            assert!(error.what.contains(&format!("errors: 1234 {words}")), "{error}");
        }
    }
}

#[tokio::test]
async fn a_cloudflare_that_takes_no_more_calls_is_left_alone_for_as_long_as_it_says() {
    for (by, method) in [(www(), "POST"), (front(), "PATCH")] {
        let cloudflare = Cloudflare::start().await;
        let control = control(cloudflare.at, by);
        let snapshot = control.inspect().await.unwrap();
        let busy = |seconds: u32| {
            let body =
                json!({ "success": false, "errors": [{ "code": 971, "message": "Please wait" }] });
            let wait = format!("retry-after: {seconds}\r\n");
            said("429 Too Many Requests", &wait, &body.to_string())
        };
        cloudflare.state().instead.push_back((method, busy(1), false));
        let begun = std::time::Instant::now();
        control.cut(&drain(), &snapshot).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(control.inspect().await.unwrap().is_cut(&drain()));

        control.restore(&snapshot).await.unwrap();
        cloudflare.state().instead.extend(vec![(method, busy(300), false); 2]);
        let error = control.cut(&drain(), &snapshot).await.unwrap_err();
        assert!(
            error.what.contains("Please wait") && error.what.contains("left alone for"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn answers_that_make_no_sense_are_told_and_a_redirect_is_not_followed() {
    let page = "<html><h1>Attention Required! | Cloudflare</h1></html>";
    for (text, what) in [
        (
            said("200 OK", "content-type: text/html\r\n", page),
            "not the JSON that was due (text/html",
        ),
        (said("200 OK", "", "{\"success\": true, \"errors\": []}"), "answered `GET"),
        (said("200 OK", "", "{\"success\": true, \"result\": [1]}"), "not the result that was due"),
        (said("200 OK", "", "{\"success\": true, \"result\": [{}]}"), "that"),
        (said("302 Found", "location: http://127.0.0.1:9/\r\n", ""), "is not followed"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"succ".to_owned(), "gave no answer to"),
        (said("404 Not Found", "", "{\"errors\": []}"), "404 Not Found"),
    ] {
        for by in [www(), front()] {
            let cloudflare = Cloudflare::start().await;
            let control = limited(cloudflare.at, by, TOKEN, Duration::from_millis(700));
            cloudflare.state().instead.extend(vec![("GET", text.clone(), false); 9]);
            let error = control.inspect().await.unwrap_err();
            assert!(error.what.contains(what), "{what}: {error}");
            let shown = format!("{error} {:?}", control.exchanges());
            assert!(!shown.contains(TOKEN), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_cloudflare_that_is_ill_for_a_moment_is_asked_again() {
    for by in [www(), front()] {
        let cloudflare = Cloudflare::start().await;
        let control = control(cloudflare.at, by);
        let busy = said("502 Bad Gateway", "", "");
        cloudflare.state().instead.extend(vec![("GET", busy.clone(), false); 2]);
        let snapshot = control.inspect().await.unwrap();
        cloudflare.state().instead.extend([("POST", busy.clone(), false), ("PATCH", busy, false)]);
        control.cut(&drain(), &snapshot).await.unwrap();
        assert!(control.inspect().await.unwrap().is_cut(&drain()));
    }
}
