//! One connection: connect to the target, then carry data both ways until both have ended.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use super::flow::Flow;
use super::gate::Fault;
use super::listener::Origin;
use super::socket;
use super::toxic::Stream;

/// Where connections lead.
pub(super) enum Target {
    Address(SocketAddr),
    /// `HOST:PORT`, looked up for each connection.
    Name(String),
}

impl Target {
    pub fn parse(to: String) -> io::Result<Target> {
        if let Ok(address) = to.parse() {
            return Ok(Target::Address(address));
        }
        match to.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Target::Name(to))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it does not lead to HOST:PORT, such as 127.0.0.1:8080",
            )),
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = match self {
            Target::Address(address) => TcpStream::connect(address).await?,
            Target::Name(name) => TcpStream::connect(name).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A connection, as a task. Kept small: an idle one holds two sockets and no buffer.
pub(super) struct Link {
    enlisted: bool,
    client: TcpStream,
    server: Server,
    up: Flow,
    down: Flow,
    /// Last: it is given back when the sockets are closed.
    ticket: Ticket,
}

enum Server {
    Connecting(Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>),
    Connected(TcpStream),
}

/// The place of a connection in the gate's registry, given back whichever way it ends.
struct Ticket {
    origin: Arc<Origin>,
    slot: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.origin.shared.link_closed(self.slot);
        self.origin.link_closed();
    }
}

impl Link {
    /// Registers the connection at once, so that a cut that comes now already waits for it.
    pub fn new(client: TcpStream, origin: Arc<Origin>) -> Link {
        let slot = origin.shared.link_opened();
        origin.link_opened();
        let to = Arc::clone(&origin);
        Link {
            ticket: Ticket { origin, slot },
            enlisted: false,
            client,
            server: Server::Connecting(Box::pin(async move { to.target.connect().await })),
            up: Flow::new(Stream::Upstream),
            down: Flow::new(Stream::Downstream),
        }
    }

    /// Closes both sides by RST.
    fn reset(&self) {
        socket::reset_on_close(&self.client);
        if let Server::Connected(server) = &self.server {
            socket::reset_on_close(server);
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &self.ticket.origin.shared;
        if let Server::Connecting(connect) = &mut self.server {
            if shared.pass().fault == Some(Fault::Blackhole) {
                return Poll::Pending; // the gate wakes us when it opens
            }
            self.server = Server::Connected(std::task::ready!(connect.as_mut().poll(cx))?);
        }
        let Server::Connected(server) = &mut self.server else { return Poll::Pending };
        let _ = self.up.poll(cx, &mut self.client, server, shared, self.down.is_done())?;
        if !self.up.closes() {
            let _ = self.down.poll(cx, server, &mut self.client, shared, self.up.is_done())?;
        }
        if self.up.closes() || self.down.closes() {
            socket::close_gently(&self.client);
            socket::close_gently(server);
            return Poll::Ready(Ok(()));
        }
        if self.up.is_done() && self.down.is_done() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Future for Link {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let link = self.get_mut();
        let origin = &link.ticket.origin;
        if !link.enlisted {
            // Once is enough: the waker of a task stays the same.
            origin.shared.links.enlist(link.ticket.slot, cx.waker());
            link.enlisted = true;
        }
        if origin.closed.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if origin.shared.pass().fault == Some(Fault::Reset) {
            link.reset();
            return Poll::Ready(());
        }
        match link.advance(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) => {
                // Refused by the target, or reset by either side: the other side shall see it too.
                link.reset();
                Poll::Ready(())
            }
        }
    }
}
