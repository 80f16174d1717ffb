//! The system under test: an HTTP balancer in front of the replicas of one service.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::faults::LabFaults;
use super::pool::Pool;
use super::serve::serve;
use super::upstream::{NoAnswer, ask};
use crate::clock::Clock;
use crate::model::{BalancerSpec, LabChange, Offset};

/// How long a replica may take to answer. Clients give up earlier, as they do elsewhere.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a check asks for.
const HEALTH: &str = "/health";

/// The addresses of a replica.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doors {
    /// Through the gate of its datacenter.
    pub(super) gate: SocketAddr,
    /// Around it: only a lab that leaks goes there.
    pub(super) side: SocketAddr,
}

/// The balancer of one service. What it decides and what it logs of it happen under one lock, so
/// that the log is the truth.
#[derive(Debug)]
pub(super) struct Balancer {
    spec: BalancerSpec,
    clock: Clock,
    faults: Arc<LabFaults>,
    /// One for each member of the pool.
    doors: Vec<Doors>,
    pool: Mutex<Pool>,
    changes: watch::Sender<Vec<LabChange>>,
    requests: AtomicU64,
}

impl Balancer {
    /// A balancer over `pool`, whose members stand behind `doors`.
    pub(super) fn new(
        spec: BalancerSpec,
        clock: Clock,
        faults: Arc<LabFaults>,
        pool: Pool,
        doors: Vec<Doors>,
    ) -> Balancer {
        let changes = watch::Sender::new(Vec::new());
        let (pool, requests) = (Mutex::new(pool), AtomicU64::new(0));
        Balancer { spec, clock, faults, doors, pool, changes, requests }
    }

    /// The pool, locked.
    pub(super) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes so far, and notice of every further one.
    pub(super) fn changes(&self) -> watch::Receiver<Vec<LabChange>> {
        self.changes.subscribe()
    }

    /// Answers clients on `listener` for ever.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        serve(listener, move |request| {
            let balancer = self.clone();
            async move { balancer.answer(request).await }
        })
        .await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some((index, to)) = self.pick() else {
            return own(StatusCode::SERVICE_UNAVAILABLE, "no replica is in".into());
        };
        match timeout(ANSWER_TIMEOUT, ask(to, request)).await {
            Ok(Ok(response)) => {
                self.pool().answered(index, self.clock.now());
                response
            }
            Ok(Err(error)) => own(StatusCode::BAD_GATEWAY, format!("no answer: {error}")),
            Err(_) => own(StatusCode::GATEWAY_TIMEOUT, "no answer in time".into()),
        }
    }

    fn pick(&self) -> Option<(usize, SocketAddr)> {
        let nth = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut pool = self.pool();
        if let Some(index) = self.faults.leaks(nth).and_then(|leak| pool.pick_from(leak)) {
            return Some((index, self.doors.get(index)?.side));
        }
        let index = pool.pick()?;
        Some((index, self.doors.get(index)?.gate))
    }

    /// Checks replica `index` for ever, at fixed instants: the first at `due`.
    pub(super) async fn check(self: Arc<Self>, index: usize, mut due: Offset) {
        let Some(doors) = self.doors.get(index).copied() else { return };
        loop {
            self.clock.sleep_until(due).await;
            let passed = timeout(self.spec.check_timeout, healthy(doors.gate)).await;
            let passed = matches!(passed, Ok(Ok(true)));
            self.checked(index, passed);
            due = next_due(due, self.spec.check_every, self.clock.now());
        }
    }

    fn checked(&self, index: usize, passed: bool) {
        // The pool's lock spans the change, its instant and its entry in the log.
        let mut pool = self.pool();
        if let Some(change) = pool.checked(index, passed, self.clock.now()) {
            self.changes.send_modify(|changes| changes.push(change));
        }
    }
}

async fn healthy(to: SocketAddr) -> Result<bool, NoAnswer> {
    let request = Request::get(HEALTH).body(Empty::<Bytes>::new())?;
    Ok(ask(to, request).await?.status() == StatusCode::OK)
}

/// When the check after the one at `due` is due, which ended at `now`: at the next instant of the
/// schedule. One that has only just passed still counts, so that a check that used its whole
/// period does not cost the next one.
fn next_due(due: Offset, every: Duration, now: Offset) -> Offset {
    let every = every.max(Duration::from_millis(1));
    let grace = every / 4;
    let mut next = due.plus(every);
    let late = now.since(next.plus(grace));
    if !late.is_zero() {
        let skipped = late.as_nanos().div_ceil(every.as_nanos());
        next = next.plus(every.saturating_mul(u32::try_from(skipped).unwrap_or(u32::MAX)));
    }
    next
}

/// An answer of the balancer itself.
fn own(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text + "\n"));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_stay_on_schedule_whatever_one_of_them_takes() {
        let every = Duration::from_millis(100);
        let next = |now| next_due(Offset::from_millis(1000), every, Offset::from_millis(now));
        for (ended, expected) in
            [(1001, 1100), (1099, 1100), (1102, 1100), (1125, 1100), (1126, 1200), (1930, 2000)]
        {
            assert_eq!(next(ended), Offset::from_millis(expected), "ended at {ended}");
        }
    }
}
