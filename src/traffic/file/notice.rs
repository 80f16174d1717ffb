//! How a server is asked whether it would take the file, and told to take it.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::fs;

use crate::command::quoted;
use crate::command::{Ran, Words, run};
use crate::model::{FileReload, FileSettings, FileSignal, Shown, Text};
use crate::traffic::ControlError;
use crate::traffic::api::mask::Mask;
use crate::traffic::log::Log;

/// In a word of `test` this stands for the new file, which has not taken its place yet.
const FILE: &str = "{file}";

/// Of what a command says, as much is read, and as many characters are told.
const SAID: (usize, usize) = (1 << 16, 500);

/// The commands and signals of a server.
pub(super) struct Notice {
    test: Vec<Text>,
    reload: FileReload,
    dir: Text,
    limit: Duration,
    /// What servers say of their files may hold the secrets of a path.
    mask: Mask,
}

impl Notice {
    pub(super) fn new(settings: &FileSettings) -> Notice {
        Notice {
            test: settings.test.clone(),
            reload: settings.reload.clone(),
            dir: settings.dir.clone(),
            limit: settings.timeout,
            mask: Mask::default().and(settings.path.secrets()).and(settings.dir.secrets()),
        }
    }

    /// Whether the test is told where the new file is, so that it need not stand in its place.
    pub(super) fn tests_beside(&self) -> bool {
        self.test.iter().any(|word| word.to_string().contains(FILE))
    }

    /// Asks whether the server would take the file at `at`; nothing if the plan names no test.
    pub(super) async fn test(&self, at: &Path, log: &Log) -> Result<(), ControlError> {
        if self.test.is_empty() {
            return Ok(());
        }
        let at = at.display().to_string();
        let words: Vec<Text> =
            self.test.iter().map(|word| word.mapped(|text| text.replace(FILE, &at))).collect();
        self.run((&words, &self.test), "its own words say what it does not like", log).await
    }

    /// Tells the server to take the file.
    pub(super) async fn reload(&self, log: &Log) -> Result<(), ControlError> {
        match &self.reload {
            FileReload::Watched => Ok(()),
            FileReload::Command(command) => {
                self.run((command, command), "see whether the server runs, and took the file", log)
                    .await
            }
            FileReload::Signal { pid_file, signal } => {
                let (asked, sent) = (log.ask(), process(pid_file).await);
                let sent = sent.and_then(|pid| {
                    kill_process(pid, number(*signal)).map_err(|error| unsent(pid_file, &error))
                });
                let answer = sent.as_ref().err().map_or("sent", |error| &error.what);
                log.answer(asked, &self.line(), answer);
                sent
            }
        }
    }

    /// Holds that the server can be told.
    pub(super) async fn prove(&self) -> Result<(), ControlError> {
        let FileReload::Signal { pid_file, .. } = &self.reload else { return Ok(()) };
        let pid = process(pid_file).await?;
        test_kill_process(pid).map_err(|error| unsent(pid_file, &error))
    }

    /// The test as a person would call it.
    pub(super) fn test_line(&self, at: &str) -> Option<String> {
        let words = self.test.iter().map(|word| quoted(&word.to_string().replace(FILE, at)));
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| self.here(&words.join(" ")))
    }

    /// The reload as a person would call it; empty where the server watches the file.
    pub(super) fn reload_line(&self) -> Option<String> {
        match &self.reload {
            FileReload::Watched => None,
            FileReload::Command(_) => Some(self.here(&self.line())),
            FileReload::Signal { .. } => Some(self.line()),
        }
    }

    fn line(&self) -> String {
        match &self.reload {
            FileReload::Watched => String::new(),
            FileReload::Command(command) => {
                command.iter().map(|word| quoted(&word.to_string())).collect::<Vec<_>>().join(" ")
            }
            FileReload::Signal { pid_file, signal } => {
                format!("kill -{} \"$(cat {})\"", signal.word(), quoted(&pid_file.to_string()))
            }
        }
    }

    /// A command where it has to run.
    fn here(&self, line: &str) -> String {
        format!("cd {} && {line}", quoted(&self.dir.to_string()))
    }

    /// Runs a command, which is noted as the plan has it.
    async fn run(
        &self,
        (command, planned): (&[Text], &[Text]),
        hint: &str,
        log: &Log,
    ) -> Result<(), ControlError> {
        let error = |what: String, hint: &str| ControlError { what, hint: hint.to_owned() };
        let Some(words) = Words::new(command) else {
            return Err(error("a command of the plan is empty".to_owned(), "name a program"));
        };
        let (asked, name) = (log.ask(), words.name());
        let mut program = words.command();
        program.current_dir(self.dir.reveal_plain());
        // Dropped at the limit, it is killed with all that it started.
        let ran = match tokio::time::timeout(self.limit, run(&mut program, b"", SAID.0)).await {
            Ok(Ok(ran)) if ran.status.success() => Ok(()),
            Ok(Ok(ran)) => {
                let said = self.mask.hide(&words.shown(&complaint(&ran)));
                Err(error(format!("the command `{name}` ended with {}: {said}", ran.status), hint))
            }
            Ok(Err(why)) => {
                let hint = "see that it is there, may be run, and stands where `dir` says";
                Err(error(words.not_run(&why), hint))
            }
            Err(_) => {
                let within = Shown(self.limit);
                let what =
                    format!("the command `{name}` did not end within {within}, and was killed");
                Err(error(what, "see whether it hangs; what it began may have taken effect"))
            }
        };
        let line: Vec<String> = planned.iter().map(Text::to_string).collect();
        let answer = ran.as_ref().err().map_or("it succeeded", |error| &error.what);
        log.answer(asked, &line.join(" "), answer);
        ran
    }
}

/// What a command that failed says of that.
fn complaint(ran: &Ran) -> String {
    let said = if ran.complained.trim_ascii().is_empty() { &ran.said } else { &ran.complained };
    String::from_utf8_lossy(said).chars().take(SAID.1).collect()
}

/// The process whose number stands in `pid_file`.
async fn process(pid_file: &Text) -> Result<Pid, ControlError> {
    let senseless = |what: String| ControlError {
        what: format!("the server cannot be told to reload: {what}"),
        hint: "see whether it runs, and where it writes its pid file".to_owned(),
    };
    let read = fs::read(pid_file.reveal_plain()).await;
    let read = read.map_err(|error| senseless(format!("{pid_file} cannot be read: {error}")))?;
    let number = std::str::from_utf8(&read).ok().and_then(|text| text.trim().parse::<i32>().ok());
    // The first process is nobody's server, and no number below it is a process.
    let pid = number.filter(|number| *number > 1).and_then(Pid::from_raw);
    pid.ok_or_else(|| senseless(format!("what stands in {pid_file} is no number of a process")))
}

fn unsent(pid_file: &Text, error: &dyn std::fmt::Display) -> ControlError {
    ControlError {
        what: format!("the process of {pid_file} takes no signal: {error}"),
        hint: "see whether the server runs, and whether whoever runs firedrill may signal it"
            .to_owned(),
    }
}

fn number(signal: FileSignal) -> Signal {
    match signal {
        FileSignal::Hup => Signal::HUP,
        FileSignal::Usr1 => Signal::USR1,
        FileSignal::Usr2 => Signal::USR2,
    }
}
