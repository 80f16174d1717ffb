//! One command, one connection, one answer read to its end.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::model::HaproxySocket;
use crate::traffic::ControlError;

/// A state of 100,000 servers is some 12 MB; more than this is no runtime API.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why an exchange gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody could be asked, or the answer never came whole. The command may have been carried out.
    Lost(ControlError),
    /// HAProxy answered, and did not do it.
    Refused(ControlError),
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(error) | Failure::Refused(error) => error,
        }
    }
}

/// The runtime API of one HAProxy.
#[derive(Debug)]
pub(super) struct Socket {
    at: HaproxySocket,
    deadline: Duration,
}

impl Socket {
    /// The runtime API at `at`, where each exchange may take until `deadline`.
    pub(super) fn new(at: HaproxySocket, deadline: Duration) -> Self {
        Socket { at, deadline }
    }

    /// Sends `command` and gives its answer without the empty line that ends it.
    ///
    /// A connection a command, because HAProxy then closes it behind the answer: that and the
    /// empty line are the two signs that nothing is missing.
    pub(super) async fn ask(&self, command: &str) -> Result<String, Failure> {
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
        match timeout(self.deadline, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Lost(ControlError {
                what: format!("{} gave no answer to `{command}` within {:?}", self, self.deadline),
                hint: "see whether HAProxy hangs, or allow more with `timeout`".into(),
            })),
        }
    }

    /// Sends a `command` whose success is silence.
    pub(super) async fn order(&self, command: &str) -> Result<(), Failure> {
        let answer = self.ask(command).await?;
        if answer.trim().is_empty() { Ok(()) } else { Err(self.refused(command, &answer)) }
    }

    async fn exchange<S>(&self, mut stream: S, command: &str) -> Result<String, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut answer = Vec::new();
        let talk = async {
            stream.write_all(format!("{command}\n").as_bytes()).await?;
            (&mut stream).take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await
        };
        if let Err(error) = talk.await {
            return Err(self.broken(command, &format!("broke off during `{command}` ({error})")));
        }
        let Ok(text) = String::from_utf8(answer) else {
            return Err(self.broken(command, &format!("answered `{command}` with binary data")));
        };
        if text.is_empty() {
            return Err(self.broken(command, &format!("closed without an answer to `{command}`")));
        }
        match text.strip_suffix('\n') {
            Some("") => Ok(String::new()),
            Some(body) if body.ends_with('\n') => Ok(body.to_owned()),
            _ => Err(self.broken(
                command,
                &format!("answered only a part to `{command}`: `{}`", first_line(&text)),
            )),
        }
    }

    /// Text where silence or a table was due.
    pub(super) fn refused(&self, command: &str, answer: &str) -> Failure {
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
        Failure::Refused(ControlError {
            what: format!("{self} refused `{command}`: {said}"),
            hint: hint.into(),
        })
    }

    fn broken(&self, command: &str, what: &str) -> Failure {
        let hint = if command.starts_with("show") {
            "see whether HAProxy is being stopped or reloaded, and that this is its runtime API"
        } else {
            "it may have been carried out all the same; see whether HAProxy is being reloaded"
        };
        Failure::Lost(ControlError { what: format!("{self} {what}"), hint: hint.into() })
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
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
        Failure::Lost(ControlError {
            what: format!("cannot connect to {self}: {what}"),
            hint: hint.into(),
        })
    }
}

impl std::fmt::Display for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.at {
            HaproxySocket::Unix(at) | HaproxySocket::Tcp(at) => write!(f, "HAProxy at {at}"),
        }
    }
}

/// The first line of `text`, short enough for an error.
pub(super) fn first_line(text: &str) -> &str {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.char_indices().nth(120).map_or(line, |(end, _)| &line[..end])
}
