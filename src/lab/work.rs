//! The capacity of a replica: how many requests it works on at once, how long each takes, and how
//! slow it is while its cache is cold.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::model::{LabCold, LabService, LabStrain, Offset};

/// Instants closer together than this are counted as one.
const GRAIN: Duration = Duration::from_millis(10);

/// When requests of a service met the limits of its replicas.
#[derive(Debug, Default)]
pub(super) struct Strains(Mutex<Vec<(Offset, LabStrain)>>);

impl Strains {
    fn add(&self, at: Offset, add: impl Fn(&mut LabStrain)) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match log.last_mut() {
            Some((first, strain)) if at < first.plus(GRAIN) => add(strain),
            _ => {
                let mut strain = LabStrain::default();
                add(&mut strain);
                log.push((at, strain));
            }
        }
    }

    /// The sum from `from` until `until`, to within a hundredth of a second.
    pub(super) fn between(&self, from: Offset, until: Offset) -> LabStrain {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = log.iter().filter(|(at, _)| (from..until).contains(at));
        within.fold(LabStrain::default(), |sum, (_, strain)| LabStrain {
            refused: sum.refused + strain.refused,
            left: sum.left + strain.left,
            cold: sum.cold + strain.cold,
        })
    }
}

/// Where requests wait, and are worked on.
#[derive(Debug)]
pub(super) struct Desk {
    takes: Duration,
    cold: Option<LabCold>,
    seats: Option<Semaphore>,
    queue: u32,
    waiting: AtomicU32,
    served: AtomicU32,
    strains: Arc<Strains>,
    clock: Clock,
}

/// The right to be worked on.
pub(super) struct Seat<'d>(#[expect(dead_code, reason = "held")] Option<SemaphorePermit<'d>>);

impl Desk {
    /// The desk of a replica of `service`.
    pub(super) fn new(service: &LabService, strains: Arc<Strains>, clock: Clock) -> Desk {
        Desk {
            takes: service.takes,
            cold: service.cold,
            seats: service.at_once.map(|count| Semaphore::new(count as usize)),
            queue: service.queue,
            waiting: AtomicU32::new(0),
            served: AtomicU32::new(0),
            strains,
            clock,
        }
    }

    /// Waits for a seat; `None` when too many are waiting already.
    pub(super) async fn sit(&self) -> Option<Seat<'_>> {
        let Some(seats) = &self.seats else { return Some(Seat(None)) };
        if let Ok(seat) = seats.try_acquire() {
            return Some(Seat(Some(seat)));
        }
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= self.queue {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            self.strains.add(self.clock.now(), |strain| strain.refused += 1);
            return None;
        }
        let mut waiting = Waiting { desk: self, seated: false };
        let seat = seats.acquire().await.ok();
        waiting.seated = seat.is_some();
        Some(Seat(Some(seat?)))
    }

    /// Does the work of one request.
    pub(super) async fn work(&self) {
        let cold = self.cold.filter(|cold| self.served.load(Ordering::SeqCst) < cold.requests);
        if cold.is_some() {
            self.strains.add(self.clock.now(), |strain| strain.cold += 1);
        }
        let takes = cold.map_or(self.takes, |cold| cold.takes);
        if !takes.is_zero() {
            self.clock.sleep_until(self.clock.now().plus(takes)).await;
        }
        // Only up to the number that matters, so that it never wraps.
        if cold.is_some() {
            self.served.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A request in the queue; dropped before its turn when its client goes away.
struct Waiting<'d> {
    desk: &'d Desk,
    seated: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.desk.waiting.fetch_sub(1, Ordering::SeqCst);
        if !self.seated {
            self.desk.strains.add(self.desk.clock.now(), |strain| strain.left += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn desk(service: LabService) -> Desk {
        Desk::new(&service, Arc::default(), Clock::start())
    }

    fn strain(desk: &Desk) -> LabStrain {
        desk.strains.between(Offset::ZERO, Offset::from_nanos(u64::MAX))
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_find_no_seat_wait_and_those_that_find_no_place_are_refused() {
        let service = LabService { at_once: Some(1), queue: 1, ..BTreeMap::new().into() };
        let desk = desk(service);
        let first = desk.sit().await.expect("a seat");
        let second = desk.sit();
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(desk.sit().await.is_none(), "the queue is full");
        drop(first);
        assert!(second.await.is_some());
        assert_eq!(strain(&desk), LabStrain { refused: 1, left: 0, cold: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_leaves_its_place_to_another() {
        let service = LabService { at_once: Some(1), queue: 1, ..BTreeMap::new().into() };
        let desk = desk(service);
        let _seat = desk.sit().await;
        for _ in 0..3 {
            let mut waiting = Box::pin(desk.sit());
            assert!(futures_util::poll!(&mut waiting).is_pending());
        }
        assert_eq!(strain(&desk), LabStrain { refused: 0, left: 3, cold: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_cold_replica_is_slow_until_it_has_served_enough() {
        let millis = Duration::from_millis;
        let service = LabService {
            takes: millis(10),
            cold: Some(LabCold { takes: millis(200), requests: 2 }),
            ..BTreeMap::new().into()
        };
        let desk = desk(service);
        let mut took = Vec::new();
        for _ in 0..4 {
            let start = desk.clock.now();
            desk.work().await;
            took.push(desk.clock.now().since(start) >= millis(200));
        }
        assert_eq!(took, [true, true, false, false]);
        assert_eq!(strain(&desk).cold, 2);
    }
}
