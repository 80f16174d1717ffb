//! The measuring against an oracle that replays every sample, against known truths, and against
//! sequences that try to earn a pass without proof.

mod calendar;
mod dns;
mod features;
mod guards;
mod ledger;
mod oracle;
mod overtaking;
mod records;
mod scenario;
mod truth;
mod verdicts;

use std::time::Duration;

use super::Stable;
use crate::model::{DatacenterId, Marks, Offset, Outcome, Reason, Sample, ServedBy};

/// The datacenter that is cut in these tests.
const CUT: DatacenterId = DatacenterId(0);
/// The one that survives.
const SURVIVOR: DatacenterId = DatacenterId(1);

fn ms(millis: u64) -> Offset {
    Offset::from_millis(millis)
}

fn span(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn stable(millis: u64) -> Stable {
    Stable { length: span(millis), share: 1.0 }
}

/// Cut at 1 s, confirmed 2 ms later.
fn cut_at_one_second() -> Marks {
    Marks {
        started: Offset::ZERO,
        cut_issued: Some(ms(1000)),
        cut_confirmed: Some(ms(1002)),
        ..Marks::default()
    }
}

fn sample(seq: u64, sent: u64, took: u64, outcome: Outcome, by: ServedBy) -> Sample {
    let served_by = if outcome.is_good() { by } else { ServedBy::Unnamed };
    Sample {
        seq,
        due: ms(sent),
        sent: ms(sent),
        done: ms(sent + took),
        outcome,
        acknowledged: outcome.is_answered(),
        served_by,
    }
}

const BAD: Outcome = Outcome::Bad(Reason::Refused);
