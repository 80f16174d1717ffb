//! Bytes to a tree: encodings, limits and YAML's own grammar.
//!
//! Whatever the bytes, time and memory stay in proportion to [`SIZE_LIMIT`], [`NODE_LIMIT`] and
//! [`DEPTH_LIMIT`]; aliases count as often as they are used.

use std::collections::HashMap;
use std::rc::Rc;

use serde_yaml::granit_parser::{self, ErrorKind, Event, Parser, ScanError, StructureStyle};

use super::finding::{Findings, Severity, quote};
use super::tree::{Entry, Kind, Node, Scalar, Span};

/// The largest plan that is read, in bytes. Readers of files may stop one byte behind it.
pub const SIZE_LIMIT: usize = 32 * 1024 * 1024;
/// How many keys and values a plan may hold, aliases counted at each use.
const NODE_LIMIT: usize = 2_000_000;
/// How deep values may nest.
const DEPTH_LIMIT: usize = 64;

/// Checks the encoding and gives the plan as text.
pub(super) fn decode<'t>(file: &str, bytes: &'t [u8], findings: &mut Findings) -> Option<&'t str> {
    if bytes.len() > SIZE_LIMIT {
        let limit = SIZE_LIMIT / (1024 * 1024);
        let what = format!("{} is larger than {limit} MiB, which is no plan", quote(file));
        findings.whole(Severity::Error, "size", what, "check the path; is it a log or an image?");
        return None;
    }
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, 0, _, ..] | [_, 0, _, 0, ..]) {
        let what = format!("{} is encoded as UTF-16 or UTF-32", quote(file));
        findings.whole(Severity::Error, "encoding", what, "save it as UTF-8");
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let byte = bytes.get(at).copied().unwrap_or_default();
            let what = format!("byte {at} ({byte:#04x}) is not UTF-8");
            let hint = "save the file as UTF-8; if it is no text file, check the path";
            findings.error("encoding", Span::new(at, at + 1), what, hint);
            return None;
        }
    };
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    // Looking at bytes first is ten times as fast, and settles most files.
    let tame = |&b: &u8| (0x20..0x7f).contains(&b) || matches!(b, b'\t' | b'\n' | b'\r');
    if !bytes.iter().all(tame)
        && let Some(at) = text.find(control)
    {
        let code = text[at..].chars().next().map_or(0, u32::from);
        let what = format!("byte {at} is a control character (U+{code:04X})");
        let hint = "remove it; if the file is no text file, check the path";
        findings.error("encoding", Span::new(at, at + 1), what, hint);
        return None;
    }
    Some(text)
}

/// Reads the one document of the plan. `None` when there is none or its syntax is broken.
pub(super) fn tree<'t>(file: &str, text: &'t str, findings: &mut Findings) -> Option<Node<'t>> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_LIMIT,
        block_nesting_limit: DEPTH_LIMIT,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::new(findings);
    let mut document_done = false;
    while let Some(next) = parser.next_event() {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                report(text, &error, builder.findings);
                return None;
            }
        };
        let span = span.byte_range().map_or(Span::new(0, 0), |r| Span::new(r.start, r.end));
        match event {
            Event::DocumentEnd => document_done = true,
            Event::DocumentStart(..) if document_done => {
                let what = "a second document begins here, and a plan is one document";
                let hint = "remove the `---`, or put the rest into a file of its own";
                builder.findings.error("syntax", span, what, hint);
                return None;
            }
            event => builder.take(event, span).ok()?,
        }
    }
    let root = builder.root.filter(|root| !root.is_empty());
    if root.is_none() && findings.errors() == 0 {
        let what = format!("{} is empty", quote(file));
        let hint = "a plan begins with `version: 1`; docs/plan.md has a whole one";
        findings.whole(Severity::Error, "empty", what, hint);
    }
    root
}

/// Says what the parser stumbled over, and what to do about it.
fn report(text: &str, error: &ScanError, findings: &mut Findings) {
    let mut at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    let tab = matches!(
        error.kind(),
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabAtBlockScalarStart
    );
    if tab {
        // The parser stops before the white space that holds it.
        at = text.get(at..).and_then(|rest| rest.find('\t')).map_or(at, |found| at + found);
    }
    let length = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    let line_start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let hint = match error.kind() {
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::InvalidColonPlacement
            if text.get(line_start..at).is_some_and(|before| before.contains("${")) =>
        {
            "inside `{ }` and `[ ]`, put text with `${…}` between quotes"
        }
        _ if tab => "indent with spaces; YAML allows no tabs there",
        ErrorKind::RecursionLimitExceeded => "no plan nests deeper than 64 levels",
        ErrorKind::UnknownAnchor => "an alias `*name` needs an anchor `&name` before it",
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            "close the quotes, or indent the lines in which the text goes on"
        }
        ErrorKind::UnclosedFlowCollection { .. } => "close the bracket",
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidIndentation => {
            "check the indentation, and put text that holds `: ` between quotes"
        }
        _ => "check the line and the one before it: indentation, quotes, brackets, colons",
    };
    let what = format!("this is no YAML: {}", plain(&error.kind().to_string()));
    findings.error("syntax", Span::new(at, at + length), what, hint);
}

/// The parser's words with nothing in them that a terminal obeys.
fn plain(text: &str) -> String {
    let quoted = text.chars().map(|c| if super::finding::is_hostile(c) { '?' } else { c });
    quoted.collect()
}

/// The tree was given up; the finding says why.
struct GivenUp;

/// Puts the parser's events together, without recursion.
struct Builder<'t, 'f> {
    findings: &'f mut Findings,
    open: Vec<Open<'t>>,
    root: Option<Node<'t>>,
    anchors: HashMap<usize, Anchored<'t>>,
    nodes: usize,
}

/// A list or map whose end was not seen yet.
struct Open<'t> {
    anchor: usize,
    span: Span,
    flow: bool,
    /// How many nodes there were before it.
    before: usize,
    /// The deepest nesting below it.
    deepest: usize,
    items: Items<'t>,
}

enum Items<'t> {
    List(Vec<Node<'t>>),
    Map { entries: Vec<Entry<'t>>, key: Option<Node<'t>> },
}

/// A value that aliases may name.
struct Anchored<'t> {
    node: Rc<Node<'t>>,
    nodes: usize,
    depth: usize,
}

impl<'t, 'f> Builder<'t, 'f> {
    fn new(findings: &'f mut Findings) -> Self {
        Builder { findings, open: Vec::new(), root: None, anchors: HashMap::new(), nodes: 0 }
    }

    fn take(&mut self, event: Event<'t>, span: Span) -> Result<(), GivenUp> {
        if let Some(tag) = event.tag() {
            let what = format!("the tag {} has no meaning in a plan", quote(&tag.original()));
            self.findings.error("syntax", span, what, "leave it out; quotes make a number text");
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = matches!(style, granit_parser::ScalarStyle::Plain);
                let kind = Kind::Scalar(Scalar { text, plain });
                self.finish(Node { span, kind }, anchor, 1, 1)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.begin(Items::List(Vec::new()), style, anchor, span)
            }
            Event::MappingStart(style, anchor, _) => {
                self.begin(Items::Map { entries: Vec::new(), key: None }, style, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        items: Items<'t>,
        style: StructureStyle,
        anchor: usize,
        span: Span,
    ) -> Result<(), GivenUp> {
        let flow = matches!(style, StructureStyle::Flow);
        let before = self.nodes;
        self.open.push(Open { anchor, span, flow, before, deepest: 0, items });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), GivenUp> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let (first, kind) = match open.items {
            Items::List(items) => (items.first().map(|item| item.span), Kind::List(items)),
            Items::Map { entries, .. } => {
                (entries.first().map(|entry| entry.at), Kind::Map(self.distinct(entries)))
            }
        };
        // A block has no brackets to point at; its first line stands for it.
        let span = match first {
            Some(first) if !open.flow => first,
            _ => Span { start: open.span.start, end: end.end.max(open.span.end) },
        };
        let nodes = self.nodes - open.before + 1;
        self.finish(Node { span, kind }, open.anchor, nodes, open.deepest + 1)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), GivenUp> {
        let Some(Anchored { node, nodes, depth }) = self.anchors.get(&anchor) else {
            let what = "this alias stands inside the value that it names";
            self.findings.error("syntax", span, what, "write the value out");
            return Err(GivenUp);
        };
        let (node, nodes, depth) =
            (Node { span, kind: Kind::Shared(node.clone()) }, *nodes, *depth);
        self.nodes += nodes - 1;
        self.finish(node, 0, nodes, depth)
    }

    /// Puts a whole value where it belongs.
    fn finish(
        &mut self,
        mut node: Node<'t>,
        anchor: usize,
        nodes: usize,
        depth: usize,
    ) -> Result<(), GivenUp> {
        self.nodes += 1;
        let span = node.span;
        if self.nodes > NODE_LIMIT || depth + self.open.len() > DEPTH_LIMIT {
            let what = match self.nodes > NODE_LIMIT {
                true => format!("the plan holds more than {NODE_LIMIT} keys and values"),
                false => format!("values nest deeper than {DEPTH_LIMIT} levels here"),
            };
            self.findings.error("size", span, what, "aliases count as often as they are used");
            return Err(GivenUp);
        }
        if anchor != 0 {
            let shared = Rc::new(node);
            self.anchors.insert(anchor, Anchored { node: shared.clone(), nodes, depth });
            node = Node { span, kind: Kind::Shared(shared) };
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.deepest = open.deepest.max(depth);
        match &mut open.items {
            Items::List(items) => items.push(node),
            Items::Map { entries, key } => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.extend(entry(key, node, self.findings)),
            },
        }
        Ok(())
    }

    /// Takes out keys that stand twice in one map, and says so.
    fn distinct(&mut self, mut entries: Vec<Entry<'t>>) -> Vec<Entry<'t>> {
        const SMALL: usize = 16;
        let mut twice = Vec::new();
        if entries.len() <= SMALL {
            for (index, entry) in entries.iter().enumerate() {
                let first = entries[..index].iter().position(|other| other.key == entry.key);
                twice.extend(first.map(|first| (index, first)));
            }
        } else {
            let mut seen: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
            for (index, entry) in entries.iter().enumerate() {
                let first = *seen.entry(&entry.key).or_insert(index);
                if first != index {
                    twice.push((index, first));
                }
            }
        }
        if twice.is_empty() {
            return entries;
        }
        for &(index, first) in &twice {
            let (entry, first) = (&entries[index], &entries[first]);
            let what = format!("the key {} stands here a second time", quote(&entry.key));
            let hint = "keep one of the two, or give one another name";
            self.findings.error("duplicate-key", entry.at, what, hint);
            self.findings.relate(first.at, "it stands here first");
        }
        let gone: std::collections::HashSet<usize> = twice.iter().map(|&(at, _)| at).collect();
        let mut index = 0;
        entries.retain(|_| {
            index += 1;
            !gone.contains(&(index - 1))
        });
        entries
    }
}

/// A key and its value; `None` when the key is no plain word, which is reported.
fn entry<'t>(key: Node<'t>, mut value: Node<'t>, findings: &mut Findings) -> Option<Entry<'t>> {
    let at = key.span;
    let text = match key.kind {
        Kind::Scalar(scalar) => scalar.text,
        _ => {
            let what = "a key must be a word, not a list, a map or an alias";
            findings.error(
                "syntax",
                at,
                what,
                "put text that begins with `[`, `{` or `*` in quotes",
            );
            return None;
        }
    };
    if text == "<<" {
        let what = "merge keys (`<<`) are not part of YAML 1.2";
        findings.error("syntax", at, what, "share whole values instead: `&name` and `*name`");
        return None;
    }
    // A value left out has no width to point at.
    if value.span.len() == 0 {
        value.span = at;
    }
    Some(Entry { key: text, at, value })
}
