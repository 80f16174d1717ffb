//! Who serves, asked from outside as clients ask: a server that was told to reload may go on as before.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use serde_json::Value;
use wildmatch::WildMatch;

use crate::model::{DatacenterId, FileRead, FileServedBy, Name, Text};
use crate::traffic::ControlError;
use crate::traffic::api::line::Server;
use crate::traffic::api::mask::Mask;
use crate::traffic::api::{Reach, server};
use crate::traffic::log::Log;
use crate::wire::Url;

/// What clients ask, made ready to be asked.
pub(super) struct Front {
    /// As the plan has it.
    url: Text,
    server: Server,
    authority: HeaderValue,
    path: Uri,
    mask: Mask,
}

/// Whoever asks the fronts of a server.
pub(super) struct Asker {
    fronts: Vec<Front>,
    times: u32,
    limit: Duration,
    by: FileServedBy,
    patterns: Vec<(DatacenterId, WildMatch)>,
}

/// Who answered at one front, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// The URL, as it may be shown.
    pub(super) url: String,
    pub(super) served: BTreeMap<DatacenterId, u32>,
    /// Answers that name no datacenter of the plan.
    pub(super) unnamed: u32,
    pub(super) unanswered: u32,
    /// Why one was not answered.
    pub(super) why: Option<String>,
}

impl Asker {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When a URL cannot be used.
    pub(super) fn new(read: &FileRead) -> Result<Asker, ControlError> {
        let fronts = read.urls.iter().map(front).collect::<Result<Vec<_>, _>>()?;
        let patterns = read.values.iter().flat_map(|it| {
            let pattern = |text: &String| (it.datacenter, WildMatch::new_case_insensitive(text));
            it.patterns.iter().map(pattern)
        });
        Ok(Asker {
            fronts,
            times: read.times,
            limit: read.timeout,
            by: read.by.clone(),
            patterns: patterns.collect(),
        })
    }

    /// Asks every front as often as the plan says, each time on a connection of its own. What came of it is noted in `log`.
    pub(super) async fn ask(&self, log: &Log, names: &[Name]) -> Vec<Tally> {
        let tallies = self.fronts.iter().map(|front| async {
            let asked = log.ask();
            let answers = (0..self.times).map(|_| self.one(front));
            let mut tally = Tally { url: front.url.to_string(), ..Tally::default() };
            for answer in join_all(answers).await {
                match answer {
                    Ok(Some(datacenter)) => *tally.served.entry(datacenter).or_default() += 1,
                    Ok(None) => tally.unnamed += 1,
                    Err(why) => {
                        tally.unanswered += 1;
                        tally.why.get_or_insert(why);
                    }
                }
            }
            let request = format!("GET {}, {} times", tally.url, self.times);
            log.answer(asked, &request, &tally.words(names));
            tally
        });
        join_all(tallies).await
    }

    /// Asks once: who answered, if the answer tells.
    async fn one(&self, front: &Front) -> Result<Option<DatacenterId>, String> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = Method::GET;
        *request.uri_mut() = front.path.clone();
        let headers = request.headers_mut();
        headers.insert("host", front.authority.clone());
        let own = [("user-agent", "firedrill"), ("accept", "*/*"), ("connection", "close")];
        headers.extend(own.map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), HeaderValue::from_static(value))
        }));
        let answered = front.server.ask(request, (self.limit, self.limit)).await;
        let ((_, headers), body) = answered.map_err(|lost| front.mask.hide(&lost.why))?;
        Ok(self.datacenter(&headers, &body))
    }

    fn datacenter(&self, headers: &HeaderMap, body: &[u8]) -> Option<DatacenterId> {
        match &self.by {
            FileServedBy::Header(name) => {
                let mut values = headers.get_all(name).into_iter();
                values.find_map(|value| self.named(&String::from_utf8_lossy(value.as_bytes())))
            }
            FileServedBy::Json(pointer) => {
                let body: Value = serde_json::from_slice(body).ok()?;
                match body.pointer(pointer)? {
                    Value::String(text) => self.named(text),
                    value @ (Value::Number(_) | Value::Bool(_)) => self.named(&value.to_string()),
                    _ => None,
                }
            }
        }
    }

    fn named(&self, text: &str) -> Option<DatacenterId> {
        let fits = |(_, pattern): &&(DatacenterId, WildMatch)| pattern.matches(text.trim());
        self.patterns.iter().find(fits).map(|(datacenter, _)| *datacenter)
    }
}

impl Tally {
    /// How often `datacenter` answered.
    pub(super) fn of(&self, datacenter: DatacenterId) -> u32 {
        self.served.get(&datacenter).copied().unwrap_or_default()
    }

    /// Which datacenters but those of `lost` answered.
    pub(super) fn others(&self, lost: &[DatacenterId]) -> usize {
        self.served.keys().filter(|it| !lost.contains(it)).count()
    }

    /// Whether everything that was asked was answered, and by other datacenters than `lost`.
    pub(super) fn is_by_others(&self, lost: &[DatacenterId]) -> bool {
        let silent = self.unnamed + self.unanswered;
        silent == 0 && lost.iter().all(|it| self.of(*it) == 0)
    }

    /// The same in words.
    pub(super) fn words(&self, names: &[Name]) -> String {
        let name = |id: &DatacenterId| names.get(id.index()).map_or("?", Name::as_str);
        let mut words: Vec<String> =
            self.served.iter().map(|(id, count)| format!("{} {count}", name(id))).collect();
        if self.unnamed > 0 {
            words.push(format!("by no datacenter of the plan {}", self.unnamed));
        }
        if let Some(why) = &self.why {
            words.push(format!("no answer {} ({why})", self.unanswered));
        }
        words.join(", ")
    }
}

/// Whether `datacenter` answered anywhere.
pub(super) fn serves(datacenter: DatacenterId, tallies: &[Tally]) -> bool {
    tallies.iter().any(|tally| tally.of(datacenter) > 0)
}

fn front(text: &Text) -> Result<Front, ControlError> {
    let url = Url::parse(&text.reveal_plain(), text)?;
    let unusable = |_| ControlError {
        what: format!("`{text}` names a host that cannot be asked"),
        hint: "mend the address in the plan".to_owned(),
    };
    Ok(Front {
        url: text.clone(),
        authority: HeaderValue::from_str(&url.authority).map_err(unusable)?,
        path: url.path.clone(),
        mask: Mask::default().and(text.secrets()),
        server: server(url, &Reach::default())?,
    })
}
