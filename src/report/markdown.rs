//! GitHub-flavoured Markdown, for pull requests and job summaries.

use super::TableStyle;
use super::promises::{beyond, budget, decided_by, margin, measured, rows, whose, word};
use super::words::{GAP, bounds, plain, time};
use super::{headline, impact, ledgers, notified, split};
use crate::model::{Judgement, Restored, RunRecord, Verdict};

/// GitHub takes no longer comment, in bytes or in characters; what does not fit is left out and said to be.
const LONGEST: usize = 60_000;
/// Of a name or a sentence of others, more characters than this are not shown.
const LONGEST_TEXT: usize = 300;
/// Reasons that are told one by one.
const REASONS: usize = 10;
/// The slowest services, of whose time it is told where it went.
const SERVICES: usize = 10;

/// The report as Markdown, at most 64 KB of it: the verdict first, what is looked up less often folded away.
pub fn markdown(record: &RunRecord) -> String {
    let sections: [fn(&RunRecord) -> String; 8] =
        [alarm, reasons, promises, lost, records, time_spent, whole, run];
    let mut page = verdict(record);
    let mut left_out = false;
    for section in sections {
        let text = section(record);
        if page.len() + text.len() > LONGEST {
            left_out = true;
        } else {
            page.push_str(&text);
        }
    }
    if left_out {
        page.push_str("\nWhat did not fit here is in the other reports.\n");
    }
    page
}

/// A sign for those who look from afar; the word beside it says the same.
fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::Inconclusive => "⚠️",
        Verdict::Stopped => "🛑",
        Verdict::NotStarted => "🚫",
        Verdict::NotRestored => "🚨",
    }
}

fn verdict(record: &RunRecord) -> String {
    let sentence = prose(&headline::sentence(record));
    let mut text = format!(
        "## {} {}: {}\n\n{sentence}.\n",
        sign(record.verdict),
        record.verdict,
        prose(record.plan.name.as_str())
    );
    if let Some(about) = &record.plan.about {
        text.push_str(&format!("\n> {}\n", prose(about)));
    }
    text
}

/// What a person has to do at once.
fn alarm(record: &RunRecord) -> String {
    let broken = record.controls.iter().filter(|control| control.restored == Restored::No);
    let names: Vec<String> = broken.map(|control| code(control.name.as_str())).collect();
    if record.verdict != Verdict::NotRestored && names.is_empty() {
        return String::new();
    }
    let places =
        if names.is_empty() { String::new() } else { format!(" through {}", names.join(", ")) };
    let restore = code(&format!("firedrill restore {}", record.run));
    format!("\n> [!CAUTION]\n> **Traffic may still be cut{places}.** Do this now: {restore}\n")
}

fn reasons(record: &RunRecord) -> String {
    if record.verdict == Verdict::Pass || record.reasons.is_empty() {
        return String::new();
    }
    let shown = record.reasons.iter().take(REASONS);
    let mut text = "\n### Why\n\n".to_owned();
    shown.for_each(|why| text.push_str(&format!("- {}\n", prose(&why.text))));
    match record.reasons.len().saturating_sub(REASONS) {
        0 => {}
        more => text.push_str(&format!("- and {more} more\n")),
    }
    text
}

fn promises(record: &RunRecord) -> String {
    let (rows, hidden) = rows(record);
    if rows.is_empty() {
        return String::new();
    }
    if record.marks.cut_issued.is_none() {
        return "\n### Promises\n\nNot measured, since nothing was cut.\n".to_owned();
    }
    let mut text = "\n### Promises\n\n".to_owned();
    text.push_str(&head(&["Service", "Promise", "-Budget", "Measured", "-Margin", "Judgement"]));
    for (service, promise) in &rows {
        let sign = match promise.judgement {
            Judgement::Kept => "✅ ",
            Judgement::Undecided => "⚠️ ",
            Judgement::Broken => "❌ ",
        };
        text.push_str(&row(&[
            prose(&whose(service, promise)),
            code(&promise.promise.to_string()),
            prose(&budget(promise)),
            prose(&measured(promise, bounds)),
            prose(&margin(promise, " ")),
            format!("{sign}{}", word(promise.judgement)),
        ]));
    }
    if let Some(more) = beyond(&hidden) {
        text.push_str(&format!("\n{more}\n"));
    }
    let whys = rows.iter().filter(|(_, promise)| !promise.why.is_empty()).map(|(service, it)| {
        let (whose, promise) = (prose(&whose(service, it)), code(&it.promise.to_string()));
        let why = prose(&format!("{}{}", it.why, decided_by(service, it)));
        format!("- {whose} {promise}: {why}\n")
    });
    text.push_str(&folded("Why each was judged as it was", &whys.collect::<String>()));
    text
}

/// What users lost.
fn lost(record: &RunRecord) -> String {
    let lines = impact::lines(record).map(|(name, text)| {
        let text: String = text.iter().map(|(_, piece)| piece.as_str()).collect();
        format!("- {}: {}\n", prose(&name), prose(&text))
    });
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\n### Impact\n\n{lines}") }
}

/// What became of the ledgers' records, a line for each.
fn records(record: &RunRecord) -> String {
    let all = ledgers::ledgers(record);
    let line = |it: &ledgers::Written<'_>| {
        let text: String = ledgers::summary(it.ledger).into_iter().map(|(_, text)| text).collect();
        format!("- {}: {}\n", prose(&it.name), prose(&text))
    };
    let mut lines: String = all.iter().take(SERVICES).map(line).collect();
    if let Some(more @ 1..) = all.len().checked_sub(SERVICES) {
        lines.push_str(&format!("- and {more} more\n"));
    }
    if lines.is_empty() { lines } else { format!("\n### Ledgers\n\n{lines}") }
}

fn time_spent(record: &RunRecord) -> String {
    let mut text = String::new();
    for (service, split) in split::splits(record).take(SERVICES) {
        let parts = split::parts(&split);
        if text.is_empty() {
            let [first, second, third] = parts.map(|(what, _)| format!("-{what}"));
            text = head(&["Service", &first, &second, &third, "-in all"]);
        }
        let mut cells = vec![prose(service.name.as_str())];
        cells.extend(parts.map(|(_, took)| prose(&time(took))));
        cells.push(prose(&time(split.whole())));
        text.push_str(&row(&cells));
    }
    folded("Where the time went", &text)
}

/// The table, which has all the evidence.
fn whole(record: &RunRecord) -> String {
    let text = super::table(record, TableStyle::FILE);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    folded("The whole report", &format!("{fence}text\n{text}{fence}\n"))
}

fn run(record: &RunRecord) -> String {
    let told = notified::line(record).map_or(String::new(), |line| format!("\n{}\n", prose(&line)));
    format!(
        "\nRun {} of {}, firedrill {}\n{told}",
        code(&record.run),
        code(&record.plan.file),
        prose(&record.firedrill)
    )
}

/// `text` behind a line to be clicked on; nothing if there is none.
fn folded(title: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("\n<details>\n<summary>{title}</summary>\n\n{text}\n</details>\n")
}

/// The head of a table; titles after a `-` are those of numbers.
fn head(titles: &[&str]) -> String {
    let names: Vec<String> =
        titles.iter().map(|title| title.trim_start_matches('-').to_owned()).collect();
    let sides: Vec<String> = titles
        .iter()
        .map(|title| if title.starts_with('-') { "---:" } else { "---" }.to_owned())
        .collect();
    row(&names) + &row(&sides)
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// The first characters of `text`, with a sign where more were there.
fn short(text: &str) -> String {
    let text = plain(text);
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Text of others as text: it marks nothing up, links nowhere and calls nobody.
fn prose(text: &str) -> String {
    let text = short(text.replace(GAP, " ").trim());
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let rest = &text[at + c.len_utf8()..];
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            // A person or an issue is named by the sign and the letters behind it: something stands between them.
            '@' | '#' => {
                if c == '#' {
                    shown.push('\\');
                }
                shown.push(c);
                if rest.starts_with(|next: char| !next.is_whitespace()) {
                    shown.push_str("<!-- -->");
                }
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '|' | '$' | '!' => {
                shown.extend(['\\', c]);
            }
            // Without them there is no address to link to; and at the start, a list in a list.
            ':' if rest.starts_with('/') => shown.push_str("\\:"),
            '.' if ends_with_www(&text[..at]) => shown.push_str("\\."),
            '-' | '+' if at == 0 && begins_block(rest) => shown.extend(['\\', c]),
            '.' | ')' if begins_block(rest) && is_number(&text[..at]) => shown.extend(['\\', c]),
            c => shown.push(c),
        }
    }
    shown
}

/// Whether the sign before `rest` could begin a list or a rule.
fn begins_block(rest: &str) -> bool {
    !rest.starts_with(|next: char| next.is_alphanumeric())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn ends_with_www(text: &str) -> bool {
    let start = text.len().checked_sub(3);
    start.and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// Text of others as code, to be copied; not for cells of a table.
fn code(text: &str) -> String {
    let text = short(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A space at each end keeps a backtick apart from the fence, and is not shown.
    let gap = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{gap}{text}{gap}{fence}")
}
