//! One simulated drill from its seed to its end, with everybody who puts traffic back after it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::oneshot::{self, Receiver};

use super::super::span;
use super::control::SimControl;
use super::faults::{Counts, Fault, Who};
use super::parts::Door;
use super::process::{Claim, Levers, controls, put_back, start_drill, start_watchdog};
use super::setting::Setting;
use super::world::World;
use super::{checks, truth};
use crate::clock::Clock;
use crate::journal::Run;
use crate::lease::{Holder, Lease, Leases, LockFiles};
use crate::model::{CutOrder, RunRecord, Verdict, Why};
use crate::restore::SETTLE;

/// What came of a simulated drill.
pub struct Story {
    pub seed: u64,
    /// `None`: it died.
    pub verdict: Option<Verdict>,
    pub broken: Vec<String>,
    pub counts: Counts,
    pub log: String,
}

/// Simulates the drill of `seed`. The log is written out if something broke, or `always`.
pub fn simulate(seed: u64, always: bool) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(story(seed, always))
}

async fn story(seed: u64, always: bool) -> Story {
    let mut rng = Rng::with_seed(seed);
    let setting = Arc::new(Setting::draw(&mut rng));
    let world = World::new(Clock::start(), &setting, rng);
    let levers = Levers::new();
    // Real lock files, where a second drill wants them too.
    let home = setting.second.map(|_| tempfile::tempdir().unwrap());
    let leases = home.as_ref().map(|home| Arc::new(LockFiles::new(home.path().to_owned())));
    let held = leases.as_ref().and_then(|leases| take(leases, &setting, Who::Drill));
    let (drill, beats) = start_drill(&world, &setting, Who::Drill, &levers, held.clone());
    let watchdog = start_watchdog(&world, &setting, beats, drill.abort_handle(), held);
    let (over, is_over) = oneshot::channel();
    let second =
        leases.map(|leases| tokio::spawn(second(world.clone(), setting.clone(), leases, is_over)));
    let watched = {
        let (world, levers) = (world.clone(), levers.clone());
        tokio::spawn(async move {
            let end = watchdog.await.unwrap();
            if end.is_none() {
                // Its end of the pipe is closed, which the drill sees at once.
                let text = "the watchdog died, so a crash could have left traffic cut";
                world.log(Who::Drill, "is told that its watchdog died", String::new());
                levers.stop.send_replace(Some(Why::new("watchdog", text)));
            }
            end.flatten()
        })
    };
    let levered = tokio::spawn(lever(world.clone(), setting.clone(), levers));
    let record = drill.await.ok().flatten();
    let mut claims: Vec<Claim> = Vec::new();
    if let Some(record) = &record {
        let good = record.verdict != Verdict::NotRestored;
        world.log(Who::Drill, "ends:", format!("{} {:?}", record.verdict, record.reasons));
        claims.push(Claim { who: Who::Drill, good });
    }
    claims.extend(watched.await.unwrap());
    levered.abort();
    after(&world, &setting, &mut claims, record.as_ref()).await;
    if let Some(record) = &record {
        checks::bounded(&world, &setting, record);
        truth::judged(&world, &setting, record);
    }
    let _ = over.send(());
    if let Some(second) = second {
        second.await.unwrap();
    }
    let mut inner = world.lock();
    let broken = std::mem::take(&mut inner.broken);
    let log = match always || !broken.is_empty() {
        true => format!("{setting:#?}\n{}", inner.log),
        false => String::new(),
    };
    let verdict = record.map(|record| record.verdict);
    Story { seed, verdict, broken, counts: std::mem::take(&mut inner.counts), log }
}

/// A world in which nothing goes wrong, its first control, and what to cut there.
pub fn quiet(seed: u64) -> (World, Arc<SimControl>, CutOrder) {
    let mut rng = Rng::with_seed(seed);
    let mut setting = Setting::draw(&mut rng);
    setting.hands.clear();
    let parts = setting.controls.iter_mut().flat_map(|control| &mut control.parts);
    parts.for_each(|part| part.history[0].1.door = Door::Ready);
    let world = World::new(Clock::start(), &setting, rng);
    world.lock().healed = true;
    let plan = setting.plan;
    let control = controls(&world, &plan, Who::Person).swap_remove(0);
    (world, control, plan.cut.clone())
}

/// Stops the drill, and hurries it, when that was drawn.
async fn lever(world: World, setting: Arc<Setting>, levers: Levers) {
    if let Some((at, code)) = setting.stop {
        world.clock.sleep_until(at).await;
        world.lock().counts.add(Fault::Stopped);
        world.log(Who::World, "stops the drill:", code.to_owned());
        levers.stop.send_replace(Some(Why::new(code, "it was told to stop")));
    }
    if let Some(at) = setting.hurry {
        world.clock.sleep_until(at).await;
        world.lock().counts.add(Fault::Hurry);
        world.log(Who::World, "is in a hurry", String::new());
        levers.hurry.send_replace(true);
    }
}

/// Everything that follows when drill and watchdog have ended: a person, as often as it takes.
async fn after(
    world: &World,
    setting: &Arc<Setting>,
    claims: &mut Vec<Claim>,
    record: Option<&RunRecord>,
) {
    // What is under way may still land; after this, nothing of ours does.
    tokio::time::sleep(SETTLE).await;
    let minute = Duration::from_secs(60);
    match claims.last() {
        Some(claim) => checks::claimed(world, setting, claim, record),
        None => {
            let wait = span(world.lock().rng.u64(0..5_000));
            tokio::time::sleep(wait).await;
            claims.push(put_back(world, &setting.plan, Who::Person, minute).await);
            tokio::time::sleep(SETTLE).await;
            checks::claimed(world, setting, &claims[claims.len() - 1], record);
        }
    }
    if !claims[claims.len() - 1].good {
        // Whatever kept it from being put back has passed.
        world.log(Who::World, "all is well again", String::new());
        {
            let mut inner = world.lock();
            inner.healed = true;
            inner.papers.iter_mut().for_each(super::disk::Paper::heal);
        }
        claims.push(put_back(world, &setting.plan, Who::Person, minute).await);
        tokio::time::sleep(SETTLE).await;
        checks::claimed(world, setting, &claims[claims.len() - 1], record);
    }
    // Once more: that changes nothing.
    let good = claims[claims.len() - 1].good;
    let before = checks::Before::now(world);
    world.lock().healed = true;
    let again = put_back(world, &setting.plan, Who::Person, minute).await;
    checks::idempotent(world, before, good, &again);
    if again.good {
        world.lock().controls.iter_mut().for_each(|control| control.cut_by = None);
    }
}

/// Another drill of the same plan, as `firedrill run` begins it: the leases must be had, and no run may have left
/// traffic cut. While the first is at work it is refused; else it begins when all of that is `over`.
async fn second(world: World, setting: Arc<Setting>, leases: Arc<LockFiles>, over: Receiver<()>) {
    let Some(at) = setting.second else { return };
    world.clock.sleep_until(at).await;
    world.lock().counts.add(Fault::SecondDrill);
    let Some(_held) = take(&leases, &setting, Who::Second) else {
        world.log(Who::Second, "is refused", String::new());
        return;
    };
    let _ = over.await;
    let left = Run::read(world.lock().papers[0].bytes())
        .is_ok_and(|run| run.open().next().is_some() || run.lost().next().is_some());
    if left {
        world.log(Who::Second, "is refused: an earlier run left traffic cut", String::new());
        return;
    }
    let before = checks::states(&world);
    let (drill, _beats) = start_drill(&world, &setting, Who::Second, &Levers::new(), None);
    let Some(record) = drill.await.ok().flatten() else { return };
    world.log(Who::Second, "ends:", format!("{} {:?}", record.verdict, record.reasons));
    if setting.hands.is_empty() && checks::states(&world) != before {
        let text = "the second drill did not leave the controls as it found them";
        world.lock().breaks(world.clock.now(), text.to_owned());
    }
}

/// What a process and those that it starts hold.
pub type Held = Arc<Mutex<Vec<Box<dyn Lease>>>>;

/// The leases of all controls of the plan, or none.
fn take(leases: &LockFiles, setting: &Setting, who: Who) -> Option<Held> {
    let (run, plan) = (format!("{who:?}"), setting.plan.name.to_string());
    let holder = Holder { run, plan, host: "here".to_owned(), pid: 1 };
    let places =
        setting.plan.traffic.iter().flat_map(|control| control.provider.settings().places());
    let taken: Result<Vec<_>, _> = places.map(|place| leases.take(&place, &holder)).collect();
    taken.ok().map(|taken| Arc::new(Mutex::new(taken)))
}
