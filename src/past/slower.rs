//! Whether a drill is shown to be slower than those before it.

use std::time::Duration;

use super::history::{FEWEST, passed, rank};
use crate::model::{Shown, Summary, Why};

/// The longest recovery that a history explains by chance: beyond the third quartile by half as much again as lies
/// between the quartiles, Tukey's inner fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Three of four were at most so long.
    pub p75: Duration,
    /// Longer ones are outside of it.
    pub limit: Duration,
}

/// The fence of the sorted `highs`; `None` where they are fewer than [`FEWEST`].
pub fn fence(highs: &[Duration]) -> Option<Fence> {
    if highs.len() < FEWEST {
        return None;
    }
    let (p25, p75) = (rank(highs, 1)?, rank(highs, 3)?);
    let limit = p75.saturating_add(p75.saturating_sub(p25).saturating_mul(3) / 2);
    Some(Fence { p75, limit })
}

/// What stands against `last` after `earlier` drills that are like it: it certainly took longer than the longest that their
/// high bounds explain by chance, or that cannot be told.
///
/// Its low bound is what counts, since the truth may be there: a coarse `every` does not make a drill slow.
pub fn slower<'a>(last: &Summary, earlier: impl Iterator<Item = &'a Summary>) -> Option<Why> {
    let Some(recovery) = last.recovery().filter(|recovery| recovery.high.is_some()) else {
        let text = "the recovery time of its last drill was not measured to its end";
        return Some(Why::new("not-measured", text));
    };
    let highs = passed(earlier);
    let count = highs.len();
    match fence(&highs) {
        None => {
            let text = format!(
                "whether it got slower cannot be told: too few earlier drills like it passed ({count} of the {FEWEST} needed)"
            );
            Some(Why::new("too-few", text))
        }
        Some(fence) if recovery.low > fence.limit => {
            let text = format!(
                "it is slower than its history allows: recovery took at least {}; of the {count} earlier drills like it that passed three of four took at most {}, and more than {} is not explained by how they vary",
                Shown(recovery.low),
                Shown(fence.p75),
                Shown(fence.limit)
            );
            Some(Why::new("slower", text))
        }
        Some(_) => None,
    }
}
