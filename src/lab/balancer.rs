//! The system under test: an HTTP balancer in front of the replicas of one service.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::answer::{CHECK, check_of, check_value, in_query, own};
use super::faults::LabFaults;
use super::pool::Pool;
use super::serve::serve;
use super::store::{Store, TERM, is_write};
use super::upstream::{NoAnswer, ask};
use crate::clock::Clock;
use crate::model::{BalancerSpec, DatacenterId, LabActor, LabChange, LabCheck, LabSwitch, Offset};

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

/// The balancer of one service or store. What it decides and what it logs of it happen under one
/// lock, so that the log is the truth.
#[derive(Debug)]
pub(super) struct Balancer {
    spec: BalancerSpec,
    check: LabCheck,
    clock: Clock,
    faults: Arc<LabFaults>,
    /// One for each member of the pool.
    doors: Vec<Doors>,
    pool: Mutex<Pool>,
    changes: watch::Sender<Vec<LabChange>>,
    switches: Mutex<Vec<LabSwitch>>,
    requests: AtomicU64,
    /// The store behind it, if it is one's.
    store: Option<Arc<Store>>,
    /// Told when checks change their mind.
    noticed: Notify,
    /// One switch-over at a time.
    switching: tokio::sync::Mutex<()>,
    /// Whether an operator decides which datacenter is active, and not the controller.
    by_hand: AtomicBool,
}

impl Balancer {
    /// A balancer over `pool`, whose members stand behind `doors`.
    pub(super) fn new(
        spec: BalancerSpec,
        check: LabCheck,
        clock: Clock,
        faults: Arc<LabFaults>,
        pool: Pool,
        doors: Vec<Doors>,
    ) -> Balancer {
        Balancer {
            spec,
            check,
            clock,
            faults,
            doors,
            pool: Mutex::new(pool),
            changes: watch::Sender::new(Vec::new()),
            switches: Mutex::default(),
            requests: AtomicU64::new(0),
            store: None,
            noticed: Notify::new(),
            switching: tokio::sync::Mutex::default(),
            by_hand: AtomicBool::new(false),
        }
    }

    /// In front of `store`.
    pub(super) fn over(self, store: Arc<Store>) -> Balancer {
        Balancer { store: Some(store), ..self }
    }

    /// The store behind it.
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_deref()
    }

    /// The pool, locked.
    pub(super) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes so far, and notice of every further one.
    pub(super) fn changes(&self) -> watch::Receiver<Vec<LabChange>> {
        self.changes.subscribe()
    }

    /// Which datacenters were made active so far, and by whom.
    pub(super) fn switches(&self) -> MutexGuard<'_, Vec<LabSwitch>> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it looks at the world.
    pub(super) fn every(&self) -> Duration {
        self.spec.check_every.max(Duration::from_millis(1))
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
        match &self.store {
            Some(store) if check_of(request.headers()).is_none() => {
                self.answer_in_turn(store, request).await
            }
            _ => self.forward(request).await,
        }
    }

    /// Forwards a request to a store within one term of its primary.
    async fn answer_in_turn(
        &self,
        store: &Store,
        mut request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let (term, _turn) = store.turn().await;
        request.headers_mut().insert(TERM, HeaderValue::from(term));
        let id = in_query(request.uri().query(), "id").filter(|_| is_write(request.method()));
        let id = id.map(str::to_owned);
        let response = self.forward(request).await;
        match id {
            // The primary changed meanwhile, and the new one may not have it.
            Some(id) if response.status().is_success() && !store.acknowledge(&id, term) => {
                own(StatusCode::SERVICE_UNAVAILABLE, "the primary changed meanwhile".into())
            }
            _ => response,
        }
    }

    async fn forward(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let is_check = check_of(request.headers()).is_some();
        let Some((index, to)) = self.pick() else {
            return own(StatusCode::SERVICE_UNAVAILABLE, "no replica is in".into());
        };
        match timeout(ANSWER_TIMEOUT, ask(to, request)).await {
            Ok(Ok(response)) => {
                if !is_check {
                    self.pool().answered(index, self.clock.now());
                }
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
            let passed = self.passes(doors, self.check).await;
            self.checked(index, passed);
            due = next_due(due, self.spec.check_every, self.clock.now());
        }
    }

    async fn passes(&self, doors: Doors, check: LabCheck) -> bool {
        let passed = timeout(self.spec.check_timeout, healthy(doors.gate, check)).await;
        matches!(passed, Ok(Ok(true)))
    }

    fn checked(&self, index: usize, passed: bool) {
        // The pool's lock spans the change, its instant and its entry in the log.
        let mut pool = self.pool();
        if let Some(change) = pool.checked(index, passed, self.clock.now()) {
            self.changes.send_modify(|changes| changes.push(change));
        }
        self.noticed.notify_one();
    }

    /// Whether any replica in `datacenter` answers now.
    pub(super) async fn reaches(&self, datacenter: DatacenterId) -> bool {
        let doors: Vec<Doors> = {
            let pool = self.pool();
            let members = pool.members().iter().zip(&self.doors);
            let there = members.filter(|(member, _)| member.datacenter == datacenter);
            there.map(|(_, doors)| *doors).collect()
        };
        let asked = doors.into_iter().map(|doors| self.passes(doors, LabCheck::Up));
        join_all(asked).await.contains(&true)
    }

    /// The first datacenter behind `from`, in the plan's order and round again, that answers now.
    pub(super) async fn next_reachable(&self, from: DatacenterId) -> Option<DatacenterId> {
        let others = self.pool().others(from);
        for other in others {
            if self.reaches(other).await {
                return Some(other);
            }
        }
        None
    }

    /// Whether an operator has taken it over.
    pub(super) fn is_by_hand(&self) -> bool {
        self.by_hand.load(Ordering::SeqCst)
    }

    /// Says whether an operator has it.
    pub(super) fn set_by_hand(&self, by_hand: bool) {
        self.by_hand.store(by_hand, Ordering::SeqCst);
    }

    /// Makes `to` active. `false` when that did not succeed and should be tried again.
    pub(super) async fn activate(&self, to: DatacenterId, by: LabActor) -> bool {
        let _one = self.switching.lock().await;
        let Some(from) = self.pool().active() else { return false };
        if from == to {
            return true;
        }
        if by == LabActor::Controller && self.is_by_hand() {
            return false;
        }
        if let Some(store) = &self.store
            && !store.promote(to, self.reaches(from).await).await
        {
            return false;
        }
        let mut pool = self.pool();
        let at = self.clock.now();
        let moved = pool.activate(to, at);
        self.switches().push(LabSwitch { at, datacenter: pool.name(to), by });
        self.changes.send_modify(|changes| changes.extend(moved));
        true
    }

    /// Keeps the first datacenter that its checks call well active, for ever.
    pub(super) async fn switch_by_health(self: Arc<Self>) {
        loop {
            let _ = timeout(self.every(), self.noticed.notified()).await;
            let wanted = {
                let pool = self.pool();
                let (Some(home), Some(active)) = (pool.home(), pool.active()) else { return };
                let first = [home, active].into_iter().find(|id| pool.is_well(*id));
                let others = || pool.others(active).into_iter().find(|id| pool.is_well(*id));
                first.or_else(others)
            };
            if let Some(wanted) = wanted {
                self.activate(wanted, LabActor::HealthChecks).await;
            }
        }
    }
}

async fn healthy(to: SocketAddr, check: LabCheck) -> Result<bool, NoAnswer> {
    let mut request = Request::get(HEALTH).body(Empty::<Bytes>::new())?;
    request.headers_mut().insert(CHECK, check_value(check));
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
