//! Every outage of `drills/incidents/`, again and again: does the verdict ever change, and does the lab's truth
//! always lie within the bounds?
//!
//! `cargo bench --bench incidents -- --runs 10 --jobs 2`; with `--quick` each runs once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

#[path = "../tests/incidents/outage.rs"]
#[allow(dead_code, reason = "a test shares it and uses another part")]
mod outage;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use firedrill::model::{Plan, RunRecord};
use outage::{ALL, held_to_the_truth, run, slowest};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let place = args.iter().position(|arg| arg == name);
        place.and_then(|place| args.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    let runs = if args.iter().any(|arg| arg == "--quick") { 1 } else { number("--runs", 10) };
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..number("--jobs", 2) {
            scope.spawn(|| {
                while let Some(place) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .filter(|place| *place < ALL.len() * runs)
                {
                    let name = ALL[place % ALL.len()].0;
                    let ended = run(name);
                    // Poisoned only by a run that panicked, which has failed the benchmark.
                    done.lock().expect("no run panicked").push((name, ended));
                }
            });
        }
    });
    // Poisoned only by a run that panicked, and the scope above has passed that on.
    let done = done.into_inner().expect("no run panicked");
    for (name, wanted) in ALL {
        let of: Vec<&(Plan, RunRecord)> =
            done.iter().filter(|(other, _)| *other == name).map(|(_, ended)| ended).collect();
        let as_wanted = of.iter().filter(|(_, record)| record.verdict == wanted).count();
        println!("{name}: {wanted} {as_wanted}/{}; {}", of.len(), summary(&of));
    }
}

fn summary(of: &[&(Plan, RunRecord)]) -> String {
    let (mut known, mut wrong) = (0, Vec::new());
    for (plan, record) in of {
        let (count, found) = held_to_the_truth(plan, record);
        known += count;
        wrong.extend(found);
    }
    let Some((_, first)) = of.first() else { return "no run".to_owned() };
    let slow = slowest(first).map(|(service, probe)| {
        let bounds = probe.recovery.map(|recovery| recovery.bounds.to_string());
        format!("{}/{} {}", service.name, probe.name, bounds.unwrap_or_default())
    });
    let lost = first.services.iter().filter_map(|service| {
        let minutes = service.impact.as_ref()?.user_minutes?;
        Some(format!("{} {:.0} to {:.0} user-minutes", service.name, minutes.low, minutes.high))
    });
    let lost = lost.collect::<Vec<_>>().join(", ");
    let took = of.iter().filter_map(|(_, record)| record.marks.ended);
    let longest = took.max().map(|at| Duration::from_nanos(at.as_nanos())).unwrap_or_default();
    format!(
        "truth in bounds {}/{known} {wrong:?}; slowest {}; {lost}; at most {:.1} s",
        known - wrong.len(),
        slow.unwrap_or_default(),
        longest.as_secs_f64()
    )
}
