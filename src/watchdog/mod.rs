//! The watchdog's mind: when a drill is dead or hangs, and its traffic has to be put back by another.
//!
//! Pure: times come in, orders go out. The process around it is the command line's.

use std::time::Duration;

use crate::model::Offset;

/// How often a drill gives a sign of life, at least.
pub const BEAT: Duration = Duration::from_millis(250);

/// A drill that is silent for so long while traffic is cut hangs. Well beyond the stalls of a busy machine, and short beside what an
/// outage costs.
pub const SILENCE: Duration = Duration::from_secs(5);

/// What a drill may take beyond its own limits before the watchdog takes over.
pub const GRACE: Duration = Duration::from_secs(5);

/// What a sign of life says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is cut.
    Quiet,
    /// Traffic is cut, or about to be.
    Cut,
    /// Traffic is being put back.
    Restoring,
    /// The drill has ended and nothing is left to do.
    Ended,
}

impl Phase {
    /// The byte that stands for it in the pipe.
    pub fn byte(self) -> u8 {
        match self {
            Phase::Quiet => b'q',
            Phase::Cut => b'c',
            Phase::Restoring => b'r',
            Phase::Ended => b'e',
        }
    }

    /// The phase that `byte` stands for.
    pub fn of(byte: u8) -> Option<Phase> {
        [Phase::Quiet, Phase::Cut, Phase::Restoring, Phase::Ended]
            .into_iter()
            .find(|phase| phase.byte() == byte)
    }
}

/// Why the watchdog takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The drill's process is gone.
    Died,
    /// It gives no sign of life.
    Hangs,
    /// It kept traffic cut for longer than its plan allows.
    Overdue,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Cause::Died => "the drill died",
            Cause::Hangs => "the drill gave no sign of life",
            Cause::Overdue => "the drill kept traffic cut for longer than `at_most`",
        })
    }
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Watch on.
    Wait,
    /// Make sure that the drill is dead, and put its traffic back.
    TakeOver(Cause),
    /// The drill ended well; so does the watchdog.
    End,
}

/// How long the stages that matter may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest that the plan lets traffic stay cut.
    pub at_most: Duration,
    /// The longest that a restore may take.
    pub restore: Duration,
}

/// Watches one drill.
#[derive(Debug)]
pub struct Watchdog {
    limits: Limits,
    phase: Phase,
    /// Since when it is in this phase.
    since: Offset,
    /// The last sign of life.
    heard: Offset,
    /// When we looked last: a gap means that we stood still ourselves, and the drill perhaps with us.
    looked: Offset,
}

impl Watchdog {
    /// Watches from `now` on.
    pub fn new(limits: Limits, now: Offset) -> Watchdog {
        Watchdog { limits, phase: Phase::Quiet, since: now, heard: now, looked: now }
    }

    /// A sign of life.
    pub fn heard(&mut self, now: Offset, phase: Phase) {
        if self.phase != phase {
            (self.phase, self.since) = (phase, now);
        }
        self.heard = now;
    }

    /// The drill's end of the pipe is closed: its process is gone.
    pub fn closed(&self) -> Order {
        match self.phase {
            Phase::Ended => Order::End,
            _ => Order::TakeOver(Cause::Died),
        }
    }

    /// Looks at the clock. To be called every [`BEAT`] or so.
    pub fn look(&mut self, now: Offset) -> Order {
        if now.since(self.looked) > SILENCE / 2 {
            // The machine slept, or we were stopped: the drill gets its time again.
            self.heard = now;
        }
        self.looked = now;
        let allowed = match self.phase {
            Phase::Ended => return Order::End,
            // Nothing is cut: however long it takes to get ready, or stands still, does no harm.
            Phase::Quiet => return Order::Wait,
            Phase::Cut => self.limits.at_most,
            Phase::Restoring => self.limits.restore,
        };
        if now.since(self.heard) >= SILENCE {
            return Order::TakeOver(Cause::Hangs);
        }
        if now.since(self.since) >= allowed + GRACE {
            return Order::TakeOver(Cause::Overdue);
        }
        Order::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { at_most: Duration::from_secs(60), restore: Duration::from_secs(30) };

    fn at(millis: u64) -> Offset {
        Offset::from_millis(millis)
    }

    /// Looks every [`BEAT`] until an order comes; the drill beats in `phase` until `silent`.
    fn runs(phase: Phase, silent: u64) -> (u64, Order) {
        let mut watchdog = Watchdog::new(LIMITS, Offset::ZERO);
        for now in (0..600_000).step_by(250) {
            if now < silent {
                watchdog.heard(at(now), phase);
            }
            let order = watchdog.look(at(now));
            if order != Order::Wait {
                return (now, order);
            }
        }
        (600_000, Order::Wait)
    }

    #[test]
    fn silence_means_that_the_drill_hangs_while_anything_is_cut() {
        assert_eq!(runs(Phase::Quiet, 10_000).1, Order::Wait);
        for phase in [Phase::Cut, Phase::Restoring] {
            assert_eq!(runs(phase, 10_000), (14_750, Order::TakeOver(Cause::Hangs)), "{phase:?}");
        }
    }

    #[test]
    fn a_drill_that_lives_is_left_alone_within_its_limits() {
        assert_eq!(runs(Phase::Quiet, u64::MAX).1, Order::Wait);
        assert_eq!(runs(Phase::Cut, u64::MAX), (65_000, Order::TakeOver(Cause::Overdue)));
        assert_eq!(runs(Phase::Restoring, u64::MAX), (35_000, Order::TakeOver(Cause::Overdue)));
        assert_eq!(runs(Phase::Ended, u64::MAX).1, Order::End);
    }

    #[test]
    fn a_machine_that_slept_gives_the_drill_its_time_again() {
        let mut watchdog = Watchdog::new(LIMITS, Offset::ZERO);
        watchdog.heard(at(1_000), Phase::Restoring);
        assert_eq!(watchdog.look(at(1_100)), Order::Wait);
        assert_eq!(watchdog.look(at(28_000)), Order::Wait, "slept for 27 s");
        assert_eq!(watchdog.look(at(30_000)), Order::Wait);
        watchdog.heard(at(30_100), Phase::Restoring);
        assert_eq!(watchdog.look(at(32_000)), Order::Wait);
    }

    #[test]
    fn traffic_does_not_stay_cut_for_longer_because_the_machine_slept() {
        let mut watchdog = Watchdog::new(LIMITS, Offset::ZERO);
        watchdog.heard(at(1_000), Phase::Cut);
        assert_eq!(watchdog.look(at(1_100)), Order::Wait);
        assert_eq!(watchdog.look(at(3_600_000)), Order::TakeOver(Cause::Overdue), "slept for 1 h");
    }

    #[test]
    fn a_closed_pipe_is_a_death_unless_the_drill_has_ended() {
        let mut watchdog = Watchdog::new(LIMITS, Offset::ZERO);
        assert_eq!(watchdog.closed(), Order::TakeOver(Cause::Died));
        watchdog.heard(at(1), Phase::Ended);
        assert_eq!(watchdog.closed(), Order::End);
    }

    #[test]
    fn every_phase_is_told_by_its_byte() {
        for phase in [Phase::Quiet, Phase::Cut, Phase::Restoring, Phase::Ended] {
            assert_eq!(Phase::of(phase.byte()), Some(phase));
        }
        assert_eq!(Phase::of(b'\n'), None);
    }
}
