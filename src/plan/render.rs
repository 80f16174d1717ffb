//! Findings as people read them: the line, a caret, and what to write instead.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

use super::finding::{Finding, Severity, is_hostile, quote};
use crate::model::tame;

/// How many findings are shown; those beyond are only counted.
const SHOWN: usize = 200;
/// How many bytes of a line are shown before and after the place that is meant, at most.
const BEFORE: usize = 160;
const AFTER: usize = 160;

/// Draws findings for people: `error: …`, the place, the line with a caret, and a hint.
///
/// `text` is the plan's text, the same that was parsed. With `color` the output holds ANSI escape
/// sequences; nothing in the text can add any, nor a command to a CI runner. At most 200 findings are drawn, the rest counted.
pub fn render(file: &str, text: &[u8], findings: &[Finding], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let file: String = file.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect();
    let mut drawn = String::new();
    for finding in findings.iter().take(SHOWN) {
        drawn.push_str(&one(&renderer, &file, text, finding));
        drawn.push_str("\n\n");
    }
    if let Some(more @ 1..) = findings.len().checked_sub(SHOWN) {
        drawn.push_str(&format!("and {more} more findings in {}\n\n", quote(&file)));
    }
    tame(drawn)
}

fn one(renderer: &Renderer, file: &str, text: &[u8], finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&*finding.what);
    let mut group;
    if finding.line == 0 {
        group = title.element(Origin::path(file));
    } else {
        let window = Window::of(text, &finding.span, finding.line);
        let caret = AnnotationKind::Primary.span(window.span.clone());
        let mut snippet = window.snippet();
        if window.whole {
            snippet = snippet.path(file);
            group = annotate_snippets::Group::with_title(title);
        } else {
            // The renderer counts columns from where the stretch begins, which is not the line's start.
            let place = Origin::path(file).line(finding.line).char_column(finding.column);
            group = title.element(place);
        }
        let related = finding.related.as_ref().map(|(span, label)| {
            let line = line_of(text, span.start, finding.span.start, finding.line);
            (Window::of(text, span, line), label)
        });
        match related {
            // Two places in one stretch of text are drawn in one piece.
            Some((other, label)) if other.line == window.line && other.start == window.start => {
                let context = AnnotationKind::Context.span(other.span).label(&**label);
                group = group.element(snippet.annotation(caret).annotation(context));
            }
            Some((other, label)) => {
                let context = AnnotationKind::Context.span(other.span.clone()).label(&**label);
                group = group.element(snippet.annotation(caret));
                group = group.element(other.snippet().path(file).annotation(context));
            }
            None => group = group.element(snippet.annotation(caret)),
        }
    }
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(&**hint));
    }
    renderer.render(&[group])
}

/// A stretch of one line, cleaned for a terminal, and the place in it.
struct Window {
    line: usize,
    start: usize,
    /// Whether it begins where the line does.
    whole: bool,
    shown: String,
    span: Range<usize>,
}

impl Window {
    /// The surroundings of `span`, which begins in line `line`.
    ///
    /// A line may be as long as the file, so that only so much of it is looked at.
    fn of(text: &[u8], span: &Range<usize>, line: usize) -> Self {
        let at = span.start.min(text.len());
        let earliest = at.saturating_sub(BEFORE);
        let line_start = text[earliest..at].iter().rposition(|&byte| byte == b'\n');
        let start = line_start.map_or(edge(text, earliest), |found| earliest + found + 1);
        let latest = text.len().min(at + AFTER);
        let line_end = text[at..latest].iter().position(|&byte| byte == b'\n');
        let stop = line_end.map_or(edge(text, latest), |found| at + found).max(at);
        let last = span.end.clamp(at, stop);
        let mut shown = clean(&text[start..at]);
        let from = shown.len();
        shown.push_str(&clean(&text[at..last]));
        let to = shown.len();
        shown.push_str(clean(&text[last..stop]).trim_end());
        let whole = line_start.is_some() || start == 0;
        Window { line, start, whole, shown, span: from..to }
    }

    fn snippet<'w>(&self) -> Snippet<'w, Annotation<'w>> {
        Snippet::source(self.shown.clone()).line_start(self.line)
    }
}

/// The line of `other`, counted from the place `from` in line `line`.
fn line_of(text: &[u8], other: usize, from: usize, line: usize) -> usize {
    let count = |range: Range<usize>| {
        text.get(range).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count()
    };
    match other < from {
        true => line.saturating_sub(count(other..from)),
        false => line + count(from..other),
    }
}

/// The nearest place at or before `at` where a character begins.
fn edge(text: &[u8], mut at: usize) -> usize {
    while at > 0 && text.get(at).is_some_and(|byte| (0x80..=0xbf).contains(byte)) {
        at -= 1;
    }
    at
}

/// Bytes of the plan with nothing in them that a terminal obeys.
fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c != '\t' && is_hostile(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}
