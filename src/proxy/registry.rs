//! The open connections of a gate: how many, and how to wake them all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// A slot for each connection. 16 bytes each, because there are many.
#[derive(Default)]
pub(super) struct Registry {
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Slots {
    fn len(&self) -> usize {
        self.wakers.len() - self.free.len()
    }
}

impl Registry {
    /// Takes a slot.
    pub fn insert(&self) -> usize {
        let mut slots = self.slots();
        match slots.free.pop() {
            Some(slot) => slot,
            None => {
                slots.wakers.push(None);
                slots.wakers.len() - 1
            }
        }
    }

    /// Says whom to wake for `slot`. The task looks at the state after this and not before, or it
    /// would miss a change between the two.
    pub fn enlist(&self, slot: usize, waker: &Waker) {
        if let Some(entry) = self.slots().wakers.get_mut(slot) {
            *entry = Some(waker.clone());
        }
    }

    /// Frees `slot`, and gives the number of connections left.
    pub fn remove(&self, slot: usize) -> usize {
        let mut slots = self.slots();
        if let Some(entry) = slots.wakers.get_mut(slot) {
            *entry = None;
            slots.free.push(slot);
        }
        if slots.len() == 0 {
            // A burst of connections must not hold its memory for ever.
            *slots = Slots::default();
        }
        slots.len()
    }

    /// The number of open connections.
    pub fn len(&self) -> usize {
        self.slots().len()
    }

    /// Wakes every connection that enlisted. One that has not yet run sees the state when it does.
    pub fn wake_all(&self) {
        let wakers: Vec<Waker> = self.slots().wakers.iter().flatten().cloned().collect();
        for waker in wakers {
            waker.wake();
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
