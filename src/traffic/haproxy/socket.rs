//! Commands to the runtime API, and their answers read to the end.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::model::{HaproxySocket, Part};
use crate::traffic::ControlError;
use crate::traffic::log::Log;

/// A state of 100,000 servers is some 12 MB; more than this is no runtime API.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Commands a connection: well within HAProxy's line buffer of 16 kB.
const BATCH: usize = 64;

/// The runtime API of one HAProxy.
#[derive(Debug)]
pub(super) struct Socket {
    at: HaproxySocket,
    deadline: Duration,
    pub(super) log: Log,
}

impl Socket {
    /// The runtime API at `at`, where each exchange may take until `deadline`.
    pub(super) fn new(at: HaproxySocket, deadline: Duration) -> Self {
        Socket { at, deadline, log: Log::default() }
    }

    /// Sends a line of commands and gives the answer without the empty line that ends it.
    ///
    /// Each has its own connection, because HAProxy then closes it behind the answer: that and the
    /// empty line are the two signs that nothing is missing.
    ///
    /// # Errors
    /// When nobody can be asked or the answer does not come whole. The commands may have been
    /// carried out.
    pub(super) async fn ask(&self, command: &str) -> Result<String, ControlError> {
        let exchange = async {
            match &self.at {
                HaproxySocket::Unix(path) => {
                    let stream = UnixStream::connect(path.reveal_plain()).await;
                    self.exchange(stream.map_err(|error| self.unreachable(&error))?, command).await
                }
                HaproxySocket::Tcp(address) => {
                    let stream = TcpStream::connect(address.reveal_plain()).await;
                    self.exchange(stream.map_err(|error| self.unreachable(&error))?, command).await
                }
            }
        };
        let asked = self.log.ask();
        let answer = match timeout(self.deadline, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(ControlError {
                what: format!(
                    "{self} gave no answer to `{}` within {:?}",
                    first_command(command),
                    self.deadline
                ),
                hint: "see whether HAProxy hangs, or allow more with `timeout`".into(),
            }),
        };
        let words = match &answer {
            // The way in which it says yes.
            Ok(text) if text.trim().is_empty() => "nothing, which is its yes",
            Ok(text) => first_line(text),
            Err(error) => &error.what,
        };
        self.log.answer(asked, command, words);
        answer
    }

    /// Gives all `commands`, whose success is silence, in order; returns the refusals.
    ///
    /// They go many to a connection, so that a cut comes at nearly one instant. Only when one of them
    /// is answered with text are they given again one by one, to tell which: all of them can be.
    ///
    /// # Errors
    /// When an answer did not come whole; the rest is not given then.
    pub(super) async fn order(
        &self,
        commands: &[String],
    ) -> Result<Vec<ControlError>, ControlError> {
        let mut refusals = Vec::new();
        for batch in commands.chunks(BATCH) {
            let answer = self.ask(&batch.join("; ")).await?;
            // An empty line each, of which `ask` took the last.
            if answer.len() + 1 == batch.len() && answer.bytes().all(|byte| byte == b'\n') {
                continue;
            }
            for command in batch {
                let answer = self.ask(command).await?;
                if !answer.trim().is_empty() {
                    refusals.push(self.refused(command, &answer));
                }
            }
        }
        Ok(refusals)
    }

    /// Its address in the form that `socat` takes.
    pub(super) fn socat(&self) -> String {
        let (kind, at) = match &self.at {
            HaproxySocket::Unix(path) => ("UNIX-CONNECT:", path),
            HaproxySocket::Tcp(address) => ("TCP:", address),
        };
        if at.secrets().next().is_some() {
            // Whoever types it has the variable, and the shell fills it in.
            let parts = at.parts().iter().map(|part| match part {
                Part::Secret { name, .. } => format!("\"${{{name}}}\""),
                part => quoted(&part.to_string()),
            });
            return parts.fold(kind.to_owned(), |whole, part| whole + &part);
        }
        kind.to_owned() + &quoted(&at.to_string())
    }

    async fn exchange<S>(&self, mut stream: S, command: &str) -> Result<String, ControlError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut answer = Vec::new();
        let talk = async {
            stream.write_all(format!("{command}\n").as_bytes()).await?;
            (&mut stream).take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await
        };
        if let Err(error) = talk.await {
            return Err(self.broken("broke off during", command, &error.to_string()));
        }
        let Ok(text) = String::from_utf8(answer) else {
            return Err(self.broken("gave binary data in answer to", command, ""));
        };
        match text.strip_suffix('\n') {
            Some(body) if body.is_empty() || body.ends_with('\n') => Ok(body.to_owned()),
            None if text.is_empty() => Err(self.broken("gave no answer to", command, "it closed")),
            _ => Err(self.broken("gave only a part of its answer to", command, first_line(&text))),
        }
    }

    /// Text where silence or a table was due.
    pub(super) fn refused(&self, command: &str, answer: &str) -> ControlError {
        let said = first_line(answer);
        let hint = match said {
            "Permission denied" => "the socket needs `level admin` on its `stats socket` line",
            "No such server." | "No such backend." => {
                "it was there before: see whether HAProxy was reloaded with other servers"
            }
            _ if said.starts_with("Unknown command") => {
                "see that this is HAProxy's runtime API, version 1.8 or later"
            }
            _ => "see HAProxy's management guide, `Unix Socket commands`",
        };
        ControlError { what: format!("{self} refused `{command}`: {said}"), hint: hint.into() }
    }

    /// HAProxy `did` something to `command` that is no whole answer, with `detail` if there is any.
    fn broken(&self, did: &str, command: &str, detail: &str) -> ControlError {
        let hint = if command.starts_with("show") {
            "see whether HAProxy is being stopped or reloaded, and that this is its runtime API"
        } else {
            "it may have been carried out all the same; see whether HAProxy is being reloaded"
        };
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        ControlError {
            what: format!("{self} {did} `{}`{detail}", first_command(command)),
            hint: hint.into(),
        }
    }

    fn unreachable(&self, error: &io::Error) -> ControlError {
        let unix = matches!(self.at, HaproxySocket::Unix(_));
        let (what, hint) = match error.kind() {
            io::ErrorKind::NotFound if unix => {
                ("there is no such file".into(), "compare with `stats socket` in haproxy.cfg")
            }
            io::ErrorKind::PermissionDenied => (
                "permission denied".into(),
                "run as the socket's user or group, or set `user`, `group` or `mode` behind `stats socket`",
            ),
            io::ErrorKind::ConnectionRefused => {
                ("nothing listens there".into(), "see whether HAProxy runs")
            }
            _ => (error.to_string(), "compare with `stats socket` in haproxy.cfg"),
        };
        ControlError { what: format!("cannot connect to {self}: {what}"), hint: hint.into() }
    }
}

impl std::fmt::Display for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.at {
            HaproxySocket::Unix(at) | HaproxySocket::Tcp(at) => write!(f, "HAProxy at {at}"),
        }
    }
}

/// Text as a word for a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:[]".contains(c);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The first of several commands.
fn first_command(commands: &str) -> &str {
    commands.split_once("; ").map_or(commands, |(first, _)| first)
}

/// The first line of `text`, short enough for an error.
fn first_line(text: &str) -> &str {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.char_indices().nth(120).map_or(line, |(end, _)| &line[..end])
}
