//! What we may do, asked of Azure.

use std::collections::BTreeSet;

use serde::Deserialize;
use wildmatch::WildMatch;

use super::{Azure, Read};
use crate::model::AzureBy;
use crate::traffic::ControlError;
use crate::traffic::api::Request;

const VERSION: &str = "?api-version=2022-04-01";

/// What we may do, as Azure says it: with `*` for anything.
#[derive(Deserialize)]
struct Permissions {
    value: Vec<Permission>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permission {
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    not_actions: Vec<String>,
}

impl Azure {
    /// Holds that we may change what was read.
    pub(super) async fn may_change(&self, read: &[Read]) -> Result<(), ControlError> {
        let path = format!(
            "{}/providers/Microsoft.Authorization/permissions{VERSION}",
            self.settings.path()
        );
        let had: Permissions = self.manager().await?.json(&Request::get(path)).await?;
        let covers = |patterns: &[String], right: &str| {
            let right = right.to_ascii_lowercase();
            patterns.iter().any(|it| WildMatch::new(&it.to_ascii_lowercase()).matches(&right))
        };
        let may = |right: &str| {
            let mut all = had.value.iter();
            all.any(|it| covers(&it.actions, right) && !covers(&it.not_actions, right))
        };
        let (wanted, role) = match self.settings.by {
            AzureBy::TrafficManager { .. } => {
                let kinds = read.iter().filter_map(|it| Some(it.part.split_once('/')?.0));
                let right =
                    |kind: &str| format!("Microsoft.Network/trafficManagerProfiles/{kind}/write");
                (kinds.map(right).collect::<BTreeSet<_>>(), "Traffic Manager Contributor")
            }
            AzureBy::FrontDoor { .. } => {
                let right = "Microsoft.Cdn/profiles/originGroups/origins/write";
                ([right.to_owned()].into(), "CDN Profile Contributor")
            }
        };
        let missing: Vec<String> = wanted.into_iter().filter(|right| !may(right)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(ControlError {
                what: format!("Azure does not give us {}", missing.join(" and ")),
                hint: format!("give a role that has it, such as `{role}`, on the profile"),
            }),
        }
    }
}
