//! Which runs are of a plan: a name alone may be that of two.

use std::collections::{BTreeMap, BTreeSet};

use super::history::order;
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
        let known = self.others.iter().filter(comparable).filter(drilled);
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

    /// The last of the plan's runs.
    pub fn last<'a>(&self, runs: &'a [Summary]) -> Option<&'a Summary> {
        self.own(runs).into_iter().max_by(|a, b| order(a).cmp(&order(b)))
    }
}

fn is_absolute(file: &str) -> bool {
    std::path::Path::new(file).is_absolute()
}
