//! The events of a drill as lines of JSON, written while it runs.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use super::output::{self, Stream};
use crate::model::{DrillEvent, Offset, Verdict};
use crate::report;

/// What a drill tells, and whom.
pub(super) type Listener = Box<dyn FnMut(&DrillEvent) + Send>;

/// Events that may wait for a reader that is slow; more are left out.
const WAITING: usize = 4096;

/// Looks at the services among them: each is as large as the plan, and the next one says it anew.
const LOOKS: usize = 16;

/// How long the end of a drill waits for its events to be read.
const LAST_READ: Duration = Duration::from_secs(1);

/// Whether events that were asked for so go to stdout.
pub(super) fn to_stdout(asked: Option<&Path>) -> bool {
    asked.is_some_and(|path| path == Path::new("-"))
}

/// The stream of events, if one was asked for. It is written by a thread of its own: neither a reader that stands still
/// nor one that has gone away holds up the drill.
pub(super) struct Events {
    told: Option<Told>,
}

impl Events {
    /// Opens the file, pipe or device at `asked`; `-` is stdout.
    ///
    /// # Errors
    /// A sentence for people, naming the path.
    pub fn open(asked: Option<&Path>) -> Result<Events, String> {
        let Some(path) = asked else { return Ok(Events { told: None }) };
        let stream = match to_stdout(asked) {
            true => Stream::Stdout,
            false => Stream::open(path).map_err(|error| {
                let path = path.display();
                format!("the events {path} could not be opened: {error}; nothing was touched")
            })?,
        };
        let told = Told::start(move |line| stream.write(line))
            .map_err(|error| format!("the events could not be written: {error}"))?;
        Ok(Events { told: Some(told) })
    }

    /// What a drill is to call with each of its events.
    pub fn listener(&self) -> Listener {
        match self.told.clone() {
            Some(told) => Box::new(move |event| told.give(event)),
            None => Box::new(|_| {}),
        }
    }

    /// Waits until all was read, but not for long. A run that ended before its drill began has its end told here.
    pub fn end(&mut self, verdict: Verdict) {
        let Some(told) = self.told.take() else { return };
        if told.given.load(Relaxed) == 0 {
            told.give(&DrillEvent::Ended { at: Offset::ZERO, verdict });
        }
        told.end(LAST_READ);
    }
}

/// What the thread that writes is given.
enum Given {
    /// An event, after so many that were left out.
    Event { event: DrillEvent, left_out: usize },
    /// All events were given; so many were left out after the last.
    End { left_out: usize, done: SyncSender<()> },
}

/// The way to the thread that writes.
#[derive(Clone)]
struct Told {
    give: Sender<Given>,
    /// Events that were given and not written yet.
    waiting: Arc<AtomicUsize>,
    /// Looks at the services among them.
    looks: Arc<AtomicUsize>,
    /// Events that were left out since the last that was given.
    left_out: Arc<AtomicUsize>,
    /// Events that the drill told, given or left out.
    given: Arc<AtomicUsize>,
}

fn is_look(event: &DrillEvent) -> bool {
    matches!(event, DrillEvent::Watched { .. })
}

impl Told {
    fn start(write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> io::Result<Told> {
        let (give, given) = channel();
        let told = Told {
            give,
            waiting: Arc::default(),
            looks: Arc::default(),
            left_out: Arc::default(),
            given: Arc::default(),
        };
        let (waiting, looks) = (told.waiting.clone(), told.looks.clone());
        let work = move || write_all(&given, write, &waiting, &looks);
        std::thread::Builder::new().name("events".to_owned()).spawn(work)?;
        Ok(told)
    }

    fn give(&self, event: &DrillEvent) {
        self.given.fetch_add(1, Relaxed);
        let full = self.waiting.load(Relaxed) >= WAITING;
        if full || is_look(event) && self.looks.load(Relaxed) >= LOOKS {
            self.left_out.fetch_add(1, Relaxed);
            return;
        }
        self.waiting.fetch_add(1, Relaxed);
        if is_look(event) {
            self.looks.fetch_add(1, Relaxed);
        }
        let left_out = self.left_out.swap(0, Relaxed);
        // A writer that has ended has said why.
        let _ = self.give.send(Given::Event { event: event.clone(), left_out });
    }

    fn end(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        let left_out = self.left_out.swap(0, Relaxed);
        let _ = self.give.send(Given::End { left_out, done });
        let _ = written.recv_timeout(limit);
    }
}

/// Writes each event as it comes, until the end or until nobody reads any more.
fn write_all(
    given: &Receiver<Given>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
    waiting: &AtomicUsize,
    looks: &AtomicUsize,
) {
    let mut number = 0;
    let mut last = Offset::ZERO;
    let mut line = |event: Option<&DrillEvent>, left_out: usize| -> io::Result<()> {
        if left_out > 0 {
            number += 1;
            write(&report::left_out_line(last, left_out as u64, number)?)?;
        }
        let Some(event) = event else { return Ok(()) };
        number += 1;
        last = event.at();
        write(&report::event_line(event, number)?)
    };
    for given in given {
        let written = match given {
            Given::Event { event, left_out } => {
                let written = line(Some(&event), left_out);
                waiting.fetch_sub(1, Relaxed);
                if is_look(&event) {
                    looks.fetch_sub(1, Relaxed);
                }
                written
            }
            Given::End { left_out, done } => {
                let written = line(None, left_out);
                let _ = done.send(());
                written
            }
        };
        match written {
            Ok(()) => {}
            // A reader who has seen enough is no error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
            Err(error) => {
                let text = "warning: the events could not be written, and end here";
                return output::say(format_args!("{text}: {error}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, Why};

    fn stopping() -> DrillEvent {
        DrillEvent::Stopping { at: Offset::from_millis(7), why: Why::new("signal", "SIGINT") }
    }

    fn look() -> DrillEvent {
        DrillEvent::Watched {
            at: Offset::from_millis(8),
            services: Vec::new(),
            guardrails: Vec::new(),
            loads: Vec::new(),
        }
    }

    /// A reader that reads only what it is let, and all once nobody lets it any more.
    fn slow() -> (Told, SyncSender<()>, Receiver<serde_json::Value>) {
        let (go_on, stopped) = sync_channel::<()>(0);
        let (tell, told) = channel();
        let write = move |line: &[u8]| {
            let _ = stopped.recv();
            let _ = tell.send(serde_json::from_slice(line).unwrap());
            Ok(())
        };
        (Told::start(write).unwrap(), go_on, told)
    }

    #[test]
    fn a_reader_that_stands_still_holds_nothing_up_and_is_told_what_it_missed() {
        let (events, go_on, told) = slow();
        (0..2 * WAITING).for_each(|_| events.give(&stopping()));
        events.end(Duration::from_millis(1));
        drop(go_on);
        events.end(Duration::from_secs(60));
        let told: Vec<serde_json::Value> = told.try_iter().collect();
        let (missing, events) = told.split_last().unwrap();
        assert_eq!(events.len(), WAITING);
        assert_eq!((&missing["event"], &missing["count"]), (&"left-out".into(), &WAITING.into()));
        assert!(told.iter().zip(1..).all(|(line, number)| line["number"] == number));
    }

    #[test]
    fn looks_at_the_services_are_left_out_first() {
        let (events, go_on, told) = slow();
        (0..2 * LOOKS).for_each(|_| events.give(&look()));
        events.give(&stopping());
        drop(go_on);
        events.end(Duration::from_secs(60));
        let words = told.try_iter().map(|line| line["event"].as_str().unwrap().to_owned());
        let mut wanted = vec!["watched"; LOOKS];
        wanted.extend(["left-out", "stopping"]);
        assert_eq!(words.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_reader_that_has_gone_away_changes_nothing() {
        let events = Told::start(|_| Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        (0..2 * WAITING).for_each(|_| events.give(&stopping()));
        events.end(Duration::from_secs(60));
    }

    #[test]
    fn a_run_that_ended_before_its_drill_began_has_an_end_too() {
        let (told, go_on, lines) = slow();
        drop(go_on);
        Events { told: Some(told) }.end(Verdict::NotStarted);
        let line = lines.recv().unwrap();
        assert_eq!((&line["event"], &line["verdict"]), (&"ended".into(), &"NOT STARTED".into()));
    }

    #[test]
    fn nothing_is_told_where_nothing_was_asked_for() {
        let mut events = Events::open(None).unwrap();
        let plan = Name::from("x");
        let (run, lost) = (String::new(), String::new());
        events.listener()(&DrillEvent::Started {
            run,
            plan,
            lost,
            datacenters: Vec::new(),
            services: Vec::new(),
            at_most: Duration::ZERO,
        });
        events.end(Verdict::Pass);
    }
}
