//! The gate: which fault is in force, and the proof that it is.
//!
//! Every piece of data is written under a read lock on the state. So when [`Gate::cut`] has had the
//! write lock, no write of the old state is under way and none can begin: that is the confirmation,
//! and it costs the same with ten connections as with ten thousand.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::listener::{Door, Handle};
use super::registry::Registry;
use super::toxic::{Stream, Toxic, Toxics};
use super::traffic::{Tally, Traffic};

/// How a cut looks to a client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Packets vanish: open connections hang, new ones are never answered.
    Blackhole,
    /// Open connections get a RST at both ends, new ones are refused.
    Reset,
    /// Open connections go on until they end, new ones are refused.
    Drain,
    /// Everything passes, but badly.
    Degrade(Degradation),
}

/// What sick network gear does to the data in each direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Degradation {
    /// Delay of every piece of data, in each direction; it does not limit the throughput.
    pub latency: Duration,
    /// The delay varies evenly by up to this much either way; order is kept.
    pub jitter: Duration,
    /// The share of pieces, 0 to 1, that arrive a retransmission time-out (200 ms or more) late,
    /// and hold up what is behind them. TCP loses no data, only time.
    pub loss: f64,
    /// Limit in bytes per second, for each connection and direction.
    pub bandwidth: Option<u64>,
}

/// What passed the gate during the fault in force, or, while it is open, during the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections that were open when the fault came, or were tried since. Where the kernel
    /// answers alone, as it does for refused ones, tries cannot be seen and are not counted; those
    /// that vanish are counted by packet, so a client that tries again counts again.
    pub connections: u64,
    /// Bytes that passed in either direction since the fault was confirmed.
    pub bytes: u64,
}

/// The way to one datacenter, shared by all listeners that lead there. Copies are the same gate.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

impl Gate {
    /// A gate that is open and has no listeners yet.
    pub fn new() -> Gate {
        Gate { shared: Arc::new(Shared::new()) }
    }

    /// Puts `fault` in force, whatever was before, and returns when it is.
    ///
    /// From then on no byte passes (blackhole, reset), no new connection is served (drain), or
    /// every byte is treated (degrade). After a reset, every connection that was open has been reset.
    ///
    /// # Errors
    /// When a listener cannot be stopped. Open connections are cut by then; call again.
    pub async fn cut(&self, fault: Fault) -> io::Result<()> {
        self.shared.change(Some(fault)).await
    }

    /// Ends the fault in force and returns when the listeners accept and forward again.
    ///
    /// Held connections go on where they stopped.
    ///
    /// # Errors
    /// When a listener cannot be started. It counts as cut as before; call again.
    pub async fn open(&self) -> io::Result<()> {
        self.shared.change(None).await
    }

    /// The fault in force; none while the gate is open.
    pub fn fault(&self) -> Option<Fault> {
        self.shared.pass().fault
    }

    /// Whether it was ever turned: whether any fault was ever in force.
    pub fn was_turned(&self) -> bool {
        self.shared.pass().epoch > 0
    }

    /// What passed during the fault in force, or during the last one.
    pub fn counters(&self) -> Counters {
        let vanished = match self.fault() {
            Some(Fault::Blackhole) => self.shared.vanished(),
            _ => 0,
        };
        Counters {
            connections: self.shared.connections.load(Ordering::Relaxed) + vanished,
            bytes: self.shared.bytes.load(Ordering::Relaxed),
        }
    }

    /// Replaces the toxics, for new and for open connections: from here on no byte is read that they do not treat. Those
    /// of the same id go on where they are; what one that is gone held back is let go, in order. They work in the order
    /// of the list, and ids grow along it.
    pub fn set_toxics(&self, toxics: Vec<Toxic>) {
        self.shared.set_toxics(toxics);
    }

    /// What passed since the gate was made, whatever was in force.
    pub fn traffic(&self) -> Traffic {
        self.shared.tally.read(self.shared.links.len() as u64)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("fault", &self.fault()).finish_non_exhaustive()
    }
}

/// The fault in force, and how many changes there were: a connection tells by it that what it
/// scheduled belongs to an earlier fault.
#[derive(Debug)]
pub(super) struct State {
    pub fault: Option<Fault>,
    pub epoch: u64,
    pub toxics: Toxics,
}

/// What the gate, its listeners and its connections have in common.
pub(super) struct Shared {
    state: RwLock<State>,
    /// One change at a time, so that two cuts cannot leave half the listeners each way.
    changing: tokio::sync::Mutex<()>,
    pub links: Registry,
    listeners: Mutex<Vec<Arc<Handle>>>,
    emptied: Notify,
    connections: AtomicU64,
    bytes: AtomicU64,
    tally: Tally,
    /// All bytes that ever passed: shows a test whether one passed that should not have.
    #[cfg(test)]
    pub ever: AtomicU64,
}

impl Shared {
    fn new() -> Shared {
        Shared {
            state: RwLock::new(State { fault: None, epoch: 0, toxics: Toxics::default() }),
            changing: tokio::sync::Mutex::new(()),
            links: Registry::default(),
            listeners: Mutex::default(),
            emptied: Notify::new(),
            connections: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            tally: Tally::default(),
            #[cfg(test)]
            ever: AtomicU64::new(0),
        }
    }

    /// The state, which cannot change while the guard lives. Hold it across each write and never
    /// across an await.
    pub fn pass(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes that were read.
    pub fn received(&self, stream: Stream, bytes: usize) {
        self.tally.received(stream, bytes);
    }

    /// Counts bytes that passed under `state`.
    pub fn count(&self, state: &State, stream: Stream, bytes: usize) {
        self.tally.sent(stream, bytes);
        #[cfg(test)]
        self.ever.fetch_add(bytes as u64, Ordering::SeqCst);
        if state.fault.is_some() {
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Registers a new connection and says where.
    pub fn link_opened(&self) -> usize {
        let state = self.pass();
        if state.fault.is_some() {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
        self.tally.opened();
        self.links.insert()
    }

    /// Forgets a connection that ended.
    pub fn link_closed(&self, slot: usize) {
        if self.links.remove(slot) == 0 {
            self.emptied.notify_waiters();
        }
    }

    /// Adds a listener and brings it into the state of the gate.
    pub async fn listener_opened(&self, handle: Arc<Handle>) -> io::Result<()> {
        let _turn = self.changing.lock().await;
        let fault = self.pass().fault;
        self.listeners().push(Arc::clone(&handle));
        handle.turn(Door::during(fault)).await
    }

    /// Forgets a listener.
    pub fn listener_closed(&self, handle: &Arc<Handle>) {
        self.listeners().retain(|other| !Arc::ptr_eq(other, handle));
    }

    async fn change(&self, to: Option<Fault>) -> io::Result<()> {
        let _turn = self.changing.lock().await;
        // Asked for while the listeners still let them vanish.
        let was = self.pass().fault;
        let vanished = if was == Some(Fault::Blackhole) { self.vanished() } else { 0 };
        let before = self.switch(to);
        let turned = self.turn_listeners(Door::during(to)).await;
        if turned.is_err() && to.is_none() {
            // It is still said to be cut, or nobody would open it again.
            self.switch(before);
        }
        if needs_waking(before, to) {
            self.links.wake_all();
        }
        if to == Some(Fault::Reset) {
            self.wait_until_empty().await;
        }
        if to.is_none() {
            self.connections.fetch_add(vanished, Ordering::Relaxed);
        } else {
            self.bytes.store(0, Ordering::Relaxed);
        }
        turned
    }

    /// Sets the state, and gives the fault that was in force. From here on nothing is written
    /// under the old state, nor is any such write still under way.
    pub fn switch(&self, to: Option<Fault>) -> Option<Fault> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let before = state.fault;
        state.fault = to;
        state.epoch += 1;
        if to.is_some() {
            self.connections.store(self.links.len() as u64, Ordering::Relaxed);
        }
        before
    }

    fn set_toxics(&self, toxics: Vec<Toxic>) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).toxics.replace(toxics);
        self.links.wake_all();
    }

    async fn turn_listeners(&self, door: Door) -> io::Result<()> {
        let handles: Vec<Arc<Handle>> = self.listeners().clone();
        let turns = handles.iter().map(|handle| handle.turn(door));
        let results = futures_util::future::join_all(turns).await;
        results.into_iter().collect()
    }

    async fn wait_until_empty(&self) {
        loop {
            let notified = self.emptied.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.links.len() == 0 {
                return;
            }
            notified.await;
        }
    }

    fn vanished(&self) -> u64 {
        self.listeners().iter().map(|handle| handle.vanished()).sum()
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Handle>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether idle connections have something to do about a change. What moves sees it anyway.
fn needs_waking(from: Option<Fault>, to: Option<Fault>) -> bool {
    match (from, to) {
        (_, Some(Fault::Reset)) => true,
        (_, Some(Fault::Blackhole)) => false,
        (Some(Fault::Blackhole | Fault::Reset | Fault::Degrade(_)), _) => true,
        (None | Some(Fault::Drain), _) => false,
    }
}
