//! Each row of the table from end to end, and what must not hold a restore up.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::clock::Clock;
use crate::journal::{Append, Entry, Hand, Last, Record};
use crate::model::{
    Act, ControlSpec, ControlState, CutOrder, DatacenterId, Offset, PartState, Passage, Provider,
};
use crate::traffic::{ControlError, TrafficControl};

const LIMITS: Limits = Limits { total: Duration::from_secs(10), call: Duration::from_secs(15) };

/// Parts by name, each with its one setting.
fn state(parts: &[(&str, &str)]) -> ControlState {
    let part = |word: &str| PartState {
        datacenter: DatacenterId(0),
        passage: if word == "ready" { Passage::Open } else { Passage::Closed },
        settings: BTreeMap::from([("state".to_owned(), word.to_owned())]),
    };
    let parts = parts.iter().map(|(name, word)| ((*name).to_owned(), part(word)));
    ControlState { parts: parts.collect() }
}

fn before() -> ControlState {
    state(&[("a", "ready"), ("b", "ready")])
}

fn cut() -> ControlState {
    state(&[("a", "maint"), ("b", "maint")])
}

/// A control whose troubles end at a given time.
struct Fake {
    spec: ControlSpec,
    clock: Clock,
    now: Mutex<ControlState>,
    /// Until then it cannot be read, and until then it refuses.
    unreadable: Offset,
    refuses: Offset,
    /// Until then a reading is not answered at all.
    silent: Offset,
    only_ours: bool,
    asked: Mutex<Vec<(Act, Vec<String>)>>,
}

impl Fake {
    fn new(name: &str, clock: Clock, now: ControlState) -> Fake {
        let spec = ControlSpec { name: name.into(), provider: Provider::Lab };
        let [unreadable, refuses, silent] = [Offset::ZERO; 3];
        let (now, asked) = (now.into(), Mutex::default());
        Fake { spec, clock, now, unreadable, refuses, silent, only_ours: false, asked }
    }

    fn restores(&self) -> Vec<Vec<String>> {
        let asked = self.asked.lock().unwrap();
        let restores = asked.iter().filter(|(act, _)| *act == Act::Restore);
        restores.map(|(_, parts)| parts.clone()).collect()
    }

    fn says(&self) -> ControlState {
        self.now.lock().unwrap().clone()
    }
}

fn trouble(what: &str) -> ControlError {
    ControlError { what: what.to_owned(), hint: "try again".to_owned() }
}

#[async_trait]
impl TrafficControl for Fake {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        self.asked.lock().unwrap().push((Act::Inspect, Vec::new()));
        self.clock.sleep_until(self.silent).await;
        match self.clock.now() < self.unreadable {
            true => Err(trouble("no route to it")),
            false => Ok(self.says()),
        }
    }

    async fn cut(&self, _: &CutOrder, _: &ControlState) -> Result<(), ControlError> {
        unreachable!("a restore never cuts")
    }

    fn cut_state(&self, _: &CutOrder, _: &ControlState) -> ControlState {
        cut()
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let names = snapshot.parts.keys().cloned().collect();
        self.asked.lock().unwrap().push((Act::Restore, names));
        if self.clock.now() < self.refuses {
            return Err(trouble("busy"));
        }
        self.now.lock().unwrap().parts.extend(snapshot.parts.clone());
        Ok(())
    }

    fn takes_back_only_ours(&self) -> bool {
        self.only_ours
    }

    fn by_hand(&self, _: &ControlState) -> Vec<String> {
        Vec::new()
    }
}

/// A journal of nothing but the records' kinds, with the time of each; it may be broken.
struct Paper {
    clock: Clock,
    broken: bool,
    lines: Vec<(Offset, String)>,
}

impl Append for Paper {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let line = match record {
            Record::RestoreIntended { control, .. } => format!("intended {control}"),
            Record::RestoreConfirmed { control, .. } => format!("confirmed {control}"),
            other => format!("{other:?}"),
        };
        self.lines.push((self.clock.now(), line));
        if self.broken { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn task(control: &Arc<Fake>, last: Last) -> Task {
    Task {
        control: control.clone(),
        before: before(),
        cut: cut(),
        last,
        first: First::Reading,
        foreign: Vec::new(),
        blind: true,
        look_again: false,
    }
}

async fn put_back(tasks: Vec<Task>, paper: &mut Paper, hurry: bool) -> (Vec<End>, io::Result<()>) {
    let (clock, hurry) = (paper.clock, watch::channel(hurry).1);
    let (done, written) = put_all_back(tasks, Hand::Person, paper, clock, LIMITS, hurry).await;
    (done.into_iter().map(|done| done.end).collect(), written)
}

fn paper(clock: Clock) -> Paper {
    Paper { clock, broken: false, lines: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn each_row_of_the_table_from_end_to_end() {
    let foreign = state(&[("a", "drain"), ("b", "maint")]);
    for last in Last::ALL {
        for (says, now) in [("back", before()), ("cut", cut()), ("neither", foreign.clone())] {
            let clock = Clock::start();
            let control = Arc::new(Fake::new("wan", clock, now.clone()));
            let mut paper = paper(clock);
            let (ends, _) = put_back(vec![task(&control, last)], &mut paper, false).await;
            let about = format!("{last:?}, {says}: {ends:?}");
            let lines: Vec<&str> = paper.lines.iter().map(|(_, line)| line.as_str()).collect();
            if !last.is_open() {
                assert_eq!((&ends[0], control.says()), (&End::Untouched, now), "{about}");
                assert!(lines.is_empty() && control.restores().is_empty(), "{about}");
            } else if says == "neither" {
                assert_eq!(ends[0], End::Foreign(vec!["a".to_owned()]), "{about}");
                assert_eq!(control.says(), state(&[("a", "drain"), ("b", "ready")]), "{about}");
                assert!(control.restores().iter().all(|parts| *parts == ["b"]), "{about}");
                assert_eq!(lines, ["intended wan"], "{about}");
            } else {
                let undone = last == Last::CutConfirmed && says == "back";
                assert_eq!(ends[0], End::Restored { undone }, "{about}");
                assert_eq!(control.says(), before(), "{about}");
                assert!(!control.restores().is_empty(), "{about}: readings may be old");
                assert_eq!(lines, ["intended wan", "confirmed wan"], "{about}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_answers_is_not_restored_and_holds_up_no_other() {
    let clock = Clock::start();
    let far = Offset::from_millis(3_600_000);
    let silent =
        Arc::new(Fake { unreadable: far, refuses: far, ..Fake::new("silent", clock, cut()) });
    let others = ["one", "two"].map(|name| Arc::new(Fake::new(name, clock, cut())));
    let all = [&silent, &others[0], &others[1]];
    let tasks = all.map(|control| task(control, Last::CutConfirmed)).into();
    let mut paper = paper(clock);
    let (ends, _) = put_back(tasks, &mut paper, false).await;
    assert!(matches!(&ends[0], End::Failed(_)), "{ends:?}");
    assert_eq!(ends[1..], [End::Restored { undone: false }, End::Restored { undone: false }]);
    assert!(silent.restores().len() > 3, "put back blindly while nothing can be read");
    let confirmed = paper.lines.iter().filter(|(_, line)| line.starts_with("confirmed"));
    let at: Vec<Offset> = confirmed.map(|(at, _)| *at).collect();
    assert!(at.len() == 2 && at[1] < Offset::from_millis(100), "written as soon as known: {at:?}");
}

#[tokio::test(start_paused = true)]
async fn hurry_shortens_the_waits_between_tries() {
    let mut took = Vec::new();
    for hurry in [false, true] {
        let clock = Clock::start();
        let refuses = Offset::from_millis(2_700);
        let control = Arc::new(Fake { refuses, ..Fake::new("wan", clock, cut()) });
        let mut paper = paper(clock);
        let (ends, _) = put_back(vec![task(&control, Last::CutConfirmed)], &mut paper, hurry).await;
        assert_eq!(ends[0], End::Restored { undone: false });
        took.push(clock.now());
    }
    assert!(took[1] < Offset::from_millis(2_950) && took[0] > took[1], "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn no_hurry_shortens_the_wait_for_what_may_still_land() {
    let clock = Clock::start();
    let control = Arc::new(Fake::new("wan", clock, before()));
    let late = control.clone();
    tokio::spawn(async move {
        tokio::time::sleep(SETTLE - Duration::from_millis(10)).await;
        *late.now.lock().unwrap() = cut();
    });
    let mut paper = paper(clock);
    let task = Task { look_again: true, ..task(&control, Last::CutIntended) };
    let (ends, _) = put_back(vec![task], &mut paper, true).await;
    assert_eq!((&ends[0], control.says()), (&End::Restored { undone: false }, before()));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_stops_no_restore() {
    let clock = Clock::start();
    let control = Arc::new(Fake::new("wan", clock, cut()));
    let mut paper = Paper { broken: true, ..paper(clock) };
    let tasks = vec![task(&control, Last::CutConfirmed)];
    let (ends, written) = put_back(tasks, &mut paper, false).await;
    assert_eq!((&ends[0], control.says()), (&End::Restored { undone: false }, before()));
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_to_be_another_hands_is_not_touched_blindly_either() {
    let clock = Clock::start();
    let now = state(&[("a", "drain"), ("b", "maint")]);
    let unreadable = Offset::from_millis(1_500);
    let control = Arc::new(Fake { unreadable, ..Fake::new("wan", clock, now) });
    let mut paper = paper(clock);
    let foreign = vec!["a".to_owned()];
    let task = Task { foreign: foreign.clone(), ..task(&control, Last::CutConfirmed) };
    let (ends, _) = put_back(vec![task], &mut paper, false).await;
    assert_eq!(ends[0], End::Foreign(foreign));
    assert_eq!(control.says(), state(&[("a", "drain"), ("b", "ready")]));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_through_the_limit_still_looks_at_what_it_did() {
    let clock = Clock::start();
    let control = Arc::new(Fake::new("wan", clock, cut()));
    let mut paper = paper(clock);
    let task = Task { look_again: true, ..task(&control, Last::CutConfirmed) };
    let tasks = vec![task];
    let mut work = Box::pin(put_back(tasks, &mut paper, false));
    // Up to the wait for what may still land.
    let early = tokio::time::timeout(Duration::from_millis(500), &mut work).await;
    assert!(early.is_err());
    tokio::time::advance(Duration::from_secs(3600)).await;
    let (ends, _) = work.await;
    assert_eq!(ends[0], End::Restored { undone: false });
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_nobody_read_back_is_looked_at_before_it_is_undone() {
    let clock = Clock::start();
    let foreign = state(&[("a", "drain"), ("b", "maint")]);
    let control = Arc::new(Fake::new("wan", clock, foreign.clone()));
    let task = Task { first: First::Glance, ..task(&control, Last::CutIntended) };
    let (ends, _) = put_back(vec![task], &mut paper(clock), false).await;
    assert_eq!(ends, [End::Foreign(vec!["a".to_owned()])]);
    assert_eq!(control.restores(), [["b"]], "what was ours came back");
    assert_eq!(control.says(), state(&[("a", "drain"), ("b", "ready")]));
}

#[tokio::test(start_paused = true)]
async fn a_glance_that_is_not_answered_holds_no_restore_up() {
    let clock = Clock::start();
    let silent = clock.now().plus(Duration::from_secs(30));
    let control = Arc::new(Fake { silent, ..Fake::new("wan", clock, cut()) });
    let task = Task { first: First::Glance, blind: false, ..task(&control, Last::CutIntended) };
    let mut paper = paper(clock);
    let back = put_back(vec![task], &mut paper, false);
    let until = clock.sleep_until(clock.now().plus(Duration::from_millis(2100)));
    tokio::select! {
        _ = back => panic!("nothing was read yet"),
        () = until => {}
    }
    assert_eq!(control.says(), before());
}

#[tokio::test(start_paused = true)]
async fn a_person_restores_unread_only_what_can_undo_no_other_hand() {
    for only_ours in [true, false] {
        let clock = Clock::start();
        let unreadable = clock.now().plus(Duration::from_secs(60));
        let control = Arc::new(Fake { unreadable, only_ours, ..Fake::new("wan", clock, cut()) });
        let (spec, last) = (control.spec.clone(), Last::CutConfirmed);
        let entry = Entry { control: spec, before: before(), cut: cut(), last, by: None };
        let task = super::run::task(&entry, control.clone(), Hand::Person);
        let (ends, _) = put_back(vec![task], &mut paper(clock), false).await;
        assert!(matches!(ends[..], [End::Failed(_)]), "nobody saw it come back: {ends:?}");
        assert_eq!(control.says(), if only_ours { before() } else { cut() });
    }
}
