//! Settings of `aws-zonal-shift`: resources that ARC shifts away from a zone.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AwsReach, Settings};
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `aws-zonal-shift` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ZonalShiftSettings {
    /// The ARNs of what is shifted: load balancers, groups, clusters. All of one region.
    pub resources: Vec<String>,
    /// The zone of each datacenter, by its id: `apne2-az1`.
    pub zones: Vec<ZonalShiftZone>,
    /// When a shift ends by itself if nobody renews it: whole minutes.
    #[serde(rename = "expires_in_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub expires_in: Duration,
    /// Whose credentials, which address.
    #[serde(flatten)]
    pub reach: AwsReach,
}

/// The zone of a datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ZonalShiftZone {
    /// The datacenter.
    pub datacenter: DatacenterId,
    /// The zone's id.
    pub id: String,
}

impl ZonalShiftSettings {
    /// The region of its resources; empty if an ARN names none.
    pub fn region(&self) -> &str {
        self.resources.first().and_then(|arn| arn.split(':').nth(3)).unwrap_or_default()
    }
}

impl Settings for ZonalShiftSettings {
    fn key(&self) -> &'static str {
        "aws-zonal-shift"
    }

    /// Load balancers take the zone's addresses out of DNS; open connections live on.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        "zones of resources"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.zones.iter().map(|zone| zone.datacenter).collect())
    }

    fn place(&self) -> String {
        self.reach.place(&format!("ARC zonal shift in {}", self.region()))
    }

    /// A resource takes one shift at a time.
    fn places(&self) -> Vec<String> {
        let world = self.reach.world();
        self.resources.iter().map(|arn| format!("aws-zonal-shift {world} {arn}")).collect()
    }

    fn needs(&self) -> Vec<String> {
        let of = |call: &str| format!("`arc-zonal-shift:{call}` on each resource");
        ["GetManagedResource", "StartZonalShift", "UpdateZonalShift", "CancelZonalShift"]
            .map(of)
            .into()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        self.reach.texts_mut()
    }

    fn endpoints(&self) -> Vec<&Text> {
        self.reach.endpoint.iter().collect()
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        self.reach.paths_mut()
    }

    fn is_of_one_host(&self) -> bool {
        self.reach.is_of_one_host()
    }

    /// The weights that a resource applies follow within seconds.
    fn lag(&self) -> Duration {
        Duration::from_secs(60)
    }
}
