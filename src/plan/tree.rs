//! YAML as a small tree in which every key and value knows where it stands.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// A place in the plan's text, in bytes. The size limit keeps it within 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The place of the bytes from `start` up to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { start: short(start), end: short(end.max(start)) }
    }

    /// How many bytes it covers.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// As a range of bytes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value of the plan.
#[derive(Debug)]
pub(super) struct Node<'t> {
    /// Where it stands; for a value left out, its key.
    pub span: Span,
    /// What it is.
    pub kind: Kind<'t>,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind<'t> {
    /// Text, a number, a switch or nothing: the reader decides by what is wanted.
    Scalar(Scalar<'t>),
    /// A list.
    List(Vec<Node<'t>>),
    /// Keys and values, in the order of the file; no key twice.
    Map(Vec<Entry<'t>>),
    /// A value with an anchor, or an alias of one.
    Shared(Rc<Node<'t>>),
}

/// A value that holds no others.
#[derive(Debug)]
pub(super) struct Scalar<'t> {
    /// The text, with YAML's own escapes resolved.
    pub text: Cow<'t, str>,
    /// Without quotes or block markers, so that it may be a number, a switch or nothing.
    pub plain: bool,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    /// The key's text.
    pub key: Cow<'t, str>,
    /// Where the key stands.
    pub at: Span,
    /// What it holds.
    pub value: Node<'t>,
}

impl<'t> Node<'t> {
    /// The value itself, behind any anchor or alias.
    pub fn resolve(&self) -> &Node<'t> {
        let mut node = self;
        while let Kind::Shared(shared) = &node.kind {
            node = shared;
        }
        node
    }

    /// Whether nothing is written: `key:`, `~` or `null`.
    pub fn is_empty(&self) -> bool {
        match &self.resolve().kind {
            Kind::Scalar(scalar) => {
                scalar.plain && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// What it is, in the words of a finding.
    pub fn describe(&self) -> String {
        match &self.resolve().kind {
            _ if self.is_empty() => "empty".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map of keys".to_owned(),
            Kind::Scalar(scalar) => super::finding::quote(&scalar.text),
            Kind::Shared(_) => "an alias".to_owned(),
        }
    }
}
