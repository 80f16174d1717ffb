//! Where a ledger's records are written to, and read back from.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Connection, HttpProbe, NatsLedger, RedisLedger, Text};

/// A probe that writes numbered records and reads them back.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerProbe {
    /// Where the records live.
    pub store: LedgerStore,
    /// Whether the place for them may be made where it is missing: the table, the stream.
    pub create: bool,
    /// Whether the records stay there after the drill. Otherwise those of this drill are removed, and nothing else.
    pub keep: bool,
    /// How long to wait for acknowledged records that are missing, for stores that are consistent after a while only.
    pub settle: Duration,
}

/// A kind of store with its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum LedgerStore {
    /// Requests that write, read and remove.
    Http(Box<HttpLedger>),
    /// Commands that write and read.
    Exec(ExecLedger),
    /// A table of PostgreSQL.
    Postgres(Box<PostgresLedger>),
    /// A list in Redis.
    Redis(Box<RedisLedger>),
    /// A stream of NATS JetStream.
    Nats(Box<NatsLedger>),
}

impl LedgerStore {
    /// Where records are written, in a few words; placeholders stand for secrets.
    pub fn place(&self) -> String {
        match self {
            LedgerStore::Http(http) => format!("{} {}", http.write.method, http.write.url),
            // Arguments may be secrets that were typed.
            LedgerStore::Exec(exec) => exec.write.first().map_or(String::new(), Text::to_string),
            LedgerStore::Postgres(postgres) => {
                format!("table {} at {}", postgres.table, postgres.servers)
            }
            LedgerStore::Redis(redis) => redis.place(),
            LedgerStore::Nats(nats) => nats.to_string(),
        }
    }

    /// Where they are read back from, in a few words; placeholders stand for secrets.
    pub fn reads(&self) -> String {
        match self {
            LedgerStore::Http(http) => format!("{} {}", http.read.method, http.read.url),
            LedgerStore::Exec(exec) => exec.read.first().map_or(String::new(), Text::to_string),
            LedgerStore::Postgres(it) => {
                format!("table {} at {}", it.table, it.read.as_ref().unwrap_or(&it.servers))
            }
            LedgerStore::Redis(it) => it.read.as_ref().unwrap_or(&it.at).to_string(),
            LedgerStore::Nats(_) => self.place(),
        }
    }

    /// What removes the records of a drill, in a few words; `None`: nothing does.
    pub fn removes(&self) -> Option<String> {
        match self {
            LedgerStore::Http(http) => {
                http.remove.as_ref().map(|remove| format!("{} {}", remove.method, remove.url))
            }
            LedgerStore::Exec(exec) => exec.remove.as_ref()?.first().map(Text::to_string),
            LedgerStore::Postgres(it) => Some(format!("DELETE FROM {}", it.table.quoted())),
            LedgerStore::Redis(_) => Some("UNLINK of the list".to_owned()),
            LedgerStore::Nats(nats) => {
                Some(format!("purge of the drill's subject in {}", nats.stream))
            }
        }
    }

    /// Every text of its settings: whatever may hold a placeholder.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            LedgerStore::Http(http) => http.requests().flat_map(HttpProbe::texts).collect(),
            LedgerStore::Exec(exec) => {
                exec.write.iter().chain(&exec.read).chain(exec.remove.iter().flatten()).collect()
            }
            LedgerStore::Postgres(postgres) => {
                let servers = [&postgres.servers].into_iter().chain(&postgres.read);
                servers.flat_map(PostgresServers::texts).collect()
            }
            LedgerStore::Redis(redis) => redis.texts(),
            LedgerStore::Nats(nats) => nats.texts(),
        }
    }

    /// The URLs, or `HOST:PORT`, that firedrill itself asks, those of writes first.
    pub fn addresses(&self) -> Vec<&Text> {
        match self {
            LedgerStore::Http(http) => http.requests().map(|request| &request.url).collect(),
            LedgerStore::Exec(_) => Vec::new(),
            LedgerStore::Postgres(postgres) => match &postgres.servers {
                PostgresServers::Url(url) => vec![url],
                PostgresServers::Hosts(hosts) => hosts.hosts.iter().collect(),
            },
            LedgerStore::Redis(redis) => redis.addresses(),
            LedgerStore::Nats(nats) => nats.addresses(),
        }
    }

    /// Whether writes have one address to go to, and no other to choose.
    pub fn is_one_way(&self) -> bool {
        match self {
            LedgerStore::Http(_) | LedgerStore::Exec(_) => true,
            LedgerStore::Postgres(postgres) => match &postgres.servers {
                PostgresServers::Url(_) => true,
                PostgresServers::Hosts(hosts) => hosts.hosts.len() == 1,
            },
            LedgerStore::Redis(_) | LedgerStore::Nats(_) => self.addresses().len() == 1,
        }
    }

    /// How writes are connected where the plan does not say.
    pub fn connection(&self) -> Connection {
        match self {
            LedgerStore::Http(_) | LedgerStore::Exec(_) => Connection::New,
            // To connect costs a database a process, and the users of each of these keep connections too.
            LedgerStore::Postgres(_) | LedgerStore::Redis(_) | LedgerStore::Nats(_) => {
                Connection::KeepAlive
            }
        }
    }
}

/// Where a page of a list says what the next page is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// In its header `Link`, as the target with the relation `next` (RFC 8288).
    Link,
    /// In its JSON, at this pointer: what is filled in for [`HttpLedger::CURSOR`], or where `read` has none, a URL.
    Json(String),
}

/// Requests with words that are filled in for each record: [`HttpLedger::KEY`] and [`HttpLedger::VALUE`], and for reading
/// all of them [`HttpLedger::PREFIX`].
#[derive(Debug, Clone, PartialEq)]
pub struct HttpLedger {
    /// Writes one record.
    pub write: HttpProbe,
    /// Reads all keys, or where it has a key to be filled in, says by its status whether one record is there.
    pub read: HttpProbe,
    /// Where in the answer the list of records stands (RFC 6901).
    pub items: String,
    /// Where in a record its key stands; empty if the record is the key.
    pub item_key: String,
    /// How the list goes on, where it comes in pages.
    pub next: Option<NextPage>,
    /// Removes one record, or all by their prefix.
    pub remove: Option<HttpProbe>,
}

impl HttpLedger {
    /// Stands for the record's key.
    pub const KEY: &str = "{{key}}";
    /// Stands for the record's value.
    pub const VALUE: &str = "{{value}}";
    /// Stands for what the keys of the drill's records begin with.
    pub const PREFIX: &str = "{{prefix}}";
    /// Stands for what the last page said of the next one; empty for the first.
    pub const CURSOR: &str = "{{cursor}}";

    /// Whether each record is asked for by its own key, and no list of them is read.
    pub fn reads_one_by_one(&self) -> bool {
        Self::asks_for(&self.read, Self::KEY)
    }

    /// Whether `word` stands in the URL or the body of a request: there it is filled in.
    pub fn asks_for(request: &HttpProbe, word: &str) -> bool {
        let has = |text: &Text| text.to_string().contains(word);
        has(&request.url) || request.body.as_ref().is_some_and(has)
    }

    /// Its requests, the one that writes first.
    pub fn requests(&self) -> impl Iterator<Item = &HttpProbe> {
        [&self.write, &self.read].into_iter().chain(&self.remove)
    }
}

/// Commands that speak the line protocol of `docs/ledgers.md`: each a program and its arguments, never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecLedger {
    /// Runs all along, and writes the records that it is told.
    pub write: Vec<Text>,
    /// Lists the keys of the records that are there.
    pub read: Vec<Text>,
    /// Removes the drill's records.
    pub remove: Option<Vec<Text>>,
}

/// A table of PostgreSQL: a row for each record.
#[derive(Debug, Clone, PartialEq)]
pub struct PostgresLedger {
    /// Where writes go.
    pub servers: PostgresServers,
    /// Where records are read back, if elsewhere.
    pub read: Option<PostgresServers>,
    /// The table.
    pub table: PostgresTable,
    /// A PEM file with the certificate authorities to trust.
    pub ca: Option<PathBuf>,
    /// Connections that are open for writing at most.
    pub connections: usize,
}

/// One or more servers of which one takes writes.
#[derive(Debug, Clone, PartialEq)]
pub enum PostgresServers {
    /// `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?sslmode=…`
    Url(Text),
    /// The same in parts.
    Hosts(PostgresHosts),
}

/// Servers with what is needed to log in.
#[derive(Debug, Clone, PartialEq)]
pub struct PostgresHosts {
    /// Each `HOST:PORT`. Not empty.
    pub hosts: Vec<Text>,
    /// The role.
    pub user: Text,
    /// Its password.
    pub password: Option<Text>,
    /// The database.
    pub dbname: Text,
    /// Whether to encrypt.
    pub ssl: SslMode,
}

/// Whether a connection is encrypted, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server can; whoever it is.
    Prefer,
    /// Always; whoever it is, unless the plan names a `ca`.
    Require,
    /// Always, and only with the server that its certificate names.
    #[default]
    VerifyFull,
}

impl SslMode {
    /// The mode of this name in a URL.
    pub fn named(name: &str) -> Option<SslMode> {
        Some(match name {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            // The stricter of the two: who a name is for is part of who it is.
            "verify-ca" | "verify-full" => SslMode::VerifyFull,
            _ => return None,
        })
    }

    /// Whether a connection may be open to anybody who listens.
    pub fn may_be_plain(self) -> bool {
        matches!(self, SslMode::Disable | SslMode::Prefer)
    }
}

/// A table, perhaps with its schema. Case counts, as in SQL between double quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresTable {
    /// The schema; without one the server's `search_path` decides.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl PostgresServers {
    /// Settings of a URL that are firedrill's own to say, or mean nothing to it.
    pub const WITHOUT_MEANING: [&str; 8] = [
        "application_name",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
    ];
    /// Settings of a URL that are kept to, beside those.
    pub const SETTINGS: [&str; 5] =
        ["sslmode", "target_session_attrs", "options", "user", "password"];

    /// Every text of it.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            PostgresServers::Url(url) => vec![url],
            PostgresServers::Hosts(it) => {
                let rest = [&it.user, &it.dbname].into_iter().chain(&it.password);
                it.hosts.iter().chain(rest).collect()
            }
        }
    }
}

impl fmt::Display for PostgresServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostgresServers::Url(url) => url.fmt(f),
            PostgresServers::Hosts(it) => {
                let hosts: Vec<String> = it.hosts.iter().map(Text::to_string).collect();
                write!(f, "{}/{}", hosts.join(","), it.dbname)
            }
        }
    }
}

impl PostgresTable {
    /// The name as SQL takes it, whatever characters are in it.
    pub fn quoted(&self) -> String {
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.name)),
            None => quote(&self.name),
        }
    }
}

impl fmt::Display for PostgresTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
