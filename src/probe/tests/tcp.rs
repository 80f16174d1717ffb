//! The `tcp` probe on real sockets.

use tokio::io::{AsyncRead, AsyncWrite};

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

async fn echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(stream);
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

#[tokio::test(start_paused = true)]
async fn half_an_answer_and_none_at_all_time_out_in_their_phases() {
    let address = "10.0.0.2:7".parse().unwrap();
    let echo = Memory::new(|_, stream: DuplexStream| echo(stream));
    let half = take_hung(&tcp_spec(address, Some("PING"), Some("PONG")), echo.clone()).await;
    assert_eq!(half.outcome, Outcome::Bad(Reason::TimeOut(Phase::Body)), "it might still come");
    let silent = take_hung(&tcp_spec(address, None, Some("PONG")), echo).await;
    assert_eq!(silent.outcome, Outcome::Bad(Reason::TimeOut(Phase::Answer)));
    assert_eq!(silent.served_by, ServedBy::Unnamed);
}

#[tokio::test]
async fn wrong_and_broken_answers_are_told_apart() {
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
