//! The contract put to the test, one control after another: each is back before the next is touched. Every change goes the
//! way of a drill's: through its journal, past its watchdog, and back by its restore.

mod close;
mod second_cut;

use std::panic::AssertUnwindSafe;

use futures_util::future::FutureExt;

use super::super::CALL_LIMIT;
use super::super::trial::Book;
use super::words::{changes, delays, foreign, parts, refusals};
use super::{Conductor, unwritten};
use crate::journal::{Hand, Last, Record};
use crate::model::{Act, ContractRecord, ControlCall, ControlState, Offset, Rule, RuleEnd, Why};
use crate::restore::{Reading, SETTLE, call_within};
use crate::traffic::Survivors;

/// What a second cut does that lands late.
const CUT_AGAIN: &str = "it was back, and cut again when it was looked at later: a call that it had accepted landed after that, or \
                         another hand cut it; it was put back once more";

/// Where in the calls a rule began, and when.
#[derive(Clone, Copy)]
struct Begun {
    rule: Rule,
    calls: usize,
    at: Offset,
}

impl Conductor {
    /// Puts every control to the test, and says what came of it.
    pub async fn keep_contract(mut self, mut book: Book) -> ContractRecord {
        let tested = AssertUnwindSafe(self.test_all(&mut book)).catch_unwind().await;
        if tested.is_err() {
            let text = "firedrill failed, which is a fault of its own; please report it";
            self.ending.cut_failed = Some(Why::new("internal", text));
            self.watch.deaf = true;
            self.ending.not_restored.clear();
            self.restore().await;
            self.compare_all();
        }
        // A cut that was accepted while one was in force shows by nothing that it has landed.
        self.look_again(false).await;
        self.close(book)
    }

    async fn test_all(&mut self, book: &mut Book) {
        for place in 0..self.held.len() {
            if !self.reads_alike(place, book).await {
                return;
            }
        }
        if !self.is_ready(book).await {
            return;
        }
        for place in 0..self.held.len() {
            if !self.is_clear().await || !self.test_one(place, book).await {
                return;
            }
        }
    }

    /// Everything that changes something at one control. False: the next is not to be touched.
    async fn test_one(&mut self, place: usize, book: &mut Book) -> bool {
        // Each control's cut has its own time.
        self.watch.observation.marks.cut_issued = None;
        // The snapshot may be old by now: what another hand did since is not to be undone.
        if let Err(why) = self.look_before_the_cut(place).await {
            if !self.is_stopped() {
                self.is_not_cut(place, why);
            }
            return false;
        }
        let mut good = self.restores_nothing(place, Rule::RestoreUncut, book).await;
        if !good || self.is_stopped() {
            return false;
        }
        // It was put back, but the journal did not take all of it.
        if let Some(why) = self.ending.cut_failed.take() {
            self.is_not_cut(place, why);
            return false;
        }
        good = self.is_cut(place, book).await
            && self.reads_cut(place, book)
            && !self.is_stopped()
            && self.cuts_nothing(place, book).await;
        if !self.held[place].last.is_open() {
            return false;
        }
        good &= self.restores(place, book).await;
        // Whoever stops it does not wait for more than the way back.
        if self.is_stopped() || !self.ending.not_restored.is_empty() {
            return false;
        }
        good &= self.restores_nothing(place, Rule::RestoreAgain, book).await;
        // Without a journal that takes everything, no other is cut.
        good && self.ending.cut_failed.is_none()
    }

    /// Notes why a control is not cut. Those before it are back; where there are none, nothing was cut.
    fn is_not_cut(&mut self, place: usize, why: Why) {
        match place {
            0 => self.refuse(why),
            _ => drop(self.ending.cut_failed.get_or_insert(why)),
        }
    }

    /// Notes why it has to stop, if it has to.
    fn is_stopped(&mut self) -> bool {
        let why = self.watch.stopped();
        why.into_iter().for_each(|why| self.stopping(why));
        self.ending.stopped.is_some() || !self.ending.not_started.is_empty()
    }

    /// Waits for the guardrails. False: nothing is to be cut beside them.
    async fn is_clear(&mut self) -> bool {
        let _ = self.watch.until_clear().await;
        if self.is_stopped() {
            return false;
        }
        self.ending.not_started.extend(self.watch.guards.unclear());
        self.ending.not_started.is_empty()
    }

    fn begin_rule(&self, rule: Rule) -> Begun {
        Begun { rule, calls: self.calls.len(), at: self.clock.now() }
    }

    /// Writes down and tells what came of a rule. False: it was not kept.
    fn end_rule(
        &mut self,
        place: usize,
        begun: Begun,
        kept: Result<String, (RuleEnd, String)>,
        book: &mut Book,
    ) -> bool {
        let name = self.held[place].name();
        let calls = self.calls[begun.calls..].iter().filter(|call| call.control == name);
        let (kept, text) = match kept {
            Ok(text) => (RuleEnd::Yes, text),
            Err(why) => why,
        };
        let times = (begun.at, self.clock.now());
        book.enter(place, &name, (begun.rule, kept, text), times, calls.cloned().collect());
        kept == RuleEnd::Yes
    }

    /// Reads it once, while it is cut not beyond its deadline. `None`: the test is to stop.
    async fn read(&mut self, place: usize) -> Option<Result<ControlState, String>> {
        let control = self.held[place].control.clone();
        let work = control.inspect();
        let is_cut = self.watch.observation.marks.cut_issued.is_some();
        let left = self.deadline().since(self.clock.now());
        let limit = if is_cut { CALL_LIMIT.min(left) } else { CALL_LIMIT };
        let read = call_within(limit, self.clock, &*control, Act::Inspect, work);
        let read = self.watch.unless_stopped(read).await;
        let Some(read) = read else {
            self.is_stopped();
            return None;
        };
        self.note(read.call);
        Some(read.result.map_err(|error| error.to_string()))
    }

    async fn reads_alike(&mut self, place: usize, book: &mut Book) -> bool {
        let begun = self.begin_rule(Rule::ReadsAlike);
        let Some(first) = self.read(place).await else { return false };
        let Some(second) = self.read(place).await else { return false };
        let kept = match (first, second) {
            (Ok(first), Ok(second)) if first == second => {
                let lead = first.parts_of(&self.plan.cut).count();
                Ok(format!(
                    "{}, of which {lead} lead to {}",
                    parts(first.parts.len()),
                    self.plan.lost()
                ))
            }
            (Ok(first), Ok(second)) => Err((RuleEnd::No, changes(&first, &second))),
            (Err(error), _) | (_, Err(error)) => {
                self.refuse(Why::new("control-unreadable", error.clone()));
                Err((RuleEnd::Refused, error))
            }
        };
        self.end_rule(place, begun, kept, book)
    }

    /// What preflight asks, as a drill does, and the snapshot written down. False: nothing is to be cut.
    async fn is_ready(&mut self, book: &mut Book) -> bool {
        let begun = self.begin_rule(Rule::Ready);
        let Some(reads) = self.read_all().await else { return false };
        for (place, (calls, read)) in reads.into_iter().enumerate() {
            let begun = Begun { calls: self.calls.len(), ..begun };
            calls.into_iter().for_each(|call| self.note(call));
            let known = self.ending.not_started.len();
            let survivors = match read {
                Ok((survivors, state)) => {
                    self.take(place, &survivors, state);
                    survivors
                }
                Err(error) => {
                    self.refuse(Why::new("control-unreadable", error.to_string()));
                    Vec::new()
                }
            };
            let refused = refusals(&self.ending.not_started[known..]);
            let (last, not_ready): (Vec<_>, Vec<_>) =
                refused.into_iter().partition(|(code, _)| code == "last-datacenter");
            let ready = |whys: Vec<(String, String)>, text: String| match whys.first() {
                None => Ok(text),
                Some((_, why)) => Err((RuleEnd::Refused, why.clone())),
            };
            let open = parts(self.held[place].ours(&self.plan.cut).parts.len());
            if self.end_rule(place, begun, ready(not_ready, format!("{open} to cut")), book) {
                let begun = Begun { rule: Rule::Survivors, calls: self.calls.len(), at: begun.at };
                self.end_rule(place, begun, ready(last, serving(&survivors)), book);
            }
        }
        if self.is_stopped() {
            return false;
        }
        let written = self.write_snapshot();
        written.err().into_iter().for_each(|why| self.refuse(why));
        self.ending.not_started.is_empty()
    }

    /// A restore where nothing is to be restored. False: it was no such, or the journal does not take it.
    async fn restores_nothing(&mut self, place: usize, rule: Rule, book: &mut Book) -> bool {
        let begun = self.begin_rule(rule);
        let control = self.held[place].name();
        // Before the act, as ever: should it change something, whoever comes after a crash puts that back.
        let intent = Record::RestoreIntended { control, by: Hand::Drill };
        if let Err(error) = self.journal.append(&intent) {
            match rule {
                Rule::RestoreUncut => self.is_not_cut(place, unwritten(&error)),
                _ => drop(self.ending.cut_failed.get_or_insert(unwritten(&error))),
            }
            return false;
        }
        self.held[place].last = Last::RestoreIntended;
        let failed = self.put_one_back(place).await;
        let calls = &self.calls[begun.calls..];
        let asked = || calls.iter().filter(|call| call.act == Act::Restore);
        let (count, refused) = (asked().count(), asked().find_map(|call| call.error.clone()));
        let kept = match (failed, self.differs(place), refused) {
            (Some(why), _, _) => Err(why),
            (None, Some(text), _) => {
                self.leave_to_a_person(place, &text);
                Err(text)
            }
            (None, None, Some(error)) => Err(format!("it was refused: {error}")),
            (None, None, None) if count > 1 => {
                Err(format!("after the first one it did not read as before; it did after {count}"))
            }
            (None, None, None) => Ok("reads as before".to_owned()),
        };
        self.end_rule(place, begun, kept.map_err(|why| (RuleEnd::No, why)), book)
    }

    /// The drill's own restore of one control. `Some`: why it is not known to be as it was.
    async fn put_one_back(&mut self, place: usize) -> Option<String> {
        let known = self.ending.not_restored.len();
        let task = self.held[place].task(&self.plan.cut);
        self.put_back(vec![place], vec![task]).await;
        let held = &self.held[place];
        let before = held.ours(&self.plan.cut);
        let now = held.after.as_ref();
        for why in &mut self.ending.not_restored[known..] {
            if let ("another-hand", Some(now)) = (why.code.as_str(), now) {
                let text = foreign(&before, &held.expected, now);
                let hint = "decide what is right and set it by hand";
                why.text = format!("{}: {text}: {hint}", held.name());
            }
        }
        let failed = refusals(&self.ending.not_restored[known..]).pop().map(|(_, why)| why);
        // What was known to be back was looked at again after all that could land.
        self.held[place].unsure &= failed.is_some();
        failed
    }

    /// What changed beside the parts to be cut is not firedrill's to put back.
    fn leave_to_a_person(&mut self, place: usize, changed: &str) {
        let text = format!(
            "{}: {changed}: the provider did that, or another hand; firedrill touches no part that it was \
             not to cut, so set it by hand",
            self.held[place].name()
        );
        self.ending.not_restored.push(Why::new("other-parts", text));
    }

    /// Cuts, and reads back until that is in effect.
    async fn is_cut(&mut self, place: usize, book: &mut Book) -> bool {
        book.begin(&self.held[place].name(), Rule::Cut, self.plan.timing.at_most);
        let begun = self.begin_rule(Rule::Cut);
        let done = self.cut_step(&[place]).await;
        let kept = match done {
            Ok(()) => Ok(delays(&self.calls[begun.calls..], Act::Cut)),
            Err(_) if self.watch.stopped().is_some() => {
                self.is_stopped();
                return false;
            }
            Err(why) if !self.held[place].last.is_open() => {
                self.is_not_cut(place, why.clone());
                Err((RuleEnd::Refused, why.text))
            }
            Err(why) if why.code == "journal" => {
                self.ending.cut_failed.get_or_insert(why);
                return false;
            }
            Err(why) => Err((RuleEnd::No, why.text)),
        };
        self.end_rule(place, begun, kept, book)
    }

    /// Looks at what was read when the cut was in effect.
    fn reads_cut(&mut self, place: usize, book: &mut Book) -> bool {
        let begun = self.begin_rule(Rule::ReadsCut);
        let held = &self.held[place];
        let before = held.before.clone().unwrap_or_default();
        let (ours, cut) = (held.ours(&self.plan.cut), held.cut.clone().unwrap_or_default());
        let reading = Reading::of(&cut, &ours, &held.expected);
        let mut beside = (before.clone(), cut.clone());
        for state in [&mut beside.0, &mut beside.1] {
            state.parts.retain(|name, _| !ours.parts.contains_key(name));
        }
        let kept = if beside.0 != beside.1 {
            let text = format!("it was not to touch that: {}", changes(&beside.0, &beside.1));
            Err((RuleEnd::No, text))
        } else if !reading.foreign.is_empty() {
            Err((RuleEnd::No, foreign(&ours, &held.expected, &cut)))
        } else if !reading.back.is_empty() {
            let text = format!("{} read as before the cut", reading.back.join(", "));
            Err((RuleEnd::No, text))
        } else {
            let others = parts(before.parts.len() - ours.parts.len());
            Ok(format!("{} cut, {others} as before", parts(ours.parts.len())))
        };
        self.end_rule(place, begun, kept, book)
    }

    /// Cuts what is cut. False: the control is not known to keep that rule, or the test is to stop.
    async fn cuts_nothing(&mut self, place: usize, book: &mut Book) -> bool {
        let begun = self.begin_rule(Rule::CutAgain);
        let Some(kept) = self.cut_again(place).await else { return false };
        self.end_rule(place, begun, kept, book)
    }

    /// Puts it back, by a control that is made anew as the watchdog and `firedrill restore` make theirs.
    async fn restores(&mut self, place: usize, book: &mut Book) -> bool {
        book.begin(&self.held[place].name(), Rule::Restore, self.restore_limit());
        let begun = self.begin_rule(Rule::Restore);
        let anew = book.reach(self.held[place].control.spec());
        let mut kept = Ok(());
        match anew {
            Ok(Some(control)) => self.held[place].control = control,
            Ok(None) => {}
            Err(error) => kept = Err(format!("from its settings alone: {error}")),
        }
        let failed = self.put_one_back(place).await;
        let is_back = failed.is_none();
        let kept = match failed.map_or(kept, Err) {
            Err(why) => Err(why),
            Ok(()) if self.held[place].cut_again => Err(CUT_AGAIN.to_owned()),
            Ok(()) => Ok(delays(first_try(&self.calls[begun.calls..]), Act::Restore)),
        };
        let good = self.end_rule(place, begun, kept.map_err(|why| (RuleEnd::No, why)), book);
        is_back && self.reads_before(place, book) && good
    }

    /// Looks at what was read when it was back.
    fn reads_before(&mut self, place: usize, book: &mut Book) -> bool {
        let begun = self.begin_rule(Rule::ReadsBefore);
        let kept = match self.differs(place) {
            None => Ok(parts(self.held[place].after.as_ref().map_or(0, |after| after.parts.len()))),
            Some(text) => {
                self.leave_to_a_person(place, &text);
                Err((RuleEnd::No, text))
            }
        };
        self.end_rule(place, begun, kept, book)
    }

    /// In what it differs from before the cut, by the last reading of its restore. What others added is judged as the restore
    /// judges it: not at all.
    fn differs(&self, place: usize) -> Option<String> {
        let held = &self.held[place];
        let before = held.before.clone().unwrap_or_default();
        let after = held.after.clone().unwrap_or_default();
        let after = held.control.but_for_others(after, &before);
        (before != after).then(|| changes(&before, &after))
    }

    /// Leaves to a person whatever is not as it was beside the parts that are back.
    fn compare_all(&mut self) {
        for place in 0..self.held.len() {
            if let (true, Some(text)) = (self.held[place].is_restored, self.differs(place)) {
                self.leave_to_a_person(place, &text);
            }
        }
    }
}

fn serving(survivors: &[Survivors]) -> String {
    if survivors.is_empty() {
        return "the control cannot tell who serves on".to_owned();
    }
    let left = survivors.iter().map(|group| format!("{}: {} left", group.group, group.left));
    left.collect::<Vec<_>>().join(", ")
}

/// The calls of a restore up to the pause after which it is looked at again, in case that a call landed late.
fn first_try(calls: &[ControlCall]) -> &[ControlCall] {
    let paused = |pair: &[ControlCall]| pair[1].issued.since(pair[0].done) >= SETTLE;
    let end = calls.windows(2).position(paused).map_or(calls.len(), |last| last + 1);
    &calls[..end]
}
