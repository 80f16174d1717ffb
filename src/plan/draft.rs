//! A plan as it was read: values with their places, some missing, before they are held together.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::model::{
    Calendar, ControlPlane, ControlSpec, DatacenterId, Guardrail, Home, LabSpec, LoadSpec,
    LossBudget, Mode, Name, Networks, Notification, Plan, Service, Text, Timing,
};

use super::finding::quote;
use super::read::{At, Reader, Value};
use super::suggest::instead;
use super::tree::Span;

/// The datacenters of the plan, to look up references.
#[derive(Debug, Default)]
pub(super) struct Datacenters {
    /// Their names, in the plan's order.
    pub names: Vec<Name>,
    ids: HashMap<Name, DatacenterId>,
    /// Whether some could not be read, so that references are not judged.
    pub broken: bool,
}

impl Datacenters {
    /// Adds a datacenter; `false` if there is one of this name.
    pub fn add(&mut self, name: Name) -> bool {
        let id = DatacenterId(u16::try_from(self.names.len()).unwrap_or(u16::MAX));
        if self.ids.insert(name.clone(), id).is_some() {
            return false;
        }
        self.names.push(name);
        true
    }

    /// The name of a datacenter.
    pub fn name(&self, id: DatacenterId) -> &str {
        self.names.get(id.index()).map_or("?", Name::as_str)
    }

    /// Whether there is a datacenter of this name; says nothing about it.
    pub fn contains(&self, name: &str) -> bool {
        self.ids.contains_key(&Name::from(name))
    }

    /// The datacenter that `name` refers to.
    pub fn find(&self, reader: &mut Reader, name: &At<Name>) -> Option<DatacenterId> {
        let found = self.ids.get(&name.value).copied();
        if found.is_none() && !self.broken {
            let known = self.names.iter().map(Name::as_str);
            let what = format!("there is no datacenter {}", quote(name.value.as_str()));
            let hint = instead(name.value.as_str(), "datacenters", known);
            reader.findings.error("reference", name.span, what, hint);
        }
        found
    }

    /// The datacenter that `value` names.
    pub fn refer(&self, reader: &mut Reader, value: Value) -> Option<DatacenterId> {
        let name = reader.name(value)?;
        self.find(reader, &name)
    }

    /// The values of a map from datacenters to something; unknown ones are reported.
    pub fn map<'n, 't>(
        &self,
        reader: &mut Reader,
        value: Value<'n, 't>,
        wanted: &str,
    ) -> Vec<(DatacenterId, Value<'n, 't>)> {
        let Some(entries) = reader.map(value, wanted) else { return Vec::new() };
        if entries.is_empty() {
            let what = format!("{} names no datacenter", quote(value.key));
            reader.findings.error("missing-key", value.at, what, format!("write {wanted}"));
        }
        let mut found: Vec<(DatacenterId, Value)> = Vec::new();
        for entry in entries {
            let name = reader.name_key(entry);
            let Some(id) = name.and_then(|name| self.find(reader, &name)) else { continue };
            if found.iter().any(|&(other, _)| other == id) {
                let what = format!("the datacenter {} stands here twice", quote(&entry.key));
                reader.findings.error("duplicate-key", entry.at, what, "keep one of the two");
                continue;
            }
            found.push((id, Value::of(entry)));
        }
        found
    }
}

/// The lab and its places.
#[derive(Debug)]
pub(super) struct LabDraft {
    pub spec: LabSpec,
    pub at: Span,
    /// Where the name of each service, store and controller stands.
    pub names_at: BTreeMap<Name, Span>,
    pub complete: bool,
}

/// A traffic control and its places.
#[derive(Debug)]
pub(super) struct ControlDraft {
    pub spec: ControlSpec,
    pub at: Span,
    /// Whether all of it could be read; what could not is reported already.
    pub complete: bool,
}

/// A service and its places.
#[derive(Debug)]
pub(super) struct ServiceDraft {
    pub service: Service,
    pub at: Span,
    /// One for each probe of `service`.
    pub probes_at: Vec<ProbePlaces>,
    pub budgets: Budgets,
    pub home: Option<HomeDraft>,
    /// What `depends_on` names.
    pub depends_on: Vec<At<Name>>,
    pub complete: bool,
}

/// Where a service runs, and its places.
#[derive(Debug)]
pub(super) struct HomeDraft {
    pub home: Home,
    pub at: Span,
    pub complete: bool,
}

/// A part of the control plane and its places, its references not looked at yet.
#[derive(Debug)]
pub(super) struct ControlPlaneDraft {
    pub name: Name,
    pub at: Span,
    pub home: Vec<DatacenterId>,
    pub address: Option<Text>,
    pub serves: Option<Vec<At<Name>>>,
    pub depends_on: Vec<At<Name>>,
}

impl ControlPlaneDraft {
    /// One of which only the name is known.
    pub fn new(name: Name, at: Span) -> Self {
        let depends_on = Vec::new();
        ControlPlaneDraft { name, at, home: Vec::new(), address: None, serves: None, depends_on }
    }
}

/// Where the parts of a probe stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbePlaces {
    pub name: Span,
    pub every: Span,
    pub timeout: Span,
    pub slower_than: Span,
    /// Where `may_stay` stands.
    pub may_stay: Option<Span>,
    /// The budgets of its own promises.
    pub budgets: Budgets,
    /// Where the parts of its ledger stand, if it is one.
    pub ledger: Option<LedgerPlaces>,
}

/// Where the parts of a ledger stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct LedgerPlaces {
    pub at: Span,
    pub settle: Option<Span>,
    pub keep: Option<Span>,
    /// That of `redis`.
    pub expire: Option<Span>,
}

/// The budgets among promises, with their places.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budgets {
    pub recover: Option<At<Duration>>,
    pub failback: Option<At<Duration>>,
    pub p99: Option<At<Duration>>,
    pub lose: Option<At<LossBudget>>,
    pub duplicate: Option<At<u64>>,
}

/// The cut and its places.
#[derive(Debug)]
pub(super) struct CutDraft {
    pub datacenters: Option<Vec<At<DatacenterId>>>,
    pub services: Vec<At<Name>>,
    pub mode: Option<At<Mode>>,
    /// The controls, step after step.
    pub steps: Vec<Vec<At<usize>>>,
    pub through_at: Span,
    pub complete: bool,
}

impl CutDraft {
    /// The controls of all steps, in order.
    pub fn through(&self) -> impl Iterator<Item = &At<usize>> {
        self.steps.iter().flatten()
    }
}

/// The timing and its places; a value left out has none.
#[derive(Debug)]
pub(super) struct TimingDraft {
    pub timing: Timing,
    /// Where findings about values left out point.
    pub at: Span,
    pub baseline_at: Option<Span>,
    pub stable_for_at: Option<Span>,
    pub hold_at: Option<Span>,
    pub at_most_at: Option<Span>,
}

/// Everything that could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub name: Option<Name>,
    pub about: Option<String>,
    pub datacenters: Datacenters,
    pub lab: Option<LabDraft>,
    pub traffic: Vec<ControlDraft>,
    pub services: Vec<ServiceDraft>,
    /// Where the services begin.
    pub services_at: Span,
    /// Whether all services could be read.
    pub services_complete: bool,
    /// One for each of `control_plane`.
    pub control_plane_at: Vec<Span>,
    pub control_plane: Vec<ControlPlane>,
    pub networks: Networks,
    pub loads: Vec<At<LoadSpec>>,
    pub cut: Option<CutDraft>,
    pub timing: TimingDraft,
    pub guardrails: Vec<Guardrail>,
    pub calendar: Calendar,
    pub notify: Vec<Notification>,
}

impl Draft {
    /// The plan, if nothing is missing.
    pub fn into_plan(self) -> Option<Plan> {
        let cut = self.cut?;
        let order = crate::model::CutOrder {
            datacenters: cut.datacenters?.iter().map(|at| at.value).collect(),
            services: cut.services.into_iter().map(|at| at.value).collect(),
            mode: cut.mode?.value,
        };
        Some(Plan {
            name: self.name?,
            about: self.about,
            datacenters: self.datacenters.names,
            lab: self.lab.map(|lab| lab.spec),
            traffic: self.traffic.into_iter().map(|control| control.spec).collect(),
            services: self.services.into_iter().map(|draft| draft.service).collect(),
            control_plane: self.control_plane,
            networks: self.networks,
            loads: self.loads.into_iter().map(|at| at.value).collect(),
            cut: order,
            steps: cut.steps.iter().map(|it| it.iter().map(|at| at.value).collect()).collect(),
            timing: self.timing.timing,
            guardrails: self.guardrails,
            calendar: self.calendar,
            notify: self.notify,
        })
    }
}
