//! What is asked.

use std::fmt;

use hyper::Method;

/// What to ask.
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    /// Below the base, beginning with `/`; or a whole URL below it, as answers name their next page.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// What must not be shown, of the headers and elsewhere.
    pub(super) secrets: Vec<String>,
    pub(super) body: Option<(&'static str, String)>,
    /// Whether asking twice does what asking once does.
    pub(super) repeatable: bool,
    /// Whether bodies may be neither noted nor shown.
    pub(super) private: bool,
}

impl Request {
    /// A reading.
    pub fn get(path: impl Into<String>) -> Self {
        Request::repeatable(Method::GET, path)
    }

    /// A change that is the same when it is made twice.
    pub fn repeatable(method: Method, path: impl Into<String>) -> Self {
        Request { repeatable: true, ..Request::once(method, path) }
    }

    /// A change that is asked for once, unless it is certain that nothing of it was sent.
    pub fn once(method: Method, path: impl Into<String>) -> Self {
        Request {
            method,
            path: path.into(),
            headers: Vec::new(),
            secrets: Vec::new(),
            body: None,
            repeatable: false,
            private: false,
        }
    }

    /// With a header of its own.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With `authorization: Bearer TOKEN`, for a token that was asked for on the way; it is shown nowhere.
    pub fn bearer(mut self, token: &str) -> Self {
        self.secrets.push(token.to_owned());
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With a body of JSON.
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// With a body.
    pub fn body(mut self, kind: &'static str, body: impl Into<String>) -> Self {
        self.body = Some((kind, body.into()));
        self
    }

    /// For requests that bring credentials: neither their bodies nor those of the answers are noted or shown.
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and body may hold secrets.
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}
