//! `firedrill restore RUN --settled`: a person has put right what a run left.

use std::io;

use futures_util::future::join_all;

use super::output;
use super::restore::{Look, RestoreArgs, look, runtime};
use super::state::Found;
use crate::journal::{Append, Hand, Journal, Record, Says};
use crate::model::Name;

/// Writes down that a person has decided what is right. Touches nothing.
///
/// # Errors
/// A sentence for people, when a cut is in force or may be, or that cannot be written down.
pub(super) fn settle(args: &RestoreArgs, found: &Found) -> Result<bool, String> {
    must_not_be_cut(args, found)?;
    confirm_all(found)
        .map_err(|error| format!("{} cannot be written: {error}", found.journal.display()))?;
    output::say(format_args!("{}: settled by you; nothing was touched", found.id));
    Ok(true)
}

/// Holds that no cut of the run's is in force.
fn must_not_be_cut(args: &RestoreArgs, found: &Found) -> Result<(), String> {
    let Ok(run) = &found.run else { return Ok(()) };
    let looks = run
        .open()
        .map(|entry| async move { (&entry.control.name, look(args.any_host, run, entry).await) });
    let looks: Vec<(&Name, Look)> = runtime()?.block_on(join_all(looks));
    if let Some((control, look)) = looks.iter().find(|(_, look)| look.cut > 0) {
        return Err(format!(
            "{control} says that our cut is still in force ({} of its parts), so nothing was settled; \
             `firedrill restore {}` puts back what nobody else changed",
            look.cut, found.id
        ));
    }
    let unread = looks.iter().filter(|(_, look)| look.says == Says::Unreachable);
    let unread: Vec<String> =
        unread.map(|(control, look)| format!("{control}: {}", look.text)).collect();
    if unread.is_empty() || args.even_unread {
        return Ok(());
    }
    Err(format!(
        "whether our cut is still in force is not known, so nothing was settled: {}; if that control is gone for \
         good, add --even-unread",
        unread.join("; ")
    ))
}

fn confirm_all(found: &Found) -> io::Result<()> {
    let (run, mut journal) = Journal::resume(&found.journal)?;
    let open = run.open().map(|entry| &entry.control.name).chain(run.lost());
    for control in open.cloned().collect::<Vec<_>>() {
        journal.append(&Record::RestoreConfirmed { control, by: Hand::Person })?;
    }
    Ok(())
}
