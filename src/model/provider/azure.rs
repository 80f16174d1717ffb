//! Settings of `azure`: endpoints of a Traffic Manager profile, or origins of a Front Door profile.

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
    /// What is steered there.
    pub by: AzureBy,
    /// The URL of Azure Resource Manager, instead of the public cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Text>,
    /// How long one request may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// What a cut steers at Azure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AzureBy {
    /// Endpoints, which names lead to.
    TrafficManager {
        /// The Traffic Manager profile.
        profile: String,
        /// Which of its endpoints lead to which datacenter.
        endpoints: Vec<AzureParts>,
    },
    /// Origins, which requests are sent to (Front Door Standard and Premium).
    FrontDoor {
        /// The Front Door profile.
        profile: String,
        /// Which of its origins lead to which datacenter, each `ORIGIN_GROUP/ORIGIN`.
        origins: Vec<AzureParts>,
    },
}

/// The endpoints or origins of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AzureParts {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// Their names, where `*` and `?` may stand for other characters.
    pub patterns: Vec<String>,
}

impl AzureBy {
    /// The profile's name.
    pub fn profile(&self) -> &str {
        match self {
            AzureBy::TrafficManager { profile, .. } | AzureBy::FrontDoor { profile, .. } => profile,
        }
    }

    /// What leads where.
    pub fn parts(&self) -> &[AzureParts] {
        match self {
            AzureBy::TrafficManager { endpoints: parts, .. }
            | AzureBy::FrontDoor { origins: parts, .. } => parts,
        }
    }

    /// The key in the plan that they stand under.
    pub fn key(&self) -> &'static str {
        match self {
            AzureBy::TrafficManager { .. } => "endpoints",
            AzureBy::FrontDoor { .. } => "origins",
        }
    }
}

impl AzureSettings {
    /// The profile's path.
    pub fn path(&self) -> String {
        let kind = match self.by {
            AzureBy::TrafficManager { .. } => "Microsoft.Network/trafficmanagerprofiles",
            AzureBy::FrontDoor { .. } => "Microsoft.Cdn/profiles",
        };
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{kind}/{}",
            self.subscription,
            self.resource_group,
            self.by.profile()
        )
    }
}

impl Settings for AzureSettings {
    fn key(&self) -> &'static str {
        "azure"
    }

    /// Names lead elsewhere once clients look them up again, and requests once Front Door's servers know.
    fn modes(&self) -> &'static [ModeKind] {
        &[ModeKind::Drain]
    }

    fn parts(&self) -> &'static str {
        self.by.key()
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(self.by.parts().iter().map(|it| it.datacenter).collect())
    }

    fn place(&self) -> String {
        let kind = match self.by {
            AzureBy::TrafficManager { .. } => "Traffic Manager",
            AzureBy::FrontDoor { .. } => "Front Door",
        };
        format!("Azure {kind} profile {} in {}", self.by.profile(), self.resource_group)
    }

    /// Azure's names are the same in small letters and in capitals.
    fn places(&self) -> Vec<String> {
        vec![format!("azure {}", self.path().to_ascii_lowercase())]
    }

    fn needs(&self) -> Vec<String> {
        let rights: &[&str] = match self.by {
            AzureBy::TrafficManager { .. } => &[
                "Microsoft.Network/trafficManagerProfiles/read",
                "Microsoft.Network/trafficManagerProfiles/{azure,external,nested}Endpoints/write",
                "Microsoft.Authorization/permissions/read",
            ],
            AzureBy::FrontDoor { .. } => &[
                "Microsoft.Cdn/profiles/originGroups/read",
                "Microsoft.Cdn/profiles/originGroups/origins/{read,write}",
                "Microsoft.Cdn/operationresults/profileresults/originGroupResults/originResults/read",
                "Microsoft.Authorization/permissions/read",
            ],
        };
        let on = |right: &&str| format!("{right} on the profile {}", self.by.profile());
        rights.iter().map(on).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        self.endpoint.iter_mut().collect()
    }

    /// Its resource manager answers before it is done, and Front Door's servers take minutes to hear of it.
    fn lag(&self) -> Duration {
        Duration::from_secs(match self.by {
            AzureBy::TrafficManager { .. } => 60,
            AzureBy::FrontDoor { .. } => 300,
        })
    }
}
