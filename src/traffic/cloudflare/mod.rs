//! Cloudflare: addresses of names, or pools of load balancers and the origins in them.

mod door;
mod pools;
mod records;

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use self::door::Door;
use self::pools::Pools;
use self::records::Records;
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    CloudflareBy, CloudflareSettings, ControlSpec, ControlState, CutCall, CutOrder, Exchange,
    PartState, Passage, Provider,
};

/// A token that ends sooner than this may not live to see the restore.
const TOO_SOON: SignedDuration = SignedDuration::from_hours(1);

/// Cloudflare as a traffic control. Its parts are records, named `NAME/TYPE/ADDRESS`; or pools, `POOL`, and origins,
/// `POOL/ORIGIN`.
pub struct Cloudflare {
    spec: ControlSpec,
    settings: CloudflareSettings,
    door: Door,
}

/// What is steered, and how.
#[async_trait]
trait Way: Send + Sync {
    /// Holds that everything is there, and can be put back.
    async fn preflight(&self) -> Result<(), ControlError>;
    async fn inspect(&self) -> Result<ControlState, ControlError>;
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError>;
    /// Closes these parts.
    async fn close(&self, parts: &ControlState) -> Result<(), ControlError>;
    /// Puts these parts back as they are here.
    async fn put_back(&self, parts: &ControlState) -> Result<(), ControlError>;
    /// Makes of an open part what it is when it is closed.
    fn closed(&self, part: &mut PartState);
    /// The calls that close a part, and that put it back.
    fn calls(&self, part: &str, is: &PartState) -> CutCall;
    /// How a person puts a part back.
    fn by_hand(&self, part: &str, is: &PartState) -> Option<String>;
    /// How many requests one reading takes.
    fn requests(&self) -> usize;
}

impl Cloudflare {
    /// What `spec` names of Cloudflare. Nothing is read or connected yet.
    ///
    /// # Errors
    /// When `spec` is of another provider.
    pub fn new(spec: &ControlSpec) -> Result<Cloudflare, ControlError> {
        let Provider::Cloudflare(settings) = &spec.provider else {
            return Err(ControlError {
                what: format!("`{}` is a control of `{}`", spec.name, spec.provider.key()),
                hint: "give its settings under `cloudflare:`".into(),
            });
        };
        let door = Door::new(settings);
        Ok(Cloudflare { spec: spec.clone(), settings: settings.clone(), door })
    }

    fn way(&self) -> Box<dyn Way + '_> {
        match &self.settings.by {
            CloudflareBy::Records { zone, records } => {
                Box::new(Records { door: &self.door, zone, records })
            }
            CloudflareBy::Pools { account, pools } => {
                Box::new(Pools { door: &self.door, account, pools })
            }
        }
    }

    /// Holds that the token lives on for a while. What it may do cannot be asked for.
    async fn token_lives(&self) -> Result<(), ControlError> {
        let account = match &self.settings.by {
            CloudflareBy::Pools { account, .. } => Some(account.as_str()),
            CloudflareBy::Records { .. } => None,
        };
        let Some(token) = self.door.token(account).await? else { return Ok(()) };
        let refuse = |what: &str| {
            Err(ControlError {
                what: format!("the API token {what}"),
                hint: "make another one in Cloudflare's dashboard, or let this one live for longer"
                    .to_owned(),
            })
        };
        let ends: Option<Timestamp> = token.expires_on.and_then(|it| it.parse().ok());
        match ends.zip(token.now) {
            _ if token.status != "active" => {
                refuse(&format!("is {}", crate::model::printable(&token.status)))
            }
            Some((ends, now)) if ends.duration_since(now) < TOO_SOON => refuse(&format!(
                "expires at {ends}, in less than an hour, and traffic must come back by it"
            )),
            _ => Ok(()),
        }
    }
}

/// All of several refusals in one.
fn all(problem: &str, errors: &[ControlError]) -> Result<(), ControlError> {
    let Some(first) = errors.first() else { return Ok(()) };
    let whats: Vec<&str> = errors.iter().map(|error| error.what.as_str()).collect();
    Err(ControlError { what: format!("{problem}: {}", whats.join("; ")), hint: first.hint.clone() })
}

/// That `part` is none of ours.
fn unknown(part: &str) -> ControlError {
    ControlError {
        what: format!("`{}` is no part of this control", crate::model::printable(part)),
        hint: "see whether the journal was changed by hand".into(),
    }
}

#[async_trait]
impl TrafficControl for Cloudflare {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        self.token_lives().await?;
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
                what: format!("Cloudflare cannot cut in mode `{mode}`"),
                hint: "take `drain`".into(),
            });
        }
        self.way().close(&snapshot.cuttable(order)).await
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
        self.way().put_back(snapshot).await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let way = self.way();
        snapshot.parts.iter().filter_map(|(part, is)| way.by_hand(part, is)).collect()
    }

    /// Cloudflare takes 1200 requests in five minutes, of all that a person or account runs.
    fn pause(&self) -> Duration {
        let requests = u32::try_from(self.way().requests()).unwrap_or(u32::MAX);
        Duration::from_millis(500).saturating_mul(requests.max(2))
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.door.exchanges()
    }
}
