//! Toxiproxy's API: what is answered, and what comes of it.

use serde_json::{Value, json};

use crate::daemon::{Client, Daemon, Server, is_refused, listen};

#[test]
fn a_proxy_is_made_shown_changed_and_deleted() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("db", &server);
    let whole = json!({
        "name": "db", "listen": at.to_string(), "upstream": server.address.to_string(),
        "enabled": true, "toxics": [],
    });
    assert_eq!(daemon.ask("GET", "/proxies/db", ""), (200, whole.clone()));
    assert_eq!(daemon.ask("GET", "/proxies", ""), (200, json!({ "db": whole })));
    let mut client = Client::connect(at);
    client.round_trip(b"hello");

    for method in ["POST", "PATCH"] {
        let off = daemon.done(method, "/proxies/db", json!({ "enabled": false }));
        assert_eq!((&off["enabled"], &off["listen"]), (&json!(false), &json!(at.to_string())));
        is_refused(at);
        client.ends();
        let on = daemon.done(method, "/proxies/db", json!({ "enabled": true }));
        assert_eq!((&on["enabled"], listen(&on)), (&json!(true), at), "the same port");
        client = Client::connect(at);
        client.round_trip(b"again");
    }

    let other = Server::start();
    let upstream = json!({ "upstream": other.address.to_string() });
    assert_eq!(listen(&daemon.done("POST", "/proxies/db", upstream)), at);
    client.ends();
    Client::connect(at).round_trip(b"elsewhere");
    let moved = listen(&daemon.done("POST", "/proxies/db", json!({ "listen": "127.0.0.1:0" })));
    is_refused(at);
    let mut client = Client::connect(moved);
    client.round_trip(b"moved");

    assert_eq!(daemon.ask("DELETE", "/proxies/db", ""), (204, json!("")));
    client.ends();
    is_refused(moved);
    assert_eq!(daemon.ask("GET", "/proxies", ""), (200, json!({})));
}

#[test]
fn a_proxy_is_made_disabled_and_names_are_looked_up() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let upstream = format!("localhost:{}", server.address.port());
    let form =
        json!({ "name": "a/b c", "listen": "localhost:0", "upstream": upstream, "enabled": false });
    let made = daemon.done("POST", "/proxies", form);
    assert_eq!((&made["listen"], &made["enabled"]), (&json!("localhost:0"), &json!(false)));
    let on = daemon.done("PATCH", "/proxies/a%2Fb%20c", json!({ "enabled": true }));
    Client::connect(listen(&on)).round_trip(b"hello");
}

#[test]
fn mistakes_are_answered_as_toxiproxy_does() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("db", &server).to_string();
    daemon.done("POST", "/proxies/db/toxics", json!({ "type": "latency" }));
    let taken = json!({ "name": "x", "listen": at, "upstream": "127.0.0.1:1" });
    let half = json!([{ "name": "new", "upstream": "127.0.0.1:1" }, { "name": "y" }]);
    let stream = "stream was invalid, can be either upstream or downstream";
    let rows: [(&str, &str, String, u16, &str); 18] = [
        ("GET", "/proxies/no", String::new(), 404, "proxy not found"),
        ("POST", "/proxies/no", "{}".into(), 404, "proxy not found"),
        ("DELETE", "/proxies/no", String::new(), 404, "proxy not found"),
        ("GET", "/proxies/no/toxics", String::new(), 404, "proxy not found"),
        ("GET", "/proxies/no/cut", String::new(), 404, "proxy not found"),
        (
            "POST",
            "/proxies",
            r#"{"name":"db","upstream":"x:1"}"#.into(),
            409,
            "proxy already exists",
        ),
        ("POST", "/proxies", r#"{"upstream":"x:1"}"#.into(), 400, "missing required field: name"),
        ("POST", "/proxies", r#"{"name":"x"}"#.into(), 400, "missing required field: upstream"),
        ("POST", "/proxies", "{".into(), 400, "bad request body: "),
        ("POST", "/proxies", r#"{"name":7}"#.into(), 400, "bad request body: "),
        ("POST", "/proxies", taken.to_string(), 500, "listen tcp "),
        ("POST", "/populate", half.to_string(), 400, "missing required field: upstream at proxy 2"),
        ("POST", "/proxies/db/toxics", r#"{"type":"cold"}"#.into(), 400, "invalid toxic type"),
        ("POST", "/proxies/db/toxics", r#"{"type":"latency","stream":"in"}"#.into(), 400, stream),
        ("POST", "/proxies/db/toxics", r#"{"type":"latency"}"#.into(), 409, "toxic already exists"),
        ("GET", "/proxies/db/toxics/no", String::new(), 404, "toxic not found"),
        ("DELETE", "/proxies/db/toxics/no", String::new(), 404, "toxic not found"),
        ("GET", "/nothing/here", String::new(), 404, "page not found"),
    ];
    for (method, path, body, status, error) in rows {
        let (got, answer) = daemon.ask(method, path, &body);
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        assert_eq!(answer["status"], status);
        let text = answer["error"].as_str().unwrap();
        assert!(text.starts_with(error), "{method} {path} {body}: {text}");
    }
    assert_eq!(daemon.ask("DELETE", "/reset", "").0, 405);
    let all = daemon.done("GET", "/proxies", "");
    assert_eq!(all.as_object().unwrap().len(), 1, "nothing was made by halves: {all}");
}

#[test]
fn a_toxic_is_made_shown_changed_and_taken_off() {
    let (daemon, server) = (Daemon::start(), Server::start());
    daemon.proxy("db", &server);
    let whole = |name: &str, of: &str, toxicity: Value, attributes: Value| json!({ "name": name, "type": of, "stream": "downstream", "toxicity": toxicity, "attributes": attributes });
    let rows = [
        ("latency", json!({ "latency": 5, "jitter": 1 })),
        ("bandwidth", json!({ "rate": 7 })),
        ("slow_close", json!({ "delay": 8 })),
        ("timeout", json!({ "timeout": 9 })),
        ("reset_peer", json!({ "timeout": 10 })),
        ("slicer", json!({ "average_size": 11, "size_variation": 2, "delay": 3 })),
        ("limit_data", json!({ "bytes": 12 })),
    ];
    for (of, attributes) in &rows {
        let name = format!("{of}_downstream");
        let form = json!({ "type": of, "attributes": attributes });
        let made = daemon.done("POST", "/proxies/db/toxics", form);
        assert_eq!(made, whole(&name, of, json!(1), attributes.clone()));
        let at = format!("/proxies/db/toxics/{name}");
        assert_eq!(daemon.done("GET", &at, ""), made);
        let changed = daemon.done("PATCH", &at, json!({ "toxicity": 0.25 }));
        assert_eq!(changed, whole(&name, of, json!(0.25), attributes.clone()));
    }
    let change = json!({ "attributes": { "jitter": 4 }, "type": "timeout", "stream": "upstream" });
    let changed = daemon.done("POST", "/proxies/db/toxics/latency_downstream", change);
    let attributes = json!({ "latency": 5, "jitter": 4 });
    assert_eq!(changed, whole("latency_downstream", "latency", json!(0.25), attributes));
    let all = daemon.done("GET", "/proxies/db/toxics", "");
    let names: Vec<&str> =
        all.as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(names, rows.map(|(of, _)| of), "in the order in which they came");
    assert_eq!(daemon.done("GET", "/proxies/db", "")["toxics"], all);
    assert_eq!(daemon.ask("DELETE", "/proxies/db/toxics/latency_downstream", "").0, 204);
    assert_eq!(daemon.done("GET", "/proxies/db/toxics", "").as_array().unwrap().len(), 6);
}

#[test]
fn populate_keeps_what_is_there_and_replaces_what_is_elsewhere() {
    let (daemon, server, other) = (Daemon::start(), Server::start(), Server::start());
    let (kept, moved) = (daemon.proxy("kept", &server), daemon.proxy("moved", &server));
    daemon.proxy("untouched", &server);
    let (mut stays, mut goes) = (Client::connect(kept), Client::connect(moved));
    stays.round_trip(b"hello");
    goes.round_trip(b"hello");
    daemon.done("POST", "/proxies/kept/toxics", json!({ "type": "latency" }));
    daemon.done("POST", "/proxies/moved/toxics", json!({ "type": "latency" }));
    let list = json!([
        { "name": "kept", "listen": kept.to_string(), "upstream": server.address.to_string() },
        { "name": "moved", "listen": moved.to_string(), "upstream": other.address.to_string() },
        { "name": "off", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1", "enabled": false },
    ]);
    let (status, answer) = daemon.ask("POST", "/populate", &list);
    assert_eq!(status, 201);
    let names: Vec<&Value> =
        answer["proxies"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["kept", "moved", "off"]);
    stays.round_trip(b"still here");
    goes.ends();
    Client::connect(moved).round_trip(b"elsewhere");
    let all = daemon.done("GET", "/proxies", "");
    let toxics = |name: &str| all[name]["toxics"].as_array().unwrap().len();
    assert_eq!((all.as_object().unwrap().len(), toxics("kept"), toxics("moved")), (4, 1, 0));
}

#[test]
fn reset_enables_everything_and_takes_every_toxic_off() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let (one, two) = (daemon.proxy("one", &server), daemon.proxy("two", &server));
    daemon.done("POST", "/proxies/one", json!({ "enabled": false }));
    let toxic = json!({ "type": "latency", "attributes": { "latency": 3_600_000 } });
    daemon.done("POST", "/proxies/two/toxics", toxic);
    let mut held = Client::connect(two);
    std::io::Write::write_all(&mut held.0, b"held").unwrap();
    held.is_silent();
    assert_eq!(daemon.ask("POST", "/reset", ""), (204, json!("")));
    held.receives(b"held");
    Client::connect(one).round_trip(b"hello");
}

#[test]
fn the_version_tells_that_it_is_firedrill() {
    let version = Daemon::start().done("GET", "/version", "");
    assert_eq!(version["firedrill"], env!("CARGO_PKG_VERSION"));
    assert!(version["version"].as_str().unwrap().starts_with("2."), "{version}");
}

#[test]
fn metrics_count_what_passed_and_say_what_is_cut() {
    let (daemon, server) = (Daemon::start(), Server::start());
    let at = daemon.proxy("a \"b\"", &server);
    let mut client = Client::connect(at);
    client.round_trip(&[1; 1000]);
    daemon.done("PUT", "/proxies/a%20%22b%22/cut", json!({ "mode": "drain" }));
    let (status, text) = daemon.ask_with("GET", "/metrics", "", "");
    assert_eq!(status, 200);
    let upstream = server.address;
    for line in [
        format!(
            r#"toxiproxy_proxy_sent_bytes_total{{direction="upstream",proxy="a \"b\"",listener="{at}",upstream="{upstream}"}} 1000"#
        ),
        format!(
            r#"toxiproxy_proxy_received_bytes_total{{direction="downstream",proxy="a \"b\"",listener="{at}",upstream="{upstream}"}} 1000"#
        ),
        r#"firedrill_proxy_connections_open{proxy="a \"b\""} 1"#.to_owned(),
        r#"firedrill_proxy_connections_total{proxy="a \"b\""} 1"#.to_owned(),
        r#"firedrill_proxy_cut{proxy="a \"b\"",mode="drain"} 1"#.to_owned(),
        r#"firedrill_proxy_cut{proxy="a \"b\"",mode="blackhole"} 0"#.to_owned(),
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    let families = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(families, text.lines().filter(|line| line.starts_with("# HELP ")).count());
}
