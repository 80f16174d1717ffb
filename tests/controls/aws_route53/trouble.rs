//! What goes wrong on the way to Route 53, and there.

use std::time::Duration;

use firedrill::model::{ControlState, PartState, Passage, Text};
use firedrill::traffic::TrafficControl;

use super::{XMLNS, changed, control_at, drain, listed, listed_all, no, weighted};
use crate::moto::{answering, reach_in};
use crate::strangers::{Elsewhere, Stranger};
use crate::world::A;

const XML: &str = "content-type: text/xml\r\n";

fn open(settings: &[(&str, &str)]) -> PartState {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    PartState { datacenter: A, passage: Passage::Open, settings: settings.collect() }
}

/// One record that is open.
fn of_a_record() -> ControlState {
    let part = open(&[("weight", "10")]);
    ControlState { parts: [("api.example.org/A/a1".to_owned(), part)].into() }
}

/// One health check that is neither disabled nor inverted.
fn of_a_check() -> ControlState {
    let part = open(&[("disabled", "false"), ("inverted", "false")]);
    ControlState { parts: [("health-check/c1".to_owned(), part)].into() }
}

/// The health check, with both its flags so.
fn check(flags: bool, version: u8) -> String {
    format!(
        "<GetHealthCheckResponse {XMLNS}><HealthCheck><Id>c1</Id><CallerReference>1</CallerReference><HealthCheckConfig><Type>HTTP</Type><Inverted>{flags}</Inverted><Disabled>{flags}</Disabled></HealthCheckConfig><HealthCheckVersion>{version}</HealthCheckVersion></HealthCheck></GetHealthCheckResponse>"
    )
}

async fn refusal(status: &str, headers: &str, body: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let port = answering(&[(status, headers, body)]).await;
    let error = control_at(reach_in(&home, port), "Z1", &[]).preflight().await.unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn refusals_are_told_for_each_call_with_the_permission_that_is_lacking() {
    let records = listed_all(10, 7, 10);
    let hung = weighted("b1", 10) + "<HealthCheckId>c1</HealthCheckId>";
    let hung = records.replace(&weighted("b1", 10), &hung);
    let check = check(false, 1);
    let cases: [(&str, &[&String], &str); 6] = [
        ("ListResourceRecordSets", &[], "preflight"),
        ("GetHealthCheck", &[&records], "preflight of a check"),
        ("GetChange", &[&records], "preflight"),
        ("ChangeResourceRecordSets", &[&records], "cut"),
        ("UpdateHealthCheck", &[&check], "cut of a check"),
        ("GetHealthCheckStatus", &[&hung], "survivors"),
    ];
    for (call, before, act) in cases {
        for (status, code, hint) in [
            ("403 Forbidden", "AccessDenied", format!("lack the permission `route53:{call}`")),
            ("403 Forbidden", "ExpiredToken", "the credentials have expired".to_owned()),
            ("403 Forbidden", "InvalidClientTokenId", "these are no credentials of AWS".to_owned()),
            ("400 Bad Request", "Throttling", "AWS takes no more calls".to_owned()),
            ("503 Service Unavailable", "ServiceUnavailable", "AWS is not well".to_owned()),
        ] {
            let refusal = no(code);
            let answers = before.iter().map(|body| ("200 OK", XML, body.as_str()));
            let answers: Vec<_> = answers.chain([(status, XML, refusal.as_str())]).collect();
            let home = tempfile::tempdir().unwrap();
            let reach = reach_in(&home, answering(&answers).await);
            let checks: &[&str] = if act.ends_with("a check") { &["c1"] } else { &[] };
            let control = control_at(reach, "Z1", checks);
            let error = match act {
                "cut" => control.cut(&drain(), &of_a_record()).await.unwrap_err(),
                "cut of a check" => control.cut(&drain(), &of_a_check()).await.unwrap_err(),
                "survivors" => control.survivors(&drain()).await.unwrap_err(),
                _ => control.preflight().await.unwrap_err(),
            };
            let told = error.to_string();
            assert!(told.contains(code) && told.contains(&hint), "{call}: {error}");
            assert!(told.contains(&format!("`route53:{call}`")), "{call}: {error}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_throttled_is_made_again_and_not_for_ever() {
    let (busy, records) = (no("Throttling"), listed(10));
    let busy = ("400 Bad Request", XML, busy.as_str());
    let home = tempfile::tempdir().unwrap();
    let port = answering(&[busy, ("200 OK", XML, records.as_str())]).await;
    let control = control_at(reach_in(&home, port), "Z1", &[]);
    assert_eq!(control.inspect().await.unwrap().parts.len(), 1);
    assert_eq!(control.exchanges().len(), 2);

    let control = control_at(reach_in(&home, answering(&[busy]).await), "Z1", &[]);
    control.inspect().await.unwrap_err();
    assert_eq!(control.exchanges().len(), 4);
}

#[tokio::test]
async fn a_health_check_that_is_set_and_told_to_nobody_is_set() {
    let (before, after) = (check(false, 1), check(true, 2));
    let (mismatch, other) = (no("HealthCheckVersionMismatch"), check(false, 2));
    let lost = ("", "", "");
    let refused = ("409 Conflict", XML, mismatch.as_str());
    // Read; set, and answered to nobody; set again, by a version that is not the last any more; read.
    let answers = [("200 OK", XML, &*before), lost, refused, ("200 OK", XML, &*after)];
    let home = tempfile::tempdir().unwrap();
    let control = control_at(reach_in(&home, answering(&answers).await), "Z1", &["c1"]);
    control.cut(&drain(), &of_a_check()).await.unwrap();
    let told = control.exchanges();
    assert_eq!(told.len(), 4, "{told:?}");
    let versions = |it: &&firedrill::model::Exchange| {
        it.asked.contains("<HealthCheckVersion>1</HealthCheckVersion>")
    };
    assert_eq!(told.iter().filter(versions).count(), 2, "{told:?}");

    // Another hand was there, and set it otherwise.
    let answers = [("200 OK", XML, &*before), refused, ("200 OK", XML, &*other)];
    let control = control_at(reach_in(&home, answering(&answers).await), "Z1", &["c1"]);
    let error = control.cut(&drain(), &of_a_check()).await.unwrap_err();
    assert!(error.what.contains("HealthCheckVersionMismatch"), "{error}");
    assert!(error.hint.contains("somebody else changes it"), "{error}");
}

#[tokio::test]
async fn a_change_that_is_made_and_told_to_nobody_is_made_again() {
    let (records, made) = (listed(10), changed("ChangeResourceRecordSetsResponse", "INSYNC"));
    let answers = [("200 OK", XML, &*records), ("", "", ""), ("200 OK", XML, &*made)];
    let home = tempfile::tempdir().unwrap();
    let control = control_at(reach_in(&home, answering(&answers).await), "Z1", &[]);
    control.cut(&drain(), &of_a_record()).await.unwrap();
    let told = control.exchanges();
    assert_eq!(told.iter().filter(|it| it.asked.contains("UPSERT")).count(), 2, "{told:?}");
}

#[tokio::test]
async fn what_is_no_answer_of_route53_is_told() {
    let half = listed(10);
    let half = &half[..half.len() / 2];
    let long = format!("{XML}content-length: 9000\r\n");
    for (status, headers, body, told) in [
        ("500 Internal Server Error", "", "<html>oops</html>", "oops"),
        ("500 Internal Server Error", "", "<html>oops</html>", "AWS is not well"),
        ("200 OK", XML, "<html>hello", "hello"),
        ("200 OK", XML, half, "the answer breaks off"),
        ("200 OK", &long, half, "the answer broke off"),
        ("", "", "", "closed before the answer was whole"),
    ] {
        let error = refusal(status, headers, body).await;
        assert!(error.contains(told), "{status} {headers}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Elsewhere::new();
    let location = format!("location: http://127.0.0.1:{}/secret\r\n", elsewhere.port());
    let error = refusal("307 Temporary Redirect", &location, "").await;
    assert!(error.contains("not followed"), "{error}");
    elsewhere.heard_nothing();
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_sent_nothing() {
    let mut stranger = Stranger::start().await;
    let home = tempfile::tempdir().unwrap();
    let mut reach = reach_in(&home, stranger.port);
    reach.endpoint = Some(Text::from(format!("https://127.0.0.1:{}", stranger.port).as_str()));
    let control = control_at(reach, "Z1", &[]);
    for error in [
        control.inspect().await.unwrap_err(),
        control.cut(&drain(), &of_a_record()).await.unwrap_err(),
        control.restore(&of_a_record()).await.unwrap_err(),
    ] {
        let told = "no authority that is trusted vouches for the server's certificate";
        assert!(error.what.contains(told), "{error}");
    }
    assert_eq!(stranger.heard().await, ["", "", ""], "asked once each, and told nothing");
}

#[tokio::test]
async fn without_credentials_it_says_so() {
    let home = tempfile::tempdir().unwrap();
    let mut reach = reach_in(&home, 1);
    reach.profile = Some("nobody".into());
    let error = control_at(reach, "Z1", &[]).preflight().await.unwrap_err();
    assert!(error.what.contains("no credentials of AWS"), "{error}");
}

#[tokio::test]
async fn a_route53_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut reach = reach_in(&home, silent.local_addr().unwrap().port());
    reach.timeout = Duration::from_millis(300);
    let control = control_at(reach, "Z1", &[]);
    assert!(control.inspect().await.is_err() && control.preflight().await.is_err());
    assert!(control.cut(&drain(), &of_a_record()).await.is_err());
    assert!(control.restore(&of_a_record()).await.is_err());
}
