//! A record whose strings mean harm.

use super::not_restored;
use crate::model::*;

/// Every string that comes from elsewhere tries to steer the terminal.
pub fn hostile() -> RunRecord {
    hostile_as(NASTY)
}

/// What steers a terminal, pretends a verdict, turns the reading direction and hides.
const NASTY: &str = "a\x1b[2J\x1b]0;x\x07b\nPASS\r\u{202e}c\u{200b}\u{9b}31m판교\u{fe0f}";

/// As [`hostile`], with `nasty` in all places.
pub fn hostile_as(nasty: &str) -> RunRecord {
    let mut record = not_restored();
    record.run = nasty.into();
    record.plan.name = nasty.into();
    record.plan.about = Some(nasty.into());
    // What is long by itself is not made longer.
    let often = |times: usize| nasty.repeat(if nasty.len() < 1000 { times } else { 1 });
    record.plan.file = often(20);
    record.plan.datacenters = vec![nasty.into(), nasty.into()];
    record.plan.through = vec![nasty.into()];
    record.reasons.push(Why::new(nasty, nasty));
    record.services[0].name = nasty.into();
    record.services[0].promises[1].why = nasty.into();
    let probe = &mut record.services[0].probes[0];
    probe.name = nasty.into();
    probe.counts.reasons.insert(nasty.into(), 3);
    let mut ledger = LedgerRecord { left_behind: Some(nasty.into()), ..LedgerRecord::default() };
    ledger.datacenters.insert(nasty.into(), LedgerDatacenter::default());
    ledger.reads.push(LedgerReads {
        stage: ReadStage::AfterFailover,
        attempts: 1,
        began: Offset::ZERO,
        ended: Offset::ZERO,
        records: 0,
        missing: 0,
        of_the_cut: 0,
        since: 0,
        foreign: 0,
        one_by_one: false,
        unfinished: Some(often(20)),
    });
    probe.ledger = Some(ledger);
    record.proof.missing.push(Why::new(nasty, nasty));
    record.proof.controls[0].control = nasty.into();
    record.proof.services[0].service = nasty.into();
    record.calls[0].error = Some(often(200));
    let control = &mut record.controls[0];
    let part = control.before.as_ref().unwrap().parts["app/web1"].clone();
    let after = control.after.as_mut().unwrap();
    after.parts.insert(nasty.into(), part);
    let told = &mut record.notifications[1];
    (told.name, told.host, told.why) = (nasty.into(), nasty.into(), Some(nasty.into()));
    record
}
