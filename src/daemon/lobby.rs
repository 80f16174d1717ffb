//! Callers that are not served: they have not said what they want, or not shown that they may, or have had their answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Where callers wait. There is room for the latest of them: whoever has waited longest is sent away, so that nobody who says
/// nothing keeps others out.
pub(super) struct Lobby {
    most: usize,
    waiting: Mutex<VecDeque<Arc<Notify>>>,
}

/// A caller, who begins in the lobby.
pub(super) struct Guest {
    lobby: Arc<Lobby>,
    sent_away: Arc<Notify>,
}

impl Lobby {
    /// One with room for so many.
    pub fn new(most: usize) -> Lobby {
        Lobby { most, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, guest: &Arc<Notify>) {
        let mut waiting = self.waiting();
        waiting.push_back(Arc::clone(guest));
        if waiting.len() > self.most
            && let Some(first) = waiting.pop_front()
        {
            first.notify_one();
        }
    }

    fn leave(&self, guest: &Arc<Notify>) {
        self.waiting().retain(|it| !Arc::ptr_eq(it, guest));
    }
}

impl Guest {
    /// Somebody comes.
    pub fn new(lobby: &Arc<Lobby>) -> Guest {
        let sent_away = Arc::default();
        lobby.enter(&sent_away);
        Guest { lobby: Arc::clone(lobby), sent_away }
    }

    /// He is served, and may stay until that is done.
    pub fn is_served(&self) {
        self.lobby.leave(&self.sent_away);
    }

    /// He has what he wanted, and may want more.
    pub fn waits_again(&self) {
        self.lobby.enter(&self.sent_away);
    }

    /// Ends when he has to go.
    pub async fn sent_away(&self) {
        self.sent_away.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.lobby.leave(&self.sent_away);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whoever_has_waited_longest_goes_and_nobody_who_is_served() {
        let lobby = Arc::new(Lobby::new(2));
        let come = || Guest::new(&lobby);
        let has_to_go = |guest: &Guest| guest.sent_away().now_or_never().is_some();
        let (served, first, second) = (come(), come(), come());
        assert!(has_to_go(&served), "the third is one too many");
        let served = come();
        assert!(has_to_go(&first));
        served.is_served();
        let (third, fourth) = (come(), come());
        assert!(has_to_go(&second) && !has_to_go(&served) && !has_to_go(&third));
        drop(fourth);
        served.waits_again();
        assert!(!has_to_go(&served) && !has_to_go(&third), "there is room for two");
        let _fifth = come();
        assert!(has_to_go(&third) && !has_to_go(&served), "it came back after the third");
        assert_eq!(lobby.waiting().len(), 2);
    }
}
