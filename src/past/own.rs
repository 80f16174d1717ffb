//! Which runs are of a plan: a name alone may be that of two.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{Name, Sealed, Summary};

/// A plan as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub plan: Name,
    /// The file that it is in.
    pub file: String,
    /// Its SHA-256; or why it cannot be read.
    pub hash: Result<String, String>,
    /// The values given by `--var` that it asks for.
    pub vars: BTreeMap<String, String>,
    /// The SHA-256 of its text with each other choice of such values that runs of its name were given.
    pub other_vars: BTreeSet<String>,
    /// What the environment chooses in it.
    pub chosen: Chosen,
    /// Its services, those without probes too.
    pub services: Vec<Name>,
    /// The other files that hold a plan of that name now.
    pub others: Vec<Other>,
}

/// What the environment chooses in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chosen {
    /// The variables that it asks for where it says what is drilled.
    pub names: BTreeSet<String>,
    /// The values of those that are set, sealed; `None` where there is no key.
    pub sealed: Option<Sealed>,
    /// Why the key that is there cannot be used, if so.
    pub unusable: Option<String>,
}

impl Chosen {
    /// Whether the environment chooses now what it chose `then`; `None`: that is not known.
    fn is_as(&self, then: Option<&Sealed>) -> Option<bool> {
        let Some(then) = then else { return self.names.is_empty().then_some(true) };
        let now = self.sealed.as_ref().filter(|now| now.key == then.key)?;
        let names: BTreeSet<&String> = then.values.keys().chain(&self.names).collect();
        if names.iter().any(|name| !now.values.contains_key(*name)) {
            return None;
        }
        Some(names.into_iter().all(|name| then.values.get(name) == now.values.get(name)))
    }
}

/// Another plan of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its file, as the runs of it say.
    pub file: String,
    /// Its SHA-256.
    pub hash: String,
}

impl Wanted {
    /// The runs of the plan among `runs`: all of its name, but those that are known to be of another file's. A run of a
    /// file that is gone may have been of this plan, before it was moved.
    pub fn own<'a>(&self, runs: &'a [Summary]) -> Vec<&'a Summary> {
        let named: Vec<&Summary> = runs.iter().filter(|run| run.plan == self.plan).collect();
        let ran = |run: &Summary, other: &Other| run.hash.as_ref() == Some(&other.hash);
        // A path that does not begin at the root may be another file's where that run was called.
        let comparable = |other: &&Other| is_absolute(&other.file) == is_absolute(&self.file);
        let drilled =
            |other: &&Other| named.iter().any(|run| run.file == other.file && ran(run, other));
        // Where this file was drilled as it is now, what ran from another one that is there was that one's.
        let is_settled = named.iter().any(|run| run.file == self.file && self.has_text_of(run));
        let known = self.others.iter().filter(comparable);
        let known = known.filter(|other| is_settled || drilled(other));
        let known: BTreeSet<&str> = known.map(|other| other.file.as_str()).collect();
        // Another file's if that holds now what was run, or what a later or earlier run of it ran.
        let anothers = |run: &Summary| {
            let has_run = self.others.iter().any(|other| ran(run, other));
            !self.is_this(run) && (has_run || known.contains(run.file.as_str()))
        };
        named.iter().copied().filter(|run| !anothers(run)).collect()
    }

    /// Whether a run is certainly of this plan.
    fn is_this(&self, run: &Summary) -> bool {
        let ran = self.hash.as_ref().is_ok_and(|hash| run.hash.as_ref() == Some(hash));
        ran || run.file == self.file
    }

    /// Whether a run had the text that the plan has now, whatever its values were.
    fn has_text_of(&self, run: &Summary) -> bool {
        let hash = run.hash.as_ref();
        hash.is_some_and(|hash| self.other_vars.contains(hash) || self.hash.as_ref() == Ok(hash))
    }

    /// Whether a run drilled what the plan drills now: the same text and the same values. `None`: that is not known, or
    /// the text was another one.
    fn is_of_target(&self, run: &Summary) -> Option<bool> {
        let hash = run.hash.as_ref()?;
        match self.hash.as_ref() == Ok(hash) {
            true => self.chosen.is_as(run.env.as_ref()),
            false => self.other_vars.contains(hash).then_some(false),
        }
    }

    /// The plan's runs that count as drills of what it drills now. Those that its calendar refused asked nothing of the
    /// system; those of the same text with other values drilled another system, once there is one of this system.
    pub fn drills<'a>(&self, runs: &'a [Summary]) -> Vec<&'a Summary> {
        let mut drills = self.own(runs);
        drills.retain(|run| !run.kept_off);
        if drills.iter().any(|run| self.is_of_target(run) == Some(true)) {
            drills.retain(|run| self.is_of_target(run) != Some(false));
        }
        drills
    }

    /// The last of the plan's drills: the one that ended last. What was refused while another drill of the plan went on
    /// says nothing against how that one ended.
    pub fn last<'a>(&self, runs: &'a [Summary]) -> Option<&'a Summary> {
        self.drills(runs).into_iter().max_by(|a, b| end(a).cmp(&end(b)))
    }
}

/// Runs by when they ended; two of one moment by when they began, and by their ids.
pub fn end(run: &Summary) -> (Timestamp, Timestamp, &str) {
    (run.ended_at, run.started_at, &run.run)
}

fn is_absolute(file: &str) -> bool {
    std::path::Path::new(file).is_absolute()
}
