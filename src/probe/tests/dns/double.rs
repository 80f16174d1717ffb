//! A DNS in memory, and web servers behind the addresses that it gives out.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures_util::future::{BoxFuture, FutureExt};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME};
use hickory_resolver::proto::rr::{Name as DnsName, RData, Record, RecordType};
use tokio::sync::Mutex as AsyncMutex;

use super::super::*;

/// What a server of the double does with a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Answers,
    /// Only as much as fits into a datagram, which is nothing.
    Truncates,
    /// An answer of another question first, then the right one.
    Confuses,
    /// Bytes under the right number that are no message.
    Babbles,
    Says(ResponseCode),
    Hangs,
    Refuses,
}

/// A DNS, and servers behind the addresses that it gives out.
pub(super) struct Dns {
    /// Records by name, in lower case and with the last dot.
    pub(super) zone: Mutex<BTreeMap<String, Vec<Record>>>,
    pub(super) moods: Mutex<BTreeMap<SocketAddr, Mood>>,
    pub(super) asked: Mutex<Vec<(SocketAddr, &'static str)>>,
    /// Addresses where nobody answers.
    pub(super) dead: Mutex<Vec<IpAddr>>,
    pub(super) authoritative: bool,
}

pub(super) const SERVER: &str = "10.9.0.53:53";

impl Dns {
    pub(super) fn new() -> Dns {
        let moods = BTreeMap::from([(SERVER.parse().unwrap(), Mood::Answers)]);
        Dns {
            zone: Mutex::default(),
            moods: Mutex::new(moods),
            asked: Mutex::default(),
            dead: Mutex::default(),
            authoritative: false,
        }
    }

    pub(super) fn with(records: Vec<Record>) -> Arc<Dns> {
        let dns = Dns::new();
        dns.set(records);
        Arc::new(dns)
    }

    pub(super) fn set(&self, records: Vec<Record>) {
        let mut zone = BTreeMap::<String, Vec<Record>>::new();
        for record in records {
            zone.entry(record.name.to_ascii().to_lowercase()).or_default().push(record);
        }
        *self.zone.lock().unwrap() = zone;
    }

    pub(super) fn mood(&self, server: &str, mood: Mood) {
        self.moods.lock().unwrap().insert(server.parse().unwrap(), mood);
    }

    pub(super) fn asked(&self, way: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(_, by)| *by == way).count()
    }

    fn answer(&self, question: &Message, mood: Mood) -> Message {
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        let asked = question.queries[0].clone();
        answer.metadata.authoritative = self.authoritative;
        answer.add_query(asked.clone());
        let zone = self.zone.lock().unwrap();
        match mood {
            Mood::Truncates => answer.metadata.truncation = true,
            Mood::Says(code) => answer.metadata.response_code = code,
            _ if !zone.contains_key(&asked.name.to_ascii().to_lowercase()) => {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            // Everything that is known: clients find their way through it.
            _ => {
                let all = zone.values().flatten();
                let fits = |it: &&Record| {
                    it.record_type() == asked.query_type || it.record_type() == RecordType::CNAME
                };
                answer.add_answers(all.filter(fits).cloned());
            }
        }
        answer
    }
}

/// Datagrams to the double and back.
pub(super) struct Way {
    dns: Arc<Dns>,
    mood: Mood,
    came: AsyncMutex<mpsc::UnboundedReceiver<Vec<u8>>>,
    goes: mpsc::UnboundedSender<Vec<u8>>,
}

impl Datagrams for Way {
    fn send<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        let question = Message::from_vec(bytes).unwrap();
        let answer = self.dns.answer(&question, self.mood);
        let mut all = Vec::new();
        match self.mood {
            Mood::Hangs | Mood::Refuses => {}
            Mood::Babbles => {
                all.push([&question.metadata.id.to_be_bytes()[..], b"\xff\xff\xff"].concat());
            }
            Mood::Confuses => {
                let mut other = answer.clone();
                other.metadata.id = other.metadata.id.wrapping_add(1);
                other.metadata.response_code = ResponseCode::NXDomain;
                all.push(other.to_vec().unwrap());
                all.push(b"no message".to_vec());
                all.push(answer.to_vec().unwrap());
            }
            _ => all.push(answer.to_vec().unwrap()),
        }
        all.into_iter().for_each(|bytes| drop(self.goes.send(bytes)));
        async { Ok(()) }.boxed()
    }

    fn receive(&self) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        async move {
            if self.mood == Mood::Refuses {
                return Err(rustix::io::Errno::CONNREFUSED.into());
            }
            Ok(self.came.lock().await.recv().await.unwrap())
        }
        .boxed()
    }
}

/// The double is shared by the probe and the test.
pub(super) struct Net(pub(super) Arc<Dns>);

impl Connector for Net {
    fn look_up<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookUpError>> {
        async { Ok(vec![[10, 1, 0, 1].into(), [10, 2, 0, 1].into()]) }.boxed()
    }

    fn name_servers(&self) -> Vec<SocketAddr> {
        vec![SERVER.parse().unwrap()]
    }

    fn datagrams(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        async move {
            self.0.asked.lock().unwrap().push((to, "datagram"));
            let mood = self.0.moods.lock().unwrap().get(&to).copied().unwrap_or(Mood::Hangs);
            let (goes, came) = mpsc::unbounded_channel();
            let (dns, came) = (Arc::clone(&self.0), AsyncMutex::new(came));
            Ok(Box::new(Way { dns, mood, came, goes }) as Box<dyn Datagrams>)
        }
        .boxed()
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            if self.0.dead.lock().unwrap().contains(&to.ip()) {
                return Err(rustix::io::Errno::CONNREFUSED.into());
            }
            let (ours, mut theirs) = tokio::io::duplex(64 << 10);
            let mood = self.0.moods.lock().unwrap().get(&to).copied();
            let Some(mood) = mood else {
                if to.ip() == IpAddr::from([10, 2, 0, 9]) {
                    std::future::pending::<()>().await;
                }
                tokio::spawn(async move {
                    while read_request(&mut theirs).await {
                        let _ = theirs.write_all(OK).await;
                    }
                });
                return Ok(Box::new(ours) as Box<dyn Stream>);
            };
            self.0.asked.lock().unwrap().push((to, "stream"));
            let dns = Arc::clone(&self.0);
            tokio::spawn(async move {
                let mut question = vec![0; usize::from(theirs.read_u16().await.unwrap())];
                theirs.read_exact(&mut question).await.unwrap();
                if mood == Mood::Hangs {
                    std::future::pending::<()>().await;
                }
                let mood = if mood == Mood::Truncates { Mood::Answers } else { mood };
                let question = Message::from_vec(&question).unwrap();
                let answer = dns.answer(&question, mood).to_vec().unwrap();
                theirs.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                theirs.write_all(&answer).await.unwrap();
            });
            Ok(Box::new(ours) as Box<dyn Stream>)
        }
        .boxed()
    }
}

pub(super) fn name(text: &str) -> DnsName {
    DnsName::from_ascii(text).unwrap()
}

pub(super) fn a(owner: &str, ttl: u32, address: [u8; 4]) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(A(address.into())))
}

pub(super) fn alias(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}
