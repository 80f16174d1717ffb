//! The providers of traffic controls and their settings: one file a provider.

mod aws;
mod aws_elb;
mod aws_fis;
mod aws_route53;
mod aws_routing_control;
mod aws_zonal_shift;
mod azure;
mod caddy;
mod cloudflare;
mod dns;
mod dns_update;
mod exec;
mod file;
mod gcp;
mod haproxy;
mod http;
mod kubernetes;
mod nftables;
mod powerdns;
mod proxy;
mod toxiproxy;

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DatacenterId, Mode, ModeKind, Text};

pub use aws::*;
pub use aws_elb::*;
pub use aws_fis::*;
pub use aws_route53::*;
pub use aws_routing_control::*;
pub use aws_zonal_shift::*;
pub use azure::*;
pub use caddy::*;
pub use cloudflare::*;
pub use dns::*;
pub use dns_update::*;
pub use exec::*;
pub use file::*;
pub use gcp::*;
pub use haproxy::*;
pub use http::*;
pub use kubernetes::*;
pub use nftables::*;
pub use powerdns::*;
pub use proxy::*;
pub use toxiproxy::*;

/// The providers and their settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// The gateways of the built-in lab.
    Lab,
    /// Proxies that firedrill runs for the length of the drill.
    Proxy(ProxySettings),
    /// A Toxiproxy, or `firedrill proxy`, through their API.
    Toxiproxy(ToxiproxySettings),
    /// A HAProxy, through its runtime API.
    Haproxy(HaproxySettings),
    /// A Caddy, through its admin API.
    Caddy(CaddySettings),
    /// Records, or pools of load balancers, of Cloudflare.
    Cloudflare(CloudflareSettings),
    /// Requests of one's own to any API.
    Http(Box<HttpSettings>),
    /// Rules of nftables on hosts of one's own.
    Nftables(NftablesSettings),
    /// Commands of one's own.
    Exec(ExecSettings),
    /// A server that is steered by a file.
    File(FileSettings),
    /// Endpoints of an Azure Traffic Manager profile.
    Azure(AzureSettings),
    /// Backends of Google Cloud's load balancers.
    Gcp(GcpSettings),
    /// A Kubernetes cluster, through its API.
    Kubernetes(KubernetesSettings),
    /// Weighted records and health checks of AWS Route 53.
    AwsRoute53(Route53Settings),
    /// Resources that AWS shifts away from a zone.
    AwsZonalShift(ZonalShiftSettings),
    /// Routing controls of an AWS ARC cluster.
    AwsRoutingControl(RoutingControlSettings),
    /// Targets or zones of AWS's load balancers.
    AwsElb(ElbSettings),
    /// Experiment templates of AWS FIS.
    AwsFis(FisSettings),
    /// Records of a zone, through PowerDNS's API.
    Powerdns(PowerdnsSettings),
    /// Records of a zone, by dynamic updates.
    DnsUpdate(DnsUpdateSettings),
}

/// What the settings of any provider tell, so that nobody else has to know them all.
pub trait Settings {
    /// The provider's key in the plan.
    fn key(&self) -> &'static str;

    /// The modes in which it can cut.
    fn modes(&self) -> &[ModeKind];

    /// What of `mode`, whose kind is among its own, it cannot keep, and what to write instead.
    fn refuses(&self, _mode: &Mode) -> Option<(String, String)> {
        None
    }

    /// What it calls the parts that a cut closes, for a sentence: `servers`.
    fn parts(&self) -> &'static str;

    /// Where it has parts; `None` where its settings do not say.
    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>>;

    /// What and where it is, for people: `haproxy at /run/haproxy/admin.sock`.
    fn place(&self) -> String;

    /// What it steers, each as a name that any two plans give it alike: no two drills may hold one
    /// at the same time. Secrets are in it, so it is not to be shown.
    fn places(&self) -> Vec<String>;

    /// What firedrill must be allowed to do there, a right each, for people.
    fn needs(&self) -> Vec<String>;

    /// Every text of the plan in it, to be filled in again: each may hold a secret.
    fn texts_mut(&mut self) -> Vec<&mut Text>;

    /// Where its calls go to, `HOST:PORT` or a URL; nothing where it is reached without a network.
    fn endpoints(&self) -> Vec<&Text> {
        Vec::new()
    }

    /// The paths of files and sockets in it, which mean something only from where the drill was started.
    fn paths_mut(&mut self) -> Vec<&mut Text> {
        Vec::new()
    }

    /// Whether its address means something only on the machine that the drill ran on.
    fn is_of_one_host(&self) -> bool {
        false
    }

    /// How long what the provider accepted may take to be in effect, beyond what a call takes.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether others say what its states are, of which some may lie between two: `draining`. Such a one is not known to be
    /// another hand's.
    fn has_states_between(&self) -> bool {
        false
    }

    /// Whether the provider itself counts what passes on the way to the cut datacenter, which is
    /// one of the two ways for the proof of the cut.
    fn counts_traffic(&self) -> bool {
        false
    }
}

/// The lab has no settings: the plan's `lab` says all.
impl Settings for () {
    fn key(&self) -> &'static str {
        "lab"
    }

    fn modes(&self) -> &'static [ModeKind] {
        &ModeKind::ALL
    }

    fn parts(&self) -> &'static str {
        "replicas"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        None
    }

    fn place(&self) -> String {
        "the lab's own gateways".to_owned()
    }

    /// Each drill has a lab of its own.
    fn places(&self) -> Vec<String> {
        Vec::new()
    }

    fn needs(&self) -> Vec<String> {
        vec!["listen on ports of loopback".to_owned()]
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        Vec::new()
    }

    fn is_of_one_host(&self) -> bool {
        true
    }

    fn counts_traffic(&self) -> bool {
        true
    }
}

impl Provider {
    /// What its settings tell.
    pub fn settings(&self) -> &dyn Settings {
        match self {
            Provider::AwsRoute53(settings) => settings,
            Provider::AwsZonalShift(settings) => settings,
            Provider::AwsRoutingControl(settings) => settings,
            Provider::AwsElb(settings) => settings,
            Provider::AwsFis(settings) => settings,
            Provider::Lab => &(),
            Provider::Proxy(settings) => settings,
            Provider::Toxiproxy(settings) => settings,
            Provider::Haproxy(settings) => settings,
            Provider::Caddy(settings) => settings,
            Provider::Cloudflare(settings) => settings,
            Provider::Http(settings) => &**settings,
            Provider::Nftables(settings) => settings,
            Provider::Exec(settings) => settings,
            Provider::File(settings) => settings,
            Provider::Azure(settings) => settings,
            Provider::Gcp(settings) => settings,
            Provider::Kubernetes(settings) => settings,
            Provider::Powerdns(settings) => settings,
            Provider::DnsUpdate(settings) => settings,
        }
    }

    fn settings_mut(&mut self) -> Option<&mut dyn Settings> {
        match self {
            Provider::AwsRoute53(settings) => Some(settings),
            Provider::AwsZonalShift(settings) => Some(settings),
            Provider::AwsRoutingControl(settings) => Some(settings),
            Provider::AwsElb(settings) => Some(settings),
            Provider::AwsFis(settings) => Some(settings),
            Provider::Lab => None,
            Provider::Proxy(settings) => Some(settings),
            Provider::Toxiproxy(settings) => Some(settings),
            Provider::Haproxy(settings) => Some(settings),
            Provider::Caddy(settings) => Some(settings),
            Provider::Cloudflare(settings) => Some(settings),
            Provider::Http(settings) => Some(&mut **settings),
            Provider::Nftables(settings) => Some(settings),
            Provider::Exec(settings) => Some(settings),
            Provider::File(settings) => Some(settings),
            Provider::Azure(settings) => Some(settings),
            Provider::Gcp(settings) => Some(settings),
            Provider::Kubernetes(settings) => Some(settings),
            Provider::Powerdns(settings) => Some(settings),
            Provider::DnsUpdate(settings) => Some(settings),
        }
    }

    /// The provider's key in the plan.
    pub fn key(&self) -> &'static str {
        self.settings().key()
    }

    /// The modes in which this provider can cut.
    pub fn modes(&self) -> &[ModeKind] {
        self.settings().modes()
    }

    /// The same settings with the values of the environment filled in again, after they were read from a
    /// journal.
    ///
    /// # Errors
    /// The name of the first variable that `env` does not know.
    pub fn filled(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Provider, String> {
        let mut provider = self.clone();
        for text in provider.settings_mut().into_iter().flat_map(Settings::texts_mut) {
            *text = text.filled(env)?;
        }
        Ok(provider)
    }

    /// Every text of the plan in it: each may hold a secret.
    pub fn texts(&self) -> Vec<Text> {
        let mut provider = self.clone();
        let texts = provider.settings_mut().map(Settings::texts_mut).unwrap_or_default();
        texts.into_iter().map(|text| text.clone()).collect()
    }

    /// Paths of files and sockets in it, to be made absolute: the watchdog and `firedrill restore` may stand elsewhere.
    pub fn paths_mut(&mut self) -> Vec<&mut Text> {
        self.settings_mut().map(Settings::paths_mut).unwrap_or_default()
    }
}

/// Whether `HOST:PORT`, or a URL, is of this machine alone.
fn is_loopback(at: &Text) -> bool {
    let at = at.reveal_plain();
    let authority = at.split_once("://").map_or(at.as_str(), |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<std::net::IpAddr> = host.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}
