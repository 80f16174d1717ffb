//! The connections of the SDK's clients: as those of every other provider.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HOST, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::model::{Exchange, Text};
use crate::traffic::api::answer::shortened;
use crate::traffic::api::line::{Lost, Server};
use crate::traffic::api::mask::Mask;
use crate::traffic::log::Log;
use crate::wire::{Url, tls};

/// The longest piece of a text that is noted, in characters.
const NOTED: usize = 2000;

/// What asks for the SDK.
#[derive(Clone)]
pub(super) struct Wire {
    mask: Mask,
    log: Arc<Log>,
    limit: Duration,
    /// Bodies are secret: credentials are asked for.
    private: bool,
}

impl Wire {
    /// One that shows none of `secrets`, and waits for no answer longer than `limit`.
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = &'s str>, limit: Duration) -> Wire {
        let mask = Mask::default().and(secrets);
        Wire { mask, log: Arc::default(), limit, private: false }
    }

    /// The same for asking for credentials: no body is noted.
    pub(super) fn private(&self) -> Wire {
        Wire { private: true, ..self.clone() }
    }

    /// The same, waiting for no answer longer than `limit`.
    #[cfg(feature = "aws-routing-control")]
    pub(super) fn within(&self, limit: Duration) -> Wire {
        Wire { limit, ..self.clone() }
    }

    /// What was asked since this was last called, and what was answered.
    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.log.take()
    }

    async fn ask(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| unusable(&error.to_string()))?;
        let (url, request, body) = outgoing(request)?;
        let told = self.told(&url, request.method(), &body);
        let server = server(url)?;
        let asked = self.log.ask();
        let answered = server.ask(request, (self.limit, self.limit)).await;
        let noted = match &answered {
            Ok(((status, _), body)) => self.noted(*status, body),
            Err(lost) => self.mask.hide(&lost.why),
        };
        self.log.answer(asked, &told, &noted);
        let ((status, headers), body) = answered.map_err(|lost| self.lost(&lost))?;
        if status.is_redirection() {
            return Err(self.redirected(&headers));
        }
        if status.is_success() && breaks_off(&body) {
            return Err(ConnectorError::io(format!("the answer breaks off: {noted}").into()));
        }
        incoming(status, headers, body)
    }

    /// The request in one line. Neither signature nor token is in it: both are headers.
    fn told(&self, url: &Url, method: &Method, body: &[u8]) -> String {
        let line = match self.private {
            true => format!("{method} {}{}", url.authority, url.path.path()),
            false => {
                let body = String::from_utf8_lossy(body);
                format!("{method} {}{} {body}", url.authority, url.path)
            }
        };
        shortened(&self.mask.hide(&line), NOTED)
    }

    fn noted(&self, status: StatusCode, body: &[u8]) -> String {
        match self.private || body.is_empty() {
            true => status.to_string(),
            // Masked before it is shortened: half of a secret is one too.
            false => {
                let body = self.mask.hide(&String::from_utf8_lossy(body));
                format!("{status}: {}", shortened(&body, NOTED))
            }
        }
    }

    fn lost(&self, lost: &Lost) -> ConnectorError {
        let why = self.mask.hide(&lost.why).into();
        match lost.may_pass {
            true => ConnectorError::io(why),
            false => ConnectorError::user(why),
        }
    }

    fn redirected(&self, headers: &HeaderMap) -> ConnectorError {
        let to = headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
        let to = crate::model::printable(&self.mask.hide(to));
        let why = format!(
            "it sends the request on to {to}, which is not followed: the credentials are for AWS alone"
        );
        ConnectorError::user(why.into())
    }
}

/// The request as it goes over the connection, and where to.
fn outgoing(
    request: Request<SdkBody>,
) -> Result<(Url, Request<Full<Bytes>>, Bytes), ConnectorError> {
    let (mut head, body) = request.into_parts();
    let whole = head.uri.to_string();
    let url = Url::parse(&whole, &Text::from("the endpoint")).map_err(|it| unusable(&it.what))?;
    let Some(body) = body.bytes() else { return Err(unusable("its body is a stream")) };
    let body = Bytes::copy_from_slice(body);
    let host = HeaderValue::from_str(&url.authority).map_err(|it| unusable(&it.to_string()))?;
    head.headers.insert(HOST, host);
    head.uri = url.path.clone();
    Ok((url, Request::from_parts(head, Full::new(body.clone())), body))
}

fn server(url: Url) -> Result<Server, ConnectorError> {
    let host = url.host.trim_matches(['[', ']']).to_owned();
    let tls = match url.secure {
        true => {
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|_| unusable("its host cannot be a server's name in TLS"))?;
            let config = tls::trusting(None).map_err(|it| unusable(&it.what))?;
            Some((TlsConnector::from(Arc::new(config)), name))
        }
        false => None,
    };
    Ok(Server { host, port: url.port, tls })
}

fn incoming(
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<HttpResponse, ConnectorError> {
    let mut response = Response::new(SdkBody::from(body));
    *response.status_mut() = status;
    // What is no text says nothing to the SDK, which takes such an answer for none at all.
    *response.headers_mut() = headers
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
        .filter(|(_, value)| value.to_str().is_ok())
        .collect();
    HttpResponse::try_from(response).map_err(|error| unusable(&error.to_string()))
}

/// Whether XML ends before its first element does. Where a connection that is lost is the end of an answer, the SDK would
/// take the half of a list for all of it.
fn breaks_off(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if !text.starts_with('<') {
        return false;
    }
    let is_element = |(at, _): &(usize, &str)| text[at + 1..].starts_with(char::is_alphabetic);
    let Some((at, _)) = text.match_indices('<').find(is_element) else { return true };
    let name = text[at + 1..].split(|it: char| it.is_whitespace() || "/>".contains(it)).next();
    let end = format!("</{}>", name.unwrap_or_default());
    let is_empty = text.ends_with("/>") && text.rfind('<') == Some(at);
    !(text.ends_with(&end) || is_empty)
}

fn unusable(why: &str) -> ConnectorError {
    ConnectorError::user(why.to_owned().into())
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().ask(request))
    }
}

impl HttpClient for Wire {
    /// Who asks for credentials where there may be none, waits less.
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let both = settings.connect_timeout().zip(settings.read_timeout());
        let limit = both.map_or(self.limit, |(connect, read)| self.limit.min(connect + read));
        SharedHttpConnector::new(Wire { limit, ..self.clone() })
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_that_ends_before_its_first_element_breaks_off() {
        let whole =
            "<?xml version=\"1.0\"?>\n<!-- a --><List xmlns=\"urn:a\"><Name>a</Name><B/></List>";
        assert!(!breaks_off(format!("{whole}\n").as_bytes()));
        for end in 1..whole.len() {
            assert!(breaks_off(&whole.as_bytes()[..end]), "{}", &whole[..end]);
        }
        for all in ["", " \n", "<List/>", "<List a=\"b\" />", "{\"a\":[\"<b>\"]}", "no XML"] {
            assert!(!breaks_off(all.as_bytes()), "{all}");
        }
    }
}
