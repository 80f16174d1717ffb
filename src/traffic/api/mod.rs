//! Requests to the HTTP API of a provider.
//!
//! What may be asked twice is asked again when it fails on the way or the provider is busy, with growing pauses that no two
//! clients share. A redirect is an error: credentials go where the plan says and nowhere else. Every request and its answer
//! are noted, with whatever is secret masked.

mod answer;
mod pause;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout};

use super::ControlError;
use super::log::Log;
use crate::model::{Shown, Text};

pub(super) use answer::Answer;
use pause::Pauses;

/// An answer larger than this is none of a provider's.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How to reach a provider's API.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    /// Without the slash at its end.
    base: String,
    headers: HeaderMap,
    secrets: Vec<String>,
    /// How long one request may take, with everything that is asked again for it.
    limit: Duration,
    pub(super) log: Log,
}

/// What to ask.
#[derive(Debug)]
pub(super) struct Request<'r> {
    method: Method,
    /// Below the base, beginning with `/`; or a whole URL of the same server.
    path: &'r str,
    headers: Vec<(&'static str, String)>,
    body: Option<(&'static str, String)>,
    /// Whether asking twice does what asking once does.
    repeatable: bool,
}

impl<'r> Request<'r> {
    /// A reading.
    pub(super) fn get(path: &'r str) -> Self {
        Request { repeatable: true, ..Request::new(Method::GET, path) }
    }

    /// A change that is the same when it is made twice.
    pub(super) fn repeatable(method: Method, path: &'r str) -> Self {
        Request { repeatable: true, ..Request::new(method, path) }
    }

    /// A change that is made once.
    pub(super) fn new(method: Method, path: &'r str) -> Self {
        Request { method, path, headers: Vec::new(), body: None, repeatable: false }
    }

    /// With a header of its own.
    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a body of JSON.
    pub(super) fn json(self, body: &serde_json::Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// With a body.
    pub(super) fn body(mut self, kind: &'static str, body: String) -> Self {
        self.body = Some((kind, body));
        self
    }
}

/// Settings of an [`Api`], as a plan gives them.
#[derive(Debug, Default)]
pub(super) struct Reach<'a> {
    /// Sent with every request.
    pub headers: Vec<(String, &'a Text)>,
    /// The authorities whose servers are trusted; the system's if none are named.
    pub ca: Option<&'a Path>,
    /// How long one request may take, with everything that is asked again for it.
    pub limit: Duration,
}

impl Api {
    /// The API at `base`. Nothing is connected yet.
    ///
    /// # Errors
    /// When a header or the authorities cannot be used.
    pub(super) fn new(base: &Text, reach: &Reach<'_>) -> Result<Api, ControlError> {
        let mut headers = HeaderMap::new();
        let mut secrets: Vec<String> = base.secrets().map(str::to_owned).collect();
        for (name, text) in &reach.headers {
            secrets.extend(text.secrets().map(str::to_owned));
            let value = HeaderValue::from_str(&text.reveal_plain());
            let name = HeaderName::from_bytes(name.as_bytes());
            let (Ok(name), Ok(mut value)) = (name, value) else {
                return Err(ControlError {
                    what: format!("a header for {base} has characters that no header may have"),
                    hint: "see `headers`, and the variables in it for line breaks".to_owned(),
                });
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let client = Client::builder()
            .tls_backend_preconfigured(tls(reach.ca)?)
            .redirect(Policy::none())
            // Calls go the way that the plan says; a proxy of the environment may stand in what is cut.
            .no_proxy()
            .user_agent(concat!("firedrill/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ControlError {
                what: format!("no HTTP client could be made: {error}"),
                hint: "please report it".to_owned(),
            })?;
        let base = base.reveal_plain().trim_end_matches('/').to_owned();
        Ok(Api { client, base, headers, secrets, limit: reach.limit, log: Log::default() })
    }

    /// Asks, and gives whatever answer there is that is not a redirect.
    ///
    /// # Errors
    /// When there is no whole answer within the limit. What was asked may have been done.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Answer, ControlError> {
        let until = Instant::now() + self.limit;
        let mut pauses = Pauses::default();
        loop {
            let asked = self.log.ask();
            let left = until.saturating_duration_since(Instant::now());
            let tried = match timeout(left, self.once(request)).await {
                Ok(tried) => tried,
                Err(_) => Err(Lost {
                    why: format!("no answer within {}", Shown(self.limit)),
                    arrived: true,
                }),
            };
            let words = match &tried {
                Ok(answer) => answer.words(),
                Err(lost) => lost.why.clone(),
            };
            let line = format!("{} {}", request.method, self.url(request.path));
            let line = match &request.body {
                Some((_, body)) => format!("{line} {body}"),
                None => line,
            };
            self.log.answer(asked, &self.masked(&line), &self.masked(&words));
            let pause = pauses.next(&tried, request.repeatable);
            if let Some(pause) = pause.filter(|pause| Instant::now() + *pause < until) {
                tokio::time::sleep(pause).await;
                continue;
            }
            return match tried {
                Ok(answer) if answer.is_redirect() => Err(self.redirected(request, &answer)),
                Ok(answer) => Ok(answer),
                Err(lost) => Err(self.unanswered(request, &lost)),
            };
        }
    }

    /// Asks, and gives the answer if it is a good one.
    ///
    /// # Errors
    /// As [`Api::ask`], and in words what the provider said instead.
    pub(super) async fn good(&self, request: &Request<'_>) -> Result<Answer, ControlError> {
        let answer = self.ask(request).await?;
        if answer.is_good() {
            return Ok(answer);
        }
        Err(self.refused(request, &answer))
    }

    /// What an answer that is no good one means.
    pub(super) fn refused(&self, request: &Request<'_>, answer: &Answer) -> ControlError {
        ControlError {
            what: format!("{} said {} to {}", self.host(), answer.words(), self.named(request)),
            hint: answer.hint().to_owned(),
        }
    }

    /// Says that an answer made no sense.
    pub(super) fn senseless(&self, request: &Request<'_>, why: &str) -> ControlError {
        ControlError {
            what: format!("{} answered {} with {why}", self.host(), self.named(request)),
            hint: "see that the address is that of the provider's API".to_owned(),
        }
    }

    async fn once(&self, request: &Request<'_>) -> Result<Answer, Lost> {
        let mut asked = self.client.request(request.method.clone(), self.url(request.path));
        asked = asked.headers(self.headers.clone());
        for (name, value) in &request.headers {
            asked = asked.header(*name, value);
        }
        if let Some((kind, body)) = &request.body {
            asked = asked.header("content-type", *kind).body(body.clone());
        }
        let response = asked.send().await.map_err(|error| Lost::of(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = whole(response).await?;
        Ok(Answer::new(status, headers, body))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn host(&self) -> String {
        let host = self.base.split_once("://").map_or(&*self.base, |(_, rest)| rest);
        self.masked(host.split('/').next().unwrap_or(host))
    }

    fn named(&self, request: &Request<'_>) -> String {
        self.masked(&format!("`{} {}`", request.method, request.path))
    }

    fn masked(&self, text: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }

    fn redirected(&self, request: &Request<'_>, answer: &Answer) -> ControlError {
        let to = answer.header("location").unwrap_or("nowhere");
        ControlError {
            what: format!(
                "{} sends {} on to {}, which is not followed: the credentials are for {} alone",
                self.host(),
                self.named(request),
                self.masked(&crate::model::printable(to)),
                self.host()
            ),
            hint: "give the address that answers itself".to_owned(),
        }
    }

    fn unanswered(&self, request: &Request<'_>, lost: &Lost) -> ControlError {
        let landed = match lost.arrived && request.method != Method::GET {
            true => "it may have taken effect all the same: its state is read again",
            false => "see whether it can be reached from here, and that its address is right",
        };
        ControlError {
            what: format!(
                "{} to {} came to nothing: {}",
                self.named(request),
                self.host(),
                self.masked(&lost.why)
            ),
            hint: landed.to_owned(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
struct Lost {
    why: String,
    /// Whether the request may have arrived.
    arrived: bool,
}

impl Lost {
    fn of(error: &reqwest::Error) -> Lost {
        // The outermost says no more than that a request failed.
        let mut why = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            why = inner.to_string();
            cause = inner.source();
        }
        Lost { why, arrived: !error.is_connect() && !error.is_builder() }
    }
}

/// The whole body, within bounds.
async fn whole(mut response: Response) -> Result<Vec<u8>, Lost> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Lost::of(&error))? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            let why = format!("its answer is larger than {} MiB", ANSWER_BYTES_MAX >> 20);
            return Err(Lost { why, arrived: true });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// TLS by ring, trusting the authorities in the file `ca` or else the system's.
fn tls(ca: Option<&Path>) -> Result<ClientConfig, ControlError> {
    let unusable = |what: String| ControlError {
        what,
        hint: "give `ca` a file of certificates in PEM, or mend the system's store".to_owned(),
    };
    let mut roots = RootCertStore::empty();
    let found = match ca {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(format!("{}: {error}", path.display())))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (added, _) = roots.add_parsable_certificates(found);
    if let (Some(path), 0) = (ca, added) {
        return Err(unusable(format!("{} holds no certificate", path.display())));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(format!("TLS cannot be set up: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
