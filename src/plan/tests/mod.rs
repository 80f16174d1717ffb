//! Whole plans, good and bad.

mod azure;
mod bad;
mod dns;
mod gcp;
mod good;
mod hostile;
mod kubernetes;
mod lab;
mod ledger;
mod notify;
mod placement;
mod providers;
pub(super) mod schema;

use std::collections::BTreeMap;

use super::{Inputs, Outcome, parse, render};

/// A plan that is right, for the tests to break in one place each.
pub(super) const GOOD: &str = r#"version: 1
name: quickstart
datacenters: [east, west]
lab:
  balancer: { check_every: 200ms, fall: 3, rise: 2 }
  services:
    talk: { east: 2, west: 2 }
traffic:
  wan: { lab: {} }
  edge:
    proxy:
      routes:
        - { datacenter: east, listen: 127.0.0.1:8080, to: east.example:80 }
  door:
    haproxy:
      socket: /run/haproxy.sock
      servers: { east: app/east-*, west: [app/west-1, app/west-2] }
services:
  talk:
    users: 47_430_000
    probes:
      send:
        http: { url: "${lab:talk}/send", method: POST, expect: { status: 200 } }
        every: 50ms
        timeout: 1s
        served_by: { header: x-datacenter }
    promises:
      recover_within: 3s
      failback_within: 1s
cut:
  datacenter: east
  mode: blackhole
  through: [wan]
timing: { baseline: 3s, stable_for: 2s, hold: 3s, at_most: 60s }
"#;

/// The value of `${env:TOKEN}` in all tests: it must never be seen.
const SECRET: &str = "hunter2-hunter2";

/// Parses with one variable, `REGION`, and one secret, `TOKEN`.
fn parsed(text: &[u8]) -> Outcome {
    parsed_with(text, &[("REGION", "east")])
}

pub(super) fn parsed_with(text: &[u8], vars: &[(&str, &str)]) -> Outcome {
    let vars: BTreeMap<String, String> =
        vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let env = |name: &str| (name == "TOKEN").then(|| SECRET.to_owned());
    let outcome = parse("drill.yaml", text, &Inputs { vars: &vars, env: &env });
    let errors = outcome.findings.iter().any(|f| f.severity == super::Severity::Error);
    assert_eq!(outcome.plan.is_none(), errors, "there is a plan exactly when nothing is wrong");
    outcome
}

/// What is seen of a plan's findings.
fn drawn(text: &[u8]) -> String {
    let outcome = parsed_with(text, &[]);
    let drawn = render("drill.yaml", &outcome.masked(text), &outcome.findings, false);
    assert!(!drawn.contains(SECRET) && !format!("{:?}", outcome.findings).contains(SECRET));
    drawn
}

/// The good plan with one place changed.
fn broken(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} must stand once in the good plan");
    GOOD.replace(from, to)
}
