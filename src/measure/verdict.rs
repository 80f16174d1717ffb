//! The verdict. A pass must be earned.

use super::observation::Observation;
use crate::model::{
    Judgement, LoadRecord, LoadSpec, Marks, Plan, Proof, ServiceRecord, Verdict, Why,
};

/// How the drill ended, apart from what was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// Why nothing was cut.
    pub not_started: Vec<Why>,
    /// What went wrong with the cut, if it was begun and could not be completed.
    pub cut_failed: Option<Why>,
    /// Who or what stopped the drill.
    pub stopped: Option<Why>,
    /// Controls that are not known to be as they were.
    pub not_restored: Vec<Why>,
}

/// A verdict with its reasons, the weightiest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The end of the drill.
    pub verdict: Verdict,
    /// Why. Empty for a pass.
    pub reasons: Vec<Why>,
    /// What was measured of each service, the slowest first.
    pub services: Vec<ServiceRecord>,
}

/// Decides.
///
/// NOT RESTORED outranks all others; a drill that was not begun or not finished says so; then one
/// broken promise is a fail; then anything unproven is inconclusive; the rest has passed.
pub fn judge(plan: &Plan, observation: &Observation, proof: &Proof, ending: Ending) -> Judged {
    let services = observation.services();
    let broken = promises(&services, Judgement::Broken, "promise-broken");
    let unproven = unproven(plan, (observation, &services), proof, &ending);
    let (verdict, reasons) = if !ending.not_restored.is_empty() {
        (Verdict::NotRestored, [ending.not_restored, broken].concat())
    } else if !ending.not_started.is_empty() {
        (Verdict::NotStarted, ending.not_started)
    } else if let Some(stopped) = ending.stopped {
        (Verdict::Stopped, [vec![stopped], broken].concat())
    } else if !broken.is_empty() {
        (Verdict::Fail, [broken, unproven].concat())
    } else if !unproven.is_empty() {
        (Verdict::Inconclusive, unproven)
    } else {
        (Verdict::Pass, Vec::new())
    };
    Judged { verdict, reasons, services }
}

fn unproven(
    plan: &Plan,
    (observation, services): (&Observation, &[ServiceRecord]),
    proof: &Proof,
    ending: &Ending,
) -> Vec<Why> {
    let mut reasons: Vec<Why> = ending.cut_failed.iter().cloned().collect();
    reasons.extend(proof.missing.iter().cloned());
    reasons.extend(promises(services, Judgement::Undecided, "promise-undecided"));
    let loads = plan.loads.iter().zip(observation.loads());
    reasons.extend(loads.filter_map(|(spec, seen)| not_offered(spec, &seen, &observation.marks)));
    if services.iter().all(|service| service.promises.is_empty()) {
        reasons.push(Why::new("nothing-promised", "no promise was put to the test"));
    }
    reasons.extend(observation.not_back().map(|who| {
        let text = format!("{who} was not seen back as before the cut after the restore");
        Why::new("not-back", text)
    }));
    reasons
}

/// With more than one in so many requests not sent, survivors were not put to the test that the plan wants.
const NOT_OFFERED_ONE_IN: u64 = 20;

fn not_offered(spec: &LoadSpec, seen: &LoadRecord, marks: &Marks) -> Option<Why> {
    let (name, counts) = (&seen.name, &seen.counts);
    let was_full =
        spec.full_from(marks).zip(marks.restore_issued).is_some_and(|(full, end)| full < end);
    let text = if counts.unknown * NOT_OFFERED_ONE_IN > counts.due {
        let (unknown, due) = (counts.unknown, counts.due);
        format!(
            "the load {name} was not offered: {unknown} of its {due} requests could not be sent"
        )
    } else if !was_full {
        let rate = spec.ramp.rate;
        format!(
            "the load {name} was not offered: traffic was put back before it came to {rate} requests a second"
        )
    } else {
        return None;
    };
    Some(Why::new("load-not-offered", text))
}

fn promises(services: &[ServiceRecord], judgement: Judgement, code: &str) -> Vec<Why> {
    let mut reasons = Vec::new();
    for service in services {
        for result in service.promises.iter().filter(|result| result.judgement == judgement) {
            let feature = result.feature.as_ref().map(|feature| format!("/{feature}"));
            let who = format!("{}{}", service.name, feature.unwrap_or_default());
            let text = format!("{who}: {}: {}", result.promise, result.why);
            reasons.push(Why::new(code, text));
        }
    }
    reasons
}
