//! `http`: requests of one's own to any API.

use std::time::Duration;

use super::api;
use super::aws::by_datacenter;
use super::exec::modes;
use crate::model::{
    Form, HttpCall, HttpExpect, HttpPart, HttpReading, HttpSettings, ModeKind, NotATemplate,
    Template, Text,
};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::probe::{SUCCESS, expect, headers, is_pointer, json_value, method};
use crate::plan::read::{Fields, Label, Reader, Value};

/// The values of a place in each of the requests.
const OF_INSPECT: &[&str] = &["part", "datacenter"];
const OF_CUT: &[&str] = &["part", "datacenter", "mode", "before"];
const OF_RESTORE: &[&str] = &["part", "datacenter", "before"];

/// What is read if the plan does not say: the whole answer.
const WHOLE: &str = "";

/// Reads the settings of an `http`.
pub(super) fn http(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<HttpSettings> {
    const KEYS: &[&str] = &[
        "url",
        "headers",
        "ca",
        "parts",
        "modes",
        "survivors",
        "inspect",
        "cut",
        "restore",
        "timeout",
    ];
    let fields = reader.fields(value, Label("", "http"), KEYS)?;
    let url = fields.need(reader, "url", "\"https://lb.example/api\"");
    let url = url.and_then(|value| api(reader, value));
    let headers = fields.get("headers").map(|value| headers(reader, value)).unwrap_or_default();
    let ca = fields.get("ca").and_then(|value| reader.text(value, false));
    let parts = fields.need(reader, "parts", "{ east: [pool-a], west: [pool-b] }");
    let parts = parts.map(|value| by_datacenter(reader, value, datacenters, part));
    let known = fields.need(reader, "modes", "[drain]");
    let known = known.map(|value| (value, modes(reader, value)));
    if let Some((value, known)) = &known
        && known.contains(&ModeKind::Degrade)
    {
        let hint = "leave `degrade` out: a part is open or closed";
        reader.findings.error("impossible", value.span(), "`http` cannot degrade", hint);
    }
    let survivors = fields.get("survivors").and_then(|value| reader.flag(value));
    let inspect = fields.need(
        reader,
        "inspect",
        "{ path: \"/pools/{{part}}\", read: /enabled, closed: false }",
    );
    let inspect = inspect.and_then(|value| reading(reader, value));
    let call = |reader: &mut Reader, key: &'static str, known: &'static [&'static str]| {
        let example =
            "{ method: PATCH, path: \"/pools/{{part}}\", body: '{ \"enabled\": false }' }";
        let value = fields.need(reader, key, example)?;
        const KEYS: &[&str] = &["method", "path", "body", "content_type", "expect", "repeatable"];
        let fields = reader.fields(value, Label("", key), KEYS)?;
        self::call(reader, &fields, known)
    };
    let (cut, restore) = (call(reader, "cut", OF_CUT), call(reader, "restore", OF_RESTORE));
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    let parts = parts?.into_iter().flat_map(|(datacenter, names)| {
        names.into_iter().map(move |name| HttpPart { datacenter, name })
    });
    Some(HttpSettings {
        url: url?,
        headers,
        ca: ca.map(|at| at.value),
        parts: parts.collect(),
        datacenters: datacenters.names.clone(),
        modes: known?.1,
        survivors: survivors.unwrap_or(true),
        inspect: inspect?,
        cut: cut?,
        restore: restore?,
        timeout: timeout.map_or(Duration::from_secs(10), |at| at.value),
    })
}

fn part(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "what stands for `{{part}}`")?;
    if text.is_empty() || text.chars().any(char::is_control) {
        let what = format!("{} cannot be the name of a part", quote(&text));
        reader.findings.error("bad-value", value.span(), what, "write what stands for `{{part}}`");
        return None;
    }
    Some(text.into_owned())
}

fn reading(reader: &mut Reader, value: Value) -> Option<HttpReading> {
    const KEYS: &[&str] = &[
        "method",
        "path",
        "body",
        "content_type",
        "expect",
        "repeatable",
        "read",
        "closed",
        "keep",
    ];
    let fields = reader.fields(value, Label("", "inspect"), KEYS)?;
    let call = call(reader, &fields, OF_INSPECT);
    let read = match fields.get("read") {
        Some(value) => pointer(reader, value),
        None => Some(WHOLE.to_owned()),
    };
    let keep = fields.get("keep").and_then(|value| pointer(reader, value));
    let closed = fields.need(reader, "closed", "false");
    let closed = closed.and_then(|value| json_value(reader, value));
    Some(HttpReading { call: call?, read: read?, closed: closed?, keep })
}

/// A JSON pointer with places for values; empty for the whole.
fn pointer(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "a JSON pointer")?;
    let pointer_good = text.is_empty() || is_pointer(&text);
    if !pointer_good {
        let what = format!("{} is no JSON pointer", quote(&text));
        reader.findings.error("bad-value", value.span(), what, crate::plan::probe::POINTER_HINT);
        return None;
    }
    places(reader, value, &Text::from(&*text), OF_INSPECT).then(|| text.into_owned())
}

fn call(reader: &mut Reader, fields: &Fields, known: &[&str]) -> Option<HttpCall> {
    let is_reading = known == OF_INSPECT;
    let method = match (fields.get("method"), is_reading) {
        (Some(value), _) => method(reader, value),
        (None, true) => Some("GET".to_owned()),
        (None, false) => {
            fields.need(reader, "method", "PATCH").and_then(|value| self::method(reader, value))
        }
    };
    let path = fields.need(reader, "path", "\"/pools/{{part}}\"");
    let path = path.and_then(|value| path_of(reader, value, known));
    let body = fields.get("body").and_then(|value| {
        let text = reader.credential(value, false)?.value;
        places(reader, value, &text, known).then_some(text)
    });
    let kind = fields.get("content_type").and_then(|value| content_type(reader, value));
    let expected = fields.get("expect").and_then(|value| expect(reader, value));
    let repeatable = fields.get("repeatable").and_then(|value| reader.flag(value));
    let method = method?;
    let by_itself = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(&&*method);
    Some(HttpCall {
        repeatable: repeatable.unwrap_or(is_reading || by_itself),
        method,
        path: path?,
        body,
        content_type: kind.unwrap_or_else(|| "application/json".to_owned()),
        expect: expected.unwrap_or(HttpExpect {
            status: vec![SUCCESS],
            body: None,
            json: Vec::new(),
        }),
    })
}

fn path_of(reader: &mut Reader, value: Value, known: &[&str]) -> Option<Text> {
    let text = reader.credential(value, false)?.value;
    let plain = text.reveal_plain();
    if !plain.starts_with('/') || plain.contains('#') || plain.chars().any(char::is_control) {
        let what = format!("{} is no path behind the URL", quote(&text.to_string()));
        let hint = "write it with a `/` at its beginning and without a fragment: `/pools/{{part}}`";
        reader.findings.error("bad-value", value.span(), what, hint);
        return None;
    }
    places(reader, value, &text, known).then_some(text)
}

/// Whether every `{{…}}` in `text` is a place for a value that is known there.
fn places(reader: &mut Reader, value: Value, text: &Text, known: &[&str]) -> bool {
    let is_known = |name: &str| match name.split_once(':') {
        Some(("before", pointer)) => known.contains(&"before") && is_pointer(pointer),
        _ => known.contains(&name),
    };
    let wrong = match Template::parse_naming(text, &is_known) {
        Ok(_) => return true,
        Err(wrong) => wrong,
    };
    let what = match wrong {
        NotATemplate::Unknown(name) => {
            format!("there is no value {} here", quote(&format!("{{{{{name}}}}}")))
        }
        NotATemplate::Open => "a `{{` has no `}}`".to_owned(),
    };
    let names: Vec<String> = known.iter().map(|name| format!("`{{{{{name}}}}}`")).collect();
    let more =
        if known.contains(&"before") { ", or a piece of it: `{{before:/weight}}`" } else { "" };
    let hint = format!("write {}{more}", names.join(", "));
    reader.findings.error("bad-value", value.span(), what, hint);
    false
}

fn content_type(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "a content type, as `application/json`")?;
    if Form::of(&text).is_some() && !text.chars().any(char::is_control) {
        return Some(text.into_owned());
    }
    let what = format!("values cannot be put into a body of {}", quote(&text));
    let hint = "write `application/json`, another `application/…+json`, \
                `application/x-www-form-urlencoded` or `text/plain`";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}
