//! What a test of controls saw, in words.

use crate::model::{Act, ControlCall, ControlState, PartState, Passage, Shown, Why};
use crate::restore::Reading;

/// More parts than this are counted and not named.
const PARTS: usize = 5;

/// `1 part`, `4 parts`.
pub(super) fn parts(count: usize) -> String {
    if count == 1 { "1 part".to_owned() } else { format!("{count} parts") }
}

/// The codes and sentences of reasons.
pub(super) fn refusals(whys: &[Why]) -> Vec<(String, String)> {
    whys.iter().map(|why| (why.code.clone(), why.text.clone())).collect()
}

/// In which parts `now` differs from what `was`: `app/web1 was open with weight 10 and is closed`.
pub(super) fn changes(was: &ControlState, now: &ControlState) -> String {
    let names = was.differences(now);
    let word = |name: &String| {
        format!("{name} was {} and is {}", part(was.parts.get(name)), part(now.parts.get(name)))
    };
    listed(&names, word)
}

/// The parts of `now` that are neither as they `was` nor as `cut` makes them.
pub(super) fn foreign(was: &ControlState, cut: &ControlState, now: &ControlState) -> String {
    let names = Reading::of(now, was, cut).foreign;
    let word = |name: &String| {
        format!(
            "{name} was {}, the cut makes it {}, and it is {}",
            part(was.parts.get(name)),
            part(cut.parts.get(name)),
            part(now.parts.get(name))
        )
    };
    listed(&names, word)
}

fn listed(names: &[String], word: impl Fn(&String) -> String) -> String {
    let mut words: Vec<String> = names.iter().take(PARTS).map(word).collect();
    if let Some(more @ 1..) = names.len().checked_sub(PARTS) {
        words.push(format!("and {more} more"));
    }
    words.join("; ")
}

fn part(part: Option<&PartState>) -> String {
    let Some(part) = part else { return "not there".to_owned() };
    let passage = match part.passage {
        Passage::Open => "open",
        Passage::Degraded => "degraded",
        Passage::Closed => "closed",
    };
    // Some controls say it in a setting as well.
    let settings = part.settings.iter().filter(|(_, value)| value.as_str() != passage);
    let settings: Vec<String> = settings.map(|(name, value)| format!("{name} {value}")).collect();
    match settings.is_empty() {
        true => passage.to_owned(),
        false => format!("{passage} with {}", settings.join(", ")),
    }
}

/// How long it took from asking for `act` until that was accepted, and until it was in effect.
pub(super) fn delays(calls: &[ControlCall], act: Act) -> String {
    let good = || calls.iter().filter(|call| call.error.is_none());
    let asked = || calls.iter().filter(|call| call.act == act);
    let (Some(first), Some(accepted)) = (asked().next(), good().find(|call| call.act == act))
    else {
        return String::new();
    };
    let accepted_after = Shown(accepted.done.since(first.issued));
    let read = calls.iter().rfind(|call| call.act == Act::Inspect && call.error.is_none());
    let in_effect = read.map_or(accepted.done, |read| read.done).since(first.issued);
    let again = match asked().count() {
        0 | 1 => String::new(),
        count => format!(", asked {count} times"),
    };
    format!("accepted after {accepted_after}, in effect after {}{again}", Shown(in_effect))
}
