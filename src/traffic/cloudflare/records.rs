//! Addresses of names. Cloudflare has no records that are there and not in force, so a cut deletes them and a restore makes
//! them again, with everything that was set on them; only their ids are new.
//!
//! To change their content instead would leave a name with an address twice, which Cloudflare refuses, or with one where
//! nobody answers, to which some clients would go for as long as the cut lasts. Whatever is changed is changed as one batch,
//! so that no name is left with half of it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::door::{Door, TOKEN};
use super::{Way, all, unknown};
use crate::model::{
    CloudflareRecord, CloudflareRecords, ControlState, CutCall, CutOrder, PartState, Passage,
};
use crate::traffic::api::{Method, Request};
use crate::traffic::{ControlError, Survivors};

/// Keys of [`PartState::settings`]: whether a record is there, and all that was set on it.
const LISTED: &str = "listed";
const RECORD: &str = "record";

/// What may be set on a record. What else Cloudflare says of one is its own, or we would not know how to put it back.
const SET: [&str; 9] =
    ["name", "type", "content", "ttl", "proxied", "comment", "tags", "settings", "private_routing"];
const CLOUDFLARES_OWN: [&str; 10] = [
    "id",
    "created_on",
    "modified_on",
    "comment_modified_on",
    "tags_modified_on",
    "meta",
    "proxiable",
    "locked",
    "zone_id",
    "zone_name",
];

/// So often what is to be changed is worked out anew, when another hand changes it at the same time.
const TRIES: usize = 3;

/// So many records a page has, and so many pages are read of one name.
const PAGE: usize = 100;
const PAGES: usize = 50;

/// The records of a zone.
pub(super) struct Records<'c> {
    pub(super) door: &'c Door,
    pub(super) zone: &'c str,
    pub(super) records: &'c [CloudflareRecords],
}

/// A record as it is.
struct Record {
    id: String,
    is: CloudflareRecord,
    /// What is set on it.
    body: Map<String, Value>,
}

/// A record that is to be there, and what is to be set on it.
type Wanted = (CloudflareRecord, Map<String, Value>);

/// What becomes of records.
#[derive(Default, Clone, PartialEq)]
struct Batch {
    deletes: Vec<Value>,
    puts: Vec<Value>,
    posts: Vec<Value>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.puts.is_empty() && self.posts.is_empty()
    }

    fn body(&self) -> Value {
        let lists = [("deletes", &self.deletes), ("puts", &self.puts), ("posts", &self.posts)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        lists.map(|(key, list)| (key.to_owned(), json!(list))).collect::<Map<_, _>>().into()
    }

    /// The same one by one.
    fn pieces(self) -> Vec<Batch> {
        let deletes = self.deletes.into_iter();
        let deletes = deletes.map(|it| Batch { deletes: vec![it], ..Batch::default() });
        let puts = self.puts.into_iter().map(|it| Batch { puts: vec![it], ..Batch::default() });
        let posts = self.posts.into_iter().map(|it| Batch { posts: vec![it], ..Batch::default() });
        deletes.chain(puts).chain(posts).collect()
    }
}

impl Record {
    /// Reads one that Cloudflare lists.
    fn read(mut listed: Map<String, Value>) -> Option<Record> {
        let word = |key: &str| Some(listed.get(key)?.as_str()?.to_owned());
        let (id, kind) = (word("id")?, word("type")?);
        let name = word("name")?.to_ascii_lowercase();
        let content = word("content")?;
        // An address can be written in several ways.
        let content = content.parse::<std::net::IpAddr>().map_or(content, |it| it.to_string());
        for key in CLOUDFLARES_OWN {
            listed.remove(key);
        }
        let mut body = listed;
        tidy(&mut body);
        Some(Record { id, is: CloudflareRecord { name, kind, content }, body })
    }
}

/// Takes out what says nothing, and puts tags in an order.
fn tidy(body: &mut Map<String, Value>) {
    for value in body.values_mut() {
        match value {
            Value::Object(inner) => inner.retain(|_, value| !value.is_null()),
            Value::Array(items) => items.sort_by_key(Value::to_string),
            _ => {}
        }
    }
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(inner) => inner.is_empty(),
        _ => false,
    };
    body.retain(|_, value| !says_nothing(value));
}

fn listed(is: bool) -> (String, String) {
    (LISTED.to_owned(), if is { "yes" } else { "no" }.to_owned())
}

impl Records<'_> {
    /// Every record of the names that the plan has, also those that it does not name.
    async fn read(&self) -> Result<Vec<Record>, ControlError> {
        let mut all = Vec::new();
        for (name, kind) in self.sets() {
            self.read_name(name, kind, &mut all).await?;
        }
        Ok(all)
    }

    /// The names that the plan has, each with a type.
    fn sets(&self) -> BTreeSet<(&str, &str)> {
        let all = self.records.iter().flat_map(|it| &it.records);
        all.map(|it| (&*it.name, &*it.kind)).collect()
    }

    async fn read_name(
        &self,
        name: &str,
        kind: &str,
        all: &mut Vec<Record>,
    ) -> Result<(), ControlError> {
        let name = crate::model::query_value(name);
        for page in 1..=PAGES {
            let request = Request::get(format!(
                "/zones/{}/dns_records?name.exact={name}&type={kind}&per_page={PAGE}&page={page}",
                self.zone
            ));
            let (listed, info): (Vec<Map<String, Value>>, _) = self.door.result(&request).await?;
            let is_last = match info.total_pages {
                Some(pages) => page as f64 >= pages,
                None => (listed.len() as f64) < info.per_page.unwrap_or(PAGE as f64),
            };
            let is_last = is_last || listed.is_empty();
            for it in listed {
                let record = Record::read(it).ok_or_else(|| ControlError {
                    what: format!("Cloudflare has a record of {name} that makes no sense"),
                    hint: "see the records of the name in its dashboard".to_owned(),
                })?;
                all.push(record);
            }
            if is_last {
                return Ok(());
            }
        }
        Err(ControlError {
            what: format!("{name} has more records than firedrill reads"),
            hint: "see the records of the name in Cloudflare's dashboard".to_owned(),
        })
    }

    /// The datacenter that a record leads to by the plan.
    fn named(&self, record: &Record) -> Option<&CloudflareRecords> {
        self.records.iter().find(|it| it.records.contains(&record.is))
    }

    async fn send(&self, batch: &Batch) -> Result<(), ControlError> {
        let path = format!("/zones/{}/dns_records/batch", self.zone);
        // Made twice, the second is refused: what it deletes is gone, and what it makes is there.
        let request = Request::repeatable(Method::POST, path).json(&batch.body());
        self.door.result::<Value>(&request).await.map(drop)
    }

    /// Makes what `plan` wants of the records as they are. After a refusal they are read anew: if nothing is left to do, the
    /// answer was lost, and if it is something else, another hand was quicker.
    async fn settle(
        &self,
        plan: &(dyn Fn(&[Record]) -> Result<Batch, ControlError> + Sync),
    ) -> Result<(), (Option<Batch>, ControlError)> {
        let mut refused: Option<(Batch, ControlError)> = None;
        for _ in 0..TRIES {
            let records = self.read().await.map_err(|error| (None, error))?;
            let batch = plan(&records).map_err(|error| (None, error))?;
            if batch.is_empty() {
                return Ok(());
            }
            if let Some((before, error)) = &refused
                && *before == batch
            {
                return Err((Some(batch), error.clone()));
            }
            match self.send(&batch).await {
                Ok(()) => return Ok(()),
                Err(error) => refused = Some((batch, error)),
            }
        }
        let (batch, error) = refused.unwrap_or_else(|| (Batch::default(), unknown("")));
        Err((Some(batch), error))
    }

    /// What is to be deleted so that `parts` are closed. A name keeps at least one address.
    fn without(&self, parts: &ControlState, records: &[Record]) -> Result<Batch, ControlError> {
        let is_lost = |it: &&Record| parts.parts.contains_key(&it.is.words());
        for lost in records.iter().filter(is_lost) {
            let is_beside = |it: &&Record| it.is.name == lost.is.name && it.is.kind == lost.is.kind;
            if !records.iter().filter(is_beside).any(|it| !is_lost(&it)) {
                return Err(ControlError {
                    what: format!(
                        "{} would be left without any {} record",
                        lost.is.name, lost.is.kind
                    ),
                    hint: "a name must have an address in another datacenter".to_owned(),
                });
            }
        }
        let lost = records.iter().filter(is_lost);
        Ok(Batch { deletes: lost.map(|it| json!({ "id": it.id })).collect(), ..Batch::default() })
    }

    /// What is to be made or overwritten so that `parts` are as they are there.
    fn with(&self, wanted: &[Wanted], records: &[Record]) -> Batch {
        let mut batch = Batch::default();
        for (is, body) in wanted {
            match records.iter().find(|it| it.is == *is) {
                None => batch.posts.push(json!(body)),
                Some(there) if there.body == *body => {}
                Some(there) => {
                    let mut body = body.clone();
                    body.insert("id".to_owned(), json!(there.id));
                    batch.puts.push(json!(body));
                }
            }
        }
        batch
    }

    /// The records that were there when `parts` were read.
    fn wanted(&self, parts: &ControlState) -> (Vec<Wanted>, Vec<ControlError>) {
        let (mut wanted, mut errors) = (Vec::new(), Vec::new());
        for (part, is) in &parts.parts {
            if is.passage == Passage::Closed {
                continue;
            }
            let known = self.records.iter().flat_map(|it| &it.records);
            let known = known.into_iter().find(|it| it.words() == *part);
            let body = is.settings.get(RECORD).and_then(|text| serde_json::from_str(text).ok());
            let body = body.filter(|body: &Map<String, Value>| {
                let word = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
                known.is_some_and(|known| {
                    word("name").eq_ignore_ascii_case(&known.name) && word("type") == known.kind
                })
            });
            match (known, body) {
                (Some(known), Some(body)) => wanted.push((known.clone(), body)),
                _ => errors.push(unknown(part)),
            }
        }
        (wanted, errors)
    }

    fn records_url(&self) -> String {
        format!("{}/zones/{}/dns_records", self.door.url(), self.zone)
    }
}

#[async_trait]
impl Way for Records<'_> {
    async fn preflight(&self) -> Result<(), ControlError> {
        let records = self.read().await?;
        for named in self.records.iter().flat_map(|it| &it.records) {
            let Some(record) = records.iter().find(|it| it.is == *named) else {
                return Err(ControlError {
                    what: format!("the zone has no record {}", named.words()),
                    hint: "see `records` in the plan, and the zone".to_owned(),
                });
            };
            let strange: Vec<&str> =
                record.body.keys().map(String::as_str).filter(|key| !SET.contains(key)).collect();
            if !strange.is_empty() {
                return Err(ControlError {
                    what: format!(
                        "the record {} has {}, which firedrill would not know how to put back",
                        named.words(),
                        crate::model::printable(&strange.join(", "))
                    ),
                    hint: "take it off the record, or leave the record out of the plan".to_owned(),
                });
            }
        }
        Ok(())
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let records = self.read().await?;
        let mut state = ControlState::default();
        for datacenter in self.records {
            for named in &datacenter.records {
                let there = records.iter().find(|it| it.is == *named);
                let mut settings: std::collections::BTreeMap<_, _> =
                    [listed(there.is_some())].into();
                let body = there.map(|it| json!(it.body).to_string());
                settings.extend(body.map(|body| (RECORD.to_owned(), body)));
                let passage = if there.is_some() { Passage::Open } else { Passage::Closed };
                let datacenter = datacenter.datacenter;
                state.parts.insert(named.words(), PartState { datacenter, passage, settings });
            }
        }
        Ok(state)
    }

    /// Whether the addresses that are left are well, Cloudflare does not know.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let records = self.read().await?;
        let is_lost = |it: &Record| {
            self.named(it).is_some_and(|named| order.datacenters.contains(&named.datacenter))
        };
        let mut survivors: Vec<Survivors> = Vec::new();
        for lost in records.iter().filter(|it| is_lost(it)) {
            let group = format!("{} {}", lost.is.name, lost.is.kind);
            if survivors.iter().any(|it| it.group == group) {
                continue;
            }
            let beside = records
                .iter()
                .filter(|it| it.is.name == lost.is.name && it.is.kind == lost.is.kind);
            survivors.push(Survivors { group, left: beside.filter(|it| !is_lost(it)).count() });
        }
        Ok(survivors)
    }

    async fn close(&self, parts: &ControlState) -> Result<(), ControlError> {
        let closed = self.settle(&|records| self.without(parts, records)).await;
        closed.map_err(|(_, error)| ControlError {
            what: format!("not cut: {}", error.what),
            hint: error.hint,
        })
    }

    /// What one record is refused for must not hold up the others, so they go one by one when all at once are refused.
    async fn put_back(&self, parts: &ControlState) -> Result<(), ControlError> {
        let (wanted, mut errors) = self.wanted(parts);
        if wanted.is_empty() && errors.is_empty() {
            return Ok(());
        }
        match self.settle(&|records| Ok(self.with(&wanted, records))).await {
            Ok(()) => {}
            Err((Some(batch), error)) => {
                let pieces = batch.pieces();
                if pieces.len() < 2 {
                    errors.push(error);
                } else {
                    for piece in pieces {
                        errors.extend(self.send(&piece).await.err());
                    }
                }
            }
            Err((None, error)) => errors.push(error),
        }
        all("not put back", &errors)
    }

    fn closed(&self, part: &mut PartState) {
        part.settings = [listed(false)].into();
    }

    fn calls(&self, part: &str, is: &PartState) -> CutCall {
        let path = format!("POST /zones/{}/dns_records/batch", self.zone);
        let body = is.settings.get(RECORD);
        CutCall {
            call: format!("{path}: deletes {part}"),
            undone_by: body.map(|body| format!("{path}: posts {body}")),
        }
    }

    fn by_hand(&self, _part: &str, is: &PartState) -> Option<String> {
        let body = is.settings.get(RECORD)?.replace('\'', "'\\''");
        Some(format!(
            "curl -X POST -H \"authorization: Bearer ${TOKEN}\" -H 'content-type: application/json' \
             -d '{body}' '{}'",
            self.records_url()
        ))
    }

    fn requests(&self) -> usize {
        self.sets().len()
    }
}
