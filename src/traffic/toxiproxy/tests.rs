//! What a mode is as toxics, what a proxy lets pass, and answers that are none.

use std::time::Duration;

use serde_json::json;

use super::super::api::double::{Provider as Double, Reply, good, say, secret};
use super::*;
use crate::model::{Degrade, Provider, ToxiproxyProxies};

const EAST: DatacenterId = DatacenterId(0);

fn control(double: &Double) -> Toxiproxy {
    let settings = ToxiproxySettings {
        url: Text::from(&*format!("http://{}", double.at)),
        token: Some(secret("", "hunter2")),
        proxies: vec![ToxiproxyProxies { datacenter: EAST, patterns: vec!["east".into()] }],
        timeout: Duration::from_secs(5),
    };
    let provider = Provider::Toxiproxy(settings.clone());
    Toxiproxy::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap()
}

fn degrade(loss: f64, bandwidth: Option<u64>) -> Mode {
    let (latency, jitter) = (Duration::from_millis(80), Duration::from_millis(20));
    Mode::Degrade(Degrade { latency, jitter, loss, bandwidth })
}

fn proxy() -> Proxy {
    Proxy { name: "east".into(), enabled: true, toxics: Vec::new(), cut: None }
}

#[test]
fn a_mode_is_what_toxiproxy_counts_in() {
    let told = |mode: &Mode| json!(toxics(mode));
    let toxic = |kind: &str, stream: &str, attributes: Value| {
        json!({
            "name": format!("firedrill_{kind}_{stream}"), "type": kind, "stream": stream,
            "toxicity": 1.0, "attributes": attributes,
        })
    };
    let both = |kind: &str, attributes: Value| {
        ["upstream", "downstream"].map(|stream| toxic(kind, stream, attributes.clone()))
    };
    assert_eq!(told(&Mode::Blackhole), json!(both("timeout", json!({ "timeout": 0 }))));
    assert_eq!(told(&Mode::Reset), json!([]));
    assert_eq!(told(&Mode::Drain), json!(null));
    assert_eq!(told(&degrade(0.1, None)), json!(null), "it loses nothing");
    let latency = both("latency", json!({ "latency": 80, "jitter": 20 }));
    // Less than what it can count is the least that it can.
    for (bytes, rate) in [(1, 1), (1000, 1), (1001, 2), (250_000, 250)] {
        let expected = [latency.clone(), both("bandwidth", json!({ "rate": rate }))].concat();
        assert_eq!(told(&degrade(0.0, Some(bytes))), json!(expected), "{bytes}");
    }
}

#[test]
fn a_proxy_says_whether_it_lets_traffic_pass_and_comes_back_from_a_snapshot() {
    let half = Toxic { toxicity: 0.5, ..toxics(&Mode::Blackhole).unwrap().remove(0) };
    let [up, down] = <[Toxic; 2]>::try_from(toxics(&Mode::Blackhole).unwrap()).unwrap();
    let named = |it: &Toxic| Toxic { name: format!("their_{}", it.stream), ..it.clone() };
    let theirs = [&up, &down].map(named);
    let slow = Toxic { name: "theirs".into(), ..toxics(&degrade(0.0, None)).unwrap().remove(0) };
    for (change, has_cuts, passage) in [
        (proxy(), false, Passage::Open),
        (Proxy { enabled: false, ..proxy() }, false, Passage::Closed),
        (Proxy { toxics: vec![slow], ..proxy() }, false, Passage::Open),
        (Proxy { toxics: vec![half], ..proxy() }, false, Passage::Degraded),
        (Proxy { toxics: vec![up], ..proxy() }, false, Passage::Degraded),
        (Proxy { toxics: vec![down], ..proxy() }, false, Passage::Degraded),
        (Proxy { toxics: vec![theirs[0].clone()], ..proxy() }, false, Passage::Degraded),
        (Proxy { toxics: theirs.to_vec(), ..proxy() }, false, Passage::Closed),
        (proxy().cut_by(&Mode::Blackhole, false), false, Passage::Closed),
        (proxy().cut_by(&Mode::Reset, false), false, Passage::Closed),
        (proxy().cut_by(&degrade(0.0, None), false), false, Passage::Degraded),
        (proxy().cut_by(&Mode::Drain, true), true, Passage::Closed),
        (proxy().cut_by(&degrade(0.2, Some(5)), true), true, Passage::Degraded),
    ] {
        assert_eq!(change.passage(), passage, "{change:?}");
        assert_eq!(Proxy::of("east", &change.settings(has_cuts)), Some(change));
    }
    for (key, value) in [(CUT, "sideways"), ("toxics", "[1]"), ("enabled", "perhaps")] {
        let mut settings = proxy().settings(true);
        settings.insert(key.to_owned(), value.to_owned());
        assert_eq!(Proxy::of("east", &settings), None, "{key}");
    }
}

/// Half of a good answer.
fn half() -> Reply {
    Reply::Say("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"name\":".to_owned())
}

#[tokio::test]
async fn a_change_that_is_throttled_or_not_answered_well_is_told_and_nothing_more_is_changed() {
    let version = || say("200 OK", "", "2.1.4");
    let east = json!({ "name": "east", "enabled": true, "toxics": [] });
    let order = CutOrder::of(EAST, Mode::Blackhole);
    for (reply, what, hint) in [
        (say("429 Too Many Requests", "", ""), "429 Too Many Requests", "no more calls"),
        (say("500 Internal Server Error", "", "no"), "500 Internal Server Error: no", "not well"),
        (say("503 Service Unavailable", "", ""), "503 Service Unavailable", "not well"),
        (half(), "the answer broke off", "may have taken effect"),
        (Reply::Say(String::new()), "closed before the answer", "may have taken effect"),
    ] {
        let readings = [version(), good(&json!({ "east": east })), good(&east)];
        let double = Double::new(readings.into_iter().chain([reply])).await;
        let control = control(&double);
        let before = control.inspect().await.unwrap();
        let error = control.cut(&order, &before).await.unwrap_err();
        assert!(error.what.contains(what) && error.hint.contains(hint), "{what}: {error}");
        let heard = double.heard();
        assert_eq!(heard.len(), 4, "{what}: the first toxic once, the second never: {heard:?}");
        assert!(heard[3].starts_with("POST /proxies/east/toxics "), "{heard:?}");
    }
}

#[tokio::test]
async fn a_reading_that_is_never_answered_well_is_no_state() {
    for (reply, what) in [
        (half(), "the answer broke off"),
        (say("429 Too Many Requests", "retry-after: 3600\r\n", ""), "429 Too Many Requests"),
        (say("502 Bad Gateway", "", "<html>"), "502 Bad Gateway"),
    ] {
        let version = say("200 OK", "", "2.1.4");
        let double =
            Double::new(std::iter::once(version).chain(std::iter::repeat_n(reply, 8))).await;
        let error = control(&double).inspect().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert!(double.heard().iter().all(|it| it.starts_with("GET")));
    }
}

#[tokio::test]
async fn answers_that_are_none_are_no_state_and_the_token_is_not_shown() {
    let version = || say("200 OK", "", "2.1.4");
    for (replies, what) in [
        (vec![say("401 Unauthorized", "", "{\"error\":\"no hunter2\"}")], "401"),
        (vec![version(), say("200 OK", "content-type: text/html\r\n", "<html>")], "JSON"),
        (vec![version(), say("200 OK", "", "{\"east\":{\"name\":\"east\"}}")], "JSON"),
        (vec![version(), say("302 Found", "location: http://elsewhere/\r\n", "")], "not followed"),
    ] {
        let double = Double::new(replies).await;
        let error = control(&double).inspect().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error}");
        assert!(double.heard().iter().all(|it| it.contains("authorization: Bearer hunter2")));
    }
}
