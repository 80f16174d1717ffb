//! What a provider answered.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::model::printable;

/// The longest piece of a body that is shown, in characters.
const SHOWN: usize = 200;

/// A whole answer.
#[derive(Debug)]
pub(in crate::traffic) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// One with this status, these headers and this body.
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Answer {
        Answer { status, headers, body }
    }

    /// Its status.
    pub(in crate::traffic) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Whether it says yes.
    pub(in crate::traffic) fn is_good(&self) -> bool {
        self.status.is_success()
    }

    pub(super) fn is_redirect(&self) -> bool {
        self.status.is_redirection() && self.status != StatusCode::NOT_MODIFIED
    }

    /// The value of a header, if it is text.
    pub(in crate::traffic) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Its body as text.
    ///
    /// # Errors
    /// Why it is none, in words that go on behind "with".
    pub(in crate::traffic) fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.body).map_err(|_| "bytes that are no text".to_owned())
    }

    /// Its body as JSON.
    ///
    /// # Errors
    /// Why it is none, in words that go on behind "with".
    pub(in crate::traffic) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let kind = self.header("content-type").unwrap_or("no content type");
            format!("what is not the JSON that was due ({}; {error})", printable(kind))
        })
    }

    /// Its status and the beginning of what it says, for people.
    pub(in crate::traffic) fn words(&self) -> String {
        let status = self.status;
        let said = String::from_utf8_lossy(&self.body);
        let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let said: String = said.chars().take(SHOWN).collect();
        match said.is_empty() {
            true => status.to_string(),
            false => format!("{status}: {}", printable(&said)),
        }
    }

    /// What to do about an answer that says no.
    pub(super) fn hint(&self) -> &'static str {
        match self.status() {
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
