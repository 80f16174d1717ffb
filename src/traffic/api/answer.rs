//! What a provider answered.

use hyper::{HeaderMap, StatusCode};

use super::mask::Mask;
use crate::model::printable;

/// The longest piece of a body that an error shows, in characters.
const SHOWN: usize = 200;

/// The longest message of a provider that an error shows, in characters.
const MESSAGE: usize = 500;

/// The longest piece of a text that is noted, in characters.
const NOTED: usize = 2000;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Its beginning in one line without secrets; nothing of a private one.
    said: String,
    /// Of a body that says no, the part for people; it holds no secrets either.
    message: Option<String>,
    private: bool,
}

impl Answer {
    /// One with this status, these headers and this body, of which `mask` hides what must not be shown.
    pub(super) fn new(
        (status, headers): (StatusCode, HeaderMap),
        body: Vec<u8>,
        mask: &Mask,
        private: bool,
    ) -> Answer {
        let said = match private {
            true => String::new(),
            // Masked before it is shortened: half of a secret is one too.
            false => shortened(&mask.hide(&String::from_utf8_lossy(&body)), NOTED),
        };
        let message = match private || status.is_success() {
            true => None,
            false => message(&body).map(|text| shortened(&mask.hide(&text), MESSAGE)),
        };
        Answer { status, headers, body, said, message, private }
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Whether it says yes.
    pub fn is_good(&self) -> bool {
        self.status.is_success()
    }

    /// Whether the provider itself says that there is no such thing: what stands before it, or a wrong address, answers 404
    /// too, but not in its words.
    pub fn is_absent(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.message.is_some()
    }

    /// The status by which it is judged: Google's rations for a minute come as 403, with the reason in the body
    /// (<https://cloud.google.com/compute/api-quota>), where others say 429.
    pub(super) fn meaning(&self) -> u16 {
        match self.status() {
            403 if is_about_rations(&self.body) => 429,
            status => status,
        }
    }

    pub(super) fn is_redirect(&self) -> bool {
        self.status.is_redirection() && self.status != StatusCode::NOT_MODIFIED
    }

    /// The value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the provider wants to be left alone, if it says so.
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        super::pause::wait(self)
    }

    /// Its body as text.
    ///
    /// # Errors
    /// Why it is none, in words for [`super::Api::senseless`].
    pub fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.body).map_err(|_| "bytes that are no text".to_owned())
    }

    /// Its body as JSON.
    ///
    /// # Errors
    /// Why it is none, in words for [`super::Api::senseless`].
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let kind = self.header("content-type").unwrap_or("no content type");
            // The library quotes what it did not expect.
            let why = match self.private {
                true => format!("line {} column {}", error.line(), error.column()),
                false => error.to_string(),
            };
            format!("what is not the JSON that was due ({kind}; {why})")
        })
    }

    /// Its status and the beginning of what it says, for people.
    pub fn words(&self) -> String {
        match &self.message {
            Some(message) => format!("{}: {message}", self.status),
            None => self.told(SHOWN),
        }
    }

    /// The same for the log.
    pub(super) fn noted(&self) -> String {
        self.told(NOTED)
    }

    fn told(&self, most: usize) -> String {
        match self.said.is_empty() {
            true => self.status.to_string(),
            false => format!("{}: {}", self.status, shortened(&self.said, most)),
        }
    }

    /// What to do about an answer that says no.
    pub(super) fn hint(&self) -> &'static str {
        match self.meaning() {
            401 => "see whether the credentials are right, and have not expired",
            403 => "these credentials may not do that; `firedrill preview` lists what they need",
            404 => "see that what the plan names is there, under that name",
            409 | 412 => "somebody else changes it at the same time; see who",
            400 | 422 => "see the settings of this control in the plan",
            429 => "the provider takes no more calls for now; wait, or ask it for more",
            500..=599 => "the provider is not well; see its status page, and try again later",
            _ => "see the provider's documentation",
        }
    }
}

/// What a body of JSON says to people: Kubernetes has a `message`, Google and Azure one of an `error`, Cloudflare one of the
/// first of its `errors`.
fn message(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let places = ["/error/message", "/message", "/errors/0/message"];
    let text = places.iter().find_map(|place| body.pointer(place))?.as_str()?;
    (!text.trim().is_empty()).then(|| text.to_owned())
}

/// Whether a body of Google's gives a ration that is used up, and will be there again, as its reason.
fn is_about_rations(body: &[u8]) -> bool {
    const REASONS: [&str; 3] =
        ["rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"];
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return false };
    let lists = ["/error/errors", "/error/details"];
    let mut given = lists.iter().filter_map(|at| body.pointer(at)?.as_array()).flatten();
    given.any(|it| it["reason"].as_str().is_some_and(|reason| REASONS.contains(&reason)))
}

/// `text` as one line that steers no terminal, of at most `most` characters.
pub(in crate::traffic) fn shortened(text: &str, most: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(most) {
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    printable(&line)
}

/// What was asked, for the log.
pub(super) fn noted(line: &str) -> String {
    shortened(line, NOTED)
}
