//! Nodes of a zone: cordoned, so that nothing new comes, and emptied by evictions, which keep to disruption budgets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::session::Session;
use super::{MERGE, Metadata, Way, is_name, patch, unnamed};
use crate::command::quoted;
use crate::model::{
    ControlState, CutCall, CutOrder, DatacenterId, KubernetesNodes, PartState, Passage, Shown,
    query_value,
};
use crate::traffic::all_of;
use crate::traffic::api::{Answer, Method, Request, again};
use crate::traffic::log::Asked;
use crate::traffic::{ControlError, Survivors};

/// Key of [`PartState::settings`], and of a node's `spec`.
const CORDON: &str = "unschedulable";

/// The longest pause before what a budget refused is asked for again, where the cluster names none.
const AGAIN: Duration = Duration::from_millis(500);

/// So many evictions are under way at once.
const SIDE_BY_SIDE: usize = 8;

/// The nodes of the plan's zones.
pub(super) struct Nodes {
    label: String,
    zones: BTreeMap<String, DatacenterId>,
    namespaces: BTreeSet<String>,
    evict_within: Duration,
}

#[derive(Deserialize)]
struct Node {
    metadata: Metadata,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
struct NodeSpec {
    #[serde(default)]
    unschedulable: bool,
}

#[derive(Deserialize, Default)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
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
struct PodSpec {
    #[serde(rename = "nodeName", default)]
    node: String,
}

#[derive(Deserialize, Default)]
struct PodStatus {
    #[serde(default)]
    phase: String,
}

impl Node {
    fn is_ready(&self) -> bool {
        let mut conditions = self.status.conditions.iter();
        conditions.any(|it| it.kind == "Ready" && it.status == "True")
    }
}

impl Pod {
    /// Whether an eviction would end it and something would make it again elsewhere, as `kubectl drain` has it. One that
    /// is ending takes no new traffic any more.
    fn is_to_leave(&self) -> bool {
        let by_node = |owner: &super::Owner| owner.controller && owner.kind == "DaemonSet";
        self.metadata.deletion_timestamp.is_none()
            && !matches!(&*self.status.phase, "Succeeded" | "Failed")
            && !self.metadata.annotations.contains_key("kubernetes.io/config.mirror")
            && !self.metadata.owner_references.iter().any(by_node)
    }

    fn is_on_its_own(&self) -> bool {
        !self.metadata.owner_references.iter().any(|owner| owner.controller)
    }

    fn name(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }
}

impl Nodes {
    pub(super) fn new(settings: &KubernetesNodes) -> Nodes {
        let zones = settings.zones.iter().map(|it| (it.zone.clone(), it.datacenter));
        Nodes {
            label: settings.label.clone(),
            zones: zones.collect(),
            namespaces: settings.namespaces.iter().cloned().collect(),
            evict_within: settings.evict_within,
        }
    }

    async fn nodes(&self, session: &Session) -> Result<Vec<(Node, DatacenterId)>, ControlError> {
        let zones: Vec<&str> = self.zones.keys().map(String::as_str).collect();
        let selector = format!("{} in ({})", self.label, zones.join(","));
        let query = format!("?labelSelector={}", query_value(&selector));
        let nodes: Vec<Node> = session.list("/api/v1/nodes", &query).await?;
        let at = |node: &Node| self.zones.get(node.metadata.labels.get(&self.label)?).copied();
        Ok(nodes.into_iter().filter_map(|node| at(&node).map(|at| (node, at))).collect())
    }

    /// The pods that have to leave their nodes when those are emptied.
    async fn pods(&self, session: &Session) -> Result<Vec<Pod>, ControlError> {
        let mut all = Vec::new();
        for namespace in &self.namespaces {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            let pods: Vec<Pod> = session.list(&path, "").await?;
            all.extend(pods.into_iter().filter(Pod::is_to_leave));
        }
        Ok(all)
    }

    /// Evicts whatever has to leave `nodes`, round after round, until nothing is left or the cluster wants to be left alone
    /// for too long.
    async fn empty(
        &self,
        session: &Session,
        nodes: &ControlState,
        refusals: &Mutex<Vec<ControlError>>,
    ) -> Result<(), ControlError> {
        let begun = Asked::now();
        loop {
            let mut pods = self.pods(session).await?;
            pods.retain(|pod| nodes.parts.contains_key(&pod.spec.node));
            if pods.is_empty() {
                return Ok(());
            }
            let held_up = evict_all(session, &pods).await?;
            let left = begun.left_of(self.evict_within);
            let pauses: Vec<Option<Duration>> =
                held_up.iter().map(|(answer, _)| again(answer.as_ref(), AGAIN, left)).collect();
            let held_up: Vec<ControlError> = held_up.into_iter().map(|(_, why)| why).collect();
            if pauses.contains(&None) {
                return all_of("not emptied", held_up);
            }
            *refusals.lock().unwrap_or_else(PoisonError::into_inner) = held_up;
            if let Some(pause) = pauses.into_iter().flatten().max() {
                sleep(pause).await;
            }
        }
    }
}

/// What holds up an eviction: what the cluster answered, unless it was for a disruption budget, and that in words.
type HeldUp = (Option<Answer>, ControlError);

/// Evicts pods, but no more of them once the cluster names a pause; gives what holds any up.
async fn evict_all(session: &Session, pods: &[Pod]) -> Result<Vec<HeldUp>, ControlError> {
    let mut held_up: Vec<HeldUp> = Vec::new();
    for some in pods.chunks(SIDE_BY_SIDE) {
        let evicted = join_all(some.iter().map(|pod| evict(session, pod))).await;
        for refusal in evicted {
            held_up.extend(refusal?);
        }
        if held_up
            .iter()
            .filter_map(|(answer, _)| answer.as_ref())
            .any(|it| it.retry_after().is_some())
        {
            break;
        }
    }
    Ok(held_up)
}

/// Evicts a pod; gives what holds it up if that may pass.
async fn evict(session: &Session, pod: &Pod) -> Result<Option<HeldUp>, ControlError> {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
    // A pod of a stateful set comes back under its name, and that one is not to be evicted again.
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": name, "namespace": namespace },
        "deleteOptions": { "preconditions": { "uid": pod.metadata.uid } },
    });
    let request = Request::once(Method::POST, path).json(&body);
    let answer = session.ask(&request).await?;
    match answer.status() {
        200..=299 | 404 | 409 => Ok(None),
        429 | 500 | 503 => {
            let refused = session.refused(&request, &answer);
            let why = ControlError {
                what: format!("{} stays: {}", pod.name(), refused.what),
                hint: "see the PodDisruptionBudgets there, and whether what was evicted comes up elsewhere"
                    .into(),
            };
            // A budget names ten seconds in place of the moment in which another pod comes up.
            Ok(Some((Some(answer).filter(|it| !is_for_a_budget(it)), why)))
        }
        _ => Err(session.refused(&request, &answer)),
    }
}

/// Whether a pod stays for a disruption budget, which the API server gives as the cause.
fn is_for_a_budget(answer: &Answer) -> bool {
    let Ok(said) = answer.json::<Value>() else { return false };
    let causes = said.pointer("/details/causes").and_then(Value::as_array);
    causes.is_some_and(|all| all.iter().any(|it| it["reason"] == "DisruptionBudget"))
}

/// The patch that cordons a node, or opens it.
fn cordon(node: &str, closed: bool) -> (String, Value) {
    let value = if closed { Value::Bool(true) } else { Value::Null };
    (format!("/api/v1/nodes/{node}"), json!({ "spec": { CORDON: value } }))
}

fn told((path, body): (String, Value)) -> String {
    format!("PATCH {path} {body}")
}

fn is_cordoned(part: &PartState) -> bool {
    part.settings.get(CORDON).is_some_and(|value| value == "true")
}

#[async_trait]
impl Way for Nodes {
    async fn preflight(&self, session: &Session) -> Result<(), ControlError> {
        let nodes = self.nodes(session).await?;
        for (zone, datacenter) in &self.zones {
            if !nodes.iter().any(|(_, at)| at == datacenter) {
                return Err(ControlError {
                    what: format!("no node has the label {}={zone}", self.label),
                    hint: "see `zones` and `label` in the plan".into(),
                });
            }
        }
        let cordoned: BTreeSet<&str> = nodes
            .iter()
            .filter(|(node, _)| node.spec.unschedulable)
            .map(|(node, _)| node.metadata.name.as_str())
            .collect();
        let known: BTreeSet<&str> =
            nodes.iter().map(|(node, _)| node.metadata.name.as_str()).collect();
        for pod in self.pods(session).await? {
            let node = pod.spec.node.as_str();
            if known.contains(node) && pod.is_on_its_own() {
                return Err(ControlError {
                    what: format!(
                        "{} has no controller, and nobody would make it again",
                        pod.name()
                    ),
                    hint: "run it by a Deployment, or leave its namespace out of the plan".into(),
                });
            }
            if cordoned.contains(node) {
                return Err(ControlError {
                    what: format!("{node} is cordoned and {} runs on it", pod.name()),
                    hint: "another hand did that: drain the node to its end, or uncordon it".into(),
                });
            }
        }
        // What admits changes may have more to say than rights; one node of each zone tells.
        let mut tried = BTreeSet::new();
        for (node, datacenter) in &nodes {
            if tried.insert(datacenter) && !node.spec.unschedulable {
                let (path, body) = cordon(&node.metadata.name, true);
                session.good(&patch(&format!("{path}?dryRun=All"), MERGE, &body)).await?;
            }
        }
        Ok(())
    }

    async fn inspect(&self, session: &Session) -> Result<ControlState, ControlError> {
        let nodes = self.nodes(session).await?;
        // Another hand takes some away. All of them at once: that is the way to the cluster.
        if nodes.is_empty() {
            return Err(ControlError {
                what: format!("the cluster has no node in any zone of the plan, by {}", self.label),
                hint: "see whether this is the right cluster, and `zones` and `label` in the plan"
                    .into(),
            });
        }
        let any_cordoned = nodes.iter().any(|(node, _)| node.spec.unschedulable);
        let pods = if any_cordoned { self.pods(session).await? } else { Vec::new() };
        let used: BTreeSet<&str> = pods.iter().map(|pod| pod.spec.node.as_str()).collect();
        let part = |(node, datacenter): &(Node, DatacenterId)| {
            let passage = match (node.spec.unschedulable, used.contains(&*node.metadata.name)) {
                (false, _) => Passage::Open,
                // What was there before serves on.
                (true, true) => Passage::Degraded,
                (true, false) => Passage::Closed,
            };
            let settings = [(CORDON.to_owned(), node.spec.unschedulable.to_string())].into();
            let part = PartState { datacenter: *datacenter, passage, settings };
            (node.metadata.name.clone(), part)
        };
        Ok(ControlState { parts: nodes.iter().map(part).collect() })
    }

    async fn survivors(
        &self,
        session: &Session,
        order: &CutOrder,
    ) -> Result<Vec<Survivors>, ControlError> {
        let nodes = self.nodes(session).await?;
        let stays = |(node, at): &&(Node, DatacenterId)| {
            !order.datacenters.contains(at) && !node.spec.unschedulable && node.is_ready()
        };
        let left = nodes.iter().filter(stays).count();
        Ok(vec![Survivors { group: "nodes".to_owned(), left }])
    }

    async fn cut(&self, session: &Session, open: &ControlState) -> Result<(), ControlError> {
        for name in open.parts.keys() {
            if !is_name(name) {
                return Err(unnamed(name));
            }
            // Pods are sent off only when the cluster itself has answered for the node.
            let (path, body) = cordon(name, true);
            session.json::<Node>(&patch(&path, MERGE, &body)).await?;
        }
        let refusals = Mutex::default();
        match timeout(self.evict_within, self.empty(session, open, &refusals)).await {
            Ok(emptied) => emptied,
            Err(_) => {
                let refusals = refusals.into_inner().unwrap_or_else(PoisonError::into_inner);
                all_of("not emptied", refusals)?;
                Err(ControlError {
                    what: format!("the nodes were not empty after {}", Shown(self.evict_within)),
                    hint: "see what makes pods there anew, and how long the API takes to answer"
                        .into(),
                })
            }
        }
    }

    fn calls(&self, open: &ControlState) -> Vec<CutCall> {
        let cordons = open.parts.keys().map(|node| CutCall {
            call: told(cordon(node, true)),
            undone_by: Some(told(cordon(node, false))),
        });
        let evictions = self.namespaces.iter().map(|namespace| CutCall {
            call: format!("POST /api/v1/namespaces/{namespace}/pods/…/eviction"),
            // Whatever made the pod makes it again.
            undone_by: None,
        });
        cordons.chain(evictions).collect()
    }

    fn cut_state(&self, mut ours: ControlState) -> ControlState {
        for part in ours.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(CORDON.to_owned(), "true".to_owned());
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
            if !is_name(name) {
                errors.push(unnamed(name));
                continue;
            }
            let (path, body) = cordon(name, is_cordoned(part));
            errors.extend(session.good(&patch(&path, MERGE, &body)).await.err());
        }
        all_of("not put back", errors)
    }

    fn by_hand(&self, kubectl: &str, snapshot: &ControlState) -> Vec<String> {
        let verb = |part: &PartState| if is_cordoned(part) { "cordon" } else { "uncordon" };
        let command = |(name, part): (&String, &PartState)| {
            format!("{kubectl} {} {}", verb(part), quoted(name))
        };
        snapshot.parts.iter().map(command).collect()
    }
}
