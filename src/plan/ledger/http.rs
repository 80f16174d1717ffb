//! `http`: requests that write, read and remove records.

use crate::model::{HttpLedger, HttpProbe};
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
    let remove = fields.get("remove").and_then(|value| request(reader, value));
    let mut pointer = |key| fields.get(key).and_then(|value| pointer(reader, value));
    let (items, item_key) = (pointer("items"), pointer("key"));
    let (write, at) = write?;
    if !asks_for(&write, HttpLedger::KEY) {
        let what = "`write` does not say which record it writes";
        let hint = "put `{{key}}` into its `url` or its `body`";
        reader.findings.error("missing-key", at.span(), what, hint);
    }
    Some(HttpLedger {
        write,
        read: read?,
        items: items.unwrap_or_default(),
        item_key: item_key.unwrap_or_default(),
        remove,
    })
}

fn request(reader: &mut Reader, value: Value) -> Option<HttpProbe> {
    probe::http_with(reader, value, &[HttpLedger::KEY, HttpLedger::VALUE, HttpLedger::PREFIX])
}

/// Whether `word` stands in the URL or the body of a request.
fn asks_for(http: &HttpProbe, word: &str) -> bool {
    let has = |text: &crate::model::Text| text.to_string().contains(word);
    has(&http.url) || http.body.as_ref().is_some_and(has)
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
