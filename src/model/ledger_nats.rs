//! The settings of a ledger in NATS JetStream.

use std::fmt;
use std::path::PathBuf;

use super::Text;

/// A stream of JetStream: one message for each record, under a subject of the drill's own.
#[derive(Debug, Clone, PartialEq)]
pub struct NatsLedger {
    /// Each `nats://HOST:PORT`, or `tls://` where TLS is a must. Not empty.
    pub servers: Vec<Text>,
    /// The user.
    pub user: Option<Text>,
    /// The password.
    pub password: Option<Text>,
    /// A token in their place.
    pub token: Option<Text>,
    /// A PEM file with the certificate authorities to trust.
    pub ca: Option<PathBuf>,
    /// The stream.
    pub stream: String,
    /// How many servers hold the stream. One that exists must have as many, if the plan says so.
    pub replicas: Option<u32>,
    /// Whether a stream that is made is kept in memory, not in files.
    pub in_memory: bool,
}

impl NatsLedger {
    /// The schemes of its URLs.
    pub const SCHEMES: &[&str] = &["nats", "tls"];
    /// The port of a URL that names none.
    pub const PORT: u16 = 4222;

    /// Every text of its settings.
    pub fn texts(&self) -> Vec<&Text> {
        let credentials = [&self.user, &self.password, &self.token];
        self.servers.iter().chain(credentials.into_iter().flatten()).collect()
    }

    /// Where all writes go, if that is one place.
    pub fn addresses(&self) -> Vec<&Text> {
        match &*self.servers {
            [only] => vec![only],
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for NatsLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(Text::to_string).collect();
        write!(f, "stream {} at {}", self.stream, servers.join(", "))
    }
}
