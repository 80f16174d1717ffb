//! Settings of `aws-elb`: targets of target groups, or zones of load balancers.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AwsReach, Settings};
use crate::model::{DatacenterId, ModeKind, Text};

/// Settings of the `aws-elb` provider: of target groups with `targets` or `zones`, or of load balancers with `zones`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ElbSettings {
    /// The ARNs of the target groups that targets are taken out of. All of one region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_groups: Vec<String>,
    /// The ARNs of the load balancers that zones are taken from. All of one region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancers: Vec<String>,
    /// The targets of each datacenter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<ElbTargets>,
    /// The zones of each datacenter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ElbZones>,
    /// Whose credentials, which address.
    #[serde(flatten)]
    pub reach: AwsReach,
}

/// The targets of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ElbTargets {
    /// Where they run.
    pub datacenter: DatacenterId,
    /// The targets, in whichever of the groups.
    pub targets: Vec<ElbTarget>,
}

/// A target as the plan names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ElbTarget {
    /// The id of an instance, or an address.
    pub id: String,
    /// Its port; none for each of its ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// The zones of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ElbZones {
    /// The datacenter.
    pub datacenter: DatacenterId,
    /// Their names: `eu-west-1a`.
    pub names: Vec<String>,
}

impl ElbSettings {
    /// The region of what is steered; empty if an ARN names none.
    pub fn region(&self) -> &str {
        let first = self.target_groups.iter().chain(&self.load_balancers).next();
        first.and_then(|arn| arn.split(':').nth(3)).unwrap_or_default()
    }
}

impl Settings for ElbSettings {
    fn key(&self) -> &'static str {
        "aws-elb"
    }

    /// What is under way may finish.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        if self.zones.is_empty() { "targets" } else { "zones" }
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        let of_targets = self.targets.iter().map(|it| it.datacenter);
        Some(of_targets.chain(self.zones.iter().map(|it| it.datacenter)).collect())
    }

    fn place(&self) -> String {
        let what = match self.load_balancers.is_empty() {
            true => "target groups",
            false => "load balancers",
        };
        self.reach.place(&format!("AWS {what} in {}", self.region()))
    }

    /// Both kinds are read, changed and written back as a whole.
    fn places(&self) -> Vec<String> {
        let world = self.reach.world();
        let all = self.target_groups.iter().chain(&self.load_balancers);
        all.map(|arn| format!("aws-elb {world} {arn}")).collect()
    }

    fn needs(&self) -> Vec<String> {
        let of = |calls: &[&str], place: &str| {
            let calls = calls.iter();
            calls.map(|it| format!("`elasticloadbalancing:{it}` {place}")).collect::<Vec<_>>()
        };
        let reads: &[&str] = match self.load_balancers.is_empty() {
            true => {
                &["DescribeTargetGroups", "DescribeTargetGroupAttributes", "DescribeTargetHealth"]
            }
            false => &["DescribeLoadBalancers"],
        };
        let writes = match self.load_balancers.is_empty() {
            true => of(&["DeregisterTargets", "RegisterTargets"], "on each target group"),
            false => of(&["SetSubnets"], "on each load balancer"),
        };
        of(reads, "on *").into_iter().chain(writes).collect()
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

    /// All nodes of a load balancer follow within seconds.
    fn lag(&self) -> Duration {
        Duration::from_secs(60)
    }
}

impl fmt::Display for ElbTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.id),
            None => f.write_str(&self.id),
        }
    }
}
