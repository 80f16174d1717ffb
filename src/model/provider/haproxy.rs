//! Settings of `haproxy`: its runtime API.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Settings, is_loopback};
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `haproxy` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HaproxySettings {
    /// How to reach the runtime API; it needs `level admin`.
    pub socket: HaproxySocket,
    /// Which servers stand in which datacenter.
    pub servers: Vec<HaproxyServers>,
    /// How long one call may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// Where a HAProxy's runtime API listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HaproxySocket {
    /// A path of a UNIX socket.
    Unix(Text),
    /// `HOST:PORT`.
    Tcp(Text),
}

/// The servers of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HaproxyServers {
    /// Where they stand.
    pub datacenter: DatacenterId,
    /// Each `BACKEND/SERVER`, where `*` and `?` may stand for other characters.
    pub patterns: Vec<String>,
}

impl Settings for HaproxySettings {
    fn key(&self) -> &'static str {
        "haproxy"
    }

    /// It steers at its own door and cannot make packets vanish behind it.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Reset, ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        "servers"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.servers.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        match &self.socket {
            HaproxySocket::Unix(path) => format!("haproxy at {path}"),
            HaproxySocket::Tcp(at) => format!("haproxy at {at}"),
        }
    }

    fn places(&self) -> Vec<String> {
        vec![match &self.socket {
            HaproxySocket::Unix(path) => format!("haproxy unix {}", path.reveal_plain()),
            HaproxySocket::Tcp(at) => format!("haproxy tcp {}", at.reveal_plain()),
        }]
    }

    fn needs(&self) -> Vec<String> {
        vec![match &self.socket {
            HaproxySocket::Unix(path) => {
                format!("read and write the socket {path}, whose line says `level admin`")
            }
            HaproxySocket::Tcp(at) => {
                format!("connect to {at}, whose `stats socket` line says `level admin`")
            }
        }]
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        match &mut self.socket {
            HaproxySocket::Unix(at) | HaproxySocket::Tcp(at) => vec![at],
        }
    }

    fn endpoints(&self) -> Vec<&Text> {
        match &self.socket {
            HaproxySocket::Unix(_) => Vec::new(),
            HaproxySocket::Tcp(at) => vec![at],
        }
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        match &mut self.socket {
            HaproxySocket::Unix(path) => vec![path],
            HaproxySocket::Tcp(_) => Vec::new(),
        }
    }

    fn is_of_one_host(&self) -> bool {
        match &self.socket {
            HaproxySocket::Unix(_) => true,
            HaproxySocket::Tcp(at) => is_loopback(at),
        }
    }
}
