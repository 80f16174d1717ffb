//! What the lab of the quickstart drill knows.

use super::{at, ms};
use crate::model::*;

pub fn truth() -> LabTruth {
    let change = |millis, replica, is_in| LabChange {
        at: at(millis),
        datacenter: "east".into(),
        replica,
        is_in,
    };
    let answers = LabAnswers { first: at(3), last: at(2990), count: 30 };
    let talk = LabServiceTruth {
        changes: vec![
            change(3640, 1, false),
            change(3702, 2, false),
            change(9290, 2, true),
            change(9310, 1, true),
        ],
        answers: [("east".into(), answers)].into(),
        recovery: Some(ms(702)),
        failback: Some(ms(190)),
        ..LabServiceTruth::default()
    };
    LabTruth { services: [("talk".into(), talk)].into(), ..LabTruth::default() }
}

/// Pictures have a recovery of their own, and a store lost two writes when a controller promoted
/// its other copy.
pub fn switched() -> RunRecord {
    let switch = |millis, datacenter: &str, by| LabSwitch {
        at: at(millis),
        datacenter: datacenter.into(),
        by,
    };
    let serving = LabServiceTruth {
        switches: vec![
            switch(4500, "west", LabActor::Controller),
            switch(9900, "east", LabActor::Operator),
        ],
        recovery: Some(ms(1500)),
        failback: Some(ms(600)),
        ..LabServiceTruth::default()
    };
    let accounts = LabStoreTruth {
        serving,
        acknowledged: 118,
        lost: vec!["57".into(), "58".into()],
        first_lost: Some(at(2940)),
        last_lost: Some(at(2990)),
        duplicated: vec!["31".into()],
        never_stored: 1,
        stale_reads: 4,
        by_deposed: 3,
    };
    let promotion = LabPromotion { at: at(4480), of: "accounts".into(), datacenter: "west".into() };
    let mut lab = LabTruth {
        stores: [("accounts".into(), accounts)].into(),
        controllers: [("switch-over".into(), vec![promotion])].into(),
        ..truth()
    };
    for talk in lab.services.values_mut() {
        let path = |recovery| LabPathTruth { recovery };
        talk.paths = [("/images".into(), path(None)), ("/text".into(), path(Some(ms(702))))].into();
    }
    RunRecord { lab: Some(lab), ..super::passed() }
}
