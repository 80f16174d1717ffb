//! What the placement check costs on a topology of the size of Kakao's in 2022: 32,000 servers in 2,000 services,
//! in four datacenters, each service depending on up to five others, with a chain through all of them.
//!
//! Prints the size of the plan, the best time of five of reading it with all findings, of building the graph, of one loss
//! and of the losses of all datacenters, and the peak memory of the process so far (VmHWM; Linux only).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "shared/memory.rs"]
mod memory;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use firedrill::model::{DatacenterId, Outlook};
use firedrill::placement::Placement;
use firedrill::plan::{Inputs, parse};

const SERVICES: usize = 2_000;
const SERVERS: usize = 16;
const ROUNDS: usize = 5;
const DATACENTERS: [&str; 4] = ["pangyo", "anyang", "gasan", "ansan"];

fn main() {
    let text = plan();
    let before = memory::peak_megabytes();
    let vars = BTreeMap::new();
    let inputs = Inputs { vars: &vars, env: &|_| None };
    let (check, outcome) = best(|| parse("bench.yaml", text.as_bytes(), &inputs));
    // The plan is made above: a finding in it is this benchmark's own fault, and is shown.
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}", outcome.findings.first()));
    let (build, placement) = best(|| Placement::of(&plan, &[]));
    let (one, loss) = best(|| placement.loss(&[DatacenterId(0)]));
    let (all, _) = best(|| placement.losses());
    let down = loss.services.iter().filter(|it| it.predicted == Outlook::Down).count();
    assert!(down > SERVICES / 2, "the chain must carry the loss: {down}");
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{} services, {} servers, {:.2} MB of plan: check {:.1} ms, graph {:.2} ms, one loss {:.2} ms, all {} {:.2} ms; \
         {down} down; peak {:.0} MB (before: {before:.0} MB)",
        plan.services.len(),
        SERVICES * SERVERS,
        text.len() as f64 / 1e6,
        millis(check),
        millis(build),
        millis(one),
        DATACENTERS.len(),
        millis(all),
        memory::peak_megabytes(),
    );
}

/// The best time of a few rounds, and the last result.
fn best<T>(mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        last = Some(work());
        times.push(start.elapsed());
    }
    // There is at least one round.
    (times.into_iter().min().unwrap(), last.unwrap())
}

fn plan() -> String {
    let mut text = format!(
        "version: 1\nname: pangyo\ndatacenters: [{}]\ntraffic:\n  edge:\n    haproxy:\n      socket: /run/haproxy.sock\n      \
         servers: {{ pangyo: \"app/p-*\" }}\ncontrol_plane:\n  switch-over: {{ in: [pangyo] }}\n  observer: {{ in: [anyang, gasan] \
         }}\nservices:\n",
        DATACENTERS.join(", ")
    );
    for number in 0..SERVICES {
        let (here, there) = (DATACENTERS[number % 4], DATACENTERS[(number + 1) % 4]);
        let half = SERVERS / 2;
        let home = match number % 4 {
            0 => format!("{{ active: {{ {here}: {half} }}, standby: {{ {there}: {half} }} }}"),
            _ => {
                format!("{{ active: {{ {here}: {half}, {there}: {half} }}, needs: {} }}", half + 2)
            }
        };
        // Later services are needed by earlier ones: no cycles, and a chain through all.
        let needed: Vec<String> = [1, 2, 3, 50, 700]
            .iter()
            .map(|step| number + step)
            .filter(|other| *other < SERVICES)
            .map(|other| format!("s{other}"))
            .collect();
        // Writing to a string cannot fail.
        writeln!(text, "  s{number}:\n    in: {home}\n    depends_on: [{}]", needed.join(", "))
            .unwrap();
        if number == 0 {
            text.push_str(
                "    probes: { home: { http: \"https://s.example/\", every: 1s, served_by: { header: x-dc } } }\n    \
                 promises: { recover_within: 30s }\n",
            );
        }
    }
    text.push_str("cut: { datacenter: pangyo, mode: reset, through: edge }\n");
    text
}
