//! A guardrail over time: readings in, and once, the reason to stop.

use std::time::Duration;

use crate::model::{
    Guardrail, GuardrailKind, GuardrailNow, GuardrailReading, GuardrailRecord, Offset, Shown,
    Standing, Why,
};

/// What is known of a guardrail.
///
/// A condition that is beyond its limit at every reading for `lasting` breaks it. A reading that fails neither
/// proves nor disproves the condition, so it leaves that time running; but one that could not be read
/// for `grace` is broken for that reason alone.
#[derive(Debug, Clone)]
pub struct Guard {
    spec: Guardrail,
    /// The last reading that worked, or the beginning.
    read_at: Offset,
    /// Since when it is beyond its limit.
    beyond_since: Option<Offset>,
    /// Whether the last reading worked and was within the limit.
    within: bool,
    /// Why the last reading failed.
    fault: Option<String>,
    last: Option<f64>,
    worst: Option<f64>,
    reads: u64,
    unreadable: u64,
    broken: Option<(Offset, Why)>,
}

impl Guard {
    /// A guardrail that was not read yet; its grace begins at `now`.
    pub fn new(spec: Guardrail, now: Offset) -> Self {
        Guard {
            spec,
            read_at: now,
            beyond_since: None,
            within: false,
            fault: None,
            last: None,
            worst: None,
            reads: 0,
            unreadable: 0,
            broken: None,
        }
    }

    /// What it guards.
    pub fn spec(&self) -> &Guardrail {
        &self.spec
    }

    /// Takes a reading that ended at `now`. Gives the reason to stop when this breaks it, once.
    pub fn take(&mut self, now: Offset, reading: GuardrailReading) -> Option<Why> {
        self.reads += 1;
        self.within = false;
        self.fault = None;
        let why = match reading {
            GuardrailReading::Within { value } => {
                self.note(now, value);
                self.within = true;
                self.beyond_since = None;
                None
            }
            GuardrailReading::Beyond { value, what } => {
                self.note(now, value);
                let since = *self.beyond_since.get_or_insert(now);
                (now.since(since) >= self.spec.lasting).then(|| self.beyond(&what))
            }
            GuardrailReading::Unreadable(fault) => {
                self.unreadable += 1;
                let dark = now.since(self.read_at);
                let why = (dark >= self.spec.grace).then(|| self.dark(dark, &fault));
                self.fault = Some(fault);
                why
            }
        };
        match why {
            Some(why) if self.broken.is_none() => {
                self.broken = Some((now, why.clone()));
                Some(why)
            }
            _ => None,
        }
    }

    /// Whether it stood in the way of nothing when it was last read. Never read, it is not clear.
    pub fn is_clear(&self) -> bool {
        self.within && self.broken.is_none()
    }

    /// Why it is not clear, for a drill that waited for it.
    pub fn unclear(&self) -> Why {
        let name = self.title();
        let text = match &self.fault {
            Some(fault) => format!("{name} could not be read before the cut: {fault}"),
            None => format!("{name} was not clear before the cut ({})", self.spec.limit()),
        };
        Why::new(self.code("guardrail-not-clear"), text)
    }

    /// What it saw.
    pub fn record(&self) -> GuardrailRecord {
        // JSON has no other numbers.
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        GuardrailRecord {
            name: self.spec.name.clone(),
            kind: self.spec.kind(),
            limit: self.spec.limit(),
            last: finite(self.last),
            worst: finite(self.worst),
            reads: self.reads,
            unreadable: self.unreadable,
            broken: self.broken.as_ref().map(|(at, _)| *at),
            why: self.broken.as_ref().map(|(_, why)| why.text.clone()),
        }
    }

    /// How it stands.
    pub fn now(&self) -> GuardrailNow {
        let Guardrail { lasting, grace, .. } = self.spec;
        let standing = match self.beyond_since {
            _ if self.broken.is_some() => Standing::Broken,
            _ if self.fault.is_some() => {
                Standing::Unreadable { since: self.read_at, lasting: grace }
            }
            _ if self.reads == 0 => Standing::Unread,
            Some(since) => Standing::Beyond { since, lasting },
            None => Standing::Within,
        };
        let value = self.last.filter(|value| value.is_finite());
        GuardrailNow { name: self.spec.name.clone(), kind: self.spec.kind(), standing, value }
    }

    fn note(&mut self, now: Offset, value: Option<f64>) {
        self.read_at = now;
        self.last = value;
        let lowest = self.spec.lower_is_worse();
        self.worst = match (self.worst, value) {
            (Some(worst), Some(value)) if lowest => Some(worst.min(value)),
            (Some(worst), Some(value)) => Some(worst.max(value)),
            (worst, value) => value.or(worst),
        };
    }

    fn beyond(&self, what: &str) -> Why {
        let name = self.title();
        let text = match self.spec.kind() {
            GuardrailKind::KillSwitch => format!("{name} is set: {what}"),
            _ => format!("{name} is broken: {what} (limit: {})", self.spec.limit()),
        };
        Why::new(self.code("guardrail-broken"), text)
    }

    fn dark(&self, dark: Duration, fault: &str) -> Why {
        let text = format!(
            "{} could not be read for {} (grace: {}), which counts as broken: {fault}",
            self.title(),
            Shown(dark),
            Shown(self.spec.grace)
        );
        Why::new(self.code("guardrail-unreadable"), text)
    }

    fn title(&self) -> String {
        match self.spec.kind() {
            GuardrailKind::KillSwitch => "the kill switch".to_owned(),
            _ => format!("guardrail {}", self.spec.name),
        }
    }

    fn code(&self, otherwise: &'static str) -> &'static str {
        match self.spec.kind() {
            GuardrailKind::KillSwitch => "kill-switch",
            _ => otherwise,
        }
    }
}
