//! Backends of load balancers: one whose capacity is scaled to 0 gets no new requests.
//!
//! A backend service is changed as a whole list of backends, under the fingerprint that it was read with: what another
//! hand changes at the same time makes Google refuse ours, and it is read and tried again.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};
use wildmatch::WildMatch;

use super::{Gcp, OPERATION, TRIES, Way, all};
use crate::model::{
    ControlState, CutCall, CutOrder, DatacenterId, GcpGroups, GcpService, PartState, Passage,
};
use crate::traffic::api::{Method, Request};
use crate::traffic::log::Asked;
use crate::traffic::{ControlError, Survivors};

/// Where the API is, if the plan names no other place.
pub(super) const COMPUTE: &str = "https://compute.googleapis.com/compute/v1";

/// Key of [`PartState::settings`], and of a backend.
const SCALER: &str = "capacityScaler";

/// Backends of load balancers. Its parts are named `global/SERVICE/ZONE/instanceGroups/GROUP`.
pub(super) struct Backends<'g> {
    pub(super) gcp: &'g Gcp,
    pub(super) services: &'g [GcpService],
    pub(super) groups: &'g [GcpGroups],
}

/// A backend service as it was read: whole, since it is written back so.
struct Service<'s> {
    is: &'s GcpService,
    backends: Vec<Map<String, Value>>,
    fingerprint: Value,
}

/// What a backend is.
struct Backend {
    /// Its place in the service.
    place: usize,
    part: String,
    /// `None` where the plan does not say which.
    datacenter: Option<DatacenterId>,
    /// Whether the plan's patterns say two.
    is_in_two: bool,
    scaler: f64,
    has_capacity: bool,
}

#[derive(Deserialize)]
struct Operation {
    name: String,
    status: String,
    error: Option<OperationError>,
}

#[derive(Deserialize)]
struct OperationError {
    #[serde(default)]
    errors: Vec<OperationFault>,
}

#[derive(Deserialize)]
struct OperationFault {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Backends<'_> {
    /// The path of what is in the scope of a service.
    fn path(&self, service: &GcpService, rest: &str) -> String {
        format!("/projects/{}/{}/{rest}", self.gcp.settings.project, service.scope())
    }

    /// A backend service; `None` where it is gone.
    async fn read<'s>(&self, service: &'s GcpService) -> Result<Option<Service<'s>>, ControlError> {
        #[derive(Deserialize)]
        struct Read {
            #[serde(default)]
            backends: Vec<Map<String, Value>>,
            fingerprint: Value,
        }
        let path = self.path(service, &format!("backendServices/{}", service.name));
        let read: Option<Read> = self.gcp.api().await?.json_if_there(&Request::get(path)).await?;
        Ok(read.map(|Read { backends, fingerprint }| Service {
            is: service,
            backends,
            fingerprint,
        }))
    }

    /// Every service that is there.
    async fn read_all(&self) -> Result<Vec<Service<'_>>, ControlError> {
        let mut services = Vec::new();
        for service in self.services {
            services.extend(self.read(service).await?);
        }
        Ok(services)
    }

    /// Another hand takes one away. All of them at once: that is the way to Google.
    fn none_there(&self) -> ControlError {
        let project = &self.gcp.settings.project;
        ControlError {
            what: format!(
                "the project {project} has none of the backends that the plan names: no such service, or no such \
                 group in them"
            ),
            hint: "see whether this is the right project, and `backend_services` and `groups` in the plan"
                .into(),
        }
    }

    /// The backends of a service that are groups, in its order. What another hand adds that we do not know must not keep
    /// us from what we do.
    fn backends(&self, service: &Service<'_>) -> Vec<Backend> {
        let all = service.backends.iter().enumerate();
        all.filter_map(|(place, backend)| self.backend(service.is, place, backend)).collect()
    }

    fn backend(
        &self,
        service: &GcpService,
        place: usize,
        backend: &Map<String, Value>,
    ) -> Option<Backend> {
        let (location, kind, group) = group(url(backend))?;
        let name = format!("{location}/{group}");
        let mut at = self.groups.iter().filter(|groups| {
            groups.patterns.iter().any(|pattern| WildMatch::new(pattern).matches(&name))
        });
        let (datacenter, is_in_two) = (at.next().map(|it| it.datacenter), at.next().is_some());
        Some(Backend {
            place,
            part: format!("{}/{}/{location}/{kind}/{group}", service.region(), service.name),
            datacenter: datacenter.filter(|_| !is_in_two),
            is_in_two,
            scaler: backend.get(SCALER).and_then(Value::as_f64).unwrap_or(1.0),
            has_capacity: backend.get("balancingMode").is_some_and(Value::is_string),
        })
    }

    /// What of a service is in the way of a cut.
    fn is_ready(&self, service: &Service<'_>, backends: &[Backend]) -> Result<(), ControlError> {
        let refuse = |what: String, hint: &str| {
            Err(ControlError { what: format!("{} {what}", service.is.words()), hint: hint.into() })
        };
        let ours = || backends.iter().filter(|it| it.datacenter.is_some());
        if let Some(strange) = service.backends.iter().map(url).find(|url| group(url).is_none()) {
            return refuse(
                format!("has a backend that is no group: {strange}"),
                "firedrill knows instance groups and network endpoint groups",
            );
        }
        if let Some(backend) = backends.iter().find(|it| it.is_in_two) {
            return refuse(
                format!("has {}, which is in two datacenters by the plan's patterns", backend.part),
                "make the patterns under `groups` narrower",
            );
        }
        if backends.len() < 2 && ours().next().is_some() {
            return refuse(
                "has one backend alone, whose capacity cannot become 0".into(),
                "give it a backend in another datacenter",
            );
        }
        match ours().find(|it| !it.has_capacity) {
            None => Ok(()),
            Some(backend) => refuse(
                format!("has {}, which has no balancing mode and so no capacity", backend.part),
                "such groups (internet, serverless, PSC) cannot be cut here",
            ),
        }
    }

    /// Gives the parts their capacity, service by service; goes on after a refusal.
    async fn scale(&self, state: &ControlState, problem: &str) -> Result<(), ControlError> {
        let (mut wanted, mut errors) = (BTreeMap::<&GcpService, Scalers>::new(), Vec::new());
        for (part, is) in &state.parts {
            let mut services = self.services.iter();
            let service = services
                .find(|it| part.strip_prefix(&format!("{}/{}/", it.region(), it.name)).is_some());
            let scaler = is.settings.get(SCALER).and_then(|it| it.parse::<f64>().ok());
            match (service, scaler.filter(|it| (0.0..=1.0).contains(it))) {
                (Some(service), Some(scaler)) => {
                    wanted.entry(service).or_default().insert(part, scaler);
                }
                _ => errors.push(ControlError {
                    what: format!("`{}` is no part of this control", crate::model::printable(part)),
                    hint: "see whether the journal was changed by hand".into(),
                }),
            }
        }
        // All of them share the time, which is that of one call.
        let begun = Asked::now();
        for (service, scalers) in wanted {
            errors.extend(self.scale_service(service, &scalers, begun).await.err());
        }
        all(problem, &errors)
    }

    async fn scale_service(
        &self,
        service: &GcpService,
        scalers: &Scalers<'_>,
        begun: Asked,
    ) -> Result<(), ControlError> {
        let compute = self.gcp.api().await?;
        let mut tries = 0;
        loop {
            let Some(mut read) = self.read(service).await? else {
                return Err(no_longer_there(&scalers.keys().copied().collect::<Vec<_>>()));
            };
            let backends = self.backends(&read);
            let mut gone: Vec<&str> = scalers.keys().copied().collect();
            gone.retain(|part| !backends.iter().any(|it| it.part == *part));
            let mut changed = false;
            for backend in &backends {
                let Some(scaler) = scalers.get(&*backend.part) else { continue };
                if backend.scaler != *scaler {
                    read.backends[backend.place].insert(SCALER.to_owned(), json!(scaler));
                    changed = true;
                }
            }
            if changed {
                let path = self.path(service, &format!("backendServices/{}", service.name));
                let body = json!({ "backends": read.backends, "fingerprint": read.fingerprint });
                // Made twice, the second is refused by the fingerprint.
                let request = Request::repeatable(Method::PATCH, path).json(&body);
                let answer = compute.ask(&request).await?;
                tries += 1;
                if answer.status() == 412 && tries < TRIES {
                    continue;
                }
                if !answer.is_good() {
                    return Err(compute.refused(&request, &answer));
                }
                let operation: Operation =
                    answer.json().map_err(|why| compute.senseless(&request, &why))?;
                self.done(service, operation, begun).await?;
            }
            return match gone.is_empty() {
                true => Ok(()),
                false => Err(no_longer_there(&gone)),
            };
        }
    }

    /// Waits until an operation is done, within what is left of the time since `begun`.
    async fn done(
        &self,
        service: &GcpService,
        first: Operation,
        begun: Asked,
    ) -> Result<(), ControlError> {
        let compute = self.gcp.api().await?;
        let path = self.path(service, &format!("operations/{}", first.name));
        let wait = async {
            let mut operation = first;
            while operation.status != "DONE" {
                sleep(OPERATION.1).await;
                operation = compute.json(&Request::get(&*path)).await?;
            }
            let Some(error) = operation.error else { return Ok(()) };
            let fault = |it: &OperationFault| format!("{} {}", it.code, it.message);
            let faults: Vec<String> = error.errors.iter().map(fault).collect();
            Err(ControlError {
                what: crate::model::printable(&format!(
                    "Google Cloud took the change of {} and could not make it: {}",
                    service.words(),
                    faults.join("; ")
                )),
                hint: "see the operation in the project's activity log".into(),
            })
        };
        // What is not done yet was accepted: readings say when it is in force.
        timeout(begun.left_of(OPERATION.0), wait).await.unwrap_or(Ok(()))
    }

    /// Holds that we may read and change a service.
    async fn may_change(&self, service: &GcpService) -> Result<(), ControlError> {
        let rest = format!("backendServices/{}/testIamPermissions", service.name);
        let wanted = ["compute.backendServices.get", "compute.backendServices.update"];
        let role = "roles/compute.loadBalancerAdmin";
        self.gcp.may(&self.path(service, &rest), &wanted, &service.words(), role).await
    }
}

/// The capacity of each part.
type Scalers<'p> = BTreeMap<&'p str, f64>;

fn no_longer_there(parts: &[&str]) -> ControlError {
    ControlError {
        what: format!("{} is no longer there", parts.join(", ")),
        hint: "it was there before: see who changed the backend service".into(),
    }
}

/// The URL of what a backend leads to.
fn url(backend: &Map<String, Value>) -> &str {
    backend.get("group").and_then(Value::as_str).unwrap_or_default()
}

/// Location, kind and name of a group by its URL.
pub(super) fn group(url: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = url.split_once("/projects/")?;
    let words: Vec<&str> = rest.split('/').collect();
    match words[..] {
        [_, "zones" | "regions", location, kind, name] => Some((location, kind, name)),
        [_, "global", kind, name] => Some(("global", kind, name)),
        _ => None,
    }
}

/// In words, what becomes of a part.
fn told(part: &str, scaler: &str) -> String {
    format!("PATCH backendServices {part}: {SCALER} {scaler}")
}

#[async_trait]
impl Way for Backends<'_> {
    async fn preflight(&self) -> Result<(), ControlError> {
        for service in self.services {
            self.may_change(service).await?;
        }
        let mut all = Vec::new();
        for named in self.services {
            let service = self.read(named).await?.ok_or_else(|| ControlError {
                what: format!("{} is not there", named.words()),
                hint: "see `services` in the plan, and the project".into(),
            })?;
            let backends = self.backends(&service);
            self.is_ready(&service, &backends)?;
            all.extend(backends);
        }
        for groups in self.groups {
            if !all.iter().any(|it| it.datacenter == Some(groups.datacenter)) {
                return Err(ControlError {
                    what: format!("no backend is a group `{}`", groups.patterns.join("`, `")),
                    hint: "see `groups` in the plan: each is `LOCATION/GROUP`".into(),
                });
            }
        }
        Ok(())
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let (mut state, mut any) = (ControlState::default(), false);
        for service in self.read_all().await? {
            for backend in self.backends(&service) {
                any |= backend.datacenter.is_some() || backend.is_in_two;
                let Some(datacenter) = backend.datacenter else { continue };
                let passage = if backend.scaler > 0.0 { Passage::Open } else { Passage::Closed };
                let settings = [(SCALER.to_owned(), backend.scaler.to_string())].into();
                state.parts.insert(backend.part, PartState { datacenter, passage, settings });
            }
        }
        if any { Ok(state) } else { Err(self.none_there()) }
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let mut survivors = Vec::new();
        for service in self.read_all().await? {
            let backends = self.backends(&service);
            let is_lost = |it: &&Backend| {
                it.datacenter.is_some_and(|datacenter| order.datacenters.contains(&datacenter))
            };
            if backends.iter().any(|it| is_lost(&it)) {
                let left = backends.iter().filter(|it| !is_lost(it) && it.scaler > 0.0).count();
                survivors.push(Survivors { group: service.is.words(), left });
            }
        }
        Ok(survivors)
    }

    async fn set(&self, state: &ControlState, problem: &str) -> Result<(), ControlError> {
        self.scale(state, problem).await
    }

    fn closed(&self, part: &mut PartState) {
        part.settings.insert(SCALER.to_owned(), "0".to_owned());
    }

    fn calls(&self, part: &str, is: &PartState) -> CutCall {
        let undone_by = is.settings.get(SCALER).map(|scaler| told(part, scaler));
        CutCall { call: told(part, "0"), undone_by }
    }

    fn by_hand(&self, part: &str, is: &PartState) -> Option<String> {
        let words: Vec<&str> = part.split('/').collect();
        let [scope, service, location, kind, group] = words[..] else { return None };
        let scope = match scope {
            "global" => "--global".to_owned(),
            region => format!("--region {region}"),
        };
        let kind = match kind {
            "instanceGroups" => "instance-group",
            _ => "network-endpoint-group",
        };
        let at = match location {
            "global" => format!("--global-{kind}"),
            // A zone is named as its region is, with a letter behind it.
            zone if zone.rsplit('-').next().is_some_and(|end| end.len() == 1) => {
                format!("--{kind}-zone {zone}")
            }
            region => format!("--{kind}-region {region}"),
        };
        let scaler = is.settings.get(SCALER)?;
        let project = &self.gcp.settings.project;
        Some(format!(
            "gcloud compute backend-services update-backend {service} --project {project} {scope} \
             --{kind} {group} {at} --capacity-scaler {scaler}"
        ))
    }
}
