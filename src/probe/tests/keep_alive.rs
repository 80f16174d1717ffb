//! The cohort that keeps its connections.

use super::*;

/// A server in memory that answers up to `most` requests on each connection.
fn answers_up_to(most: usize) -> impl Fn(usize, DuplexStream) -> BoxFuture<'static, ()> {
    move |_, mut stream| {
        async move {
            for _ in 0..most {
                if !read_request(&mut stream).await || stream.write_all(OK).await.is_err() {
                    return;
                }
            }
        }
        .boxed()
    }
}

fn kept(url: &str) -> ProbeSpec {
    ProbeSpec { connection: Connection::KeepAlive, ..http_spec(url) }
}

#[tokio::test(start_paused = true)]
async fn one_connection_serves_all_samples_while_it_lives() {
    let network = Memory::new(answers_up_to(usize::MAX));
    let connector: Arc<dyn Connector> = network.clone();
    let samples = take_with(&kept("http://10.0.0.2/"), connector, 100).await;
    assert!(samples.iter().all(|sample| sample.outcome.is_good()));
    assert_eq!(network.opened.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_found_dead_is_replaced_within_the_same_sample() {
    let network = Memory::new(answers_up_to(5));
    let connector: Arc<dyn Connector> = network.clone();
    let samples = take_with(&kept("http://10.0.0.2/"), connector, 100).await;
    assert!(samples.iter().all(|sample| sample.outcome.is_good()), "{samples:?}");
    assert!((20..=21).contains(&network.opened.load(Ordering::Relaxed)));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_breaks_after_the_request_is_a_reset() {
    let network = Memory::new(|_, mut stream: DuplexStream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(OK).await;
        read_request(&mut stream).await;
    });
    let samples = take_with(&kept("http://10.0.0.2/"), network, 20).await;
    for sample in samples {
        let reset = Outcome::Bad(Reason::Reset);
        let outcome = if sample.seq.is_multiple_of(2) { Outcome::Good } else { reset };
        assert_eq!(sample.outcome, outcome, "{sample:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_hung_is_not_used_again() {
    let network = Memory::new(|number, mut stream: DuplexStream| async move {
        while read_request(&mut stream).await {
            if number == 0 {
                std::future::pending::<()>().await;
            }
            let _ = stream.write_all(OK).await;
        }
    });
    let connector: Arc<dyn Connector> = network.clone();
    let samples = take_with(&kept("http://10.0.0.2/"), connector, 50).await;
    let bad: Vec<_> = samples.iter().filter(|s| !s.outcome.is_good()).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!(bad[0].seq, 0);
    assert_eq!(network.opened.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn connections_that_the_server_closes_are_not_kept() {
    let network = Memory::new(|_, mut stream: DuplexStream| async move {
        read_request(&mut stream).await;
        let close = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(close).await;
    });
    let connector: Arc<dyn Connector> = network.clone();
    let samples = take_with(&kept("http://10.0.0.2/"), connector, 10).await;
    assert!(samples.iter().all(|sample| sample.outcome.is_good()), "{samples:?}");
    assert!(network.opened.load(Ordering::Relaxed) >= 10);
}

#[tokio::test]
async fn on_real_sockets_too_a_connection_is_kept_and_a_dead_one_replaced() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let address = server(move |mut stream| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            for _ in 0..10 {
                if !read_request(&mut stream).await {
                    return;
                }
                let _ = stream.write_all(OK).await;
            }
        }
    });
    let mut spec = kept(&url(address.await));
    spec.timeout = Duration::from_secs(2);
    let samples = take_with(&spec, system(), 100).await;
    assert!(samples.iter().all(|sample| sample.outcome.is_good()), "{samples:?}");
    let opened = opened.load(Ordering::Relaxed);
    assert!((10..50).contains(&opened), "{opened}");
}
