//! Every way in which an HTTP probe fails, on real sockets where that is possible.

use super::*;

async fn outcome(spec: &ProbeSpec) -> Outcome {
    take_one(spec).await.outcome
}

async fn outcome_of(answer: &str) -> Outcome {
    outcome(&http_spec(&url(answers(answer).await))).await
}

fn bad(reason: Reason) -> Outcome {
    Outcome::Bad(reason)
}

#[tokio::test]
async fn an_expected_answer_is_good() {
    let sample = take_one(&http_spec(&url(answers(OK).await))).await;
    assert_eq!(sample.outcome, Outcome::Good);
    assert!(sample.due <= sample.sent && sample.sent < sample.done, "{sample:?}");
    let until_close = "HTTP/1.1 200 OK\r\n\r\nup to the end";
    assert_eq!(outcome_of(until_close).await, Outcome::Good);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    assert_eq!(outcome_of(chunked).await, Outcome::Good);
}

#[tokio::test]
async fn the_request_is_the_one_of_the_plan() {
    let (sent, mut seen) = mpsc::unbounded_channel();
    let address = server(move |mut stream| {
        let sent = sent.clone();
        async move {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            request.truncate(length);
            let _ = sent.send(String::from_utf8(request).unwrap());
            let _ = stream.write_all(OK).await;
        }
    })
    .await;
    let mut spec = http_spec(&format!("http://localhost:{}/send?a=1", address.port()));
    *http_of(&mut spec) = HttpProbe {
        method: "POST".into(),
        headers: vec![("x-token".into(), "t".into()), ("x-token".into(), "u".into())],
        body: Some("hello".into()),
        ..http_of(&mut spec).clone()
    };
    assert_eq!(outcome(&spec).await, Outcome::Good);
    let request = seen.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    lines.sort_unstable();
    let agent = format!("user-agent: firedrill/{}", env!("CARGO_PKG_VERSION"));
    let host = format!("host: localhost:{}", address.port());
    assert_eq!(
        lines,
        [
            "POST /send?a=1 HTTP/1.1",
            "accept: */*",
            "connection: close",
            "content-length: 5",
            &host,
            &agent,
            "x-token: t",
            "x-token: u",
        ]
    );
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    // Bound and not listening: it refuses, and nobody else can have the port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = closed.local_addr().unwrap();
    assert_eq!(outcome(&http_spec(&url(address))).await, bad(Reason::Refused));
}

#[tokio::test]
async fn a_connection_that_is_reset_or_closed_without_an_answer_is_a_reset() {
    let resets = server(|mut stream| async move {
        read_request(&mut stream).await;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert_eq!(outcome(&http_spec(&url(resets.await))).await, bad(Reason::Reset));
    assert_eq!(outcome_of("").await, bad(Reason::Reset));
}

#[tokio::test]
async fn half_an_answer_is_a_reset() {
    assert_eq!(outcome_of("HTTP/1.1 200 OK\r\ncontent-le").await, bad(Reason::Reset));
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    assert_eq!(outcome_of(short).await, bad(Reason::Reset));
    let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhalf";
    assert_eq!(outcome_of(chunk).await, bad(Reason::Reset));
}

#[tokio::test]
async fn garbage_is_not_http() {
    assert_eq!(outcome_of("SSH-2.0-OpenSSH_9.2\r\n\r\n").await, bad(Reason::Protocol));
    let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(outcome_of(chunk).await, bad(Reason::Protocol));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_says_in_which_phase_it_hung() {
    let authority = tls::authority();
    let mut https = http_spec("https://10.0.0.2/");
    http_of(&mut https).ca = Some(authority.file.path().to_owned());
    for (spec, phase) in [
        (http_spec("http://hangs/"), Phase::LookUp),
        (http_spec("http://10.0.0.6/"), Phase::Connect),
        (https, Phase::Tls),
        (http_spec("http://10.0.0.2/"), Phase::Answer),
    ] {
        let sample = take_hung(&spec, Memory::new(hang)).await;
        assert_eq!(sample.outcome, bad(Reason::TimeOut(phase)));
    }
    let halfway = Memory::new(|_, mut stream: DuplexStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        std::future::pending().await
    });
    let sample = take_hung(&http_spec("http://10.0.0.2/"), halfway).await;
    assert_eq!(sample.outcome, bad(Reason::TimeOut(Phase::Body)));
}

async fn hang(_: usize, stream: DuplexStream) {
    let _open = stream;
    std::future::pending().await
}

#[tokio::test]
async fn names_that_cannot_be_resolved_are_bad_unless_our_network_is_gone() {
    for (host, outcome) in [
        ("missing", bad(Reason::LookUp)),
        ("empty", bad(Reason::LookUp)),
        ("cut-off", Outcome::Unknown(Blindness::NoNetwork)),
        ("10.0.0.4", Outcome::Unknown(Blindness::NoFileDescriptor)),
        ("10.0.0.5", Outcome::Unknown(Blindness::NoLocalPort)),
        ("half", bad(Reason::Refused)),
    ] {
        let spec = http_spec(&format!("http://{host}/"));
        let samples = take_with(&spec, Memory::new(hang), 1).await;
        assert_eq!(samples[0].outcome, outcome, "{host}");
    }
}

#[tokio::test]
async fn the_next_address_of_a_name_is_tried_when_one_refuses() {
    let answer = |_, mut stream: DuplexStream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(OK).await;
    };
    let samples = take_with(&http_spec("http://two/"), Memory::new(answer), 1).await;
    assert_eq!(samples[0].outcome, Outcome::Good);
}

#[tokio::test]
async fn a_wrong_status_is_bad_even_when_its_body_breaks_off_and_redirects_are_not_followed() {
    let broken = "HTTP/1.1 503 No\r\ncontent-length: 10\r\n\r\nhalf";
    assert_eq!(outcome_of(broken).await, bad(Reason::Status(503)));
    let target = answers(OK).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\n\r\n", url(target));
    assert_eq!(outcome_of(&redirect).await, bad(Reason::Status(302)));
}

#[tokio::test]
async fn text_and_json_of_the_body_decide() {
    let body = r#"{"state": "up", "n": 1}"#;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut spec = http_spec(&url(answers(answer).await));
    for (text, pointer, value, right) in [
        ("\"up\"", "/state", "up", true),
        ("down", "/state", "up", false),
        ("\"up\"", "/state", "down", false),
        ("\"up\"", "/nothing", "up", false),
    ] {
        let expect = &mut http_of(&mut spec).expect;
        expect.body = Some(text.into());
        expect.json = vec![(pointer.to_owned(), value.into())];
        let wanted = if right { Outcome::Good } else { bad(Reason::Body) };
        assert_eq!(outcome(&spec).await, wanted, "{text} {pointer} {value}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_bad_only_if_it_must_be_looked_into() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\nneedle".to_vec();
    answer.resize(3 << 20, b'x');
    let mut spec = http_spec(&url(answers(answer).await));
    spec.timeout = Duration::from_secs(5);
    assert_eq!(outcome(&spec).await, Outcome::Good);
    http_of(&mut spec).expect.body = Some("needle".into());
    assert_eq!(outcome(&spec).await, bad(Reason::Body));
}

#[tokio::test]
async fn who_answered_is_read_from_header_json_and_peer_on_wrong_statuses_too() {
    const WEST: DatacenterId = DatacenterId(1);
    let body = r#"{"dc": "WEST-3"}"#;
    let head = "HTTP/1.1 500 Oh\r\nx-datacenter: West";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let address = answers(answer).await;
    let values = |pattern: &str| ServedByValues(vec![(WEST, vec![pattern.into()])]);
    let header = |pattern: &str| ServedBySource::Header {
        name: "x-datacenter".into(),
        values: values(pattern),
    };
    let json =
        |pattern: &str| ServedBySource::Json { pointer: "/dc".into(), values: values(pattern) };
    let peer = |net: &str| ServedBySource::Peer(vec![(WEST, vec![net.parse().unwrap()])]);
    for (source, served_by) in [
        (Some(header("west")), ServedBy::Datacenter(WEST)),
        (Some(header("east")), ServedBy::Foreign),
        (Some(json("west-*")), ServedBy::Datacenter(WEST)),
        (Some(json("west")), ServedBy::Foreign),
        (Some(peer("127.0.0.0/8")), ServedBy::Datacenter(WEST)),
        (Some(peer("10.0.0.0/8")), ServedBy::Foreign),
        (None, ServedBy::Unnamed),
    ] {
        let mut spec = http_spec(&url(address));
        spec.served_by = source;
        let sample = take_one(&spec).await;
        assert_eq!(sample.outcome, bad(Reason::Status(500)));
        assert_eq!(sample.served_by, served_by, "{:?}", spec.served_by);
    }
}
