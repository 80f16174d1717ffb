//! Cuts through the API: they are in force when they are answered, and stay until they are opened.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Client, Daemon, SILENCE, Server, is_refused};

fn cut(daemon: &Daemon, mode: Value) -> Value {
    daemon.done("PUT", "/proxies/db/cut", json!({ "mode": mode }))
}

fn open(daemon: &Daemon) -> Value {
    daemon.done("DELETE", "/proxies/db/cut", "")
}

#[test]
fn every_mode_is_in_force_when_it_is_answered_and_is_opened_again() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("db", &server);
    let mut client = Client::connect(at);
    client.round_trip(b"before");
    let nothing = json!({ "mode": null, "connections": 0, "bytes": 0 });
    assert_eq!(daemon.done("GET", "/proxies/db/cut", ""), nothing);

    let state = cut(&daemon, json!("blackhole"));
    assert_eq!(state, json!({ "mode": "blackhole", "connections": 1, "bytes": 0 }));
    assert_eq!(daemon.done("GET", "/proxies/db", "")["cut"], "blackhole");
    client.0.write_all(b"held").unwrap();
    client.is_silent();
    std::net::TcpStream::connect_timeout(&at, SILENCE).expect_err("no SYN is answered");
    assert_eq!(open(&daemon), json!({ "mode": null, "connections": 2, "bytes": 0 }));
    client.receives(b"held");
    assert_eq!(daemon.done("GET", "/proxies/db", "").get("cut"), None);

    cut(&daemon, json!("drain"));
    is_refused(at);
    client.round_trip(b"old ones go on");
    // A change is confirmed behind the step that is running, so that it has counted what it passed on.
    assert_eq!(cut(&daemon, json!("drain"))["bytes"], 28);

    let how = json!({ "degrade": { "latency_ms": 60, "jitter_ms": 5.5, "loss": 0.0, "bandwidth": 1_000_000 } });
    cut(&daemon, how.clone());
    let shown = daemon.done("GET", "/proxies/db/cut", "")["mode"].clone();
    assert_eq!(shown["degrade"]["latency_ms"], 60.0);
    assert_eq!(cut(&daemon, shown.clone())["mode"], shown, "what is shown can be asked for");
    assert!(client.round_trip(b"late") >= Duration::from_millis(109));
    open(&daemon);

    cut(&daemon, json!("reset"));
    client.is_reset();
    is_refused(at);
    open(&daemon);
    Client::connect(at).round_trip(b"after");
}

#[test]
fn a_cut_made_again_counts_on_and_is_opened_once() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("db", &server);
    let mut client = Client::connect(at);
    client.round_trip(b"before");
    cut(&daemon, json!("drain"));
    client.round_trip(b"12345");
    assert_eq!(cut(&daemon, json!("drain"))["bytes"], 10);
    open(&daemon);
    assert_eq!(open(&daemon)["mode"], Value::Null);
    client.round_trip(b"after");
}

#[test]
fn nothing_but_opening_it_ends_a_cut() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("db", &server);
    cut(&daemon, json!("reset"));
    daemon.done("POST", "/reset", "");
    is_refused(at);
    daemon.done("POST", "/proxies/db", json!({ "enabled": false }));
    daemon.done("POST", "/proxies/db", json!({ "enabled": true }));
    is_refused(at);
    let list =
        json!([{ "name": "db", "listen": "127.0.0.1:0", "upstream": server.address.to_string() }]);
    let populated = daemon.done("POST", "/populate", &list);
    let moved = crate::daemon::listen(&populated["proxies"][0]);
    is_refused(moved);
    assert_eq!(daemon.done("GET", "/proxies/db/cut", "")["mode"], "reset");
    open(&daemon);
    Client::connect(moved).round_trip(b"after");
}

#[test]
fn a_cut_of_a_disabled_proxy_is_in_force_when_it_is_enabled() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("db", &server);
    daemon.done("POST", "/proxies/db", json!({ "enabled": false }));
    cut(&daemon, json!("blackhole"));
    daemon.done("POST", "/proxies/db", json!({ "enabled": true }));
    std::net::TcpStream::connect_timeout(&at, SILENCE).expect_err("no SYN is answered");
}

#[test]
fn a_mode_that_makes_no_sense_is_refused_and_changes_nothing() {
    let (daemon, server) = (Daemon::start(), Server::start());
    daemon.proxy("db", &server);
    for body in [
        json!({}),
        json!({ "mode": null }),
        json!({ "mode": "burn" }),
        json!({ "mode": { "degrade": { "loss": 2 } } }),
        json!({ "mode": { "degrade": { "latency_ms": -1 } } }),
        json!({ "mode": { "degrade": { "latency_ms": 1, "jitter_ms": 2 } } }),
        json!({ "mode": { "degrade": { "bandwidth": 0 } } }),
        json!([]),
    ] {
        let (status, answer) = daemon.ask("PUT", "/proxies/db/cut", &body);
        assert_eq!(status, 400, "{body}: {answer}");
    }
    assert_eq!(daemon.done("GET", "/proxies/db/cut", "")["mode"], Value::Null);
}

#[test]
fn a_cut_that_was_asked_for_is_made_although_the_caller_went_away() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("db", &server);
    let body = r#"{"mode":"reset"}"#;
    let mut caller = std::net::TcpStream::connect(daemon.address).unwrap();
    let length = body.len();
    let head =
        format!("PUT /proxies/db/cut HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    caller.write_all((head + body).as_bytes()).unwrap();
    drop(caller);
    let start = std::time::Instant::now();
    // It is told as soon as it begins; only whoever asked for it is told when all of it is in force.
    let cut = || daemon.done("GET", "/proxies/db/cut", "")["mode"] == "reset";
    while !cut() || std::net::TcpStream::connect(at).is_ok() {
        assert!(start.elapsed() < crate::daemon::PATIENCE, "it was never cut");
    }
    is_refused(at);
}

#[test]
fn a_caller_that_says_no_more_is_answered() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("db", &server);
    let modes = [("blackhole", true), ("reset", true), ("blackhole", false), ("reset", false)];
    for (mode, is_closed_at_once) in modes.repeat(10) {
        let body = format!(r#"{{"mode":"{mode}"}}"#);
        let head = "PUT /proxies/db/cut HTTP/1.1\r\nhost: x\r\nconnection: close";
        let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut caller = std::net::TcpStream::connect(daemon.address).unwrap();
        caller.write_all(request.as_bytes()).unwrap();
        if is_closed_at_once {
            caller.shutdown(Shutdown::Write).unwrap();
        }
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(mode), "{answer:?}");
    }
    is_refused(at);
}
