//! Settings of `azure`: endpoints of a Traffic Manager profile.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// Settings of the `azure` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AzureSettings {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group.
    pub resource_group: String,
    /// The Traffic Manager profile.
    pub profile: String,
    /// Which of its endpoints lead to which datacenter.
    pub endpoints: Vec<AzureEndpoints>,
    /// The URL of Azure Resource Manager, instead of the public cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Text>,
    /// How long one request may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// The endpoints of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AzureEndpoints {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// Their names, where `*` and `?` may stand for other characters.
    pub patterns: Vec<String>,
}

impl AzureSettings {
    /// The profile's path.
    pub fn path(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/trafficmanagerprofiles/{}",
            self.subscription, self.resource_group, self.profile
        )
    }
}

impl Settings for AzureSettings {
    fn key(&self) -> &'static str {
        "azure"
    }

    /// Names lead elsewhere once clients look them up again.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        "endpoints"
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.endpoints.iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        format!("Azure Traffic Manager profile {} in {}", self.profile, self.resource_group)
    }

    /// Azure's names are the same in small letters and in capitals.
    fn places(&self) -> Vec<String> {
        vec![format!("azure {}", self.path().to_ascii_lowercase())]
    }

    fn needs(&self) -> Vec<String> {
        [
            "Microsoft.Network/trafficManagerProfiles/read",
            "Microsoft.Network/trafficManagerProfiles/{azure,external,nested}Endpoints/write",
            "Microsoft.Authorization/permissions/read",
        ]
        .map(|right| format!("{right} on the profile {}", self.profile))
        .to_vec()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        self.endpoint.iter_mut().collect()
    }

    /// Its resource manager answers before it is done.
    fn lag(&self) -> Duration {
        Duration::from_secs(60)
    }
}
