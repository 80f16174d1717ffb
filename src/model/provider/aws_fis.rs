//! Settings of `aws-fis`: experiment templates that take a datacenter down.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AwsReach, Settings};
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `aws-fis` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FisSettings {
    /// The region of the templates.
    pub region: String,
    /// The template that takes each datacenter down.
    pub templates: Vec<FisTemplate>,
    /// How that looks to clients: whoever wrote the templates knows.
    pub modes: Vec<ModeKind>,
    /// The longest that the drill may cut: no experiment may end by itself before.
    #[serde(rename = "at_most_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub at_most: Duration,
    /// Whose credentials, which address.
    #[serde(flatten)]
    pub reach: AwsReach,
}

/// The template of a datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FisTemplate {
    /// The datacenter.
    pub datacenter: DatacenterId,
    /// The template's id.
    pub id: String,
}

impl Settings for FisSettings {
    fn key(&self) -> &'static str {
        "aws-fis"
    }

    fn modes(&self) -> &[ModeKind] {
        &self.modes
    }

    fn parts(&self) -> &'static str {
        "experiment templates"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.templates.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        self.reach.place(&format!("AWS FIS in {}", self.region))
    }

    fn places(&self) -> Vec<String> {
        let (world, region) = (self.reach.world(), &self.region);
        let all = self.templates.iter();
        all.map(|it| format!("aws-fis {world} {region} {}", it.id)).collect()
    }

    fn needs(&self) -> Vec<String> {
        let of = |call: &str, place: &str| format!("`fis:{call}` on {place}");
        vec![
            of("GetExperimentTemplate", "each experiment template"),
            of("ListExperiments", "*"),
            of("GetExperiment", "experiment/*"),
            of("StartExperiment", "each experiment template and experiment/*"),
            of("TagResource", "experiment/*"),
            of("StopExperiment", "experiment/*"),
        ]
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

    /// An experiment is initiated first, and when it is stopped its actions undo what they did.
    fn lag(&self) -> Duration {
        Duration::from_secs(120)
    }
}
