//! What it costs to draw each report of a large drill: its size, the best time of a few rounds, and the peak memory of the
//! process so far (VmHWM; Linux only).
//!
//! Three records: one hour at 1,000 samples a second on ten probes, 2,000 services with three probes each, and 5,000 services
//! with two, which is 15,000 lanes. All of them were summed up by the drill, so only the number of probes matters here.
//! With `--write DIR` the HTML goes to files, to be opened.

// A measurement that cannot be made stops here: nothing is cut, and a wrong figure would be worse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "shared/memory.rs"]
mod memory;

use std::time::{Duration, Instant};

use firedrill::model::RunRecord;
use firedrill::report::{TableStyle, html, json, junit, markdown, openmetrics, table};
use serde_json::{Value, json};

/// A report by its name.
type Format = (&'static str, fn(&RunRecord) -> Vec<u8>);

const FORMATS: [Format; 6] = [
    ("table", |record| table(record, TableStyle::FILE).into_bytes()),
    ("json", |record| json(record).unwrap()),
    ("html", |record| html(record).into_bytes()),
    ("junit", |record| junit(record).unwrap()),
    ("markdown", |record| markdown(record).into_bytes()),
    ("openmetrics", |record| openmetrics(record).into_bytes()),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = if arguments.iter().any(|it| it == "--quick") { 1 } else { 5 };
    let place = arguments.iter().position(|it| it == "--write");
    let directory = place.and_then(|place| arguments.get(place + 1));
    let drills =
        [("hour", 5, 2, 720_000), ("services", 2_000, 3, 1_000), ("lanes", 5_000, 2, 1_000)];
    for (name, services, probes, samples) in drills {
        let record = record(services, probes, samples);
        for (format, draw) in FORMATS {
            let (time, bytes) = best(rounds, || draw(&record));
            println!(
                "{name:<9} {services:>5} services x {probes} probes  {format:<11} {:>9.3} MB {:>8.1} ms, peak {:.0} MB",
                bytes.len() as f64 / 1e6,
                time.as_secs_f64() * 1e3,
                memory::peak_megabytes(),
            );
            if let (Some(directory), "html") = (directory, format) {
                std::fs::write(format!("{directory}/{name}.html"), bytes).unwrap();
            }
        }
    }
}

fn best<T>(rounds: usize, mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..rounds {
        let start = Instant::now();
        last = Some(work());
        times.push(start.elapsed());
    }
    // There is at least one round.
    (times.into_iter().min().unwrap(), last.unwrap())
}

/// A record as a drill would leave it: every seventh service broke its promise, every probe was bad for a while.
fn record(services: usize, probes: usize, samples: u64) -> RunRecord {
    let value = json!({
        "format": 1, "firedrill": "0.1.0", "run": "20260714T102203Z-0000", "started_at": "2026-07-14T10:22:03Z",
        "plan": {
            "name": "large", "about": "A large drill.", "file": "large.yaml",
            "datacenters": ["pangyo", "anyang", "gasan", "ansan"],
            "cut": { "datacenters": [0], "mode": "blackhole" }, "through": ["edge"],
            "stable_for_ms": 2000.0, "at_most_ms": 60000.0,
        },
        "verdict": "FAIL",
        "reasons": [{ "code": "promise-broken", "text": "service-0: recover_within: still failing 3 s after" }],
        "marks": {
            "started_ms": 0.0, "cut_issued_ms": 60000.0, "cut_confirmed_ms": 60002.0,
            "restore_issued_ms": 180000.0, "restore_confirmed_ms": 180003.0, "ended_ms": 240000.0,
        },
        "services": [],
        "proof": { "controls": [], "services": [], "missing": [] },
        "controls": [], "calls": [], "lab": null,
    });
    let mut record: RunRecord = serde_json::from_value(value).unwrap();
    let service = |number| serde_json::from_value(service(number, probes, samples)).unwrap();
    record.services = (0..services).map(service).collect();
    record
}

fn service(number: usize, probes: usize, samples: u64) -> Value {
    let judgement = if number.is_multiple_of(7) { "broken" } else { "kept" };
    let recovery = json!({ "low_ms": 9800.0, "high_ms": 10100.0, "seamless": false, "relapses": 0, "split": null });
    let probes: Vec<Value> = (0..probes).map(|probe| {
        json!({
            "name": format!("probe-{probe}"), "required": true, "every_ms": 240.0, "keep_alive": false,
            "counts": {
                "due": samples, "sent": samples, "good": samples * 23 / 24, "bad": samples / 24, "stalled": 0, "unknown": 0,
                "late": 0, "late_by_at_most_ms": 1.0, "reasons": { "time-out (answer)": samples / 24 }, "blindness": {},
            },
            "latency": {}, "served": {},
            "outages": [{
                "began_after_ms": 59900.0, "began_by_ms": 60100.0, "ended_after_ms": 69900.0, "ended_by_ms": 70100.0,
                "samples": samples / 24,
            }],
            "outage_count": 1, "recovery": recovery, "failback": null,
            "course": course(number + probe),
        })
    }).collect();
    json!({
        "name": format!("service-{number}"), "users": 1000, "recovery": recovery, "failback": null, "impact": null,
        "promises": [{
            "promise": "recover_within", "budget_ms": 9000.0, "bad": null, "probe": "probe-0",
            "measured": { "low_ms": 9800.0, "high_ms": 10100.0 },
            "judgement": judgement, "why": "back after at most 10.1 s",
        }],
        "probes": probes,
    })
}

/// 240 cells in which little repeats, so that drawings are as large as they get.
fn course(seed: usize) -> Value {
    let row = |of: &dyn Fn(usize) -> u64| (0..240).map(of).collect::<Vec<u64>>();
    let bad = |cell: usize| (60..70).contains(&cell);
    let varied = |cell: usize| ((cell * 31 + seed * 17) % 13) as u64;
    json!({
        "cell_ms": 1000.0,
        "good": row(&|cell| if bad(cell) { 0 } else { 40 }), "stalled": row(&|cell| varied(cell) / 12),
        "bad": row(&|cell| if bad(cell) { 40 } else { varied(cell) / 12 }), "unknown": row(&|_| 0),
        "served": {
            "pangyo": row(&|cell| if (60..180).contains(&cell) { 0 } else { 10 + varied(cell) }),
            "anyang": row(&|cell| 10 + varied(cell)), "gasan": row(&|cell| 10 + varied(cell + 3)),
            "ansan": row(&|cell| 10 + varied(cell + 5)),
        },
        "p50_us": row(&|cell| 900 + 70 * varied(cell)), "p99_us": row(&|cell| 2100 + 140 * varied(cell + 1)),
    })
}
