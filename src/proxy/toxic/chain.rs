//! The toxics of one direction of one connection, one behind the other.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::super::delay::{Schedule, UNDER_WAY};
use super::super::gate::Degradation;
use super::stage::{self, Data, Item, Stage};
use super::{Ending, Fate, Kind, Stream, Toxic, Toxics, Treat, treat};

/// Data on its way through the toxics that this connection has.
pub(in crate::proxy) struct Chain {
    /// What it was made for: the toxics, and the degradation behind them with the state of the gate that it is of.
    revision: u64,
    degraded: Option<u64>,
    /// Decides which toxics the connection has.
    seed: u64,
    /// In the order in which data passes. The last one only leads out, and degrades while that is in force.
    stages: Vec<Stage>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What is to be written.
pub(in crate::proxy) enum Out<'a> {
    Data(&'a [u8]),
    End(Ending),
}

impl Chain {
    pub fn new() -> Chain {
        let stages = vec![Stage::new(0, None, Box::new(Outlet(None)))];
        Chain { revision: 0, degraded: None, seed: fastrand::u64(..), stages, timer: None }
    }

    /// Becomes what `toxics` say, and `degradation` with the epoch that it is of. What is held by stages that are gone
    /// goes on to those behind them.
    pub fn sync(
        &mut self,
        toxics: &Toxics,
        stream: Stream,
        degradation: Option<(u64, Degradation)>,
        now: Instant,
    ) {
        let epoch = degradation.map(|(epoch, _)| epoch);
        if self.revision == toxics.revision && self.degraded == epoch {
            return;
        }
        let mut old: Vec<Stage> = std::mem::take(&mut self.stages);
        let newest = old.last().map_or(0, |outlet| outlet.id);
        let mut gone = Vec::new();
        let seed = self.seed;
        for toxic in toxics.of(stream).iter().filter(|toxic| has(seed, toxic)) {
            match old.iter().position(|stage| stage.toxic.is_some_and(|it| it.id == toxic.id)) {
                Some(at) => {
                    gone.extend(old.drain(..at));
                    let mut stage = old.remove(0);
                    stage.change(toxic, now);
                    self.stages.push(stage);
                }
                None => {
                    self.stages.push(Stage::new(toxic.id, Some(*toxic), treat(&toxic.kind, now)))
                }
            }
        }
        gone.append(&mut old);
        let newest = self.stages.last().map_or(newest, |last| last.id.max(newest));
        let schedule = degradation.map(|(_, how)| Schedule::new(how, now));
        self.stages.push(Stage::new(newest, None, Box::new(Outlet(schedule))));
        // What stands furthest behind is oldest.
        for stage in gone.into_iter().rev() {
            let id = stage.id;
            let behind = self.stages.iter().position(|it| it.toxic.is_none() || it.id > id);
            let behind = behind.unwrap_or(self.stages.len() - 1);
            for item in stage.release() {
                self.stages[behind].push_whole(item, now);
            }
        }
        (self.revision, self.degraded) = (toxics.revision, epoch);
    }

    /// How many bytes it takes now.
    pub fn room(&self, now: Instant) -> usize {
        self.stages.first().map_or(0, |first| first.room(now))
    }

    /// Data that was read.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        if let Some(first) = self.stages.first_mut() {
            first.push_whole(Item::Data(Data::new(bytes.to_vec())), now);
        }
    }

    /// The end of what can be read.
    pub fn end(&mut self, ending: Ending, now: Instant) {
        if let Some(first) = self.stages.first_mut() {
            first.push(Item::End(ending), now);
        }
    }

    /// Lets everything go on that is due, as far as there is room for it.
    pub fn pump(&mut self, now: Instant) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for at in (1..self.stages.len()).rev() {
                let (before, behind) = self.stages.split_at_mut(at);
                let (Some(from), Some(to)) = (before.last_mut(), behind.first_mut()) else {
                    return;
                };
                if from.resets(now) {
                    return; // whoever asks for what is at the front hears of it
                }
                // An end of its own making waits for nothing.
                while to.room(now) > 0 || from.is_over(now) {
                    let most = to.piece();
                    let Some(item) = from.pop(now, most) else { break };
                    to.push(item, now);
                    moved = true;
                }
            }
        }
    }

    /// What is to be written now.
    pub fn front(&self, now: Instant) -> Option<Out<'_>> {
        // A reset throws away what is under way.
        if self.stages.iter().any(|stage| stage.resets(now)) {
            return Some(Out::End(Ending::Reset));
        }
        self.stages.last()?.front(now).map(|item| match item {
            Item::Data(data) => Out::Data(data.left()),
            Item::End(ending) => Out::End(*ending),
        })
    }

    /// Forgets the first `n` bytes of it; they are written.
    pub fn advance(&mut self, n: usize) {
        if let Some(outlet) = self.stages.last_mut() {
            outlet.advance(n);
        }
    }

    /// Waits until time alone brings something on.
    pub fn poll_due(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let Some(due) = self.stages.iter().filter_map(|stage| stage.next(now)).min() else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }

    /// How many pieces the fullest of its stages holds.
    #[cfg(test)]
    pub fn pieces(&self) -> usize {
        self.stages.iter().map(Stage::pieces).max().unwrap_or_default()
    }

    /// All that is under way, the oldest first, and the end if one is: the toxics are gone.
    pub fn dissolve(self) -> (Vec<Vec<u8>>, Option<Ending>) {
        let (mut data, mut end) = (Vec::new(), None);
        for item in self.stages.into_iter().rev().flat_map(Stage::release) {
            match item {
                _ if end.is_some() => break,
                Item::Data(piece) => data.push(piece.into_left()),
                Item::End(ending) => end = Some(ending),
            }
        }
        (data, end)
    }
}

/// Whether a connection with this seed has `toxic`.
fn has(seed: u64, toxic: &Toxic) -> bool {
    let mixed = seed ^ toxic.id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    fastrand::Rng::with_seed(mixed).f64() < toxic.toxicity
}

impl Stage {
    /// Takes an item piece by piece, as the toxic wants them. What a toxic that is taken off held may be far more than this one
    /// would have taken, and in pieces of one byte it would fill the memory: where it holds enough, pieces stay as they are.
    fn push_whole(&mut self, item: Item, now: Instant) {
        match item {
            Item::End(_) => self.push(item, now),
            Item::Data(mut data) => loop {
                let most = if self.is_crowded() { usize::MAX } else { self.piece().max(1) };
                let (first, all) = data.split(most);
                self.push(Item::Data(first), now);
                if all {
                    return;
                }
            },
        }
    }
}

/// Leads out of the chain, over the degraded path if there is one.
struct Outlet(Option<Schedule>);

impl Treat for Outlet {
    fn piece(&mut self) -> usize {
        self.0.as_ref().map_or(stage::PIECE, Schedule::piece)
    }

    fn room(&self) -> usize {
        self.0.as_ref().map_or(stage::ROOM, |schedule| schedule.under_way().min(UNDER_WAY))
    }

    fn take(&mut self, now: Instant, bytes: usize) -> Fate {
        Fate::At(match &mut self.0 {
            Some(schedule) => schedule.arrival(now, bytes, fastrand::f64),
            None => now,
        })
    }

    fn end(&mut self, now: Instant, _: Instant) -> Option<Instant> {
        Some(self.0.as_mut().map_or(now, |schedule| schedule.arrival(now, 0, fastrand::f64)))
    }

    fn change(&mut self, _: &Kind, _: Instant) {}
}
