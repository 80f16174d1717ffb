//! Azure Traffic Manager: an endpoint that is disabled is no longer in its answers to look-ups.
//!
//! An endpoint is patched in the one field that is steered, so that what others write beside it stays.

#[cfg(test)]
mod tests;
mod token;

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;
use wildmatch::WildMatch;

use super::api::{Api, Method, Reach, Request, Signed, Tokens};
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    AzureSettings, ControlSpec, ControlState, CutCall, CutOrder, DatacenterId, Exchange, PartState,
    Passage, Provider, Text,
};

const MANAGER: &str = "https://management.azure.com";
const VERSION: &str = "?api-version=2022-04-01";

/// Key of [`PartState::settings`], and of an endpoint's `properties`.
const STATUS: &str = "endpointStatus";

/// A Traffic Manager profile as a traffic control. Its parts are endpoints, named `TYPE/NAME`.
pub struct Azure {
    spec: ControlSpec,
    settings: AzureSettings,
    manager: OnceCell<Signed>,
}

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

impl Endpoint {
    fn part(&self) -> String {
        let kind = self.kind.rsplit('/').next().unwrap_or_default();
        format!("{kind}/{}", self.name)
    }

    fn is_open(&self) -> bool {
        !self.properties.endpoint_status.eq_ignore_ascii_case("disabled")
    }

    /// Whether names lead to it now.
    fn serves(&self) -> bool {
        self.is_open() && self.properties.endpoint_monitor_status.eq_ignore_ascii_case("online")
    }
}

impl Azure {
    /// The profile of `spec`. Nothing is read or connected yet.
    ///
    /// # Errors
    /// When `spec` is of another provider.
    pub fn new(spec: &ControlSpec) -> Result<Azure, ControlError> {
        let Provider::Azure(settings) = &spec.provider else {
            return Err(ControlError {
                what: format!("`{}` is a control of `{}`", spec.name, spec.provider.key()),
                hint: "give its settings under `azure:`".into(),
            });
        };
        Ok(Azure { spec: spec.clone(), settings: settings.clone(), manager: OnceCell::new() })
    }

    /// The same with tokens from `tokens`, instead of from where Azure's own tools have them.
    ///
    /// # Errors
    /// As [`Azure::new`], and when the endpoint cannot be used.
    pub fn with(spec: &ControlSpec, tokens: Box<dyn Tokens>) -> Result<Azure, ControlError> {
        let azure = Azure::new(spec)?;
        let manager = OnceCell::new_with(Some(Signed::new(azure.api()?, tokens)));
        Ok(Azure { manager, ..azure })
    }

    fn api(&self) -> Result<Api, ControlError> {
        let endpoint = self.settings.endpoint.clone().unwrap_or_else(|| Text::from(MANAGER));
        Api::new(&endpoint, &Reach { limit: self.settings.timeout, ..Reach::default() })
    }

    async fn manager(&self) -> Result<&Signed, ControlError> {
        let open = async || {
            let tokens = token::find(self.settings.timeout)?;
            Ok(Signed::new(self.api()?, Box::new(tokens)))
        };
        self.manager.get_or_try_init(open).await
    }

    async fn profile(&self) -> Result<ProfileProperties, ControlError> {
        let request = Request::get(self.settings.path() + VERSION);
        let profile: Profile = self.manager().await?.json(&request).await?;
        Ok(profile.properties)
    }

    /// The datacenter that an endpoint leads to by the plan.
    fn datacenter(&self, endpoint: &Endpoint) -> Result<Option<DatacenterId>, ControlError> {
        let matches = |pattern: &String| WildMatch::new(pattern).matches(&endpoint.name);
        let mut at = self.settings.endpoints.iter().filter(|it| it.patterns.iter().any(matches));
        let (first, other) = (at.next().map(|it| it.datacenter), at.next());
        match other {
            None => Ok(first),
            Some(_) => Err(ControlError {
                what: format!("{} leads to two datacenters by the plan's patterns", endpoint.name),
                hint: "make the patterns under `endpoints` narrower".into(),
            }),
        }
    }

    async fn set(&self, part: &str, status: &str) -> Result<(), ControlError> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let (kind, name) = part.split_once('/').unwrap_or_default();
        let plain =
            |text: &str| !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_plain);
        if !plain(kind) || !plain(name) || !plain(status) {
            return Err(ControlError {
                what: format!("`{}` is no endpoint", crate::model::printable(part)),
                hint: "see whether the journal was changed by hand".into(),
            });
        }
        let path = format!("{}/{kind}/{name}{VERSION}", self.settings.path());
        let body = json!({ "properties": { STATUS: status } });
        let request = Request::repeatable(Method::PATCH, path).json(&body);
        self.manager().await?.good(&request).await.map(drop)
    }

    /// Sets the status of every part; goes on after a refusal.
    async fn set_all(&self, state: &ControlState, problem: &str) -> Result<(), ControlError> {
        let mut errors = Vec::new();
        for (part, is) in &state.parts {
            let status = is.settings.get(STATUS).map_or("", String::as_str);
            errors.extend(self.set(part, status).await.err());
        }
        let Some(first) = errors.first() else { return Ok(()) };
        let all: Vec<&str> = errors.iter().map(|error| error.what.as_str()).collect();
        Err(ControlError {
            what: format!("{problem}: {}", all.join("; ")),
            hint: first.hint.clone(),
        })
    }

    /// Holds that we may change endpoints of these kinds.
    async fn may_change(&self, kinds: &[&str]) -> Result<(), ControlError> {
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
        let right = |kind: &&str| format!("Microsoft.Network/trafficManagerProfiles/{kind}/write");
        let missing: Vec<String> = kinds.iter().map(right).filter(|right| !may(right)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(ControlError {
                what: format!("Azure does not give us {}", missing.join(" and ")),
                hint:
                    "give a role that has it, such as `Traffic Manager Contributor`, on the profile"
                        .into(),
            }),
        }
    }
}

/// In words, what becomes of a part.
fn told(part: &str, status: &str) -> String {
    format!("PATCH {part}: {STATUS} {status}")
}

#[async_trait]
impl TrafficControl for Azure {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let profile = self.profile().await?;
        if profile.profile_status.eq_ignore_ascii_case("disabled") {
            return Err(ControlError {
                what: format!(
                    "the profile {} is disabled and steers nothing",
                    self.settings.profile
                ),
                hint: "enable it, or leave it out of the plan".into(),
            });
        }
        for endpoints in &self.settings.endpoints {
            let at = Some(endpoints.datacenter);
            let found: Result<Vec<_>, _> =
                profile.endpoints.iter().map(|it| self.datacenter(it)).collect();
            if !found?.contains(&at) {
                return Err(ControlError {
                    what: format!("no endpoint has the name `{}`", endpoints.patterns.join("`, `")),
                    hint: "see `endpoints` in the plan, and the profile".into(),
                });
            }
        }
        let mut kinds: Vec<&str> =
            profile.endpoints.iter().filter_map(|it| it.kind.rsplit('/').next()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        self.may_change(&kinds).await
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let mut state = ControlState::default();
        for endpoint in self.profile().await?.endpoints {
            let Some(datacenter) = self.datacenter(&endpoint)? else { continue };
            let (passage, status) = match endpoint.is_open() {
                true => (Passage::Open, "Enabled"),
                false => (Passage::Closed, "Disabled"),
            };
            let settings = [(STATUS.to_owned(), status.to_owned())].into();
            state.parts.insert(endpoint.part(), PartState { datacenter, passage, settings });
        }
        Ok(state)
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let mut left = 0;
        for endpoint in self.profile().await?.endpoints {
            let at = self.datacenter(&endpoint)?;
            let is_lost = at.is_some_and(|at| order.datacenters.contains(&at));
            left += usize::from(!is_lost && endpoint.serves());
        }
        Ok(vec![Survivors { group: self.settings.profile.clone(), left }])
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let mode = order.mode.kind();
        if !self.spec.provider.modes().contains(&mode) {
            return Err(ControlError {
                what: format!("Azure Traffic Manager cannot cut in mode `{mode}`"),
                hint: "take `drain`".into(),
            });
        }
        self.set_all(&self.cut_state(order, snapshot), "not cut").await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let call = |(part, is): (&String, &PartState)| CutCall {
            call: told(part, "Disabled"),
            undone_by: is.settings.get(STATUS).map(|status| told(part, status)),
        };
        snapshot.cuttable(order).parts.iter().map(call).collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(STATUS.to_owned(), "Disabled".to_owned());
        }
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.set_all(snapshot, "not put back").await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let AzureSettings { subscription, resource_group, profile, .. } = &self.settings;
        let command = |(part, is): (&String, &PartState)| {
            let ((kind, name), status) = (part.split_once('/')?, is.settings.get(STATUS)?);
            Some(format!(
                "az network traffic-manager endpoint update --subscription {subscription} \
                 --resource-group '{resource_group}' --profile-name {profile} --type {kind} --name {name} \
                 --endpoint-status {status}"
            ))
        };
        snapshot.parts.iter().filter_map(command).collect()
    }

    /// Azure rations readings for each hour.
    fn pause(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.manager.get().map(Signed::exchanges).unwrap_or_default()
    }
}
