//! What of a ledger's settings goes together, and with the rest of the plan.

use std::time::Duration;

use crate::model::{LedgerProbe, LedgerStore, ProbeKind, ProbeSpec, ServedBySource};
use crate::plan::draft::{Draft, LedgerPlaces, ProbePlaces};
use crate::plan::finding::Findings;
use crate::plan::read::{At, Fields, Reader, Value};
use crate::plan::sense::relate_at_most;
use crate::plan::units::written;

/// Where the parts of a ledger stand.
pub(in crate::plan) fn places(value: Value) -> LedgerPlaces {
    let at = |key| value.get(key).map(|value| value.span());
    let expire = value.get("redis").and_then(|redis| redis.get("expire"));
    let expire = expire.map(|value| value.span());
    LedgerPlaces { at: value.at, settle: at("settle"), keep: at("keep"), expire }
}

/// Whether it is a ledger kept by commands.
pub(in crate::plan) fn is_exec(probe: &ProbeSpec) -> bool {
    matches!(&probe.kind, ProbeKind::Ledger(ledger) if matches!(ledger.store, LedgerStore::Exec(_)))
}

/// Reports keys beside `ledger` that mean nothing for its kind of store, and records that nothing removes.
pub(in crate::plan) fn fits(
    reader: &mut Reader,
    ledger: &LedgerProbe,
    fields: &Fields,
    served_by: Option<&ServedBySource>,
) {
    let is_exec = matches!(ledger.store, LedgerStore::Exec(_));
    let is_http = matches!(ledger.store, LedgerStore::Http(_));
    if let (true, Some(value)) = (is_exec, fields.get("connection")) {
        let what = "`connection` means nothing for an `exec` ledger: how it connects is its command's own matter";
        reader.findings.error("impossible", value.at, what, "take it out");
    }
    if let (Some(value), Some(source)) = (fields.get("served_by"), served_by) {
        let by_peer = matches!(source, ServedBySource::Peer(_));
        if is_exec {
            let what = "an `exec` ledger has neither headers nor a peer";
            let hint =
                "take it out; its command may name the datacenter itself: `ok KEY DATACENTER`";
            reader.findings.error("impossible", value.at, what, hint);
        } else if !is_http && !by_peer {
            let what = "this ledger's answers have neither headers nor JSON";
            reader.findings.error("impossible", value.at, what, "write `served_by: { peer: … }`");
        }
    }
    let Some(at) = fields.get("ledger").map(places) else { return };
    match (ledger.store.removes(), ledger.keep) {
        (None, false) => {
            let what =
                "nothing removes the records of this ledger: those of each drill stay in its store";
            let hint = "add `remove`, or say `keep: true` if that is as it should be";
            reader.findings.warning("records-stay", at.at, what, hint);
        }
        (Some(_), true) if is_exec || is_http => {
            let what = "`remove` is never used where the records are kept";
            let hint = "take `keep: true` or `remove` out";
            reader.findings.warning("records-stay", at.keep.unwrap_or(at.at), what, hint);
        }
        _ => {}
    }
}

/// Reports a ledger for whose missing records nobody could wait as long as the plan says: it is read back while traffic is
/// cut, once its writes have recovered.
pub(in crate::plan) fn time_to_read(
    draft: &Draft,
    (probe, places): (&ProbeSpec, &ProbePlaces),
    recover: Option<At<Duration>>,
    findings: &mut Findings,
) {
    let (ProbeKind::Ledger(ledger), Some(at)) = (&probe.kind, places.ledger) else { return };
    let timing = &draft.timing.timing;
    let before = recover.map(|at| at.value).unwrap_or_default().saturating_add(timing.stable_for);
    let needed = before.saturating_add(ledger.settle);
    // What does not fit in before that is reported already.
    if before > timing.at_most || needed <= timing.at_most {
        return;
    }
    let what = format!(
        "traffic comes back before missing records had {} (`settle`) to appear",
        written(ledger.settle)
    );
    let hint = format!(
        "raise `at_most` to {} or more, or shorten `settle`: {} must fit in",
        written(needed),
        match recover {
            Some(_) => "`recover_within`, `stable_for` and `settle`",
            None => "`stable_for` and `settle`",
        }
    );
    findings.error("impossible", at.settle.unwrap_or(at.at), what, hint);
    relate_at_most(draft, findings);
}

/// Reports records that would vanish by themselves before they are read back: while nothing can be written nothing keeps them, and
/// what vanished looks lost.
pub(in crate::plan) fn outlive(
    draft: &Draft,
    (probe, places): (&ProbeSpec, &ProbePlaces),
    findings: &mut Findings,
) {
    let (ProbeKind::Ledger(ledger), Some(at)) = (&probe.kind, places.ledger) else { return };
    let LedgerStore::Redis(redis) = &ledger.store else { return };
    let needed = draft.timing.timing.at_most.saturating_add(ledger.settle);
    if redis.expire > needed {
        return;
    }
    let what = format!(
        "records vanish {} after the last write (`expire`), perhaps before they are read back, and would look lost",
        written(redis.expire)
    );
    let hint = format!("raise it above {}: `at_most` and `settle`", written(needed));
    findings.error("impossible", at.expire.unwrap_or(at.at), what, hint);
    relate_at_most(draft, findings);
}
