//! What is asked of the DNS: by a `dns` probe, and by probes that connect to a name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DatacenterId, Name, Offset, Text};

/// A question to the DNS and the answer that it must get.
#[derive(Debug, Clone, PartialEq)]
pub struct DnsProbe {
    /// The name, in full.
    pub name: Text,
    /// The type of the records.
    pub record: DnsType,
    /// Who is asked, each `IP` or `IP:PORT`, in order until one answers; empty is the system's resolvers.
    pub servers: Vec<Text>,
    /// Whether an answer must come from the zone itself: nobody is asked to look further, and a copy is wrong.
    pub authority: bool,
    /// Whether TCP is spoken from the start, and not only where an answer does not fit into a datagram.
    pub tcp: bool,
    /// The answer that a user would call right.
    pub expect: DnsExpect,
}

impl DnsProbe {
    /// The port where nothing else is said.
    pub const PORT: u16 = 53;

    /// Every text of it: whatever may hold a placeholder.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        std::iter::once(&self.name).chain(&self.servers)
    }

    /// What is asked, in a few words.
    pub fn asks(&self) -> String {
        let what = format!("DNS {} {}", self.record, self.name);
        let servers: Vec<String> = self.servers.iter().map(Text::to_string).collect();
        if servers.is_empty() { what } else { format!("{what} at {}", servers.join(", ")) }
    }
}

/// The address in `text`, which is `IP` or `IP:PORT`; `None` if it is neither.
pub fn dns_server(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, DnsProbe::PORT)),
        Err(_) => text.parse().ok().filter(|server: &SocketAddr| server.port() != 0),
    }
}

/// The types of records that a probe may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Another name.
    Cname,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// The name of an address.
    Ptr,
    /// Servers of a service.
    Srv,
    /// Text.
    Txt,
}

impl DnsType {
    /// All of them, by what a plan calls them.
    pub const ALL: [(&'static str, DnsType); 8] = [
        ("A", DnsType::A),
        ("AAAA", DnsType::Aaaa),
        ("CNAME", DnsType::Cname),
        ("MX", DnsType::Mx),
        ("NS", DnsType::Ns),
        ("PTR", DnsType::Ptr),
        ("SRV", DnsType::Srv),
        ("TXT", DnsType::Txt),
    ];

    /// Whether its records are addresses.
    pub fn is_address(self) -> bool {
        matches!(self, DnsType::A | DnsType::Aaaa)
    }
}

impl fmt::Display for DnsType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DnsType::ALL.iter().find(|(_, it)| it == self).map_or("?", |(word, _)| word))
    }
}

/// The records that an answer must hold, besides at least one. All of it must be true.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DnsExpect {
    /// For each of these there must be a record.
    pub all_of: Vec<RecordPattern>,
    /// A record of at least one of these; empty asks for none.
    pub any_of: Vec<RecordPattern>,
    /// Every record must be one of these; empty allows all.
    pub only: Vec<RecordPattern>,
}

/// What a record may be.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordPattern {
    /// An address in this network.
    Network(IpNet),
    /// A name or text, with `*` and `?`, whatever its case.
    Words(String),
}

/// How a probe that connects to a name comes to its addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct LookUp {
    /// Who is asked, as for [`DnsProbe::servers`].
    pub servers: Vec<Text>,
    /// For how long an answer is good.
    pub cache: DnsCache,
    /// Whether every address of an answer is asked in each sample. In turn, until one connects, otherwise.
    pub every_address: bool,
    /// The datacenters that the plan cuts: where several answer one sample, an answer of theirs counts.
    pub lost: Vec<DatacenterId>,
}

/// For how long clients go on with an answer of the DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DnsCache {
    /// For none: every new connection asks anew.
    None,
    /// As long as the answer itself says: its shortest TTL.
    Ttl,
    /// For so long, in milliseconds, whatever the answer says.
    #[serde(rename = "for_ms")]
    For(
        #[serde(with = "super::millis")]
        #[schemars(with = "f64")]
        Duration,
    ),
}

/// Which clients a probe stands for, where that is not those that look every name up anew by the system's resolver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cohort {
    /// Its name among the `cohorts` of the plan; `None` for a probe that stands alone.
    pub name: Option<Name>,
    /// For how long an answer of the DNS is kept. `None`: the probe asks the DNS itself, or says nothing of it.
    pub cache: Option<DnsCache>,
    /// The DNS servers that are asked; none are the system's.
    pub servers: Vec<String>,
    /// Whether every address of an answer is asked.
    pub every_address: bool,
    /// When the last request that the cut datacenter answered, or that an answer of the DNS led there, was sent, of those sent
    /// after the cut and before the restore. `None`: there was none.
    #[serde(rename = "last_led_there_ms")]
    pub last_led_there: Option<Offset>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_with_or_without_a_port() {
        let server = |text: &str| dns_server(text).map(|server| server.to_string());
        assert_eq!(server("10.0.0.53").as_deref(), Some("10.0.0.53:53"));
        assert_eq!(server("127.0.0.1:5300").as_deref(), Some("127.0.0.1:5300"));
        assert_eq!(server("::1").as_deref(), Some("[::1]:53"));
        assert_eq!(server("[::1]").as_deref(), Some("[::1]:53"));
        assert_eq!(server("[::1]:5300").as_deref(), Some("[::1]:5300"));
        for bad in ["", "dns.example", "dns.example:53", "127.0.0.1:0", "127.0.0.1:99999"] {
            assert_eq!(server(bad), None, "{bad}");
        }
    }
}
