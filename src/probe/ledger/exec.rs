//! A ledger kept by commands: one that runs all along and writes what it is told, and one that lists what is there.
//!
//! `docs/ledgers.md` has the line protocol.

mod writer;

#[cfg(test)]
mod tests;

use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStdout, Command};

use super::lines::{Line, Lines};
use super::{Found, Store, Writer};
use crate::clock::Clock;
use crate::command::{Group, Words};
use crate::model::{
    DatacenterId, ExecLedger, Name, Offset, Outcome, Phase, Reason, ServedBy, Text,
};
use crate::probe::PrepareError;
use crate::probe::sample::Progress;
use writer::{Running, Said};

/// Of what a command says when it fails, this much is looked at: more than is shown, so that no secret is cut in two before it
/// is masked.
const MOST_SAID: u64 = 64 * 1024;

/// How long a command that is done with may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A command that writes and ends within this time before the first write is no use.
const LIVES_AT_LEAST: Duration = Duration::from_millis(300);

/// A command that ended without an answer is started again after a pause, twice as long each time, within these.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Commands made ready.
pub(super) struct ExecStore {
    writer: Writer,
    datacenters: Vec<Name>,
    write: Words,
    read: Words,
    remove: Option<Words>,
    state: Mutex<State>,
}

/// The command that writes, while it lives, and when it may be started again.
#[derive(Default)]
struct State {
    running: Option<Arc<Running>>,
    pause: Duration,
    not_before: Offset,
}

fn words(command: &[Text]) -> Result<Words, PrepareError> {
    Words::new(command).ok_or_else(|| PrepareError::new("the command is empty", "name a program"))
}

impl ExecStore {
    /// Checks everything that can be checked before the first command.
    pub(super) fn prepare(
        exec: &ExecLedger,
        writer: Writer,
        datacenters: &[Name],
    ) -> Result<Self, PrepareError> {
        Ok(ExecStore {
            write: words(&exec.write)?,
            read: words(&exec.read)?,
            remove: exec.remove.as_deref().map(words).transpose()?,
            writer,
            datacenters: datacenters.to_vec(),
            state: Mutex::default(),
        })
    }

    fn command(&self, words: &Words) -> Command {
        let mut command = words.command();
        command.env("FIREDRILL_PREFIX", self.writer.prefix());
        command
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command that writes, which is started if it does not run; `None` while it may not be, or cannot be.
    fn running(&self, now: Offset) -> Option<Arc<Running>> {
        let mut state = self.state();
        if let Some(running) = state.running.take_if(|running| running.is_over()) {
            let long = if running.has_answered() { Duration::ZERO } else { state.pause * 2 };
            state.pause = long.clamp(PAUSES.0, PAUSES.1);
            state.not_before = now.plus(state.pause);
        }
        if state.running.is_none() && now >= state.not_before {
            let started = Running::start(&mut self.command(&self.write), &self.writer);
            match started {
                Ok(running) => state.running = Some(Arc::new(running)),
                Err(_) => state.not_before = now.plus(PAUSES.1),
            }
        }
        state.running.clone()
    }

    async fn run(&self, words: &Words, found: Option<&mut Found>) -> Result<(), String> {
        let failed = |error: std::io::Error| words.not_run(&error);
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Dropped at the limit, it is killed with all that it started.
        let mut group = Group::start(&mut command).map_err(failed)?;
        let child = group.child();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(words.not_run(&"it has no pipes"));
        };
        // The end of its list and its own: what it left in the background may hold its other pipe open, and ends then.
        let ended = async {
            let cut_short = list(stdout, &self.writer, found).await?;
            Ok((cut_short, group.end().await?))
        };
        // Both at once: a command that says much must not wait for us to listen.
        let (ended, said) = tokio::join!(ended, beginning(stderr));
        let (cut_short, status) = ended.map_err(failed)?;
        if !status.success() {
            let (name, said) = (words.name(), words.shown(&said));
            return Err(format!("the command `{name}` ended with {status}: {said}"));
        }
        match cut_short {
            false => Ok(()),
            true => Err(format!(
                "the last line of the command `{}` has no end, so it may be cut short; end every line with a newline",
                words.name()
            )),
        }
    }

    /// Finds out whether the command that writes can be started and stays.
    async fn try_writer(&self) -> Result<(), String> {
        let mut command = self.command(&self.write);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut group = Group::start(&mut command).map_err(|error| self.write.not_run(&error))?;
        // Held: the end of its input would be the end of its work.
        let stdin = group.child().stdin.take();
        let stderr = group.child().stderr.take();
        let ended = async {
            let said = match stderr {
                Some(stderr) => beginning(stderr).await,
                None => String::new(),
            };
            (group.end().await, said)
        };
        let ended = tokio::time::timeout(LIVES_AT_LEAST, ended).await;
        drop(stdin);
        match ended {
            Err(_) => Ok(()),
            Ok((Err(error), _)) => Err(self.write.not_run(&error)),
            Ok((Ok(status), said)) => Err(format!(
                "the command `{}` ended at once with {status}, where it has to run all along and read what to write: {}",
                self.write.name(),
                self.write.shown(&said)
            )),
        }
    }

    fn served_by(&self, datacenter: Option<&str>) -> ServedBy {
        let Some(datacenter) = datacenter else { return ServedBy::Unnamed };
        let place = self.datacenters.iter().zip(0..).find(|(name, _)| name.as_str() == datacenter);
        place.map_or(ServedBy::Foreign, |(_, id)| ServedBy::Datacenter(DatacenterId(id)))
    }
}

/// The beginning of what a command says, read to its end.
async fn beginning(mut from: impl AsyncRead + Unpin) -> String {
    let mut said = Vec::new();
    // What cannot be read was not said.
    let _ = (&mut from).take(MOST_SAID).read_to_end(&mut said).await;
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&said).into_owned()
}

/// Takes in the keys that a command lists, one a line, if anybody wants them. True: the last was cut short.
async fn list(
    stdout: ChildStdout,
    writer: &Writer,
    mut found: Option<&mut Found>,
) -> std::io::Result<bool> {
    let mut lines = Lines::new(stdout);
    while let Some(line) = lines.next().await? {
        match (line, &mut found) {
            (Line::CutShort, Some(_)) => return Ok(true),
            (Line::Whole(key), Some(found)) if !key.trim().is_empty() => {
                found.key(writer, key.trim());
            }
            // No key of ours is so long.
            (Line::TooLong, Some(found)) => found.foreign(1),
            _ => {}
        }
    }
    Ok(false)
}

#[async_trait]
impl Store for ExecStore {
    async fn begin(&self) -> Result<(), String> {
        let mut found = Found::default();
        let read = self.run(&self.read, Some(&mut found));
        let (read, writes) = tokio::join!(read, self.try_writer());
        read.and(writes)
    }

    async fn write(&self, seq: u64, clock: &Clock, progress: &mut Progress) -> Result<(), Outcome> {
        progress.phase = Phase::Connect;
        let refused = Outcome::Bad(Reason::Refused);
        let running = self.running(clock.now()).ok_or(refused)?;
        let line = format!("{} {}\n", self.writer.key(seq), self.writer.value(seq));
        let answer = running.tell(seq, line).ok_or(refused)?;
        progress.phase = Phase::Answer;
        match answer.heard().await {
            Some(Said::Acknowledged(datacenter)) => {
                progress.served_by = self.served_by(datacenter.as_deref());
                Ok(())
            }
            Some(Said::Refused) => Err(Outcome::Bad(Reason::Rejected)),
            Some(Said::Unknown) | None => Err(Outcome::Bad(Reason::Reset)),
        }
    }

    async fn read(&self, found: &mut Found) -> Result<(), String> {
        self.run(&self.read, Some(found)).await
    }

    async fn clean(&self) -> Result<(), String> {
        // What it still writes would be left behind.
        let running = self.state().running.take();
        if let Some(running) = running {
            running.close();
            let _ = tokio::time::timeout(LAST_WORDS, running.ended()).await;
        }
        match &self.remove {
            Some(remove) => self.run(remove, None).await,
            None => Err("the plan gives no `remove`".to_owned()),
        }
    }
}
