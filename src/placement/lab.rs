//! The lab in the graph: what stands where, who switches it, and what a request needs on its way.

use std::collections::{HashMap, HashSet};

use super::graph::{Graph, Node, Place, Switch};
use crate::model::{LabCheck, LabSpec, Name, ProbeKind, ProbeSpec, Text};

/// The longest of the lab's `paths` that a request's path lies at or below: with it, it is settled what the request
/// calls, and what that calls, for callees are asked for the same path. `None`: none fits.
type Way<'p> = Option<&'p str>;

/// The lab's nodes.
pub struct Lab<'p> {
    spec: &'p LabSpec,
    /// Services and stores: whether anything of them answers.
    stands: HashMap<&'p str, Node>,
    /// What answers a request, with all that it calls.
    requests: HashMap<(&'p str, Way<'p>), Node>,
    /// All `paths` of all services, without a slash at the end.
    ways: HashSet<&'p str>,
}

impl<'p> Lab<'p> {
    /// Adds the lab to `graph`; `controllers` are in it already.
    pub fn add(graph: &mut Graph, spec: &'p LabSpec, controllers: &HashMap<&str, Node>) -> Self {
        let paths = spec.services.values().flat_map(|service| service.paths.keys());
        let ways = paths.map(|path| path.trim_end_matches('/')).collect();
        let mut lab = Lab { spec, stands: HashMap::new(), requests: HashMap::new(), ways };
        for name in spec.services.keys().chain(spec.stores.keys()) {
            let controller = spec.switched_by(name);
            let switch = controller.map_or(Switch::ByItself, |_| Switch::ControlPlane);
            let node = graph.add(name.clone(), Place { home: spec.home(name), switch });
            lab.stands.insert(name.as_str(), node);
            if let Some(by) = controller.and_then(|it| controllers.get(it.as_str())) {
                graph.brings_up[*by].push(node);
            }
        }
        // Where a health check looks deeper, what is behind takes all replicas out: whatever is asked.
        let deep = spec.services.iter().filter(|(_, service)| service.check == LabCheck::Deep);
        for (name, service) in deep {
            for callee in &service.calls {
                let needed = lab.request(graph, callee, None);
                if let Some((who, needed)) = lab.stands.get(name.as_str()).copied().zip(needed) {
                    graph.depend(who, needed);
                }
            }
        }
        lab
    }

    /// What a probe needs of the lab.
    pub fn asked(&mut self, graph: &mut Graph, probe: &ProbeSpec) -> Vec<Node> {
        let way = match &probe.kind {
            ProbeKind::Http(http) => self.way(&path(&http.url)),
            // To connect is to reach the service itself, and nothing that it calls.
            ProbeKind::Tcp(tcp) if tcp.send.is_none() => {
                let asked = probe.asks_in_the_lab();
                return asked.filter_map(|name| self.stands.get(name).copied()).collect();
            }
            ProbeKind::Tcp(_) | ProbeKind::Dns(_) | ProbeKind::Ledger(_) => None,
        };
        let spec = self.spec;
        let name = |name: &str| {
            let name = Name::from(name);
            let service = spec.services.get_key_value(&name).map(|(name, _)| name);
            service.or_else(|| spec.stores.get_key_value(&name).map(|(name, _)| name))
        };
        let asked: Vec<&'p Name> = probe.asks_in_the_lab().filter_map(name).collect();
        asked.into_iter().filter_map(|name| self.request(graph, name, way)).collect()
    }

    fn way(&self, path: &str) -> Way<'p> {
        let ends = path.rmatch_indices('/').map(|(end, _)| end);
        let mut prefixes =
            std::iter::once(path.len()).chain(ends).filter_map(|end| path.get(..end));
        prefixes.find_map(|prefix| self.ways.get(prefix).copied())
    }

    /// The node of a request, made with all that it reaches if it is not there yet.
    fn request(&mut self, graph: &mut Graph, name: &'p Name, way: Way<'p>) -> Option<Node> {
        let mut open = Vec::new();
        let first = self.node(graph, name, way, &mut open)?;
        while let Some((who, calls)) = open.pop() {
            for callee in calls {
                if let Some(needed) = self.node(graph, callee, way, &mut open) {
                    graph.depend(who, needed);
                }
            }
        }
        Some(first)
    }

    /// The node of a request; what it calls is added to `open` if it is new.
    fn node(
        &mut self,
        graph: &mut Graph,
        name: &'p Name,
        way: Way<'p>,
        open: &mut Vec<(Node, &'p [Name])>,
    ) -> Option<Node> {
        if let Some(node) = self.requests.get(&(name.as_str(), way)) {
            return Some(*node);
        }
        let stands = *self.stands.get(name.as_str())?;
        let calls = self.spec.services.get(name).map(|service| match way {
            Some(way) => service.calls_of(way),
            None => &service.calls,
        });
        let node = match calls {
            None | Some([]) => stands,
            Some(calls) => {
                let place = Place { home: None, switch: Switch::ByItself };
                let node = graph.add(name.clone(), place);
                graph.depend(node, stands);
                open.push((node, calls));
                node
            }
        };
        self.requests.insert((name.as_str(), way), node);
        Some(node)
    }
}

/// The path of a URL in the lab.
fn path(url: &Text) -> String {
    let url = url.reveal(&|_| Some("http://lab".to_owned()));
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/").to_owned()
}
