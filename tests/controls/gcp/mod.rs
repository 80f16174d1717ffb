//! The `gcp` control against doubles that are held to Google's discovery documents: load balancers here, names in `dns`.

mod dns;
mod google;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use firedrill::model::{
    ControlSpec, CutOrder, GcpBy, GcpGroups, GcpService, GcpSettings, Mode, Passage, Provider, Text,
};
use firedrill::traffic::api::Tokens;
use firedrill::traffic::gcp::Gcp;
use firedrill::traffic::{ControlError, TrafficControl};
use serde_json::json;

use self::google::{Google, TOKEN};
use crate::contract;
use crate::journal_alone::{End, puts_back_what_is_left, restored};
use crate::rest::{Doubled, Instead, refusal, said};
use crate::world::{A, B};

const WEB_A: &str = "global/web/europe-west9-a/instanceGroups/web";

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

struct Token(&'static str);

#[async_trait]
impl Tokens for Token {
    async fn token(&self) -> Result<Option<String>, ControlError> {
        Ok(Some(self.0.to_owned()))
    }
}

fn control(at: std::net::SocketAddr) -> Gcp {
    limited(at, Duration::from_secs(5))
}

fn limited(at: std::net::SocketAddr, timeout: Duration) -> Gcp {
    let groups = |datacenter, patterns: &[&str]| GcpGroups {
        datacenter,
        patterns: patterns.iter().map(|it| (*it).into()).collect(),
    };
    let provider = Provider::Gcp(GcpSettings {
        project: "shop-1".into(),
        by: GcpBy::Backends {
            services: vec![
                GcpService { region: None, name: "web".into() },
                GcpService { region: Some("europe-west9".into()), name: "pay".into() },
            ],
            groups: vec![
                groups(A, &["europe-west9-a/*"]),
                groups(B, &["europe-west9-b/*", "*/ab"]),
            ],
        },
        endpoint: Some(Text::from(&*format!("http://{at}/compute/v1"))),
        timeout,
    });
    let spec = ControlSpec { name: "glb".into(), provider };
    Gcp::with(&spec, Box::new(Token(TOKEN))).unwrap()
}

#[tokio::test]
async fn gcp_keeps_the_contract_and_no_call_is_unknown_to_google() {
    let google = Google::start().await;
    let control = control(google.at);
    let before = google.state().scalers();
    contract::holds(&control, &drain()).await;
    assert_eq!(google.state().scalers(), before, "also of what was closed before");
    let heard = google.state().heard.clone();
    for words in ["GET /compute/v1/projects/shop-1/global/operations/operation-1", "PATCH"] {
        assert!(heard.iter().any(|line| line.starts_with(words)), "{words}: {heard:?}");
    }
    let shown = format!("{:?}", control.exchanges());
    assert!(shown.contains("PATCH") && !shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_cut_takes_all_capacity_of_the_datacenter_and_nothing_else() {
    let google = Google::start().await;
    let control = control(google.at);
    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.parts.len(), 5, "what no pattern names is not ours: {snapshot:?}");
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(google.state().scalers(), [vec![0.0, 0.5, 1.0], vec![0.0, 0.0, 1.0]]);
    let backend = &google.state().global["backends"][0];
    assert_eq!(backend["maxRatePerInstance"], 100.0, "what we do not steer is written back");
}

#[tokio::test]
async fn a_capacity_that_another_hand_set_is_left_alone() {
    let google = Google::start().await;
    let hand = async {
        google.state().global["backends"][0]["capacityScaler"] = json!(0.3);
    };
    contract::leaves_another_hand_alone(&control(google.at), &drain(), WEB_A, hand).await;
}

#[tokio::test]
async fn a_google_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = limited(silent.local_addr().unwrap(), Duration::from_millis(200));
    contract::gives_up_within(&control, &drain(), Duration::from_secs(5)).await;
}

#[tokio::test]
async fn bad_answers_of_google_are_told_and_change_nothing() {
    let google = Google::start().await;
    let control = control(google.at);
    let doubled = Doubled {
        control: &control,
        order: drain(),
        token: TOKEN,
        change: ("PATCH", true),
        set: &|instead| google.state().instead = instead,
        state: &|| format!("{:?}", google.state().scalers()),
    };
    doubled.stands_bad_answers().await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_at_the_change_and_at_its_operation() {
    for (method, piece, scalers) in [
        ("PATCH", "/backendServices/", [vec![1.0, 0.5, 1.0], vec![0.8, 0.0, 1.0]]),
        // The change itself was accepted: a restore takes it back.
        ("GET", "/operations/", [vec![0.0, 0.5, 1.0], vec![0.0, 0.0, 1.0]]),
    ] {
        let google = Google::start().await;
        let control = control(google.at);
        let snapshot = control.inspect().await.unwrap();
        let text = refusal("403 Forbidden", 0, &format!("Required permission for {TOKEN}"));
        google.state().instead = Instead::always(method, piece, &text);
        let error = control.cut(&drain(), &snapshot).await.unwrap_err();
        let what = format!("said 403 Forbidden: Required permission for *** to `{method}");
        assert!(error.what.starts_with("not cut: ") && error.what.contains(&what), "{error}");
        assert!(error.hint.contains("`firedrill preview` lists what they need"), "{error}");
        let shown = format!("{error} {:?}", control.exchanges());
        assert!(!shown.contains(TOKEN), "{shown}");
        assert_eq!(google.state().scalers(), scalers);
        google.state().instead = Instead::default();
        control.restore(&snapshot.cuttable(&drain())).await.unwrap();
        assert_eq!(control.inspect().await.unwrap(), snapshot);
    }
}

/// A ration of Google's that is used up, as it says so: 403, and the reason in the body.
fn ration(wait: u32) -> String {
    let words =
        "Quota exceeded for quota group 'ReadGroup' and limit 'Queries per user per minute'.";
    let body = json!({ "error": {
        "code": 403, "message": words,
        "errors": [{ "message": words, "domain": "usageLimits", "reason": "rateLimitExceeded" }],
    }});
    said("403 Forbidden", &format!("retry-after: {wait}\r\n"), &body.to_string())
}

#[tokio::test]
async fn a_ration_that_is_used_up_is_waited_for_and_no_missing_right() {
    let google = Google::start().await;
    let control = control(google.at);
    google.state().instead = Instead::once("GET", "", &ration(0));
    let snapshot = control.inspect().await.unwrap();
    google.state().instead = Instead::once("PATCH", "", &ration(0));
    control.cut(&drain(), &snapshot).await.unwrap();
    let patched = google.state().heard.iter().filter(|it| it.starts_with("PATCH")).count();
    assert_eq!(patched, 3, "once for each service, and once more");
    assert!(control.inspect().await.unwrap().is_cut(&drain()));

    google.state().instead = Instead::always("PATCH", "", &ration(60));
    let error = control.restore(&snapshot.cuttable(&drain())).await.unwrap_err();
    assert!(error.what.contains("403 Forbidden: Quota exceeded for quota group"), "{error}");
    assert!(error.what.contains("wants to be left alone for 1 min"), "{error}");
    assert!(error.hint.contains("takes no more calls for now"), "{error}");
}

#[tokio::test]
async fn operations_that_take_long_are_left_to_the_readings_however_many_they_are() {
    let google = Google::start().await;
    let control = control(google.at);
    let snapshot = control.inspect().await.unwrap();
    google.state().looks = u32::MAX;
    let begun = std::time::Instant::now();
    control.cut(&drain(), &snapshot).await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(12), "a call of a control has 15 s: {took:?}");
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
}

#[tokio::test]
async fn a_service_that_is_changed_at_the_same_time_keeps_what_the_other_hand_did() {
    let google = Google::start().await;
    let control = control(google.at);
    let snapshot = control.inspect().await.unwrap();
    google.state().meanwhile = Some(|service| {
        service["backends"][1]["capacityScaler"] = json!(0.9);
    });
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(google.state().scalers()[0], [0.0, 0.9, 1.0]);
}

#[tokio::test]
async fn preflight_names_what_is_missing() {
    type Change = fn(&mut google::State);
    let cases: [(Change, &str); 8] = [
        (|it| it.is_deleted = true, "404 Not Found: The resource"),
        (
            |it| it.global["backends"][2]["group"] = json!("https://elsewhere.example"),
            "web has a backend that is no group: https://elsewhere.example",
        ),
        (
            |it| it.global["backends"][2] = in_two(),
            "which is in two datacenters by the plan's patterns",
        ),
        (
            |it| it.permissions = vec!["compute.backendServices.get"],
            "does not give us compute.backendServices.update on web",
        ),
        (
            |it| it.permissions.clear(),
            "compute.backendServices.get and compute.backendServices.update",
        ),
        (
            |it| it.global["backends"].as_array_mut().unwrap().truncate(1),
            "web has one backend alone",
        ),
        (
            |it| drop(it.global["backends"][0].as_object_mut().unwrap().remove("balancingMode")),
            "has no balancing mode",
        ),
        (
            |it| {
                for service in [&mut it.global, &mut it.regional] {
                    let backends = service["backends"].as_array_mut().unwrap();
                    backends.retain(|it| !it["group"].as_str().unwrap().contains("west9-b"));
                }
            },
            "no backend is a group `europe-west9-b/*`, `*/ab`",
        ),
    ];
    for (change, what) in cases {
        let google = Google::start().await;
        change(&mut google.state());
        let error = control(google.at).preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert!(!google.state().heard.iter().any(|line| line.starts_with("PATCH")));
    }
    let google = Google::start().await;
    control(google.at).preflight().await.unwrap();
}

#[tokio::test]
async fn a_change_that_google_took_and_did_not_make_is_no_cut() {
    let google = Google::start().await;
    let control = control(google.at);
    let snapshot = control.inspect().await.unwrap();
    google.state().fault =
        Some(json!({ "code": "QUOTA_EXCEEDED", "message": "Quota 'X' exceeded." }));
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("QUOTA_EXCEEDED Quota 'X' exceeded."), "{error}");
    google.state().fault = None;
    google.state().obeys = false;
    control.cut(&drain(), &snapshot).await.unwrap();
    assert!(!control.inspect().await.unwrap().is_cut(&drain()));
}

#[tokio::test]
async fn a_restore_goes_on_after_a_refusal_and_names_what_is_gone() {
    let google = Google::start().await;
    let control = control(google.at);
    let snapshot = control.inspect().await.unwrap();
    let ours = snapshot.cuttable(&drain());
    control.cut(&drain(), &snapshot).await.unwrap();
    drop(google.state().global["backends"].as_array_mut().unwrap().remove(0));
    let error = control.restore(&ours).await.unwrap_err();
    assert!(error.what.contains(&format!("{WEB_A} is no longer there")), "{error}");
    assert_eq!(google.state().scalers()[1], [0.8, 0.0, 1.0]);
}

/// A backend that the patterns of both datacenters fit.
fn in_two() -> serde_json::Value {
    json!({
        "group": "https://www.googleapis.com/compute/v1/projects/shop-1/zones/europe-west9-a/instanceGroups/ab",
        "balancingMode": "RATE", "capacityScaler": 1.0,
    })
}

#[tokio::test]
async fn a_service_that_is_gone_keeps_no_other_cut() {
    let google = Google::start().await;
    let gone = ["pay", "pay-2"]
        .map(|it| format!("europe-west9/pay/europe-west9-a/networkEndpointGroups/{it}"));
    let also = "europe-west9/pay/europe-west9-b/networkEndpointGroups/pay";
    let gone = [&*gone[0], &*gone[1], also];
    let hand = async { google.state().is_deleted = true };
    puts_back_what_is_left(Arc::new(control(google.at)), &drain(), &gone, hand).await;
}

#[tokio::test]
async fn a_project_that_has_none_of_it_is_not_taken_for_another_hand() {
    let google = Google::start().await;
    google.state().is_deleted = true;
    let mut spec = control(google.at).spec().clone();
    let Provider::Gcp(settings) = &mut spec.provider else { unreachable!() };
    let GcpBy::Backends { services, .. } = &mut settings.by else { unreachable!() };
    services.retain(|service| service.region.is_some());
    let control = Gcp::with(&spec, Box::new(Token(TOKEN))).unwrap();
    let error = control.inspect().await.unwrap_err();
    assert!(error.what.contains("the project shop-1 has none of the backends"), "{error}");
}

#[tokio::test]
async fn a_backend_that_nobody_can_place_keeps_nothing_cut() {
    let google = Google::start().await;
    let control: Arc<dyn TrafficControl> = Arc::new(control(google.at));
    let before = control.inspect().await.unwrap();
    let hand = async {
        let mut state = google.state();
        let backends = state.global["backends"].as_array_mut().unwrap();
        backends.extend([in_two(), json!({ "group": "https://elsewhere.example" })]);
    };
    let end = restored(&control, &drain(), hand).await;
    assert_eq!(end, End::Restored { undone: false });
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn credentials_that_are_not_good_are_told_and_not_shown() {
    let google = Google::start().await;
    let spec = control(google.at).spec().clone();
    let control = Gcp::with(&spec, Box::new(Token("ya29.stale"))).unwrap();
    let error = control.inspect().await.unwrap_err();
    let what = "401 Unauthorized: Request had invalid authentication credentials.";
    assert!(error.what.contains(what), "{error}");
    let shown = format!("{error} {:?}", control.exchanges());
    assert!(!shown.contains("stale"), "{shown}");
}

#[tokio::test]
async fn the_way_back_by_hand_is_a_command_for_each_backend() {
    let google = Google::start().await;
    let control = control(google.at);
    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.parts[WEB_A].passage, Passage::Open);
    let commands = control.by_hand(&snapshot.cuttable(&drain()));
    let begin = "gcloud compute backend-services update-backend";
    assert_eq!(
        commands,
        [
            format!(
                "{begin} pay --project shop-1 --region europe-west9 --network-endpoint-group pay \
                 --network-endpoint-group-zone europe-west9-a --capacity-scaler 0.8"
            ),
            format!(
                "{begin} web --project shop-1 --global --instance-group web \
                 --instance-group-zone europe-west9-a --capacity-scaler 1"
            ),
        ]
    );
}
