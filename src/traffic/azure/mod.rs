//! Azure: an endpoint of Traffic Manager that is disabled is no longer in its answers to look-ups, and an origin of Front Door
//! that is disabled gets no more requests.
//!
//! Each is patched in the one field that is steered, so that what others write beside it stays.

mod front_door;
mod rights;
#[cfg(test)]
mod tests;
mod token;
mod traffic_manager;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;
use wildmatch::WildMatch;

use super::api::{Api, Reach, Signed, Tokens};
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    AzureBy, AzureSettings, ControlSpec, ControlState, CutCall, CutOrder, DatacenterId, Exchange,
    PartState, Passage, Provider, Text,
};
use crate::traffic::all_of;

const MANAGER: &str = "https://management.azure.com";

/// The two words that an endpoint or an origin can be set to.
const ENABLED: &str = "Enabled";
const DISABLED: &str = "Disabled";

/// Azure as a traffic control. Its parts are endpoints of a Traffic Manager profile, `TYPE/NAME`, or origins of a Front Door
/// profile, `ORIGIN_GROUP/NAME`.
pub struct Azure {
    spec: ControlSpec,
    settings: AzureSettings,
    manager: OnceCell<Signed>,
}

/// An endpoint or an origin as it was read.
struct Read {
    part: String,
    /// Those that stand in for each other.
    group: String,
    leads: Leads,
    is_enabled: bool,
    /// Whether Azure has done what it was last told.
    is_done: bool,
    /// Whether it is up by Azure's own probes, as far as Azure tells.
    is_up: bool,
}

/// Where something leads by the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    To(DatacenterId),
    /// The plan does not say, and it is not ours.
    Elsewhere,
    /// The plan says two. What another hand adds so is not ours either: it must not keep us from what is.
    ToTwo,
}

impl Read {
    fn datacenter(&self) -> Option<DatacenterId> {
        match self.leads {
            Leads::To(datacenter) => Some(datacenter),
            Leads::Elsewhere | Leads::ToTwo => None,
        }
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

    /// Everything of the profile that could be a part.
    async fn read(&self) -> Result<Vec<Read>, ControlError> {
        match self.settings.by {
            AzureBy::TrafficManager { .. } => self.endpoints().await,
            AzureBy::FrontDoor { .. } => self.origins().await,
        }
    }

    /// The field that is steered, and its key in [`PartState::settings`].
    fn field(&self) -> &'static str {
        match self.settings.by {
            AzureBy::TrafficManager { .. } => traffic_manager::STATUS,
            AzureBy::FrontDoor { .. } => front_door::STATE,
        }
    }

    /// Where `name` leads by the plan.
    fn leads(&self, name: &str) -> Leads {
        let matches = |pattern: &String| WildMatch::new(pattern).matches(name);
        let parts = self.settings.by.parts();
        let mut at = parts.iter().filter(|it| it.patterns.iter().any(matches));
        match (at.next(), at.next()) {
            (None, _) => Leads::Elsewhere,
            (Some(one), None) => Leads::To(one.datacenter),
            (Some(_), Some(_)) => Leads::ToTwo,
        }
    }

    /// Sets every part to what `state` says; goes on after a refusal.
    async fn set_all(&self, state: &ControlState, problem: &str) -> Result<(), ControlError> {
        let (mut wanted, mut errors) = (Vec::new(), Vec::new());
        for (part, is) in &state.parts {
            let word = is.settings.get(self.field()).map_or("", String::as_str);
            match two(part).filter(|_| [ENABLED, DISABLED].contains(&word)) {
                Some(names) => wanted.push((names, word)),
                None => errors.push(ControlError {
                    what: format!("`{}` is no {}", crate::model::printable(part), self.one()),
                    hint: "see whether the journal was changed by hand".into(),
                }),
            }
        }
        errors.extend(match self.settings.by {
            AzureBy::TrafficManager { .. } => self.set_endpoints(&wanted).await,
            AzureBy::FrontDoor { .. } => self.set_origins(&wanted).await,
        });
        all_of(problem, errors)
    }

    fn one(&self) -> &'static str {
        self.settings.by.key().trim_end_matches('s')
    }

    /// In words, what becomes of a part.
    fn told(&self, part: &str, word: &str) -> String {
        format!("PATCH {part}: {} {word}", self.field())
    }
}

/// The names of a part and of what it stands in, and the word that it is to be set to.
type Wanted<'w> = ((&'w str, &'w str), &'w str);

/// The two names of a part, if they are such as Azure gives.
fn two(part: &str) -> Option<(&str, &str)> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let plain =
        |text: &str| !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_plain);
    part.split_once('/').filter(|(first, second)| plain(first) && plain(second))
}

#[async_trait]
impl TrafficControl for Azure {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        if let AzureBy::TrafficManager { .. } = self.settings.by {
            self.is_in_use().await?;
        }
        let read = self.read().await?;
        if let Some(it) = read.iter().find(|it| it.leads == Leads::ToTwo) {
            return Err(ControlError {
                what: format!("{} leads to two datacenters by the plan's patterns", it.part),
                hint: format!("make the patterns under `{}` narrower", self.settings.by.key()),
            });
        }
        if let Some(it) =
            read.iter().find(|it| it.datacenter().is_some() && two(&it.part).is_none())
        {
            return Err(ControlError {
                what: format!(
                    "{} has a name that firedrill cannot ask for",
                    crate::model::printable(&it.part)
                ),
                hint: "it knows names of letters, digits, `-`, `_` and `.`: narrow the patterns"
                    .into(),
            });
        }
        for named in self.settings.by.parts() {
            if !read.iter().any(|it| it.datacenter() == Some(named.datacenter)) {
                let (one, key) = (self.one(), self.settings.by.key());
                return Err(ControlError {
                    what: format!("no {one} has the name `{}`", named.patterns.join("`, `")),
                    hint: format!("see `{key}` in the plan, and the profile"),
                });
            }
        }
        if let Some(it) = read.iter().find(|it| it.datacenter().is_some() && !it.is_done) {
            return Err(ControlError {
                what: format!("Azure is not done with what {} was last told", it.part),
                hint: "wait until it is, and begin anew".to_owned(),
            });
        }
        self.may_change(&read).await
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let mut state = ControlState::default();
        for it in self.read().await? {
            let Some(datacenter) = it.datacenter() else { continue };
            // What is under way may be our own cut: it is as before only when Azure is done.
            let word = if it.is_enabled && it.is_done { ENABLED } else { DISABLED };
            // What was accepted and is not done yet is not in force.
            let passage = match !it.is_enabled && it.is_done {
                true => Passage::Closed,
                false => Passage::Open,
            };
            let settings = [(self.field().to_owned(), word.to_owned())].into();
            state.parts.insert(it.part, PartState { datacenter, passage, settings });
        }
        Ok(state)
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let read = self.read().await?;
        let is_lost = |it: &Read| it.datacenter().is_some_and(|at| order.datacenters.contains(&at));
        let mut survivors: Vec<Survivors> = Vec::new();
        for lost in read.iter().filter(|it| is_lost(it)) {
            if survivors.iter().any(|it| it.group == lost.group) {
                continue;
            }
            let beside = read.iter().filter(|it| it.group == lost.group && !is_lost(it));
            let left = beside.filter(|it| it.is_enabled && it.is_up).count();
            survivors.push(Survivors { group: lost.group.clone(), left });
        }
        Ok(survivors)
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let mode = order.mode.kind();
        if !self.spec.provider.modes().contains(&mode) {
            return Err(ControlError {
                what: format!("Azure cannot cut in mode `{mode}`"),
                hint: "take `drain`".into(),
            });
        }
        self.set_all(&self.cut_state(order, snapshot), "not cut").await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let call = |(part, is): (&String, &PartState)| CutCall {
            call: self.told(part, DISABLED),
            undone_by: is.settings.get(self.field()).map(|word| self.told(part, word)),
        };
        snapshot.cuttable(order).parts.iter().map(call).collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(self.field().to_owned(), DISABLED.to_owned());
        }
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.set_all(snapshot, "not put back").await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let AzureSettings { subscription, resource_group, by, .. } = &self.settings;
        let command = |(part, is): (&String, &PartState)| {
            let ((first, name), word) = (part.split_once('/')?, is.settings.get(self.field())?);
            let at = format!("--subscription {subscription} --resource-group '{resource_group}'");
            Some(match by {
                AzureBy::TrafficManager { profile, .. } => format!(
                    "az network traffic-manager endpoint update {at} --profile-name {profile} \
                     --type {first} --name {name} --endpoint-status {word}"
                ),
                AzureBy::FrontDoor { profile, .. } => format!(
                    "az afd origin update {at} --profile-name {profile} --origin-group-name {first} \
                     --origin-name {name} --enabled-state {word}"
                ),
            })
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
