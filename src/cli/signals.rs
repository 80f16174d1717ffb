//! What stops a drill from outside: signals, and a reader of its output that went away.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{by_hand, output};
use crate::drill::{Escalation, Step};
use crate::model::Why;

/// The drill's stop, and all who may ask for it.
#[derive(Clone)]
pub(super) struct Stop {
    why: watch::Sender<Option<Why>>,
    hurry: watch::Sender<bool>,
    escalation: Arc<Mutex<Escalation>>,
    /// The journal, from which the third time is told how to restore by hand.
    journal: PathBuf,
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new(journal: PathBuf) -> Stop {
        let (why, hurry) = (watch::Sender::new(None), watch::Sender::new(false));
        Stop { why, hurry, escalation: Arc::default(), journal }
    }

    /// Set to a reason when the drill has to stop.
    pub fn why(&self) -> watch::Receiver<Option<Why>> {
        self.why.subscribe()
    }

    /// Set when it has to hurry.
    pub fn hurry(&self) -> watch::Receiver<bool> {
        self.hurry.subscribe()
    }

    /// Stops the drill; the first reason stands.
    pub fn stop(&self, why: Why) {
        self.why.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert(why);
            first
        });
    }

    /// Somebody asks, perhaps not for the first time.
    fn ask(&self, signal: &str) {
        let step = self.escalation.lock().unwrap_or_else(PoisonError::into_inner).ask();
        match step {
            Step::Stop => self.stop(Why::new("signal", format!("{signal} was received"))),
            Step::Hurry => {
                self.hurry.send_replace(true);
                output::say(format_args!(
                    "{signal} again: traffic is being put back, without waiting"
                ));
            }
            Step::ByHand => {
                // It reads a disk that may hang, and these threads have traffic to put back.
                let journal = self.journal.clone();
                let show = move || by_hand::show(&journal);
                let _ = std::thread::Builder::new().name("by hand".to_owned()).spawn(show);
            }
            Step::GoOn => {}
        }
    }

    /// Listens to SIGINT, SIGTERM and SIGHUP. None of them ends the process from here on.
    ///
    /// # Errors
    /// When the handlers cannot be installed; the drill must then not start.
    pub fn on_signals(&self) -> io::Result<()> {
        let kinds = [
            ("SIGINT", SignalKind::interrupt()),
            ("SIGTERM", SignalKind::terminate()),
            ("SIGHUP", SignalKind::hangup()),
        ];
        for (name, kind) in kinds {
            let mut signals = signal(kind)?;
            let stop = self.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    stop.ask(name);
                }
            });
        }
        Ok(())
    }

    /// Stops the drill when whoever reads its stdout through a pipe goes away: nobody would see the
    /// verdict.
    ///
    /// # Errors
    /// When that cannot be watched.
    pub fn on_closed_stdout(&self) -> io::Result<()> {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let kind = stdout.metadata()?.file_type();
        if !kind.is_fifo() && !kind.is_socket() {
            return Ok(());
        }
        let stop = self.clone();
        let watch = move || {
            // No events are asked for: only errors and the end of the other side wake it.
            let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
            while let Err(rustix::io::Errno::INTR) = poll(&mut ends, None) {}
            if ends[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                let text = "stdout was closed by whoever read it, so nobody would see the verdict";
                stop.stop(Why::new("stdout-closed", text));
            }
        };
        std::thread::Builder::new().name("stdout".to_owned()).spawn(watch).map(drop)
    }
}
