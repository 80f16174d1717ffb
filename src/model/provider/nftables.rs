//! Settings of `nftables`: which networks are cut off, and on which hosts.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, ModeKind, Name, Text, millis};

/// Settings of the `nftables` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NftablesSettings {
    /// The networks of each datacenter.
    pub networks: Vec<NftablesNetworks>,
    /// The only ports there that are cut off, of TCP and UDP; empty for all traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<NftablesPorts>,
    /// Where the rules are made. Never empty.
    pub hosts: Vec<NftablesHost>,
    /// The file of `ssh`'s settings, where it is not the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_config: Option<Text>,
    /// When a cut ends by itself, on the host, if nobody moves its end on: whole seconds.
    #[serde(rename = "expires_in_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub expires_in: Duration,
    /// How long one command may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// The networks of a datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NftablesNetworks {
    /// The datacenter.
    pub datacenter: DatacenterId,
    /// Its name in the plan, for the names of parts and tables.
    pub name: Name,
    /// Its networks, of which none holds another.
    #[schemars(with = "Vec<String>")]
    pub networks: Vec<IpNet>,
}

/// Ports, the first and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NftablesPorts {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// A host on which rules are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct NftablesHost {
    /// Whom `ssh` connects to: `USER@HOST` or `ssh://USER@HOST:PORT`; `None` for this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Text>,
    /// The network namespace there, as `ip netns` names it; `None` for that which commands run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// Whether commands run through `sudo -n`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sudo: bool,
}

impl NftablesHost {
    /// Its name for people, and in the names of parts: `local`, `ops@gw1`, `ops@gw1 in edge`.
    pub fn name(&self) -> String {
        let host = self.ssh.as_ref().map_or_else(|| "local".to_owned(), Text::to_string);
        match &self.netns {
            Some(netns) => format!("{host} in {netns}"),
            None => host,
        }
    }

    /// Two plans name it alike, whoever logs in.
    fn place(&self) -> String {
        let target = self.ssh.as_ref().map(Text::reveal_plain).unwrap_or_default();
        let host = target.rsplit_once('@').map_or(target.as_str(), |(_, host)| host);
        let host = host.trim_start_matches("ssh://");
        format!("nftables {host} {}", self.netns.as_deref().unwrap_or_default())
    }
}

impl Settings for NftablesSettings {
    fn key(&self) -> &'static str {
        "nftables"
    }

    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Blackhole, ModeKind::Reset]
    }

    fn parts(&self) -> &'static str {
        "networks"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.networks.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(NftablesHost::name).collect();
        format!("nftables on {}", hosts.join(", "))
    }

    fn places(&self) -> Vec<String> {
        self.hosts.iter().map(NftablesHost::place).collect()
    }

    fn needs(&self) -> Vec<String> {
        let of = |host: &NftablesHost| {
            let what = match &host.netns {
                Some(netns) => format!("`ip netns exec {netns} nft`"),
                None => "`nft`".to_owned(),
            };
            let how = match host.sudo {
                true => "by a rule of sudo without a password",
                false => "as root, or with CAP_NET_ADMIN",
            };
            let ssh = host.ssh.as_ref().map(|to| format!("log in at {to} by ssh, with a key"));
            ssh.into_iter().chain([format!("run {what} on {} {how}", host.name())])
        };
        self.hosts.iter().flat_map(of).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        let hosts = self.hosts.iter_mut().filter_map(|host| host.ssh.as_mut());
        hosts.chain(&mut self.ssh_config).collect()
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        self.ssh_config.iter_mut().collect()
    }

    fn is_of_one_host(&self) -> bool {
        self.hosts.iter().any(|host| host.ssh.is_none())
    }
}
