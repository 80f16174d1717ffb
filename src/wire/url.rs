//! URLs of servers.

use hyper::Uri;

use super::Unusable;
use crate::model::Text;

/// The parts of a URL that matter to whoever asks.
#[derive(Debug)]
pub struct Url {
    /// Whether it is spoken to by TLS.
    pub secure: bool,
    /// A name, or an address; IPv6 in brackets.
    pub host: String,
    /// The port, also where it goes without saying.
    pub port: u16,
    /// As the `host` header has it: without a port that goes without saying.
    pub authority: String,
    /// Path and query.
    pub path: Uri,
}

impl Url {
    /// Reads `text`; errors show `shown`, where secrets are hidden.
    ///
    /// # Errors
    /// Why it is none that can be asked.
    pub fn parse(text: &str, shown: &Text) -> Result<Self, Unusable> {
        let refuse =
            |why: &str, hint: &str| Err(Unusable::new(format!("`{shown}` {why}"), hint.to_owned()));
        const EXAMPLE: &str = "write it as https://example.org:8443/path";
        let Ok(uri) = text.parse::<Uri>() else { return refuse("is not a URL", EXAMPLE) };
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return refuse("is neither http nor https", EXAMPLE),
            None => return refuse("has no scheme", EXAMPLE),
        };
        let Some(authority) = uri.authority().filter(|all| !all.host().is_empty()) else {
            return refuse("names no host", EXAMPLE);
        };
        if authority.as_str().contains('@') {
            return refuse("holds credentials", "send them as an `authorization` header");
        }
        let ordinary = if secure { 443 } else { 80 };
        let host = authority.host().to_owned();
        // The library takes a port that it cannot read for none.
        let bare = authority.as_str() == authority.host();
        let port = match authority.port_u16() {
            None if bare => ordinary,
            Some(port) if port != 0 => port,
            _ => return refuse("has a port that does not exist", "ports go from 1 to 65535"),
        };
        let authority = if port == ordinary { host.clone() } else { format!("{host}:{port}") };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let Ok(path) = path.parse() else { return refuse("has a path that is none", EXAMPLE) };
        Ok(Url { secure, host, port, authority, path })
    }
}
