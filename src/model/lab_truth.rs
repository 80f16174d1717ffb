//! What the lab knows to be true of a drill.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, Offset, optional_millis};

/// What the lab knows to be true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LabTruth {
    /// Per service.
    pub services: BTreeMap<Name, LabServiceTruth>,
    /// Per store. Records of older versions have none, nor of the rest.
    #[serde(default)]
    pub stores: BTreeMap<Name, LabStoreTruth>,
    /// What each controller decided, in order.
    #[serde(default)]
    pub controllers: BTreeMap<Name, Vec<LabPromotion>>,
}

/// What the lab knows of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LabServiceTruth {
    /// Replicas taken out and put back by the balancer, in order. Where one datacenter is active,
    /// only its replicas are in.
    pub changes: Vec<LabChange>,
    /// Which datacenter was made active, in order; none where all are.
    #[serde(default)]
    pub switches: Vec<LabSwitch>,
    /// The first and last answer of each datacenter, as it left the balancer.
    pub answers: BTreeMap<Name, LabAnswers>,
    /// From the cut to the last instant before the restore at which it could not serve every new
    /// request: a replica of a cut datacenter was in, or none was in at all, or so it was with
    /// something that it calls. `None`: it came to no such instant, it had nothing to lose, or
    /// capacity decided (see `strain`).
    #[serde(rename = "recovery_ms", with = "optional_millis")]
    #[schemars(with = "Option<f64>")]
    pub recovery: Option<Duration>,
    /// From the restore to the instant from which a replica of a cut datacenter was in again, and
    /// the service and all that it calls had somebody to serve every new request.
    #[serde(rename = "failback_ms", with = "optional_millis")]
    #[schemars(with = "Option<f64>")]
    pub failback: Option<Duration>,
    /// The recovery of the paths that call something else.
    #[serde(default)]
    pub paths: BTreeMap<String, LabPathTruth>,
    /// What capacity did to its requests while the cut lasted.
    #[serde(default)]
    pub strain: LabStrain,
}

/// What the lab knows of the requests of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LabPathTruth {
    /// As the service's, with what this path calls.
    #[serde(rename = "recovery_ms", with = "optional_millis")]
    #[schemars(with = "Option<f64>")]
    pub recovery: Option<Duration>,
}

/// Requests that met the limits of the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LabStrain {
    /// Refused, because too many were waiting.
    pub refused: u64,
    /// Whose clients went away while they were waiting.
    pub left: u64,
    /// Served by a cold replica.
    pub cold: u64,
}

/// What the lab knows of one store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LabStoreTruth {
    /// As for a service; its copies are the replicas.
    pub serving: LabServiceTruth,
    /// How many different writes were acknowledged.
    pub acknowledged: u64,
    /// The ids of those that the active copy does not have, the first acknowledged first.
    pub lost: Vec<String>,
    /// When the first of them was acknowledged.
    #[serde(rename = "first_lost_ms")]
    pub first_lost: Option<Offset>,
    /// When the last of them was.
    #[serde(rename = "last_lost_ms")]
    pub last_lost: Option<Offset>,
    /// The ids of acknowledged writes that it has more than once. Records of older versions have none, nor of the rest.
    #[serde(default)]
    pub duplicated: Vec<String>,
    /// Writes that it acknowledged and never stored, as its faults say.
    #[serde(default)]
    pub never_stored: u64,
    /// Readings that it answered without something that was there, as its faults say.
    #[serde(default)]
    pub stale_reads: u64,
    /// Writes that a copy acknowledged which did not know that another had replaced it.
    #[serde(default)]
    pub by_deposed: u64,
}

/// A datacenter made active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabSwitch {
    /// When.
    #[serde(rename = "at_ms")]
    pub at: Offset,
    /// Which one.
    pub datacenter: Name,
    /// Who did it.
    pub by: LabActor,
}

/// Who makes a datacenter active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LabActor {
    /// The balancer, by its own checks.
    HealthChecks,
    /// A switch-over controller.
    Controller,
    /// A person.
    Operator,
}

/// A controller's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabPromotion {
    /// When.
    #[serde(rename = "at_ms")]
    pub at: Offset,
    /// The service or store.
    pub of: Name,
    /// The datacenter that is to be active.
    pub datacenter: Name,
}

/// A replica taken out or put back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabChange {
    /// When.
    #[serde(rename = "at_ms")]
    pub at: Offset,
    /// Where it stands.
    pub datacenter: Name,
    /// Its number there.
    pub replica: u32,
    /// Put back, or taken out.
    pub is_in: bool,
}

/// The answers of a datacenter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabAnswers {
    /// The first one left.
    #[serde(rename = "first_ms")]
    pub first: Offset,
    /// The last one left.
    #[serde(rename = "last_ms")]
    pub last: Offset,
    /// How many.
    pub count: u64,
}
