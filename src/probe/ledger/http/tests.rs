//! Servers on real sockets that answer as they should, and as they should not.

mod pages;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::probe::tests::{http_of, http_spec, system};

const AT_MOST: Duration = Duration::from_secs(60);

/// What a server says to a method and a path; `None`: it breaks off.
type Says = dyn Fn(&str, &str) -> Option<(u16, String)> + Send + Sync;

async fn server(says: Arc<Says>) -> SocketAddr {
    crate::probe::tests::server(move |stream| converse(stream, says.clone())).await
}

async fn converse(mut stream: TcpStream, says: Arc<Says>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let Some((status, body)) = says(method, path) else { return };
    let length = if status == 204 { 0 } else { body.len() };
    let answer = format!(
        "HTTP/1.1 {status} x\r\nlocation: /login\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}",
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn request(method: &str, url: &str, status: u16) -> HttpProbe {
    let mut spec = http_spec(url);
    let http = http_of(&mut spec);
    (http.method, http.expect.status) = (method.into(), vec![(status, status)]);
    http.clone()
}

fn store(at: SocketAddr, read: &str, change: impl Fn(&mut HttpLedger)) -> HttpStore {
    let mut http = HttpLedger {
        write: request("PUT", &format!("http://{at}/{{{{key}}}}"), 201),
        read: request("GET", &format!("http://{at}{read}"), 200),
        items: String::new(),
        item_key: String::new(),
        next: None,
        remove: None,
    };
    change(&mut http);
    let writer = Writer { run: "r".into(), service: "s".into(), probe: "p".into() };
    let spec = http_spec("http://unused/");
    HttpStore::prepare(&http, writer, &spec, &|_| None, system()).unwrap()
}

/// What comes of reading what `says` says.
async fn read(says: Arc<Says>, path: &str) -> (Result<(), String>, Found) {
    let store = store(server(says).await, path, |_| {});
    store.next.store(3, Relaxed);
    let mut found = Found::default();
    let end = timeout(AT_MOST, store.read(&mut found)).await.unwrap();
    (end, found)
}

fn always(status: u16, body: &str) -> Arc<Says> {
    let body = body.to_owned();
    Arc::new(move |_, _| Some((status, body.clone())))
}

const ALL: &str = "/all?of={{prefix}}";
const ONE: &str = "/{{key}}";

#[tokio::test]
async fn ten_thousand_records_are_asked_for_one_by_one() {
    const COUNT: u64 = 10_000;
    let there: BTreeSet<u64> = (0..COUNT).filter(|seq| seq % 1000 != 7).collect();
    let known = there.clone();
    let luck = Mutex::new(fastrand::Rng::with_seed(1));
    let says = move |_: &str, path: &str| {
        let seq = path.rsplit(':').next().unwrap().parse().unwrap();
        let status = if known.contains(&seq) { 200 } else { 404 };
        // One in a thousand is not answered at all.
        (luck.lock().unwrap().u32(0..1000) > 0).then(|| (status, String::new()))
    };
    let store = store(server(Arc::new(says)).await, ONE, |_| {});
    store.next.store(COUNT, Relaxed);
    let mut found = Found::default();
    assert_eq!(timeout(AT_MOST, store.read(&mut found)).await.unwrap(), Ok(()));
    assert_eq!(found.seen.iter().collect::<BTreeSet<_>>(), there);
    assert_eq!(found.seen.more_than_once().count(), 0);
}

#[tokio::test]
async fn a_page_for_everybody_is_no_record() {
    let (end, found) = read(always(200, "<html>please log in</html>"), ONE).await;
    assert!(end.unwrap_err().contains("never written"));
    assert!(found.seen.is_empty());
    for status in [302, 401, 500] {
        let (end, found) = read(always(status, ""), ONE).await;
        assert!(end.unwrap_err().contains(&status.to_string()));
        assert!(found.seen.is_empty());
    }
    let (end, _) = read(always(404, ""), ONE).await;
    assert_eq!(end, Ok(()), "nothing is there");
}

#[tokio::test]
async fn a_list_that_is_none_is_told_from_an_empty_one() {
    assert_eq!(read(always(200, "[]"), ALL).await.0, Ok(()));
    for (status, body, told) in [
        (200, "<html>please log in</html>", "no JSON"),
        (200, "", "no JSON"),
        (200, "[\"firedrill:r:s:p:1\"", "no JSON"),
        (200, "{\"error\": \"log in\"}", "no list"),
        (200, "null", "no list"),
        (200, "[1, {}]", "have no key"),
        (302, "[]", "302"),
        (204, "", "204"),
        (404, "[]", "404"),
        (503, "[]", "503"),
    ] {
        let (end, found) = read(always(status, body), ALL).await;
        let error = end.unwrap_err();
        assert!(error.contains(told), "{body}: {error}");
        assert!(found.seen.is_empty(), "{body}");
    }
    let (end, _) = read(Arc::new(|_, _| None), ALL).await;
    assert!(end.unwrap_err().contains("could not be read"));
}

#[tokio::test]
async fn what_a_list_has_is_counted_and_strange_keys_are_told_apart() {
    let list = r#"["firedrill:r:s:p:1", "firedrill:r:s:p:2", "firedrill:r:s:p:2", "firedrill:other:s:p:3", "x",
                   "firedrill:r:s:p:02", "firedrill:r:s:p:", "firedrill:r:s:p:-1"]"#;
    let (end, found) = read(always(200, list), ALL).await;
    assert_eq!(end, Ok(()));
    assert_eq!(found.seen.iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(found.seen.more_than_once().collect::<Vec<_>>(), [2]);
    assert_eq!((found.foreign, found.broken), (2, 3));
}

#[tokio::test]
async fn what_the_plan_expects_of_a_reading_is_held() {
    let says = always(200, "{\"ids\": [{\"id\": \"firedrill:r:s:p:1\"}], \"complete\": false}");
    let at = server(says).await;
    let held = |complete: bool| {
        store(at, ALL, |http| {
            http.read.expect.json = vec![("/complete".to_owned(), complete.into())];
            (http.items, http.item_key) = ("/ids".to_owned(), "/id".to_owned());
        })
    };
    let mut found = Found::default();
    assert_eq!(held(false).read(&mut found).await, Ok(()));
    assert_eq!(found.seen.iter().collect::<Vec<_>>(), [1]);
    let error = held(true).read(&mut Found::default()).await.unwrap_err();
    assert!(error.contains("`expect`"), "{error}");
}

#[tokio::test]
async fn a_removal_that_is_refused_is_told() {
    let says = |method: &str, _: &str| Some((if method == "GET" { 200 } else { 403 }, "[]".into()));
    let at = server(Arc::new(says)).await;
    for path in [ALL, ONE] {
        let url = format!("http://{at}{path}");
        let store = store(at, ALL, |http| http.remove = Some(request("DELETE", &url, 204)));
        store.next.store(3, Relaxed);
        assert!(store.clean().await.unwrap_err().contains("403"), "{path}");
    }
    assert!(store(at, ALL, |_| {}).clean().await.unwrap_err().contains("no `remove`"));
}
