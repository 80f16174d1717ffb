//! Probes that may go on being served from elsewhere after the restore: where that means something, and whether
//! anybody else sees the way back.

use crate::model::{ProbeSpec, Service};

use super::draft::{Draft, ServiceDraft};
use super::finding::{Findings, quote};
use super::ledger;
use super::tree::Span;

/// Reports `may_stay` where nothing is waited for anyway, and a plan in which every probe may stay.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let mut staying = None;
    for draft_of in &draft.services {
        let ServiceDraft { service, probes_at, .. } = draft_of;
        for (probe, places) in service.probes.iter().zip(probes_at).filter(|(it, _)| it.may_stay) {
            let at = places.may_stay.unwrap_or(places.name);
            if means_something(service, probe, at, findings) {
                staying.get_or_insert(at);
            }
        }
    }
    let Some(at) = staying else { return };
    let complete = draft.services.iter().all(|draft_of| draft_of.complete);
    if complete && !draft.services.iter().any(|draft_of| sees_the_way_back(&draft_of.service)) {
        let what = "nobody sees the way back: no judged probe must be served by the cut datacenter \
                    again after the restore";
        let hint = "traffic is then back when the controls say so and the answers are good; to see \
                    it, add a required probe with `served_by` of what that datacenter serves again, such as a \
                    page or a replica there";
        findings.warning("way-back-unseen", at, what, hint);
    }
}

/// Whether what is promised for the time after the restore could be seen by one of those that are judged by it.
pub(super) fn could_be_seen_back(judged_by: &[&ProbeSpec]) -> bool {
    let all_may_stay = !judged_by.is_empty() && judged_by.iter().all(|probe| probe.may_stay);
    all_may_stay || judged_by.iter().any(|probe| probe.served_by.is_some() && !probe.may_stay)
}

/// Whether anybody would wait for its return; reports it if not.
fn means_something(
    service: &Service,
    probe: &ProbeSpec,
    at: Span,
    findings: &mut Findings,
) -> bool {
    if service.standby {
        let what = format!(
            "`may_stay` means nothing here: {} is a standby service",
            quote(service.name.as_str())
        );
        let hint = "the cut datacenter serves nothing on an ordinary day, so that nobody waits for \
                    it: take it out";
        findings.error("impossible", at, what, hint);
        return false;
    }
    if probe.served_by.is_none() && !ledger::is_exec(probe) {
        let what = "`may_stay` means nothing here: this probe does not tell who serves";
        let hint = "add `served_by`, so that the cut is proven by it, or take `may_stay` out";
        findings.error("impossible", at, what, hint);
        return false;
    }
    true
}

/// Whether a judged probe of it is waited for until the cut datacenter serves it again.
fn sees_the_way_back(service: &Service) -> bool {
    let judged = |probe: &&ProbeSpec| probe.required || !probe.promises.is_empty();
    let mut judged = service.probes.iter().filter(judged);
    let sees = |probe: &ProbeSpec| probe.served_by.is_some() && !probe.may_stay;
    !service.standby && service.promises_anything() && judged.any(sees)
}
