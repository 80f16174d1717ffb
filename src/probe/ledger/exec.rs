//! A ledger kept by commands: one that runs all along and writes what it is told, and one that lists what is there.
//!
//! `docs/ledgers.md` has the line protocol.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use super::{Found, Store, Writer};
use crate::clock::Clock;
use crate::model::{ExecLedger, Name, Outcome, Phase, Reason, ServedBy, Text};
use crate::probe::PrepareError;
use crate::probe::sample::Progress;

/// Lines that may wait for a command that does not read; more are not sent.
const MOST_WAITING: usize = 1024;

/// The longest line that is read of a command.
const LONGEST_LINE: u64 = 64 << 10;

/// Of what a command says when it fails, this much is shown.
const MOST_SAID: u64 = 1000;

/// Commands made ready.
pub(super) struct ExecStore {
    writer: Writer,
    datacenters: Vec<Name>,
    write: Vec<String>,
    read: Vec<String>,
    remove: Option<Vec<String>>,
    /// The command that writes, while it lives.
    running: Mutex<Option<Running>>,
}

/// A command that writes.
struct Running {
    lines: mpsc::Sender<String>,
    waiting: Waiting,
}

/// Who waits for the answer to which write.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Said>>>>>;

/// What a command said of a write.
enum Said {
    /// It is written, perhaps with the datacenter that has it.
    Acknowledged(Option<String>),
    Refused,
    Unknown,
}

impl ExecStore {
    /// Checks everything that can be checked before the first command.
    pub(super) fn prepare(
        exec: &ExecLedger,
        writer: Writer,
        datacenters: &[Name],
    ) -> Result<Self, PrepareError> {
        let words = |command: &[Text]| -> Result<Vec<String>, PrepareError> {
            let words: Vec<String> = command.iter().map(Text::reveal_plain).collect();
            match words.first() {
                Some(program) if !program.is_empty() => Ok(words),
                _ => Err(PrepareError::new("the command is empty", "name a program")),
            }
        };
        Ok(ExecStore {
            write: words(&exec.write)?,
            read: words(&exec.read)?,
            remove: exec.remove.as_deref().map(words).transpose()?,
            writer,
            datacenters: datacenters.to_vec(),
            running: Mutex::default(),
        })
    }

    fn command(&self, words: &[String]) -> Command {
        // `prepare` has seen to it that there is a program.
        let (program, arguments) = words.split_first().map_or(("", &[][..]), |(p, a)| (p, a));
        let mut command = Command::new(program);
        command.args(arguments).env("FIREDRILL_PREFIX", self.writer.prefix()).kill_on_drop(true);
        command
    }

    /// The way to the command that writes, which is started if it does not run.
    fn lines(&self) -> std::io::Result<(mpsc::Sender<String>, Waiting)> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let dead = |running: &Running| held(&running.waiting).is_none();
        if running.as_ref().is_none_or(dead) {
            *running = Some(self.start()?);
        }
        match running.as_ref() {
            Some(running) => Ok((running.lines.clone(), running.waiting.clone())),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    fn start(&self) -> std::io::Result<Running> {
        let mut command = self.command(&self.write);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        let (lines, told) = mpsc::channel(MOST_WAITING);
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(tell(stdin, told));
        tokio::spawn(hear(child, stdout, self.writer.prefix(), waiting.clone()));
        Ok(Running { lines, waiting })
    }

    async fn run(&self, words: &[String], found: Option<&mut Found>) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!("the command `{}` could not be run: {error}", program(words))
        };
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(&"it has no pipes"));
        };
        let mut said = String::new();
        let mut stderr = stderr.take(MOST_SAID);
        let listed = async {
            match found {
                Some(found) => list(stdout, &self.writer, found).await,
                None => Ok(()),
            }
        };
        // Both at once: a command that says much must not wait for us to listen.
        let (listed, _) = tokio::join!(listed, stderr.read_to_string(&mut said));
        listed.map_err(|error| failed(&error))?;
        let status = child.wait().await.map_err(|error| failed(&error))?;
        if status.success() {
            return Ok(());
        }
        let said = crate::model::printable(said.trim());
        Err(format!("the command `{}` ended with {status}: {said}", program(words)))
    }
}

/// The name of the program: its arguments may hold secrets.
fn program(words: &[String]) -> String {
    crate::model::printable(words.first().map_or("", String::as_str))
}

fn held(
    waiting: &Mutex<Option<HashMap<u64, oneshot::Sender<Said>>>>,
) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Said>>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells a command what to write, for as long as it listens.
async fn tell(mut stdin: ChildStdin, mut told: mpsc::Receiver<String>) {
    while let Some(line) = told.recv().await {
        if stdin.write_all(line.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

/// Hears what a command says, until it ends: then nobody waits for it any more.
async fn hear(child: Child, stdout: ChildStdout, prefix: String, waiting: Waiting) {
    // Dropped with this task, and then killed if it lives.
    let _child = child;
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stdout).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            _ => break,
        }
        let heard = String::from_utf8_lossy(&line);
        if let Some((seq, said)) = read_line(&heard, &prefix)
            && let Some(waiting) = &mut *held(&waiting)
            && let Some(answer) = waiting.remove(&seq)
        {
            // Nobody waits for one that took too long.
            let _ = answer.send(said);
        }
    }
    *held(&waiting) = None;
}

/// `ok KEY [DATACENTER]`, `refused KEY`, `unknown KEY`.
fn read_line(line: &str, prefix: &str) -> Option<(u64, Said)> {
    let mut words = line.split_ascii_whitespace();
    let (word, key) = (words.next()?, words.next()?);
    let seq = key.strip_prefix(prefix)?.parse().ok()?;
    Some((
        seq,
        match word {
            "ok" => Said::Acknowledged(words.next().map(str::to_owned)),
            "refused" => Said::Refused,
            "unknown" => Said::Unknown,
            _ => return None,
        },
    ))
}

/// Takes in the keys that a command lists, one a line.
async fn list(stdout: ChildStdout, writer: &Writer, found: &mut Found) -> std::io::Result<()> {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut stdout).take(LONGEST_LINE).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let key = String::from_utf8_lossy(&line);
        if !key.trim().is_empty() {
            found.key(writer, key.trim());
        }
    }
}

#[async_trait]
impl Store for ExecStore {
    async fn begin(&self) -> Result<(), String> {
        self.read(&mut Found::default()).await
    }

    async fn write(
        &self,
        seq: u64,
        _clock: &Clock,
        progress: &mut Progress,
    ) -> Result<(), Outcome> {
        progress.phase = Phase::Connect;
        let (lines, waiting) = self.lines().map_err(|_| Outcome::Bad(Reason::Refused))?;
        let (answer, answered) = oneshot::channel();
        match &mut *held(&waiting) {
            Some(waiting) => drop(waiting.insert(seq, answer)),
            None => return Err(Outcome::Bad(Reason::Refused)),
        }
        let line = format!("{} {}\n", self.writer.key(seq), self.writer.value(seq));
        if lines.try_send(line).is_err() {
            held(&waiting).as_mut().map(|waiting| waiting.remove(&seq));
            return Err(Outcome::Bad(Reason::Refused));
        }
        progress.phase = Phase::Answer;
        match answered.await {
            Ok(Said::Acknowledged(datacenter)) => {
                progress.served_by = self.served_by(datacenter.as_deref());
                Ok(())
            }
            Ok(Said::Refused) => Err(Outcome::Bad(Reason::Rejected)),
            Ok(Said::Unknown) | Err(_) => Err(Outcome::Bad(Reason::Reset)),
        }
    }

    async fn read(&self, found: &mut Found) -> Result<(), String> {
        self.run(&self.read, Some(found)).await
    }

    async fn clean(&self) -> Result<(), String> {
        // What it still writes would be left behind.
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take());
        match &self.remove {
            Some(remove) => self.run(remove, None).await,
            None => Err("the plan gives no `remove`".to_owned()),
        }
    }
}

impl ExecStore {
    fn served_by(&self, datacenter: Option<&str>) -> ServedBy {
        let Some(datacenter) = datacenter else { return ServedBy::Unnamed };
        let place = self.datacenters.iter().zip(0..).find(|(name, _)| name.as_str() == datacenter);
        place.map_or(ServedBy::Foreign, |(_, id)| {
            ServedBy::Datacenter(crate::model::DatacenterId(id))
        })
    }
}
