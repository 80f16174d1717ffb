//! Run record -> bytes. Nothing here decides, opens a file or prints.

mod check;
mod comparison;
mod contract;
mod csv;
mod environment;
mod events;
mod gate;
mod github;
mod guardrails;
mod headline;
mod history;
mod html;
mod impact;
mod json;
mod junit;
mod lab;
mod ledgers;
mod loads;
mod markdown;
mod notified;
mod openmetrics;
mod page;
mod placement;
mod probes;
mod promises;
mod proof;
mod schema;
mod split;
#[cfg(test)]
mod tests;
mod traffic;
mod words;

use crate::model::RunRecord;
pub use check::{Previewed, checks, placement, preview, preview_json};
pub use comparison::comparison;
pub use contract::{contract, contract_event};
pub use csv::Csv;
pub use events::{event_line, left_out_line};
pub use gate::gate;
pub use github::annotations;
pub use history::history;
pub use html::html;
pub use json::{json, pretty};
pub use junit::junit;
pub use markdown::markdown;
pub use openmetrics::openmetrics;
use page::Page;
pub use schema::record_schema;

/// What decided, in a sentence without its full stop.
pub fn headline(record: &RunRecord) -> String {
    words::plain(&headline::sentence(record))
}

/// How the table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableStyle {
    /// The longest line, in columns of the terminal. Below 40 it is taken as 40.
    pub width: u16,
    /// Whether to colour it. Nothing is told by colour alone.
    pub color: bool,
    /// Whether to keep to ASCII: what else is in it is drawn with ASCII's characters, or as `?`.
    pub ascii: bool,
}

impl TableStyle {
    /// For what is no terminal: a file, a pipe, another report.
    pub const FILE: TableStyle = TableStyle { width: 100, color: false, ascii: false };
}

/// The report for people: the verdict first, then its evidence, in lines of at most `style.width`.
pub fn table(record: &RunRecord, style: TableStyle) -> String {
    let mut page = Page::new(style);
    headline::write(record, &mut page);
    traffic::write_alarm(record, &mut page);
    headline::write_reasons(record, &mut page);
    promises::write(record, &mut page);
    impact::write(record, &mut page);
    split::write(record, &mut page);
    proof::write(record, &mut page);
    probes::write(record, &mut page);
    ledgers::write(record, &mut page);
    loads::write(record, &mut page);
    guardrails::write(record, &mut page);
    traffic::write(record, &mut page);
    placement::write(record, &mut page);
    lab::write(record, &mut page);
    headline::write_run(record, &mut page);
    environment::write(record, &mut page);
    notified::write(record, &mut page);
    page.finish()
}
