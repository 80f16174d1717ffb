//! The command that writes: told what to write line by line, and heard.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::command::Group;
use crate::probe::ledger::lines::{Line, Lines};
use crate::probe::ledger::{Writer, number};

/// Lines that may wait for a command that does not read; more are not sent.
const MOST_WAITING: usize = 1024;

/// A command that writes, with all that it started. Dropped, it is killed.
pub(super) struct Running {
    _group: Group,
    lines: Mutex<Option<mpsc::Sender<String>>>,
    heard: Arc<Heard>,
    /// Whether it still says anything.
    says: watch::Receiver<bool>,
    /// It hangs: nobody tells it anything any more.
    given_up: AtomicBool,
}

/// What is heard of a command.
#[derive(Default)]
struct Heard {
    /// Who waits for the answer to which write.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Said>>>,
    /// How many answers came.
    answers: AtomicU64,
}

impl Heard {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Said>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a command said of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is written, perhaps with the datacenter that has it.
    Acknowledged(Option<String>),
    Refused,
    Unknown,
}

impl Running {
    /// Starts `command`.
    pub(super) fn start(command: &mut Command, writer: &Writer) -> std::io::Result<Running> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut group = Group::start(command)?;
        let child = group.child();
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        let (lines, told) = mpsc::channel(MOST_WAITING);
        let (say, says) = watch::channel(true);
        let heard = Arc::<Heard>::default();
        tokio::spawn(tell(stdin, told));
        tokio::spawn(hear(stdout, writer.prefix(), heard.clone(), say));
        let (lines, given_up) = (Mutex::new(Some(lines)), AtomicBool::new(false));
        Ok(Running { _group: group, lines, heard, says, given_up })
    }

    fn lines(&self) -> MutexGuard<'_, Option<mpsc::Sender<String>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has ended, does not listen any more, or hangs.
    pub(super) fn is_over(&self) -> bool {
        let deaf = self.lines().as_ref().is_none_or(mpsc::Sender::is_closed);
        deaf || !*self.says.borrow() || self.given_up.load(Relaxed)
    }

    /// Whether it ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.heard.answers.load(Relaxed) > 0
    }

    /// Tells it to write record `seq`; `None` if it cannot be told.
    pub(super) fn tell(self: &Arc<Self>, seq: u64, line: String) -> Option<Answer> {
        let lines = self.lines().clone()?;
        let (answer, answered) = oneshot::channel();
        self.heard.waiting().insert(seq, answer);
        let before = self.heard.answers.load(Relaxed);
        let mut answer = Answer { from: self.clone(), seq, before, answered, is_over: false };
        // It ended, too many wait already, or it does not listen any more.
        answer.is_over = !*self.says.borrow() || lines.try_send(line).is_err();
        (!answer.is_over).then_some(answer)
    }

    /// Tells it that there is no more to write.
    pub(super) fn close(&self) {
        drop(self.lines().take());
    }

    /// Waits until it says nothing any more.
    pub(super) async fn ended(&self) {
        let _ = self.says.clone().wait_for(|says| !says).await;
    }
}

/// The answer to a write that a command was told of.
pub(super) struct Answer {
    from: Arc<Running>,
    seq: u64,
    /// How often it had answered before.
    before: u64,
    answered: oneshot::Receiver<Said>,
    is_over: bool,
}

impl Answer {
    /// What the command says; `None` when it ended without a word of it. Dropped before, the write took too long: where the
    /// command answered nothing at all meanwhile it hangs, and is given up, so that later writes do not hang with it.
    pub(super) async fn heard(mut self) -> Option<Said> {
        let said = (&mut self.answered).await.ok();
        self.is_over = true;
        said
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.from.heard.waiting().remove(&self.seq);
        if !self.is_over && self.from.heard.answers.load(Relaxed) == self.before {
            self.from.given_up.store(true, Relaxed);
        }
    }
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
async fn hear(stdout: ChildStdout, prefix: String, heard: Arc<Heard>, says: watch::Sender<bool>) {
    let mut lines = Lines::new(stdout);
    while let Ok(Some(line)) = lines.next().await {
        if let Line::Whole(line) = line
            && let Some((seq, said)) = read_line(&line, &prefix)
        {
            heard.answers.fetch_add(1, Relaxed);
            let waiting = heard.waiting().remove(&seq);
            // Nobody waits for one that took too long.
            waiting.map(|answer| answer.send(said));
        }
    }
    says.send_replace(false);
    heard.waiting().clear();
}

/// `ok KEY [DATACENTER]`, `refused KEY`, `unknown KEY`.
fn read_line(line: &str, prefix: &str) -> Option<(u64, Said)> {
    let mut words = line.split_ascii_whitespace();
    let (word, key) = (words.next()?, words.next()?);
    let seq = number(key.strip_prefix(prefix)?)?;
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
