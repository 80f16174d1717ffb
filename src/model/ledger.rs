//! Ledgers: numbered records that are written all along, and read back.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bounds, Offset, Outcome, Phase, Reason, Sample};

/// What became of a write, as its writer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never left: it cannot be there.
    NotSent,
    /// The store said that it has it.
    Acknowledged,
    /// The store said that it does not take it, or was never reached.
    Refused,
    /// It left, and what became of it was not heard: it may be there.
    Unknown,
}

impl Fate {
    /// The fate of the write that `sample` is of. Where there is doubt, it is unknown: an unknown write is never lost and never
    /// unexpected.
    pub fn of(sample: &Sample) -> Fate {
        match sample.outcome {
            // Too late for its user, or for us to judge it, and acknowledged all the same.
            _ if sample.acknowledged => Fate::Acknowledged,
            Outcome::Bad(reason) if never_took_it(reason) => Fate::Refused,
            Outcome::Unknown(_) if sample.sent == sample.done => Fate::NotSent,
            Outcome::Good | Outcome::Bad(_) | Outcome::Unknown(_) => Fate::Unknown,
        }
    }
}

/// Whether a store that answered so, or failed so, certainly did not take the write.
fn never_took_it(reason: Reason) -> bool {
    match reason {
        Reason::LookUp | Reason::Refused | Reason::Tls | Reason::Rejected => true,
        Reason::TimeOut(phase) => matches!(phase, Phase::LookUp | Phase::Connect | Phase::Tls),
        Reason::Status(status) => says_not_taken(status),
        _ => false,
    }
}

/// Whether a status says that the request was turned away before anything was done about it. 408, 499 and 460 come from
/// somebody on the way who gave up waiting; 409, 412 and 422 may say that a retry on the way has written the record already;
/// 406 and 424 come after part of the work; and of 5xx, and whatever has no meaning of its own, nobody knows how far it came.
fn says_not_taken(status: u16) -> bool {
    matches!(status, 400..=405 | 407 | 410 | 411 | 413..=415 | 417 | 421 | 423 | 425 | 426 | 428 | 429 | 431 | 451)
}

/// When a ledger is read back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReadStage {
    /// While traffic is cut, at the end of it: what a real disaster would have left.
    AfterFailover,
    /// When traffic is back and nothing is written any more: losses often come then.
    AfterFailback,
}

impl fmt::Display for ReadStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ReadStage::AfterFailover => "after failover",
            ReadStage::AfterFailback => "after failback",
        })
    }
}

/// One attempt to read a ledger's records back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBack {
    /// At which end of the drill.
    pub stage: ReadStage,
    /// When it began: what was acknowledged by then has to be there.
    pub began: Offset,
    /// When it ended.
    pub ended: Offset,
    /// The records that are there. Of an attempt that failed, those that it came to.
    pub seen: SeqSet,
    /// Records of others in the same place: other drills, other hands. They are left alone.
    pub foreign: u64,
    /// Whether records were asked for one by one: then copies, numbers that were never given out and records of others do not
    /// show.
    pub one_by_one: bool,
    /// Whether all was read; else why not, without secrets.
    pub end: Result<(), String>,
}

/// A set of record numbers, one bit each, which knows those that it was given more than once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeqSet {
    bits: Vec<u64>,
    more_than_once: BTreeMap<u64, u32>,
    beyond: u64,
}

impl SeqSet {
    /// Numbers from here on are only counted: no drill writes so many, and a store that makes them up must not fill the
    /// memory (32 MB at most).
    pub const MOST: u64 = 1 << 28;

    /// Takes in a number.
    pub fn insert(&mut self, seq: u64) {
        if seq >= Self::MOST {
            self.beyond = self.beyond.saturating_add(1);
            return;
        }
        let (word, bit) = ((seq / 64) as usize, 1 << (seq % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] & bit != 0 {
            let times = self.more_than_once.entry(seq).or_insert(1);
            *times = times.saturating_add(1);
        }
        self.bits[word] |= bit;
    }

    /// Whether `seq` is in it.
    pub fn contains(&self, seq: u64) -> bool {
        let word = usize::try_from(seq / 64).ok().and_then(|word| self.bits.get(word));
        word.is_some_and(|word| word & (1 << (seq % 64)) != 0)
    }

    /// How many different numbers below [`SeqSet::MOST`] are in it.
    pub fn len(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether it was given nothing.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|word| *word == 0) && self.beyond == 0
    }

    /// How many numbers it was given that no drill writes.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The numbers that it was given more than once.
    pub fn more_than_once(&self) -> impl Iterator<Item = u64> {
        self.more_than_once.keys().copied()
    }

    /// The numbers in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.bits.iter().zip(0u64..).flat_map(|(word, place)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| place * 64 + bit)
        })
    }

    /// Takes in all of `other`. What is in both counts once.
    pub fn add(&mut self, other: &SeqSet) {
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        for (mine, others) in self.bits.iter_mut().zip(&other.bits) {
            *mine |= others;
        }
        for (seq, times) in &other.more_than_once {
            let most = self.more_than_once.entry(*seq).or_default();
            *most = (*most).max(*times);
        }
        self.beyond = self.beyond.max(other.beyond);
    }
}

impl FromIterator<u64> for SeqSet {
    fn from_iter<I: IntoIterator<Item = u64>>(seqs: I) -> Self {
        let mut set = SeqSet::default();
        seqs.into_iter().for_each(|seq| set.insert(seq));
        set
    }
}

/// A count that is known only to lie between two bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct CountBounds {
    /// At least so many.
    pub low: u64,
    /// At most so many; `None` where not all was read.
    pub high: Option<u64>,
}

impl fmt::Display for CountBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.high {
            Some(high) if high == self.low => write!(f, "{high}"),
            Some(high) => write!(f, "{} to {high}", self.low),
            None => write!(f, "at least {}", self.low),
        }
    }
}

/// What may be lost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossBudget {
    /// So many acknowledged writes.
    Writes(u64),
    /// The acknowledged writes of so long: the recovery point objective.
    #[serde(rename = "window_ms", with = "super::millis")]
    #[schemars(with = "f64")]
    Window(Duration),
}

/// What became of a ledger's records: the numbers of one writer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LedgerRecord {
    /// Writes that the store acknowledged.
    pub acknowledged: u64,
    /// Writes that it refused, or that never reached it.
    pub refused: u64,
    /// Writes whose end was not heard: they may be there.
    pub unknown: u64,
    /// Writes that never left.
    pub not_sent: u64,
    /// Acknowledged writes that a settled reading does not have, after failover or after failback.
    pub lost: CountBounds,
    /// Those of them (of the most that there may be) that were sent after the cut was confirmed.
    pub lost_after_cut: u64,
    /// Those of them that were missing after failover and are there after failback: in a real disaster nothing would have
    /// brought them back.
    pub returned: u64,
    /// Unknown writes that are there.
    pub recovered: u64,
    /// Records that are there although they were refused or never sent.
    pub unexpected: u64,
    /// Records that are there more than once.
    pub duplicated: CountBounds,
    /// Acknowledged writes that a reading missed and a later one of the same stage had.
    pub stale: u64,
    /// The data loss window: the larger of that at the cut and that at failback. `None` where nothing was cut.
    pub window: Option<Bounds>,
    /// How far back from the cut, or from the newest lost write if that is later, writes are lost that were missing after failover.
    /// At least as far as the oldest of them, and less far than the newest older one that is there: between the
    /// two nothing was written, so the window is uncertain by about one period. No end is seen where not all was read, or
    /// every write before the cut may be lost. `None` where nothing was cut.
    #[serde(default)]
    pub window_at_cut: Option<Bounds>,
    /// The same of those that failback took: there after failover or not looked for then, and missing after failback. `None` where
    /// there may be none.
    #[serde(default)]
    pub window_at_failback: Option<Bounds>,
    /// When the last write was acknowledged that was acknowledged before the cut.
    #[serde(default, rename = "last_before_cut_ms")]
    pub last_before_cut: Option<Offset>,
    /// The first of the lost writes.
    pub first_lost: Option<LostWrite>,
    /// The last of them.
    pub last_lost: Option<LostWrite>,
    /// By the datacenter that acknowledged; `?` where the store does not tell.
    pub datacenters: BTreeMap<String, LedgerDatacenter>,
    /// The attempts to read it back, by stage.
    pub reads: Vec<LedgerReads>,
    /// Why records of the drill are left in the store although they should have been removed.
    pub left_behind: Option<String>,
}

/// A lost write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostWrite {
    /// Its number.
    pub seq: u64,
    /// When it was due; it was sent no earlier.
    #[serde(rename = "due_ms")]
    pub due: Offset,
    /// When it was acknowledged.
    #[serde(rename = "acknowledged_ms")]
    pub acknowledged: Offset,
}

/// What one datacenter acknowledged of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LedgerDatacenter {
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Those that were sent once the cut was confirmed and acknowledged before the restore.
    pub while_cut: u64,
    /// When the first of these was sent.
    #[serde(rename = "first_while_cut_ms")]
    pub first_while_cut: Option<Offset>,
    /// When the last of these was acknowledged.
    #[serde(rename = "last_while_cut_ms")]
    pub last_while_cut: Option<Offset>,
    /// Those that may be lost.
    pub lost: u64,
}

/// The attempts to read a ledger back at one end of the drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerReads {
    /// At which end.
    pub stage: ReadStage,
    /// How often it was tried.
    pub attempts: u64,
    /// When the last attempt began.
    #[serde(rename = "began_ms")]
    pub began: Offset,
    /// When it ended.
    #[serde(rename = "ended_ms")]
    pub ended: Offset,
    /// Different records that the last complete attempt saw.
    pub records: u64,
    /// Acknowledged writes that it missed.
    pub missing: u64,
    /// Acknowledged writes that had to be there and were sent while the cut was confirmed: what a failover was seen to take.
    #[serde(default)]
    pub of_the_cut: u64,
    /// Writes that were acknowledged after the first attempt began, and before traffic was put back: they are looked for after
    /// failback only.
    #[serde(default)]
    pub since: u64,
    /// Records of others in the same place.
    pub foreign: u64,
    /// Records were asked for one by one: copies, numbers that were never given out and records of others do not show.
    #[serde(default)]
    pub one_by_one: bool,
    /// Why what is missing may still appear, or why it could not be read; `None` where it was read to the end.
    pub unfinished: Option<String>,
}
