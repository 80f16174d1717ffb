//! `http`: requests that write, read and remove records.

use crate::model::{HttpLedger, HttpProbe, Text};
use crate::plan::finding::quote;
use crate::plan::probe;
use crate::plan::read::{Label, Reader, Value};

/// Reads `http: { write: { … }, read: { … }, items: /ids, key: /id, remove: { … } }`.
pub(super) fn http(reader: &mut Reader, value: Value) -> Option<HttpLedger> {
    const KEYS: &[&str] = &["write", "read", "items", "key", "remove"];
    let fields = reader.fields(value, Label("", "http"), KEYS)?;
    const WRITE: &str = "{ url: \"https://shop.example/orders/{{key}}\", method: PUT }";
    let write = fields.need(reader, "write", WRITE);
    let write = write.and_then(|value| Some((request(reader, value)?, value)));
    let read = fields.need(reader, "read", "{ url: \"https://shop.example/orders\" }");
    let read = read.and_then(|value| request(reader, value));
    let remove = fields.get("remove").and_then(|value| Some((request(reader, value)?, value)));
    let mut pointer = |key| fields.get(key).and_then(|value| pointer(reader, value));
    let (items, item_key) = (pointer("items"), pointer("key"));
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
        read: read?,
        items: items.unwrap_or_default(),
        item_key: item_key.unwrap_or_default(),
        remove: remove.map(|(remove, _)| remove),
    })
}

const WORDS: [&str; 3] = [HttpLedger::KEY, HttpLedger::VALUE, HttpLedger::PREFIX];

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
