//! Pods of a zone, isolated by a NetworkPolicy of our own in each namespace: nothing comes to them and nothing leaves.
//!
//! Policies only ever allow, and what one allows no other takes away. So a pod that another policy lets traffic pass to cannot
//! be cut here, and preflight says so.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::session::Session;
use super::{Metadata, Way, unnamed};
use crate::command::quoted;
use crate::model::{
    ControlState, CutCall, CutOrder, DatacenterId, KubernetesPolicies, PartState, Passage,
};
use crate::traffic::all_of;
use crate::traffic::api::{Method, Request};
use crate::traffic::{ControlError, Survivors};

/// Key of [`PartState::settings`]: [`NONE`], [`ISOLATES`], or the `spec` that another hand gave our policy.
const POLICY: &str = "policy";
const NONE: &str = "none";
const ISOLATES: &str = "isolates";

/// Says that a policy is ours; no other is ever taken away.
const OURS: (&str, &str) = ("app.kubernetes.io/managed-by", "firedrill");

/// The pods of the plan's zones.
pub(super) struct Policies {
    label: String,
    /// Each isolation by the name of its part, `NAMESPACE/ZONE`.
    isolations: BTreeMap<String, Isolation>,
}

/// The policy of one zone in one namespace.
struct Isolation {
    datacenter: DatacenterId,
    namespace: String,
    zone: String,
    /// The policy's name.
    name: String,
}

#[derive(Deserialize)]
struct Policy {
    metadata: Metadata,
    #[serde(default)]
    spec: PolicySpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PolicySpec {
    pod_selector: Selector,
    policy_types: BTreeSet<String>,
    ingress: Vec<Value>,
    egress: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    host_network: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodStatus {
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Selector {
    fn takes(&self, labels: &BTreeMap<String, String>) -> bool {
        let fits = |it: &Expression| {
            let value = labels.get(&it.key);
            let is_in = value.is_some_and(|value| it.values.contains(value));
            match &*it.operator {
                "In" => is_in,
                "NotIn" => !is_in,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                // One that we do not know may take the pod, and that is the worse of both.
                _ => true,
            }
        };
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(fits)
    }
}

impl Pod {
    /// Whether it takes traffic, or may soon.
    fn lives(&self) -> bool {
        self.metadata.deletion_timestamp.is_none()
            && !matches!(&*self.status.phase, "Succeeded" | "Failed")
    }

    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|it| it.kind == "Ready" && it.status == "True")
    }
}

impl Isolation {
    fn path(&self) -> String {
        format!("{}/{}", policies_of(&self.namespace), self.name)
    }

    fn spec(&self, label: &str) -> Value {
        json!({
            "podSelector": { "matchLabels": { label: self.zone } },
            "policyTypes": ["Ingress", "Egress"],
        })
    }

    fn body(&self, label: &str) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": self.name, "namespace": self.namespace, "labels": { OURS.0: OURS.1 },
            },
            "spec": self.spec(label),
        })
    }

    /// Whether `policy` does what ours is for.
    fn is(&self, policy: &Policy, label: &str) -> bool {
        let spec = &policy.spec;
        let zone = BTreeMap::from([(label.to_owned(), self.zone.clone())]);
        spec.pod_selector.match_labels == zone
            && spec.pod_selector.match_expressions.is_empty()
            && ["Ingress", "Egress"].iter().all(|it| spec.policy_types.contains(*it))
            && spec.ingress.is_empty()
            && spec.egress.is_empty()
    }
}

fn policies_of(namespace: &str) -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
}

impl Policies {
    pub(super) fn new(settings: &KubernetesPolicies) -> Policies {
        let mut isolations = BTreeMap::new();
        for namespace in &settings.namespaces {
            for zone in &settings.zones {
                let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
                let plain: String = zone.zone.to_ascii_lowercase().chars().map(fits).collect();
                let isolation = Isolation {
                    datacenter: zone.datacenter,
                    namespace: namespace.clone(),
                    zone: zone.zone.clone(),
                    // The number tells zones apart that look alike without what a name may not have.
                    name: format!("firedrill-{plain}-{}", zone.datacenter.index()),
                };
                isolations.insert(format!("{namespace}/{}", zone.zone), isolation);
            }
        }
        Policies { label: settings.label.clone(), isolations }
    }

    fn isolation(&self, part: &str) -> Result<&Isolation, ControlError> {
        self.isolations.get(part).ok_or_else(|| unnamed(part))
    }

    fn namespaces(&self) -> BTreeSet<&str> {
        self.isolations.values().map(|it| &*it.namespace).collect()
    }

    /// Our policy as it is there.
    async fn read(
        &self,
        session: &Session,
        isolation: &Isolation,
    ) -> Result<Option<(Policy, Value)>, ControlError> {
        let request = Request::get(isolation.path());
        let answer = session.ask(&request).await?;
        // A 404 of something else on the way would read as the way back.
        if answer.is_absent() {
            return Ok(None);
        }
        if !answer.is_good() {
            return Err(session.refused(&request, &answer));
        }
        let raw: Value = answer.json().map_err(|why| session.senseless(&request, &why))?;
        let policy = Policy::deserialize(&raw)
            .map_err(|why| session.senseless(&request, &why.to_string()))?;
        Ok(Some((policy, raw)))
    }

    /// The pods of `namespace` that live and say where they stand.
    async fn pods(&self, session: &Session, namespace: &str) -> Result<Vec<Pod>, ControlError> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let pods: Vec<Pod> = session.list(&path, "").await?;
        let placed = |pod: &Pod| pod.lives() && pod.metadata.labels.contains_key(&self.label);
        Ok(pods.into_iter().filter(placed).collect())
    }

    fn zone<'p>(&self, pod: &'p Pod) -> Option<&'p str> {
        pod.metadata.labels.get(&self.label).map(String::as_str)
    }

    /// Holds that the pods of our zones in `namespace` can be isolated.
    async fn can_be_isolated(
        &self,
        session: &Session,
        namespace: &str,
    ) -> Result<BTreeSet<String>, ControlError> {
        let here = || self.isolations.values().filter(|it| it.namespace == namespace);
        let policies: Vec<Policy> = session.list(&policies_of(namespace), "").await?;
        let mut zones = BTreeSet::new();
        for pod in self.pods(session, namespace).await? {
            let Some(zone) = self.zone(&pod).filter(|zone| here().any(|it| it.zone == *zone))
            else {
                continue;
            };
            let name = format!("{namespace}/{}", pod.metadata.name);
            if pod.spec.host_network {
                return Err(ControlError {
                    what: format!(
                        "{name} is on its node's own network, where no NetworkPolicy reaches it"
                    ),
                    hint: "leave its namespace out of the plan, or cut by `nftables` on the nodes"
                        .into(),
                });
            }
            let allows = |it: &&Policy| {
                !here().any(|ours| ours.name == it.metadata.name)
                    && it.spec.pod_selector.takes(&pod.metadata.labels)
                    && !(it.spec.ingress.is_empty() && it.spec.egress.is_empty())
            };
            if let Some(other) = policies.iter().find(allows) {
                return Err(ControlError {
                    what: format!(
                        "the NetworkPolicy {namespace}/{} lets traffic of {name} pass, and what one policy allows no other takes away",
                        other.metadata.name
                    ),
                    hint: "cut by `nodes` or `routes` instead, or by `nftables` on the nodes"
                        .into(),
                });
            }
            zones.insert(zone.to_owned());
        }
        Ok(zones)
    }

    async fn isolate(&self, session: &Session, isolation: &Isolation) -> Result<(), ControlError> {
        let path = policies_of(&isolation.namespace);
        let request = Request::once(Method::POST, path).json(&isolation.body(&self.label));
        let answer = session.ask(&request).await?;
        match answer.status() {
            200..=299 => Ok(()),
            // There already: by an earlier call of ours, if it does the same.
            409 => match self.read(session, isolation).await? {
                Some((policy, _)) if isolation.is(&policy, &self.label) => Ok(()),
                _ => Err(session.refused(&request, &answer)),
            },
            _ => Err(session.refused(&request, &answer)),
        }
    }

    async fn release(&self, session: &Session, isolation: &Isolation) -> Result<(), ControlError> {
        let Some((policy, _)) = self.read(session, isolation).await? else { return Ok(()) };
        if policy.metadata.labels.get(OURS.0).map(String::as_str) != Some(OURS.1) {
            return Err(ControlError {
                what: format!(
                    "the NetworkPolicy {}/{} is not firedrill's: it lacks the label {}={}",
                    isolation.namespace, isolation.name, OURS.0, OURS.1
                ),
                hint: "see who made it, and take it away by hand if nobody needs it".into(),
            });
        }
        let request = Request::repeatable(Method::DELETE, isolation.path());
        let answer = session.ask(&request).await?;
        match answer.status() {
            200..=299 => Ok(()),
            _ if answer.is_absent() => Ok(()),
            _ => Err(session.refused(&request, &answer)),
        }
    }
}

#[async_trait]
impl Way for Policies {
    async fn preflight(&self, session: &Session) -> Result<(), ControlError> {
        let mut there = BTreeSet::new();
        for namespace in self.namespaces() {
            there.append(&mut self.can_be_isolated(session, namespace).await?);
        }
        if let Some(empty) = self.isolations.values().find(|it| !there.contains(&it.zone)) {
            return Err(ControlError {
                what: format!("no pod has the label {}={}", self.label, empty.zone),
                hint: "label the pods of each zone, or let the cluster do it (PodTopologyLabels)"
                    .into(),
            });
        }
        // What admits changes may have more to say than rights.
        for isolation in self.isolations.values() {
            if let Some((policy, _)) = self.read(session, isolation).await? {
                if !isolation.is(&policy, &self.label) {
                    return Err(ControlError {
                        what: format!(
                            "the NetworkPolicy {}/{} is there, and does something else than ours",
                            isolation.namespace, isolation.name
                        ),
                        hint: "see who made it, and take it away by hand if nobody needs it".into(),
                    });
                }
            } else {
                let path = format!("{}?dryRun=All", policies_of(&isolation.namespace));
                let body = isolation.body(&self.label);
                session.good(&Request::repeatable(Method::POST, path).json(&body)).await?;
            }
        }
        Ok(())
    }

    async fn inspect(&self, session: &Session) -> Result<ControlState, ControlError> {
        let mut parts = BTreeMap::new();
        for (name, isolation) in &self.isolations {
            let (passage, policy) = match self.read(session, isolation).await? {
                None => (Passage::Open, NONE.to_owned()),
                Some((policy, _)) if isolation.is(&policy, &self.label) => {
                    (Passage::Closed, ISOLATES.to_owned())
                }
                Some((_, raw)) => (Passage::Degraded, raw["spec"].to_string()),
            };
            let settings = [(POLICY.to_owned(), policy)].into();
            let part = PartState { datacenter: isolation.datacenter, passage, settings };
            parts.insert(name.clone(), part);
        }
        Ok(ControlState { parts })
    }

    /// Pods that are ready elsewhere, for each namespace.
    async fn survivors(
        &self,
        session: &Session,
        order: &CutOrder,
    ) -> Result<Vec<Survivors>, ControlError> {
        let now = self.inspect(session).await?;
        let is_lost = |namespace: &str, zone: &str| {
            let part = now.parts.get(&format!("{namespace}/{zone}"));
            part.is_some_and(|it| {
                order.datacenters.contains(&it.datacenter) || it.passage == Passage::Closed
            })
        };
        let mut all = Vec::new();
        for namespace in self.namespaces() {
            let pods = self.pods(session, namespace).await?;
            let stays = |pod: &&Pod| {
                pod.is_ready() && self.zone(pod).is_some_and(|zone| !is_lost(namespace, zone))
            };
            let left = pods.iter().filter(stays).count();
            all.push(Survivors { group: format!("namespace {namespace}"), left });
        }
        Ok(all)
    }

    async fn cut(&self, session: &Session, open: &ControlState) -> Result<(), ControlError> {
        for part in open.parts.keys() {
            self.isolate(session, self.isolation(part)?).await?;
        }
        Ok(())
    }

    fn calls(&self, open: &ControlState) -> Vec<CutCall> {
        let isolations = open.parts.keys().filter_map(|part| self.isolations.get(part));
        let call = |it: &Isolation| CutCall {
            call: format!("POST {} {}", policies_of(&it.namespace), it.body(&self.label)),
            undone_by: Some(format!("DELETE {}", it.path())),
        };
        isolations.map(call).collect()
    }

    fn cut_state(&self, mut ours: ControlState) -> ControlState {
        for part in ours.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(POLICY.to_owned(), ISOLATES.to_owned());
        }
        ours
    }

    async fn restore(
        &self,
        session: &Session,
        snapshot: &ControlState,
    ) -> Result<(), ControlError> {
        let mut errors = Vec::new();
        for (name, part) in &snapshot.parts {
            let restored = match self.isolation(name) {
                Err(unknown) => Err(unknown),
                Ok(it) if part.passage == Passage::Closed => self.isolate(session, it).await,
                // One of our name that does something else: no cut of ours touched it.
                Ok(_) if part.passage == Passage::Degraded => Ok(()),
                Ok(it) => self.release(session, it).await,
            };
            errors.extend(restored.err());
        }
        all_of("not put back", errors)
    }

    fn by_hand(&self, kubectl: &str, snapshot: &ControlState) -> Vec<String> {
        let open = snapshot.parts.iter().filter(|(_, part)| part.passage == Passage::Open);
        let isolations = open.filter_map(|(name, _)| self.isolations.get(name));
        let command = |it: &Isolation| {
            format!(
                "{kubectl} -n {} delete networkpolicy {}",
                quoted(&it.namespace),
                quoted(&it.name)
            )
        };
        isolations.map(command).collect()
    }
}
