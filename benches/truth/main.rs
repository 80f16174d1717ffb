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
//! The lab and the probes share the machine with everything else that runs on it. Where that is much,
//! checks and samples fail for want of CPU, which the lab's truth knows nothing of: give the bench
//! its turn with `chrt -r 5 cargo bench --bench truth`.
//!
//! Exit code 1: a truth lay outside, a drill measured nothing, or active/standby bounds are wider
//! in the median than a probe period and 20 ms.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod setting;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use firedrill::drill::{Charge, conduct};
use firedrill::journal::{Append, Record};
use firedrill::model::{
    Act, LabServiceTruth, Offset, Plan, ProbeRecord, Recovery, RunRecord, ServiceRecord,
};
use firedrill::plan::{self, Inputs};
use tokio::sync::Semaphore;

use setting::{DATACENTERS, Setting};

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
                other => panic!("{other}? See the head of benches/truth/main.rs"),
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
            file: "truth.yaml".into(),
            run: format!("truth-{number}"),
            host: "here".to_owned(),
            journal: Box::new(Nowhere),
            stop,
            hurry: tokio::sync::watch::Sender::new(false).subscribe(),
            unsure: None,
            guardian: Box::new(()),
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

/// All drills together.
struct Summary<'a> {
    drills: &'a [Drill],
}

/// A row of the table: a name, and which drills belong to it.
type Group = (String, Box<dyn Fn(&Drill) -> bool>);

impl Summary<'_> {
    /// Prints everything; false when something is not as it must be.
    fn print(&self, verbose: bool) -> bool {
        let mut wrong = 0;
        for drill in self.drills {
            let is_wrong = !drill.complaints().is_empty();
            wrong += usize::from(is_wrong);
            if is_wrong || verbose {
                println!("{}", drill.details());
            }
        }
        println!("Recovery\n{}\n", self.table(&Drill::recovery));
        println!("Failback\n{}\n", self.table(&Drill::failback));
        let mut verdicts = BTreeMap::<String, u64>::new();
        for drill in self.drills {
            *verdicts.entry(drill.record.verdict.to_string()).or_default() += 1;
        }
        println!("verdicts: {verdicts:?}");
        let count = |is: &dyn Fn(&Drill) -> bool| self.drills.iter().filter(|d| is(d)).count();
        let stalled = |drill: &Drill| drill.probe().is_some_and(|probe| probe.counts.stalled > 0);
        let seamless = |drill: &Drill| {
            drill.recovery().is_some_and(|c| c.found.is_some_and(|found| found.seamless))
        };
        println!("with stalled samples: {}", count(&stalled));
        println!("seamless: {}", count(&seamless));
        println!("checks failed without a cause: {}", count(&Drill::is_disturbed));
        let late = self.drills.iter().filter_map(Drill::probe);
        let late = late.map(|probe| probe.counts.late_by_at_most).max().unwrap_or_default();
        println!("latest sample: {:.1} ms after it was due", millis(late));
        let excess = self.excess();
        println!("drills with something wrong: {wrong} of {}", self.drills.len());
        println!("active/standby, median width beyond one period: {excess:.1} ms (at most 20)");
        wrong == 0 && excess <= millis(SLACK)
    }

    /// By how many milliseconds the bounds of active/standby are wider than a period, in the median.
    fn excess(&self) -> f64 {
        let standby = self.drills.iter().filter(|drill| drill.setting.standby);
        let beyond = standby.filter_map(|drill| {
            let width = drill.recovery()?.width()?;
            Some(millis(width) - drill.setting.every as f64)
        });
        median(beyond.collect())
    }

    fn table(&self, pick: &dyn Fn(&Drill) -> Option<Compared>) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header([
            "",
            "drills",
            "truth known",
            "within",
            "width p50",
            "max",
            "in periods p50",
            "max",
            "beyond k periods p50",
            "max",
        ]);
        for (name, belongs) in self.groups() {
            let members: Vec<&Drill> = self.drills.iter().filter(|drill| belongs(drill)).collect();
            let known: Vec<_> = members.iter().filter_map(|d| Some((*d, pick(d)?))).collect();
            let within = known.iter().filter(|(_, compared)| compared.is_within()).count();
            let by = |value: &dyn Fn(&Setting, f64) -> f64| -> Vec<f64> {
                let widths = known.iter().filter_map(|(drill, compared)| {
                    Some(value(&drill.setting, millis(compared.width()?)))
                });
                widths.collect()
            };
            let width = by(&|_, width| width);
            let periods = by(&|setting, width| width / setting.every as f64);
            let beyond = by(&|setting, width| width - (setting.k() * setting.every) as f64);
            table.add_row([
                name,
                members.len().to_string(),
                known.len().to_string(),
                within.to_string(),
                format!("{:.1} ms", median(width.clone())),
                format!("{:.1} ms", largest(&width)),
                format!("{:.2}", median(periods.clone())),
                format!("{:.2}", largest(&periods)),
                format!("{:.1} ms", median(beyond.clone())),
                format!("{:.1} ms", largest(&beyond)),
            ]);
        }
        table
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = vec![("all".to_owned(), Box::new(|_| true))];
        let mut ks: Vec<u64> = self.drills.iter().map(|drill| drill.setting.k()).collect();
        ks.sort_unstable();
        ks.dedup();
        for k in ks {
            let name = self.drills.iter().find(|d| d.setting.k() == k).map(|d| d.setting.class());
            groups.push((name.unwrap_or_default(), Box::new(move |d| d.setting.k() == k)));
        }
        for mode in ["blackhole", "reset", "drain"] {
            groups.push((mode.to_owned(), Box::new(move |d| d.setting.mode == mode)));
        }
        for keep in [false, true] {
            let name = if keep { "keep-alive" } else { "new connections" };
            groups.push((name.to_owned(), Box::new(move |d| d.setting.keep_alive == keep)));
        }
        groups
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}
