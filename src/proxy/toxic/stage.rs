//! One toxic at work on one connection: what it holds, in order, and when each piece goes on.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::super::delay::UNREAD;
use super::{Ending, Fate, Toxic, Treat};

/// What a toxic takes at once, at most.
pub(super) const PIECE: usize = 64 * 1024;
/// What a toxic holds that has no delay to fill.
pub(super) const ROOM: usize = 64 * 1024;
/// So many pieces are held, however small.
pub(super) const PIECES: usize = 4096;

/// Data, or its end.
#[derive(Debug)]
pub(super) enum Item {
    Data(Data),
    End(Ending),
}

/// Data of which the first bytes may have gone.
#[derive(Debug)]
pub(super) struct Data {
    bytes: Vec<u8>,
    gone: usize,
}

impl Data {
    pub fn new(bytes: Vec<u8>) -> Data {
        Data { bytes, gone: 0 }
    }

    pub fn left(&self) -> &[u8] {
        &self.bytes[self.gone..]
    }

    pub fn into_left(mut self) -> Vec<u8> {
        self.bytes.split_off(self.gone)
    }

    /// The first bytes of it, `most` at most, and whether that was all.
    pub fn split(&mut self, most: usize) -> (Data, bool) {
        let left = self.left().len();
        if left <= most {
            return (
                Data {
                    bytes: std::mem::take(&mut self.bytes),
                    gone: std::mem::take(&mut self.gone),
                },
                true,
            );
        }
        let first = Data::new(self.left()[..most].to_vec());
        self.gone += most;
        (first, false)
    }

    fn truncate(&mut self, left: usize) {
        self.bytes.truncate(self.gone + left);
    }
}

struct Held {
    item: Item,
    came: Instant,
    /// `None`: not as long as the settings stay.
    due: Option<Instant>,
}

/// A toxic at work.
pub(super) struct Stage {
    /// The toxic. The last stage of a chain is none, and has the id of the last one that was known when it was made.
    pub id: u64,
    pub toxic: Option<Toxic>,
    treat: Box<dyn Treat>,
    queue: VecDeque<Held>,
    bytes: usize,
    /// When the last item is due: none overtakes it.
    last: Option<Instant>,
    /// Its end has come; nothing can come behind.
    ended: bool,
    /// Its end has gone on.
    over: bool,
}

impl Stage {
    pub fn new(id: u64, toxic: Option<Toxic>, treat: Box<dyn Treat>) -> Stage {
        let queue = VecDeque::new();
        Stage { id, toxic, treat, queue, bytes: 0, last: None, ended: false, over: false }
    }

    /// Takes up the settings of `toxic`, which is the one it has with others.
    pub fn change(&mut self, toxic: &Toxic, now: Instant) {
        if self.toxic.as_ref().is_some_and(|old| old.kind != toxic.kind) {
            self.treat.change(&toxic.kind, now);
            self.last = None;
            for held in &mut self.queue {
                let due = match &held.item {
                    Item::Data(data) => self.treat.again(now, held.came, data.left().len()),
                    Item::End(_) => self.treat.end(now, held.came),
                };
                held.due = due.map(|due| self.last.map_or(due, |last| last.max(due)));
                self.last = held.due.or(self.last);
            }
        }
        self.toxic = Some(*toxic);
    }

    /// Puts an item behind what it holds.
    pub fn push(&mut self, item: Item, now: Instant) {
        if self.ended {
            return;
        }
        match item {
            Item::End(ending) => {
                let due = self.treat.end(now, now);
                self.end(ending, now, due);
            }
            Item::Data(mut data) => match self.treat.take(now, data.left().len()) {
                Fate::At(due) => self.hold(Item::Data(data), now, Some(due)),
                Fate::Held => self.hold(Item::Data(data), now, None),
                Fate::Lost => {}
                Fate::Last(left) => {
                    data.truncate(left);
                    if left > 0 {
                        self.hold(Item::Data(data), now, Some(now));
                    }
                    self.end(Ending::Close, now, Some(now));
                }
            },
        }
    }

    fn end(&mut self, ending: Ending, now: Instant, due: Option<Instant>) {
        self.ended = true;
        self.hold(Item::End(ending), now, due);
    }

    fn hold(&mut self, item: Item, came: Instant, due: Option<Instant>) {
        if let Item::Data(data) = &item {
            self.bytes += data.left().len();
        }
        let due = due.map(|due| self.last.map_or(due, |last| last.max(due)));
        self.last = due.or(self.last);
        self.queue.push_back(Held { item, came, due });
    }

    /// Takes out what is due: data, `most` bytes at most, or the end.
    pub fn pop(&mut self, now: Instant, most: usize) -> Option<Item> {
        if let Some(ending) = self.over_by_itself(now) {
            return Some(Item::End(ending));
        }
        let held = self.queue.front_mut().filter(|held| held.due.is_some_and(|due| due <= now))?;
        let (item, all) = match &mut held.item {
            Item::End(ending) => (Item::End(*ending), true),
            Item::Data(data) => {
                let (first, all) = data.split(most.max(1));
                self.bytes -= first.left().len();
                (Item::Data(first), all)
            }
        };
        if all {
            self.queue.pop_front();
        }
        self.over |= matches!(item, Item::End(_));
        Some(item)
    }

    /// How it ends the connection, if the time for that has come. What it holds is lost then.
    fn over_by_itself(&mut self, now: Instant) -> Option<Ending> {
        let ending = self.deadline(now)?;
        (self.ended, self.over) = (true, true);
        self.queue.clear();
        self.bytes = 0;
        Some(ending)
    }

    fn deadline(&self, now: Instant) -> Option<Ending> {
        let (due, ending) = self.treat.deadline().filter(|_| !self.over)?;
        (due <= now).then_some(ending)
    }

    /// Whether it is to end the connection by itself now.
    pub fn is_over(&self, now: Instant) -> bool {
        self.deadline(now).is_some()
    }

    /// Whether it is to reset the connection now.
    pub fn resets(&self, now: Instant) -> bool {
        self.deadline(now) == Some(Ending::Reset)
    }

    /// What is at the front, if it is due.
    pub fn front(&self, now: Instant) -> Option<&Item> {
        let held = self.queue.front().filter(|held| held.due.is_some_and(|due| due <= now))?;
        Some(&held.item)
    }

    /// Forgets the first `n` bytes of the data at the front; they are written.
    pub fn advance(&mut self, n: usize) {
        if let Some(Held { item: Item::Data(data), .. }) = self.queue.front_mut() {
            data.gone += n;
            self.bytes -= n;
            if data.left().is_empty() {
                self.queue.pop_front();
            }
        }
    }

    /// When something happens here next by time alone. What is due already waits for something else.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let deadline = self.treat.deadline().filter(|_| !self.over).map(|(due, _)| due);
        let front = self.queue.front().and_then(|held| held.due);
        deadline.into_iter().chain(front).filter(|due| *due > now).min()
    }

    /// How many bytes it takes at once.
    pub fn piece(&mut self) -> usize {
        self.treat.piece()
    }

    /// Whether it holds so many pieces that no more may come.
    pub fn is_crowded(&self) -> bool {
        self.queue.len() >= PIECES
    }

    #[cfg(test)]
    pub fn pieces(&self) -> usize {
        self.queue.len()
    }

    /// How many bytes may come.
    pub fn room(&self, now: Instant) -> usize {
        if self.is_crowded() {
            return 0;
        }
        let blocked = self.front(now).is_some();
        let room = self.treat.room();
        let room = if blocked { room.min(UNREAD) } else { room };
        room.saturating_sub(self.bytes)
    }

    /// All that it holds, in order, for whoever comes behind it: it is taken off.
    pub fn release(self) -> impl Iterator<Item = Item> {
        // Where bytes are missing nothing may come behind.
        let closes = (self.treat.is_final() && !self.over).then_some(Item::End(Ending::Close));
        closes.into_iter().chain(self.queue.into_iter().map(|held| held.item))
    }
}
