//! The controls of a drill, and what is known of each.

use std::sync::Arc;

use crate::journal::Last;
use crate::model::{ControlState, CutOrder, Name, PathCounters};
use crate::restore::{First, Reading, Task};
use crate::traffic::{ControlError, TrafficControl};

/// A control and what is known of it.
pub(super) struct Held {
    pub control: Arc<dyn TrafficControl>,
    pub before: Option<ControlState>,
    pub cut: Option<ControlState>,
    pub after: Option<ControlState>,
    /// What our cut makes of its parts.
    pub expected: ControlState,
    /// The last record of it, so far as the journal took it.
    pub last: Last,
    /// Whether a call that cuts was made and not read back, so that it may land later.
    pub unsure: bool,
    /// The parts that its last reading showed to be another hand's.
    pub foreign: Vec<String>,
    /// Whether it was read back as it was, after it had been cut.
    pub is_restored: bool,
    /// Whether it was cut once more after that, by a call that landed late; it was put back again.
    pub cut_again: bool,
    pub reads: u64,
    pub reads_cut: u64,
    /// What passed while it had to be cut, as counted just before the restore.
    pub path: Option<PathCounters>,
}

impl Held {
    pub fn new(control: Arc<dyn TrafficControl>) -> Self {
        Held {
            control,
            before: None,
            cut: None,
            after: None,
            expected: ControlState::default(),
            last: Last::None,
            unsure: false,
            foreign: Vec::new(),
            is_restored: false,
            cut_again: false,
            reads: 0,
            reads_cut: 0,
            path: None,
        }
    }

    pub fn name(&self) -> Name {
        self.control.spec().name.clone()
    }

    /// Whether a call that cuts was intended, so that it has to be restored.
    pub fn is_touched(&self) -> bool {
        self.last != Last::None
    }

    /// The parts that a cut by `order` may have changed, as they were. What another hand does to the rest is
    /// not ours to judge or to undo.
    pub fn ours(&self, order: &CutOrder) -> ControlState {
        self.before.clone().unwrap_or_default().cuttable(order)
    }

    /// How to put it back.
    pub fn task(&self, order: &CutOrder) -> Task {
        Task {
            control: self.control.clone(),
            before: self.ours(order),
            cut: self.expected.clone(),
            last: self.last,
            first: self.first(),
            foreign: self.foreign.clone(),
            blind: true,
            look_again: self.unsure,
        }
    }

    /// What the restore begins with.
    fn first(&self) -> First {
        // On its way into our cut, it must come back all the same.
        let may_look = !self.control.spec().provider.settings().has_states_between();
        match (self.foreign.is_empty(), self.unsure && may_look) {
            (false, _) => First::Reading,
            (true, true) => First::Glance,
            (true, false) => First::Call,
        }
    }

    /// Takes a reading made while it had to be cut. One that failed says nothing either way.
    pub fn read_while_cut(&mut self, read: Result<ControlState, ControlError>, order: &CutOrder) {
        if let Ok(state) = read {
            self.reads += 1;
            let is_cut = state.is_cut(order) && state.has_all_of(&self.ours(order));
            self.reads_cut += u64::from(is_cut);
            self.note_foreign(&state, order);
        }
    }

    /// Notes which parts are another hand's, so that no restore touches them.
    pub fn note_foreign(&mut self, state: &ControlState, order: &CutOrder) {
        let reading = Reading::at(&*self.control, state, &self.ours(order), &self.expected);
        self.foreign = reading.foreign;
    }
}
