//! Before anything is touched: can it be cut, can it be put back, and who serves on?

use std::time::Duration;

use futures_util::future::join_all;

use super::super::CALL_LIMIT;
use super::Conductor;
use crate::clock::Clock;
use crate::journal::{self, Opened, Record};
use crate::model::{Act, ControlCall, ControlState, CutOrder, Name, Offset, Stage, Why};
use crate::restore::call_within;
use crate::traffic::{ControlError, Survivors, TrafficControl};

impl Conductor {
    /// Reads every control and writes its state down. False: the drill does not start.
    pub(super) async fn preflight(&mut self) -> bool {
        self.enter(Stage::Preflight, Some(CALL_LIMIT));
        let Some(reads) = self.read_all().await else { return false };
        for (place, (calls, read)) in reads.into_iter().enumerate() {
            calls.into_iter().for_each(|call| self.note(call));
            match read {
                Ok((survivors, state)) => self.take(place, &survivors, state),
                Err(error) => self.refuse(Why::new("control-unreadable", error.to_string())),
            }
        }
        if let Some(why) = self.watch.stopped() {
            self.stopping(why);
            return false;
        }
        if self.ending.not_started.is_empty()
            && let Err(why) = self.write_snapshot()
        {
            self.refuse(why);
        }
        self.ending.not_started.is_empty()
    }

    /// Everything that preflight asks of every control, side by side. `None`: the drill is to stop.
    pub(super) async fn read_all(&mut self) -> Option<Vec<Reads>> {
        let (clock, order) = (self.clock, self.plan.cut.clone());
        let reads = self.held.iter().map(|held| {
            let (control, order) = (held.control.clone(), order.clone());
            async move {
                let mut calls = Vec::new();
                let limit = |_| CALL_LIMIT;
                let read = read(&*control, &order, (clock, &limit), &mut calls).await;
                (calls, read)
            }
        });
        let reads = join_all(reads);
        let reads = self.watch.unless_stopped(reads).await;
        if let (None, Some(why)) = (&reads, self.watch.stopped()) {
            self.stopping(why);
        }
        reads
    }

    /// Takes what a control said, or says why its cut must not follow.
    pub(super) fn take(&mut self, place: usize, survivors: &[Survivors], state: ControlState) {
        let order = self.plan.cut.clone();
        let datacenter = self.plan.lost();
        let Some(held) = self.held.get_mut(place) else { return };
        let name = held.name();
        if !state.has_open(&order) {
            let text = format!(
                "nothing leads to {datacenter} through {name} that is not closed already, so there is \
                 nothing to cut; put it back to service first"
            );
            self.refuse(Why::new("nothing-to-cut", text));
            return;
        }
        held.expected = held.control.cut_state(&order, &state);
        held.before = Some(state);
        self.last_datacenter(&name, survivors).into_iter().for_each(|why| self.refuse(why));
    }

    /// Why cutting would leave somebody without service.
    fn last_datacenter(&self, name: &Name, survivors: &[Survivors]) -> Option<Why> {
        let last: Vec<&str> =
            survivors.iter().filter(|s| s.left == 0).map(|s| s.group.as_str()).collect();
        let datacenter = self.plan.lost();
        let text = format!(
            "nothing but {datacenter} serves {} now, as {name} says, so cutting it would leave nobody to \
             serve; bring the others up first",
            last.join(", ")
        );
        (!last.is_empty()).then(|| Why::new("last-datacenter", text))
    }

    /// Reads a control once more, right before its cut: between the snapshot and here lies the whole baseline. What
    /// another hand did meanwhile would be undone by the restore, or the last one who serves would be cut.
    ///
    /// # Errors
    /// Why its cut must not follow.
    pub(super) async fn look_before_the_cut(&mut self, place: usize) -> Result<(), Why> {
        let (clock, order) = (self.clock, self.plan.cut.clone());
        let control = self.held[place].control.clone();
        let name = self.held[place].name();
        let mut calls = Vec::new();
        // Where another control is cut already, looking must not keep it cut beyond the deadline.
        let cut = self.watch.observation.marks.cut_issued;
        let until = cut.map_or(clock.now().plus(CALL_LIMIT * 3), |_| self.deadline());
        let limit = |now| CALL_LIMIT.min(until.since(now));
        let read = read(&*control, &order, (clock, &limit), &mut calls);
        let read = self.watch.unless_stopped(read).await;
        calls.into_iter().for_each(|call| self.note(call));
        let Some(read) = read else {
            let text = format!("the drill was stopped before {name} was cut");
            return Err(Why::new("cut-not-confirmed", text));
        };
        let (survivors, state) =
            read.map_err(|error| Why::new("control-unreadable", error.to_string()))?;
        if let Some(why) = self.last_datacenter(&name, &survivors) {
            return Err(why);
        }
        let before = self.held[place].before.as_ref();
        let changed = before.map(|before| before.differences(&state)).unwrap_or_default();
        if changed.is_empty() {
            return Ok(());
        }
        let text = format!(
            "another hand changed {} of {name} after the drill began, so what the drill would put back is \
             not what is there; see who else steers it, and begin anew",
            changed.join(", ")
        );
        Err(Why::new("changed-before-the-cut", text))
    }

    pub(super) fn write_snapshot(&mut self) -> Result<(), Why> {
        self.write(&Record::Opened(Opened {
            format: journal::FORMAT,
            firedrill: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.run.clone(),
            host: self.host.clone(),
            pid: std::process::id(),
            at: self.started_at,
            plan: self.plan.name.clone(),
            datacenters: self.plan.datacenters.clone(),
            order: self.plan.cut.clone(),
            through: self.held.iter().map(super::super::controls::Held::name).collect(),
            at_most: self.plan.timing.at_most,
        }))?;
        self.opened = true;
        for place in 0..self.held.len() {
            let held = &self.held[place];
            let record = Record::Snapshot {
                control: held.control.spec().clone(),
                before: held.ours(&self.plan.cut),
                cut: held.expected.clone(),
            };
            self.write(&record)?;
        }
        Ok(())
    }
}

/// The calls that were made at a control, and who serves on and how it is.
pub(super) type Reads = (Vec<ControlCall>, Result<(Vec<Survivors>, ControlState), ControlError>);

/// Asks one control, up to the first thing that fails. Each call may take as long as is said at its beginning.
async fn read(
    control: &dyn TrafficControl,
    order: &CutOrder,
    (clock, limit): (Clock, &(dyn Fn(Offset) -> Duration + Sync)),
    calls: &mut Vec<ControlCall>,
) -> Result<(Vec<Survivors>, ControlState), ControlError> {
    let act = Act::Preflight;
    let now = || limit(clock.now());
    let proven = call_within(now(), clock, control, act, control.preflight()).await;
    calls.push(proven.call);
    proven.result?;
    let survivors = call_within(now(), clock, control, act, control.survivors(order)).await;
    calls.push(survivors.call);
    let survivors = survivors.result?;
    let state = call_within(now(), clock, control, Act::Inspect, control.inspect()).await;
    calls.push(state.call);
    Ok((survivors, state.result?))
}
