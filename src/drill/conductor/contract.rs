//! The contract put to the test, one control after another: each is back before the next is touched. Every change goes the
//! way of a drill's: through its journal, past its watchdog, and back by its restore.

use std::panic::AssertUnwindSafe;

use futures_util::future::FutureExt;

use super::super::CALL_LIMIT;
use super::super::controls::Held;
use super::super::trial::Book;
use super::words::{changes, delays, foreign, parts, refusals};
use super::{Conductor, unwritten};
use crate::journal::{Hand, Last, Record};
use crate::measure::Ending;
use crate::model::{
    Act, ContractRecord, ControlState, CutOrder, Offset, Rule, RuleEnd, TestedControl, Verdict, Why,
};
use crate::restore::{Reading, call_within};
use crate::traffic::Survivors;
use crate::watchdog::Phase;

/// What a cut that is in effect changes when it is cut again, it changes by then; so long traffic stays cut for this.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

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
        }
        self.close(book)
    }

    async fn test_all(&mut self, book: &mut Book) {
        for place in 0..self.held.len() {
            if !self.reads_alike(place, book).await {
                return;
            }
        }
        if !self.is_ready(book).await || !self.is_clear().await {
            return;
        }
        for place in 0..self.held.len() {
            if !self.test_one(place, book).await {
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
            match (self.is_stopped(), place) {
                (true, _) => {}
                (false, 0) => self.refuse(why),
                (false, _) => drop(self.ending.cut_failed.get_or_insert(why)),
            }
            return false;
        }
        let mut good = self.restores_nothing(place, Rule::RestoreUncut, book).await;
        if !good || self.is_stopped() {
            return false;
        }
        good = self.is_cut(place, book).await;
        if good && self.reads_cut(place, book) && !self.is_stopped() {
            good = self.cuts_nothing(place, book).await;
        } else {
            good = false;
        }
        if !self.held[place].last.is_open() {
            return false;
        }
        good &= self.restores(place, book).await;
        // Whoever stops it does not wait for more than the way back.
        if self.is_stopped() || !self.ending.not_restored.is_empty() {
            return false;
        }
        self.restores_nothing(place, Rule::RestoreAgain, book).await && good
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
            match (rule, place) {
                (Rule::RestoreUncut, 0) => self.refuse(unwritten(&error)),
                _ => drop(self.ending.cut_failed.get_or_insert(unwritten(&error))),
            }
            return false;
        }
        self.held[place].last = Last::RestoreIntended;
        let before = self.held[place].before.clone().unwrap_or_default();
        let failed = self.put_one_back(place).await;
        let calls = &self.calls[begun.calls..];
        let asked = || calls.iter().filter(|call| call.act == Act::Restore);
        let after = self.held[place].after.clone().unwrap_or_default();
        let refused = asked().find_map(|call| call.error.clone());
        let kept = match (failed, refused) {
            (Some(why), _) => Err(why),
            (None, Some(error)) => Err(format!("it was refused: {error}")),
            (None, None) if after != before => {
                let text = changes(&before, &after);
                self.leave_to_a_person(place, &text);
                Err(text)
            }
            (None, None) if asked().count() > 1 => {
                let asked = asked().count();
                Err(format!("after the first one it did not read as before; it did after {asked}"))
            }
            (None, None) => Ok("reads as before".to_owned()),
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
            Err(why) if why.code == "journal" => {
                self.ending.cut_failed.get_or_insert(why);
                return false;
            }
            Err(why) if !self.held[place].last.is_open() => {
                // No control but this one may have been cut: those before are back.
                match place {
                    0 => self.refuse(why.clone()),
                    _ => drop(self.ending.cut_failed.get_or_insert(why.clone())),
                }
                Err((RuleEnd::Refused, why.text))
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

    /// Cuts what is cut. Traffic does not stay cut beyond its deadline for it.
    async fn cuts_nothing(&mut self, place: usize, book: &mut Book) -> bool {
        let begun = self.begin_rule(Rule::CutAgain);
        let held = &mut self.held[place];
        let (control, before) = (held.control.clone(), held.before.clone().unwrap_or_default());
        let cut = held.cut.clone().unwrap_or_default();
        // It may land after whatever follows.
        held.unsure = true;
        let (clock, deadline, order) = (self.clock, self.deadline(), self.plan.cut.clone());
        let limit = CALL_LIMIT.min(deadline.since(clock.now()));
        let work = control.cut(&order, &before);
        let asked = call_within(limit, clock, &*control, Act::Cut, work);
        let Some(asked) = self.watch.unless_stopped(asked).await else { return false };
        self.note(asked.call);
        if let Err(error) = asked.result {
            return self.end_rule(place, begun, Err((RuleEnd::No, error.to_string())), book);
        }
        let until = clock.now().plus(AGAIN).min(deadline);
        let kept = loop {
            let Some(read) = self.read(place).await else { return false };
            let differs = match read {
                Ok(state) if state == cut => break Ok("reads as after the first".to_owned()),
                Ok(state) => changes(&cut, &state),
                Err(error) => error,
            };
            if clock.now() >= until {
                break Err((RuleEnd::No, differs));
            }
            let pause = clock.sleep_until(clock.now().plus(control.pause()).min(until));
            if self.watch.unless_stopped(pause).await.is_none() {
                return false;
            }
        };
        self.held[place].unsure = kept.is_err();
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
        let kept = match (failed, kept) {
            (Some(why), _) => Err(why),
            (None, kept) => kept.map(|()| delays(&self.calls[begun.calls..], Act::Restore)),
        };
        if !self.end_rule(place, begun, kept.map_err(|why| (RuleEnd::No, why)), book) {
            return false;
        }
        let begun = self.begin_rule(Rule::ReadsBefore);
        let before = self.held[place].before.clone().unwrap_or_default();
        let after = self.held[place].after.clone().unwrap_or_default();
        let kept = match before == after {
            true => Ok(parts(after.parts.len())),
            false => {
                let text = changes(&before, &after);
                self.leave_to_a_person(place, &text);
                Err((RuleEnd::No, text))
            }
        };
        self.end_rule(place, begun, kept, book)
    }

    fn close(mut self, book: Book) -> ContractRecord {
        let Ending { not_restored, not_started, stopped, cut_failed } =
            std::mem::take(&mut self.ending);
        let mut broken = book.broken();
        // What is said of traffic that is not back need not be said twice.
        broken.retain(|rule| !not_restored.iter().any(|why| rule.text.contains(&why.text)));
        let (verdict, reasons) = if !not_restored.is_empty() {
            (Verdict::NotRestored, [not_restored, broken].concat())
        } else if !not_started.is_empty() && !book.has_cut() {
            (Verdict::NotStarted, [not_started, broken].concat())
        } else if !not_started.is_empty() {
            // Before the cut of a control that is not the first.
            (Verdict::Stopped, [not_started, broken].concat())
        } else if let Some(stopped) = stopped {
            (Verdict::Stopped, [vec![stopped], broken].concat())
        } else if !broken.is_empty() {
            (Verdict::Fail, [broken, cut_failed.into_iter().collect()].concat())
        } else if let Some(why) = cut_failed {
            (Verdict::Inconclusive, vec![why])
        } else {
            (Verdict::Pass, Vec::new())
        };
        if self.opened {
            // Without this line a reader of the journal looks at the controls once more: no harm.
            let _ = self.journal.append(&Record::Closed { verdict });
        }
        // Whatever is left is a person's work from here on.
        self.watch.beat(Phase::Ended);
        let is_back = verdict != Verdict::NotRestored;
        let controls = self.held.iter().zip(book.into_rules()).map(|(held, rules)| {
            let spec = held.control.spec();
            TestedControl {
                name: spec.name.clone(),
                provider: spec.provider.key().to_owned(),
                place: spec.provider.settings().place(),
                rules,
                by_hand: if is_back { Vec::new() } else { by_hand(held, &self.plan.cut) },
            }
        });
        ContractRecord {
            format: ContractRecord::FORMAT,
            firedrill: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.run,
            started_at: self.started_at,
            plan: self.plan.name.clone(),
            file: self.file.path,
            lost: self.plan.lost(),
            mode: self.plan.cut.mode.kind(),
            verdict,
            reasons,
            controls: controls.collect(),
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

/// How a person puts back what differs, or all of it where that is not known.
fn by_hand(held: &Held, order: &CutOrder) -> Vec<String> {
    let (Some(before), true) = (&held.before, held.is_touched()) else { return Vec::new() };
    let wrong = match &held.after {
        None => held.ours(order),
        Some(after) => {
            let mut wrong = before.clone();
            wrong.parts.retain(|name, part| after.parts.get(name) != Some(part));
            wrong
        }
    };
    if wrong.parts.is_empty() { Vec::new() } else { held.control.by_hand(&wrong) }
}
