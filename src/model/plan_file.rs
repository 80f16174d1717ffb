//! Where a plan came from: what a later reader needs to tell whether it is still the same.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The file that a plan was read from, and what filled it in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanFile {
    /// Its path, as it was given.
    pub path: String,
    /// The SHA-256 of its text and of `vars`, in hexadecimal digits; `None` where no text is known.
    pub hash: Option<String>,
    /// Its text, placeholders and all; `None` where it is not known or longer than [`PlanFile::LONGEST`].
    pub text: Option<String>,
    /// The values given by `--var` that it asks for.
    pub vars: BTreeMap<String, String>,
    /// What tells whether `${env:NAME}` chose the same system; `None` where the plan lets none choose, or there is no key.
    pub env: Option<Sealed>,
}

/// Values of the environment that choose what is drilled, so that they can be held against each other and not be read:
/// a digest of a host's name without a key could be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sealed {
    /// What tells the key apart from others; nothing of the key is in it.
    pub key: String,
    /// By the name of each variable, the HMAC-SHA256 of name and value, in hexadecimal digits.
    pub values: BTreeMap<String, String>,
}

impl PlanFile {
    /// A longer text is not kept in records, in bytes: they are read as a whole.
    pub const LONGEST: usize = 1 << 20;
}

/// Of a plan that is no file, as in tests: it has a name only.
impl From<&str> for PlanFile {
    fn from(path: &str) -> Self {
        PlanFile { path: path.to_owned(), ..PlanFile::default() }
    }
}
