//! Findings as people read them: the line, a caret, and what to write instead.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

use super::finding::{Finding, Severity, is_hostile, quote};

/// How many findings are shown; those beyond are only counted.
const SHOWN: usize = 200;
/// How many bytes of a line are shown before and after the place that is meant.
const BEFORE: usize = 60;
const AFTER: usize = 100;

/// Draws findings for people: `error: …`, the place, the line with a caret, and a hint.
///
/// `text` is the plan's text, the same that was parsed. With `color` the output holds ANSI escape
/// sequences; nothing in the text can add any. At most 200 findings are drawn, the rest counted.
pub fn render(file: &str, text: &[u8], findings: &[Finding], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let file: String = file.chars().map(|c| if is_hostile(c) { '?' } else { c }).collect();
    let lines = Lines::of(text);
    let mut drawn = String::new();
    for finding in findings.iter().take(SHOWN) {
        drawn.push_str(&one(&renderer, &file, &lines, finding));
        drawn.push_str("\n\n");
    }
    if let Some(more @ 1..) = findings.len().checked_sub(SHOWN) {
        drawn.push_str(&format!("and {more} more findings in {}\n\n", quote(&file)));
    }
    drawn
}

fn one(renderer: &Renderer, file: &str, lines: &Lines, finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&*finding.what);
    let mut group;
    if finding.line == 0 {
        group = title.element(Origin::path(file));
    } else {
        let window = lines.window(&finding.span);
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
        let related = finding.related.as_ref().map(|(span, label)| (lines.window(span), label));
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

/// The text, and where its lines begin.
struct Lines<'t> {
    text: &'t [u8],
    starts: Vec<usize>,
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
    fn snippet<'w>(&self) -> Snippet<'w, Annotation<'w>> {
        Snippet::source(self.shown.clone()).line_start(self.line)
    }
}

impl<'t> Lines<'t> {
    fn of(text: &'t [u8]) -> Self {
        let breaks = text.iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
        Lines { text, starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect() }
    }

    fn window(&self, span: &Range<usize>) -> Window {
        let at = span.start.min(self.text.len());
        let line = self.starts.partition_point(|&start| start <= at).max(1);
        let begin = self.starts.get(line - 1).copied().unwrap_or_default();
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        // A line may be as long as the file; short ones are shown whole.
        let long = end - begin > 2 * (BEFORE + AFTER);
        let start = if long { self.edge(begin.max(at.saturating_sub(BEFORE))) } else { begin };
        let stop = if long { self.edge(end.min(at + AFTER)) } else { end };
        let last = span.end.clamp(at, stop.max(at));
        let mut shown = clean(&self.text[start..at]);
        let from = shown.len();
        shown.push_str(&clean(self.text.get(at..last).unwrap_or_default()));
        let to = shown.len();
        shown.push_str(&clean(self.text.get(last..stop.max(last)).unwrap_or_default()));
        let cut = shown.trim_end().len().max(to);
        shown.truncate(cut);
        Window { line, start, whole: start == begin, shown, span: from..to }
    }

    /// The nearest place at or before `at` where a character begins.
    fn edge(&self, mut at: usize) -> usize {
        while at > 0 && self.text.get(at).is_some_and(|byte| (0x80..=0xbf).contains(byte)) {
            at -= 1;
        }
        at
    }
}

/// Bytes of the plan with nothing in them that a terminal obeys.
fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c != '\t' && is_hostile(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}
