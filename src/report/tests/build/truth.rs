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
