//! Settings of `toxiproxy`: the API of a Toxiproxy, or of `firedrill proxy`.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Settings, is_loopback};
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `toxiproxy` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToxiproxySettings {
    /// The URL of the API.
    pub url: Text,
    /// What `firedrill proxy` wants to be shown, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Text>,
    /// Which proxies lead to which datacenter.
    pub proxies: Vec<ToxiproxyProxies>,
    /// How long one call may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// The proxies of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToxiproxyProxies {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// Their names, where `*` and `?` may stand for other characters.
    pub patterns: Vec<String>,
}

impl Settings for ToxiproxySettings {
    fn key(&self) -> &'static str {
        "toxiproxy"
    }

    /// `drain`, and loss under `degrade`, only with `firedrill proxy`; which of both it is shows when it is asked.
    fn modes(&self) -> &'static [ModeKind] {
        &ModeKind::ALL
    }

    fn parts(&self) -> &'static str {
        "proxies"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.proxies.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        format!("toxiproxy at {}", self.url)
    }

    fn places(&self) -> Vec<String> {
        vec![format!("toxiproxy {}", self.url.reveal_plain().trim_end_matches('/'))]
    }

    fn needs(&self) -> Vec<String> {
        let shown = if self.token.is_some() { ", with its token" } else { "" };
        vec![format!("read and change proxies at {}{shown}", self.url)]
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        std::iter::once(&mut self.url).chain(self.token.as_mut()).collect()
    }

    fn endpoints(&self) -> Vec<&Text> {
        vec![&self.url]
    }

    fn is_of_one_host(&self) -> bool {
        is_loopback(&self.url)
    }
}
