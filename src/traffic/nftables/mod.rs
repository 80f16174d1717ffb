//! nftables: hosts drop, refuse or delay what goes to the networks of a datacenter and comes from there.
//!
//! Each datacenter has a table of its own on each host, which is made and deleted as a whole; nothing else on the host is
//! touched. A cut has an end, kept by the host's kernel, that is moved on while the drill's process lives: if that dies, or
//! the host can no longer be reached, traffic comes back by itself.

mod hand;
mod host;
mod listed;
mod netem;
mod renewal;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::host::{Host, Who};
use self::listed::Found;
use self::netem::{Numbers, Seen};
use self::renewal::Renewal;
use self::table::{Table, Way};
use super::log::Log;
use super::{ControlError, Survivors, TrafficControl};
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, DatacenterId, Exchange, Mode, ModeKind,
    NftablesSettings, PartState, Passage,
};
use crate::traffic::all_done;
use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};
use ipnet::IpNet;

/// The setting of a part: in which way our rules are in force.
const RULES: &str = "rules";
/// The setting of a part that is degraded otherwise than we do it: how.
const PATH: &str = "path";
/// They are not: there is no table, or it lets all pass.
const NONE: &str = "none";

/// Tables on hosts as a traffic control. Its parts are named `HOST/DATACENTER`.
#[derive(Debug)]
pub struct Nftables {
    spec: ControlSpec,
    settings: NftablesSettings,
    hosts: Vec<Host>,
    /// A table for each of the datacenters of `settings`.
    tables: Vec<(DatacenterId, Table)>,
    log: Arc<Log>,
    renew_every: Duration,
    /// What moves the ends of our cuts on.
    renewals: Mutex<Vec<Renewal>>,
    /// The order of which it was seen that it does not cut the way back.
    looked: Mutex<Option<CutOrder>>,
}

/// A part: a table on a host.
#[derive(Clone, Copy)]
struct Part<'c> {
    host: &'c Host,
    datacenter: DatacenterId,
    table: &'c Table,
}

impl Nftables {
    /// The hosts of `settings`, which are those of `spec`. Nothing is run yet.
    pub fn new(spec: &ControlSpec, settings: &NftablesSettings) -> Nftables {
        let log = Arc::new(Log::default());
        let hosts = settings.hosts.iter().map(|host| Host::new(settings, host, &log)).collect();
        let tables = settings.networks.iter();
        let tables = tables.map(|it| (it.datacenter, Table::new(&spec.name, it, &settings.ports)));
        Nftables {
            spec: spec.clone(),
            settings: settings.clone(),
            hosts,
            tables: tables.collect(),
            log,
            // Two may fail before the third would come too late.
            renew_every: settings.expires_in / 4,
            renewals: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// The same, with the ends of cuts moved on as often as this.
    pub fn renewing_every(self, period: Duration) -> Nftables {
        Nftables { renew_every: period, ..self }
    }

    /// The names of its tables, which are the same on every host.
    pub fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|(_, table)| table.name.clone()).collect()
    }

    /// All parts of `host`, by their names.
    fn parts<'c>(&'c self, host: &'c Host) -> impl Iterator<Item = (String, Part<'c>)> {
        self.settings.networks.iter().zip(&self.tables).map(move |(of, (datacenter, table))| {
            let part = Part { host, datacenter: *datacenter, table };
            (format!("{}/{}", host.name, of.name), part)
        })
    }

    /// The parts of `state` that were open, host by host.
    fn open<'c>(
        &'c self,
        state: &ControlState,
    ) -> Result<BTreeMap<&'c str, Vec<Part<'c>>>, ControlError> {
        let all: BTreeMap<String, Part<'c>> =
            self.hosts.iter().flat_map(|host| self.parts(host)).collect();
        let mut open: BTreeMap<&'c str, Vec<Part<'c>>> = BTreeMap::new();
        for (name, _) in state.parts.iter().filter(|(_, part)| part.passage == Passage::Open) {
            let part = all.get(name).ok_or_else(|| ControlError {
                what: format!("`{name}` is none of the parts of this control"),
                hint: "see whether the journal was changed by hand".to_owned(),
            })?;
            open.entry(&part.host.name).or_default().push(*part);
        }
        Ok(open)
    }

    /// What is there on `host`, for each part.
    async fn found<'c>(
        &'c self,
        host: &'c Host,
    ) -> Result<Vec<(String, Part<'c>, Found)>, ControlError> {
        let ours = self.tables();
        let there = host.listed(&["tables", "inet"], listed::tables, |all: &BTreeSet<String>| {
            let ours: Vec<&str> =
                ours.iter().filter(|it| all.contains(*it)).map(String::as_str).collect();
            format!("{} tables, ours: [{}]", all.len(), ours.join(", "))
        });
        let there = there.await?;
        let mut all = Vec::new();
        let mut seen: Option<Seen> = None;
        for (name, part) in self.parts(host) {
            let mut found = Found::Nothing;
            if there.contains(&part.table.name) {
                let read = |said: &[u8]| listed::judged(said, part.table);
                found = host.listed(&["table", "inet", &part.table.name], read, told).await?;
            }
            if let Found::Ours { way: way @ Way::Degrade(numbers), alive: true, .. } = found {
                let seen = match seen.take() {
                    Some(before) => seen.insert(before),
                    None => seen.insert(host.seen().await?),
                };
                if let Err(how) = netem::fit(seen, part.table, numbers, host.devices()) {
                    found = Found::Broken { way, how };
                }
            }
            all.push((name, part, found));
        }
        Ok(all)
    }

    /// That what is there is nothing, or ours, and that `nft` takes what a cut would make.
    async fn is_ready(&self, host: &Host) -> Result<(), ControlError> {
        for (_, part, found) in self.found(host).await? {
            let name = &part.table.name;
            let delete = || host.by_hand(&["nft", "delete", "table", "inet", name]);
            let error = |how: String, hint: String| {
                let what = format!("{} has a table {name} {how}", host.name);
                Err(ControlError { what, hint })
            };
            match found {
                Found::Changed(how) => {
                    let hint = format!("see whose it is, and delete it: `{}`", delete());
                    return error(format!("that is not as firedrill makes it: {how}"), hint);
                }
                // What is closed already is left alone. What is degraded would have to be put back as it was.
                Found::Ours { way: way @ Way::Degrade(_), alive: true, .. }
                | Found::Broken { way, .. } => {
                    let hint =
                        format!("see whose drill that is; it ends by itself, or by `{}`", delete());
                    return error(format!("that is in force: {}", way.word()), hint);
                }
                Found::Nothing | Found::Ours { .. } => {}
            }
        }
        let expires_in = self.settings.expires_in;
        let degrade = Way::Degrade(Numbers::default());
        let degrade = Some(degrade).filter(|_| !host.devices().is_empty());
        let ways: Vec<Way> = Way::CLOSING.into_iter().chain(degrade).collect();
        let scripts = self
            .tables
            .iter()
            .flat_map(|(_, table)| ways.iter().map(move |way| table.made(*way, expires_in)));
        host.nft(&["-c", "-f", "-"], &scripts.collect::<String>()).await.map(drop)
    }

    /// That no connection of `ssh` by which `host` is steered has an end in what is to be cut off.
    async fn spares_the_way_back(&self, host: &Host, order: &CutOrder) -> Result<(), ControlError> {
        let Who { ends, .. } = host.who().await?;
        let cut = self.settings.networks.iter();
        let cut = cut.filter(|it| order.datacenters.contains(&it.datacenter));
        for of in cut {
            let held = |net: &&IpNet| ends.iter().any(|end| net.contains(end));
            let Some(net) = of.networks.iter().find(held) else { continue };
            return Err(ControlError {
                what: format!(
                    "{} is steered over a connection of ssh that has an end in {net}, which is to be cut off with {}: \
                     the way back would be cut with the traffic",
                    host.name, of.name
                ),
                hint: "log in from elsewhere and to another address, or name narrower networks"
                    .to_owned(),
            });
        }
        Ok(())
    }

    async fn look(&self, order: &CutOrder) -> Result<(), ControlError> {
        if self.looked.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(order) {
            return Ok(());
        }
        let hosts = self.hosts.iter().map(|host| self.spares_the_way_back(host, order));
        all_done("the way back is in danger", join_all(hosts).await)?;
        if let Mode::Degrade(numbers) = order.mode {
            let tables = self.tables.iter().filter(|(id, _)| order.datacenters.contains(id));
            let tables: Vec<&Table> = tables.map(|(_, table)| table).collect();
            let numbers = Numbers::of(&numbers);
            let hosts = self.hosts.iter().map(|host| host.can_degrade(&tables, numbers));
            all_done("cannot degrade", join_all(hosts).await)?;
        }
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(order.clone());
        Ok(())
    }

    /// Moves the ends of `parts` on, again and again.
    fn renew(&self, parts: &[Part]) {
        let Some(host) = parts.first().map(|part| part.host.clone()) else { return };
        let expires_in = self.settings.expires_in;
        let scripts = parts.iter().map(|part| part.table.kept_alive(expires_in)).collect();
        self.renewals().push(Renewal::start(host, scripts, self.renew_every));
    }

    fn renewals(&self) -> std::sync::MutexGuard<'_, Vec<Renewal>> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tables_of<'c>(parts: &[Part<'c>]) -> Vec<&'c Table> {
    parts.iter().map(|part| part.table).collect()
}

/// The state of a part.
fn state(datacenter: DatacenterId, found: &Found) -> PartState {
    let mut settings = BTreeMap::new();
    let (passage, rules) = match found {
        // One that is over is as good as none: it lets all pass, and the next cut takes its place.
        Found::Nothing | Found::Ours { alive: false, .. } => (Passage::Open, NONE.to_owned()),
        Found::Ours { way: way @ Way::Degrade(_), .. } => (Passage::Degraded, way.word()),
        Found::Ours { way, .. } => (Passage::Closed, way.word()),
        Found::Broken { way, how } => {
            settings.insert(PATH.to_owned(), how.clone());
            (Passage::Open, way.word())
        }
        // What of it is in force nobody knows.
        Found::Changed(how) => (Passage::Open, format!("changed: {how}")),
    };
    settings.insert(RULES.to_owned(), rules);
    PartState { datacenter, passage, settings }
}

/// What was found, for the run record.
fn told(found: &Found) -> String {
    match found {
        Found::Nothing => "nothing".to_owned(),
        Found::Ours { way, alive, packets } => {
            let alive = if *alive { "in force" } else { "over by itself" };
            format!("our {}, {alive}; {packets} packets met its rules", way.word())
        }
        Found::Broken { way, how } => format!("our {}, in force, but {how}", way.word()),
        Found::Changed(how) => format!("not as we make it: {how}"),
    }
}

/// How `order` is to be carried out.
fn way(order: &CutOrder) -> Result<Way, ControlError> {
    match order.mode {
        Mode::Blackhole => Ok(Way::Blackhole),
        Mode::Reset => Ok(Way::Reset),
        Mode::Degrade(numbers) => Ok(Way::Degrade(Numbers::of(&numbers))),
        Mode::Drain => Err(ControlError {
            what: format!("nftables cannot {}", ModeKind::Drain),
            hint: "it can blackhole, reset and degrade".to_owned(),
        }),
    }
}

#[async_trait]
impl TrafficControl for Nftables {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// That of its only host. Several have no name together.
    async fn identity(&self) -> Result<Option<String>, ControlError> {
        let [host] = self.hosts.as_slice() else { return Ok(None) };
        Ok(Some(format!("nftables {}", host.who().await?.machine)))
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let ready = self.hosts.iter().map(|host| self.is_ready(host));
        all_done("nftables", join_all(ready).await)
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let hosts = try_join_all(self.hosts.iter().map(|host| self.found(host))).await?;
        let parts = hosts.into_iter().flatten();
        let parts = parts.map(|(name, part, found)| (name, state(part.datacenter, &found)));
        Ok(ControlState { parts: parts.collect() })
    }

    /// Whether what is left is well, rules do not tell: only whether it is cut off already.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        self.look(order).await?;
        // One that names only what it cuts off says nothing of others.
        let others = |id: &DatacenterId| !order.datacenters.contains(id);
        if !self.tables.iter().any(|(id, _)| others(id)) {
            return Ok(Vec::new());
        }
        let state = self.inspect().await?;
        let left = |host: &Host| {
            let parts = self.parts(host).filter(|(_, part)| others(&part.datacenter));
            let parts = parts.filter_map(|(name, _)| state.parts.get(&name));
            parts.filter(|part| part.passage != Passage::Closed).count()
        };
        let judged = |host: &Host| {
            let group = format!("host {}", host.name);
            Survivors { group, left: left(host) }
        };
        Ok(self.hosts.iter().map(judged).collect())
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let way = way(order)?;
        let ours = snapshot.cuttable(order);
        let open = self.open(&ours)?;
        self.look(order).await?;
        self.renewals().clear();
        let expires_in = self.settings.expires_in;
        let cuts = open.values().filter_map(|parts| Some((parts.first()?.host, parts)));
        let cuts = cuts.map(|(host, parts)| async move {
            // What packets go through before they are marked: nothing else is in force until all of it is.
            if let Way::Degrade(numbers) = way {
                host.make(&tables_of(parts), numbers).await?;
            }
            let script: String =
                parts.iter().map(|part| part.table.made(way, expires_in)).collect();
            host.nft(&["-f", "-"], &script).await?;
            self.renew(parts);
            Ok(())
        });
        all_done("not cut", join_all(cuts).await)
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let Ok(open) = self.open(&snapshot.cuttable(order)) else { return Vec::new() };
        let Ok(way) = way(order) else { return Vec::new() };
        let seconds = self.settings.expires_in.as_secs();
        open.values().flatten().flat_map(|part| part.calls(order, way, seconds)).collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        let word = way(order).map_or_else(|_| NONE.to_owned(), Way::word);
        let open = state.parts.values_mut().filter(|part| part.passage == Passage::Open);
        for part in open {
            part.passage = match order.mode {
                Mode::Degrade(_) => Passage::Degraded,
                _ => Passage::Closed,
            };
            part.settings.insert(RULES.to_owned(), word.clone());
        }
        state
    }

    /// Goes on after a refusal, so that one host that is gone keeps no other cut.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.renewals().clear();
        let open = self.open(snapshot)?;
        let backs = open.values().filter_map(|parts| Some((parts.first()?.host, parts)));
        let backs = backs.map(|(host, parts)| async move {
            let script: String = parts.iter().map(|part| part.table.deleted()).collect();
            // Where that fails the rest stays: a table without it would read as changed by another hand.
            host.nft(&["-f", "-"], &script).await?;
            host.unmake(&tables_of(parts)).await
        });
        all_done("not put back", join_all(backs).await)
    }

    /// It deletes tables that nobody else makes, and goes on where a host is gone.
    fn takes_back_only_ours(&self) -> bool {
        true
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let Ok(open) = self.open(snapshot) else { return Vec::new() };
        open.values().flatten().flat_map(Part::back_by_hand).collect()
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.log.take()
    }
}
