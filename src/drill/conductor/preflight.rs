//! Before anything is touched: can it be cut, can it be put back, and who serves on?

use futures_util::future::join_all;

use super::super::CALL_LIMIT;
use super::Conductor;
use crate::clock::Clock;
use crate::journal::{self, Opened, Record};
use crate::model::{Act, ControlCall, ControlState, CutOrder, Stage, Why};
use crate::restore::call_within;
use crate::traffic::{ControlError, Survivors, TrafficControl};

impl Conductor {
    /// Reads every control and writes its state down. False: the drill does not start.
    pub(super) async fn preflight(&mut self) -> bool {
        self.enter(Stage::Preflight, Some(CALL_LIMIT));
        for (place, (calls, read)) in self.read_all().await.into_iter().enumerate() {
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

    /// Everything that preflight asks of every control, side by side.
    async fn read_all(&mut self) -> Vec<Reads> {
        let (clock, order) = (self.clock, self.plan.cut.clone());
        let reads = self.held.iter().map(|held| {
            let (control, order) = (held.control.clone(), order.clone());
            async move {
                let mut calls = Vec::new();
                let read = read(&*control, &order, clock, &mut calls).await;
                (calls, read)
            }
        });
        let reads = join_all(reads);
        self.watch.during(reads).await
    }

    /// Takes what a control said, or says why its cut must not follow.
    fn take(&mut self, place: usize, survivors: &[Survivors], state: ControlState) {
        let order = self.plan.cut.clone();
        let datacenter = self.plan.datacenter(order.datacenter).to_owned();
        let Some(held) = self.held.get_mut(place) else { return };
        let name = held.name();
        if !state.has_open(order.datacenter) {
            let text = format!(
                "nothing leads to {datacenter} through {name} that is not closed already, so there is \
                 nothing to cut; put it back to service first"
            );
            self.refuse(Why::new("nothing-to-cut", text));
            return;
        }
        held.expected = held.control.cut_state(&order, &state);
        held.before = Some(state);
        let last: Vec<&str> =
            survivors.iter().filter(|s| s.left == 0).map(|s| s.group.as_str()).collect();
        if !last.is_empty() {
            let text = format!(
                "nothing but {datacenter} serves {} now, as {name} says, so cutting it would leave nobody \
                 to serve; bring the others up first",
                last.join(", ")
            );
            self.refuse(Why::new("last-datacenter", text));
        }
    }

    fn write_snapshot(&mut self) -> Result<(), Why> {
        self.write(&Record::Opened(Opened {
            format: journal::FORMAT,
            firedrill: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.run.clone(),
            host: self.host.clone(),
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
type Reads = (Vec<ControlCall>, Result<(Vec<Survivors>, ControlState), ControlError>);

/// Asks one control, up to the first thing that fails.
async fn read(
    control: &dyn TrafficControl,
    order: &CutOrder,
    clock: Clock,
    calls: &mut Vec<ControlCall>,
) -> Result<(Vec<Survivors>, ControlState), ControlError> {
    let name = &control.spec().name;
    let (limit, act) = (CALL_LIMIT, Act::Preflight);
    let proven = call_within(limit, clock, name.clone(), act, control.preflight()).await;
    calls.push(proven.call);
    proven.result?;
    let survivors = call_within(limit, clock, name.clone(), act, control.survivors(order)).await;
    calls.push(survivors.call);
    let survivors = survivors.result?;
    let state = call_within(limit, clock, name.clone(), Act::Inspect, control.inspect()).await;
    calls.push(state.call);
    Ok((survivors, state.result?))
}
