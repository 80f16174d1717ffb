//! Names to addresses, as the system is set up for it but without a cache.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;

use super::PrepareError;
use super::connector::LookUpError;
use crate::model::DnsProbe;

/// The system's resolver.
pub(super) struct Resolver {
    resolver: TokioResolver,
    servers: Vec<IpAddr>,
}

impl Resolver {
    /// Reads the system's settings.
    pub(super) fn from_system() -> Result<Self, PrepareError> {
        let unusable = |error: NetError| {
            PrepareError::new(
                format!("the system's resolver settings cannot be used: {error}"),
                "mend /etc/resolv.conf",
            )
        };
        let (config, mut options) = match read_system_conf() {
            Ok(settings) => settings,
            // As the C library does it: then the resolver is expected on this machine.
            Err(NetError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
                (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
            }
            Err(error) => return Err(unusable(error)),
        };
        // A cached answer would hide that the DNS has not failed over, or cannot be asked.
        options.cache_size = 0;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let servers = config.name_servers().iter().map(|server| server.ip).collect();
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        Ok(Resolver { resolver: builder.build().map_err(unusable)?, servers })
    }

    /// The servers that are asked, in the system's order.
    pub(super) fn servers(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| SocketAddr::new(*server, DnsProbe::PORT)).collect()
    }

    /// The addresses of `host`, IPv4 first.
    pub(super) async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, LookUpError> {
        if let Some(known) = known_without_asking(host) {
            return Ok(known);
        }
        let found = self.resolver.lookup_ip(host).await.map_err(|error| self.explain(error))?;
        let mut found: Vec<_> = found.iter().collect();
        found.sort_by_key(IpAddr::is_ipv6);
        Ok(found)
    }

    fn explain(&self, error: NetError) -> LookUpError {
        if matches!(error, NetError::Dns(_)) {
            let none = error.is_nx_domain() || error.is_no_records_found();
            return if none {
                LookUpError::NotFound
            } else {
                LookUpError::Failed(error.to_string())
            };
        }
        // The library tells failures of sending no further apart ("no connections available"), so our
        // kernel is asked itself.
        if let Some(error) = no_way_to(&self.servers) {
            return LookUpError::Io(error);
        }
        match error {
            NetError::Timeout => LookUpError::TimedOut,
            other => LookUpError::Failed(other.to_string()),
        }
    }
}

/// Why nothing can be sent to any of `servers` from here; `None` if there is a way to one. Sends nothing.
fn no_way_to(servers: &[IpAddr]) -> Option<io::Error> {
    let mut why = None;
    for &server in servers {
        let from: IpAddr = match server {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let way = UdpSocket::bind(SocketAddr::new(from, 0))
            .and_then(|socket| socket.connect(SocketAddr::new(server, 53)));
        match way {
            Ok(()) => return None,
            Err(error) => why = Some(error),
        }
    }
    why
}

/// The addresses of IP literals and of `localhost`.
pub(super) fn known_without_asking(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Some(vec![address]);
    }
    host.eq_ignore_ascii_case("localhost")
        .then(|| vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)])
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

    #[test]
    fn there_is_a_way_to_this_machine_and_one_is_enough() {
        assert!(no_way_to(&[Ipv4Addr::LOCALHOST.into()]).is_none());
        // A broadcast address is one that the kernel refuses to send to.
        assert!(no_way_to(&[Ipv4Addr::BROADCAST.into()]).is_some());
        assert!(no_way_to(&[Ipv4Addr::BROADCAST.into(), Ipv4Addr::LOCALHOST.into()]).is_none());
    }
}
