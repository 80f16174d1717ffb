//! The proof of the cut: what the controls say, and what users' samples say.

use super::observation::Observation;
use crate::model::{
    ControlProof, ModeKind, Plan, ProbeKind, Proof, ServiceProof, Share, Stage, Why,
};

/// Fewer answers than this while cut show nothing about who gives them.
const ANSWERS: u64 = 3;

/// Lays the evidence together and names what is missing from it.
///
/// Proof is two-fold: every control says that it is cut, each time that it is read; and users'
/// samples say so: the cut datacenter's share of answers fell to zero, or the path to it was seen
/// dead. A degraded datacenter goes on serving; there the path must have been used.
pub fn prove(plan: &Plan, observation: &Observation, controls: Vec<ControlProof>) -> Proof {
    let (services, named): (Vec<ServiceProof>, Vec<u64>) = (0..plan.services.len())
        .filter_map(|number| service_proof(plan, observation, number))
        .unzip();
    let mut proof = Proof { controls, services, missing: Vec::new() };
    let mut missing = Vec::new();
    if observation.marks.cut_confirmed.is_none() {
        missing.push(Why::new("cut-not-confirmed", "no control confirmed the cut"));
    }
    missing.extend(proof.controls.iter().filter_map(control_doubt));
    match plan.cut.mode.kind() {
        ModeKind::Degrade => missing.extend(unused(&proof)),
        mode => missing.extend(still_served(plan, &proof, &named, mode)),
    }
    proof.missing = missing;
    proof
}

/// What the samples of a service say, and how many of the answers while cut named somebody.
fn service_proof(
    plan: &Plan,
    observation: &Observation,
    number: usize,
) -> Option<(ServiceProof, u64)> {
    let service = plan.services.get(number)?;
    let mut found = ServiceProof {
        service: service.name.clone(),
        before: Share::default(),
        during: Share::default(),
        examples: Vec::new(),
    };
    let mut tells = false;
    let mut named = 0;
    for series in observation.series_of(number as u32) {
        let Some(probe) = service.probes.get(series.probe.probe as usize) else { continue };
        if probe.served_by.is_none() || !series.timeline.can_tell() {
            continue;
        }
        let during = series.timeline.share_of_cut(&[Stage::Observe]);
        // While draining, old connections and old answers of the DNS may go on being used: no leak, and no proof either.
        let drains = plan.cut.mode.kind() == ModeKind::Drain;
        if drains && probe.holds_on() && during.part > 0 {
            continue;
        }
        // Where the DNS leads is no sign of what gets through: only a drain is made there.
        if !drains && matches!(probe.kind, ProbeKind::Dns(_)) {
            continue;
        }
        tells = true;
        let add = |to: &mut Share, share: Share| {
            to.part += share.part;
            to.whole += share.whole;
        };
        add(&mut found.before, series.timeline.share_of_cut(&[Stage::Baseline]));
        add(&mut found.during, during);
        named += series.timeline.named(&[Stage::Observe]);
        let room = 5usize.saturating_sub(found.examples.len());
        found.examples.extend(series.timeline.leaks.examples.iter().take(room));
    }
    tells.then_some((found, named))
}

fn control_doubt(control: &ControlProof) -> Option<Why> {
    let name = &control.control;
    if control.reads == 0 {
        let text = format!("{name} was never read while it had to be cut");
        return Some(Why::new("control-not-read", text));
    }
    if control.reads_cut < control.reads {
        let text = format!(
            "the cut did not hold: {name} was read {} times while it had to be cut, and said so {} \
             times; a reload, an expiry or another hand put traffic back",
            control.reads, control.reads_cut
        );
        return Some(Why::new("cut-did-not-hold", text));
    }
    None
}

fn unused(proof: &Proof) -> Option<Why> {
    let mut counted = proof.controls.iter().filter_map(|control| control.path).peekable();
    if counted.peek().is_none() || counted.any(|path| path.connections > 0) {
        return None;
    }
    let text = "nothing used the degraded path, so nothing was put to the test";
    Some(Why::new("path-not-used", text))
}

fn still_served(plan: &Plan, proof: &Proof, named: &[u64], mode: ModeKind) -> Vec<Why> {
    let mut missing = Vec::new();
    let datacenter = plan.lost();
    for service in &proof.services {
        if service.during.part > 0 {
            let when: Vec<String> = service.examples.iter().map(ToString::to_string).collect();
            let text = format!(
                "{datacenter} still served {} while cut: {} of {} answers, such as those asked for \
                 at {}",
                service.service,
                service.during.part,
                service.during.whole,
                when.join(", ")
            );
            missing.push(Why::new("leak", text));
        }
    }
    // Old connections may finish while draining.
    if mode != ModeKind::Drain {
        for control in &proof.controls {
            if let Some(path) = control.path.filter(|path| path.bytes > 0) {
                let text = format!(
                    "{} bytes passed through {} to {datacenter} after the cut was confirmed",
                    path.bytes, control.control
                );
                missing.push(Why::new("leak", text));
            }
        }
    }
    // An answer that names nobody may have come from anywhere.
    let by_share = proof.services.iter().zip(named).any(|(service, named)| {
        service.before.part > 0 && service.during.part == 0 && *named >= ANSWERS
    });
    let by_path = proof
        .controls
        .iter()
        .filter_map(|control| control.path)
        .any(|path| path.connections > 0 && path.bytes == 0);
    if !by_share && !by_path && missing.is_empty() {
        let text = format!(
            "no user's sample shows that {datacenter} was lost: it was not seen serving before and \
             silent after, and nothing was seen failing on the way to it"
        );
        missing.push(Why::new("not-seen-by-users", text));
    }
    missing
}
