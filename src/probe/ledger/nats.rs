//! A ledger in NATS JetStream: a message for each record, under a subject of its own in a stream.
//!
//! Records carry no message id: with one JetStream would drop those that come twice, which is what is to be seen.

mod api;
mod line;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::api::ApiError;
use self::line::{Line, Login};
use super::wire::{Failed, Idle, Place, Places, in_words, quoted};
use super::{Found, Store, Writer};
use crate::clock::Clock;
use crate::model::{Connection, NatsLedger, Outcome, Phase, ProbeSpec, Reason, StoreUrl, Text};
use crate::probe::PrepareError;
use crate::probe::connector::Connector;
use crate::probe::sample::Progress;
use crate::probe::served_by::Source;
use crate::probe::tls::Tls;

/// So many records are asked for at a time.
const PIECE: u64 = 256;

/// What a stream that we make holds: the records of all drills.
const SUBJECTS: &str = "firedrill.>";

/// Nanoseconds after which records vanish from a stream that we make: a day.
const MAX_AGE: u64 = 86_400_000_000_000;

/// An answer of JetStream's own takes no longer where there is somebody to give it.
const API_LIMIT: Duration = Duration::from_secs(2);

/// The stream, as the plan wants it.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    name: String,
    create: bool,
    replicas: Option<u32>,
    in_memory: bool,
}

impl Stream {
    /// That of `nats`, which may be made if `create`.
    pub(super) fn of(nats: &NatsLedger, create: bool) -> Stream {
        Stream {
            name: nats.stream.clone(),
            create,
            replicas: nats.replicas,
            in_memory: nats.in_memory,
        }
    }
}

/// NATS made ready.
pub(super) struct NatsStore {
    writer: Writer,
    subject: String,
    stream: Stream,
    servers: Places,
    login: Login,
    source: Source,
    /// Only where connections are kept.
    idle: Option<Idle<Line>>,
    /// Connections so far: each has an inbox of its own.
    opened: AtomicU64,
    /// Whether the stream is there because of this drill.
    made: AtomicBool,
    /// The place in the stream of the first record that it acknowledged.
    first: AtomicU64,
    secrets: Vec<String>,
}

impl NatsStore {
    /// Checks everything that can be checked before the first connection.
    pub(super) fn prepare(
        nats: &NatsLedger,
        stream: Stream,
        writer: Writer,
        spec: &ProbeSpec,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        let reveal = |text: &Option<Text>| text.as_ref().map(Text::reveal_plain);
        let mut login = Login {
            user: reveal(&nats.user),
            password: reveal(&nats.password),
            token: reveal(&nats.token),
        };
        let mut places = Vec::new();
        for server in &nats.servers {
            let url =
                StoreUrl::parse(&server.reveal_plain(), NatsLedger::SCHEMES).map_err(|why| {
                    let what = format!("`{server}` cannot be asked: {why}");
                    PrepareError::new(what, "write it as nats://one.example:4222")
                })?;
            let port = url.port.unwrap_or(NatsLedger::PORT);
            let mut place = Place::plain(&url.host, port, connector.clone());
            if url.scheme == "tls" {
                place.tls = Some(Tls::prepare(&url.host, nats.ca.as_deref())?);
            }
            places.push(place);
            login.inside(url.user, url.password);
        }
        Ok(NatsStore {
            subject: subject(&writer),
            secrets: [&login.password, &login.token].into_iter().flatten().cloned().collect(),
            writer,
            stream,
            servers: Places::new(places, spec.timeout),
            login,
            source: Source::prepare(spec.served_by.as_ref())?,
            idle: (spec.connection == Connection::KeepAlive).then(Idle::default),
            opened: AtomicU64::new(0),
            made: AtomicBool::new(false),
            first: AtomicU64::new(u64::MAX),
        })
    }

    /// A new connection to the first server that lets us in.
    async fn open(&self) -> Result<Line, Failed> {
        let mut failed = Failed::Garbage;
        for place in self.servers.in_turn() {
            let count = self.opened.fetch_add(1, Relaxed);
            let inbox = format!("_INBOX.{}.{count}", self.subject);
            let mut progress = Progress::begun();
            let opened = Line::open(place, &self.login, inbox, &mut progress);
            match self.servers.patiently(opened).await {
                Ok(line) => return Ok(line),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn open_to_read(&self) -> Result<Line, String> {
        self.open().await.map_err(|failed| self.words(failed))
    }

    fn words(&self, failed: Failed) -> String {
        match failed {
            Failed::Broken(outcome) => in_words(outcome),
            Failed::Garbage => "what answers does not speak NATS' protocol".to_owned(),
            Failed::Said(said) => api::meant(&said, &self.quoted(&said)),
        }
    }

    fn quoted(&self, said: &str) -> String {
        quoted(said, &self.secrets)
    }

    /// An answer of JetStream's API, or its error.
    async fn asked(
        &self,
        line: &mut Line,
        call: &str,
        with: &Value,
    ) -> Result<Result<Value, ApiError>, String> {
        let with = if with.is_null() { String::new() } else { with.to_string() };
        let call = format!("$JS.API.{call}");
        // Without a leader nobody says no.
        let answered = tokio::time::timeout(API_LIMIT, line.ask(&call, &with)).await;
        let answered = answered.map_err(|_| no_answer())?;
        let answer = answered.and_then(|message| api::answer(&message));
        answer.map_err(|failed| self.words(failed))
    }

    /// As [`NatsStore::asked`], with its error in words.
    async fn done(&self, line: &mut Line, call: &str, with: &Value) -> Result<Value, String> {
        let asked = self.asked(line, call, with).await?;
        asked.map_err(|error| error.words(|said| self.quoted(said)))
    }

    /// What the stream's leader knows of it, and of what is under `subject`.
    async fn info(
        &self,
        line: &mut Line,
        subject: &str,
    ) -> Result<Result<Value, ApiError>, String> {
        let call = format!("STREAM.INFO.{}", self.stream.name);
        self.asked(line, &call, &json!({ "subjects_filter": subject })).await
    }

    /// As [`NatsStore::info`], of a stream that has to be there.
    async fn found(&self, line: &mut Line, subject: &str) -> Result<Value, String> {
        self.info(line, subject).await?.map_err(|error| match error.is_absent() {
            true => format!("the stream {} is gone", self.stream.name),
            false => error.words(|said| self.quoted(said)),
        })
    }

    /// The stream as it is, made if it is missing and may be.
    async fn found_or_made(&self, line: &mut Line) -> Result<Value, String> {
        let name = &self.stream.name;
        match self.info(line, &self.subject).await? {
            Ok(info) => Ok(info),
            Err(error) if error.is_absent() && self.stream.create => {
                let storage = if self.stream.in_memory { "memory" } else { "file" };
                let made = json!({
                    "name": name, "subjects": [SUBJECTS], "retention": "limits", "storage": storage,
                    "num_replicas": self.stream.replicas.unwrap_or(1), "max_age": MAX_AGE,
                    "discard": "old", "description": "numbered records of firedrill's drills",
                });
                let made = self.done(line, &format!("STREAM.CREATE.{name}"), &made).await?;
                self.made.store(true, Relaxed);
                Ok(made)
            }
            Err(error) if error.is_absent() => Err(format!(
                "there is no stream {name}: make one for the subjects `{SUBJECTS}`, or write `create: true`"
            )),
            Err(error) => Err(error.words(|said| self.quoted(said))),
        }
    }

    /// Whether the stream keeps what is written to it.
    fn fits(&self, info: &Value) -> Result<(), String> {
        let (name, config) = (&self.stream.name, &info["config"]);
        let subjects = config["subjects"].as_array().into_iter().flatten();
        if !subjects.filter_map(Value::as_str).any(|wider| covers(wider, &self.subject)) {
            return Err(format!(
                "the stream {name} does not take the subjects `{SUBJECTS}`: add them"
            ));
        }
        state::keeps(name, config)?;
        let has = config["num_replicas"].as_u64();
        match self.stream.replicas {
            Some(wanted) if has != Some(u64::from(wanted)) => Err(format!(
                "the stream {name} has {} replicas, and the plan says {wanted}",
                has.map_or("unknown".to_owned(), |has| has.to_string())
            )),
            _ => Ok(()),
        }
    }

    /// Writes, finds and removes a record beside the drill's own.
    async fn trial(&self, line: &mut Line) -> Result<(), String> {
        let (name, subject) = (&self.stream.name, format!("{}.trial", self.subject));
        let written = line.ask(&subject, "trial").await.map_err(|failed| self.words(failed))?;
        let written = api::answer(&written).map_err(|failed| self.words(failed))?;
        let written = written.map_err(|error| error.words(|said| self.quoted(said)))?;
        if written["stream"] != *name.as_str() {
            return Err(format!("records go to another stream than {name}"));
        }
        let last = json!({ "last_by_subj": subject });
        self.done(line, &format!("STREAM.MSG.GET.{name}"), &last).await?;
        let info = self.found(line, &subject).await?;
        self.purge(line, &subject).await?;
        if state::count(&info, &subject) == 0 {
            return Err(state::CANNOT_COUNT.to_owned());
        }
        Ok(())
    }

    async fn purge(&self, line: &mut Line, subject: &str) -> Result<(), String> {
        let call = format!("STREAM.PURGE.{}", self.stream.name);
        let done = self.done(line, &call, &json!({ "filter": subject })).await?;
        match done["success"] == true {
            true => Ok(()),
            false => Err("JetStream does not say that the records are removed".to_owned()),
        }
    }

    /// How many records the leader has, all together and under our subject.
    async fn count(&self, line: &mut Line) -> Result<(u64, u64), String> {
        let info = self.found(line, &self.subject).await?;
        self.counts(&info)
    }

    fn counts(&self, info: &Value) -> Result<(u64, u64), String> {
        let all = info["state"]["messages"].as_u64();
        let all = all.ok_or_else(|| "it does not say what is in the stream".to_owned())?;
        Ok((all, state::count(info, &self.subject)))
    }

    /// As [`NatsStore::count`], held to what makes it worth reading: a leader that leads, and a stream that kept everything.
    async fn count_to_read(&self, line: &mut Line) -> Result<(u64, u64), String> {
        let info = self.found(line, &self.subject).await?;
        state::leads(&info)?;
        state::keeps(&self.stream.name, &info["config"])?;
        state::has_dropped(&self.stream.name, &info, self.first.load(Relaxed))?;
        self.counts(&info)
    }

    /// Reads `wanted` records, as the stream's leader has them. A consumer would be faster, but is served by whichever copy
    /// the servers choose: it may be behind, or on a server that died.
    async fn pieces(&self, line: &mut Line, wanted: u64, found: &mut Found) -> Result<(), String> {
        let call = format!("$JS.API.STREAM.MSG.GET.{}", self.stream.name);
        let (mut read, mut next) = (0, 1_u64);
        while read < wanted {
            // Of each number the first record of ours from there on: gaps between ours are skipped by the last of them.
            let asked: Vec<String> = (next..next.saturating_add(PIECE))
                .map(|seq| json!({ "seq": seq, "next_by_subj": self.subject }).to_string())
                .collect();
            let piece = tokio::time::timeout(API_LIMIT, line.ask_all(&call, &asked)).await;
            let piece = piece.map_err(|_| no_answer())?.map_err(|failed| self.words(failed))?;
            let mut records = BTreeMap::new();
            for message in &piece {
                match api::answer(message).map_err(|failed| self.words(failed))? {
                    Ok(answer) => {
                        let record = api::record(&answer).filter(|(seq, _)| *seq >= next);
                        let (seq, key) = record.ok_or_else(|| self.words(Failed::Garbage))?;
                        records.insert(seq, key);
                    }
                    // There is none from there on.
                    Err(error) if error.is_absent() => {}
                    Err(error) => return Err(error.words(|said| self.quoted(said))),
                }
            }
            let Some(last) = records.keys().next_back() else {
                return Err(format!(
                    "{wanted} records are in the stream, and {read} of them were given"
                ));
            };
            next = last.saturating_add(1);
            read += records.len() as u64;
            records.values().for_each(|key| found.key(&self.writer, key));
        }
        Ok(())
    }
}

impl Login {
    /// Takes in what a URL says of how to log in; what the plan says under keys of their own counts more.
    fn inside(&mut self, user: Option<String>, password: Option<String>) {
        if self.user.is_some() || self.token.is_some() {
            return;
        }
        match (user, password) {
            (Some(token), None) => self.token = Some(token),
            (user, password) => {
                self.user = user;
                self.password = self.password.take().or(password);
            }
        }
    }
}

fn no_answer() -> String {
    "JetStream does not answer: the stream has no leader, or most of its servers are away"
        .to_owned()
}

/// `firedrill.RUN.SERVICE.PROBE`. A dot in a name would begin another word, and two ledgers could be one.
fn subject(writer: &Writer) -> String {
    let word = |name: &str| name.replace('.', "%2E");
    let names = [&*writer.run, writer.service.as_str(), writer.probe.as_str()];
    format!("firedrill.{}", names.map(word).join("."))
}

/// Whether a stream's subject `wider`, which may hold `*` and `>`, takes in `subject`.
fn covers(wider: &str, subject: &str) -> bool {
    let mut words = subject.split('.');
    for wide in wider.split('.') {
        match (wide, words.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wide, Some(word)) if wide == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

#[async_trait]
impl Store for NatsStore {
    async fn begin(&self) -> Result<(), String> {
        let mut line = self.open_to_read().await?;
        let info = self.found_or_made(&mut line).await?;
        self.fits(&info)?;
        self.trial(&mut line).await
    }

    async fn write(
        &self,
        seq: u64,
        _clock: &Clock,
        progress: &mut Progress,
    ) -> Result<(), Outcome> {
        // Whatever hangs before the record is sent: it cannot be there.
        progress.phase = Phase::Connect;
        let kept = match &self.idle {
            Some(idle) => idle.take().await,
            None => None,
        };
        let mut line = match kept {
            Some(line) => line,
            None => self.open().await.map_err(Failed::before_writing)?,
        };
        progress.phase = Phase::Answer;
        let answered = line.ask(&self.subject, &self.writer.key(seq)).await;
        let message = answered.map_err(|failed| match failed {
            Failed::Broken(outcome) => outcome,
            Failed::Said(said) => api::outcome(&said, &self.subject),
            Failed::Garbage => Outcome::Bad(Reason::Protocol),
        })?;
        progress.served_by = self.source.by_peer(line.wire.peer.ip());
        let place = api::acknowledged(&message, &self.stream.name)?;
        self.first.fetch_min(place, Relaxed);
        if let Some(idle) = &self.idle {
            idle.put(line);
        }
        Ok(())
    }

    async fn read(&self, found: &mut Found) -> Result<(), String> {
        let mut line = self.open_to_read().await?;
        let (all, ours) = self.count_to_read(&mut line).await?;
        self.pieces(&mut line, ours, found).await?;
        found.foreign(all.saturating_sub(ours));
        Ok(())
    }

    async fn clean(&self) -> Result<(), String> {
        if let Some(idle) = &self.idle {
            idle.clear();
        }
        let mut line = self.open_to_read().await?;
        self.purge(&mut line, &self.subject).await?;
        if !self.made.load(Relaxed) || self.count(&mut line).await?.0 > 0 {
            return Ok(());
        }
        // Another ledger of the drill may have been faster.
        let call = format!("STREAM.DELETE.{}", self.stream.name);
        match self.asked(&mut line, &call, &Value::Null).await? {
            Err(error) if !error.is_absent() => Err(error.words(|said| self.quoted(said))),
            _ => Ok(()),
        }
    }
}
