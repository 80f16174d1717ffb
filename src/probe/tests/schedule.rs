//! The open loop in virtual time.

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn spec(every: Duration, timeout: Duration) -> ProbeSpec {
    ProbeSpec { every, timeout, ..http_spec("http://10.0.0.2/") }
}

async fn answer_at_once(_: usize, mut stream: DuplexStream) {
    read_request(&mut stream).await;
    let _ = stream.write_all(OK).await;
}

async fn hang(_: usize, stream: DuplexStream) {
    let _open = stream;
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn samples_leave_on_time_for_ten_minutes_without_drift() {
    let probe = spec(MS(100), MS(1_000));
    let samples = take_with(&probe, Memory::new(answer_at_once), 6_000).await;
    for sample in samples {
        assert_eq!(sample.outcome, Outcome::Good);
        assert_eq!(sample.due, Offset::ZERO.plus(MS(100 * sample.seq)));
        assert!(sample.sent.since(sample.due) <= MS(1), "{sample:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_never_delays_the_next() {
    let every_third_hangs = |number: usize, stream| async move {
        if number.is_multiple_of(3) {
            hang(number, stream).await
        } else {
            answer_at_once(number, stream).await
        }
    };
    let samples = take_with(&spec(MS(10), MS(500)), Memory::new(every_third_hangs), 300).await;
    for sample in samples {
        assert!(sample.sent.since(sample.due) <= MS(1), "{sample:?}");
        if sample.seq.is_multiple_of(3) {
            assert_eq!(sample.outcome, Outcome::Bad(Reason::TimeOut(Phase::Answer)));
            assert!((MS(500)..=MS(502)).contains(&sample.done.since(sample.sent)), "{sample:?}");
        } else {
            assert_eq!(sample.outcome, Outcome::Good);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_two_seconds_is_seen_in_full_and_no_sample_is_missing() {
    let clock = Clock::start();
    let (from, until) = (Offset::from_millis(3_000), Offset::from_millis(5_000));
    let stalls = move |number, stream| async move {
        if (from..until).contains(&clock.now()) {
            clock.sleep_until(until).await;
        }
        answer_at_once(number, stream).await;
    };
    let samples = take_with(&spec(MS(20), MS(1_000)), Memory::new(stalls), 400).await;
    let bad: Vec<_> = samples.iter().filter(|sample| !sample.outcome.is_good()).collect();
    let first_bad = bad.first().unwrap();
    let slow = samples.iter().filter(|s| s.done.since(s.sent) > MS(10));
    let last_held = slow.max_by_key(|s| s.sent).unwrap();
    let end = samples.iter().filter(|s| s.sent > last_held.sent).map(|s| s.done).min().unwrap();
    let seen = end.since(first_bad.sent);
    assert!((MS(1_980)..=MS(2_040)).contains(&seen), "{seen:?}");
    // The one sent at 4 s sharp ends with its time-out and the stall at once.
    assert!(
        (50..=51).contains(&bad.len()),
        "a second's worth ran into the time-out: {}",
        bad.len()
    );
    let held = samples.iter().filter(|s| (from..until).contains(&s.sent)).count();
    assert_eq!(held, 100, "all of them were sent while it stalled");
}

#[tokio::test(start_paused = true)]
async fn what_was_due_while_the_observer_stalled_is_reported_and_not_sent_in_a_burst() {
    let (out, mut samples) = mpsc::unbounded_channel();
    let clock = Clock::start();
    let network = Memory::new(answer_at_once);
    let connector: Arc<dyn Connector> = network.clone();
    let prober = try_prepare(&spec(MS(10), MS(200)), connector).unwrap();
    let running = prober.start(clock, clock.now(), out);
    while samples.recv().await.unwrap().sample.seq < 9 {}
    let before = clock.now();
    tokio::time::advance(Duration::from_secs(5)).await;
    let mut seen = Vec::new();
    while seen.len() < 520 {
        seen.push(samples.recv().await.unwrap().sample);
    }
    running.stop(Duration::ZERO).await;
    seen.sort_by_key(|sample| sample.seq);
    assert!(seen.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq), "none is missing");
    let stalled = |sample: &&Sample| sample.outcome == Outcome::Unknown(Blindness::Stalled);
    let blind = seen.iter().filter(stalled).count();
    assert!((470..=482).contains(&blind), "{blind}");
    for sample in seen.iter().filter(stalled) {
        assert!(sample.due >= before && sample.sent.since(sample.due) > MS(200), "{sample:?}");
    }
    assert!(network.opened.load(Ordering::Relaxed) < 60, "no burst");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_while_the_observer_stalled_is_not_held_against_the_service() {
    let (out, mut samples) = mpsc::unbounded_channel();
    let clock = Clock::start();
    let slowly = |number, stream| async move {
        tokio::time::sleep(MS(50)).await;
        answer_at_once(number, stream).await;
    };
    let prober = try_prepare(&spec(MS(60_000), MS(100)), Memory::new(slowly)).unwrap();
    let running = prober.start(clock, clock.now(), out);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(3)).await;
    let sample = samples.recv().await.unwrap().sample;
    assert_eq!(sample.outcome, Outcome::Unknown(Blindness::Stalled));
    running.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_the_schedule_at_once_and_waits_for_what_is_in_flight() {
    let (out, mut samples) = mpsc::unbounded_channel();
    let clock = Clock::start();
    let slowly = |number: usize, stream| async move {
        let delay = if number.is_multiple_of(2) { MS(100) } else { MS(900) };
        tokio::time::sleep(delay).await;
        answer_at_once(number, stream).await;
    };
    let prober = try_prepare(&spec(MS(10), MS(2_000)), Memory::new(slowly)).unwrap();
    let running = prober.start(clock, clock.now(), out);
    tokio::time::sleep(MS(95)).await;
    running.stop(MS(300)).await;
    let stopped = clock.now();
    let mut seen = Vec::new();
    while let Some(sampled) = samples.recv().await {
        seen.push(sampled.sample);
    }
    assert_eq!(clock.now(), stopped, "nothing is left to be reported after the stop");
    assert!((MS(394)..=MS(397)).contains(&stopped.since(Offset::ZERO)), "{stopped}");
    seen.sort_by_key(|sample| sample.seq);
    assert_eq!(seen.len(), 10, "nothing was sent after the stop");
    for (seq, sample) in seen.iter().enumerate() {
        assert_eq!(sample.seq, seq as u64);
        let ended = Outcome::Unknown(Blindness::Ended);
        let outcome = if seq % 2 == 0 { Outcome::Good } else { ended };
        assert_eq!(sample.outcome, outcome, "{sample:?}");
        assert!(sample.sent.since(sample.due) <= MS(1), "it was sent: {sample:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_probe_that_is_dropped_stops() {
    let (out, mut samples) = mpsc::unbounded_channel();
    let clock = Clock::start();
    drop(try_prepare(&spec(MS(10), MS(100)), Memory::new(hang)).unwrap().start(
        clock,
        clock.now(),
        out,
    ));
    let first = samples.recv().await.unwrap().sample;
    assert_eq!((first.seq, first.outcome), (0, Outcome::Unknown(Blindness::Ended)));
    assert_eq!(samples.recv().await, None, "it stopped before the second sample");
}

#[tokio::test(start_paused = true)]
async fn a_probe_faster_than_the_timers_sends_every_sample() {
    let every = Duration::from_micros(70);
    let samples = take_with(&spec(every, MS(100)), Memory::new(answer_at_once), 5_000).await;
    for sample in samples {
        assert_eq!(sample.outcome, Outcome::Good);
        assert!(sample.sent.since(sample.due) <= MS(1), "{sample:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_sample_of_a_hanging_service_is_sent_within_the_bound_of_what_is_in_flight() {
    let samples = take_with(&spec(MS(1), MS(1_000)), Memory::new(hang), 3_000).await;
    for sample in samples {
        assert_eq!(sample.outcome, Outcome::Bad(Reason::TimeOut(Phase::Answer)), "{sample:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_answer_that_is_slow_is_bad_and_a_wrong_one_keeps_its_reason() {
    let slowly = |number: usize, mut stream: DuplexStream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(MS(30)).await;
        let wrong = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(if number == 0 { OK } else { wrong }).await;
    };
    let mut probe = spec(MS(500), MS(200));
    probe.slower_than = Some(MS(20));
    let samples = take_with(&probe, Memory::new(slowly), 2).await;
    assert_eq!(samples[0].outcome, Outcome::Bad(Reason::Slow));
    assert_eq!(samples[1].outcome, Outcome::Bad(Reason::Status(500)));
    probe.slower_than = Some(MS(40));
    let samples = take_with(&probe, Memory::new(slowly), 1).await;
    assert_eq!(samples[0].outcome, Outcome::Good);
}
