//! What is wrong with a plan, and where.

use std::ops::Range;

use super::tree::Span;

/// How many findings are kept with their text; those beyond are only counted.
const KEPT: usize = 10_000;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// There is no plan.
    Error,
    /// The plan holds, but its author should know.
    Warning,
}

/// One thing that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// A short name of the kind of finding, for scripts: `unknown-key`, `reference`, ...
    pub code: &'static str,
    /// The line, from 1; 0 when it is about the file or the command line as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 when `line` is.
    pub column: usize,
    /// The bytes of the text that it points at.
    pub span: Range<usize>,
    /// What is wrong. Safe to print: it holds no control characters and no secrets.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// Another place that has to do with it, and what stands there.
    pub related: Option<(Range<usize>, String)>,
}

/// Findings as they are collected, before their lines and columns are known.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    dropped: usize,
    errors: usize,
}

impl Findings {
    /// Findings that were finished, to add more to them.
    pub fn reopened(kept: Vec<Finding>) -> Self {
        let errors = kept.iter().filter(|finding| finding.severity == Severity::Error).count();
        // Lines and columns are counted anew.
        let unplaced = |finding: Finding| Finding { line: finding.line.min(1), ..finding };
        Findings { kept: kept.into_iter().map(unplaced).collect(), dropped: 0, errors }
    }

    /// Adds an error.
    pub fn error(
        &mut self,
        code: &'static str,
        span: Span,
        what: impl Into<String>,
        hint: impl Into<Hint>,
    ) {
        self.errors += 1;
        self.add(Severity::Error, code, Some(span), what.into(), hint.into());
    }

    /// Adds a warning.
    pub fn warning(
        &mut self,
        code: &'static str,
        span: Span,
        what: impl Into<String>,
        hint: impl Into<Hint>,
    ) {
        self.add(Severity::Warning, code, Some(span), what.into(), hint.into());
    }

    /// Adds a finding about the file or the command line as a whole.
    pub fn whole(
        &mut self,
        severity: Severity,
        code: &'static str,
        what: impl Into<String>,
        hint: impl Into<Hint>,
    ) {
        self.errors += usize::from(severity == Severity::Error);
        self.add(severity, code, None, what.into(), hint.into());
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Option<Span>,
        what: String,
        hint: Hint,
    ) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        let (line, range) = match span {
            Some(span) => (1, span.range()),
            None => (0, 0..0),
        };
        self.kept.push(Finding {
            severity,
            code,
            line,
            column: line,
            span: range,
            what,
            hint: hint.0,
            related: None,
        });
    }

    /// Says which other place the last finding has to do with.
    pub fn relate(&mut self, span: Span, label: &str) {
        // Beyond the limit the last finding kept is another one.
        if self.dropped == 0
            && let Some(last) = self.kept.last_mut()
        {
            last.related = Some((span.range(), label.to_owned()));
        }
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether further findings are only counted, so that their text need not be made.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= KEPT
    }

    /// All findings in the order of the text, each with its line and column.
    pub fn finish(mut self, text: &[u8]) -> Vec<Finding> {
        let key = |f: &Finding| (f.line, f.span.start, f.span.end, f.severity);
        self.kept.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.what.cmp(&b.what)));
        // An anchored value that is used in several places is read several times.
        self.kept.dedup_by(|a, b| a.span == b.span && a.what == b.what && a.line == b.line);
        locate(text, &mut self.kept);
        if self.dropped > 0 {
            let what = format!("{} more findings are left out", self.dropped);
            let mut rest = Findings::default();
            rest.whole(Severity::Error, "more", what, "mend those above first");
            self.kept.append(&mut rest.kept);
        }
        self.kept
    }
}

/// Fills in lines and columns in one walk over the text; `findings` are sorted by position.
fn locate(text: &[u8], findings: &mut [Finding]) {
    let (mut line, mut column, mut at) = (1, 1, 0);
    for finding in findings.iter_mut().filter(|finding| finding.line > 0) {
        let start = finding.span.start.min(text.len());
        for &byte in text.get(at..start).unwrap_or_default() {
            match byte {
                b'\n' => (line, column) = (line + 1, 1),
                // The inner bytes of a UTF-8 character do not count.
                0x80..=0xbf => {}
                _ => column += 1,
            }
        }
        at = at.max(start);
        (finding.line, finding.column) = (line, column);
    }
}

/// What to write instead; made from text, or from nothing.
#[derive(Debug, Default)]
pub(super) struct Hint(Option<String>);

impl From<&str> for Hint {
    fn from(hint: &str) -> Self {
        Hint(Some(hint.to_owned()))
    }
}

impl From<String> for Hint {
    fn from(hint: String) -> Self {
        Hint(Some(hint))
    }
}

impl From<Option<String>> for Hint {
    fn from(hint: Option<String>) -> Self {
        Hint(hint)
    }
}

/// Text from a file, between backticks: shortened, and with nothing in it that a terminal obeys.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push('…');
            break;
        }
        match character {
            '`' => shown.push('\''),
            _ if is_hostile(character) => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown.push('`');
    shown
}

/// Whether a terminal might obey the character instead of showing it: controls, and the marks that
/// reverse the order of what follows.
pub(super) fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_holds_nothing_that_a_terminal_obeys() {
        assert_eq!(quote("a\u{1b}[31mb\u{202e}c\n`"), r"`a\u{1b}[31mb\u{202e}c\n'`");
        assert_eq!(quote(&"x".repeat(100)), format!("`{}…`", "x".repeat(60)));
    }

    #[test]
    fn findings_are_sorted_and_know_their_lines_and_columns() {
        let text = "a: 1\né: ü x\nc: 3".as_bytes();
        let mut findings = Findings::default();
        findings.error("x", Span::new(16, 17), "third", None);
        findings.error("x", Span::new(12, 13), "second", None);
        findings.warning("x", Span::new(0, 1), "first", None);
        let places: Vec<_> =
            findings.finish(text).into_iter().map(|f| (f.what, f.line, f.column)).collect();
        assert_eq!(
            places,
            [("first".into(), 1, 1), ("second".into(), 2, 6), ("third".into(), 3, 3)]
        );
    }

    #[test]
    fn findings_beyond_the_limit_are_counted() {
        let mut findings = Findings::default();
        for at in 0..KEPT + 7 {
            findings.error("x", Span::new(at, at), "bad", None);
        }
        let finished = findings.finish(&[b' '; 20_000]);
        assert_eq!(finished.len(), KEPT + 1);
        assert_eq!(finished[KEPT].what, "7 more findings are left out");
    }
}
