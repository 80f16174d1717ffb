//! A run record in short, read without the rest of it; and the index file that keeps it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::contradiction::{Control, Grounds, Proof, Service};
use crate::model::{
    CutOrder, Marks, Name, Offset, RunRecord, Sealed, Slowest, Summary, Verdict, Why,
};

/// Why a record says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no whole record.
    Damaged(String),
    /// It was written in a format that this version does not know.
    OtherFormat(u64),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Damaged(why) => write!(f, "its record is damaged: {why}"),
            Unreadable::OtherFormat(found) => write!(
                f,
                "its record has format {found}, and this firedrill reads format {}",
                RunRecord::FORMAT
            ),
        }
    }
}

/// The fields of a record that a summary needs; serde skips all others without building them.
#[derive(Deserialize)]
struct Skimmed {
    format: u64,
    run: String,
    started_at: Timestamp,
    plan: SkimmedPlan,
    verdict: Verdict,
    reasons: Vec<Why>,
    marks: Marks,
    services: Vec<Service>,
    proof: Proof,
    controls: Vec<Control>,
    lab: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct SkimmedPlan {
    name: Name,
    file: String,
    #[serde(default)]
    hash: Option<String>,
    #[serde(default)]
    vars: BTreeMap<String, String>,
    #[serde(default)]
    env: Option<Sealed>,
    #[serde(default)]
    lab: bool,
    datacenters: Vec<Name>,
    cut: CutOrder,
    through: Vec<Name>,
}

#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// The summary of the record in `bytes`.
///
/// # Errors
/// When it is no record of the format that this version knows.
pub fn summary(bytes: &[u8]) -> Result<Summary, Unreadable> {
    let skimmed: Skimmed = read(bytes)?;
    match skimmed.format {
        format if format == u64::from(RunRecord::FORMAT) => Ok(skimmed.summary()),
        other => Err(Unreadable::OtherFormat(other)),
    }
}

/// A record with its summary.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// In short.
    pub summary: Summary,
    /// All of it.
    pub record: RunRecord,
}

/// The record in `bytes`.
///
/// # Errors
/// As [`summary`].
pub fn whole(bytes: &[u8]) -> Result<Whole, Unreadable> {
    Ok(Whole { summary: summary(bytes)?, record: read(bytes)? })
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(bytes).map_err(|error| match serde_json::from_slice(bytes) {
        Ok(Format { format }) if format != u64::from(RunRecord::FORMAT) => {
            Unreadable::OtherFormat(format)
        }
        _ => Unreadable::Damaged(error.to_string()),
    })
}

impl Skimmed {
    fn grounds(&self) -> Grounds<'_> {
        Grounds {
            verdict: self.verdict,
            reasons: &self.reasons,
            missing: &self.proof.missing,
            marks: self.marks,
            through: &self.plan.through,
            controls: &self.controls,
            services: &self.services,
        }
    }

    /// Whether it was refused for the day or the hour alone, before anything was asked.
    fn is_kept_off(&self) -> bool {
        let by_calendar = |why: &Why| matches!(&*why.code, "blocked-date" | "outside-window");
        let refused = self.verdict == Verdict::NotStarted && self.services.is_empty();
        refused && !self.reasons.is_empty() && self.reasons.iter().all(by_calendar)
    }

    fn ended_at(&self) -> Timestamp {
        let lasted = self.marks.ended.unwrap_or_default().since(Offset::ZERO);
        // A record may hold any number.
        self.started_at.checked_add(lasted).unwrap_or(Timestamp::MAX)
    }

    fn summary(self) -> Summary {
        let contradiction = self.grounds().contradiction();
        let (kept_off, ended_at) = (self.is_kept_off(), self.ended_at());
        let slowest = self
            .services
            .first()
            .map(|service| Slowest { service: service.name.clone(), recovery: service.recovery });
        let measured = self.services.into_iter().filter(|service| service.recovery.is_some());
        Summary {
            run: self.run,
            started_at: self.started_at,
            ended_at,
            cut: self.plan.cut.words(&self.plan.datacenters),
            mode: self.plan.cut.mode,
            plan: self.plan.name,
            file: self.plan.file,
            hash: self.plan.hash,
            vars: self.plan.vars,
            env: self.plan.env,
            verdict: self.verdict,
            kept_off,
            // What a lab knows is there only once it was started; and older records have only that.
            lab: self.plan.lab || self.lab.is_some(),
            slowest,
            measured: measured.map(|service| service.name).collect(),
            contradiction,
        }
    }
}

/// What tells whether a record is still the one that was summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its length in bytes.
    pub length: u64,
    /// When it was last written: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
    /// When it was last changed in any way, the same: whoever writes cannot set it back.
    pub changed: (i64, i64),
    /// Which file it is on its disk.
    pub inode: u64,
}

/// The contents of an index file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Indexed {
    version: u32,
    record: Stamp,
    summary: Summary,
}

impl Indexed {
    /// Changes whenever [`Summary`] does: an index of another version is made anew.
    const VERSION: u32 = 3;

    /// The index of the record that `record` tells apart.
    pub fn new(record: Stamp, summary: Summary) -> Indexed {
        Indexed { version: Indexed::VERSION, record, summary }
    }

    /// The bytes of the index file.
    ///
    /// # Errors
    /// None are known; serde's type leaves room for them.
    pub fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The summary in an index file, if it is whole, of this version, and of the record that `record` tells apart.
    pub fn read(bytes: &[u8], record: Stamp) -> Option<Summary> {
        let indexed: Indexed = serde_json::from_slice(bytes).ok()?;
        let fresh = indexed.version == Indexed::VERSION && indexed.record == record;
        fresh.then_some(indexed.summary)
    }
}
