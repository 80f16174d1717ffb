//! From the spec of a lab to its servers, gates and balancers.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::answer::Identity;
use super::balancer::{Balancer, Doors};
use super::controller::{Controller, obey, operate};
use super::faults::LabFaults;
use super::pool::Pool;
use super::replica::{self, Replica};
use super::store::Store;
use super::work::{Desk, Strains};
use super::{Front, Lab};
use crate::model::{BalancerSpec, DatacenterId, LabCheck, LabService, LabStore, Name, Spread};
use crate::proxy::Proxy;

/// Any port of loopback.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server that does not serve yet.
struct Room {
    identity: Identity,
    listener: TcpListener,
    doors: Doors,
}

impl Lab {
    /// Starts everything that the spec names.
    pub(super) async fn build(&mut self, faults: LabFaults) -> io::Result<()> {
        let faults = Arc::new(faults);
        let spec = self.spec.clone();
        // Everybody must know where everybody is before the first request is sent.
        let mut listeners = BTreeMap::new();
        for name in spec.services.keys().chain(spec.stores.keys()) {
            listeners.insert(name.clone(), TcpListener::bind(ANYWHERE).await?);
        }
        let mut addresses = BTreeMap::new();
        for (name, listener) in &listeners {
            addresses.insert(name.clone(), listener.local_addr()?);
        }
        let addresses = Arc::new(addresses);
        for (name, service) in &spec.services {
            self.build_service(name, service, &addresses, &faults).await?;
        }
        for (name, store) in &spec.stores {
            self.build_store(name, store, &addresses, &faults).await?;
        }
        for (name, listener) in listeners {
            if let Some(front) = self.fronts.get(&name) {
                self.tasks.spawn(front.balancer.clone().run(listener));
            }
        }
        self.build_controllers().await
    }

    async fn build_service(
        &mut self,
        name: &Name,
        spec: &LabService,
        addresses: &Arc<BTreeMap<Name, SocketAddr>>,
        faults: &Arc<LabFaults>,
    ) -> io::Result<()> {
        let spread = spec.spread.unwrap_or(self.spec.balancer.spread);
        let pool = self.pool(&spec.replicas, spread);
        let home = spec.replicas.keys().next().filter(|_| spec.switched_by.is_some());
        let pool = match home {
            Some(&home) => pool.switched(home),
            None => pool,
        };
        let standby = (spread == Spread::First || spec.switched_by.is_some())
            .then(|| spec.replicas.keys().skip(1).copied().collect::<Vec<_>>());
        let (strains, service) = (Arc::<Strains>::default(), Arc::new(spec.clone()));
        let mut doors = Vec::new();
        for member in pool.members() {
            let room = self.room(name, member.datacenter, member.replica).await?;
            doors.push(room.doors);
            let desk = Desk::new(spec, strains.clone(), self.clock);
            let is_standby = standby.as_ref().is_some_and(|ids| ids.contains(&member.datacenter));
            let desk = if is_standby { desk } else { desk.warm() };
            let replica = Replica {
                identity: room.identity,
                service: service.clone(),
                desk,
                addresses: addresses.clone(),
                clock: self.clock,
                faults: faults.clone(),
            };
            self.tasks.spawn(replica::run(replica, room.listener));
        }
        let settings = BalancerSpec { spread, ..self.spec.balancer };
        let balancer = Balancer::new(settings, spec.check, self.clock, faults.clone(), pool, doors);
        self.front(name, addresses, Arc::new(balancer), strains);
        Ok(())
    }

    async fn build_store(
        &mut self,
        name: &Name,
        spec: &LabStore,
        addresses: &Arc<BTreeMap<Name, SocketAddr>>,
        faults: &Arc<LabFaults>,
    ) -> io::Result<()> {
        let everywhere = spec.replicas.iter().chain([&spec.primary]).map(|&id| (id, 1)).collect();
        let pool = self.pool(&everywhere, Spread::First).switched(spec.primary);
        let (mut copies, mut listeners, mut doors) = (Vec::new(), Vec::new(), Vec::new());
        for member in pool.members() {
            let room = self.room(name, member.datacenter, member.replica).await?;
            doors.push(room.doors);
            let place = format!("{}/{name}", room.identity.datacenter_name);
            self.beside.insert(place, room.doors.side);
            copies.push((room.identity, room.doors));
            listeners.push((member.datacenter, room.listener));
        }
        let store = Arc::new(Store::new(spec, copies, self.clock));
        for (datacenter, listener) in listeners {
            self.tasks.spawn(store.clone().serve(datacenter, listener));
            self.tasks.spawn(store.clone().wire(datacenter));
        }
        let (settings, faults) = (self.spec.balancer, faults.clone());
        let balancer = Balancer::new(settings, LabCheck::Up, self.clock, faults, pool, doors);
        let balancer = Arc::new(balancer.over(store));
        if spec.switched_by.is_none() {
            self.tasks.spawn(balancer.clone().switch_by_health());
        }
        self.front(name, addresses, balancer, Arc::default());
        Ok(())
    }

    /// Starts the checks of `balancer` and makes it known.
    fn front(
        &mut self,
        name: &Name,
        addresses: &BTreeMap<Name, SocketAddr>,
        balancer: Arc<Balancer>,
        strains: Arc<Strains>,
    ) {
        let count = u32::try_from(balancer.pool().members().len()).unwrap_or(u32::MAX);
        // Spread over the period, as load balancers do, so that checks do not come in bursts.
        let (now, step) = (self.clock.now(), self.spec.balancer.check_every / count.max(1));
        for index in 0..count {
            let first = now.plus(step.saturating_mul(index));
            self.tasks.spawn(balancer.clone().check(index as usize, first));
        }
        if let Some(&address) = addresses.get(name) {
            self.fronts.insert(name.clone(), Front { address, balancer, strains });
        }
    }

    async fn build_controllers(&mut self) -> io::Result<()> {
        let spec = self.spec.clone();
        for (name, controller) in &spec.controllers {
            let mut rooms = Vec::new();
            for (&datacenter, number) in controller.datacenters.iter().zip(1..) {
                rooms.push(self.room(name, datacenter, number).await?);
            }
            let switched = self.switched(name);
            let words = switched.iter().filter_map(|(of, balancer)| {
                let home = balancer.pool().home()?;
                Some((of.clone(), home))
            });
            let running = Arc::new(Controller::new(
                controller.clone(),
                self.datacenters.clone(),
                rooms.iter().map(|room| room.doors.gate).collect(),
                spec.balancer.check_timeout,
                self.clock,
                words.collect(),
            ));
            for room in rooms {
                self.tasks.spawn(running.clone().serve(room.identity, room.listener));
            }
            for (of, balancer) in switched {
                self.tasks.spawn(running.clone().watch(of.clone(), balancer.clone()));
                self.tasks.spawn(obey(running.clone(), of.clone(), balancer.clone()));
                if let Some(operator) = spec.operator {
                    let (running, after) = (running.clone(), operator.after);
                    self.tasks.spawn(operate(running, of, balancer, after, self.clock));
                }
            }
            self.controllers.insert(name.clone(), running);
        }
        Ok(())
    }

    /// What `controller` switches.
    fn switched(&self, controller: &Name) -> Vec<(Name, Arc<Balancer>)> {
        let services = self.spec.services.iter().map(|(name, it)| (name, &it.switched_by));
        let stores = self.spec.stores.iter().map(|(name, it)| (name, &it.switched_by));
        let its = services.chain(stores).filter(|(_, by)| by.as_ref() == Some(controller));
        its.filter_map(|(name, _)| Some((name.clone(), self.fronts.get(name)?.balancer.clone())))
            .collect()
    }

    fn pool(&self, replicas: &BTreeMap<DatacenterId, u32>, spread: Spread) -> Pool {
        let BalancerSpec { fall, rise, .. } = self.spec.balancer;
        Pool::new(&self.datacenters, replicas, spread, fall, rise)
    }

    /// A listener for replica `number` of `name` in `datacenter`, behind their gate.
    async fn room(
        &mut self,
        name: &Name,
        datacenter: DatacenterId,
        number: u32,
    ) -> io::Result<Room> {
        let known = self.datacenters.get(datacenter.index()).cloned();
        let datacenter_name = known.ok_or_else(|| {
            let (id, count) = (datacenter.0, self.datacenters.len());
            let text = format!("`{name}` of the lab stands in datacenter {id} of {count}");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let listener = TcpListener::bind(ANYWHERE).await?;
        let side = listener.local_addr()?;
        let gate = self.gates.entry((datacenter, name.clone())).or_default();
        let proxy = Proxy::listen(gate, ANYWHERE, side.to_string()).await?;
        let doors = Doors { gate: proxy.address(), side };
        self.proxies.push(proxy);
        let identity = Identity { service: name.clone(), datacenter, datacenter_name, number };
        Ok(Room { identity, listener, doors })
    }
}
