//! What a real Caddy does not do on demand: answers that are none, and another hand at the same moment.

use std::time::Duration;

use serde_json::json;

use super::super::api::double::{Provider as Double, Reply, say};
use super::*;
use crate::model::{CaddyUpstream, DatacenterId, Mode, Provider, Text};

const EAST: DatacenterId = DatacenterId(0);

fn control(double: &Double) -> Caddy {
    let upstream = |datacenter, dial: &str| CaddyUpstream { datacenter, dial: dial.to_owned() };
    let settings = CaddySettings {
        url: Text::from(&*format!("http://{}", double.at)),
        id: "edge".to_owned(),
        upstreams: vec![upstream(EAST, "e:80"), upstream(DatacenterId(1), "w:80")],
        timeout: Duration::from_secs(5),
    };
    let provider = Provider::Caddy(settings.clone());
    Caddy::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap()
}

fn list(tag: &str) -> Reply {
    let body = json!([{ "dial": "e:80" }, { "dial": "w:80" }]).to_string();
    say("200 OK", &format!("etag: \"{tag}\"\r\ncontent-type: application/json\r\n"), &body)
}

#[tokio::test]
async fn a_list_that_changed_in_between_is_read_again_and_written_by_its_tag() {
    let order = CutOrder::of(EAST, Mode::Drain);
    let early = say("412 Precondition Failed", "", "{\"error\":\"etag\"}");
    let double = Double::new([list("0"), list("1"), early, list("2"), say("200 OK", "", "")]).await;
    let control = control(&double);
    let snapshot = control.inspect().await.unwrap();
    control.cut(&order, &snapshot).await.unwrap();
    let heard = double.heard();
    let written: Vec<&String> = heard.iter().filter(|it| it.starts_with("PATCH")).collect();
    assert_eq!(written.len(), 2);
    for (request, tag) in written.iter().zip(["1", "2"]) {
        assert!(request.contains(&format!("if-match: \"{tag}\"")), "{request}");
        assert!(request.ends_with("[{\"dial\":\"w:80\"}]"), "{request}");
    }
    let asked: Vec<String> = control.exchanges().into_iter().map(|it| it.asked).collect();
    assert_eq!(asked.len(), 5, "{asked:?}");
}

#[tokio::test]
async fn a_list_that_never_rests_is_given_up() {
    let early = || say("412 Precondition Failed", "", "");
    let rounds = (0..TRIES).flat_map(|_| [list("1"), early()]);
    let double = Double::new([list("0")].into_iter().chain(rounds)).await;
    let control = control(&double);
    let snapshot = control.inspect().await.unwrap();
    let error = control.cut(&CutOrder::of(EAST, Mode::Drain), &snapshot).await.unwrap_err();
    assert!(error.what.contains("another hand again and again"), "{error}");
}

#[tokio::test]
async fn a_caddy_that_accepts_and_does_nothing_is_never_cut() {
    let order = CutOrder::of(EAST, Mode::Drain);
    let double = Double::new([list("0"), list("0"), say("200 OK", "", ""), list("0")]).await;
    let control = control(&double);
    let before = control.inspect().await.unwrap();
    control.cut(&order, &before).await.unwrap();
    let now = control.inspect().await.unwrap();
    assert!(!now.is_cut(&order), "{now:?}");
    assert_eq!(now, before);
    assert!(double.heard()[2].starts_with("PATCH"));
}

/// Half of a good answer.
fn half() -> Reply {
    Reply::Say("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n[{\"dial\":".to_owned())
}

#[tokio::test]
async fn half_an_answer_to_a_change_is_asked_for_again_under_the_same_tag() {
    let order = CutOrder::of(EAST, Mode::Drain);
    let west = json!([{ "dial": "w:80" }]).to_string();
    // The first one was made, so that its tag is the list's no more.
    let replies = [
        list("0"),
        list("0"),
        half(),
        say("412 Precondition Failed", "", ""),
        say("200 OK", "etag: \"1\"\r\n", &west),
    ];
    let double = Double::new(replies).await;
    let control = control(&double);
    let before = control.inspect().await.unwrap();
    control.cut(&order, &before).await.unwrap();
    let heard = double.heard();
    assert_eq!(heard.len(), 5, "{heard:?}");
    let written: Vec<&String> = heard.iter().filter(|it| it.starts_with("PATCH")).collect();
    assert_eq!(written.len(), 2, "{heard:?}");
    assert!(written.iter().all(|it| it.contains("if-match: \"0\"")), "{heard:?}");
}

#[tokio::test]
async fn a_change_that_is_never_answered_whole_or_well_is_told_and_not_taken_for_done() {
    let order = CutOrder::of(EAST, Mode::Drain);
    for (reply, what, hint) in [
        (half(), "the answer broke off", "it may have taken effect"),
        (
            say("429 Too Many Requests", "retry-after: 3600\r\n", ""),
            "429 Too Many Requests",
            "no more calls",
        ),
        (say("503 Service Unavailable", "", "busy"), "503 Service Unavailable: busy", "not well"),
    ] {
        let double =
            Double::new([list("0"), list("0")].into_iter().chain(std::iter::repeat_n(reply, 8)))
                .await;
        let control = control(&double);
        let before = control.inspect().await.unwrap();
        let error = control.cut(&order, &before).await.unwrap_err();
        assert!(error.what.contains(what) && error.hint.contains(hint), "{error}");
        let heard = double.heard();
        let written: Vec<&String> = heard.iter().filter(|it| !it.starts_with("GET")).collect();
        assert!(written.iter().all(|it| it.ends_with("[{\"dial\":\"w:80\"}]")), "{written:?}");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_no_state() {
    for (reply, what) in [
        (half(), "the answer broke off"),
        (say("429 Too Many Requests", "retry-after: 3600\r\n", ""), "429 Too Many Requests"),
        (say("200 OK", "content-type: text/html\r\n", "<html>"), "the JSON that was due"),
        (say("200 OK", "", "{\"dial\":\"e:80\"}"), "the JSON that was due"),
        (say("403 Forbidden", "", "{\"error\":\"host not allowed: x\"}"), "host not allowed"),
        (say("302 Found", "location: http://elsewhere/\r\n", ""), "which is not followed"),
        (say("500 Internal Server Error", "", "no"), "500"),
    ] {
        let double = Double::new(std::iter::repeat_n(reply, 8)).await;
        let error = control(&double).inspect().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
    }
    // No upstreams at all is a list, which Caddy writes as `null`.
    let double = Double::new([say("200 OK", "", "null\n")]).await;
    let state = control(&double).inspect().await.unwrap();
    assert!(state.parts.values().all(|part| part.passage == Passage::Closed));
}

#[test]
fn by_hand_each_goes_back_to_its_place() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let double = runtime.block_on(Double::new([]));
    let part = PartState {
        datacenter: EAST,
        passage: Passage::Open,
        settings: [(UPSTREAM.to_owned(), "{\"dial\":\"e:80\",\"x\":\"it's\"}".to_owned())].into(),
    };
    let ours = ControlState { parts: [("e:80".to_owned(), part)].into() };
    let lines = control(&double).by_hand(&ours);
    let url = format!("'http://{}/id/edge/upstreams", double.at);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with(&format!("curl {url}'")), "{}", lines[0]);
    assert!(lines[1].contains("-d '{\"dial\":\"e:80\",\"x\":\"it'\\''s\"}'"), "{}", lines[1]);
    assert!(lines[1].ends_with(&format!("{url}/0'")), "{}", lines[1]);
}
