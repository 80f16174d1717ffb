//! Names that a plan gives to things, and the datacenters' short ids.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name from the plan: of a datacenter, a service, a probe or a traffic control. Cheap to clone.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as the plan writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Name(name.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A datacenter's place in the plan's list of datacenters.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    Default,
)]
#[serde(transparent)]
pub struct DatacenterId(pub u16);

impl DatacenterId {
    /// The index into [`crate::model::Plan::datacenters`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The place that a sample left from. One process is vantage point 0.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    Default,
)]
#[serde(transparent)]
pub struct VantageId(pub u16);

impl ProbeId {
    /// The id of a load, by its place in [`crate::model::Plan::loads`]: loads and probes share their engine.
    pub fn of_load(place: u32) -> ProbeId {
        ProbeId { service: u32::MAX, probe: place }
    }

    /// The place of the load whose id this is.
    pub fn load(self) -> Option<usize> {
        (self.service == u32::MAX).then_some(self.probe as usize)
    }
}

/// A probe of the plan: which service's, and which of that service's probes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    Default,
)]
pub struct ProbeId {
    /// The index into [`crate::model::Plan::services`].
    pub service: u32,
    /// The index into that service's probes.
    pub probe: u32,
}
