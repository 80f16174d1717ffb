//! When to ask again, and after how long.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use super::Answer;
use super::line::Lost;

/// The pauses between tries: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// So often one thing is asked, at most.
pub(super) const TRIES: u32 = 5;

/// The tries of one request.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    tried: u32,
}

impl Pauses {
    /// How long to wait before the request is made again; `None` where it is not.
    ///
    /// Half of each pause is left to chance, so that clients which failed together do not come back together
    /// ("equal jitter"; M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). It comes on top of what
    /// the provider asks for, since it asks all of them for the same.
    pub(super) fn next(
        &mut self,
        tried: &Result<Answer, Lost>,
        repeatable: bool,
    ) -> Option<Duration> {
        self.tried += 1;
        if self.tried >= TRIES || !is_worth_it(tried, repeatable) {
            return None;
        }
        let longest = PAUSES.0.saturating_mul(1 << (self.tried - 1)).min(PAUSES.1);
        let pause = longest / 2 + longest.mul_f64(fastrand::f64() / 2.0);
        let asked_for = tried.as_ref().ok().and_then(wait).unwrap_or_default();
        Some(pause.saturating_add(asked_for))
    }
}

/// Whether another try may bring another answer, and cannot do a thing twice.
fn is_worth_it(tried: &Result<Answer, Lost>, repeatable: bool) -> bool {
    match tried {
        Ok(answer) => repeatable && matches!(answer.status(), 408 | 429 | 500 | 502..=504),
        Err(lost) => lost.may_pass && (repeatable || !lost.arrived),
    }
}

/// How long the provider wants to be left alone (RFC 9110, 10.2.3): in seconds, or until a time by its own clock.
pub(super) fn wait(answer: &Answer) -> Option<Duration> {
    let asked = answer.header("retry-after")?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text: &str| DateTimeParser::new().parse_timestamp(text).ok();
    let (until, now) = (time(asked)?, time(answer.header("date")?.trim())?);
    until.duration_since(now).try_into().ok()
}
