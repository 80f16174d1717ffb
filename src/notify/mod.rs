//! Telling others: chats, Grafana and hooks hear what a drill does, and above all when traffic is not back.
//!
//! Nothing here holds a drill up. What happens goes by bounded queues to a thread for each who is told; a hook that hangs
//! costs its own message, and what became of it is in the run record.
//!
//! `news` makes messages of events, `slack`, `teams`, `grafana` and `webhook` make requests of messages; all of that is
//! pure. `post` sends one, `teller` has the threads, and `hand_over` brings the settings to the watchdog.

mod grafana;
mod hand_over;
mod news;
mod post;
mod slack;
mod teams;
mod teller;
#[cfg(test)]
mod tests;
mod webhook;

pub use hand_over::{Damaged, received, sealed};
pub use news::{News, Story};
pub use teller::Teller;

use crate::model::{Notification, NotifyKind};

/// A request that tells somebody something.
#[derive(Clone, PartialEq, Eq)]
struct Request {
    method: String,
    /// What is added to the notification's URL.
    path: String,
    /// The type of the body, where the plan's headers do not say.
    content_type: &'static str,
    body: String,
}

impl Request {
    /// JSON for the notification's URL itself.
    fn json(body: &serde_json::Value) -> Request {
        let (method, path) = ("POST".to_owned(), String::new());
        Request { method, path, content_type: "application/json", body: body.to_string() }
    }
}

/// What is sent to whom; `region` is the annotation that Grafana made of the cut.
fn request(to: &Notification, news: &News, region: Option<u64>) -> Request {
    match &to.kind {
        NotifyKind::Slack => slack::request(news),
        NotifyKind::Teams => teams::request(news),
        NotifyKind::Grafana(board) => grafana::request(board, news, region),
        NotifyKind::Webhook(hook) => webhook::request(hook, &to.headers, news),
    }
}
