//! What a plan says of placement: what it means, and what is found to be wrong with it.

use super::{Outcome, drawn, parsed_with};
use crate::model::{ControlPlane, DatacenterId, Dependency, Home, Plan, Stand};

/// A plan with everything that the placement check reads.
const PLACED: &str = r#"version: 1
name: pangyo
datacenters: [pangyo, anyang, gasan]
networks: { pangyo: [10.1.0.0/16, 203.0.113.7], anyang: [10.2.0.0/16] }
traffic:
  edge:
    haproxy:
      socket: /run/haproxy.sock
      servers: { pangyo: app/p-*, anyang: app/a-*, gasan: app/g-* }
control_plane:
  switch-over: { in: [pangyo] }
  key-store: { in: [pangyo], for: [login], depends_on: [dns] }
  registry: { address: registry.example.com:443 }
services:
  pay:
    in: [pangyo, anyang]
    depends_on: [login]
    probes:
      home: { http: "https://pay.example/", every: 200ms, served_by: { header: x-dc } }
    promises: { recover_within: 3s }
  login:
    in: { active: { pangyo: 10, anyang: 6 }, standby: [gasan], needs: 12 }
    depends_on: [key-store]
  dns:
    in: anyang
cut: { datacenter: pangyo, mode: reset, through: [edge] }
"#;

fn outcome(text: &str) -> Outcome {
    parsed_with(text.as_bytes(), &[])
}

fn plan(text: &str) -> Plan {
    let outcome = outcome(text);
    outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings))
}

#[test]
fn a_placement_means_exactly_what_it_says() {
    assert_eq!(drawn(PLACED.as_bytes()), "");
    let plan = plan(PLACED);
    let (pangyo, anyang, gasan) = (DatacenterId(0), DatacenterId(1), DatacenterId(2));
    let stand = |datacenter, servers| Stand { datacenter, servers };
    let [pay, login, dns] = plan.services.as_slice() else { panic!("{:?}", plan.services) };
    let both = vec![stand(pangyo, None), stand(anyang, None)];
    assert_eq!(pay.home, Some(Home { active: both, ..Home::default() }));
    assert_eq!(pay.depends_on, [Dependency::Service(1)]);
    let home = Home {
        active: vec![stand(pangyo, Some(10)), stand(anyang, Some(6))],
        standby: vec![stand(gasan, None)],
        needs: Some(12),
    };
    assert_eq!(login.home, Some(home));
    assert_eq!(login.depends_on, [Dependency::ControlPlane(1)]);
    assert!(login.probes.is_empty() && !login.standby);
    assert!(dns.standby, "the cut datacenter serves nothing of it");
    let part = |name: &str, home: &[DatacenterId]| ControlPlane {
        name: name.into(),
        home: home.to_vec(),
        address: None,
        serves: None,
        depends_on: vec![],
    };
    let key_store = ControlPlane {
        serves: Some(vec![1]),
        depends_on: vec![Dependency::Service(2)],
        ..part("key-store", &[pangyo])
    };
    let address = Some("registry.example.com:443".into());
    let registry = ControlPlane { address, ..part("registry", &[]) };
    assert_eq!(plan.control_plane, [part("switch-over", &[pangyo]), key_store, registry]);
    let nets: Vec<usize> = plan.networks.0.iter().map(|(_, nets)| nets.len()).collect();
    assert_eq!(nets, [2, 1]);
}

/// Every case, changed in one place, with its findings.
fn album(cases: &[(&str, &str)]) -> String {
    let mut album = String::new();
    for (from, to) in cases {
        assert_eq!(PLACED.matches(from).count(), 1, "{from:?} must stand once");
        let drawn = drawn(PLACED.replace(from, to).as_bytes());
        assert!(!drawn.is_empty(), "{from:?} -> {to:?} has no finding");
        album.push_str(&format!("=== {from:?} -> {to:?}\n{drawn}"));
    }
    album
}

fn snapshot(name: &str, album: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, album));
}

#[test]
fn what_is_wrong_with_a_placement_is_reported_with_its_place() {
    let login = "{ active: { pangyo: 10, anyang: 6 }, standby: [gasan], needs: 12 }";
    snapshot(
        "placement",
        &album(&[
            // References to nothing.
            ("depends_on: [login]", "depends_on: [logni, login, login]"),
            ("for: [login]", "for: [loginn]"),
            ("for: [login]", "for: [switch-over]"),
            ("in: anyang", "in: [anyagn]"),
            ("networks: { pangyo", "networks: { pagnyo"),
            ("203.0.113.7", "203.0.113.700"),
            // In no datacenter.
            ("in: anyang", "in: []"),
            ("in: anyang", "users: 7"),
            (login, "{ standby: [gasan] }"),
            (login, "{ active: [], standby: [gasan] }"),
            ("switch-over: { in: [pangyo] }", "switch-over: { in: [] }"),
            ("switch-over: { in: [pangyo] }", "switch-over: {}"),
            // Servers that do not add up.
            ("needs: 12", "needs: 17"),
            ("active: { pangyo: 10, anyang: 6 }", "active: [pangyo, anyang]"),
            ("standby: [gasan]", "standby: [gasan, anyang]"),
            ("anyang: 6", "anyang: 0"),
            // What could never start.
            ("in: anyang", "in: anyang\n    depends_on: [pay]"),
            ("depends_on: [login]", "depends_on: [pay]"),
            ("depends_on: [dns]", "depends_on: [login]"),
            ("switch-over: { in: [pangyo] }", "switch-over: { in: [pangyo], depends_on: [pay] }"),
            // Names and contradictions.
            ("switch-over: {", "pay: {"),
            ("switch-over: { in: [pangyo] }", "pay: { in: [pangyo], depends_on: [nothing] }"),
            ("address: registry.example.com:443", "address: registry.example.com"),
            ("in: anyang", "in: anyang\n    promises: { recover_within: 1s }"),
            ("{ header: x-dc }", "{ header: x-dc, values: { gasan: \"g-*\" } }"),
            ("standby: [gasan], ", ""),
            ("standby: [gasan]", "stanby: [gasan]"),
        ]),
    );
}

/// A plan with a lab of one service in both datacenters.
const LAB: &str = r#"version: 1
name: lab
datacenters: [east, west, north]
lab: { services: { talk: { east: 1, west: 1 } } }
traffic: { wan: { lab: {} } }
services:
  talk:
    in: [east, west]
    probes:
      send: { http: "${lab:talk}/", every: 200ms, served_by: { header: x-datacenter } }
    promises: { recover_within: 3s }
cut: { datacenter: east, mode: reset, through: [wan] }
"#;

#[test]
fn what_the_lab_has_must_be_what_the_service_says() {
    assert_eq!(drawn(LAB.as_bytes()), "");
    let wrong = LAB.replace("in: [east, west]", "in: [east, north]");
    let drawn = drawn(wrong.as_bytes());
    snapshot("placement_lab", &drawn);
}

#[test]
fn where_the_lab_serves_and_who_switches_it_is_said_once_and_alike() {
    let first =
        LAB.replace("east: 1, west: 1 }", "replicas: { east: 1, west: 1 }, spread: first }");
    let roles = |home: &str| first.replace("in: [east, west]", &format!("in: {home}"));
    assert_eq!(drawn(roles("{ active: east, standby: west }").as_bytes()), "");
    let turned = drawn(roles("{ active: west, standby: east }").as_bytes());
    let both = drawn(roles("[east, west]").as_bytes());
    let named = LAB
        .replace(
            "services: { talk: { east: 1, west: 1 } } }",
            "services: { talk: { east: 1, west: 1 } }, controllers: { c: { in: [east] } } }",
        )
        .replace("cut:", "control_plane: { c: { in: [west] } }\ncut:");
    let store = LAB
        .replace("west: 1 } }", "west: 1 } }, stores: { db: { primary: east } }")
        .replace("promises", "  d: { http: \"${lab:db}/\", every: 200ms }\n    promises");
    let album = [turned, both, drawn(named.as_bytes()), drawn(store.as_bytes())];
    snapshot("placement_roles", &album.join("===\n"));
    // What is not cut may stand where it likes.
    let alone = store.replace("datacenter: east,", "datacenter: east, services: [talk],");
    assert_eq!(drawn(alone.as_bytes()), "");
}

#[test]
fn a_service_that_only_asks_the_lab_needs_no_home() {
    assert_eq!(drawn(LAB.replace("    in: [east, west]\n", "").as_bytes()), "");
}

#[test]
fn a_hundred_thousand_services_in_one_cycle_are_one_short_finding() {
    let mut text = PLACED.to_owned();
    let mut services = String::new();
    const COUNT: usize = 100_000;
    for number in 0..COUNT {
        let next = (number + 1) % COUNT;
        services.push_str(&format!("  s{number}: {{ in: [anyang], depends_on: [s{next}] }}\n"));
    }
    text = text.replace("cut: {", &format!("{services}cut: {{"));
    let findings = outcome(&text).findings;
    assert_eq!(findings.len(), 1, "{:#?}", &findings[..2]);
    assert!(findings[0].what.contains("s0 -> s1 -> "), "{}", findings[0].what);
    assert!(findings[0].what.contains("(99992 more) -> s0"), "{}", findings[0].what);
}
