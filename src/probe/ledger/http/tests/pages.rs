//! Lists in pages, on real sockets: whole ones, and those of which nobody knows what is missing.

use std::cell::Cell;
use std::sync::atomic::AtomicU32;

use super::*;

/// What a server sends for a path, byte for byte.
type Sends = dyn Fn(&str) -> Vec<u8> + Send + Sync;

async fn sender(sends: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let sends: Arc<Sends> = Arc::new(sends);
    crate::probe::tests::server(move |mut stream| {
        let sends = sends.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let _ = stream.write_all(&sends(head.split(' ').nth(1).unwrap())).await;
        }
    })
    .await
}

/// A whole answer with these headers, each with its line's end.
fn sent(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into()
}

fn key(seq: u64) -> String {
    format!("\"firedrill:r:s:p:{seq}\"")
}

/// What comes of reading the pages of `at`, from `path` on.
async fn pages(at: SocketAddr, path: &str, next: NextPage) -> (Result<(), String>, Found) {
    let store = store(at, path, |http| {
        http.next = Some(next.clone());
        if let NextPage::Json(_) = next {
            http.items = "/ids".to_owned();
        }
    });
    let mut found = Found::default();
    let end = timeout(AT_MOST, store.read(&mut found)).await.unwrap();
    (end, found)
}

fn json(pointer: &str) -> NextPage {
    NextPage::Json(pointer.to_owned())
}

const BY_CURSOR: &str = "/all?of={{prefix}}&at={{cursor}}";

#[tokio::test]
async fn a_cursor_leads_from_page_to_page_whatever_is_in_it() {
    const CURSORS: [&str; 4] = ["", "a/b+c==&x=1#?", "{{key}} \u{e9}%41\"", "7"];
    let at = sender(|path| {
        let asked = path.strip_prefix("/all?of=firedrill:r:s:p:&at=").unwrap();
        let place = CURSORS.iter().position(|cursor| query_value(cursor) == asked).unwrap();
        let next: serde_json::Value = match place {
            2 => 7.into(),
            place => CURSORS.get(place + 1).copied().into(),
        };
        let ids = format!("{}, {}", key(2 * place as u64), key(2 * place as u64 + 1));
        sent("", &format!("{{\"next\": {next}, \"ids\": [{ids}, \"x\"]}}"))
    })
    .await;
    let (end, found) = pages(at, BY_CURSOR, json("/next")).await;
    assert_eq!(end, Ok(()));
    assert_eq!(found.seen.iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    assert_eq!((found.seen.more_than_once().count(), found.foreign), (0, 4));
}

#[tokio::test]
async fn a_url_leads_from_page_to_page_by_header_or_by_json() {
    let by_json = sender(|path| {
        let (seq, next) = match path {
            "/all" => (1, "\"/all/2?x\""),
            "/all/2?x" => (2, "\"?y\""),
            "/all/2?y" => (3, "\"\""),
            other => panic!("{other}"),
        };
        sent("", &format!("{{\"ids\": [{}], \"next\": {next}}}", key(seq)))
    })
    .await;
    let (end, found) = pages(by_json, "/all", json("/next")).await;
    assert_eq!((end, found.seen.len()), (Ok(()), 3));
    let by_header = sender(move |path| match path {
        "/all" => sent(
            "link: </all>; title=\"one, or <two>; rel=next\"; rel=first, </2>; rel=\"last NEXT\"\r\n",
            &format!("[{}]", key(1)),
        ),
        "/2" => sent("Link: <?3> ;REL=next\r\n", &format!("[{}]", key(2))),
        "/2?3" => sent("link: </all>; rel=\"first\"\r\nlink: </>; rel=nextish\r\n", &format!("[{}]", key(3))),
        other => panic!("{other}"),
    })
    .await;
    let (end, found) = pages(by_header, "/all", NextPage::Link).await;
    assert_eq!((end, found.seen.len()), (Ok(()), 3));
}

#[tokio::test]
async fn a_page_that_fails_misleads_or_comes_again_is_an_error_that_says_which() {
    for (second, told) in [
        ("{\"ids\": [], \"next\": \"b\"}", "page 2: it leads back"),
        ("{\"ids\": [\"firedrill:r:s:p:1\"]}", "page 2: record 1 was on an earlier page"),
        ("{\"ids\": [], \"next\": {}}", "page 2: what stands at `/next`"),
        ("{\"ids\": [], \"next\": \"b\", \"next\": null}", "stands there twice"),
        ("{\"ids\": []", "page 2: the list of records is no JSON"),
        ("{\"ids\": []} {}", "page 2: the list of records is no JSON"),
        ("{\"error\": \"cursor expired\"}", "page 2: the answer has no list of records at `/ids`"),
        ("{\"ids\": {\"1\": 1}}", "no list of records at `/ids`"),
        ("", "page 2: the list of records is no JSON"),
    ] {
        let at = sender(move |path| match path.ends_with("at=") {
            true => sent("", &format!("{{\"ids\": [{}], \"next\": \"b\"}}", key(1))),
            false => sent("", second),
        })
        .await;
        let (end, found) = pages(at, BY_CURSOR, json("/next")).await;
        let error = end.unwrap_err();
        assert!(error.contains(told), "{second}: {error}");
        assert_eq!(found.seen.iter().collect::<Vec<_>>(), [1], "{second}");
        assert_eq!(found.seen.more_than_once().count(), 0, "{second}");
    }
    let long = format!("{{\"ids\": [], \"next\": \"{}\"}}", "x".repeat(MOST_CURSOR + 1));
    let at = sender(move |_| sent("", &long)).await;
    let (end, _) = pages(at, BY_CURSOR, json("/next")).await;
    assert!(end.unwrap_err().contains("longer than"));
    let at = sender(|_| sent("link: /2; rel=next\r\n", "[]")).await;
    let (end, _) = pages(at, "/all", NextPage::Link).await;
    assert!(end.unwrap_err().contains("page 1: its `Link` header makes no sense"));
}

#[tokio::test]
async fn no_page_and_no_redirect_is_asked_for_elsewhere() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let elsewhere = sender(|_| {
        ASKED.fetch_add(1, Relaxed);
        sent("", "[]")
    })
    .await;
    for target in [
        format!("http://{elsewhere}/2"),
        format!("//{elsewhere}/2"),
        "https://127.0.0.1/2".to_owned(),
        "http://user@127.0.0.1/2".to_owned(),
        "2".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let link = format!("link: <{target}>; rel=next\r\n");
        let at = sender(move |_| sent(&link, "[]")).await;
        let (end, _) = pages(at, "/all", NextPage::Link).await;
        let error = end.unwrap_err();
        assert!(error.contains("lies elsewhere") && error.contains(&target), "{error}");
    }
    let moved =
        format!("HTTP/1.1 302 x\r\nlocation: http://{elsewhere}/\r\ncontent-length: 2\r\n\r\n[]");
    let at = sender(move |_| moved.clone().into()).await;
    let (end, _) = pages(at, "/all", NextPage::Link).await;
    assert!(end.unwrap_err().contains("302"));
    assert_eq!(ASKED.load(Relaxed), 0);
    // Our own, named in full, is no other.
    let slot = Arc::new(Mutex::new(String::new()));
    let own = slot.clone();
    let at = sender(move |path| match path {
        "/all" => sent(&format!("link: <{}>; rel=next\r\n", own.lock().unwrap()), "[]"),
        _ => sent("", &format!("[{}]", key(2))),
    })
    .await;
    *slot.lock().unwrap() = format!("HTTP://{at}/2");
    let (end, found) = pages(at, "/all", NextPage::Link).await;
    assert_eq!((end, found.seen.len()), (Ok(()), 1));
}

#[tokio::test]
async fn an_answer_that_is_not_whole_is_no_list() {
    let gzip: &[u8] =
        b"HTTP/1.1 200 x\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00";
    for (answer, told) in [
        (&b"HTTP/1.1 200 x\r\ncontent-length: 20\r\n\r\n[]"[..], "could not be read"),
        (b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n", "could not be read"),
        (
            b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n",
            "could not be read",
        ),
        (b"HTTP/1.1 200 x\r\n\r\n[\"firedrill:r:s:p:1\",", "no JSON"),
        (b"HTTP/1.1 206 x\r\ncontent-length: 2\r\n\r\n[]", "a part of it"),
        (b"HTTP/1.1 200 x\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<ok>", "no JSON"),
        (b"garbage\r\n\r\n", "could not be read"),
        (b"HTTP/1.1 500 x\r\ncontent-length: 2\r\n\r\n[]", "status 500"),
        (gzip, "encoded (`gzip`)"),
    ] {
        let at = sender(move |_| answer.to_vec()).await;
        let store = store(at, ALL, |http| http.read.expect.status = vec![(200, 299)]);
        let mut found = Found::default();
        let error = timeout(AT_MOST, store.read(&mut found)).await.unwrap().unwrap_err();
        assert!(error.contains(told), "{}: {error}", String::from_utf8_lossy(answer));
        assert!(found.seen.is_empty());
    }
}

#[tokio::test]
async fn a_long_list_holds_up_nobody_while_it_is_read() {
    const COUNT: u64 = 100_000;
    let keys: Vec<String> = (0..COUNT).map(key).collect();
    let body = format!("[{}]", keys.join(",")).into_bytes();
    let store = store(sender(|_| Vec::new()).await, ALL, |_| {});
    let done = Cell::new(false);
    let read = async {
        let page = store.parsed(body).await.unwrap();
        done.set(true);
        page
    };
    // On the same thread, as a conductor may be.
    let beats = async {
        let mut beats = 0;
        while !done.get() {
            beats += 1;
            tokio::task::yield_now().await;
        }
        beats
    };
    let (page, beats) = tokio::join!(biased; read, beats);
    assert_eq!(page.ours.len() as u64, COUNT);
    assert!(beats > 0, "it was read in one go");
}
