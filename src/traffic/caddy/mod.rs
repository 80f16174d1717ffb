//! Caddy, steered through its admin API.
//!
//! A cut takes upstreams out of the list of a `reverse_proxy` handler, and a restore puts them back where the plan's order
//! has them: under `lb_policy first` the order says who serves. Connections to an upstream that is taken out go on until
//! they end. Caddy keeps the change until its configuration is loaded anew, and [`TrafficControl::inspect`] says so.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::api::{Api, Method, Reach, Request};
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    CaddySettings, ControlSpec, ControlState, CutCall, CutOrder, Exchange, PartState, Passage,
};

/// How often a list is read and written again when another hand changed it in between.
const TRIES: u32 = 5;
/// Keys of [`PartState::settings`]: whether an upstream is in the list, and how Caddy's configuration has it there.
const LISTED: &str = "listed";
const UPSTREAM: &str = "upstream";

/// A `reverse_proxy` handler of a Caddy as a traffic control. Its parts are upstreams, named by their `dial`.
#[derive(Debug)]
pub struct Caddy {
    spec: ControlSpec,
    settings: CaddySettings,
    api: Api,
}

/// An upstream as Caddy has it.
type Upstream = Map<String, Value>;

impl Caddy {
    /// The Caddy of `settings`, which are those of `spec`. Nothing is connected yet.
    ///
    /// # Errors
    /// When its URL cannot be used.
    pub fn new(spec: &ControlSpec, settings: &CaddySettings) -> Result<Caddy, ControlError> {
        let reach = Reach { limit: settings.timeout, ..Reach::default() };
        Ok(Caddy {
            spec: spec.clone(),
            api: Api::new(&settings.url, &reach)?,
            settings: settings.clone(),
        })
    }

    fn path(&self) -> String {
        format!("/id/{}/upstreams", self.settings.id)
    }

    /// The upstreams as they are, and the tag of this version of them, if Caddy gives one (from 2.7 on).
    async fn list(&self) -> Result<(Vec<Upstream>, Option<String>), ControlError> {
        let request = Request::get(self.path());
        let answer = self.api.ask(&request).await?;
        if answer.status() == 404 {
            return Err(ControlError {
                what: format!("Caddy has no handler with the @id {}", self.settings.id),
                hint:
                    "put `\"@id\"` on the reverse_proxy handler: docs/providers/caddy.md shows how"
                        .to_owned(),
            });
        }
        if !answer.is_good() {
            return Err(self.api.refused(&request, &answer));
        }
        let list: Option<Vec<Upstream>> =
            answer.json().map_err(|why| self.api.senseless(&request, &why))?;
        Ok((list.unwrap_or_default(), answer.header("etag").map(str::to_owned)))
    }

    /// Changes the list as `change` says; not at all where that is no change.
    async fn change(
        &self,
        change: impl Fn(&[Upstream]) -> Vec<Upstream>,
    ) -> Result<(), ControlError> {
        for _ in 1..TRIES {
            if self.try_change(&change).await? {
                return Ok(());
            }
        }
        match self.try_change(&change).await? {
            true => Ok(()),
            false => Err(ControlError {
                what: format!("{} is changed by another hand again and again", self.settings.id),
                hint: "see who else changes Caddy's configuration".to_owned(),
            }),
        }
    }

    /// False: another hand was quicker.
    async fn try_change(
        &self,
        change: impl Fn(&[Upstream]) -> Vec<Upstream>,
    ) -> Result<bool, ControlError> {
        let (list, tag) = self.list().await?;
        let wanted = change(&list);
        if wanted == list {
            return Ok(true);
        }
        let body = Value::from_iter(wanted);
        let mut request = Request::repeatable(Method::PATCH, self.path()).json(&body);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        let answer = self.api.ask(&request).await?;
        match answer.status() {
            412 => Ok(false),
            _ if answer.is_good() => Ok(true),
            _ => Err(self.api.refused(&request, &answer)),
        }
    }

    /// The place of an upstream in the plan.
    fn place(&self, upstream: &Upstream) -> Option<usize> {
        self.settings.upstreams.iter().position(|it| Some(&*it.dial) == dial(upstream))
    }

    /// `list` with `upstream` in its place, once.
    fn with(&self, mut list: Vec<Upstream>, upstream: Upstream) -> Vec<Upstream> {
        if let Some(there) = list.iter_mut().find(|it| dial(it) == dial(&upstream)) {
            *there = upstream;
            return list;
        }
        let own = self.place(&upstream);
        let later = |it: &Upstream| self.place(it).is_some_and(|place| Some(place) > own);
        let before = list.iter().position(later).unwrap_or(list.len());
        list.insert(before, upstream);
        list
    }

    /// Holds that the plan names what Caddy has, in Caddy's order: what is taken out goes back to its place by that.
    fn holds(&self, list: &[Upstream]) -> Result<(), ControlError> {
        let has: Vec<&str> =
            list.iter().map(|it| dial(it).unwrap_or("one without `dial`")).collect();
        let named: Vec<&str> = self.settings.upstreams.iter().map(|it| &*it.dial).collect();
        let at = |what: String| ControlError {
            what,
            hint: format!("name Caddy's upstreams in its order: {}", has.join(", ")),
        };
        if let Some(missing) = named.iter().find(|it| !has.contains(it)) {
            return Err(at(format!("{} has no upstream {missing}", self.settings.id)));
        }
        if let Some(unknown) = has.iter().find(|it| !named.contains(it)) {
            return Err(at(format!(
                "{} has an upstream that the plan does not name: {unknown}",
                self.settings.id
            )));
        }
        if has != named {
            return Err(at(format!(
                "{} has its upstreams in another order, or twice",
                self.settings.id
            )));
        }
        Ok(())
    }

    /// The upstreams of a snapshot that were open, in the plan's order.
    fn open(&self, snapshot: &ControlState) -> Result<Vec<Upstream>, ControlError> {
        let mut upstreams = Vec::new();
        for it in &self.settings.upstreams {
            let part = snapshot.parts.get(&it.dial).filter(|part| part.passage == Passage::Open);
            let Some(text) = part.and_then(|part| part.settings.get(UPSTREAM)) else { continue };
            let upstream = serde_json::from_str(text).map_err(|_| ControlError {
                what: format!(
                    "what is known of the upstream {} is no upstream of Caddy's",
                    it.dial
                ),
                hint: "see whether the journal was changed by hand".to_owned(),
            })?;
            upstreams.push(upstream);
        }
        Ok(upstreams)
    }

    fn url(&self) -> String {
        format!("{}{}", self.settings.url.to_string().trim_end_matches('/'), self.path())
    }

    /// Where in Caddy's list the upstream stands, as `DELETE` and `PUT` ask for it.
    fn put(&self, dial: &str, upstream: &str) -> Option<String> {
        let place = self.settings.upstreams.iter().position(|it| it.dial == dial)?;
        let body = upstream.replace('\'', "'\\''");
        Some(format!(
            "curl -X PUT -H 'content-type: application/json' -d '{body}' '{}/{place}'",
            self.url()
        ))
    }
}

/// The setting that says whether an upstream is in the list.
fn listed(is: bool) -> BTreeMap<String, String> {
    [(LISTED.to_owned(), if is { "yes" } else { "no" }.to_owned())].into()
}

fn dial(upstream: &Upstream) -> Option<&str> {
    upstream.get("dial")?.as_str()
}

#[async_trait]
impl TrafficControl for Caddy {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// Whoever may read the admin API may also write it.
    async fn preflight(&self) -> Result<(), ControlError> {
        self.holds(&self.list().await?.0)
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let (list, _) = self.list().await?;
        let part = |datacenter, dial_of: &str| {
            let there = list.iter().find(|it| dial(it) == Some(dial_of));
            let mut settings = listed(there.is_some());
            settings.extend(
                there.map(|it| (UPSTREAM.to_owned(), Value::Object(it.clone()).to_string())),
            );
            let passage = if there.is_some() { Passage::Open } else { Passage::Closed };
            PartState { datacenter, passage, settings }
        };
        let parts = self.settings.upstreams.iter();
        let parts = parts.map(|it| (it.dial.clone(), part(it.datacenter, &it.dial)));
        Ok(ControlState { parts: parts.collect() })
    }

    /// Whether those that are left are well is not known to the list.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let (list, _) = self.list().await?;
        let lost = |it: &&Upstream| {
            let place = self.place(it).and_then(|place| self.settings.upstreams.get(place));
            place.is_some_and(|it| order.datacenters.contains(&it.datacenter))
        };
        let left = list.iter().filter(|it| !lost(it)).count();
        Ok(vec![Survivors { group: format!("handler {}", self.settings.id), left }])
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let ours = snapshot.cuttable(order);
        let stays = |it: &&Upstream| !dial(it).is_some_and(|dial| ours.parts.contains_key(dial));
        self.change(|list| list.iter().filter(stays).cloned().collect()).await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let ours = snapshot.cuttable(order);
        let taken = ours.parts.keys().cloned().collect::<Vec<_>>().join(", ");
        let call = format!("PATCH {} without {taken}", self.path());
        vec![CutCall { call, undone_by: Some(format!("PATCH {} with {taken}", self.path())) }]
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings = listed(false);
        }
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let open = self.open(snapshot)?;
        let put = |list: &[Upstream]| {
            open.iter().fold(list.to_vec(), |list, upstream| self.with(list, upstream.clone()))
        };
        self.change(put).await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let mut lines = vec![format!("curl '{}'   # which are there", self.url())];
        // In the list's order, so that each comes to its place.
        for it in &self.settings.upstreams {
            let part = snapshot.parts.get(&it.dial);
            let upstream = part.and_then(|part| part.settings.get(UPSTREAM));
            lines.extend(upstream.and_then(|upstream| self.put(&it.dial, upstream)));
        }
        lines
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.api.exchanges()
    }
}
