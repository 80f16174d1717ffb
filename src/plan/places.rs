//! Where the parts of a plan stand in its text, for what is found when the plan is read already.

use std::collections::HashMap;

use crate::model::{Name, Subject};

use super::draft::Draft;
use super::finding::{Finding, Findings};
use super::tree::Span;

/// Something against a plan that is right as a text, such as what the placement check finds in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// What it is about; the finding points there.
    pub about: Subject,
    /// A short name of its kind, for scripts.
    pub code: &'static str,
    /// What is wrong. It must hold nothing but names and numbers of the plan.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// Where the parts of a plan stand.
#[derive(Debug, Default)]
pub(super) struct Places {
    services: HashMap<Name, Span>,
    probes: HashMap<(Name, Name), Span>,
    control_planes: HashMap<Name, Span>,
    controls: HashMap<Name, Span>,
    cut: Option<Span>,
}

impl Places {
    pub fn of(draft: &Draft) -> Self {
        let services = draft.services.iter().map(|it| (it.service.name.clone(), it.at));
        let probes = draft.services.iter().flat_map(|it| {
            let probes = it.service.probes.iter().zip(&it.probes_at);
            let name = &it.service.name;
            probes.map(move |(probe, at)| ((name.clone(), probe.name.clone()), at.name))
        });
        let parts = draft.control_plane.iter().zip(&draft.control_plane_at);
        let parts = parts.map(|(part, at)| (part.name.clone(), *at));
        let lab = draft.lab.iter().flat_map(|lab| {
            let at = |name: &Name| Some((name.clone(), *lab.names_at.get(name)?));
            lab.spec.controllers.keys().filter_map(at)
        });
        let controls = draft.traffic.iter().map(|it| (it.spec.name.clone(), it.at));
        Places {
            services: services.collect(),
            probes: probes.collect(),
            control_planes: lab.chain(parts).collect(),
            controls: controls.collect(),
            cut: draft.cut.as_ref().map(|cut| {
                let first = cut.datacenters.as_ref().and_then(|lost| lost.first());
                first.map_or(cut.through_at, |at| at.span)
            }),
        }
    }

    fn find(&self, about: &Subject) -> Option<Span> {
        match about {
            Subject::Service(name) => self.services.get(name).copied(),
            Subject::Probe(service, name) => {
                self.probes.get(&(service.clone(), name.clone())).copied()
            }
            Subject::ControlPlane(name) => self.control_planes.get(name).copied(),
            Subject::Control(name) => self.controls.get(name).copied(),
            Subject::Cut => self.cut,
        }
    }

    /// `findings` with those that the objections are, all errors, in the order of the text.
    pub fn object(
        &self,
        text: &[u8],
        findings: Vec<Finding>,
        objections: Vec<Objection>,
    ) -> Vec<Finding> {
        let mut findings = Findings::reopened(findings);
        for Objection { about, code, what, hint } in objections {
            match self.find(&about) {
                Some(span) => findings.error(code, span, what, hint),
                None => findings.whole(super::Severity::Error, code, what, hint),
            }
        }
        findings.finish(text)
    }
}
