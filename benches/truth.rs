//! Truth: does what firedrill measures hold what was true?
//!
//! Real-socket drills on the built-in lab, every setting drawn from a seed. The lab's balancer writes
//! down when it took replicas out and put them back; that instant has to lie within the measured
//! bounds, wherever between its issue and its confirmation the cut came into force.
//!
//! ```text
//! cargo bench --bench truth                   200 drills, about 8 minutes
//! cargo bench --bench truth -- --quick        20 drills
//! cargo bench --bench truth -- --seed 7 --only 31
//! ```
//!
//! Exit code 1: a truth lay outside, a drill measured nothing, or active/standby bounds are wider
//! in the median than a probe period and 20 ms.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use firedrill::drill::{Charge, conduct};
use firedrill::journal::{Append, Record};
use firedrill::model::{
    Act, LabServiceTruth, Offset, Plan, ProbeRecord, Recovery, RunRecord, ServiceRecord,
};
use firedrill::plan::{self, Inputs};
use tokio::sync::Semaphore;

#[path = "truth/summary.rs"]
mod summary;

use summary::Summary;

/// Wider than a period by more than this in the median is a failure.
const SLACK: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let options = Options::from_args();
    raise_file_limit();
    println!(
        "{} drills, {} at a time; --seed {}",
        options.numbers().count(),
        options.jobs,
        options.seed
    );
    let began = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let drills = runtime.block_on(run_all(&options));
    println!("took {:.0} s\n", began.elapsed().as_secs_f64());
    let good = Summary { drills: &drills }.print(options.verbose);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the command line asks for.
struct Options {
    seed: u64,
    drills: u64,
    jobs: usize,
    only: Option<u64>,
    verbose: bool,
}

impl Options {
    fn from_args() -> Options {
        let mut options = Options {
            seed: fastrand::u64(..1 << 32),
            drills: 200,
            jobs: 2,
            only: None,
            verbose: false,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut number = || args.next().and_then(|text| text.parse().ok()).expect("a number");
            match arg.as_str() {
                "--quick" => options.drills = 20,
                "--seed" => options.seed = number(),
                "--drills" => options.drills = number(),
                "--jobs" => options.jobs = number() as usize,
                "--only" => options.only = Some(number()),
                "--verbose" => options.verbose = true,
                "--bench" => {} // cargo's own
                other => panic!("{other}? See the head of benches/truth.rs"),
            }
        }
        options
    }

    fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        let only = self.only;
        (0..self.drills).filter(move |number| only.is_none_or(|only| only == *number))
    }
}

/// The samples in flight of several drills, on both ends of each connection.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

async fn run_all(options: &Options) -> Vec<Drill> {
    let turns = Arc::new(Semaphore::new(options.jobs));
    let running: Vec<_> = options
        .numbers()
        .map(|number| {
            let (turns, setting) = (turns.clone(), Setting::draw(options.seed, number));
            tokio::spawn(async move {
                let _turn = turns.acquire_owned().await;
                Drill::run(number, setting).await
            })
        })
        .collect();
    let mut drills = Vec::new();
    for drill in running {
        drills.push(drill.await.unwrap());
    }
    drills
}

/// Everything that varies.
#[derive(Debug, Clone)]
struct Setting {
    check_every: u64,
    check_timeout: u64,
    fall: u64,
    rise: u64,
    standby: bool,
    /// Per datacenter.
    replicas: Vec<u64>,
    cut: usize,
    mode: &'static str,
    every: u64,
    timeout: u64,
    keep_alive: bool,
    baseline: u64,
    stable_for: u64,
}

const DATACENTERS: [&str; 3] = ["east", "west", "north"];

impl Setting {
    fn draw(seed: u64, number: u64) -> Setting {
        let mut rng = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let check_every = rng.u64(50..=400);
        let check_timeout = match rng.u8(0..3) {
            0 => check_every,
            1 => (check_every / 2).max(50),
            _ => check_every * 3 / 2,
        };
        let (fall, rise) = (rng.u64(2..=4), rng.u64(1..=3));
        let standby = rng.bool();
        let replicas: Vec<u64> = (0..rng.usize(2..=3)).map(|_| rng.u64(1..=3)).collect();
        // In standby, only losing the first datacenter is a loss.
        let cut = if standby { 0 } else { rng.usize(0..replicas.len()) };
        let mode = ["blackhole", "blackhole", "reset", "reset", "drain"][rng.usize(0..5)];
        // As many short periods as long ones.
        let every = (5.0 * 20_f64.powf(rng.f64())).round() as u64;
        let outage = check_every * fall;
        // Shorter than the outage, or so long that what hangs is answered late: stalled.
        let timeout = match rng.bool() {
            true => outage * rng.u64(20..80) / 100,
            false => outage * rng.u64(120..300) / 100,
        };
        let cycle: u64 = replicas.iter().sum();
        Setting {
            check_every,
            check_timeout,
            fall,
            rise,
            standby,
            cut,
            mode,
            every,
            timeout: timeout.max(50),
            keep_alive: rng.bool(),
            // Two rounds of the balancer, so that the spread of traffic is known.
            baseline: rng.u64(600..=1_000).max(12 * every).max((2 * cycle + 2) * every),
            stable_for: rng.u64(600..=1_000),
            replicas,
        }
    }

    fn class(&self) -> String {
        match self.k() {
            1 => "active/standby".to_owned(),
            k => format!("active/active k={k}"),
        }
    }

    /// How many good answers in a row prove a recovery: one more than replicas elsewhere.
    fn k(&self) -> u64 {
        let elsewhere: u64 = self.replicas.iter().sum::<u64>() - self.replicas[self.cut];
        if self.standby { 1 } else { 1 + elsewhere }
    }

    fn plan(&self) -> String {
        let names = &DATACENTERS[..self.replicas.len()];
        let replicas: Vec<String> = names
            .iter()
            .zip(&self.replicas)
            .map(|(name, count)| format!("{name}: {count}"))
            .collect();
        let spread = if self.standby { "first" } else { "round-robin" };
        let connection = if self.keep_alive { "keep-alive" } else { "new" };
        format!(
            "version: 1
name: truth
datacenters: [{datacenters}]
lab:
  balancer: {{ check_every: {check_every}ms, check_timeout: {check_timeout}ms, fall: {fall}, rise: {rise}, spread: {spread} }}
  services:
    talk: {{ {replicas} }}
traffic:
  wan: {{ lab: {{}} }}
services:
  talk:
    probes:
      send:
        http: {{ url: \"${{lab:talk}}/send\", method: POST }}
        every: {every}ms
        timeout: {timeout}ms
        connection: {connection}
        served_by: {{ header: x-datacenter }}
    promises: {{ recover_within: 20s, failback_within: 20s }}
cut: {{ datacenter: {cut}, mode: {mode}, through: [wan] }}
timing: {{ baseline: {baseline}ms, stable_for: {stable_for}ms, hold: 0s, at_most: 40s }}
",
            datacenters = names.join(", "),
            check_every = self.check_every,
            check_timeout = self.check_timeout,
            fall = self.fall,
            rise = self.rise,
            replicas = replicas.join(", "),
            every = self.every,
            timeout = self.timeout,
            cut = names[self.cut],
            mode = self.mode,
            baseline = self.baseline,
            stable_for = self.stable_for,
        )
    }
}

fn parsed(text: &str) -> Plan {
    let inputs = Inputs { vars: &BTreeMap::new(), env: &|_| None };
    let outcome = plan::parse("truth.yaml", text.as_bytes(), &inputs);
    outcome.plan.unwrap_or_else(|| {
        panic!("{}", plan::render("truth.yaml", text.as_bytes(), &outcome.findings, false))
    })
}

/// A journal that nobody reads.
struct Nowhere;

impl Append for Nowhere {
    fn append(&mut self, _: &Record) -> io::Result<()> {
        Ok(())
    }
}

/// A drill that was run.
struct Drill {
    number: u64,
    setting: Setting,
    record: RunRecord,
}

/// What was measured beside what was true.
#[derive(Debug, Clone, Copy)]
struct Compared {
    found: Option<Recovery>,
    /// Counted from the confirmation, and from the issue, of the cut or of the restore: it came into
    /// force in between.
    truth: (Duration, Duration),
}

impl Compared {
    fn is_within(&self) -> bool {
        let Some(Recovery { bounds, .. }) = self.found else { return false };
        bounds.high.is_some() && bounds.low <= self.truth.0 && bounds.contains(self.truth.1)
    }

    fn width(&self) -> Option<Duration> {
        self.found?.bounds.width()
    }
}

impl Drill {
    async fn run(number: u64, setting: Setting) -> Drill {
        let plan = Arc::new(parsed(&setting.plan()));
        let (_never, stop) = tokio::sync::watch::channel(None);
        let record = conduct(Charge {
            plan,
            file: "truth.yaml".to_owned(),
            run: format!("truth-{number}"),
            journal: Box::new(Nowhere),
            stop,
            listener: Box::new(|_| {}),
        })
        .await;
        Drill { number, setting, record }
    }

    fn truth(&self) -> Option<&LabServiceTruth> {
        self.record.lab.as_ref()?.services.values().next()
    }

    fn service(&self) -> Option<&ServiceRecord> {
        self.record.services.first()
    }

    fn probe(&self) -> Option<&ProbeRecord> {
        self.service()?.probes.first()
    }

    /// `None` where the lab knows of no recovery.
    fn recovery(&self) -> Option<Compared> {
        let marks = &self.record.marks;
        let by_issue = self.truth()?.recovery?;
        let at = marks.cut_issued?.plus(by_issue);
        Some(Compared {
            found: self.service()?.recovery,
            truth: (at.since(marks.cut_confirmed?), by_issue),
        })
    }

    fn failback(&self) -> Option<Compared> {
        let marks = &self.record.marks;
        let by_issue = self.truth()?.failback?;
        let at = marks.restore_issued?.plus(by_issue);
        Some(Compared {
            found: self.service()?.failback,
            truth: (at.since(marks.restore_confirmed?), by_issue),
        })
    }

    /// What is wrong with it.
    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        match self.recovery() {
            None => complaints.push("no recovery to compare".to_owned()),
            Some(compared) if !compared.is_within() => {
                complaints.push("the true recovery is not within the bounds".to_owned());
            }
            Some(_) => {}
        }
        if self.failback().is_some_and(|compared| !compared.is_within()) {
            complaints.push("the true failback is not within the bounds".to_owned());
        }
        let marks = &self.record.marks;
        let cuts = self.record.calls.iter().filter(|call| call.act == Act::Cut);
        let (issued, confirmed) = (marks.cut_issued, marks.cut_confirmed);
        if cuts.clone().count() != 1
            || !cuts.clone().all(|cut| issued <= Some(cut.issued) && Some(cut.done) <= confirmed)
        {
            complaints.push("the cut was not within its marks".to_owned());
        }
        complaints
    }

    /// Checks failed that the cut had no part in: the machine was too busy for them.
    fn is_disturbed(&self) -> bool {
        let cut = DATACENTERS[self.setting.cut];
        let issued = self.record.marks.cut_issued.unwrap_or(Offset::from_nanos(u64::MAX));
        self.truth().is_some_and(|truth| {
            truth
                .changes
                .iter()
                .any(|change| change.datacenter.as_str() != cut || change.at < issued)
        })
    }

    fn details(&self) -> String {
        let mut text = String::new();
        let record = &self.record;
        let _ = writeln!(text, "drill {}: {}", self.number, record.verdict);
        for complaint in self.complaints() {
            let _ = writeln!(text, "  {complaint}");
        }
        for why in &record.reasons {
            let _ = writeln!(text, "  {}", why.text);
        }
        let _ = writeln!(text, "  disturbed: {}", self.is_disturbed());
        let _ = writeln!(text, "  recovery {:?}", self.recovery());
        let _ = writeln!(text, "  failback {:?}", self.failback());
        let _ = writeln!(text, "  {:?}", record.marks);
        for change in self.truth().into_iter().flat_map(|truth| &truth.changes) {
            let way = if change.is_in { "in" } else { "out" };
            let _ =
                writeln!(text, "  {} {}/{} {way}", change.at, change.datacenter, change.replica);
        }
        if let Some(probe) = self.probe() {
            let _ = writeln!(text, "  {:?}", probe.counts);
            let _ = writeln!(text, "  {:?}", probe.latency);
            for outage in &probe.outages {
                let _ = writeln!(text, "  {outage:?}");
            }
        }
        let _ = writeln!(text, "{}", self.setting.plan());
        text
    }
}
