//! A Kubernetes cluster, steered through its API: by its nodes, by the weights of its HTTP routes, or by network policies.
//!
//! Every change is a patch of the one field that it is about, so that what others write beside it stays.

mod kubeconfig;
mod nodes;
mod policies;
mod routes;
mod session;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use self::nodes::Nodes;
use self::policies::Policies;
use self::routes::Routes;
use self::session::Session;
use super::api::{Method, Request};
use super::{ControlError, Survivors, TrafficControl};
use crate::command::quoted;
use crate::model::{
    CLUSTER_NAME, ControlSpec, ControlState, CutCall, CutOrder, Exchange, KubernetesAccess,
    KubernetesBy, KubernetesRight, KubernetesSettings, Provider,
};

/// A patch that names the fields that it changes.
const MERGE: &str = "application/merge-patch+json";
/// A patch that says where each change goes, and what must stand there.
const STEPS: &str = "application/json-patch+json";

/// Key of [`PartState::settings`](crate::model::PartState): the cluster that a part was read in. By the same name another one may
/// be reached at the restore, in which the same things stand as nobody cut them.
const CLUSTER: &str = "cluster";

/// A cluster as a traffic control.
pub struct Kubernetes {
    spec: ControlSpec,
    settings: KubernetesSettings,
    way: Box<dyn Way>,
    session: OnceCell<Session>,
}

/// What is steered in a cluster. Its methods are those of [`TrafficControl`].
#[async_trait]
trait Way: Send + Sync {
    async fn preflight(&self, session: &Session) -> Result<(), ControlError>;
    async fn inspect(&self, session: &Session) -> Result<ControlState, ControlError>;
    async fn survivors(
        &self,
        session: &Session,
        order: &CutOrder,
    ) -> Result<Vec<Survivors>, ControlError>;
    async fn cut(&self, session: &Session, open: &ControlState) -> Result<(), ControlError>;
    fn calls(&self, open: &ControlState) -> Vec<CutCall>;
    fn cut_state(&self, ours: ControlState) -> ControlState;
    async fn restore(&self, session: &Session, snapshot: &ControlState)
    -> Result<(), ControlError>;
    /// The same with `kubectl`, which is the program and what tells it the cluster.
    fn by_hand(&self, kubectl: &str, snapshot: &ControlState) -> Vec<String>;
}

impl Kubernetes {
    /// The cluster of `spec`. Nothing is read or connected yet.
    ///
    /// # Errors
    /// When `spec` is of another provider.
    pub fn new(spec: &ControlSpec) -> Result<Kubernetes, ControlError> {
        let Provider::Kubernetes(settings) = &spec.provider else {
            return Err(ControlError {
                what: format!("`{}` is a control of `{}`", spec.name, spec.provider.key()),
                hint: "give its settings under `kubernetes:`".into(),
            });
        };
        let way: Box<dyn Way> = match &settings.by {
            KubernetesBy::Nodes(nodes) => Box::new(Nodes::new(nodes)),
            KubernetesBy::Routes(backends) => Box::new(Routes::new(backends)),
            KubernetesBy::Policies(policies) => Box::new(Policies::new(policies)),
        };
        let (settings, session) = (settings.clone(), OnceCell::new());
        Ok(Kubernetes { spec: spec.clone(), settings, way, session })
    }

    async fn session(&self) -> Result<&Session, ControlError> {
        self.session.get_or_try_init(|| Session::open(&self.settings)).await
    }

    /// A cluster has no name of its own; people take the number of a namespace that each has for it.
    async fn cluster(&self) -> Result<String, ControlError> {
        let path = format!("/api/v1/namespaces/{CLUSTER_NAME}");
        let namespace: Object = self.session().await?.json(&Request::get(&path)).await?;
        namespace.metadata.uid.ok_or_else(|| ControlError {
            what: format!("the namespace `{CLUSTER_NAME}` has no uid, which tells the cluster"),
            hint: format!("see what answers for it: `kubectl get --raw {path}`"),
        })
    }
}

#[async_trait]
impl TrafficControl for Kubernetes {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn identity(&self) -> Result<Option<String>, ControlError> {
        Ok(Some(format!("kubernetes cluster {}", self.cluster().await?)))
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let session = self.session().await?;
        have_all(session, &self.settings.rights()).await?;
        self.way.preflight(session).await
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let way = self.way.inspect(self.session().await?);
        let (mut state, cluster) = tokio::try_join!(way, self.cluster())?;
        for part in state.parts.values_mut() {
            part.settings.insert(CLUSTER.to_owned(), cluster.clone());
        }
        Ok(state)
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        self.way.survivors(self.session().await?, order).await
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let mode = order.mode.kind();
        if !self.spec.provider.modes().contains(&mode) {
            return Err(ControlError {
                what: format!("Kubernetes cannot cut in mode `{mode}`"),
                hint: "take `drain` by `nodes` or `routes`, `blackhole` by `policies`, or put a `proxy` on the way to the pods".into(),
            });
        }
        self.way.cut(self.session().await?, &snapshot.cuttable(order)).await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        self.way.calls(&snapshot.cuttable(order))
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        self.way.cut_state(snapshot.cuttable(order))
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.way.restore(self.session().await?, snapshot).await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let kubectl = match &self.settings.access {
            KubernetesAccess::InCluster => "kubectl".to_owned(),
            KubernetesAccess::Context { name, kubeconfig } => {
                let file = kubeconfig.as_ref().map(|file| file.to_string());
                let file =
                    file.map_or_else(String::new, |it| format!(" --kubeconfig {}", quoted(&it)));
                format!("kubectl --context {}{file}", quoted(name))
            }
        };
        self.way.by_hand(&kubectl, snapshot)
    }

    /// Controllers answer within a second or so, and a list of nodes and pods is long.
    fn pause(&self) -> Duration {
        Duration::from_millis(250)
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.session.get().map(|session| session.exchanges()).unwrap_or_default()
    }
}

/// Of any object, what all of them have.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: Option<String>,
    generation: Option<i64>,
    deletion_timestamp: Option<String>,
    labels: std::collections::BTreeMap<String, String>,
    annotations: std::collections::BTreeMap<String, String>,
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
    #[serde(default)]
    controller: bool,
}

/// Holds that we have `rights`, by asking the cluster.
async fn have_all(session: &Session, rights: &[KubernetesRight]) -> Result<(), ControlError> {
    let asked = rights.iter().map(|right| async move {
        let (resource, part) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        let of_cluster = right.namespace.as_deref() == Some(CLUSTER_NAME);
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": right.verb,
                "group": right.group,
                "resource": resource,
                "subresource": part,
                "namespace": right.namespace.as_deref().unwrap_or(""),
                "name": if of_cluster { CLUSTER_NAME } else { "" },
            }},
        });
        // It is made and answered, and never kept.
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let request = Request::repeatable(Method::POST, path).json(&review);
        let answer: Value = session.json(&request).await?;
        let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
        Ok::<_, ControlError>((right, allowed.unwrap_or_default()))
    });
    let missing: Vec<String> = try_join_all(asked)
        .await?
        .into_iter()
        .filter(|(_, allowed)| !allowed)
        .map(|(right, _)| right.to_string())
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ControlError {
            what: format!("the cluster does not let us {}", missing.join(", nor ")),
            hint: "give them by a Role or ClusterRole; `firedrill preview` lists all that it needs"
                .into(),
        }),
    }
}

/// A patch of an object. It says the same however often it is made.
fn patch(path: &str, kind: &'static str, body: &Value) -> Request {
    Request::repeatable(Method::PATCH, path).body(kind, body.to_string())
}

/// Whether it can stand in a path; what comes from a journal may have been changed by hand.
fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(fits)
}

fn unnamed(part: &str) -> ControlError {
    ControlError {
        what: format!("`{}` is no part of a cluster", crate::model::printable(part)),
        hint: "see whether the journal was changed by hand".into(),
    }
}
