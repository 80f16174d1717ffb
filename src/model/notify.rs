//! Whom a drill tells of what, and what became of each message.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, Offset, Part, Text, millis};

/// What can be told.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyEvent {
    /// The drill began.
    Started,
    /// The first call that cuts was made.
    Cut,
    /// All traffic is back.
    Restored,
    /// The drill was told to stop; it restores now.
    Stopping,
    /// The drill ended.
    Verdict,
    /// The drill died or hangs, and its watchdog took over.
    TakenOver,
    /// Traffic may still be cut.
    NotRestored,
}

impl NotifyEvent {
    /// All of them, in the order of a drill.
    pub const ALL: [NotifyEvent; 7] = [
        NotifyEvent::Started,
        NotifyEvent::Cut,
        NotifyEvent::Restored,
        NotifyEvent::Stopping,
        NotifyEvent::Verdict,
        NotifyEvent::TakenOver,
        NotifyEvent::NotRestored,
    ];

    /// Its name in plans and records.
    pub fn key(self) -> &'static str {
        match self {
            NotifyEvent::Started => "started",
            NotifyEvent::Cut => "cut",
            NotifyEvent::Restored => "restored",
            NotifyEvent::Stopping => "stopping",
            NotifyEvent::Verdict => "verdict",
            NotifyEvent::TakenOver => "taken-over",
            NotifyEvent::NotRestored => "not-restored",
        }
    }

    /// Whether everyone is told, whatever the plan says: somebody may have to do something.
    pub fn is_alarm(self) -> bool {
        matches!(self, NotifyEvent::TakenOver | NotifyEvent::NotRestored)
    }
}

impl fmt::Display for NotifyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}

/// Somebody to tell, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The plan's name for it.
    pub name: Name,
    /// What is spoken there.
    pub kind: NotifyKind,
    /// Where to. Of most services whoever knows it may write there: it is never shown, only [`Notification::host`].
    pub url: Text,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, Text)>,
    /// A PEM file with the certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// What is told, beside the alarms.
    pub on: Vec<NotifyEvent>,
}

/// What is spoken at a place.
#[derive(Debug, Clone, PartialEq)]
pub enum NotifyKind {
    /// An incoming webhook of Slack.
    Slack,
    /// A webhook of a Teams workflow.
    Teams,
    /// Grafana's annotations.
    Grafana(Board),
    /// JSON of ours, or what the plan's template says.
    Webhook(Hook),
}

/// Where an annotation is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Board {
    /// The dashboard's UID; without it, wherever the tags are asked for.
    pub dashboard: Option<String>,
    /// The panel's number on it.
    pub panel: Option<u64>,
    /// Tags, beside our own.
    pub tags: Vec<String>,
}

/// How a webhook is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The method, in capitals.
    pub method: String,
    /// A template of the body; without it, JSON of ours.
    pub body: Option<Text>,
}

impl NotifyKind {
    /// Its name in plans and records.
    pub fn key(&self) -> &'static str {
        match self {
            NotifyKind::Slack => "slack",
            NotifyKind::Teams => "teams",
            NotifyKind::Grafana(_) => "grafana",
            NotifyKind::Webhook(_) => "webhook",
        }
    }

    /// What is told where the plan does not say.
    pub fn usual(&self) -> &'static [NotifyEvent] {
        use NotifyEvent::{Cut, Restored, Started, Stopping, Verdict};
        match self {
            NotifyKind::Slack | NotifyKind::Teams => &[Started, Stopping, Verdict],
            NotifyKind::Grafana(_) => &[Cut, Restored, Verdict],
            NotifyKind::Webhook(_) => &[Started, Cut, Restored, Stopping, Verdict],
        }
    }
}

impl Notification {
    /// Whether it is told of `event`.
    pub fn wants(&self, event: NotifyEvent) -> bool {
        event.is_alarm() || self.on.contains(&event)
    }

    /// The host that is called: all of the URL that may be shown. Where that is a secret itself, its placeholder.
    pub fn host(&self) -> String {
        let real = self.url.reveal_plain();
        let rest = real.split_once("://").map_or(&*real, |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // Of a URL put together from pieces, a piece may be the whole secret.
        let secret = |part: &Part| matches!(part, Part::Secret { value, .. } if host.contains(&**value) && !value.is_empty());
        match self.url.parts().iter().find(|part| secret(part)) {
            Some(part) => part.to_string(),
            None => host.to_owned(),
        }
    }

    /// What it is told, as a list for people.
    pub fn told(&self) -> String {
        let told = NotifyEvent::ALL.into_iter().filter(|event| self.wants(*event));
        told.map(NotifyEvent::key).collect::<Vec<_>>().join(", ")
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationRecord {
    /// The plan's name for whom it was meant.
    pub name: Name,
    /// `slack`, `teams`, `grafana` or `webhook`.
    pub kind: String,
    /// The host that was called.
    pub host: String,
    /// What was told.
    pub event: NotifyEvent,
    /// When that happened.
    #[serde(rename = "at_ms")]
    pub at: Offset,
    /// What became of it.
    pub outcome: Delivery,
    /// How often it was tried.
    pub attempts: u32,
    /// How long after the event that was known.
    #[serde(rename = "after_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub after: Duration,
    /// Why it was not delivered, if it was not.
    pub why: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// It was answered with a status from 200 to 299.
    Delivered,
    /// It was tried, and no such answer came.
    Failed,
    /// It was not tried.
    NotSent,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: Text) -> Notification {
        let (headers, ca, on) = (Vec::new(), None, Vec::new());
        Notification { name: "oncall".into(), kind: NotifyKind::Slack, url, headers, ca, on }
    }

    fn secret(value: &str) -> Part {
        Part::Secret { name: "HOOK".into(), value: value.into() }
    }

    #[test]
    fn of_a_url_only_the_host_is_shown() {
        let plain = told("https://hooks.slack.com/services/T0/B0/xyz".into());
        assert_eq!(plain.host(), "hooks.slack.com");
        let whole = told(Text::new(vec![secret("https://hooks.slack.com/services/T0/B0/xyz")]));
        assert_eq!(whole.host(), "hooks.slack.com");
        let query = told("http://127.0.0.1:8080?key=xyz".into());
        assert_eq!(query.host(), "127.0.0.1:8080");
        let host = Part::Plain("https://".into());
        let host = told(Text::new(vec![host, secret("k3y"), Part::Plain(".example/x".into())]));
        assert_eq!(host.host(), "${env:HOOK}");
    }

    #[test]
    fn alarms_are_told_to_everyone() {
        let nobody = told("https://hooks.example/".into());
        let told: Vec<_> = NotifyEvent::ALL.into_iter().filter(|it| nobody.wants(*it)).collect();
        assert_eq!(told, [NotifyEvent::TakenOver, NotifyEvent::NotRestored]);
    }

    #[test]
    fn events_are_written_as_they_are_called() {
        for event in NotifyEvent::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.key());
        }
    }
}
