//! Whatever the service, the network and the observer do: one report a sample, and an honest one.

use proptest::prelude::*;

use super::*;

/// What the service does with a connection.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Answers(u64),
    HangsUp,
    Hangs,
    HalfAnswers,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        4 => (0_u64..120).prop_map(Behaviour::Answers),
        1 => Just(Behaviour::HangsUp),
        1 => Just(Behaviour::Hangs),
        1 => Just(Behaviour::HalfAnswers),
    ]
}

async fn behave(behaviour: Behaviour, mut stream: DuplexStream) {
    while read_request(&mut stream).await {
        match behaviour {
            Behaviour::Answers(delay) => {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                let _ = stream.write_all(OK).await;
            }
            Behaviour::HangsUp => return,
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::HalfAnswers => {
                let _ = stream.write_all(&OK[..OK.len() - 1]).await;
                return;
            }
        }
    }
}

/// One life of a probe: steps of waiting and of stalling, then the stop.
async fn live(
    behaviours: Vec<Behaviour>,
    spec: ProbeSpec,
    steps: Vec<(u64, u64)>,
    grace: u64,
) -> (Vec<Sample>, Offset) {
    let network =
        Memory::new(move |number, stream| behave(behaviours[number % behaviours.len()], stream));
    let (out, mut samples) = mpsc::unbounded_channel();
    let clock = Clock::start();
    let running = try_prepare(&spec, network).unwrap().start(clock, clock.now(), out);
    for (wait, stall) in steps {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        tokio::time::advance(Duration::from_millis(stall)).await;
    }
    let stopped = clock.now();
    running.stop(Duration::from_millis(grace)).await;
    let mut taken = Vec::new();
    while let Some(sampled) = samples.recv().await {
        taken.push(sampled.sample);
    }
    (taken, stopped)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_due_sample_is_reported_once_and_in_order_of_its_instants(
        behaviours in prop::collection::vec(behaviour(), 1..8),
        every in 2_u64..40,
        timeout in 20_u64..100,
        keep in any::<bool>(),
        steps in prop::collection::vec((0_u64..200, 0_u64..300), 1..4),
        grace in 0_u64..120,
    ) {
        let spec = ProbeSpec {
            every: Duration::from_millis(every),
            timeout: Duration::from_millis(timeout),
            connection: if keep { Connection::KeepAlive } else { Connection::New },
            ..http_spec("http://10.0.0.2/")
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let (mut taken, stopped) = runtime.block_on(live(behaviours, spec.clone(), steps, grace));
        taken.sort_by_key(|sample| sample.seq);
        let timeout = spec.timeout;
        for (seq, sample) in (0..).zip(&taken) {
            prop_assert_eq!(sample.seq, seq, "once, and none left out");
            prop_assert_eq!(sample.due, Offset::ZERO.plus(spec.every * u32::try_from(seq).unwrap()));
            prop_assert!(sample.due <= sample.sent && sample.sent <= sample.done);
            let took = sample.done.since(sample.sent);
            match sample.outcome {
                Outcome::Good => prop_assert!(took <= timeout, "{:?}", sample),
                Outcome::Bad(Reason::TimeOut(_)) => prop_assert!(took >= timeout, "{:?}", sample),
                Outcome::Bad(reason) => prop_assert_eq!(reason, Reason::Reset),
                Outcome::Unknown(_) => {}
            }
        }
        let due = stopped.as_nanos() / 1_000_000 / every + 1;
        prop_assert_eq!(taken.len() as u64, due, "all that was due before the stop, and no more");
    }
}
