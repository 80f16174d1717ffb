//! Weighted answers of Cloud DNS: an item whose weight is 0 is no longer in the answers to look-ups.
//!
//! A record set is changed by taking the old one out and putting the new one in, in one change. What is taken out must be
//! what is there, to the letter, so that Google refuses ours when another hand is quicker, and it is read and tried again.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use super::{Gcp, OPERATION, TRIES, Way, all};
use crate::model::{
    ControlState, CutCall, CutOrder, DatacenterId, GcpItem, GcpItems, PartState, Passage,
};
use crate::traffic::api::{Method, Request};
use crate::traffic::log::Asked;
use crate::traffic::{ControlError, Survivors};

/// Where the API is, if the plan names no other place.
pub(super) const DNS: &str = "https://dns.googleapis.com";

/// Key of [`PartState::settings`], and of an item.
const WEIGHT: &str = "weight";

/// What is asked for as rights on a zone.
const RIGHTS: [&str; 4] = [
    "dns.changes.create",
    "dns.changes.get",
    "dns.resourceRecordSets.get",
    "dns.resourceRecordSets.update",
];

/// Weighted record sets of a managed zone. Its parts are items, named `NAME/TYPE/DATA` by one of their answers.
pub(super) struct Dns<'g> {
    pub(super) gcp: &'g Gcp,
    pub(super) zone: &'g str,
    pub(super) items: &'g [GcpItems],
}

/// A record set as it was read: whole, since it is written back so.
struct Set {
    name: String,
    kind: String,
    raw: Map<String, Value>,
}

/// The weight of each part.
type Weights<'p> = BTreeMap<&'p str, f64>;

#[derive(Deserialize)]
struct Change {
    id: String,
    status: String,
}

fn weight(item: &Value) -> f64 {
    item.get(WEIGHT).and_then(Value::as_f64).unwrap_or_default()
}

/// Every answer that an item has, health-checked or not.
fn answers(item: &Value) -> impl Iterator<Item = &str> {
    let lists = ["/rrdatas", "/healthCheckedTargets/externalEndpoints"];
    let lists = lists.into_iter().filter_map(|at| item.pointer(at)?.as_array()).flatten();
    let inner = item.pointer("/healthCheckedTargets/internalLoadBalancers");
    let inner = inner.and_then(Value::as_array).into_iter().flatten();
    let inner = inner.filter_map(|it| it.get("ipAddress")?.as_str());
    lists.filter_map(Value::as_str).chain(inner)
}

impl Set {
    fn words(&self) -> String {
        format!("{} {}", self.name, self.kind)
    }

    fn items(&self) -> &[Value] {
        let items = self.raw.get("routingPolicy").and_then(|it| it.pointer("/wrr/items"));
        items.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The place of the one item that has `answer`.
    fn place(&self, answer: &str) -> Option<usize> {
        self.items().iter().position(|item| answers(item).any(|it| same(it, answer)))
    }

    /// It with other weights: in place of the first, the second.
    fn weighted(&self, weights: &BTreeMap<usize, f64>) -> Value {
        let mut raw = Value::Object(self.raw.clone());
        for (place, weight) in weights {
            if let Some(item) = raw.pointer_mut(&format!("/routingPolicy/wrr/items/{place}")) {
                item[WEIGHT] = json!(weight);
            }
        }
        raw
    }
}

/// Whether two answers are one, however they are written.
fn same(one: &str, other: &str) -> bool {
    match (one.parse::<std::net::IpAddr>(), other.parse::<std::net::IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.')),
    }
}

fn no_longer_there(parts: &[String]) -> ControlError {
    ControlError {
        what: format!("{} is no longer there", parts.join(", ")),
        hint: "it was there before: see who changed the record set".into(),
    }
}

impl Dns<'_> {
    fn path(&self, rest: &str) -> String {
        let project = &self.gcp.settings.project;
        format!("/dns/v1/projects/{project}/managedZones/{}{rest}", self.zone)
    }

    fn named(&self) -> impl Iterator<Item = (DatacenterId, &GcpItem)> {
        self.items.iter().flat_map(|it| it.items.iter().map(move |item| (it.datacenter, item)))
    }

    /// The names that the plan has, each with a type.
    fn sets(&self) -> std::collections::BTreeSet<(&str, &str)> {
        self.named().map(|(_, item)| (&*item.name, &*item.kind)).collect()
    }

    /// A record set; `None` where it is gone.
    async fn read(&self, name: &str, kind: &str) -> Result<Option<Set>, ControlError> {
        let path = self.path(&format!("/rrsets/{}./{kind}", crate::model::query_value(name)));
        let raw = self.gcp.api().await?.json_if_there(&Request::get(path)).await?;
        Ok(raw.map(|mut raw: Map<String, Value>| {
            // Google signs by itself.
            raw.remove("signatureRrdatas");
            Set { name: name.to_owned(), kind: kind.to_owned(), raw }
        }))
    }

    /// Every record set that is there.
    async fn read_all(&self) -> Result<Vec<Set>, ControlError> {
        let mut sets = Vec::new();
        for (name, kind) in self.sets() {
            sets.extend(self.read(name, kind).await?);
        }
        Ok(sets)
    }

    /// Another hand takes one away. All of them at once: that is the way to Google.
    fn none_there(&self) -> ControlError {
        let (zone, project) = (self.zone, &self.gcp.settings.project);
        ControlError {
            what: format!(
                "the zone {zone} of the project {project} has none of the items that the plan names"
            ),
            hint: "see whether this is the right project, and `zone` and `items` in the plan"
                .into(),
        }
    }

    /// Which item of a set leads where by the plan: its place, the datacenter and the part's name. An item that the plan
    /// names twice is left out, since nobody knows which of the two it is.
    fn parts(&self, set: &Set) -> BTreeMap<usize, (DatacenterId, String)> {
        let mut parts = self.all_parts(set);
        parts.retain(|_, named| named.len() == 1);
        parts
            .into_iter()
            .filter_map(|(place, named)| Some((place, named.into_iter().next()?)))
            .collect()
    }

    /// Every name that the plan has for an item of a set, by its place.
    fn all_parts(&self, set: &Set) -> BTreeMap<usize, Vec<(DatacenterId, String)>> {
        let mut parts: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (datacenter, item) in self.named() {
            if (&*item.name, &*item.kind) == (&*set.name, &*set.kind)
                && let Some(place) = set.place(&item.data)
            {
                parts.entry(place).or_default().push((datacenter, item.words()));
            }
        }
        parts
    }

    /// Gives the parts their weights, set by set; goes on after a refusal.
    async fn weigh(&self, state: &ControlState, problem: &str) -> Result<(), ControlError> {
        let (mut wanted, mut errors) = (BTreeMap::<_, Weights<'_>>::new(), Vec::new());
        for (part, is) in &state.parts {
            let item = self.named().map(|(_, item)| item).find(|item| item.words() == *part);
            let weight = is.settings.get(WEIGHT).and_then(|it| it.parse::<f64>().ok());
            match (item, weight.filter(|it| it.is_finite() && *it >= 0.0)) {
                (Some(item), Some(weight)) => {
                    let set = wanted.entry((&*item.name, &*item.kind)).or_default();
                    set.insert(&item.data, weight);
                }
                _ => errors.push(ControlError {
                    what: format!("`{}` is no part of this control", crate::model::printable(part)),
                    hint: "see whether the journal was changed by hand".into(),
                }),
            }
        }
        // All of them share the time, which is that of one call.
        let begun = Asked::now();
        for ((name, kind), weights) in wanted {
            errors.extend(self.weigh_set(name, kind, &weights, begun).await.err());
        }
        all(problem, &errors)
    }

    async fn weigh_set(
        &self,
        name: &str,
        kind: &str,
        wanted: &Weights<'_>,
        begun: Asked,
    ) -> Result<(), ControlError> {
        let api = self.gcp.api().await?;
        let mut tries = 0;
        loop {
            let Some(set) = self.read(name, kind).await? else {
                let all = wanted.keys().map(|answer| format!("{name}/{kind}/{answer}"));
                return Err(no_longer_there(&all.collect::<Vec<_>>()));
            };
            let (mut weights, mut gone) = (BTreeMap::new(), Vec::new());
            for (answer, wanted) in wanted {
                match set.place(answer) {
                    None => gone.push(format!("{name}/{kind}/{answer}")),
                    Some(place) if weight(&set.items()[place]) == *wanted => {}
                    Some(place) => drop(weights.insert(place, *wanted)),
                }
            }
            if !weights.is_empty() {
                let body = json!({ "deletions": [set.raw], "additions": [set.weighted(&weights)] });
                // Made twice, the second is refused: what it takes out is no longer there.
                let request = Request::repeatable(Method::POST, self.path("/changes")).json(&body);
                let answer = api.ask(&request).await?;
                tries += 1;
                if matches!(answer.status(), 404 | 409 | 412) && tries < TRIES {
                    continue;
                }
                if !answer.is_good() {
                    return Err(api.refused(&request, &answer));
                }
                let change = answer.json().map_err(|why| api.senseless(&request, &why))?;
                self.done(change, begun).await?;
            }
            return match gone.is_empty() {
                true => Ok(()),
                false => Err(no_longer_there(&gone)),
            };
        }
    }

    /// Waits until Google's servers were told of a change, within what is left of the time since `begun`.
    async fn done(&self, first: Change, begun: Asked) -> Result<(), ControlError> {
        let api = self.gcp.api().await?;
        let path = self.path(&format!("/changes/{}", crate::model::query_value(&first.id)));
        let wait = async {
            let mut change = first;
            while change.status != "done" {
                sleep(OPERATION.1).await;
                change = api.json(&Request::get(&*path)).await?;
            }
            Ok(())
        };
        // What is not done yet was accepted.
        timeout(begun.left_of(OPERATION.0), wait).await.unwrap_or(Ok(()))
    }
}

#[async_trait]
impl Way for Dns<'_> {
    async fn preflight(&self) -> Result<(), ControlError> {
        let path = self.path(":testIamPermissions");
        self.gcp.may(&path, &RIGHTS, self.zone, "roles/dns.admin").await?;
        let sets = self.read_all().await?;
        for (_, item) in self.named() {
            let set = sets.iter().find(|it| (&*it.name, &*it.kind) == (&*item.name, &*item.kind));
            let Some(set) = set else {
                return Err(ControlError {
                    what: format!("the zone {} has no {} {}", self.zone, item.name, item.kind),
                    hint: "see `items` in the plan: each is `NAME/TYPE/ANSWER`".into(),
                });
            };
            if set.items().is_empty() {
                return Err(ControlError {
                    what: format!("{} has no weighted routing policy", set.words()),
                    hint: "firedrill steers weights (`wrr`) alone, not geo or failover".into(),
                });
            }
            if set.place(&item.data).is_none() {
                return Err(ControlError {
                    what: format!("no item of {} has the answer {}", set.words(), item.data),
                    hint: "see `items` in the plan: each is `NAME/TYPE/ANSWER`".into(),
                });
            }
        }
        match sets.iter().find(|set| self.all_parts(set).values().any(|named| named.len() > 1)) {
            None => Ok(()),
            Some(set) => Err(ControlError {
                what: format!("the plan names an item of {} twice", set.words()),
                hint: "name each item by one of its answers".into(),
            }),
        }
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let sets = self.read_all().await?;
        if sets.iter().all(|set| self.all_parts(set).is_empty()) {
            return Err(self.none_there());
        }
        let mut state = ControlState::default();
        for set in sets {
            for (place, (datacenter, part)) in self.parts(&set) {
                let weight = weight(&set.items()[place]);
                let passage = if weight > 0.0 { Passage::Open } else { Passage::Closed };
                let settings = [(WEIGHT.to_owned(), weight.to_string())].into();
                state.parts.insert(part, PartState { datacenter, passage, settings });
            }
        }
        Ok(state)
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let mut survivors = Vec::new();
        for set in self.read_all().await? {
            let parts = self.parts(&set);
            let is_lost = |place: &usize| {
                parts.get(place).is_some_and(|(at, _)| order.datacenters.contains(at))
            };
            if parts.keys().any(is_lost) {
                let items = set.items().iter().enumerate();
                let left = items.filter(|(place, it)| !is_lost(place) && weight(it) > 0.0).count();
                survivors.push(Survivors { group: set.words(), left });
            }
        }
        Ok(survivors)
    }

    async fn set(&self, state: &ControlState, problem: &str) -> Result<(), ControlError> {
        self.weigh(state, problem).await
    }

    fn closed(&self, part: &mut PartState) {
        part.settings.insert(WEIGHT.to_owned(), "0".to_owned());
    }

    fn calls(&self, part: &str, is: &PartState) -> CutCall {
        let told = |weight: &str| format!("POST changes {part}: {WEIGHT} {weight}");
        CutCall { call: told("0"), undone_by: is.settings.get(WEIGHT).map(|it| told(it)) }
    }

    /// `gcloud` wants the whole policy, which only the zone has: so a person is told what to change in it.
    fn by_hand(&self, part: &str, is: &PartState) -> Option<String> {
        let mut words = part.splitn(3, '/');
        let (name, kind, data) = (words.next()?, words.next()?, words.next()?);
        let (project, weight) = (&self.gcp.settings.project, is.settings.get(WEIGHT)?);
        Some(format!(
            "gcloud dns record-sets describe {name}. --type {kind} --zone {} --project {project}   \
             # then `update` it with --routing-policy-type WRR and all of its --routing-policy-data, where the weight \
             of {data} is {weight}",
            self.zone
        ))
    }
}
