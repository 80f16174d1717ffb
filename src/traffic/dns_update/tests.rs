//! What a real name server does not do on demand: a double of one, which signs by itself.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigResponseContext};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::model::{DatacenterId, DnsKeyAlgorithm, DnsRecords, Mode, Part, Provider, Text};
use crate::traffic::dns::{address, data};

const EAST: DatacenterId = DatacenterId(0);
const NAME: &str = "app.drill.test";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// What is wrong with the answers of a double.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrong {
    Nothing,
    /// No signature.
    Unsigned,
    /// That of somebody else, who calls the key alike.
    OthersKey,
    /// That of half an hour ago.
    Old,
    /// To a question that was not asked.
    OtherQuestion,
    /// Not whole, by its own word, or by its length.
    Truncated,
    Half,
    NoMessage,
    /// From somebody who heard of it.
    NoAuthority,
    /// Whatever the code is, with or without a signature.
    Code(ResponseCode, bool),
    /// Only updates are answered with this.
    UpdateCode(ResponseCode),
}

/// A zone with one set.
struct Zone {
    addresses: BTreeSet<IpAddr>,
    wrong: Wrong,
    /// Whether what is accepted is done.
    obeys: bool,
    /// What another hand makes of the set, right before each update is judged.
    hands: VecDeque<BTreeSet<IpAddr>>,
    updates: Vec<Message>,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn set(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|it| ip(it)).collect()
}

impl Zone {
    async fn serve(wrong: Wrong) -> (SocketAddr, Arc<Mutex<Zone>>) {
        let addresses = set(&["192.0.2.1", "192.0.2.2"]);
        let (hands, updates) = (VecDeque::new(), Vec::new());
        let zone = Zone { addresses, wrong, obeys: true, hands, updates };
        let zone = Arc::new(Mutex::new(zone));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, shared) = (listener.local_addr().unwrap(), Arc::clone(&zone));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                while let Ok(length) = stream.read_u16().await {
                    let mut asked = vec![0; length.into()];
                    stream.read_exact(&mut asked).await.unwrap();
                    let framed = shared.lock().unwrap().answer(&Message::from_vec(&asked).unwrap());
                    if stream.write_all(&framed).await.is_err()
                        || shared.lock().unwrap().wrong == Wrong::Half
                    {
                        break;
                    }
                }
            }
        });
        (at, zone)
    }

    fn answer(&mut self, asked: &Message) -> Vec<u8> {
        let mut answer = Message::response(asked.id, asked.op_code);
        answer.add_queries(asked.queries.iter().cloned());
        answer.metadata.authoritative = self.wrong != Wrong::NoAuthority;
        match asked.op_code {
            OpCode::Update => answer.metadata.response_code = self.update(asked),
            _ => self.tell(asked, &mut answer),
        }
        match self.wrong {
            Wrong::Code(code, _) => answer.metadata.response_code = code,
            Wrong::UpdateCode(code) if asked.op_code == OpCode::Update => {
                answer.metadata.response_code = code;
            }
            Wrong::OtherQuestion => answer.metadata.id = asked.id.wrapping_add(1),
            Wrong::Truncated => answer.metadata.truncation = true,
            _ => {}
        }
        let bytes = match self.wrong {
            Wrong::Unsigned | Wrong::Code(_, false) => answer.to_vec().unwrap(),
            Wrong::NoMessage => b"hello".to_vec(),
            _ => self.signed(asked, answer),
        };
        let mut framed = [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
        if self.wrong == Wrong::Half {
            framed.truncate(framed.len() / 2);
        }
        framed
    }

    fn signed(&self, asked: &Message, mut answer: Message) -> Vec<u8> {
        let secret = match self.wrong {
            Wrong::OthersKey => b"ffffffffffffffffffffffffffffffff",
            _ => SECRET,
        };
        let name = Name::from_ascii("ours.").unwrap();
        let signer = TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, name, 300).unwrap();
        let mut now = u64::try_from(Timestamp::now().as_second()).unwrap();
        if self.wrong == Wrong::Old {
            now -= 1800;
        }
        let mac = asked.signature().unwrap().data.mac.clone();
        let context = TSigResponseContext::new(answer.id, now, signer, mac, None);
        let signature = context.sign(&answer.to_vec().unwrap()).unwrap();
        answer.set_signature(signature);
        answer.to_vec().unwrap()
    }

    fn tell(&self, asked: &Message, answer: &mut Message) {
        let query = &asked.queries[0];
        let name = query.name().clone();
        if query.query_type() == RecordType::SOA {
            let soa = SOA::new(name.clone(), name.clone(), 7, 60, 60, 60, 60);
            answer.add_answer(Record::from_rdata(name, 60, RData::SOA(soa)));
        } else {
            let record = |it: &IpAddr| Record::from_rdata(name.clone(), 30, data(*it));
            answer.add_answers(self.addresses.iter().map(record));
        }
    }

    /// As RFC 2136 has it, for sets that must be as they were read.
    fn update(&mut self, asked: &Message) -> ResponseCode {
        self.updates.push(asked.clone());
        if let Some(hand) = self.hands.pop_front() {
            self.addresses = hand;
        }
        if asked.answers.iter().filter_map(address).collect::<BTreeSet<_>>() != self.addresses {
            return ResponseCode::NXRRSet;
        }
        for it in asked.authorities.iter().filter(|_| self.obeys) {
            let address = address(it).unwrap();
            match it.dns_class {
                DNSClass::NONE => self.addresses.remove(&address),
                _ => self.addresses.insert(address),
            };
        }
        ResponseCode::NoError
    }
}

fn control(at: SocketAddr) -> DnsUpdate {
    let records = |datacenter, address: &str| DnsRecords {
        datacenter,
        records: vec![DnsRecord { name: NAME.to_owned(), address: ip(address) }],
    };
    let value = BASE64_STANDARD.encode(SECRET);
    let secret = Text::new(vec![Part::Secret { name: "SECRET".to_owned(), value }]);
    let settings = DnsUpdateSettings {
        server: Text::from(&*at.to_string()),
        zone: "drill.test".to_owned(),
        key: DnsKey::Given {
            name: "ours".to_owned(),
            algorithm: DnsKeyAlgorithm::HmacSha256,
            secret,
        },
        records: vec![records(EAST, "192.0.2.1"), records(DatacenterId(1), "192.0.2.2")],
        resolvers: Vec::new(),
        follow_within: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
    };
    let provider = Provider::DnsUpdate(settings.clone());
    DnsUpdate::new(&ControlSpec { name: "dns".into(), provider }, &settings)
}

fn drain() -> CutOrder {
    CutOrder::of(EAST, Mode::Drain)
}

#[tokio::test]
async fn a_change_at_the_very_moment_of_the_update_is_taken_in() {
    let (at, zone) = Zone::serve(Wrong::Nothing).await;
    let control = control(at);
    control.preflight().await.unwrap();
    let snapshot = control.inspect().await.unwrap();
    let third = set(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    zone.lock().unwrap().hands.push_back(third);
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(zone.lock().unwrap().addresses, set(&["192.0.2.2", "192.0.2.3"]));
    assert_eq!(
        zone.lock().unwrap().updates.len(),
        3,
        "preflight's, one that was outrun, and one that was not"
    );
    zone.lock().unwrap().hands.push_back(set(&["192.0.2.2"]));
    control.restore(&snapshot).await.unwrap();
    assert_eq!(zone.lock().unwrap().addresses, set(&["192.0.2.1", "192.0.2.2"]));
    let added = zone.lock().unwrap().updates[4].authorities[0].clone();
    assert_eq!((added.ttl, added.dns_class), (30, DNSClass::IN), "with the TTL of its set");
}

#[tokio::test]
async fn the_last_one_is_not_cut_even_if_the_others_go_at_that_moment() {
    let (at, zone) = Zone::serve(Wrong::Nothing).await;
    let control = control(at);
    let snapshot = control.inspect().await.unwrap();
    zone.lock().unwrap().hands.push_back(set(&["192.0.2.1"]));
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("nobody would be left"), "{error}");
    assert_eq!(zone.lock().unwrap().addresses, set(&["192.0.2.1"]));
}

#[tokio::test]
async fn a_set_that_never_rests_is_given_up() {
    let (at, zone) = Zone::serve(Wrong::Nothing).await;
    let control = control(at);
    let snapshot = control.inspect().await.unwrap();
    let other = |last: u32| set(&["192.0.2.1", "192.0.2.2", &format!("192.0.2.{last}")]);
    zone.lock().unwrap().hands.extend((3..3 + TRIES).map(other));
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("another hand again and again"), "{error}");
    assert!(zone.lock().unwrap().addresses.contains(&ip("192.0.2.1")));
}

#[tokio::test]
async fn a_name_server_that_accepts_and_does_nothing_is_never_cut() {
    let (at, zone) = Zone::serve(Wrong::Nothing).await;
    let control = control(at);
    zone.lock().unwrap().obeys = false;
    let before = control.inspect().await.unwrap();
    control.cut(&drain(), &before).await.unwrap();
    assert_eq!(zone.lock().unwrap().updates.len(), 1, "it was asked for");
    let now = control.inspect().await.unwrap();
    assert!(!now.is_cut(&drain()), "{now:?}");
    assert_eq!(now, before);
}

#[tokio::test]
async fn answers_that_cannot_be_believed_are_refused() {
    for (wrong, what, hint) in [
        (Wrong::Unsigned, "without a signature", "somebody else may have answered"),
        (Wrong::OthersKey, "is signed by nobody who has the key ours", "who answers there"),
        (Wrong::Old, "is signed by nobody who has the key ours", "who answers there"),
        (Wrong::OtherQuestion, "the answer to another question", "a name server"),
        (Wrong::Truncated, "half of an answer", "a name server"),
        (Wrong::Half, "the connection ended before the answer", "over TCP"),
        (Wrong::NoMessage, "answered drill.test. SOA with", "a name server"),
        (Wrong::NoAuthority, "is no authority for drill.test. SOA", "not a resolver"),
        (Wrong::Code(ResponseCode::ServFail, true), "said SERVFAIL to drill.test. SOA", "its log"),
        (
            Wrong::Code(ResponseCode::Refused, false),
            "said REFUSED to drill.test. SOA, unsigned",
            "has the zone",
        ),
    ] {
        let (at, zone) = Zone::serve(wrong).await;
        let control = control(at);
        let error = control.inspect().await.unwrap_err();
        assert!(error.what.contains(what), "{wrong:?}: {error}");
        assert!(error.hint.contains(hint), "{wrong:?}: {error}");
        assert!(zone.lock().unwrap().updates.is_empty());
        let noted = format!("{:?} {error}", control.exchanges());
        assert!(!noted.contains(&BASE64_STANDARD.encode(SECRET)), "{noted}");
    }
}

#[tokio::test]
async fn an_update_that_is_refused_changes_nothing_and_says_why() {
    for (code, what) in [
        (ResponseCode::NotAuth, "said NOTAUTH to the update of drill.test"),
        (ResponseCode::Refused, "said REFUSED to the update of drill.test"),
        (ResponseCode::NotImp, "said NOTIMP"),
        (ResponseCode::NotZone, "said NOTZONE"),
    ] {
        let (at, _) = Zone::serve(Wrong::UpdateCode(code)).await;
        let error = control(at).preflight().await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
    }
}
