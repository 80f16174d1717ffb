//! Reading values from the tree: each read gives a value, or leaves a finding and goes on.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::{Name, Part, Text};

use super::Inputs;
use super::fill::fill;
use super::finding::{Findings, is_hostile, quote};
use super::seal::Choices;
use super::suggest::{instead, nearest};
use super::tree::{Entry, Kind, Node, Scalar, Span};
use super::typed::Typed;
use super::units::{self, LONGEST, Malformed, written};

/// What reading needs and gathers.
pub(super) struct Reader<'a> {
    /// What is wrong so far.
    pub findings: Findings,
    /// Where placeholders get their values.
    pub inputs: &'a Inputs<'a>,
    /// The variables that the plan asked for.
    pub used: HashSet<String>,
    /// Of the environment, what the plan asked for where it says what is drilled.
    pub chosen: Choices,
    /// Whether what is read now is sent to whoever was chosen, and chooses nothing.
    credential: bool,
    /// The lab's services.
    pub lab: LabNames,
    /// The secrets that stand in the plan as they are.
    pub typed: Typed,
}

/// What `${lab:SERVICE}` may name.
pub(super) enum LabNames {
    /// There is no lab.
    Absent,
    /// There is one, but it is broken: findings about it stand elsewhere.
    Broken,
    /// These.
    Known(BTreeSet<String>),
}

/// A value with its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// What a map is about, in the words of a finding: `` `timing` ``, `` probe `send` ``.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'n>(pub &'static str, pub &'n str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str(&quote(self.1)),
            kind if self.1.is_empty() => f.write_str(kind),
            kind => write!(f, "{kind} {}", quote(self.1)),
        }
    }
}

/// A value under its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'n, 't> {
    /// The key, or that of the list that it is in.
    pub key: &'n str,
    /// Where the key stands, or the value in a list.
    pub at: Span,
    /// The value.
    pub node: &'n Node<'t>,
}

/// A map with known keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'n, 't> {
    label: Label<'n>,
    /// Where findings about the map as a whole point.
    pub at: Span,
    entries: &'n [Entry<'t>],
    keys: &'static [&'static str],
}

impl<'n, 't> Fields<'n, 't> {
    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<Value<'n, 't>> {
        self.entries.iter().find(|entry| entry.key == key).map(Value::of)
    }

    /// The value under `key`, which must be there; `example` says what to write.
    pub fn need(&self, reader: &mut Reader, key: &str, example: &str) -> Option<Value<'n, 't>> {
        let found = self.get(key);
        if found.is_none() && !self.is_misspelt(key) {
            let what = format!("{} lacks the key `{key}`", self.label);
            reader.findings.error("missing-key", self.at, what, format!("add `{key}: {example}`"));
        }
        found
    }

    /// Whether an unknown key was surely meant to be `key`: that finding says it all.
    fn is_misspelt(&self, key: &str) -> bool {
        // A map of a million unknown keys is no plan; it need only stay fast.
        const LOOKED_AT: usize = 100;
        let entries = self.entries.iter().take(LOOKED_AT);
        let mut unknown = entries.filter(|entry| !self.keys.contains(&&*entry.key));
        unknown.any(|entry| nearest(&entry.key, self.keys.iter().copied()) == Some(key))
    }

    /// The one value among the keys `choices`; none and several are errors.
    pub fn one_of(&self, reader: &mut Reader, choices: &[&str]) -> Option<Value<'n, 't>> {
        let mut found = choices.iter().filter_map(|key| self.get(key));
        let list = || choices.iter().map(|key| quote(key)).collect::<Vec<_>>().join(", ");
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only),
            (None, _) => {
                if !choices.iter().any(|key| self.is_misspelt(key)) {
                    let what = format!("{} needs one of {}", self.label, list());
                    reader.findings.error("missing-key", self.at, what, None);
                }
                None
            }
            (Some(first), Some(second)) => {
                let what = format!("{} has `{}` and `{}`", self.label, first.key, second.key);
                reader.findings.error(
                    "impossible",
                    second.at,
                    what,
                    format!("keep one of {}", list()),
                );
                reader.findings.relate(first.at, "the other one");
                None
            }
        }
    }
}

impl<'n, 't> Value<'n, 't> {
    /// The value of a map's entry.
    pub fn of(entry: &'n Entry<'t>) -> Self {
        Value { key: &entry.key, at: entry.at, node: &entry.value }
    }

    /// The value under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<Value<'n, 't>> {
        let Kind::Map(entries) = &self.node.resolve().kind else { return None };
        entries.iter().find(|entry| entry.key == key).map(Value::of)
    }

    /// Where findings about the value point: at the key of a list or map, else at the value.
    pub fn span(&self) -> Span {
        match self.node.resolve().kind {
            Kind::Scalar(_) => self.node.span,
            _ => self.at,
        }
    }
}

/// A value whose placeholders are filled in.
pub(super) struct Filled<'n> {
    /// The value itself: not to be shown when it holds secrets.
    pub real: Cow<'n, str>,
    /// As the plan writes it: what findings show.
    pub raw: &'n str,
}

impl<'a> Reader<'a> {
    /// A reader that found nothing wrong yet.
    pub fn new(inputs: &'a Inputs<'a>) -> Self {
        let findings = Findings::default();
        Reader {
            findings,
            inputs,
            used: HashSet::new(),
            chosen: Choices::default(),
            credential: false,
            lab: LabNames::Absent,
            typed: Typed::default(),
        }
    }

    /// Reports that `value` is not what is wanted.
    pub fn wrong(&mut self, value: Value, wanted: &str, hint: Option<String>) {
        let found = value.node.describe();
        let what = format!("{} is {found}, wanted {wanted}", quote(value.key));
        self.findings.error("wrong-type", value.span(), what, hint);
    }

    /// The map in `value`, whose keys must be among `keys`.
    #[cfg_attr(test, track_caller)]
    pub fn fields<'n, 't>(
        &mut self,
        value: Value<'n, 't>,
        label: Label<'n>,
        keys: &'static [&'static str],
    ) -> Option<Fields<'n, 't>> {
        #[cfg(test)]
        super::tests::schema::asked(keys);
        let entries = self.map(value, "a map of keys")?;
        for entry in entries.iter().filter(|entry| !keys.contains(&&*entry.key)) {
            let what = format!("{label} has no key {}", quote(&entry.key));
            let hint = match self.findings.is_full() {
                true => None,
                false => {
                    let near = nearest(&entry.key, keys.iter().copied());
                    let near = near.map(|near| format!("did you mean `{near}`? "));
                    Some(format!("{}keys: {}", near.unwrap_or_default(), keys.join(", ")))
                }
            };
            self.findings.error("unknown-key", entry.at, what, hint);
        }
        Some(Fields { label, at: value.at, entries, keys })
    }

    /// The entries of a map whose keys the plan chooses.
    pub fn map<'n, 't>(&mut self, value: Value<'n, 't>, wanted: &str) -> Option<&'n [Entry<'t>]> {
        match &value.node.resolve().kind {
            Kind::Map(entries) => Some(entries),
            _ => {
                self.wrong(value, wanted, None);
                None
            }
        }
    }

    /// The items of a list.
    pub fn list<'n, 't>(&mut self, value: Value<'n, 't>, wanted: &str) -> Vec<Value<'n, 't>> {
        match &value.node.resolve().kind {
            Kind::List(_) => self.one_or_more(value),
            _ => {
                self.wrong(value, wanted, None);
                Vec::new()
            }
        }
    }

    /// Whether it is a list without items.
    pub fn is_empty_list(&self, value: Value) -> bool {
        matches!(&value.node.resolve().kind, Kind::List(items) if items.is_empty())
    }

    /// The items of a list, or the value itself if it is none.
    pub fn one_or_more<'n, 't>(&mut self, value: Value<'n, 't>) -> Vec<Value<'n, 't>> {
        match &value.node.resolve().kind {
            Kind::List(items) => {
                items.iter().map(|node| Value { key: value.key, at: node.span, node }).collect()
            }
            _ => vec![value],
        }
    }

    fn scalar<'n>(&mut self, value: Value<'n, '_>, wanted: &str) -> Option<&'n Scalar<'n>> {
        match &value.node.resolve().kind {
            Kind::Scalar(scalar) if !value.node.is_empty() => Some(scalar),
            _ => {
                self.wrong(value, wanted, None);
                None
            }
        }
    }

    /// Text that may hold secrets; and addresses of lab services, if `lab`.
    pub fn text(&mut self, value: Value, lab: bool) -> Option<At<Text>> {
        let scalar = self.scalar(value, "text")?;
        let parts = fill(self, &scalar.text, value.node.span)?;
        if !lab && let Some(part) = parts.iter().find(|part| matches!(part, Part::Lab(_))) {
            self.misplaced(value, part);
            return None;
        }
        Some(At { value: Text::new(parts), span: value.span() })
    }

    /// As [`Reader::text`], for what is sent to whoever was chosen: a token, a password, a body. Its values from the
    /// environment may change from drill to drill, and it is the same system all the same.
    pub fn credential(&mut self, value: Value, lab: bool) -> Option<At<Text>> {
        self.choosing_nothing(|reader| reader.text(value, lab))
    }

    /// What `read` gives, none of which says what is drilled.
    pub fn choosing_nothing<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.credential, true);
        let value = read(self);
        self.credential = before;
        value
    }

    /// The value of `name` in the environment.
    pub fn environment(&mut self, name: &str) -> Option<String> {
        let value = (self.inputs.env)(name);
        if !self.credential {
            self.chosen.add(name, value.clone());
        }
        value
    }

    fn misplaced(&mut self, value: Value, part: &Part) {
        let what = format!("{} cannot hold {}", quote(value.key), quote(&part.to_string()));
        let hint = match part {
            Part::Secret { .. } => {
                "it is shown in reports, and the environment is secret: pass it by `--var`"
            }
            _ => "a lab address is known only while the drill runs; probes can use it",
        };
        self.findings.error("placeholder", value.span(), what, hint);
    }

    /// A word, a number or a path, placeholders filled in; no lab address.
    pub fn word<'n>(&mut self, value: Value<'n, '_>, wanted: &str) -> Option<Filled<'n>> {
        let scalar = self.scalar(value, wanted)?;
        if !scalar.text.contains("${") {
            return Some(Filled { real: Cow::Borrowed(&scalar.text), raw: &scalar.text });
        }
        let text = self.text(value, false)?.value;
        Some(Filled { real: Cow::Owned(text.reveal_plain()), raw: &scalar.text })
    }

    /// As [`Reader::public`], for what stands in one line: without control characters.
    pub fn shown<'n>(&mut self, value: Value<'n, '_>, wanted: &str) -> Option<Cow<'n, str>> {
        let text = self.public(value, wanted)?;
        if text.chars().any(is_hostile) {
            let what =
                format!("{} holds a line break or another control character", quote(value.key));
            self.findings.error(
                "bad-value",
                value.span(),
                what,
                "it is shown in reports: take it out",
            );
            return None;
        }
        Some(text)
    }

    /// As [`Reader::word`], for what reports show: without values from the environment.
    pub fn public<'n>(&mut self, value: Value<'n, '_>, wanted: &str) -> Option<Cow<'n, str>> {
        let scalar = self.scalar(value, wanted)?;
        if !scalar.text.contains("${") {
            return Some(Cow::Borrowed(&scalar.text));
        }
        let text = self.text(value, false)?.value;
        if let Some(part) = text.parts().iter().find(|part| matches!(part, Part::Secret { .. })) {
            self.misplaced(value, part);
            return None;
        }
        Some(Cow::Owned(text.reveal_plain()))
    }

    /// A name that the plan gives.
    pub fn name(&mut self, value: Value) -> Option<At<Name>> {
        let name = self.shown(value, "a name")?;
        self.proper_name(&name, value.span())
    }

    /// A name that stands as a key.
    pub fn name_key(&mut self, entry: &Entry) -> Option<At<Name>> {
        if !entry.key.contains("${") {
            return self.proper_name(&entry.key, entry.at);
        }
        let scalar = Scalar { text: Cow::Borrowed(&*entry.key), plain: false };
        let node = Node { span: entry.at, kind: Kind::Scalar(scalar) };
        self.name(Value { key: &entry.key, at: entry.at, node: &node })
    }

    /// As [`Reader::name_key`], for a name that must stand only once among `taken`. The tree has no
    /// key twice, but placeholders may make two of them the same.
    pub fn new_name(&mut self, entry: &Entry, taken: &mut HashSet<Name>) -> Option<At<Name>> {
        let name = self.name_key(entry)?;
        if entry.key.contains("${") && taken.contains(&name.value) {
            let what = format!("the name {} is taken", quote(name.value.as_str()));
            self.findings.error(
                "duplicate-key",
                entry.at,
                what,
                "give one of the two another name",
            );
            return None;
        }
        taken.insert(name.value.clone());
        Some(name)
    }

    /// The name `name`, which stands at `span` or is made of what does.
    pub fn proper_name(&mut self, name: &str, span: Span) -> Option<At<Name>> {
        const LONGEST: usize = 64;
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let begins = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if begins && name.len() <= LONGEST && name.bytes().all(inner) {
            return Some(At { value: Name::from(name), span });
        }
        let what = format!("{} cannot be a name", quote(name));
        let hint = "names are up to 64 letters, digits, `-`, `_` and `.`, and begin with a letter or digit";
        self.findings.error("bad-name", span, what, hint);
        None
    }

    /// A duration; zero only if `zero`.
    pub fn duration(&mut self, value: Value, zero: bool) -> Option<At<Duration>> {
        let filled = self.word(value, "a duration such as `3s`")?;
        let hint = match units::duration(&filled.real) {
            Ok(duration) if zero || !duration.is_zero() => {
                return Some(At { value: duration, span: value.span() });
            }
            Ok(_) => "it must be longer than nothing".to_owned(),
            Err(Malformed::NoUnit) if filled.raw.len() < 20 && !filled.raw.contains('$') => {
                format!("add a unit: `{0}s` or `{0}ms`", filled.raw.trim())
            }
            Err(Malformed::NoUnit) => "add a unit: `3s` or `200ms`".to_owned(),
            Err(Malformed::Negative) => "it cannot be below zero".to_owned(),
            Err(Malformed::TooLarge) => format!("no drill lasts longer than {}", written(LONGEST)),
            Err(Malformed::Form) => "write `50ms`, `3s` or `1m 30s`".to_owned(),
        };
        let what = match hint.starts_with("it ") {
            true => format!("{} cannot be {}", quote(value.key), quote(filled.raw)),
            false => format!("{} is {}, wanted a duration", quote(value.key), quote(filled.raw)),
        };
        self.findings.error("bad-value", value.span(), what, hint);
        None
    }

    /// A whole number within `range`.
    pub fn count(&mut self, value: Value, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = match *range.end() {
            u64::MAX => "a whole number".to_owned(),
            end => format!("a whole number from {} to {end}", range.start()),
        };
        let filled = self.word(value, &wanted)?;
        match units::integer(&filled.real) {
            Ok(number) if range.contains(&number) => return Some(number),
            _ => {}
        }
        let what = format!("{} is {}, wanted {wanted}", quote(value.key), quote(filled.raw));
        self.findings.error("bad-value", value.span(), what, None);
        None
    }

    /// `true` or `false`.
    pub fn flag(&mut self, value: Value) -> Option<bool> {
        self.choice(value, &[("true", true), ("false", false)])
    }

    /// A share from 0 to 1, as `99%` or `0.99`.
    pub fn share(&mut self, value: Value) -> Option<At<f64>> {
        let filled = self.word(value, "a share such as `99%` or `0.99`")?;
        if let Ok(share) = units::share(&filled.real)
            && (0.0..=1.0).contains(&share)
        {
            return Some(At { value: share, span: value.span() });
        }
        let what = format!("{} is {}, wanted a share", quote(value.key), quote(filled.raw));
        let hint = "write a share from `0%` to `100%`, or from 0 to 1";
        self.findings.error("bad-value", value.span(), what, hint);
        None
    }

    /// A byte rate, as `1MB/s`.
    pub fn rate(&mut self, value: Value) -> Option<u64> {
        let filled = self.word(value, "a byte rate such as `1MB/s`")?;
        match units::rate(&filled.real) {
            Ok(rate) => return Some(rate),
            Err(reason) => {
                let hint = match reason {
                    Malformed::NoUnit => "add a unit: `kB/s`, `MB/s`, `MiB/s` or `Mbit/s`",
                    _ => "write `1MB/s`, `512KiB/s` or `10Mbit/s`; at least `1B/s`",
                };
                let key = quote(value.key);
                let what = format!("{key} is {}, wanted a byte rate", quote(filled.raw));
                self.findings.error("bad-value", value.span(), what, hint);
            }
        }
        None
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, value: Value, choices: &[(&str, T)]) -> Option<T> {
        let words = choices.iter().map(|&(word, _)| word);
        let all = || words.clone().map(quote).collect::<Vec<_>>().join(", ");
        if value.node.is_empty() || !matches!(value.node.resolve().kind, Kind::Scalar(_)) {
            self.wrong(value, &format!("one of {}", all()), None);
            return None;
        }
        let filled = self.word(value, "a word")?;
        if let Some(&(_, chosen)) = choices.iter().find(|(word, _)| *word == filled.real) {
            return Some(chosen);
        }
        let what = format!("{} cannot be {}", quote(value.key), quote(filled.raw));
        let hint = match filled.raw.contains('$') {
            true => format!("write one of {}", all()),
            false => instead(filled.raw, "choices", words).unwrap_or_default(),
        };
        self.findings.error("bad-value", value.span(), what, hint);
        None
    }
}
