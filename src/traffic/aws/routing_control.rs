//! ARC routing controls: switches that records of Route 53 hang on, kept by a cluster with an address in each of five
//! regions.
//!
//! One or two of the five may be away at any time. So whatever is asked is asked at the next address where one does not
//! answer, and no more than that: a "no" of the cluster is its answer, and above all a conflict is never asked again blindly.
//!
//! All switches of a cut are turned in one call, which the cluster does as a whole or not at all, held to its safety rules.
//! Only the cluster itself is asked, never the service by which clusters are made: that one may be down on such a day.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_route53recoverycluster::Client;
use aws_sdk_route53recoverycluster::config::Builder;
use aws_sdk_route53recoverycluster::types::{
    RoutingControlState as State, UpdateRoutingControlStateEntry as Entry,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::sync::OnceCell;

use super::Session;
use super::failed::{failed, lacks_credentials};
use crate::command::quoted;
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, DatacenterId, Exchange, PartState, Passage,
    RoutingControlEndpoint, RoutingControlSettings,
};
use crate::traffic::all_of;
use crate::traffic::{ControlError, Survivors, TrafficControl};

/// The setting of a part.
const STATE: &str = "state";
const ON: &str = "On";
const OFF: &str = "Off";
/// So often all addresses are asked, at most.
const ROUNDS: usize = 2;
/// Between two rounds; as long again by chance.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(200);
/// A cluster is asked by few, with a limit on calls.
const PAUSE: Duration = Duration::from_millis(500);

/// Routing controls of a cluster as a traffic control. Its parts are named by their ARNs.
#[derive(Debug)]
pub struct RoutingControl {
    spec: ControlSpec,
    settings: RoutingControlSettings,
    session: Session,
    clients: OnceCell<Vec<Client>>,
    /// The place of the address that is asked next.
    next: AtomicUsize,
}

impl RoutingControl {
    /// The routing controls of `settings`. Nothing is connected yet.
    pub fn new(spec: &ControlSpec, settings: &RoutingControlSettings) -> RoutingControl {
        let region = settings.endpoints.first().map_or("", |it| it.region.as_str());
        RoutingControl {
            spec: spec.clone(),
            settings: settings.clone(),
            session: Session::new(spec, &settings.reach, region),
            clients: OnceCell::new(),
            // Not all drills of the world begin with the first of the list.
            next: AtomicUsize::new(fastrand::usize(..settings.endpoints.len().max(1))),
        }
    }

    /// The same, beginning with the address at this place.
    pub fn beginning_with(self, place: usize) -> RoutingControl {
        RoutingControl { next: AtomicUsize::new(place), ..self }
    }

    /// A client for each address.
    async fn clients(&self) -> &[Client] {
        let made = self.clients.get_or_init(async || {
            let config = self.session.config().await;
            self.settings.endpoints.iter().map(|it| self.client(config, it)).collect()
        });
        made.await
    }

    /// It asks once: whoever gets no answer asks elsewhere.
    fn client(&self, config: &SdkConfig, endpoint: &RoutingControlEndpoint) -> Client {
        let addresses = u32::try_from(self.settings.endpoints.len()).unwrap_or(u32::MAX);
        // So that one call has the time for all of them. Finding credentials is not part of it.
        let each = self.settings.reach.timeout / addresses.max(1);
        let config = Builder::from(config)
            .region(Region::new(endpoint.region.clone()))
            .endpoint_url(endpoint.url.reveal_plain())
            .retry_config(RetryConfig::disabled())
            .http_client(self.session.wire.within(each));
        Client::from_conf(config.build())
    }

    /// Asks one address after another until one answers, for as long as a call may take.
    async fn ask<T, E, F>(
        &self,
        call: &str,
        send: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T, ControlError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    {
        let silent = Mutex::new(BTreeMap::new());
        let asked = self.ask_in_turn(call, send, &silent);
        let asked = tokio::time::timeout(self.settings.reach.timeout, asked).await;
        match asked {
            Ok(Some(answered)) => answered,
            _ => Err(self.nobody(call, silent.into_inner().unwrap_or_default())),
        }
    }

    /// As [`RoutingControl::ask`], with what those said that gave no answer in `silent`. `None`: all of them.
    async fn ask_in_turn<T, E, F>(
        &self,
        call: &str,
        send: impl Fn(Client) -> F + Send + Sync,
        silent: &Mutex<BTreeMap<String, String>>,
    ) -> Option<Result<T, ControlError>>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    {
        let (clients, first) = (self.clients().await, self.next.load(Ordering::Relaxed));
        for turn in 0..clients.len() * ROUNDS {
            if turn > 0 && turn % clients.len() == 0 {
                tokio::time::sleep(BETWEEN_ROUNDS.mul_f64(1.0 + fastrand::f64())).await;
            }
            let place = (first + turn) % clients.len();
            match send(clients[place].clone()).await {
                Err(error) if asks_elsewhere(&error) => {
                    let region = self.settings.endpoints[place].region.clone();
                    let mut silent = silent.lock().unwrap_or_else(PoisonError::into_inner);
                    silent.insert(region, failed(call, &error).what);
                    self.next.store(place + 1, Ordering::Relaxed);
                }
                answered => {
                    self.next.store(place, Ordering::Relaxed);
                    return Some(answered.map_err(|error| refused(call, &error)));
                }
            }
        }
        None
    }

    /// That no address answered, and what each said instead.
    fn nobody(&self, call: &str, mut silent: BTreeMap<String, String>) -> ControlError {
        let each = self.settings.endpoints.iter().map(|it| {
            let why = silent.remove(&it.region);
            format!("{}: {}", it.region, why.as_deref().unwrap_or("no answer in time"))
        });
        ControlError {
            what: format!(
                "none of the cluster's endpoints answered `{call}`: {}",
                each.collect::<Vec<_>>().join("; ")
            ),
            hint: "see whether they can be reached from here, and that `endpoints` are those of the cluster; what was asked may have taken effect"
                .to_owned(),
        }
    }

    /// The state of one; `None` if it is gone.
    async fn state_of(&self, arn: &str) -> Result<Option<State>, ControlError> {
        let call = "route53-recovery-cluster:GetRoutingControlState";
        let asked = self.ask(call, |client| async move {
            let answer = client.get_routing_control_state().routing_control_arn(arn).send().await;
            match answer {
                Err(error) if is_gone(&error) => Ok(None),
                answer => answer.map(|it| Some(it.routing_control_state)),
            }
        });
        asked.await
    }

    /// Turns all of `wanted`, in one call.
    async fn turn(&self, wanted: &[String], state: State) -> Result<(), ControlError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let entry = |arn: &String| {
            let entry = Entry::builder().routing_control_arn(arn);
            entry.routing_control_state(state.clone()).build().map_err(|error| ControlError {
                what: format!("{arn} cannot be asked for: {error}"),
                hint: "see the settings of this control in the plan".to_owned(),
            })
        };
        let entries: Vec<Entry> = wanted.iter().map(entry).collect::<Result<_, _>>()?;
        let rules = &self.settings.override_safety_rules;
        let rules = (!rules.is_empty()).then(|| rules.clone());
        let call = "route53-recovery-cluster:UpdateRoutingControlStates";
        let asked = self.ask(call, |client| {
            let call = client.update_routing_control_states();
            let call = call.set_update_routing_control_state_entries(Some(entries.clone()));
            call.set_safety_rules_to_override(rules.clone()).send()
        });
        asked.await.map(drop)
    }

    /// That what was asked for is named in the plan: a journal may have been changed by hand.
    fn open_of(&self, state: &ControlState) -> Result<Vec<String>, ControlError> {
        let open = state.parts.iter().filter(|(_, part)| part.passage != Passage::Closed);
        let open: Vec<String> = open.map(|(arn, _)| arn.clone()).collect();
        let known = |arn: &String| self.settings.all_controls().any(|(_, it)| it == arn);
        match open.iter().find(|arn| !known(arn)) {
            Some(arn) => Err(ControlError {
                what: format!("`{arn}` is none of the parts of this control"),
                hint: "see whether the journal was changed by hand".to_owned(),
            }),
            None => Ok(open),
        }
    }

    fn told(&self, arns: &[String], state: &str) -> String {
        let turned = arns.iter().map(|arn| format!("{arn} {state}")).collect::<Vec<_>>();
        let rules = match self.settings.override_safety_rules.as_slice() {
            [] => String::new(),
            rules => format!(", passing over the safety rules {}", rules.join(", ")),
        };
        format!("UpdateRoutingControlStates {}{rules}", turned.join(", "))
    }
}

/// Whether another address may do better. It is right to ask again, since what is asked for is a state and not a step.
fn asks_elsewhere<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(said) => match said.err().code() {
            Some("EndpointTemporarilyUnavailableException" | "ThrottlingException") => true,
            Some(_) => said.raw().status().as_u16() >= 500,
            // Whatever that is, it is not the cluster.
            None => true,
        },
        SdkError::ConstructionFailure(_) => false,
        error => !lacks_credentials(error),
    }
}

fn is_gone<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let said = error.as_service_error();
    said.and_then(ProvideErrorMetadata::code) == Some("ResourceNotFoundException")
}

/// A "no" of the cluster's own.
fn refused<E>(call: &str, error: &SdkError<E, HttpResponse>) -> ControlError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let said = error.as_service_error();
    let code = said.and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let mut failure = failed(call, error);
    if code == "ConflictException" {
        "nothing was turned: a safety rule forbids it, or somebody turns them at the same time; see the rules of the control panel, and `override_safety_rules` if the glass must be broken"
            .clone_into(&mut failure.hint);
    }
    failure
}

/// The part of a routing control.
fn part(datacenter: DatacenterId, state: &State) -> PartState {
    PartState {
        datacenter,
        passage: if *state == State::On { Passage::Open } else { Passage::Closed },
        settings: [(STATE.to_owned(), state.as_str().to_owned())].into(),
    }
}

/// Those that stand in for each other.
fn panel(arn: &str) -> &str {
    arn.split_once("/routingcontrol/").map_or(arn, |(panel, _)| panel)
}

#[async_trait]
impl TrafficControl for RoutingControl {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let state = self.inspect().await?;
        let gone = self.settings.all_controls().filter(|(_, arn)| !state.parts.contains_key(*arn));
        let gone = gone.map(|(_, arn)| ControlError {
            what: format!("there is no routing control {arn}"),
            hint: "see that `endpoints` are those of its cluster: `aws route53-recovery-control-config describe-cluster`"
                .to_owned(),
        });
        all_of("ARC routing control", gone)
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let mut parts = BTreeMap::new();
        for (datacenter, arn) in self.settings.all_controls() {
            let state = self.state_of(arn).await?;
            parts.extend(state.map(|state| (arn.clone(), part(datacenter, &state))));
        }
        Ok(ControlState { parts })
    }

    /// Of the control panels in which something is cut.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        let is_cut = |part: &PartState| order.datacenters.contains(&part.datacenter);
        let state = self.inspect().await?;
        for (arn, _) in state.parts.iter().filter(|(_, part)| is_cut(part)) {
            left.insert(panel(arn).to_owned(), 0);
        }
        for (arn, part) in state.parts.iter().filter(|(_, part)| !is_cut(part)) {
            if let Some(left) = left.get_mut(panel(arn)) {
                *left += usize::from(part.passage == Passage::Open);
            }
        }
        let judged = left.into_iter();
        Ok(judged
            .map(|(it, left)| Survivors { group: format!("control panel {it}"), left })
            .collect())
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        self.turn(&self.open_of(&snapshot.cuttable(order))?, State::Off).await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let arns: Vec<String> = snapshot.cuttable(order).parts.into_keys().collect();
        let call = CutCall { call: self.told(&arns, OFF), undone_by: Some(self.told(&arns, ON)) };
        if arns.is_empty() { Vec::new() } else { vec![call] }
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(STATE.to_owned(), OFF.to_owned());
        }
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.turn(&self.open_of(snapshot)?, State::On).await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let Ok(arns) = self.open_of(snapshot) else { return Vec::new() };
        if arns.is_empty() {
            return Vec::new();
        }
        let entry = |arn: &String| format!("RoutingControlArn={arn},RoutingControlState=On");
        let entries = arns.iter().map(entry).map(|it| quoted(&it)).collect::<Vec<_>>().join(" ");
        let mut call = format!(
            "update-routing-control-states --update-routing-control-state-entries {entries}"
        );
        for (place, rule) in self.settings.override_safety_rules.iter().enumerate() {
            let flag = if place == 0 { " --safety-rules-to-override" } else { "" };
            call = format!("{call}{flag} {}", quoted(rule));
        }
        let call = self.session.command("route53-recovery-cluster", &call);
        let at = |it: &RoutingControlEndpoint| {
            let (region, url) = (quoted(&it.region), quoted(&it.url.to_string()));
            format!(
                "{call} --region {region} --endpoint-url {url}   # if it does not answer, the next"
            )
        };
        self.settings.endpoints.iter().map(at).collect()
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.session.exchanges()
    }
}
