//! When to ask again, and after how long.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use super::Answer;
use super::line::Lost;

/// The pauses between tries: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// On top of what a provider names, where a loop of its own asks again.
const ON_TOP: Duration = Duration::from_millis(500);

/// So often one thing is asked, at most.
pub(super) const TRIES: u32 = 5;

/// The tries of one request.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    tried: u32,
}

impl Pauses {
    /// How long to wait before the request is made again; `None` where it is not.
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
        let asked_for = tried.as_ref().ok().and_then(wait).unwrap_or_default();
        Some(asked_for.saturating_add(by_chance(longest)))
    }
}

/// For a loop that asks again by itself: the pause before that, which is what `answer` names, or else at most `own`; `None`
/// where it does not fit into what is `left`.
pub(in crate::traffic) fn again(
    answer: Option<&Answer>,
    own: Duration,
    left: Duration,
) -> Option<Duration> {
    let pause = match answer.and_then(wait) {
        Some(named) => named.saturating_add(by_chance(ON_TOP)),
        None => by_chance(own),
    };
    Some(pause).filter(|pause| *pause < left)
}

/// A pause of which half is left to chance, so that clients which failed together do not come back together ("equal
/// jitter"; M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). It comes on top of what the provider
/// asks for, since it asks all of them for the same.
fn by_chance(longest: Duration) -> Duration {
    longest / 2 + longest.mul_f64(fastrand::f64() / 2.0)
}

/// Whether another try may bring another answer, and cannot do a thing twice.
fn is_worth_it(tried: &Result<Answer, Lost>, repeatable: bool) -> bool {
    match tried {
        Ok(answer) => repeatable && matches!(answer.meaning(), 408 | 429 | 500 | 502..=504),
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
