//! The one way out: look-ups and connections of every probe.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures_util::future::{BoxFuture, FutureExt};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::PrepareError;

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
    resolver: TokioResolver,
}

impl SystemConnector {
    /// A connector with the system's resolver settings. One is enough for a drill.
    ///
    /// # Errors
    /// When `/etc/resolv.conf` is there and makes no sense. Without one, the resolver is expected
    /// on this machine, as the C library does it.
    pub fn from_system() -> Result<Self, PrepareError> {
        let unusable = |error: NetError| {
            PrepareError::new(
                format!("the system's resolver settings cannot be used: {error}"),
                "mend /etc/resolv.conf",
            )
        };
        let mut builder = match TokioResolver::builder_tokio() {
            Ok(builder) => builder,
            Err(NetError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
                TokioResolver::builder_with_config(
                    ResolverConfig::from_name_servers(vec![local]),
                    TokioRuntimeProvider::default(),
                )
            }
            Err(error) => return Err(unusable(error)),
        };
        let options = builder.options_mut();
        // A cached answer would hide that the DNS has not failed over, or cannot be asked.
        options.cache_size = 0;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Ok(SystemConnector { resolver: builder.build().map_err(unusable)? })
    }
}

impl Connector for SystemConnector {
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookUpError>> {
        async move {
            if let Some(known) = known_without_asking(host) {
                return Ok(known);
            }
            let found = self.resolver.lookup_ip(host).await.map_err(look_up_error)?;
            Ok(found.iter().collect())
        }
        .boxed()
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

/// The addresses of IP literals and of `localhost`.
fn known_without_asking(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Some(vec![address]);
    }
    host.eq_ignore_ascii_case("localhost")
        .then(|| vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)])
}

fn look_up_error(error: NetError) -> LookUpError {
    match error {
        _ if error.is_nx_domain() || error.is_no_records_found() => LookUpError::NotFound,
        NetError::Timeout => LookUpError::TimedOut,
        NetError::Io(shared) => LookUpError::Io(match shared.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(shared.kind(), shared.to_string()),
        }),
        other => LookUpError::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_localhost_are_never_asked_for() {
        assert_eq!(known_without_asking("127.0.0.1"), Some(vec![[127, 0, 0, 1].into()]));
        assert_eq!(known_without_asking("::1"), Some(vec![Ipv6Addr::LOCALHOST.into()]));
        assert_eq!(known_without_asking("LocalHost").map(|found| found.len()), Some(2));
        assert_eq!(known_without_asking("example.org"), None);
    }
}
