//! How many connections are in use, and who gets the next one.
//!
//! The newest first. While a server hangs, writes wait in line until their time-outs; the oldest has no time left to log in
//! when the server is back, nor has the next: served in turn, each would connect in vain, and the recovery would never be seen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{Sender, channel};

/// So many of a thing at a time.
pub(super) struct Permits(Mutex<Line>);

struct Line {
    free: usize,
    /// The oldest in front.
    waiting: VecDeque<Sender<Permit>>,
}

/// One of them. Dropped, it goes to the one who began to wait last.
pub(super) struct Permit(Arc<Permits>);

impl Permits {
    pub(super) fn new(count: usize) -> Arc<Permits> {
        Arc::new(Permits(Mutex::new(Line { free: count, waiting: VecDeque::new() })))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one.
    pub(super) async fn take(self: &Arc<Self>) -> Permit {
        loop {
            let given = {
                let mut line = self.line();
                if line.free > 0 {
                    line.free -= 1;
                    return Permit(self.clone());
                }
                // Whoever waits longest gives up first: the line is no longer than those who wait.
                while line.waiting.front().is_some_and(Sender::is_closed) {
                    line.waiting.pop_front();
                }
                let (give, given) = channel();
                line.waiting.push_back(give);
                given
            };
            if let Ok(permit) = given.await {
                return permit;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let newest = {
            let mut line = self.0.line();
            while line.waiting.back().is_some_and(Sender::is_closed) {
                line.waiting.pop_back();
            }
            let newest = line.waiting.pop_back();
            line.free += usize::from(newest.is_none());
            newest
        };
        if let Some(newest) = newest {
            // One who gives up just now gives it on by dropping it.
            let _ = newest.send(Permit(self.0.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_newest_who_still_waits_is_next_and_none_gets_lost() {
        let permits = Permits::new(1);
        let first = permits.take().await;
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(permits.take())).collect();
        assert!(waiting.iter_mut().all(|it| it.as_mut().now_or_never().is_none()));
        // The newest gives up, and so does the oldest.
        drop(waiting.pop());
        drop(waiting.remove(0));
        drop(first);
        assert!(waiting[0].as_mut().now_or_never().is_none());
        let second = waiting[1].as_mut().now_or_never().unwrap();
        drop(waiting.pop());
        drop(second);
        // Given to one who gives up before it looks.
        drop(waiting);
        let third = permits.take().now_or_never().unwrap();
        assert!(permits.take().now_or_never().is_none());
        drop(third);
        let line = permits.line();
        assert_eq!((line.free, line.waiting.len()), (1, 0));
    }
}
