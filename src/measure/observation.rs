//! Everything that was seen so far, and what can be said of it at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::held::Held;
use super::impact::impact;
use super::ledger::Ledger;
use super::now::Recent;
use super::outage::{Stable, episodes};
use super::promise::{Evidence, judge_service, not_back, settled_after, settled_while_cut};
use super::recovery::{failback, recovery};
use super::timeline::{KEPT, Timeline};
use crate::model::{
    Cohort, Connection, Course, LoadRecord, LoadSpec, Marks, ModeKind, Name, Offset, Outcome, Plan,
    ProbeId, ProbeKind, ProbeRecord, ProbeSpec, Promises, Reason, Recovery, Sample, Sampled,
    ServedBy, ServiceRecord, Stage, VantageId, Why,
};

/// For what nobody promised to be back, this part of the longest cut is not waited: ledgers are read back in it.
const READ_BACK: u32 = 10;

/// Fewer good samples at baseline than this are no steady state.
const BASELINE_SAMPLES: u64 = 10;

/// The samples of one probe from one vantage point.
#[derive(Debug)]
pub struct Series {
    /// The probe.
    pub probe: ProbeId,
    /// Where its samples left from.
    pub vantage: VantageId,
    /// The samples, folded.
    pub timeline: Timeline,
    /// Those that tell whether the survivors carry the load.
    pub held: Held,
    /// What became of its writes, if it is a ledger.
    pub ledger: Option<Ledger>,
}

/// Everything that was seen so far.
#[derive(Debug)]
pub struct Observation {
    pub(super) plan: Arc<Plan>,
    /// The stages on the time line. Set a mark before the act that it stands for.
    pub marks: Marks,
    series: BTreeMap<(ProbeId, VantageId), Series>,
    /// One for each load of the plan.
    loads: Vec<Timeline>,
    cells: usize,
    /// When the last sample of any probe ended.
    latest: Offset,
    pub(super) recent: Vec<Recent>,
    pub(super) loads_recent: Vec<Recent>,
}

impl Observation {
    /// Nothing seen yet.
    pub fn new(plan: Arc<Plan>, started: Offset) -> Self {
        let recent = plan.services.iter().map(|_| Recent::default()).collect();
        let loads_recent = plan.loads.iter().map(|_| Recent::default()).collect();
        let marks = Marks { started, ..Marks::default() };
        let cells = cells(plan.probes().count() + plan.loads.len());
        let load = |load: &LoadSpec| Timeline::new(Vec::new(), load.as_probe().every, cells);
        let loads = plan.loads.iter().map(load).collect();
        Observation {
            plan,
            marks,
            series: BTreeMap::new(),
            loads,
            cells,
            latest: Offset::ZERO,
            recent,
            loads_recent,
        }
    }

    /// Takes a sample, in the order in which they end.
    ///
    /// A sample of a probe that the plan does not have is left out: it is of another drill.
    pub fn push(&mut self, sampled: Sampled) {
        let Sampled { vantage, probe, sample } = sampled;
        self.latest = self.latest.max(sample.done);
        if let Some(load) = probe.load().and_then(|place| self.loads.get_mut(place)) {
            load.push(sample, &self.marks);
            let recent = probe.load().and_then(|place| self.loads_recent.get_mut(place));
            // What could not be sent was not offered.
            if let Some(recent) = recent.filter(|_| !matches!(sample.outcome, Outcome::Unknown(_)))
            {
                recent.push(sample.done, sample.outcome.is_good(), sample.served_by);
            }
            return;
        }
        let Some(service) = self.plan.services.get(probe.service as usize) else { return };
        let Some(spec) = service.probes.get(probe.probe as usize) else { return };
        let sample = Sample { outcome: self.outcome(spec, &sample), ..sample };
        if let Some(recent) = self.recent.get_mut(probe.service as usize) {
            recent.push(sample.done, sample.outcome.is_good(), sample.served_by);
        }
        let cells = self.cells;
        let series = self.series.entry((probe, vantage)).or_insert_with(|| Series {
            probe,
            vantage,
            timeline: Timeline::new(self.plan.lost_to(spec), spec.every, cells),
            held: Held::new(service.promises_of(spec), &self.plan.loads),
            ledger: matches!(spec.kind, ProbeKind::Ledger(_)).then(|| Ledger::new(spec.every)),
        });
        series.held.push(&sample, &self.marks);
        if let Some(ledger) = &mut series.ledger {
            ledger.push(&sample);
        }
        series.timeline.push(sample, &self.marks);
    }

    /// How a sample ended, in the light of the cut. While a datacenter is dead, users whom the DNS sends there are lost, however
    /// well the DNS itself answers.
    fn outcome(&self, spec: &ProbeSpec, sample: &Sample) -> Outcome {
        let kills = matches!(self.plan.cut.mode.kind(), ModeKind::Blackhole | ModeKind::Reset);
        let is_led = matches!(spec.kind, ProbeKind::Dns(_)) && sample.outcome.is_good();
        let there = matches!(sample.served_by, ServedBy::Datacenter(id) if self.plan.lost_to(spec).contains(&id));
        let astray = kills && is_led && there && self.marks.stage(sample.sent) == Stage::Observe;
        if astray { Outcome::Bad(Reason::Astray) } else { sample.outcome }
    }

    /// The ledger that `probe` writes from here; `None` while it has written nothing.
    pub fn ledger(&mut self, probe: ProbeId) -> Option<&mut Ledger> {
        self.series.get_mut(&(probe, VantageId::default()))?.ledger.as_mut()
    }

    /// What counts as back to normal in this drill.
    pub fn stable(&self) -> Stable {
        Stable { length: self.plan.timing.stable_for, share: self.plan.timing.stable_share }
    }

    /// What counts as recovered while cut for a probe that is judged by `promises`: a service that promises less
    /// than all keeps its promise with less.
    fn stable_while_cut(&self, promises: &Promises) -> Stable {
        let stable = self.stable();
        let share = promises.good_while_cut.map_or(stable.share, |share| stable.share.min(share));
        Stable { share, ..stable }
    }

    /// The series of a service's probes, in the plan's order.
    pub fn series_of(&self, service: u32) -> impl Iterator<Item = &Series> {
        let from = (ProbeId { service, probe: 0 }, VantageId(0));
        let to = (ProbeId { service, probe: u32::MAX }, VantageId(u16::MAX));
        self.series.range(from..=to).map(|(_, series)| series)
    }

    /// Why the drill may not cut: a service is not as it should be on an ordinary day. To be asked
    /// at the end of the baseline, at `now`.
    pub fn unsteady(&self, now: Offset) -> Vec<Why> {
        let mut reasons = Vec::new();
        for (service, number) in self.plan.services.iter().zip(0..) {
            let mut served = false;
            let mut tells = false;
            // What only an extra probe sees says nothing of those that are judged.
            let required_tells =
                service.probes.iter().any(|spec| spec.required && spec.served_by.is_some());
            for (spec, probe) in service.probes.iter().zip(0..) {
                let name = format!("{}/{}", service.name, spec.name);
                let Some(series) =
                    self.series_of(number).find(|series| series.probe.probe == probe)
                else {
                    reasons.push(Why::new("no-samples", format!("{name} gave no sample")));
                    continue;
                };
                let hung = series.timeline.hung_for(self.marks.started, now);
                let share = self.plan.timing.stable_share;
                reasons.extend(
                    unsteady_probe(&name, series, share).or_else(|| Some(hangs(&name, hung?))),
                );
                let counts = spec.required || !required_tells;
                served |= counts && series.timeline.share_of_cut(&[Stage::Baseline]).part > 0;
                tells |= spec.served_by.is_some() && !self.plan.lost_to(spec).is_empty();
            }
            if tells && !served && !service.standby {
                let datacenter = self.plan.lost();
                reasons.push(Why::new(
                    "served-nothing",
                    format!(
                        "{datacenter} served no answer of {} at baseline, so losing it would prove \
                         nothing; if that is as it should be, say `standby: true`",
                        service.name
                    ),
                ));
            }
        }
        reasons
    }

    /// Whether every service's promises that the cut puts to the test are decided.
    pub fn is_settled(&self) -> bool {
        (0..self.plan.services.len()).all(|service| self.is_service_settled(service))
            && self.was_load_watched()
    }

    /// Whether the plan's loads were at their top for long enough to show what they do.
    fn was_load_watched(&self) -> bool {
        let length = self.stable().length;
        self.plan.loads.iter().all(|load| {
            load.full_from(&self.marks).is_some_and(|full| self.latest >= full.plus(length))
        })
    }

    /// As [`Observation::is_settled`], for the service with this number.
    pub fn is_service_settled(&self, service: usize) -> bool {
        self.plan.services.get(service).is_none_or(|spec| {
            settled_while_cut(spec, &self.evidence(service), &self.marks, self.is_late())
        })
    }

    /// Whether what is left of the cut is only as much as ledgers need to be read back.
    fn is_late(&self) -> bool {
        let at_most = self.plan.timing.at_most;
        let end = self.marks.cut_issued.map(|cut| cut.plus(at_most - at_most / READ_BACK));
        end.is_some_and(|end| self.latest >= end)
    }

    /// Whether every required probe of every service was seen to recover.
    pub fn has_recovered(&self) -> bool {
        (0..self.plan.services.len()).all(|service| {
            let evidence = self.evidence(service);
            let mut required = evidence.iter().filter(|evidence| evidence.probe.required);
            required.all(|known| known.recovery.is_some_and(|found| found.bounds.high.is_some()))
        })
    }

    /// Whether every service is as before the cut, or broke its promise to be.
    pub fn is_back(&self) -> bool {
        self.plan
            .services
            .iter()
            .enumerate()
            .all(|(number, spec)| settled_after(spec, &self.evidence(number)))
    }

    /// The features, as `SERVICE/PROBE`, that are judged by no promise to be back in time, and were not seen to be back.
    pub(super) fn not_back(&self) -> impl Iterator<Item = String> {
        self.plan.services.iter().enumerate().flat_map(|(number, service)| {
            let evidence = self.evidence(number);
            let missing: Vec<String> = not_back(service, &evidence)
                .map(|probe| format!("{}/{probe}", service.name))
                .collect();
            missing
        })
    }

    /// What can be said of every service now: the slowest to recover first, and of those that did not the one with the
    /// most users.
    pub fn services(&self) -> Vec<ServiceRecord> {
        let mut records: Vec<ServiceRecord> = (0..self.plan.services.len())
            .filter_map(|number| self.service_record(number))
            .collect();
        let slowness = |record: &ServiceRecord| {
            record.recovery.map(|Recovery { bounds, .. }| match bounds.high {
                // When the last bad sample of each was sent before all ended, is chance.
                None => (Duration::MAX, record.users, Duration::ZERO),
                Some(high) => (high, None, bounds.low),
            })
        };
        records.sort_by_key(|record| std::cmp::Reverse(slowness(record)));
        records
    }

    /// What the loads offered, and what came back.
    pub fn loads(&self) -> Vec<LoadRecord> {
        let loads = self.plan.loads.iter().zip(&self.loads);
        let record = |(spec, seen): (&LoadSpec, &Timeline)| LoadRecord {
            name: spec.name.clone(),
            rate: spec.ramp.rate,
            counts: seen.counts(),
            latency: seen.latency(),
            course: self.course(seen),
        };
        loads.map(record).collect()
    }

    pub(super) fn evidence(&self, service: usize) -> Vec<Evidence<'_>> {
        let Some(spec) = self.plan.services.get(service) else { return Vec::new() };
        let stable = self.stable();
        self.series_of(service as u32)
            .filter_map(|series| {
                let probe = spec.probes.get(series.probe.probe as usize)?;
                let while_cut = self.stable_while_cut(spec.promises_of(probe));
                Some(Evidence {
                    probe,
                    timeline: &series.timeline,
                    held: &series.held,
                    stable: while_cut,
                    recovery: recovery(&series.timeline, &self.marks, while_cut),
                    failback: failback(&series.timeline, &self.marks, stable, probe.may_stay),
                    ledger: series.ledger.as_ref(),
                })
            })
            .collect()
    }

    fn service_record(&self, number: usize) -> Option<ServiceRecord> {
        // What has no probes is part of the topology alone.
        let spec = self.plan.services.get(number).filter(|spec| !spec.probes.is_empty())?;
        let evidence = self.evidence(number);
        let judged = judge_service(spec, &evidence, &self.marks, self.stable());
        let probes = self
            .series_of(number as u32)
            .zip(&evidence)
            .map(|(series, evidence)| self.probe_record(series, evidence))
            .collect();
        Some(ServiceRecord {
            name: spec.name.clone(),
            users: spec.users,
            recovery: judged.recovery,
            failback: judged.failback,
            promises: judged.promises,
            impact: impact(spec.users, &evidence, &self.marks),
            probes,
        })
    }

    fn probe_record(&self, series: &Series, evidence: &Evidence<'_>) -> ProbeRecord {
        let timeline = &series.timeline;
        let outages = episodes(&timeline.runs, self.stable());
        let name = |id| self.plan.datacenter(id).to_owned();
        ProbeRecord {
            name: vantage_name(&evidence.probe.name, series.vantage),
            asks: evidence.probe.kind.asks(),
            required: evidence.probe.required,
            may_stay: evidence.probe.may_stay,
            every: evidence.probe.every,
            keep_alive: evidence.probe.connection == Connection::KeepAlive,
            cohort: evidence
                .probe
                .cohort()
                .map(|cohort| Cohort { last_led_there: timeline.last_led_there, ..cohort }),
            counts: timeline.counts(),
            latency: timeline.latency(),
            served: timeline
                .served
                .iter()
                .map(|(stage, served)| {
                    let named = |(by, count): (&ServedBy, &u64)| {
                        (super::recovery::served_name(*by, name), *count)
                    };
                    (*stage, served.iter().map(named).collect())
                })
                .collect(),
            outage_count: outages.len() as u64,
            outages: outages.iter().take(KEPT).map(|episode| episode.outage).collect(),
            recovery: evidence.recovery,
            failback: evidence.failback,
            ledger: series.ledger.as_ref().map(|ledger| {
                ledger.account(&self.marks, |id| self.plan.datacenter(id).to_owned())
            }),
            course: self.course(timeline),
        }
    }

    fn course(&self, timeline: &Timeline) -> Course {
        let name = |id| self.plan.datacenter(id).to_owned();
        timeline.courses.course(|by| super::recovery::served_name(by, name))
    }
}

/// Into how many cells the course of one of `probes` is divided at most: few enough for a report of ten thousand to
/// be opened, enough for a lane across a page.
fn cells(probes: usize) -> usize {
    (60_000 / probes.max(1)).clamp(30, 240)
}

fn vantage_name(probe: &Name, vantage: VantageId) -> Name {
    match vantage.0 {
        0 => probe.clone(),
        other => Name::from(format!("{probe}@{other}").as_str()),
    }
}

fn hangs(name: &str, waited: Duration) -> Why {
    let text = format!(
        "{name} is not steady: a sample sent {} ago has no answer yet, and all others were faster",
        crate::model::Shown(waited)
    );
    Why::new("not-steady", text)
}

fn unsteady_probe(name: &str, series: &Series, share_wanted: f64) -> Option<Why> {
    let counts = series.timeline.counts();
    let asked = counts.good + counts.bad + counts.stalled;
    if counts.bad > 0 && (counts.good as f64) < share_wanted * asked as f64 {
        let reasons: Vec<String> =
            counts.reasons.iter().map(|(reason, count)| format!("{count} x {reason}")).collect();
        let text = format!(
            "{name} is not steady: {} of {asked} samples were bad ({}); nothing can be learned from \
             cutting what is already broken",
            counts.bad,
            reasons.join(", ")
        );
        return Some(Why::new("not-steady", text));
    }
    if counts.good < BASELINE_SAMPLES {
        let text = format!(
            "{name} gave {} good samples at baseline, and {BASELINE_SAMPLES} are needed; lengthen \
             `timing.baseline` or shorten its `every`",
            counts.good
        );
        return Some(Why::new("too-few-samples", text));
    }
    None
}
