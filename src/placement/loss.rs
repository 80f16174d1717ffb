//! What is lost with some datacenters: walks over the graph, the worst news first.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use super::graph::{Graph, Node, Place, Switch};
use crate::model::{DatacenterId, Forecast, Home, Loss, Name, Outlook, Plan, Stand};

/// Links of a chain that are named before the rest is counted.
const LINKS: usize = 8;
/// Causes that are kept for each node: with a limit, time and memory grow with the plan alone.
const CAUSES: usize = 16;

/// What becomes of a node by itself.
#[derive(Debug, Clone, Copy)]
struct Own {
    outlook: Outlook,
    /// What becomes of it if nothing brings its standby up; `None` where that changes nothing.
    stranded: Option<Outlook>,
}

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
    let own: Vec<Own> = nodes.map(|(node, place)| own(place, hit(node))).collect();
    let mut walk = Walk::new(graph, &own);
    walk.down();
    walk.spread(Outlook::NeedsFailover);
    walk.tell_too_few();
    walk.spread(Outlook::Degraded);
    let forecast = |node: Node| walk.forecast(plan, node, &cut);
    let mut names: Vec<DatacenterId> = cut.iter().copied().collect();
    names.sort_unstable();
    Loss {
        datacenters: names.iter().map(|id| Name::from(plan.datacenter(*id))).collect(),
        only: Vec::new(),
        is_cut: false,
        control_plane: walk.control_planes().map(forecast).collect(),
        services: (0..graph.services).map(forecast).collect(),
    }
}

fn own(place: &Place, cut: &HashSet<DatacenterId>) -> Own {
    let certain = |outlook| Own { outlook, stranded: None };
    let Some(home) = &place.home else { return certain(Outlook::Unknown) };
    let (active, standby) = left(home, cut);
    let is_enough = |servers: Option<u64>| {
        servers.zip(home.needs).map(|(servers, needs)| servers >= u64::from(needs))
    };
    let both = servers(&active).zip(servers(&standby)).map(|(active, standby)| active + standby);
    let (outlook, stranded) = match (active.is_empty(), standby.is_empty()) {
        (true, true) => return certain(Outlook::Down),
        (true, false) if is_enough(both) == Some(false) => (Outlook::Degraded, Outlook::Down),
        (true, false) => (Outlook::NeedsFailover, Outlook::Down),
        (false, _) if is_enough(servers(&active)) != Some(false) => return certain(Outlook::Up),
        // Only a standby that is counted is known to suffice.
        (false, false) if is_enough(both) == Some(true) => {
            (Outlook::NeedsFailover, Outlook::Degraded)
        }
        (false, _) => return certain(Outlook::Degraded),
    };
    Own { outlook, stranded: Some(stranded).filter(|_| place.switch == Switch::ControlPlane) }
}

/// What is left of the active part, and of the standby.
fn left<'h>(home: &'h Home, cut: &HashSet<DatacenterId>) -> (Vec<&'h Stand>, Vec<&'h Stand>) {
    let left = |stands: &'h [Stand]| -> Vec<&'h Stand> {
        stands.iter().filter(|stand| !cut.contains(&stand.datacenter)).collect()
    };
    (left(&home.active), left(&home.standby))
}

/// How many servers there are; `None` where the plan does not count them.
fn servers(stands: &[&Stand]) -> Option<u64> {
    stands.iter().map(|stand| stand.servers.map(u64::from)).sum()
}

struct Walk<'g> {
    graph: &'g Graph,
    own: &'g [Own],
    found: Vec<Option<Found>>,
    /// By node: where its news began, each of which would do alone.
    roots: Vec<Vec<Node>>,
    /// Who has news for its dependents, and where that news began.
    queue: VecDeque<(Node, Node)>,
    /// Lost control planes that every failover needs, with where their loss began, and whose word is still to be carried.
    for_all: Vec<(Node, Node)>,
    /// Where the loss of such control planes began.
    roots_for_all: Vec<Node>,
    /// Who is too few without its standby, with the control plane that does not bring it up, and where that began.
    too_few: Vec<(Node, Node, Node)>,
    /// By node: whether it is among those, so that no failover helps it.
    is_too_few: Vec<bool>,
}

impl<'g> Walk<'g> {
    fn new(graph: &'g Graph, own: &'g [Own]) -> Self {
        Walk {
            graph,
            own,
            found: vec![None; own.len()],
            roots: vec![Vec::new(); own.len()],
            queue: VecDeque::new(),
            for_all: Vec::new(),
            roots_for_all: Vec::new(),
            too_few: Vec::new(),
            is_too_few: vec![false; own.len()],
        }
    }

    fn control_planes(&self) -> Range<Node> {
        self.graph.services..self.graph.services + self.graph.control_planes
    }

    /// The nodes that one kind of news begins with: the control planes, and the others.
    fn begin(&mut self, outlook: Outlook) -> (Vec<Node>, Vec<Node>) {
        let is_one = |node: &Node| {
            let is_own = self.own[*node].outlook == outlook && !self.is_too_few[*node];
            is_own && self.found[*node].is_none()
        };
        let all: Vec<Node> = (0..self.own.len()).filter(is_one).collect();
        for &node in &all {
            self.found[node] = Some(Found { outlook, by: None, root: node, far: 0 });
            self.roots[node].push(node);
        }
        let parts = self.control_planes();
        all.into_iter().partition(|node| parts.contains(node))
    }

    /// Carries the worst news to all that it reaches. A control plane explains a loss better than the service that
    /// it took down, and one that is for this service better than one that is for all: so they are heard in this order,
    /// and each by the shortest chains.
    fn down(&mut self) {
        let (parts, others) = self.begin(Outlook::Down);
        for seeds in [parts, others] {
            self.queue.extend(seeds.into_iter().map(|node| (node, node)));
            self.drain_down();
        }
        let is_stranded = |node: &Node| self.own[*node].stranded.is_some();
        let standbys: Vec<Node> = (0..self.own.len()).filter(is_stranded).collect();
        while !self.for_all.is_empty() {
            for (from, root) in std::mem::take(&mut self.for_all) {
                standbys.iter().for_each(|&to| self.strand(from, to, root));
            }
            self.drain_down();
        }
    }

    fn drain_down(&mut self) {
        let graph = self.graph;
        while let Some((node, root)) = self.queue.pop_front() {
            for &to in &graph.dependents[node] {
                self.tell(Outlook::Down, node, to, root);
            }
            for &to in &graph.brings_up[node] {
                self.strand(node, to, root);
            }
            if graph.for_all.binary_search(&node).is_ok() && note(&mut self.roots_for_all, root) {
                self.for_all.push((node, root));
            }
        }
    }

    /// Nothing brings the standby of `to` up any more.
    fn strand(&mut self, from: Node, to: Node, root: Node) {
        match self.own[to].stranded {
            Some(Outlook::Down) => self.tell(Outlook::Down, from, to, root),
            Some(_) => {
                self.too_few.push((from, to, root));
                self.is_too_few[to] = true;
            }
            None => {}
        }
    }

    /// Tells those who are too few without their standby, unless they have worse news.
    fn tell_too_few(&mut self) {
        for (from, to, root) in std::mem::take(&mut self.too_few) {
            self.tell(Outlook::Degraded, from, to, root);
        }
    }

    /// Carries one kind of news from where it begins to all that it reaches, nearest first, so that chains are
    /// the shortest. What has worse news already keeps that.
    fn spread(&mut self, outlook: Outlook) {
        let (parts, others) = self.begin(outlook);
        self.queue.extend(parts.into_iter().chain(others).map(|node| (node, node)));
        while let Some((node, root)) = self.queue.pop_front() {
            let graph = self.graph;
            for &to in &graph.dependents[node] {
                self.tell(outlook, node, to, root);
            }
        }
    }

    fn tell(&mut self, outlook: Outlook, from: Node, to: Node, root: Node) {
        let Some(source) = self.found[from] else { return };
        if self.found[to].is_some_and(|found| found.outlook != outlook) {
            return;
        }
        if note(&mut self.roots[to], root) {
            // A service and the lab's service of the same name are one to a reader.
            let link = usize::from(self.graph.names[from] != self.graph.names[to]);
            let (by, far) = (Some(from), source.far + link);
            self.found[to].get_or_insert(Found { outlook, by, root: source.root, far });
            self.queue.push_back((to, root));
        }
    }

    fn forecast(&self, plan: &Plan, node: Node, cut: &HashSet<DatacenterId>) -> Forecast {
        let name = self.graph.names[node].clone();
        let Some(found) = self.found[node] else {
            let predicted = if self.graph.known[node] { Outlook::Up } else { Outlook::Unknown };
            let (chain, because, also) = (Vec::new(), String::new(), Vec::new());
            return Forecast { name, predicted, chain, left_out: 0, because, also };
        };
        let (chain, left_out) = self.chain(node, found);
        let because = self.because(plan, found.root, cut);
        let also = self.also(node, found.root);
        Forecast { name, predicted: found.outlook, chain, left_out, because, also }
    }

    /// The names of all causes but the first.
    fn also(&self, node: Node, first: Node) -> Vec<Name> {
        let name = |root: &Node| &self.graph.names[*root];
        let mut told = HashSet::from([name(&first)]);
        let others = self.roots[node].iter().map(name);
        others.filter(|name| told.insert(*name)).take(CAUSES - 1).cloned().collect()
    }

    fn chain(&self, node: Node, found: Found) -> (Vec<Name>, u64) {
        let mut chain = vec![self.graph.names[node].clone()];
        let mut at = node;
        while let Some(by) =
            self.found[at].and_then(|found| found.by).filter(|_| chain.len() <= LINKS)
        {
            if chain.last() != Some(&self.graph.names[by]) {
                chain.push(self.graph.names[by].clone());
            }
            at = by;
        }
        let rest = (found.far + 1).saturating_sub(chain.len());
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
        let (active, standby) = left(home, cut);
        let needs = home.needs.unwrap_or_default();
        let places = names(&mut standby.iter().copied());
        match (self.own[node].outlook, servers(&active), servers(&standby)) {
            (Outlook::NeedsFailover, Some(few), _) if !active.is_empty() => {
                format!("{few} servers left without the standby in {places}, and it needs {needs}")
            }
            (Outlook::NeedsFailover, _, _) => format!("standby in {places}"),
            (Outlook::Degraded, _, Some(few)) if active.is_empty() => {
                format!("{few} servers in the standby in {places}, and it needs {needs}")
            }
            (Outlook::Degraded, Some(few), Some(more @ 1..)) => {
                format!("{few} servers left and {more} in standby, and it needs {needs}")
            }
            (Outlook::Degraded, few, _) => {
                format!("{} servers left, and it needs {needs}", few.unwrap_or_default())
            }
            _ => format!("only in {}", names(&mut home.active.iter().chain(&home.standby))),
        }
    }
}

/// Adds a cause to a list that has room for it; whether it was new.
fn note(roots: &mut Vec<Node>, root: Node) -> bool {
    let is_new = roots.len() < CAUSES && !roots.contains(&root);
    if is_new {
        roots.push(root);
    }
    is_new
}
