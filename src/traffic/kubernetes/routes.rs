//! HTTP routes of the Gateway API: a backend of weight 0 gets no requests.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::session::Session;
use super::{Metadata, STEPS, Way, is_name, patch, unnamed};
use crate::command::quoted;
use crate::model::{
    ControlState, CutCall, CutOrder, DatacenterId, KubernetesBackend, KubernetesBackends,
    PartState, Passage,
};
use crate::traffic::all_of;
use crate::traffic::api::Request;
use crate::traffic::{ControlError, Survivors};

/// Keys of [`PartState::settings`]: the weight that the route asks for, and the one that its gateways go by.
const WEIGHT: &str = "weight";
const IN_FORCE: &str = "in force";

/// So often a route is changed that another hand changes at the same time.
const TRIES: usize = 3;

/// The backends that the plan names.
pub(super) struct Routes {
    backends: Vec<(KubernetesBackend, DatacenterId)>,
}

#[derive(Deserialize)]
struct Route {
    metadata: Metadata,
    #[serde(default)]
    spec: RouteSpec,
    #[serde(default)]
    status: RouteStatus,
}

#[derive(Deserialize, Default)]
struct RouteSpec {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "backendRefs", default)]
    refs: Vec<Ref>,
}

#[derive(Deserialize)]
struct Ref {
    name: String,
    namespace: Option<String>,
    kind: Option<String>,
    group: Option<String>,
    port: Option<u16>,
    weight: Option<u32>,
}

#[derive(Deserialize, Default)]
struct RouteStatus {
    #[serde(default)]
    parents: Vec<Parent>,
}

#[derive(Deserialize)]
struct Parent {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    observed_generation: Option<i64>,
}

/// A backend in a rule of a route.
struct Found<'r> {
    part: String,
    datacenter: DatacenterId,
    place: (usize, usize),
    backend: &'r Ref,
}

impl Ref {
    fn weight(&self) -> u32 {
        self.weight.unwrap_or(1)
    }

    fn is_service(&self) -> bool {
        self.kind.as_deref().unwrap_or("Service") == "Service"
            && self.group.as_deref().unwrap_or_default().is_empty()
    }

    /// The last piece of its part's name.
    fn name(&self) -> String {
        self.port.map_or_else(|| self.name.clone(), |port| format!("{}:{port}", self.name))
    }
}

impl Route {
    fn path(namespace: &str, name: &str) -> String {
        format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/{name}")
    }

    fn is(&self, backend: &KubernetesBackend) -> bool {
        self.metadata.namespace == backend.namespace && self.metadata.name == backend.route
    }

    /// Whether all gateways that have taken it go by it as it stands now.
    fn is_in_force(&self) -> bool {
        let now = self.metadata.generation.unwrap_or_default();
        let accepted = |parent: &Parent| {
            let mut conditions = parent.conditions.iter();
            conditions.find(|it| it.kind == "Accepted").map(|it| {
                (it.status == "True", it.observed_generation.is_some_and(|seen| seen >= now))
            })
        };
        let parents: Vec<_> = self.status.parents.iter().map(accepted).collect();
        parents.iter().any(|it| it.is_some_and(|(accepted, _)| accepted))
            && parents.iter().all(|it| it.is_some_and(|(_, seen)| seen))
    }

    /// The state of the part that `found` is.
    fn part(&self, found: &Found<'_>) -> PartState {
        let (weight, in_force) = (found.backend.weight(), self.is_in_force());
        let mut settings = BTreeMap::from([(WEIGHT.to_owned(), weight.to_string())]);
        match (in_force, weight) {
            (true, _) => drop(settings.insert(IN_FORCE.to_owned(), weight.to_string())),
            // A way back that the gateways do not go by yet is a cut by half.
            (false, 1..) => drop(settings.insert(IN_FORCE.to_owned(), "0".to_owned())),
            (false, 0) => {}
        }
        let passage = match (weight, in_force) {
            (0, true) => Passage::Closed,
            (1.., true) => Passage::Open,
            _ => Passage::Degraded,
        };
        PartState { datacenter: found.datacenter, passage, settings }
    }
}

impl Routes {
    pub(super) fn new(backends: &[KubernetesBackends]) -> Routes {
        let flat = |it: &KubernetesBackends| {
            let datacenter = it.datacenter;
            it.backends.clone().into_iter().map(move |backend| (backend, datacenter))
        };
        Routes { backends: backends.iter().flat_map(flat).collect() }
    }

    /// Every route of the plan that is there.
    async fn routes(&self, session: &Session) -> Result<Vec<Route>, ControlError> {
        let names: BTreeSet<(&str, &str)> =
            self.backends.iter().map(|(it, _)| (&*it.namespace, &*it.route)).collect();
        let mut routes = Vec::new();
        for (namespace, name) in names {
            let request = Request::get(Route::path(namespace, name));
            routes.extend(session.json_if_there(&request).await?);
        }
        Ok(routes)
    }

    /// The backends of the plan that stand in `route`. One that stands in its rule twice is left out, since nobody knows which
    /// of the two it is.
    fn found<'r>(&self, route: &'r Route) -> Vec<Found<'r>> {
        let all = self.all_found(route);
        let count = |part: &str| all.iter().filter(|it| it.part == part).count();
        let twins: BTreeSet<String> =
            all.iter().map(|it| it.part.clone()).filter(|part| count(part) > 1).collect();
        all.into_iter().filter(|it| !twins.contains(&it.part)).collect()
    }

    fn all_found<'r>(&self, route: &'r Route) -> Vec<Found<'r>> {
        let mut found: Vec<Found> = Vec::new();
        let home = &route.metadata.namespace;
        for (rule, refs) in route.spec.rules.iter().map(|rule| &rule.refs).enumerate() {
            for (at, backend) in refs.iter().enumerate().filter(|(_, it)| it.is_service()) {
                let away = backend.namespace.as_ref().is_some_and(|it| it != home);
                let wanted = |(it, _): &&(KubernetesBackend, DatacenterId)| {
                    route.is(it) && it.service == backend.name
                };
                let Some((_, datacenter)) = self.backends.iter().find(wanted) else { continue };
                if away {
                    continue;
                }
                let part = format!("{home}/{}/{rule}/{}", route.metadata.name, backend.name());
                found.push(Found { part, datacenter: *datacenter, place: (rule, at), backend });
            }
        }
        found
    }

    /// Holds that each backend of a route can be told from the others.
    fn is_clear(&self, route: &Route) -> Result<(), ControlError> {
        let mut parts = BTreeSet::new();
        match self.all_found(route).into_iter().find(|it| !parts.insert(it.part.clone())) {
            None => Ok(()),
            Some(twin) => Err(ControlError {
                what: format!("{} stands in its rule twice", twin.part),
                hint: "make one of the two, with the sum of their weights".into(),
            }),
        }
    }

    /// Gives every part its weight, route by route; goes on after a refusal.
    async fn weigh(&self, session: &Session, weights: &Weights) -> Result<(), ControlError> {
        let mut errors = Vec::new();
        for ((namespace, name), parts) in weights {
            errors.extend(self.weigh_route(session, (namespace, name), parts).await.err());
        }
        all_of("weights not set", errors)
    }

    async fn weigh_route(
        &self,
        session: &Session,
        (namespace, name): (&str, &str),
        parts: &BTreeMap<String, u32>,
    ) -> Result<(), ControlError> {
        let path = Route::path(namespace, name);
        let mut tries = 0;
        loop {
            let route: Route = session.json(&Request::get(&*path)).await?;
            let (steps, gone) = steps(&self.found(&route), parts);
            let mut refusal = None;
            if !steps.is_empty() {
                let request = patch(&path, STEPS, &Value::Array(steps));
                let answer = session.ask(&request).await?;
                // Another hand was faster: what our steps were made for is no longer there.
                refusal = (!answer.is_good()).then(|| session.refused(&request, &answer));
                tries += 1;
                if matches!(answer.status(), 409 | 422) && tries < TRIES {
                    continue;
                }
            }
            return match (refusal, gone.as_slice()) {
                (Some(refusal), _) => Err(refusal),
                (None, []) => Ok(()),
                (None, gone) => Err(ControlError {
                    what: format!("{} is no longer there", gone.join(", ")),
                    hint: "it was there before: see who changed the route".into(),
                }),
            };
        }
    }
}

/// The weight of each part, by route.
type Weights = BTreeMap<(String, String), BTreeMap<String, u32>>;

fn weights(state: &ControlState) -> (Weights, Vec<ControlError>) {
    let (mut weights, mut errors) = (Weights::new(), Vec::new());
    for (part, is) in &state.parts {
        let names: Vec<&str> = part.split('/').collect();
        let weight = is.settings.get(WEIGHT).and_then(|weight| weight.parse().ok());
        match (names.as_slice(), weight) {
            ([namespace, route, ..], Some(weight)) if is_name(namespace) && is_name(route) => {
                let route = ((*namespace).to_owned(), (*route).to_owned());
                weights.entry(route).or_default().insert(part.clone(), weight);
            }
            _ => errors.push(unnamed(part)),
        }
    }
    (weights, errors)
}

/// The patch that gives `parts` their weights where they have others, and those that are gone. Each step says what it is
/// made for, so that a route that changed meanwhile refuses it.
fn steps<'p>(found: &[Found<'_>], parts: &'p BTreeMap<String, u32>) -> (Vec<Value>, Vec<&'p str>) {
    let (mut steps, mut gone) = (Vec::new(), Vec::new());
    for (part, weight) in parts {
        let Some(is) = found.iter().find(|it| it.part == *part) else {
            gone.push(part.as_str());
            continue;
        };
        if is.backend.weight() != *weight {
            let at = format!("/spec/rules/{}/backendRefs/{}", is.place.0, is.place.1);
            let name = &is.backend.name;
            steps.push(json!({ "op": "test", "path": format!("{at}/name"), "value": name }));
            steps.push(json!({ "op": "add", "path": format!("{at}/weight"), "value": weight }));
        }
    }
    (steps, gone)
}

/// In words, where a backend stands and what its weight becomes.
fn told(part: &str, weight: &str) -> String {
    format!("PATCH httproutes {part}: weight {weight}")
}

#[async_trait]
impl Way for Routes {
    async fn preflight(&self, session: &Session) -> Result<(), ControlError> {
        let routes = self.routes(session).await?;
        let mut all = Vec::new();
        for route in &routes {
            self.is_clear(route)?;
            let found = self.found(route);
            let name = format!("{}/{}", route.metadata.namespace, route.metadata.name);
            if !route.is_in_force() {
                return Err(ControlError {
                    what: format!("no gateway says that it goes by the route {name} as it stands"),
                    hint:
                        "see its `status.parents`; firedrill waits for their `observedGeneration`"
                            .into(),
                });
            }
            // What admits changes may have more to say than rights.
            let closed = found.iter().map(|it| (it.part.clone(), 0)).collect();
            let (steps, _) = steps(&found, &closed);
            if !steps.is_empty() {
                let path = Route::path(&route.metadata.namespace, &route.metadata.name);
                let path = format!("{path}?dryRun=All");
                session.good(&patch(&path, STEPS, &Value::Array(steps))).await?;
            }
            all.extend(
                found.iter().map(|it| (route.metadata.name.clone(), it.backend.name.clone())),
            );
        }
        for (backend, _) in &self.backends {
            let KubernetesBackend { namespace, route, service } = backend;
            if !routes.iter().any(|it| it.is(backend)) {
                return Err(ControlError {
                    what: format!("there is no HTTP route {namespace}/{route}"),
                    hint: "see `routes` in the plan: each is `NAMESPACE/ROUTE/SERVICE`".into(),
                });
            }
            if !all.iter().any(|(of, name)| of == route && name == service) {
                return Err(ControlError {
                    what: format!("no rule of {namespace}/{route} has a backend {service}"),
                    hint: "see `routes` in the plan: each is `NAMESPACE/ROUTE/SERVICE`".into(),
                });
            }
        }
        Ok(())
    }

    async fn inspect(&self, session: &Session) -> Result<ControlState, ControlError> {
        let routes = self.routes(session).await?;
        // Another hand takes one away. All of them at once: that is the way to the cluster.
        if routes.iter().all(|route| self.all_found(route).is_empty()) {
            return Err(ControlError {
                what: "the cluster has none of the routes' backends that the plan names".into(),
                hint: "see whether this is the right cluster, and `routes` in the plan".into(),
            });
        }
        let mut state = ControlState::default();
        for route in &routes {
            let found = self.found(route);
            state.parts.extend(found.iter().map(|it| (it.part.clone(), route.part(it))));
        }
        Ok(state)
    }

    async fn survivors(
        &self,
        session: &Session,
        order: &CutOrder,
    ) -> Result<Vec<Survivors>, ControlError> {
        let mut survivors = Vec::new();
        for route in &self.routes(session).await? {
            let found = self.found(route);
            for (number, rule) in route.spec.rules.iter().enumerate() {
                let lost: Vec<usize> = found
                    .iter()
                    .filter(|it| it.place.0 == number && order.datacenters.contains(&it.datacenter))
                    .map(|it| it.place.1)
                    .collect();
                if lost.is_empty() {
                    continue;
                }
                let open = rule.refs.iter().enumerate().filter(|(_, it)| it.weight() > 0);
                let left = open.filter(|(at, _)| !lost.contains(at)).count();
                let Metadata { namespace, name, .. } = &route.metadata;
                survivors.push(Survivors { group: format!("{namespace}/{name}/{number}"), left });
            }
        }
        Ok(survivors)
    }

    async fn cut(&self, session: &Session, open: &ControlState) -> Result<(), ControlError> {
        let (weights, errors) = weights(&self.cut_state(open.clone()));
        all_of("not cut", errors)?;
        self.weigh(session, &weights).await
    }

    fn calls(&self, open: &ControlState) -> Vec<CutCall> {
        let call = |(part, is): (&String, &PartState)| CutCall {
            call: told(part, "0"),
            undone_by: is.settings.get(WEIGHT).map(|weight| told(part, weight)),
        };
        open.parts.iter().map(call).collect()
    }

    fn cut_state(&self, mut ours: ControlState) -> ControlState {
        for part in ours.parts.values_mut() {
            part.passage = Passage::Closed;
            for key in [WEIGHT, IN_FORCE] {
                part.settings.insert(key.to_owned(), "0".to_owned());
            }
        }
        ours
    }

    async fn restore(
        &self,
        session: &Session,
        snapshot: &ControlState,
    ) -> Result<(), ControlError> {
        let (weights, mut errors) = weights(snapshot);
        errors.extend(self.weigh(session, &weights).await.err());
        all_of("not put back", errors)
    }

    /// A patch would need a backend's place in its rule, which may change: it is looked up by `jq`.
    fn by_hand(&self, kubectl: &str, snapshot: &ControlState) -> Vec<String> {
        let command = |(part, is): (&String, &PartState)| {
            let mut names = part.split('/');
            let (namespace, route) = (quoted(names.next()?), quoted(names.next()?));
            let rule: usize = names.next()?.parse().ok()?;
            let backend = names.next()?;
            let (service, port) = match backend.split_once(':') {
                Some((service, port)) => (service, format!(" and .port == {port}")),
                None => (backend, String::new()),
            };
            let weight = is.settings.get(WEIGHT)?;
            let backend = format!("select(.name == \"{service}\"{port})");
            let change = quoted(&format!(
                "(.spec.rules[{rule}].backendRefs[] | {backend}).weight = {weight}"
            ));
            Some(format!(
                "{kubectl} -n {namespace} get httproute {route} -o json | jq {change} | {kubectl} replace -f -"
            ))
        };
        snapshot.parts.iter().filter_map(command).collect()
    }
}
