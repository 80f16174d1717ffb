//! Labs with services that call each other, stores, controllers and an operator.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    BalancerSpec, DatacenterId, LabCheck, LabCold, LabController, LabOperator, LabService, LabSpec,
    LabStore, Name, Replication, SplitBrain, Spread, StoreFaults,
};

use super::bad::{album, snapshot};
use super::{broken, drawn, parsed};

const EAST: DatacenterId = DatacenterId(0);
const WEST: DatacenterId = DatacenterId(1);

/// What stands in the good plan.
const SHORT: &str = "    talk: { east: 2, west: 2 }\n";

/// With every key.
const LONG: &str = "    talk: { east: 2, west: 2 }
    login:
      replicas: { east: 2, west: 1 }
      spread: first
      check: deep
      calls: [talk, accounts]
      paths: { /images: objects, /text: [] }
      takes: 5ms
      at_once: 8
      queue: 10
      cold: { takes: 200ms, requests: 50 }
      switched_by: switch-over
    objects: { east: 1 }
  stores:
    accounts: { primary: east, replicas: [west], replication: async, lag: 300ms, switched_by: switch-over }
    keys: { primary: east, replicas: west, replication: sync }
    sick: { primary: east, replicas: west, loses: 1%, duplicates: 0.02, stale_for: 300ms, split_brain: old-wins }
  controllers:
    switch-over: { in: [east], detect: 2s, promote: 500ms }
    other: { in: west }
  operator: { after: 8s }
";

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(|&name| Name::from(name)).collect()
}

fn expected() -> LabSpec {
    let login = LabService {
        spread: Some(Spread::First),
        check: LabCheck::Deep,
        calls: names(&["talk", "accounts"]),
        paths: [("/images".into(), names(&["objects"])), ("/text".into(), vec![])].into(),
        takes: millis(5),
        at_once: Some(8),
        queue: 10,
        cold: Some(LabCold { takes: millis(200), requests: 50 }),
        switched_by: Some("switch-over".into()),
        ..LabService::from(BTreeMap::from([(EAST, 2), (WEST, 1)]))
    };
    let accounts = LabStore {
        primary: EAST,
        replicas: vec![WEST],
        replication: Replication::Async(millis(300)),
        switched_by: Some("switch-over".into()),
        faults: StoreFaults::default(),
    };
    let keys = LabStore { replication: Replication::Sync, switched_by: None, ..accounts.clone() };
    let faults = StoreFaults {
        loses: 0.01,
        duplicates: 0.02,
        stale_for: millis(300),
        split_brain: Some(SplitBrain::OldWins),
    };
    let replication = Replication::Async(Duration::ZERO);
    let sick = LabStore { faults, replication, ..keys.clone() };
    let switch_over =
        LabController { datacenters: vec![EAST], detect: millis(2000), promote: millis(500) };
    let other =
        LabController { datacenters: vec![WEST], detect: millis(1000), promote: Duration::ZERO };
    LabSpec {
        balancer: BalancerSpec::default(),
        services: BTreeMap::from([
            ("talk".into(), BTreeMap::from([(EAST, 2), (WEST, 2)]).into()),
            ("login".into(), login),
            ("objects".into(), BTreeMap::from([(EAST, 1)]).into()),
        ]),
        stores: BTreeMap::from([
            ("accounts".into(), accounts),
            ("keys".into(), keys),
            ("sick".into(), sick),
        ]),
        controllers: BTreeMap::from([("switch-over".into(), switch_over), ("other".into(), other)]),
        operator: Some(LabOperator { after: millis(8000) }),
    }
}

#[test]
fn a_lab_means_exactly_what_it_says() {
    let text = broken(SHORT, LONG);
    assert_eq!(drawn(text.as_bytes()), "");
    assert_eq!(parsed(text.as_bytes()).plan.unwrap().lab.unwrap(), expected());
}

#[test]
fn probes_may_ask_stores() {
    for store in ["accounts", "east/accounts", "west/sick"] {
        let asked = format!("${{lab:{store}}}");
        let text = broken(SHORT, LONG).replace("${lab:talk}", &asked);
        assert_eq!(drawn(text.as_bytes()), "");
    }
}

#[test]
fn a_datacenter_may_be_called_like_a_key() {
    let text = broken("datacenters: [east, west]", "datacenters: [east, west, replicas, calls]")
        .replace(SHORT, "    talk: { east: 2, west: 2, replicas: 1, calls: 3 }\n");
    assert_eq!(drawn(text.as_bytes()), "");
    let lab = parsed(text.as_bytes()).plan.unwrap().lab.unwrap();
    assert_eq!(lab.services[&Name::from("talk")].replicas.len(), 4);
}

/// The good lab with something more in it.
fn with(more: &str) -> String {
    format!("{SHORT}{more}\n")
}

#[test]
fn labs_that_cannot_work_are_refused() {
    let cases = [
        "    login: { replicas: { east: 1, west: 1 }, calls: [takl] }",
        "    login: { replicas: { east: 1, west: 1 }, paths: { /images: [obejcts] } }",
        "    login: { replicas: { east: 1, west: 1 }, paths: { images: [talk], '/a?b': [] } }",
        "    login: { replicas: { east: 1, west: 1 }, calls: [login] }",
        "    a: { replicas: { east: 1, west: 1 }, calls: [b] }\n    \
             b: { replicas: { east: 1, west: 1 }, calls: [talk], paths: { /x: [c] } }\n    \
             c: { replicas: { east: 1, west: 1 }, calls: [b, a] }",
        "    login: { replicas: {} }",
        "    login: { calls: [talk] }",
        "    login: { replica: { east: 1 }, calls: [talk], chekc: deep, spread: random }",
        "    login: { replicas: { east: 1, west: 1 }, takes: 5, at_once: 0, cold: { takes: 0s } }",
        "    login: { replicas: { east: 1, west: 1 }, queue: 4 }",
        "    login: { replicas: { east: 1, west: 1 }, switched_by: switch-over }",
        "    login: { replicas: { east: 1, west: 1 }, switched_by: swich-over }\n  \
             controllers: { switch-over: { in: [east] } }",
        "    login: { replicas: { east: 1, west: 1 }, switched_by: talk }",
        "    login: { replicas: { west: 1 }, switched_by: switch-over }\n  \
             controllers: { switch-over: { in: [east] } }",
        "    login: { replicas: { east: 1, west: 1 }, calls: [switch-over] }\n  \
             controllers: { switch-over: { in: [east] } }",
        "  controllers: { switch-over: { in: [], detect: 0s }, other: {}, third: { in: [est, west, west] } }",
        "  stores: { accounts: { primary: east, replicas: [west, east] } }",
        "  stores: { accounts: { replicas: [west], replication: sync, lag: 3s } }",
        "  stores: { accounts: { primary: east, switched_by: switch-over, replciation: sync } }\n  \
             controllers: { switch-over: { in: [east] } }",
        "  stores: { talk: { primary: east } }",
        "  stores: { accounts: { primary: east, split_brain: new-wins } }",
        "  stores: { accounts: { primary: east, replicas: [west], split_brain: yes, loses: 101%, \
         duplicates: -1, stale_for: 3 } }",
        "  operator: {}",
        "  operators: { after: 1s }",
        "    a: { replicas: { east: 100, west: 100 } }\n    b: { replicas: { east: 100, west: 100 } }\n    \
             c: { replicas: { east: 100, west: 100 } }",
    ];
    let cases: Vec<String> = cases.iter().map(|more| with(more)).collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|more| (SHORT, more.as_str())).collect();
    snapshot("lab", &album(&cases));
}

#[test]
fn a_long_chain_of_calls_that_ends_in_a_circle_is_reported_and_shortened() {
    let link = |n: usize| {
        let next = (n + 1) % 5000;
        format!("    s{n}: {{ replicas: {{ east: 1, west: 1 }}, calls: [s{next}] }}\n")
    };
    let chain: String = (0..5000).map(link).collect();
    let drawn = drawn(broken(SHORT, &format!("{SHORT}{chain}")).as_bytes());
    assert_eq!(drawn.matches("calls go round in a circle").count(), 1, "{drawn}");
    assert!(drawn.contains("… -> s0`"), "{drawn}");
}
