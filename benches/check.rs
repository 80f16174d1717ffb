//! What checking a large plan costs: 32,000 probes, the number of servers lost at Pangyo in 2022.
//!
//! Prints one line for each case: the size of the plan, the best time of five checks, the processor
//! time of one (which other programs disturb less), the number of findings, and the peak memory of
//! the process so far (VmHWM; Linux only). The good plans come first, so that their peak is theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "shared/memory.rs"]
mod memory;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use firedrill::plan::{Inputs, Outcome, parse, render};

const SERVICES: usize = 320;
const PROBES: usize = 100;
const ROUNDS: usize = 5;

fn main() {
    let probes = Some(SERVICES * PROBES);
    let (outcome, _) = case("short probes", &plan(SHORT));
    assert_eq!(outcome.plan.map(|plan| plan.probes().count()), probes);
    let (outcome, _) = case("rich probes", &plan(RICH));
    assert_eq!(outcome.plan.map(|plan| plan.probes().count()), probes);

    let (outcome, _) = case("a finding for each probe", &plan(&SHORT.replace("every", "evry")));
    assert!(outcome.plan.is_none() && outcome.findings.len() > 10_000);
    let (outcome, took) = case("refused: 100 MB", &vec![b'#'; 100_000_000]);
    assert!(outcome.plan.is_none() && took < Duration::from_millis(10));
    case("32 MB of short values", &b"- x\n".repeat(8_000_000));
    case("900,000 unknown keys", &keys());
    case("30 MB on one line", &[b"{".to_vec(), b"k: 1, ".repeat(5_000_000)].concat());
}

/// What a generated plan says of each server.
const SHORT: &str = r#"
        http: "https://s%.example:8443/health"
        every: 10s
        timeout: 2s
        served_by: { header: x-datacenter }
"#;

/// Nearly everything that can be said.
const RICH: &str = r#"
        http:
          url: "https://s%.example:8443/health?deep=1"
          headers: { authorization: "Bearer ${env:TOKEN}", accept: application/json }
          expect: { status: [200, "3xx"], json: { /status: up } }
        every: 10s
        timeout: 2s
        served_by: { header: x-datacenter, values: { pangyo: "p-*" } }
"#;

fn plan(probe: &str) -> Vec<u8> {
    let mut text = String::from(
        "version: 1\nname: pangyo\ndatacenters: [pangyo, pyeongchon]\ntraffic:\n  edge:\n    haproxy:\n      \
         socket: /run/haproxy.sock\n      servers: { pangyo: \"app/p-*\", pyeongchon: \"app/y-*\" }\n\
         cut: { datacenter: pangyo, mode: reset, through: edge }\n\
         timing: { baseline: 1m, stable_for: 30s, hold: 30s, at_most: 30m }\nservices:\n",
    );
    for service in 0..SERVICES {
        writeln!(text, "  service-{service}:\n    promises: {{ recover_within: 5m }}\n    probes:")
            .unwrap();
        for number in 0..PROBES {
            let probe = probe.replace('%', &format!("{service}-{number}"));
            write!(text, "      probe-{number}:{probe}").unwrap();
        }
    }
    text.into_bytes()
}

fn keys() -> Vec<u8> {
    let mut text = Vec::new();
    let mut number = 0_u64;
    while number < 900_000 {
        text.extend(format!("k{number}: 1\n").bytes());
        number += 1;
    }
    text
}

fn case(name: &str, text: &[u8]) -> (Outcome, Duration) {
    let vars = BTreeMap::new();
    let inputs = Inputs { vars: &vars, env: &|name| (name == "TOKEN").then(|| "s3cret".into()) };
    let mut times = Vec::new();
    let mut last = None;
    let before = processor_millis();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let outcome = parse("bench.yaml", text, &inputs);
        let drawn = render("bench.yaml", text, &outcome.findings, false);
        times.push(start.elapsed());
        assert!(!drawn.contains("s3cret"));
        last = Some(outcome);
    }
    times.sort();
    let processor = (processor_millis() - before) / ROUNDS as f64;
    let outcome = last.unwrap();
    println!(
        "{name:26} {:5.1} MB  {:5.0} ms  ({processor:5.0} ms of processor)  {:5} findings  peak {:5.0} MB",
        text.len() as f64 / 1e6,
        times[0].as_secs_f64() * 1e3,
        outcome.findings.len(),
        memory::peak_megabytes(),
    );
    (outcome, times[0])
}

/// The processor time of this process so far, in steps of 10 ms (proc(5): `utime`, `stime`).
fn processor_millis() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10.0
}
