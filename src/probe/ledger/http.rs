//! A ledger behind HTTP: records are written, read and removed by requests.

mod list;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use hyper::HeaderMap;
use hyper::header::CONTENT_ENCODING;

use super::{Found, Pulse, Store, Writer};
use crate::clock::Clock;
use crate::model::{
    HttpLedger, HttpProbe, NextPage, Outcome, ProbeKind, ProbeSpec, Reason, Shown, Text, printable,
    query_value,
};
use crate::probe::PrepareError;
use crate::probe::connector::Connector;
use crate::probe::http::{Answered, Asked, HttpAsker};
use crate::probe::sample::Progress;
use list::{Form, Page, next_link};

/// Stand for the words of a plan in requests that are built ahead: of characters that a URL may have anywhere.
const KEY: &str = "firedrill.key.here";
const VALUE: &str = "firedrill.value.here";
const PREFIX: &str = "firedrill.prefix.here";
const CURSOR: &str = "firedrill.cursor.here";

/// The longest page of records that is read: about two million keys.
const MOST_LIST: usize = 128 << 20;

/// More pages than this are no list.
const MOST_PAGES: u32 = 100_000;

/// Longer than this is nothing that leads to a page.
const MOST_CURSOR: usize = 8 << 10;

/// The longest answer about one record that is read.
const MOST_ONE: usize = 1 << 20;

/// Records that are asked for one by one are asked for so many at a time.
const AT_ONCE: usize = 32;

/// Of very many requests one may well fail: it is tried so often.
const TRIES: u32 = 3;

/// An answer about one record may take so long, or the probe's time-out if that is longer.
const ONE_AT_MOST: Duration = Duration::from_secs(2);

/// No drill writes so many: the record with this number is nowhere.
const NEVER: u64 = u64::MAX;

/// Requests made ready.
pub(super) struct HttpStore {
    writer: Writer,
    write: HttpAsker,
    read: Arc<HttpAsker>,
    /// Whether one reading asks for one record.
    reads_one: bool,
    one_at_most: Duration,
    form: Form,
    next_page: Option<NextPage>,
    /// Whether what leads to the next page is filled in.
    has_cursor: bool,
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
            read: Arc::new(asker(&http.read, None)?),
            reads_one: http.reads_one_by_one(),
            one_at_most: ONE_AT_MOST.max(spec.timeout),
            form: Form::new(http, writer.prefix()),
            next_page: http.next.clone(),
            has_cursor: http.read.url.to_string().contains(HttpLedger::CURSOR),
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

    /// Reads the list, page by page.
    async fn read_all(&self, found: &mut Found) -> Result<(), String> {
        let pulse = found.pulse.clone();
        let mut request = self.page_at("");
        let (mut known, mut strange) = (HashSet::new(), 0);
        for number in 1..=MOST_PAGES {
            let page = self
                .page(request.clone(), &pulse)
                .await
                .map_err(|error| self.on(number, &error))?;
            take_in(&page, found).map_err(|error| self.on(number, &error))?;
            strange += page.strange;
            let Some(next) = page.next else {
                return match strange {
                    0 => Ok(()),
                    count => Err(format!("{count} of the records have no key where `key` says")),
                };
            };
            request = self.after(&request, &next).map_err(|error| self.on(number, &error))?;
            if !known.insert(next) {
                return Err(self.on(number, "it leads back to a page that was read already, so nobody knows which are missing"));
            }
        }
        Err(format!("the list does not end within {MOST_PAGES} pages"))
    }

    /// An error of a page: of which, where there may be several.
    fn on(&self, number: u32, error: &str) -> String {
        match self.next_page {
            Some(_) => format!("page {number}: {error}"),
            None => error.to_owned(),
        }
    }

    /// The request for the page at `cursor`; the first is at none.
    fn page_at(&self, cursor: &str) -> Asked {
        let [all] = self.all();
        self.read.filled(&[all, (CURSOR, query_value(cursor))])
    }

    /// The request for the page that `next` leads to, from the one that was asked for by `request`.
    fn after(&self, request: &Asked, next: &str) -> Result<Asked, String> {
        if next.len() > MOST_CURSOR {
            return Err(format!("what leads to the next page is longer than {MOST_CURSOR} bytes"));
        }
        if self.has_cursor {
            return Ok(self.page_at(next));
        }
        // Not with our headers: they may hold credentials.
        self.read.moved(request, next).ok_or_else(|| {
            format!(
                "the next page lies elsewhere, or is no URL, and is not asked for: `{}`",
                printable(next)
            )
        })
    }

    /// One page.
    async fn page(&self, request: Asked, pulse: &Pulse) -> Result<Page, String> {
        let answer = self.answer(&request, pulse).await?;
        self.is_a_list(answer.status, &answer.headers)?;
        let link = match self.next_page {
            Some(NextPage::Link) => next_link(&answer.headers)?,
            _ => None,
        };
        let page = self.parsed(answer.body).await?;
        Ok(Page { next: page.next.or(link), ..page })
    }

    /// What stands on a page, read on a thread of its own: a long one would hold up whatever else the drill does.
    async fn parsed(&self, body: Vec<u8>) -> Result<Page, String> {
        let (form, asker) = (self.form.clone(), self.read.clone());
        let page = tokio::task::spawn_blocking(move || match asker.is_right(&body) {
            true => form.read(&body),
            false => Err("the list of records is not what `expect` of `read` says".to_owned()),
        });
        page.await.map_err(|error| format!("the list could not be read: {error}"))?
    }

    async fn answer(&self, request: &Asked, pulse: &Pulse) -> Result<Answered, String> {
        let heard = || pulse.beat();
        let mut tries = 0;
        loop {
            let mut progress = Progress::begun();
            let asked = self.read.fetch(request, MOST_LIST, &mut progress, &heard);
            let outcome = match asked.await {
                Ok(answer) => return Ok(answer),
                Err(Outcome::Bad(Reason::Body)) => {
                    let most = MOST_LIST >> 20;
                    return Err(format!(
                        "the list of records is longer than {most} MiB; let it come in pages, and give `next`"
                    ));
                }
                Err(outcome) => outcome,
            };
            tries += 1;
            if tries == TRIES {
                return Err(in_words(outcome));
            }
        }
    }

    /// Whether an answer is a whole list, as far as its head says.
    fn is_a_list(&self, status: u16, headers: &HeaderMap) -> Result<(), String> {
        if !self.read.allows(status) {
            return Err(format!("the list of records was answered with status {status}"));
        }
        if status == 206 {
            return Err("the list of records was answered with a part of it (206)".to_owned());
        }
        match headers.get(CONTENT_ENCODING) {
            Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
                let coding = printable(&String::from_utf8_lossy(coding.as_bytes()));
                Err(format!(
                    "the list of records came encoded (`{coding}`), which nobody asked for; give `read` the header `accept-encoding: identity`"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Asks for each record that was written.
    async fn read_each(&self, found: &mut Found) -> Result<(), String> {
        found.one_by_one();
        // A page for everybody, such as a login, would say of every record that it is there.
        let pulse = &found.pulse.clone();
        if self.is_there(NEVER, pulse).await? {
            return Err("a record that was never written is answered as if it were there; let `expect` of `read` tell what \
                        is there from what is not, or list all records"
                .to_owned());
        }
        let asked = stream::iter(0..self.next.load(Relaxed));
        let asked = asked
            .map(|seq| async move { Ok::<_, String>((seq, self.is_there(seq, pulse).await?)) });
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some(answer) = asked.next().await {
            let (seq, is_there) = answer?;
            if is_there {
                found.number(seq);
            }
        }
        Ok(())
    }

    async fn is_there(&self, seq: u64, pulse: &Pulse) -> Result<bool, String> {
        let request = self.read.filled(&self.record(seq));
        let mut tries = 0;
        loop {
            let mut progress = Progress::begun();
            let asked = self.read.fetch(&request, MOST_ONE, &mut progress, &|| {});
            let answer = tokio::time::timeout(self.one_at_most, asked).await;
            pulse.beat();
            let failed = match answer {
                Ok(Ok(Answered { status: 404 | 410, .. })) => return Ok(false),
                Ok(Ok(Answered { status, .. })) if !self.read.allows(status) => {
                    format!("a record was answered with status {status}")
                }
                Ok(Ok(Answered { body, .. })) if !self.read.is_right(&body) => {
                    "the answer about a record is not what `expect` of `read` says".to_owned()
                }
                Ok(Ok(_)) => return Ok(true),
                Ok(Err(outcome)) => in_words(outcome),
                Err(_) => format!("no answer about a record within {}", Shown(self.one_at_most)),
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
            let request = remove.filled(&fill);
            let answer = remove.fetch(&request, MOST_LIST, &mut progress, &|| {}).await;
            match answer.map_err(in_words)?.status {
                status if remove.allows(status) || matches!(status, 404 | 410) => Ok(()),
                status => Err(format!("a removal was answered with status {status}")),
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

/// Takes in the records of a page.
///
/// # Errors
/// One of them was on an earlier page. It may be there twice; or the list moved on while it was read, and then another was
/// passed over.
fn take_in(page: &Page, found: &mut Found) -> Result<(), String> {
    if let Some(seq) = page.ours.iter().find(|seq| found.seen.contains(**seq)) {
        return Err(format!(
            "record {seq} was on an earlier page already: it is there twice, or the list changed while it was read"
        ));
    }
    page.ours.iter().for_each(|seq| found.number(*seq));
    (0..page.garbled).for_each(|_| found.garbled());
    found.foreign(page.foreign);
    Ok(())
}

/// The request with words that a URL may have in the place of the plan's.
fn with_stand_ins(http: &HttpProbe) -> HttpProbe {
    let text = |text: &Text| {
        text.mapped(|plain| {
            plain
                .replace(HttpLedger::KEY, KEY)
                .replace(HttpLedger::VALUE, VALUE)
                .replace(HttpLedger::PREFIX, PREFIX)
                .replace(HttpLedger::CURSOR, CURSOR)
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
