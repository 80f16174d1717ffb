//! Drills of a real HAProxy that are killed, or stand still, at random instants: is traffic back, and when?
//!
//! cargo bench --bench crash                      300 killed, 50 stopped
//! cargo bench --bench crash -- --kills 20 --stops 0 --jobs 2 --seed 7

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../tests/cli/home.rs"]
mod home;
#[path = "../tests/crash/plans.rs"]
mod plans;
#[path = "../tests/controls/ports.rs"]
mod ports;
#[path = "../tests/crash/site.rs"]
mod site;
#[path = "../tests/cli/plans.rs"]
mod texts;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use comfy_table::Table;
use home::{Home, Running};
use site::{Site, until};

/// From the start to behind the restore of such a drill; it is cut from some 0.4 s to 1.5 s.
const SPAN: Duration = Duration::from_millis(2200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Killed,
    Stopped,
}

/// What became of a drill.
struct Trial {
    fate: Fate,
    /// Whether traffic was cut when it happened.
    was_cut: bool,
    /// From then until traffic was back.
    took: Duration,
}

fn main() {
    let option = |name: &str, default: u64| {
        let args: Vec<String> = std::env::args().collect();
        let place = args.iter().position(|arg| arg == name);
        let value = |place: usize| args.get(place + 1).and_then(|value| value.parse().ok());
        place.map_or(default, |place| {
            // A wrong argument ends the benchmark before it begins.
            value(place).unwrap_or_else(|| panic!("{name} takes a number"))
        })
    };
    let (kills, stops) = (option("--kills", 300), option("--stops", 50));
    let seed = option("--seed", 42);
    let (next, trials) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..option("--jobs", 6) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= kills + stops {
                        return;
                    }
                    let fate = if number < kills { Fate::Killed } else { Fate::Stopped };
                    let trial = trial(fate, seed.wrapping_mul(1_000_003).wrapping_add(number));
                    // Poisoned only by a trial that panicked, which has failed the benchmark.
                    trials.lock().unwrap().push(trial);
                }
            });
        }
    });
    // Poisoned only by a trial that panicked, and the scope above has passed that on.
    report(&trials.into_inner().unwrap());
}

/// Runs a drill, lets its fate befall it, and waits until traffic is back; panics when that does not come.
fn trial(fate: Fate, seed: u64) -> Trial {
    let mut random = fastrand::Rng::with_seed(seed);
    let home = Home::new();
    let site = Site::start(&home.root());
    home.file("plan.yaml", plans::half(&site));
    let drill = Running::start(&home, &["run", "plan.yaml", "--yes", "--quiet"]);
    std::thread::sleep(SPAN.mul_f64(random.f64()));
    drill.signal(if fate == Fate::Killed { "KILL" } else { "STOP" });
    let began = Instant::now();
    let was_cut = !site.is_whole();
    site.becomes_whole();
    let took = began.elapsed();
    // One that stands still with nothing cut is left alone by its watchdog.
    drill.signal("KILL");
    until("the run is closed", Duration::from_secs(60), || {
        home.run(&["status"]).stdout.starts_with("nothing is cut by the ")
    });
    assert!(site.is_whole(), "seed {seed}");
    Trial { fate, was_cut, took }
}

fn report(trials: &[Trial]) {
    let mut table = Table::new();
    table.set_header(["drill was", "drills", "cut then", "traffic back", "p50 ms", "max ms"]);
    for fate in [Fate::Killed, Fate::Stopped] {
        let all: Vec<&Trial> = trials.iter().filter(|trial| trial.fate == fate).collect();
        let mut cut: Vec<f64> = all
            .iter()
            .filter(|trial| trial.was_cut)
            .map(|trial| trial.took.as_secs_f64() * 1e3)
            .collect();
        cut.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = ((cut.len().max(1) - 1) as f64 * share).round() as usize;
            cut.get(place).map_or("-".to_owned(), |ms| format!("{ms:.1}"))
        };
        table.add_row([
            format!("{fate:?}").to_lowercase(),
            all.len().to_string(),
            cut.len().to_string(),
            all.len().to_string(),
            at(0.5),
            at(1.0),
        ]);
    }
    println!("{table}");
    println!("PASS: traffic came back after every one of {} drills", trials.len());
}
