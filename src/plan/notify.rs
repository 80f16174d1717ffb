//! Who is told of a drill: `notify`.

use std::collections::HashSet;

use crate::model::{
    Board, Form, Hook, NotATemplate, Notification, NotifyEvent, NotifyKind, Part, TEMPLATE_VALUES,
    Template, Text,
};

use super::address;
use super::finding::quote;
use super::probe;
use super::read::{At, Fields, Label, Reader, Value};
use super::suggest::instead;
use super::typed;

/// More than this is no list of people any more.
const MOST: usize = 50;

/// A longer body is nothing that a chat or a hook takes, in bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// Reads `notify`.
pub(super) fn notifications(reader: &mut Reader, value: Value) -> Vec<Notification> {
    let entries = reader.map(value, "a map of whom to tell, by name").unwrap_or_default();
    if entries.len() > MOST {
        let what = format!("`notify` has {} entries, at most {MOST} are possible", entries.len());
        reader.findings.error("bad-value", value.at, what, None);
        return Vec::new();
    }
    let mut taken = HashSet::new();
    let mut read = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = reader.new_name(entry, &mut taken);
        // Whoever is told, it is the same drill.
        let told = reader.choosing_nothing(|reader| one(reader, Value::of(entry), &entry.key));
        if let (Some(name), Some(told)) = (name, told) {
            read.push(Notification { name: name.value, ..told });
        }
    }
    read
}

fn one(reader: &mut Reader, value: Value, name: &str) -> Option<Notification> {
    const KEYS: &[&str] = &["slack", "teams", "grafana", "webhook", "on"];
    let fields = reader.fields(value, Label("notification", name), KEYS)?;
    let on = fields.get("on").map(|value| events(reader, value));
    let chosen = fields.one_of(reader, &["slack", "teams", "grafana", "webhook"])?;
    let read = match chosen.key {
        "slack" => chat(reader, chosen, NotifyKind::Slack),
        "teams" => chat(reader, chosen, NotifyKind::Teams),
        "grafana" => grafana(reader, chosen),
        _ => webhook(reader, chosen),
    }?;
    let on = on.unwrap_or_else(|| read.kind.usual().to_vec());
    Some(Notification { on, ..read })
}

fn events(reader: &mut Reader, value: Value) -> Vec<NotifyEvent> {
    let choices = NotifyEvent::ALL.map(|event| (event.key(), event));
    let items = reader.one_or_more(value);
    let mut events: Vec<NotifyEvent> = Vec::new();
    for item in items {
        let Some(event) = reader.choice(item, &choices) else { continue };
        if events.contains(&event) {
            let what = format!("{} stands here twice", quote(event.key()));
            reader.findings.error("duplicate-key", item.span(), what, "keep one of the two");
        }
        events.push(event);
    }
    events
}

/// A notification whose name and events are filled in by the caller.
fn told(
    kind: NotifyKind,
    url: Text,
    headers: Vec<(String, Text)>,
    ca: Option<std::path::PathBuf>,
) -> Notification {
    Notification { name: "".into(), kind, url, headers, ca, on: Vec::new() }
}

/// Slack and Teams: whoever knows the URL may write to the channel.
fn chat(reader: &mut Reader, value: Value, kind: NotifyKind) -> Option<Notification> {
    let fields = reader.fields(value, Label("", kind.key()), &["url", "ca"])?;
    let at = fields.need(reader, "url", "\"${env:HOOK_URL}\"");
    let url = at.and_then(|value| url(reader, value));
    let ca = ca(reader, &fields, url.as_ref());
    let url = url?;
    let what = format!("the URL of {}, which is a secret,", kind.key());
    at.into_iter().for_each(|at| typed::secret(reader, &what, at, &url.value));
    Some(told(kind, url.value, Vec::new(), ca))
}

fn grafana(reader: &mut Reader, value: Value) -> Option<Notification> {
    const KEYS: &[&str] = &["url", "token", "dashboard", "panel", "tags", "ca"];
    let fields = reader.fields(value, Label("", "grafana"), KEYS)?;
    let url = fields.need(reader, "url", "\"https://grafana.example\"");
    let url = url.and_then(|value| url_above_the_api(reader, value));
    let token = fields.need(reader, "token", "\"${env:GRAFANA_TOKEN}\"");
    let token = token.and_then(|value| header(reader, value));
    let word = |reader: &mut Reader, value| Some(reader.shown(value, "text")?.into_owned());
    let dashboard = fields.get("dashboard").and_then(|value| word(reader, value));
    let panel_at = fields.get("panel");
    let panel = panel_at.and_then(|value| reader.count(value, 0..=u64::from(u32::MAX)));
    if let (Some(value), None) = (panel_at, fields.get("dashboard")) {
        let what = "`panel` is a panel of a dashboard, and there is no `dashboard`";
        reader.findings.error("impossible", value.at, what, "add the dashboard's UID");
    }
    let tags = fields.get("tags").map(|value| reader.one_or_more(value)).unwrap_or_default();
    let tags = tags.into_iter().filter_map(|value| word(reader, value)).collect();
    let ca = ca(reader, &fields, url.as_ref());
    let board = Board { dashboard, panel, tags };
    let mut bearer = vec![Part::Plain("Bearer ".to_owned())];
    bearer.extend_from_slice(token?.parts());
    let headers = vec![("authorization".to_owned(), Text::new(bearer))];
    Some(told(NotifyKind::Grafana(board), url?.value, headers, ca))
}

fn webhook(reader: &mut Reader, value: Value) -> Option<Notification> {
    const KEYS: &[&str] = &["url", "method", "headers", "body", "ca"];
    let fields = reader.fields(value, Label("", "webhook"), KEYS)?;
    let at = fields.need(reader, "url", "\"https://hooks.example/drills\"");
    let url = at.and_then(|value| self::url(reader, value));
    let methods = ["POST", "PUT", "PATCH"].map(|method| (method, method));
    let method = fields.get("method").map(|value| reader.choice(value, &methods));
    let headers = fields.get("headers").map(|value| probe::headers(reader, value));
    let headers = headers.unwrap_or_default();
    let body = fields.get("body").map(|value| body(reader, value, &headers));
    let ca = ca(reader, &fields, url.as_ref());
    let method = method.unwrap_or(Some("POST"))?.to_owned();
    let body = body.map_or(Some(None), |body| body.map(Some))?;
    Some(told(NotifyKind::Webhook(Hook { method, body }), url?.value, headers, ca))
}

/// A body that is right when it is filled in.
fn body(reader: &mut Reader, value: Value, headers: &[(String, Text)]) -> Option<Text> {
    let At { value: text, span } = reader.text(value, false)?;
    let wrong = |reader: &mut Reader, what: String, hint: String| {
        reader.findings.error("template", span, what, hint);
        None
    };
    if text.reveal_plain().len() > LONGEST_BODY {
        let what = format!("`body` is longer than {} KiB", LONGEST_BODY / 1024);
        return wrong(reader, what, "shorten it".to_owned());
    }
    let template = match Template::parse(&text) {
        Ok(template) => template,
        Err(NotATemplate::Unknown(name)) => {
            let what = format!("a message has no value {}", quote(&name));
            let hint = instead(&name, "values", TEMPLATE_VALUES).unwrap_or_default();
            return wrong(reader, what, hint);
        }
        Err(NotATemplate::Open) => {
            let what = "a `{{` in `body` has no `}}`".to_owned();
            return wrong(reader, what, "write `{{title}}`, for example".to_owned());
        }
    };
    let kind = headers.iter().find(|(name, _)| name == "content-type");
    let kind = kind.map_or("application/json".to_owned(), |(_, kind)| kind.reveal_plain());
    let Some(form) = Form::of(&kind) else {
        let what = "values cannot be filled into a body of this `content-type`".to_owned();
        let hint = "it can be JSON, `application/x-www-form-urlencoded` or `text/plain`";
        return wrong(reader, what, hint.to_owned());
    };
    // With values and without: a value may be missing.
    let filled =
        [Some("value".to_owned()), None].map(|value| template.fill(form, &|_| value.clone()));
    let is_json = |body: &String| serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
    if form == Form::Json && !filled.iter().all(is_json) {
        let what = "`body` is no JSON when its values are filled in".to_owned();
        let hint = "write `'{\"text\": {{text}}}'`, or name another `content-type` in `headers`";
        return wrong(reader, what, hint.to_owned());
    }
    Some(text)
}

fn url(reader: &mut Reader, value: Value) -> Option<At<Text>> {
    // The lab's addresses are those of what is drilled.
    let text = reader.text(value, false)?;
    address::url(reader, &text).then_some(text)
}

fn url_above_the_api(reader: &mut Reader, value: Value) -> Option<At<Text>> {
    let url = url(reader, value)?;
    if url.value.reveal_plain().contains(['?', '#']) {
        let what = format!("{}: the API stands below this URL", quote(&url.value.to_string()));
        let hint = "take out what begins with `?` or `#`";
        reader.findings.error("bad-value", value.span(), what, hint);
        return None;
    }
    Some(url)
}

/// A secret that is sent in a header field.
fn header(reader: &mut Reader, value: Value) -> Option<Text> {
    let At { value: text, span } = reader.text(value, false)?;
    let real = text.reveal_plain();
    if real.is_empty() || real.chars().any(char::is_control) {
        let what = format!("{} is empty, or not in one line", quote(value.key));
        reader.findings.error("bad-value", span, what, "look at the variable that it comes from");
        return None;
    }
    typed::sent(reader, &format!("the value of {}", quote(value.key)), value, &text);
    Some(text)
}

fn ca(reader: &mut Reader, fields: &Fields, url: Option<&At<Text>>) -> Option<std::path::PathBuf> {
    let value = fields.get("ca")?;
    let path = probe::path(reader, value)?;
    let is_open = |url: &At<Text>| {
        let scheme = url.value.reveal_plain();
        scheme.get(..8).is_some_and(|scheme| !scheme.eq_ignore_ascii_case("https://"))
    };
    if url.is_some_and(is_open) {
        let what = "`ca` has no use: the URL is not encrypted";
        reader.findings.error("impossible", value.at, what, "write `https://`, or leave `ca` out");
    }
    Some(path)
}
