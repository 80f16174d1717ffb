//! A store: copies of its data in several datacenters, one of them the primary.
//!
//! Writes go to the primary. A *wire* for each other copy fetches them through the gate of the
//! primary's datacenter and delivers them through that of the copy: so a cut ends replication too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, RwLock, watch};
use tokio::time::timeout;

use super::answer::{Identity, check_of, in_query};
use super::balancer::Doors;
use super::copy::{Data, Piece};
use super::serve::serve;
use super::upstream::ask;
use crate::clock::Clock;
use crate::model::{DatacenterId, LabStore, LabStoreTruth, Offset, Replication};

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
    acknowledged: Mutex<BTreeMap<String, Offset>>,
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
            acknowledged: Mutex::default(),
            gave_up: Mutex::default(),
        }
    }

    /// The present term.
    pub(super) fn term(&self) -> Term {
        self.term.borrow().clone()
    }

    /// Notes that the write of `id` was acknowledged in `term`; `false` if that is over, so that
    /// it must not be.
    pub(super) fn acknowledge(&self, id: &str, term: u64) -> bool {
        let now = self.term.borrow();
        if now.number == term {
            let mut acknowledged = self.acknowledged();
            acknowledged.entry(id.to_owned()).or_insert_with(|| self.clock.now());
        }
        now.number == term
    }

    fn acknowledged(&self) -> MutexGuard<'_, BTreeMap<String, Offset>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last instant from `from` until `until` up to which writes waited in vain for a copy.
    pub(super) fn held_until(&self, from: Offset, until: Offset) -> Option<Offset> {
        let gave_up = self.gave_up.lock().unwrap_or_else(PoisonError::into_inner);
        gave_up.iter().copied().rfind(|at| (from..until).contains(at))
    }

    fn copy_in(&self, datacenter: DatacenterId) -> Option<&Copy> {
        self.copies.iter().find(|copy| copy.datacenter() == datacenter)
    }

    /// What was acknowledged so far, and which of it the primary does not have.
    pub(super) fn truth(&self) -> LabStoreTruth {
        let primary = self.term().primary;
        let primary = self.copy_in(primary).map(Copy::data);
        let acknowledged = self.acknowledged();
        let is_lost = |id: &str| primary.as_ref().is_none_or(|data| !data.has(id));
        let mut lost: Vec<(Offset, &String)> =
            acknowledged.iter().filter(|(id, _)| is_lost(id)).map(|(id, &at)| (at, id)).collect();
        lost.sort();
        LabStoreTruth {
            acknowledged: acknowledged.len() as u64,
            first_lost: lost.first().map(|(at, _)| *at),
            last_lost: lost.last().map(|(at, _)| *at),
            lost: lost.into_iter().map(|(_, id)| id.clone()).collect(),
            ..LabStoreTruth::default()
        }
    }

    /// Serves the copy in `datacenter` for ever.
    pub(super) async fn serve(self: Arc<Self>, datacenter: DatacenterId, listener: TcpListener) {
        serve(listener, move |request| {
            let store = self.clone();
            async move { store.answer(datacenter, request).await }
        })
        .await;
    }

    async fn answer(
        &self,
        datacenter: DatacenterId,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let Some(copy) = self.copy_in(datacenter) else {
            return super::answer::own(StatusCode::NOT_FOUND, "no copy stands here".into());
        };
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        if check_of(&head.headers).is_some() {
            return copy.identity.answer(StatusCode::OK);
        }
        if head.headers.contains_key(WIRE) {
            return self.answer_wire(copy, head.uri.query(), &body);
        }
        let term = head.headers.get(TERM).and_then(|value| value.to_str().ok()?.parse().ok());
        if !term.is_some_and(|term| copy.data().leads(term)) {
            return copy.identity.answer(StatusCode::SERVICE_UNAVAILABLE);
        }
        let id = in_query(head.uri.query(), "id");
        match id {
            None if head.uri.path() == "/ids" => {
                let ids = json!(copy.data().ids());
                copy.identity.answer_with(StatusCode::OK, &ids)
            }
            None => copy.identity.answer(StatusCode::OK),
            Some(id) if is_write(&head.method) => {
                let length = copy.data().write(id, self.clock.now());
                self.written.notify_waiters();
                if self.replication == Replication::Sync {
                    self.until_copied(datacenter, length).await;
                }
                copy.identity.answer(StatusCode::CREATED)
            }
            Some(id) if copy.data().has(id) => copy.identity.answer(StatusCode::OK),
            Some(_) => copy.identity.answer(StatusCode::NOT_FOUND),
        }
    }

    /// Waits until every copy that can be reached has the first `length` ids.
    async fn until_copied(&self, primary: DatacenterId, length: usize) {
        let term = self.term().number;
        let mut copied = self.copied.subscribe();
        let enough = copied.wait_for(|copied| {
            let mut others = copied.iter().filter(|(datacenter, _)| **datacenter != primary);
            others.all(|(_, it)| !it.reachable || (it.term == term && it.length >= length))
        });
        // The sender lives as long as the store.
        let _ = enough.await;
    }

    /// Waits until the copy in `datacenter` is known to have `length` ids.
    #[cfg(test)]
    pub(super) async fn until_copy_has(&self, datacenter: DatacenterId, length: usize) {
        let mut copied = self.copied.subscribe();
        let _ = copied.wait_for(|copied| copied[&datacenter].length >= length).await;
    }

    fn answer_wire(&self, copy: &Copy, query: Option<&str>, body: &[u8]) -> Response<Full<Bytes>> {
        let number = |key| in_query(query, key).and_then(|value| value.parse::<u64>().ok());
        if !body.is_empty() {
            let followed = serde_json::from_slice::<Piece>(body)
                .is_ok_and(|piece| copy.data().follow(&piece, self.clock.now()));
            let status = if followed { StatusCode::OK } else { StatusCode::CONFLICT };
            return copy.identity.answer(status);
        }
        let (Some(term), Some(from), Some(until)) =
            (number("term"), number("from"), number("until"))
        else {
            return copy.identity.answer(StatusCode::BAD_REQUEST);
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let piece = copy.data().piece(term, from, Offset::from_nanos(until));
        match piece.and_then(|piece| serde_json::to_value(piece).ok()) {
            Some(piece) => copy.identity.answer_with(StatusCode::OK, &piece),
            None => copy.identity.answer(StatusCode::CONFLICT),
        }
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
        let length = from + piece.ids.len();
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
        if !in_order {
            // Nobody waits for the one that was lost, until it answers a wire again.
            self.copied.send_modify(|copied| {
                copied.entry(term.primary).and_modify(|lost| lost.reachable = false);
            });
            return self.begin(to);
        }
        let Ok(_turn) = timeout(HAND_OVER, term.turn.write()).await else { return false };
        let carried = timeout(WIRE_TIMEOUT, self.carry(to, Some(self.clock.now()))).await;
        let has = |id| self.copy_in(id).map(|copy| copy.data().len());
        carried == Ok(true) && has(to) == has(term.primary) && self.begin(to)
    }

    fn begin(&self, to: DatacenterId) -> bool {
        let Some(copy) = self.copy_in(to) else { return false };
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
