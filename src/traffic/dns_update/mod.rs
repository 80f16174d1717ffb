//! A DNS zone, steered by dynamic updates (RFC 2136) that are signed with a shared key (TSIG, RFC 8945).
//!
//! A cut deletes records, and a restore adds them. Each update says what the set of records was when it was read, and the
//! name server makes it only if the set is still that: no change of another hand is ever undone by ours.

mod key;
mod session;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::rr::TSigner;
use tokio::sync::OnceCell;

use super::dns::{Resolvers, Ttls, by_part, cut_at_resolvers, last, listed};
use super::log::Log;
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, DnsKey, DnsRecord, DnsUpdateSettings, Exchange,
    PartState, Passage, all_records,
};
use crate::traffic::all_of;
use session::{Change, Failed, PAUSES, Session, Set, Updated};

/// How often a set is read and updated again when another hand changed it in between.
const TRIES: u32 = 5;

/// The key of [`PartState::settings`]: whether a record is in its set.
const LISTED: &str = "listed";

/// Between two readings while resolvers have to follow.
const PAUSE: Duration = Duration::from_millis(200);

/// A zone at its primary as a traffic control. Its parts are records.
pub struct DnsUpdate {
    spec: ControlSpec,
    settings: DnsUpdateSettings,
    /// Made when it is first used: it may be in a file.
    signer: OnceCell<TSigner>,
    resolvers: Resolvers,
    ttls: Ttls,
    log: Log,
}

/// The sets as they are, by name and type.
type Sets = BTreeMap<String, Set>;

impl DnsUpdate {
    /// The zone of `settings`, which are those of `spec`. Nothing is read or connected yet.
    pub fn new(spec: &ControlSpec, settings: &DnsUpdateSettings) -> DnsUpdate {
        let (follow, limit) = (settings.follow_within, settings.timeout);
        DnsUpdate {
            spec: spec.clone(),
            settings: settings.clone(),
            signer: OnceCell::new(),
            resolvers: Resolvers::new(&settings.resolvers, follow, limit),
            ttls: Ttls::default(),
            log: Log::default(),
        }
    }

    fn records(&self) -> impl Iterator<Item = &DnsRecord> {
        all_records(&self.settings.records).map(|(_, record)| record)
    }

    async fn session(&self) -> Result<Session<'_>, Failed> {
        let signer = self.signer.get_or_try_init(|| key::signer(&self.settings.key)).await;
        let signer = signer.map_err(Failed::For)?;
        Session::open(&self.settings, signer, &self.log).await
    }

    /// The sets, and the connection on which they were read. What fails at once is tried again.
    async fn read(&self) -> Result<(Sets, Session<'_>), ControlError> {
        for pause in PAUSES {
            match self.try_read().await {
                Err(Failed::MayPass(_)) => {
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                }
                done => return done.map_err(Failed::error),
            }
        }
        self.try_read().await.map_err(Failed::error)
    }

    async fn try_read(&self) -> Result<(Sets, Session<'_>), Failed> {
        let mut session = self.session().await?;
        let sets = session.sets(self.records()).await?;
        for (set, it) in sets.iter().filter(|(_, it)| !it.addresses.is_empty()) {
            self.ttls.note(set.clone(), it.ttl);
        }
        Ok((sets, session))
    }

    async fn state(&self, sets: &Sets) -> ControlState {
        let views = self.resolvers.ask(self.records(), &self.log).await;
        let mut parts = BTreeMap::new();
        for (datacenter, record) in all_records(&self.settings.records) {
            // Our cut never takes the last: where none is left, somebody else took them all.
            let Some(set) = sets.get(&record.set()).filter(|set| !set.addresses.is_empty()) else {
                continue;
            };
            let is_listed = set.addresses.contains(&record.address);
            let passage = if is_listed { Passage::Open } else { Passage::Closed };
            let mut part = PartState { datacenter, passage, settings: listed_as(is_listed) };
            views.mark(record, &mut part);
            parts.insert(record.to_string(), part);
        }
        ControlState { parts }
    }

    /// Makes each part of `wanted` listed, or not. With `all_or_none` nothing is changed where something cannot be.
    async fn set(
        &self,
        wanted: &BTreeMap<String, bool>,
        all_or_none: bool,
    ) -> Result<(), ControlError> {
        let known = by_part(&self.settings.records);
        for _ in 0..TRIES {
            let (sets, mut session) = self.read().await?;
            let (changes, failures) = changes(&sets, wanted, &known);
            if changes.is_empty() || (all_or_none && !failures.is_empty()) {
                return all_of("", failures);
            }
            match session.update(&changes).await.map_err(Failed::error)? {
                Updated::Done => return all_of("", failures),
                Updated::Outrun => {}
            }
        }
        Err(ControlError {
            what: format!("{} is changed by another hand again and again", self.settings.zone),
            hint: "see who else changes these records".to_owned(),
        })
    }

    /// Holds that this key may update, by an update that changes nothing.
    async fn may_update(&self, sets: &Sets, session: &mut Session<'_>) -> Result<(), ControlError> {
        let mut seen = BTreeSet::new();
        let changes = self.records().filter(|it| seen.insert(it.set())).filter_map(|record| {
            let was = sets.get(&record.set())?;
            Some(Change { record, was, less: Vec::new(), more: Vec::new() })
        });
        let changes: Vec<_> = changes.collect();
        // Whether the sets are still those is not asked.
        session.update(&changes).await.map(drop).map_err(Failed::error)
    }

    /// A command that adds `record` again.
    fn add(&self, record: &DnsRecord) -> String {
        let DnsUpdateSettings { server, zone, .. } = &self.settings;
        let server = server.to_string();
        let (host, port) = server.rsplit_once(':').unwrap_or((&server, "53"));
        let host = host.trim_matches(['[', ']']);
        let DnsRecord { name, address, .. } = record;
        let kind = record.kind();
        let key = match &self.settings.key {
            DnsKey::Given { name, algorithm, secret } => {
                let secret = secret.to_string().replace("${env:", "${");
                format!("-y \"{}:{name}:{secret}\"", algorithm.name())
            }
            DnsKey::File(path) => format!("-k '{path}'"),
        };
        let ttl = self.ttls.of(record).map_or_else(
            || format!("$(dig +noall +answer @{host} -p {port} {name}. {kind} | awk 'NR == 1 {{ print $2 }}')"),
            |ttl| ttl.to_string(),
        );
        format!(
            "printf '%s\\n' 'server {host} {port}' 'zone {zone}.' \"update add {name}. {ttl} {kind} {address}\" send | nsupdate -v {key}"
        )
    }
}

/// What has to change in `sets` so that each part of `wanted` is listed or not, as it says; and what of that cannot be.
fn changes<'a>(
    sets: &'a Sets,
    wanted: &BTreeMap<String, bool>,
    known: &BTreeMap<String, &'a DnsRecord>,
) -> (Vec<Change<'a>>, Vec<ControlError>) {
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    let mut failures = Vec::new();
    for (part, list) in wanted {
        let Some(record) = known.get(part) else {
            failures.push(ControlError {
                what: format!("the record {part} is not one of this control"),
                hint: "see whether the journal was changed by hand".to_owned(),
            });
            continue;
        };
        let Some(was) = sets.get(&record.set()).filter(|set| !set.addresses.is_empty()) else {
            failures.push(gone(record));
            continue;
        };
        if was.addresses.contains(&record.address) == *list {
            continue;
        }
        let change = changes.entry(record.set()).or_insert_with(|| Change {
            record,
            was,
            less: Vec::new(),
            more: Vec::new(),
        });
        if *list {
            change.more.push(record.address)
        } else {
            change.less.push(record.address)
        }
        if change.less.len() == was.addresses.len() {
            failures.push(last(record));
        }
    }
    (changes.into_values().collect(), failures)
}

fn gone(record: &DnsRecord) -> ControlError {
    ControlError {
        what: format!("there are no records {}: another hand took them all", record.set()),
        hint: "see who did, and why, before any is added".to_owned(),
    }
}

fn listed_as(is: bool) -> BTreeMap<String, String> {
    [(LISTED.to_owned(), if is { "yes" } else { "no" }.to_owned())].into()
}

/// The parts of `state` and whether each is listed.
fn is_listed(state: &ControlState) -> BTreeMap<String, bool> {
    let flag = |part: &PartState| Some(part.settings.get(LISTED)? == "yes");
    state.parts.iter().filter_map(|(name, part)| Some((name.clone(), flag(part)?))).collect()
}

#[async_trait]
impl TrafficControl for DnsUpdate {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// Asks all that a drill will ask, and makes an update that changes nothing.
    async fn preflight(&self) -> Result<(), ControlError> {
        let (sets, mut session) = self.read().await?;
        let alias = |record: &DnsRecord| sets.get(&record.set())?.alias.clone();
        if let Some((record, to)) = self.records().find_map(|it| Some((it, alias(it)?))) {
            return Err(ControlError {
                what: format!("{} is another name (CNAME) for {to}", record.name),
                hint: "steer the records that it leads to".to_owned(),
            });
        }
        let missing = self.records().filter_map(|record| {
            let has = &sets.get(&record.set())?.addresses;
            let missing = ControlError {
                what: format!("{} has no {}", record.set(), record.address),
                hint: format!("name records that are there; it has {}", listed(has)),
            };
            (!has.contains(&record.address)).then_some(missing)
        });
        all_of("", missing)?;
        self.may_update(&sets, &mut session).await?;
        let views = self.resolvers.ask(self.records(), &self.log).await;
        for record in self.records() {
            self.resolvers.agree(&views, record, true, self.ttls.of(record))?;
        }
        Ok(())
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let (sets, _) = self.read().await?;
        Ok(self.state(&sets).await)
    }

    /// Whether those that are left are well is not known to the zone.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let (sets, _) = self.read().await?;
        let mut lost: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        for (at, record) in all_records(&self.settings.records) {
            if order.datacenters.contains(&at) {
                lost.entry(record.set()).or_default().insert(record.address);
            }
        }
        let judged = lost.into_iter().filter_map(|(name, lost)| {
            let set = sets.get(&name)?;
            let is_hit = set.addresses.iter().any(|it| lost.contains(it));
            let left = set.addresses.difference(&lost).count();
            is_hit.then(|| Survivors { group: format!("record {name}"), left })
        });
        Ok(judged.collect())
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        self.set(&is_listed(&self.cut_state(order, snapshot)), true).await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let known = by_part(&self.settings.records);
        let ours = snapshot.cuttable(order);
        let records = ours.parts.keys().filter_map(|part| known.get(part));
        let call = |record: &&DnsRecord| {
            let to = |act: &str| format!("update {}: {act} {record}", self.settings.zone);
            self.ttls.call(record, &to("delete"), &to("add"))
        };
        records.map(call).collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.extend(listed_as(false));
            cut_at_resolvers(part);
        }
        state
    }

    /// Adds records with the TTL that their set has by then. Goes on where all of a set are gone, so that it keeps no other
    /// cut.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let mut open = is_listed(snapshot);
        open.retain(|_, listed| *listed);
        self.set(&open, false).await
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let known = by_part(&self.settings.records);
        let open = is_listed(snapshot).into_iter().filter(|(_, listed)| *listed);
        open.filter_map(|(part, _)| known.get(&part).map(|record| self.add(record))).collect()
    }

    fn pause(&self) -> Duration {
        if self.resolvers.is_empty() { Duration::from_millis(20) } else { PAUSE }
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.log.take()
    }
}
