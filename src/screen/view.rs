//! What there is to see of a drill: the last that was told of everything.

use std::collections::VecDeque;

use crate::model::{
    DrillEvent, GuardrailNow, LoadNow, Name, Offset, ServiceNow, Share, Stage, printable,
};

/// Looks at a service that are remembered for its spark line.
pub const LOOKS: usize = 30;

/// What was seen of a service stands for so many looks in which nothing was: probes may be seconds apart.
pub const HELD: u8 = 20;

/// The stages in order.
pub const STAGES: [Stage; 7] = [
    Stage::Preflight,
    Stage::Baseline,
    Stage::Cut,
    Stage::Observe,
    Stage::Hold,
    Stage::Restore,
    Stage::Failback,
];

/// What there is to see.
#[derive(Debug, Default)]
pub struct View {
    pub(super) datacenters: Vec<Name>,
    pub(super) plan: String,
    pub(super) stage: Option<(Stage, Option<Offset>)>,
    pub(super) passed: Vec<Stage>,
    pub(super) now: Offset,
    /// From when on traffic is cut, and when it is put back at the latest.
    pub(super) cut: Option<(Offset, Offset)>,
    pub(super) stopping: bool,
    /// The stage that was broken off to stop.
    pub(super) broken_off: Option<Stage>,
    pub(super) services: Vec<ServiceNow>,
    pub(super) guardrails: Vec<GuardrailNow>,
    pub(super) loads: Vec<LoadNow>,
    /// Of each service, the last shares of good samples; the newest last.
    pub(super) looks: Vec<VecDeque<Share>>,
    /// For how many looks what was seen of each service stands already.
    held: Vec<u8>,
    at_most: std::time::Duration,
}

impl View {
    /// Takes in what happened.
    pub fn take(&mut self, event: &DrillEvent) {
        self.now = self.now.max(event.at());
        match event {
            DrillEvent::Started { plan, datacenters, services, at_most, .. } => {
                self.datacenters.clone_from(datacenters);
                self.plan = printable(plan.as_str());
                self.looks = vec![VecDeque::with_capacity(LOOKS); services.len()];
                self.held = vec![0; services.len()];
                self.at_most = *at_most;
            }
            DrillEvent::Entered { stage, at, at_most } => {
                self.passed.extend(self.stage.map(|(stage, _)| stage));
                self.stage = Some((*stage, at_most.map(|time| at.plus(time))));
                match stage {
                    Stage::Cut => self.cut = Some((*at, at.plus(self.at_most))),
                    Stage::Failback => self.cut = None,
                    _ => {}
                }
            }
            DrillEvent::Watched { services, guardrails, loads, .. } => {
                self.look(services);
                self.guardrails.clone_from(guardrails);
                self.loads.clone_from(loads);
            }
            DrillEvent::Stopping { .. } => {
                self.stopping = true;
                // What puts traffic back goes on to its end.
                let ends = |stage: &Stage| !matches!(stage, Stage::Restore | Stage::Failback);
                let present = self.stage.map(|(stage, _)| stage).filter(ends);
                self.broken_off = self.broken_off.or(present);
            }
            _ => {}
        }
    }

    fn look(&mut self, services: &[ServiceNow]) {
        let before = std::mem::replace(&mut self.services, services.to_vec());
        for ((now, before), held) in self.services.iter_mut().zip(before).zip(&mut self.held) {
            let is_held = now.good.whole == 0 && before.good.whole > 0 && *held < HELD;
            *held = if is_held { *held + 1 } else { 0 };
            if is_held {
                (now.good, now.served) = (before.good, before.served);
            }
        }
        for (looks, now) in self.looks.iter_mut().zip(&self.services) {
            if looks.len() == LOOKS {
                looks.pop_front();
            }
            looks.push_back(now.good);
        }
    }

    /// The places of the services that are shown in `room` lines: all, those from `from` on, or the worst. In the
    /// plan's order, so that lines move as little as they can.
    pub fn shown(&self, room: usize, from: Option<usize>) -> Vec<usize> {
        let all = self.services.len();
        if all <= room {
            return (0..all).collect();
        }
        if let Some(from) = from {
            let from = from.min(all - room);
            return (from..from + room).collect();
        }
        let mut places: Vec<usize> = (0..all).collect();
        places.sort_by_key(|place| badness(&self.services[*place]));
        places.truncate(room);
        places.sort_unstable();
        places
    }
}

/// Smaller is worse: what is down first, then what fails, then what is not known. Of the same, what is down the
/// longest; a promise that was broken before one that was not.
fn badness(now: &ServiceNow) -> (bool, u64, bool, Offset) {
    let share = now.good.value().map_or(999_999, |value| (value * 1e6) as u64);
    let since = now.down_since.unwrap_or(Offset::from_nanos(u64::MAX));
    (now.down_since.is_none(), share, now.broken == 0, since)
}
