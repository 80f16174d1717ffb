//! Combinations that cannot work, each part being right by itself.
//!
//! Parts that could not be read are left out here: what is wrong with them is said already.

use std::collections::BTreeSet;

use crate::model::{DatacenterId, LoadFrom, LoadSpec, Mode, Name, ProbeSpec, Provider, Timing};

use super::draft::{ControlDraft, CutDraft, Draft, LabDraft};
use super::finding::{Findings, quote};
use super::placed;
use super::promised;
use super::read::At;
use super::stay;
use super::suggest::instead;
use super::tree::Span;
use super::units::written;

/// More requests under way at once than one machine has file descriptors and ports for.
const IN_FLIGHT: f64 = 15_000.0;

/// Holds the parts of a plan together and reports what cannot work.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    timing(draft, findings);
    if let Some(cut) = &draft.cut {
        through(draft, cut, findings);
        if let (Some(lab), Some(datacenters)) = (&draft.lab, &cut.datacenters) {
            lab_can_take_over(draft, lab, cut, datacenters, findings);
        }
        lost_services(draft, cut, findings);
        somebody_is_left(draft, cut, findings);
    }
    lab_is_there(draft, findings);
    for service in &draft.services {
        promised::check(draft, service, findings);
    }
    stay::check(draft, findings);
    load(draft, findings);
    load_comes_to_its_top(draft, findings);
    whole(draft, findings);
    placed::check(draft, findings);
}

fn timing(draft: &Draft, findings: &mut Findings) {
    let timing = &draft.timing;
    let at_most = timing.timing.at_most;
    let stages = [
        ("stable_for", timing.timing.stable_for, timing.stable_for_at),
        ("hold", timing.timing.hold, timing.hold_at),
    ];
    for (key, length, span) in stages {
        if length > at_most {
            let what = format!("`{key}` ({}) is longer than `at_most`", written(length));
            let hint = raise_at_most(draft);
            findings.error("impossible", span.unwrap_or(timing.at), what, hint);
            relate_at_most(draft, findings);
        }
    }
}

pub(super) fn raise_at_most(draft: &Draft) -> String {
    format!("shorten it, or raise `at_most` ({})", written(draft.timing.timing.at_most))
}

pub(super) fn relate_at_most(draft: &Draft, findings: &mut Findings) {
    relate(findings, draft.timing.at_most_at, "the longest that traffic may stay cut");
}

/// A default stands nowhere in the file and cannot be pointed at.
pub(super) fn relate(findings: &mut Findings, span: Option<Span>, label: &str) {
    if let Some(span) = span {
        findings.relate(span, label);
    }
}

fn through(draft: &Draft, cut: &CutDraft, findings: &mut Findings) {
    let through = cut.through().filter_map(|at| Some((at, draft.traffic.get(at.value)?)));
    for (at, control) in through.filter(|(_, control)| control.complete) {
        let provider = &control.spec.provider;
        if let Some(mode) = cut.mode
            && !provider.modes().contains(&mode.value.kind())
        {
            let name = quote(control.spec.name.as_str());
            let key = provider.key();
            let what = format!("{name} ({key}) cannot cut in the mode `{}`", mode.value.kind());
            let modes: Vec<String> = provider.modes().iter().map(|m| format!("`{m}`")).collect();
            findings.error(
                "impossible",
                mode.span,
                what,
                format!("it can {}", modes.join(" and ")),
            );
            findings.relate(at.span, "the cut goes through it");
        } else if let Some(mode) = cut.mode
            && let Some((why, hint)) = provider.settings().refuses(&mode.value)
        {
            let name = quote(control.spec.name.as_str());
            let what = format!("{name} ({}) cannot {}: {why}", provider.key(), mode.value.kind());
            findings.error("impossible", mode.span, what, hint);
            findings.relate(control.at, "it is defined here");
        }
        if let Some(datacenters) = &cut.datacenters
            && datacenters.iter().all(|datacenter| leads_nowhere(control, datacenter.value))
        {
            let name = quote(control.spec.name.as_str());
            let cut_name = names(draft, datacenters);
            let what = format!("{name} has nothing in {cut_name} to cut");
            let parts = provider.settings().parts();
            let hint = format!("add the {parts} of {cut_name}, or take it out of `through`");
            findings.error("impossible", at.span, what, hint);
            findings.relate(control.at, "it is defined here");
        }
    }
}

fn leads_nowhere(control: &ControlDraft, datacenter: DatacenterId) -> bool {
    let steered = control.spec.provider.settings().datacenters();
    // The lab's replicas are looked at with the lab.
    steered.is_some_and(|steered| !steered.contains(&datacenter))
}

fn datacenter_name(draft: &Draft, datacenter: DatacenterId) -> String {
    quote(draft.datacenters.names.get(datacenter.index()).map_or("?", |name| name.as_str()))
}

/// The names of datacenters, for a sentence.
fn names(draft: &Draft, datacenters: &[At<DatacenterId>]) -> String {
    let named = datacenters.iter().map(|at| datacenter_name(draft, at.value));
    named.collect::<Vec<_>>().join(" and ")
}

fn lab_can_take_over(
    draft: &Draft,
    lab: &LabDraft,
    order: &CutDraft,
    cut: &[At<DatacenterId>],
    findings: &mut Findings,
) {
    let (true, Some(first)) = (lab.complete, cut.first()) else { return };
    let name = names(draft, cut);
    let is_cut = |datacenter: &DatacenterId| cut.iter().any(|at| at.value == *datacenter);
    let is_lost = |part: &Name| {
        order.services.is_empty() || order.services.iter().any(|at| at.value == *part)
    };
    // What only other services ask may well stand in one place: that is what a drill shows.
    let probes = draft.services.iter().flat_map(|draft| &draft.service.probes);
    let asked: BTreeSet<&str> = probes.flat_map(ProbeSpec::asks_in_the_lab).collect();
    let mut anything = false;
    for part in lab.spec.services.keys().chain(lab.spec.stores.keys()) {
        let places = lab.spec.places(part).unwrap_or_default();
        let inside = places.iter().any(is_cut);
        anything |= inside;
        let asked = asked.contains(part.as_str()) && is_lost(part);
        if asked && inside && places.iter().all(is_cut) {
            let span = lab.names_at.get(part).copied().unwrap_or(lab.at);
            let what =
                format!("{} stands only in {name}: nothing could take over", quote(part.as_str()));
            findings.error("impossible", span, what, "give it replicas in another datacenter");
            findings.relate(first.span, "this datacenter is cut");
        }
    }
    if !anything {
        let what = format!("the lab has no replica in {name}, so that losing it proves nothing");
        let hint = format!("give a service replicas in {name}");
        findings.error("impossible", first.span, what, hint);
        findings.relate(lab.at, "the lab");
    }
}

/// Only the lab can tell services apart within a datacenter.
fn lost_services(draft: &Draft, cut: &CutDraft, findings: &mut Findings) {
    let Some(first) = cut.services.first() else { return };
    let controls = cut.through().filter_map(|at| draft.traffic.get(at.value));
    if let Some(other) = { controls }.find(|c| c.complete && c.spec.provider != Provider::Lab) {
        let name = quote(other.spec.name.as_str());
        let what = format!("{name} cannot tell services apart");
        let hint = "take `services` out, and give the control only what is to be cut";
        findings.error("impossible", first.span, what, hint);
        findings.relate(other.at, "it is defined here");
        return;
    }
    let Some(lab) = draft.lab.as_ref().filter(|lab| lab.complete) else { return };
    for at in &cut.services {
        // Where nobody knows what is cut, that is reported already.
        let stands = |places: &[DatacenterId]| {
            let lost = cut.datacenters.as_ref();
            lost.is_none_or(|lost| lost.iter().any(|cut| places.contains(&cut.value)))
        };
        match lab.spec.places(&at.value) {
            None => {
                let known = lab.names_at.keys().map(Name::as_str);
                let what = format!("the lab has no service {}", quote(at.value.as_str()));
                let hint = instead(at.value.as_str(), "services", known);
                findings.error("reference", at.span, what, hint);
            }
            Some(places) if !stands(&places) => {
                let what = format!("{} has nothing there to cut", quote(at.value.as_str()));
                findings.error(
                    "impossible",
                    at.span,
                    what,
                    "take it out, or give it replicas there",
                );
            }
            Some(_) => {}
        }
    }
}

/// With every datacenter cut nobody is left to take over.
fn somebody_is_left(draft: &Draft, cut: &CutDraft, findings: &mut Findings) {
    let Some(datacenters) = cut.datacenters.as_ref() else { return };
    let all = draft.datacenters.names.len();
    let each: BTreeSet<DatacenterId> = datacenters.iter().map(|at| at.value).collect();
    if cut.services.is_empty() && !draft.datacenters.broken && all >= 2 && each.len() == all {
        let what = "the cut leaves no datacenter";
        let hint = "leave one out, or add the one that has to take over";
        findings.error("impossible", datacenters[0].span, what, hint);
    }
}

fn lab_is_there(draft: &Draft, findings: &mut Findings) {
    let mut lab_controls =
        draft.traffic.iter().filter(|c| c.complete && c.spec.provider == Provider::Lab);
    match (&draft.lab, lab_controls.next()) {
        (None, Some(control)) => {
            let what = format!(
                "{} needs a lab, and this plan has none",
                quote(control.spec.name.as_str())
            );
            let hint =
                "add `lab:`, or name the provider that steers your traffic: `proxy`, `haproxy`";
            findings.error("impossible", control.at, what, hint);
        }
        (Some(_), Some(_)) => {
            if let Some(second) = lab_controls.next() {
                let what = "the lab has one traffic control, and this is a second";
                findings.error("impossible", second.at, what, "take one of the two out");
            }
        }
        _ => {}
    }
}

/// When nothing answers, every probe has as many requests under way as periods fit in its time-out.
fn load(draft: &Draft, findings: &mut Findings) {
    let hint = format!("at most {IN_FLIGHT} can be: raise `every` or lower `timeout`");
    let words = |count: f64| {
        format!("when nothing answers, {count:.0} requests would be under way at once")
    };
    let mut total = 0.0;
    let mut alone = false;
    for draft in &draft.services {
        for (probe, places) in draft.service.probes.iter().zip(&draft.probes_at) {
            let own = probe.timeout.as_secs_f64() / probe.every.as_secs_f64();
            total += own;
            if own > IN_FLIGHT {
                alone = true;
                findings.error("impossible", places.every, words(own), hint.clone());
            }
        }
    }
    for load in &draft.loads {
        let own = load.value.timeout.as_secs_f64() * load.value.ramp.rate;
        total += own;
        if own > IN_FLIGHT {
            alone = true;
            let hint = format!("at most {IN_FLIGHT} can be: lower `rate` or `timeout`");
            findings.error("impossible", load.span, words(own), hint);
        }
    }
    if total > IN_FLIGHT && !alone {
        findings.error("impossible", draft.services_at, words(total), hint);
    }
}

/// A load that is still rising when traffic is put back shows nothing of what the plan wants to see.
fn load_comes_to_its_top(draft: &Draft, findings: &mut Findings) {
    let Timing { baseline, stable_for, at_most, .. } = draft.timing.timing;
    for load in &draft.loads {
        let LoadSpec { ramp, from, .. } = &load.value;
        let room = match from {
            LoadFrom::Cut => at_most,
            LoadFrom::Baseline => at_most.saturating_add(baseline),
        };
        let needed = ramp.after.saturating_add(ramp.rise).saturating_add(stable_for);
        if needed > room {
            let what = format!(
                "it comes to its top and is watched there (`stable_for`) after {}, when traffic is back already",
                written(needed)
            );
            findings.error("impossible", load.span, what, raise_at_most(draft));
            relate_at_most(draft, findings);
        }
    }
}

fn whole(draft: &Draft, findings: &mut Findings) {
    if !draft.services_complete || draft.services.is_empty() {
        return;
    }
    if draft.services.iter().all(|service| !service.service.promises_anything()) {
        let what = "no service promises anything, so that there is nothing to judge";
        let hint = "add `promises: { recover_within: 30s }` to a service";
        findings.error("impossible", draft.services_at, what, hint);
    }
    let Some(cut) = draft.cut.as_ref().filter(|cut| cut.complete) else { return };
    let controls = || cut.through().filter_map(|at| draft.traffic.get(at.value));
    if !controls().all(|control| control.complete) {
        return;
    }
    let counted = controls().any(|control| control.spec.provider.settings().counts_traffic());
    let told = draft.services.iter().flat_map(|draft| &draft.service.probes);
    let told = told.filter(|probe| probe.required).any(|probe| probe.served_by.is_some());
    let degraded = matches!(cut.mode, Some(At { value: Mode::Degrade(_), .. }));
    if !counted && !told && !degraded {
        let what = "nothing could prove this cut: no probe tells who served it, and no control counts traffic";
        let hint = "add `served_by` to a required probe";
        findings.error("impossible", cut.through_at, what, hint);
    }
}
