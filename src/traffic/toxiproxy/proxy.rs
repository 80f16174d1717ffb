//! A proxy as the API tells it, and as a snapshot keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Mode, ModeKind, Passage};

/// Keys of [`crate::model::PartState::settings`]: whether it listens, its toxics as JSON, and, at `firedrill proxy` alone, its
/// cut: the mode as JSON, or [`OPEN`].
pub(super) const ENABLED: &str = "enabled";
pub(super) const TOXICS: &str = "toxics";
pub(super) const CUT: &str = "cut";
pub(super) const OPEN: &str = "open";

/// How the names of our toxics begin.
const OURS: &str = "firedrill_";

/// A proxy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Proxy {
    pub name: String,
    pub enabled: bool,
    #[serde(default)]
    pub toxics: Vec<Toxic>,
    /// The mode that it is cut in.
    #[serde(default)]
    pub cut: Option<Mode>,
}

/// A toxic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Toxic {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub stream: String,
    pub toxicity: f64,
    pub attributes: Map<String, Value>,
}

impl Toxic {
    /// One of ours, for all connections.
    fn new(kind: &str, stream: &str, attributes: &[(&str, u64)]) -> Toxic {
        Toxic {
            name: format!("{OURS}{kind}_{stream}"),
            kind: kind.to_owned(),
            stream: stream.to_owned(),
            toxicity: 1.0,
            attributes: attributes
                .iter()
                .map(|(key, n)| ((*key).to_owned(), (*n).into()))
                .collect(),
        }
    }

    /// Whether nothing gets through in its direction.
    fn blocks(&self) -> bool {
        self.kind == "timeout"
            && self.toxicity >= 1.0
            && self.attributes.get("timeout").and_then(Value::as_u64) == Some(0)
    }
}

/// The toxics that `mode` is for a Toxiproxy; `None` where toxics cannot do it.
///
/// Toxiproxy counts in milliseconds and in thousands of bytes a second.
pub(super) fn toxics(mode: &Mode) -> Option<Vec<Toxic>> {
    let both = |kind: &str, attributes: &[(&str, u64)]| {
        ["upstream", "downstream"].map(|stream| Toxic::new(kind, stream, attributes))
    };
    match mode {
        // In one direction alone, a server that closes first would still be heard.
        Mode::Blackhole => Some(both("timeout", &[("timeout", 0)]).to_vec()),
        Mode::Reset => Some(Vec::new()),
        Mode::Drain => None,
        Mode::Degrade(how) if how.loss > 0.0 => None,
        Mode::Degrade(how) => {
            let ms =
                |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let mut toxics = Vec::new();
            if !how.latency.is_zero() {
                let attributes = [("latency", ms(how.latency)), ("jitter", ms(how.jitter))];
                toxics.extend(both("latency", &attributes));
            }
            if let Some(bytes) = how.bandwidth {
                toxics.extend(both("bandwidth", &[("rate", bytes.div_ceil(1000).max(1))]));
            }
            Some(toxics)
        }
    }
}

impl Proxy {
    /// With the toxics in an order that does not depend on who added them when.
    pub fn sorted(mut self) -> Proxy {
        self.toxics.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }

    /// As `mode` makes it: by its cut where the server `has_cuts`, else by toxics, or by not listening.
    pub fn cut_by(&self, mode: &Mode, has_cuts: bool) -> Proxy {
        let mut proxy = self.clone();
        if has_cuts {
            proxy.cut = Some(*mode);
            return proxy;
        }
        proxy.enabled &= mode.kind() != ModeKind::Reset;
        for toxic in toxics(mode).unwrap_or_default() {
            proxy.toxics.retain(|it| it.name != toxic.name);
            proxy.toxics.push(toxic);
        }
        proxy.sorted()
    }

    pub fn passage(&self) -> Passage {
        let closes = |mode: &Mode| mode.kind() != ModeKind::Degrade;
        if !self.enabled || self.cut.as_ref().is_some_and(closes) {
            return Passage::Closed;
        }
        let blocks = |stream: &str| self.toxics.iter().any(|it| it.blocks() && it.stream == stream);
        let is_ours = |it: &Toxic| it.name.starts_with(OURS);
        match (blocks("upstream"), blocks("downstream")) {
            (true, true) => Passage::Closed,
            // In one direction alone: a download that was begun before goes on.
            (true, false) | (false, true) => Passage::Degraded,
            _ if self.cut.is_some() || self.toxics.iter().any(is_ours) => Passage::Degraded,
            _ => Passage::Open,
        }
    }

    /// What a restore must put back.
    pub fn settings(&self, has_cuts: bool) -> BTreeMap<String, String> {
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        let mut settings = BTreeMap::from([
            (ENABLED.to_owned(), self.enabled.to_string()),
            (TOXICS.to_owned(), json(serde_json::to_string(&self.toxics))),
        ]);
        if has_cuts {
            let cut =
                self.cut.map_or_else(|| OPEN.to_owned(), |it| json(serde_json::to_string(&it)));
            settings.insert(CUT.to_owned(), cut);
        }
        settings
    }

    /// Back from a snapshot; `None` where it is none of ours.
    pub fn of(name: &str, settings: &BTreeMap<String, String>) -> Option<Proxy> {
        let cut = match settings.get(CUT).map(String::as_str) {
            None | Some(OPEN) => None,
            Some(mode) => Some(serde_json::from_str(mode).ok()?),
        };
        Some(Proxy {
            name: name.to_owned(),
            enabled: settings.get(ENABLED)?.parse().ok()?,
            toxics: serde_json::from_str(settings.get(TOXICS)?).ok()?,
            cut,
        })
    }
}
