//! The prediction beside what a drill saw.

use crate::model::{
    Compared, Loss, Marks, ModeKind, Name, Outlook, PlacementRecord, Plan, ProbeRecord, Seen,
    ServiceRecord, Stage,
};

/// Below this share of good samples, one in so many, a service that never recovered was down; from it on, it was
/// degraded.
const GOOD_ONE_IN: u64 = 10;

/// Lays what was expected of the cut datacenter's loss beside what was seen.
pub fn record(
    plan: &Plan,
    loss: Loss,
    services: &[ServiceRecord],
    marks: &Marks,
) -> PlacementRecord {
    // A sick network is no loss: the check says what goes when it is gone.
    let comparable = plan.cut.mode.kind() != ModeKind::Degrade;
    let by_name: std::collections::HashMap<_, _> =
        services.iter().map(|record| (&record.name, record)).collect();
    let compared = loss.services.into_iter().map(|forecast| {
        let found = by_name.get(&forecast.name);
        let measured = found.map_or(Seen::NotMeasured, |record| seen(record, marks));
        let agrees = agree(forecast.predicted, measured).filter(|_| comparable);
        Compared { forecast, measured, agrees }
    });
    PlacementRecord { services: compared.collect(), control_plane: loss.control_plane }
}

/// Whether a prediction and a measurement agree. A service that was expected to stay up may take a moment to: the
/// check says who is left, not how fast they take over.
fn agree(predicted: Outlook, measured: Seen) -> Option<bool> {
    match (predicted, measured) {
        (Outlook::Unknown, _) | (_, Seen::NotMeasured) => None,
        (Outlook::Down, measured) => Some(measured == Seen::Down),
        (Outlook::Up, measured) => Some(matches!(measured, Seen::Up | Seen::FailedOver)),
        (Outlook::Degraded | Outlook::NeedsFailover, measured) => Some(measured != Seen::Down),
    }
}

/// What was seen of a service: the worst of the probes that it is judged by.
fn seen(service: &ServiceRecord, marks: &Marks) -> Seen {
    let promises = |probe: &Name| {
        service.promises.iter().any(|promise| promise.feature.as_ref() == Some(probe))
    };
    let judged = service.probes.iter().filter(|probe| probe.required || promises(&probe.name));
    judged.map(|probe| of_probe(probe, marks)).max().unwrap_or(Seen::NotMeasured)
}

fn of_probe(probe: &ProbeRecord, marks: &Marks) -> Seen {
    let (Some(cut), Some(recovery)) = (marks.cut_issued, probe.recovery) else {
        return Seen::NotMeasured;
    };
    let end = marks.restore_issued.or(marks.ended).unwrap_or(cut);
    let mut troubles =
        probe.outages.iter().filter(|it| it.began_by >= cut && it.began_by < end).peekable();
    if recovery.seamless {
        return Seen::Up;
    }
    if recovery.bounds.high.is_none() {
        let bad: u64 = troubles.map(|outage| outage.samples).sum();
        let good = [Stage::Cut, Stage::Observe]
            .iter()
            .filter_map(|stage| probe.latency.get(stage))
            .map(|latency| latency.count)
            .sum::<u64>();
        let some = good.saturating_mul(GOOD_ONE_IN) >= good.saturating_add(bad);
        return if good > 0 && some { Seen::Degraded } else { Seen::Down };
    }
    troubles.next();
    if troubles.next().is_some() { Seen::Degraded } else { Seen::FailedOver }
}
