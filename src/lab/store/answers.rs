//! What the copies of a store answer: to clients through the balancer, to those that stand beside a copy, and to wires.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde_json::json;

use super::{Copy, Store, TERM, WIRE, is_write};
use crate::lab::answer::{check_of, in_query, own};
use crate::lab::copy::Piece;
use crate::model::{DatacenterId, Offset, Replication, SplitBrain};

/// As whose primary a copy answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// As the primary of the present term.
    Primary,
    /// As the one of an earlier term, which does not know that it was replaced.
    Deposed,
}

impl Store {
    pub(super) async fn answer(
        &self,
        datacenter: DatacenterId,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let Some(copy) = self.copy_in(datacenter) else {
            return own(StatusCode::NOT_FOUND, "no copy stands here".into());
        };
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        if check_of(&head.headers).is_some() {
            return copy.identity.answer(StatusCode::OK);
        }
        if head.headers.contains_key(WIRE) {
            return self.answer_wire(copy, head.uri.query(), &body);
        }
        let Some(term) = head.headers.get(TERM) else {
            return self.answer_beside(copy, &head.method, &head.uri).await;
        };
        let term = term.to_str().ok().and_then(|term| term.parse().ok());
        if !term.is_some_and(|term| copy.data().leads(term)) {
            return copy.identity.answer(StatusCode::SERVICE_UNAVAILABLE);
        }
        self.answer_as(As::Primary, copy, &head.method, &head.uri).await
    }

    /// Answers a client that stands beside the copy, and asks it and no other.
    async fn answer_beside(
        &self,
        copy: &Copy,
        method: &Method,
        uri: &Uri,
    ) -> Response<Full<Bytes>> {
        let (term, turn) = self.turn().await;
        let write = in_query(uri.query(), "id").filter(|_| is_write(method));
        if copy.data().leads(term) {
            let response = self.answer_as(As::Primary, copy, method, uri).await;
            drop(turn);
            let Some(id) = write else { return response };
            // Replaced meanwhile: where no copy fences itself it does not know, and says that it has it.
            return match self.acknowledge(id, term) || self.acknowledge_deposed(copy, id) {
                true => response,
                false => copy.identity.answer(StatusCode::SERVICE_UNAVAILABLE),
            };
        }
        drop(turn);
        if self.split_brain.is_none() || !copy.data().is_primary() {
            return copy.identity.answer(StatusCode::MISDIRECTED_REQUEST);
        }
        let response = self.answer_as(As::Deposed, copy, method, uri).await;
        if let Some(id) = write {
            self.acknowledge_deposed(copy, id);
        }
        response
    }

    /// Notes that a copy which does not know that it was replaced acknowledged the write of `id`; `false` where copies
    /// fence themselves, so that it must not.
    fn acknowledge_deposed(&self, copy: &Copy, id: &str) -> bool {
        let is_split = self.split_brain.is_some();
        if is_split {
            // Never locked while the data are.
            let term = self.term().number;
            self.promised.acknowledge(id, self.clock.now());
            if !copy.data().leads(term) {
                self.promised.by_deposed();
            }
        }
        is_split
    }

    async fn answer_as(
        &self,
        role: As,
        copy: &Copy,
        method: &Method,
        uri: &Uri,
    ) -> Response<Full<Bytes>> {
        let query = uri.query();
        if *method == Method::DELETE {
            return self.remove(role, copy, in_query(query, "prefix")).await;
        }
        match in_query(query, "id") {
            None if uri.path() == "/ids" => self.list(copy, in_query(query, "prefix")),
            None => copy.identity.answer(StatusCode::OK),
            Some(id) if is_write(method) => {
                let length = self.promised.store(&mut copy.data(), id, self.clock.now());
                self.until_copied_as(role, copy, length).await;
                copy.identity.answer(StatusCode::CREATED)
            }
            Some(id) => copy.identity.answer(match self.finds(copy, id) {
                true => StatusCode::OK,
                false => StatusCode::NOT_FOUND,
            }),
        }
    }

    fn finds(&self, copy: &Copy, id: &str) -> bool {
        let data = copy.data();
        let finds = data.had(id, self.promised.as_of(self.clock.now()));
        if !finds && data.has(id) {
            self.promised.read_stale();
        }
        finds
    }

    fn list(&self, copy: &Copy, prefix: Option<&str>) -> Response<Full<Bytes>> {
        let (data, now) = (copy.data(), self.clock.now());
        let prefix = prefix.unwrap_or_default();
        let ids = data.ids(prefix, self.promised.as_of(now));
        if ids.len() < data.ids(prefix, now).len() {
            self.promised.read_stale();
        }
        copy.identity.answer_with(StatusCode::OK, &json!(ids))
    }

    async fn remove(&self, role: As, copy: &Copy, prefix: Option<&str>) -> Response<Full<Bytes>> {
        // Nobody means everything by saying nothing.
        let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) else {
            return copy.identity.answer(StatusCode::BAD_REQUEST);
        };
        let length = self.promised.remove(&mut copy.data(), prefix, self.clock.now());
        self.until_copied_as(role, copy, length).await;
        copy.identity.answer(StatusCode::OK)
    }

    /// Waits for the other copies, where the store does so. A deposed primary has none left to wait for.
    async fn until_copied_as(&self, role: As, copy: &Copy, length: usize) {
        self.written.notify_waiters();
        if self.replication == Replication::Sync && role == As::Primary {
            self.until_copied(copy.datacenter(), length).await;
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
    pub(in crate::lab) async fn until_copy_has(&self, datacenter: DatacenterId, length: usize) {
        let mut copied = self.copied.subscribe();
        let _ = copied.wait_for(|copied| copied[&datacenter].length >= length).await;
    }

    fn answer_wire(&self, copy: &Copy, query: Option<&str>, body: &[u8]) -> Response<Full<Bytes>> {
        let number = |key| in_query(query, key).and_then(|value| value.parse::<u64>().ok());
        if !body.is_empty() {
            // One that wins when it is back follows nobody until then.
            let wins =
                self.split_brain == Some(SplitBrain::OldWins) && self.is_deposed(copy.datacenter());
            let followed = serde_json::from_slice::<Piece>(body)
                .is_ok_and(|piece| !wins && copy.data().follow(piece, self.clock.now()));
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
}
