//! The end: what was measured is judged, and everything is written into the record.

use std::time::Duration;

use super::super::controls::Held;
use super::super::setup::summary;
use super::Conductor;
use crate::journal::Record;
use crate::measure::{judge, prove};
use crate::model::{
    ControlProof, ControlRecord, CutOrder, DrillEvent, Forecast, Judgement, Name, PlacementRecord,
    Proof, ReadStage, Restored, RunRecord, ServiceRecord, Verdict, Why,
};
use crate::placement::{Placement, record};
use crate::watchdog::Phase;

impl Conductor {
    /// Ends the probes, judges, and says what came of it all.
    pub(super) async fn finish(mut self) -> RunRecord {
        let grace = self.grace();
        self.watch.during(self.probing.stop(grace)).await;
        self.watch.drain();
        if self.reads_at_the_end() {
            // No sample comes any more, and that they are missing is no fault of the service.
            self.watch.guards.probing_ended();
            if !self.read_back(ReadStage::AfterFailback, None).await {
                self.watch.stopped().into_iter().for_each(|why| self.stopping(why));
            }
        }
        self.clean_ledgers().await;
        let now = self.clock.now();
        self.watch.observation.marks.ended = Some(now);
        let proof = self.proof();
        let mut judged =
            judge(&self.plan, &self.watch.observation, &proof, std::mem::take(&mut self.ending));
        let verdict = judged.verdict;
        let placement = self.placement(&judged.services);
        if verdict == Verdict::Fail {
            judged.reasons.extend(foretold(&placement, &judged.services));
        }
        if self.opened {
            // Without this line a reader of the journal looks at the controls once more: no harm.
            let _ = self.journal.append(&Record::Closed { verdict });
        }
        // Whatever is left is a person's work from here on.
        self.watch.beat(Phase::Ended);
        self.watch.tell(DrillEvent::Ended { at: now, verdict });
        RunRecord {
            format: RunRecord::FORMAT,
            firedrill: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.run,
            started_at: self.started_at,
            plan: summary(&self.plan, self.file),
            verdict,
            reasons: judged.reasons,
            marks: self.watch.observation.marks,
            services: judged.services,
            proof,
            controls: self
                .held
                .into_iter()
                .map(|held| control_record(held, &self.plan.cut))
                .collect(),
            calls: self.calls,
            guardrails: self.watch.guards.records(),
            placement,
            loads: self.watch.observation.loads(),
            lab: None,
            environment: None,
            samples: None,
            notifications: Vec::new(),
        }
    }

    /// How long samples in flight are waited for: as long as any of them may take. Not when somebody wants an end, nor
    /// when traffic is not back: people have to hear of that, and the watchdog gives a restore its time and no more.
    fn grace(&self) -> Duration {
        let at_leisure = self.ending.stopped.is_none() && self.watch.phase == Phase::Quiet;
        let longest = self.plan.probes().map(|(_, _, probe)| probe.timeout).max();
        longest.filter(|_| at_leisure).unwrap_or_default()
    }

    /// What was expected to be lost beside what was seen; nothing where the plan says nothing of it.
    fn placement(&self, services: &[ServiceRecord]) -> PlacementRecord {
        let placement = Placement::of(&self.plan, &self.located);
        if !placement.is_told() {
            return PlacementRecord::default();
        }
        record(&self.plan, placement.of_the_cut(), services, &self.watch.observation.marks)
    }

    fn proof(&self) -> Proof {
        if self.watch.observation.marks.cut_issued.is_none() {
            return Proof::default();
        }
        let controls = self
            .held
            .iter()
            .map(|held| ControlProof {
                control: held.name(),
                reads: held.reads,
                reads_cut: held.reads_cut,
                path: held.path,
            })
            .collect();
        prove(&self.plan, &self.watch.observation, controls)
    }
}

/// The causes that the plan itself gives for what was lost: the report of a failure says why, where that is known.
fn foretold(placement: &PlacementRecord, services: &[ServiceRecord]) -> Vec<Why> {
    let broke = |record: &ServiceRecord| {
        record.promises.iter().any(|promise| promise.judgement == Judgement::Broken)
    };
    let as_expected = |name: &Name| {
        placement.services.iter().map(|it| (&it.forecast, it.agrees)).find(|(forecast, agrees)| {
            forecast.name == *name && forecast.predicted.is_loss() && *agrees == Some(true)
        })
    };
    let broken = services.iter().filter(|record| broke(record));
    let causes = broken.filter_map(|record| as_expected(&record.name));
    let causes = causes.map(|(forecast, _)| {
        let Forecast { name, predicted, .. } = forecast;
        Why::new("foretold", format!("{name} was expected to be {predicted}: {}", forecast.why()))
    });
    causes.collect()
}

fn control_record(held: Held, order: &CutOrder) -> ControlRecord {
    let restored = match (held.is_touched(), held.is_restored) {
        (false, _) => Restored::Untouched,
        (true, true) => Restored::Yes,
        (true, false) => Restored::No,
    };
    let by_hand = match restored {
        Restored::No => held.control.by_hand(&held.ours(order)),
        Restored::Untouched | Restored::Yes => Vec::new(),
    };
    let spec = held.control.spec();
    ControlRecord {
        name: spec.name.clone(),
        provider: spec.provider.clone(),
        before: held.before,
        cut: held.cut,
        after: held.after,
        restored,
        by_hand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Compared, Outlook, Promise, PromiseResult, Seen};

    fn service(name: &str, judgement: Judgement) -> ServiceRecord {
        ServiceRecord {
            name: name.into(),
            users: None,
            recovery: None,
            failback: None,
            promises: vec![PromiseResult::new(Promise::RecoverWithin, judgement, String::new())],
            impact: None,
            probes: vec![],
        }
    }

    fn compared(name: &str, predicted: Outlook, agrees: Option<bool>) -> Compared {
        let forecast = Forecast {
            name: name.into(),
            predicted,
            chain: vec![name.into(), "keys".into()],
            left_out: 0,
            because: "only in pangyo".to_owned(),
            also: vec![],
        };
        Compared { forecast, measured: Seen::Down, agrees }
    }

    #[test]
    fn a_cause_is_told_where_a_promise_broke_and_the_plan_foretold_it() {
        let services = [
            service("pay", Judgement::Broken),
            service("mail", Judgement::Kept),
            service("taxi", Judgement::Broken),
            service("map", Judgement::Broken),
        ];
        let placement = PlacementRecord {
            control_plane: vec![],
            services: vec![
                compared("pay", Outlook::Down, Some(true)),
                compared("mail", Outlook::Down, Some(true)),
                compared("taxi", Outlook::Down, Some(false)),
                compared("map", Outlook::Up, Some(true)),
            ],
        };
        let told: Vec<String> =
            foretold(&placement, &services).into_iter().map(|why| why.text).collect();
        assert_eq!(told, ["pay was expected to be down: pay -> keys: only in pangyo"]);
    }
}
