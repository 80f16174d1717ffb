//! Requests and bad answers, by a double.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::model::{DatacenterId, HttpExpect, HttpReading, Mode, Provider};
use crate::traffic::api::double::{self, Reply, TOKEN, good, say, secret};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

fn call(method: &str, path: &str, body: Option<&str>) -> HttpCall {
    HttpCall {
        method: method.to_owned(),
        path: path.into(),
        body: body.map(Text::from),
        content_type: "application/json".to_owned(),
        expect: HttpExpect { status: vec![(200, 299)], body: None, json: Vec::new() },
        repeatable: false,
    }
}

fn settings(at: &double::Provider) -> HttpSettings {
    let part = |datacenter, name: &str| HttpPart { datacenter, name: name.to_owned() };
    HttpSettings {
        url: (&*format!("http://{}/api", at.at)).into(),
        headers: vec![("authorization".to_owned(), secret("Bearer ", TOKEN))],
        ca: None,
        parts: vec![part(EAST, "a b/1"), part(WEST, "w")],
        datacenters: vec!["east".into(), "west".into()],
        modes: vec![ModeKind::Drain],
        survivors: true,
        inspect: HttpReading {
            call: HttpCall { repeatable: true, ..call("GET", "/pools/{{part}}", None) },
            read: "/weight".to_owned(),
            closed: json!(0),
            keep: Some(String::new()),
        },
        cut: call(
            "POST",
            "/pools/{{part}}/off?by={{datacenter}}",
            Some(r#"{"mode": {{mode}}, "note": "was {{before:/weight}}"}"#),
        ),
        restore: call("PUT", "/pools/{{part}}", Some("{{before}}")),
        timeout: Duration::from_secs(2),
    }
}

fn control(settings: &HttpSettings) -> Http {
    let provider = Provider::Http(Box::new(settings.clone()));
    Http::new(&ControlSpec { name: "edge".into(), provider }, settings).unwrap()
}

fn drain() -> CutOrder {
    CutOrder::of(EAST, Mode::Drain)
}

/// What east's pool answers.
fn pool() -> Value {
    json!({ "weight": 10, "name": "a \"b\"" })
}

fn snapshot() -> ControlState {
    let part = |datacenter, value: Value| PartState {
        datacenter,
        passage: Passage::Open,
        settings: [
            (STATE.to_owned(), value["weight"].to_string()),
            (BEFORE.to_owned(), value.to_string()),
        ]
        .into(),
    };
    let parts = [("a b/1", part(EAST, pool())), ("w", part(WEST, json!({ "weight": 7 })))];
    ControlState { parts: parts.map(|(name, part)| (name.to_owned(), part)).into() }
}

#[tokio::test]
async fn every_value_is_escaped_for_its_place_and_goes_back_as_it_was() {
    let at = double::Provider::new([
        good(&pool()),
        good(&json!({ "weight": 7 })),
        say("202 Accepted", "", ""),
        say("204 No Content", "", ""),
    ])
    .await;
    let control = control(&HttpSettings { parts: settings(&at).parts, ..settings(&at) });
    // One after another, so that the double gives each its own answer.
    let mut alone = settings(&at);
    alone.parts.truncate(1);
    let first = self::control(&alone).inspect().await.unwrap();
    alone.parts = vec![settings(&at).parts.remove(1)];
    let second = self::control(&alone).inspect().await.unwrap();
    let mut read = first;
    read.parts.extend(second.parts);
    assert_eq!(read, snapshot());
    control.cut(&drain(), &read).await.unwrap();
    control.restore(&read.cuttable(&drain())).await.unwrap();
    let heard = at.heard();
    let line = |place: usize| heard[place].lines().next().unwrap().to_owned();
    let body = |place: usize| heard[place].split("\r\n\r\n").nth(1).unwrap().to_owned();
    assert_eq!(line(0), "GET /api/pools/a%20b%2F1 HTTP/1.1");
    assert_eq!(line(2), "POST /api/pools/a%20b%2F1/off?by=east HTTP/1.1");
    assert_eq!(body(2), r#"{"mode": "drain", "note": "was 10"}"#);
    assert_eq!(line(3), "PUT /api/pools/a%20b%2F1 HTTP/1.1");
    assert_eq!(serde_json::from_str::<Value>(&body(3)).unwrap(), pool());
    assert!(heard[3].contains("content-type: application/json\r\n"), "{}", heard[3]);
}

#[tokio::test]
async fn one_answer_tells_of_all_parts_where_none_stands_in_the_request() {
    let list = json!({ "pools": { "a b/1": { "weight": 10 }, "w": { "weight": 0 } } });
    let at = double::Provider::new([good(&list)]).await;
    let mut settings = settings(&at);
    settings.inspect.call.path = "/pools".into();
    settings.inspect.read = "/pools/{{part}}/weight".to_owned();
    settings.inspect.keep = None;
    let state = control(&settings).inspect().await.unwrap();
    let passages: Vec<_> = state.parts.values().map(|part| part.passage).collect();
    assert_eq!(passages, [Passage::Open, Passage::Closed]);
    assert_eq!(at.heard().len(), 1);
}

/// What is said of an answer to a reading, and to a cut.
async fn refused(reply: Reply, expect: &HttpExpect) -> [String; 2] {
    let mut said = Vec::new();
    for reading in [true, false] {
        let at = double::Provider::new(std::iter::repeat_n(reply.clone(), 8)).await;
        let mut settings = settings(&at);
        settings.parts.truncate(1);
        settings.inspect.call.expect = expect.clone();
        settings.cut.expect = expect.clone();
        let control = control(&settings);
        let error = match reading {
            true => control.inspect().await.unwrap_err(),
            false => control.cut(&drain(), &snapshot()).await.unwrap_err(),
        };
        let all = format!("{error} {:?} {:?}", control.exchanges(), control);
        assert!(!all.contains(TOKEN) && !all.contains("hun\\\"ter"), "{all}");
        said.push(error.to_string());
    }
    said.try_into().unwrap()
}

#[tokio::test]
async fn what_is_no_good_answer_is_told_and_never_taken_for_one() {
    let any = HttpExpect { status: vec![(200, 299)], body: None, json: Vec::new() };
    let html = "content-type: text/html\r\n";
    for (reply, of_both) in [
        (say("401 Unauthorized", "", "no"), "401 Unauthorized"),
        (say("403 Forbidden", "", &format!("not with {TOKEN}")), "403 Forbidden"),
        (say("302 Found", "location: http://elsewhere.example/\r\n", ""), "which is not followed"),
        (say("409 Conflict", "", r#"{"message": "busy"}"#), "409 Conflict: busy"),
        (
            Reply::Say("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"wei".to_owned()),
            "gave no answer",
        ),
        (Reply::Hang("HTTP/1.1 200 OK\r\ncontent-le".to_owned()), "gave no answer"),
    ] {
        for said in refused(reply.clone(), &any).await {
            assert!(said.contains(of_both), "{said}");
        }
    }
    let expect = HttpExpect { json: vec![("/ok".to_owned(), true.into())], ..any.clone() };
    for said in refused(good(&json!({ "ok": false, "weight": 10 })), &expect).await {
        assert!(said.contains("with false at `/ok`, where `expect` has true"), "{said}");
    }
    let expect = HttpExpect { body: Some("done".into()), ..any.clone() };
    for said in refused(good(&json!({ "weight": 10 })), &expect).await {
        assert!(said.contains("with a body without `done`"), "{said}");
    }
    let expect = HttpExpect { status: vec![(202, 202)], ..any };
    for said in refused(good(&json!({ "weight": 10 })), &expect).await {
        assert!(said.contains("said 200 OK"), "{said}");
    }
    let any = HttpExpect { status: vec![(200, 299)], body: None, json: Vec::new() };
    let at = double::Provider::new([say("200 OK", html, "<p>Log in</p>"), good(&json!([1]))]).await;
    let mut settings = settings(&at);
    settings.parts.truncate(1);
    settings.inspect.call.expect = any;
    let control = control(&settings);
    let error = control.inspect().await.unwrap_err();
    assert!(error.what.contains("what is not the JSON that was due (text/html"), "{error}");
    let error = control.inspect().await.unwrap_err();
    assert!(error.what.contains("nothing at `/weight`, of a b/1"), "{error}");
}

#[tokio::test]
async fn what_may_be_done_once_is_asked_once_and_what_may_be_repeated_again() {
    let busy = || say("503 Service Unavailable", "", "");
    let at = double::Provider::new([busy(), busy(), say("204 No Content", "", "")]).await;
    let mut settings = settings(&at);
    settings.parts.truncate(1);
    let error = control(&settings).cut(&drain(), &snapshot()).await.unwrap_err();
    assert!(error.what.contains("503"), "{error}");
    assert_eq!(at.heard().len(), 1, "a POST is not asked again");
    settings.restore.repeatable = true;
    control(&settings).restore(&snapshot().cuttable(&drain())).await.unwrap();
    assert_eq!(at.heard().len(), 3);
}

#[tokio::test]
async fn a_part_that_is_refused_holds_up_no_other_on_the_way_back() {
    let at = double::Provider::new([say("500 Oh", "", ""), say("204 No Content", "", "")]).await;
    let error = control(&settings(&at)).restore(&snapshot()).await.unwrap_err();
    assert!(error.what.contains("500"), "{error}");
    assert_eq!(at.heard().len(), 2);
}

#[tokio::test]
async fn what_is_previewed_and_done_by_hand_has_no_secret_in_it() {
    let at = double::Provider::new([]).await;
    let mut settings = settings(&at);
    settings.cut.body = Some(secret(r#"{"key": ""#, TOKEN));
    let control = control(&settings);
    let calls = control.calls(&drain(), &snapshot());
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].call, r#"POST /pools/a%20b%2F1/off?by=east {"key": "${env:TOKEN}"#);
    let back = calls[0].undone_by.clone().unwrap();
    assert_eq!(back, format!("PUT /pools/a%20b%2F1 {}", pool()));
    let hand = control.by_hand(&snapshot().cuttable(&drain()));
    let url = format!("http://{}/api/pools/a%20b%2F1", at.at);
    let wanted = format!(
        "curl -X PUT -H \"authorization: Bearer ${{TOKEN}}\" -H 'content-type: application/json' --data-raw '{}' '{url}'",
        pool()
    );
    assert_eq!(hand, [wanted]);
}

#[tokio::test]
async fn what_was_read_without_a_piece_that_is_named_is_not_made_up() {
    let at = double::Provider::new([]).await;
    let mut settings = settings(&at);
    settings.restore.body = Some("{{before:/gone}}".into());
    let error = control(&settings).restore(&snapshot().cuttable(&drain())).await.unwrap_err();
    assert!(error.what.contains("without what `{{before:/gone}}` names"), "{error}");
    assert!(at.heard().is_empty());
}

#[tokio::test]
async fn a_secret_that_the_api_says_back_is_written_nowhere_and_put_back_as_it_was() {
    let pool = json!({ "weight": 10, "key": TOKEN });
    let at = double::Provider::new([good(&pool), good(&pool), say("204 No Content", "", "")]).await;
    let mut settings = settings(&at);
    settings.parts.truncate(1);
    let control = control(&settings);
    let read = control.inspect().await.unwrap();
    let by_hand = control.by_hand(&read);
    let calls = control.calls(&drain(), &read);
    let all = format!("{read:?} {by_hand:?} {calls:?} {:?} {control:?}", control.exchanges());
    assert!(!all.contains("hun") && all.contains("${env:TOKEN#0327}"), "{all}");
    control.preflight().await.unwrap();
    control.restore(&read).await.unwrap();
    let heard = at.heard().pop().unwrap();
    let body = heard.split("\r\n\r\n").nth(1).unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), pool);
    assert!(by_hand[0].contains(r#"\"key\":\"${TOKEN}\""#), "{by_hand:?}");
}

#[tokio::test]
async fn a_secret_that_has_another_value_by_now_is_not_put_back() {
    let at = double::Provider::new([good(&json!({ "weight": 10, "key": TOKEN }))]).await;
    let mut settings = settings(&at);
    settings.parts.truncate(1);
    let read = control(&settings).inspect().await.unwrap();
    for value in ["another-value", "short"] {
        settings.headers = vec![("authorization".to_owned(), secret("Bearer ", value))];
        let error = control(&settings).restore(&read).await.unwrap_err();
        assert_eq!(error.what, "TOKEN has another value than when the drill read it");
    }
    assert_eq!(at.heard().len(), 1, "nothing is written");
}

#[tokio::test]
async fn a_number_that_a_secret_is_too_leaves_what_was_read_json() {
    let pool = json!({ "weight": 10, "account": 123_456_789_012_u64 });
    let at = double::Provider::new([good(&pool)]).await;
    let mut settings = settings(&at);
    settings.parts.truncate(1);
    settings.headers = vec![("x-account".to_owned(), secret("of ", "123456789012"))];
    let control = control(&settings);
    let read = control.inspect().await.unwrap();
    let hand = control.by_hand(&read);
    assert!(hand[0].contains(&format!("--data-raw '{pool}'")), "{hand:?}");
}

#[tokio::test]
async fn what_is_not_known_is_shown_as_the_plan_has_it() {
    let at = double::Provider::new([]).await;
    let mut settings = settings(&at);
    settings.restore.body = Some("{{before:/gone}}".into());
    let hand = control(&settings).by_hand(&snapshot().cuttable(&drain()));
    assert!(hand[0].contains("--data-raw '{{before:/gone}}'"), "{hand:?}");
    assert!(hand[0].contains("/pools/a%20b%2F1"), "{hand:?}");
}
