//! The `toxiproxy` control against `firedrill proxy`, and against a double of Shopify's Toxiproxy.

mod daemon;
mod shopify;

use std::sync::Arc;
use std::time::Duration;

use firedrill::model::{
    ControlSpec, CutOrder, Degrade, Mode, Provider, Text, ToxiproxyProxies, ToxiproxySettings,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::toxiproxy::Toxiproxy;
use serde_json::json;

use self::shopify::Shopify;
use crate::contract;
use crate::journal_alone::{End, restored};
use crate::world::{A, B};

fn degrade(loss: f64) -> Mode {
    let (latency, jitter) = (Duration::from_millis(80), Duration::from_millis(20));
    Mode::Degrade(Degrade { latency, jitter, loss, bandwidth: Some(50_000) })
}

fn control(at: impl std::fmt::Display, patterns: [&str; 2]) -> Toxiproxy {
    within(at, patterns, Duration::from_secs(5))
}

fn within(at: impl std::fmt::Display, patterns: [&str; 2], timeout: Duration) -> Toxiproxy {
    let proxies = |datacenter, pattern: &str| ToxiproxyProxies {
        datacenter,
        patterns: vec![pattern.to_owned()],
    };
    let settings = ToxiproxySettings {
        url: Text::from(&*format!("http://{at}")),
        token: None,
        proxies: vec![proxies(A, patterns[0]), proxies(B, patterns[1])],
        timeout,
    };
    let provider = Provider::Toxiproxy(settings.clone());
    Toxiproxy::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap()
}

const PATTERNS: [&str; 2] = ["a-*", "b-?"];

async fn shopify() -> (Shopify, Toxiproxy) {
    let server = Shopify::start(&["a-1", "a-2", "b-1", "other"]).await;
    let control = control(server.at, PATTERNS);
    (server, control)
}

#[tokio::test]
async fn a_toxiproxy_keeps_the_contract_in_every_mode_that_it_has() {
    for mode in [Mode::Blackhole, Mode::Reset, degrade(0.0)] {
        let (_server, control) = shopify().await;
        contract::holds(&control, &CutOrder::of(A, mode)).await;
    }
}

#[tokio::test]
async fn toxics_of_others_stay_and_one_that_comes_in_mid_cut_is_another_hand() {
    for mode in [Mode::Blackhole, Mode::Reset] {
        let (server, control) = shopify().await;
        let theirs = |name: &str| {
            json!({ "name": name, "type": "latency", "stream": "downstream", "toxicity": 1,
                "attributes": { "latency": 5, "jitter": 0 } })
        };
        server.state().proxies.get_mut("a-1").unwrap()["toxics"] = json!([theirs("old")]);
        let hand = async {
            let mut state = server.state();
            let toxics = state.proxies.get_mut("a-1").unwrap()["toxics"].as_array_mut().unwrap();
            toxics.push(theirs("new"));
        };
        contract::leaves_another_hand_alone(&control, &CutOrder::of(A, mode), "a-1", hand).await;
        let state = server.state();
        assert_eq!(state.proxies["a-1"]["toxics"], json!([theirs("old")]));
        assert_eq!(state.proxies["other"]["enabled"], true);
        let touched = state.heard.iter().any(|it| !it.starts_with("GET") && it.contains("other"));
        assert!(!touched, "{:?}", state.heard);
    }
}

#[tokio::test]
async fn what_a_toxiproxy_cannot_do_is_said_before_the_cut() {
    let (server, control) = shopify().await;
    for (mode, what) in [(Mode::Drain, "it cannot drain"), (degrade(0.1), "with `loss`")] {
        let error = control.survivors(&CutOrder::of(A, mode)).await.unwrap_err();
        assert!(error.what.contains(what) && error.hint.contains("firedrill proxy"), "{error}");
        let snapshot = control.inspect().await.unwrap();
        control.cut(&CutOrder::of(A, mode), &snapshot).await.unwrap_err();
    }
    assert!(server.state().heard.iter().all(|it| it.starts_with("GET")));
}

#[tokio::test]
async fn preflight_finds_patterns_that_fit_nothing_or_too_much() {
    for (patterns, what) in [
        (["c-*", "b-1"], "no proxy matches `c-*`"),
        (["a-*", "*-1"], "the proxy a-1 stands in two datacenters"),
    ] {
        let server = Shopify::start(&["a-1", "b-1"]).await;
        let error = control(server.at, patterns).preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
    }
    let server = Shopify::start(&[]).await;
    let error = control(server.at, PATTERNS).preflight().await.unwrap_err();
    assert!(error.hint.contains("no proxies at all"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_nobody_can_place_keeps_nothing_cut() {
    let server = Shopify::start(&["a-1", "b-1"]).await;
    let control: Arc<dyn TrafficControl> = Arc::new(control(server.at, ["a-*", "*b*"]));
    let before = control.inspect().await.unwrap();
    let hand = async {
        let mut state = server.state();
        let mut strange = state.proxies["b-1"].clone();
        strange["name"] = json!("a-b");
        state.proxies.insert("a-b".to_owned(), strange);
    };
    let end = restored(&control, &CutOrder::of(A, Mode::Blackhole), hand).await;
    assert_eq!(end, End::Restored { undone: false });
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn a_server_that_accepts_and_does_nothing_reads_as_not_cut() {
    for mode in [Mode::Blackhole, Mode::Reset, degrade(0.0)] {
        let (server, control) = shopify().await;
        server.state().obeys = false;
        let order = CutOrder::of(A, mode);
        let snapshot = control.inspect().await.unwrap();
        control.cut(&order, &snapshot).await.unwrap();
        assert!(!control.inspect().await.unwrap().is_cut(&order));
    }
}

#[tokio::test]
async fn a_change_whose_answer_breaks_off_is_told_and_comes_back_with_the_rest() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"name\"";
    let (server, control) = shopify().await;
    let order = CutOrder::of(A, Mode::Blackhole);
    let before = control.inspect().await.unwrap();
    server.state().lost = Some(half.to_owned());
    let error = control.cut(&order, &before).await.unwrap_err();
    assert!(error.what.contains("the answer broke off"), "{error}");
    let now = control.inspect().await.unwrap();
    assert!(!now.is_cut(&order), "one stream of a proxy is no proxy: {now:?}");
    assert_ne!(now, before, "the toxic is there");
    // Nor is it in the way of a second try, or of the restore, whose answer is lost too.
    control.cut(&order, &before).await.unwrap();
    assert!(control.inspect().await.unwrap().is_cut(&order));
    server.state().lost = Some(half.to_owned());
    control.restore(&before.cuttable(&order)).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn a_proxy_that_is_gone_at_the_restore_is_named_and_the_others_are_back() {
    let (server, control) = shopify().await;
    let order = CutOrder::of(A, Mode::Blackhole);
    let snapshot = control.inspect().await.unwrap();
    control.cut(&order, &snapshot).await.unwrap();
    server.state().proxies.remove("a-1");
    let error = control.restore(&snapshot.cuttable(&order)).await.unwrap_err();
    assert!(error.what.contains("/proxies/a-1") && error.what.contains("404"), "{error}");
    assert_eq!(server.state().proxies["a-2"]["toxics"], json!([]));
}

#[tokio::test]
async fn every_call_is_told_with_the_one_that_undoes_it_and_how_a_person_does_it() {
    let (server, control) = shopify().await;
    let order = CutOrder::of(A, Mode::Blackhole);
    let snapshot = control.inspect().await.unwrap();
    let calls = control.calls(&order, &snapshot);
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert!(calls[0].call.starts_with("POST /proxies/a-1/toxics {"), "{calls:?}");
    let undo = "DELETE /proxies/a-1/toxics/firedrill_timeout_downstream";
    assert_eq!(calls[0].undone_by.as_deref(), Some(undo));
    let by_hand = control.by_hand(&snapshot.cuttable(&order));
    let url = format!("'http://{}/proxies/a-1", server.at);
    assert!(by_hand.contains(&format!("curl -X POST -d '{{\"enabled\":true}}' {url}'")));
    assert!(by_hand.iter().any(|it| it.contains(undo.trim_start_matches("DELETE "))));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = Duration::from_millis(500);
    let control = within(silent.local_addr().unwrap(), PATTERNS, limit);
    let order = CutOrder::of(A, Mode::Reset);
    contract::gives_up_within(&control, &order, Duration::from_secs(5)).await;
}
