//! The cut: its steps one after another, the controls of a step side by side.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::super::CALL_LIMIT;
use super::super::controls::Held;
use super::Conductor;
use crate::clock::Clock;
use crate::journal::{Last, Record};
use crate::model::{Act, ControlCall, ControlState, CutOrder, Name, Offset, Stage, Why};
use crate::restore::call_within;
use crate::traffic::TrafficControl;
use crate::watchdog::Phase;

/// What came of one control's cut: the last state that was read, and whether that is cut.
struct Cut {
    state: Option<ControlState>,
    result: Result<(), Why>,
}

impl Conductor {
    /// Cuts, and reads back that it is cut. False: it is not, or not wholly.
    pub(super) async fn cut(&mut self) -> bool {
        self.enter(Stage::Cut, Some(CALL_LIMIT + self.plan.lag()));
        let mut first = 0;
        for length in self.plan.cut_steps() {
            let places: Vec<usize> = (first..first + length).collect();
            first += length;
            if let Err(why) = self.cut_step(&places).await {
                match self.held.iter().any(Held::is_touched) {
                    true => self.ending.cut_failed = Some(why),
                    false => self.refuse(why),
                }
                // Where a stop cut the reading short, that is what happened.
                self.watch.stopped().into_iter().for_each(|why| self.stopping(why));
                return false;
            }
            if let Some(why) = self.watch.stopped() {
                self.stopping(why);
                return false;
            }
        }
        self.watch.observation.marks.cut_confirmed = Some(self.clock.now());
        true
    }

    /// Cuts the controls at `places` at once. Each is looked at before the first is cut, and each that is intended to be
    /// cut is in the journal by then.
    pub(super) async fn cut_step(&mut self, places: &[usize]) -> Result<(), Why> {
        for place in places {
            self.look_before_the_cut(*place).await?;
        }
        for place in places {
            let control = self.held[*place].name();
            self.write(&Record::CutIntended { control })?;
            self.held[*place].last = Last::CutIntended;
        }
        self.watch.beat(Phase::Cut);
        if self.watch.observation.marks.cut_issued.is_none() {
            self.watch.observation.marks.cut_issued = Some(self.clock.now());
            self.probing.cut(self.clock, self.clock.now());
        }
        // Until a control is read back as cut, its cut may still land, even after a restore.
        places.iter().for_each(|place| self.held[*place].unsure = true);
        let calls = Mutex::default();
        let cuts = places.iter().map(|place| {
            let held = &self.held[*place];
            let before = held.before.clone().unwrap_or_default();
            let (control, order) = (held.control.clone(), self.plan.cut.clone());
            cut_one(control, order, before, (self.clock, self.deadline()), &calls)
        });
        let cuts = join_all(cuts.collect::<Vec<_>>());
        // Whoever stops a drill does not wait for a control that hangs.
        let cuts = self.watch.unless_stopped(cuts).await;
        let calls = calls.into_inner().unwrap_or_else(PoisonError::into_inner);
        calls.into_iter().for_each(|call| self.note(call));
        let Some(cuts) = cuts else {
            let names: Vec<String> =
                places.iter().map(|place| self.held[*place].name().to_string()).collect();
            let text = format!("the drill was stopped before {} was cut", names.join(" and "));
            return Err(Why::new("cut-not-confirmed", text));
        };
        let taken: Vec<_> =
            places.iter().zip(cuts).map(|(place, cut)| self.take_cut(*place, cut)).collect();
        taken.into_iter().collect()
    }

    /// Takes in what came of a control's cut.
    fn take_cut(&mut self, place: usize, cut: Cut) -> Result<(), Why> {
        let order = self.plan.cut.clone();
        let held = &mut self.held[place];
        if let Some(state) = cut.state {
            held.note_foreign(&state, &order);
            held.cut = Some(state);
        }
        cut.result?;
        let control = held.name();
        self.write(&Record::CutConfirmed { control })?;
        let held = &mut self.held[place];
        held.last = Last::CutConfirmed;
        held.unsure = false;
        Ok(())
    }
}

/// Cuts one control and reads it until it says that it is cut, not beyond `deadline`.
async fn cut_one(
    control: Arc<dyn TrafficControl>,
    order: CutOrder,
    before: ControlState,
    (clock, deadline): (Clock, Offset),
    calls: &Mutex<Vec<ControlCall>>,
) -> Cut {
    let note = |call| calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    let name = &control.spec().name;
    let mut cut = Cut { state: None, result: Ok(()) };
    // A slow call must not keep traffic cut beyond the deadline.
    let limit = CALL_LIMIT.min(deadline.since(clock.now()));
    let work = control.cut(&order, &before);
    let asked = call_within(limit, clock, &*control, Act::Cut, work).await;
    note(asked.call);
    if let Err(error) = asked.result {
        cut.result = Err(Why::new("cut-failed", error.to_string()));
        return cut;
    }
    let lag = control.spec().provider.settings().lag();
    let give_up = clock.now().plus(CALL_LIMIT + lag).min(deadline);
    loop {
        let limit = CALL_LIMIT.min(give_up.since(clock.now()));
        let read = call_within(limit, clock, &*control, Act::Inspect, control.inspect()).await;
        let state = match read.result {
            Ok(state) => state,
            Err(error) => {
                note(read.call);
                // A reading that had too little time left says less than the one before it.
                cut.result = Err(match cut.state.is_some() && clock.now() >= give_up {
                    true => not_confirmed(name),
                    false => Why::new("cut-not-read-back", error.to_string()),
                });
                return cut;
            }
        };
        // A part that is gone is not known to be cut: it may come back as it was.
        let is_cut = state.is_cut(&order) && state.has_all_of(&before.cuttable(&order));
        cut.state = Some(state);
        if is_cut {
            note(read.call);
            return cut;
        }
        clock.sleep_until(clock.now().plus(control.pause()).min(give_up)).await;
        if clock.now() >= give_up {
            cut.result = Err(not_confirmed(name));
            return cut;
        }
    }
}

fn not_confirmed(name: &Name) -> Why {
    let text = format!("{name} accepted the cut but does not say that it is cut");
    Why::new("cut-not-confirmed", text)
}
