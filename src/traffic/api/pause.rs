//! When to ask again, and after how long.

use std::time::Duration;

use super::{Answer, Lost};

/// The pauses between tries: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The tries of one request.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    tried: u32,
}

impl Pauses {
    /// How long to wait before the request is made again; `None` where it is not.
    ///
    /// Half of each pause is left to chance, so that clients which failed together do not come back together
    /// ("equal jitter"; M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    pub(super) fn next(
        &mut self,
        tried: &Result<Answer, Lost>,
        repeatable: bool,
    ) -> Option<Duration> {
        if !is_worth_it(tried, repeatable) {
            return None;
        }
        let longest = PAUSES.0.saturating_mul(1 << self.tried.min(10)).min(PAUSES.1);
        self.tried += 1;
        let pause = longest / 2 + longest.mul_f64(fastrand::f64() / 2.0);
        let asked_for = tried.as_ref().ok().and_then(wait);
        Some(pause.max(asked_for.unwrap_or_default()))
    }
}

/// Whether another try may bring another answer, and cannot do a thing twice.
fn is_worth_it(tried: &Result<Answer, Lost>, repeatable: bool) -> bool {
    match tried {
        // It was turned away before it was looked at.
        Ok(answer) if answer.status() == 429 => true,
        Ok(answer) => repeatable && matches!(answer.status(), 408 | 500 | 502..=504),
        Err(lost) => repeatable || !lost.arrived,
    }
}

/// How long the provider wants to be left alone (RFC 9110, 10.2.3), where it says so in seconds.
fn wait(answer: &Answer) -> Option<Duration> {
    let seconds: u64 = answer.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
