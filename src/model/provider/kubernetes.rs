//! Settings of `kubernetes`: a cluster, and what of it stands in which datacenter.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::model::{DatacenterId, ModeKind, Text, millis};

/// The namespace that each cluster has, and by whose own name clusters are told apart.
pub const CLUSTER_NAME: &str = "kube-system";

/// Settings of the `kubernetes` provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KubernetesSettings {
    /// Which cluster, and with whose rights.
    pub access: KubernetesAccess,
    /// The URL of the API server, instead of the one that the access names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Text>,
    /// What is steered there.
    pub by: KubernetesBy,
    /// How long one request may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

/// Which cluster is spoken to, and with whose rights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KubernetesAccess {
    /// The cluster that firedrill runs in as a pod, by its service account.
    InCluster,
    /// A context of a kubeconfig. It is named and never the current one, which anybody may switch while traffic is cut.
    Context {
        /// Its name.
        name: String,
        /// The file; without it those of `KUBECONFIG`, or else `~/.kube/config`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kubeconfig: Option<Text>,
    },
}

/// What a cut steers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KubernetesBy {
    /// Nodes are cordoned, and pods evicted from them.
    Nodes(KubernetesNodes),
    /// Weights of the backends of HTTP routes (Gateway API).
    Routes(Vec<KubernetesBackends>),
    /// Pods are isolated by network policies.
    Policies(KubernetesPolicies),
}

/// Nodes, and what leaves them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KubernetesNodes {
    /// The label that says where a node stands.
    pub label: String,
    /// Its value for each datacenter.
    pub zones: Vec<KubernetesZone>,
    /// The namespaces whose pods are evicted.
    pub namespaces: Vec<String>,
    /// For so long disruption budgets may hold evictions up.
    #[serde(rename = "evict_within_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub evict_within: Duration,
}

/// Pods, and what isolates them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KubernetesPolicies {
    /// The label that says where a pod stands.
    pub label: String,
    /// Its value for each datacenter.
    pub zones: Vec<KubernetesZone>,
    /// The namespaces whose pods are isolated.
    pub namespaces: Vec<String>,
}

/// The zone that a datacenter is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KubernetesZone {
    /// The datacenter.
    pub datacenter: DatacenterId,
    /// The label's value.
    pub zone: String,
}

/// The backends of one datacenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KubernetesBackends {
    /// Where they lead.
    pub datacenter: DatacenterId,
    /// Each a service in the rules of a route.
    pub backends: Vec<KubernetesBackend>,
}

/// A service in the rules of an HTTP route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KubernetesBackend {
    /// The namespace of both.
    pub namespace: String,
    /// The route.
    pub route: String,
    /// The service.
    pub service: String,
}

impl KubernetesAccess {
    fn words(&self) -> String {
        match self {
            KubernetesAccess::InCluster => "the cluster that firedrill runs in".to_owned(),
            KubernetesAccess::Context { name, kubeconfig: None } => format!("context {name}"),
            KubernetesAccess::Context { name, kubeconfig: Some(file) } => {
                format!("context {name} of {file}")
            }
        }
    }
}

impl Settings for KubernetesSettings {
    fn key(&self) -> &'static str {
        "kubernetes"
    }

    /// Pods end as they do in any evacuation, and gateways let go of a backend gently. What a policy does not allow vanishes.
    fn modes(&self) -> &'static [ModeKind] {
        match self.by {
            KubernetesBy::Nodes(_) | KubernetesBy::Routes(_) => &[ModeKind::Drain],
            KubernetesBy::Policies(_) => &[ModeKind::Blackhole],
        }
    }

    fn parts(&self) -> &'static str {
        match self.by {
            KubernetesBy::Nodes(_) => "nodes",
            KubernetesBy::Routes(_) => "backends",
            KubernetesBy::Policies(_) => "network policies",
        }
    }

    fn datacenters(&self) -> Option<BTreeSet<DatacenterId>> {
        Some(match &self.by {
            KubernetesBy::Nodes(nodes) => nodes.zones.iter().map(|it| it.datacenter).collect(),
            KubernetesBy::Routes(routes) => routes.iter().map(|it| it.datacenter).collect(),
            KubernetesBy::Policies(it) => it.zones.iter().map(|it| it.datacenter).collect(),
        })
    }

    fn place(&self) -> String {
        format!("kubernetes, {}", self.access.words())
    }

    /// Contexts of other names may lead to the same cluster: its own name tells that.
    fn places(&self) -> Vec<String> {
        vec![match &self.access {
            KubernetesAccess::InCluster => "kubernetes in-cluster".to_owned(),
            KubernetesAccess::Context { name, .. } => format!("kubernetes context {name}"),
        }]
    }

    fn needs(&self) -> Vec<String> {
        let who = match &self.access {
            KubernetesAccess::InCluster => "as the service account of firedrill's pod".to_owned(),
            KubernetesAccess::Context { .. } => format!("by {}", self.access.words()),
        };
        let rights = self.rights();
        rights.iter().map(|right| format!("{right}, {who}")).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut Text> {
        let file = match &mut self.access {
            KubernetesAccess::Context { kubeconfig, .. } => kubeconfig.as_mut(),
            KubernetesAccess::InCluster => None,
        };
        file.into_iter().chain(self.server.as_mut()).collect()
    }

    fn paths_mut(&mut self) -> Vec<&mut Text> {
        match &mut self.access {
            KubernetesAccess::Context { kubeconfig, .. } => kubeconfig.iter_mut().collect(),
            KubernetesAccess::InCluster => Vec::new(),
        }
    }

    /// A context is of the files of one machine, and a pod of its cluster.
    fn is_of_one_host(&self) -> bool {
        true
    }

    /// Pods have a grace period to leave in, and gateways follow their routes when they come to it.
    fn lag(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// A right that RBAC gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesRight {
    /// What may be done.
    pub verb: &'static str,
    /// The API's group; empty for the core.
    pub group: &'static str,
    /// To what, with a part of it behind a slash.
    pub resource: &'static str,
    /// In which namespace; `None` for what stands in none.
    pub namespace: Option<String>,
}

impl std::fmt::Display for KubernetesRight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

impl KubernetesSettings {
    /// The rights that a drill needs.
    pub fn rights(&self) -> Vec<KubernetesRight> {
        let right = |verb, group, resource, namespace: Option<&String>| KubernetesRight {
            verb,
            group,
            resource,
            namespace: namespace.cloned(),
        };
        // The cluster's own name is that of a namespace that each has.
        let mut rights = vec![right("get", "", "namespaces", Some(&CLUSTER_NAME.to_owned()))];
        match &self.by {
            KubernetesBy::Nodes(KubernetesNodes { namespaces, .. }) => {
                rights.push(right("list", "", "nodes", None));
                rights.push(right("patch", "", "nodes", None));
                for namespace in namespaces {
                    rights.push(right("list", "", "pods", Some(namespace)));
                    rights.push(right("create", "", "pods/eviction", Some(namespace)));
                }
            }
            KubernetesBy::Policies(KubernetesPolicies { namespaces, .. }) => {
                for namespace in namespaces {
                    rights.push(right("list", "", "pods", Some(namespace)));
                    for verb in ["get", "list", "create", "delete"] {
                        let group = "networking.k8s.io";
                        rights.push(right(verb, group, "networkpolicies", Some(namespace)));
                    }
                }
            }
            KubernetesBy::Routes(routes) => {
                let backends = routes.iter().flat_map(|it| &it.backends);
                let namespaces: BTreeSet<&String> = backends.map(|it| &it.namespace).collect();
                const GROUP: &str = "gateway.networking.k8s.io";
                for namespace in namespaces {
                    rights.push(right("get", GROUP, "httproutes", Some(namespace)));
                    rights.push(right("patch", GROUP, "httproutes", Some(namespace)));
                }
            }
        }
        rights
    }
}
