//! What was asked at a provider, and answered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Exchange, printable};

/// Of more exchanges than this in one act, the first and the newest are kept.
const KEPT: usize = 256;

/// The exchanges of one control since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<VecDeque<Exchange>>);

/// A request that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked(Instant);

impl Asked {
    /// Something begins now.
    pub(super) fn now() -> Asked {
        Asked(Instant::now())
    }

    /// What is left of `all`, since then.
    pub(super) fn left_of(self, all: Duration) -> Duration {
        all.saturating_sub(self.elapsed())
    }

    /// How long ago that was.
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

impl Log {
    /// A request goes out now.
    pub(super) fn ask(&self) -> Asked {
        Asked::now()
    }

    /// Its answer is there, or it is known that there is none. Neither of the texts may hold a secret.
    pub(super) fn answer(&self, asked: Asked, request: &str, answer: &str) {
        let exchange = Exchange {
            asked: printable(request.trim_end()),
            answered: printable(answer.trim_end()),
            took: asked.elapsed(),
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            // The first is what an act began with, and the newest are how it ended.
            kept.remove(1);
        }
        kept.push_back(exchange);
    }

    /// Takes what was asked since the last time.
    pub(super) fn take(&self) -> Vec<Exchange> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *kept).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_newest_are_kept_and_steer_no_terminal() {
        let log = Log::default();
        for number in 0..KEPT + 10 {
            log.answer(log.ask(), &format!("GET /{number}"), "200\u{1b}[2J\n");
        }
        let kept = log.take();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].asked, "GET /0");
        assert_eq!(kept[KEPT - 1].asked, format!("GET /{}", KEPT + 9));
        assert!(!kept[0].answered.contains('\u{1b}'), "{:?}", kept[0]);
        assert!(log.take().is_empty());
    }
}
