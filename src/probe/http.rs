//! The `http` probe: one HTTP/1.1 request, and the answer judged.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request, Uri};

use super::connector::{Connector, Stream};
use super::every::{AskAt, every};
use super::expect::{Expect, MOST_BODY};
use super::line::{Line, NoAnswer, Pool};
use super::sample::Progress;
use super::served_by::Source;
use super::target::{Target, reveal};
use super::tls::Tls;
use super::{PrepareError, failure};
use crate::clock::Clock;
use crate::model::{Connection, HttpProbe, Outcome, Phase, ProbeSpec, Reason};
use crate::wire::Url;

const AGENT: &str = concat!("firedrill/", env!("CARGO_PKG_VERSION"));

/// A request ready to be sent.
pub(super) type Asked = Request<Full<Bytes>>;

/// A whole answer.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// An `http` probe made ready.
pub(super) struct HttpAsker {
    target: Target,
    /// The host and port that it asks.
    origin: (String, u16),
    tls: Option<Tls>,
    request: Asked,
    /// Its body once more: the request's own cannot be looked into.
    body: String,
    expect: Expect,
    source: Source,
    /// Only in the keep-alive cohort.
    pool: Option<Pool>,
}

impl HttpAsker {
    /// Checks everything that can be checked before the first request.
    pub(super) fn prepare(
        http: &HttpProbe,
        spec: &ProbeSpec,
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        let url = Url::parse(&reveal(&http.url, lab)?, &http.url)?;
        let tls = match (url.secure, &http.ca) {
            (true, ca) => Some(Tls::prepare(&url.host, ca.as_deref())?),
            (false, None) => None,
            (false, Some(_)) => {
                return Err(PrepareError::new(
                    format!("`{}` is not encrypted, so `ca` has no use", http.url),
                    "write `https://`, or leave `ca` out",
                ));
            }
        };
        Ok(HttpAsker {
            request: request(http, spec.connection, &url, lab)?,
            body: http.body.as_ref().map(|body| reveal(body, lab)).transpose()?.unwrap_or_default(),
            target: Target::new(&url.host, url.port, connector).looked_up(spec)?,
            origin: (url.host, url.port),
            tls,
            expect: Expect::prepare(&http.expect, lab)?,
            source: Source::prepare(spec.served_by.as_ref())?,
            pool: (spec.connection == Connection::KeepAlive).then(Pool::default),
        })
    }

    /// Sends the request and judges the answer.
    pub(super) async fn ask(&self, clock: &Clock, progress: &mut Progress) -> Result<(), Outcome> {
        if let Some(lost) = self.target.every() {
            let addresses = self.target.addresses(progress).await?;
            return every(self, addresses, lost, progress).await;
        }
        self.ask_for(&self.request, clock, progress).await
    }

    /// As [`HttpAsker::ask`], with values in the place of the words in `fill`: in the path, the query and the body. Words and
    /// values are of characters that mean nothing there.
    pub(super) async fn ask_filled(
        &self,
        fill: &[(&str, String)],
        clock: &Clock,
        progress: &mut Progress,
    ) -> Result<(), Outcome> {
        self.ask_for(&self.filled(fill), clock, progress).await
    }

    /// The request, filled in.
    pub(super) fn filled(&self, fill: &[(&str, String)]) -> Asked {
        let filled = |text: &str| {
            fill.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
        };
        let mut request = self.request.clone();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        // What is filled in is of letters, digits and signs that a path may have.
        if let Ok(path) = filled(path).parse() {
            *request.uri_mut() = path;
        }
        *request.body_mut() = Full::new(Bytes::from(filled(&self.body)));
        request
    }

    async fn ask_for(
        &self,
        request: &Asked,
        clock: &Clock,
        progress: &mut Progress,
    ) -> Result<(), Outcome> {
        let (line, head) = self.exchange(request, progress).await?;
        let (judged, line) = self.judge(line, head, progress).await?;
        if let (Some(pool), Some(line)) = (&self.pool, line) {
            pool.put(line, clock.now()).await;
        }
        judged
    }

    /// Reads an answer and judges it; the connection comes back if it can be used again.
    async fn judge(
        &self,
        mut line: Line,
        head: hyper::Response<Incoming>,
        progress: &mut Progress,
    ) -> Result<(Result<(), Outcome>, Option<Line>), Outcome> {
        progress.phase = Phase::Body;
        progress.served_by = self.source.by_head(head.headers(), line.peer.ip());
        let status = head.status().as_u16();
        if !self.expect.allows(status) {
            progress.wrong_status = Some(status);
        }
        let keep = self.inspects().then_some(MOST_BODY);
        let body = self.read(&mut line, head.into_body(), keep, &|| {}).await?;
        Ok(match body {
            Body::Whole(bytes) => {
                let (judged, served_by) = self.expect.judge(&bytes, &self.source);
                progress.served_by = served_by.unwrap_or(progress.served_by);
                (judged, Some(line))
            }
            Body::Skipped => (Ok(()), Some(line)),
            Body::TooLong if self.inspects() => (Err(Outcome::Bad(Reason::Body)), None),
            Body::TooLong => (Ok(()), None),
        })
    }

    /// `request` with another target: a URL, or a path or a query of the same server. `None`: it is none, or lies elsewhere,
    /// where the headers of `request` must not go.
    pub(super) fn moved(&self, request: &Asked, to: &str) -> Option<Asked> {
        let path = if to.starts_with('?') {
            format!("{}{to}", request.uri().path())
        } else if to.starts_with('/') && !to.starts_with("//") {
            to.to_owned()
        } else {
            let uri: Uri = to.parse().ok().filter(|uri| self.is_of_here(uri))?;
            uri.path_and_query()?.to_string()
        };
        let mut moved = request.clone();
        *moved.uri_mut() = path.parse().ok()?;
        Some(moved)
    }

    fn is_of_here(&self, uri: &Uri) -> bool {
        let (scheme, port) = if self.tls.is_some() { ("https", 443) } else { ("http", 80) };
        let (host, ours) = &self.origin;
        let is_ours = |authority: &Authority| {
            let port = authority.port_u16().unwrap_or(port);
            !authority.as_str().contains('@')
                && authority.host().eq_ignore_ascii_case(host)
                && port == *ours
        };
        uri.scheme_str() == Some(scheme) && uri.authority().is_some_and(is_ours)
    }

    /// Sends the request and gives the status and the whole body of the answer, whatever they are.
    pub(super) async fn answer(&self, progress: &mut Progress) -> Result<(u16, Vec<u8>), Outcome> {
        let answer = self.fetch(&self.request, MOST_BODY, progress, &|| {}).await?;
        Ok((answer.status, answer.body))
    }

    /// Sends `request`, made from this one's, and gives the answer, whatever it is, of at most `most` bytes. `heard` is called
    /// whenever some of it came.
    pub(super) async fn fetch(
        &self,
        request: &Asked,
        most: usize,
        progress: &mut Progress,
        heard: &(dyn Fn() + Sync),
    ) -> Result<Answered, Outcome> {
        let (mut line, head) = self.exchange(request, progress).await?;
        progress.phase = Phase::Body;
        heard();
        let (head, body) = head.into_parts();
        match self.read(&mut line, body, Some(most), heard).await? {
            Body::Whole(body) => {
                Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
            }
            Body::Skipped | Body::TooLong => Err(Outcome::Bad(Reason::Body)),
        }
    }

    /// Whether `status` is among those that the plan calls right.
    pub(super) fn allows(&self, status: u16) -> bool {
        self.expect.allows(status)
    }

    /// Whether `body` is what the plan calls right.
    pub(super) fn is_right(&self, body: &[u8]) -> bool {
        !self.expect.needs_body() || self.expect.judge(body, &self.source).0.is_ok()
    }

    /// Gets the head of an answer, on a kept connection if there is one.
    async fn exchange(
        &self,
        request: &Asked,
        progress: &mut Progress,
    ) -> Result<(Line, hyper::Response<Incoming>), Outcome> {
        progress.phase = Phase::Answer;
        loop {
            let kept = match &self.pool {
                Some(pool) => pool.take().await,
                None => None,
            };
            let fresh = kept.is_none();
            let mut line = match kept {
                Some(line) => line,
                None => self.open(progress).await?,
            };
            match line.send(request.clone()).await {
                Ok(head) => return Ok((line, head)),
                Err(NoAnswer::NotSent(_)) if !fresh => {}
                Err(NoAnswer::NotSent(error) | NoAnswer::Broken(error)) => {
                    return Err(failure::of_http(&error, Phase::Answer));
                }
            }
        }
    }

    /// A new connection.
    async fn open(&self, progress: &mut Progress) -> Result<Line, Outcome> {
        let (stream, peer) = self.target.open(progress).await?;
        self.speak(stream, peer, progress).await
    }

    /// Speaks TLS, if that is wanted, and HTTP on a new connection.
    async fn speak(
        &self,
        mut stream: Box<dyn Stream>,
        peer: SocketAddr,
        progress: &mut Progress,
    ) -> Result<Line, Outcome> {
        if let Some(tls) = &self.tls {
            progress.phase = Phase::Tls;
            stream = tls.wrap(stream).await?;
        }
        progress.phase = Phase::Answer;
        Line::new(stream, peer).await.map_err(|error| failure::of_http(&error, Phase::Answer))
    }

    /// Reads a body to its end, or to the limit; keeps it, up to so many bytes, if `keep`. `heard` is called with each piece.
    async fn read(
        &self,
        line: &mut Line,
        mut body: Incoming,
        keep: Option<usize>,
        heard: &(dyn Fn() + Sync),
    ) -> Result<Body, Outcome> {
        let mut kept = Vec::new();
        let mut length = 0;
        while let Some(piece) = line.next(&mut body).await {
            let piece = piece.map_err(|error| failure::of_http(&error, Phase::Body))?;
            let Some(data) = piece.data_ref() else { continue };
            heard();
            length += data.len();
            if length > keep.unwrap_or(MOST_BODY) {
                return Ok(Body::TooLong);
            }
            if keep.is_some() {
                kept.extend_from_slice(data);
            }
        }
        Ok(if keep.is_some() { Body::Whole(kept) } else { Body::Skipped })
    }

    fn inspects(&self) -> bool {
        self.expect.needs_body() || self.source.needs_body()
    }
}

impl AskAt for HttpAsker {
    fn ask_at<'a>(
        &'a self,
        address: IpAddr,
        progress: &'a mut Progress,
    ) -> BoxFuture<'a, Result<(), Outcome>> {
        async move {
            let (stream, peer) = self.target.open_at(address, progress).await?;
            let mut line = self.speak(stream, peer, progress).await?;
            let head = line.send(self.request.clone()).await.map_err(|error| {
                let (NoAnswer::NotSent(error) | NoAnswer::Broken(error)) = error;
                failure::of_http(&error, Phase::Answer)
            })?;
            self.judge(line, head, progress).await?.0
        }
        .boxed()
    }
}

/// What was read of a body.
enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// All of it, and nobody cares.
    Skipped,
    /// It went on beyond the limit.
    TooLong,
}

/// The request, built once and cloned for every sample.
fn request(
    http: &HttpProbe,
    connection: Connection,
    url: &Url,
    lab: &dyn Fn(&str) -> Option<String>,
) -> Result<Asked, PrepareError> {
    let body = http.body.as_ref().map(|body| reveal(body, lab)).transpose()?;
    let mut request = Request::new(Full::new(Bytes::from(body.unwrap_or_default())));
    *request.method_mut() = Method::from_bytes(http.method.as_bytes()).map_err(|_| {
        PrepareError::new(
            format!("`{}` is not an HTTP method", http.method),
            "write GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS",
        )
    })?;
    *request.uri_mut() = url.path.clone();
    let headers = request.headers_mut();
    for (name, value) in &http.headers {
        let refuse = |what: &str, hint: &str| {
            PrepareError::new(format!("header `{name}`: `{value}` {what}"), hint.to_owned())
        };
        let field = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refuse("has a name that is none", "use letters, digits and dashes"))?;
        if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&field) {
            return Err(refuse(
                "is for firedrill to set",
                "leave it out; `connection:` of the probe chooses the cohort",
            ));
        }
        let mut revealed = HeaderValue::from_str(&reveal(value, lab)?)
            .map_err(|_| refuse("cannot be sent", "a value is one line of visible characters"))?;
        revealed.set_sensitive(true);
        headers.append(field, revealed);
    }
    let host = HeaderValue::from_str(&url.authority).map_err(|_| {
        PrepareError::new(format!("`{}` has a host that cannot be sent", http.url), "mend `url`")
    })?;
    headers.entry(HOST).or_insert(host);
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    if connection == Connection::New {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(request)
}
