//! What commands are told on their standard input, and what they say on their standard output: one JSON object each.
//! `docs/providers/exec.md` has it for people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{
    ControlState, CutOrder, DatacenterId, Degrade, Mode, ModeKind, Name, PartState, Passage,
};

/// The version of the protocol.
const VERSION: u32 = 1;

/// The setting in which we keep a part's passage, so that a cut shows in what is compared.
const PASSAGE: &str = "passage";

/// What a command is told.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    firedrill: u32,
    act: &'static str,
    /// The datacenters to lose, or that are to be lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    losing: Vec<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<ModeKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    degrade: Option<Degrade>,
    /// Those to be cut, or to be put back, as they were before the cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<BTreeMap<&'a str, Part>>,
}

/// A part in the words of the protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    datacenter: Name,
    passage: Passage,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    settings: BTreeMap<String, String>,
}

/// What `inspect` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    parts: BTreeMap<String, Part>,
    /// Who serves on without those to be lost: how many of each group.
    pub(super) left: Option<BTreeMap<String, usize>>,
    /// What is steered, under a name that it has from wherever it is reached.
    pub(super) identity: Option<String>,
}

impl<'a> Request<'a> {
    /// What is there, and who serves on without what `order` takes.
    pub(super) fn inspect(order: Option<&CutOrder>, names: &'a [Name]) -> Request<'a> {
        Request {
            firedrill: VERSION,
            act: "inspect",
            losing: order.map(|order| losing(order, names)).unwrap_or_default(),
            mode: None,
            degrade: None,
            parts: None,
        }
    }

    /// Cut `parts`.
    pub(super) fn cut(order: &CutOrder, parts: &'a ControlState, names: &'a [Name]) -> Request<'a> {
        let degrade = match order.mode {
            Mode::Degrade(degrade) => Some(degrade),
            _ => None,
        };
        Request {
            firedrill: VERSION,
            act: "cut",
            losing: losing(order, names),
            mode: Some(order.mode.kind()),
            degrade,
            parts: Some(told(parts, names)),
        }
    }

    /// Put `parts` back as they are here.
    pub(super) fn restore(parts: &'a ControlState, names: &'a [Name]) -> Request<'a> {
        Request {
            firedrill: VERSION,
            act: "restore",
            losing: Vec::new(),
            mode: None,
            degrade: None,
            parts: Some(told(parts, names)),
        }
    }

    /// In one line.
    pub(super) fn line(&self) -> String {
        // Nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn losing<'a>(order: &CutOrder, names: &'a [Name]) -> Vec<&'a Name> {
    order.datacenters.iter().filter_map(|id| names.get(id.index())).collect()
}

fn told<'a>(state: &'a ControlState, names: &[Name]) -> BTreeMap<&'a str, Part> {
    let part = |part: &PartState| {
        let mut settings = part.settings.clone();
        settings.remove(PASSAGE);
        let datacenter = names.get(part.datacenter.index())?.clone();
        Some(Part { datacenter, passage: part.passage, settings })
    };
    state.parts.iter().filter_map(|(name, it)| Some((name.as_str(), part(it)?))).collect()
}

impl Answer {
    /// Reads what `inspect` said.
    ///
    /// # Errors
    /// Why it makes no sense, in words that go on behind "said what makes no sense: ".
    pub(super) fn read(said: &[u8]) -> Result<Answer, String> {
        serde_json::from_slice(said).map_err(|error| error.to_string())
    }

    /// The state of all parts.
    ///
    /// # Errors
    /// When a part is in a datacenter that the plan does not have, or has a setting that is ours.
    pub(super) fn state(&self, names: &[Name]) -> Result<ControlState, String> {
        let mut state = ControlState::default();
        for (name, part) in &self.parts {
            let place = names.iter().zip(0..).find(|(it, _)| **it == part.datacenter);
            let Some((_, id)) = place else {
                return Err(format!(
                    "{name} is in {}, which is no datacenter of the plan",
                    part.datacenter
                ));
            };
            if part.settings.contains_key(PASSAGE) {
                return Err(format!(
                    "{name} has a setting named `{PASSAGE}`, which says what `{PASSAGE}` beside it says"
                ));
            }
            let mut settings = part.settings.clone();
            settings.insert(PASSAGE.to_owned(), word(part.passage).to_owned());
            let datacenter = DatacenterId(id);
            state
                .parts
                .insert(name.clone(), PartState { datacenter, passage: part.passage, settings });
        }
        Ok(state)
    }
}

/// What `parts` say once they are cut: their passage, and none of the settings that they do not keep.
pub(super) fn once_cut(mut parts: ControlState, mode: ModeKind) -> ControlState {
    for part in parts.parts.values_mut() {
        part.passage = match mode {
            ModeKind::Degrade => Passage::Degraded,
            _ => Passage::Closed,
        };
        part.settings = [(PASSAGE.to_owned(), word(part.passage).to_owned())].into();
    }
    parts
}

fn word(passage: Passage) -> &'static str {
    match passage {
        Passage::Open => "open",
        Passage::Degraded => "degraded",
        Passage::Closed => "closed",
    }
}
