//! Settings of `dns-update`: records of a zone, by dynamic updates (RFC 2136).

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DnsRecords, Settings, dns, is_loopback};
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `dns-update` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DnsUpdateSettings {
    /// The zone's primary, `HOST:PORT`.
    pub server: Text,
    /// The zone, lower case, without the dot at its end.
    pub zone: String,
    /// What updates are signed with.
    pub key: DnsKey,
    /// The records that lead to each datacenter.
    pub records: Vec<DnsRecords>,
    /// Name servers that users ask, `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<Text>,
    /// How long those may take to follow.
    #[serde(rename = "follow_within_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub follow_within: Duration,
    /// How long one call may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// A key that is shared with a name server (TSIG, RFC 8945).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DnsKey {
    /// This one.
    Given {
        /// Its name there, without the dot at its end.
        name: String,
        /// What is computed with it.
        algorithm: DnsKeyAlgorithm,
        /// Its secret in base64.
        secret: Text,
    },
    /// The one that stands in this file, as `tsig-keygen` and `keymgr` make it.
    File(Text),
}

/// What is computed with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DnsKeyAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl DnsKeyAlgorithm {
    /// All of them.
    pub const ALL: [DnsKeyAlgorithm; 3] =
        [DnsKeyAlgorithm::HmacSha256, DnsKeyAlgorithm::HmacSha384, DnsKeyAlgorithm::HmacSha512];

    /// As plans and name servers call it.
    pub fn name(self) -> &'static str {
        match self {
            DnsKeyAlgorithm::HmacSha256 => "hmac-sha256",
            DnsKeyAlgorithm::HmacSha384 => "hmac-sha384",
            DnsKeyAlgorithm::HmacSha512 => "hmac-sha512",
        }
    }
}

impl Settings for DnsUpdateSettings {
    fn key(&self) -> &'static str {
        "dns-update"
    }

    /// Clients that know an address already go on with it.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        "records"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(dns::datacenters(&self.records))
    }

    fn place(&self) -> String {
        format!("zone {} at the name server {}", self.zone, self.server)
    }

    fn places(&self) -> Vec<String> {
        let whose = format!("dns-update {} {}", self.server.reveal_plain(), self.zone);
        dns::places(&whose, &self.records)
    }

    fn needs(&self) -> Vec<String> {
        let by = match &self.key {
            DnsKey::Given { name, .. } => format!("the key {name}"),
            DnsKey::File(path) => format!("the key in {path}"),
        };
        let sets: BTreeSet<String> =
            dns::all_records(&self.records).map(|(_, record)| record.set()).collect();
        let (zone, sets) = (&self.zone, sets.into_iter().collect::<Vec<_>>().join(", "));
        vec![
            format!("query {zone} at {} over TCP, signed with {by}", self.server),
            format!("update {sets} in {zone} with {by}"),
        ]
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        let (DnsKey::Given { secret: key, .. } | DnsKey::File(key)) = &mut self.key;
        [&mut self.server, key].into_iter().chain(&mut self.resolvers).collect()
    }

    fn endpoints(&self) -> Vec<&Text> {
        vec![&self.server]
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        match &mut self.key {
            DnsKey::Given { .. } => Vec::new(),
            DnsKey::File(path) => vec![path],
        }
    }

    fn is_of_one_host(&self) -> bool {
        is_loopback(&self.server)
    }

    /// Resolvers follow when the TTL has passed; without any to ask, the primary's word is all there is.
    fn lag(&self) -> Duration {
        if self.resolvers.is_empty() { Duration::ZERO } else { self.follow_within }
    }
}
