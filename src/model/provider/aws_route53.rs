//! Settings of `aws-route53`: weighted records, and health checks that others hang on.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AwsReach, Settings};
use crate::model::{DatacenterId, ModeKind, Text};

/// Settings of the `aws-route53` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Route53Settings {
    /// The hosted zone that the records are in; none where only health checks are steered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The weighted records that lead to each datacenter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Route53Records>,
    /// The health checks of the records that lead to each datacenter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<Route53HealthChecks>,
    /// Whose credentials, which address.
    #[serde(flatten)]
    pub reach: AwsReach,
}

/// The weighted records of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Route53Records {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// The records.
    pub records: Vec<Route53Record>,
}

/// A weighted record, as nobody else names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Route53Record {
    /// `api.example.org`, lower case, without the dot at its end.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`.
    pub kind: String,
    /// The record's set identifier.
    pub set: String,
}

/// The health checks of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Route53HealthChecks {
    /// Where the records lead that hang on them.
    pub datacenter: DatacenterId,
    /// The identifiers.
    pub ids: Vec<String>,
}

impl Route53Settings {
    /// The records with where they lead.
    pub fn all_records(&self) -> impl Iterator<Item = (DatacenterId, &Route53Record)> {
        self.records.iter().flat_map(|it| it.records.iter().map(|record| (it.datacenter, record)))
    }

    /// The health checks with where they lead.
    pub fn all_health_checks(&self) -> impl Iterator<Item = (DatacenterId, &String)> {
        self.health_checks.iter().flat_map(|it| it.ids.iter().map(|id| (it.datacenter, id)))
    }
}

impl Settings for Route53Settings {
    fn key(&self) -> &'static str {
        "aws-route53"
    }

    /// Clients that know an address already go on with it.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        match self.records.is_empty() {
            true => "health checks",
            false => "records",
        }
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        let of_records = self.records.iter().map(|it| it.datacenter);
        Some(of_records.chain(self.health_checks.iter().map(|it| it.datacenter)).collect())
    }

    fn place(&self) -> String {
        let zone = self.zone.as_ref().map_or_else(String::new, |zone| format!(" zone {zone}"));
        self.reach.place(&format!("Route 53{zone}"))
    }

    /// A record stands in for all others of its name and type, so that they are one place together.
    fn places(&self) -> Vec<String> {
        let (world, zone) = (self.reach.world(), self.zone.as_deref().unwrap_or_default());
        let records = self
            .all_records()
            .map(|(_, it)| format!("aws-route53 {world} {zone} {} {}", it.name, it.kind));
        let checks = self
            .all_health_checks()
            .map(|(_, id)| format!("aws-route53 {world} health check {id}"));
        records.chain(checks).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn needs(&self) -> Vec<String> {
        let mut needs = Vec::new();
        if let Some(zone) = &self.zone {
            let zone = format!("on hostedzone/{zone}");
            needs.push(format!("`route53:ListResourceRecordSets` {zone}"));
            needs.push(format!("`route53:ChangeResourceRecordSets` {zone}"));
            needs.push("`route53:GetChange` on change/*".to_owned());
            needs.push(
                "`route53:GetHealthCheckStatus`, where records have health checks".to_owned(),
            );
        }
        if !self.health_checks.is_empty() {
            needs.push("`route53:GetHealthCheck` on each health check".to_owned());
            needs.push("`route53:UpdateHealthCheck` on each health check".to_owned());
        }
        needs
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

    /// Its name servers follow within a minute, as AWS says; on a bad day later.
    fn lag(&self) -> Duration {
        Duration::from_secs(150)
    }
}

impl std::fmt::Display for Route53Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.name, self.kind, self.set)
    }
}
