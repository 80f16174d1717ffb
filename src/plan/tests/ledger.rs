//! Ledgers of plans: what they mean, and what cannot work.

use std::time::Duration;

use super::bad::{album, snapshot};
use super::{GOOD, drawn, parsed};
use crate::model::{LedgerStore, LossBudget, NextPage, ProbeKind};

const PROBE: &str =
    "        http: { url: \"${lab:talk}/send\", method: POST, expect: { status: 200 } }\n";
const REQUESTS: &str =
    "write: { url: \"http://a.example/{{key}}\", method: PUT }, read: \"http://a.example/\"";
const REMOVE: &str = "remove: { url: \"http://a.example/?prefix={{prefix}}\", method: DELETE }";

/// The good plan with a ledger in the place of its probe, with `more` in it.
fn with(more: &str) -> String {
    let ledger =
        format!("        ledger: {{ http: {{ {REQUESTS}, {REMOVE} }}, settle: 1s{more} }}\n");
    assert_eq!(GOOD.matches(PROBE).count(), 1);
    GOOD.replace(PROBE, &ledger)
        .replace("recover_within: 3s", "recover_within: 3s\n      lose_at_most: 1s")
}

/// What is said of each plan that has `from` replaced in the one with a ledger.
fn said(cases: &[(&str, &str)]) -> String {
    let good = with("");
    assert_eq!(drawn(good.as_bytes()), "");
    let mut album = String::new();
    for (from, to) in cases {
        assert_eq!(good.matches(from).count(), 1, "{from:?} must stand once");
        let drawn = drawn(good.replace(from, to).as_bytes());
        assert!(!drawn.is_empty(), "{from:?} -> {to:?} has no finding");
        album.push_str(&format!("=== {from:?} -> {to:?}\n{drawn}"));
    }
    album
}

#[test]
fn a_ledger_is_read_as_it_stands() {
    let text = with(", create: true")
        .replace("lose_at_most: 1s", "lose_at_most: 1s\n      duplicate_at_most: 2");
    let outcome = parsed(text.as_bytes());
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
    let service = &plan.services[0];
    assert_eq!(service.promises.lose_at_most, Some(LossBudget::Window(Duration::from_secs(1))));
    assert_eq!(service.promises.duplicate_at_most, Some(2));
    let ProbeKind::Ledger(ledger) = &service.probes[0].kind else { panic!("{service:?}") };
    assert_eq!((ledger.create, ledger.keep, ledger.settle), (true, false, Duration::from_secs(1)));
    assert_eq!(ledger.store.place(), "PUT http://a.example/{{key}}");
    assert_eq!(ledger.store.reads(), "GET http://a.example/");
    assert_eq!(ledger.store.removes().unwrap(), "DELETE http://a.example/?prefix={{prefix}}");
    let LedgerStore::Http(http) = &ledger.store else { panic!("{ledger:?}") };
    assert_eq!((http.items.as_str(), http.item_key.as_str()), ("", ""));
    let count = text.replace("lose_at_most: 1s", "lose_at_most: 1_000");
    let plan = parsed(count.as_bytes()).plan.unwrap();
    assert_eq!(plan.services[0].promises.lose_at_most, Some(LossBudget::Writes(1_000)));
}

#[test]
fn requests_and_commands_are_held_to_their_form() {
    let ledger = format!("ledger: {{ http: {{ {REQUESTS}, {REMOVE} }}, settle: 1s }}");
    snapshot(
        "ledger_forms",
        &said(&[
            (&ledger, "ledger: {}"),
            (&ledger, "ledger: { http: {} }"),
            (&ledger, "ledger: { exec: {} }"),
            (&ledger, "ledger: { exec: { write: [], read: ./ledger.sh }, keep: true }"),
            ("http://a.example/{{key}}", "http://a.example/"),
            ("http://a.example/{{key}}", "http://a.example/{{kye}}"),
            ("?prefix={{prefix}}", ""),
            ("method: PUT", "method: PUT, headers: { X-Key: \"{{key}}\" }"),
            ("method: PUT", "method: PUT, expect: { body: \"{{value}}\" }"),
            ("read: \"http://a.example/\"", "read: \"http://a.example/\", items: ids, key: id"),
            ("settle: 1s", "settle: 1"),
            ("settle: 1s", "settle: 1s, crate: true"),
            ("settle: 1s", "settle: 1s, keep: perhaps"),
        ]),
    );
}

#[test]
fn lists_in_pages_are_held_to_their_form() {
    let read = "read: \"http://a.example/\"";
    let with_cursor = |next: &str| format!("read: \"http://a.example/?at={{{{cursor}}}}\"{next}");
    snapshot(
        "ledger_pages",
        &said(&[
            (read, "read: \"http://a.example/{{key}}\", next: link"),
            (read, &with_cursor("")),
            (read, &with_cursor(", next: link")),
            (read, "read: \"http://a.example/\", next: cursor"),
            (read, "read: \"http://a.example/\", next: \"\""),
            (read, "read: { url: \"http://a.example/\", method: POST, body: \"{{cursor}}\" }"),
            ("http://a.example/{{key}}", "http://a.example/{{key}}{{cursor}}"),
            ("?prefix={{prefix}}", "?prefix={{prefix}}{{cursor}}"),
        ]),
    );
    for (to, next) in [
        (with_cursor(", next: /meta/next"), NextPage::Json("/meta/next".to_owned())),
        (format!("{read}, next: /next"), NextPage::Json("/next".to_owned())),
        (format!("{read}, next: Link"), NextPage::Link),
    ] {
        let outcome = parsed(with("").replace(read, &to).as_bytes());
        let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
        let ProbeKind::Ledger(ledger) = &plan.services[0].probes[0].kind else { panic!("{to}") };
        let LedgerStore::Http(http) = &ledger.store else { panic!("{to}") };
        assert_eq!(http.next, Some(next));
    }
}

#[test]
fn ledgers_that_cannot_be_judged_or_read_are_refused() {
    let exec = "ledger: { exec: { write: [./l, write], read: [./l, read] }, keep: true }";
    let ledger = format!("ledger: {{ http: {{ {REQUESTS}, {REMOVE} }}, settle: 1s }}");
    snapshot(
        "ledgers",
        &said(&[
            ("settle: 1s", "settle: 56s"),
            ("stable_for: 2s, hold: 3s, at_most: 60s", "stable_for: 2s, hold: 3s, at_most: 5s"),
            (", remove: { url: \"http://a.example/?prefix={{prefix}}\", method: DELETE }", ""),
            ("settle: 1s", "settle: 1s, keep: true"),
            (
                &format!("{ledger}\n        every: 50ms"),
                &format!("{exec}\n        connection: new\n        every: 50ms"),
            ),
            (&ledger, exec),
            ("lose_at_most: 1s", "lose_at_most: 99ms"),
            ("lose_at_most: 1s", "lose_at_most: soon"),
            ("lose_at_most: 1s", "lose_at_most: 0s"),
            ("lose_at_most: 1s", "lose_at_most: -1"),
            ("lose_at_most: 1s", "lose_at_most: 1s\n      duplicate_at_most: 1s"),
            (
                "timeout: 1s",
                "timeout: 1s\n        promises: { recover_within: 59s, lose_at_most: 0 }",
            ),
        ]),
    );
}

#[test]
fn nobody_is_told_to_give_commands_a_served_by() {
    let exec = "        ledger: { exec: { write: [./l], read: [./l] }, keep: true }\n";
    let text =
        GOOD.replace(PROBE, exec).replace("        served_by: { header: x-datacenter }\n", "");
    let text = text.replace("      failback_within: 1s\n", "");
    let outcome = parsed(text.as_bytes());
    assert!(outcome.plan.is_some(), "{:#?}", outcome.findings);
    let said = drawn(text.as_bytes());
    assert!(said.contains("an `exec` ledger cannot: add a probe with `served_by`"), "{said}");
}

#[test]
fn what_is_promised_of_records_needs_a_ledger() {
    let probe = "        served_by: { header: x-datacenter }\n";
    snapshot(
        "ledger_missing",
        &album(&[
            ("recover_within: 3s", "lose_at_most: 0"),
            (
                "recover_within: 3s",
                "recover_within: 3s\n      lose_at_most: 5s\n      duplicate_at_most: 0",
            ),
            (
                probe,
                &format!("{probe}        promises: {{ recover_within: 3s, lose_at_most: 0 }}\n"),
            ),
        ]),
    );
    // One with promises of its own is judged by those alone.
    let own = with("").replace(
        "timeout: 1s",
        "timeout: 1s\n        promises: { recover_within: 3s }\n      get:\n        http: \"${lab:talk}/\"\n        every: 50ms\n",
    );
    let said = drawn(own.as_bytes());
    assert!(said.contains("no ledger measures `lose_at_most`"), "{said}");
}

#[test]
fn loads_and_guardrails_are_no_ledgers() {
    let end = "hold: 3s, at_most: 60s }\n";
    let ledger = "ledger: { exec: { write: [./l], read: [./l] }, keep: true }";
    let load = format!("{end}load: {{ crowd: {{ {ledger}, rate: 9/s }} }}\n");
    let guardrail = format!("{end}guardrails: [{{ {ledger} }}]\n");
    snapshot("ledger_elsewhere", &album(&[(end, &load), (end, &guardrail)]));
}

#[test]
fn what_may_stay_must_tell_who_serves_and_somebody_should_see_the_way_back() {
    let served_by = "        served_by: { header: x-datacenter }\n";
    let stays = format!("{served_by}        may_stay: true\n");
    let failback = "      failback_within: 1s\n";
    let album = said(&[
        (served_by, "        may_stay: true\n"),
        (served_by, &stays),
        (served_by, &stays.replace("true", "perhaps")),
    ]);
    snapshot("ledger_stays", &album);
    let page = "      page: { http: \"${lab:talk}/\", every: 50ms, served_by: { header: x-datacenter } }\n";
    let seen = with("").replace(served_by, &format!("{stays}{page}"));
    assert_eq!(drawn(seen.as_bytes()), "", "the page is waited for");
    let probes = parsed(seen.as_bytes()).plan.unwrap().services.remove(0).probes;
    assert_eq!([probes[0].may_stay, probes[1].may_stay], [true, false]);
    let unseen = seen.replace(", served_by: { header: x-datacenter } }\n", " }\n");
    assert!(drawn(unseen.as_bytes()).contains("nothing could see the cut datacenter serve again"));
    assert!(drawn(unseen.replace(failback, "").as_bytes()).contains("nobody sees the way back"));
    let standby = seen.replace("    users: 47_430_000", "    standby: true").replace(failback, "");
    assert!(drawn(standby.as_bytes()).contains("drill.yaml:27:9"), "{}", drawn(standby.as_bytes()));
}

#[test]
fn redis_and_nats_are_held_to_their_form() {
    let ledger = format!("ledger: {{ http: {{ {REQUESTS}, {REMOVE} }}, settle: 1s }}");
    let redis = |settings: &str| format!("ledger: {{ redis: {{ {settings} }} }}");
    let nats = |settings: &str| format!("ledger: {{ nats: {{ {settings} }} }}");
    let wrong = [
        redis(""),
        redis("url: \"http://a\""),
        redis("url: \"redis://user:typed@a\""),
        redis("url: \"redis://a:0\", master: m, password: typed-in-the-plan"),
        redis("url: \"redis://a\", sentinels: [\"a:1\"]"),
        redis("sentinels: []"),
        redis("sentinels: [a], master: m, ca: /x.pem"),
        redis("url: \"redis://a\", user: app"),
        redis("url: \"redis://a\", wait: { replicas: 0 }, expire: 1"),
        nats(""),
        nats("servers: []"),
        nats("servers: [\"a:4222\"], stream: \"a.b\", replicas: 7, storage: disk"),
        nats("servers: [\"nats://token@a\"], user: app, token: typed-in-the-plan"),
    ];
    let cases: Vec<(&str, &str)> = wrong.iter().map(|it| (&*ledger, it.as_str())).collect();
    let album = said(&cases);
    assert!(!album.lines().any(|line| !line.starts_with("===") && line.contains("typed@")));
    snapshot("ledger_stores", &album);
}

#[test]
fn records_outlive_an_outage() {
    let header = "served_by: { header: x-datacenter }";
    let peers = "served_by: { peer: { east: [10.1.0.0/16], west: [10.2.0.0/16] } }";
    let store = format!("http: {{ {REQUESTS}, {REMOVE} }}");
    let drawn = |expire: &str| {
        let redis = format!("redis: {{ url: \"redis://a\", expire: {expire} }}");
        drawn(with("").replace(&store, &redis).replace(header, peers).as_bytes())
    };
    assert_eq!(drawn("62s"), "");
    let said = drawn("61s");
    assert!(said.contains("records vanish 61s after the last write"), "{said}");
    assert!(said.contains("raise it above 61s"), "{said}");
}

#[test]
fn redis_and_nats_are_read_as_they_stand() {
    let ledger = format!("ledger: {{ http: {{ {REQUESTS}, {REMOVE} }}, settle: 1s }}");
    let header = "served_by: { header: x-datacenter }";
    let read = |settings: &str| {
        let text = with("").replace(&ledger, settings);
        let text = text
            .replace(header, "served_by: { peer: { east: [10.1.0.0/16], west: [10.2.0.0/16] } }");
        let outcome = parsed(text.as_bytes());
        let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings));
        plan.services[0].probes[0].clone()
    };
    let of = |probe: &crate::model::ProbeSpec| match &probe.kind {
        ProbeKind::Ledger(ledger) => ledger.clone(),
        other => panic!("{other:?}"),
    };
    let probe = read(
        "ledger: { redis: { sentinels: [\"a:1\", \"b:2\"], master: m, database: 3, wait: { replicas: 2, within: 50ms } } }",
    );
    let LedgerStore::Redis(redis) = of(&probe).store else { panic!("{probe:?}") };
    assert_eq!(redis.wait.unwrap().replicas, 2);
    assert_eq!(redis.expire, Duration::from_secs(86_400));
    assert_eq!(redis.addresses(), Vec::<&crate::model::Text>::new());
    assert_eq!(
        (redis.read.as_ref(), redis.place()),
        (None, "Redis m at sentinels://a:1,b:2/3".into())
    );
    let probe = read(
        "ledger: { redis: { url: \"redis://a/3\", read: { sentinels: [\"b:2\"], master: m, database: 3 } } }",
    );
    let store = of(&probe).store;
    // Two writers of one place, each by its own way.
    assert_eq!(store.place(), "Redis m at redis://a/3");
    assert_eq!(store.reads(), "Redis m at sentinels://b:2/3");
    assert_eq!(store.texts().len(), 2);
    let probe = read("ledger: { redis: { url: \"redis://a\", read: \"redis://b\" } }");
    assert_eq!(of(&probe).store.reads(), "redis://b");
    assert_eq!(probe.connection, crate::model::Connection::KeepAlive);
    let probe = read(
        "ledger: { nats: { servers: [\"nats://a\"], stream: S, replicas: 3, storage: memory }, create: true }\n        connection: new",
    );
    let LedgerStore::Nats(nats) = of(&probe).store else { panic!("{probe:?}") };
    assert_eq!((nats.stream.as_str(), nats.replicas, nats.in_memory), ("S", Some(3), true));
    assert_eq!(probe.connection, crate::model::Connection::New);
}

#[test]
fn copies_that_cannot_be_seen_and_promises_that_do_not_reach_a_ledger_are_told() {
    let list = "read: \"http://a.example/\"";
    let each = "read: \"http://a.example/{{key}}\"";
    let promised = "lose_at_most: 1s";
    let both = "lose_at_most: 0\n      duplicate_at_most: 0";
    let good = with("").replace(promised, both);
    assert_eq!(drawn(good.as_bytes()), "");
    let one_by_one = drawn(good.replace(list, each).as_bytes());
    // A second ledger, with a promise of its own and nothing of its records.
    let own = "      own:\n        ledger: { exec: { write: [./it], read: [./it] }, keep: true }\n        every: 50ms\n        \
               promises: { recover_within: 2s, lose_at_most: 1 }\n    promises:\n";
    assert_eq!(good.matches("    promises:\n").count(), 1);
    let unreached = drawn(good.replace("    promises:\n", own).as_bytes());
    // Nothing is said of what it may lose, by anybody.
    let unjudged = drawn(with("").replace("      lose_at_most: 1s\n", "").as_bytes());
    assert!(!drawn(GOOD.as_bytes()).contains("losses-not-judged"), "a page loses no writes");
    snapshot("ledger_unreached", &format!("{one_by_one}{unreached}{unjudged}"));
}

#[test]
fn postgres_is_held_to_its_form() {
    let ledger = format!("ledger: {{ http: {{ {REQUESTS}, {REMOVE} }}, settle: 1s }}");
    let postgres = |settings: &str| format!("ledger: {{ postgres: {{ {settings} }} }}");
    let hosts = "hosts: \"a:5432\", user: app, dbname: shop";
    let wrong = [
        postgres(""),
        postgres("url: \"mysql://a/shop\""),
        postgres("url: \"postgres:///shop\""),
        postgres("url: \"postgres://app:typed-in@a/shop\""),
        postgres("url: \"postgres://app@a/shop?password=typed-in\""),
        postgres("url: \"app:typed-in@a/shop\""),
        postgres("url: \"postgres://app:typed-in@a/shop?sslmode=always\""),
        postgres("url: \"postgres://app@a/shop with space\""),
        postgres("url: \"postgres://app@a/shop\", user: app, sslmode: require"),
        postgres("url: \"postgres://app@a/shop?sslmode=always\""),
        postgres("url: \"postgres://app@a/shop?sslrootcert=/x.pem\""),
        postgres("url: \"postgres://app@a/shop?sslcert=/x.pem\""),
        postgres("url: \"postgres://app@a/shop?target_session_attrs=standby\""),
        postgres("url: \"postgres://app@a/shop?hostaddr=10.0.0.1\""),
        postgres("url: \"postgres://app@a/shop?sslmode=prefer\", ca: /x.pem"),
        postgres("hosts: [], user: app, dbname: shop"),
        postgres("hosts: [a], user: \"\", dbname: shop"),
        postgres("hosts: \"a:5432\""),
        postgres(&format!("{hosts}, url: \"postgres://app@a/shop\"")),
        postgres(&format!("{hosts}, password: typed-in")),
        postgres(&format!("{hosts}, sslmode: verify-ca")),
        postgres(&format!("{hosts}, sslmode: disable, ca: /x.pem")),
        postgres(&format!("{hosts}, ca: /x.pem, read: {{ {hosts}, sslmode: prefer }}")),
        postgres(&format!("{hosts}, read: {{ hosts: \"b:5432\", table: t }}")),
        postgres(&format!("{hosts}, table: a.b.c")),
        postgres(&format!("{hosts}, table: {}", "x".repeat(64))),
        postgres(&format!("{hosts}, connections: 0")),
        postgres(&format!("{hosts}, conections: 4")),
    ];
    let cases: Vec<(&str, &str)> = wrong.iter().map(|it| (&*ledger, it.as_str())).collect();
    let album = said(&cases);
    // A password is masked where the plan's lines are drawn.
    assert!(
        !album.lines().any(|line| !line.starts_with("===") && line.contains("typed")),
        "{album}"
    );
    snapshot("ledger_postgres", &album);
}
