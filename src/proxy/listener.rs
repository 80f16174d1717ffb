//! A listening address: accepts, refuses or lets vanish, as the gate says.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::gate::{Fault, Gate, Shared};
use super::link::{Link, Target};
use super::{diag, socket};

/// How long to wait when there is no file descriptor or memory left for another connection.
const OUT_OF_RESOURCES_PAUSE: Duration = Duration::from_millis(20);

/// One listening address. Dropping it closes it and its connections.
#[derive(Debug)]
pub struct Proxy {
    gate: Gate,
    handle: Arc<Handle>,
    origin: Arc<Origin>,
    address: SocketAddr,
}

impl Proxy {
    /// Listens at `listen` and forwards to `to` (`HOST:PORT`, looked up for each connection) as
    /// `gate` says. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When `to` is not `HOST:PORT` or the address cannot be bound.
    pub async fn listen(gate: &Gate, listen: SocketAddr, to: String) -> io::Result<Proxy> {
        let target = Target::parse(to)?;
        let socket = socket::bind(listen)?;
        let address = socket.local_addr()?;
        let (orders, inbox) = mpsc::unbounded_channel();
        let handle = Arc::new(Handle {
            orders,
            address,
            inode: diag::inode(&socket),
            drops_before: AtomicU64::new(0),
        });
        let origin = Arc::new(Origin {
            shared: Arc::clone(gate.shared()),
            target,
            closed: AtomicBool::new(false),
            links: AtomicUsize::new(0),
            emptied: Notify::new(),
        });
        let acceptor = Acceptor {
            socket,
            live: None,
            spare: None,
            filtered: false,
            inbox,
            origin: Arc::clone(&origin),
        };
        tokio::spawn(acceptor.run());
        let proxy = Proxy { gate: gate.clone(), handle: Arc::clone(&handle), origin, address };
        gate.shared().listener_opened(handle).await?;
        Ok(proxy)
    }

    /// The address that it listens at, with the port that the system chose if none was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes it as dropping does, and returns when the port is free and the last connection is closed.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.handle.orders.send(Order::Close(Some(done))).is_ok() {
            let _ = closed.await;
        }
        self.origin.wait_until_empty().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.handle.orders.send(Order::Close(None));
        self.gate.shared().listener_closed(&self.handle);
    }
}

/// What a listener does with new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Accepts them.
    Open,
    /// Lets them vanish; where the system cannot, accepts them and holds them.
    Vanish,
    /// Refuses them.
    Refuse,
    /// Serves those that the kernel had accepted for us, and refuses all others.
    Drain,
}

impl Door {
    pub fn during(fault: Option<Fault>) -> Door {
        match fault {
            None | Some(Fault::Degrade(_)) => Door::Open,
            Some(Fault::Blackhole) => Door::Vanish,
            Some(Fault::Reset) => Door::Refuse,
            Some(Fault::Drain) => Door::Drain,
        }
    }
}

enum Order {
    Turn(Door, oneshot::Sender<io::Result<()>>),
    /// Answered when the socket is closed.
    Close(Option<oneshot::Sender<()>>),
}

/// The gate's end of a listener.
#[derive(Debug)]
pub(super) struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    address: SocketAddr,
    inode: u64,
    drops_before: AtomicU64,
}

impl Handle {
    /// Turns the door and returns when it is turned.
    pub async fn turn(&self, door: Door) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        if self.orders.send(Order::Turn(door, done)).is_err() {
            return Ok(()); // it is closed, so it serves nobody
        }
        let turned = answer.await.unwrap_or(Ok(()));
        if door == Door::Vanish {
            // Not before: the kernel tells it only of sockets that listen.
            self.drops_before.store(self.drops(), Ordering::Relaxed);
        }
        turned
    }

    /// How many tries to connect vanished since the door was turned to [`Door::Vanish`].
    pub fn vanished(&self) -> u64 {
        self.drops().saturating_sub(self.drops_before.load(Ordering::Relaxed))
    }

    fn drops(&self) -> u64 {
        diag::drops(self.address, self.inode).unwrap_or(0)
    }
}

/// What the connections of one listener have in common.
pub(super) struct Origin {
    pub shared: Arc<Shared>,
    pub target: Target,
    /// The listener is gone, and its connections are to follow.
    pub closed: AtomicBool,
    links: AtomicUsize,
    emptied: Notify,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("links", &self.links).finish_non_exhaustive()
    }
}

impl Origin {
    pub fn link_opened(&self) {
        self.links.fetch_add(1, Ordering::AcqRel);
    }

    pub fn link_closed(&self) {
        if self.links.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    async fn wait_until_empty(&self) {
        loop {
            let notified = self.emptied.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.links.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// The task that owns the listening socket.
struct Acceptor {
    /// The socket itself, bound as long as the listener lives.
    socket: std::net::TcpListener,
    /// A second descriptor of it, known to the runtime while we listen. It is introduced anew after
    /// each pause, because the runtime never forgets that a socket was shut down.
    live: Option<TcpListener>,
    /// The same descriptor during a pause. It is kept, because a restore may not need a new one.
    spare: Option<std::net::TcpListener>,
    filtered: bool,
    inbox: mpsc::UnboundedReceiver<Order>,
    origin: Arc<Origin>,
}

impl Acceptor {
    async fn run(mut self) {
        let mut rest_until = None;
        let asked = loop {
            tokio::select! {
                biased;
                order = self.inbox.recv() => match order {
                    Some(Order::Turn(door, done)) => { let _ = done.send(self.turn(door)); }
                    Some(Order::Close(done)) => break done,
                    None => break None,
                },
                accepted = accept(self.live.as_ref(), rest_until) => {
                    rest_until = match accepted {
                        Ok(client) => { self.serve(client); None }
                        Err(error) => rest_after(&error),
                    };
                }
            }
        };
        self.origin.closed.store(true, Ordering::Release);
        self.origin.shared.links.wake_all();
        drop((self.live, self.spare, self.socket));
        if let Some(done) = asked {
            let _ = done.send(());
        }
    }

    fn serve(&self, client: TcpStream) {
        if self.filtered {
            // Cloned from the listener in the instant in which the filter came.
            let _ = socket::appear(&client.as_fd());
        }
        tokio::spawn(Link::new(client, Arc::clone(&self.origin)));
    }

    fn turn(&mut self, door: Door) -> io::Result<()> {
        match door {
            Door::Open => {
                self.start()?;
                socket::appear(&self.socket)?;
                self.filtered = false;
            }
            Door::Vanish => {
                // Where it is not allowed, connections are accepted and held instead.
                self.filtered = socket::vanish(&self.socket).is_ok();
                self.start()?;
            }
            Door::Refuse => self.stop()?,
            Door::Drain => {
                self.serve_waiting();
                self.stop()?;
            }
        }
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        if self.live.is_none() {
            let second = match self.spare.take() {
                Some(second) => second,
                None => self.socket.try_clone()?,
            };
            socket::listen(&self.socket)?;
            self.live = Some(TcpListener::from_std(second)?);
        }
        Ok(())
    }

    fn stop(&mut self) -> io::Result<()> {
        if let Some(live) = self.live.take() {
            self.spare = live.into_std().ok();
            socket::pause(&self.socket)?;
        }
        socket::appear(&self.socket)?;
        self.filtered = false;
        Ok(())
    }

    fn serve_waiting(&self) {
        while self.live.is_some() {
            let Ok((client, _)) = self.socket.accept() else { return };
            if client.set_nonblocking(true).is_ok()
                && let Ok(client) = TcpStream::from_std(client)
            {
                self.serve(client);
            }
        }
    }
}

async fn accept(live: Option<&TcpListener>, rest_until: Option<Instant>) -> io::Result<TcpStream> {
    let Some(live) = live else { return std::future::pending().await };
    if let Some(until) = rest_until {
        tokio::time::sleep_until(until).await;
    }
    live.accept().await.map(|(client, _)| client)
}

/// A client that gave up before we accepted it is its own affair. Everything else, such as having
/// no descriptor left, comes again at once if we do.
fn rest_after(error: &io::Error) -> Option<Instant> {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => None,
        _ => Some(Instant::now() + OUT_OF_RESOURCES_PAUSE),
    }
}
