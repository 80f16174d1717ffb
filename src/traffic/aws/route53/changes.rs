//! Changes of weights: how they are made, and since when they are in effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecordSet};

use super::records::{self, has_weight, weight_of};
use super::{Route53, gone, part_of_record};
use crate::model::{ControlState, PartState, Route53Settings};
use crate::traffic::aws::failed::failed;
use crate::traffic::{ControlError, all_of};

/// The last change of a part, which is not in effect, and the part as it was before.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    change: String,
    before: PartState,
}

/// A record as it shall be, its part, and how that was before.
struct Weighing {
    set: ResourceRecordSet,
    part: String,
    before: PartState,
}

/// Why records have not changed.
struct Unchanged {
    why: ControlError,
    /// Something is wrong with one of them, and none has changed for that.
    is_for_one: bool,
}

impl Route53 {
    /// Puts the parts of changes that are not in effect back to what is.
    pub(super) async fn in_effect(
        &self,
        mut state: ControlState,
    ) -> Result<ControlState, ControlError> {
        let changes: BTreeSet<String> =
            self.pending().values().map(|it| it.change.clone()).collect();
        for change in changes {
            // The others wait with it: five calls a second are all that an account has.
            if !self.is_in_sync(&change).await? {
                break;
            }
            self.pending().retain(|_, it| it.change != change);
        }
        for (name, pending) in &*self.pending() {
            state.parts.entry(name.clone()).and_modify(|part| *part = pending.before.clone());
        }
        Ok(state)
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn is_in_sync(&self, change: &str) -> Result<bool, ControlError> {
        let answer = self.client().await.get_change().id(change).send().await;
        let answer = answer.map_err(|error| failed("route53:GetChange", &error))?;
        Ok(answer.change_info.is_some_and(|info| info.status == ChangeStatus::Insync))
    }

    /// Gives records these weights: all or none, or, `one_by_one`, as many of them as can be. What has its weight already is
    /// left out.
    pub(super) async fn weigh(
        &self,
        wanted: &BTreeMap<String, i64>,
        one_by_one: bool,
    ) -> Result<(), ControlError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let (found, mut batch, mut failures) = (self.records().await?, Vec::new(), Vec::new());
        for (datacenter, record) in self.settings.all_records() {
            let part = record.to_string();
            let Some(weight) = wanted.get(&part) else { continue };
            let Some(found) = found.iter().find(|it| it.is(record)).filter(|it| has_weight(it))
            else {
                failures.push(gone(&part));
                continue;
            };
            let now = weight_of(found).unwrap_or_default();
            if now == *weight {
                continue;
            }
            match found.upsert(*weight) {
                Ok(set) => {
                    let before = part_of_record(datacenter, now);
                    batch.push(Weighing { set, part, before });
                }
                Err(failure) => failures.push(failure),
            }
        }
        failures.extend(unknown(wanted.keys(), &self.settings));
        failures.extend(self.change_all(&batch, one_by_one).await);
        all_of("not all records have their weight", failures)
    }

    /// Makes `batch` in one change; where that is refused for one of them, and they may go `one_by_one`, each in its own.
    async fn change_all(&self, batch: &[Weighing], one_by_one: bool) -> Vec<ControlError> {
        if batch.is_empty() {
            return Vec::new();
        }
        // One that is refused now must not read as it was before the change that it was to undo.
        self.pending().retain(|part, _| batch.iter().all(|it| it.part != *part));
        let Err(unchanged) = self.change(batch).await else { return Vec::new() };
        if !(unchanged.is_for_one && one_by_one && batch.len() > 1) {
            return vec![unchanged.why];
        }
        let mut failures = Vec::new();
        for one in batch.chunks(1) {
            failures.extend(self.change(one).await.err().map(|it| it.why));
        }
        failures
    }

    /// Makes a change of all of `batch`.
    async fn change(&self, batch: &[Weighing]) -> Result<(), Unchanged> {
        let bug = |error| Unchanged { why: bug(&error), is_for_one: false };
        let changes = batch.iter().map(|it| {
            let set = it.set.clone();
            Change::builder().action(ChangeAction::Upsert).resource_record_set(set).build()
        });
        let changes = changes.collect::<Result<Vec<_>, _>>().map_err(bug)?;
        let changes = ChangeBatch::builder().set_changes(Some(changes)).comment("firedrill");
        let changes = changes.build().map_err(bug)?;
        let call = self.client().await.change_resource_record_sets();
        let answer = call.hosted_zone_id(self.zone()).change_batch(changes).send().await;
        let answer = answer.map_err(|error| {
            let why = failed("route53:ChangeResourceRecordSets", &error);
            // It is said in two forms, of which the SDK knows one.
            Unchanged { is_for_one: why.what.contains("InvalidChangeBatch"), why }
        })?;
        let Some(info) = answer.change_info.filter(|it| it.status != ChangeStatus::Insync) else {
            return Ok(());
        };
        let change = records::bare(&info.id);
        self.pending().extend(batch.iter().map(|it| {
            let (change, before) = (change.clone(), it.before.clone());
            (it.part.clone(), Pending { change, before })
        }));
        Ok(())
    }
}

/// Names that stand in a journal and not in the settings.
fn unknown<'n>(
    names: impl Iterator<Item = &'n String>,
    settings: &Route53Settings,
) -> Vec<ControlError> {
    let known: BTreeSet<String> =
        settings.all_records().map(|(_, record)| record.to_string()).collect();
    names.filter(|name| !known.contains(*name)).map(|name| gone(name)).collect()
}

fn bug(error: &dyn std::error::Error) -> ControlError {
    ControlError {
        what: format!("the change of the zone could not be written down: {error}"),
        hint: "please report this".to_owned(),
    }
}
