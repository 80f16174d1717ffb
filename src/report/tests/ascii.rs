//! The table in ASCII, and lines that a CI runner must not obey.

use unicode_width::UnicodeWidthStr;

use super::{CASES, Case, build};
use crate::report::{TableStyle, junit, markdown, openmetrics, table};

#[test]
fn a_table_in_ascii_is_ascii_and_no_wider() {
    let more: [Case; 2] = [("hostile", build::hostile), ("many", build::many_services)];
    for (name, build) in CASES.into_iter().chain(more) {
        let record = build();
        for width in [40, 60, 80, 120] {
            let style = TableStyle { width, ..TableStyle::FILE };
            let ascii = table(&record, TableStyle { ascii: true, ..style });
            assert!(ascii.is_ascii(), "{name} at {width}: {ascii}");
            let widths = |text: &str| text.lines().map(UnicodeWidthStr::width).collect::<Vec<_>>();
            assert_eq!(widths(&ascii), widths(&table(&record, style)), "{name} at {width}");
        }
    }
}

#[test]
fn a_bound_in_ascii_still_says_that_it_is_one() {
    let style = TableStyle { width: 60, ascii: true, color: false };
    let text = table(&build::failed(), style);
    insta::assert_snapshot!("fail-ascii-60", text);
    assert!(text.contains(">=612 ms") && text.contains("<=812 ms"), "{text}");
}

#[test]
fn no_line_is_a_command_to_a_ci_runner() {
    for nasty in ["::error::x", "x ::add-mask::y ::error::z", "##[error]x", "a\n::stop-commands::b"]
    {
        let mut record = build::hostile_as(nasty);
        record.reasons.rotate_left(1);
        let tables =
            (40..=120).map(|width| table(&record, TableStyle { width, ..TableStyle::FILE }));
        let junit = String::from_utf8(junit(&record).unwrap()).unwrap();
        let others = [junit, markdown(&record), openmetrics(&record)];
        for text in tables.chain(others) {
            for line in text.lines() {
                assert!(!line.trim_start().starts_with("::"), "{line:?} of {nasty:?}");
                assert!(!line.contains("##["), "{line:?} of {nasty:?}");
            }
        }
    }
}
