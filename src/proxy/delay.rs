//! The delay line of a degraded flow: when each piece of data arrives, and the data until then.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::gate::Degradation;

/// Data is delayed, and lost, in pieces of at most so many bytes.
const PIECE: usize = 16 * 1024;
/// A bandwidth limit shows in this many steps a second, where pieces can be made so small.
const STEPS_PER_SECOND: u64 = 50;
/// What may be under way in one direction. It limits the throughput to this much per latency.
pub(super) const UNDER_WAY: usize = 16 * 1024 * 1024;
/// What may wait for a receiver that does not read.
pub(super) const UNREAD: usize = 256 * 1024;
/// Linux's shortest and longest retransmission time-outs, and how often it tries.
const RETRANSMIT_FIRST: Duration = Duration::from_millis(200);
const RETRANSMIT_LAST: Duration = Duration::from_secs(120);
const RETRANSMIT_TRIES: u32 = 15;
/// Stands for any delay that the clock cannot add.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// When the pieces of one flow arrive. Pure: time and chance are arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    how: Degradation,
    /// When the wire is free for the next piece.
    free: Instant,
    /// When the piece before arrives; none overtakes it.
    last: Instant,
}

impl Schedule {
    pub fn new(how: Degradation, now: Instant) -> Schedule {
        Schedule { how, free: now, last: now }
    }

    /// When `bytes` that are sent at `now` arrive. `chance` gives numbers from 0 to 1, evenly.
    pub fn arrival(
        &mut self,
        now: Instant,
        bytes: usize,
        mut chance: impl FnMut() -> f64,
    ) -> Instant {
        self.free = later(self.free.max(now), self.transmission(bytes));
        let varied = self.how.jitter.mul_f64_saturating(chance() * 2.0);
        let mut delay = self.how.latency.saturating_add(varied).saturating_sub(self.how.jitter);
        let mut timeout = RETRANSMIT_FIRST.saturating_add(self.how.latency);
        for _ in 0..RETRANSMIT_TRIES {
            if chance() >= self.how.loss || self.how.loss.is_nan() {
                break;
            }
            delay = delay.saturating_add(timeout);
            timeout = timeout.saturating_mul(2).min(RETRANSMIT_LAST.max(self.how.latency));
        }
        self.last = self.last.max(later(self.free, delay));
        self.last
    }

    /// Forgets when it was made: what was sent before that is put on it next.
    pub fn rewind(&mut self) {
        let past = |at: Instant| at.checked_sub(FOR_EVER).unwrap_or(at);
        (self.free, self.last) = (past(self.free), past(self.last));
    }

    fn transmission(&self, bytes: usize) -> Duration {
        let Some(bandwidth) = self.how.bandwidth else { return Duration::ZERO };
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(bandwidth.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The size of a piece, so that a bandwidth limit is smooth.
    pub fn piece(&self) -> usize {
        match self.how.bandwidth {
            Some(bandwidth) => (bandwidth / STEPS_PER_SECOND).clamp(1, PIECE as u64) as usize,
            None => PIECE,
        }
    }

    /// How much may be under way without the limits of memory being what slows the flow.
    pub fn under_way(&self) -> usize {
        let Some(bandwidth) = self.how.bandwidth else { return UNDER_WAY };
        let on_the_wire = self.how.latency.saturating_add(self.how.jitter).as_secs_f64();
        // `as` saturates.
        ((bandwidth as f64 * on_the_wire) as usize).saturating_add(2 * self.piece()).min(UNDER_WAY)
    }
}

trait MulSaturating {
    fn mul_f64_saturating(self, factor: f64) -> Duration;
}

impl MulSaturating for Duration {
    fn mul_f64_saturating(self, factor: f64) -> Duration {
        Duration::try_from_secs_f64(self.as_secs_f64() * factor).unwrap_or(Duration::MAX)
    }
}

/// The instant that is `by` after `instant`, or as good as never.
pub(super) fn later(instant: Instant, by: Duration) -> Instant {
    instant.checked_add(by).unwrap_or(instant + FOR_EVER)
}

/// Data that was read and not yet written, in order.
#[derive(Default)]
pub(super) struct Line {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The schedule, and the state of the gate that it was made for.
    schedule: Option<(u64, Schedule)>,
    timer: Option<Pin<Box<Sleep>>>,
}

struct Piece {
    data: Vec<u8>,
    written: usize,
    /// None: as soon as possible.
    due: Option<Instant>,
}

impl Line {
    /// Keeps data that could not be written at once.
    pub fn keep(&mut self, data: &[u8]) {
        self.push(data, None);
    }

    /// The oldest data, if there is any.
    pub fn front(&self) -> Option<&[u8]> {
        self.pieces.front().map(|piece| &piece.data[piece.written..])
    }

    /// All data, the oldest first.
    pub fn into_data(self) -> impl Iterator<Item = Vec<u8>> {
        self.pieces.into_iter().map(|mut piece| piece.data.split_off(piece.written))
    }

    /// The oldest data if it is due.
    pub fn due(&self, now: Instant) -> Option<&[u8]> {
        self.front().filter(|_| self.front_due().is_none_or(|due| due <= now))
    }

    /// Forgets the first `n` bytes of the oldest data; they are written.
    pub fn advance(&mut self, n: usize) {
        self.bytes -= n;
        if let Some(piece) = self.pieces.front_mut() {
            piece.written += n;
            if piece.written == piece.data.len() {
                self.pieces.pop_front();
            }
        }
    }

    /// Makes a new schedule if the one we have is of another `epoch`, and puts on it what is here.
    pub fn begin(&mut self, epoch: u64, how: Degradation, now: Instant) {
        if self.schedule.as_ref().is_some_and(|(of, _)| *of == epoch) {
            return;
        }
        let mut schedule = Schedule::new(how, now);
        for piece in &mut self.pieces {
            let left = piece.data.len() - piece.written;
            piece.due = Some(schedule.arrival(now, left, fastrand::f64));
        }
        self.schedule = Some((epoch, schedule));
    }

    /// Puts data that was read at `now` on the line. Empty data is the end of the flow.
    pub fn schedule(&mut self, data: &[u8], now: Instant) {
        let Some((_, schedule)) = &mut self.schedule else { return self.keep(data) };
        let due = schedule.arrival(now, data.len(), fastrand::f64);
        if !data.is_empty() {
            self.push(data, Some(due));
        }
    }

    /// How much to read at most now. `unread` says that the receiver does not take what is due.
    pub fn room(&self, unread: bool) -> usize {
        let Some((_, schedule)) = &self.schedule else { return 0 };
        let limit = schedule.under_way();
        let limit = if unread { limit.min(UNREAD) } else { limit };
        limit.saturating_sub(self.bytes).min(schedule.piece())
    }

    /// Whether all has been written and the end is due too.
    pub fn is_over(&self, now: Instant) -> bool {
        self.pieces.is_empty() && self.schedule.as_ref().is_none_or(|(_, s)| s.last <= now)
    }

    /// Waits until something is due: the oldest data, or else the end if there is one.
    pub fn poll_due(&mut self, cx: &mut Context<'_>, ended: bool) -> Poll<()> {
        let due = match (self.pieces.is_empty(), &self.schedule) {
            (false, _) => self.front_due(),
            (true, Some((_, schedule))) if ended => Some(schedule.last),
            (true, _) => return Poll::Pending,
        };
        let Some(due) = due else { return Poll::Ready(()) };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }

    fn front_due(&self) -> Option<Instant> {
        self.pieces.front().and_then(|piece| piece.due)
    }

    fn push(&mut self, data: &[u8], due: Option<Instant>) {
        self.bytes += data.len();
        self.pieces.push_back(Piece { data: data.to_vec(), written: 0, due });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NONE: Duration = Duration::ZERO;

    fn how(latency: Duration, jitter: Duration, loss: f64, bandwidth: Option<u64>) -> Degradation {
        Degradation { latency, jitter, loss, bandwidth }
    }

    fn delays(how: Degradation, sizes: &[usize], chances: &[f64]) -> Vec<u128> {
        let start = Instant::now();
        let mut schedule = Schedule::new(how, start);
        let mut chances = chances.iter().copied().cycle();
        let mut arrival = |size| schedule.arrival(start, size, || chances.next().unwrap());
        sizes.iter().map(|size| (arrival(*size) - start).as_millis()).collect()
    }

    #[test]
    fn latency_delays_each_piece_and_does_not_add_up() {
        assert_eq!(delays(how(50 * MS, NONE, 0.0, None), &[9, 9, 9], &[0.5]), [50, 50, 50]);
    }

    #[test]
    fn jitter_goes_both_ways_and_keeps_the_order() {
        let how = how(50 * MS, 20 * MS, 0.0, None);
        assert_eq!(delays(how, &[1], &[0.0, 1.0]), [30]);
        assert_eq!(delays(how, &[1], &[0.999_999, 1.0]), [69]);
        assert_eq!(delays(how, &[1, 1], &[0.75, 1.0, 0.0, 1.0]), [60, 60]);
    }

    #[test]
    fn a_lost_piece_comes_a_retransmission_later_and_holds_up_the_next() {
        let how = how(NONE, NONE, 0.5, None);
        // For each piece: jitter, then one chance for each try.
        assert_eq!(delays(how, &[1, 1], &[0.5, 0.1, 0.9, 0.5, 0.9]), [200, 200]);
        assert_eq!(delays(how, &[1], &[0.5, 0.1, 0.1, 0.9]), [600]);
    }

    #[test]
    fn bandwidth_spaces_the_pieces() {
        let how = how(10 * MS, NONE, 0.0, Some(1_000));
        assert_eq!(delays(how, &[100, 100, 50], &[0.5]), [110, 210, 260]);
    }

    #[test]
    fn no_setting_makes_it_panic() {
        for extreme in [
            how(Duration::MAX, Duration::MAX, 1.0, Some(0)),
            how(NONE, NONE, f64::NAN, Some(u64::MAX)),
        ] {
            for chance in [0.0, 1.0] {
                let mut schedule = Schedule::new(extreme, Instant::now());
                schedule.arrival(Instant::now(), usize::MAX, || chance);
                schedule.arrival(Instant::now(), 1, || chance);
                assert!(schedule.under_way() > 0);
            }
        }
    }
}
