//! The one way out: look-ups and connections of every probe.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};

use super::PrepareError;
use super::look_up::Resolver;

/// Everything that connects for a probe goes through it; tests and simulations give their own.
pub trait Connector: Send + Sync + 'static {
    /// The addresses of `host`, in the order in which they are to be tried. Nothing is remembered
    /// from one call to the next.
    ///
    /// # Errors
    /// When the name has no address, or nobody could be asked.
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookUpError>>;

    /// Opens a connection.
    ///
    /// # Errors
    /// As the system gives them: their numbers decide between bad and unknown.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;

    /// The DNS servers that the system asks, in its order. A simulation may have none.
    fn name_servers(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// Opens a way for datagrams to and from `to`, and nobody else.
    ///
    /// # Errors
    /// As for [`Connector::connect`]. A simulation may have none.
    fn datagrams(&self, _to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        async { Err(io::ErrorKind::Unsupported.into()) }.boxed()
    }
}

/// Datagrams to one address and back.
pub trait Datagrams: Send + Sync {
    /// Sends one.
    ///
    /// # Errors
    /// As the system gives them.
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;

    /// The next one that comes.
    ///
    /// # Errors
    /// As the system gives them: also that the other side refused what was sent.
    fn receive(&self) -> BoxFuture<'_, io::Result<Vec<u8>>>;
}

/// An open connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why a name has no address.
#[derive(Debug)]
pub enum LookUpError {
    /// The resolver says that there is no such name, or that it has no address.
    NotFound,
    /// The resolver failed or made no sense.
    Failed(String),
    /// The resolver did not answer within its own time-out.
    TimedOut,
    /// The resolver could not be asked.
    Io(io::Error),
}

impl fmt::Display for LookUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookUpError::NotFound => f.write_str("no such name"),
            LookUpError::Failed(why) => write!(f, "the resolver failed: {why}"),
            LookUpError::TimedOut => f.write_str("the resolver did not answer"),
            LookUpError::Io(error) => write!(f, "the resolver could not be asked: {error}"),
        }
    }
}

impl std::error::Error for LookUpError {}

/// The machine's own network: tokio's TCP, and name look-ups as the system is set up for them, but
/// without a cache. The hosts file and the resolver's settings are read once.
pub struct SystemConnector {
    resolver: Resolver,
}

impl SystemConnector {
    /// A connector with the system's resolver settings. One is enough for a drill.
    ///
    /// # Errors
    /// When `/etc/resolv.conf` is there and makes no sense. Without one, the resolver is expected
    /// on this machine, as the C library does it.
    pub fn from_system() -> Result<Self, PrepareError> {
        Ok(SystemConnector { resolver: Resolver::from_system()? })
    }
}

impl Connector for SystemConnector {
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookUpError>> {
        self.resolver.look_up(host).boxed()
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            let stream = TcpStream::connect(to).await?;
            // Else the request would wait for the acknowledgement of the TLS handshake.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    }

    fn name_servers(&self) -> Vec<SocketAddr> {
        self.resolver.servers()
    }

    fn datagrams(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        async move {
            let from: IpAddr = match to {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind(SocketAddr::new(from, 0)).await?;
            // Nobody else can answer then, and a server that is not there says so.
            socket.connect(to).await?;
            Ok(Box::new(socket) as Box<dyn Datagrams>)
        }
        .boxed()
    }
}

impl Datagrams for UdpSocket {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        async move { UdpSocket::send(self, bytes).await.map(drop) }.boxed()
    }

    fn receive(&self) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        async move {
            // No datagram is longer.
            let mut bytes = vec![0; usize::from(u16::MAX)];
            let length = self.recv(&mut bytes).await?;
            bytes.truncate(length);
            Ok(bytes)
        }
        .boxed()
    }
}
