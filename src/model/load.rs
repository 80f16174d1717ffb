//! Load that a drill adds to what its probes ask.

use std::time::Duration;

use super::{Connection, Marks, Name, Offset, ProbeKind, ProbeSpec, Promises};

/// Requests that are sent open loop at a rate that rises, to see whether survivors carry the crowd.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadSpec {
    /// Its name.
    pub name: Name,
    /// What is asked, and what must come back.
    pub kind: ProbeKind,
    /// A request that takes longer is bad.
    pub timeout: Duration,
    /// A new connection a request, or kept ones.
    pub connection: Connection,
    /// When it begins.
    pub from: LoadFrom,
    /// How it rises and ends, counted from `from`.
    pub ramp: Ramp,
}

/// What a load's times are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadFrom {
    /// The beginning of the baseline.
    Baseline,
    /// The cut.
    Cut,
}

/// A rate that waits, rises evenly to its top, stays there and ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// How long nothing is sent at first.
    pub after: Duration,
    /// How long it rises.
    pub rise: Duration,
    /// Requests a second at the top, 0.1 or more.
    pub rate: f64,
    /// How long it stays there; `None` is to the end of the drill.
    pub lasting: Option<Duration>,
}

impl Ramp {
    /// When request `n`, from 0, is due; `None` when the load has ended by then.
    ///
    /// By then `n` requests were offered: in the rise `rate / rise * t^2 / 2`, and `rate` a second after it.
    pub fn due(&self, n: u64) -> Option<Duration> {
        let (n, rise) = (n as f64, self.rise.as_secs_f64());
        let in_rise = self.rate * rise / 2.0;
        let at = match n < in_rise {
            true => (2.0 * n * rise / self.rate).sqrt(),
            false => rise + (n - in_rise) / self.rate,
        };
        let over = self.lasting.is_some_and(|lasting| at >= rise + lasting.as_secs_f64());
        let at = Duration::try_from_secs_f64(at).ok().filter(|_| !over)?;
        Some(self.after + at)
    }

    /// Requests a second that it wants, so long after the mark that it is counted from.
    pub fn wanted(&self, since: Duration) -> f64 {
        let Some(since) = since.checked_sub(self.after) else { return 0.0 };
        match self.lasting {
            Some(lasting) if since >= self.rise.saturating_add(lasting) => 0.0,
            _ if since < self.rise => self.rate * since.as_secs_f64() / self.rise.as_secs_f64(),
            _ => self.rate,
        }
    }
}

impl LoadSpec {
    /// From when on it is at its top; `None` before the mark that it is counted from.
    pub fn full_from(&self, marks: &Marks) -> Option<Offset> {
        self.counted_from(marks).map(|from| from.plus(self.ramp.after).plus(self.ramp.rise))
    }

    /// The mark that it is counted from; `None` before it.
    fn counted_from(&self, marks: &Marks) -> Option<Offset> {
        match self.from {
            LoadFrom::Baseline => Some(marks.started),
            LoadFrom::Cut => marks.cut_issued,
        }
    }

    /// Requests a second that it wants at `now`.
    pub fn wanted(&self, marks: &Marks, now: Offset) -> f64 {
        self.counted_from(marks).map_or(0.0, |from| self.ramp.wanted(now.since(from)))
    }

    /// What one of its requests is, as a probe of the period that it has at the top.
    pub fn as_probe(&self) -> ProbeSpec {
        ProbeSpec {
            name: self.name.clone(),
            kind: self.kind.clone(),
            every: Duration::try_from_secs_f64(1.0 / self.ramp.rate).unwrap_or(Duration::MAX),
            timeout: self.timeout,
            slower_than: None,
            connection: self.connection,
            look_up: None,
            cohort: None,
            served_by: None,
            may_stay: false,
            required: false,
            promises: Promises::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(rise: u64, lasting: Option<u64>) -> Ramp {
        let after = Duration::from_secs(1);
        let lasting = lasting.map(Duration::from_secs);
        Ramp { after, rise: Duration::from_secs(rise), rate: 100.0, lasting }
    }

    #[test]
    fn what_it_wants_follows_its_ramp() {
        let wanted = |millis| ramp(2, Some(3)).wanted(Duration::from_millis(millis));
        assert_eq!(
            [0, 999, 2000, 3000, 5999, 6000].map(wanted),
            [0.0, 0.0, 50.0, 100.0, 100.0, 0.0]
        );
        assert_eq!(ramp(0, None).wanted(Duration::from_secs(1)), 100.0);
    }

    #[test]
    fn it_rises_evenly_stays_and_ends() {
        let count = |ramp: Ramp, from: f64, to: f64| {
            let all = (0..10_000).map_while(|n| ramp.due(n));
            all.filter(|due| (from..to).contains(&(due.as_secs_f64() - 1.0))).count()
        };
        let rising = ramp(2, Some(3));
        // Half of the top in the mean of the rise: 100 requests in its 2 s, 25 of them in the first.
        assert_eq!((count(rising, 0.0, 1.0), count(rising, 1.0, 2.0)), (25, 75));
        assert_eq!(count(rising, 2.0, 3.0), 100);
        assert_eq!((count(rising, 4.0, 5.0), count(rising, 5.0, 99.0)), (100, 0));
        assert_eq!(count(ramp(0, None), 0.0, 50.0), 5_000);
    }

    #[test]
    fn what_is_due_never_goes_back() {
        let ramp = ramp(3, None);
        let all: Vec<Duration> = (0..2_000).map_while(|n| ramp.due(n)).collect();
        assert!(all.is_sorted());
        assert_eq!(all[0], Duration::from_secs(1));
        assert!(ramp.due(u64::MAX).is_some());
    }
}
