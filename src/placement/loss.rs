//! What is lost with some datacenters: three walks over the graph, the worst news first.

use std::collections::{HashSet, VecDeque};

use super::graph::{Graph, Node, Switch};
use crate::model::{DatacenterId, Forecast, Home, Loss, Name, Outlook, Plan, Stand};

/// Links of a chain that are named before the rest is counted.
const LINKS: usize = 8;

/// What is known of a node.
#[derive(Debug, Clone, Copy)]
struct Found {
    outlook: Outlook,
    /// Through whom the news came.
    by: Option<Node>,
    /// Where it began, and how many links away that is.
    root: Node,
    far: usize,
}

/// What is lost when all of `lost` are lost at once; of `services` alone, unless there are none.
pub fn loss(plan: &Plan, graph: &Graph, lost: &[DatacenterId], services: &[Name]) -> Loss {
    let cut: HashSet<DatacenterId> = lost.iter().copied().collect();
    let (alone, spared) = (services.iter().collect::<HashSet<&Name>>(), HashSet::new());
    let is_meant = |name: &Name| alone.is_empty() || alone.contains(name);
    let hit = |node: Node| if is_meant(&graph.names[node]) { &cut } else { &spared };
    let nodes = graph.places.iter().enumerate();
    let own: Vec<Outlook> =
        nodes.map(|(node, place)| own(place.home.as_ref(), hit(node))).collect();
    let found = vec![None; own.len()];
    let mut walk = Walk { graph, own: &own, found, none_fail_over: false };
    for outlook in [Outlook::Down, Outlook::NeedsFailover, Outlook::Degraded] {
        walk.spread(outlook);
    }
    let forecast = |node: Node| walk.forecast(plan, node, &cut);
    let mut names: Vec<DatacenterId> = cut.iter().copied().collect();
    names.sort_unstable();
    let services = graph.services;
    Loss {
        datacenters: names.iter().map(|id| Name::from(plan.datacenter(*id))).collect(),
        is_cut: false,
        control_plane: (services..services + graph.control_planes).map(forecast).collect(),
        services: (0..services).map(forecast).collect(),
    }
}

/// What becomes of a node by itself.
fn own(home: Option<&Home>, cut: &HashSet<DatacenterId>) -> Outlook {
    let Some(home) = home else { return Outlook::Unknown };
    let is_left = |stand: &&Stand| !cut.contains(&stand.datacenter);
    if home.active.iter().any(|stand| is_left(&stand)) {
        let left = home.active.iter().filter(is_left).map(|stand| stand.servers.map(u64::from));
        let left: Option<u64> = left.sum();
        let enough = left.zip(home.needs).is_none_or(|(left, needs)| left >= u64::from(needs));
        return if enough { Outlook::Up } else { Outlook::Degraded };
    }
    match home.standby.iter().any(|stand| is_left(&stand)) {
        true => Outlook::NeedsFailover,
        false => Outlook::Down,
    }
}

struct Walk<'g> {
    graph: &'g Graph,
    own: &'g [Outlook],
    found: Vec<Option<Found>>,
    /// Whether a control plane that every failover needs was found lost: one is enough.
    none_fail_over: bool,
}

impl Walk<'_> {
    /// Carries one kind of news from where it begins to all that it reaches, nearest first, so that chains are
    /// the shortest. What has worse news already keeps that.
    fn spread(&mut self, outlook: Outlook) {
        let mut queue = VecDeque::new();
        // A control plane explains a loss better than the service that it took down.
        let parts = self.graph.services..self.graph.services + self.graph.control_planes;
        let others = (0..parts.start).chain(parts.end..self.own.len());
        for node in parts.chain(others) {
            if self.own[node] == outlook && self.found[node].is_none() {
                self.found[node] = Some(Found { outlook, by: None, root: node, far: 0 });
                queue.push_back(node);
            }
        }
        while let Some(node) = queue.pop_front() {
            let graph = self.graph;
            for &to in &graph.dependents[node] {
                self.tell(outlook, node, to, &mut queue);
            }
            if outlook == Outlook::Down {
                for &to in &graph.brings_up[node] {
                    self.tell_standby(node, to, &mut queue);
                }
                if graph.for_all.binary_search(&node).is_ok() && !self.none_fail_over {
                    self.none_fail_over = true;
                    for to in 0..self.own.len() {
                        self.tell_standby(node, to, &mut queue);
                    }
                }
            }
        }
    }

    /// Nothing brings this up any more, if only a standby of it is left and it does not switch by itself.
    fn tell_standby(&mut self, from: Node, to: Node, queue: &mut VecDeque<Node>) {
        let needs = self.graph.places.get(to).is_some_and(|it| it.switch == Switch::ControlPlane);
        if needs && self.own[to] == Outlook::NeedsFailover {
            self.tell(Outlook::Down, from, to, queue);
        }
    }

    fn tell(&mut self, outlook: Outlook, from: Node, to: Node, queue: &mut VecDeque<Node>) {
        let (Some(source), None) = (self.found[from], self.found[to]) else { return };
        let Found { root, far, .. } = source;
        self.found[to] = Some(Found { outlook, by: Some(from), root, far: far + 1 });
        queue.push_back(to);
    }

    fn forecast(&self, plan: &Plan, node: Node, cut: &HashSet<DatacenterId>) -> Forecast {
        let name = self.graph.names[node].clone();
        let Some(found) = self.found[node] else {
            // Who says nothing of itself stands where what it depends on stands.
            let known = self.own[node] == Outlook::Up || self.leans(node, plan);
            let predicted = if known { Outlook::Up } else { Outlook::Unknown };
            let because = String::new();
            return Forecast { name, predicted, chain: Vec::new(), left_out: 0, because };
        };
        let (chain, left_out) = self.chain(node, found);
        let because = self.because(plan, found.root, cut);
        Forecast { name, predicted: found.outlook, chain, left_out, because }
    }

    /// Whether a node depends on anything whose place is known.
    fn leans(&self, node: Node, plan: &Plan) -> bool {
        let service = plan.services.get(node);
        let asks = service.is_some_and(|it| plan.lab.is_some() && !it.probes.is_empty());
        asks || service.is_some_and(|it| !it.depends_on.is_empty())
    }

    fn chain(&self, node: Node, found: Found) -> (Vec<Name>, u64) {
        let mut chain = vec![self.graph.names[node].clone()];
        let mut at = node;
        let mut walked = 0;
        while let Some(by) = self.found[at].and_then(|found| found.by).filter(|_| walked < LINKS) {
            // A service and the lab's service of the same name are one to a reader.
            if chain.last() != Some(&self.graph.names[by]) {
                chain.push(self.graph.names[by].clone());
            }
            (at, walked) = (by, walked + 1);
        }
        let rest = found.far - walked;
        if rest > 0 {
            chain.push(self.graph.names[found.root].clone());
        }
        (chain, rest.saturating_sub(1) as u64)
    }

    /// What the loss does to a node itself.
    fn because(&self, plan: &Plan, node: Node, cut: &HashSet<DatacenterId>) -> String {
        let Some(home) = &self.graph.places[node].home else { return String::new() };
        let names = |stands: &mut dyn Iterator<Item = &Stand>| -> String {
            let names: Vec<&str> = stands.map(|stand| plan.datacenter(stand.datacenter)).collect();
            names.join(" and ")
        };
        let is_left = |stand: &&Stand| !cut.contains(&stand.datacenter);
        match self.own[node] {
            Outlook::NeedsFailover => {
                format!("standby in {}", names(&mut home.standby.iter().filter(is_left)))
            }
            Outlook::Degraded => {
                let left = home.active.iter().filter(is_left);
                let left: u32 = left.filter_map(|stand| stand.servers).sum();
                let needs = home.needs.unwrap_or_default();
                format!("{left} servers left, and it needs {needs}")
            }
            _ => format!("only in {}", names(&mut home.active.iter().chain(&home.standby))),
        }
    }
}
