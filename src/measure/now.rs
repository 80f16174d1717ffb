//! How the services and loads are now, for whoever follows a drill. Decides nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::observation::Observation;
use super::outage::episodes;
use super::promise::{Evidence, judge_service};
use crate::model::{
    BudgetNow, DatacenterId, Judgement, LoadNow, Marks, Offset, Promise, PromiseResult, Recovery,
    ServedBy, Service, ServiceNow, Share, Shown,
};

impl Observation {
    /// How the services that have probes were in the second before `at`, in the plan's order.
    pub fn now(&self, at: Offset) -> Vec<ServiceNow> {
        let services = self.plan.services.iter().zip(&self.recent).enumerate();
        services
            .filter(|(_, (service, _))| !service.probes.is_empty())
            .map(|(number, (service, recent))| self.service_now(number, service, recent, at))
            .collect()
    }

    fn service_now(
        &self,
        number: usize,
        spec: &Service,
        recent: &Recent,
        at: Offset,
    ) -> ServiceNow {
        let (good, served) = recent.within(at, self.plan.datacenters.len());
        let evidence = self.evidence(number);
        let promises = judge_service(spec, &evidence, &self.marks, self.stable()).promises;
        let decided = |wanted: Judgement| {
            let is = |result: &&PromiseResult| {
                result.judgement == wanted && is_final(result, &self.marks)
            };
            promises.iter().filter(is).count() as u32
        };
        ServiceNow {
            service: spec.name.clone(),
            good,
            served,
            state: state(&evidence),
            down_since: judged(spec, &evidence).filter_map(down_since).min(),
            budget: self.budget(spec, &evidence),
            promises: promises.len() as u32,
            kept: decided(Judgement::Kept),
            broken: decided(Judgement::Broken),
        }
    }

    /// The promised time that runs out first. That of a recovery runs while the service is down; that of a failback
    /// until all is as before.
    fn budget(&self, spec: &Service, evidence: &[Evidence<'_>]) -> Option<BudgetNow> {
        let back = self.marks.restore_issued;
        let running = judged(spec, evidence).filter_map(|evidence| {
            let promises = spec.promises_of(evidence.probe);
            let (promise, from, within, found) = match back {
                Some(from) => {
                    (Promise::FailbackWithin, from, promises.failback_within?, evidence.failback)
                }
                None => {
                    let from = self.marks.cut_issued?;
                    down_since(evidence)?;
                    (Promise::RecoverWithin, from, promises.recover_within?, evidence.recovery)
                }
            };
            let is_over = found.is_some_and(|found| found.bounds.high.is_some());
            (!is_over).then_some(BudgetNow { promise, from, within })
        });
        running.min_by_key(|budget| budget.from.plus(budget.within))
    }

    /// How the loads were in the second before `at`, in the plan's order.
    pub fn loads_now(&self, at: Offset) -> Vec<LoadNow> {
        let loads = self.plan.loads.iter().zip(&self.loads_recent);
        let now = |(spec, recent): (&crate::model::LoadSpec, &Recent)| {
            let (offered, good) = recent.rate(at);
            LoadNow { name: spec.name.clone(), wanted: spec.wanted(&self.marks, at), offered, good }
        };
        loads.map(now).collect()
    }
}

/// The probes by which a service is judged.
fn judged<'a, 'e>(
    spec: &'a Service,
    evidence: &'a [Evidence<'e>],
) -> impl Iterator<Item = &'a Evidence<'e>> {
    let one = spec.probes.iter().any(|probe| probe.required || !probe.promises.is_empty());
    evidence.iter().filter(move |evidence| {
        !one || evidence.probe.required || !evidence.probe.promises.is_empty()
    })
}

/// When the present outage of a probe began.
fn down_since(evidence: &Evidence<'_>) -> Option<Offset> {
    let episodes = episodes(&evidence.timeline.runs, evidence.stable);
    let last = episodes.last()?.outage;
    last.ended_by.is_none().then_some(last.began_by)
}

/// Whether what follows cannot change it any more.
fn is_final(result: &PromiseResult, marks: &Marks) -> bool {
    let is_of_the_cut = matches!(result.promise, Promise::GoodWhileCut | Promise::P99WhileCut);
    !is_of_the_cut || marks.restore_issued.is_some()
}

/// The present outage or the last recovery in words.
fn state(evidence: &[Evidence<'_>]) -> String {
    let slowest = |pick: fn(&Evidence) -> Option<Recovery>| {
        evidence
            .iter()
            .filter_map(pick)
            .max_by_key(|found| (found.bounds.high.unwrap_or(Duration::MAX), found.bounds.low))
    };
    let (what, found) = match slowest(|evidence| evidence.failback) {
        Some(failback) => ("failback", Some(failback)),
        None => ("recovery", slowest(|evidence| evidence.recovery)),
    };
    match found {
        None => String::new(),
        Some(found) if found.bounds.high.is_some() => format!("{what} {}", found.bounds),
        Some(found) if found.seamless => format!("{what}: no failure so far"),
        Some(found) => format!("{what} > {}", Shown(found.bounds.low)),
    }
}

/// The samples that ended within the last second, in tenths of it.
#[derive(Debug, Default)]
pub(super) struct Recent {
    tenths: VecDeque<(u64, Share, BTreeMap<ServedBy, u64>)>,
}

impl Recent {
    const TENTH: u64 = 100_000_000;

    /// Takes a sample that ended at `done`.
    pub fn push(&mut self, done: Offset, good: bool, served_by: ServedBy) {
        let tenth = done.as_nanos() / Self::TENTH;
        if self.tenths.back().is_none_or(|(newest, ..)| *newest < tenth) {
            self.tenths.push_back((tenth, Share::default(), BTreeMap::new()));
        }
        while self.tenths.len() > 11 {
            self.tenths.pop_front();
        }
        // Ended a moment before one that came first: near enough for a picture of the last second.
        if let Some((_, share, served)) = self.tenths.back_mut() {
            share.whole += 1;
            share.part += u64::from(good);
            *served.entry(served_by).or_default() += 1;
        }
    }

    /// Good samples in the second before `at`, and answers per datacenter.
    fn within(&self, at: Offset, datacenters: usize) -> (Share, Vec<u64>) {
        let oldest = (at.as_nanos() / Self::TENTH).saturating_sub(10);
        let mut good = Share::default();
        let mut served = vec![0; datacenters];
        for (_, share, by) in self.tenths.iter().filter(|(tenth, ..)| *tenth >= oldest) {
            good.part += share.part;
            good.whole += share.whole;
            for (place, count) in served.iter_mut().zip(0..) {
                let id = DatacenterId(count);
                *place += by.get(&ServedBy::Datacenter(id)).copied().unwrap_or(0);
            }
        }
        (good, served)
    }

    /// Samples a second, in the second before `at`, and the good ones among them.
    fn rate(&self, at: Offset) -> (f64, Share) {
        let (good, _) = self.within(at, 0);
        let oldest = (at.as_nanos() / Self::TENTH).saturating_sub(10) * Self::TENTH;
        let seconds = at.since(Offset::from_nanos(oldest)).as_secs_f64();
        (good.whole as f64 / seconds.max(0.1), good)
    }
}
