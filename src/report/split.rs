//! Where the time went: the parts of a recovery time, one bar each.

use std::time::Duration;

use super::page::{Ink, Page};
use super::words::{GAP, time};
use crate::model::{RunRecord, ServiceRecord, Split};

/// The slowest few are enough to see where the time goes.
const SERVICES: usize = 3;
/// The widest bar.
const BAR: usize = 40;

/// Writes the parts for the slowest services that had an outage.
pub fn write(record: &RunRecord, page: &mut Page) {
    let splits: Vec<(&ServiceRecord, Split)> = splits(record).collect();
    let named = |(service, split): &(&ServiceRecord, Split)| {
        [(Ink::Plain, format!("{}, {} in all", service.name, time(split.whole())))]
    };
    match &splits[..] {
        [] => {}
        [only] => {
            page.heading("Where the time went", &named(only));
            write_parts(&only.1, 2, page);
        }
        many => {
            page.heading("Where the time went", &[]);
            for one in many.iter().take(SERVICES) {
                page.paragraph(2, 2, &named(one));
                write_parts(&one.1, 4, page);
            }
        }
    }
}

/// The services that had an outage, the slowest first, each with its parts.
pub fn splits(record: &RunRecord) -> impl Iterator<Item = (&ServiceRecord, Split)> {
    record.services.iter().filter_map(|service| {
        let recovery = service.recovery.filter(|recovery| !recovery.seamless)?;
        recovery.split.map(|split| (service, split))
    })
}

/// The parts, in order, with what each of them is.
pub fn parts(split: &Split) -> [(&'static str, Duration); 3] {
    [
        ("cut to first bad", split.until_first_bad),
        ("to first answer elsewhere", split.until_other_datacenter),
        ("to stable", split.until_stable),
    ]
}

fn write_parts(split: &Split, indent: usize, page: &mut Page) {
    let parts = parts(split);
    let column = parts.iter().map(|(_, part)| time(*part).chars().count()).max().unwrap_or(0);
    let room = page.width().saturating_sub(indent + 25 + 2 + column + 2).min(BAR);
    let mut before = Duration::ZERO;
    for (label, part) in parts {
        let bar = bar(before, part, split.whole(), room);
        before += part;
        let text = format!("{label:<25}  {:>column$}  {bar}", time(part));
        page.paragraph(indent, indent, &[(Ink::Plain, text.replace(' ', GAP))]);
    }
}

/// A bar from where the part began to where it ended, on a line that is the whole.
fn bar(before: Duration, part: Duration, whole: Duration, room: usize) -> String {
    if whole.is_zero() || part.is_zero() || room == 0 {
        return String::new();
    }
    let place =
        |at: Duration| (at.as_secs_f64() / whole.as_secs_f64() * room as f64).round() as usize;
    let from = place(before).min(room - 1);
    let to = place(before + part).clamp(from + 1, room);
    format!("{}{}", " ".repeat(from), "█".repeat(to - from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_took_time_always_shows() {
        let ms = Duration::from_millis;
        assert_eq!(bar(ms(0), ms(1), ms(1000), 10), "█");
        assert_eq!(bar(ms(1), ms(999), ms(1000), 10), "██████████");
        assert_eq!(bar(ms(1000), ms(0), ms(1000), 10), "");
        assert_eq!(bar(ms(999), ms(1), ms(1000), 10), "         █");
        assert_eq!(bar(ms(0), ms(0), ms(0), 10), "");
    }
}
