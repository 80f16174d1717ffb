//! The drill's end of its watchdog: starts it, gives it signs of life, and notices when it is gone.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::signals::Stop;
use super::watchdog::READY;
use crate::drill::Guardian;
use crate::lease::Lease;
use crate::model::{Plan, Why};
use crate::notify;
use crate::watchdog::{Phase, SILENCE};

/// A watchdog that is not ready by then will not be.
const START: Duration = Duration::from_secs(10);

/// A watchdog with nothing left to do ends at once.
const END: Duration = Duration::from_secs(5);

/// A running watchdog.
pub(super) struct Leash {
    child: Child,
    /// Set when it may end: its silence is no alarm then.
    ended: Arc<AtomicBool>,
    /// Disconnected when its signs of life have ended, with its process.
    signs: mpsc::Receiver<()>,
}

/// The drill's signs of life.
struct Beats {
    pipe: ChildStdin,
    ended: Arc<AtomicBool>,
}

impl Guardian for Beats {
    fn beat(&mut self, phase: Phase) {
        if phase == Phase::Ended {
            self.ended.store(true, Ordering::Release);
        }
        // A watchdog that is gone or stopped is noticed by its own silence, not here.
        let _ = self.pipe.write(&[phase.byte()]);
    }
}

impl Leash {
    /// Starts a watchdog over this process, which shares `leases`, restores from `journal`, and tells whom `plan` names
    /// should it have to. `stop` is told when it dies.
    ///
    /// # Errors
    /// A sentence for people; the drill must then not start.
    pub fn start(
        journal: &Path,
        plan: &Plan,
        leases: &[Box<dyn Lease>],
        stop: Stop,
    ) -> Result<(Leash, Box<dyn Guardian>), String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!(
                "the watchdog could not be started: {error}; without it a crash could leave traffic cut"
            )
        };
        let share = |with| leases.iter().try_for_each(|lease| lease.share(with));
        share(true).map_err(|error| failed(&error))?;
        let spawned = command(journal, plan).spawn();
        let unshared = share(false);
        let mut child = spawned.map_err(|error| failed(&error))?;
        unshared.map_err(|error| failed(&error))?;
        let (Some(mut pipe), Some(signs)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(&"it has no pipes"));
        };
        rustix::io::ioctl_fionbio(&pipe, true).map_err(|error| failed(&error))?;
        let handed_over = hand_over(&mut pipe, &notify::sealed(&plan.notify));
        let ended = Arc::new(AtomicBool::new(false));
        let (tell, ready) = mpsc::channel();
        let listen = {
            let ended = ended.clone();
            move || listen(signs, &tell, &ended, &stop)
        };
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        thread.spawn(listen).map_err(|error| failed(&error))?;
        if handed_over.is_err() || ready.recv_timeout(START).is_err() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(&"it did not get ready"));
        }
        let beats = Beats { pipe, ended: ended.clone() };
        Ok((Leash { child, ended, signs: ready }, Box::new(beats)))
    }

    /// Waits for its end, after the drill's.
    pub fn wait(mut self) {
        self.ended.store(true, Ordering::Release);
        let _ = self.signs.recv_timeout(END);
        // One that hangs would only be left behind: nothing is cut any more. One that has ended feels nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the first line of the pipe, which has secrets in it: they stand in no file, argument or environment. A watchdog
/// that does not read it has failed.
fn hand_over(pipe: &mut ChildStdin, mut line: &[u8]) -> std::io::Result<()> {
    while !line.is_empty() {
        match pipe.write(line) {
            Ok(written) => line = &line[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let span = Timespec::try_from(START).ok();
                let mut ends = [PollFd::new(&*pipe, PollFlags::OUT)];
                if matches!(poll(&mut ends, span.as_ref()), Ok(0)) {
                    return Err(ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn command(journal: &Path, plan: &Plan) -> Command {
    // The file may have been replaced since we were started; this one is us in any case.
    let us = if cfg!(target_os = "linux") { Some("/proc/self/exe".into()) } else { None };
    let us = us.or_else(|| std::env::current_exe().ok()).unwrap_or_else(|| "firedrill".into());
    let mut command = Command::new(us);
    command
        .arg("watchdog")
        .args(["--drill", &std::process::id().to_string()])
        .args(["--at-most-ms", &plan.timing.at_most.as_millis().to_string()])
        .args(["--lag-ms", &plan.lag().as_millis().to_string()])
        .arg(journal)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Reads the watchdog's signs of life until they end, and stops the drill if that is too early.
fn listen(mut signs: ChildStdout, ready: &mpsc::Sender<()>, ended: &AtomicBool, stop: &Stop) {
    let mut bytes = [0; 64];
    loop {
        let gone = match wait(&signs) {
            false => "does not answer",
            true => match signs.read(&mut bytes) {
                Ok(count) if count > 0 => {
                    if bytes[..count].contains(&READY) {
                        let _ = ready.send(());
                    }
                    continue;
                }
                _ => "died",
            },
        };
        if !ended.load(Ordering::Acquire) {
            let text = format!("the watchdog {gone}, so a crash could have left traffic cut");
            stop.stop(Why::new("watchdog", text));
        }
        return;
    }
}

/// Whether a sign of life came in time. A first silence may be ours: the machine slept.
fn wait(signs: &ChildStdout) -> bool {
    let within = |span: Duration| {
        let span = Timespec::try_from(span).ok();
        let mut ends = [PollFd::new(signs, PollFlags::IN)];
        loop {
            match poll(&mut ends, span.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(0) => return false,
                _ => return true,
            }
        }
    };
    within(SILENCE) || within(SILENCE / 2)
}
