//! Settings of `gcp`: the backends of Google Cloud's load balancers.

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
    /// The backend services of the load balancers.
    pub services: Vec<GcpService>,
    /// Which of their groups stand in which datacenter.
    pub groups: Vec<GcpGroups>,
    /// The URL of Compute Engine's API, instead of Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Text>,
    /// How long one request may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
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

impl Settings for GcpSettings {
    fn key(&self) -> &'static str {
        "gcp"
    }

    /// A group without capacity gets nothing new, and what is under way may finish.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        "backends"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.groups.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        let services: Vec<String> = self.services.iter().map(GcpService::words).collect();
        format!("backend services {} of Google Cloud project {}", services.join(", "), self.project)
    }

    fn places(&self) -> Vec<String> {
        let place = |it: &GcpService| format!("gcp {} {} {}", self.project, it.scope(), it.name);
        self.services.iter().map(place).collect()
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
        self.services.iter().map(on).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        self.endpoint.iter_mut().collect()
    }

    /// Operations take up to a minute.
    fn lag(&self) -> Duration {
        Duration::from_secs(120)
    }
}
