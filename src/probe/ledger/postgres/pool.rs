//! Connections to the servers: kept where the plan wants it, never more than it allows, and given up when an answer is
//! outstanding.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_postgres::Client;

use super::permits::{Permit, Permits};
use super::servers::{Failed, Servers, Session};
use crate::model::ServedBy;

/// A statement that was given up is called off at the server, for as long as this.
const CALL_OFF: Duration = Duration::from_secs(1);

/// Connections of one kind.
pub(super) struct Pool {
    servers: Servers,
    /// One for each connection that is in use. There are no more kept than were ever in use.
    in_use: Arc<Permits>,
    idle: Mutex<Vec<Session>>,
    keeps: bool,
}

impl Pool {
    /// At most `most` connections to `servers`.
    pub(super) fn new(servers: Servers, most: usize, keeps: bool) -> Arc<Pool> {
        Arc::new(Pool { servers, in_use: Permits::new(most), idle: Mutex::default(), keeps })
    }

    /// A connection to use alone.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Lent, Failed> {
        let permit = self.in_use.take().await;
        let session = match self.kept() {
            Some(session) => session,
            None => self.servers.open().await?,
        };
        Ok(Lent { pool: self.clone(), held: Some((session, permit)) })
    }

    /// The kept connection that was used last and lives, as far as is known.
    fn kept(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(session) = idle.pop() {
            if !session.client.is_closed() {
                return Some(session);
            }
        }
        None
    }

    /// Closes the connections that are kept.
    pub(super) fn forget(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A connection in use. Dropped without being given back, it is closed, and what it may still do is called off.
pub(super) struct Lent {
    pool: Arc<Pool>,
    held: Option<(Session, Permit)>,
}

impl Lent {
    /// Its client.
    pub(super) fn client(&self) -> &Client {
        // Held until it is given back, which takes `self`.
        match &self.held {
            Some((session, _)) => &session.client,
            None => unreachable!("a connection that was given back is not used"),
        }
    }

    /// Which datacenter it leads to: that of the server `by`, if one said so just now.
    pub(super) fn served_by(&self, by: Option<IpAddr>) -> ServedBy {
        match (by, &self.held) {
            (Some(by), _) => self.pool.servers.is_in(by),
            (None, Some((session, _))) => session.served_by,
            (None, None) => ServedBy::Unnamed,
        }
    }

    /// What must not be shown of its settings.
    pub(super) fn hidden(&self) -> &[String] {
        self.pool.servers.hidden()
    }

    /// It has answered everything, and can be used again.
    pub(super) fn give_back(mut self) {
        let Some((session, permit)) = self.held.take() else { return };
        if self.pool.keeps && !session.client.is_closed() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        // Only now may another be opened.
        drop(permit);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some((session, permit)) = self.held.take() else { return };
        session.task.abort();
        let (Ok(runtime), false) = (Handle::try_current(), session.client.is_closed()) else {
            return;
        };
        // A commit that waits for a copy would hold its process at the server until the copy is back.
        let pool = self.pool.clone();
        runtime.spawn(async move {
            let _ = tokio::time::timeout(CALL_OFF, pool.servers.call_off(&session)).await;
            drop(permit);
        });
    }
}
