//! What a control says now, laid beside the snapshot and our cut.

use crate::journal::Says;
use crate::model::{ControlState, PartState};
use crate::traffic::TrafficControl;

/// The parts that a restore is about, sorted by what they say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// As in the snapshot.
    pub back: Vec<String>,
    /// As our cut makes them, in whole or in part.
    pub cut: Vec<String>,
    /// Neither, or gone: another hand.
    pub foreign: Vec<String>,
}

impl Reading {
    /// [`Reading::of`] what `control` itself counts as ours of `now`.
    pub fn at(
        control: &dyn TrafficControl,
        now: &ControlState,
        before: &ControlState,
        cut: &ControlState,
    ) -> Reading {
        Reading::of(&control.but_for_others(now.clone(), before), before, cut)
    }

    /// Sorts the parts of `before` by what `now` says of them; `cut` is what our cut makes of them. Parts that
    /// `before` does not have are not ours to judge.
    pub fn of(now: &ControlState, before: &ControlState, cut: &ControlState) -> Reading {
        let mut reading = Reading::default();
        for (name, was) in &before.parts {
            let list = match now.parts.get(name) {
                Some(is) if is == was => &mut reading.back,
                Some(is) if is_ours(is, was, cut.parts.get(name)) => &mut reading.cut,
                _ => &mut reading.foreign,
            };
            list.push(name.clone());
        }
        reading
    }

    /// The same in a word: the table's column.
    pub fn says(&self) -> Says {
        match (self.foreign.is_empty(), self.cut.is_empty()) {
            (false, _) => Says::Neither,
            (true, false) => Says::Cut,
            (true, true) => Says::NotCut,
        }
    }
}

/// Whether every setting has its value of before or of our cut, and at least one that of the cut: a cut that
/// was carried out by half is ours too. A setting that neither names says nothing.
fn is_ours(is: &PartState, was: &PartState, cut: Option<&PartState>) -> bool {
    let Some(cut) = cut else { return false };
    let mut changed = false;
    for (key, value) in &is.settings {
        let (before, ours) = (was.settings.get(key), cut.settings.get(key));
        let (as_before, as_cut) = (before == Some(value), ours == Some(value));
        if !as_before && !as_cut && (before.is_some() || ours.is_some()) {
            return false;
        }
        changed |= as_cut && !as_before;
    }
    changed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{DatacenterId, Passage};

    fn state(parts: &[(&str, &[(&str, &str)])]) -> ControlState {
        let part = |settings: &[(&str, &str)]| PartState {
            datacenter: DatacenterId(0),
            passage: if settings[0].1 == "ready" { Passage::Open } else { Passage::Closed },
            settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let parts = parts.iter().map(|(name, settings)| ((*name).to_owned(), part(settings)));
        ControlState { parts: parts.collect::<BTreeMap<_, _>>() }
    }

    fn says(now: &[(&str, &str)]) -> Says {
        let before = state(&[("web", &[("state", "ready"), ("agent", "enabled")])]);
        let cut = state(&[("web", &[("state", "maint"), ("agent", "disabled")])]);
        Reading::of(&state(&[("web", now), ("other", &[("state", "x")])]), &before, &cut).says()
    }

    #[test]
    fn settings_of_before_and_of_our_cut_are_told_from_those_of_another_hand() {
        assert_eq!(says(&[("state", "ready"), ("agent", "enabled")]), Says::NotCut);
        assert_eq!(says(&[("state", "maint"), ("agent", "disabled")]), Says::Cut);
        assert_eq!(says(&[("state", "ready"), ("agent", "disabled")]), Says::Cut, "by half");
        let with_weight = [("state", "maint"), ("agent", "disabled"), ("weight", "7")];
        assert_eq!(says(&with_weight), Says::Cut, "shown only while the agent is paused");
        assert_eq!(says(&[("state", "drain"), ("agent", "enabled")]), Says::Neither);
        assert_eq!(says(&[("state", "drain"), ("agent", "disabled")]), Says::Neither);
    }

    #[test]
    fn a_part_that_is_gone_or_closed_by_other_means_is_another_hands() {
        let before = state(&[("web", &[("state", "ready")])]);
        let cut = state(&[("web", &[("state", "maint")])]);
        let gone = Reading::of(&ControlState::default(), &before, &cut);
        assert_eq!((gone.says(), gone.foreign), (Says::Neither, vec!["web".to_owned()]));
        let mut tracked = before.clone();
        tracked.parts.get_mut("web").unwrap().passage = Passage::Closed;
        assert_eq!(Reading::of(&tracked, &before, &cut).says(), Says::Neither);
    }
}
