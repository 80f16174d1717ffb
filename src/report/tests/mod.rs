//! What the reports look like, and what they keep to.

mod build;

use unicode_width::UnicodeWidthStr;

use super::{TableStyle, json, table};
use crate::model::*;

type Case = (&'static str, fn() -> RunRecord);

const CASES: [Case; 8] = [
    ("pass", build::passed),
    ("fail", build::failed),
    ("inconclusive-leak", build::leaking),
    ("not-started", build::not_started),
    ("stopped", build::stopped),
    ("not-restored", build::not_restored),
    ("seamless", build::seamless),
    ("unmeasured", build::unmeasured),
];

fn plain(record: &RunRecord, width: u16) -> String {
    table(record, TableStyle { width, color: false })
}

#[test]
fn every_verdict_reads_well_at_80_and_120_columns() {
    for (name, build) in CASES {
        for width in [80, 120] {
            insta::assert_snapshot!(format!("{name}-{width}"), plain(&build(), width));
        }
    }
}
