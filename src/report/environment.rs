//! The machine that the drill ran on, and what became of the samples: a line each.

use super::page::{Ink, Page};
use super::words::{GAP, grouped, plural, time};
use crate::model::{Environment, RunRecord};

/// Writes them, as far as the record says.
pub fn write(record: &RunRecord, page: &mut Page) {
    if let Some(environment) = &record.environment {
        page.paragraph(0, 0, &[(Ink::Dim, line(environment))]);
    }
    if let Some(samples) = record.samples.as_ref().filter(|samples| samples.lost > 0) {
        let lost = plural(samples.lost, "sample was", "samples were");
        let why = samples.why.as_deref().map_or(String::new(), |why| format!(": {why}"));
        let text = format!("{lost} judged and not kept{why}");
        page.paragraph(0, 0, &[(Ink::Doubt, text)]);
    }
}

/// The machine and how true its clock was, in one line.
pub fn line(environment: &Environment) -> String {
    let Environment { host, os, kernel, cores, memory_bytes, open_files, time_zone, commit, timer } =
        environment;
    let mut parts = vec![format!("on {host}")];
    parts.extend(os.clone());
    parts.push(kernel.clone());
    parts.extend(cores.map(|cores| plural(cores, "core", "cores")));
    parts.extend(
        memory_bytes.map(|bytes| format!("{:.1}{GAP}GiB", bytes as f64 / f64::from(1 << 30))),
    );
    parts.push(
        open_files.map_or("unlimited files".to_owned(), |most| plural(most, "file", "files")),
    );
    parts.extend(time_zone.clone());
    parts.extend(commit.as_ref().map(|commit| format!("commit{GAP}{commit}")));
    parts.push(match timer.late {
        0 => "no request sent late".to_owned(),
        late => format!(
            "{} of {} sent late, by at most {}",
            grouped(late),
            plural(timer.sent, "request", "requests"),
            time(timer.late_by_at_most)
        ),
    });
    // A dot stays with what it follows.
    parts.join(&format!("{GAP}· "))
}
