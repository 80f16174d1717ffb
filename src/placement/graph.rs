//! The graph: services, control planes and the parts of the lab, and who cannot work without whom.

use std::collections::HashMap;

use crate::model::{DatacenterId, Dependency, Home, Name, Plan, ProbeSpec, Spread, Stand};

/// A node's number: services come first, then control planes, those of the lab too, then the rest of the lab.
pub type Node = usize;

/// Who switches to a standby when nothing active is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Nothing that could be lost, such as a balancer's health checks.
    ByItself,
    /// Every control plane that is for it.
    ControlPlane,
}

/// Where a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where, and on how many servers. `None`: nobody says.
    pub home: Option<Home>,
    /// Who brings its standby up.
    pub switch: Switch,
}

/// Who cannot work without whom.
#[derive(Debug, Default)]
pub struct Graph {
    pub names: Vec<Name>,
    pub places: Vec<Place>,
    /// By node: those that cannot work without it.
    pub dependents: Vec<Vec<Node>>,
    /// By node: those whose failover cannot happen without it.
    pub brings_up: Vec<Vec<Node>>,
    /// Control planes that every failover needs.
    pub for_all: Vec<Node>,
    /// How many services and control planes there are.
    pub services: usize,
    pub control_planes: usize,
}

impl Graph {
    /// The graph of a plan.
    pub fn of(plan: &Plan, located: &[Vec<DatacenterId>]) -> Self {
        let mut graph = Graph::default();
        for service in &plan.services {
            let place = Place { home: service.home.clone(), switch: Switch::ControlPlane };
            graph.add(service.name.clone(), place);
        }
        graph.services = plan.services.len();
        for (number, part) in plan.control_plane.iter().enumerate() {
            let found = located.get(number).map(Vec::as_slice).unwrap_or_default();
            let home = if part.home.is_empty() { found } else { &part.home };
            let home = (!home.is_empty()).then(|| active(home.iter().map(|id| (*id, None))));
            graph.add(part.name.clone(), Place { home, switch: Switch::ByItself });
        }
        let controllers = graph.add_controllers(plan);
        graph.control_planes = graph.names.len() - graph.services;
        let lab = graph.add_lab(plan);
        graph.connect(plan, &lab);
        graph.connect_lab(plan, &lab, &controllers);
        graph
    }

    /// Adds a node, nothing depending on it yet.
    fn add(&mut self, name: Name, place: Place) -> Node {
        self.names.push(name);
        self.places.push(place);
        self.dependents.push(Vec::new());
        self.brings_up.push(Vec::new());
        self.names.len() - 1
    }

    /// `who` cannot work without `needed`.
    fn depend(&mut self, who: Node, needed: Node) {
        if let Some(dependents) = self.dependents.get_mut(needed) {
            dependents.push(who);
        }
    }

    /// Adds the lab's controllers, which are control planes.
    fn add_controllers<'p>(&mut self, plan: &'p Plan) -> HashMap<&'p str, Node> {
        let controllers = plan.lab.iter().flat_map(|lab| &lab.controllers);
        let nodes = controllers.map(|(name, controller)| {
            let home = active(controller.datacenters.iter().map(|id| (*id, None)));
            let place = Place { home: Some(home), switch: Switch::ByItself };
            (name.as_str(), self.add(name.clone(), place))
        });
        nodes.collect()
    }

    /// Adds the lab's services and stores.
    fn add_lab<'p>(&mut self, plan: &'p Plan) -> HashMap<&'p str, Node> {
        let mut nodes = HashMap::new();
        let Some(lab) = &plan.lab else { return nodes };
        let switch = |controller: &Option<Name>| match controller {
            Some(_) => Switch::ControlPlane,
            None => Switch::ByItself,
        };
        for (name, service) in &lab.services {
            let replicas = service.replicas.iter().map(|(id, count)| (*id, Some(*count)));
            let mut home = active(replicas);
            let first = service.spread.unwrap_or(lab.balancer.spread) == Spread::First;
            if first || service.switched_by.is_some() {
                // The others serve nothing until somebody finds the first one gone.
                home.standby = home.active.split_off(home.active.len().min(1));
            }
            let place = Place { home: Some(home), switch: switch(&service.switched_by) };
            nodes.insert(name.as_str(), self.add(name.clone(), place));
        }
        for (name, store) in &lab.stores {
            let mut home = active(store.places().map(|id| (id, None)));
            home.standby = home.active.split_off(home.active.len().min(1));
            let place = Place { home: Some(home), switch: switch(&store.switched_by) };
            nodes.insert(name.as_str(), self.add(name.clone(), place));
        }
        nodes
    }

    /// Who calls whom in the lab, and who switches what.
    fn connect_lab(
        &mut self,
        plan: &Plan,
        lab: &HashMap<&str, Node>,
        controllers: &HashMap<&str, Node>,
    ) {
        let Some(spec) = &plan.lab else { return };
        let node = |name: &Name| lab.get(name.as_str()).copied();
        for (name, service) in &spec.services {
            let mut needed: Vec<Node> = service.callees().filter_map(node).collect();
            needed.sort_unstable();
            needed.dedup();
            if let Some(who) = node(name) {
                needed.into_iter().for_each(|needed| self.depend(who, needed));
            }
        }
        let services = spec.services.iter().map(|(name, it)| (name, &it.switched_by));
        let stores = spec.stores.iter().map(|(name, it)| (name, &it.switched_by));
        for (name, controller) in services.chain(stores) {
            let by = controller.as_ref().and_then(|it| controllers.get(it.as_str()));
            if let Some((by, who)) = by.zip(node(name)) {
                self.brings_up[*by].push(who);
            }
        }
    }

    fn connect(&mut self, plan: &Plan, lab: &HashMap<&str, Node>) {
        let services = self.services;
        let node = |dependency: &Dependency| match dependency {
            Dependency::Service(number) => *number,
            Dependency::ControlPlane(number) => services + number,
        };
        for (who, service) in plan.services.iter().enumerate() {
            let mut asked: Vec<Node> = service
                .probes
                .iter()
                .flat_map(ProbeSpec::asks_in_the_lab)
                .filter_map(|name| lab.get(name).copied())
                .collect();
            asked.sort_unstable();
            asked.dedup();
            let needed = service.depends_on.iter().map(node);
            needed.chain(asked).for_each(|needed| self.depend(who, needed));
        }
        for (number, part) in plan.control_plane.iter().enumerate() {
            let who = services + number;
            part.depends_on.iter().map(node).for_each(|needed| self.depend(who, needed));
            match (&part.serves, self.brings_up.get_mut(who)) {
                (Some(serves), Some(brings_up)) => brings_up.clone_from(serves),
                _ => self.for_all.push(who),
            }
        }
    }
}

fn active(stands: impl Iterator<Item = (DatacenterId, Option<u32>)>) -> Home {
    let active = stands.map(|(datacenter, servers)| Stand { datacenter, servers }).collect();
    Home { active, ..Home::default() }
}
