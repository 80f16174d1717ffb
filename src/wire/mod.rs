//! What all that ask servers share: how a URL is read, and whom TLS trusts.

pub mod tls;
mod url;

pub use url::Url;

/// Why settings cannot be used: what, and what to do next. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// What is wrong, and where.
    pub what: String,
    /// What to do next.
    pub hint: String,
}

impl Unusable {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Unusable { what: what.into(), hint: hint.into() }
    }
}
