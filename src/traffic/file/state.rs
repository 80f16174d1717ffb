//! The state of a piece of the file, as journals and reports have it.

use super::edits::Stands;
use crate::model::{FileEdit, PartState, Passage};

/// Keys of [`PartState::settings`]: what stands in the file, and what the server was told of it at last.
const TEXT: &str = "text";
const TOLD: &str = "told";
const OPEN: &str = "open";
const CUT: &str = "cut";

/// The state of a piece. `in_force`: what a cut says is what clients see. `is_due`: it was put back, and the server has
/// not taken that yet.
pub(super) fn part(edit: &FileEdit, stands: Stands, in_force: bool, is_due: bool) -> PartState {
    let (text, told, passage) = match stands {
        Stands::Cut if in_force => (&*edit.with, CUT, Passage::Closed),
        Stands::Cut => (&*edit.with, CUT, Passage::Open),
        Stands::Open if is_due => (&*edit.find, CUT, Passage::Closed),
        Stands::Open => (&*edit.find, OPEN, Passage::Open),
        Stands::Nowhere => ("gone, or changed by another hand", OPEN, Passage::Open),
        Stands::Repeatedly => ("there more than once", OPEN, Passage::Open),
    };
    let settings = [(TEXT, text), (TOLD, told)];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    PartState { datacenter: edit.datacenter, passage, settings: settings.into() }
}

/// Whether the piece stood as on an ordinary day.
pub(super) fn was_open(part: &PartState) -> bool {
    part.settings.get(TOLD).is_some_and(|told| told == OPEN)
}
