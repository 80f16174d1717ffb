//! What the answers of Prometheus and Alertmanager mean, and what is shown of them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::model::{AlertQuery, Part, PrometheusQuery, QueryLimit};
use crate::probe::{LookUpError, Stream};

fn scalar(value: &str) -> serde_json::Value {
    json!({"status": "success", "data": {"resultType": "scalar", "result": [1.5, value]}})
}

fn vector(values: &[&str]) -> serde_json::Value {
    let sample =
        |value| json!({"metric": {"__name__": "errors", "dc": "east"}, "value": [1.5, value]});
    let samples: Vec<_> = values.iter().map(sample).collect();
    json!({"status": "success", "data": {"resultType": "vector", "result": samples}})
}

/// A reading in short: `0.5` within, `>0.5` beyond, `?` unreadable.
fn short(reading: GuardrailReading) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
    match reading {
        GuardrailReading::Within { value } => number(value),
        GuardrailReading::Beyond { value, .. } => format!(">{}", number(value)),
        GuardrailReading::Unreadable(_) => "?".to_owned(),
    }
}

#[test]
fn a_query_is_judged_by_its_form() {
    use QueryLimit::{Above, Any, Below};
    for (answer, any, above, below) in [
        (vector(&[]), "-", "?", "?"),
        (vector(&["0.1"]), ">0.1", "0.1", ">0.1"),
        (vector(&["0"]), ">0", "0", ">0"),
        (vector(&["0.4", "0.7", "0.2"]), ">0.7", ">0.7", ">0.2"),
        (vector(&["NaN"]), ">NaN", "?", "?"),
        (vector(&["NaN", "0.7"]), ">0.7", ">0.7", "0.7"),
        (vector(&["+Inf"]), ">inf", ">inf", "inf"),
        (vector(&["-Inf", "NaN"]), ">-inf", "-inf", ">-inf"),
        (scalar("0"), "-", "0", ">0"),
        (scalar("1"), ">1", ">1", "1"),
        (scalar("NaN"), "?", "?", "?"),
        (scalar("word"), "?", "?", "?"),
        (json!({"data": {"resultType": "matrix", "result": []}}), "?", "?", "?"),
        (json!({"data": {"resultType": "string", "result": [1, "a"]}}), "?", "?", "?"),
        (json!({"data": {"resultType": "vector", "result": [{"value": 3}]}}), "?", "?", "?"),
        (
            json!({"data": {"resultType": "vector", "result": [{"histogram": [1, {}]}]}}),
            ">NaN",
            "?",
            "?",
        ),
        (json!({}), "?", "?", "?"),
        (json!([]), "?", "?", "?"),
    ] {
        let none = Secrets::default();
        let judged = [Any, Above(0.5), Below(0.5)]
            .map(|limit| short(prometheus::judge(&answer, limit, &none)));
        assert_eq!(judged, [any, above, below], "{answer}");
    }
}

#[test]
fn the_worst_sample_is_named_with_its_labels() {
    let reading =
        prometheus::judge(&vector(&["0.25", "0.75"]), QueryLimit::Above(0.5), &Secrets::default());
    let GuardrailReading::Beyond { what, .. } = reading else { panic!("{reading:?}") };
    assert_eq!(
        what,
        "the query gives 0.75 for {__name__=\"errors\", dc=\"east\"}, the worst of 2 samples"
    );
}

#[test]
fn alerts_are_counted_and_named() {
    let alert = |name: &str| json!({"labels": {"alertname": name}});
    let said = |alerts: &[serde_json::Value]| match alertmanager::judge(
        &json!(alerts),
        &Secrets::default(),
    ) {
        GuardrailReading::Beyond { what, .. } => what,
        other => short(other),
    };
    assert_eq!(said(&[]), "0");
    assert_eq!(said(&[alert("Down")]), "Down fires");
    let five = ["A", "B", "C", "D", "E"].map(alert);
    assert_eq!(said(&five), "A, B, C, 2 more fire");
    assert_eq!(said(&[json!({})]), "an alert fires");
    assert_eq!(said(&[alert("a\u{1b}[31m")]), "a\u{fffd}[31m fires");
    assert_eq!(short(alertmanager::judge(&json!({"a": 1}), &Secrets::default())), "?");
}

#[test]
fn a_secret_is_hidden_before_the_text_is_shortened() {
    let secrets = Secrets(vec!["hunter2".to_owned()]);
    let shown = secrets.shown(&format!("{}hunter2", "x".repeat(SHOWN - 3)));
    assert_eq!(shown, format!("{}(se…", "x".repeat(SHOWN - 3)));
    assert_eq!(secrets.shown("é\u{7}"), "é\u{fffd}");
}

#[test]
fn numbers_are_shown_as_people_write_them() {
    let shown = |value| Number(value).to_string();
    assert_eq!(
        [0.0, 12.0, 0.1 + 0.2, -3.25, 1e-9, 1e20, f64::NAN, f64::INFINITY].map(shown),
        ["0", "12", "0.3", "-3.25", "1e-9", "1e20", "NaN", "inf"]
    );
}

/// Answers every request with `answer` and keeps what was asked.
struct Scripted {
    answer: String,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl Connector for Scripted {
    fn look_up<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookUpError>> {
        async { Ok(vec![[127, 0, 0, 1].into()]) }.boxed()
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let (answer, asked) = (self.answer.clone(), self.asked.clone());
            tokio::spawn(async move {
                let mut request = vec![0; 1 << 14];
                let read = far.read(&mut request).await.unwrap();
                asked.lock().unwrap().extend_from_slice(&request[..read]);
                far.write_all(answer.as_bytes()).await.unwrap();
            });
            Ok(Box::new(near) as Box<dyn Stream>)
        }
        .boxed()
    }
}

/// Reads once; gives the reading and the request.
async fn read(check: GuardrailCheck, status: u16, body: &str) -> (GuardrailReading, String) {
    let answer = format!("HTTP/1.1 {status} It\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let asked = Arc::default();
    let connector = Scripted { answer, asked: Arc::clone(&asked) };
    let second = Duration::from_secs(1);
    let guardrail = Guardrail {
        name: "test".into(),
        check,
        every: second,
        timeout: second,
        lasting: Duration::ZERO,
        grace: second,
    };
    let reader = Reader::prepare(&guardrail, &|_| None, Arc::new(connector)).unwrap().unwrap();
    let reading = reader.read(&Clock::start()).await;
    let asked = String::from_utf8(asked.lock().unwrap().clone()).unwrap();
    (reading, asked)
}

fn query(query: &str) -> GuardrailCheck {
    let secret = Part::Secret { name: "TOKEN".into(), value: "hunter2".into() };
    let headers = vec![("authorization".to_owned(), Text::new(vec![secret]))];
    let url = "http://p.example:9090/prefix/".into();
    GuardrailCheck::Prometheus(PrometheusQuery {
        url,
        query: query.to_owned(),
        limit: QueryLimit::Any,
        headers,
        ca: None,
    })
}

#[tokio::test]
async fn a_query_is_sent_as_a_form() {
    let body = vector(&[]).to_string();
    let (reading, asked) = read(query("a{b=\"c d\"} > 5 or é"), 200, &body).await;
    assert_eq!(reading, GuardrailReading::Within { value: None });
    assert!(asked.starts_with("POST /prefix/api/v1/query HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: hunter2\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/x-www-form-urlencoded\r\n"), "{asked}");
    let form = "query=a%7Bb%3D%22c%20d%22%7D%20%3E%205%20or%20%C3%A9";
    assert!(asked.ends_with(&format!("\r\n\r\n{form}")), "{asked}");
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_secrets() {
    let error = r#"{"status": "error", "errorType": "bad_data", "error": "parse \u001b[1merror"}"#;
    for (status, body, why) in [
        (400, error, "status 400: parse \u{fffd}[1merror"),
        (502, "<html>", "status 502"),
        (404, "\"not here\"", "status 404: not here"),
        (403, "{\"message\": \"hunter2 may not\"}", "status 403: (secret) may not"),
        (200, "<html>", "the answer is no JSON"),
        (200, "{}", "the answer is not of Prometheus's form"),
    ] {
        let (reading, _) = read(query("up"), status, body).await;
        assert_eq!(reading, GuardrailReading::Unreadable(why.to_owned()));
    }
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    let (reading, _) = read(query("up"), 200, &long).await;
    let why = "the answer is longer than 1 MiB".to_owned();
    assert_eq!(reading, GuardrailReading::Unreadable(why));
}

#[tokio::test]
async fn alerts_are_asked_for_by_their_matchers() {
    let matchers = vec!["severity=\"critical\"".to_owned(), "team=~\"a|b\"".to_owned()];
    let url = "http://a.example".into();
    let check = AlertQuery { url, matchers, headers: Vec::new(), ca: None };
    let (reading, asked) = read(GuardrailCheck::Alertmanager(check), 200, "[]").await;
    assert_eq!(reading, GuardrailReading::Within { value: Some(0.0) });
    let path = "/api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=false\
                &filter=severity%3D%22critical%22&filter=team%3D~%22a%7Cb%22";
    assert!(asked.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{asked}");
}

#[tokio::test]
async fn a_kill_switch_url_is_clear_by_success_alone() {
    let http = |status| async move {
        let request = request(&"http://stop.example".into(), "/", &[], &None);
        short(read(GuardrailCheck::KillSwitchUrl(request), status, "").await.0)
    };
    for (status, reading) in [(200, "0"), (204, "0"), (302, ">1"), (404, ">1"), (503, ">1")] {
        assert_eq!(http(status).await, reading, "{status}");
    }
}

#[tokio::test]
async fn a_kill_switch_file_is_set_by_being_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stop");
    let file = kill_switch::KillSwitchFile::new(&path);
    let second = Duration::from_secs(10);
    assert_eq!(short(file.read(second).await), "0");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_eq!(short(file.read(second).await), ">1", "a link that leads nowhere too");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(short(file.read(second).await), "0");
    std::fs::write(&path, "").unwrap();
    let reading = file.read(second).await;
    let what = format!("{} exists", path.display());
    assert_eq!(reading, GuardrailReading::Beyond { value: Some(1.0), what });
    // Below a file there is no directory to look into: that is not the same as no file.
    let below = kill_switch::KillSwitchFile::new(&path.join("stop"));
    assert!(matches!(below.read(second).await, GuardrailReading::Unreadable(_)));
}
