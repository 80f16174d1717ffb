//! Elastic load balancing: targets that are taken out of target groups, or zones that are taken from load balancers.
//!
//! A part is named after the group or the load balancer and what the plan names of it. Its one setting is what is
//! registered there now, so that it can be registered again when nothing of it is left to be read.

mod targets;
mod zones;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::Client;
use tokio::sync::OnceCell;

use super::Session;
use crate::command::quoted;
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, ElbSettings, Exchange, PartState, Passage,
};
use crate::traffic::all_of;
use crate::traffic::{ControlError, Survivors, TrafficControl};

/// The setting of a part of a target group: what is registered.
const TARGETS: &str = "targets";
/// The setting of a part of a load balancer: its subnet in a zone.
const SUBNET: &str = "subnet";
/// Nothing is.
const NONE: &str = "none";
/// An account has a few calls a second for all its tools.
const PAUSE: Duration = Duration::from_secs(1);

/// Target groups or load balancers as a traffic control. Its parts are named `ARN/TARGET` or `ARN/ZONE`.
#[derive(Debug)]
pub struct Elb {
    spec: ControlSpec,
    settings: ElbSettings,
    session: Session,
    client: OnceCell<Client>,
    /// How long targets of each group go on with what they have, by what the group said when it was first read.
    delays: OnceCell<BTreeMap<String, String>>,
}

impl Elb {
    /// The groups or load balancers of `settings`. Nothing is connected yet.
    pub fn new(spec: &ControlSpec, settings: &ElbSettings) -> Elb {
        Elb {
            spec: spec.clone(),
            settings: settings.clone(),
            session: Session::new(spec, &settings.reach, settings.region()),
            client: OnceCell::new(),
            delays: OnceCell::new(),
        }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(async || Client::new(self.session.config().await)).await
    }

    fn by_groups(&self) -> bool {
        self.settings.load_balancers.is_empty()
    }

    /// Another hand deletes one. All of them at once: that is the way to AWS.
    fn none_there(&self) -> ControlError {
        let (what, key) = match self.by_groups() {
            true => ("target groups", "target_groups"),
            false => ("load balancers", "load_balancers"),
        };
        ControlError {
            what: format!("there is none of the {what} that the plan names"),
            hint: format!(
                "see whether these are credentials of the right account, and `{key}` in the plan"
            ),
        }
    }

    /// `aws elbv2 …`, as a person types it.
    fn command(&self, call: &str) -> String {
        let command = self.session.command("elbv2", call);
        format!("{command} --region {}", quoted(self.settings.region()))
    }
}

fn open(state: &ControlState) -> impl Iterator<Item = (&String, &PartState)> {
    state.parts.iter().filter(|(_, part)| part.passage != Passage::Closed)
}

fn unknown(part: &str) -> ControlError {
    ControlError {
        what: format!("`{part}` is none of the parts of this control"),
        hint: "see whether the journal was changed by hand".to_owned(),
    }
}

#[async_trait]
impl TrafficControl for Elb {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let failures = match self.by_groups() {
            true => self.groups_are_ready().await?,
            false => self.balancers_are_ready().await?,
        };
        all_of("AWS load balancing", failures)
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let parts = match self.by_groups() {
            true => self.read_groups().await?,
            false => self.read_balancers().await?,
        };
        if parts.is_empty() { Err(self.none_there()) } else { Ok(ControlState { parts }) }
    }

    fn but_for_others(&self, now: ControlState, before: &ControlState) -> ControlState {
        match self.by_groups() {
            true => targets::but_for_others(now, before),
            false => now,
        }
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        match self.by_groups() {
            true => self.left_in_groups(order).await,
            false => self.left_in_balancers(order).await,
        }
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let ours = snapshot.cuttable(order);
        let failures = match self.by_groups() {
            true => self.deregister(&ours).await,
            false => self.take_zones(&ours).await,
        };
        all_of("not cut", failures)
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let ours = snapshot.cuttable(order);
        match self.by_groups() {
            true => self.calls_at_groups(&ours),
            false => self.calls_at_balancers(&ours),
        }
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let setting = if self.by_groups() { TARGETS } else { SUBNET };
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(setting.to_owned(), NONE.to_owned());
        }
        state
    }

    /// Goes on after a refusal, so that one group that is gone keeps no other cut.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let failures = match self.by_groups() {
            true => self.register(snapshot).await,
            false => self.give_zones(snapshot).await,
        };
        all_of("not put back", failures)
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        match self.by_groups() {
            true => self.register_by_hand(snapshot),
            false => self.give_zones_by_hand(snapshot),
        }
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.session.exchanges()
    }
}
