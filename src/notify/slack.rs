//! Incoming webhooks of Slack: blocks, and `text` for what shows no blocks.

use serde_json::{Value, json};

use super::{News, Request};

pub(super) fn request(news: &News) -> Request {
    let mut said = vec![section(&news.title, true)];
    if let Some(restore) = &news.restore {
        said.push(section("Do this now:", false));
        let command = json!({ "type": "text", "text": restore });
        said.push(json!({ "type": "rich_text_preformatted", "elements": [command] }));
    }
    said.extend(news.lines.iter().map(|line| section(line, false)));
    let place = format!("run {} on {}", news.run, news.host);
    let place = json!({ "type": "plain_text", "text": place, "emoji": false });
    Request::json(&json!({
        "text": escaped(&news.title),
        "blocks": [
            { "type": "rich_text", "elements": said },
            { "type": "context", "elements": [place] },
        ]
    }))
}

/// Not `mrkdwn`: what is written in rich text stands there as it is, and calls nobody.
fn section(said: &str, bold: bool) -> Value {
    let style = json!({ "bold": bold });
    let text = json!({ "type": "text", "text": format!("{said}\n"), "style": style });
    json!({ "type": "rich_text_section", "elements": [text] })
}

/// The three signs that Slack reads in `text`, so that `<!channel>` calls nobody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
