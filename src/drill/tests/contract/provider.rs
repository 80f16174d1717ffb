//! Providers that keep the contract, or break a rule of it. What they were asked for they do, whoever still waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::super::span;
use crate::model::{ControlSpec, ControlState, CutOrder, DatacenterId, PartState, Passage};
use crate::traffic::{ControlError, Survivors, TrafficControl};

/// Which rule a provider breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    #[default]
    None,
    ReadsOtherwise,
    NobodyLeft,
    RestoresByToggling,
    /// The restore of what was never cut is refused once, and opens what was closed.
    RestoreUncutOpens,
    CutRefused,
    CutIgnored,
    CutHangs,
    CutPanics,
    /// It cuts a part of another datacenter and one of two, and fails by a fault of firedrill's own while that is waited for.
    PausePanics,
    /// The first cut takes so long.
    CutTakes(Duration),
    CutsAnother,
    CutsHalf,
    CutsUnforetold,
    CutAgainOpens,
    CutAgainRefused,
    CutAgainHangs,
    /// The second cut is accepted at once, and done so long after.
    CutAgainLate(Duration),
    /// While it is cut for the second time, another hand gives `east-1` another weight.
    HandAtCutAgain,
    NeverRestores,
    RestoresWrong,
    RestoresOnlyItsOwn,
    RestoreAgainOpens,
}

/// The parts of a provider, and what it does with them.
pub struct Provider {
    pub name: &'static str,
    fault: Fault,
    parts: Mutex<BTreeMap<String, PartState>>,
    /// What it was asked, readings too.
    log: Mutex<Vec<&'static str>>,
    moments: Arc<Moments>,
}

/// What all providers were asked, and the moment at which whoever asks is killed.
#[derive(Default)]
pub struct Moments {
    /// In order, but for readings: `edge cut`.
    pub asked: Mutex<Vec<String>>,
    passed: AtomicUsize,
    /// The last moment of the one who asks, from 1.
    last: Option<usize>,
    pub killed: Notify,
}

impl Moments {
    /// Whoever asks is killed at the moment `last`, if that comes.
    pub fn until(last: Option<usize>) -> Arc<Moments> {
        Arc::new(Moments { last, ..Moments::default() })
    }

    async fn pass(&self) {
        let passed = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
        if self.last == Some(passed) {
            self.killed.notify_one();
            tokio::task::yield_now().await;
        }
    }
}

pub fn part(datacenter: u16, passage: Passage, weight: &str) -> PartState {
    let settings = match passage {
        Passage::Open => [("weight".to_owned(), weight.to_owned())].into(),
        _ => [("state".to_owned(), "off".to_owned())].into(),
    };
    PartState { datacenter: DatacenterId(datacenter), passage, settings }
}

fn error(what: &str) -> ControlError {
    ControlError { what: what.to_owned(), hint: "ask its owner".to_owned() }
}

impl Provider {
    pub fn new(name: &'static str, fault: Fault, moments: Arc<Moments>) -> Arc<Provider> {
        let (parts, log) = (Mutex::new(Provider::whole()), Mutex::default());
        Arc::new(Provider { name, fault, parts, log, moments })
    }

    /// The parts as they are at first.
    pub fn whole() -> BTreeMap<String, PartState> {
        let parts = [
            ("east-1", part(0, Passage::Open, "10")),
            ("east-2", part(0, Passage::Open, "10")),
            ("east-3", part(0, Passage::Closed, "")),
            ("west-1", part(1, Passage::Open, "7")),
        ];
        parts.map(|(name, part)| (name.to_owned(), part)).into()
    }

    pub fn parts(&self) -> BTreeMap<String, PartState> {
        self.parts.lock().unwrap().clone()
    }

    pub fn set(&self, name: &str, part: PartState) {
        self.parts.lock().unwrap().insert(name.to_owned(), part);
    }

    fn count(&self, what: &'static str) -> usize {
        if what != "inspect" {
            self.moments.asked.lock().unwrap().push(format!("{} {what}", self.name));
        }
        let mut log = self.log.lock().unwrap();
        log.push(what);
        log.iter().filter(|it| **it == what).count()
    }

    /// The cut, asked for the `count`th time.
    fn cut(&self, count: usize, names: &[String]) -> Result<(), ControlError> {
        match (self.fault, count) {
            (Fault::CutRefused, _) => return Err(error("403 Forbidden")),
            (Fault::CutIgnored, _) => return Ok(()),
            (Fault::CutAgainRefused, 2) => return Err(error("409 Conflict: it is cut already")),
            (Fault::CutAgainOpens, 2) => {
                self.set("east-1", part(0, Passage::Open, "10"));
                return Ok(());
            }
            (Fault::HandAtCutAgain, 2) => {
                self.set("east-1", part(0, Passage::Open, "3"));
                return Ok(());
            }
            _ => {}
        }
        if self.fault == Fault::PausePanics {
            self.set("east-1", part(0, Passage::Closed, ""));
            self.set("west-1", part(1, Passage::Closed, ""));
            return Ok(());
        }
        for name in names {
            let mut closed = part(0, Passage::Closed, "");
            if self.fault == Fault::CutsUnforetold {
                closed.settings.insert("weight".to_owned(), "0".to_owned());
            }
            self.set(name, closed);
        }
        if self.fault == Fault::CutsAnother {
            self.set("west-1", part(1, Passage::Closed, ""));
        }
        if self.fault == Fault::CutsHalf {
            self.set("east-2", part(0, Passage::Open, "10"));
        }
        Ok(())
    }

    /// The restore, asked for the `count`th time, by a control that was made `anew` or not.
    fn restore(&self, count: usize, names: &[String], anew: bool) -> Result<(), ControlError> {
        let cut = self.log.lock().unwrap().contains(&"cut");
        match (self.fault, count) {
            (Fault::NeverRestores, _) if cut => return Ok(()),
            (Fault::RestoresOnlyItsOwn, _) if cut && anew => {
                return Err(error("it was not cut from here"));
            }
            (Fault::RestoresByToggling, 1) => {
                self.set("east-1", part(0, Passage::Closed, ""));
                return Ok(());
            }
            (Fault::RestoreUncutOpens, 1) => {
                self.set("east-3", part(0, Passage::Open, "10"));
                return Err(error("409 Conflict: it is not cut"));
            }
            (Fault::RestoreAgainOpens, 4) => {
                self.set("east-3", part(0, Passage::Open, "10"));
                return Ok(());
            }
            _ => {}
        }
        let weight = if self.fault == Fault::RestoresWrong && cut { "1" } else { "10" };
        for name in names {
            self.set(name, part(0, Passage::Open, weight));
        }
        Ok(())
    }
}

/// A control of a provider.
pub struct Control {
    pub spec: ControlSpec,
    pub at: Arc<Provider>,
    /// It was made anew from its settings.
    pub anew: bool,
}

impl Control {
    /// Asks for `work`, which takes so long, and waits for its end.
    async fn act(
        &self,
        takes: Duration,
        work: impl FnOnce(&Provider) -> Result<(), ControlError> + Send + 'static,
    ) -> Result<(), ControlError> {
        self.at.moments.pass().await;
        let at = self.at.clone();
        let done = tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            work(&at)
        });
        self.at.moments.pass().await;
        let done = done.await.unwrap();
        self.at.moments.pass().await;
        done
    }
}

#[async_trait]
impl TrafficControl for Control {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        self.at.moments.pass().await;
        tokio::time::sleep(span(5)).await;
        let count = self.at.count("inspect");
        if self.at.fault == Fault::ReadsOtherwise {
            self.at.set("west-1", part(1, Passage::Open, &count.to_string()));
        }
        Ok(ControlState { parts: self.at.parts() })
    }

    async fn survivors(&self, _: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let left = usize::from(self.at.fault != Fault::NobodyLeft);
        Ok(vec![Survivors { group: "app".to_owned(), left }])
    }

    async fn cut(&self, _: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let count = self.at.count("cut");
        let takes = match (self.at.fault, count) {
            (Fault::CutHangs, _) | (Fault::CutAgainHangs, 2) => std::future::pending().await,
            (Fault::CutPanics, _) => panic!("for a test"),
            (Fault::CutTakes(takes), 1) => takes,
            _ => span(10),
        };
        let ours = ["east-1", "east-2"].map(str::to_owned);
        let names: Vec<String> =
            ours.into_iter().filter(|name| snapshot.parts.contains_key(name)).collect();
        if let (Fault::CutAgainLate(late), 2) = (self.at.fault, count) {
            let at = self.at.clone();
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                at.cut(count, &names)
            });
            return Ok(());
        }
        self.act(takes, move |at| at.cut(count, &names)).await
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        state.parts.values_mut().for_each(|it| *it = part(0, Passage::Closed, ""));
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let (count, anew) = (self.at.count("restore"), self.anew);
        let names: Vec<String> = snapshot.parts.keys().cloned().collect();
        self.act(span(10), move |at| at.restore(count, &names, anew)).await
    }

    fn pause(&self) -> Duration {
        assert_ne!(self.at.fault, Fault::PausePanics, "for a test");
        span(20)
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        snapshot.parts.keys().map(|name| format!("set {name}")).collect()
    }
}
