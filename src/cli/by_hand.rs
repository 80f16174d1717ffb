//! How to restore by hand, from a journal alone.

use std::fmt::Write;
use std::path::Path;

use super::{output, reach, state};
use crate::journal::{Entry, Run};

/// Says on stderr how to put back what the run of `journal` may have cut.
pub(super) fn show(journal: &Path) {
    match state::find(journal).map(|found| found.run) {
        Ok(Ok(run)) => output::say_lines(text(&run).trim_end()),
        Ok(Err(error)) => output::say(format_args!("{}: {error}", journal.display())),
        Err(error) => output::say(format_args!("{}: {error}", journal.display())),
    }
}

/// The commands that put back what `run` may have cut.
fn text(run: &Run) -> String {
    let mut text = String::new();
    for entry in run.open() {
        let _ = writeln!(text, "to put {} back by hand:", entry.control.name);
        for command in commands(entry) {
            let _ = writeln!(text, "  {command}");
        }
    }
    if text.is_empty() {
        text.push_str("nothing is cut by this run, as its journal says\n");
    } else {
        text.push_str("the restore goes on meanwhile\n");
    }
    text
}

/// The commands that put a control back, each on a line.
pub(super) fn commands(entry: &Entry) -> Vec<String> {
    match reach::shown(&entry.control) {
        Ok(Some(control)) => control.by_hand(&entry.before),
        Ok(None) => vec!["end the drill's process: its gates end with it".to_owned()],
        Err(error) => vec![error.to_string()],
    }
}
