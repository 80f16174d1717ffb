//! What JetStream answers, and what it means.

use serde_json::Value;

use super::line::{Message, WANTS_TLS};
use crate::model::{Outcome, Reason};
use crate::probe::ledger::wire::Failed;

/// Errors of JetStream by their numbers: it did not take the message, nor begin to.
const REFUSALS: &[u64] = &[
    10008, // JetStream system temporarily unavailable: it has no leader
    10009, // the stream has no leader
    10023, // insufficient resources
    10026, // maximum consumers
    10028, // resource limits exceeded for account
    10039, // JetStream not enabled for account
    10047, // insufficient storage resources available
    10054, // message size exceeds maximum allowed
    10059, // stream not found
    10060, // expected stream does not match
    10076, // JetStream not enabled
    10109, // the stream is sealed
];

/// An error of JetStream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) code: u64,
    pub(super) number: u64,
    said: String,
}

impl ApiError {
    /// Whether there is no such thing.
    pub(super) fn is_absent(&self) -> bool {
        self.code == 404
    }

    /// In words; `quote` makes what was said fit to be shown.
    pub(super) fn words(&self, quote: impl Fn(&str) -> String) -> String {
        match self.number {
            10039 | 10076 => {
                "it has no JetStream: enable it (`jetstream` in its configuration)".to_owned()
            }
            10008 => "JetStream has no leader: see whether most of its servers are up".to_owned(),
            10005 => "there are fewer servers than the stream wants `replicas`".to_owned(),
            _ => format!("JetStream said {}", quote(&self.said)),
        }
    }
}

/// An answer of JetStream's API: what it holds, or an error of its own.
pub(super) fn answer(message: &Message) -> Result<Result<Value, ApiError>, Failed> {
    if message.status == Some(503) {
        let said = "nobody answers for JetStream or for the stream".to_owned();
        return Ok(Err(ApiError { code: 503, number: 10008, said }));
    }
    let value: Value = serde_json::from_slice(&message.payload).map_err(|_| Failed::Garbage)?;
    if !value.is_object() {
        return Err(Failed::Garbage);
    }
    let Some(error) = value.get("error") else { return Ok(Ok(value)) };
    Ok(Err(ApiError {
        code: error["code"].as_u64().unwrap_or_default(),
        number: error["err_code"].as_u64().unwrap_or_default(),
        said: error["description"].as_str().unwrap_or("an error").to_owned(),
    }))
}

/// What the answer to a published record comes to: its place in `stream`, which acknowledges it, or why there is none.
pub(super) fn acknowledged(message: &Message, stream: &str) -> Result<u64, Outcome> {
    let place = |value: &Value| {
        // Of what it calls a duplicate it keeps nothing.
        let has_it = value["duplicate"] != true && value["stream"] == *stream;
        value["seq"].as_u64().filter(|place| has_it && *place > 0)
    };
    match answer(message) {
        // Otherwise somebody else answers on this subject.
        Ok(Ok(value)) => place(&value).ok_or(Outcome::Bad(Reason::Protocol)),
        Err(_) => Err(Outcome::Bad(Reason::Protocol)),
        Ok(Err(error)) if REFUSALS.contains(&error.number) => Err(Outcome::Bad(Reason::Rejected)),
        // Such as a disk that failed with the record half written: others may have it.
        Ok(Err(error)) => {
            let code = u16::try_from(error.code).unwrap_or(500);
            Err(Outcome::Bad(Reason::Status(code.max(500))))
        }
    }
}

/// What an error of the server's makes of a record that was sent to `subject`.
pub(super) fn outcome(said: &str, subject: &str) -> Outcome {
    let denied = format!("permissions violation for publish to \"{subject}\"");
    match said.eq_ignore_ascii_case(&denied) {
        true => Outcome::Bad(Reason::Rejected),
        // It may have been said of something else, and the record be on its way.
        false => Outcome::Bad(Reason::Protocol),
    }
}

/// What `said`, an error of the server's, means; `quoted` is what of it may be shown.
pub(super) fn meant(said: &str, quoted: &str) -> String {
    let said = said.to_ascii_lowercase();
    if said.contains("authorization") || said.contains("authentication") {
        return "it does not let us in: see `user`, `password` and `token`".to_owned();
    }
    if said.contains("permissions violation") {
        return format!(
            "the user may not do what a ledger does: allow it to publish `firedrill.>` and `$JS.API.>`, and to \
             subscribe to `_INBOX.>`; it said {quoted}"
        );
    }
    if said == WANTS_TLS.to_ascii_lowercase() {
        return "it wants TLS: write `tls://` in `servers`".to_owned();
    }
    format!("it said {quoted}")
}

/// A record's place in the stream and what it holds, from JetStream's answer.
pub(super) fn record(answer: &Value) -> Option<(u64, String)> {
    let message = &answer["message"];
    let data = decoded(message["data"].as_str().unwrap_or_default())?;
    Some((message["seq"].as_u64()?, String::from_utf8_lossy(&data).into_owned()))
}

/// Base64 (RFC 4648); `None` for anything else.
fn decoded(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut bits) = (Vec::with_capacity(text.len()), 0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = LETTERS.iter().zip(0..).find(|(it, _)| **it == letter)?.1;
        held = held << 6 | value;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
        held &= 0xffff;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: Option<u16>, payload: &str) -> Message {
        Message { status, payload: payload.into() }
    }

    #[test]
    fn only_the_word_of_the_stream_itself_acknowledges() {
        let fate = |status, payload| acknowledged(&said(status, payload), "S");
        assert_eq!(fate(None, r#"{"stream":"S","seq":7}"#), Ok(7));
        let refused = Err(Outcome::Bad(Reason::Rejected));
        assert_eq!(fate(Some(503), ""), refused);
        assert_eq!(fate(None, r#"{"error":{"code":404,"err_code":10059}}"#), refused);
        for unknown in [
            r#"{"stream":"T","seq":7}"#,
            r#"{"stream":"S"}"#,
            r#"{"stream":"S","seq":0}"#,
            r#"{"stream":"S","seq":7,"duplicate":true}"#,
            "",
            "[]",
            "{",
            r#"{"error":{"code":503,"err_code":10077,"description":"file closed"}}"#,
            r#"{"error":7}"#,
        ] {
            let ended = fate(None, unknown).unwrap_err();
            assert!(ended != Outcome::Bad(Reason::Rejected), "{unknown}");
        }
    }

    #[test]
    fn only_a_denial_of_this_very_subject_refuses() {
        let of = |said| outcome(said, "firedrill.A.s.p");
        let denied = "Permissions Violation for Publish to \"firedrill.A.s.p\"";
        assert_eq!(of(denied), Outcome::Bad(Reason::Rejected));
        for unknown in [
            "Permissions Violation for Publish to \"firedrill.A.s\"",
            "Permissions Violation for Subscription to \"firedrill.A.s.p\"",
            "Stale Connection",
            "",
        ] {
            assert_eq!(of(unknown), Outcome::Bad(Reason::Protocol), "{unknown}");
        }
    }

    #[test]
    fn records_are_read_from_what_the_leader_says() {
        let of = |data: &str| record(&serde_json::json!({ "message": { "seq": 7, "data": data } }));
        let some = |text: &str| Some((7, text.to_owned()));
        assert_eq!(of("ZmlyZWRyaWxsOjE3"), some("firedrill:17"));
        assert_eq!(of("ZmlyZWRyaWxsOjE="), some("firedrill:1"));
        assert_eq!(of("Zg=="), some("f"));
        assert_eq!(of("////"), some(&String::from_utf8_lossy(&[0xff; 3])));
        assert_eq!(of(""), some(""));
        assert_eq!(of("Z!"), None);
        assert_eq!(record(&serde_json::json!({})), None);
    }
}
