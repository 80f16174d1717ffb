//! The `tcp` probe on real sockets.

use super::*;

fn tcp_spec(address: SocketAddr, send: Option<&str>, expect: Option<&str>) -> ProbeSpec {
    let kind = ProbeKind::Tcp(TcpProbe {
        address: address.to_string().as_str().into(),
        send: send.map(Into::into),
        expect: expect.map(Into::into),
    });
    let networks = vec![(DatacenterId(0), vec!["127.0.0.0/8".parse().unwrap()])];
    let served_by = Some(ServedBySource::Peer(networks));
    ProbeSpec { kind, served_by, ..http_spec("unused") }
}

async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    let _ = tokio::io::copy(&mut read, &mut write).await;
}

#[tokio::test]
async fn connecting_is_enough_when_nothing_is_expected() {
    let sample = take_one(&tcp_spec(server(echo).await, None, None)).await;
    assert_eq!(sample.outcome, Outcome::Good);
    assert_eq!(sample.served_by, ServedBy::Datacenter(DatacenterId(0)));
}

#[tokio::test]
async fn what_is_expected_may_come_in_pieces() {
    let pieces = server(|mut stream| async move {
        for piece in ["+PO", "N", "G\r\n"] {
            let _ = stream.write_all(piece.as_bytes()).await;
            // The client reads each piece on its own only if it is sent on its own.
            let _ = stream.read(&mut [0; 1]).await;
        }
    });
    let sample = take_one(&tcp_spec(pieces.await, Some("PING\r\n"), Some("PONG"))).await;
    assert_eq!(sample.outcome, Outcome::Good);
}

#[tokio::test]
async fn wrong_missing_and_broken_answers_are_told_apart() {
    let echo = server(echo).await;
    let hung = Outcome::Bad(Reason::TimeOut(Phase::Body));
    let sample = take_hung(&tcp_spec(echo, Some("PING"), Some("PONG"))).await;
    assert_eq!(sample.outcome, hung, "it might still come");
    let silent = Outcome::Bad(Reason::TimeOut(Phase::Answer));
    let sample = take_hung(&tcp_spec(echo, None, Some("PONG"))).await;
    assert_eq!(sample.outcome, silent);
    assert_eq!(sample.served_by, ServedBy::Unnamed);

    let wrong = server(|mut stream| async move {
        let _ = stream.write_all(b"-ERR loading\r\n").await;
    });
    let sample = take_one(&tcp_spec(wrong.await, None, Some("PONG"))).await;
    assert_eq!(sample.outcome, Outcome::Bad(Reason::Body));
    assert_eq!(sample.served_by, ServedBy::Datacenter(DatacenterId(0)));

    let closes = server(|stream| async move { drop(stream) });
    let sample = take_one(&tcp_spec(closes.await, None, Some("PONG"))).await;
    assert_eq!(sample.outcome, Outcome::Bad(Reason::Reset));

    let endless =
        server(|mut stream| async move { while stream.write_all(&[b'x'; 8192]).await.is_ok() {} });
    let sample = take_one(&tcp_spec(endless.await, None, Some("PONG"))).await;
    assert_eq!(sample.outcome, Outcome::Bad(Reason::Body));
}
