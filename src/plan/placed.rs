//! What cannot be in the placement of a plan: cycles, and contradictions between what it says in two places.

use std::collections::{BTreeSet, HashSet};

use crate::model::{DatacenterId, Dependency, Home, Name, ProbeSpec, ServedBySource, Stand};

use super::cycle::{Edges, knots, shortest};
use super::draft::{Draft, HomeDraft, LabDraft, ServiceDraft};
use super::finding::{Findings, quote};
use super::tree::Span;

/// Links of a cycle that are written out.
const LINKS: usize = 8;

/// Reports what cannot be.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    cycles(draft, findings);
    let homes: Vec<_> = draft.services.iter().filter_map(|it| Some((it, home(it)?))).collect();
    for (service, home) in &homes {
        against_the_lab(draft, service, home, findings);
        against_served_by(draft, service, home, findings);
    }
    // Where every service says where it runs, the plan knows who runs in each datacenter.
    if !homes.is_empty() && homes.len() == draft.services.len() && draft.services_complete {
        against_the_controls(draft, &homes, findings);
    }
    named_twice(draft, findings);
    if !homes.is_empty() || !draft.control_plane.is_empty() {
        unplaced(draft, findings);
    }
}

fn home(draft: &ServiceDraft) -> Option<&HomeDraft> {
    draft.home.as_ref().filter(|home| home.complete)
}

/// Services come first, then control planes, then what stands for all that every failover needs.
struct Graph<'d> {
    draft: &'d Draft,
    services: usize,
    depends: Edges,
}

impl<'d> Graph<'d> {
    fn new(draft: &'d Draft) -> Self {
        let services = draft.services.len();
        let number = |dependency: &Dependency| match dependency {
            Dependency::Service(number) => *number,
            Dependency::ControlPlane(number) => services + number,
        };
        let of_services = draft.services.iter().map(|it| &it.service.depends_on);
        let of_parts = draft.control_plane.iter().map(|it| &it.depends_on);
        let depends = of_services.chain(of_parts);
        let depends = depends.map(|needed| needed.iter().map(number).collect()).collect();
        Graph { draft, services, depends }
    }

    /// With what each failover needs: a service that has a standby, or that a control plane is expressly for,
    /// cannot come up without it.
    fn with_failovers(&self) -> Edges {
        let mut edges = self.depends.clone();
        let all = edges.len();
        edges.push(Vec::new());
        for (number, part) in self.draft.control_plane.iter().enumerate() {
            match &part.serves {
                None => edges[all].push(self.services + number),
                Some(serves) => {
                    serves.iter().for_each(|it| edges[*it].push(self.services + number))
                }
            }
        }
        for (number, service) in self.draft.services.iter().enumerate() {
            if home(service).is_some_and(|home| !home.home.standby.is_empty()) {
                edges[number].push(all);
            }
        }
        edges
    }

    fn name(&self, node: usize) -> Option<&str> {
        let services = self.draft.services.get(node).map(|it| it.service.name.as_str());
        let part = node.checked_sub(self.services).and_then(|it| self.draft.control_plane.get(it));
        services.or(part.map(|it| it.name.as_str()))
    }

    fn at(&self, node: usize) -> Span {
        let services = self.draft.services.get(node).map(|it| it.at);
        let part = node.checked_sub(self.services);
        let part = part.and_then(|it| self.draft.control_plane_at.get(it).copied());
        services.or(part).unwrap_or(self.draft.services_at)
    }

    /// A cycle, written out.
    fn written(&self, cycle: &[usize]) -> String {
        let names: Vec<&str> = cycle.iter().filter_map(|node| self.name(*node)).collect();
        let mut links: Vec<String> = names.iter().take(LINKS).map(ToString::to_string).collect();
        if names.len() > LINKS {
            links.push(format!("({} more)", names.len() - LINKS));
        }
        links.extend(names.first().map(ToString::to_string));
        links.join(" -> ")
    }
}

fn cycles(draft: &Draft, findings: &mut Findings) {
    let graph = Graph::new(draft);
    let mut told = HashSet::new();
    for knot in knots(&graph.depends) {
        let Some(&first) = knot.first() else { continue };
        let way = graph.written(&shortest(&graph.depends, &knot, first));
        let what = format!("{} depends on itself: {way}", quoted(&graph, first));
        let hint = "take out the dependency that it can do without: nothing here could start first";
        findings.error("cycle", graph.at(first), what, hint);
        told.extend(knot);
    }
    let edges = graph.with_failovers();
    for knot in knots(&edges) {
        let part = knot.iter().copied().find(|node| *node >= graph.services);
        let Some(part) = part.filter(|_| !knot.iter().any(|node| told.contains(node))) else {
            continue;
        };
        let way = graph.written(&shortest(&edges, &knot, part));
        let name = quoted(&graph, part);
        let what = format!("{name} depends on what it must bring up: {way}");
        let hint = "a failover that needs itself never happens: take `depends_on` out, or say `for` which \
                    services it is";
        findings.error("cycle", graph.at(part), what, hint);
    }
}

fn quoted(graph: &Graph, node: usize) -> String {
    quote(graph.name(node).unwrap_or("?"))
}

/// The lab's services that the probes of a service ask.
fn asked(service: &ServiceDraft) -> BTreeSet<&str> {
    service.service.probes.iter().flat_map(ProbeSpec::asks_in_the_lab).collect()
}

fn against_the_lab(
    draft: &Draft,
    service: &ServiceDraft,
    home: &HomeDraft,
    findings: &mut Findings,
) {
    let Some(lab) = draft.lab.as_ref().filter(|lab| lab.complete) else { return };
    let asked = asked(service);
    let mut stands: BTreeSet<DatacenterId> = BTreeSet::new();
    let mut at = None;
    for name in asked.into_iter().map(Name::from) {
        if let Some(places) = lab.spec.places(&name) {
            stands.extend(places);
            at = lab.names_at.get(&name).copied();
        }
    }
    let Some(at) = at else { return };
    against_the_roles(draft, service, home, lab, findings);
    let name = quote(service.service.name.as_str());
    let said = home.home.active.iter().chain(&home.home.standby).map(|stand| stand.datacenter);
    let said: BTreeSet<DatacenterId> = said.collect();
    for id in said.symmetric_difference(&stands) {
        let datacenter = quote(draft.datacenters.name(*id));
        let (what, hint) = match stands.contains(id) {
            true => (
                format!(
                    "the lab has replicas of {name} in {datacenter}, and `in` does not name it"
                ),
                format!("add {datacenter} to `in`, or take its replicas out"),
            ),
            false => (
                format!("{name} is said to be in {datacenter}, and the lab has no replica there"),
                format!("give the lab's service replicas in {datacenter}, or take it out of `in`"),
            ),
        };
        findings.error("contradiction", home.at, what, hint);
        findings.relate(at, "the lab's replicas");
    }
}

/// A lab's controller is a control plane: a second one of its name would be another thing.
fn named_twice(draft: &Draft, findings: &mut Findings) {
    let Some(lab) = &draft.lab else { return };
    for (part, at) in draft.control_plane.iter().zip(&draft.control_plane_at) {
        if !lab.spec.controllers.contains_key(&part.name) {
            continue;
        }
        let what = format!("{} is the name of a lab's controller too", quote(part.name.as_str()));
        let hint = "take it out, for the lab's controllers are control planes already; or give it another name";
        findings.error("duplicate-key", *at, what, hint);
        if let Some(other) = lab.names_at.get(&part.name) {
            findings.relate(*other, "the controller");
        }
    }
}

/// Where the lab serves on an ordinary day, and `in` says otherwise.
fn against_the_roles(
    draft: &Draft,
    service: &ServiceDraft,
    home: &HomeDraft,
    lab: &LabDraft,
    findings: &mut Findings,
) {
    let homes: Vec<Home> =
        asked(service).into_iter().filter_map(|name| lab.spec.home(&name.into())).collect();
    let has = |stands: &[Stand], id| stands.iter().any(|stand| stand.datacenter == id);
    let name = quote(service.service.name.as_str());
    for id in home.home.active.iter().chain(&home.home.standby).map(|stand| stand.datacenter) {
        let serves = homes.iter().any(|lab| has(&lab.active, id));
        let stands_by = homes.iter().any(|lab| has(&lab.standby, id));
        let datacenter = quote(draft.datacenters.name(id));
        let (what, hint) = match has(&home.home.active, id) {
            false if serves => (
                format!(
                    "{name} is said to be a standby in {datacenter}, and the lab serves it from there"
                ),
                format!(
                    "write {datacenter} among `active`; the lab prefers the first of `datacenters`"
                ),
            ),
            true if stands_by && !serves => (
                format!(
                    "{name} is said to be active in {datacenter}, and the lab has a standby there"
                ),
                format!(
                    "write {datacenter} among `standby`, or let the lab's requests go to all: `spread: round-robin`"
                ),
            ),
            _ => continue,
        };
        findings.error("contradiction", home.at, what, hint);
    }
}

fn against_served_by(
    draft: &Draft,
    service: &ServiceDraft,
    home: &HomeDraft,
    findings: &mut Findings,
) {
    let mut told = HashSet::new();
    for (probe, places) in service.service.probes.iter().zip(&service.probes_at) {
        for id in probe.served_by.iter().flat_map(|source| expressly(draft, source)) {
            if home.home.has(id) || !told.insert(id) {
                continue;
            }
            let datacenter = quote(draft.datacenters.name(id));
            let what = format!(
                "`served_by` says how {datacenter} answers for {}, and `in` does not name it",
                quote(service.service.name.as_str())
            );
            let hint = format!("add {datacenter} to `in`, or take it out of `served_by`");
            findings.warning("contradiction", places.name, what, hint);
            findings.relate(home.at, "where it runs");
        }
    }
}

/// The datacenters that `served_by` names itself, not by default.
fn expressly(draft: &Draft, source: &ServedBySource) -> Vec<DatacenterId> {
    match source {
        ServedBySource::Header { values, .. } | ServedBySource::Json { values, .. } => values
            .0
            .iter()
            .filter(|(id, patterns)| patterns.as_slice() != [draft.datacenters.name(*id)])
            .map(|(id, _)| *id)
            .collect(),
        ServedBySource::Peer(networks) => networks.iter().map(|(id, _)| *id).collect(),
        ServedBySource::Answer { places, .. } => places.iter().map(|(id, _)| *id).collect(),
    }
}

/// A control that steers servers where no service runs, and a cut of a datacenter where none does.
fn against_the_controls(
    draft: &Draft,
    homes: &[(&ServiceDraft, &HomeDraft)],
    findings: &mut Findings,
) {
    let inhabited: HashSet<DatacenterId> = homes
        .iter()
        .flat_map(|(_, home)| home.home.active.iter().chain(&home.home.standby))
        .map(|stand| stand.datacenter)
        .collect();
    for control in draft.traffic.iter().filter(|control| control.complete) {
        let steered = control.spec.provider.settings().datacenters();
        for id in steered.into_iter().flatten().filter(|id| !inhabited.contains(id)) {
            let name = quote(control.spec.name.as_str());
            let datacenter = quote(draft.datacenters.name(id));
            let what =
                format!("{name} steers traffic to {datacenter}, where no service runs by its `in`");
            let hint = format!("add {datacenter} to the `in` of those that it serves");
            findings.warning("contradiction", control.at, what, hint);
        }
    }
    let lost = draft.cut.as_ref().and_then(|cut| cut.datacenters.as_ref());
    if let Some([first, ..]) = lost.map(Vec::as_slice)
        && !lost.into_iter().flatten().any(|lost| inhabited.contains(&lost.value))
    {
        let datacenter = quote(draft.datacenters.name(first.value));
        let what = format!(
            "no service runs in {datacenter} by its `in`, so that losing it proves nothing"
        );
        findings.error(
            "contradiction",
            first.span,
            what,
            "cut one where services run, or mend `in`",
        );
    }
}

/// A service of which the placement check can say nothing, in a plan that asks for it.
fn unplaced(draft: &Draft, findings: &mut Findings) {
    for service in draft.services.iter().filter(|service| service.complete) {
        let placed = service.home.is_some() || !service.service.depends_on.is_empty();
        if placed || !asked(service).is_empty() {
            continue;
        }
        let what = format!("{} does not say where it runs", quote(service.service.name.as_str()));
        let hint = "add `in: [DATACENTER, …]`, or the placement check leaves it out";
        findings.warning("no-datacenter", service.at, what, hint);
    }
}
