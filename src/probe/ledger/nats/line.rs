//! NATS' protocol, as much of it as a ledger needs: one request after the other on a connection of its own.

use serde_json::{Value, json};

use crate::model::Phase;
use crate::probe::ledger::wire::{Failed, Place, Wire};
use crate::probe::sample::Progress;

/// No message that is meant for a ledger is longer: the subjects of a stream that are ours, a record.
const LONGEST: usize = 4 << 20;

/// What a connection begins with.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
}

/// A message for us.
pub(super) struct Message {
    /// A word of the server's own, in the place of a message: 503 where nobody listens.
    pub(super) status: Option<u16>,
    pub(super) payload: Vec<u8>,
}

/// A connection that is logged in, with an inbox.
pub(super) struct Line {
    pub(super) wire: Wire,
    inbox: String,
    asked: u64,
}

impl AsMut<Wire> for Line {
    fn as_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

impl Line {
    /// Connects to `place` and logs in; answers will come to `inbox`, which is nobody else's.
    pub(super) async fn open(
        place: &Place,
        login: &Login,
        inbox: String,
        progress: &mut Progress,
    ) -> Result<Line, Failed> {
        let mut wire = place.open(progress).await?;
        // Whatever hangs from here on: nothing was written.
        let first = wire.line().await?;
        let info = first.strip_prefix("INFO ").ok_or(Failed::Garbage)?;
        let info: Value = serde_json::from_str(info).map_err(|_| Failed::Garbage)?;
        let wants_tls = info["tls_required"] == Value::Bool(true);
        match &place.tls {
            Some(tls) => {
                progress.phase = Phase::Tls;
                wire = wire.encrypted(tls).await?;
                progress.phase = Phase::Connect;
            }
            None if wants_tls => return Err(Failed::Said(WANTS_TLS.to_owned())),
            None => {}
        }
        let hello = json!({
            "verbose": false, "pedantic": false, "lang": "rust", "name": "firedrill", "protocol": 1,
            "version": env!("CARGO_PKG_VERSION"), "headers": true, "no_responders": true,
            "user": login.user, "pass": login.password, "auth_token": login.token,
        });
        wire.send(format!("CONNECT {hello}\r\nSUB {inbox}.* 1\r\nPING\r\n").as_bytes()).await?;
        let mut line = Line { wire, inbox, asked: 0 };
        // The answer to our PING is the end of the log-in.
        match line.next().await? {
            None => Ok(line),
            Some(_) => Err(Failed::Garbage),
        }
    }

    /// Sends `payload` to `subject` and gives the first message that answers it.
    pub(super) async fn ask(&mut self, subject: &str, payload: &str) -> Result<Message, Failed> {
        self.send(subject, payload).await?;
        self.message().await
    }

    /// Sends each of `payloads` to `subject` at once, and gives as many messages as there are, in whatever order they come.
    pub(super) async fn ask_all(
        &mut self,
        subject: &str,
        payloads: &[String],
    ) -> Result<Vec<Message>, Failed> {
        self.asked += 1;
        let inbox = format!("{}.{}", self.inbox, self.asked);
        let sent = payloads
            .iter()
            .map(|payload| format!("PUB {subject} {inbox} {}\r\n{payload}\r\n", payload.len()));
        self.wire.send(sent.collect::<String>().as_bytes()).await?;
        let mut messages = Vec::with_capacity(payloads.len());
        while messages.len() < payloads.len() {
            messages.push(self.message().await?);
        }
        Ok(messages)
    }

    /// Sends `payload` to `subject`; the answer is the next message.
    async fn send(&mut self, subject: &str, payload: &str) -> Result<(), Failed> {
        self.asked += 1;
        let (inbox, length) = (format!("{}.{}", self.inbox, self.asked), payload.len());
        let sent = format!("PUB {subject} {inbox} {length}\r\n{payload}\r\n");
        Ok(self.wire.send(sent.as_bytes()).await?)
    }

    /// The next message that answers what was asked last.
    async fn message(&mut self) -> Result<Message, Failed> {
        loop {
            if let Some(message) = self.next().await? {
                return Ok(message);
            }
        }
    }

    /// The next message; `None` for the answer to a PING.
    async fn next(&mut self) -> Result<Option<Message>, Failed> {
        loop {
            let line = self.wire.line().await?;
            let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line.as_str(), ""));
            match word.to_ascii_uppercase().as_str() {
                "PONG" => return Ok(None),
                "PING" => self.wire.send(b"PONG\r\n").await?,
                "+OK" | "INFO" => {}
                "-ERR" => return Err(Failed::Said(rest.trim_matches([' ', '\'']).to_owned())),
                "MSG" => {
                    if let Some(message) = self.body(rest, false).await? {
                        return Ok(Some(message));
                    }
                }
                "HMSG" => {
                    if let Some(message) = self.body(rest, true).await? {
                        return Ok(Some(message));
                    }
                }
                _ => return Err(Failed::Garbage),
            }
        }
    }

    /// What stands behind `MSG SUBJECT SID [REPLY] LENGTH` or `HMSG SUBJECT SID [REPLY] HEAD LENGTH`; `None` if it
    /// answers something that was asked earlier.
    async fn body(&mut self, line: &str, has_head: bool) -> Result<Option<Message>, Failed> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (words, lengths) =
            words.split_at(words.len().saturating_sub(1 + usize::from(has_head)));
        let ([subject, _] | [subject, _, _]) = words else { return Err(Failed::Garbage) };
        let length = |text: Option<&&str>| {
            let length = text.and_then(|text| text.parse::<usize>().ok());
            length.filter(|length| *length <= LONGEST).ok_or(Failed::Garbage)
        };
        let whole = length(lengths.last())?;
        let head = if has_head { length(lengths.first())? } else { 0 };
        let mut block = self.wire.block(whole).await?;
        if head > whole {
            return Err(Failed::Garbage);
        }
        let payload = block.split_off(head);
        if *subject != format!("{}.{}", self.inbox, self.asked) {
            return Ok(None);
        }
        Ok(Some(Message { status: status(&block), payload }))
    }
}

/// Stands for a server that is to be asked with TLS, in the place of an error.
pub(super) const WANTS_TLS: &str = "Secure Connection - TLS Required";

/// `NATS/1.0 503` at the beginning of a head.
fn status(head: &[u8]) -> Option<u16> {
    let head = std::str::from_utf8(head).ok()?;
    let first = head.split("\r\n").next()?.strip_prefix("NATS/1.0")?;
    first.split_ascii_whitespace().next()?.parse().ok()
}
