//! Plans that are broken in one place each, and what is said about them, word for word.
//!
//! `INSTA_UPDATE=always cargo test` writes the snapshots anew.

use super::{GOOD, broken, drawn};

/// Every case with its findings, one below the other.
pub(super) fn album(cases: &[(&str, &str)]) -> String {
    let mut album = String::new();
    for (from, to) in cases {
        let drawn = drawn(broken(from, to).as_bytes());
        assert!(!drawn.is_empty(), "{from:?} -> {to:?} has no finding");
        album.push_str(&format!("=== {from:?} -> {to:?}\n{drawn}"));
    }
    album
}

pub(super) fn snapshot(name: &str, album: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, album));
}

#[test]
fn the_plan_that_the_others_are_made_from_is_right() {
    assert_eq!(drawn(GOOD.as_bytes()), "");
}

#[test]
fn unknown_duplicate_and_missing_keys_are_reported() {
    snapshot(
        "keys",
        &album(&[
            ("recover_within", "recover-within"),
            ("every: 50ms", "evry: 50ms"),
            ("every: 50ms", "connection: new"),
            ("stable_for: 2s", "guard: 1"),
            ("haproxy:\n", "f5:\n"),
            ("timeout: 1s", "every: 1s"),
            ("version: 1\n", ""),
            ("datacenters: [east, west]\n", ""),
            ("  mode: blackhole\n", ""),
            ("http: {", "tcp: a:1\n        http: {"),
            ("wan: { lab: {} }", "wan: {}"),
            ("      recover_within: 3s\n", "      <<: x\n      recover_within: 3s\n"),
            ("name: quickstart", "? [a]\n: b\nname: quickstart"),
        ]),
    );
}

#[test]
fn wrong_types_and_units_are_reported() {
    snapshot(
        "values",
        &album(&[
            ("version: 1", "version: 2"),
            ("name: quickstart", "name: ../../etc"),
            ("name: quickstart", "name: [a]"),
            ("name: quickstart", "name:"),
            ("name: quickstart", "about: \"a\\e[31mb\"\nname: quickstart"),
            ("datacenters: [east, west]", "datacenters: east"),
            ("every: 50ms", "every: 50"),
            ("every: 50ms", "every: soon"),
            ("every: 50ms", "every: 0s"),
            ("every: 50ms", "every: -50ms"),
            ("every: 50ms", "every: { seconds: 1 }"),
            ("hold: 3s", "hold: 9999h"),
            ("hold: 3s", "stable_share: 101%"),
            ("hold: 3s", "stable_share: 0"),
            ("users: 47_430_000", "users: many"),
            ("users: 47_430_000", "standby: perhaps"),
            ("timeout: 1s", "connection: keepalive"),
            ("fall: 3", "fall: 0"),
            ("talk: { east: 2, west: 2 }", "talk: { east: 2.5, west: 2 }"),
            ("rise: 2", "spread: randomly"),
            ("mode: blackhole", "mode: blackout"),
            ("mode: blackhole", "mode: [blackhole]"),
            ("mode: blackhole", "mode: degrade\n  degrade: { bandwidth: 100 }"),
            ("mode: blackhole", "mode: degrade\n  degrade: { bandwidth: 1XB/s, loss: 2 }"),
            ("talk: { east: 2, west: 2 }", "talk: 2"),
            ("version: 1", "version: !!str 1"),
        ]),
    );
}

#[test]
fn requests_and_answers_are_held_to_their_form() {
    let url = "\"${lab:talk}/send\"";
    snapshot(
        "requests",
        &album(&[
            (url, "talk.example/send"),
            (url, "\"http://talk.example/a b\""),
            (url, "\"http://user:word@talk.example/\""),
            (url, "\"https://${lab:talk}/\""),
            (url, "http://talk.example:99999/"),
            ("method: POST", "method: PO ST"),
            ("method: POST", "headers: { \"a b\": 1, Content-Length: 2 }"),
            ("method: POST", "headers: { a: \"1\\r\\nx: 2\", b: 1, B: 2 }"),
            ("method: POST, expect: { status: 200 }", "method: HEAD, expect: { body: x }"),
            ("status: 200", "status: [200, 999, 300-200, 9xx]"),
            ("status: 200", "status: []"),
            ("status: 200", "json: { status: up }"),
            ("status: 200", "body: \"\""),
            ("header: x-datacenter", "header: x datacenter"),
            ("header: x-datacenter", "json: datacenter"),
            ("header: x-datacenter", "header: x-dc, json: /dc"),
            ("header: x-datacenter", "header: x-dc, values: { east: a, west: a }"),
            ("header: x-datacenter", "peer: { east: 10.0.0.0/33 }"),
            ("header: x-datacenter", "peer: { east: 10.0.0.0/8, west: 10.0.0.0/8 }"),
            (
                "http: { url: \"${lab:talk}/send\", method: POST, expect: { status: 200 } }",
                "tcp: nowhere",
            ),
        ]),
    );
}

#[test]
fn references_to_nothing_say_what_was_meant() {
    snapshot(
        "references",
        &album(&[
            ("datacenter: east\n", "datacenter: esat\n"),
            ("through: [wan]", "through: [wam]"),
            ("through: [wan]", "through: [internet]"),
            ("${lab:talk}", "${lab:tlak}"),
            ("talk: { east: 2, west: 2 }", "talk: { east: 2, wst: 2 }"),
            ("datacenter: east,", "datacenter: Eastt,"),
            ("west: [app/west-1, app/west-2]", "north: [app/west-1, app/west-2]"),
            ("header: x-datacenter", "header: x-dc, values: { eats: dc-a-* }"),
            ("datacenters: [east, west]", "datacenters: [east, west, east]"),
        ]),
    );
}

#[test]
fn combinations_that_cannot_work_are_refused() {
    let url = "\"${lab:talk}/send\"";
    snapshot(
        "combinations",
        &album(&[
            ("datacenters: [east, west]", "datacenters: [east]"),
            ("mode: blackhole\n  through: [wan]", "mode: blackhole\n  through: [door]"),
            ("mode: blackhole", "mode: degrade"),
            ("mode: blackhole", "mode: blackhole\n  degrade: { latency: 1s }"),
            ("mode: blackhole", "mode: degrade\n  degrade: { latency: 0s }"),
            ("mode: blackhole", "mode: degrade\n  degrade: { latency: 1ms, jitter: 2ms }"),
            ("through: [wan]", "through: []"),
            ("  through: [wan]\n", ""),
            ("through: [wan]", "through: [wan]\n  then: []"),
            ("through: [wan]", "through: [wan]\n  then: [[]]"),
            ("through: [wan]", "through: [wan]\n  then: [wan]"),
            ("through: [wan]", "through: [wan]\n  then: [[door, door]]"),
            ("through: [wan]", "through: [wan]\n  then: dor"),
            ("through: [wan]", "through: [wan]\n  then: [[dor, 7], { wan: edge }]"),
            (
                "datacenter: east\n  mode: blackhole\n  through: [wan]",
                "datacenter: west\n  mode: reset\n  through: [edge]",
            ),
            ("every: 50ms", "every: 2s"),
            ("recover_within: 3s", "recover_within: 0s"),
            ("recover_within: 3s", "recover_within: 59s"),
            ("stable_for: 2s", "stable_for: 61s"),
            ("hold: 3s", "hold: 2m"),
            ("timeout: 1s", "timeout: 2m"),
            ("timeout: 1s", "slower_than: 1s"),
            ("every: 50ms", "every: 50us"),
            ("timeout: 1s", "required: false"),
            ("every: 50ms\n        timeout: 1s", "every: 1ms\n        timeout: 20s"),
            ("      recover_within: 3s\n      failback_within: 1s\n", "      sustain: false\n"),
            ("users: 47_430_000", "standby: true"),
            ("talk: { east: 2, west: 2 }", "talk: { east: 2 }"),
            ("talk: { east: 2, west: 2 }", "talk: { west: 2 }"),
            ("        served_by: { header: x-datacenter }\n", ""),
            ("  edge:\n", "  wan2: { lab: {} }\n  edge:\n"),
            (
                "        - { d",
                "        - { datacenter: west, listen: 0.0.0.0:8080, to: a:1 }\n        - { d",
            ),
            ("listen: 127.0.0.1:8080", "listen: localhost:8080"),
            ("listen: 127.0.0.1:8080", "listen: 127.0.0.1:0"),
            (
                "socket: /run/haproxy.sock",
                "socket: /run/haproxy.sock\n      address: 127.0.0.1:9999",
            ),
            ("app/east-*", "east-*"),
            ("stable_for: 2s", "stable_for: 40ms"),
            (url, "\"${env:NOWHERE}\""),
        ]),
    );
}

#[test]
fn loads_that_cannot_be_offered_are_refused() {
    let url = "http: \"http://a.example/\"";
    snapshot(
        "loads",
        &album_below(&[
            "load: []",
            "load: { crowd: {} }",
            &format!("load: {{ crowd: {{ {url}, rate: 200 }} }}"),
            &format!("load: {{ crowd: {{ {url}, rate: 0/s, from: restore, rises: 1s }} }}"),
            &format!("load: {{ crowd: {{ {url}, rate: 10_001/s, for: 0s }} }}"),
            &format!("load: {{ crowd: {{ {url}, rate: 9000/s, timeout: 2s }} }}"),
            &format!("load: {{ crowd: {{ {url}, rate: 9/s, from: cut, after: 50s, rise: 9s }} }}"),
            "load: { crowd: { http: \"${lab:tlak}/\", tcp: \"a:1\", rate: 1/s } }",
        ]),
    );
}

#[test]
fn cuts_and_promises_that_cannot_be_decided_are_refused() {
    let probe = "        served_by: { header: x-datacenter }\n";
    let own = |promises: &str| format!("{probe}        promises: {promises}\n");
    snapshot(
        "features",
        &album(&[
            ("datacenter: east\n", "datacenters: [east, west]\n"),
            ("datacenter: east\n", "datacenters: [east, east]\n"),
            ("datacenter: east\n", "datacenters: []\n"),
            ("datacenter: east\n", "datacenters: [east]\n  datacenter: east\n"),
            ("datacenter: east\n", "datacenter: east\n  services: [tlak]\n"),
            ("datacenter: east\n", "datacenter: east\n  services: []\n"),
            ("datacenter: east\n", "datacenter: east\n  services: [talk, talk]\n"),
            ("datacenter: east\n", "datacenter: east\n  datacenters: [west]\n  services: [talk]\n"),
            (
                "every: 50ms",
                "every: 2s\n        promises: { recover_within: 30s, good_while_cut: 99% }",
            ),
            ("recover_within: 3s", "p99_while_cut: 1s"),
            (
                "timeout: 1s\n",
                "timeout: 1s\n        slower_than: 300ms\n        promises: { p99_while_cut: 300ms }\n",
            ),
            (
                "datacenter: east\n  mode: blackhole\n  through: [wan]",
                "datacenter: east\n  mode: reset\n  services: [talk]\n  through: [edge]",
            ),
            ("recover_within: 3s", "good_while_cut: 0%"),
            ("recover_within: 3s", "p99_while_cut: 0s"),
            ("recover_within: 3s", "recover_within: 3s\n      good_while_cut: 101%"),
            (probe, &own("{ recover_within: 59s }")),
            (probe, &own("{ recover_within: 20ms }")),
            (probe, &own("{ recover_with: 1s }")),
            (probe, &own("{ recover_within: 1s }")),
        ]),
    );
}

/// The good plan with more at its end.
pub(super) fn album_below(cases: &[&str]) -> String {
    let end = "hold: 3s, at_most: 60s }\n";
    let cases: Vec<(&str, String)> =
        cases.iter().map(|below| (end, format!("{end}{below}\n"))).collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(from, to)| (*from, to.as_str())).collect();
    album(&cases)
}

#[test]
fn guardrails_that_cannot_work_are_refused() {
    let prometheus = "prometheus: { url: \"http://p.example\", query: up }";
    let with = |more: &str| format!("guardrails: [{{ {prometheus}, {more} }}]");
    snapshot(
        "guardrails",
        &album_below(&[
            "guardrails: {}",
            "guardrails: [{}]",
            "guardrails: [{ service: talk, good_share_bellow: 20%, for: 10s }]",
            "guardrails: [{ service: tlak, good_share_below: 20%, for: 10s }]",
            "guardrails: [{ good_share_below: 20% }]",
            "guardrails: [{ service: talk, good_share_below: 0%, for: 10s }]",
            "guardrails: [{ service: talk, good_share_below: 20, for: 10s, every: 1s, timeout: 1s }]",
            "guardrails: [{ service: talk, good_share_below: 20%, latency_above: 1s, for: 10s }]",
            "guardrails: [{ service: talk, latency_above: 1s, for: 10s }]",
            "guardrails: [{ service: talk, latency_above: 500ms, for: 1999ms, grace: 1s }]",
            "guardrails: [{ service: talk, latency_above: 500ms, for: 2m }]",
            &with("service: talk"),
            &with("every: 10ms, timeout: 1s"),
            &with("every: 20s, grace: 10s"),
            &with("name: a }, { name: a, http: \"http://a.example\""),
            "guardrails: [{ prometheus: { url: p.example, query: \" \" } }]",
            "guardrails: [{ prometheus: { url: \"http://p/x?y=z\", qurey: up, above: 1, below: 0 } }]",
            "guardrails: [{ prometheus: { url: \"http://p\", query: \"${env:TOKEN}\", above: lots } }]",
            "guardrails: [{ alertmanager: { url: \"http://a\", matchers: [severity, \"a==b\"] } }]",
            "guardrails: [{ alertmanager: { url: \"http://a\", matchers: [] } }]",
            "guardrails: [{ alertmanager: { url: \"http://a\" } }]",
            "guardrails: [{ http: { url: \"${lab:tlak}/\" } }]",
        ]),
    );
    let optional = GOOD.replace("timeout: 1s", "required: false").replace(
        "timing:",
        "guardrails: [{ service: talk, good_share_below: 20%, for: 10s }]\ntiming:",
    );
    snapshot("guardrail_without_probe", &drawn(optional.as_bytes()));
}

#[test]
fn kill_switches_windows_and_dates_are_held_to_their_form() {
    snapshot(
        "calendar",
        &album_below(&[
            "kill_switch: /etc/stop",
            "kill_switch: {}",
            "kill_switch: { file: /etc/stop, url: \"http://a\" }",
            "kill_switch: { file: /etc/stop, headers: { a: b }, ca: x.pem }",
            "kill_switch: { file: \"\", every: 10ms }",
            "kill_switch: { file: stop/here }",
            "kill_switch: { url: \"${lab:talk}/stop\" }",
            "kill_switch: { url: stop.example, grace: 500ms }",
            "allowed: { windows: [\"10:00-16:00\"] }",
            "allowed: { zone: Europe/Berln, windows: [\"10:00-16:00\"] }",
            "allowed: { zone: Nowhere, windows: [] }",
            "allowed: { zone: UTC, windows: [\"Thur 10:00-16:00\", \"10-16\", \"Mon 10:00\"] }",
            "allowed: { zone: UTC, windows: [\"25:00-26:00\", \"24:00-01:00\", \"10:00-10:00\", \"\"] }",
            "blocked: { zone: UTC, dates: [2026-02-30, \"2027-01-06..2026-12-20\", christmas] }",
            "blocked: { zone: UTC, dates: \"2026-11-27T10:00\" }",
            "blocked: { zone: UTC }",
        ]),
    );
}

#[test]
fn a_cut_that_nothing_could_prove_is_refused() {
    let text = GOOD
        .replace("        served_by: { header: x-datacenter }\n", "")
        .replace("mode: blackhole\n  through: [wan]", "mode: reset\n  through: [door]");
    snapshot("proof", &drawn(text.as_bytes()));
}

#[test]
fn a_lab_that_is_not_there_is_missed() {
    let text = GOOD.replace("lab:\n  balancer: { check_every: 200ms, fall: 3, rise: 2 }\n  services:\n    talk: { east: 2, west: 2 }\n", "");
    snapshot("no_lab", &drawn(text.as_bytes()));
}

#[test]
fn placeholders_without_a_value_are_reported() {
    snapshot(
        "placeholders",
        &album(&[
            ("name: quickstart", "name: ${var:NAME}"),
            ("name: quickstart", "name: ${env:TOKEN}"),
            ("name: quickstart", "name: ${NAME}"),
            ("name: quickstart", "name: ${file:NAME}"),
            ("name: quickstart", "name: \"${var:NAME\""),
            ("name: quickstart", "name: \"${var:}\""),
            ("every: 50ms", "every: ${env:TOKEN}"),
            ("fall: 3", "fall: \"${env:TOKEN}\""),
            ("hold: 3s", "stable_share: \"${env:TOKEN}\""),
            ("mode: blackhole", "mode: ${env:TOKEN}"),
            ("timeout: 1s", "timeout: \"${lab:talk}\""),
            ("\"${lab:talk}/send\"", "\"ftp://${env:TOKEN}/\""),
            ("status: 200", "json: { /a: \"${env:TOKEN}\" }"),
            ("to: east.example:80", "to: \"${env:TOKEN}\""),
            ("listen: 127.0.0.1:8080", "listen: \"${env:TOKEN}\""),
        ]),
    );
}

#[test]
fn broken_syntax_is_one_finding_at_the_right_place() {
    let texts: [&[u8]; 17] = [
        b"",
        b"# only\n# comments\n",
        b"---\n",
        b"just words",
        b"- a\n- list\n",
        b"version: 1\n\tname: x\n",
        b"version: 1\nname: \"open\n",
        b"version: [1\nname: x\n",
        b"traffic: { edge: ${var:EDGE} }\n",
        b"a: b: c\n",
        b"version: 1\n---\nversion: 1\n",
        b"a: *b\n",
        b"a: &a [*a]\n",
        b"version: 1\nname: caf\xe9\n",
        b"version: 1\nname: a\0b\n",
        b"\xff\xfev\0e\0r\0",
        b"\x7fELF\x02\x01\x01\0\0\0",
    ];
    let mut album = String::new();
    for text in texts {
        album.push_str(&format!("=== {:?}\n{}", String::from_utf8_lossy(text), drawn(text)));
    }
    snapshot("syntax", &album);
}

#[test]
fn all_findings_of_a_plan_come_in_one_pass_in_the_order_of_the_text() {
    let changes = [
        ("version: 1", "version: 3"),
        ("check_every", "check_evry"),
        ("talk: { east: 2, west: 2 }", "talk: { east: 2, wets: 2 }"),
        ("listen: 127.0.0.1:8080", "listen: here"),
        ("${lab:talk}", "${lab:tolk}"),
        ("every: 50ms", "every: 50"),
        ("recover_within: 3s", "recover_within: 0s"),
        ("datacenter: east\n", "datacenter: eats\n"),
        ("mode: blackhole", "mode: blackhoel"),
        ("through: [wan]", "through: [won]"),
        ("stable_for: 2s", "stable_for: 2m"),
    ];
    let text = changes.iter().fold(GOOD.to_owned(), |text, (from, to)| text.replace(from, to));
    let findings = super::parsed_with(text.as_bytes(), &[]).findings;
    assert_eq!(findings.len(), changes.len(), "{findings:#?}");
    assert!(findings.is_sorted_by_key(|finding| (finding.line, finding.column)));
    snapshot("one_pass", &drawn(text.as_bytes()));
}

#[test]
fn a_variable_that_nothing_uses_is_a_warning() {
    let outcome = super::parsed_with(GOOD.as_bytes(), &[("REGOIN", "east")]);
    assert!(outcome.plan.is_some());
    let drawn = super::render("drill.yaml", GOOD.as_bytes(), &outcome.findings, false);
    snapshot("unused_variable", &drawn);
}
