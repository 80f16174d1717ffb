//! Grafana's annotations: a region from the cut to the restore, which gets the verdict; all else is a point in time.

use serde_json::{Value, json};

use super::{News, Request};
use crate::model::{Board, NotifyEvent};

const API: &str = "/api/annotations";

pub(super) fn request(board: &Board, news: &News, region: Option<u64>) -> Request {
    let time = news.time.as_millisecond();
    match (news.event, region) {
        (NotifyEvent::Restored, Some(id)) => patch(id, &json!({ "timeEnd": time })),
        (NotifyEvent::Verdict, Some(id)) => {
            let change = json!({ "text": text(news), "tags": tags(board, news) });
            patch(id, &change)
        }
        // Nobody answered when it was cut: the region is made now.
        (NotifyEvent::Restored, None) => {
            let begun = news.since.map_or(time, |since| since.as_millisecond());
            create(board, news, json!({ "time": begun, "timeEnd": time }))
        }
        _ => create(board, news, json!({ "time": time })),
    }
}

/// The annotation that Grafana made, by its answer.
pub(super) fn id(answer: &[u8]) -> Option<u64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer.get("id")?.as_u64()
}

fn create(board: &Board, news: &News, mut annotation: Value) -> Request {
    annotation["text"] = json!(text(news));
    annotation["tags"] = json!(tags(board, news));
    if let Some(dashboard) = &board.dashboard {
        annotation["dashboardUID"] = json!(dashboard);
    }
    if let Some(panel) = board.panel {
        annotation["panelId"] = json!(panel);
    }
    Request { path: API.to_owned(), ..Request::json(&annotation) }
}

fn patch(id: u64, change: &Value) -> Request {
    let (method, path) = ("PATCH".to_owned(), format!("{API}/{id}"));
    Request { method, path, ..Request::json(change) }
}

fn tags(board: &Board, news: &News) -> Vec<String> {
    let ours = ["firedrill".to_owned(), news.plan.clone()];
    let verdict = news.verdict.map(|verdict| verdict.to_string());
    let mut tags: Vec<String> = ours.into_iter().chain(board.tags.clone()).chain(verdict).collect();
    let mut seen = std::collections::BTreeSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    tags
}

/// Grafana shows it as HTML.
fn text(news: &News) -> String {
    let said = format!("{}\nrun {} on {}", news.text(), news.run, news.host);
    let mut escaped = String::with_capacity(said.len());
    for c in said.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
