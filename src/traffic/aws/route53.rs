//! Route 53: weighted records, and health checks that other records hang on.
//!
//! A weighted record is cut by the weight 0. Route 53 answers with such a record all the same when no other of its name and
//! type is healthy ("fails open"), so [`TrafficControl::survivors`] asks for the health of the others.
//!
//! What has no weight (failover, latency, geolocation, several values) is steered by its health check, the way it fails
//! over by itself: one that is disabled and inverted counts as unhealthy, whatever its endpoint says.
//!
//! A change is in the zone at once and at the name servers within a minute: until Route 53 calls it INSYNC, the parts that
//! it is about are read as they were.

mod changes;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_route53::Client;
use aws_sdk_route53::types::HealthCheck;
use tokio::sync::OnceCell;

use self::changes::Pending;
use self::records::{Found, setting, weight_of};
use super::Session;
use super::failed::failed;
use crate::command::quoted;
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, DatacenterId, Exchange, PartState, Passage,
    Route53Settings,
};
use crate::traffic::all_of;
use crate::traffic::{ControlError, Survivors, TrafficControl};

/// The setting of a record.
const WEIGHT: &str = "weight";
/// The settings of a health check.
const DISABLED: &str = "disabled";
const INVERTED: &str = "inverted";
/// What the name of a health check begins with, among the parts.
const HEALTH_CHECK: &str = "health-check/";
/// Route 53 takes five calls a second from an account, and needs up to a minute for a change.
const PAUSE: Duration = Duration::from_secs(2);
/// Of a change that never was.
const NO_CHANGE: &str = "C0000000000000000000";

/// Records and health checks of Route 53 as a traffic control. Its parts are named `NAME/TYPE/SET` and `health-check/ID`.
#[derive(Debug)]
pub struct Route53 {
    spec: ControlSpec,
    settings: Route53Settings,
    session: Session,
    client: OnceCell<Client>,
    /// Of parts by their names, what was accepted and may not be in effect.
    pending: Mutex<BTreeMap<String, Pending>>,
}

impl Route53 {
    /// The records and health checks of `settings`. Nothing is connected yet.
    pub fn new(spec: &ControlSpec, settings: &Route53Settings) -> Route53 {
        Route53 {
            spec: spec.clone(),
            settings: settings.clone(),
            // Route 53 is one service for all the world, and signed for in this region.
            session: Session::new(spec, &settings.reach, "us-east-1"),
            client: OnceCell::new(),
            pending: Mutex::default(),
        }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(async || Client::new(self.session.config().await)).await
    }

    fn zone(&self) -> &str {
        self.settings.zone.as_deref().unwrap_or_default()
    }

    /// All records that share name and type with one that is steered.
    async fn records(&self) -> Result<Vec<Found>, ControlError> {
        let groups: BTreeSet<(&str, &str)> = self
            .settings
            .all_records()
            .map(|(_, record)| (record.name.as_str(), record.kind.as_str()))
            .collect();
        let mut found = Vec::new();
        for (name, kind) in groups {
            found.extend(records::list(self.client().await, self.zone(), name, kind).await?);
        }
        Ok(found)
    }

    /// A health check; `None` where it is gone.
    async fn health_check(&self, id: &str) -> Result<Option<HealthCheck>, ControlError> {
        let answer = self.client().await.get_health_check().health_check_id(id).send().await;
        let answer = match answer {
            Err(error)
                if error.as_service_error().is_some_and(|it| it.is_no_such_health_check()) =>
            {
                return Ok(None);
            }
            answer => answer.map_err(|error| failed("route53:GetHealthCheck", &error))?,
        };
        answer.health_check.map(Some).ok_or_else(|| ControlError {
            what: format!("Route 53 told nothing of the health check {id}"),
            hint: "see that the endpoint is that of Route 53".to_owned(),
        })
    }

    /// The zone and the health checks as they stand there, in effect or not.
    async fn read(&self) -> Result<ControlState, ControlError> {
        let mut parts = BTreeMap::new();
        let found = self.records().await?;
        for (datacenter, record) in self.settings.all_records() {
            let Some(weight) = found.iter().find(|it| it.is(record)).and_then(weight_of) else {
                continue;
            };
            parts.insert(record.to_string(), part_of_record(datacenter, weight));
        }
        for (datacenter, id) in self.settings.all_health_checks() {
            let Some(check) = self.health_check(id).await? else { continue };
            parts.insert(format!("{HEALTH_CHECK}{id}"), part_of_check(datacenter, &check));
        }
        Ok(ControlState { parts })
    }

    /// Whether a change could be followed, asked of one that never was.
    async fn may_follow_changes(&self) -> Result<(), ControlError> {
        let answer = self.client().await.get_change().id(NO_CHANGE).send().await;
        match answer {
            Err(error) if !error.as_service_error().is_some_and(|it| it.is_no_such_change()) => {
                Err(failed("route53:GetChange", &error))
            }
            _ => Ok(()),
        }
    }

    /// Sets a health check, unless it is so, or another hand changed it since it was read.
    ///
    /// Where an answer is lost the SDK asks again with a version that is no longer the last, since the call took effect: who
    /// is refused for that and finds it set is done.
    async fn set_check(
        &self,
        id: &str,
        disabled: bool,
        inverted: bool,
    ) -> Result<(), ControlError> {
        let check = self.health_check(id).await?;
        let check = check.ok_or_else(|| no_check(id))?;
        if flags(&check) == (disabled, inverted) {
            return Ok(());
        }
        let call = self.client().await.update_health_check().health_check_id(id);
        let call = call.health_check_version(check.health_check_version);
        let answer = call.disabled(disabled).inverted(inverted).send().await;
        let Err(error) = answer else { return Ok(()) };
        if error.as_service_error().is_some_and(|it| it.is_health_check_version_mismatch())
            && let Ok(Some(check)) = self.health_check(id).await
            && flags(&check) == (disabled, inverted)
        {
            return Ok(());
        }
        Err(failed("route53:UpdateHealthCheck", &error))
    }

    async fn set_checks(
        &self,
        wanted: impl Iterator<Item = (&str, bool, bool)>,
    ) -> Vec<ControlError> {
        let mut failures = Vec::new();
        for (id, disabled, inverted) in wanted {
            failures.extend(self.set_check(id, disabled, inverted).await.err());
        }
        failures
    }

    /// How many of `beside` can answer for a record that is cut.
    async fn healthy(&self, beside: &[&Found]) -> Result<usize, ControlError> {
        let mut left = 0;
        for record in beside.iter().filter(|it| weight_of(it).is_some_and(|weight| weight > 0)) {
            left += match record.health_check() {
                Some(id) => usize::from(self.is_healthy(id).await?),
                None => 1,
            };
        }
        Ok(left)
    }

    /// Route 53 takes a target for healthy while more than 18 % of its checkers do.
    async fn is_healthy(&self, id: &str) -> Result<bool, ControlError> {
        let answer = self.client().await.get_health_check_status().health_check_id(id).send().await;
        let answer = answer.map_err(|error| failed("route53:GetHealthCheckStatus", &error))?;
        let reports = answer.health_check_observations();
        let good = reports.iter().filter(|it| {
            let status = it.status_report().and_then(|report| report.status());
            status.is_some_and(|status| status.starts_with("Success"))
        });
        Ok(good.count() * 100 > reports.len() * 18)
    }
}

fn part_of_record(datacenter: DatacenterId, weight: i64) -> PartState {
    PartState {
        datacenter,
        passage: if weight == 0 { Passage::Closed } else { Passage::Open },
        settings: [(WEIGHT.to_owned(), weight.to_string())].into(),
    }
}

fn part_of_check(datacenter: DatacenterId, check: &HealthCheck) -> PartState {
    let (disabled, inverted) = flags(check);
    PartState {
        datacenter,
        passage: if disabled && inverted { Passage::Closed } else { Passage::Open },
        settings: [
            (DISABLED.to_owned(), disabled.to_string()),
            (INVERTED.to_owned(), inverted.to_string()),
        ]
        .into(),
    }
}

fn flags(check: &HealthCheck) -> (bool, bool) {
    let config = check.health_check_config.as_ref();
    let flag = |flag: Option<bool>| flag.unwrap_or_default();
    config.map_or((false, false), |it| (flag(it.disabled), flag(it.inverted)))
}

/// The health checks of a state and what it says of each.
fn checks(state: &ControlState) -> impl Iterator<Item = (&str, bool, bool)> {
    state.parts.iter().filter_map(|(name, part)| {
        let id = name.strip_prefix(HEALTH_CHECK)?;
        let flag = |key| setting(part, key).map(|it| it == "true");
        Some((id, flag(DISABLED)?, flag(INVERTED)?))
    })
}

/// The records of a state and what it says of each.
fn weights(state: &ControlState) -> BTreeMap<String, i64> {
    let weight = |part: &PartState| setting(part, WEIGHT)?.parse().ok();
    state.parts.iter().filter_map(|(name, part)| Some((name.clone(), weight(part)?))).collect()
}

fn gone(name: &str) -> ControlError {
    ControlError {
        what: format!("the zone has no weighted record `{name}`"),
        hint: "see the records of that name: `aws route53 list-resource-record-sets`; one without a weight is steered by its health check, under `health_checks`".to_owned(),
    }
}

fn no_check(id: &str) -> ControlError {
    ControlError {
        what: format!("there is no health check {id}"),
        hint: "see `aws route53 list-health-checks`, in the account of these credentials"
            .to_owned(),
    }
}

#[async_trait]
impl TrafficControl for Route53 {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// Reads everything that a drill will read. That records may be changed shows only when they are.
    async fn preflight(&self) -> Result<(), ControlError> {
        let state = self.read().await?;
        let is_there = |name: &str| state.parts.contains_key(name);
        let records = self.settings.all_records().map(|(_, record)| record.to_string());
        let records = records.filter(|name| !is_there(name)).map(|name| gone(&name));
        let checks = self.settings.all_health_checks().map(|(_, id)| id);
        let checks =
            checks.filter(|id| !is_there(&format!("{HEALTH_CHECK}{id}"))).map(|id| no_check(id));
        all_of("Route 53", records.chain(checks))?;
        if self.settings.records.is_empty() { Ok(()) } else { self.may_follow_changes().await }
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let state = self.read().await?;
        // Another hand takes one away. All of them at once: that is the way to AWS.
        if state.parts.is_empty() {
            return Err(ControlError {
                what: "Route 53 has none of the weighted records and health checks that the plan names"
                    .to_owned(),
                hint: "see whether these are credentials of the right account, and `zone`, `records` and `health_checks` in the plan"
                    .to_owned(),
            });
        }
        self.in_effect(state).await
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let cut = |at: &DatacenterId| order.datacenters.contains(at);
        let lost: Vec<_> =
            self.settings.all_records().filter(|(at, _)| cut(at)).map(|(_, it)| it).collect();
        let found = self.records().await?;
        let groups: BTreeSet<_> = lost.iter().map(|it| (&it.name, &it.kind)).collect();
        let mut judged = Vec::new();
        for (name, kind) in groups {
            let beside: Vec<&Found> = found
                .iter()
                .filter(|it| it.is_of(name, kind) && !lost.iter().any(|lost| it.is(lost)))
                .collect();
            let left = self.healthy(&beside).await?;
            judged.push(Survivors { group: format!("record {name} {kind}"), left });
        }
        Ok(judged)
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let cut = self.cut_state(order, snapshot);
        self.weigh(&weights(&cut), false).await?;
        all_of("not cut", self.set_checks(checks(&cut)).await)
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let (cut, ours) = (self.cut_state(order, snapshot), snapshot.cuttable(order));
        let back = weights(&ours);
        let records = weights(&cut).into_iter().map(|(name, weight)| CutCall {
            undone_by: back.get(&name).map(|weight| format!("UPSERT {name} with weight {weight}")),
            call: format!("UPSERT {name} with weight {weight}"),
        });
        let to = |(id, disabled, inverted): (&str, bool, bool)| {
            format!("UpdateHealthCheck {id} disabled={disabled} inverted={inverted}")
        };
        let checks = checks(&cut).zip(checks(&ours));
        let checks = checks.map(|(cut, was)| CutCall { call: to(cut), undone_by: Some(to(was)) });
        records.chain(checks).collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            for (key, value) in &mut part.settings {
                *value = if key == WEIGHT { "0" } else { "true" }.to_owned();
            }
        }
        state
    }

    /// Goes on after a refusal, so that one record that is gone, or that Route 53 does not take any more, keeps no other cut.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let open = |(_, part): &(&String, &PartState)| part.passage != Passage::Closed;
        let open = snapshot.parts.iter().filter(open);
        let open = ControlState { parts: open.map(|(n, p)| (n.clone(), p.clone())).collect() };
        let (records, back) = (weights(&open), self.set_checks(checks(&open)));
        let (records, mut failures) = tokio::join!(self.weigh(&records, true), back);
        failures.extend(records.err());
        all_of("not put back", failures)
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let records = weights(snapshot).into_iter().map(|(name, weight)| {
            let call = format!("list-resource-record-sets --hosted-zone-id {}", quoted(self.zone()));
            let list = self.session.command("route53", &call);
            format!("give the record {name} the weight {weight} again: {list} shows it; send all of it back with change-resource-record-sets (UPSERT)")
        });
        let checks = checks(snapshot).map(|(id, disabled, inverted)| {
            let flag = |name: &str, on: bool| format!("--{}{name}", if on { "" } else { "no-" });
            let (disabled, inverted) = (flag("disabled", disabled), flag("inverted", inverted));
            let id = quoted(id);
            let call = format!("update-health-check --health-check-id {id} {disabled} {inverted}");
            self.session.command("route53", &call)
        });
        records.chain(checks).collect()
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.session.exchanges()
    }
}
