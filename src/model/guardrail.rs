//! Guardrails and the kill switch: conditions that are checked all along, and stop the drill.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HttpProbe, Name, Offset, Shown, Text};

/// A condition checked all along; broken, the drill stops and restores.
#[derive(Debug, Clone, PartialEq)]
pub struct Guardrail {
    /// Its name.
    pub name: Name,
    /// What is looked at, and what is too much.
    pub check: GuardrailCheck,
    /// How often it is read. Samples of a service are looked at more often than that.
    pub every: Duration,
    /// How long one reading may take, at most `every`.
    pub timeout: Duration,
    /// How long the condition has to be beyond its limit before the guardrail is broken.
    pub lasting: Duration,
    /// How long it may be unreadable before that counts as broken.
    pub grace: Duration,
}

/// What a guardrail looks at, and what is too much.
#[derive(Debug, Clone, PartialEq)]
pub enum GuardrailCheck {
    /// The share of good samples of a service's worst required probe.
    GoodShareBelow {
        /// The service: an index into the plan's services.
        service: u32,
        /// Below this it is beyond its limit; above 0 and up to 1.
        limit: f64,
    },
    /// The 95th percentile of the latency of a service's slowest required probe.
    LatencyAbove {
        /// The service: an index into the plan's services.
        service: u32,
        /// Above this it is beyond its limit.
        limit: Duration,
    },
    /// An instant query.
    Prometheus(PrometheusQuery),
    /// Alerts that fire.
    Alertmanager(AlertQuery),
    /// A request that must be answered well.
    Http(HttpProbe),
    /// The kill switch: set while this file is there.
    KillSwitchFile(PathBuf),
    /// The kill switch: set while this request is answered by anything but success.
    KillSwitchUrl(HttpProbe),
}

/// A PromQL expression at a Prometheus, or at anything that speaks its HTTP API.
#[derive(Debug, Clone, PartialEq)]
pub struct PrometheusQuery {
    /// Where it is, without `/api/v1/query`.
    pub url: Text,
    /// The expression.
    pub query: String,
    /// What values are too much.
    pub limit: QueryLimit,
    /// Header fields to send, names in lower case.
    pub headers: Vec<(String, Text)>,
    /// A PEM file with the certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

/// What results of a query are beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum QueryLimit {
    /// Any sample at all, as in an alerting rule; of a scalar, anything but zero.
    Any,
    /// A value above this. No value is unreadable.
    Above(f64),
    /// A value below this. No value is unreadable.
    Below(f64),
}

/// Alerts at an Alertmanager.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertQuery {
    /// Where it is, without `/api/v2/alerts`.
    pub url: Text,
    /// Which alerts: `severity="critical"` and the like; all must hold.
    pub matchers: Vec<String>,
    /// Header fields to send, names in lower case.
    pub headers: Vec<(String, Text)>,
    /// A PEM file with the certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

/// The kinds of guardrails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuardrailKind {
    /// A share of good samples. Its values are shares, 0 to 1.
    GoodShare,
    /// A latency. Its values are milliseconds.
    Latency,
    /// A PromQL expression. Its values are those of the query.
    Prometheus,
    /// Alerts. Its values count those that fire.
    Alertmanager,
    /// A request. Its values are 0 for good and 1 for bad.
    Http,
    /// The kill switch. Its values are 0 for clear and 1 for set.
    KillSwitch,
}

impl fmt::Display for GuardrailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            GuardrailKind::GoodShare => "good-share",
            GuardrailKind::Latency => "latency",
            GuardrailKind::Prometheus => "prometheus",
            GuardrailKind::Alertmanager => "alertmanager",
            GuardrailKind::Http => "http",
            GuardrailKind::KillSwitch => "kill-switch",
        })
    }
}

impl Guardrail {
    /// How much of the past says how a probe with this period is now: 10 periods, at least 1 s.
    pub fn window(every: Duration) -> Duration {
        (every * 10).max(Duration::from_secs(1))
    }

    /// The shortest time for which such a probe can be beyond a limit. One sample alone must not do it, and it
    /// stays in the window for as long as that is.
    pub fn shortest(every: Duration) -> Duration {
        Guardrail::window(every) * 2
    }

    /// What kind it is.
    pub fn kind(&self) -> GuardrailKind {
        match self.check {
            GuardrailCheck::GoodShareBelow { .. } => GuardrailKind::GoodShare,
            GuardrailCheck::LatencyAbove { .. } => GuardrailKind::Latency,
            GuardrailCheck::Prometheus(_) => GuardrailKind::Prometheus,
            GuardrailCheck::Alertmanager(_) => GuardrailKind::Alertmanager,
            GuardrailCheck::Http(_) => GuardrailKind::Http,
            GuardrailCheck::KillSwitchFile(_) | GuardrailCheck::KillSwitchUrl(_) => {
                GuardrailKind::KillSwitch
            }
        }
    }

    /// Whether the lowest value that it reads is the worst.
    pub fn lower_is_worse(&self) -> bool {
        match &self.check {
            GuardrailCheck::GoodShareBelow { .. } => true,
            GuardrailCheck::Prometheus(query) => matches!(query.limit, QueryLimit::Below(_)),
            _ => false,
        }
    }

    /// What breaks it, in words: `below 20 % good for 30 s`.
    pub fn limit(&self) -> String {
        let what = match &self.check {
            GuardrailCheck::GoodShareBelow { limit, .. } => {
                format!("below {} good", percent(*limit))
            }
            GuardrailCheck::LatencyAbove { limit, .. } => format!("p95 above {}", Shown(*limit)),
            GuardrailCheck::Prometheus(query) => match query.limit {
                QueryLimit::Any => format!("any sample of `{}`", short(&query.query)),
                QueryLimit::Above(limit) => format!("`{}` above {limit}", short(&query.query)),
                QueryLimit::Below(limit) => format!("`{}` below {limit}", short(&query.query)),
            },
            GuardrailCheck::Alertmanager(query) => {
                format!("an alert with {} fires", query.matchers.join(", "))
            }
            GuardrailCheck::Http(_) => "a bad answer".to_owned(),
            GuardrailCheck::KillSwitchFile(path) => format!("{} exists", path.display()),
            GuardrailCheck::KillSwitchUrl(_) => "an answer other than 2xx".to_owned(),
        };
        match self.lasting.is_zero() {
            true => what,
            false => format!("{what} for {}", Shown(self.lasting)),
        }
    }
}

/// The beginning of an expression, in one line.
fn short(query: &str) -> String {
    const LONGEST: usize = 60;
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A share in per cent, with as many digits as it needs.
fn percent(share: f64) -> String {
    format!("{} %", (share * 100_000.0).round() / 1000.0)
}

/// One look at what a guardrail guards.
#[derive(Debug, Clone, PartialEq)]
pub enum GuardrailReading {
    /// Within the limit.
    Within {
        /// What was measured, in the unit of its [`GuardrailKind`]; `None` if that is no number.
        value: Option<f64>,
    },
    /// Beyond the limit.
    Beyond {
        /// What was measured, in the unit of its [`GuardrailKind`].
        value: Option<f64>,
        /// The same in words.
        what: String,
    },
    /// Not to be known, with the reason. Holds no secrets.
    Unreadable(String),
}

/// What a guardrail saw in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuardrailRecord {
    /// Its name.
    pub name: Name,
    /// Its kind, which says what its values are.
    pub kind: GuardrailKind,
    /// What breaks it, in words.
    pub limit: String,
    /// The last value that was read.
    pub last: Option<f64>,
    /// The worst value that was read.
    pub worst: Option<f64>,
    /// How often it was read.
    pub reads: u64,
    /// How many of these readings failed.
    pub unreadable: u64,
    /// When it broke; `None`: it held.
    #[serde(rename = "broken_ms")]
    pub broken: Option<Offset>,
    /// Why it broke, in a sentence.
    pub why: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_in_words() {
        let limit = |check, lasting| {
            let second = Duration::from_secs(1);
            let lasting = Duration::from_secs(lasting);
            Guardrail {
                name: "a".into(),
                check,
                every: second,
                timeout: second,
                lasting,
                grace: second,
            }
            .limit()
        };
        let good = GuardrailCheck::GoodShareBelow { service: 0, limit: 0.995 };
        assert_eq!(limit(good, 30), "below 99.5 % good for 30 s");
        let latency = GuardrailCheck::LatencyAbove { service: 0, limit: Duration::from_secs(2) };
        assert_eq!(limit(latency, 10), "p95 above 2 s for 10 s");
        assert_eq!(limit(GuardrailCheck::KillSwitchFile("/stop".into()), 0), "/stop exists");
    }
}
