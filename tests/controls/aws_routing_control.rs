//! The `aws-routing-control` control against a double of a cluster with five endpoints, held to AWS's published service model.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use firedrill::model::Mode;
use firedrill::model::{
    AwsReach, ControlSpec, ControlState, CutOrder, Passage, Provider, RoutingControlEndpoint,
    RoutingControlSettings, RoutingControls, Settings, Text,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::aws::RoutingControl;

use crate::aws_double::Double;
use crate::contract;
use crate::ports::free_port;
use crate::strangers::Elsewhere;
use crate::world::{A, B};

const PANEL: &str = "arn:aws:route53-recovery-control::123456789012:controlpanel/0123abcd";
const REGIONS: [&str; 5] =
    ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

fn named(name: &str) -> String {
    format!("{PANEL}/routingcontrol/{name}")
}

fn settings(reach: AwsReach, ports: &[u16]) -> RoutingControlSettings {
    let endpoints = REGIONS.iter().zip(ports).map(|(region, port)| RoutingControlEndpoint {
        region: (*region).to_owned(),
        url: Text::from(format!("http://127.0.0.1:{port}").as_str()),
    });
    let of = |datacenter, names: &[&str]| RoutingControls {
        datacenter,
        arns: names.iter().map(|it| named(it)).collect(),
    };
    RoutingControlSettings {
        endpoints: endpoints.collect(),
        controls: vec![of(A, &["a1", "a2"]), of(B, &["b1"])],
        override_safety_rules: Vec::new(),
        reach: AwsReach { endpoint: None, ..reach },
    }
}

fn control(settings: RoutingControlSettings) -> RoutingControl {
    let provider = Provider::AwsRoutingControl(settings.clone());
    let spec = ControlSpec { name: "switches".into(), provider };
    RoutingControl::new(&spec, &settings).beginning_with(0)
}

async fn cluster() -> Double {
    Double::start("routing_control", 5, &[]).await
}

/// With so much time for each endpoint that a busy machine turns none of them into one that hangs.
fn at(cluster: &Double) -> RoutingControl {
    let mut reach = cluster.reach();
    reach.timeout = Duration::from_secs(60);
    control(settings(reach, &cluster.ports))
}

/// Somebody else turns one.
fn turn(cluster: &Double, name: &str, state: &str) {
    let head = "POST / HTTP/1.0\r\nx-amz-target: ToggleCustomerAPI.UpdateRoutingControlState";
    let arn = named(name);
    let body = format!(r#"{{"RoutingControlArn":"{arn}","RoutingControlState":"{state}"}}"#);
    cluster.ask(0, head, &body);
}

/// Where each call went, in order.
fn regions(cluster: &Double) -> Vec<String> {
    let all = cluster.all_asked();
    all.iter().map(|it| it["region"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn routing_control_keeps_the_contract_and_turns_all_in_one_call() {
    let cluster = cluster().await;
    contract::holds(&at(&cluster), &drain()).await;
    let turned = cluster.asked("UpdateRoutingControlStates");
    let states = |it: &serde_json::Value| {
        let entries = it["UpdateRoutingControlStateEntries"].as_array().unwrap();
        let state = |it: &serde_json::Value| it["RoutingControlState"].as_str().unwrap().to_owned();
        entries.iter().map(state).collect::<Vec<_>>().join(" ")
    };
    // The contract restores before its cut, cuts twice and restores twice: states, not steps.
    let told: Vec<String> = turned.iter().map(states).collect();
    assert_eq!(told, ["On On On", "Off Off", "Off Off", "On On", "On On"]);
    assert!(turned.iter().all(|it| it.get("SafetyRulesToOverride").is_none()), "{turned:?}");
    assert!(turned.iter().all(|it| it["service"] == "route53-recovery-cluster"), "{turned:?}");
}

#[tokio::test]
async fn what_was_off_before_stays_off_and_what_another_hand_turns_is_left() {
    let cluster = cluster().await;
    turn(&cluster, "a2", "Off");
    let control = at(&cluster);
    let before = control.inspect().await.unwrap();
    assert_eq!(before.parts[&named("a2")].passage, Passage::Closed);
    control.cut(&drain(), &before).await.unwrap();
    // People turn on what was off, and off what is on: neither is ours.
    turn(&cluster, "a2", "On");
    turn(&cluster, "b1", "Off");
    control.restore(&before.cuttable(&drain())).await.unwrap();
    let after = control.inspect().await.unwrap();
    let state = |name: &str| after.parts[&named(name)].settings["state"].clone();
    assert_eq!([state("a1"), state("a2"), state("b1")], ["On", "On", "Off"]);
}

#[tokio::test]
async fn the_last_that_is_on_is_nobody_left_and_the_cluster_says_so_too() {
    let cluster = cluster().await;
    turn(&cluster, "b1", "Off");
    let control = at(&cluster);
    let survivors = control.survivors(&drain()).await.unwrap();
    assert_eq!((survivors.len(), survivors[0].left), (1, 0), "{survivors:?}");
    let before = control.inspect().await.unwrap();
    let asked = cluster.asked("UpdateRoutingControlStates").len();
    let error = control.cut(&drain(), &before).await.unwrap_err();
    assert!(error.what.contains("safetyrule/one"), "{error}");
    assert!(error.hint.contains("a safety rule forbids it"), "{error}");
    let asked = cluster.asked("UpdateRoutingControlStates").len() - asked;
    assert_eq!(asked, 1, "a conflict is not asked again, here or elsewhere");
    assert_eq!(control.inspect().await.unwrap(), before, "nothing was turned");
}

#[tokio::test]
async fn a_safety_rule_is_passed_over_only_where_the_plan_says_so_and_that_is_told() {
    let cluster = cluster().await;
    turn(&cluster, "b1", "Off");
    let mut broken = settings(cluster.reach(), &cluster.ports);
    broken.override_safety_rules = vec![format!("{PANEL}/safetyrule/one")];
    assert!(broken.needs()[2].contains("AllowSafetyRulesOverrides"), "{:?}", broken.needs());
    let control = control(broken);
    let before = control.inspect().await.unwrap();
    let calls = control.calls(&drain(), &before);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].call.contains("passing over the safety rules"), "{calls:?}");
    let by_hand = control.by_hand(&before.cuttable(&drain()));
    assert_eq!(by_hand.len(), 5, "{by_hand:?}");
    assert!(by_hand[0].contains("--safety-rules-to-override arn:"), "{by_hand:?}");
    control.cut(&drain(), &before).await.unwrap();
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    let told = control.exchanges();
    assert!(told.iter().any(|it| it.asked.contains("SafetyRulesToOverride")), "{told:?}");
    assert!(!format!("{told:?}").contains("only-for-moto"));
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_passed_by_and_the_next_one_is_kept() {
    let cluster = cluster().await;
    let mut ports = cluster.ports.clone();
    // Nobody listens; busy; away for maintenance; not well. The fifth is.
    ports[0] = free_port("127.0.0.1");
    let away = |code, status| format!(r#"{{"status":{status},"code":"{code}"}}"#);
    cluster.fault(1, &away("ThrottlingException", 400));
    cluster.fault(2, &away("EndpointTemporarilyUnavailableException", 400));
    cluster.fault(3, &away("InternalServerException", 500));
    let control = control(settings(cluster.reach(), &ports));
    let before = control.inspect().await.unwrap();
    assert_eq!(
        regions(&cluster),
        [
            "us-west-2",
            "eu-west-1",
            "ap-northeast-1",
            "ap-southeast-2",
            "ap-southeast-2",
            "ap-southeast-2"
        ],
        "each is signed for its own region, and the one that answers is asked on"
    );
    control.cut(&drain(), &before).await.unwrap();
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
    assert_eq!(cluster.asked("UpdateRoutingControlStates").len(), 1);
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn endpoints_that_hang_break_off_or_are_not_the_cluster_cost_little_time() {
    let cluster = cluster().await;
    cluster.fault(0, r#"{"silent":true}"#);
    cluster.fault(1, r#"{"hangs up":true}"#);
    cluster.fault(2, r#"{"text":"<html>please log in</html>","status":200}"#);
    cluster.fault(
        3,
        r#"{"text":"{\"RoutingControlArn\":","status":200,"type":"application/json","length":500}"#,
    );
    let mut reach = cluster.reach();
    reach.timeout = Duration::from_secs(10);
    let control = control(settings(reach, &cluster.ports));
    let begun = Instant::now();
    let before = control.inspect().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(before.parts.len(), 3);
}

#[tokio::test]
async fn what_was_asked_of_an_endpoint_that_died_over_it_is_asked_of_another() {
    let cluster = cluster().await;
    let control = at(&cluster);
    let before = control.inspect().await.unwrap();
    cluster.fault(0, r#"{"hangs up":true,"operation":"UpdateRoutingControlStates","times":1}"#);
    control.cut(&drain(), &before).await.unwrap();
    let turned = cluster.asked("UpdateRoutingControlStates");
    let regions: Vec<_> = turned.iter().map(|it| it["region"].as_str().unwrap()).collect();
    assert_eq!(regions, ["us-east-1", "us-west-2"]);
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
}

#[tokio::test]
async fn five_that_are_gone_are_named_with_what_each_said() {
    let cluster = cluster().await;
    let ports: Vec<u16> = (0..5).map(|_| free_port("127.0.0.1")).collect();
    let mut reach = cluster.reach();
    reach.timeout = Duration::from_secs(2);
    let control = control(settings(reach, &ports));
    contract::gives_up_within(&control, &drain(), Duration::from_secs(4)).await;
    let error = control.inspect().await.unwrap_err();
    assert!(error.what.starts_with("none of the cluster's endpoints answered"), "{error}");
    for region in REGIONS {
        assert!(error.what.contains(region), "{error}");
    }
}

#[tokio::test]
async fn five_that_hang_are_given_up_in_the_time_of_one_call() {
    let cluster = cluster().await;
    (0..5).for_each(|place| cluster.fault(place, r#"{"silent":true}"#));
    let mut reach = cluster.reach();
    reach.timeout = Duration::from_secs(2);
    let control = control(settings(reach, &cluster.ports));
    let mut snapshot = ControlState::default();
    snapshot.parts.insert(
        named("a1"),
        firedrill::model::PartState {
            datacenter: A,
            passage: Passage::Open,
            settings: [("state".to_owned(), "On".to_owned())].into(),
        },
    );
    for call in 0..2 {
        let begun = Instant::now();
        let error = match call {
            0 => control.inspect().await.unwrap_err(),
            _ => control.restore(&snapshot).await.unwrap_err(),
        };
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        assert!(error.what.contains("none of the cluster's endpoints answered"), "{error}");
    }
}

/// What an endpoint's answer makes of a preflight, and how many endpoints were asked.
async fn refusal(operation: &str, fault: &str) -> (String, usize) {
    let cluster = cluster().await;
    (0..5).for_each(|place| cluster.fault(place, fault));
    let control = at(&cluster);
    let error = match operation {
        "GetRoutingControlState" => control.preflight().await.unwrap_err(),
        _ => {
            let before = control.inspect().await.unwrap();
            control.cut(&drain(), &before).await.unwrap_err()
        }
    };
    let asked = cluster.asked(operation);
    let asked: BTreeSet<_> = asked.iter().map(|it| it["region"].to_string()).collect();
    (error.to_string(), asked.len())
}

#[tokio::test]
async fn a_no_of_the_cluster_is_told_and_not_asked_again() {
    for operation in ["GetRoutingControlState", "UpdateRoutingControlStates"] {
        for (code, hint) in [
            ("ExpiredTokenException", "the credentials have expired".to_owned()),
            ("UnrecognizedClientException", "these are no credentials of AWS".to_owned()),
            (
                "AccessDeniedException",
                format!("lack the permission `route53-recovery-cluster:{operation}`"),
            ),
            ("ValidationException", "see the settings of this control".to_owned()),
        ] {
            let fault = format!(r#"{{"status":400,"code":"{code}","operation":"{operation}"}}"#);
            let (error, asked) = refusal(operation, &fault).await;
            assert!(error.contains(code) && error.contains(&hint), "{code}: {error}");
            assert_eq!(asked, 1, "{code} at {operation}");
        }
    }
    let busy = r#"{"status":400,"code":"ThrottlingException"}"#;
    let (error, asked) = refusal("GetRoutingControlState", busy).await;
    assert!(error.contains("us-west-2: AWS said ThrottlingException"), "{error}");
    assert_eq!(asked, 5);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Elsewhere::new();
    let fault = format!(r#"{{"location":"http://127.0.0.1:{}/"}}"#, elsewhere.port());
    for operation in ["GetRoutingControlState", "UpdateRoutingControlStates"] {
        let fault = fault.replace('}', &format!(r#","operation":"{operation}"}}"#));
        let (error, _) = refusal(operation, &fault).await;
        assert!(error.contains("which is not followed"), "{error}");
    }
    elsewhere.heard_nothing();
}

#[tokio::test]
async fn a_control_that_is_not_there_and_credentials_that_are_not_are_told() {
    let cluster = cluster().await;
    let mut wrong = settings(cluster.reach(), &cluster.ports);
    wrong.controls[1].arns = vec![named("b7")];
    let error = control(wrong).preflight().await.unwrap_err();
    assert!(
        error.what.contains("there is no routing control") && error.what.contains("b7"),
        "{error}"
    );
    let mut nobody = settings(cluster.reach(), &cluster.ports);
    nobody.reach.profile = Some("nobody".into());
    let error = control(nobody).preflight().await.unwrap_err();
    assert!(error.what.starts_with("there are no credentials of AWS"), "{error}");
}
