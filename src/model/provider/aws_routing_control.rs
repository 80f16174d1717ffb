//! Settings of `aws-routing-control`: routing controls of an ARC cluster, on or off.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AwsReach, Settings, is_loopback};
use crate::model::{DatacenterId, ModeKind, Text};

/// Settings of the `aws-routing-control` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoutingControlSettings {
    /// The cluster's own addresses, one in each of its regions.
    pub endpoints: Vec<RoutingControlEndpoint>,
    /// The routing controls that let traffic pass to each datacenter.
    pub controls: Vec<RoutingControls>,
    /// The safety rules that AWS is told to pass over: the glass is broken. Empty on any other day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub override_safety_rules: Vec<String>,
    /// Whose credentials, which address.
    #[serde(flatten)]
    pub reach: AwsReach,
}

/// One of the addresses of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoutingControlEndpoint {
    /// Its region, which requests are signed for.
    pub region: String,
    /// Its URL.
    pub url: Text,
}

/// The routing controls of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoutingControls {
    /// Where traffic goes while they are on.
    pub datacenter: DatacenterId,
    /// Their ARNs.
    pub arns: Vec<String>,
}

impl RoutingControlSettings {
    /// The ARNs with where they lead.
    pub fn all_controls(&self) -> impl Iterator<Item = (DatacenterId, &String)> {
        self.controls.iter().flat_map(|it| it.arns.iter().map(|arn| (it.datacenter, arn)))
    }
}

impl Settings for RoutingControlSettings {
    fn key(&self) -> &'static str {
        "aws-routing-control"
    }

    /// Records of Route 53 hang on them: clients that know an address already go on with it.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        "routing controls"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.controls.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        let regions: Vec<&str> = self.endpoints.iter().map(|it| it.region.as_str()).collect();
        format!("ARC routing control by {}", regions.join(", "))
    }

    /// An ARN is one thing all over the world.
    fn places(&self) -> Vec<String> {
        self.all_controls().map(|(_, arn)| format!("aws-routing-control {arn}")).collect()
    }

    fn needs(&self) -> Vec<String> {
        let of = |call: &str| format!("`route53-recovery-cluster:{call}` on each routing control");
        let mut needs: Vec<String> =
            ["GetRoutingControlState", "UpdateRoutingControlStates"].map(of).into();
        if !self.override_safety_rules.is_empty() {
            needs.push(format!(
                "`route53-recovery-cluster:AllowSafetyRulesOverrides`, as the plan passes over {}",
                self.override_safety_rules.join(", ")
            ));
        }
        needs
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        let RoutingControlSettings { endpoints, reach, .. } = self;
        endpoints.iter_mut().map(|it| &mut it.url).chain(reach.texts_mut()).collect()
    }

    fn endpoints(&self) -> Vec<&Text> {
        self.endpoints.iter().map(|it| &it.url).collect()
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        self.reach.paths_mut()
    }

    fn is_of_one_host(&self) -> bool {
        self.endpoints.iter().any(|it| is_loopback(&it.url))
    }

    /// The state is one at all endpoints within seconds, and one of them may be gone.
    fn lag(&self) -> Duration {
        Duration::from_secs(30)
    }
}
