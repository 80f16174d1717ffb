//! A webhook: JSON of ours, or the body that the plan's template gives.

use serde_json::json;

use super::{News, Request};
use crate::model::{Form, Hook, Template, Text};

pub(super) fn request(hook: &Hook, headers: &[(String, Text)], news: &News) -> Request {
    let kind = headers.iter().find(|(name, _)| name == "content-type");
    let form = kind.map_or(Some(Form::Json), |(_, kind)| Form::of(&kind.reveal_plain()));
    // A template that could not be filled in is refused with its plan.
    let template = hook.body.as_ref().and_then(|body| Template::parse(body).ok()).zip(form);
    let body = match template {
        Some((template, form)) => template.fill(form, &|name| value(news, name)),
        None => ours(news),
    };
    let method = hook.method.clone();
    Request { method, path: String::new(), content_type: "application/json", body }
}

fn ours(news: &News) -> String {
    json!({
        "event": news.event,
        "plan": news.plan,
        "run": news.run,
        "verdict": news.verdict,
        "title": news.title,
        "reasons": news.lines,
        "lost": news.lost,
        "host": news.host,
        "time": news.time.to_string(),
        "restore": news.restore,
    })
    .to_string()
}

/// One of [`crate::model::TEMPLATE_VALUES`]; none where there is nothing to say.
fn value(news: &News, name: &str) -> Option<String> {
    match name {
        "event" => Some(news.event.to_string()),
        "title" => Some(news.title.clone()),
        "text" => Some(news.text()),
        "plan" => Some(news.plan.clone()),
        "run" => Some(news.run.clone()),
        "verdict" => news.verdict.map(|verdict| verdict.to_string()),
        "reason" => news.lines.first().cloned(),
        "lost" => Some(news.lost.clone()),
        "host" => Some(news.host.clone()),
        "time" => Some(news.time.to_string()),
        "restore" => news.restore.clone(),
        _ => None,
    }
}
