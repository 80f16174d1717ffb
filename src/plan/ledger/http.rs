//! `http`: requests that write, read and remove records.

use crate::model::{HttpLedger, HttpProbe, NextPage, Text};
use crate::plan::finding::quote;
use crate::plan::probe;
use crate::plan::read::{Label, Reader, Value};

/// Reads `http: { write: { … }, read: { … }, items: /ids, key: /id, next: /next, remove: { … } }`.
pub(super) fn http(reader: &mut Reader, value: Value) -> Option<HttpLedger> {
    const KEYS: &[&str] = &["write", "read", "items", "key", "next", "remove"];
    let fields = reader.fields(value, Label("", "http"), KEYS)?;
    const WRITE: &str = "{ url: \"https://shop.example/orders/{{key}}\", method: PUT }";
    let write = fields.need(reader, "write", WRITE);
    let write = write.and_then(|value| Some((request(reader, value)?, value)));
    let read = fields.need(reader, "read", "{ url: \"https://shop.example/orders\" }");
    let read = read.and_then(|value| Some((request(reader, value)?, value)));
    let remove = fields.get("remove").and_then(|value| Some((request(reader, value)?, value)));
    let mut pointer = |key| fields.get(key).and_then(|value| pointer(reader, value));
    let (items, item_key) = (pointer("items"), pointer("key"));
    let next = fields.get("next").and_then(|value| Some((next(reader, value)?, value)));
    if let Some((read, at)) = &read {
        fits(reader, (read, *at), next.as_ref().map(|(next, at)| (next, *at)));
    }
    for (request, at) in write.iter().chain(&remove) {
        no_cursor(reader, request, *at);
    }
    let (write, at) = write?;
    if !HttpLedger::asks_for(&write, HttpLedger::KEY) {
        let what = "`write` does not say which record it writes";
        let hint = "put `{{key}}` into its `url` or its `body`";
        reader.findings.error("impossible", at.span(), what, hint);
    }
    if let Some((remove, at)) = &remove
        && !HttpLedger::asks_for(remove, HttpLedger::KEY)
        && !HttpLedger::asks_for(remove, HttpLedger::PREFIX)
    {
        let what =
            "`remove` does not say which records it removes, and could remove those of others";
        let hint = "put `{{key}}` into its `url` or its `body` for one at a time, or `{{prefix}}` for all of the drill's";
        reader.findings.error("impossible", at.span(), what, hint);
    }
    Some(HttpLedger {
        write,
        read: read?.0,
        items: items.unwrap_or_default(),
        item_key: item_key.unwrap_or_default(),
        next: next.map(|(next, _)| next),
        remove: remove.map(|(remove, _)| remove),
    })
}

/// Reads `next: link` or `next: /POINTER`.
fn next(reader: &mut Reader, value: Value) -> Option<NextPage> {
    let text = reader.shown(value, "`link`, or a JSON pointer such as `/next`")?;
    if text.eq_ignore_ascii_case("link") {
        return Some(NextPage::Link);
    }
    if text.starts_with('/') {
        return Some(NextPage::Json(text.into_owned()));
    }
    let what = format!("{} says of no page where the next one is", quote(&text));
    let hint = "write `link` for the header `Link`, or a JSON pointer such as `/next`";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

/// Reports what `read` and `next` cannot do together.
fn fits(reader: &mut Reader, (read, at): (&HttpProbe, Value), next: Option<(&NextPage, Value)>) {
    let in_url = read.url.to_string().contains(HttpLedger::CURSOR);
    let (span, what, hint) = match next {
        Some((_, next)) if HttpLedger::asks_for(read, HttpLedger::KEY) => (
            next.span(),
            "`read` asks for one record at a time, which comes in no pages",
            "take `next` out, or let `read` list all records: without `{{key}}`",
        ),
        Some((NextPage::Link, _)) if in_url => (
            at.span(),
            "`next: link` gives a URL, and nothing to fill in for `{{cursor}}`",
            "take `{{cursor}}` out, or name what to fill in by a JSON pointer, such as `next: /cursor`",
        ),
        None if in_url => (
            at.span(),
            "nothing says what to fill in for `{{cursor}}`",
            "add `next` with a JSON pointer to it, such as `next: /cursor`",
        ),
        _ => return cursor_in_body(reader, read, at),
    };
    reader.findings.error("impossible", span, what, hint);
}

/// Reports a cursor in a request that asks for no page.
fn no_cursor(reader: &mut Reader, request: &HttpProbe, at: Value) {
    if request.url.to_string().contains(HttpLedger::CURSOR) {
        let what = "`{{cursor}}` is not filled in here, but in the `url` of `read` alone";
        reader.findings.error("impossible", at.span(), what, "take it out");
    }
    cursor_in_body(reader, request, at);
}

/// Reports a cursor in a body: nobody knows how it would have to be escaped there.
fn cursor_in_body(reader: &mut Reader, request: &HttpProbe, at: Value) {
    let has = |text: &Text| text.to_string().contains(HttpLedger::CURSOR);
    if request.body.as_ref().is_some_and(has) {
        let what = "`{{cursor}}` is not filled in here, but in the `url` of `read` alone";
        let span = at.get("body").unwrap_or(at).span();
        reader.findings.error("impossible", span, what, "move it there, or take it out");
    }
}

const WORDS: [&str; 4] =
    [HttpLedger::KEY, HttpLedger::VALUE, HttpLedger::PREFIX, HttpLedger::CURSOR];

fn request(reader: &mut Reader, value: Value) -> Option<HttpProbe> {
    let request = probe::http_with(reader, value, &WORDS)?;
    let headers = value.get("headers");
    for (name, text) in &request.headers {
        not_filled(reader, headers, name, text);
    }
    let expect = value.get("expect");
    if let Some(text) = &request.expect.body {
        not_filled(reader, expect, "body", text);
    }
    Some(request)
}

/// Reports words in a place where they are not filled in: `text` under `key` in `map`.
fn not_filled(reader: &mut Reader, map: Option<Value>, key: &str, text: &Text) {
    let Some(word) = WORDS.into_iter().find(|word| text.to_string().contains(word)) else { return };
    let span = map.map(|map| map.get(key).unwrap_or(map).span());
    let what = format!("`{word}` is not filled in here, but in `url` and `body` alone");
    if let Some(span) = span {
        reader.findings.error("impossible", span, what, "move it there, or take it out");
    }
}

/// A JSON pointer (RFC 6901).
fn pointer(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "a JSON pointer such as `/ids`")?;
    if text.is_empty() || text.starts_with('/') {
        return Some(text.into_owned());
    }
    let what = format!("{} is no JSON pointer", quote(&text));
    reader.findings.error("bad-value", value.span(), what, format!("write `/{text}`"));
    None
}
