//! Endpoints of a Traffic Manager profile.

use serde::Deserialize;
use serde_json::json;

use super::{Azure, Read, Wanted};
use crate::traffic::ControlError;
use crate::traffic::api::{Method, Request};

const VERSION: &str = "?api-version=2022-04-01";

/// The field of an endpoint's `properties` that is steered.
pub(super) const STATUS: &str = "endpointStatus";

#[derive(Deserialize)]
struct Profile {
    properties: ProfileProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProfileProperties {
    #[serde(default)]
    profile_status: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    properties: EndpointProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointProperties {
    #[serde(default)]
    endpoint_status: String,
    #[serde(default)]
    endpoint_monitor_status: String,
}

impl Azure {
    async fn profile(&self) -> Result<ProfileProperties, ControlError> {
        let request = Request::get(self.settings.path() + VERSION);
        let profile: Profile = self.manager().await?.json(&request).await?;
        Ok(profile.properties)
    }

    /// Holds that the profile steers anything at all.
    pub(super) async fn is_in_use(&self) -> Result<(), ControlError> {
        match self.profile().await?.profile_status.eq_ignore_ascii_case("disabled") {
            false => Ok(()),
            true => Err(ControlError {
                what: format!(
                    "the profile {} is disabled and steers nothing",
                    self.settings.by.profile()
                ),
                hint: "enable it, or leave it out of the plan".into(),
            }),
        }
    }

    pub(super) async fn endpoints(&self) -> Result<Vec<Read>, ControlError> {
        let read = |endpoint: Endpoint| {
            let kind = endpoint.kind.rsplit('/').next().unwrap_or_default();
            let EndpointProperties { endpoint_status, endpoint_monitor_status } =
                endpoint.properties;
            Read {
                part: format!("{kind}/{}", endpoint.name),
                group: self.settings.by.profile().to_owned(),
                leads: self.leads(&endpoint.name),
                is_enabled: !endpoint_status.eq_ignore_ascii_case("disabled"),
                is_done: true,
                is_up: endpoint_monitor_status.eq_ignore_ascii_case("online"),
            }
        };
        Ok(self.profile().await?.endpoints.into_iter().map(read).collect())
    }

    pub(super) async fn set_endpoints(&self, wanted: &[Wanted<'_>]) -> Vec<ControlError> {
        let mut errors = Vec::new();
        for ((kind, name), word) in wanted {
            let path = format!("{}/{kind}/{name}{VERSION}", self.settings.path());
            let body = json!({ "properties": { STATUS: word } });
            let request = Request::repeatable(Method::PATCH, path).json(&body);
            let set = async || self.manager().await?.good(&request).await;
            errors.extend(set().await.err());
        }
        errors
    }
}
