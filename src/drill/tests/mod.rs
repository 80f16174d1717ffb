//! Whole drills in virtual time: the real conductor over a simulated control and service.

mod contract;
mod faults;
mod guards;
mod ledgers;
mod simulation;
mod stages;
mod steps;
mod web;
mod world;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as channel;

use super::{Drill, Guards};
use crate::clock::Clock;
use crate::model::{DrillEvent, Plan, RunRecord, Why};
use crate::traffic::TrafficControl;
use world::{Faults, World};

fn span(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// East is cut; the standby takes over 300 ms later, and gives back 100 ms after the restore.
fn plan(changes: &[(&str, &str)]) -> Plan {
    let mut text = r#"
version: 1
name: simulated
datacenters: [east, west]
traffic:
  wan:
    proxy: { routes: [{ datacenter: east, listen: "127.0.0.1:1", to: "127.0.0.1:2" }] }
services:
  talk:
    probes:
      get:
        http: http://127.0.0.1:3/
        every: 20ms
        timeout: 200ms
        served_by: { header: x-datacenter }
    promises: { recover_within: 1s, failback_within: 1s }
cut: { datacenter: east, mode: blackhole, through: [wan] }
timing: { baseline: 1s, stable_for: 500ms, hold: 2s, at_most: 20s }
"#
    .to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let nothing = std::collections::BTreeMap::new();
    let inputs = crate::plan::Inputs { vars: &nothing, env: &|_| None };
    let parsed = crate::plan::parse("test", text.as_bytes(), &inputs);
    parsed.plan.unwrap_or_else(|| panic!("{:?}", parsed.findings))
}

/// What came of a simulated drill.
struct Ended {
    record: RunRecord,
    world: Arc<World>,
    events: Vec<DrillEvent>,
    /// How long it took, in virtual time.
    took: Duration,
}

/// Runs a drill. `stop_at` stops it that long after its start.
async fn drill(plan: Plan, faults: Faults, stop_at: Option<Duration>) -> Ended {
    drill_beside(plan, faults, stop_at, web::Web::default()).await
}

/// As [`drill`], beside a web that its guardrails look at.
async fn drill_beside(
    plan: Plan,
    faults: Faults,
    stop_at: Option<Duration>,
    web: web::Web,
) -> Ended {
    drill_with(plan, faults, stop_at, web, one_control, simulated).await
}

fn simulated(world: &Arc<World>, plan: &Plan, _: Clock) -> Box<dyn super::Probing> {
    Box::new(world::Probing::new(world.clone(), plan))
}

fn one_control(plan: &Plan, world: &Arc<World>) -> Vec<Arc<dyn TrafficControl>> {
    vec![Arc::new(world::Control::new(plan.traffic[0].clone(), world.clone()))]
}

/// As [`drill_beside`], with its controls made by `controls` and what asks the service by `probing`.
async fn drill_with(
    plan: Plan,
    faults: Faults,
    stop_at: Option<Duration>,
    web: web::Web,
    controls: impl FnOnce(&Plan, &Arc<World>) -> Vec<Arc<dyn TrafficControl>>,
    probing: impl FnOnce(&Arc<World>, &Plan, Clock) -> Box<dyn super::Probing>,
) -> Ended {
    let clock = Clock::start();
    let guards = Guards::prepare(&plan, &|_| None, Arc::new(web.at(clock))).unwrap();
    let world = World::new(clock, faults);
    let plan = Arc::new(plan);
    let (stop, stopped) = channel::channel(None);
    if let Some(after) = stop_at {
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            stop.send_replace(Some(Why::new("signal", "SIGTERM was received")));
        });
    }
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let drill = Drill {
        plan: plan.clone(),
        file: "test".into(),
        run: "test".into(),
        host: "here".into(),
        located: Vec::new(),
        controls: controls(&plan, &world),
        probing: probing(&world, &plan, clock),
        guards,
        journal: Box::new(world::Paper(world.clone())),
        clock,
        stop: stopped,
        hurry: channel::channel(false).1,
        guardian: Box::new(()),
        listener: Box::new(move |event: &DrillEvent| {
            let _ = tell.send(event.clone());
        }),
        sampled: Box::new(|_| {}),
    };
    let record = drill.run().await;
    let took = Duration::from_nanos(clock.now().as_nanos());
    let mut events = Vec::new();
    while let Ok(event) = told.try_recv() {
        events.push(event);
    }
    Ended { record, world, events, took }
}
