//! The built-in world: datacenters with replicas of services, and a balancer in front of each.
//!
//! ```text
//!            balancer of talk ----- gate of east ----- talk/east/1
//!  client -> (the system under \                \----- talk/east/2
//!             test)             \-- gate of west ----- talk/west/1
//! ```
//!
//! Everything that reaches a datacenter, health checks too, goes through its one gate, where it is
//! cut. The lab writes down what is true: when the balancer took each replica out and put it back,
//! and when each datacenter's answers left. All of it is real sockets on loopback, on ports that the
//! system chose.

mod balancer;
mod faults;
mod pool;
mod replica;
mod serve;
#[cfg(test)]
mod tests;
mod truth;
mod upstream;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::balancer::{Balancer, Doors};
pub use self::faults::{Broken, LabFaults, Leak};
use self::pool::Pool;
use self::replica::Replica;
use crate::clock::Clock;
use crate::model::{DatacenterId, LabChange, LabServiceTruth, LabSpec, LabTruth, Marks, Name};
use crate::proxy::{Gate, Proxy};

/// Any port of loopback.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running lab. Dropping it ends all of it.
#[derive(Debug)]
pub struct Lab {
    clock: Clock,
    datacenters: Vec<Name>,
    gates: Vec<Gate>,
    services: BTreeMap<Name, Service>,
    proxies: Vec<Proxy>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Service {
    address: SocketAddr,
    balancer: Arc<Balancer>,
}

impl Lab {
    /// Starts the lab of `spec` and returns when its balancers listen, with every replica in.
    ///
    /// # Errors
    /// When the system has no port or file descriptor left.
    pub async fn start(spec: &LabSpec, datacenters: &[Name], clock: Clock) -> io::Result<Lab> {
        Lab::start_with(spec, datacenters, clock, LabFaults::default()).await
    }

    /// As [`Lab::start`], with something wrong: for tests of the verdict.
    ///
    /// # Errors
    /// When the system has no port or file descriptor left.
    pub async fn start_with(
        spec: &LabSpec,
        datacenters: &[Name],
        clock: Clock,
        faults: LabFaults,
    ) -> io::Result<Lab> {
        let mut lab = Lab {
            clock,
            datacenters: datacenters.to_vec(),
            gates: datacenters.iter().map(|_| Gate::new()).collect(),
            services: BTreeMap::new(),
            proxies: Vec::new(),
            tasks: JoinSet::new(),
        };
        let faults = Arc::new(faults);
        for (name, service) in &spec.services {
            lab.start_service(name, &service.replicas, spec, &faults).await?;
        }
        Ok(lab)
    }

    async fn start_service(
        &mut self,
        name: &Name,
        replicas: &BTreeMap<DatacenterId, u32>,
        spec: &LabSpec,
        faults: &Arc<LabFaults>,
    ) -> io::Result<()> {
        let settings = spec.balancer;
        let (fall, rise) = (settings.fall, settings.rise);
        let pool = Pool::new(&self.datacenters, replicas, settings.spread, fall, rise);
        let mut doors = Vec::new();
        for member in pool.members() {
            let replica = Replica {
                service: name.clone(),
                datacenter: member.datacenter,
                datacenter_name: self.datacenter(member.datacenter)?.0,
                number: member.replica,
            };
            doors.push(self.start_replica(replica, faults).await?);
        }
        let count = u32::try_from(doors.len()).unwrap_or(u32::MAX);
        let balancer = Balancer::new(settings, self.clock, faults.clone(), pool, doors);
        let balancer = Arc::new(balancer);

        let listener = TcpListener::bind(ANYWHERE).await?;
        let service = Service { address: listener.local_addr()?, balancer: balancer.clone() };
        self.services.insert(name.clone(), service);
        // Spread over the period, as load balancers do, so that checks do not come in bursts.
        let (now, step) = (self.clock.now(), settings.check_every / count.max(1));
        for index in 0..count {
            let first = now.plus(step.saturating_mul(index));
            self.tasks.spawn(balancer.clone().check(index as usize, first));
        }
        self.tasks.spawn(balancer.run(listener));
        Ok(())
    }

    async fn start_replica(
        &mut self,
        replica: Replica,
        faults: &Arc<LabFaults>,
    ) -> io::Result<Doors> {
        let (_, gate) = self.datacenter(replica.datacenter)?;
        let listener = TcpListener::bind(ANYWHERE).await?;
        let side = listener.local_addr()?;
        let proxy = Proxy::listen(&gate, ANYWHERE, side.to_string()).await?;
        let doors = Doors { gate: proxy.address(), side };
        self.proxies.push(proxy);
        self.tasks.spawn(replica::run(replica, listener, self.clock, faults.clone()));
        Ok(doors)
    }

    fn datacenter(&self, id: DatacenterId) -> io::Result<(Name, Gate)> {
        let known =
            self.datacenters.get(id.index()).cloned().zip(self.gates.get(id.index()).cloned());
        known.ok_or_else(|| {
            let text =
                format!("the lab has replicas in datacenter {} of {}", id.0, self.gates.len());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
    }

    /// Where clients reach a service, as `http://HOST:PORT`; `None` for one that it does not have.
    pub fn address(&self, service: &str) -> Option<String> {
        self.services.get(&Name::from(service)).map(|service| format!("http://{}", service.address))
    }

    /// The gates of the datacenters, by name and in the plan's order.
    pub fn gates(&self) -> Vec<(String, DatacenterId, Gate)> {
        let ids = (0..).map(DatacenterId);
        let named = self.datacenters.iter().zip(ids).zip(&self.gates);
        named.map(|((name, id), gate)| (name.to_string(), id, gate.clone())).collect()
    }

    /// The changes that the balancer of `service` made so far, and notice of every further one.
    pub fn changes(&self, service: &str) -> Option<watch::Receiver<Vec<LabChange>>> {
        self.services.get(&Name::from(service)).map(|service| service.balancer.changes())
    }

    /// A look at how many replicas of each datacenter serve now, service by service.
    pub fn serving(
        &self,
    ) -> impl Fn() -> Vec<(Name, BTreeMap<DatacenterId, usize>)> + Send + Sync + 'static {
        let services: Vec<(Name, Arc<Balancer>)> =
            self.services.iter().map(|(name, s)| (name.clone(), s.balancer.clone())).collect();
        move || services.iter().map(|(name, b)| (name.clone(), b.pool().serving())).collect()
    }

    /// What is true of this drill so far, when `plan_cut` was cut at the instants of `marks`.
    ///
    /// A recovery counts from `cut_issued` and a failback from `restore_issued`: the changes came
    /// into force at those instants or up to their confirmation later.
    pub fn truth(&self, plan_cut: DatacenterId, marks: &Marks) -> LabTruth {
        let cut = self.datacenters.get(plan_cut.index());
        let services = self.services.iter().map(|(name, service)| {
            let changes = service.balancer.changes().borrow().clone();
            let pool = service.balancer.pool();
            let replicas = pool.members().iter().filter(|member| member.datacenter == plan_cut);
            let replicas = u32::try_from(replicas.count()).unwrap_or(u32::MAX);
            let recovery = cut.and_then(|cut| truth::recovery(&changes, cut, replicas, marks));
            let truth = LabServiceTruth {
                // What was not wholly out when the restore came does not have to come back.
                failback: recovery.and(cut).and_then(|cut| truth::failback(&changes, cut, marks)),
                recovery,
                answers: pool.answers().clone(),
                changes,
            };
            (name.clone(), truth)
        });
        LabTruth { services: services.collect() }
    }

    /// Ends the lab, and returns when its servers have ended and nothing listens any more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
