//! A double of a Kubernetes API server: no package brings a real one. It answers as kube-apiserver 1.36 was seen to: paths,
//! statuses, `Status` bodies, dry runs, patches of both kinds, budgets, access reviews, pages of lists.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::rest::{Answers, Asked, Instead, Said, said, serve};

pub const TOKEN: &str = "let-me-in";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/";

/// A cluster with nodes and pods in two zones, and one route to services in both.
pub struct Cluster {
    pub at: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What is in it, and how it behaves.
pub struct State {
    /// By which it is told from others.
    pub uid: &'static str,
    pub nodes: Vec<Value>,
    pub pods: Vec<Value>,
    pub routes: Vec<Value>,
    pub policies: Vec<Value>,
    /// Each `VERB RESOURCE`.
    pub denied: Vec<&'static str>,
    /// So many evictions a budget still refuses.
    pub held_up: usize,
    /// Whether a gateway goes by its routes.
    pub is_followed: bool,
    /// Whether what is accepted is done.
    pub obeys: bool,
    /// Done to the routes before the next patch, as if another hand were faster.
    pub meanwhile: Option<fn(&mut Value)>,
    pub instead: Instead,
    /// Each `METHOD PATH?QUERY`.
    pub heard: Vec<String>,
}

impl Cluster {
    pub async fn start() -> Cluster {
        let state = Arc::new(Mutex::new(State::new()));
        Cluster { at: serve(&state).await, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// A pod of the namespace `shop`, made by a `controller`. The cluster labels it with the zone of its node.
pub fn pod(name: &str, node: &str, controller: Option<&str>) -> Value {
    let owners: Vec<Value> =
        controller.iter().map(|kind| json!({ "kind": kind, "controller": true })).collect();
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "ownerReferences": owners,
            "labels": { "app": "web", "topology.kubernetes.io/zone": format!("zone-{}", &node[..1]) },
        },
        "spec": { "nodeName": node },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

impl State {
    fn new() -> State {
        let node = |name: &str, zone: &str| {
            json!({
                "metadata": { "name": name, "labels": { "topology.kubernetes.io/zone": zone } },
                "spec": { "providerID": "x" },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            })
        };
        let backend = |name: &str| json!({ "name": name, "port": 8080, "weight": 1 });
        let rule = json!({ "backendRefs": [backend("web-a"), backend("web-b")], "timeouts": { "request": "3s" } });
        let canary = json!({ "backendRefs": [{ "name": "web-b", "port": 8080 }, { "name": "web-a", "port": 8080, "weight": 9 }] });
        let mut done = pod("job-1", "a1", Some("Job"));
        done["status"]["phase"] = json!("Succeeded");
        State {
            uid: "cluster-1",
            nodes: vec![
                node("a1", "zone-a"),
                node("a2", "zone-a"),
                node("b1", "zone-b"),
                node("c1", "zone-c"),
            ],
            pods: vec![
                pod("web-1", "a1", Some("ReplicaSet")),
                pod("web-2", "a2", Some("ReplicaSet")),
                pod("web-3", "b1", Some("ReplicaSet")),
                pod("agent-1", "a1", Some("DaemonSet")),
                done,
            ],
            routes: vec![json!({
                "metadata": { "name": "web", "namespace": "shop", "generation": 1 },
                "spec": { "rules": [rule, canary] },
                "status": { "parents": [{ "conditions": [
                    { "type": "Accepted", "status": "True", "observedGeneration": 1 },
                ]}]},
            })],
            policies: Vec::new(),
            denied: Vec::new(),
            held_up: 0,
            is_followed: true,
            obeys: true,
            meanwhile: None,
            instead: Instead::default(),
            heard: Vec::new(),
        }
    }

    pub fn node(&mut self, name: &str) -> &mut Value {
        self.nodes.iter_mut().find(|node| node["metadata"]["name"] == name).unwrap()
    }

    /// All that a drill could change.
    pub fn all(&self) -> String {
        format!("{:?} {:?} {:?} {:?}", self.nodes, self.pods, self.routes, self.policies)
    }

    /// How often a pod was asked to go.
    pub fn evictions(&self) -> usize {
        self.heard.iter().filter(|line| line.contains("/eviction")).count()
    }

    /// The weights of the route's first rule.
    pub fn weights(&self) -> Vec<u64> {
        let refs = self.routes[0]["spec"]["rules"][0]["backendRefs"].as_array().unwrap();
        refs.iter().map(|backend| backend["weight"].as_u64().unwrap_or(1)).collect()
    }

    /// The gateway goes by its routes as they stand.
    pub fn follow(&mut self) {
        for route in &mut self.routes {
            let generation = route["metadata"]["generation"].clone();
            route["status"]["parents"][0]["conditions"][0]["observedGeneration"] = generation;
        }
    }

    fn review(&self, body: &Value) -> Said {
        let asked = &body["spec"]["resourceAttributes"];
        let (verb, resource) =
            (asked["verb"].as_str().unwrap(), asked["resource"].as_str().unwrap());
        let part = match asked["subresource"].as_str().unwrap() {
            "" => String::new(),
            part => format!("/{part}"),
        };
        let denied = self.denied.contains(&&*format!("{verb} {resource}{part}"));
        (201, json!({ "kind": "SelfSubjectAccessReview", "status": { "allowed": !denied } }))
    }

    /// Pods that are evicted are made again on a node that takes them.
    fn evict(&mut self, asked: &Asked) -> Said {
        let name = asked.path.split('/').nth(6).unwrap();
        assert_eq!(asked.body["kind"], "Eviction");
        let Some(at) = self.pods.iter().position(|pod| pod["metadata"]["name"] == name) else {
            return status(404, &format!("pods \"{name}\" not found"));
        };
        if self.pods[at]["metadata"]["uid"] != asked.body["deleteOptions"]["preconditions"]["uid"] {
            return status(409, "Precondition failed: UID in precondition");
        }
        if self.obeys {
            let free =
                self.nodes.iter().find(|node| node["spec"]["unschedulable"] != true).unwrap();
            let node = free["metadata"]["name"].as_str().unwrap().to_owned();
            self.pods[at] = pod(&format!("{name}-again"), &node, Some("ReplicaSet"));
        }
        (201, json!({ "kind": "Status", "status": "Success" }))
    }

    fn cordon(&mut self, name: &str, asked: &Asked) -> Said {
        assert_eq!(asked.kind, "application/merge-patch+json");
        let Some(at) = self.nodes.iter().position(|node| node["metadata"]["name"] == name) else {
            return status(404, &format!("nodes \"{name}\" not found"));
        };
        let mut node = self.nodes[at].clone();
        let spec = node["spec"].as_object_mut().unwrap();
        match &asked.body["spec"]["unschedulable"] {
            Value::Null => drop(spec.remove("unschedulable")),
            value => drop(spec.insert("unschedulable".into(), value.clone())),
        }
        if self.obeys && !asked.query.contains("dryRun=All") {
            self.nodes[at] = node.clone();
        }
        (200, node)
    }

    /// Keeps to what the API server does with what it is not told: the fields that are empty are not there.
    fn isolate(&mut self, asked: &Asked) -> Said {
        let name = &asked.body["metadata"]["name"];
        if self.policies.iter().any(|it| it["metadata"]["name"] == *name) {
            return status(
                409,
                &format!("networkpolicies.networking.k8s.io {name} already exists"),
            );
        }
        if self.obeys && !asked.query.contains("dryRun=All") {
            self.policies.push(asked.body.clone());
        }
        (201, asked.body.clone())
    }

    fn policy(&mut self, name: &str, is_taken_away: bool) -> Said {
        let Some(at) = self.policies.iter().position(|it| it["metadata"]["name"] == name) else {
            return status(404, &format!("networkpolicies.networking.k8s.io \"{name}\" not found"));
        };
        match is_taken_away {
            true => (200, self.policies.remove(at)),
            false => (200, self.policies[at].clone()),
        }
    }

    fn weigh(&mut self, name: &str, asked: &Asked) -> Said {
        assert_eq!(asked.kind, "application/json-patch+json");
        let Some(at) = self.routes.iter().position(|it| it["metadata"]["name"] == name) else {
            return status(404, &format!("httproutes \"{name}\" not found"));
        };
        let is_dry = asked.query.contains("dryRun=All");
        if let Some(change) = self.meanwhile.take_if(|_| !is_dry) {
            change(&mut self.routes[at]);
        }
        let mut route = self.routes[at].clone();
        for step in asked.body.as_array().unwrap() {
            let path = step["path"].as_str().unwrap();
            match step["op"].as_str().unwrap() {
                "test" if route.pointer(path) != Some(&step["value"]) => {
                    return status(422, &format!("testing path {path} value failed: test failed"));
                }
                "test" => {}
                _ => {
                    let (parent, key) = path.rsplit_once('/').unwrap();
                    route.pointer_mut(parent).unwrap()[key] = step["value"].clone();
                }
            }
        }
        if self.obeys && !is_dry {
            let generation = route["metadata"]["generation"].as_u64().unwrap();
            route["metadata"]["generation"] = json!(generation + 1);
            self.routes[at] = route.clone();
            if self.is_followed {
                self.follow();
            }
        }
        (200, route)
    }
}

impl Answers for State {
    fn instead(&mut self, asked: &Asked) -> Option<String> {
        if self.held_up > 0 && asked.path.ends_with("/eviction") {
            self.held_up -= 1;
            let words = "Cannot evict pod as it would violate the pod's disruption budget.";
            let (_, mut body) = status(429, words);
            // It names a pause with it, long before which the budget may let the next pod go.
            body["details"] = json!({
                "causes": [{ "reason": "DisruptionBudget", "message": "it needs 2 healthy pods" }],
                "retryAfterSeconds": 10,
            });
            let headers = "content-type: application/json\r\nretry-after: 10\r\n";
            return Some(said("429 Too Many Requests", headers, &body.to_string()));
        }
        let text = self.instead.take(asked)?;
        self.heard.push(format!("{} {}?{}", asked.method, asked.path, asked.query));
        Some(text)
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        self.heard.push(format!("{} {}?{}", asked.method, asked.path, asked.query));
        if asked.token != format!("Bearer {TOKEN}") {
            return status(401, "Unauthorized");
        }
        let (verb, resource) = match (&*asked.method, &*asked.path) {
            ("POST", path) if path.ends_with("/selfsubjectaccessreviews") => {
                return self.review(&asked.body);
            }
            ("GET", "/api/v1/namespaces/kube-system") => {
                return (200, json!({ "metadata": { "name": "kube-system", "uid": self.uid } }));
            }
            ("GET", "/api/v1/nodes") => ("list", "nodes"),
            ("GET", "/api/v1/namespaces/shop/pods") => ("list", "pods"),
            ("POST", path) if path.ends_with("/eviction") => ("create", "pods/eviction"),
            ("PATCH", path) if path.starts_with("/api/v1/nodes/") => ("patch", "nodes"),
            ("GET", POLICIES) => ("list", "networkpolicies"),
            ("POST", POLICIES) => ("create", "networkpolicies"),
            ("GET", path) if path.starts_with(POLICIES) => ("get", "networkpolicies"),
            ("DELETE", path) if path.starts_with(POLICIES) => ("delete", "networkpolicies"),
            ("GET", path) if path.starts_with(ROUTES) => ("get", "httproutes"),
            ("PATCH", path) if path.starts_with(ROUTES) => ("patch", "httproutes"),
            _ => return status(404, "the server could not find the requested resource"),
        };
        if self.denied.contains(&&*format!("{verb} {resource}")) {
            let sentence = format!(
                "{resource} is forbidden: User \"drill\" cannot {verb} resource \"{resource}\" in API group \"\" at the cluster scope"
            );
            return status(403, &sentence);
        }
        let name = asked.path.rsplit('/').next().unwrap();
        match (verb, resource) {
            ("list", "nodes") => page(&selected(&self.nodes, &asked.query), &asked.query),
            ("list", "networkpolicies") => page(&self.policies, &asked.query),
            ("create", "networkpolicies") => self.isolate(asked),
            (verb, "networkpolicies") => self.policy(name, verb == "delete"),
            ("list", _) => page(&self.pods, &asked.query),
            ("create", _) => self.evict(asked),
            ("patch", "nodes") => self.cordon(name, asked),
            ("get", _) => match self.routes.iter().find(|it| it["metadata"]["name"] == name) {
                Some(route) => (200, route.clone()),
                None => status(404, &format!("httproutes \"{name}\" not found")),
            },
            _ => self.weigh(name, asked),
        }
    }
}

/// Of `nodes`, those that the selector `LABEL in (A,B)` takes.
fn selected(nodes: &[Value], query: &str) -> Vec<Value> {
    let selector = value(query, "labelSelector").expect("nodes are asked for by label");
    let (label, values) = selector.split_once(" in (").unwrap();
    let values: Vec<&str> = values.trim_end_matches(')').split(',').collect();
    let of = |node: &&Value| {
        node["metadata"]["labels"][label].as_str().is_some_and(|value| values.contains(&value))
    };
    nodes.iter().filter(of).cloned().collect()
}

fn value(query: &str, key: &str) -> Option<String> {
    let raw = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))?;
    Some(percent_encoding::percent_decode_str(raw).decode_utf8().unwrap().into_owned())
}

/// Two things a page, whatever is asked for: a server may give fewer.
fn page(all: &[Value], query: &str) -> Said {
    let from = value(query, "continue").map_or(0, |at| at.trim_matches('+').parse().unwrap());
    let to = (from + 2).min(all.len());
    let next = if to < all.len() { format!("+{to}") } else { String::new() };
    (200, json!({ "items": all[from..to], "metadata": { "continue": next } }))
}

fn status(code: u16, message: &str) -> Said {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "code": code,
    });
    (code, body)
}
