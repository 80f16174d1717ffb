//! Questions to a zone's primary and changes of it, each signed, each answer's signature verified.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigVerifier, TSigner};
use jiff::Timestamp;

use super::words::{Asked, distrusted, refused};
use crate::model::{DnsRecord, DnsUpdateSettings};
use crate::traffic::ControlError;
use crate::traffic::dns::{self, Line, Lost, address, answers, data, kind, listed, question};
use crate::traffic::log::Log;

/// All records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// In seconds; 0 where there are no records.
    pub ttl: u32,
    pub addresses: BTreeSet<IpAddr>,
    /// What the name is another name for (CNAME): then it has no addresses of its own.
    pub alias: Option<String>,
}

/// How one set is to change. It does not where the set is another than the one that was read.
pub(super) struct Change<'a> {
    /// A record of the set.
    pub record: &'a DnsRecord,
    pub was: &'a Set,
    /// What goes, and what comes.
    pub less: Vec<IpAddr>,
    pub more: Vec<IpAddr>,
}

/// What became of an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Updated {
    Done,
    /// A set is not as it was read, so that nothing was changed.
    Outrun,
}

/// Why a thing asked for was not to be had.
pub(super) enum Failed {
    /// The connection failed: another try may do better.
    MayPass(ControlError),
    For(ControlError),
}

/// A connection to the primary.
pub(super) struct Session<'a> {
    line: Line,
    settings: &'a DnsUpdateSettings,
    server: String,
    signer: &'a TSigner,
    key: String,
    log: &'a Log,
}

impl<'a> Session<'a> {
    pub(super) async fn open(
        settings: &'a DnsUpdateSettings,
        signer: &'a TSigner,
        log: &'a Log,
    ) -> Result<Session<'a>, Failed> {
        let server = settings.server.to_string();
        let asked = log.ask();
        let line = Line::open(&settings.server.reveal_plain(), settings.timeout).await;
        let line = line.map_err(|lost| {
            log.answer(asked, &format!("connect {server}"), &lost.why);
            unreached(&server, &lost)
        })?;
        let key = signer.signer_name().to_ascii().trim_end_matches('.').to_owned();
        Ok(Session { line, settings, server, signer, key, log })
    }

    /// Every set that `records` are in, by its name and type; and proof that the server is an authority for the zone.
    pub(super) async fn sets(
        &mut self,
        records: impl Iterator<Item = &DnsRecord>,
    ) -> Result<BTreeMap<String, Set>, Failed> {
        self.zone().await?;
        let mut sets = BTreeMap::new();
        for record in records {
            let name = record.set();
            if sets.contains_key(&name) {
                continue;
            }
            let set = self.set(record).await?;
            sets.insert(name, set);
        }
        Ok(sets)
    }

    /// Holds that the server has the zone.
    async fn zone(&mut self) -> Result<(), Failed> {
        let zone = self.name(&self.settings.zone)?;
        let answer = self.query(&zone, RecordType::SOA).await?;
        if answer.answers.iter().any(|it| it.name == zone && it.record_type() == RecordType::SOA) {
            return Ok(());
        }
        Err(Failed::For(ControlError {
            what: format!("{} has no zone {}", self.server, self.settings.zone),
            hint: "see whether the records are in a zone above or below that one".to_owned(),
        }))
    }

    async fn set(&mut self, record: &DnsRecord) -> Result<Set, Failed> {
        let name = self.name(&record.name)?;
        let answer = self.query(&name, kind(record)).await?;
        let mut set = Set { ttl: 0, addresses: BTreeSet::new(), alias: None };
        for it in answer.answers.iter().filter(|it| it.name == name) {
            if let RData::CNAME(to) = &it.data {
                set.alias = Some(to.0.to_string());
                continue;
            }
            if let Some(address) = address(it).filter(|_| it.record_type() == kind(record)) {
                set.ttl = it.ttl;
                set.addresses.insert(address);
            }
        }
        Ok(set)
    }

    async fn query(&mut self, name: &Name, kind: RecordType) -> Result<Message, Failed> {
        let what = format!("{name} {kind}");
        let answer = self.ask(question(name, kind, false), &what, &format!("query {what}")).await?;
        match answer.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            code => return Err(Failed::For(refused(&self.asked(&what), code, true))),
        }
        if answer.authoritative {
            return Ok(answer);
        }
        Err(Failed::For(ControlError {
            what: format!("{} is no authority for {what}: it tells what it heard", self.server),
            hint: "name the primary of the zone, not a resolver".to_owned(),
        }))
    }

    /// Makes `changes`, all or none. With nothing that goes or comes it asks whether this key may.
    pub(super) async fn update(&mut self, changes: &[Change<'_>]) -> Result<Updated, Failed> {
        let zone = self.name(&self.settings.zone)?;
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(zone, RecordType::SOA));
        let mut told = Vec::new();
        for change in changes {
            let name = self.name(&change.record.name)?;
            let record = |address: &IpAddr, class, ttl| {
                let mut record = Record::from_rdata(name.clone(), ttl, data(*address));
                record.dns_class = class;
                record
            };
            // RFC 2136, 2.4.2: the set is these records, and no others.
            let as_read = change.was.addresses.iter().map(|it| record(it, DNSClass::IN, 0));
            message.add_answers(as_read);
            let less = change.less.iter().map(|it| record(it, DNSClass::NONE, 0));
            let more = change.more.iter().map(|it| record(it, DNSClass::IN, change.was.ttl));
            message.add_authorities(less.chain(more));
            told.push(change.told());
        }
        let what = format!("the update of {}", self.settings.zone);
        let answer = self.ask(message, &what, &format!("update {}", told.join("; "))).await?;
        match answer.response_code {
            ResponseCode::NoError => Ok(Updated::Done),
            ResponseCode::NXRRSet | ResponseCode::YXRRSet | ResponseCode::NXDomain => {
                Ok(Updated::Outrun)
            }
            code => Err(Failed::For(refused(&self.asked(&what), code, true))),
        }
    }

    /// Signs and asks, and gives what was answered and signed.
    async fn ask(&mut self, message: Message, what: &str, told: &str) -> Result<Message, Failed> {
        let asked = self.log.ask();
        let answer = self.signed(message, what).await;
        let words = match &answer {
            Ok(answer) => self::told(answer),
            Err(Failed::MayPass(error) | Failed::For(error)) => error.what.clone(),
        };
        self.log.answer(asked, told, &words);
        answer
    }

    async fn signed(&mut self, mut message: Message, what: &str) -> Result<Message, Failed> {
        // Whoever verifies a signature compares its time with a clock of the world.
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let bug = |error: hickory_proto::ProtoError| {
            Failed::For(ControlError {
                what: format!("the question could not be written down: {error}"),
                hint: "please report this".to_owned(),
            })
        };
        let verifier = message.finalize(self.signer, now).map_err(bug)?;
        let bytes = message.to_vec().map_err(bug)?;
        let answer = self.line.ask(&bytes).await.map_err(|lost| self.lost(what, &lost))?;
        self.judged(&message, &answer, verifier, what).map_err(Failed::For)
    }

    /// The answer in `bytes`, if it can be believed.
    fn judged(
        &self,
        asked: &Message,
        bytes: &[u8],
        verifier: Option<TSigVerifier>,
        what: &str,
    ) -> Result<Message, ControlError> {
        let senseless = |why: String| ControlError {
            what: format!("{} answered {what} with {why}", self.server),
            hint: "see that the address is that of a name server".to_owned(),
        };
        let answer = Message::from_vec(bytes).map_err(|error| senseless(error.to_string()))?;
        answers(&answer, asked).map_err(senseless)?;
        let Some(signature) = answer.signature() else {
            return Err(match answer.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => ControlError {
                    what: format!("{} answered {what} without a signature", self.server),
                    hint: format!(
                        "see that it knows the key {}; somebody else may have answered",
                        self.key
                    ),
                },
                code => refused(&self.asked(what), code, false),
            });
        };
        // Those of a key that is not known cannot be signed.
        if let Some(error) = distrusted(&self.asked(what), &signature.data) {
            return Err(error);
        }
        let verified = verifier.is_some_and(|mut it| it.verify(bytes).is_ok());
        verified.then_some(answer).ok_or_else(|| ControlError {
            what: format!(
                "the answer of {} to {what} is signed by nobody who has the key {}",
                self.server, self.key
            ),
            hint: "see who answers there, and that the secret is the one that the name server has"
                .to_owned(),
        })
    }

    fn asked<'w>(&'w self, what: &'w str) -> Asked<'w> {
        Asked { server: &self.server, zone: &self.settings.zone, key: &self.key, what }
    }

    fn name(&self, text: &str) -> Result<Name, Failed> {
        dns::name(text).map_err(Failed::For)
    }

    fn lost(&self, what: &str, lost: &Lost) -> Failed {
        let hint = match what.starts_with("the update") {
            true => "it may have taken effect all the same: its state is read again",
            false => "see whether it takes questions over TCP",
        };
        let error = ControlError {
            what: format!("{} gave no answer to {what}: {}", self.server, lost.why),
            hint: hint.to_owned(),
        };
        if lost.may_pass { Failed::MayPass(error) } else { Failed::For(error) }
    }
}

impl Change<'_> {
    fn told(&self) -> String {
        let mut told = format!("{} if it is {}", self.record.set(), listed(&self.was.addresses));
        if !self.less.is_empty() {
            told.push_str(&format!(": delete {}", listed(&self.less)));
        }
        if !self.more.is_empty() {
            told.push_str(&format!(": add {} with TTL {}", listed(&self.more), self.was.ttl));
        }
        told
    }
}

impl Failed {
    pub(super) fn error(self) -> ControlError {
        let (Failed::MayPass(error) | Failed::For(error)) = self;
        error
    }
}

fn unreached(server: &str, lost: &Lost) -> Failed {
    let error = ControlError {
        what: format!("{server} cannot be reached: {}", lost.why),
        hint: "see whether it takes questions over TCP from here, and that its address is right"
            .to_owned(),
    };
    if lost.may_pass { Failed::MayPass(error) } else { Failed::For(error) }
}

/// An answer in words.
fn told(answer: &Message) -> String {
    let code = answer.response_code;
    if answer.op_code == OpCode::Update {
        return code.to_string();
    }
    let soa = answer.answers.iter().find_map(|it| match &it.data {
        RData::SOA(soa) => Some(format!("SOA serial {}", soa.serial)),
        _ => None,
    });
    let addresses: Vec<IpAddr> = answer.answers.iter().filter_map(address).collect();
    let ttl = answer.answers.first().map_or_else(String::new, |it| format!(", TTL {}", it.ttl));
    format!("{code}: {}{ttl}", soa.unwrap_or_else(|| listed(&addresses)))
}

/// Between two tries of a reading; the second half of each is left to chance.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
