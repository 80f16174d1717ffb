//! Questions to DNS servers of one's choice, by the probes' connector: no cache, no search list, no hosts file.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::PrepareError;
use super::super::connector::{Connector, Stream};
use super::super::failure::{of_connect, of_stream};
use super::super::sample::Progress;
use crate::model::{Outcome, Phase, Reason, Text, dns_server};

/// More links in a chain of names than any resolver follows.
const LONGEST_CHAIN: usize = 16;

/// Who is asked, and how.
pub(in crate::probe) struct Client {
    connector: Arc<dyn Connector>,
    servers: Vec<SocketAddr>,
    /// TCP from the start.
    tcp: bool,
    /// Only what the zone itself says.
    authority: bool,
    /// For how long one server is waited for before the next is asked.
    patience: Duration,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::probe) struct Answer {
    /// The records of the type that was asked for; empty if there is the name and no such record.
    pub(in crate::probe) records: Vec<RData>,
    /// The names that they stand behind: the targets of `CNAME` records, in order.
    pub(in crate::probe) behind: Vec<Name>,
    /// For how long all of it is good: the shortest TTL.
    pub(in crate::probe) ttl: Duration,
}

impl Client {
    /// A client that asks `servers`, or the system's if there are none. A question takes at most `timeout`.
    pub(in crate::probe) fn prepare(
        servers: &[Text],
        (tcp, authority): (bool, bool),
        timeout: Duration,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        let read = |server: &Text| {
            dns_server(&server.reveal_plain()).ok_or_else(|| {
                PrepareError::new(
                    format!("`{server}` is not the address of a DNS server"),
                    "write IP or IP:PORT, such as 10.0.0.53 or [::1]:5300",
                )
            })
        };
        let mut servers = servers.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            servers = connector.name_servers();
        }
        if servers.is_empty() {
            let hint = "name one: `server: 10.0.0.53`";
            return Err(PrepareError::new("there is no DNS server to ask", hint));
        }
        let share = u32::try_from(servers.len()).unwrap_or(u32::MAX);
        Ok(Client { connector, servers, tcp, authority, patience: timeout / share })
    }

    /// The name in `text`, which is taken in full.
    pub(in crate::probe) fn name(text: &str) -> Option<Name> {
        let mut name = Name::from_ascii(text).ok()?;
        name.set_fqdn(true);
        Some(name)
    }

    /// Asks one server after the other until one of them answers. What the last of them did is told.
    ///
    /// # Errors
    /// What it says of the DNS that none of them answered, or how.
    pub(in crate::probe) async fn ask(
        &self,
        name: &Name,
        record: RecordType,
        progress: &mut Progress,
    ) -> Result<Answer, Outcome> {
        let mut failed = Outcome::Bad(Reason::LookUp);
        for (asked, server) in self.servers.iter().enumerate() {
            let answer = self.ask_one(*server, name, record, progress);
            // The last one is waited for as long as the sample lasts.
            let answer = match asked + 1 == self.servers.len() {
                true => answer.await,
                false => match tokio::time::timeout(self.patience, answer).await {
                    Ok(answer) => answer,
                    Err(_) => continue,
                },
            };
            match answer {
                Ok(answer) => return Ok(answer),
                // That there is no such name is an answer, and so is that a record is a copy.
                Err(outcome @ Outcome::Bad(Reason::Dns(NO_SUCH_NAME) | Reason::Copy)) => {
                    return Err(outcome);
                }
                // A server that cannot be reached from here does not excuse one that failed.
                Err(Outcome::Unknown(_)) if asked > 0 && matches!(failed, Outcome::Bad(_)) => {}
                Err(outcome) => failed = outcome,
            }
        }
        Err(failed)
    }

    async fn ask_one(
        &self,
        server: SocketAddr,
        name: &Name,
        record: RecordType,
        progress: &mut Progress,
    ) -> Result<Answer, Outcome> {
        let question = self.question(name, record);
        let bytes = question.to_vec().map_err(|_| Outcome::Bad(Reason::LookUp))?;
        let mut answer = match self.tcp {
            true => None,
            false => Some(self.by_datagram(server, &question, &bytes, progress).await?),
        };
        if answer.as_ref().is_none_or(|answer| answer.metadata.truncation) {
            answer = Some(self.by_stream(server, &question, &bytes, progress).await?);
        }
        match answer {
            Some(answer) => self.judge(&answer, name, record),
            None => Err(Outcome::Bad(Reason::LookUp)),
        }
    }

    /// Without EDNS: what does not fit into 512 bytes comes by TCP, as for the C library.
    fn question(&self, name: &Name, record: RecordType) -> Message {
        let mut question = Message::query();
        question.metadata.recursion_desired = !self.authority;
        question.add_query(Query::query(name.clone(), record));
        question
    }

    /// Sent once: what is lost is lost to its user, who would send it again only after seconds.
    async fn by_datagram(
        &self,
        server: SocketAddr,
        question: &Message,
        bytes: &[u8],
        progress: &mut Progress,
    ) -> Result<Message, Outcome> {
        progress.phase = Phase::LookUp;
        let way = self.connector.datagrams(server).await.map_err(|error| of_connect(&error))?;
        way.send(bytes).await.map_err(|error| of_connect(&error))?;
        loop {
            let came = way.receive().await.map_err(|error| of_connect(&error))?;
            match Message::from_vec(&came) {
                Ok(answer) if is_answer(&answer, question) => return Ok(answer),
                Err(_) if came.starts_with(&question.metadata.id.to_be_bytes()) => {
                    return Err(Outcome::Bad(Reason::LookUp));
                }
                // Of another question, or of somebody who only guesses.
                _ => {}
            }
        }
    }

    async fn by_stream(
        &self,
        server: SocketAddr,
        question: &Message,
        bytes: &[u8],
        progress: &mut Progress,
    ) -> Result<Message, Outcome> {
        progress.phase = Phase::Connect;
        let mut stream = self.connector.connect(server).await.map_err(|e| of_connect(&e))?;
        progress.phase = Phase::LookUp;
        let came = exchange(&mut *stream, bytes).await;
        let came = came.map_err(|error| of_stream(&error, Phase::LookUp))?;
        match Message::from_vec(&came) {
            Ok(answer) if is_answer(&answer, question) => Ok(answer),
            _ => Err(Outcome::Bad(Reason::LookUp)),
        }
    }

    fn judge(&self, answer: &Message, name: &Name, record: RecordType) -> Result<Answer, Outcome> {
        match answer.metadata.response_code {
            ResponseCode::NoError if self.authority && !answer.metadata.authoritative => {
                Err(Outcome::Bad(Reason::Copy))
            }
            ResponseCode::NoError => Ok(followed(&answer.answers, name, record)),
            code => Err(Outcome::Bad(Reason::Dns(code.into()))),
        }
    }
}

/// NXDOMAIN.
const NO_SUCH_NAME: u16 = 3;

/// Each message is sent with its length before it (RFC 1035, 4.2.2).
async fn exchange(stream: &mut dyn Stream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.extend_from_slice(bytes);
    stream.write_all(&whole).await?;
    stream.flush().await?;
    let mut came = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut came).await?;
    Ok(came)
}

fn is_answer(answer: &Message, question: &Message) -> bool {
    let same = |(ours, theirs): (&Query, &Query)| {
        ours.name() == theirs.name() && ours.query_type() == theirs.query_type()
    };
    answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.metadata.op_code == OpCode::Query
        // Some that fail leave the question out.
        && question.queries.iter().zip(&answer.queries).all(same)
}

/// The records of `name`, or of the name that it is another word for.
fn followed(answers: &[Record], name: &Name, record: RecordType) -> Answer {
    let (mut name, mut behind) = (name, Vec::new());
    let mut ttl = u32::MAX;
    let of = |name: &Name, kind: RecordType| {
        let fits = move |it: &&Record| it.record_type() == kind && it.name == *name;
        answers.iter().filter(fits).collect::<Vec<_>>()
    };
    loop {
        let found = of(name, record);
        if !found.is_empty() || behind.len() >= LONGEST_CHAIN {
            ttl = found.iter().map(|it| it.ttl).fold(ttl, u32::min);
            let records = found.into_iter().map(|it| it.data.clone()).collect();
            return Answer { records, behind, ttl: Duration::from_secs(ttl.into()) };
        }
        let alias = of(name, RecordType::CNAME).into_iter().next();
        let Some((alias, RData::CNAME(target))) = alias.map(|alias| (alias, &alias.data)) else {
            return Answer { records: Vec::new(), behind, ttl: Duration::ZERO };
        };
        ttl = ttl.min(alias.ttl);
        name = &target.0;
        behind.push(target.0.clone());
    }
}
