//! Callers that have no right to ask, or ask badly.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::daemon::{Daemon, Server, command};

const TOKEN: &str = "0123456789abcdef-token";

#[test]
fn an_address_that_others_reach_needs_a_token() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let output = command(&["--listen", listen]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("help: give a token by --token-file or FIREDRILL_PROXY_TOKEN"),
            "{said}"
        );
    }
    let mut open = command(&["--listen", "0.0.0.0:0"]);
    open.env("FIREDRILL_PROXY_TOKEN", TOKEN);
    let daemon = Daemon::spawn(open);
    assert!(daemon.address.ip().is_unspecified());
}

#[test]
fn without_the_token_nothing_is_answered_and_it_is_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let daemon = Daemon::with(&["--token-file", path.to_str().unwrap()]);
    let wrong =
        ["", "authorization: Bearer wrong\r\n", "authorization: Basic 0123456789abcdef-token\r\n"];
    for (method, path) in
        [("GET", "/proxies"), ("GET", "/metrics"), ("GET", "/version"), ("POST", "/reset")]
    {
        for headers in wrong {
            let (status, body) = daemon.ask_with(method, path, headers, "");
            assert_eq!(status, 401, "{method} {path}: {body}");
            assert!(!body.contains(TOKEN));
        }
        let headers = format!("authorization: Bearer {TOKEN}\r\n");
        let (status, body) = daemon.ask_with(method, path, &headers, "");
        assert!((200..300).contains(&status), "{method} {path}: {body}");
        assert!(!body.contains(TOKEN));
    }
    for (text, why) in [("short", "16 characters"), ("with blanks in between it", "without blanks")]
    {
        std::fs::write(&path, text).unwrap();
        let output = command(&["--token-file", path.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(said.contains(why) && !said.contains(text), "{said}");
    }
}

#[test]
fn browsers_are_refused() {
    let daemon = Daemon::start();
    let (status, body) =
        daemon.ask_with("GET", "/proxies", "user-agent: Mozilla/5.0 (X11; Linux)\r\n", "");
    assert_eq!((status, body.contains("User agent not allowed")), (403, true));
    assert_eq!(daemon.ask_with("GET", "/proxies", "user-agent: curl/8\r\n", "").0, 200);
}

#[test]
fn paths_lead_nowhere_but_to_what_there_is() {
    let daemon = Daemon::start();
    for path in [
        "/",
        "//",
        "/proxies/",
        "/proxies/../version",
        "/..%2f..%2fetc/passwd",
        "/proxies/%00",
        "/proxies/%ff%fe",
        "/proxies/a/toxics/b/c",
        "/%70roxies/x",
        "/PROXIES",
    ] {
        assert_eq!(daemon.ask("GET", path, "").0, 404, "{path}");
    }
}

#[test]
fn bodies_that_are_huge_deep_or_broken_are_refused_and_it_goes_on() {
    let (daemon, server) = (Daemon::start(), Server::start());
    daemon.proxy("db", &server);
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(9 * 1024 * 1024));
    let answer = daemon.talk(&format!(
        "POST /proxies HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{huge}",
        huge.len()
    ));
    // It may close before the caller has sent everything, which then hears nothing.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    let deep = "[".repeat(100_000);
    for body in [
        deep.as_str(),
        "\u{0}",
        "nul",
        "\"x\"",
        "[]",
        "1e999",
        "{\"name\":{}}",
        "{\"toxicity\":1}x",
    ] {
        for path in ["/proxies", "/proxies/db", "/proxies/db/toxics"] {
            let (status, answer) = daemon.ask("POST", path, body);
            assert_eq!(status, 400, "{path} {body:.20}: {answer}");
        }
    }
    let long = "x".repeat(100_000);
    let answer = daemon.talk(&format!(
        "GET /proxies HTTP/1.1\r\nhost: x\r\nx-long: {long}{long}{long}{long}{long}\r\n\r\n"
    ));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.100}");
    assert!(daemon.talk("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert_eq!(daemon.ask("GET", "/proxies", "").0, 200);
}

#[test]
fn callers_that_say_nothing_do_not_keep_others_waiting() {
    let (daemon, server) = (Daemon::start(), Server::start());
    daemon.proxy("db", &server);
    let half = |text: &str| {
        let mut stream = TcpStream::connect(daemon.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let _silent: Vec<TcpStream> = (0..100).map(|_| half("")).collect();
    let _slow: Vec<TcpStream> =
        (0..100).map(|_| half("POST /proxies HTTP/1.1\r\nhost: x\r\n")).collect();
    let body = "POST /proxies HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    let _waiting: Vec<TcpStream> = (0..100).map(|_| half(body)).collect();
    assert_eq!(daemon.done("PUT", "/proxies/db/cut", json!({ "mode": "reset" }))["mode"], "reset");
}

#[test]
fn strangers_do_not_take_the_places_of_those_who_have_the_token() {
    let server = Server::start();
    let mut open = command(&["--listen", "127.0.0.1:0"]);
    open.env("FIREDRILL_PROXY_TOKEN", TOKEN);
    let daemon = Daemon::spawn(open);
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let body =
        json!({ "name": "db", "listen": "127.0.0.1:0", "upstream": server.address.to_string() });
    let (status, said) = daemon.ask_with("POST", "/proxies", &token, &body.to_string());
    assert_eq!(status, 201, "{said}");
    // More than are let in, silent or without the token and waiting for more.
    let stranger = |n: usize| {
        let mut stream = TcpStream::connect(daemon.address).unwrap();
        if n.is_multiple_of(2) {
            stream.write_all(b"GET /proxies HTTP/1.1\r\nhost: x\r\n\r\nGET /").unwrap();
        }
        stream
    };
    let _strangers: Vec<TcpStream> = (0..700).map(stranger).collect();
    let cut = json!({ "mode": "reset" }).to_string();
    let (status, said) = daemon.ask_with("PUT", "/proxies/db/cut", &token, &cut);
    assert_eq!(status, 200, "{said}");
    assert_eq!(daemon.ask_with("DELETE", "/proxies/db/cut", &token, "").0, 200);
}

#[test]
fn a_caller_may_ask_several_times_on_one_connection() {
    let daemon = Daemon::start();
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    let one = "GET /version HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{one}{one}{last}").as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
}
