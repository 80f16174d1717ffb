//! Settings of `gcp`: the backends of Google Cloud's load balancers, or weighted answers of Cloud DNS.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `gcp` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GcpSettings {
    /// The project's id.
    pub project: String,
    /// What is steered there.
    pub by: GcpBy,
    /// The URL of the API, instead of Google's: of Compute Engine, or of Cloud DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Text>,
    /// How long one request may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// What a cut steers at Google Cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GcpBy {
    /// Backends of load balancers, by their capacity.
    Backends {
        /// The backend services of the load balancers.
        services: Vec<GcpService>,
        /// Which of their groups stand in which datacenter.
        groups: Vec<GcpGroups>,
    },
    /// Items of weighted routing policies.
    Dns {
        /// The managed zone.
        zone: String,
        /// Which of its items lead to which datacenter.
        items: Vec<GcpItems>,
    },
}

/// The items of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GcpItems {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// The items.
    pub items: Vec<GcpItem>,
}

/// An item of the routing policy of a record set, by one of its answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct GcpItem {
    /// The record set's name, in small letters and without a dot at its end.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// One of the item's answers.
    pub data: String,
}

/// A backend service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct GcpService {
    /// The region of a regional one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its name.
    pub name: String,
}

/// The groups of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GcpGroups {
    /// Where they stand.
    pub datacenter: DatacenterId,
    /// Each `LOCATION/GROUP`, where `*` and `?` may stand for other characters; a location is a zone, a region or `global`.
    pub patterns: Vec<String>,
}

impl GcpService {
    /// What stands before it in paths, and before the operations on it: `global`, `regions/europe-west9`.
    pub fn scope(&self) -> String {
        self.region
            .as_ref()
            .map_or_else(|| "global".to_owned(), |region| format!("regions/{region}"))
    }

    /// Its region, or `global`.
    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("global")
    }

    /// As the plan has it.
    pub fn words(&self) -> String {
        match &self.region {
            Some(region) => format!("{region}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl GcpItem {
    /// As the plan has it, and as the part is named: `www.example.org/A/192.0.2.1`.
    pub fn words(&self) -> String {
        format!("{}/{}/{}", self.name, self.kind, self.data)
    }
}

impl Settings for GcpSettings {
    fn key(&self) -> &'static str {
        "gcp"
    }

    /// A group without capacity gets nothing new, and what is under way may finish; names lead elsewhere once clients look
    /// them up again.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        match self.by {
            GcpBy::Backends { .. } => "backends",
            GcpBy::Dns { .. } => "items",
        }
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(match &self.by {
            GcpBy::Backends { groups, .. } => groups.iter().map(|it| it.datacenter).collect(),
            GcpBy::Dns { items, .. } => items.iter().map(|it| it.datacenter).collect(),
        })
    }

    fn place(&self) -> String {
        let what = match &self.by {
            GcpBy::Backends { services, .. } => {
                let services: Vec<String> = services.iter().map(GcpService::words).collect();
                format!("backend services {}", services.join(", "))
            }
            GcpBy::Dns { zone, .. } => format!("weighted records of zone {zone}"),
        };
        format!("{what} of Google Cloud project {}", self.project)
    }

    fn places(&self) -> Vec<String> {
        let project = &self.project;
        match &self.by {
            GcpBy::Backends { services, .. } => {
                let place = |it: &GcpService| format!("gcp {project} {} {}", it.scope(), it.name);
                services.iter().map(place).collect()
            }
            GcpBy::Dns { zone, items } => {
                let all = items.iter().flat_map(|it| &it.items);
                let sets: BTreeSet<_> = all.map(|it| (&it.name, &it.kind)).collect();
                let place = |(name, kind)| format!("gcp {project} dns {zone} {name} {kind}");
                sets.into_iter().map(place).collect()
            }
        }
    }

    fn needs(&self) -> Vec<String> {
        let on = |it: &GcpService| {
            let operations = match it.region {
                Some(_) => "compute.regionOperations.get",
                None => "compute.globalOperations.get",
            };
            format!(
                "compute.backendServices.get and compute.backendServices.update on {}, and {operations}, in project {}",
                it.words(),
                self.project
            )
        };
        match &self.by {
            GcpBy::Backends { services, .. } => services.iter().map(on).collect(),
            GcpBy::Dns { zone, .. } => vec![format!(
                "dns.changes.create, dns.changes.get, dns.resourceRecordSets.get and \
                 dns.resourceRecordSets.update on zone {zone} in project {}",
                self.project
            )],
        }
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        self.endpoint.iter_mut().collect()
    }

    /// Operations take up to a minute.
    fn lag(&self) -> Duration {
        Duration::from_secs(120)
    }
}
