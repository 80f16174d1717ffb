//! The `http` guardrail: a request that must be answered well.

use crate::clock::Clock;
use crate::model::{GuardrailReading, Outcome};
use crate::probe::Fetcher;

/// Asks once. What a user would call broken is beyond the limit; what our own side could not ask is not known.
pub(super) async fn read(fetcher: &Fetcher, clock: &Clock) -> GuardrailReading {
    match fetcher.judge(clock).await {
        Outcome::Good => GuardrailReading::Within { value: Some(0.0) },
        Outcome::Bad(reason) => GuardrailReading::Beyond {
            value: Some(1.0),
            what: format!("the answer was bad: {reason}"),
        },
        Outcome::Unknown(blindness) => {
            GuardrailReading::Unreadable(format!("it could not be asked: {blindness}"))
        }
    }
}
