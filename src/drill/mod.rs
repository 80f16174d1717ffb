//! The conductor: the only room that knows the order of the stages.
//!
//! ```text
//! preflight -> baseline -> cut -> observe -> hold -> restore -> failback -> verdict
//! ```
//!
//! Whatever happens after the first intent to cut, the way out leads through `restore`.

mod addresses;
mod ahead;
mod conductor;
mod controls;
mod escalation;
mod guards;
mod path;
mod probing;
mod setup;
mod trial;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as channel;

use crate::clock::Clock;
use crate::journal::Append;
use crate::model::{DatacenterId, DrillEvent, Plan, PlanFile, RunRecord, Sampled, Why};
use crate::traffic::TrafficControl;
use crate::watchdog::Phase;

pub use addresses::{Addresses, locate};
pub use ahead::{ahead, calls_of_our_own};
pub use escalation::{Escalation, Step};
pub use guards::Guards;
pub use probing::{Probes, Probing};
pub use setup::{Charge, closed_now, conduct, not_started};
pub use trial::{keep_contract, not_tested};

/// A call at a control that takes longer than this has failed, whatever the control's own limits.
pub const CALL_LIMIT: Duration = Duration::from_secs(15);

/// The last reading before the restore must not put it off for longer than this.
pub const LAST_READ_LIMIT: Duration = Duration::from_millis(500);

/// The reading after all is back, when nobody waits for traffic any more.
pub const LATE_LOOK_LIMIT: Duration = Duration::from_secs(2);

/// How often a control is read while it has to be cut.
pub const READ_EVERY: Duration = Duration::from_secs(1);

/// A restore that fails is tried again for `timing.at_most`, within these bounds.
///
/// After that long the drill's owners wanted traffic back, so it is time to call a person. The
/// first bound allows for a control that reloads, the second keeps that person from waiting.
pub const RESTORE_LIMITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Who puts traffic back should the drill die or hang: a watchdog.
pub trait Guardian: Send {
    /// A sign of life, several times a second and at every change of `phase`.
    fn beat(&mut self, phase: Phase);
}

/// Nobody: for drills in tests and benchmarks, whose world ends with their process.
impl Guardian for () {
    fn beat(&mut self, _: Phase) {}
}

/// Everything that a drill needs. The parts are ready: nothing is opened or parsed any more.
pub struct Drill {
    /// What to do.
    pub plan: Arc<Plan>,
    /// The file that the plan came from, for the record.
    pub file: PlanFile,
    /// The run's id.
    pub run: String,
    /// The machine that it runs on, for the journal.
    pub host: String,
    /// Where the addresses of the plan's control planes lie; see [`Addresses::located`].
    pub located: Vec<Vec<DatacenterId>>,
    /// The controls to cut through, in the order of [`Plan::cut_through`].
    pub controls: Vec<Arc<dyn TrafficControl>>,
    /// What asks the services.
    pub probing: Box<dyn Probing>,
    /// What may stop it.
    pub guards: Guards,
    /// Where intents are written down before the acts.
    pub journal: Box<dyn Append>,
    /// The drill's clock.
    pub clock: Clock,
    /// Set to a reason when the drill has to stop and restore.
    pub stop: channel::Receiver<Option<Why>>,
    /// Set when the restore should wait for nothing that it can do without.
    pub hurry: channel::Receiver<bool>,
    /// Told that the drill lives.
    pub guardian: Box<dyn Guardian>,
    /// Told of everything as it happens.
    pub listener: Box<dyn FnMut(&DrillEvent) + Send>,
    /// Given every sample that is taken in, to be kept. It must never wait.
    pub sampled: Box<dyn FnMut(&Sampled) + Send>,
}

impl Drill {
    /// Runs the drill to its end and says what came of it. Restores whatever it cut, unless the
    /// verdict says that it could not.
    pub async fn run(self) -> RunRecord {
        conductor::Conductor::new(self).run().await
    }
}
