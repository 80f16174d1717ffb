//! What was expected to be lost, and whether it was.

use super::page::{Entry, Ink, Page, Span};
use super::words::plural;
use crate::model::{Compared, Forecast, Loss, Outlook, RunRecord, Seen};

/// Entries of one kind; more are counted.
const ROWS: usize = 8;

/// Writes the section of a run: what did not come true first, then what was lost, with the chains.
pub fn write(record: &RunRecord, page: &mut Page) {
    if let Some(told) = of_run(record) {
        page.heading("Placement", &[told.note]);
        page.entries(&told.entries);
        if let Some(quiet) = told.quiet {
            page.paragraph(2, 2, &[quiet]);
        }
    }
}

/// What there is to tell of the placement check.
pub struct Told {
    /// How well it predicted.
    pub note: Span,
    /// What did not come true first, then what was lost.
    pub entries: Vec<Entry>,
    /// Those that stayed up as they should.
    pub quiet: Option<Span>,
}

/// What there is to tell; `None` where nothing was predicted or cut.
pub fn of_run(record: &RunRecord) -> Option<Told> {
    let placement = &record.placement;
    let nothing = placement.services.is_empty() && placement.control_plane.is_empty();
    if nothing || record.marks.cut_issued.is_none() {
        return None;
    }
    let (wrong, right): (Vec<&Compared>, Vec<&Compared>) =
        placement.services.iter().partition(|it| it.agrees == Some(false));
    let compared = placement.services.iter().filter(|it| it.agrees.is_some()).count();
    let note = note(wrong.len(), compared);
    let parts = placement.control_plane.iter().filter(|part| part.predicted.is_loss());
    let mut entries: Vec<Entry> = limited(wrong, disagreement);
    entries.extend(limited(parts.collect(), control_plane));
    let (told, quiet): (Vec<&Compared>, Vec<&Compared>) =
        right.into_iter().partition(|it| it.forecast.predicted > Outlook::Up);
    entries.extend(limited(told, agreement));
    let quiet = quiet.iter().filter(|it| it.agrees == Some(true)).count();
    let quiet = (quiet > 0).then(|| {
        let text = plural(quiet as u64, "service", "services");
        (Ink::Dim, format!("{text} that should have stayed up did so"))
    });
    Some(Told { note, entries, quiet })
}

fn note(wrong: usize, compared: usize) -> Span {
    match (wrong, compared) {
        (_, 0) => (Ink::Plain, "nothing that was expected could be compared".to_owned()),
        (0, _) => (Ink::Good, "it went as expected".to_owned()),
        (wrong, _) => {
            let text = plural(
                wrong as u64,
                "service was not as expected",
                "services were not as expected",
            );
            (Ink::Doubt, text)
        }
    }
}

/// The first entries, and how many more there are.
fn limited<T>(all: Vec<&T>, entry: fn(&T) -> Entry) -> Vec<Entry> {
    let more = all.len().saturating_sub(ROWS);
    let mut entries: Vec<Entry> = all.into_iter().take(ROWS).map(entry).collect();
    if more > 0 {
        entries.push(Entry {
            label: String::new(),
            text: vec![(Ink::Dim, format!("and {more} more"))],
        });
    }
    entries
}

fn disagreement(it: &Compared) -> Entry {
    let forecast = &it.forecast;
    let mut text = vec![
        (Ink::Plain, format!("expected {}, and it was ", forecast.predicted)),
        (Ink::Doubt, it.measured.to_string().replace(' ', "\u{a0}")),
    ];
    if !forecast.chain.is_empty() {
        text.push((Ink::Plain, format!("; expected because {}", reason(forecast))));
    }
    Entry { label: forecast.name.to_string(), text }
}

fn agreement(it: &Compared) -> Entry {
    let forecast = &it.forecast;
    let was = match (it.measured, it.agrees) {
        (Seen::NotMeasured, _) => ", not measured".to_owned(),
        (measured, None) => format!(", was {measured}"),
        (Seen::Down, _) => ", as expected".to_owned(),
        (measured, _) => format!(" expected, and was {measured}"),
    };
    let text =
        vec![outlook(forecast.predicted), (Ink::Plain, format!("{was}: {}", reason(forecast)))];
    Entry { label: forecast.name.to_string(), text }
}

fn control_plane(forecast: &Forecast) -> Entry {
    let text = format!(": control plane, {}", reason(forecast));
    Entry {
        label: forecast.name.to_string(),
        text: vec![outlook(forecast.predicted), (Ink::Plain, text)],
    }
}

/// The chain, without a first link that stands beside it anyway.
fn reason(forecast: &Forecast) -> String {
    match forecast.chain.len() {
        0 | 1 => forecast.reason(),
        _ => forecast.why(),
    }
}

fn outlook(outlook: Outlook) -> Span {
    let ink = match outlook {
        Outlook::Down => Ink::Bad,
        Outlook::Degraded => Ink::Doubt,
        _ => Ink::Plain,
    };
    (ink, outlook.to_string())
}

/// Writes what would be lost with some datacenters, if that is anything: control planes first, then what is down,
/// then what is degraded, and in one line what must fail over. `in_full`: it is to be told from a loss of some services.
pub fn write_loss(loss: &Loss, in_full: bool, page: &mut Page) {
    let services = |outlook| -> Vec<&Forecast> {
        loss.services.iter().filter(|it| it.predicted == outlook).collect()
    };
    let parts: Vec<&Forecast> =
        loss.control_plane.iter().filter(|part| part.predicted.is_loss()).collect();
    let (down, degraded) = (services(Outlook::Down), services(Outlook::Degraded));
    let waiting = services(Outlook::NeedsFailover);
    if !loss.is_any() && waiting.is_empty() {
        return;
    }
    let plain = |count: usize| plural(count as u64, "service", "services");
    let counts = [
        (parts.len(), plural(parts.len() as u64, "control plane", "control planes")),
        (down.len(), format!("{} down", plain(down.len()))),
        (degraded.len(), format!("{}\u{a0}degraded", degraded.len())),
    ];
    let counts: Vec<&str> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(_, words)| words.as_str()).collect();
    let all = if in_full && loss.only.is_empty() { "all of " } else { "" };
    let cut = if loss.is_cut { ", which this plan cuts," } else { "" };
    let (title, note) = match counts.is_empty() {
        false => (format!("With {all}{}{cut} goes", loss.place()), counts.join(", ")),
        true => (format!("Without {all}{}{cut} nothing is down", loss.place()), String::new()),
    };
    let note = (!note.is_empty()).then_some((Ink::Plain, note));
    page.heading(&title, note.as_slice());
    let mut entries = limited(parts, |it| told("control plane", it));
    entries.extend(limited(down, |it| told("down", it)));
    entries.extend(limited(degraded, |it| told("degraded", it)));
    if !waiting.is_empty() {
        let mut names: Vec<String> =
            waiting.iter().take(ROWS).map(|it| it.name.to_string()).collect();
        if let Some(more) = waiting.len().checked_sub(ROWS).filter(|more| *more > 0) {
            names.push(format!("and {more} more"));
        }
        entries.push(Entry::plain("needs failover", names.join(", ")));
    }
    page.entries(&entries);
}

fn told(what: &str, forecast: &Forecast) -> Entry {
    Entry::plain(what, forecast.why())
}
