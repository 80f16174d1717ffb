//! What looking back costs: `firedrill history`, `gate` and `compare` over 5,000 records (`--quick`: 500), with
//! and without the summaries beside them.
//!
//! Prints the size of a record and of its summary, then one line for each case: the best time of three calls of the command, from start to
//! end. It says with which profile the command was built: figures of an unoptimized one are no figures of the product.

// A measurement that cannot be made stops here: nothing is cut, and a wrong figure would be worse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use firedrill::drill::not_started;
use firedrill::model::{
    Bounds, ControlRecord, Course, Judgement, Name, Offset, ProbeRecord, Promise, PromiseResult,
    Provider, Recovery, Restored, RunRecord, ServiceRecord, Verdict, Why,
};
use firedrill::plan::{Inputs, parse};
use firedrill::report;

const PLAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/drills/quickstart.yaml");
const SERVICES: usize = 12;
const PROBES: usize = 4;
const CELLS: u64 = 240;
const ROUNDS: usize = 3;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let records = if quick { 500 } else { 5000 };
    let state = tempfile::tempdir().unwrap();
    let record = record();
    let text = String::from_utf8(report::json(&record).unwrap()).unwrap();
    (0..records).for_each(|number| keep(state.path(), &record, &text, number));
    let size = text.len();
    let built = if cfg!(debug_assertions) { "dev, unoptimized" } else { "release" };
    println!("{records} records of {size} bytes; profile {built}");

    let history = ["history"];
    let first = run(state.path(), &history);
    let of = |name: &str, number| state.path().join("runs").join(id(number)).join(name);
    println!("a summary has {} bytes", fs::metadata(of("summary.json", 0)).unwrap().len());
    println!("history, no summary yet: {first:.1?}");
    let json = ["history", "--format", "json"];
    let gate = ["gate", PLAN, "--within-p75", "--require-all"];
    let (before, after) = (id(0), id(1));
    let compare = ["compare", &before, &after];
    for args in [&history[..], &json, &gate, &compare] {
        let best = (0..ROUNDS).map(|_| run(state.path(), args)).min().unwrap();
        println!("{}: {best:.1?}", args[..args.len().min(3)].join(" "));
    }
}

/// The time that the command takes, its output read and thrown away.
fn run(state: &Path, args: &[&str]) -> Duration {
    let begun = Instant::now();
    let ended = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(args)
        .arg("--state-dir")
        .arg(state)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let took = begun.elapsed();
    assert!(ended.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ended.stdout));
    took
}

fn id(number: usize) -> String {
    format!("20200101T000000Z-{number:04}")
}

/// Keeps `record`, which is `text` in JSON, as the run `number`, an hour after the one before it.
fn keep(state: &Path, record: &RunRecord, text: &str, number: usize) {
    let hour = jiff::SignedDuration::from_hours(i64::try_from(number).unwrap());
    let (began, begins) = (record.started_at.to_string(), (record.started_at + hour).to_string());
    let text = text.replacen(&record.run, &id(number), 1).replacen(&began, &begins, 1);
    let directory = state.join("runs").join(id(number));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("record.json"), text).unwrap();
}

/// A drill that passed, of 48 probes that were looked at for long enough to fill their cells.
fn record() -> RunRecord {
    let text = fs::read(PLAN).unwrap();
    let vars = BTreeMap::new();
    let outcome = parse(PLAN, &text, &Inputs { vars: &vars, env: &|_| None });
    let plan = outcome.plan.unwrap();
    let why = Why::new("not-ready", "");
    let mut record = not_started(&plan, outcome.source, "RUN".to_owned(), why);
    // The least that a PASS stands on.
    record.verdict = Verdict::Pass;
    record.reasons.clear();
    let at = |seconds: u64| Some(Offset::from_millis(seconds * 1000));
    record.marks.cut_confirmed = at(10);
    record.marks.restore_confirmed = at(60);
    record.marks.ended = at(120);
    record.controls = record.plan.through.iter().cloned().map(restored).collect();
    record.started_at = "2020-01-01T00:00:00Z".parse().unwrap();
    let names = plan.services.iter().map(|service| service.name.clone());
    let more = (0..SERVICES).map(|number| Name::from(format!("service-{number}").as_str()));
    record.services = names.chain(more).take(SERVICES).map(service).collect();
    record
}

fn restored(name: Name) -> ControlRecord {
    ControlRecord {
        name,
        provider: Provider::Lab,
        before: None,
        cut: None,
        after: None,
        restored: Restored::Yes,
        by_hand: Vec::new(),
    }
}

fn service(name: Name) -> ServiceRecord {
    let ms = Duration::from_millis;
    let bounds = Bounds { low: ms(700), high: Some(ms(900)) };
    let recovery = Some(Recovery { bounds, seamless: false, relapses: 0, split: None });
    let counts = |from: u64| (0..CELLS).map(|cell| from + cell % 7).collect::<Vec<u64>>();
    let course = Course {
        cell: ms(500),
        good: counts(100),
        stalled: counts(0),
        bad: counts(0),
        unknown: counts(0),
        served: ["east", "west"].map(|at| (at.to_owned(), counts(50))).into(),
        p50_us: counts(4000).into_iter().map(Some).collect(),
        p99_us: counts(14_000).into_iter().map(Some).collect(),
    };
    let probe = |number: usize| ProbeRecord {
        name: format!("probe-{number}").as_str().into(),
        asks: "GET /".to_owned(),
        may_stay: false,
        required: true,
        every: ms(10),
        keep_alive: false,
        cohort: None,
        counts: Default::default(),
        latency: Default::default(),
        served: Default::default(),
        outages: Vec::new(),
        outage_count: 0,
        recovery,
        failback: None,
        ledger: None,
        course: course.clone(),
    };
    ServiceRecord {
        name,
        users: None,
        recovery,
        failback: None,
        promises: vec![PromiseResult {
            budget: Some(ms(1000)),
            measured: Some(bounds),
            ..PromiseResult::new(Promise::RecoverWithin, Judgement::Kept, String::new())
        }],
        impact: None,
        probes: (0..PROBES).map(probe).collect(),
    }
}
