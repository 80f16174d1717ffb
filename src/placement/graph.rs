//! The graph: services, control planes and the parts of the lab, and who cannot work without whom.

use std::collections::HashMap;

use super::lab::Lab;
use crate::model::{DatacenterId, Dependency, Home, Name, Plan, Stand};

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
    /// By node: whether it is known where it stands, by its own home or by those of all that it depends on.
    pub known: Vec<bool>,
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
        let lab = plan.lab.as_ref().map(|spec| Lab::add(&mut graph, spec, &controllers));
        graph.connect(plan, lab);
        graph.find_known();
        graph
    }

    /// Adds a node, nothing depending on it yet.
    pub fn add(&mut self, name: Name, place: Place) -> Node {
        self.names.push(name);
        self.places.push(place);
        self.dependents.push(Vec::new());
        self.brings_up.push(Vec::new());
        self.names.len() - 1
    }

    /// `who` cannot work without `needed`.
    pub fn depend(&mut self, who: Node, needed: Node) {
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

    fn connect(&mut self, plan: &Plan, mut lab: Option<Lab<'_>>) {
        let services = self.services;
        let node = |dependency: &Dependency| match dependency {
            Dependency::Service(number) => *number,
            Dependency::ControlPlane(number) => services + number,
        };
        for (who, service) in plan.services.iter().enumerate() {
            let mut asked: Vec<Node> = match &mut lab {
                Some(lab) => service.probes.iter().flat_map(|it| lab.asked(self, it)).collect(),
                None => Vec::new(),
            };
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

    /// Who says nothing of itself stands where all that it depends on stands. A control plane whose address nobody
    /// could place is not among those: it stands somewhere of its own.
    fn find_known(&mut self) {
        let mut unknown = vec![0_usize; self.names.len()];
        self.dependents.iter().flatten().for_each(|who| unknown[*who] += 1);
        let control_planes = self.services..self.services + self.control_planes;
        let is_told = |node: &Node| self.places[*node].home.is_some();
        let mut open: Vec<Node> = (0..self.names.len()).filter(is_told).collect();
        let mut known = vec![false; self.names.len()];
        while let Some(node) = open.pop() {
            known[node] = true;
            for &who in &self.dependents[node] {
                unknown[who] -= 1;
                if unknown[who] == 0 && !is_told(&who) && !control_planes.contains(&who) {
                    open.push(who);
                }
            }
        }
        self.known = known;
    }
}

fn active(stands: impl Iterator<Item = (DatacenterId, Option<u32>)>) -> Home {
    let active = stands.map(|(datacenter, servers)| Stand { datacenter, servers }).collect();
    Home { active, ..Home::default() }
}
