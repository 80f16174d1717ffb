//! What may go wrong, counted, and the log of what happened.

use std::fmt;

use crate::model::Offset;

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// A fault that was injected.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault { $($(#[doc = $doc])* $name,)* }

        impl Fault {
            /// Every one.
            pub const ALL: &'static [Fault] = &[$(Fault::$name,)*];
        }
    };
}

faults! {
    /// A call that changes is refused and does nothing.
    CallFails,
    /// It is refused and takes effect all the same.
    FailsButLands,
    /// It takes effect after its answer.
    LandsLate,
    /// It never answers, and does nothing.
    Hangs,
    /// It never answers, and takes effect.
    HangsButLands,
    /// Some parts only.
    HalfTheParts,
    /// Some settings of each part only.
    HalfTheSettings,
    /// It says that it was done, and nothing was.
    LiesThatItDid,
    /// It panics.
    CallPanics,
    /// A reading fails.
    ReadFails,
    /// A reading never answers.
    ReadHangs,
    /// A reading panics.
    ReadPanics,
    /// A reading shows an older state.
    ReadIsStale,
    /// For a while nothing may be changed.
    RefusedForAWhile,
    /// For a while, or for ever, nothing answers.
    Unreachable,
    /// Another hand cuts as we do.
    HandCuts,
    /// Another hand puts back.
    HandRestores,
    /// Another hand makes it something else.
    HandChanges,
    /// A part is taken away.
    PartGone,
    /// Another hand closes one of those who serve on.
    HandClosesSurvivor,
    /// The disk takes no more, or not all.
    DiskFull,
    /// The disk does not keep what it was given.
    SyncFails,
    /// What was half written cannot be taken away.
    TruncateFails,
    /// The drill dies between two polls.
    CrashAtPoll,
    /// The drill dies in the middle of a write.
    CrashAtDisk,
    /// The drill dies at a call.
    CrashAtCall,
    /// The machine loses its power: what was not synced is lost or torn.
    PowerLoss,
    /// The drill's process stands still.
    DrillHangs,
    /// The watchdog's process stands still.
    WatchdogHangs,
    /// The machine sleeps: the clock jumps.
    ClockJumps,
    /// The watchdog dies first.
    WatchdogDies,
    /// Somebody, or a guardrail, stops the drill.
    Stopped,
    /// Somebody is in a hurry.
    Hurry,
    /// A service fails of its own.
    ServiceFlaps,
    /// A service becomes slow.
    ServiceSlow,
    /// Answers name the wrong datacenter.
    AnswersLie,
    /// A second drill wants the same controls.
    SecondDrill,
}

/// How often each fault was injected.
#[derive(Debug, Clone)]
pub struct Counts(Vec<u64>);

impl Default for Counts {
    fn default() -> Self {
        Counts(vec![0; Fault::ALL.len()])
    }
}

impl Counts {
    /// One more.
    pub fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// Those of another drill too.
    pub fn merge(&mut self, other: &Counts) {
        self.0.iter_mut().zip(&other.0).for_each(|(all, one)| *all += one);
    }

    /// Of one kind.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Of all kinds.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in Fault::ALL {
            writeln!(f, "{:>8} {fault:?}", self.of(*fault))?;
        }
        Ok(())
    }
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The world itself.
    World,
    /// The drill.
    Drill,
    /// Its watchdog.
    Watchdog,
    /// Somebody with `firedrill restore`.
    Person,
    /// The other drill.
    Second,
    /// Another hand.
    Hand,
}

/// What happened, put into words only when somebody wants to read it.
#[derive(Debug, Clone)]
pub struct Entry {
    at: Offset,
    who: Who,
    what: &'static str,
    control: Option<usize>,
    detail: String,
}

/// The log of one simulated drill.
#[derive(Debug, Default)]
pub struct Log(Vec<Entry>);

impl Log {
    /// Something happened.
    pub fn add(&mut self, at: Offset, who: Who, what: &'static str, control: Option<usize>) {
        self.detailed(at, who, what, control, String::new());
    }

    /// Something happened that takes more words.
    pub fn detailed(
        &mut self,
        at: Offset,
        who: Who,
        what: &'static str,
        control: Option<usize>,
        detail: String,
    ) {
        self.0.push(Entry { at, who, what, control, detail });
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { at, who, what, control, detail } in &self.0 {
            let millis = at.as_nanos() as f64 / 1e6;
            write!(f, "{millis:>11.3} ms  {:<8} ", format!("{who:?}"))?;
            if let Some(control) = control {
                write!(f, "c{control} ")?;
            }
            writeln!(f, "{what} {detail}")?;
        }
        Ok(())
    }
}
