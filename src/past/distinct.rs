//! Each run once, however often its record was copied.

use std::collections::BTreeMap;

use crate::model::{LostRun, Summary};

/// The runs among `summaries`, each once, by the ids in their records. Copies of a record are one run. Of records that tell one
/// run in different ways none is known to be the true one: that run is lost.
pub fn distinct(summaries: Vec<Summary>) -> (Vec<Summary>, Vec<LostRun>) {
    let mut by_id: BTreeMap<String, Vec<Summary>> = BTreeMap::new();
    for summary in summaries {
        let told = by_id.entry(summary.run.clone()).or_default();
        if !told.contains(&summary) {
            told.push(summary);
        }
    }
    let (mut runs, mut lost) = (Vec::new(), Vec::new());
    for (id, mut told) in by_id {
        match told.len() {
            1 => runs.append(&mut told),
            count => lost.push(disputed(id, count, &told)),
        }
    }
    (runs, lost)
}

fn disputed(run: String, count: usize, told: &[Summary]) -> LostRun {
    let plan = told.first().map(|first| &first.plan);
    let of_one_plan = told.iter().all(|it| Some(&it.plan) == plan);
    LostRun {
        run,
        plan: plan.filter(|_| of_one_plan).cloned(),
        at: told.iter().map(|it| it.started_at).max(),
        under_way: false,
        why: format!("{count} records say that they are of it, and do not say the same"),
    }
}
