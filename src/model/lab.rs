//! The built-in world, as a plan describes it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{DatacenterId, Home, Name, Stand};

/// The built-in world. No two parts of it have the same name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabSpec {
    /// The system under test: what every service's balancer does that does not say otherwise.
    pub balancer: BalancerSpec,
    /// What answers requests.
    pub services: BTreeMap<Name, LabService>,
    /// What keeps data.
    pub stores: BTreeMap<Name, LabStore>,
    /// What decides which datacenter is active.
    pub controllers: BTreeMap<Name, LabController>,
    /// Who activates a standby when no controller can.
    pub operator: Option<LabOperator>,
}

impl LabSpec {
    /// Where the service, store or controller `name` stands; `None` if there is none.
    pub fn places(&self, name: &Name) -> Option<Vec<DatacenterId>> {
        let service = self.services.get(name).map(|it| it.replicas.keys().copied().collect());
        let store = || self.stores.get(name).map(|store| store.places().collect());
        let controller = || self.controllers.get(name).map(|it| it.datacenters.clone());
        service.or_else(store).or_else(controller)
    }

    /// Where the service or store `name` serves on an ordinary day, and where it could; `None` if there is none.
    pub fn home(&self, name: &Name) -> Option<Home> {
        let stand = |datacenter, servers| Stand { datacenter, servers };
        let service = self.services.get(name).map(|service| {
            let replicas = service.replicas.iter();
            let stands = replicas.map(|(id, count)| stand(*id, Some(*count))).collect();
            let first = service.spread.unwrap_or(self.balancer.spread) == Spread::First;
            (stands, first || service.switched_by.is_some())
        });
        let store = self.stores.get(name);
        let store = || Some((store?.places().map(|id| stand(id, None)).collect(), true));
        let (mut active, one_at_a_time): (Vec<Stand>, bool) = service.or_else(store)?;
        // The others serve nothing until somebody finds the first one gone.
        let most = if one_at_a_time { 1 } else { active.len() };
        let standby = active.split_off(most.min(active.len()));
        Some(Home { active, standby, needs: None })
    }

    /// The controller that switches the service or store `name`.
    pub fn switched_by(&self, name: &Name) -> Option<&Name> {
        let service = self.services.get(name).map(|it| &it.switched_by);
        service.or_else(|| self.stores.get(name).map(|it| &it.switched_by))?.as_ref()
    }
}

/// The lab's balancer: active health checks, as in any load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalancerSpec {
    /// How often each replica is checked.
    pub check_every: Duration,
    /// How long a check may take.
    pub check_timeout: Duration,
    /// Failed checks in a row that take a replica out.
    pub fall: u32,
    /// Passed checks in a row that put it back.
    pub rise: u32,
    /// How requests are spread.
    pub spread: Spread,
}

impl Default for BalancerSpec {
    fn default() -> Self {
        BalancerSpec {
            check_every: Duration::from_millis(200),
            check_timeout: Duration::from_millis(200),
            fall: 3,
            rise: 2,
            spread: Spread::RoundRobin,
        }
    }
}

/// How the lab's balancer spreads requests over the replicas that are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// In turn over all of them, in the plan's order: active/active.
    RoundRobin,
    /// In turn over those of the first datacenter in the plan's order that has any: active/standby.
    First,
}

/// A service of the lab.
#[derive(Debug, Clone, PartialEq)]
pub struct LabService {
    /// How many replicas stand in which datacenter.
    pub replicas: BTreeMap<DatacenterId, u32>,
    /// How its requests are spread, if not as the balancer says.
    pub spread: Option<Spread>,
    /// What a health check looks at.
    pub check: LabCheck,
    /// The services and stores that a request calls, one after the other.
    pub calls: Vec<Name>,
    /// What requests of these paths, and of those below, call instead.
    pub paths: BTreeMap<String, Vec<Name>>,
    /// The work of one request.
    pub takes: Duration,
    /// Requests that a replica works on at once; the others wait. `None`: no limit.
    pub at_once: Option<u32>,
    /// Requests that may wait at a replica; more are refused.
    pub queue: u32,
    /// How slow a replica begins, if it does.
    pub cold: Option<LabCold>,
    /// The controller that says which datacenter is active, if health checks do not.
    pub switched_by: Option<Name>,
}

impl LabService {
    /// Requests that may wait at a replica where the plan does not say.
    pub const QUEUE: u32 = 64;

    /// All that its requests call, on whatever path; some perhaps more than once.
    pub fn callees(&self) -> impl Iterator<Item = &Name> {
        self.calls.iter().chain(self.paths.values().flatten())
    }

    /// What a request of `path` calls: what the longest fitting prefix among `paths` says.
    pub fn calls_of(&self, path: &str) -> &[Name] {
        let fits = self.paths.iter().filter(|(prefix, _)| is_below(path, prefix));
        fits.max_by_key(|(prefix, _)| prefix.len()).map_or(&self.calls, |(_, calls)| calls)
    }
}

/// Whether `path` is `prefix` or lies below it.
fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl From<BTreeMap<DatacenterId, u32>> for LabService {
    /// A service that calls nothing and is never busy.
    fn from(replicas: BTreeMap<DatacenterId, u32>) -> Self {
        LabService {
            replicas,
            spread: None,
            check: LabCheck::Up,
            calls: Vec::new(),
            paths: BTreeMap::new(),
            takes: Duration::ZERO,
            at_once: None,
            queue: LabService::QUEUE,
            cold: None,
            switched_by: None,
        }
    }
}

/// What a health check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabCheck {
    /// That the replica answers.
    Up,
    /// That it answers, and so does what it calls, and what that calls.
    Deep,
}

/// How slow a replica is until its cache is warm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabCold {
    /// The work of one request meanwhile.
    pub takes: Duration,
    /// After how many requests it is warm. Health checks do not count.
    pub requests: u32,
}

/// A store of the lab: one copy of its data in each of its datacenters, one of them active.
#[derive(Debug, Clone, PartialEq)]
pub struct LabStore {
    /// Where the active copy is on an ordinary day.
    pub primary: DatacenterId,
    /// Where the others are.
    pub replicas: Vec<DatacenterId>,
    /// How they get the writes.
    pub replication: Replication,
    /// The controller that says which copy is active, if health checks do not.
    pub switched_by: Option<Name>,
    /// What is wrong with it.
    pub faults: StoreFaults,
}

/// What is wrong with a store of the lab. By default, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StoreFaults {
    /// The share of the writes that are acknowledged and never stored, from 0 to 1; every hundredth for 0.01.
    pub loses: f64,
    /// The share of what is stored that is stored twice, likewise.
    pub duplicates: f64,
    /// Readings show what was there so long ago.
    pub stale_for: Duration,
    /// A primary that was replaced while it could not be reached does not know it, and goes on acknowledging what those
    /// write that stand beside it. `None`: it refuses from then on.
    pub split_brain: Option<SplitBrain>,
}

/// Whose writes are kept when a primary comes back that was replaced without knowing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitBrain {
    /// Those of the one that replaced it.
    NewWins,
    /// Its own.
    OldWins,
}

impl LabStore {
    /// Where its copies are, the primary first.
    pub fn places(&self) -> impl Iterator<Item = DatacenterId> {
        std::iter::once(self.primary).chain(self.replicas.iter().copied())
    }
}

/// How the copies of a store get its writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// So long after they were acknowledged.
    Async(Duration),
    /// Before they are acknowledged, as far as the copies can be reached.
    Sync,
}

/// A switch-over controller of the lab.
#[derive(Debug, Clone, PartialEq)]
pub struct LabController {
    /// Where it lives; any of them suffices. Not empty.
    pub datacenters: Vec<DatacenterId>,
    /// How long an active datacenter must be out of reach until it acts.
    pub detect: Duration,
    /// How long it takes to activate another.
    pub promote: Duration,
}

/// A person who activates a standby by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabOperator {
    /// How long the active datacenter and the controller must be out of reach until they act.
    pub after: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_that_fits_decides_what_is_called() {
        let calls = |names: &[&str]| names.iter().map(|&name| Name::from(name)).collect::<Vec<_>>();
        let service = LabService {
            calls: calls(&["accounts"]),
            paths: BTreeMap::from([
                ("/images".to_owned(), calls(&["objects"])),
                ("/images/small/".to_owned(), calls(&["cache"])),
                ("/text".to_owned(), Vec::new()),
            ]),
            ..LabService::from(BTreeMap::new())
        };
        for (path, called) in [
            ("/", "accounts"),
            ("/imagesque", "accounts"),
            ("/images", "objects"),
            ("/images/1", "objects"),
            ("/images/small", "cache"),
            ("/images/small/1", "cache"),
        ] {
            assert_eq!(service.calls_of(path), calls(&[called]), "{path}");
        }
        assert!(service.calls_of("/text/1").is_empty());
    }
}
