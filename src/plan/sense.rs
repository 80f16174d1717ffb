//! Combinations that cannot work, each part being right by itself.
//!
//! Parts that could not be read are left out here: what is wrong with them is said already.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::{DatacenterId, LabService, Mode, Name, ProbeSpec, Provider};

use super::draft::{ControlDraft, CutDraft, Draft, LabDraft, ServiceDraft};
use super::finding::{Findings, quote};
use super::read::At;
use super::tree::Span;
use super::units::written;

/// More requests under way at once than one machine has file descriptors and ports for.
const IN_FLIGHT: f64 = 15_000.0;

/// Holds the parts of a plan together and reports what cannot work.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    timing(draft, findings);
    if let Some(cut) = &draft.cut {
        through(draft, cut, findings);
        if let (Some(lab), Some(datacenter)) = (&draft.lab, cut.datacenter) {
            lab_can_take_over(draft, lab, &datacenter, findings);
        }
    }
    lab_is_there(draft, findings);
    for service in &draft.services {
        promises(draft, service, findings);
        probes(draft, service, findings);
    }
    load(draft, findings);
    whole(draft, findings);
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

fn raise_at_most(draft: &Draft) -> String {
    format!("shorten it, or raise `at_most` ({})", written(draft.timing.timing.at_most))
}

fn relate_at_most(draft: &Draft, findings: &mut Findings) {
    relate(findings, draft.timing.at_most_at, "the longest that traffic may stay cut");
}

/// A default stands nowhere in the file and cannot be pointed at.
fn relate(findings: &mut Findings, span: Option<Span>, label: &str) {
    if let Some(span) = span {
        findings.relate(span, label);
    }
}

fn through(draft: &Draft, cut: &CutDraft, findings: &mut Findings) {
    let through = cut.through.iter().filter_map(|at| Some((at, draft.traffic.get(at.value)?)));
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
        }
        if let Some(datacenter) = cut.datacenter
            && leads_nowhere(control, datacenter.value)
        {
            let name = quote(control.spec.name.as_str());
            let cut_name = datacenter_name(draft, datacenter.value);
            let what = format!("{name} has nothing in {cut_name} to cut");
            let hint = match provider {
                Provider::Proxy(_) => {
                    format!("add a route to {cut_name}, or take it out of `through`")
                }
                _ => format!("add the servers of {cut_name}, or take it out of `through`"),
            };
            findings.error("impossible", at.span, what, hint);
            findings.relate(control.at, "it is defined here");
        }
    }
}

fn leads_nowhere(control: &ControlDraft, datacenter: DatacenterId) -> bool {
    match &control.spec.provider {
        // Replicas are looked at with the lab.
        Provider::Lab => false,
        Provider::Proxy(proxy) => proxy.routes.iter().all(|route| route.datacenter != datacenter),
        Provider::Haproxy(haproxy) => {
            haproxy.servers.iter().all(|servers| servers.datacenter != datacenter)
        }
    }
}

fn datacenter_name(draft: &Draft, datacenter: DatacenterId) -> String {
    quote(draft.datacenters.names.get(datacenter.index()).map_or("?", |name| name.as_str()))
}

fn lab_can_take_over(
    draft: &Draft,
    lab: &LabDraft,
    cut: &At<DatacenterId>,
    findings: &mut Findings,
) {
    if !lab.complete {
        return;
    }
    let name = datacenter_name(draft, cut.value);
    let mut anything = false;
    let services = lab.spec.services.values();
    let called: HashSet<&Name> = services.flat_map(LabService::callees).collect();
    for (service, spec) in &lab.spec.services {
        let inside = spec.replicas.contains_key(&cut.value);
        anything |= inside;
        // What is only called may stand in one place: to show what then falls is what drills are for.
        if inside && spec.replicas.len() == 1 && !called.contains(service) {
            let span = lab.names_at.get(service).copied().unwrap_or(lab.at);
            let what = format!(
                "{} stands only in {name}: nothing could take over",
                quote(service.as_str())
            );
            findings.error("impossible", span, what, "give it replicas in another datacenter");
            findings.relate(cut.span, "this datacenter is cut");
        }
    }
    anything |= lab
        .spec
        .stores
        .values()
        .any(|store| store.primary == cut.value || store.replicas.contains(&cut.value));
    if !anything {
        let what = format!("the lab has no replica in {name}, so that losing it proves nothing");
        findings.error("impossible", cut.span, what, format!("give a service replicas in {name}"));
        findings.relate(lab.at, "the lab");
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

fn promises(draft: &Draft, draft_of: &ServiceDraft, findings: &mut Findings) {
    let ServiceDraft { service, at, recover, failback, complete, .. } = draft_of;
    if !complete {
        return;
    }
    let name = quote(service.name.as_str());
    let required = service.probes.iter().filter(|probe| probe.required);
    if !service.promises.is_empty() && required.count() == 0 {
        let what = format!("service {name} makes a promise that no required probe measures");
        findings.error("impossible", *at, what, "take `required: false` from one of its probes");
    }
    if service.promises.is_empty() {
        let what = format!("service {name} promises nothing and is only watched");
        findings.warning("no-promise", *at, what, "add `promises: { recover_within: 30s }`");
    }
    let timing = &draft.timing.timing;
    if let Some(recover) = recover
        && timing.stable_for <= timing.at_most
        && recover.value + timing.stable_for > timing.at_most
    {
        let needed = recover.value + timing.stable_for;
        let what = "traffic comes back before this promise can be decided";
        let hint = format!(
            "raise `at_most` to {} or more: `recover_within` and `stable_for` must fit in",
            written(needed)
        );
        findings.error("impossible", recover.span, what, hint);
        relate_at_most(draft, findings);
    }
    if let Some(failback) = failback
        && service.standby
    {
        let what = "`failback_within` means nothing for a standby service";
        let hint =
            "the cut datacenter serves nothing on an ordinary day: use `sustain`, or take it out";
        findings.error("impossible", failback.span, what, hint);
    }
    let tells = |probe: &&ProbeSpec| probe.required && probe.served_by.is_some();
    if let Some(failback) = failback
        && !service.standby
        && !service.probes.iter().any(|probe| tells(&probe))
    {
        let what =
            "nothing could see the cut datacenter serve again: no required probe tells who serves";
        let hint = "add `served_by` to a required probe, or take `failback_within` out";
        findings.error("impossible", failback.span, what, hint);
    }
}

fn probes(draft: &Draft, draft_of: &ServiceDraft, findings: &mut Findings) {
    let ServiceDraft { service, at, probes_at, recover, failback, complete, .. } = draft_of;
    let budgets = [("recover_within", *recover), ("failback_within", *failback)];
    for (probe, places) in service.probes.iter().zip(probes_at) {
        let tightest = budgets.iter().filter_map(|(key, budget)| Some((*key, (*budget)?)));
        let tightest = tightest.min_by_key(|(_, budget)| budget.value);
        if let Some((key, budget)) = tightest
            && probe.required
            && probe.every > budget.value / 2
        {
            let what = format!(
                "a sample every {} cannot decide `{key}` of {}",
                written(probe.every),
                written(budget.value)
            );
            let hint = format!(
                "write `every: {}` or shorter: the measured time is uncertain by about one period",
                written(deciding_period(budget.value))
            );
            findings.error("impossible", places.every, what, hint);
            findings.relate(budget.span, "the budget");
        }
        if probe.every > draft.timing.timing.stable_for {
            let what = "`stable_for` is shorter than a period of this probe";
            let hint = "one sample would count as stable: raise `stable_for`, or lower `every`";
            findings.error("impossible", places.every, what, hint);
            relate(findings, draft.timing.stable_for_at, "how long it must be good");
        }
        if probe.every > draft.timing.timing.baseline {
            let what = "`baseline` is shorter than a period of this probe";
            let hint = "an ordinary day must be seen first: raise `baseline`, or lower `every`";
            findings.error("impossible", places.every, what, hint);
            relate(findings, draft.timing.baseline_at, "how long to watch before the cut");
        }
        if probe.timeout > draft.timing.timing.at_most {
            let what = format!("`timeout` ({}) is longer than `at_most`", written(probe.timeout));
            findings.error("impossible", places.timeout, what, raise_at_most(draft));
            relate_at_most(draft, findings);
        }
    }
    let told = service.probes.iter().any(|probe| probe.served_by.is_some());
    if *complete && !told && !service.probes.is_empty() {
        let what = format!("no probe of {} tells who served it", quote(service.name.as_str()));
        let hint = "add `served_by`, or leaks from the cut datacenter stay unseen";
        findings.warning("no-served-by", *at, what, hint);
    }
}

/// A period that decides `budget` comfortably: about a tenth of it, in round numbers.
fn deciding_period(budget: Duration) -> Duration {
    let tenth = budget / 10;
    let unit = match tenth {
        _ if tenth >= Duration::from_secs(1) => Duration::from_secs(1),
        _ if tenth >= Duration::from_millis(1) => Duration::from_millis(1),
        _ => Duration::from_micros(1),
    };
    let units = tenth.as_nanos() / unit.as_nanos();
    unit * u32::try_from(units.max(1)).unwrap_or(u32::MAX)
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
    if total > IN_FLIGHT && !alone {
        findings.error("impossible", draft.services_at, words(total), hint);
    }
}

fn whole(draft: &Draft, findings: &mut Findings) {
    if !draft.services_complete || draft.services.is_empty() {
        return;
    }
    if draft.services.iter().all(|service| service.service.promises.is_empty()) {
        let what = "no service promises anything, so that there is nothing to judge";
        let hint = "add `promises: { recover_within: 30s }` to a service";
        findings.error("impossible", draft.services_at, what, hint);
    }
    let Some(cut) = draft.cut.as_ref().filter(|cut| cut.complete) else { return };
    let controls = || cut.through.iter().filter_map(|at| draft.traffic.get(at.value));
    if !controls().all(|control| control.complete) {
        return;
    }
    let counted = controls().any(|control| control.spec.provider.counts_traffic());
    let told = draft.services.iter().flat_map(|draft| &draft.service.probes);
    let told = told.filter(|probe| probe.required).any(|probe| probe.served_by.is_some());
    let degraded = matches!(cut.mode, Some(At { value: Mode::Degrade(_), .. }));
    if !counted && !told && !degraded {
        let what = "nothing could prove this cut: no probe tells who served it, and no control counts traffic";
        let hint = "add `served_by` to a required probe";
        findings.error("impossible", cut.through_at, what, hint);
    }
}
