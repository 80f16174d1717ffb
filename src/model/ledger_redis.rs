//! The settings of a ledger in Redis.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::Text;

/// A list in Redis: one element for each record, under a key of the drill's own.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisLedger {
    /// Where the server is that takes writes.
    pub at: RedisAt,
    /// Where it is asked for when records are read back, if elsewhere: a writer may stay with a master that others have left.
    pub read: Option<RedisAt>,
    /// The user (Redis 6); without one it is `default`.
    pub user: Option<Text>,
    /// The password.
    pub password: Option<Text>,
    /// What a write waits for beyond the server's own word.
    pub wait: Option<RedisWait>,
    /// When the list vanishes by itself, after its last write: whatever becomes of the drill, nothing stays for ever.
    pub expire: Duration,
}

/// Where the server is that takes writes.
#[derive(Debug, Clone, PartialEq)]
pub enum RedisAt {
    /// At an address: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS.
    Url {
        /// The address.
        url: Text,
        /// A PEM file with the certificate authorities to trust.
        ca: Option<PathBuf>,
    },
    /// Where Sentinels say, which are asked for each new connection.
    Sentinels {
        /// Each `HOST:PORT`. Not empty.
        sentinels: Vec<Text>,
        /// The name by which they know the servers.
        master: String,
        /// The Sentinels' own password.
        password: Option<Text>,
        /// The database's number.
        database: u32,
    },
}

/// What a write waits for: Redis' `WAIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisWait {
    /// So many replicas have it.
    pub replicas: u32,
    /// Not longer than this; then nobody knows what a failover would leave of it.
    pub within: Duration,
}

impl RedisLedger {
    /// The schemes of its URL.
    pub const SCHEMES: &[&str] = &["redis", "rediss"];
    /// The port of a URL that names none.
    pub const PORT: u16 = 6379;

    /// Every text of its settings.
    pub fn texts(&self) -> Vec<&Text> {
        let at = [&self.at].into_iter().chain(&self.read).flat_map(RedisAt::texts);
        at.chain(&self.user).chain(&self.password).collect()
    }

    /// Where all writes go, if the plan says it.
    pub fn addresses(&self) -> Vec<&Text> {
        match &self.at {
            RedisAt::Url { url, .. } => vec![url],
            RedisAt::Sentinels { .. } => Vec::new(),
        }
    }
}

impl RedisAt {
    /// Every text of it.
    fn texts(&self) -> Vec<&Text> {
        match self {
            RedisAt::Url { url, .. } => vec![url],
            RedisAt::Sentinels { sentinels, password, .. } => {
                sentinels.iter().chain(password).collect()
            }
        }
    }
}

impl RedisLedger {
    /// Where records are written. What Sentinels lead to has their name for it, also where a writer goes there by itself:
    /// by this two writers of one place are known.
    pub fn place(&self) -> String {
        match (&self.at, &self.read) {
            (RedisAt::Url { url, .. }, Some(RedisAt::Sentinels { master, .. })) => {
                format!("Redis {master} at {url}")
            }
            (at, _) => at.to_string(),
        }
    }
}

impl fmt::Display for RedisAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedisAt::Url { url, .. } => write!(f, "{url}"),
            RedisAt::Sentinels { master, sentinels, database, .. } => {
                let sentinels: Vec<String> = sentinels.iter().map(Text::to_string).collect();
                write!(f, "Redis {master} at sentinels://{}", sentinels.join(","))?;
                if *database != 0 {
                    write!(f, "/{database}")?;
                }
                Ok(())
            }
        }
    }
}
