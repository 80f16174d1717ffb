//! Whether a release may go out, by what the last drills of its plans said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::own::{Chosen, Wanted, end};
use super::slower::slower;
use crate::model::{Gate, GatedPlan, LostRun, Name, Shown, Summary, UnprovenService, Verdict, Why};

/// An id names the second in which its run began.
const SECOND: Duration = Duration::from_secs(1);

/// What a gate asks for beside a last drill that passed and ran the plan as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The last drill is at most this old.
    pub max_age: Option<Duration>,
    /// It is not shown to be slower than the earlier ones explain.
    pub within_p75: bool,
    /// Every service of the plans was measured in a drill that passed.
    pub require_all: bool,
}

/// What is known of the past.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// All past runs, each once.
    pub runs: &'a [Summary],
    /// Those of which there is no record that can be read.
    pub lost: &'a [LostRun],
    /// What traffic a run of any plan left cut, or is still being put back, a sentence each.
    pub cut: &'a [String],
}

/// Decides by all that is known.
pub fn decide(wanted: &[Wanted], known: Known, rules: &Rules, now: Timestamp) -> Gate {
    let plans: Vec<GatedPlan> =
        wanted.iter().map(|wanted| plan(wanted, known, rules, now)).collect();
    let unproven = unproven(wanted, known.runs, rules, now);
    // Nothing asked is nothing proven.
    let passed = !plans.is_empty() && plans.iter().all(|plan| plan.objections.is_empty());
    let open = passed && known.cut.is_empty() && (unproven.is_empty() || !rules.require_all);
    let objections = known.cut.iter().map(|cut| Why::new("traffic-cut", cut.clone())).collect();
    Gate { open, objections, plans, unproven, all_required: rules.require_all }
}

fn plan(wanted: &Wanted, known: Known, rules: &Rules, now: Timestamp) -> GatedPlan {
    let last = wanted.last(known.runs);
    let mut gated = GatedPlan {
        plan: wanted.plan.clone(),
        file: wanted.file.clone(),
        last: last.cloned(),
        objections: Vec::new(),
        notes: Vec::new(),
    };
    for lost in known.lost.iter().filter(|lost| may_be_later(lost, wanted, last)) {
        match lost.under_way {
            true => gated.notes.push(format!("{} is still going on and does not count", lost.run)),
            false => gated.objections.push(Why::new("lost-run", lost_run(lost))),
        }
    }
    gated.notes.extend(kept_off(wanted, known.runs, last));
    let Some(last) = last else {
        gated.objections.push(Why::new("never-drilled", "it was never drilled"));
        return gated;
    };
    let earlier = wanted.drills(known.runs).into_iter();
    let earlier = earlier.filter(|run| run.is_like(last) && end(run) < end(last));
    let objections = [
        passed(last),
        young(last, rules, now),
        same_plan(wanted, last),
        rules.within_p75.then(|| slower(last, earlier)).flatten(),
    ];
    gated.objections.extend(objections.into_iter().flatten());
    if last.lab {
        gated.notes.push("it drilled a lab, not a system that users meet".to_owned());
    }
    gated
}

/// What is to be said of the drills that the plan's calendar refused after the `last` one.
fn kept_off(wanted: &Wanted, runs: &[Summary], last: Option<&Summary>) -> Option<String> {
    let later = |run: &&Summary| last.is_none_or(|last| end(run) > end(last));
    let own = wanted.own(runs).into_iter().filter(|run| run.kept_off).filter(later);
    let (count, latest) = (own.clone().count(), own.max_by(|a, b| end(a).cmp(&end(b)))?);
    let who = match count {
        1 => format!("{} was", latest.run),
        more => format!("{more} later drills, {} the last of them, were", latest.run),
    };
    Some(format!("{who} refused by the plan's calendar: nothing was asked of the system"))
}

/// Whether a run without a record may be one of the plan, and later than `last`. What is not known is taken to be so.
fn may_be_later(lost: &LostRun, wanted: &Wanted, last: Option<&Summary>) -> bool {
    let of_plan = lost.plan.as_ref().is_none_or(|plan| *plan == wanted.plan);
    let later = match (lost.at, last) {
        // Its id tells the second and no more: of two that began in one, either may be the later.
        (Some(at), Some(last)) => at + SECOND > last.started_at,
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
    match &last.contradiction {
        _ if last.verdict != Verdict::Pass => Some(Why::new("not-passed", text())),
        None => None,
        Some(but) => {
            let text = format!(
                "the record of its last drill contradicts itself: it says PASS, although {but}; drill again"
            );
            Some(Why::new("contradictory", text))
        }
    }
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
        Some(then) if then == now => same_choice(&wanted.chosen, last),
        Some(_) if wanted.vars != last.vars => {
            let text = format!(
                "its last drill ran with {}, and the gate was asked with {}",
                vars(&last.vars),
                vars(&wanted.vars)
            );
            Some(Why::new("other-vars", text))
        }
        Some(_) if wanted.file != last.file => {
            let text = format!(
                "the last drill of a plan of this name ran {}, and not what is in the file now: it may have been this \
                 plan, edited or moved since; drill it again, or give the plans different names",
                last.file
            );
            Some(Why::new("plan-edited", text))
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

/// What is to be done where values of the environment cannot be compared.
const CHOOSE: &str = "or let --var choose the system, which is no secret";

/// What stands against the environment: it chose the same system then as it does now.
fn same_choice(chosen: &Chosen, last: &Summary) -> Option<Why> {
    let Some(then) = &last.env else {
        let names = (!chosen.names.is_empty()).then(|| list(chosen.names.iter()))?;
        let text = format!(
            "what {names} chose in its last drill was not kept, as by an older firedrill; drill it again, {CHOOSE}"
        );
        return Some(Why::new("plan-unknown", text));
    };
    if let Some(why) = &chosen.unusable {
        let text = format!(
            "whether {} chose the same system in its last drill is not known: the key that values are sealed with \
             cannot be used: {why}",
            list(then.values.keys())
        );
        return Some(Why::new("env-unknown", text));
    }
    let Some(now) = chosen.sealed.as_ref().filter(|now| now.key == then.key) else {
        let text = format!(
            "whether {} chose the same system in its last drill is not known: the key that its values were sealed with \
             is not in this state directory; run the gate where the drill ran, {CHOOSE}",
            list(then.values.keys())
        );
        return Some(Why::new("env-unknown", text));
    };
    let names: BTreeSet<&String> = then.values.keys().chain(&chosen.names).collect();
    let unset = names.iter().filter(|name| !now.values.contains_key(**name));
    let unset: Vec<&String> = unset.copied().collect();
    if !unset.is_empty() {
        let text = format!(
            "whether {} chose the same system in its last drill is not known: set it as it was in the drill, {CHOOSE}",
            list(unset.into_iter())
        );
        return Some(Why::new("env-unknown", text));
    }
    let other: Vec<&String> =
        names.into_iter().filter(|name| then.values.get(*name) != now.values.get(*name)).collect();
    (!other.is_empty()).then(|| {
        let text = format!(
            "{} had another value in its last drill: that was another system, and this one is not verified",
            list(other.into_iter())
        );
        Why::new("other-env", text)
    })
}

/// Variables of the environment, by name alone.
fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("${{env:{name}}}")).collect::<Vec<_>>().join(", ")
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

/// The services of each plan that no passed drill of the plan as it is now has measured, within the age that is allowed. One of another
/// plan proves nothing: a lab's service may have the name of a production's.
fn unproven(
    wanted: &[Wanted],
    runs: &[Summary],
    rules: &Rules,
    now: Timestamp,
) -> Vec<UnprovenService> {
    let mut unproven: Vec<UnprovenService> = Vec::new();
    for wanted in wanted {
        let mut proven: BTreeMap<&Name, Timestamp> = BTreeMap::new();
        let counts = |run: &&&Summary| {
            run.has_passed() && run.started_at <= now && same_plan(wanted, run).is_none()
        };
        for run in wanted.own(runs).iter().filter(counts) {
            for service in &run.measured {
                let latest = proven.entry(service).or_insert(run.started_at);
                *latest = (*latest).max(run.started_at);
            }
        }
        let young = |at: Timestamp| {
            let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            rules.max_age.is_none_or(|limit| age <= limit)
        };
        for service in &wanted.services {
            let last_passed = proven.get(service).copied();
            if !last_passed.is_some_and(young) {
                let (service, plan) = (service.clone(), wanted.plan.clone());
                unproven.push(UnprovenService { service, plan, last_passed });
            }
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
