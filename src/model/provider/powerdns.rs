//! Settings of `powerdns`: records of a zone, through the API of PowerDNS Authoritative.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DnsRecords, Settings, dns, is_loopback};
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `powerdns` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PowerdnsSettings {
    /// The URL of the API's web server.
    pub url: Text,
    /// What the API asks for.
    pub api_key: PowerdnsKey,
    /// The server's id in the API.
    pub server: String,
    /// The zone, lower case, without the dot at its end.
    pub zone: String,
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

/// The API's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerdnsKey {
    /// This one.
    Given(Text),
    /// What stands in this file.
    File(Text),
}

impl Settings for PowerdnsSettings {
    fn key(&self) -> &'static str {
        "powerdns"
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
        format!("zone {} of PowerDNS at {}", self.zone, self.url)
    }

    fn places(&self) -> Vec<String> {
        let url = self.url.reveal_plain();
        let whose = format!("powerdns {} {} {}", url.trim_end_matches('/'), self.server, self.zone);
        dns::places(&whose, &self.records)
    }

    fn needs(&self) -> Vec<String> {
        let PowerdnsSettings { url, server, zone, .. } = self;
        vec![format!("GET and PATCH {url}/api/v1/servers/{server}/zones/{zone}.")]
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        let (PowerdnsKey::Given(key) | PowerdnsKey::File(key)) = &mut self.api_key;
        [&mut self.url, key].into_iter().chain(&mut self.resolvers).collect()
    }

    fn endpoints(&self) -> Vec<&Text> {
        vec![&self.url]
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        match &mut self.api_key {
            PowerdnsKey::Given(_) => Vec::new(),
            PowerdnsKey::File(path) => vec![path],
        }
    }

    fn is_of_one_host(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Resolvers follow when the TTL has passed; without any to ask, PowerDNS's word is all there is.
    fn lag(&self) -> Duration {
        if self.resolvers.is_empty() { Duration::ZERO } else { self.follow_within }
    }
}
