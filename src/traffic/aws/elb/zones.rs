//! Zones of load balancers: a cut sets the subnets without the zone's, a restore sets them with the very subnet again.
//!
//! Only for Application Load Balancers. The addresses of another kind of load balancer are its zone's own: whoever takes the
//! zone from it does not get the same addresses back, or may not take it at all.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::error::ProvideErrorMetadata;
use aws_sdk_elasticloadbalancingv2::types::{
    AvailabilityZone, LoadBalancer, LoadBalancerStateEnum as Status, LoadBalancerTypeEnum as Type,
};

use super::{Elb, NONE, SUBNET, open, unknown};
use crate::command::quoted;
use crate::model::{ControlState, CutCall, CutOrder, DatacenterId, PartState, Passage};
use crate::traffic::aws::failed::failed;
use crate::traffic::{ControlError, Survivors};

/// An Application Load Balancer has no fewer zones.
const FEWEST: usize = 2;

impl Elb {
    fn all_zones(&self) -> impl Iterator<Item = (DatacenterId, &String)> {
        self.settings.zones.iter().flat_map(|it| it.names.iter().map(|name| (it.datacenter, name)))
    }

    /// The load balancers of the settings that are there, by ARN.
    async fn balancers(&self) -> Result<BTreeMap<String, LoadBalancer>, ControlError> {
        let mut found = Vec::new();
        // One by one: asked for several, AWS refuses all where one is gone.
        for arn in &self.settings.load_balancers {
            let call = self.client().await.describe_load_balancers().load_balancer_arns(arn);
            match call.send().await {
                Ok(answer) => found.extend(answer.load_balancers.unwrap_or_default()),
                Err(error) if error.code() == Some("LoadBalancerNotFound") => {}
                Err(error) => {
                    return Err(failed("elasticloadbalancing:DescribeLoadBalancers", &error));
                }
            }
        }
        Ok(found.into_iter().filter_map(|it| Some((it.load_balancer_arn.clone()?, it))).collect())
    }

    pub(super) async fn read_balancers(&self) -> Result<BTreeMap<String, PartState>, ControlError> {
        let mut parts = BTreeMap::new();
        for (arn, balancer) in self.balancers().await? {
            for (datacenter, zone) in self.all_zones() {
                let subnet = subnet_in(&balancer, zone).unwrap_or(NONE);
                let passage = if subnet == NONE { Passage::Closed } else { Passage::Open };
                let settings = [(SUBNET.to_owned(), subnet.to_owned())].into();
                parts.insert(format!("{arn}/{zone}"), PartState { datacenter, passage, settings });
            }
        }
        Ok(parts)
    }

    /// What is in the way of a cut.
    pub(super) async fn balancers_are_ready(&self) -> Result<Vec<ControlError>, ControlError> {
        let (found, mut failures) = (self.balancers().await?, Vec::new());
        for arn in &self.settings.load_balancers {
            let Some(balancer) = found.get(arn) else {
                failures.push(absent(arn));
                continue;
            };
            failures.extend(can_be_put_back(arn, balancer).err());
            let status = balancer.state.as_ref().and_then(|it| it.code.as_ref());
            if status.is_some_and(|it| *it == Status::Provisioning || *it == Status::Failed) {
                failures.push(ControlError {
                    what: format!("{arn} is not active but {}", status.map_or("", Status::as_str)),
                    hint: "wait until AWS is done with it".to_owned(),
                });
            }
            for (_, zone) in self.all_zones().filter(|(_, it)| subnet_in(balancer, it).is_none()) {
                let zones = zones(balancer).iter().filter_map(|it| it.zone_name.as_deref());
                failures.push(ControlError {
                    what: format!("{arn} has no subnet in {zone}"),
                    hint: format!("it has {}", zones.collect::<Vec<_>>().join(", ")),
                });
            }
        }
        Ok(failures)
    }

    /// # Errors
    /// Where AWS would refuse, since it keeps two zones at least.
    pub(super) async fn left_in_balancers(
        &self,
        order: &CutOrder,
    ) -> Result<Vec<Survivors>, ControlError> {
        let is_cut = |zone: &AvailabilityZone| {
            let mut cut = self.all_zones().filter(|(it, _)| order.datacenters.contains(it));
            cut.any(|(_, name)| zone.zone_name.as_ref() == Some(name))
        };
        let mut judged = Vec::new();
        for (arn, balancer) in self.balancers().await? {
            let left = zones(&balancer).iter().filter(|zone| !is_cut(zone)).count();
            if left > 0 {
                enough(&arn, left)?;
            }
            judged.push(Survivors { group: format!("load balancer {arn}"), left });
        }
        Ok(judged)
    }

    /// The subnets of the open parts of a snapshot, by load balancer.
    fn subnets(&self, state: &ControlState) -> Result<BTreeMap<&str, Vec<String>>, ControlError> {
        let mut subnets: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, part) in open(state) {
            let named = |arn: &&String| {
                let zone = name.strip_prefix(arn.as_str()).and_then(|it| it.strip_prefix('/'));
                zone.is_some_and(|zone| self.all_zones().any(|(_, it)| it == zone))
            };
            let arn = self.settings.load_balancers.iter().find(named);
            let arn = arn.ok_or_else(|| unknown(name))?;
            let subnet = part.settings.get(SUBNET).cloned().unwrap_or_default();
            subnets.entry(arn).or_default().push(subnet);
        }
        Ok(subnets)
    }

    pub(super) async fn take_zones(&self, ours: &ControlState) -> Vec<ControlError> {
        self.change(ours, |now, ours| now.into_iter().filter(|it| !ours.contains(it)).collect())
            .await
    }

    pub(super) async fn give_zones(&self, snapshot: &ControlState) -> Vec<ControlError> {
        self.change(snapshot, |now, ours| {
            let gone: Vec<String> = ours.iter().filter(|it| !now.contains(it)).cloned().collect();
            now.into_iter().chain(gone).collect()
        })
        .await
    }

    /// Sets the subnets of each load balancer to what `next` makes of those that it has and of ours.
    async fn change(
        &self,
        state: &ControlState,
        next: impl Fn(Vec<String>, &[String]) -> Vec<String>,
    ) -> Vec<ControlError> {
        let asked = match self.subnets(state) {
            Ok(asked) if asked.is_empty() => return Vec::new(),
            Ok(asked) => asked,
            Err(failure) => return vec![failure],
        };
        let found = match self.balancers().await {
            Ok(found) => found,
            Err(failure) => return vec![failure],
        };
        let mut failures = Vec::new();
        for (arn, ours) in asked {
            let Some(balancer) = found.get(arn) else {
                failures.push(absent(arn));
                continue;
            };
            let now: Vec<String> =
                zones(balancer).iter().filter_map(|it| it.subnet_id.clone()).collect();
            let next = next(now.clone(), &ours);
            if next != now {
                failures.extend(self.set_subnets(arn, balancer, next).await.err());
            }
        }
        failures
    }

    async fn set_subnets(
        &self,
        arn: &str,
        balancer: &LoadBalancer,
        subnets: Vec<String>,
    ) -> Result<(), ControlError> {
        can_be_put_back(arn, balancer)?;
        enough(arn, subnets.len())?;
        let call = self.client().await.set_subnets().load_balancer_arn(arn);
        let answer = call.set_subnets(Some(subnets)).send().await;
        answer.map(drop).map_err(|error| failed("elasticloadbalancing:SetSubnets", &error))
    }

    pub(super) fn calls_at_balancers(&self, ours: &ControlState) -> Vec<CutCall> {
        let Ok(subnets) = self.subnets(ours) else { return Vec::new() };
        let calls = subnets.into_iter().map(|(arn, subnets)| {
            let subnets = subnets.join(", ");
            CutCall {
                call: format!("SetSubnets {arn}: without {subnets}"),
                undone_by: Some(format!("SetSubnets {arn}: with {subnets} again")),
            }
        });
        calls.collect()
    }

    pub(super) fn give_zones_by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let Ok(subnets) = self.subnets(snapshot) else { return Vec::new() };
        let lines = subnets.into_iter().map(|(arn, subnets)| {
            let (arn, subnets) = (quoted(arn), subnets.join(" "));
            let call = format!("set-subnets --load-balancer-arn {arn} --subnets {subnets} OTHERS");
            let shown = "--query 'LoadBalancers[].AvailabilityZones[].SubnetId'";
            let list = format!("describe-load-balancers --load-balancer-arns {arn} {shown}");
            let (call, list) = (self.command(&call), self.command(&list));
            format!("{call}   # OTHERS: those that it has now: {list}")
        });
        lines.collect()
    }
}

fn zones(balancer: &LoadBalancer) -> &[AvailabilityZone] {
    balancer.availability_zones.as_deref().unwrap_or_default()
}

fn subnet_in<'b>(balancer: &'b LoadBalancer, zone: &str) -> Option<&'b str> {
    let zone = zones(balancer).iter().find(|it| it.zone_name.as_deref() == Some(zone));
    zone.and_then(|it| it.subnet_id.as_deref())
}

fn absent(arn: &str) -> ControlError {
    ControlError {
        what: format!("there is no load balancer {arn}"),
        hint: "see that it is there, in the account of these credentials".to_owned(),
    }
}

/// That its zone, once taken, would come back as it was.
fn can_be_put_back(arn: &str, balancer: &LoadBalancer) -> Result<(), ControlError> {
    if balancer.r#type == Some(Type::Application) {
        return Ok(());
    }
    let kind = balancer.r#type.as_ref().map_or("unknown", Type::as_str);
    Err(ControlError {
        what: format!(
            "{arn} is of the type `{kind}`: its addresses in a zone would not be the same after the drill"
        ),
        hint: "shift the zone away instead, by `aws-zonal-shift`, or name its `target_groups`"
            .to_owned(),
    })
}

fn enough(arn: &str, left: usize) -> Result<(), ControlError> {
    if left >= FEWEST {
        return Ok(());
    }
    Err(ControlError {
        what: format!("{arn} would be left with {left} zone, and AWS takes no fewer than {FEWEST}"),
        hint: "shift the zone away instead, by `aws-zonal-shift`, or name its `target_groups`"
            .to_owned(),
    })
}
