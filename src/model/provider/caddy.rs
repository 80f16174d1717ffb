//! Settings of `caddy`: its admin API.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Settings, is_loopback};
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `caddy` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaddySettings {
    /// The URL of the admin API.
    pub url: Text,
    /// The `@id` of the `reverse_proxy` handler in Caddy's configuration.
    pub id: String,
    /// All upstreams of that handler, in its order.
    pub upstreams: Vec<CaddyUpstream>,
    /// How long one call may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// An upstream of a handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaddyUpstream {
    /// The datacenter that it leads to.
    pub datacenter: DatacenterId,
    /// Its address, as Caddy's configuration has it.
    pub dial: String,
}

impl Settings for CaddySettings {
    fn key(&self) -> &'static str {
        "caddy"
    }

    /// Open connections live on when an upstream is taken out.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        "upstreams"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.upstreams.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        format!("handler {} of caddy at {}", self.id, self.url)
    }

    fn places(&self) -> Vec<String> {
        vec![format!("caddy {} {}", self.url.reveal_plain().trim_end_matches('/'), self.id)]
    }

    fn needs(&self) -> Vec<String> {
        let id = &self.id;
        vec![format!("GET and PATCH {}/id/{id}/upstreams", self.url)]
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        vec![&mut self.url]
    }

    fn endpoints(&self) -> Vec<&Text> {
        vec![&self.url]
    }

    fn is_of_one_host(&self) -> bool {
        is_loopback(&self.url)
    }
}
