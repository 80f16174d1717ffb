//! What of a server's answer makes which fate: a server that speaks PostgreSQL's protocol and can be told to break it.

use firedrill::model::{DatacenterId, Fate, Outcome, Sample, ServedBy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::outage::{Written, handle, plan, plan_with, prober, until, write_while};
use super::postgres::LIMIT;
use super::postgres_server::settings;

fn message(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[letter], &length[..], body].concat()
}

/// A row of texts, with its description in front.
fn row(texts: &[&str]) -> [Vec<u8>; 2] {
    let count = (texts.len() as u16).to_be_bytes();
    let (mut columns, mut values) = (count.to_vec(), count.to_vec());
    for text in texts {
        // A name, no table, no column, the type text (25) of any length, and binary.
        columns.extend(b"x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\x01");
        values.extend((text.len() as u32).to_be_bytes());
        values.extend(text.as_bytes());
    }
    [message(b'T', &columns), message(b'D', &values)]
}

fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

/// An error (`E`) or a notice (`N`).
fn said(letter: u8, severity: &str, code: &str) -> Vec<u8> {
    message(letter, format!("S{severity}\0V{severity}\0C{code}\0Msaid so\0\0").as_bytes())
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// The statement was executed by the server at `by`; the commit comes next.
fn executed(by: &str) -> Vec<u8> {
    let [columns, values] = row(&[by]);
    [message(b'1', b""), message(b'2', b""), columns, values, complete("INSERT 0 1")].concat()
}

/// What is sent for a record; with `false` the connection is closed then, with `true` it stays.
type Answer = (Vec<u8>, bool);

const EAST: &str = "127.0.1.9";
const WEST: &str = "127.0.2.9";

/// Each way to answer, with the fate that it makes.
fn answers() -> Vec<(&'static str, Answer, Fate)> {
    use Fate::{Acknowledged, Refused, Unknown};
    let error = |severity: &str, code: &str| said(b'E', severity, code);
    let after = |more: Vec<u8>| [executed(EAST), more].concat();
    let with_ready = |bytes: Vec<u8>| [bytes, ready()].concat();
    let none = [message(b'1', b""), message(b'2', b""), message(b'n', b""), complete("INSERT 0 0")];
    let without_word = message(b'E', b"SFATAL\0C53300\0Mno connection left\0\0");
    vec![
        ("committed", (with_ready(executed(EAST)), true), Acknowledged),
        ("committed elsewhere", (with_ready(executed(WEST)), true), Acknowledged),
        ("executed, and gone before the commit", (executed(EAST), false), Unknown),
        ("ended after the commit", (after(error("FATAL", "25P04")), false), Unknown),
        (
            "shut down while the commit waits for a copy",
            (after(said(b'N', "WARNING", "57P01")), false),
            Unknown,
        ),
        (
            "the wait for a copy was called off",
            (with_ready(after(said(b'N', "WARNING", "01000"))), true),
            Acknowledged,
        ),
        ("refused at the commit", (with_ready(after(error("ERROR", "23505"))), true), Refused),
        ("called off before", (with_ready(error("ERROR", "57014")), true), Refused),
        ("read-only", (with_ready(error("ERROR", "25006")), true), Refused),
        ("ended, with a refusal's code", (error("FATAL", "57014"), false), Unknown),
        ("a pooler without a server", (without_word, false), Unknown),
        ("nobody knows", (with_ready(error("ERROR", "40003")), true), Unknown),
        ("broken inside", (with_ready(error("ERROR", "XX000")), true), Unknown),
        ("a rule took it", (with_ready(none.concat()), true), Unknown),
        ("garbage", (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), true), Unknown),
        ("a message of 4 GB", (b"D\xff\xff\xff\xff".to_vec(), true), Unknown),
        ("nothing", (Vec::new(), true), Unknown),
        ("closed", (Vec::new(), false), Unknown),
    ]
}

/// Lets everybody in, and answers record N with the answer N modulo their number.
async fn serve(mut client: TcpStream) -> std::io::Result<()> {
    loop {
        let length = client.read_u32().await?;
        let mut start = vec![0; length as usize - 4];
        client.read_exact(&mut start).await?;
        match start[..4] {
            [0x04, 0xd2, 0x16, 0x2f] => client.write_all(b"N").await?,
            [0x04, 0xd2, 0x16, 0x2e] => return Ok(()),
            _ => break,
        }
    }
    client.write_all(&[message(b'R', &[0; 4]), ready()].concat()).await?;
    let answers = answers();
    let mut record = 0;
    loop {
        let letter = client.read_u8().await?;
        let length = client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).await?;
        match letter {
            // The number is the last parameter, in front of the one format of the results.
            b'B' => {
                let end = body.len() - 4;
                record = u64::from_be_bytes(body[end - 8..end].try_into().unwrap());
            }
            b'Q' => {
                let facts = [&row(&[EAST, "off"])[..], &[complete("SELECT 1"), ready()]].concat();
                client.write_all(&facts.concat()).await?;
            }
            b'S' => {
                let (_, (bytes, stays), _) = &answers[record as usize % answers.len()];
                client.write_all(bytes).await?;
                if !stays {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_acknowledged_by_its_commit_alone_and_refused_only_where_it_cannot_be_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("\"127.0.0.1:{}\"", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    let answers = answers();
    let written = Written::default();
    // What hangs takes a second; nothing else must wait for it.
    let text = settings(&[at], ", connections: 64", "");
    let heard =
        until("each was given three times", || written.samples().len() >= 3 * answers.len());
    write_while(prober(&plan(&plan_with(&text))), &written, heard).await;
    serving.abort();
    let ended = |sample: &Sample| !matches!(sample.outcome, Outcome::Unknown(_));
    let samples: Vec<Sample> = written.samples().into_iter().filter(ended).collect();
    let mut seen = vec![0; answers.len()];
    for sample in samples {
        let place = sample.seq as usize % answers.len();
        let (name, _, fate) = &answers[place];
        assert_eq!(Fate::of(&sample), *fate, "{name}: {sample:?}");
        seen[place] += 1;
        // Who acknowledges says so, whatever the connection led to before.
        let by = ServedBy::Datacenter(DatacenterId(u16::from(*name == "committed elsewhere")));
        assert!(*fate != Fate::Acknowledged || sample.served_by == by, "{name}: {sample:?}");
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_postgresql_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("\"127.0.0.1:{}\"", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            // It says no more, and hangs.
            open.push(client);
        }
    });
    let plain = settings(&[at], "", ", create: true");
    for mode in ["", "sslmode: prefer, ", "sslmode: disable, "] {
        let ledger = handle(&plain.replace("sslmode: disable, ", mode));
        let said = ledger.begin(LIMIT).await.unwrap_err();
        assert!(said.contains("no PostgreSQL"), "{mode}: {said}");
    }
    serving.abort();
}
