//! Whether a release may go out, by what the last drills of its plans said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::history::{FEWEST, order, usual};
use crate::model::{Gate, GatedPlan, LostRun, Name, Shown, Summary, UnprovenService, Verdict, Why};

/// What a gate asks for beside a last drill that passed and ran the plan as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The last drill is at most this old.
    pub max_age: Option<Duration>,
    /// It was not slower than three of four of the earlier ones.
    pub within_p75: bool,
    /// Every service of the plans was measured in a drill that passed.
    pub require_all: bool,
}

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
    /// Its services, those without probes too.
    pub services: Vec<Name>,
}

/// Decides by all past `runs`, and those that are `lost`.
pub fn decide(
    wanted: &[Wanted],
    runs: &[Summary],
    lost: &[LostRun],
    rules: &Rules,
    now: Timestamp,
) -> Gate {
    let plans: Vec<GatedPlan> =
        wanted.iter().map(|wanted| plan(wanted, runs, lost, rules, now)).collect();
    let unproven = unproven(wanted, runs, rules, now);
    // Nothing asked is nothing proven.
    let passed = !plans.is_empty() && plans.iter().all(|plan| plan.objections.is_empty());
    let open = passed && (unproven.is_empty() || !rules.require_all);
    Gate { open, plans, unproven, all_required: rules.require_all }
}

fn plan(
    wanted: &Wanted,
    runs: &[Summary],
    lost: &[LostRun],
    rules: &Rules,
    now: Timestamp,
) -> GatedPlan {
    let of = runs.iter().filter(|run| run.plan == wanted.plan);
    let last = of.max_by(|a, b| order(a).cmp(&order(b)));
    let mut gated = GatedPlan {
        plan: wanted.plan.clone(),
        file: wanted.file.clone(),
        last: last.cloned(),
        objections: Vec::new(),
        notes: Vec::new(),
    };
    for lost in lost.iter().filter(|lost| may_be_later(lost, wanted, last)) {
        match lost.under_way {
            true => gated.notes.push(format!("{} is still going on and does not count", lost.run)),
            false => gated.objections.push(Why::new("lost-run", lost_run(lost))),
        }
    }
    let Some(last) = last else {
        gated.objections.push(Why::new("never-drilled", "it was never drilled"));
        return gated;
    };
    let objections = [
        passed(last),
        young(last, rules, now),
        same_plan(wanted, last),
        rules.within_p75.then(|| not_slower(last, runs)).flatten(),
    ];
    gated.objections.extend(objections.into_iter().flatten());
    if last.lab {
        gated.notes.push("it drilled a lab, not a system that users meet".to_owned());
    }
    gated
}

/// Whether a run without a record may be one of the plan, and later than `last`. What is not known is taken to be so.
fn may_be_later(lost: &LostRun, wanted: &Wanted, last: Option<&Summary>) -> bool {
    let of_plan = lost.plan.as_ref().is_none_or(|plan| *plan == wanted.plan);
    let later = match (lost.at, last) {
        (Some(at), Some(last)) => at > last.started_at,
        _ => true,
    };
    of_plan && later
}

fn lost_run(lost: &LostRun) -> String {
    match lost.plan {
        Some(_) => format!("a later drill of it, {}, counts as not passed: {}", lost.run, lost.why),
        None => format!("{} may be a later drill of it: {}", lost.run, lost.why),
    }
}

fn passed(last: &Summary) -> Option<Why> {
    let text = || format!("its last drill ended {}", last.verdict);
    (last.verdict != Verdict::Pass).then(|| Why::new("not-passed", text()))
}

fn young(last: &Summary, rules: &Rules, now: Timestamp) -> Option<Why> {
    let Ok(age) = Duration::try_from(now.duration_since(last.started_at)) else {
        let ahead = Shown(last.started_at.duration_since(now).unsigned_abs());
        let text = format!(
            "its last drill began {ahead} from now, by this machine's clock: one of two clocks is wrong, and which \
             drill was the last is not known"
        );
        return Some(Why::new("from-the-future", text));
    };
    let limit = rules.max_age.filter(|limit| age > *limit)?;
    let text = format!("its last drill is {} old, of {} allowed", Age(age), Age(limit));
    Some(Why::new("too-old", text))
}

fn same_plan(wanted: &Wanted, last: &Summary) -> Option<Why> {
    let now = match &wanted.hash {
        Ok(now) => now,
        Err(error) => {
            let text = format!("whether the plan was edited since is not known: {error}");
            return Some(Why::new("plan-unreadable", text));
        }
    };
    match &last.hash {
        Some(then) if then == now => None,
        Some(_) if wanted.vars != last.vars => {
            let text = format!(
                "its last drill ran with {}, and the gate was asked with {}",
                vars(&last.vars),
                vars(&wanted.vars)
            );
            Some(Why::new("other-vars", text))
        }
        Some(_) => {
            let text = "the plan was edited after its last drill: as it is now it is not verified";
            Some(Why::new("plan-edited", text))
        }
        None => {
            let text =
                "its last drill was run by an older firedrill, which did not keep what it ran";
            Some(Why::new("plan-unknown", text))
        }
    }
}

fn vars(vars: &BTreeMap<String, String>) -> String {
    match vars.is_empty() {
        true => "no --var".to_owned(),
        false => {
            let each = vars.iter().map(|(name, value)| format!("--var {name}={value}"));
            each.collect::<Vec<_>>().join(" ")
        }
    }
}

/// The high bound of the last drill may be at most the 75th percentile (nearest rank) of the high bounds of the earlier
/// drills that are like it and passed.
fn not_slower(last: &Summary, runs: &[Summary]) -> Option<Why> {
    let Some(high) = last.recovery().and_then(|recovery| recovery.high) else {
        let text = "the recovery time of its last drill was not measured to its end";
        return Some(Why::new("not-measured", text));
    };
    let earlier = runs.iter().filter(|run| run.is_like(last) && order(run) < order(last));
    let usual = usual(earlier);
    match usual.p75 {
        None => {
            let text = format!(
                "whether it got slower cannot be told: too few earlier drills like it passed ({} of the {FEWEST} needed)",
                usual.count
            );
            Some(Why::new("too-few", text))
        }
        Some(limit) if high > limit => {
            let text = format!(
                "it is slower than its history allows: recovery took up to {}, and of the {} earlier drills like it that passed three of four took at most {}",
                Shown(high),
                usual.count,
                Shown(limit)
            );
            Some(Why::new("slower", text))
        }
        Some(_) => None,
    }
}

/// The services that no drill of the wanted plans has measured and passed, within the age that is allowed.
fn unproven(
    wanted: &[Wanted],
    runs: &[Summary],
    rules: &Rules,
    now: Timestamp,
) -> Vec<UnprovenService> {
    let plans: BTreeSet<&Name> = wanted.iter().map(|wanted| &wanted.plan).collect();
    let mut proven: BTreeMap<&Name, Timestamp> = BTreeMap::new();
    let passed = |run: &&Summary| run.verdict == Verdict::Pass && plans.contains(&run.plan);
    for run in runs.iter().filter(passed).filter(|run| run.started_at <= now) {
        for service in &run.measured {
            let latest = proven.entry(service).or_insert(run.started_at);
            *latest = (*latest).max(run.started_at);
        }
    }
    let mut unproven: Vec<UnprovenService> = Vec::new();
    let mut told: BTreeSet<&Name> = BTreeSet::new();
    for (wanted, service) in
        wanted.iter().flat_map(|it| it.services.iter().map(move |service| (it, service)))
    {
        let last_passed = proven.get(service).copied();
        let counts = |at: Timestamp| {
            let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            rules.max_age.is_none_or(|limit| age <= limit)
        };
        if !last_passed.is_some_and(counts) && told.insert(service) {
            let (service, plan) = (service.clone(), wanted.plan.clone());
            unproven.push(UnprovenService { service, plan, last_passed });
        }
    }
    unproven
}

/// An age as people say it.
struct Age(Duration);

impl std::fmt::Display for Age {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DAY: u64 = 24 * 60 * 60;
        match self.0.as_secs() {
            days if days >= DAY && days % DAY < 3600 => write!(f, "{} d", days / DAY),
            long if long >= DAY => write!(f, "{} d {} h", long / DAY, long % DAY / 3600),
            short => write!(f, "{}", Shown(Duration::from_secs(short))),
        }
    }
}
