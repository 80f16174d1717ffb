//! The threads that tell: one for each who is told, so that none waits for another, and nobody for any of them.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::grafana;
use super::news::News;
use super::post::{Effort, post};
use crate::clock::Clock;
use crate::model::{
    Delivery, Name, Notification, NotificationRecord, NotifyEvent, NotifyKind, Offset,
};
use crate::probe::{Connector, SystemConnector};

/// Messages that may wait for one who does not answer; more are not sent.
const WAITING: usize = 16;

/// How long a message is tried while the drill goes on, and how often.
const PATIENCE: (Duration, u32) = (Duration::from_secs(15), 4);

/// How long the verdict is tried, with all that was still to be told.
const LAST: (Duration, u32) = (Duration::from_secs(5), 4);

/// How long an alarm is tried.
const ALARM: (Duration, u32) = (Duration::from_secs(30), 10);

/// How long what came before it may go on when the verdict is there.
const GIVES_WAY: Duration = Duration::from_secs(2);

/// Tells everyone. Telling never waits; [`Teller::end`] does, for a bounded time.
pub struct Teller {
    desks: Vec<Desk>,
    records: Records,
    clock: Clock,
    /// When what is no last word has to give way.
    way: watch::Sender<Option<Offset>>,
    /// Disconnected when all have ended.
    ended: Receiver<()>,
    /// When all is over that was told.
    until: Offset,
    /// When the last word is.
    last: Option<Offset>,
}

type Records = Arc<Mutex<Vec<NotificationRecord>>>;

/// One who is told.
struct Desk {
    to: Arc<Notification>,
    queue: mpsc::Sender<Message>,
}

/// A message under way.
struct Message {
    news: Arc<News>,
    effort: Effort,
    /// Nothing comes that it has to give way to.
    is_last: bool,
    told: Offset,
    /// Its place among the records.
    place: usize,
}

impl Teller {
    /// A teller for those who are named in a plan; it has told nobody yet.
    pub fn start(all: &[Notification]) -> Teller {
        let (clock, records) = (Clock::start(), Records::default());
        let (end, ended) = channel();
        let (way, given) = watch::channel(None);
        let desk = |to: &Notification| {
            let to = Arc::new(to.clone());
            let (queue, messages) = mpsc::channel(WAITING);
            let work = Work { to: to.clone(), records: records.clone(), clock, way: given.clone() };
            let end: Sender<()> = end.clone();
            let thread = std::thread::Builder::new().name("notify".to_owned());
            // Without its thread the queue is closed, and each message says that it was not sent.
            let _ = thread.spawn(move || {
                let _end = end;
                work.run(messages);
            });
            Desk { to, queue }
        };
        let desks = all.iter().map(desk).collect();
        Teller { desks, records, clock, way, ended, until: Offset::ZERO, last: None }
    }

    /// Whether there is nobody to tell.
    pub fn is_idle(&self) -> bool {
        self.desks.is_empty()
    }

    /// Tells all who want to know. It returns at once.
    pub fn tell(&mut self, news: News) {
        let now = self.clock.now();
        let event = news.event;
        let is_last = event.is_alarm() || event == NotifyEvent::Verdict;
        let (span, attempts) = match event {
            event if event.is_alarm() => ALARM,
            NotifyEvent::Verdict => LAST,
            _ => PATIENCE,
        };
        let effort = Effort { until: now.plus(span), attempts, twice: event.is_alarm() };
        if is_last {
            let grace = if event.is_alarm() { Duration::ZERO } else { GIVES_WAY };
            let _ = self.way.send(Some(now.plus(grace)));
            self.last = self.last.max(Some(effort.until));
        }
        self.until = self.until.max(effort.until);
        let news = Arc::new(news);
        for desk in self.desks.iter().filter(|desk| desk.to.wants(event)) {
            let place = begin(&self.records, desk, &news);
            let message = Message { news: news.clone(), effort, is_last, told: now, place };
            if desk.queue.try_send(message).is_err() {
                change(&self.records, place, |record| {
                    record.outcome = Delivery::NotSent;
                    record.why = Some("too many messages were waiting".to_owned());
                });
            }
        }
    }

    /// Waits until all is told, for as long as the last message allows, and says what became of each.
    pub fn end(self) -> Vec<NotificationRecord> {
        // Alone the queues keep the threads.
        drop(self.desks);
        let until = self.last.unwrap_or(self.until);
        let left = until.since(self.clock.now()) + GIVES_WAY / 2;
        // A thread that hangs, as on a file of certificates on a dead disk, is left behind.
        let _: Result<(), RecvTimeoutError> = self.ended.recv_timeout(left);
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The record of a message that has no end yet.
fn begin(records: &Records, desk: &Desk, news: &News) -> usize {
    let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
    records.push(NotificationRecord {
        name: Name::clone(&desk.to.name),
        kind: desk.to.kind.key().to_owned(),
        host: desk.to.host(),
        event: news.event,
        at: news.at,
        outcome: Delivery::Failed,
        attempts: 0,
        after: Duration::ZERO,
        why: Some("nothing had come of it by the end".to_owned()),
    });
    records.len() - 1
}

fn change(records: &Records, place: usize, change: impl FnOnce(&mut NotificationRecord)) {
    let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(record) = records.get_mut(place) {
        change(record);
    }
}

/// What the thread of one who is told works with.
struct Work {
    to: Arc<Notification>,
    records: Records,
    clock: Clock,
    way: watch::Receiver<Option<Offset>>,
}

impl Work {
    fn run(self, messages: mpsc::Receiver<Message>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime.and_then(|runtime| {
            let connector = SystemConnector::from_system().map_err(std::io::Error::other)?;
            Ok((runtime, Arc::new(connector) as Arc<dyn Connector>))
        }) {
            Ok((runtime, connector)) => runtime.block_on(self.tell_all(messages, connector)),
            Err(error) => self.refuse_all(messages, &error.to_string()),
        }
    }

    fn refuse_all(self, mut messages: mpsc::Receiver<Message>, why: &str) {
        while let Some(message) = messages.blocking_recv() {
            change(&self.records, message.place, |record| {
                record.outcome = Delivery::NotSent;
                record.why = Some(why.to_owned());
            });
        }
    }

    async fn tell_all(self, mut messages: mpsc::Receiver<Message>, connector: Arc<dyn Connector>) {
        // The annotation of the cut.
        let mut region = None;
        while let Some(message) = messages.recv().await {
            let tried = |attempt| {
                change(&self.records, message.place, |record| record.attempts = attempt);
            };
            let work = post(
                &self.to,
                &message.news,
                region,
                message.effort,
                self.clock,
                &connector,
                tried,
            );
            let posted = tokio::select! {
                biased;
                () = self.has_to_give_way(message.is_last) => None,
                posted = work => Some(posted),
            };
            let after = self.clock.now().since(message.told);
            change(&self.records, message.place, |record| {
                record.after = after;
                (record.outcome, record.why) = match &posted {
                    Some(posted) => (posted.outcome, posted.why.clone()),
                    None => {
                        let outcome = match record.attempts {
                            0 => Delivery::NotSent,
                            _ => Delivery::Failed,
                        };
                        (outcome, Some("it gave way to the end of the drill".to_owned()))
                    }
                };
            });
            let is_cut = message.news.event == NotifyEvent::Cut;
            if let (Some(posted), true, NotifyKind::Grafana(_)) = (posted, is_cut, &self.to.kind) {
                region = grafana::id(&posted.answer);
            }
        }
    }

    /// Ends when there is something more important to tell.
    async fn has_to_give_way(&self, is_last: bool) {
        let mut way = self.way.clone();
        let at = match way.wait_for(Option::is_some).await {
            Ok(at) if !is_last => *at,
            _ => None,
        };
        match at {
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}
