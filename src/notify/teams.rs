//! The webhook of a Teams workflow: a message with an adaptive card. (The connectors that took message cards are retired.)

use serde_json::{Value, json};

use super::{News, Request};
use crate::model::{NotifyEvent, Verdict};

pub(super) fn request(news: &News) -> Request {
    let color = match (news.event, news.verdict) {
        (NotifyEvent::NotRestored, _) | (_, Some(Verdict::Fail)) => "Attention",
        (NotifyEvent::TakenOver | NotifyEvent::Stopping, _) => "Warning",
        (_, Some(Verdict::Pass)) => "Good",
        (_, Some(_)) => "Warning",
        _ => "Default",
    };
    let run = |text: &str| json!({ "type": "TextRun", "text": text });
    let mut title = run(&news.title);
    title["weight"] = json!("Bolder");
    title["color"] = json!(color);
    let mut body = vec![block(title)];
    if let Some(restore) = &news.restore {
        let mut command = run(&format!("Do this now: {restore}"));
        command["fontType"] = json!("Monospace");
        body.push(block(command));
    }
    body.extend(news.lines.iter().map(|line| block(run(line))));
    let mut place = run(&format!("run {} on {}", news.run, news.host));
    place["isSubtle"] = json!(true);
    body.push(block(place));
    Request::json(&json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "msteams": { "width": "Full" },
                "body": body,
            }
        }]
    }))
}

/// Not a `TextBlock`, which reads Markdown: names of others would be links and headings.
fn block(run: Value) -> Value {
    json!({ "type": "RichTextBlock", "inlines": [run] })
}
