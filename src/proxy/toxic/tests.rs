//! Toxics in time that the tests make up.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::gate::Degradation;
use super::{Chain, Ending, Kind, Out, Stream, Toxic, Toxics};

const MS: Duration = Duration::from_millis(1);
const NONE: Duration = Duration::ZERO;

/// A chain, what went in, and what came out of it when.
struct World {
    start: Instant,
    now: Instant,
    toxics: Toxics,
    list: Vec<Toxic>,
    chain: Chain,
    /// Each piece that was written, in ms.
    written: Vec<(u128, Vec<u8>)>,
    ended: Option<(u128, Ending)>,
}

impl World {
    fn new(kinds: &[Kind]) -> World {
        let start = Instant::now();
        let mut world = World {
            start,
            now: start,
            toxics: Toxics::default(),
            list: Vec::new(),
            chain: Chain::new(),
            written: Vec::new(),
            ended: None,
        };
        world.list = (1..).zip(kinds).map(|(id, kind)| toxic(id, *kind)).collect();
        world.sync();
        world
    }

    fn sync(&mut self) {
        self.toxics.replace(self.list.clone());
        self.chain.sync(&self.toxics, Stream::Downstream, None, self.now);
        self.write();
    }

    fn send(&mut self, data: &[u8]) -> &mut World {
        self.chain.push(data, self.now);
        self.write();
        self
    }

    fn end(&mut self) -> &mut World {
        self.chain.end(Ending::Half, self.now);
        self.write();
        self
    }

    /// Lets so much time pass, a millisecond at a time.
    fn wait(&mut self, time: Duration) -> &mut World {
        let until = self.now + time;
        while self.now < until {
            self.now += MS;
            self.write();
        }
        self
    }

    fn write(&mut self) {
        let at = (self.now - self.start).as_millis();
        while self.ended.is_none() {
            self.chain.pump(self.now);
            let n = match self.chain.front(self.now) {
                None => return,
                Some(Out::End(ending)) => {
                    self.ended = Some((at, ending));
                    return;
                }
                Some(Out::Data(data)) => {
                    self.written.push((at, data.to_vec()));
                    data.len()
                }
            };
            self.chain.advance(n);
        }
    }

    fn times(&self) -> Vec<u128> {
        self.written.iter().map(|(at, _)| *at).collect()
    }

    fn data(&self) -> Vec<u8> {
        self.written.iter().flat_map(|(_, data)| data.clone()).collect()
    }
}

fn toxic(id: u64, kind: Kind) -> Toxic {
    Toxic { id, stream: Stream::Downstream, toxicity: 1.0, kind }
}

fn latency(latency: Duration) -> Kind {
    Kind::Latency { latency, jitter: NONE }
}

#[test]
fn latency_delays_data_and_its_end_and_keeps_what_is_between() {
    let mut world = World::new(&[latency(50 * MS)]);
    world.send(b"one").wait(20 * MS).send(b"two").end().wait(100 * MS);
    assert_eq!(world.written, [(50, b"one".to_vec()), (70, b"two".to_vec())]);
    assert_eq!(world.ended, Some((70, Ending::Half)));
}

#[test]
fn jitter_keeps_the_order() {
    let mut world = World::new(&[Kind::Latency { latency: 50 * MS, jitter: 50 * MS }]);
    for n in 0..100_u8 {
        world.send(&[n]).wait(MS);
    }
    world.wait(200 * MS);
    assert_eq!(world.data(), (0..100).collect::<Vec<u8>>());
    let late = world.times().iter().zip(0..).map(|(at, sent)| at - sent).collect::<Vec<u128>>();
    assert!(late.iter().all(|late| *late <= 100), "{late:?}");
}

#[test]
fn a_changed_latency_holds_for_what_is_under_way() {
    let mut world = World::new(&[latency(10_000 * MS)]);
    world.send(b"one").wait(30 * MS).send(b"two");
    world.list[0].kind = latency(40 * MS);
    world.sync();
    world.wait(50 * MS);
    assert_eq!(world.written, [(40, b"one".to_vec()), (70, b"two".to_vec())]);
}

#[test]
fn toxics_work_one_behind_the_other() {
    let mut world = World::new(&[latency(10 * MS), latency(20 * MS), latency(30 * MS)]);
    world.send(b"one").wait(100 * MS);
    assert_eq!(world.times(), [60]);
}

#[test]
fn a_bandwidth_spaces_what_passes_and_makes_the_sender_wait() {
    let mut world = World::new(&[Kind::Bandwidth { rate: 1_000 }]);
    assert_eq!(world.chain.room(world.now), 40, "two pieces of 20 ms");
    world.send(&[7; 100]).wait(200 * MS);
    assert_eq!(world.times(), [20, 40, 60, 80, 100]);
    assert_eq!(world.data(), [7; 100]);
}

#[test]
fn a_bandwidth_of_nothing_holds_everything_and_loses_nothing() {
    let mut world = World::new(&[Kind::Bandwidth { rate: 0 }]);
    world.send(b"one").end().wait(10_000 * MS);
    assert_eq!((world.written.len(), world.ended), (0, None));
    world.list[0].kind = Kind::Bandwidth { rate: 1_000_000 };
    world.sync();
    world.wait(MS);
    assert_eq!((world.data(), world.ended), (b"one".to_vec(), Some((10_001, Ending::Half))));
}

#[test]
fn a_slow_close_delays_the_end_alone() {
    let mut world = World::new(&[Kind::SlowClose { delay: 50 * MS }]);
    world.send(b"one").end().wait(49 * MS);
    assert_eq!((world.times(), world.ended), (vec![0], None));
    world.wait(MS);
    assert_eq!(world.ended, Some((50, Ending::Half)));
}

#[test]
fn a_timeout_loses_everything_and_closes_when_its_time_is_over() {
    let mut world = World::new(&[Kind::Timeout { after: Some(50 * MS) }]);
    world.send(b"one").wait(40 * MS).send(b"two").wait(20 * MS);
    assert_eq!((world.written.len(), world.ended), (0, Some((50, Ending::Close))));
}

#[test]
fn a_timeout_for_ever_closes_when_it_is_taken_off() {
    let mut world = World::new(&[Kind::Timeout { after: None }]);
    world.send(b"one").wait(10_000 * MS);
    assert_eq!((world.written.len(), world.ended), (0, None));
    world.list.clear();
    world.sync();
    assert_eq!((world.written.len(), world.ended), (0, Some((10_000, Ending::Close))));
}

#[test]
fn the_end_of_the_data_passes_a_timeout() {
    let mut world = World::new(&[Kind::Timeout { after: None }]);
    world.send(b"one").end();
    assert_eq!((world.written.len(), world.ended), (0, Some((0, Ending::Half))));
}

#[test]
fn a_peer_is_reset_once_it_is_used() {
    let mut world = World::new(&[Kind::ResetPeer { after: 50 * MS }, latency(1_000 * MS)]);
    world.wait(10_000 * MS);
    assert_eq!(world.ended, None, "it was not used");
    world.send(b"one").wait(60 * MS);
    assert_eq!((world.written.len(), world.ended), (0, Some((10_050, Ending::Reset))));
}

#[test]
fn a_reset_that_is_taken_off_in_time_has_lost_nothing() {
    let mut world = World::new(&[Kind::ResetPeer { after: 50 * MS }]);
    world.send(b"one").wait(40 * MS).send(b"two");
    world.list.clear();
    world.sync();
    world.wait(100 * MS);
    assert_eq!((world.data(), world.ended), (b"onetwo".to_vec(), None));
}

#[test]
fn a_slicer_cuts_data_into_pieces_with_time_between_them() {
    let mut world = World::new(&[Kind::Slicer { average: 10, variation: 3, delay: 2 * MS }]);
    world.send(&(0..=255).collect::<Vec<u8>>()).wait(200 * MS);
    assert_eq!(world.data(), (0..=255).collect::<Vec<u8>>());
    let (last, all) = world.written.split_last().unwrap();
    assert!(all.iter().all(|(_, data)| (7..=13).contains(&data.len())), "{all:?}");
    assert!(last.1.len() <= 13);
    assert_eq!(world.times(), (0..all.len() as u128 + 1).map(|n| 2 * n).collect::<Vec<_>>());
}

#[test]
fn what_a_full_line_held_is_not_cut_into_more_pieces_than_are_counted() {
    let slicer = Kind::Slicer { average: 1, variation: 0, delay: NONE };
    let mut world = World::new(&[latency(10_000 * MS), slicer]);
    let sent: Vec<u8> = (0..=255).cycle().take(32 * 64 * 1024).collect();
    for piece in sent.chunks(64 * 1024) {
        world.send(piece);
    }
    world.list.remove(0);
    // As [`World::sync`], but for a receiver that takes nothing.
    world.toxics.replace(world.list.clone());
    world.chain.sync(&world.toxics, Stream::Downstream, None, world.now);
    let pieces = world.chain.pieces();
    assert!(pieces <= super::stage::PIECES + 32, "{pieces} pieces are held");
    world.wait(MS);
    assert!(world.data() == sent, "nothing is lost, and all in order");
}

#[test]
fn a_limit_closes_the_connection_when_so_much_has_passed_and_counts_on_when_it_is_changed() {
    let mut world = World::new(&[Kind::LimitData { bytes: 100 }, latency(10 * MS)]);
    world.send(&[1; 60]);
    world.list[0].kind = Kind::LimitData { bytes: 80 };
    world.sync();
    world.send(&[2; 60]).send(&[3; 60]).wait(20 * MS);
    assert_eq!(world.data(), [[1; 60].as_slice(), &[2; 20]].concat());
    assert_eq!(world.ended, Some((10, Ending::Close)));
    let mut world = World::new(&[Kind::LimitData { bytes: 0 }]);
    assert_eq!(world.ended, None);
    world.send(b"one");
    assert_eq!((world.written.len(), world.ended), (0, Some((0, Ending::Close))));
}

#[test]
fn a_connection_has_a_toxic_or_has_it_not_and_that_does_not_change_with_its_numbers() {
    let mut had = 0;
    for _ in 0..200 {
        let mut world = World::new(&[latency(50 * MS)]);
        world.list[0].toxicity = 0.5;
        world.sync();
        let has = |world: &mut World| {
            let before = world.written.len();
            world.send(b"x");
            let has = world.written.len() == before;
            world.wait(200 * MS);
            has
        };
        let first = has(&mut world);
        world.list[0].kind = latency(60 * MS);
        world.sync();
        assert_eq!(has(&mut world), first);
        world.list[0].toxicity = 0.0;
        world.sync();
        assert!(!has(&mut world));
        world.list[0].toxicity = 1.0;
        world.sync();
        assert!(has(&mut world));
        had += u32::from(first);
    }
    assert!((50..150).contains(&had), "{had} of 200");
}

#[test]
fn a_toxic_that_is_added_treats_what_was_not_written_yet() {
    let mut world = World::new(&[latency(10 * MS)]);
    world.chain.push(&[1; 10], world.now);
    world.now += 10 * MS;
    world.chain.pump(world.now); // the receiver takes nothing, and it waits at the outlet
    world.list.push(toxic(2, Kind::Timeout { after: None }));
    world.sync();
    world.wait(10_000 * MS);
    assert_eq!(world.written.len(), 0);
}

#[test]
fn a_degraded_path_lies_behind_the_toxics() {
    let mut world = World::new(&[latency(50 * MS)]);
    let how = Degradation { latency: 30 * MS, jitter: NONE, loss: 0.0, bandwidth: None };
    world.chain.sync(&world.toxics, Stream::Downstream, Some((7, how)), world.now);
    world.send(b"one").wait(60 * MS);
    assert_eq!(world.written.len(), 0);
    world.wait(40 * MS);
    assert_eq!(world.times(), [80]);
}

#[test]
fn a_receiver_that_does_not_read_makes_the_sender_wait() {
    let mut world = World::new(&[latency(10 * MS)]);
    let mut taken = 0;
    for _ in 0..10_000 {
        world.now += MS;
        world.chain.pump(world.now);
        let room = world.chain.room(world.now).min(64 * 1024);
        world.chain.push(&vec![0; room], world.now);
        taken += room;
    }
    assert!((256 * 1024..2 * 1024 * 1024).contains(&taken), "{taken}");
}

#[test]
fn no_numbers_make_it_panic() {
    for kind in [
        Kind::Latency { latency: Duration::MAX, jitter: Duration::MAX },
        Kind::Bandwidth { rate: u64::MAX },
        Kind::SlowClose { delay: Duration::MAX },
        Kind::Timeout { after: Some(Duration::MAX) },
        Kind::ResetPeer { after: Duration::MAX },
        Kind::Slicer { average: 0, variation: u64::MAX, delay: Duration::MAX },
        Kind::Slicer { average: u64::MAX, variation: 0, delay: NONE },
        Kind::LimitData { bytes: u64::MAX },
    ] {
        let mut world = World::new(&[kind]);
        world.send(&[1; 1000]).wait(10 * MS).send(&[2; 1000]).end().wait(10 * MS);
        world.sync();
        world.list.clear();
        world.sync();
        world.wait(10 * MS);
        if !matches!(kind, Kind::Timeout { .. }) {
            assert_eq!(world.data().len(), 2000, "{kind:?}");
        }
    }
}

/// What can be done to a connection with toxics that lose nothing.
#[derive(Debug, Clone)]
enum Deed {
    Send(u16),
    Wait(u8),
    Add(Kind),
    Change(usize, Kind),
    TakeOff(usize),
    Toxicity(usize, f64),
}

fn harmless() -> impl Strategy<Value = Kind> {
    let ms = |n: u64| Duration::from_millis(n);
    prop_oneof![
        (0..200_u64, 0..200_u64)
            .prop_map(move |(a, b)| Kind::Latency { latency: ms(a), jitter: ms(b) }),
        (0..200_000_u64).prop_map(|rate| Kind::Bandwidth { rate }),
        (0..200_u64).prop_map(move |delay| Kind::SlowClose { delay: ms(delay) }),
        (0..500_u64, 0..500_u64, 0..20_u64).prop_map(move |(average, variation, delay)| {
            Kind::Slicer { average, variation, delay: ms(delay) }
        }),
        // So late that it never comes.
        Just(Kind::ResetPeer { after: ms(1_000_000) }),
        Just(Kind::LimitData { bytes: 1_000_000_000 }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1..2_000_u16).prop_map(Deed::Send),
        4 => (0..60_u8).prop_map(Deed::Wait),
        2 => harmless().prop_map(Deed::Add),
        1 => (any::<usize>(), harmless()).prop_map(|(at, kind)| Deed::Change(at, kind)),
        2 => any::<usize>().prop_map(Deed::TakeOff),
        1 => (any::<usize>(), 0.0..1.0).prop_map(|(at, share)| Deed::Toxicity(at, share)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_toxics_no_byte_is_lost_or_overtakes_another(
        deeds in proptest::collection::vec(deed(), 0..60),
    ) {
        let mut world = World::new(&[]);
        let (mut sent, mut next) = (Vec::new(), 1);
        for deed in deeds {
            let count = world.list.len();
            match deed {
                Deed::Send(bytes) => {
                    let from = sent.len();
                    sent.extend((0..usize::from(bytes)).map(|n| ((from + n) % 251) as u8));
                    world.send(&sent[from..]);
                }
                Deed::Wait(ms) => drop(world.wait(Duration::from_millis(ms.into()))),
                Deed::Add(kind) => {
                    world.list.push(toxic(next, kind));
                    next += 1;
                }
                Deed::Change(at, kind) if count > 0 => {
                    let old = &mut world.list[at % count];
                    if std::mem::discriminant(&old.kind) == std::mem::discriminant(&kind) {
                        old.kind = kind;
                    }
                }
                Deed::TakeOff(at) if count > 0 => drop(world.list.remove(at % count)),
                Deed::Toxicity(at, share) if count > 0 => world.list[at % count].toxicity = share,
                _ => {}
            }
            world.sync();
            prop_assert!(sent.starts_with(&world.data()), "out of order");
        }
        world.end();
        world.list.clear();
        world.sync();
        prop_assert_eq!(world.data(), sent);
        prop_assert!(world.ended.is_some_and(|(_, ending)| ending == Ending::Half));
    }
}
