//! The proxy beside HAProxy and nginx: throughput, connections, latency, memory, and how fast a cut is.
//!
//! `cargo bench --bench proxy`; with `-- --quick` about a minute, with `-- --only cut` one part.
//! Each proxy is a process of its own with two threads, all are measured in turn within each round,
//! and figures are medians over the rounds. Ends with 1 if we are below 0.8 of HAProxy anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod cut;
mod load;
mod process;
mod rivals;
mod role;

use std::net::SocketAddr;
use std::time::Duration;

use comfy_table::{Table, presets::ASCII_MARKDOWN};

use load::Sample;
use process::{Child, median};

/// Below this share of HAProxy's figure the run fails.
const FLOOR: f64 = 0.8;
/// Idle connections whose memory is measured.
const IDLE: usize = 4_000;

struct Options {
    quick: bool,
    only: Option<String>,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}

/// Something to send load through.
struct Target {
    name: &'static str,
    address: SocketAddr,
    /// None: the backend itself, without a proxy.
    child: Option<Child>,
    samples: Vec<Sample>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = arguments.first().and_then(|first| first.strip_prefix("--role=")) {
        return role::play(role, &arguments[1..]);
    }
    let only = arguments.iter().position(|a| a == "--only").and_then(|at| arguments.get(at + 1));
    let options = Options { quick: arguments.iter().any(|a| a == "--quick"), only: only.cloned() };
    let backend = role::start(&["--role=backend"]);
    let mut failed = false;
    if options.wants("load") {
        failed |= !compare_load(&options, backend.address);
    }
    if options.wants("memory") {
        compare_memory(backend.address);
    }
    if options.wants("cut") {
        cut::compare(if options.quick { 2_000 } else { 10_000 }, backend.address);
    }
    if options.wants("api") {
        api::measure(backend.address);
    }
    drop(backend);
    if failed {
        eprintln!("below {FLOOR} of HAProxy");
        std::process::exit(1);
    }
}

fn targets(backend: SocketAddr) -> Vec<Target> {
    let ours = role::start(&["--role=proxy", &backend.to_string()]);
    let target = |name, child: Child| Target {
        name,
        address: child.address,
        child: Some(child),
        samples: Vec::new(),
    };
    let daemon = rivals::daemon_proxy(backend);
    let mut all = vec![target("firedrill", ours), target("firedrill proxy, the daemon", daemon)];
    all.extend(rivals::haproxy(backend, false).map(|c| target("HAProxy", c)));
    all.extend(rivals::haproxy(backend, true).map(|c| target("HAProxy, splice forced", c)));
    all.extend(rivals::nginx(backend).map(|c| target("nginx stream", c)));
    all.push(Target { name: "direct", address: backend, child: None, samples: Vec::new() });
    all
}

fn compare_load(options: &Options, backend: SocketAddr) -> bool {
    let (rounds, time) = if options.quick { (3, 0.5) } else { (9, 1.5) };
    let time = Duration::from_secs_f64(time);
    let mut targets = targets(backend);
    for round in 0..rounds {
        let turns = targets.len();
        for turn in 0..turns {
            // Another one is first each round, so that nobody always follows the same.
            let target = &mut targets[(turn + round) % turns];
            let sample = load::measure(target.address, target.child.as_ref(), time);
            target.samples.push(sample);
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    print_load(&targets)
}

/// The median over the rounds of `figure` of `target`, relative to that of `base` in the same round.
fn ratio(target: &Target, base: &Target, figure: impl Fn(&Sample) -> f64) -> f64 {
    let ratios = target.samples.iter().zip(&base.samples).map(|(a, b)| figure(a) / figure(b));
    median(ratios.collect())
}

fn print_load(targets: &[Target]) -> bool {
    let Some(haproxy) = targets.iter().find(|target| target.name == "HAProxy") else {
        eprintln!("no haproxy here: nothing to compare with");
        return true;
    };
    let direct = &targets[targets.len() - 1];
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "",
        "Gbit/s, 1 stream",
        "64 streams",
        "CPU s/GB, 1",
        "64",
        "new conn/s",
        "CPU us/conn",
        "added p50 us",
        "p99 us",
        "CPU us/exchange",
    ]);
    for target in targets {
        let of = |figure: fn(&Sample) -> f64| median(target.samples.iter().map(figure).collect());
        let both = |figure: fn(&Sample) -> f64, digits: usize| {
            format!("{:.digits$} ({:.2} x)", of(figure), ratio(target, haproxy, figure))
        };
        let added = |figure: fn(&Sample) -> f64| {
            let pairs = target.samples.iter().zip(&direct.samples);
            format!("{:.0}", median(pairs.map(|(a, b)| figure(a) - figure(b)).collect()))
        };
        table.add_row([
            target.name.to_owned(),
            both(|s| s.one_stream, 2),
            both(|s| s.many_streams, 2),
            both(|s| s.one_stream_cpu, 3),
            both(|s| s.many_streams_cpu, 3),
            both(|s| s.connections, 0),
            both(|s| s.connection_cpu, 1),
            added(|s| s.p50),
            added(|s| s.p99),
            both(|s| s.exchange_cpu, 1),
        ]);
    }
    println!(
        "Load, medians of {} rounds; in brackets relative to HAProxy\n{table}\n",
        direct.samples.len()
    );
    let ours = &targets[0];
    [|s: &Sample| s.one_stream, |s: &Sample| s.many_streams, |s: &Sample| s.connections]
        .iter()
        .all(|figure| ratio(ours, haproxy, figure) >= FLOOR)
}

fn compare_memory(backend: SocketAddr) {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(["", "bytes per idle connection"]);
    for target in targets(backend) {
        if let Some(child) = &target.child {
            let bytes = load::memory_per_idle_connection(child, IDLE);
            table.add_row([target.name.to_owned(), format!("{bytes:.0}")]);
        }
    }
    println!("Memory, resident, {IDLE} connections\n{table}\n");
}
