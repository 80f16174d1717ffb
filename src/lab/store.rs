//! A store: copies of its data in several datacenters, one of them the primary.
//!
//! Writes go to the primary. A *wire* for each other copy fetches them through the gate of the
//! primary's datacenter and delivers them through that of the copy: so a cut ends replication too.

mod answers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock, watch};
use tokio::time::timeout;

use super::answer::Identity;
use super::balancer::Doors;
use super::copy::{Data, Piece};
use super::promised::Promised;
use super::serve::serve;
use super::upstream::ask;
use crate::clock::Clock;
use crate::model::{DatacenterId, LabStore, LabStoreTruth, Offset, Replication, SplitBrain};

/// The header field with the number of the term in which the balancer sent a request.
pub(super) const TERM: &str = "x-lab-term";
/// The header field that makes a request one of a wire.
const WIRE: &str = "x-lab-wire";
/// How long a wire waits for an answer, and so how long a synchronous store waits for a copy that
/// does not answer any more.
const WIRE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a primary's requests may take to end when it hands over.
const HAND_OVER: Duration = Duration::from_millis(500);
/// How often a wire looks for something new.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The time for which one copy is the primary.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) number: u64,
    primary: DatacenterId,
    /// Held by each request while it lasts, and by the hand-over.
    pub(super) turn: Arc<RwLock<()>>,
}

/// One copy and how it is reached.
#[derive(Debug)]
struct Copy {
    identity: Identity,
    doors: Doors,
    data: Mutex<Data>,
    /// One delivery at a time.
    wire: tokio::sync::Mutex<()>,
}

impl Copy {
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn datacenter(&self) -> DatacenterId {
        self.identity.datacenter
    }
}

/// What a copy is known to have of the primary's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Copied {
    term: u64,
    length: usize,
    reachable: bool,
}

/// A running store.
#[derive(Debug)]
pub(super) struct Store {
    clock: Clock,
    replication: Replication,
    copies: Vec<Copy>,
    term: watch::Sender<Term>,
    copied: watch::Sender<BTreeMap<DatacenterId, Copied>>,
    written: Notify,
    promised: Promised,
    split_brain: Option<SplitBrain>,
    /// The primary that was replaced while it could not be reached, until it is the primary again.
    deposed: Mutex<Option<DatacenterId>>,
    /// When writes stopped waiting for a copy that did not answer.
    gave_up: Mutex<Vec<Offset>>,
}

impl Store {
    /// A store with a copy behind each of `doors`.
    pub(super) fn new(spec: &LabStore, doors: Vec<(Identity, Doors)>, clock: Clock) -> Store {
        let copied = Copied { term: 0, length: 0, reachable: true };
        let copied = doors.iter().map(|(identity, _)| (identity.datacenter, copied)).collect();
        let copies = doors.into_iter().map(|(identity, doors)| {
            let mut data = Data::default();
            if identity.datacenter == spec.primary {
                data.lead(0);
            }
            Copy { identity, doors, data: Mutex::new(data), wire: tokio::sync::Mutex::default() }
        });
        Store {
            clock,
            replication: spec.replication,
            copies: copies.collect(),
            term: watch::Sender::new(Term {
                number: 0,
                primary: spec.primary,
                turn: Arc::default(),
            }),
            copied: watch::Sender::new(copied),
            written: Notify::new(),
            promised: Promised::new(spec.faults),
            split_brain: spec.faults.split_brain,
            deposed: Mutex::default(),
            gave_up: Mutex::default(),
        }
    }

    /// The present term.
    pub(super) fn term(&self) -> Term {
        self.term.borrow().clone()
    }

    /// The present term, held: while it is, no other copy takes over in order.
    pub(super) async fn turn(&self) -> (u64, OwnedRwLockReadGuard<()>) {
        loop {
            let term = self.term();
            let turn = term.turn.clone().read_owned().await;
            if self.term().number == term.number {
                return (term.number, turn);
            }
        }
    }

    /// Notes that the write of `id` was acknowledged in `term`; `false` if that is over, so that
    /// it must not be.
    pub(super) fn acknowledge(&self, id: &str, term: u64) -> bool {
        let now = self.term.borrow();
        if now.number == term {
            self.promised.acknowledge(id, self.clock.now());
        }
        now.number == term
    }

    /// The last instant from `from` until `until` up to which writes waited in vain for a copy.
    pub(super) fn held_until(&self, from: Offset, until: Offset) -> Option<Offset> {
        let gave_up = self.gave_up.lock().unwrap_or_else(PoisonError::into_inner);
        gave_up.iter().copied().rfind(|at| (from..until).contains(at))
    }

    fn copy_in(&self, datacenter: DatacenterId) -> Option<&Copy> {
        self.copies.iter().find(|copy| copy.datacenter() == datacenter)
    }

    /// What was acknowledged so far, and what became of it.
    pub(super) fn truth(&self) -> LabStoreTruth {
        let primary = self.copy_in(self.term().primary).map(Copy::data);
        self.promised.truth(primary.as_deref())
    }

    /// Serves the copy in `datacenter` for ever.
    pub(super) async fn serve(self: Arc<Self>, datacenter: DatacenterId, listener: TcpListener) {
        serve(listener, move |request| {
            let store = self.clone();
            async move { store.answer(datacenter, request).await }
        })
        .await;
    }

    /// Carries the primary's writes to the copy in `datacenter` for ever.
    pub(super) async fn wire(self: Arc<Self>, datacenter: DatacenterId) {
        let lag = match self.replication {
            Replication::Async(lag) => lag,
            Replication::Sync => Duration::ZERO,
        };
        loop {
            let written = self.written.notified();
            let until = self.clock.now().as_nanos().checked_sub(lag.as_nanos() as u64);
            self.carry(datacenter, until.map(Offset::from_nanos)).await;
            // With a lag there is no hurry, and without one every write is waited for.
            match lag.is_zero() {
                true => drop(timeout(LOOK_EVERY, written).await),
                false => self.clock.sleep_until(self.clock.now().plus(LOOK_EVERY)).await,
            }
        }
    }

    /// Brings what was written up to `until` to the copy in `to`. `false` when it did not arrive.
    async fn carry(&self, to: DatacenterId, until: Option<Offset>) -> bool {
        let term = self.term();
        let (Some(copy), Some(primary)) = (self.copy_in(to), self.copy_in(term.primary)) else {
            return false;
        };
        let (false, Some(until)) = (to == term.primary, until) else { return true };
        let _one = copy.wire.lock().await;
        let before = self.copied.borrow().get(&to).copied().filter(|it| it.term == term.number);
        let from = before.map_or(0, |before| before.length);
        let Some(piece) = fetch(primary.doors, term.number, from, until).await else {
            return false;
        };
        let length = from + piece.entries.len();
        if before.is_some_and(|before| before.length == length && before.reachable) {
            return true;
        }
        let delivered = deliver(copy.doors, &piece).await;
        let waited_for = before.is_some_and(|before| before.reachable);
        if self.replication == Replication::Sync && waited_for && !delivered {
            let mut gave_up = self.gave_up.lock().unwrap_or_else(PoisonError::into_inner);
            gave_up.push(self.clock.now());
        }
        self.copied.send_modify(|copied| {
            let it = copied.entry(to).or_insert(Copied { term: 0, length: 0, reachable: false });
            it.reachable = delivered;
            if delivered {
                (it.term, it.length) = (term.number, length);
            }
        });
        delivered
    }

    /// Makes the copy in `to` the primary: from one that can still be reached (`in_order`) only
    /// when `to` has all of its data, else with what it has. `false` when that did not succeed.
    pub(super) async fn promote(&self, to: DatacenterId, in_order: bool) -> bool {
        let term = self.term();
        if self.split_brain == Some(SplitBrain::OldWins) && self.is_deposed(to) {
            // What was written elsewhere meanwhile is dropped when that copy hears of it.
            return self.begin(to);
        }
        if !in_order {
            // Nobody waits for the one that was lost, until it answers a wire again.
            self.copied.send_modify(|copied| {
                copied.entry(term.primary).and_modify(|lost| lost.reachable = false);
            });
            let begun = self.begin(to);
            *self.deposed() = begun.then_some(term.primary);
            return begun;
        }
        let Ok(_turn) = timeout(HAND_OVER, term.turn.write()).await else { return false };
        let carried = timeout(WIRE_TIMEOUT, self.carry(to, Some(self.clock.now()))).await;
        let has = |id| self.copy_in(id).map(|copy| copy.data().len());
        carried == Ok(true) && has(to) == has(term.primary) && self.begin(to)
    }

    fn deposed(&self) -> MutexGuard<'_, Option<DatacenterId>> {
        self.deposed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_deposed(&self, datacenter: DatacenterId) -> bool {
        *self.deposed() == Some(datacenter)
    }

    fn begin(&self, to: DatacenterId) -> bool {
        let Some(copy) = self.copy_in(to) else { return false };
        *self.deposed() = None;
        self.term.send_modify(|term| {
            let number = term.number + 1;
            copy.data().lead(number);
            *term = Term { number, primary: to, turn: Arc::default() };
        });
        true
    }
}

/// Whether a request of `method` writes.
pub(super) fn is_write(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT)
}

async fn fetch(from: Doors, term: u64, place: usize, until: Offset) -> Option<Piece> {
    let path = format!("/?term={term}&from={place}&until={}", until.as_nanos());
    let mut request = Request::get(path).body(Empty::<Bytes>::new()).ok()?;
    request.headers_mut().insert(WIRE, HeaderValue::from_static("fetch"));
    let answer = timeout(WIRE_TIMEOUT, ask(from.gate, request)).await.ok()?.ok()?;
    if answer.status() != StatusCode::OK {
        return None;
    }
    let Ok(body) = answer.into_body().collect().await;
    serde_json::from_slice(&body.to_bytes()).ok()
}

async fn deliver(to: Doors, piece: &Piece) -> bool {
    let Ok(body) = serde_json::to_string(piece) else { return false };
    let mut request = Request::new(Full::<Bytes>::from(body));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(WIRE, HeaderValue::from_static("deliver"));
    let answer = timeout(WIRE_TIMEOUT, ask(to.gate, request)).await;
    matches!(answer, Ok(Ok(answer)) if answer.status() == StatusCode::OK)
}
