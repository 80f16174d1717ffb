//! The built-in world: datacenters with replicas of services, copies of stores and switch-over
//! controllers, and a balancer in front of each service and store.
//!
//! ```text
//!            balancer of talk --- gate east/talk ---- talk/east/1 --- balancer of accounts --- ...
//!  client -> (the system under \               \---- talk/east/2
//!             test)             \- gate west/talk --- talk/west/1
//! ```
//!
//! Everything that reaches a part of the lab in a datacenter, health checks and replication too,
//! goes through one gate, where it is cut; a whole datacenter is cut at all of its gates. The lab
//! writes down what is true: when the balancers took each replica out and put it back, which
//! datacenter was made active by whom, which writes were acknowledged and lost, and when each
//! datacenter's answers left. All of it is real sockets on loopback, on ports that the system chose.

mod answer;
mod balancer;
mod build;
mod controller;
mod copy;
mod faults;
mod pool;
mod promised;
mod replica;
mod serve;
mod store;
#[cfg(test)]
mod tests;
mod truth;
mod upstream;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::balancer::Balancer;
use self::controller::Controller;
pub use self::faults::{Broken, LabFaults, Leak};
use self::work::Strains;
use crate::clock::Clock;
use crate::model::{
    DatacenterId, LabChange, LabPathTruth, LabServiceTruth, LabSpec, LabStoreTruth, LabStrain,
    LabTruth, Marks, Name, Offset,
};
use crate::proxy::{Gate, Proxy};

/// A running lab. Dropping it ends all of it.
#[derive(Debug)]
pub struct Lab {
    clock: Clock,
    spec: LabSpec,
    datacenters: Vec<Name>,
    /// One for each service, store and controller in each of its datacenters.
    gates: BTreeMap<(DatacenterId, Name), Gate>,
    /// What has a balancer: the services and the stores.
    fronts: BTreeMap<Name, Front>,
    /// Where each copy of a store is reached by those that stand beside it, by `DATACENTER/NAME`.
    beside: BTreeMap<String, SocketAddr>,
    controllers: BTreeMap<Name, Arc<Controller>>,
    proxies: Vec<Proxy>,
    tasks: JoinSet<()>,
}

/// A service or store, as its callers see it.
#[derive(Debug)]
struct Front {
    address: SocketAddr,
    balancer: Arc<Balancer>,
    strains: Arc<Strains>,
}

impl Lab {
    /// Starts the lab of `spec` and returns when its balancers listen, with every replica in.
    ///
    /// # Errors
    /// When the system has no port or file descriptor left, or `spec` names a datacenter that is
    /// not among `datacenters`.
    pub async fn start(spec: &LabSpec, datacenters: &[Name], clock: Clock) -> io::Result<Lab> {
        Lab::start_with(spec, datacenters, clock, LabFaults::default()).await
    }

    /// As [`Lab::start`], with something wrong: for tests of the verdict.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub async fn start_with(
        spec: &LabSpec,
        datacenters: &[Name],
        clock: Clock,
        faults: LabFaults,
    ) -> io::Result<Lab> {
        let mut lab = Lab {
            clock,
            spec: spec.clone(),
            datacenters: datacenters.to_vec(),
            gates: BTreeMap::new(),
            fronts: BTreeMap::new(),
            beside: BTreeMap::new(),
            controllers: BTreeMap::new(),
            proxies: Vec::new(),
            tasks: JoinSet::new(),
        };
        lab.build(faults).await?;
        Ok(lab)
    }

    /// Where clients reach a service or store, as `http://HOST:PORT`; as `DATACENTER/NAME` where they reach that copy of a
    /// store if they stand beside it, whatever is cut. `None` for one that it does not have.
    pub fn address(&self, name: &str) -> Option<String> {
        let front = self.fronts.get(&Name::from(name)).map(|front| &front.address);
        let address = front.or_else(|| self.beside.get(name))?;
        Some(format!("http://{address}"))
    }

    /// The gates, as `DATACENTER/NAME` of the service, store or controller behind them; the
    /// datacenters in the plan's order.
    pub fn gates(&self) -> Vec<(String, DatacenterId, Gate)> {
        let named = self.gates.iter().map(|((id, name), gate)| {
            let datacenter = self.datacenters.get(id.index()).map_or("?", Name::as_str);
            (format!("{datacenter}/{name}"), *id, gate.clone())
        });
        named.collect()
    }

    /// The changes that the balancer of a service or store made so far, and notice of every further
    /// one.
    pub fn changes(&self, name: &str) -> Option<watch::Receiver<Vec<LabChange>>> {
        self.fronts.get(&Name::from(name)).map(|front| front.balancer.changes())
    }

    /// A look at how many replicas of each datacenter could serve now, by service and store.
    pub fn serving(
        &self,
    ) -> impl Fn() -> Vec<(Name, BTreeMap<DatacenterId, usize>)> + Send + Sync + 'static {
        let fronts = self.fronts.iter();
        let fronts: Vec<(Name, Arc<Balancer>)> =
            fronts.map(|(name, front)| (name.clone(), front.balancer.clone())).collect();
        move || fronts.iter().map(|(name, b)| (name.clone(), b.pool().serving())).collect()
    }

    /// What is true of this drill so far, when `cut` were cut at the instants of `marks`. What of
    /// these datacenters was cut, the gates know.
    ///
    /// A recovery counts from `cut_issued` and a failback from `restore_issued`: the changes came
    /// into force at those instants or up to their confirmation later.
    pub fn truth(&self, cut: &[DatacenterId], marks: &Marks) -> LabTruth {
        let fronts = self.fronts.iter();
        let parts: BTreeMap<&Name, truth::Part> =
            fronts.map(|(name, front)| (name, self.part(name, front, cut, marks))).collect();
        let (mut services, mut stores) = (BTreeMap::new(), BTreeMap::new());
        for (name, front) in &self.fronts {
            let serving = self.serving_truth(name, front, &parts, marks);
            match front.balancer.store() {
                None => drop(services.insert(name.clone(), serving)),
                Some(store) => {
                    let truth = LabStoreTruth { serving, ..store.truth() };
                    stores.insert(name.clone(), truth);
                }
            }
        }
        let controllers = self.controllers.iter();
        let controllers =
            controllers.map(|(name, it)| (name.clone(), it.promotions().clone())).collect();
        LabTruth { services, stores, controllers }
    }

    fn serving_truth(
        &self,
        name: &Name,
        front: &Front,
        parts: &BTreeMap<&Name, truth::Part>,
        marks: &Marks,
    ) -> LabServiceTruth {
        let reached = |path: &str| -> Vec<&truth::Part> {
            self.reached(name, path).iter().filter_map(|name| parts.get(name)).collect()
        };
        let recovery = |path: &str| truth::recovery(&reached(path), marks);
        let paths = self.spec.services.get(name).map(|service| {
            let paths = service.paths.keys();
            paths.map(|path| (path.clone(), LabPathTruth { recovery: recovery(path) })).collect()
        });
        let own = parts.get(name);
        LabServiceTruth {
            changes: own.map(|part| part.changes.clone()).unwrap_or_default(),
            switches: front.balancer.switches().clone(),
            answers: front.balancer.pool().answers().clone(),
            recovery: recovery(""),
            failback: own.and_then(|part| truth::failback(part, &reached(""), marks)),
            paths: paths.unwrap_or_default(),
            strain: own.map(|part| part.strain).unwrap_or_default(),
        }
    }

    /// Everything that a request of `path` to `name` reaches, itself included.
    fn reached<'s>(&'s self, name: &'s Name, path: &str) -> BTreeSet<&'s Name> {
        let mut reached = BTreeSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            if reached.insert(name)
                && let Some(service) = self.spec.services.get(name)
            {
                open.extend(service.calls_of(path));
            }
        }
        reached
    }

    fn part(&self, name: &Name, front: &Front, cut: &[DatacenterId], marks: &Marks) -> truth::Part {
        let is_cut = |id: DatacenterId| {
            let gate = self.gates.get(&(id, name.clone()));
            cut.contains(&id) && gate.is_some_and(Gate::was_turned)
        };
        let pool = front.balancer.pool();
        let members = pool.members().iter().map(|member| truth::Member {
            datacenter: pool.name(member.datacenter),
            replica: member.replica,
            is_cut: is_cut(member.datacenter),
            was_in: pool.home().is_none_or(|home| home == member.datacenter),
        });
        let until = marks.restore_issued.unwrap_or(Offset::from_nanos(u64::MAX));
        let strain = marks.cut_issued.map(|cut| front.strains.between(cut, until));
        let after = marks.restore_issued.map(|restore| {
            front.strains.between(restore, Offset::from_nanos(u64::MAX)) != LabStrain::default()
        });
        let store = front.balancer.store();
        let held = |from: Option<Offset>, until: Offset| {
            from.zip(store).and_then(|(from, store)| store.held_until(from, until))
        };
        truth::Part {
            members: members.collect(),
            changes: front.balancer.changes().borrow().clone(),
            strain: strain.unwrap_or_default(),
            strained_after: after.unwrap_or_default(),
            held_until: held(marks.cut_issued, until),
            held_until_after: held(marks.restore_issued, Offset::from_nanos(u64::MAX)),
        }
    }

    /// Ends the lab, and returns when its servers have ended and nothing listens any more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
