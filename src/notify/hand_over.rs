//! The settings on their way to the watchdog: one line for a pipe between two processes of ours.
//!
//! Secrets are in it, for the watchdog has to tell people when the drill cannot. It is for that pipe alone, and must not
//! be written anywhere else.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Board, Hook, Name, Notification, NotifyEvent, NotifyKind, Part, Text};

/// Longer settings are not a plan's.
const LONGEST: usize = 8 << 20;

#[derive(Serialize, Deserialize)]
enum Piece {
    Plain(String),
    Secret(String, String),
    Lab(String),
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Slack,
    Teams,
    Grafana(Board),
    Webhook(String, Option<Vec<Piece>>),
}

#[derive(Serialize, Deserialize)]
struct Handed {
    name: Name,
    kind: Kind,
    url: Vec<Piece>,
    headers: Vec<(String, Vec<Piece>)>,
    ca: Option<PathBuf>,
    on: Vec<NotifyEvent>,
}

/// The settings as a line, with its line break.
pub fn sealed(all: &[Notification]) -> Vec<u8> {
    let handed: Vec<Handed> = all.iter().map(hand).collect();
    // Paths that are no Unicode are the only thing that JSON cannot hold: without its list the watchdog tells nobody.
    let mut line = serde_json::to_vec(&handed).unwrap_or_else(|_| b"[]".to_vec());
    line.push(b'\n');
    line
}

/// The settings in a line that [`sealed`] made.
///
/// # Errors
/// When it is something else.
pub fn received(line: &[u8]) -> Result<Vec<Notification>, Damaged> {
    let handed = (line.len() <= LONGEST).then(|| serde_json::from_slice::<Vec<Handed>>(line).ok());
    Ok(handed.flatten().ok_or(Damaged)?.into_iter().map(take).collect())
}

/// A line that does not hold settings. It shows nothing of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whom to tell did not come through")
    }
}

fn hand(one: &Notification) -> Handed {
    let kind = match &one.kind {
        NotifyKind::Slack => Kind::Slack,
        NotifyKind::Teams => Kind::Teams,
        NotifyKind::Grafana(board) => Kind::Grafana(board.clone()),
        NotifyKind::Webhook(hook) => {
            Kind::Webhook(hook.method.clone(), hook.body.as_ref().map(pieces))
        }
    };
    let headers = one.headers.iter().map(|(name, value)| (name.clone(), pieces(value))).collect();
    let (name, url, ca) = (one.name.clone(), pieces(&one.url), one.ca.clone());
    Handed { name, kind, url, headers, ca, on: one.on.clone() }
}

fn take(handed: Handed) -> Notification {
    let Handed { name, kind, url, headers, ca, on } = handed;
    let kind = match kind {
        Kind::Slack => NotifyKind::Slack,
        Kind::Teams => NotifyKind::Teams,
        Kind::Grafana(board) => NotifyKind::Grafana(board),
        Kind::Webhook(method, body) => NotifyKind::Webhook(Hook { method, body: body.map(text) }),
    };
    let headers = headers.into_iter().map(|(name, value)| (name, text(value))).collect();
    Notification { name, kind, url: text(url), headers, ca, on }
}

fn pieces(text: &Text) -> Vec<Piece> {
    let piece = |part: &Part| match part {
        Part::Plain(plain) => Piece::Plain(plain.clone()),
        Part::Secret { name, value } => Piece::Secret(name.clone(), value.clone()),
        Part::Lab(service) => Piece::Lab(service.clone()),
    };
    text.parts().iter().map(piece).collect()
}

fn text(pieces: Vec<Piece>) -> Text {
    let part = |piece| match piece {
        Piece::Plain(plain) => Part::Plain(plain),
        Piece::Secret(name, value) => Part::Secret { name, value },
        Piece::Lab(service) => Part::Lab(service),
    };
    Text::new(pieces.into_iter().map(part).collect())
}
