//! Callers that are not served: they have not said what they want, or not shown that they may, or wait for a place, or have
//! had their answer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Where callers wait. There is room for the latest strangers, and for the latest of those who are known: whoever of a kind has
/// waited longest is sent away, so that nobody who says nothing keeps others out, and no stranger those who are known.
pub(super) struct Lobby {
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    strangers: VecDeque<Arc<Seat>>,
    /// Those who have shown that they may ask.
    known: VecDeque<Arc<Seat>>,
}

#[derive(Default)]
struct Seat {
    told: Notify,
    /// Being told is remembered after it has come to nothing; this is not. It is changed by whoever holds the lobby.
    has_to_go: AtomicBool,
}

/// A caller, who begins in the lobby.
pub(super) struct Guest {
    lobby: Arc<Lobby>,
    seat: Arc<Seat>,
}

impl Lobby {
    /// One with room for so many of each kind.
    pub fn new(most: usize) -> Lobby {
        Lobby { most, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, seat: &Arc<Seat>, is_known: bool) {
        let mut waiting = self.waiting();
        waiting.leave(seat);
        let queue = if is_known { &mut waiting.known } else { &mut waiting.strangers };
        queue.push_back(Arc::clone(seat));
        if queue.len() > self.most
            && let Some(first) = queue.pop_front()
        {
            first.has_to_go.store(true, Ordering::Release);
            first.told.notify_one();
        }
    }

    fn leave(&self, seat: &Arc<Seat>) {
        self.waiting().leave(seat);
    }
}

impl Waiting {
    /// Whoever is to be sent away and has not gone yet may stay: he has said what he wants.
    fn leave(&mut self, seat: &Arc<Seat>) {
        self.strangers.retain(|it| !Arc::ptr_eq(it, seat));
        self.known.retain(|it| !Arc::ptr_eq(it, seat));
        seat.has_to_go.store(false, Ordering::Release);
    }
}

impl Guest {
    /// Somebody comes, a stranger.
    pub fn new(lobby: &Arc<Lobby>) -> Guest {
        let seat = Arc::default();
        lobby.enter(&seat, false);
        Guest { lobby: Arc::clone(lobby), seat }
    }

    /// He has shown that he may ask, and waits for a place; or he has what he wanted, and may want more.
    pub fn waits_as_known(&self) {
        self.lobby.enter(&self.seat, true);
    }

    /// He is served, and may stay until that is done.
    pub fn is_served(&self) {
        self.lobby.leave(&self.seat);
    }

    /// Ends when he has to go; never while he is served.
    pub async fn sent_away(&self) {
        loop {
            self.seat.told.notified().await;
            if self.seat.has_to_go.load(Ordering::Acquire) {
                return;
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.lobby.leave(&self.seat);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn has_to_go(guest: &Guest) -> bool {
        guest.sent_away().now_or_never().is_some()
    }

    #[test]
    fn whoever_has_waited_longest_goes_and_nobody_who_is_served() {
        let lobby = Arc::new(Lobby::new(2));
        let come = || Guest::new(&lobby);
        let (first, second, third) = (come(), come(), come());
        assert!(has_to_go(&first), "the third is one too many");
        second.is_served();
        let (fourth, fifth) = (come(), come());
        assert!(!has_to_go(&second) && has_to_go(&third) && !has_to_go(&fourth));
        drop(fourth);
        let sixth = come();
        assert!(!has_to_go(&fifth) && !has_to_go(&sixth), "there is room for two");
    }

    #[test]
    fn whoever_is_served_after_all_is_not_sent_away_for_what_was_before() {
        let lobby = Arc::new(Lobby::new(1));
        let (late, _other) = (Guest::new(&lobby), Guest::new(&lobby));
        late.is_served();
        assert!(!has_to_go(&late));
        let (late, _other) = (Guest::new(&lobby), Guest::new(&lobby));
        late.is_served();
        late.waits_as_known();
        assert!(!has_to_go(&late), "he was told as a stranger");
        let other = Guest::new(&lobby);
        other.waits_as_known();
        assert!(has_to_go(&late) && !has_to_go(&other));
    }

    #[test]
    fn strangers_do_not_push_out_who_is_known() {
        let lobby = Arc::new(Lobby::new(2));
        let known = Guest::new(&lobby);
        known.waits_as_known();
        let strangers: Vec<Guest> = (0..5).map(|_| Guest::new(&lobby)).collect();
        assert!(!has_to_go(&known));
        assert_eq!(strangers.iter().filter(|it| has_to_go(it)).count(), 3);
        strangers.iter().take(2).for_each(Guest::waits_as_known);
        assert!(has_to_go(&known), "of those who are known he has waited longest");
        let waiting = lobby.waiting();
        assert_eq!((waiting.strangers.len(), waiting.known.len()), (2, 2));
    }
}
