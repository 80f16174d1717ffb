//! The one way out: look-ups and connections of every probe.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

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
}
