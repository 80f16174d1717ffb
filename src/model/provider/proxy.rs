//! Settings of `proxy`: listeners of firedrill's own.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, ModeKind, Text};

/// Settings of the `proxy` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxySettings {
    /// What listens where and leads to which datacenter.
    pub routes: Vec<ProxyRoute>,
}

/// One listening address of the `proxy` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyRoute {
    /// The datacenter that the route leads to.
    pub datacenter: DatacenterId,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where the proxy connects: `HOST:PORT`.
    pub to: Text,
}

impl Settings for ProxySettings {
    fn key(&self) -> &'static str {
        "proxy"
    }

    fn modes(&self) -> &'static [ModeKind] {
        &ModeKind::ALL
    }

    fn parts(&self) -> &'static str {
        "routes"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.routes.iter().map(|route| route.datacenter).collect())
    }

    fn place(&self) -> String {
        let route = |route: &ProxyRoute| format!("{} to {}", route.listen, route.to);
        let routes: Vec<String> = self.routes.iter().map(route).collect();
        format!("proxy from {}", routes.join(", "))
    }

    fn places(&self) -> Vec<String> {
        self.routes.iter().map(|route| format!("proxy {}", route.listen)).collect()
    }

    fn needs(&self) -> Vec<String> {
        let need = |route: &ProxyRoute| {
            let right = match route.listen.port() {
                ..1024 => ", a port below 1024 (CAP_NET_BIND_SERVICE)",
                _ => "",
            };
            format!("listen on {}{right}, and connect to {}", route.listen, route.to)
        };
        self.routes.iter().map(need).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        self.routes.iter_mut().map(|route| &mut route.to).collect()
    }

    fn is_of_one_host(&self) -> bool {
        true
    }

    fn counts_traffic(&self) -> bool {
        true
    }
}
