//! Requests to the HTTP API of a provider.
//!
//! What may be asked twice is asked again when it fails on the way or the provider is busy, with growing pauses that no two
//! clients share. A redirect is an error: credentials go where the plan says and nowhere else. Every request and its answer
//! are noted, with whatever is secret masked.

pub(in crate::traffic) mod answer;
#[cfg(test)]
pub(super) mod double;
pub(in crate::traffic) mod line;
pub(in crate::traffic) mod mask;
mod pause;
mod request;
mod signed;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::ControlError;
use super::log::Log;
use crate::model::{Exchange, Shown, Text};
use crate::wire::{Unusable, Url, tls};
use line::{Lost, Server};
use mask::Mask;
use pause::{Pauses, wait};

pub use answer::Answer;
pub use hyper::Method;
pub(in crate::traffic) use pause::again;
pub use request::Request;
pub use signed::{Signed, Tokens};

const AGENT: &str = concat!("firedrill/", env!("CARGO_PKG_VERSION"));

/// How to reach a provider's API.
pub struct Api {
    server: Server,
    /// As errors show it: `api.example.org`, `127.0.0.1:8474`.
    host: String,
    /// `https://api.example.org`.
    origin: String,
    /// What stands before every path, without a slash at its end.
    base: String,
    headers: HeaderMap,
    mask: Mask,
    limit: Duration,
    log: Log,
}

/// Settings of an [`Api`].
#[derive(Debug, Default)]
pub struct Reach<'a> {
    /// Sent with every request. The secrets in it are shown nowhere.
    pub headers: Vec<(&'a str, Text)>,
    /// What else must not be shown: a password that stands in a header only in another form.
    pub secrets: Vec<&'a str>,
    /// The authorities whose servers are trusted; the system's if none are named.
    pub ca: Option<&'a Path>,
    /// Authorities and a client's certificate that are in memory; where there are any, they go before `ca`.
    pub pem: tls::Pem<'a>,
    /// How long one request may take, with everything that is asked again for it.
    pub limit: Duration,
}

impl Api {
    /// The API at `base`, a URL. Nothing is connected yet.
    ///
    /// # Errors
    /// When the URL, a header or the authorities cannot be used.
    pub fn new(base: &Text, reach: &Reach<'_>) -> Result<Api, ControlError> {
        let url = Url::parse(&base.reveal_plain(), base)?;
        if url.path.query().is_some() {
            return Err(ControlError {
                what: format!("`{base}` has a query, and paths are put behind it"),
                hint: "leave out what stands from `?` on".to_owned(),
            });
        }
        let given = reach.headers.iter().flat_map(|(_, text)| text.secrets());
        let mask =
            Mask::default().and(base.secrets()).and(reach.secrets.iter().copied()).and(given);
        let scheme = if url.secure { "https" } else { "http" };
        Ok(Api {
            origin: format!("{scheme}://{}", url.authority),
            base: url.path.path().trim_end_matches('/').to_owned(),
            headers: headers(&url.authority, &reach.headers)?,
            host: mask.hide(&url.authority),
            server: server(url, reach)?,
            mask,
            limit: reach.limit,
            log: Log::default(),
        })
    }

    /// What was asked since this was last called, and what was answered.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.log.take()
    }

    /// Asks, and gives whatever answer there is that is not a redirect.
    ///
    /// # Errors
    /// When there is no whole answer within the limit. What was asked may have been done.
    pub async fn ask(&self, request: &Request) -> Result<Answer, ControlError> {
        let (sent, mask) = (self.made(request)?, self.mask_of(request));
        let (mut pauses, first) = (Pauses::default(), self.log.ask());
        let left = || self.limit.saturating_sub(first.elapsed());
        loop {
            let asked = self.log.ask();
            let tried = self.server.ask(sent.clone(), (left(), self.limit)).await;
            let tried = tried.map(|(head, body)| Answer::new(head, body, &mask, request.private));
            let words = match &tried {
                Ok(answer) => answer.noted(),
                Err(lost) => mask.hide(&lost.why),
            };
            self.log.answer(asked, &answer::noted(&mask.hide(&told(request))), &words);
            let pause = pauses.next(&tried, request.repeatable);
            if let Some(pause) = pause.filter(|pause| *pause < left()) {
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
    pub async fn good(&self, request: &Request) -> Result<Answer, ControlError> {
        let answer = self.ask(request).await?;
        match answer.is_good() {
            true => Ok(answer),
            false => Err(self.refused(request, &answer)),
        }
    }

    /// Asks, and gives the JSON of the answer if it is a good one.
    ///
    /// # Errors
    /// As [`Api::good`], and when it is not the JSON that was due.
    pub async fn json<T: serde::de::DeserializeOwned>(
        &self,
        request: &Request,
    ) -> Result<T, ControlError> {
        let answer = self.good(request).await?;
        answer.json().map_err(|why| self.senseless(request, &why))
    }

    /// What an answer that is no good one means.
    pub fn refused(&self, request: &Request, answer: &Answer) -> ControlError {
        let later = wait(answer).map_or_else(String::new, |wait| {
            format!(", and wants to be left alone for {}", Shown(wait))
        });
        ControlError {
            what: format!(
                "{} said {} to {}{later}",
                self.host,
                answer.words(),
                self.named(request)
            ),
            hint: answer.hint().to_owned(),
        }
    }

    /// Says that an answer made no sense; `why` goes on behind "with".
    pub fn senseless(&self, request: &Request, why: &str) -> ControlError {
        let why = crate::model::printable(&self.mask_of(request).hide(why));
        ControlError {
            what: format!("{} answered {} with {why}", self.host, self.named(request)),
            hint: "see that the address is that of the provider's API".to_owned(),
        }
    }

    /// Whether it can be sent at all.
    ///
    /// # Errors
    /// When it cannot.
    pub fn can_ask(&self, request: &Request) -> Result<(), ControlError> {
        self.made(request).map(drop)
    }

    /// The request as it is sent.
    fn made(&self, request: &Request) -> Result<hyper::Request<Full<Bytes>>, ControlError> {
        let unusable = |what: &str, hint: &str| ControlError {
            what: format!("{} cannot be asked {}: {what}", self.host, self.named(request)),
            hint: hint.to_owned(),
        };
        let Some(path) = self.path(&request.path) else {
            return Err(unusable(
                "it leads away from the address in the plan, and the credentials are for that alone",
                "see that the address is that of the provider's API",
            ));
        };
        let body = request.body.as_ref().map_or("", |(_, body)| body);
        let mut made = hyper::Request::new(Full::new(Bytes::from(body.to_owned())));
        *made.method_mut() = request.method.clone();
        *made.uri_mut() = path.parse().map_err(|_| {
            unusable("that is no path", "see the names in the plan for characters of their own")
        })?;
        *made.headers_mut() = self.headers.clone();
        let kind = request.body.as_ref().map(|(kind, _)| ("content-type", *kind));
        let given = request.headers.iter().map(|(name, value)| (*name, &**value));
        for (name, value) in kind.into_iter().chain(given) {
            set(made.headers_mut(), name, value)?;
        }
        Ok(made)
    }

    /// Path and query of what is asked; `None` if it lies elsewhere.
    fn path(&self, asked: &str) -> Option<String> {
        let below = match asked.strip_prefix(&*self.origin) {
            Some(whole) => whole.strip_prefix(&*self.base)?,
            None => asked,
        };
        below.starts_with('/').then(|| format!("{}{below}", self.base))
    }

    fn mask_of(&self, request: &Request) -> Mask {
        self.mask.clone().and(request.secrets.iter().map(String::as_str))
    }

    fn named(&self, request: &Request) -> String {
        let line = format!("`{} {}`", request.method, request.path);
        crate::model::printable(&self.mask_of(request).hide(&line))
    }

    fn redirected(&self, request: &Request, answer: &Answer) -> ControlError {
        let to = answer.header("location").map_or_else(
            || "elsewhere".to_owned(),
            |to| crate::model::printable(&self.mask_of(request).hide(to)),
        );
        let (host, asked) = (&self.host, self.named(request));
        ControlError {
            what: format!(
                "{host} sends {asked} on to {to}, which is not followed: the credentials are for {host} alone"
            ),
            hint: "give the address that answers itself".to_owned(),
        }
    }

    fn unanswered(&self, request: &Request, lost: &Lost) -> ControlError {
        let hint = match lost.arrived && request.method != Method::GET {
            true => "it may have taken effect all the same: its state is read again",
            false => "see whether it can be reached from here, and that its address is right",
        };
        let (asked, why) = (self.named(request), self.mask_of(request).hide(&lost.why));
        ControlError {
            what: format!("{} gave no answer to {asked}: {why}", self.host),
            hint: hint.to_owned(),
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base may hold secrets.
        f.debug_struct("Api").field("host", &self.host).finish_non_exhaustive()
    }
}

impl From<Unusable> for ControlError {
    fn from(Unusable { what, hint }: Unusable) -> Self {
        ControlError { what, hint }
    }
}

/// A request in one line.
fn told(request: &Request) -> String {
    match &request.body {
        Some((_, body)) if !request.private => {
            format!("{} {} {body}", request.method, request.path)
        }
        _ => format!("{} {}", request.method, request.path),
    }
}

pub(in crate::traffic) fn server(url: Url, reach: &Reach<'_>) -> Result<Server, ControlError> {
    let host = url.host.trim_matches(['[', ']']).to_owned();
    let tls = match url.secure {
        true => {
            let name = ServerName::try_from(host.clone()).map_err(|_| ControlError {
                what: "the host of the address cannot be a server's name in TLS".to_owned(),
                hint: "mend the address in the plan".to_owned(),
            })?;
            let config = match (reach.pem.authorities, reach.pem.client) {
                (None, None) => tls::trusting(reach.ca)?,
                _ => tls::identified(reach.pem)?,
            };
            Some((TlsConnector::from(Arc::new(config)), name))
        }
        false => None,
    };
    Ok(Server { host, port: url.port, tls })
}

fn headers(authority: &str, given: &[(&str, Text)]) -> Result<HeaderMap, ControlError> {
    let mut headers = HeaderMap::new();
    let own = [("user-agent", AGENT), ("accept", "*/*"), ("connection", "close")];
    let own = own.map(|(name, value)| (name, Text::from(value)));
    let host = ("host", Text::from(authority));
    for (name, text) in own.iter().chain([&host]).chain(given) {
        set(&mut headers, name, &text.reveal_plain())?;
    }
    Ok(headers)
}

/// Sets a header that takes the place of one with the same name.
fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), ControlError> {
    let unusable = || ControlError {
        what: format!("the header `{name}` has characters that none may have"),
        hint: "see the credentials and variables in it for line breaks".to_owned(),
    };
    let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
    value.set_sensitive(true);
    headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?, value);
    Ok(())
}
