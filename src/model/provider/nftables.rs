//! Settings of `nftables`: which networks are cut off, and on which hosts.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, Degrade, Mode, ModeKind, Name, Text, millis};

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
    /// The network devices of which what leaves is delayed and thinned under [`Mode::Degrade`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
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

/// Longer than this nothing waits: what is on the way has to be kept.
const LONGEST_LATENCY: Duration = Duration::from_secs(60);
/// The kernel takes no more for it.
const LARGEST_JITTER: Duration = Duration::from_secs(2);
/// Whole microseconds, and whole packets of a million, are what is written and read back.
const SMALLEST: Duration = Duration::from_micros(1);
const LEAST_LOSS: f64 = 1e-6;

/// What of `numbers` netem cannot keep, and what to write instead.
fn unkept(numbers: &Degrade) -> Option<(String, String)> {
    let Degrade { latency, jitter, loss, bandwidth } = *numbers;
    let (what, hint) = if bandwidth.is_some() {
        (
            "`bandwidth` is of each connection, and a host gives all of them one together",
            "leave it out, or degrade through a `proxy`",
        )
    } else if latency > LONGEST_LATENCY {
        ("`latency` is longer than a host keeps packets", "write at most `1m`")
    } else if jitter > LARGEST_JITTER {
        ("`jitter` is larger than the kernel takes", "write at most `2s`")
    } else if [latency, jitter].iter().any(|it| !it.is_zero() && *it < SMALLEST) {
        ("`latency` and `jitter` are whole microseconds", "write at least `0.001ms`, or nothing")
    } else if loss > 0.0 && loss < LEAST_LOSS {
        ("`loss` is less than a packet of a million", "write at least `0.0001%`, or nothing")
    } else {
        return None;
    };
    Some((what.to_owned(), hint.to_owned()))
}

impl Settings for NftablesSettings {
    fn key(&self) -> &'static str {
        "nftables"
    }

    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Blackhole, ModeKind::Reset, ModeKind::Degrade]
    }

    fn refuses(&self, mode: &Mode) -> Option<(String, String)> {
        let Mode::Degrade(numbers) = mode else { return None };
        if let Some(refused) = unkept(numbers) {
            return Some(refused);
        }
        let host = self.hosts.iter().find(|host| host.devices.is_empty())?;
        let what = format!(
            "the host `{}` names no devices, and `degrade` takes place at them",
            host.name()
        );
        Some((what, "add those by which packets leave it: `devices: [eth0, eth1]`".to_owned()))
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
            let programs =
                if host.devices.is_empty() { &["nft"][..] } else { &["nft", "tc", "ip"] };
            let inside = host.netns.iter().map(|netns| format!("ip netns exec {netns} "));
            let inside = inside.collect::<String>();
            let programs = programs.iter().map(|program| format!("`{inside}{program}`"));
            let what = programs.collect::<Vec<_>>().join(", ");
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
