//! The drill's one clock.
//!
//! Everything that waits, waits on tokio's clock, so that in tests whole drills run in virtual time.
//! This is the only place that reads it.

use std::time::Duration;

#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;

#[cfg(target_os = "linux")]
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
#[cfg(target_os = "linux")]
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::model::Offset;

/// A monotonic clock that counts from the start of the drill. Copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now. Needs a tokio runtime only to be paused in tests.
    pub fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    /// The time that passed since the start.
    pub fn now(&self) -> Offset {
        Offset::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Waits until `at`; returns at once if it has passed. Tokio's timers are coarse: up to 1 ms late.
    pub async fn sleep_until(&self, at: Offset) {
        tokio::time::sleep_until(self.instant(at)).await;
    }

    /// The same instant on tokio's clock, for its time-outs.
    pub fn instant(&self, at: Offset) -> Instant {
        self.origin + Duration::from_nanos(at.as_nanos())
    }
}

/// The time since the machine was started, also while it slept: traffic stays cut meanwhile.
#[cfg(target_os = "linux")]
pub fn since_boot() -> Offset {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let part = |part: i64| u64::try_from(part).unwrap_or_default();
    Offset::from_nanos(part(now.tv_sec).saturating_mul(1_000_000_000) + part(now.tv_nsec))
}

/// A timer for what must leave on time: late by some 0.1 ms where tokio's own are late by up to 2 ms
/// (1 ms by its wheel, 1 ms by epoll). Takes a file descriptor.
///
/// Tokio's timer runs beside it and either wakes: so virtual time stays virtual, and where the fine
/// one is not to be had, waiting is merely coarse.
#[derive(Debug)]
pub struct Alarm {
    clock: Clock,
    #[cfg(target_os = "linux")]
    fine: Option<AsyncFd<OwnedFd>>,
}

impl Alarm {
    /// An alarm by `clock`. Needs a tokio runtime with its I/O enabled.
    pub fn new(clock: Clock) -> Self {
        Alarm {
            clock,
            #[cfg(target_os = "linux")]
            fine: fine_timer(),
        }
    }

    /// Waits until `at`, or rarely a little less: the caller looks at the clock.
    pub async fn wait(&mut self, at: Offset) {
        let coarse = self.clock.sleep_until(at);
        #[cfg(target_os = "linux")]
        if let Some(fine) = &self.fine {
            // A past instant must ring too; zero would switch the timer off.
            let left = at.since(self.clock.now()).max(Duration::from_nanos(1));
            if arm(fine.get_ref(), left).is_ok() {
                tokio::select! {
                    () = coarse => {}
                    rung = fine.readable() => if let Ok(mut rung) = rung { rung.clear_ready() },
                }
                return;
            }
        }
        coarse.await;
    }
}

#[cfg(target_os = "linux")]
#[expect(
    deprecated,
    reason = "the unsafe successor is for types whose descriptor may change; an OwnedFd's cannot"
)]
fn fine_timer() -> Option<AsyncFd<OwnedFd>> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags).ok()?).ok()
}

/// Arming also takes back what was not read: tokio's edge-triggered epoll needs no reading.
#[cfg(target_os = "linux")]
fn arm(timer: &OwnedFd, left: Duration) -> Result<(), std::io::Error> {
    let value = Timespec::try_from(left).map_err(std::io::Error::other)?;
    let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
    let once = Itimerspec { it_interval, it_value: value };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_rings_neither_early_nor_as_late_as_a_coarse_timer() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        let mut late = Vec::new();
        for n in 1..=50 {
            let at = Offset::from_nanos(n * 1_234_567);
            while clock.now() < at {
                alarm.wait(at).await;
            }
            late.push(clock.now().since(at));
        }
        late.sort_unstable();
        // The best tenth, since the machine may be busy: coarse timers are never that good.
        assert!(late[5] < Duration::from_micros(400), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn virtual_time_stays_virtual() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        let at = Offset::from_millis(86_400_000);
        while clock.now() < at {
            alarm.wait(at).await;
        }
        assert!(clock.now().since(at) <= Duration::from_millis(1));
    }

    #[tokio::test]
    async fn an_alarm_for_the_past_rings_at_once() {
        let clock = Clock::start();
        Alarm::new(clock).wait(Offset::ZERO).await;
    }
}
