//! The verdict. A pass must be earned.

use super::observation::Observation;
use crate::model::{Judgement, LoadRecord, Plan, Proof, ServiceRecord, Verdict, Why};

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
    reasons.extend(observation.loads().iter().filter_map(not_offered));
    if services.iter().all(|service| service.promises.is_empty()) {
        reasons.push(Why::new("nothing-promised", "no promise was put to the test"));
    }
    let promised = plan.services.iter().filter(|spec| spec.promises_anything());
    for spec in promised.filter(|spec| spec.promises.failback_within.is_none()) {
        let record = services.iter().find(|record| record.name == spec.name);
        let back = record.and_then(|record| record.failback);
        if back.is_none_or(|back| back.bounds.high.is_none()) {
            let text =
                format!("{} was not seen back as before the cut after the restore", spec.name);
            reasons.push(Why::new("not-back", text));
        }
    }
    reasons
}

/// With more than one in so many requests not sent, survivors were not put to the test that the plan wants.
const NOT_OFFERED_ONE_IN: u64 = 20;

fn not_offered(load: &LoadRecord) -> Option<Why> {
    let counts = &load.counts;
    let missing = counts.unknown * NOT_OFFERED_ONE_IN > counts.due;
    (missing || counts.due == 0).then(|| {
        let text = format!(
            "the load {} was not offered: {} of its {} requests could not be sent",
            load.name, counts.unknown, counts.due
        );
        Why::new("load-not-offered", text)
    })
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
