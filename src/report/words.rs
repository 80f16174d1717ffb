//! Numbers and nouns as people read them.

use std::time::Duration;

use super::page::GLUE;
use crate::model::{Bounds, Marks, Mode, Offset, Share, Shown, printable};

/// [`GLUE`] as a string.
pub const GAP: &str = "\u{a0}";

/// Text of others for formats without lines to be broken: safe to show, every space a plain one. At the start of a
/// line, too: there `::` begins a command to a CI runner.
pub fn plain(text: &str) -> String {
    let text = printable(text).replace(GLUE, " ");
    match text.trim_start().strip_prefix("::") {
        Some(rest) => format!("\u{fffd}:{rest}"),
        None => text,
    }
}

/// A duration whose number and unit stay on one line.
pub fn time(duration: Duration) -> String {
    Shown(duration).to_string().replace(' ', GAP)
}

/// Bounds that stay on one line.
pub fn bounds(bounds: Bounds) -> String {
    bounds.to_string().replace(' ', GAP)
}

/// When something was, told from the cut if there was one.
pub fn moment(at: Offset, marks: &Marks) -> String {
    match marks.cut_issued {
        Some(cut) if at >= cut => format!("{} after the cut", time(at.since(cut))),
        Some(cut) => format!("{} before the cut", time(cut.since(at))),
        None => format!("{} after the start", time(at.since(marks.started))),
    }
}

/// How it was cut, with the numbers of a degraded path.
pub fn mode(mode: &Mode) -> String {
    let Mode::Degrade(degrade) = mode else { return mode.kind().to_string() };
    let mut numbers = vec![];
    if !degrade.latency.is_zero() {
        numbers.push(format!("{} slower", time(degrade.latency)));
    }
    if !degrade.jitter.is_zero() {
        numbers.push(format!("jitter {}", time(degrade.jitter)));
    }
    if degrade.loss > 0.0 {
        numbers.push(format!("{}{GLUE}% lost", (degrade.loss * 1000.0).round() / 10.0));
    }
    if let Some(bandwidth) = degrade.bandwidth {
        numbers.push(format!("{} a second", plural(bandwidth, "byte", "bytes")));
    }
    format!("degrade ({})", list(&numbers))
}

/// A count with its noun: `1 answer`, `12,345 answers`.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{}{GLUE}{}", grouped(count), if count == 1 { one } else { many })
}

/// A count with its thousands apart, from five digits on.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share in per cent; only none is shown as 0 and only all as 100.
pub fn percent(share: Share) -> String {
    match share.value() {
        None => "no answers".to_owned(),
        Some(_) if share.part == 0 => format!("0{GLUE}%"),
        Some(_) if share.part >= share.whole => format!("100{GLUE}%"),
        Some(value) => {
            let value = (value * 100.0).clamp(0.1, 99.9);
            let digits = usize::from(!(1.0..=99.0).contains(&value));
            format!("{value:.digits$}{GLUE}%")
        }
    }
}

/// A share that was demanded, as a plan writes it.
pub fn wanted(share: f64) -> String {
    format!("{}{GLUE}%", (share * 1e5).round() / 1e3)
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<S: AsRef<str>>(things: &[S]) -> String {
    match things {
        [] => "nothing".to_owned(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_large_counts_are_grouped() {
        assert_eq!(plural(1, "answer", "answers"), "1\u{a0}answer");
        assert_eq!(plural(0, "answer", "answers"), "0\u{a0}answers");
        assert_eq!(grouped(9999), "9999");
        assert_eq!(grouped(47_430_000), "47,430,000");
    }

    #[test]
    fn a_share_is_never_rounded_to_none_or_all() {
        let shown = |part, whole| percent(Share { part, whole });
        assert_eq!(shown(0, 0), "no answers");
        assert_eq!(shown(1, 100_000), "0.1\u{a0}%");
        assert_eq!(shown(99_999, 100_000), "99.9\u{a0}%");
        assert_eq!(shown(1, 2), "50\u{a0}%");
        assert_eq!(shown(7, 7), "100\u{a0}%");
    }

    #[test]
    fn lists_are_written_out() {
        assert_eq!(list::<&str>(&[]), "nothing");
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
