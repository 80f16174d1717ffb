//! A test of a plan's controls: what it needs, and the book that it is kept in.

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::mpsc::UnboundedSender;

use super::conductor::Conductor;
use super::setup::{Charge, connector, controls, may_not_begin, unless_stopped};
use super::{Drill, Guards, Probing};
use crate::clock::Clock;
use crate::model::{
    ContractEvent, ContractRecord, ControlCall, ControlSpec, Name, Offset, Plan, Rule, RuleEnd,
    RuleRecord, Sampled, TestedControl, Verdict, Why,
};
use crate::restore::Reached;
use crate::traffic::reach;
use crate::watchdog::Phase;

/// Told of each rule as it is put to the test.
pub type Tell = Box<dyn FnMut(&ContractEvent) + Send>;

/// Makes a control from its settings.
type Reach = Box<dyn Fn(&ControlSpec) -> Reached + Send + Sync>;

/// Puts the controls that the plan of `charge` cuts through to the test, one after another, and tells of each rule as it goes. Nobody
/// asks the services; guardrails that need samples of them guard nothing here.
pub async fn keep_contract(mut charge: Charge, tell: Tell) -> ContractRecord {
    let clock = Clock::start();
    let unsure = charge.unsure.take();
    let plan = charge.plan.clone();
    let ready = async {
        if let Some(why) = may_not_begin(&plan, clock).await.or(unsure) {
            return Err(why);
        }
        if let Some(why) = super::path::through_the_cut(&plan).await.into_iter().next() {
            return Err(why);
        }
        let guards = Guards::prepare(&plan, &|_| None, connector()?)?.read_outside();
        Ok((controls(&plan, None).await?, guards))
    };
    match unless_stopped(charge.stop.clone(), ready).await {
        Err(why) => {
            charge.guardian.beat(Phase::Ended);
            not_tested(&plan, charge.file.path, charge.run, why)
        }
        Ok((controls, guards)) => {
            let book = Book::new(controls.len(), tell, Box::new(reach));
            Drill {
                plan,
                file: charge.file,
                run: charge.run,
                host: charge.host,
                located: Vec::new(),
                controls,
                probing: Box::new(Nobody),
                guards,
                journal: charge.journal,
                clock,
                stop: charge.stop,
                hurry: charge.hurry,
                guardian: charge.guardian,
                listener: charge.listener,
                sampled: charge.sampled,
            }
            .keep_contract(book)
            .await
        }
    }
}

/// The record of a test that touched nothing.
pub fn not_tested(plan: &Plan, file: String, run: String, why: Why) -> ContractRecord {
    let controls = plan.cut_through().map(|spec| TestedControl {
        name: spec.name.clone(),
        provider: spec.provider.key().to_owned(),
        place: spec.provider.settings().place(),
        rules: Rule::ALL.map(RuleRecord::untried).into(),
        by_hand: Vec::new(),
    });
    ContractRecord {
        format: ContractRecord::FORMAT,
        firedrill: env!("CARGO_PKG_VERSION").to_owned(),
        run,
        started_at: super::setup::now(),
        plan: plan.name.clone(),
        file,
        lost: plan.lost(),
        mode: plan.cut.mode.kind(),
        verdict: Verdict::NotStarted,
        reasons: vec![why],
        controls: controls.collect(),
    }
}

impl Drill {
    /// Puts the drill's controls to the test instead of its service.
    pub(super) async fn keep_contract(self, book: Book) -> ContractRecord {
        Conductor::new(self).keep_contract(book).await
    }
}

/// What came of each rule so far.
pub(super) struct Book {
    tell: Tell,
    reach: Reach,
    rules: Vec<Vec<(Name, RuleRecord)>>,
}

impl Book {
    /// An empty one for so many controls.
    pub fn new(controls: usize, tell: Tell, reach: Reach) -> Book {
        Book { tell, reach, rules: vec![Vec::new(); controls] }
    }

    /// A control made anew from its settings.
    pub fn reach(&self, spec: &ControlSpec) -> Reached {
        (self.reach)(spec)
    }

    /// Tells that traffic is about to be changed.
    pub fn begin(&mut self, control: &Name, rule: Rule, at_most: std::time::Duration) {
        (self.tell)(&ContractEvent::Begins { control: control.clone(), rule, at_most });
    }

    /// Enters what came of a rule.
    pub fn enter(
        &mut self,
        place: usize,
        control: &Name,
        (rule, kept, text): (Rule, RuleEnd, String),
        (began, ended): (Offset, Offset),
        calls: Vec<ControlCall>,
    ) {
        let record = RuleRecord { rule, kept, text, began, ended, calls };
        if let Some(rules) = self.rules.get_mut(place) {
            rules.push((control.clone(), record.clone()));
        }
        (self.tell)(&ContractEvent::Ended { control: control.clone(), record });
    }

    /// Whether any control was cut.
    pub fn has_cut(&self) -> bool {
        let mut all = self.rules.iter().flatten();
        all.any(|(_, record)| record.rule == Rule::Cut && record.kept != RuleEnd::Refused)
    }

    /// The rules that were broken.
    pub fn broken(&self) -> Vec<Why> {
        let all = self.rules.iter().flatten();
        let broken = all.filter(|(_, record)| record.kept == RuleEnd::No);
        let why = |(control, RuleRecord { rule, text, .. }): &(Name, RuleRecord)| {
            Why::new("rule-broken", format!("{control}: not kept: {rule}: {text}"))
        };
        broken.map(why).collect()
    }

    /// Every rule of the contract for each control, those that were not put to the test too.
    pub fn into_rules(self) -> Vec<Vec<RuleRecord>> {
        let all = |tried: Vec<(Name, RuleRecord)>| {
            let record = |rule| {
                let found = tried.iter().find(|(_, record)| record.rule == rule);
                found.map_or_else(|| RuleRecord::untried(rule), |(_, record)| record.clone())
            };
            Rule::ALL.map(record).into()
        };
        self.rules.into_iter().map(all).collect()
    }
}

/// Asks no service.
struct Nobody;

impl Probing for Nobody {
    fn start(&mut self, _: Clock, _: Offset, _: UnboundedSender<Sampled>) {}

    fn stop(&mut self, _: std::time::Duration) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}
