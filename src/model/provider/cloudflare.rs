//! Settings of `cloudflare`: records of a zone, or pools of its load balancers.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `cloudflare` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudflareSettings {
    /// What is steered there.
    pub by: CloudflareBy,
    /// The API token, instead of the one in `CLOUDFLARE_API_TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Text>,
    /// The URL of the API, instead of Cloudflare's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Text>,
    /// How long one request may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// What a cut steers at Cloudflare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CloudflareBy {
    /// Addresses are taken out of the records of names.
    Records {
        /// The zone's id.
        zone: String,
        /// Which of its records lead where.
        records: Vec<CloudflareRecords>,
    },
    /// Pools of load balancers, or origins in them, are disabled.
    Pools {
        /// The account's id.
        account: String,
        /// Which of its pools and origins lead where.
        pools: Vec<CloudflarePools>,
    },
}

/// The records of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudflareRecords {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// The records.
    pub records: Vec<CloudflareRecord>,
}

/// An address that a name has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct CloudflareRecord {
    /// The name, in small letters and without a dot at its end.
    pub name: String,
    /// `A` or `AAAA`.
    pub kind: String,
    /// The address.
    pub content: String,
}

/// The pools and origins of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudflarePools {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// Each `POOL` or `POOL/ORIGIN`, where `*` and `?` may stand for other characters.
    pub patterns: Vec<String>,
}

impl CloudflareRecord {
    /// As the plan has it, and as the part is named: `www.example.org/A/192.0.2.1`.
    pub fn words(&self) -> String {
        format!("{}/{}/{}", self.name, self.kind, self.content)
    }
}

impl CloudflareBy {
    /// The names with records that are steered, each with their type.
    pub fn sets(&self) -> BTreeSet<(&str, &str)> {
        let CloudflareBy::Records { records, .. } = self else { return BTreeSet::new() };
        let all = records.iter().flat_map(|it| &it.records);
        all.map(|it| (&*it.name, &*it.kind)).collect()
    }
}

impl Settings for CloudflareSettings {
    fn key(&self) -> &'static str {
        "cloudflare"
    }

    /// Names and load balancers lead elsewhere; what is under way goes on.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        match self.by {
            CloudflareBy::Records { .. } => "records",
            CloudflareBy::Pools { .. } => "pools and origins",
        }
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(match &self.by {
            CloudflareBy::Records { records, .. } => {
                records.iter().map(|it| it.datacenter).collect()
            }
            CloudflareBy::Pools { pools, .. } => pools.iter().map(|it| it.datacenter).collect(),
        })
    }

    fn place(&self) -> String {
        match &self.by {
            CloudflareBy::Records { zone, .. } => format!("records of Cloudflare zone {zone}"),
            CloudflareBy::Pools { account, .. } => {
                format!("load balancer pools of Cloudflare account {account}")
            }
        }
    }

    /// Which pools a pattern means is known only to Cloudflare, so two drills share no account.
    fn places(&self) -> Vec<String> {
        match &self.by {
            CloudflareBy::Records { zone, .. } => {
                let sets = self.by.sets();
                sets.iter().map(|(name, kind)| format!("cloudflare {zone} {name} {kind}")).collect()
            }
            CloudflareBy::Pools { account, .. } => vec![format!("cloudflare {account} pools")],
        }
    }

    fn needs(&self) -> Vec<String> {
        vec![match &self.by {
            CloudflareBy::Records { zone, .. } => format!("`DNS Write` on the zone {zone}"),
            CloudflareBy::Pools { account, .. } => {
                format!("`Load Balancing: Monitors and Pools Write` on the account {account}")
            }
        }]
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        self.token.iter_mut().chain(&mut self.endpoint).collect()
    }

    /// A change is accepted before all of its servers know it.
    fn lag(&self) -> Duration {
        Duration::from_secs(60)
    }
}
