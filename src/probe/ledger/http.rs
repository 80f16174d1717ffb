//! A ledger behind HTTP: records are written, read and removed by requests.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use super::{Found, Store, Writer};
use crate::clock::Clock;
use crate::model::{HttpLedger, HttpProbe, Outcome, ProbeKind, ProbeSpec, Text};
use crate::probe::PrepareError;
use crate::probe::connector::Connector;
use crate::probe::http::HttpAsker;
use crate::probe::sample::Progress;

/// Stand for the words of a plan in requests that are built ahead: of characters that a URL may have anywhere.
const KEY: &str = "firedrill.key.here";
const VALUE: &str = "firedrill.value.here";
const PREFIX: &str = "firedrill.prefix.here";

/// The longest list of records that is read: about two million keys.
const MOST_LIST: usize = 128 << 20;

/// The longest answer about one record that is read.
const MOST_ONE: usize = 1 << 20;

/// Records that are asked for one by one are asked for so many at a time.
const AT_ONCE: usize = 32;

/// Of very many requests one may well fail: it is tried so often.
const TRIES: u32 = 3;

/// No drill writes so many: the record with this number is nowhere.
const NEVER: u64 = u64::MAX;

/// Requests made ready.
pub(super) struct HttpStore {
    writer: Writer,
    write: HttpAsker,
    read: HttpAsker,
    /// Whether one reading asks for one record.
    reads_one: bool,
    items: String,
    item_key: String,
    remove: Option<HttpAsker>,
    removes_one: bool,
    /// The number after the highest that was written.
    next: AtomicU64,
}

impl HttpStore {
    /// Checks everything that can be checked before the first request.
    pub(super) fn prepare(
        http: &HttpLedger,
        writer: Writer,
        spec: &ProbeSpec,
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        let asker = |request: &HttpProbe, served_by| {
            let request = with_stand_ins(request);
            let kind = ProbeKind::Http(request.clone());
            let spec = ProbeSpec { kind, served_by, ..spec.clone() };
            HttpAsker::prepare(&request, &spec, lab, connector.clone())
        };
        Ok(HttpStore {
            write: asker(&http.write, spec.served_by.clone())?,
            read: asker(&http.read, None)?,
            reads_one: http.reads_one_by_one(),
            items: http.items.clone(),
            item_key: http.item_key.clone(),
            remove: http.remove.as_ref().map(|request| asker(request, None)).transpose()?,
            removes_one: http
                .remove
                .as_ref()
                .is_some_and(|it| HttpLedger::asks_for(it, HttpLedger::KEY)),
            writer,
            next: AtomicU64::new(0),
        })
    }

    /// What is filled in for the record with number `seq`.
    fn record(&self, seq: u64) -> [(&'static str, String); 3] {
        let [prefix, ..] = self.all();
        [(KEY, self.writer.key(seq)), (VALUE, self.writer.value(seq)), prefix]
    }

    /// What is filled in where all records are meant.
    fn all(&self) -> [(&'static str, String); 1] {
        [(PREFIX, self.writer.prefix())]
    }

    async fn read_all(&self, found: &mut Found) -> Result<(), String> {
        let mut progress = Progress::begun();
        let answer = self.read.answer_filled(&self.all(), MOST_LIST, &mut progress).await;
        let (status, body) = answer.map_err(in_words)?;
        if !self.read.allows(status) {
            return Err(format!("the list of records was answered with status {status}"));
        }
        if !self.read.is_right(&body) {
            return Err("the list of records is not what `expect` of `read` says".to_owned());
        }
        let list: Value = serde_json::from_slice(&body)
            .map_err(|error| format!("the list of records is no JSON: {error}"))?;
        let Some(Value::Array(items)) = list.pointer(&self.items) else {
            return Err(format!("the answer has no list of records at `{}`", self.items));
        };
        let mut strange = 0;
        for item in items {
            match item.pointer(&self.item_key).and_then(Value::as_str) {
                Some(key) => found.key(&self.writer, key),
                None => strange += 1,
            }
        }
        match strange {
            0 => Ok(()),
            count => Err(format!("{count} of the records have no key at `{}`", self.item_key)),
        }
    }

    /// Asks for each record that was written.
    async fn read_each(&self, found: &mut Found) -> Result<(), String> {
        found.one_by_one();
        // A page for everybody, such as a login, would say of every record that it is there.
        if self.is_there(NEVER).await? {
            return Err("a record that was never written is answered as if it were there; let `expect` of `read` tell what \
                        is there from what is not, or list all records"
                .to_owned());
        }
        let asked = stream::iter(0..self.next.load(Relaxed));
        let asked =
            asked.map(|seq| async move { Ok::<_, String>((seq, self.is_there(seq).await?)) });
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some(answer) = asked.next().await {
            let (seq, is_there) = answer?;
            if is_there {
                found.number(seq);
            }
        }
        Ok(())
    }

    async fn is_there(&self, seq: u64) -> Result<bool, String> {
        let fill = self.record(seq);
        let mut tries = 0;
        loop {
            let mut progress = Progress::begun();
            let answer = self.read.answer_filled(&fill, MOST_ONE, &mut progress).await;
            let failed = match answer {
                Ok((404 | 410, _)) => return Ok(false),
                Ok((status, _)) if !self.read.allows(status) => {
                    format!("a record was answered with status {status}")
                }
                Ok((_, body)) if !self.read.is_right(&body) => {
                    "the answer about a record is not what `expect` of `read` says".to_owned()
                }
                Ok(_) => return Ok(true),
                Err(outcome) => in_words(outcome),
            };
            tries += 1;
            if tries == TRIES {
                return Err(failed);
            }
        }
    }
}

#[async_trait]
impl Store for HttpStore {
    async fn begin(&self) -> Result<(), String> {
        // What is written is found out by the baseline; what cannot be read is found out here.
        self.read(&mut Found::default()).await
    }

    async fn write(&self, seq: u64, clock: &Clock, progress: &mut Progress) -> Result<(), Outcome> {
        self.next.fetch_max(seq.saturating_add(1), Relaxed);
        self.write.ask_filled(&self.record(seq), clock, progress).await
    }

    async fn read(&self, found: &mut Found) -> Result<(), String> {
        match self.reads_one {
            true => self.read_each(found).await,
            false => self.read_all(found).await,
        }
    }

    async fn clean(&self) -> Result<(), String> {
        let Some(remove) = &self.remove else {
            return Err("the plan gives no `remove`".to_owned());
        };
        let remove = |fill: Vec<(&'static str, String)>| async move {
            let mut progress = Progress::begun();
            let answer = remove.answer_filled(&fill, MOST_LIST, &mut progress).await;
            match answer.map_err(in_words)? {
                (status, _) if remove.allows(status) || matches!(status, 404 | 410) => Ok(()),
                (status, _) => Err(format!("a removal was answered with status {status}")),
            }
        };
        if !self.removes_one {
            return remove(self.all().into()).await;
        }
        let removed = stream::iter(0..self.next.load(Relaxed));
        let removed = removed.map(|seq| remove(self.record(seq).into()));
        let mut removed = removed.buffer_unordered(AT_ONCE);
        while let Some(done) = removed.next().await {
            done?;
        }
        Ok(())
    }
}

/// The request with words that a URL may have in the place of the plan's.
fn with_stand_ins(http: &HttpProbe) -> HttpProbe {
    let text = |text: &Text| {
        text.mapped(|plain| {
            plain
                .replace(HttpLedger::KEY, KEY)
                .replace(HttpLedger::VALUE, VALUE)
                .replace(HttpLedger::PREFIX, PREFIX)
        })
    };
    HttpProbe { url: text(&http.url), body: http.body.as_ref().map(text), ..http.clone() }
}

fn in_words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Good => "it was answered".to_owned(),
        Outcome::Bad(reason) => format!("it could not be read: {reason}"),
        Outcome::Unknown(blindness) => format!("our side could not read it: {blindness}"),
    }
}
