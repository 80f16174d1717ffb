//! Commands of one's own as a traffic control: a team's tool is a provider in ten lines.
//!
//! Each call runs a command that is told what to do as JSON on its standard input. At the time limit the command is killed
//! with all that it started.

mod protocol;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use self::protocol::{Answer, Request, once_cut};
use super::log::Log;
use super::{ControlError, Survivors, TrafficControl};
use crate::command::quoted;
use crate::command::{Ran, Words, run};
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, Exchange, ExecSettings, Shown, Text,
};

/// Of each output of a command this much is kept; a longer answer is refused.
const MOST_SAID: usize = 4 << 20;

/// Of what a command complains, as many characters are told.
const COMPLAINT: usize = 500;

/// Commands as a traffic control. Its parts are what they say.
#[derive(Debug)]
pub struct Exec {
    spec: ControlSpec,
    settings: ExecSettings,
    inspect: Words,
    cut: Words,
    restore: Words,
    log: Log,
}

impl Exec {
    /// The commands of `settings`, which are those of `spec`. Nothing is run yet.
    ///
    /// # Errors
    /// When one of them names no program.
    pub fn new(spec: &ControlSpec, settings: &ExecSettings) -> Result<Exec, ControlError> {
        let words = |command: &[Text]| {
            Words::new(command).ok_or_else(|| ControlError {
                what: format!("a command of {} is empty", spec.name),
                hint: "name a program under `inspect`, `cut` and `restore`".to_owned(),
            })
        };
        Ok(Exec {
            inspect: words(&settings.inspect)?,
            cut: words(&settings.cut)?,
            restore: words(&settings.restore)?,
            spec: spec.clone(),
            settings: settings.clone(),
            log: Log::default(),
        })
    }

    /// Runs a command to its end, and gives what it says.
    async fn ask(&self, words: &Words, request: &Request<'_>) -> Result<Vec<u8>, ControlError> {
        let (line, asked) = (request.line(), self.log.ask());
        let mut command = words.command();
        command.current_dir(self.settings.dir.reveal_plain());
        let input = format!("{line}\n");
        // Dropped at the limit, it is killed with all that it started.
        let ran = run(&mut command, input.as_bytes(), MOST_SAID + 1);
        let ran = match tokio::time::timeout(self.settings.timeout, ran).await {
            Ok(Ok(ran)) => self.judged(words, ran),
            Ok(Err(error)) => Err(ControlError {
                what: words.not_run(&error),
                hint: "see that it is there, may be run, and stands where `dir` says".to_owned(),
            }),
            Err(_) => Err(ControlError {
                what: format!(
                    "the command `{}` did not end within {}, and was killed",
                    words.name(),
                    Shown(self.settings.timeout)
                ),
                hint: "see whether it hangs; what it began may have taken effect".to_owned(),
            }),
        };
        let answered = match &ran {
            Ok(said) => words.shown(&beginning(said)),
            Err(error) => error.what.clone(),
        };
        self.log.answer(asked, &format!("{} {}", words.name(), words.shown(&line)), &answered);
        ran
    }

    fn judged(&self, words: &Words, ran: Ran) -> Result<Vec<u8>, ControlError> {
        let name = words.name();
        if !ran.status.success() {
            let complaint = words.shown(&beginning(&ran.complained));
            return Err(ControlError {
                what: format!("the command `{name}` ended with {}: {complaint}", ran.status),
                hint: "its own words say why".to_owned(),
            });
        }
        if ran.said.len() > MOST_SAID {
            return Err(ControlError {
                what: format!("the command `{name}` said more than {} MiB", MOST_SAID >> 20),
                hint: "it must say one JSON object: docs/providers/exec.md".to_owned(),
            });
        }
        Ok(ran.said)
    }

    async fn told(&self, order: Option<&CutOrder>) -> Result<(Answer, ControlState), ControlError> {
        let names = &self.settings.datacenters;
        let said = self.ask(&self.inspect, &Request::inspect(order, names)).await?;
        let read = Answer::read(&said).and_then(|answer| {
            let state = answer.state(names)?;
            Ok((answer, state))
        });
        read.map_err(|why| ControlError {
            what: format!(
                "the command `{}` said what makes no sense: {}",
                self.inspect.name(),
                self.inspect.shown(&why)
            ),
            hint: "docs/providers/exec.md says what it must say".to_owned(),
        })
    }

    /// A command in one line as a person would call it, to be told `request`.
    fn by_hand(&self, command: &[Text], request: &Request<'_>) -> String {
        let words: Vec<String> = command.iter().map(|word| quoted(&word.to_string())).collect();
        let (dir, request) = (quoted(&self.settings.dir.to_string()), quoted(&request.line()));
        format!("cd {dir} && echo {request} | {}", words.join(" "))
    }
}

fn beginning(said: &[u8]) -> String {
    String::from_utf8_lossy(said).chars().take(COMPLAINT).collect()
}

#[async_trait]
impl TrafficControl for Exec {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn identity(&self) -> Result<Option<String>, ControlError> {
        Ok(self.told(None).await?.0.identity.map(|identity| format!("exec {identity}")))
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        Ok(self.told(None).await?.1)
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let left = self.told(Some(order)).await?.0.left.unwrap_or_default();
        Ok(left.into_iter().map(|(group, left)| Survivors { group, left }).collect())
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let ours = snapshot.cuttable(order);
        let request = Request::cut(order, &ours, &self.settings.datacenters);
        self.ask(&self.cut, &request).await.map(drop)
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let (ours, names) = (snapshot.cuttable(order), &self.settings.datacenters);
        let call = |command: &[Text], request: &Request<'_>| {
            let words: Vec<String> = command.iter().map(Text::to_string).collect();
            format!("{} {}", words.join(" "), request.line())
        };
        let cut = call(&self.settings.cut, &Request::cut(order, &ours, names));
        let back = call(&self.settings.restore, &Request::restore(&ours, names));
        vec![CutCall { call: cut, undone_by: Some(back) }]
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        once_cut(snapshot.cuttable(order), order.mode.kind())
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let request = Request::restore(snapshot, &self.settings.datacenters);
        self.ask(&self.restore, &request).await.map(drop)
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let request = Request::restore(snapshot, &self.settings.datacenters);
        vec![self.by_hand(&self.settings.restore, &request)]
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.log.take()
    }
}
