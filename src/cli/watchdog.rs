//! The watchdog's process: in a session of its own, it waits for the drill to die or to hang, and puts its
//! traffic back.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::alarm::Alarm;
use super::{Exit, output, reach, restore};
use crate::clock::{Clock, since_boot};
use crate::drill::RESTORE_LIMITS;
use crate::journal::{Append, Aside, Hand, Journal, Run, Unwritten};
use crate::model::Notification;
use crate::notify;
use crate::restore::{Limits, restore_run};
use crate::screen::Mode;
use crate::watchdog::{self, BEAT, Cause, Order, Phase, Watchdog};

/// The byte that says that the watchdog watches.
pub(super) const READY: u8 = b'+';

/// The byte of a sign of life.
const ALIVE: u8 = b'.';

/// Nobody else is left to restore, so it goes on for long.
const LIMITS: Limits =
    Limits { total: Duration::from_secs(15 * 60), call: Duration::from_secs(15) };

/// A restore that is given up still waits for the calls that it has made.
const LAST_CALLS: Duration = Duration::from_secs(20);

/// A process that was killed is gone by then, or hangs in the kernel where it can do nothing.
const DEATH: Duration = Duration::from_secs(5);

/// What the drill tells its watchdog.
#[derive(Debug, Args)]
pub(super) struct WatchdogArgs {
    /// The drill's process
    #[arg(long)]
    drill: i32,
    /// The longest that traffic may stay cut
    #[arg(long)]
    at_most_ms: u64,
    /// What a restore may take longer, until what was accepted is in effect
    #[arg(long, default_value_t = 0)]
    lag_ms: u64,
    /// The run's journal
    journal: PathBuf,
}

/// Watches until the drill has ended, one way or another.
pub(super) fn watchdog(args: &WatchdogArgs) -> Exit {
    match watch(args) {
        Ok(exit) => exit,
        Err(error) => {
            output::say(format_args!("error: the watchdog: {error}"));
            Exit::NotStarted
        }
    }
}

fn watch(args: &WatchdogArgs) -> io::Result<Exit> {
    // What ends the drill's session, a closed terminal or Ctrl-C, must not end us with it.
    rustix::process::setsid()?;
    let pid = Pid::from_raw(args.drill).ok_or(io::ErrorKind::InvalidInput)?;
    let drill = pidfd_open(pid, PidfdFlags::empty())?;
    if rustix::process::getppid() != Some(pid) {
        return Err(io::Error::other("the drill that started it is gone"));
    }
    // Held from here on: not even its removal takes it away.
    let journal = Journal::hold(&args.journal)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        // Caught and let go: who stops everything at once stops the drill too, and that restores.
        let _deaf: Vec<_> = kinds.into_iter().map(signal).collect::<Result<_, _>>()?;
        let (beats, whom) = listen()?;
        // As it is before the drill's screen changes it: until we are ready, nothing is shown that could be scrolled.
        let terminal = Mode::remember();
        let cause = guard(args, beats).await;
        match cause {
            None => {
                terminal.put_back_ours();
                Ok(Exit::Pass)
            }
            Some(cause) => {
                kill(&drill);
                terminal.put_back_ours();
                let whom = whom.get().map(Vec::as_slice).unwrap_or_default();
                Ok(take_over(journal, cause, Alarm::new(whom, cause, &args.journal)).await)
            }
        }
    })
}

/// Whom to tell, once that is known.
type Whom = Arc<OnceLock<Vec<Notification>>>;

/// The drill's signs of life, read in a thread of their own; closed when the pipe is. Before them comes a line that says
/// whom to tell.
fn listen() -> io::Result<(mpsc::UnboundedReceiver<Phase>, Whom)> {
    let (tell, told) = mpsc::unbounded_channel();
    let whom = Whom::default();
    let known = whom.clone();
    let read = move || {
        let mut stdin = io::stdin().lock();
        let mut line = Vec::new();
        // Whole or not at all: no byte of it is a sign of life.
        let _ = stdin.read_until(b'\n', &mut line);
        match notify::received(&line) {
            Ok(all) => drop(known.set(all)),
            // Traffic is watched all the same.
            Err(error) if line.ends_with(b"\n") => {
                output::say(format_args!("warning: the watchdog: {error}"));
            }
            Err(_) => return,
        }
        drop(line);
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = stdin.read(&mut bytes) {
            for phase in bytes[..count].iter().filter_map(|byte| Phase::of(*byte)) {
                if tell.send(phase).is_err() {
                    return;
                }
            }
        }
    };
    std::thread::Builder::new().name("beats".to_owned()).spawn(read)?;
    Ok((told, whom))
}

/// Watches. `Some`: the drill's traffic has to be put back.
async fn guard(args: &WatchdogArgs, mut beats: mpsc::UnboundedReceiver<Phase>) -> Option<Cause> {
    let clock = Clock::start();
    let at_most = Duration::from_millis(args.at_most_ms);
    let lag = Duration::from_millis(args.lag_ms);
    let restore = at_most.clamp(RESTORE_LIMITS.0, RESTORE_LIMITS.1) + lag + LAST_CALLS;
    let limits = watchdog::Limits { at_most, restore };
    let mut watchdog = Watchdog::new(limits, since_boot());
    sign(READY);
    let mut next = clock.now().plus(BEAT);
    loop {
        let order = tokio::select! {
            // However many signs of life come, the clock is looked at.
            biased;
            () = clock.sleep_until(next) => {
                next = clock.now().plus(BEAT);
                sign(ALIVE);
                watchdog.look(since_boot())
            }
            beat = beats.recv() => match beat {
                None => watchdog.closed(),
                Some(phase) => {
                    watchdog.heard(since_boot(), phase);
                    continue;
                }
            },
        };
        match order {
            Order::Wait => {}
            Order::End => return None,
            Order::TakeOver(cause) => return Some(cause),
        }
    }
}

/// A sign of life for the drill, which may be gone.
fn sign(byte: u8) {
    let mut out = io::stdout();
    let _ = out.write_all(&[byte]).and_then(|()| out.flush());
}

/// Makes sure that the drill cuts nothing any more.
fn kill(drill: &OwnedFd) {
    let _ = pidfd_send_signal(drill, Signal::KILL);
    let mut ends = [PollFd::new(drill, PollFlags::IN)];
    let limit = Timespec::try_from(DEATH).ok();
    while let Err(rustix::io::Errno::INTR) = poll(&mut ends, limit.as_ref()) {}
}

/// Puts back what the journal says may be cut.
async fn take_over(mut file: File, cause: Cause, mut alarm: Alarm) -> Exit {
    let (run, mut journal): (Run, Box<dyn Append>) = match Journal::resume_on(&file) {
        Ok((run, journal)) => match Aside::new(journal) {
            Ok(aside) => (run, Box::new(aside)),
            Err(_) => (run, Box::new(Unwritten)),
        },
        // Its run touched nothing.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Exit::Pass,
        // Restoring matters more than writing it down: the next reader comes to the same end.
        Err(_) => match Run::read_from(&mut file) {
            Ok(Ok(run)) => (run, Box::new(Unwritten)),
            _ => {
                alarm.unreadable();
                return lost(cause);
            }
        },
    };
    if run.open().next().is_none() && run.lost().next().is_none() {
        drop((journal, file));
        alarm.nothing_cut(&run);
        return Exit::Pass;
    }
    let (datacenter, id) = (run.lost_traffic(), run.opened.run.clone());
    output::say(format_args!(
        "firedrill: {cause}; its watchdog puts the traffic to {datacenter} back (run {id})"
    ));
    restore::warn(&run);
    // We are on the drill's machine, whatever it is called by now.
    let reach = |spec: &_| reach::reach(&run, spec, true);
    let hurry = tokio::sync::watch::Sender::new(false);
    let work = restore_run(
        &run,
        &reach,
        Hand::Watchdog,
        &mut *journal,
        Clock::start(),
        LIMITS,
        hurry.subscribe(),
    );
    let outcomes = alarm.meanwhile(&run, work).await;
    // Whoever wants to look at the journal, or to restore by hand, need not wait until all is told.
    drop((journal, file));
    let back = restore::told(&run, &outcomes);
    alarm.end(&run, back);
    if back { Exit::Pass } else { Exit::NotRestored }
}

fn lost(cause: Cause) -> Exit {
    output::say(format_args!(
        "firedrill: {cause}, and its journal cannot be read: look at its controls"
    ));
    Exit::NotRestored
}
