//! Google Cloud: backends of load balancers, or weighted answers of Cloud DNS.

mod backends;
mod dns;
#[cfg(test)]
mod tests;
mod token;

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;

use self::backends::Backends;
use self::dns::Dns;
use super::api::{Api, Method, Reach, Request, Signed, Tokens};
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, Exchange, GcpBy, GcpSettings, PartState, Passage,
    Provider, Text,
};

/// So often something is changed that another hand changes at the same time.
const TRIES: usize = 3;

/// For so long the operations of a cut or a restore are waited for, and the pause between two looks; what takes longer shows
/// in the readings.
const OPERATION: (Duration, Duration) = (Duration::from_secs(8), Duration::from_millis(500));

/// Google Cloud as a traffic control. Its parts are backends, named `global/SERVICE/ZONE/instanceGroups/GROUP`, or items of
/// record sets, `NAME/TYPE/ANSWER`.
pub struct Gcp {
    spec: ControlSpec,
    settings: GcpSettings,
    api: OnceCell<Signed>,
}

/// What is steered, and how.
#[async_trait]
trait Way: Send + Sync {
    /// Holds that everything is there, and may be changed.
    async fn preflight(&self) -> Result<(), ControlError>;
    async fn inspect(&self) -> Result<ControlState, ControlError>;
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError>;
    /// Makes every part what `state` says of it; `problem` goes before what was refused.
    async fn set(&self, state: &ControlState, problem: &str) -> Result<(), ControlError>;
    /// Makes of an open part what it is when it is closed.
    fn closed(&self, part: &mut PartState);
    /// The calls that close a part, and that put it back.
    fn calls(&self, part: &str, is: &PartState) -> CutCall;
    /// How a person puts a part back.
    fn by_hand(&self, part: &str, is: &PartState) -> Option<String>;
}

impl Gcp {
    /// What `spec` names of Google Cloud. Nothing is read or connected yet.
    ///
    /// # Errors
    /// When `spec` is of another provider.
    pub fn new(spec: &ControlSpec) -> Result<Gcp, ControlError> {
        let Provider::Gcp(settings) = &spec.provider else {
            return Err(ControlError {
                what: format!("`{}` is a control of `{}`", spec.name, spec.provider.key()),
                hint: "give its settings under `gcp:`".into(),
            });
        };
        Ok(Gcp { spec: spec.clone(), settings: settings.clone(), api: OnceCell::new() })
    }

    /// The same with tokens from `tokens`, instead of from where Google's own tools have them.
    ///
    /// # Errors
    /// As [`Gcp::new`], and when the endpoint cannot be used.
    pub fn with(spec: &ControlSpec, tokens: Box<dyn Tokens>) -> Result<Gcp, ControlError> {
        let gcp = Gcp::new(spec)?;
        let api = OnceCell::new_with(Some(Signed::new(gcp.door()?, tokens)));
        Ok(Gcp { api, ..gcp })
    }

    fn door(&self) -> Result<Api, ControlError> {
        let own = match self.settings.by {
            GcpBy::Backends { .. } => backends::COMPUTE,
            GcpBy::Dns { .. } => dns::DNS,
        };
        let endpoint = self.settings.endpoint.clone().unwrap_or_else(|| Text::from(own));
        Api::new(&endpoint, &Reach { limit: self.settings.timeout, ..Reach::default() })
    }

    async fn api(&self) -> Result<&Signed, ControlError> {
        let open = async || {
            let tokens = token::find(self.settings.timeout).await?;
            Ok(Signed::new(self.door()?, Box::new(tokens)))
        };
        self.api.get_or_try_init(open).await
    }

    fn way(&self) -> Box<dyn Way + '_> {
        match &self.settings.by {
            GcpBy::Backends { services, groups } => {
                Box::new(Backends { gcp: self, services, groups })
            }
            GcpBy::Dns { zone, items } => Box::new(Dns { gcp: self, zone, items }),
        }
    }

    /// Holds that we have the rights `wanted` on what is named `on`; `path` is where they are asked for, and `role` has
    /// them all.
    async fn may(
        &self,
        path: &str,
        wanted: &[&str],
        on: &str,
        role: &str,
    ) -> Result<(), ControlError> {
        // It is answered, and nothing is kept of it.
        let request =
            Request::repeatable(Method::POST, path).json(&json!({ "permissions": wanted }));
        #[derive(Deserialize)]
        struct Allowed {
            #[serde(default)]
            permissions: Vec<String>,
        }
        let allowed: Allowed = self.api().await?.json(&request).await?;
        let missing = wanted.iter().filter(|it| !allowed.permissions.iter().any(|had| had == *it));
        let missing: Vec<&str> = missing.copied().collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(ControlError {
                what: format!("Google Cloud does not give us {} on {on}", missing.join(" and ")),
                hint: format!("grant a role that has them, such as {role}"),
            }),
        }
    }
}

/// All of several refusals in one.
fn all(problem: &str, errors: &[ControlError]) -> Result<(), ControlError> {
    let Some(first) = errors.first() else { return Ok(()) };
    let whats: Vec<&str> = errors.iter().map(|error| error.what.as_str()).collect();
    Err(ControlError { what: format!("{problem}: {}", whats.join("; ")), hint: first.hint.clone() })
}

#[async_trait]
impl TrafficControl for Gcp {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        self.way().preflight().await
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        self.way().inspect().await
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        self.way().survivors(order).await
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let mode = order.mode.kind();
        if !self.spec.provider.modes().contains(&mode) {
            return Err(ControlError {
                what: format!("Google Cloud cannot cut in mode `{mode}`"),
                hint: "take `drain`".into(),
            });
        }
        self.way().set(&self.cut_state(order, snapshot), "not cut").await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let (way, ours) = (self.way(), snapshot.cuttable(order));
        ours.parts.iter().map(|(part, is)| way.calls(part, is)).collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let (way, mut state) = (self.way(), snapshot.cuttable(order));
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            way.closed(part);
        }
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.way().set(snapshot, "not put back").await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let way = self.way();
        snapshot.parts.iter().filter_map(|(part, is)| way.by_hand(part, is)).collect()
    }

    /// Google rations readings for each minute, and a change takes seconds.
    fn pause(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.api.get().map(Signed::exchanges).unwrap_or_default()
    }
}
