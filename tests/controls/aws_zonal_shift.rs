//! The `aws-zonal-shift` control against a double that holds requests and answers to AWS's published service model.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use firedrill::model::{
    AwsReach, ControlSpec, ControlState, CutOrder, DatacenterId, Mode, PartState, Passage,
    Provider, ZonalShiftSettings, ZonalShiftZone,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::aws::ZonalShift;
use serde_json::Value;

use crate::contract;
use crate::moto::{python, reach_in};
use crate::ports::free_port;
use crate::strangers::Elsewhere;
use crate::world::{A, B, within_bounds};

const ARN: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188";

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

fn control(reach: AwsReach, arn: &str, zones: [&str; 2]) -> ZonalShift {
    control_of_all(reach, &[arn], zones)
}

fn control_of_all(reach: AwsReach, arns: &[&str], zones: [&str; 2]) -> ZonalShift {
    let zone = |datacenter: DatacenterId, id: &str| ZonalShiftZone { datacenter, id: id.into() };
    let settings = ZonalShiftSettings {
        resources: arns.iter().map(|arn| (*arn).to_owned()).collect(),
        zones: vec![zone(A, zones[0]), zone(B, zones[1])],
        expires_in: Duration::from_secs(30 * 60),
        reach,
    };
    let provider = Provider::AwsZonalShift(settings.clone());
    ZonalShift::new(&ControlSpec { name: "zones".into(), provider }, &settings)
}

/// The double.
struct Arc {
    server: Child,
    home: tempfile::TempDir,
    port: u16,
}

impl Drop for Arc {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

impl Arc {
    async fn start(more: &[&str]) -> Arc {
        let port = free_port("127.0.0.1");
        let double =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/aws/zonal_shift.py");
        let server = Command::new(python())
            .arg("-B")
            .arg(double)
            .arg(port.to_string())
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .expect("python is installed");
        let arc = Arc { server, home: tempfile::tempdir().unwrap(), port };
        within_bounds("the double answers", async || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        arc
    }

    fn control(&self) -> ZonalShift {
        self.control_of(ARN, ["euw1-az1", "euw1-az2"])
    }

    fn control_of(&self, arn: &str, zones: [&str; 2]) -> ZonalShift {
        control(reach_in(&self.home, self.port), arn, zones)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// Says what goes wrong from now on.
    fn fault(&self, fault: &str) {
        self.ask("POST", "/fault", fault);
    }

    /// The calls of this name that it took.
    fn asked(&self, operation: &str) -> Vec<Value> {
        let all = self.ask("GET", "/asked", "");
        let all = all.as_array().unwrap().iter();
        all.filter(|it| it["operation"] == operation).cloned().collect()
    }

    /// Ends our shift and begins one of its own.
    fn by_hand(&self) {
        let started = self.asked("StartZonalShift").len();
        let id = format!("{started:08}-2222-3333-4444-555566667777");
        self.ask("DELETE", &format!("/zonalshifts/{id}"), "");
        self.shift("euw1-az1", "people");
    }

    /// Somebody begins a shift.
    fn shift(&self, zone: &str, comment: &str) {
        let body = format!(
            r#"{{"resourceIdentifier":"{ARN}","awayFrom":"{zone}","expiresIn":"1h","comment":"{comment}"}}"#
        );
        assert_eq!(self.ask("POST", "/zonalshifts", &body)["status"], "ACTIVE");
    }
}

#[tokio::test]
async fn zonal_shift_keeps_the_contract_and_leaves_another_hand_alone() {
    let arc = Arc::start(&[]).await;
    contract::holds(&arc.control(), &drain()).await;
    let started = arc.asked("StartZonalShift");
    assert_eq!(started.len(), 1, "cutting what is cut starts no other: {started:?}");
    assert_eq!(started[0]["expiresIn"], "30m");
    let part = format!("{ARN}/euw1-az1");
    let hand = async { arc.by_hand() };
    contract::leaves_another_hand_alone(&arc.control(), &drain(), &part, hand).await;
}

#[tokio::test]
async fn a_shift_that_moves_nothing_is_not_called_a_cut() {
    let arc = Arc::start(&["weights-stay"]).await;
    let control = arc.control();
    let before = control.inspect().await.unwrap();
    control.cut(&drain(), &before).await.unwrap();
    let now = control.inspect().await.unwrap();
    assert!(!now.is_cut(&drain()), "{now:?}");
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn the_end_of_a_shift_moves_on_while_the_drill_lives_and_no_longer() {
    let arc = Arc::start(&[]).await;
    let control = arc.control().renewing_every(Duration::from_millis(20));
    let before = control.inspect().await.unwrap();
    control.cut(&drain(), &before).await.unwrap();
    within_bounds("it was renewed", async || arc.asked("UpdateZonalShift").len() >= 2).await;
    assert_eq!(arc.asked("UpdateZonalShift")[0]["expiresIn"], "30m");
    drop(control);
    let renewed = arc.asked("UpdateZonalShift").len();

    // Another process finds the shift by itself.
    let control = arc.control();
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    // One may have been on its way when the first control ended.
    assert!(arc.asked("UpdateZonalShift").len() <= renewed + 1);
}

#[tokio::test]
async fn a_resource_that_is_gone_keeps_no_other_from_being_read() {
    let arc = Arc::start(&[]).await;
    let gone = ARN.replace("shop", "nope");
    let zones = ["euw1-az1", "euw1-az2"];
    let control = control_of_all(reach_in(&arc.home, arc.port), &[&gone, ARN], zones);
    let state = control.inspect().await.unwrap();
    assert_eq!(state, arc.control().inspect().await.unwrap());
    let error = arc.control_of(&gone, zones).inspect().await.unwrap_err();
    assert!(error.what.contains("ARC knows none of the resources"), "{error}");
    let error = control.preflight().await.unwrap_err();
    assert!(error.what.contains("ResourceNotFoundException"), "{error}");
}

#[tokio::test]
async fn what_is_in_the_way_is_told_before_the_cut() {
    let arc = Arc::start(&[]).await;
    let error = arc.control_of(&ARN.replace("shop", "nope"), ["euw1-az1", "euw1-az2"]);
    let error = error.preflight().await.unwrap_err();
    assert!(error.what.contains("ResourceNotFoundException"), "{error}");
    let error = arc.control_of(ARN, ["euw1-az1", "euw1-az7"]).preflight().await.unwrap_err();
    assert!(error.what.contains("euw1-az7") && error.hint.contains("euw1-az3"), "{error}");
    arc.by_hand();
    let error = arc.control().preflight().await.unwrap_err();
    assert!(error.what.contains("already (people)"), "{error}");
    let state = arc.control().inspect().await.unwrap();
    assert_eq!(state.parts[&format!("{ARN}/euw1-az1")].passage, Passage::Closed);
    assert!(state.cuttable(&drain()).parts.is_empty(), "it was not ours to close");
}

/// What a control that was read before any shift knows.
fn snapshot() -> ControlState {
    let part = PartState {
        datacenter: A,
        passage: Passage::Open,
        settings: [("shift".to_owned(), "none".to_owned())].into(),
    };
    ControlState { parts: [(format!("{ARN}/euw1-az1"), part)].into() }
}

#[tokio::test]
async fn a_shift_whose_start_is_answered_to_nobody_is_ours_all_the_same() {
    let arc = Arc::start(&[]).await;
    let control = arc.control().renewing_every(Duration::from_millis(20));
    let before = control.inspect().await.unwrap();
    arc.fault(r#"{"lost":true,"operation":"StartZonalShift","times":1}"#);
    control.cut(&drain(), &before).await.unwrap();
    let started = arc.asked("StartZonalShift");
    assert_eq!(started.len(), 2, "the second one conflicts with the first: {started:?}");
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
    within_bounds("it is renewed", async || !arc.asked("UpdateZonalShift").is_empty()).await;
    let renewed = arc.asked("UpdateZonalShift")[0]["zonalShiftId"].clone();
    assert_eq!(renewed, "00000001-2222-3333-4444-555566667777");
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn a_conflict_with_a_shift_that_is_not_ours_is_told() {
    // Of others; and of ours, away from another zone.
    for (zone, comment) in [("euw1-az1", "people"), ("euw1-az2", "firedrill")] {
        let arc = Arc::start(&[]).await;
        let control = arc.control();
        arc.shift(zone, comment);
        let error = control.cut(&drain(), &snapshot()).await.unwrap_err();
        assert!(error.what.contains("ConflictException"), "{zone} {comment}: {error}");
        assert!(error.hint.contains("somebody else changes it"), "{error}");
        let state = control.inspect().await.unwrap();
        control.restore(&state.cuttable(&drain())).await.unwrap();
        assert!(
            arc.asked("CancelZonalShift").is_empty() && arc.asked("UpdateZonalShift").is_empty()
        );
    }
}

#[tokio::test]
async fn refusals_are_told_for_each_call_with_the_permission_that_is_lacking() {
    let arc = Arc::start(&[]).await;
    let control = arc.control();
    for (call, act) in [
        ("GetManagedResource", "preflight"),
        ("GetManagedResource", "inspect"),
        ("GetManagedResource", "survivors"),
        ("StartZonalShift", "cut"),
        ("CancelZonalShift", "restore"),
    ] {
        for (status, code, hint) in [
            (403, "AccessDeniedException", format!("lack the permission `arc-zonal-shift:{call}`")),
            (403, "ExpiredTokenException", "the credentials have expired".to_owned()),
            (403, "UnrecognizedClientException", "these are no credentials of AWS".to_owned()),
            (429, "ThrottlingException", "AWS takes no more calls".to_owned()),
            (500, "InternalServerException", "AWS is not well".to_owned()),
        ] {
            if act == "restore" {
                control.cut(&drain(), &snapshot()).await.unwrap();
            }
            arc.fault(&format!(r#"{{"status":{status},"code":"{code}","operation":"{call}"}}"#));
            let error = match act {
                "preflight" => control.preflight().await.unwrap_err(),
                "inspect" => control.inspect().await.unwrap_err(),
                "survivors" => control.survivors(&drain()).await.unwrap_err(),
                "cut" => control.cut(&drain(), &snapshot()).await.unwrap_err(),
                _ => control.restore(&snapshot()).await.unwrap_err(),
            };
            let told = error.to_string();
            assert!(told.contains(code) && told.contains(&hint), "{call}: {error}");
            arc.fault("null");
            control.restore(&snapshot()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_renewal_that_is_refused_ends_no_cut_and_the_next_one_is_made() {
    let arc = Arc::start(&[]).await;
    let control = arc.control().renewing_every(Duration::from_millis(20));
    arc.fault(
        r#"{"status":403,"code":"AccessDeniedException","operation":"UpdateZonalShift","times":2}"#,
    );
    control.cut(&drain(), &snapshot()).await.unwrap();
    within_bounds("it was renewed", async || arc.asked("UpdateZonalShift").len() >= 3).await;
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
    let told = format!("{:?}", control.exchanges());
    assert_eq!(told.matches("AccessDeniedException").count(), 2, "{told}");
}

#[tokio::test]
async fn what_is_no_answer_of_arc_is_told_and_a_redirect_is_not_followed() {
    let arc = Arc::start(&[]).await;
    let (control, elsewhere) = (arc.control(), Elsewhere::new());
    let redirect = format!(r#"{{"location":"http://127.0.0.1:{}/"}}"#, elsewhere.port());
    for (fault, told) in [
        (r#"{"text":"<html>oops</html>","status":500}"#, "oops"),
        (r#"{"text":"<html>log in</html>","status":200}"#, "log in"),
        (
            r#"{"text":"{\"appliedWeights\":{","status":200,"type":"application/json","length":900}"#,
            "no answer",
        ),
        (r#"{"text":"{\"appliedWeights\":{","status":200,"type":"application/json"}"#, "AWS said"),
        (r#"{"hangs up":true}"#, "no answer"),
        (&redirect, "which is not followed"),
    ] {
        arc.fault(fault);
        for error in [
            control.inspect().await.unwrap_err(),
            control.cut(&drain(), &snapshot()).await.unwrap_err(),
            control.restore(&snapshot()).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains(told), "{fault}: {error}");
        }
    }
    elsewhere.heard_nothing();
    arc.fault("null");
    assert!(!format!("{:?}", control.exchanges()).contains("only-for-moto"));
    assert!(arc.asked("StartZonalShift").is_empty());
}

#[tokio::test]
async fn one_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut reach = reach_in(&home, silent.local_addr().unwrap().port());
    reach.timeout = Duration::from_millis(300);
    let control = control(reach, ARN, ["euw1-az1", "euw1-az2"]);
    let limit = Duration::from_secs(5);
    let ended = tokio::time::timeout(limit, async {
        assert!(control.inspect().await.is_err() && control.preflight().await.is_err());
        assert!(control.cut(&drain(), &snapshot()).await.is_err());
        assert!(control.restore(&snapshot()).await.is_err());
    });
    ended.await.unwrap();
}
