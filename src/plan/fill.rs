//! Placeholders: `${var:NAME}`, `${env:NAME}`, `${lab:SERVICE}`, and `$${` for a plain `${`.

use crate::model::Part;

use super::finding::quote;
use super::read::{LabNames, Reader};
use super::suggest::instead;
use super::tree::Span;

/// Splits `raw` at its placeholders and fills them in.
///
/// `None` when one of them has no value, which is reported.
pub(super) fn fill(reader: &mut Reader, raw: &str, span: Span) -> Option<Vec<Part>> {
    if !raw.contains("${") {
        return Some(vec![Part::Plain(raw.to_owned())]);
    }
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut whole = true;
    let mut at = 0;
    while let Some(found) = raw[at..].find("${") {
        let open = at + found;
        if raw[at..open].ends_with('$') {
            plain.push_str(&raw[at..open - 1]);
            plain.push_str("${");
            at = open + 2;
            continue;
        }
        plain.push_str(&raw[at..open]);
        let Some(length) = raw[open..].find('}') else {
            let what = "this placeholder has no end";
            let hint = "close it with `}`, or write `$${` for a plain `${`";
            reader.findings.error("placeholder", within(span, raw, open, raw.len()), what, hint);
            return None;
        };
        at = open + length + 1;
        match placeholder(reader, &raw[open + 2..at - 1], within(span, raw, open, at)) {
            Some(Part::Plain(text)) => plain.push_str(&text),
            Some(part) => {
                if !plain.is_empty() {
                    parts.push(Part::Plain(std::mem::take(&mut plain)));
                }
                parts.push(part);
            }
            None => whole = false,
        }
    }
    plain.push_str(&raw[at..]);
    if !plain.is_empty() || parts.is_empty() {
        parts.push(Part::Plain(plain));
    }
    whole.then_some(parts)
}

/// The value of one placeholder, given what stands between its braces.
fn placeholder(reader: &mut Reader, inner: &str, span: Span) -> Option<Part> {
    let Some((kind, name)) = inner.split_once(':') else {
        let what = format!("{} does not say where its value comes from", shown(inner));
        let hint = match is_word(inner) {
            true => format!("write `${{var:{inner}}}` for `--var`, or `${{env:{inner}}}`"),
            false => "write `${var:NAME}` or `${env:NAME}`, or `$${` for a plain `${`".to_owned(),
        };
        reader.findings.error("placeholder", span, what, hint);
        return None;
    };
    match kind {
        "env" | "var" if !is_word(name) => {
            let what = format!("{} names no variable", shown(inner));
            let hint = "names are made of letters, digits, `_`, `-` and `.`";
            reader.findings.error("placeholder", span, what, hint);
            None
        }
        "var" => variable(reader, name, span),
        "env" => environment(reader, name, span),
        "lab" => lab(reader, name, span),
        _ => {
            let what = format!("{} is no kind of placeholder", quote(kind));
            let hint = instead(kind, "kinds", ["env", "lab", "var"]);
            reader.findings.error("placeholder", span, what, hint);
            None
        }
    }
}

fn variable(reader: &mut Reader, name: &str, span: Span) -> Option<Part> {
    reader.used.insert(name.to_owned());
    if let Some(value) = reader.inputs.vars.get(name) {
        return Some(Part::Plain(value.clone()));
    }
    let what = format!("{} has no value", shown(&format!("var:{name}")));
    let near = super::suggest::nearest(name, reader.inputs.vars.keys().map(String::as_str));
    let hint = match near {
        Some(near) => format!("add `--var {name}=VALUE`; did you mean {}?", quote(near)),
        None => format!("add `--var {name}=VALUE`"),
    };
    reader.findings.error("placeholder", span, what, hint);
    None
}

fn environment(reader: &mut Reader, name: &str, span: Span) -> Option<Part> {
    if let Some(value) = reader.environment(name) {
        return Some(Part::Secret { name: name.to_owned(), value });
    }
    let what = format!("{} has no value", shown(&format!("env:{name}")));
    let hint = format!("set {name} in the environment; a secret cannot come by `--var`");
    reader.findings.error("placeholder", span, what, hint);
    None
}

fn lab(reader: &mut Reader, name: &str, span: Span) -> Option<Part> {
    let (what, hint) = match &reader.lab {
        LabNames::Known(names) if names.contains(name) => {
            return Some(Part::Lab(name.to_owned()));
        }
        LabNames::Broken => return None,
        LabNames::Absent => (
            format!("{} needs a lab, and this plan has none", shown(&format!("lab:{name}"))),
            Some("add `lab:` with the service, or write the address of your own".to_owned()),
        ),
        LabNames::Known(names) => {
            let known = names.iter().map(String::as_str);
            (format!("the lab has no service {}", quote(name)), instead(name, "services", known))
        }
    };
    reader.findings.error("reference", span, what, hint);
    None
}

/// A placeholder as a finding shows it.
fn shown(inner: &str) -> String {
    quote(&format!("${{{inner}}}"))
}

fn is_word(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// The place of `raw[start..end]`, where the value's text stands in the file as it is.
fn within(span: Span, raw: &str, start: usize, end: usize) -> Span {
    let begin = match span.len().checked_sub(raw.len()) {
        Some(0) => span.start as usize,
        // Quotes around it.
        Some(2) => span.start as usize + 1,
        _ => return span,
    };
    Span::new(begin + start, begin + end)
}
