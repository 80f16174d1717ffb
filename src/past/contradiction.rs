//! Whether a record that says PASS says otherwise too: a pass is earned by all of what the verdict is made of, and a record
//! in which one of these does not hold was changed, or written by a firedrill that was wrong.

use serde::Deserialize;

use crate::model::{
    Bounds, Judgement, Marks, Name, Promise, PromiseResult, Restored, Verdict, Why,
};

/// What a verdict is made of.
#[derive(Debug, Clone, Copy)]
pub struct Grounds<'a> {
    /// The verdict that the record claims.
    pub verdict: Verdict,
    /// Why; empty for a pass.
    pub reasons: &'a [Why],
    /// Why the cut is not proven; empty if it is.
    pub missing: &'a [Why],
    /// The stages.
    pub marks: Marks,
    /// The controls that it was to be cut through.
    pub through: &'a [Name],
    /// What became of them.
    pub controls: &'a [Control],
    /// The services and their promises.
    pub services: &'a [Service],
}

/// The proof of the cut, as far as the verdict is made of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Proof {
    /// Why the cut is not proven; empty if it is.
    pub missing: Vec<Why>,
}

/// A control, as far as the verdict is made of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Control {
    name: Name,
    restored: Restored,
}

/// A service, as far as the verdict is made of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Its recovery; `None`: not measured.
    pub recovery: Option<Bounds>,
    failback: Option<Bounds>,
    promises: Vec<PromiseResult>,
}

impl Grounds<'_> {
    /// What stands against a PASS, the first of it, in words that follow "although"; `None`: nothing, or it is no PASS.
    pub fn contradiction(&self) -> Option<String> {
        if self.verdict != Verdict::Pass {
            return None;
        }
        let said = self.reasons.iter().chain(self.missing).next();
        said.map(|why| format!("it says: {}", why.text))
            .or_else(|| self.unfinished())
            .or_else(|| self.not_restored())
            .or_else(|| self.services.iter().find_map(Service::contradiction))
            .or_else(|| {
                let nothing = self.services.iter().all(|service| service.promises.is_empty());
                nothing.then(|| "no promise was put to the test".to_owned())
            })
    }

    fn unfinished(&self) -> Option<String> {
        let Marks { cut_confirmed, restore_confirmed, ended, .. } = self.marks;
        let what = match (cut_confirmed, restore_confirmed, ended) {
            (None, ..) => "nothing was cut",
            (_, None, _) => "nothing was restored",
            (_, _, None) => "it has no end",
            _ => return None,
        };
        Some(what.to_owned())
    }

    fn not_restored(&self) -> Option<String> {
        let restored = |name: &Name| {
            self.controls.iter().any(|it| it.name == *name && it.restored == Restored::Yes)
        };
        let left = self.controls.iter().find(|it| it.restored == Restored::No).map(|it| &it.name);
        let left = left.or_else(|| self.through.iter().find(|name| !restored(name)))?;
        Some(format!("{left} is not known to be as it was"))
    }
}

impl Service {
    fn contradiction(&self) -> Option<String> {
        let wrong = self.promises.iter().find(|it| !self.is_kept(it))?;
        let feature = wrong.feature.as_ref().map_or(String::new(), |feature| format!("/{feature}"));
        Some(format!("{}{feature}: {} is not shown to be kept", self.name, wrong.promise))
    }

    /// Whether a promise says that it was kept, and its numbers say so too.
    fn is_kept(&self, promise: &PromiseResult) -> bool {
        let whole = match promise.promise {
            Promise::RecoverWithin => self.recovery,
            Promise::FailbackWithin => self.failback,
            _ => return promise.judgement == Judgement::Kept,
        };
        let within =
            |time: Bounds| time.high.zip(promise.budget).is_some_and(|(it, budget)| it <= budget);
        let measured = promise.feature.is_some() || whole.is_some();
        promise.judgement == Judgement::Kept && promise.measured.is_some_and(within) && measured
    }
}
