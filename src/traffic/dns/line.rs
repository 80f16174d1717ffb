//! A connection to a name server, over TCP: whatever is asked comes whole, or not at all.

use std::io;
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::model::Shown;

/// A connection to a name server.
pub(in crate::traffic) struct Line {
    stream: TcpStream,
    limit: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::traffic) struct Lost {
    /// In words.
    pub why: String,
    /// Whether another try may bring one soon: the connection failed, which takes no time.
    pub may_pass: bool,
}

impl Line {
    /// Connects to `at`, `HOST:PORT`. Neither this nor an answer takes longer than `limit`.
    pub(in crate::traffic) async fn open(at: &str, limit: Duration) -> Result<Line, Lost> {
        let stream = within(limit, TcpStream::connect(at)).await?;
        // A message is one write; without an answer nothing else is sent.
        stream.set_nodelay(true).map_err(lost)?;
        Ok(Line { stream, limit })
    }

    /// Sends `message`, a message in its wire form, and gives what is answered.
    pub(in crate::traffic) async fn ask(&mut self, message: &[u8]) -> Result<Vec<u8>, Lost> {
        let length = u16::try_from(message.len()).map_err(|_| Lost {
            why: "the message is too long for DNS".to_owned(),
            may_pass: false,
        })?;
        let framed = [&length.to_be_bytes(), message].concat();
        let stream = &mut self.stream;
        within(self.limit, async move {
            stream.write_all(&framed).await?;
            let length = stream.read_u16().await?;
            let mut answer = vec![0; usize::from(length)];
            stream.read_exact(&mut answer).await?;
            Ok(answer)
        })
        .await
    }
}

/// Whether `answer` is one to `asked`.
///
/// # Errors
/// Why not, to stand behind "answered with".
pub(in crate::traffic) fn answers(answer: &Message, asked: &Message) -> Result<(), String> {
    let same_question = answer.queries.is_empty() || answer.queries == asked.queries;
    match () {
        () if answer.message_type != hickory_proto::op::MessageType::Response => {
            Err("what is no answer".to_owned())
        }
        () if answer.id != asked.id || answer.op_code != asked.op_code || !same_question => {
            Err("the answer to another question".to_owned())
        }
        () if answer.truncation => Err("half of an answer".to_owned()),
        () => Ok(()),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, Lost> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(lost),
        Err(_) => {
            Err(Lost { why: format!("nothing came within {}", Shown(limit)), may_pass: false })
        }
    }
}

fn lost(error: io::Error) -> Lost {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection ended before the answer".to_owned(),
        _ => error.to_string(),
    };
    Lost { why, may_pass: true }
}
