//! PowerDNS Authoritative, steered through its API.
//!
//! A cut disables records: they stay in the zone, where anybody sees them, and are given to nobody. What else is in their
//! set is sent back as it was read, a moment before: PowerDNS has no tags by which a change of another hand in that moment
//! could be told, so that what was written is read again too.

#[cfg(test)]
mod tests;
mod zone;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::OnceCell;

use super::api::{Answer, Api, Method, Reach, Request};
use super::dns::{Resolvers, Ttls, by_part, cut_at_resolvers};
use super::log::Log;
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, DnsRecord, Exchange, PartState, Passage,
    PowerdnsKey, PowerdnsSettings, Text, all_records,
};
use crate::traffic::all_of;
use zone::{Rrset, Zone};

/// How often a set is read and written again when it is not as it was written.
const TRIES: u32 = 4;

/// The key of [`PartState::settings`] that a cut changes.
const DISABLED: &str = "disabled";

/// Between two readings while resolvers have to follow.
const PAUSE: Duration = Duration::from_millis(200);

/// A zone of a PowerDNS as a traffic control. Its parts are records.
#[derive(Debug)]
pub struct Powerdns {
    spec: ControlSpec,
    settings: PowerdnsSettings,
    /// Made when it is first used: its key may be in a file.
    api: OnceCell<Api>,
    resolvers: Resolvers,
    ttls: Ttls,
    /// Of what resolvers are asked.
    log: Log,
}

impl Powerdns {
    /// The PowerDNS of `settings`, which are those of `spec`. Nothing is read or connected yet.
    pub fn new(spec: &ControlSpec, settings: &PowerdnsSettings) -> Powerdns {
        let (follow, limit) = (settings.follow_within, settings.timeout);
        Powerdns {
            spec: spec.clone(),
            settings: settings.clone(),
            api: OnceCell::new(),
            resolvers: Resolvers::new(&settings.resolvers, follow, limit),
            ttls: Ttls::default(),
            log: Log::default(),
        }
    }

    async fn api(&self) -> Result<&Api, ControlError> {
        self.api.get_or_try_init(|| self.make_api()).await
    }

    async fn make_api(&self) -> Result<Api, ControlError> {
        let key = match &self.settings.api_key {
            PowerdnsKey::Given(key) => key.clone(),
            PowerdnsKey::File(path) => Text::from(&*key_in(path).await?),
        };
        let revealed = key.reveal_plain();
        let reach = Reach {
            secrets: vec![&revealed],
            headers: vec![("x-api-key", key)],
            limit: self.settings.timeout,
            ..Reach::default()
        };
        Api::new(&self.settings.url, &reach)
    }

    fn path(&self) -> String {
        format!("/api/v1/servers/{}/zones/{}.", self.settings.server, self.settings.zone)
    }

    /// The whole zone. Asked for one name alone (`rrset_name`), PowerDNS leaves out what is disabled: not only would our cut
    /// look like a record that is gone, but what others disabled would be lost when its set is sent back.
    async fn zone(&self) -> Result<Zone, ControlError> {
        let request = Request::get(self.path());
        let api = self.api().await?;
        let answer = api.ask(&request).await?;
        if !answer.is_good() {
            return Err(self.refused(api, &request, &answer));
        }
        let zone: Zone = answer.json().map_err(|why| api.senseless(&request, &why))?;
        for (_, record) in all_records(&self.settings.records) {
            zone.set(record).into_iter().for_each(|set| self.ttls.note(record.set(), set.ttl));
        }
        Ok(zone)
    }

    /// What an answer that is no good one means, where PowerDNS says less than that.
    fn refused(&self, api: &Api, request: &Request, answer: &Answer) -> ControlError {
        let PowerdnsSettings { zone, server, url, .. } = &self.settings;
        match answer.status() {
            401 => ControlError {
                what: format!("PowerDNS at {url} does not take the API key"),
                hint: "see `api-key` in its pdns.conf, and where the plan has the key from"
                    .to_owned(),
            },
            404 => ControlError {
                what: format!("the server {server} of PowerDNS at {url} has no zone {zone}"),
                hint: "see `pdnsutil list-all-zones`, and whether the server's id is `localhost`"
                    .to_owned(),
            },
            _ => api.refused(request, answer),
        }
    }

    /// The state of `zone`, with what resolvers say.
    async fn state(&self, zone: &Zone) -> ControlState {
        let records = all_records(&self.settings.records).map(|(_, record)| record);
        let views = self.resolvers.ask(records, &self.log).await;
        let mut parts = BTreeMap::new();
        for (datacenter, record) in all_records(&self.settings.records) {
            let Some(enabled) = zone.is_enabled(record) else { continue };
            let passage = if enabled { Passage::Open } else { Passage::Closed };
            let settings = [(DISABLED.to_owned(), (!enabled).to_string())].into();
            let mut part = PartState { datacenter, passage, settings };
            views.mark(record, &mut part);
            parts.insert(record.to_string(), part);
        }
        ControlState { parts }
    }

    /// Makes each part of `wanted` in force, or not. With `all_or_none` nothing is changed where something cannot be.
    async fn set(
        &self,
        wanted: &BTreeMap<String, bool>,
        all_or_none: bool,
    ) -> Result<(), ControlError> {
        let known = by_part(&self.settings.records);
        let (mut records, mut unknown) = (Vec::new(), Vec::new());
        for (part, enabled) in wanted {
            match known.get(part) {
                Some(record) => records.push((*record, *enabled)),
                None => unknown.push(unsaid(part)),
            }
        }
        for _ in 0..TRIES {
            let (changed, mut failures) = self.zone().await?.changed(&records);
            failures.extend(unknown.iter().cloned());
            if changed.is_empty() || (all_or_none && !failures.is_empty()) {
                return all_of("", failures);
            }
            // Only the flags that are not as they should be are sent, so that this ends when all are.
            self.replace(&changed).await?;
        }
        Err(ControlError {
            what: format!(
                "zone {}: PowerDNS accepts the change, and does not have it when it is read again",
                self.settings.zone
            ),
            hint:
                "see who else changes these records, or whether its database is a copy of another"
                    .to_owned(),
        })
    }

    /// Sends whole sets, in one change. Not twice: by then another hand may have changed them.
    async fn replace(&self, sets: &[Rrset]) -> Result<(), ControlError> {
        let sets: Vec<_> = sets.iter().map(Rrset::replacing).collect();
        let request = Request::once(Method::PATCH, self.path()).json(&json!({ "rrsets": sets }));
        let api = self.api().await?;
        let answer = api.ask(&request).await?;
        if answer.is_good() { Ok(()) } else { Err(self.refused(api, &request, &answer)) }
    }

    /// A command that makes `record` be in force again, and leaves everything else in its set.
    fn put(&self, record: &DnsRecord) -> String {
        let key = match &self.settings.api_key {
            PowerdnsKey::Given(key) => key.to_string().replace("${env:", "${"),
            PowerdnsKey::File(path) => format!("$(cat '{path}')"),
        };
        let url = format!("{}{}", self.settings.url.to_string().trim_end_matches('/'), self.path());
        let DnsRecord { name, address, .. } = record;
        let curl = format!("curl -sS --fail-with-body -H \"X-API-Key: {key}\"");
        let change = format!(
            "{{rrsets: [.rrsets[] | select(.name == \"{name}.\" and .type == \"{}\") | del(.comments) | .changetype = \"REPLACE\" \
             | .records[] |= if .content == \"{address}\" then .disabled = false else . end]}}",
            record.kind()
        );
        format!("{curl} '{url}' | jq '{change}' | {curl} -X PATCH --data-binary @- '{url}'")
    }
}

/// The key in the file at `path`: its only line.
async fn key_in(path: &Text) -> Result<String, ControlError> {
    let unusable = |why: &str| ControlError {
        what: format!("the API key in {path} cannot be used: {why}"),
        hint: "see that the file is there, can be read, and holds the key alone".to_owned(),
    };
    let text = tokio::fs::read_to_string(path.reveal_plain()).await;
    let text = text.map_err(|error| unusable(&error.to_string()))?;
    let key = text.trim();
    if key.is_empty() || key.chars().any(|c| c.is_control()) {
        return Err(unusable("it is not one line"));
    }
    Ok(key.to_owned())
}

/// That a part of a journal is not in the settings.
fn unsaid(part: &str) -> ControlError {
    ControlError {
        what: format!("the record {part} is not one of this control"),
        hint: "see whether the journal was changed by hand".to_owned(),
    }
}

/// The parts of `state` and whether each is in force.
fn enabled(state: &ControlState) -> BTreeMap<String, bool> {
    let flag = |part: &PartState| Some(part.settings.get(DISABLED)? != "true");
    state.parts.iter().filter_map(|(name, part)| Some((name.clone(), flag(part)?))).collect()
}

#[async_trait]
impl TrafficControl for Powerdns {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// Whoever may read by the API may also write by it: it has one key.
    async fn preflight(&self) -> Result<(), ControlError> {
        let zone = self.zone().await?;
        if matches!(&*zone.kind, "Slave" | "Consumer") {
            return Err(ControlError {
                what: format!(
                    "zone {} is a copy here ({}): its primary writes over it",
                    self.settings.zone, zone.kind
                ),
                hint: "steer it at its primary".to_owned(),
            });
        }
        let records = || all_records(&self.settings.records).map(|(_, record)| record);
        let missing = records().filter(|it| zone.is_enabled(it).is_none() || zone.has_script(it));
        all_of("", missing.map(|record| zone.gone(record)))?;
        let views = self.resolvers.ask(records(), &self.log).await;
        for record in records() {
            let is_open = zone.is_enabled(record) == Some(true);
            self.resolvers.agree(&views, record, is_open, self.ttls.of(record))?;
        }
        Ok(())
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        Ok(self.state(&self.zone().await?).await)
    }

    /// Whether those that are left are well is not known to the zone. Sets that lose nothing are not judged: one may be a
    /// standby's that is not in force.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let zone = self.zone().await?;
        let lost: Vec<&DnsRecord> = all_records(&self.settings.records)
            .filter(|(at, _)| order.datacenters.contains(at))
            .map(|(_, record)| record)
            .collect();
        let loses: BTreeMap<String, &DnsRecord> = lost
            .iter()
            .filter(|it| zone.is_enabled(it) == Some(true))
            .map(|it| (it.set(), *it))
            .collect();
        let judged = loses.into_iter().map(|(set, record)| {
            let lost = lost.iter().filter(|it| it.set() == set).map(|it| it.address);
            let lost: Vec<_> = lost.collect();
            let left = zone.set(record).map_or(0, |it| it.left_without(&lost));
            Survivors { group: format!("record {set}"), left }
        });
        Ok(judged.collect())
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        self.set(&enabled(&self.cut_state(order, snapshot)), true).await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let known = by_part(&self.settings.records);
        let ours = snapshot.cuttable(order);
        let records = ours.parts.keys().filter_map(|part| known.get(part));
        let call = |record: &&DnsRecord| {
            let to = |disabled| format!("PATCH {}: {record} disabled={disabled}", self.path());
            self.ttls.call(record, &to(true), &to(false))
        };
        records.map(call).collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(DISABLED.to_owned(), true.to_string());
            cut_at_resolvers(part);
        }
        state
    }

    /// Goes on where a record is gone, so that it keeps no other cut.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let mut open = enabled(snapshot);
        open.retain(|_, enabled| *enabled);
        self.set(&open, false).await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let known = by_part(&self.settings.records);
        let open = enabled(snapshot).into_iter().filter(|(_, enabled)| *enabled);
        open.filter_map(|(part, _)| known.get(&part).map(|record| self.put(record))).collect()
    }

    fn pause(&self) -> Duration {
        if self.resolvers.is_empty() { Duration::from_millis(20) } else { PAUSE }
    }

    fn exchanges(&self) -> Vec<Exchange> {
        let asked = self.api.get().map(Api::exchanges).unwrap_or_default();
        asked.into_iter().chain(self.log.take()).collect()
    }
}
