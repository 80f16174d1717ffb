//! The open loop: sample n leaves at start + n x period, whatever happened to earlier ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::sample::{Desk, Ticket};
use crate::clock::{Alarm, Clock};
use crate::model::{Blindness, Offset, Ramp};

/// In flight beyond what the time-out allows for: samples that just end, and timers of 1 ms.
const SLACK: u128 = 16;

/// More in flight than any machine has ports for.
const MOST_IN_FLIGHT: u128 = 1 << 17;

/// Faster probes than this get a fine timer of their own. Slower ones are not worth a file descriptor each:
/// what is measured of them counts from when they were sent.
const FINE_BELOW: Duration = Duration::from_millis(25);

/// The shortest time between two wake-ups: what is due within it leaves together, which halves the CPU
/// time of probes at 5,000 a second and costs them 0.5 ms.
const SHORTEST_WAIT: Duration = Duration::from_micros(500);

/// After so many samples in one go, others may run.
const BATCH: usize = 256;

/// A probe that is sending. Dropped, it stops at once.
#[derive(Debug)]
pub struct Running {
    stop: Option<oneshot::Sender<Duration>>,
    schedule: JoinHandle<()>,
}

impl Running {
    /// Stops the schedule at once: nothing is sent any more. Samples still in flight are given until `grace` has passed, then
    /// reported as ended by the drill. Returns when all were reported.
    pub async fn stop(mut self, grace: Duration) {
        if let Some(stop) = self.stop.take() {
            // It is gone already only if the runtime is shutting down.
            let _ = stop.send(grace);
        }
        let _ = self.schedule.await;
    }
}

/// Starts sending.
pub(super) fn start(desk: Arc<Desk>, start: Offset, pace: Pace) -> Running {
    let (stop, stopped) = oneshot::channel();
    let timetable = Timetable { start, pace, next: 0 };
    let schedule = tokio::spawn(run(desk, timetable, stopped));
    Running { stop: Some(stop), schedule }
}

/// How fast a schedule is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// A probe's: one sample a period.
    Every(Duration),
    /// A load's.
    Rising(Ramp),
}

impl Pace {
    /// The shortest time between two samples.
    fn shortest(self) -> Duration {
        match self {
            Pace::Every(every) => every,
            Pace::Rising(ramp) => {
                Duration::try_from_secs_f64(1.0 / ramp.rate).unwrap_or(Duration::MAX)
            }
        }
    }
}

/// When which sample is due.
#[derive(Debug, Clone, Copy)]
struct Timetable {
    start: Offset,
    pace: Pace,
    next: u64,
}

impl Timetable {
    /// When the next sample is due; never, when the schedule has ended. Computed from the start, so that nothing adds up.
    fn due(&self) -> Offset {
        let after = match self.pace {
            Pace::Every(every) => Some(every.as_nanos().saturating_mul(u128::from(self.next))),
            Pace::Rising(ramp) => ramp.due(self.next).map(|due| due.as_nanos()),
        };
        let after = after.and_then(|after| u64::try_from(after).ok()).unwrap_or(u64::MAX);
        self.start.plus(Duration::from_nanos(after))
    }

    /// The next sample's number and when it was due, if that is not after `now`.
    fn take_due(&mut self, now: Offset) -> Option<(u64, Offset)> {
        let due = self.due();
        (due <= now).then(|| {
            let seq = self.next;
            self.next += 1;
            (seq, due)
        })
    }

    /// How many samples can be in flight at once if none outlives `timeout`.
    fn most_in_flight(&self, timeout: Duration) -> usize {
        let most = timeout.as_nanos() / self.pace.shortest().as_nanos().max(1) + SLACK;
        usize::try_from(most.min(MOST_IN_FLIGHT)).unwrap_or(usize::MAX)
    }
}

/// How a schedule waits, by its period.
enum Waiting {
    Coarse(Clock),
    Fine(Clock, Box<Alarm>),
}

impl Waiting {
    fn new(clock: Clock, every: Duration) -> Self {
        if every < FINE_BELOW {
            Waiting::Fine(clock, Box::new(Alarm::new(clock)))
        } else {
            Waiting::Coarse(clock)
        }
    }

    async fn until(&mut self, due: Offset) {
        match self {
            Waiting::Coarse(clock) => clock.sleep_until(due).await,
            Waiting::Fine(clock, alarm) => {
                let now = clock.now();
                if now < due {
                    alarm.wait(due.max(now.plus(SHORTEST_WAIT))).await;
                }
            }
        }
    }
}

async fn run(desk: Arc<Desk>, mut table: Timetable, mut stop: oneshot::Receiver<Duration>) {
    let most = table.most_in_flight(desk.sampler.timeout);
    let mut flying = JoinSet::new();
    let mut alarm = Waiting::new(desk.clock, table.pace.shortest());
    let grace = loop {
        tokio::select! {
            biased;
            grace = &mut stop => break grace.unwrap_or_default(),
            () = alarm.until(table.due()) => {}
        }
        while flying.try_join_next().is_some() {}
        send_due(&desk, &mut table, &mut flying, most);
        if table.due() <= desk.clock.now() {
            tokio::task::yield_now().await;
        }
    };
    let now = desk.clock.now();
    while let Some((seq, due)) = table.take_due(now) {
        // Due before the stop and never sent: left out, it would look as if it had not been due.
        let stalled = desk.missed(due, now);
        desk.not_sent(seq, due, now, if stalled { Blindness::Stalled } else { Blindness::Ended });
    }
    let all_done = async { while flying.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all_done).await.is_err() {
        // Each reports itself when it is dropped.
        flying.shutdown().await;
    }
}

/// Sends what is due by now, up to a batch.
fn send_due(desk: &Arc<Desk>, table: &mut Timetable, flying: &mut JoinSet<()>, most: usize) {
    let now = desk.clock.now();
    for _ in 0..BATCH {
        let Some((seq, due)) = table.take_due(now) else { return };
        if desk.missed(due, now) {
            desk.not_sent(seq, due, now, Blindness::Stalled);
        } else if flying.len() >= most {
            desk.not_sent(seq, due, now, Blindness::TooManyInFlight);
        } else {
            flying.spawn(Ticket::new(Arc::clone(desk), seq, due).redeem());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_never_drift() {
        let every = Duration::from_nanos(333_333);
        let mut table =
            Timetable { start: Offset::from_millis(5), pace: Pace::Every(every), next: 0 };
        let end = Offset::from_millis(1_005);
        let mut taken = 0;
        while let Some((seq, due)) = table.take_due(end) {
            assert_eq!(seq, taken);
            assert_eq!(due.as_nanos(), 5_000_000 + seq * 333_333);
            taken += 1;
        }
        assert_eq!(taken, 3_001);
        table.next = u64::MAX;
        assert_eq!(table.due(), Offset::from_nanos(u64::MAX), "saturates");
    }

    #[test]
    fn the_time_out_bounds_what_is_in_flight() {
        let table = |every| Timetable { start: Offset::ZERO, pace: Pace::Every(every), next: 0 };
        let second = Duration::from_secs(1);
        assert_eq!(table(Duration::from_millis(10)).most_in_flight(second), 116);
        assert_eq!(table(Duration::from_nanos(1)).most_in_flight(second), 1 << 17);
    }
}
