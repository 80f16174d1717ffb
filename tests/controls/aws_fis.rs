//! The `aws-fis` control against a double that holds requests and answers to AWS's published service model.

use std::sync::Arc;
use std::time::Duration;

use firedrill::model::{
    AwsReach, ControlSpec, ControlState, CutOrder, FisSettings, FisTemplate, Mode, ModeKind,
    PartState, Passage, Provider,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::aws::Fis;
use serde_json::Value;

use crate::aws_double::Double;
use crate::contract;
use crate::journal_alone::{End, restored};
use crate::moto::reach_in;
use crate::strangers::Elsewhere;
use crate::world::{A, B};

fn fire() -> CutOrder {
    CutOrder::of(A, Mode::Blackhole)
}

fn control_of(reach: AwsReach, east: &str, at_most: u64) -> Fis {
    let template = |datacenter, id: &str| FisTemplate { datacenter, id: id.to_owned() };
    let settings = FisSettings {
        region: "eu-west-1".into(),
        templates: vec![template(A, east), template(B, "EXTwest")],
        modes: vec![ModeKind::Blackhole],
        at_most: Duration::from_secs(at_most),
        reach,
    };
    let provider = Provider::AwsFis(settings.clone());
    Fis::new(&ControlSpec { name: "fire".into(), provider }, &settings)
        .pausing(Duration::from_millis(10))
}

async fn fis(more: &[&str]) -> Double {
    Double::start("fis", 1, more).await
}

fn at(fis: &Double) -> Fis {
    control_of(fis.reach(), "EXTeast", 30 * 60)
}

/// Another hand starts an experiment of the template.
fn by_hand(fis: &Double, token: &str) -> String {
    let body = format!(r#"{{"clientToken":"{token}","experimentTemplateId":"EXTeast"}}"#);
    let answer = fis.ask(0, "POST /experiments HTTP/1.0", &body);
    let id = answer["experiment"]["id"].as_str().unwrap().to_owned();
    // It is read until it runs.
    fis.ask(0, &format!("GET /experiments/{id} HTTP/1.0"), "");
    id
}

/// Another hand deletes a template.
fn delete(fis: &Double, template: &str) {
    let answer = fis.ask(0, &format!("DELETE /experimentTemplates/{template} HTTP/1.0"), "");
    assert_eq!(answer["experimentTemplate"]["id"], template, "{answer}");
}

fn ours(fis: &Double) -> Vec<String> {
    let tokens = fis.asked("StartExperiment");
    tokens.iter().map(|it| it["clientToken"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn fis_keeps_the_contract_and_leaves_another_hand_alone() {
    let fis = fis(&[]).await;
    contract::holds(&at(&fis), &fire()).await;
    let started = fis.asked("StartExperiment");
    assert_eq!(started.len(), 1, "cutting what is cut starts no other: {started:?}");
    assert_eq!(started[0]["tags"]["firedrill"], "fire");
    assert_eq!(
        (&started[0]["region"], &started[0]["service"]),
        (&"eu-west-1".into(), &"fis".into())
    );
    assert_eq!(fis.asked("StopExperiment").len(), 1, "and nothing is stopped that does not run");

    let hand = async {
        let id = fis.asked("StartExperiment").len();
        fis.ask(0, &format!("DELETE /experiments/EXP{id:013} HTTP/1.0"), "");
        fis.ask(0, &format!("GET /experiments/EXP{id:013} HTTP/1.0"), "");
        by_hand(&fis, "people");
    };
    contract::leaves_another_hand_alone(&at(&fis), &fire(), "EXTeast", hand).await;
}

#[tokio::test]
async fn another_process_finds_the_experiment_and_stops_it_and_no_other() {
    let fis = fis(&[]).await;
    let control = at(&fis);
    let before = control.inspect().await.unwrap();
    control.cut(&fire(), &before).await.unwrap();
    let other = by_hand(&fis, "people");
    drop(control);
    let control = at(&fis);
    assert!(control.inspect().await.unwrap().is_cut(&fire()));
    control.restore(&before.cuttable(&fire())).await.unwrap();
    let stopped: Vec<Value> = fis.asked("StopExperiment");
    assert_eq!(stopped.len(), 1, "{stopped:?}");
    assert_ne!(stopped[0]["id"].as_str().unwrap(), other);
    let after = control.inspect().await.unwrap();
    assert_eq!(after.parts["EXTeast"].settings["experiment"], other, "it is another hand's now");
}

#[tokio::test]
async fn an_account_without_the_templates_does_not_read_as_restored() {
    let (fis, elsewhere) = (fis(&[]).await, fis(&["elsewhere"]).await);
    let control = at(&fis);
    let before = control.inspect().await.unwrap();
    control.cut(&fire(), &before).await.unwrap();
    let error = at(&elsewhere).inspect().await.unwrap_err();
    assert!(error.what.contains("has none of the experiment templates"), "{error}");
    assert!(error.hint.contains("credentials of the right account"), "{error}");
    assert!(control.inspect().await.unwrap().is_cut(&fire()), "the experiment runs on");
    control.restore(&before).await.unwrap();
}

#[tokio::test]
async fn a_template_that_is_gone_keeps_no_experiment_from_being_stopped() {
    for gone in [&["EXTeast"][..], &["EXTwest"], &["EXTeast", "EXTwest"]] {
        let fis = fis(&[]).await;
        let control: Arc<dyn TrafficControl> = Arc::new(at(&fis));
        let delete = async { gone.iter().for_each(|template| delete(&fis, template)) };
        let end = restored(&control, &fire(), delete).await;
        assert_eq!(end, End::Restored { undone: false }, "{gone:?}");
        assert_eq!(fis.asked("StopExperiment").len(), 1, "{gone:?}");
    }
}

#[tokio::test]
async fn each_cut_has_a_token_of_its_own_and_asking_again_starts_no_other() {
    let fis = fis(&["forgets"]).await;
    let control = at(&fis);
    let before = control.inspect().await.unwrap();
    // It is started and the answer is lost, as often as the SDK asks.
    fis.fault(0, r#"{"lost":true,"operation":"StartExperiment","times":4}"#);
    control.cut(&fire(), &before).await.unwrap_err();
    control.cut(&fire(), &before).await.unwrap();
    assert!(control.inspect().await.unwrap().is_cut(&fire()), "no list shows it, and it is known");
    let second = fis.ask(0, "GET /experiments/EXP0000000000002 HTTP/1.0", "");
    assert_eq!(second["__type"], "ResourceNotFoundException", "{second}");
    let tokens = ours(&fis);
    assert!(tokens.len() > 1 && tokens.iter().all(|it| *it == tokens[0]), "{tokens:?}");
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    control.cut(&fire(), &before).await.unwrap();
    assert_ne!(ours(&fis).last(), tokens.first(), "or it would be the experiment that was stopped");
    control.restore(&before).await.unwrap();
}

#[tokio::test]
async fn an_experiment_that_fails_or_does_nothing_is_no_cut() {
    let fails = fis(&["fails"]).await;
    let control = at(&fails);
    let before = control.inspect().await.unwrap();
    let error = control.cut(&fire(), &before).await.unwrap_err();
    assert!(error.what.contains("failed (the role may not do it)"), "{error}");
    assert_eq!(control.inspect().await.unwrap(), before);

    let nothing = fis(&["nothing"]).await;
    let control = at(&nothing);
    control.cut(&fire(), &before).await.unwrap();
    let now = control.inspect().await.unwrap();
    assert!(!now.is_cut(&fire()), "its actions are skipped: {now:?}");
    assert_eq!(now.parts["EXTeast"].settings["experiment"], "firedrill");
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
}

#[tokio::test]
async fn what_is_in_the_way_is_told_before_the_cut() {
    let fis = fis(&[]).await;
    let refused = async |east: &str, at_most| {
        let preflight = control_of(fis.reach(), east, at_most).preflight().await;
        preflight.unwrap_err().to_string()
    };
    let error = refused("EXTeast", 31 * 60).await;
    assert!(error.contains("ends by itself after 30 min"), "{error}");
    let error = refused("EXTstays", 60).await;
    assert!(error.contains("has no `startInstancesAfterDuration`"), "{error}");
    let error = refused("EXTnope", 60).await;
    assert!(error.contains("ResourceNotFoundException"), "{error}");
    let id = by_hand(&fis, "people");
    let error = refused("EXTeast", 60).await;
    assert!(error.contains("runs already") && error.contains(&id), "{error}");
    let control = at(&fis);
    let state = control.inspect().await.unwrap();
    assert!(state.cuttable(&fire()).parts.is_empty(), "it was not ours to cut");
    let mut open = state.clone();
    open.parts.get_mut("EXTeast").unwrap().passage = Passage::Open;
    let error = control.cut(&fire(), &open).await.unwrap_err();
    assert!(error.what.contains("runs already"), "{error}");
    assert_eq!(fis.asked("StartExperiment").len(), 1, "only the other hand's");
}

/// The settings of a part whose experiment does not run.
fn snapshot() -> ControlState {
    let part = |datacenter| PartState {
        datacenter,
        passage: Passage::Open,
        settings: [("experiment".to_owned(), "none".to_owned())].into(),
    };
    ControlState { parts: [("EXTeast".to_owned(), part(A))].into() }
}

#[tokio::test]
async fn refusals_are_told_for_each_call_with_the_permission_that_is_lacking() {
    let fis = fis(&[]).await;
    let control = at(&fis);
    for (call, act) in [
        ("GetExperimentTemplate", "preflight"),
        ("GetExperimentTemplate", "inspect"),
        ("ListExperiments", "inspect"),
        ("StartExperiment", "cut"),
        ("GetExperiment", "preflight"),
        ("GetExperiment", "cut"),
        ("StopExperiment", "restore"),
    ] {
        for (status, code, hint) in [
            (403, "AccessDeniedException", format!("lack the permission `fis:{call}`")),
            (403, "ExpiredTokenException", "the credentials have expired".to_owned()),
            (429, "ThrottlingException", "AWS takes no more calls".to_owned()),
            (503, "ServiceUnavailable", "AWS is not well".to_owned()),
        ] {
            let fault = format!(r#"{{"status":{status},"code":"{code}","operation":"{call}"}}"#);
            if act == "restore" {
                control.cut(&fire(), &snapshot()).await.unwrap();
            }
            fis.fault(0, &fault);
            let error = match act {
                "preflight" => control.preflight().await.unwrap_err(),
                "inspect" => control.inspect().await.unwrap_err(),
                "cut" => control.cut(&fire(), &snapshot()).await.unwrap_err(),
                _ => control.restore(&snapshot()).await.unwrap_err(),
            };
            let told = error.to_string();
            assert!(told.contains(code) && told.contains(&hint), "{call}: {error}");
            fis.fault(0, "null");
            control.restore(&snapshot()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_of_fis_is_told_and_a_redirect_is_not_followed() {
    let fis = fis(&[]).await;
    let control = at(&fis);
    let elsewhere = Elsewhere::new();
    for (fault, told) in [
        (r#"{"text":"<html>oops</html>","status":500}"#, "oops"),
        (r#"{"text":"<html>log in</html>","status":200}"#, "log in"),
        (
            r#"{"text":"{\"experiments\":[","status":200,"type":"application/json","length":900}"#,
            "no answer",
        ),
        (r#"{"hangs up":true}"#, "no answer"),
        (
            &format!(r#"{{"location":"http://127.0.0.1:{}/"}}"#, elsewhere.port()),
            "which is not followed",
        ),
    ] {
        fis.fault(0, fault);
        let error = control.inspect().await.unwrap_err();
        assert!(error.to_string().contains(told), "{fault}: {error}");
    }
    elsewhere.heard_nothing();
    fis.fault(0, "null");
    let told = format!("{:?}", control.exchanges());
    assert!(!told.contains("only-for-moto"));
}

#[tokio::test]
async fn one_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut reach = reach_in(&home, silent.local_addr().unwrap().port());
    reach.timeout = Duration::from_millis(300);
    let control = control_of(reach, "EXTeast", 60);
    let limit = Duration::from_secs(10);
    let ended = tokio::time::timeout(limit, async {
        assert!(control.inspect().await.is_err() && control.preflight().await.is_err());
        assert!(control.cut(&fire(), &snapshot()).await.is_err());
        assert!(control.restore(&snapshot()).await.is_err());
    });
    ended.await.unwrap();
}
