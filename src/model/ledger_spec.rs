//! Where a ledger's records are written to, and read back from.

use std::time::Duration;

use super::{HttpProbe, Text};

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
}

impl LedgerStore {
    /// Where records are written, in a few words; placeholders stand for secrets.
    pub fn place(&self) -> String {
        match self {
            LedgerStore::Http(http) => format!("{} {}", http.write.method, http.write.url),
            // Arguments may be secrets that were typed.
            LedgerStore::Exec(exec) => exec.write.first().map_or(String::new(), Text::to_string),
        }
    }

    /// Where they are read back from, in a few words; placeholders stand for secrets.
    pub fn reads(&self) -> String {
        match self {
            LedgerStore::Http(http) => format!("{} {}", http.read.method, http.read.url),
            LedgerStore::Exec(exec) => exec.read.first().map_or(String::new(), Text::to_string),
        }
    }

    /// What removes the records of a drill, in a few words; `None`: nothing does.
    pub fn removes(&self) -> Option<String> {
        match self {
            LedgerStore::Http(http) => {
                http.remove.as_ref().map(|remove| format!("{} {}", remove.method, remove.url))
            }
            LedgerStore::Exec(exec) => exec.remove.as_ref()?.first().map(Text::to_string),
        }
    }

    /// Every text of its settings: whatever may hold a placeholder.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            LedgerStore::Http(http) => http.requests().flat_map(HttpProbe::texts).collect(),
            LedgerStore::Exec(exec) => {
                exec.write.iter().chain(&exec.read).chain(exec.remove.iter().flatten()).collect()
            }
        }
    }

    /// The URLs that firedrill itself asks, those of writes first.
    pub fn addresses(&self) -> Vec<&Text> {
        match self {
            LedgerStore::Http(http) => http.requests().map(|request| &request.url).collect(),
            LedgerStore::Exec(_) => Vec::new(),
        }
    }
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
