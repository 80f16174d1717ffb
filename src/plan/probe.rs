//! What probes ask by `http` and `tcp`, and the answers they expect.

use std::path::PathBuf;

use crate::model::{Connection, HttpExpect, HttpProbe, ProbeKind, TcpProbe, Text};

use super::address;
use super::dns;
use super::finding::quote;
use super::ledger;
use super::read::{At, Fields, Label, Reader, Value};
use super::tree::Kind;
use super::typed;

/// A user calls an answer right when its status is one of these, if the plan says nothing else.
pub(super) const SUCCESS: (u16, u16) = (200, 299);

/// Reads what a probe or a load asks, under one of the keys `kinds`.
pub(super) fn kind(reader: &mut Reader, fields: &Fields, kinds: &[&str]) -> Option<ProbeKind> {
    let value = fields.one_of(reader, kinds)?;
    match value.key {
        "http" => http(reader, value).map(ProbeKind::Http),
        "dns" => dns::dns(reader, value).map(ProbeKind::Dns),
        "ledger" => ledger::ledger(reader, value).map(ProbeKind::Ledger),
        _ => tcp(reader, value).map(ProbeKind::Tcp),
    }
}

/// Reads its `connection`.
pub(super) fn connection(reader: &mut Reader, fields: &Fields) -> Option<Connection> {
    let cohorts = [("new", Connection::New), ("keep-alive", Connection::KeepAlive)];
    reader.choice(fields.get("connection")?, &cohorts)
}

/// Reads `http: URL` or `http: { url: … }`.
pub(super) fn http(reader: &mut Reader, value: Value) -> Option<HttpProbe> {
    http_with(reader, value, &[])
}

/// As [`http`], with words in its URL that are filled in for each request.
pub(super) fn http_with(reader: &mut Reader, value: Value, words: &[&str]) -> Option<HttpProbe> {
    const KEYS: &[&str] = &["url", "method", "headers", "body", "ca", "expect"];
    if let Kind::Scalar(_) = value.node.resolve().kind {
        let url = url_with(reader, value, words)?;
        let expect = HttpExpect { status: vec![SUCCESS], body: None, json: Vec::new() };
        let (method, headers) = ("GET".to_owned(), Vec::new());
        return Some(HttpProbe { url, method, headers, body: None, ca: None, expect });
    }
    let fields = reader.fields(value, Label("", "http"), KEYS)?;
    let url = fields.need(reader, "url", "https://talk.example/send");
    let url = url.and_then(|value| url_with(reader, value, words));
    let method = fields.get("method").and_then(|value| method(reader, value));
    let method = method.unwrap_or_else(|| "GET".to_owned());
    let headers = fields.get("headers").map(|value| headers(reader, value)).unwrap_or_default();
    let body = fields.get("body").and_then(|value| reader.credential(value, true));
    let ca = fields.get("ca").and_then(|value| path(reader, value));
    let expected = fields.get("expect");
    let expect = expected.and_then(|value| expect(reader, value));
    let expect =
        expect.unwrap_or(HttpExpect { status: vec![SUCCESS], body: None, json: Vec::new() });
    if let Some(value) = expected
        && method == "HEAD"
        && (expect.body.is_some() || !expect.json.is_empty())
    {
        let what = "an answer to `HEAD` has no body to look at";
        reader.findings.error("impossible", value.at, what, "write `method: GET`");
    }
    let body = body.map(|at| at.value);
    Some(HttpProbe { url: url?, method, headers, body, ca, expect })
}

/// Reads `tcp: HOST:PORT` or `tcp: { address: … }`.
pub(super) fn tcp(reader: &mut Reader, value: Value) -> Option<TcpProbe> {
    if let Kind::Scalar(_) = value.node.resolve().kind {
        let address = tcp_address(reader, value)?;
        return Some(TcpProbe { address, send: None, expect: None });
    }
    let fields = reader.fields(value, Label("", "tcp"), &["address", "send", "expect"])?;
    let address = fields.need(reader, "address", "db.example:5432");
    let address = address.and_then(|value| tcp_address(reader, value));
    let send = fields.get("send").and_then(|value| reader.credential(value, true));
    let expect = fields.get("expect").and_then(|value| expected_text(reader, value));
    Some(TcpProbe { address: address?, send: send.map(|at| at.value), expect })
}

fn tcp_address(reader: &mut Reader, value: Value) -> Option<Text> {
    let text = reader.text(value, true)?;
    // A lab address comes as a URL; the probe takes host and port from it.
    let real = text.value.reveal(&|_| Some(address::LAB_STAND_IN.to_owned()));
    let real = match text.value.parts().first() {
        Some(crate::model::Part::Lab(_)) => real.strip_prefix("http://").unwrap_or(&real),
        _ => &real,
    };
    address::host_and_port(reader, &text, real).then_some(text.value)
}

pub(super) fn url(reader: &mut Reader, value: Value) -> Option<Text> {
    url_with(reader, value, &[])
}

fn url_with(reader: &mut Reader, value: Value, words: &[&str]) -> Option<Text> {
    let text = reader.text(value, true)?;
    // What is filled in needs no escape.
    let filled =
        |plain: &str| words.iter().fold(plain.to_owned(), |it, word| it.replace(word, "x"));
    let checked = At { value: text.value.mapped(filled), span: text.span };
    address::url(reader, &checked).then_some(text.value)
}

pub(super) fn path(reader: &mut Reader, value: Value) -> Option<PathBuf> {
    let filled = reader.word(value, "the path of a PEM file")?;
    if filled.real.is_empty() || filled.real.contains('\0') {
        let what = format!("{} is no path", quote(filled.raw));
        reader.findings.error("bad-value", value.span(), what, "write the path of a PEM file");
        return None;
    }
    Some(PathBuf::from(filled.real.into_owned()))
}

pub(super) fn method(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "an HTTP method")?;
    let hint = match &*text {
        text if !is_token(text) => "write `GET`, `POST`, `PUT`, `DELETE`, …",
        "CONNECT" | "connect" => "firedrill sends no `CONNECT`; a `tcp` probe may do",
        text => return Some(text.to_ascii_uppercase()),
    };
    let what = format!("{} cannot be the method", quote(&text));
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

/// Whether it is a `token` of RFC 9110, as methods and field names are.
pub(super) fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.len() <= 256 && text.bytes().all(fits)
}

pub(super) fn headers(reader: &mut Reader, value: Value) -> Vec<(String, Text)> {
    const OURS: &[&str] = &["content-length", "transfer-encoding", "connection", "upgrade"];
    let entries = reader.map(value, "header fields by name").unwrap_or_default();
    let mut headers: Vec<(String, Text)> = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = entry.key.to_ascii_lowercase();
        let problem = match &*name {
            name if !is_token(name) => Some("is no name of a header field"),
            name if OURS.contains(&name) => Some("is set by the probe itself"),
            name if headers.iter().any(|(other, _)| other == name) => Some("stands here twice"),
            _ => None,
        };
        if let Some(problem) = problem {
            let what = format!("{} {problem}", quote(&entry.key));
            let hint = match problem.starts_with("is no") {
                true => "write names such as `authorization`, without a colon",
                false => "take it out",
            };
            reader.findings.error("bad-value", entry.at, what, hint);
            continue;
        }
        let text = match &*name {
            // A server or a balancer chooses the system by it.
            "host" => reader.text(Value::of(entry), true),
            _ => reader.credential(Value::of(entry), true),
        };
        let Some(text) = text else { continue };
        // RFC 9110, 5.5: a line break in a value would smuggle in another field.
        if text.value.reveal_plain().chars().any(|c| c.is_control() && c != '\t') {
            let what =
                format!("the value of {} holds a line break or another control", quote(&name));
            reader.findings.error("bad-value", text.span, what, "a header field is one line");
            continue;
        }
        typed::header(reader, &name, Value::of(entry), &text.value);
        headers.push((name, text.value));
    }
    headers
}

pub(super) fn expect(reader: &mut Reader, value: Value) -> Option<HttpExpect> {
    let fields = reader.fields(value, Label("", "expect"), &["status", "body", "json"])?;
    let status = match fields.get("status") {
        Some(value) => {
            let items = reader.one_or_more(value);
            if items.is_empty() {
                let what = "`status` expects nothing, so that every answer would be bad";
                reader.findings.error("bad-value", value.at, what, "write `status: 200`");
            }
            items.into_iter().filter_map(|item| statuses(reader, item)).collect()
        }
        None => vec![SUCCESS],
    };
    let body = fields.get("body").and_then(|value| expected_text(reader, value));
    let json = fields.get("json").map(|value| json(reader, value)).unwrap_or_default();
    Some(HttpExpect { status, body, json })
}

fn expected_text(reader: &mut Reader, value: Value) -> Option<Text> {
    let At { value: text, span } = reader.text(value, true)?;
    if text.reveal(&|_| Some("?".to_owned())).is_empty() {
        let what = format!("{} is empty, and every answer holds that", quote(value.key));
        reader.findings.error("bad-value", span, what, "write some text, or leave it out");
        return None;
    }
    Some(text)
}

/// Reads `200`, `200-299` or `2xx`.
fn statuses(reader: &mut Reader, value: Value) -> Option<(u16, u16)> {
    let text = reader.shown(value, "a status such as `200`, `3xx` or `200-299`")?;
    let code = |code: &str| {
        let digits = code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit());
        code.parse::<u16>().ok().filter(|code| digits && (100..=599).contains(code))
    };
    let lower = text.to_ascii_lowercase();
    let range = if let Some(class) = lower.strip_suffix("xx") {
        code(&format!("{class}00")).map(|first| (first, first + 99))
    } else if let Some((first, last)) = text.split_once('-') {
        code(first.trim()).zip(code(last.trim())).filter(|(first, last)| first <= last)
    } else {
        code(&text).map(|code| (code, code))
    };
    if range.is_none() {
        let what = format!("{} is no HTTP status", quote(&text));
        let hint = "write `200`, `3xx`, `200-299`, or a list of such";
        reader.findings.error("bad-value", value.span(), what, hint);
    }
    range
}

fn json(reader: &mut Reader, value: Value) -> Vec<(String, serde_json::Value)> {
    let entries = reader.map(value, "values by JSON pointer").unwrap_or_default();
    let mut expected = Vec::with_capacity(entries.len());
    for entry in entries {
        let pointer_good = is_pointer(&entry.key);
        if !pointer_good {
            let what = format!("{} is no JSON pointer", quote(&entry.key));
            reader.findings.error("bad-value", entry.at, what, POINTER_HINT);
        }
        let Some(value) = json_value(reader, Value::of(entry)) else { continue };
        if pointer_good {
            expected.push((entry.key.clone().into_owned(), value));
        }
    }
    expected
}

/// What to write for a JSON pointer.
pub(super) const POINTER_HINT: &str = "write `/data/0/name`: a `/` before each step (RFC 6901)";

/// Whether it is a JSON pointer of RFC 6901: empty, or steps that begin with `/`; `~` is escaped.
pub(super) fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.starts_with('/') && escapes && !text.chars().any(char::is_control)
}

/// A value of the plan as JSON: unquoted numbers, switches and `null` are what they look like.
pub(super) fn json_value(reader: &mut Reader, value: Value) -> Option<serde_json::Value> {
    let inner = |node| Value { key: value.key, at: value.at, node };
    match &value.node.resolve().kind {
        Kind::Scalar(_) if value.node.is_empty() => Some(serde_json::Value::Null),
        Kind::Scalar(scalar) => {
            let text = reader.shown(value, "a value")?;
            Some(if scalar.plain { plain(&text) } else { text.into_owned().into() })
        }
        Kind::List(items) => items.iter().map(|item| json_value(reader, inner(item))).collect(),
        Kind::Map(entries) => {
            let mut map = serde_json::Map::new();
            for entry in entries {
                let value = json_value(reader, inner(&entry.value))?;
                map.insert(entry.key.clone().into_owned(), value);
            }
            Some(map.into())
        }
        // Resolved above.
        Kind::Shared(_) => None,
    }
}

fn plain(text: &str) -> serde_json::Value {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        // JSON's own numbers only: `007` and `1_000` stay text.
        _ => match serde_json::from_str::<serde_json::Number>(text) {
            Ok(number) => number.into(),
            Err(_) => text.into(),
        },
    }
}
