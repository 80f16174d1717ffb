//! Targets of target groups: a cut deregisters them, a restore registers them again as they were.
//!
//! A target that was deregistered gets no new connections and is `draining` for as long as its group says; then the group
//! knows nothing of it any more. Both are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_elasticloadbalancingv2::error::ProvideErrorMetadata;
use aws_sdk_elasticloadbalancingv2::types::{
    TargetDescription, TargetHealthDescription, TargetHealthReasonEnum as Reason,
    TargetHealthStateEnum as Health, TargetTypeEnum,
};

use super::{Elb, NONE, TARGETS, open, unknown};
use crate::command::quoted;
use crate::model::{ControlState, CutCall, CutOrder, DatacenterId, ElbTarget, PartState, Passage};
use crate::traffic::aws::failed::failed;
use crate::traffic::{ControlError, Survivors};

/// The attribute of a group that says how long a target drains, in seconds.
const DELAY: &str = "deregistration_delay.timeout_seconds";

/// What of a group is one part.
#[derive(Debug)]
enum Unit<'s> {
    Target(&'s ElbTarget),
    Zone(&'s str),
}

/// A target that is registered, as it must be registered again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Registered {
    id: String,
    port: Option<i32>,
    zone: Option<String>,
    quic: Option<String>,
}

/// A target of a group, and how it is.
#[derive(Debug)]
struct Found {
    target: Registered,
    is_healthy: bool,
}

impl Elb {
    /// The parts of one group: each with its name, its datacenter and what of the group it is.
    fn units<'s>(
        &'s self,
        group: &'s str,
    ) -> impl Iterator<Item = (String, DatacenterId, Unit<'s>)> {
        let targets = self.settings.targets.iter().flat_map(|it| {
            it.targets.iter().map(move |target| (it.datacenter, Unit::Target(target)))
        });
        let zones = self
            .settings
            .zones
            .iter()
            .flat_map(|it| it.names.iter().map(move |name| (it.datacenter, Unit::Zone(name))));
        targets
            .chain(zones)
            .map(move |(datacenter, unit)| (format!("{group}/{unit}"), datacenter, unit))
    }

    /// What is registered in a group; `None` where the group is gone. What only drains is not registered.
    async fn registered(&self, group: &str) -> Result<Option<Vec<Found>>, ControlError> {
        let call = self.client().await.describe_target_health().target_group_arn(group);
        match call.send().await {
            Ok(answer) => {
                let all = answer.target_health_descriptions.unwrap_or_default();
                Ok(Some(all.iter().filter_map(found).collect()))
            }
            Err(error) if error.code() == Some("TargetGroupNotFound") => Ok(None),
            Err(error) => Err(failed("elasticloadbalancing:DescribeTargetHealth", &error)),
        }
    }

    pub(super) async fn read_groups(&self) -> Result<BTreeMap<String, PartState>, ControlError> {
        // Only to be told: what cannot be read is not told.
        self.delays.get_or_init(async || self.delays().await.unwrap_or_default()).await;
        let mut parts = BTreeMap::new();
        for group in &self.settings.target_groups {
            let Some(found) = self.registered(group).await? else { continue };
            for (name, datacenter, unit) in self.units(group) {
                parts.insert(name, part(datacenter, &unit, &found));
            }
        }
        Ok(parts)
    }

    /// How long the targets of each group drain, in seconds.
    async fn delays(&self) -> Result<BTreeMap<String, String>, ControlError> {
        let mut delays = BTreeMap::new();
        for group in &self.settings.target_groups {
            let call = self.client().await.describe_target_group_attributes();
            let answer = call.target_group_arn(group).send().await.map_err(|error| {
                failed("elasticloadbalancing:DescribeTargetGroupAttributes", &error)
            })?;
            let attributes = answer.attributes.unwrap_or_default();
            let delay = attributes.into_iter().find(|it| it.key.as_deref() == Some(DELAY));
            delays.extend(delay.and_then(|it| it.value).map(|value| (group.clone(), value)));
        }
        Ok(delays)
    }

    /// What is in the way of a cut.
    pub(super) async fn groups_are_ready(&self) -> Result<Vec<ControlError>, ControlError> {
        let call = self.client().await.describe_target_groups();
        let call = call.set_target_group_arns(Some(self.settings.target_groups.clone()));
        let groups = call.send().await;
        let groups =
            groups.map_err(|error| failed("elasticloadbalancing:DescribeTargetGroups", &error))?;
        let mut failures = Vec::new();
        for group in groups.target_groups.unwrap_or_default() {
            if group.target_type == Some(TargetTypeEnum::Lambda) {
                failures.push(ControlError {
                    what: format!(
                        "{} leads to a Lambda function, which is in no one zone",
                        group.target_group_arn.unwrap_or_default()
                    ),
                    hint: "leave it out, and steer the listener's weights".to_owned(),
                });
            }
        }
        let delays = self.delays().await?;
        self.delays.get_or_init(async || delays).await;
        let mut nowhere: BTreeMap<String, bool> = BTreeMap::new();
        for group in &self.settings.target_groups {
            let Some(found) = self.registered(group).await? else {
                failures.push(absent(group));
                continue;
            };
            for (_, _, unit) in self.units(group) {
                let here = found.iter().any(|it| unit.is(&it.target));
                *nowhere.entry(unit.to_string()).or_insert(true) &= !here;
            }
        }
        failures.extend(nowhere.into_iter().filter(|(_, nowhere)| *nowhere).map(|(unit, _)| {
            let hint = match self.settings.zones.is_empty() {
                true => "see `aws elbv2 describe-target-health`; what is out of service may be left out of the plan",
                false => "AWS tells the zone of addresses only: name instances one by one, under `targets`",
            };
            ControlError {
                what: format!("no target group has anything registered for {unit}"),
                hint: hint.to_owned(),
            }
        }));
        Ok(failures)
    }

    /// Of the groups in which something is cut: healthy targets that are not. With none of those a load balancer sends
    /// to all that it has ("fails open").
    pub(super) async fn left_in_groups(
        &self,
        order: &CutOrder,
    ) -> Result<Vec<Survivors>, ControlError> {
        let mut judged = Vec::new();
        for group in &self.settings.target_groups {
            let Some(found) = self.registered(group).await? else { continue };
            let is_cut = |target: &Registered| {
                let mut units = self.units(group);
                units.any(|(_, datacenter, unit)| {
                    order.datacenters.contains(&datacenter) && unit.is(target)
                })
            };
            if found.iter().any(|it| is_cut(&it.target)) {
                let left = found.iter().filter(|it| it.is_healthy && !is_cut(&it.target)).count();
                judged.push(Survivors { group: format!("target group {group}"), left });
            }
        }
        Ok(judged)
    }

    /// What the open parts of a snapshot have registered, by group.
    fn by_group(
        &self,
        state: &ControlState,
    ) -> Result<BTreeMap<&str, BTreeSet<Registered>>, ControlError> {
        let mut groups: BTreeMap<&str, BTreeSet<Registered>> = BTreeMap::new();
        for (name, part) in open(state) {
            let named = |group: &&String| self.units(group).any(|(unit, ..)| unit == *name);
            let group = self.settings.target_groups.iter().find(named);
            let group = group.ok_or_else(|| unknown(name))?;
            let told = part.settings.get(TARGETS).map_or("", String::as_str);
            groups.entry(group).or_default().extend(read(told));
        }
        Ok(groups)
    }

    pub(super) async fn deregister(&self, ours: &ControlState) -> Vec<ControlError> {
        let groups = match self.by_group(ours) {
            Ok(groups) => groups,
            Err(failure) => return vec![failure],
        };
        let mut failures = Vec::new();
        for (group, targets) in groups {
            failures.extend(self.deregister_from(group, &targets).await.err());
        }
        failures
    }

    async fn deregister_from(
        &self,
        group: &str,
        targets: &BTreeSet<Registered>,
    ) -> Result<(), ControlError> {
        let found = self.registered(group).await?.ok_or_else(|| absent(group))?;
        let there = targets.iter().filter(|target| found.iter().any(|it| it.target == **target));
        let there: Vec<TargetDescription> = there.map(Registered::named).collect();
        if there.is_empty() {
            return Ok(());
        }
        let call = self.client().await.deregister_targets().target_group_arn(group);
        let answer = call.set_targets(Some(there)).send().await;
        answer.map(drop).map_err(|error| failed("elasticloadbalancing:DeregisterTargets", &error))
    }

    pub(super) async fn register(&self, snapshot: &ControlState) -> Vec<ControlError> {
        let groups = match self.by_group(snapshot) {
            Ok(groups) => groups,
            Err(failure) => return vec![failure],
        };
        let mut failures = Vec::new();
        for (group, targets) in groups {
            failures.extend(self.register_at(group, &targets).await.err());
        }
        failures
    }

    async fn register_at(
        &self,
        group: &str,
        targets: &BTreeSet<Registered>,
    ) -> Result<(), ControlError> {
        let found = self.registered(group).await?.ok_or_else(|| absent(group))?;
        let gone = targets.iter().filter(|target| found.iter().all(|it| it.target != **target));
        let gone: Vec<TargetDescription> = gone.map(Registered::whole).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let call = self.client().await.register_targets().target_group_arn(group);
        let answer = call.set_targets(Some(gone)).send().await;
        answer.map(drop).map_err(|error| failed("elasticloadbalancing:RegisterTargets", &error))
    }

    pub(super) fn calls_at_groups(&self, ours: &ControlState) -> Vec<CutCall> {
        let Ok(groups) = self.by_group(ours) else { return Vec::new() };
        let calls = groups.into_iter().map(|(group, targets)| {
            let named = targets.iter().map(Registered::to_string).collect::<Vec<_>>().join(", ");
            let delay = self.delays.get().and_then(|delays| delays.get(group));
            let delay = delay.map(|it| format!("; what they have may go on for {it} s"));
            let delay = delay.unwrap_or_default();
            CutCall {
                call: format!("DeregisterTargets {group}: {named}{delay}"),
                undone_by: Some(format!("RegisterTargets {group}: {named}")),
            }
        });
        calls.collect()
    }

    pub(super) fn register_by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let Ok(groups) = self.by_group(snapshot) else { return Vec::new() };
        let lines = groups.into_iter().map(|(group, targets)| {
            let targets = targets.iter().map(|it| quoted(&it.for_a_shell())).collect::<Vec<_>>();
            let group = quoted(group);
            let targets = targets.join(" ");
            self.command(&format!(
                "register-targets --target-group-arn {group} --targets {targets}"
            ))
        });
        lines.collect()
    }
}

fn absent(group: &str) -> ControlError {
    ControlError {
        what: format!("there is no target group {group}"),
        hint: "see that it is there, in the account of these credentials".to_owned(),
    }
}

/// What a reading says of targets that were registered before: nothing of those beside them, which others registered. Where
/// none of them is left they are cut. With some left the reading stays as it is: a cut takes all of them out in one call, so
/// that another hand took the missing ones.
pub(super) fn but_for_others(mut now: ControlState, before: &ControlState) -> ControlState {
    for (name, is) in &mut now.parts {
        let Some(was) = before.parts.get(name).filter(|was| was.passage != Passage::Closed) else {
            continue;
        };
        let targets = |part: &PartState| {
            read(part.settings.get(TARGETS).map_or("", String::as_str)).collect::<BTreeSet<_>>()
        };
        let (ours, there) = (targets(was), targets(is));
        if ours.is_subset(&there) {
            is.clone_from(was);
        } else if ours.is_disjoint(&there) {
            is.passage = Passage::Closed;
            is.settings.insert(TARGETS.to_owned(), NONE.to_owned());
        }
    }
    now
}

impl Unit<'_> {
    fn is(&self, target: &Registered) -> bool {
        match self {
            Unit::Target(named) => {
                named.id == target.id
                    && named.port.is_none_or(|port| target.port == Some(i32::from(port)))
            }
            Unit::Zone(zone) => target.zone.as_deref() == Some(*zone),
        }
    }
}

impl fmt::Display for Unit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Target(target) => target.fmt(f),
            Unit::Zone(zone) => f.write_str(zone),
        }
    }
}

fn part(datacenter: DatacenterId, unit: &Unit, found: &[Found]) -> PartState {
    let targets: BTreeSet<&Registered> =
        found.iter().map(|it| &it.target).filter(|target| unit.is(target)).collect();
    let told = targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let (passage, told) = match told.is_empty() {
        true => (Passage::Closed, NONE.to_owned()),
        false => (Passage::Open, told),
    };
    PartState { datacenter, passage, settings: [(TARGETS.to_owned(), told)].into() }
}

/// A target of an answer; `None` if it is not registered any more.
fn found(told: &TargetHealthDescription) -> Option<Found> {
    let (target, health) = (told.target.as_ref()?, told.target_health.as_ref());
    let (state, reason) =
        (health.and_then(|it| it.state.as_ref()), health.and_then(|it| it.reason.as_ref()));
    let is_gone = state == Some(&Health::Draining)
        || (state == Some(&Health::Unused) && reason == Some(&Reason::NotRegistered));
    if is_gone {
        return None;
    }
    let id = target.id.clone()?;
    // Registering takes a zone for addresses only.
    let by_address = id.parse::<std::net::IpAddr>().is_ok();
    let target = Registered {
        port: target.port,
        zone: target.availability_zone.clone().filter(|_| by_address),
        quic: target.quic_server_id.clone(),
        id,
    };
    Some(Found { target, is_healthy: state == Some(&Health::Healthy) })
}

impl Registered {
    /// As much as names it.
    fn named(&self) -> TargetDescription {
        TargetDescription::builder().id(&self.id).set_port(self.port).build()
    }

    /// All that it is registered with.
    fn whole(&self) -> TargetDescription {
        let target = TargetDescription::builder().id(&self.id).set_port(self.port);
        let target = target.set_availability_zone(self.zone.clone());
        target.set_quic_server_id(self.quic.clone()).build()
    }

    /// As the `aws` command takes it.
    fn for_a_shell(&self) -> String {
        let port = self.port.map(|it| format!(",Port={it}"));
        let zone = self.zone.as_ref().map(|it| format!(",AvailabilityZone={it}"));
        let quic = self.quic.as_ref().map(|it| format!(",QuicServerId={it}"));
        let more = [port, zone, quic].into_iter().flatten().collect::<String>();
        format!("Id={}{more}", self.id)
    }
}

/// `ID:PORT@ZONE#QUIC`, whatever there is of it; [`read`] reads it.
impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))?;
        self.zone.as_ref().map_or(Ok(()), |zone| write!(f, "@{zone}"))?;
        self.quic.as_ref().map_or(Ok(()), |quic| write!(f, "#{quic}"))
    }
}

/// The targets of a setting.
fn read(told: &str) -> impl Iterator<Item = Registered> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let all = told.split_whitespace().filter(|it| *it != NONE);
    all.map(move |it| {
        let (it, quic) = it.split_once('#').unwrap_or((it, ""));
        let (it, zone) = it.split_once('@').unwrap_or((it, ""));
        let port = it.rsplit_once(':').and_then(|(id, port)| Some((id, port.parse().ok()?)));
        let (id, port) = port.map_or((it, None), |(id, port)| (id, Some(port)));
        Registered { id: id.to_owned(), port, zone: some(zone), quic: some(quic) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(told: &str) -> ControlState {
        let passage = if told == NONE { Passage::Closed } else { Passage::Open };
        let settings = [(TARGETS.to_owned(), told.to_owned())].into();
        let part = PartState { datacenter: DatacenterId(0), passage, settings };
        ControlState { parts: [("group/zone".to_owned(), part)].into() }
    }

    #[test]
    fn what_others_registered_beside_ours_is_not_judged() {
        let before = state("10.0.0.1:80@a 10.0.0.2:80@a");
        for (now, judged) in [
            ("10.0.0.1:80@a 10.0.0.2:80@a", "10.0.0.1:80@a 10.0.0.2:80@a"),
            ("10.0.0.1:80@a 10.0.0.2:80@a 10.0.0.9:80@a", "10.0.0.1:80@a 10.0.0.2:80@a"),
            ("10.0.0.9:80@a", NONE),
            ("10.0.0.1:80@a 10.0.0.9:80@a", "10.0.0.1:80@a 10.0.0.9:80@a"),
            ("10.0.0.1:80@a", "10.0.0.1:80@a"),
            (NONE, NONE),
        ] {
            assert_eq!(but_for_others(state(now), &before), state(judged), "{now}");
        }
        let theirs = state("10.0.0.9:80@a");
        assert_eq!(but_for_others(theirs.clone(), &state(NONE)), theirs, "none were ours");
    }

    #[test]
    fn what_is_written_of_a_target_is_read_as_it_was() {
        let target = |id: &str, port, zone: Option<&str>, quic: Option<&str>| Registered {
            id: id.to_owned(),
            port,
            zone: zone.map(str::to_owned),
            quic: quic.map(str::to_owned),
        };
        let all = [
            target("10.1.0.4", Some(8080), Some("all"), None),
            target("2001:db8::4", Some(443), Some("eu-west-1a"), Some("0xa1b2c3d4e5f65890")),
            target("i-0abc", Some(80), None, None),
            target(
                "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/0f",
                Some(80),
                None,
                None,
            ),
        ];
        let told = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(read(&told).collect::<Vec<_>>(), all);
        assert_eq!(read(NONE).count(), 0);
    }
}
