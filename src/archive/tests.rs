//! What was kept is read back, whatever happens to the file or the disk.

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::aside::keep_on;
use super::*;
use crate::model::*;

impl Disk for Cursor<Vec<u8>> {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut_off(&mut self, length: u64) -> io::Result<()> {
        self.get_mut().truncate(length as usize);
        Ok(())
    }
}

fn names() -> SampleNames {
    SampleNames {
        run: "run".into(),
        datacenters: vec!["east".into(), "west".into()],
        services: vec![("talk".into(), vec!["send".into(), "read".into()])],
        loads: vec!["crowd".into()],
    }
}

/// Samples as drills have them: three probes at 100 a second each, with answers of about a millisecond.
fn ordinary(count: u64) -> Vec<Sampled> {
    (0..count)
        .map(|n| {
            let (probe, seq) = ((n % 3) as u32, n / 3);
            let due = 3_000_000 + u64::from(probe) * 1_700_000 + seq * 10_000_000;
            let sent = due + 40_000 + n * 7_919 % 200_000;
            let done = sent + 400_000 + n * 104_729 % 900_000;
            let bad = n % 50 == 49;
            let sample = Sample {
                seq,
                due: Offset::from_nanos(due),
                sent: Offset::from_nanos(sent),
                done: Offset::from_nanos(done),
                outcome: if bad { Outcome::Bad(Reason::Reset) } else { Outcome::Good },

                acknowledged: !bad,
                served_by: ServedBy::Datacenter(DatacenterId((n % 2) as u16)),
            };
            let probe = ProbeId { service: 0, probe };
            Sampled { vantage: VantageId(0), probe, sample }
        })
        .collect()
}

fn written(samples: &[Sampled]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut out, &names()).unwrap();
    samples.iter().for_each(|sampled| writer.push(sampled).unwrap());
    writer.flush().unwrap();
    writer.end().unwrap();
    assert_eq!(writer.kept(), samples.len() as u64);
    out.into_inner()
}

impl<D: Disk> Disk for &mut D {
    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }

    fn cut_off(&mut self, length: u64) -> io::Result<()> {
        (**self).cut_off(length)
    }
}

fn read(bytes: &[u8]) -> (Vec<Sampled>, Damage) {
    let mut reader = Reader::new(bytes).unwrap();
    let mut all = Vec::new();
    while let Some(samples) = reader.block().unwrap() {
        all.extend(samples);
    }
    (all, reader.damage())
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let phases = [Phase::LookUp, Phase::Connect, Phase::Tls, Phase::Answer, Phase::Body];
    prop_oneof![
        Just(Outcome::Good),
        prop::sample::select(vec![
            Reason::LookUp,
            Reason::Refused,
            Reason::Reset,
            Reason::Tls,
            Reason::Protocol,
            Reason::Body,
            Reason::Slow,
        ])
        .prop_map(Outcome::Bad),
        prop::sample::select(phases.to_vec()).prop_map(|it| Outcome::Bad(Reason::TimeOut(it))),
        any::<u16>().prop_map(|status| Outcome::Bad(Reason::Status(status))),
        any::<u16>().prop_map(|code| Outcome::Bad(Reason::Dns(code))),
        prop::sample::select(vec![Reason::Empty, Reason::Records, Reason::Copy, Reason::Astray])
            .prop_map(Outcome::Bad),
        prop::sample::select(vec![
            Blindness::NoFileDescriptor,
            Blindness::NoLocalPort,
            Blindness::NoMemory,
            Blindness::NoNetwork,
            Blindness::TooManyInFlight,
            Blindness::Stalled,
            Blindness::Ended,
        ])
        .prop_map(Outcome::Unknown),
    ]
}

fn anything() -> impl Strategy<Value = Sampled> {
    // Mostly few probes and small times, so that one foresees another.
    let number = || prop_oneof![0..5_u64, 0..5_000_000_000_u64, any::<u64>()];
    let place = || prop_oneof![0..3_u32, any::<u32>()];
    let served_by = prop_oneof![
        Just(ServedBy::Unnamed),
        Just(ServedBy::Foreign),
        any::<u16>().prop_map(|id| ServedBy::Datacenter(DatacenterId(id))),
    ];
    let times = (number(), number(), number());
    let who = (prop_oneof![Just(0), any::<u16>()], place(), place());
    (who, number(), times, (outcomes(), any::<bool>()), served_by).prop_map(
        |(who, seq, times, (outcome, acknowledged), served_by)| {
            let [due, sent, done] = [times.0, times.1, times.2].map(Offset::from_nanos);
            let probe = ProbeId { service: who.1, probe: who.2 };
            let sample = Sample { seq, due, sent, done, outcome, acknowledged, served_by };
            Sampled { vantage: VantageId(who.0), probe, sample }
        },
    )
}

proptest! {
    #[test]
    fn any_samples_are_read_back_as_they_were(samples in prop::collection::vec(anything(), 0..200)) {
        let (all, damage) = read(&written(&samples));
        prop_assert_eq!(all, samples);
        prop_assert!(!damage.is_any());
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        count in any::<u32>(),
        place in any::<prop::sample::Index>(),
    ) {
        let _ = block::samples(&bytes, count);
        let mut file = written(&ordinary(50));
        let at = place.index(file.len());
        file.splice(at.., bytes);
        if let Ok(mut reader) = Reader::new(&*file) {
            while reader.block().unwrap().is_some() {}
        }
    }
}

#[test]
fn names_come_with_the_samples() {
    let bytes = written(&ordinary(3));
    assert_eq!(Reader::new(&*bytes).unwrap().names(), Some(&names()));
}

#[test]
fn an_ordinary_sample_takes_about_eight_bytes() {
    let (few, many) = (written(&ordinary(10)).len(), written(&ordinary(60_010)).len());
    let each = (many - few) as f64 / 60_000.0;
    assert!((6.0..9.0).contains(&each), "{each}");
}

#[test]
fn a_frame_is_written_at_least_every_ten_seconds_of_samples() {
    // 33 s of them, in a file whose end never came.
    let samples = ordinary(10_000);
    let mut out = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut out, &names()).unwrap();
    samples.iter().for_each(|sampled| writer.push(sampled).unwrap());
    drop(writer);
    let (all, damage) = read(&out.into_inner());
    let last = all.last().unwrap().sample.done;
    assert!(samples.last().unwrap().sample.done.since(last) <= BLOCK_LASTS, "{}", all.len());
    assert_eq!(all, samples[..all.len()]);
    assert_eq!(damage, Damage { samples: 0, bytes: 0, torn: true });
}

#[test]
fn what_is_whole_of_a_torn_file_is_read_wherever_it_was_torn() {
    let samples = ordinary(4_000);
    let bytes = written(&samples);
    let mut read_last = 0;
    for length in (8..bytes.len()).step_by(31) {
        let (all, damage) = read(&bytes[..length]);
        assert_eq!(all, samples[..all.len()], "at {length}");
        assert!(all.len() >= read_last, "at {length}");
        assert!(damage.torn, "at {length}");
        read_last = all.len();
    }
    assert!(read_last >= 3_000, "{read_last}");
}

#[test]
fn damage_costs_the_frame_that_it_hit_and_is_told() {
    let samples = ordinary(5_000);
    let bytes = written(&samples);
    let mut lost = std::collections::BTreeSet::new();
    for at in (8..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let (all, damage) = read(&damaged);
        let missing = (samples.len() - all.len()) as u64;
        let mut order = samples.iter();
        assert!(all.iter().all(|sampled| order.any(|it| it == sampled)), "at {at}");
        assert!(damage.is_any() && damage.bytes > 0, "at {at}: {damage:?}");
        // Of the last frame's samples only the end could tell, which says what was before it.
        assert_eq!(damage.samples, missing, "at {at}: {damage:?}");
        lost.insert(missing);
    }
    assert!(lost.len() > 2 && lost.iter().all(|lost| *lost < 4_000), "{lost:?}");
}

/// A frame as somebody else would make it; its checksum is right unless it is not `whole`.
fn frame(
    whole: bool,
    (kind, count, before): (u8, u32, u64),
    length: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = b"\xfdFRM".to_vec();
    frame.push(kind);
    frame.extend_from_slice(&count.to_le_bytes());
    frame.extend_from_slice(&before.to_le_bytes());
    frame.extend_from_slice(&length.to_le_bytes());
    let sum = crc32fast::hash(&[&frame[4..], payload].concat());
    frame.extend_from_slice(&(if whole { sum } else { !sum }).to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn what_stands_behind_the_end_is_damage() {
    let samples = ordinary(300);
    let whole = written(&samples);
    for behind in [&b"x"[..], &whole[8..], &whole, &frame(true, (3, 0, 0), 0, b"")] {
        let (all, damage) = read(&[&whole, behind].concat());
        assert_eq!(all, samples);
        assert_eq!(damage, Damage { samples: 0, bytes: behind.len() as u64, torn: false });
    }
}

#[test]
fn a_last_frame_that_did_not_fit_leaves_nothing_behind_the_end() {
    let samples = ordinary(300);
    let mut writes = 0;
    // Magic, version, names; then the only frame of samples fails half-way, and the end is shorter than that.
    let (record, bytes) = fed(&samples, move || {
        writes += 1;
        if writes == 4 { Err(1_000) } else { Ok(()) }
    });
    assert_eq!((record.kept, record.lost), (0, 300), "{record:?}");
    assert_eq!(read(&bytes), (Vec::new(), Damage::default()));
}

#[test]
fn numbers_that_nobody_would_write_do_no_harm() {
    let whole = written(&ordinary(1));
    let bounds: Vec<usize> =
        (8..whole.len()).filter(|at| whole[*at..].starts_with(b"\xfdFRM")).collect();
    let (head, samples) = (&whole[..bounds[1]], &whole[bounds[1] + 25..bounds[2]]);
    let one = |before| frame(true, (2, 1, before), samples.len() as u32, samples);
    let end = |before| frame(true, (3, 0, before), 0, b"");
    let (all, damage) = read(&[head, &one(u64::MAX), &one(u64::MAX), &end(u64::MAX)].concat());
    assert_eq!((all.len(), damage.samples, damage.torn), (2, u64::MAX, false));
    let later = frame(true, (9, 0, u64::MAX), 0, b"");
    let (_, damage) = read(&[head, &one(5), &later, &end(0)].concat());
    assert_eq!(damage.samples, u64::MAX - 1);
}

#[test]
fn frames_that_are_none_take_no_more_time_than_their_length() {
    // Each claims all that follows. To believe them one after another would take the square of their number, hours:
    // the shorter claims lie within the file and are checked, the longer ones ask for more than there is.
    for (number, kind, claim) in [(300_000, 2, 4 << 20), (400_000, 1, 40 << 20)] {
        let bytes = frame(false, (kind, 1, 0), claim, b"").repeat(number);
        let (all, damage) = read(&[&written(&[])[..8], &bytes].concat());
        let lost = Damage { samples: 0, bytes: bytes.len() as u64, torn: true };
        assert_eq!((all.len(), damage), (0, lost));
    }
}

#[test]
fn a_file_of_something_else_or_of_a_later_version_says_so() {
    let said = |bytes: &[u8]| Reader::new(bytes).unwrap_err().to_string();
    assert_eq!(said(b""), "it does not begin as samples of firedrill do");
    assert_eq!(
        said(b"{\"format\": 1, \"run\": 3}"),
        "it does not begin as samples of firedrill do"
    );
    let mut later = written(&[]);
    later[7] = 9;
    let text = "it has the format 9, and this firedrill reads 1; use the firedrill that wrote it";
    assert_eq!(said(&later), text);
}

/// A disk of the test's: every write first asks `fate`, which may wait, or fail after some bytes.
struct Moody<F> {
    file: Arc<Mutex<Cursor<Vec<u8>>>>,
    fate: F,
}

impl<F: FnMut() -> Result<(), usize> + Send> Write for Moody<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fate = (self.fate)();
        let mut file = self.file.lock().unwrap();
        match fate {
            Ok(()) => file.write_all(bytes),
            Err(some) => {
                file.write_all(&bytes[..some.min(bytes.len())])?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F> Seek for Moody<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.lock().unwrap().seek(to)
    }
}

impl<F: FnMut() -> Result<(), usize> + Send> Disk for Moody<F> {
    fn sync(&mut self) -> io::Result<()> {
        (self.fate)().map_err(|_| io::Error::from(io::ErrorKind::StorageFull))
    }

    fn cut_off(&mut self, length: u64) -> io::Result<()> {
        self.file.lock().unwrap().cut_off(length)
    }
}

/// Feeds `samples` to such a disk, and gives what became of them and the file.
fn fed(
    samples: &[Sampled],
    fate: impl FnMut() -> Result<(), usize> + Send + 'static,
) -> (SamplesRecord, Vec<u8>) {
    let file = Arc::<Mutex<Cursor<Vec<u8>>>>::default();
    let disk = Moody { file: file.clone(), fate };
    let (mut feed, keeper) = keep_on(move || Ok(disk), names());
    samples.iter().for_each(|sampled| feed.push(sampled));
    drop(feed);
    let record = keeper.end_within(Duration::from_secs(60));
    let bytes = file.lock().unwrap().get_ref().clone();
    (record, bytes)
}

#[test]
fn all_that_is_fed_is_kept() {
    let samples = ordinary(10_000);
    let (record, bytes) = fed(&samples, || Ok(()));
    assert_eq!(record, SamplesRecord { kept: 10_000, lost: 0, why: None });
    assert_eq!(read(&bytes), (samples, Damage::default()));
}

#[test]
fn a_disk_that_is_full_for_a_while_loses_what_came_meanwhile_and_no_more() {
    let samples = ordinary(10_000);
    // Magic, version, names; then the second frame of samples fails half-way.
    let mut writes = 0;
    let (record, bytes) = fed(&samples, move || {
        writes += 1;
        if writes == 5 { Err(1_000) } else { Ok(()) }
    });
    let (all, damage) = read(&bytes);
    assert!(record.lost > 1_000 && record.kept + record.lost == 10_000, "{record:?}");
    assert!(record.why.as_ref().unwrap().contains("storage"), "{record:?}");
    assert_eq!(all.len() as u64, record.kept);
    assert_eq!(all.last(), samples.last());
    // What was never kept is no damage.
    assert_eq!(damage, Damage::default());
}

#[test]
fn a_disk_that_is_full_from_the_start_or_cannot_sync_keeps_nothing_and_says_why() {
    let samples = ordinary(10_000);
    // Magic, version, names, four frames and the end, and then the sync.
    for good in [0, 2, 8] {
        let mut writes = 0;
        let (record, _) = fed(&samples, move || {
            writes += 1;
            if writes > good { Err(0) } else { Ok(()) }
        });
        assert_eq!((record.kept, record.lost), (0, 10_000), "{record:?}");
        assert!(record.why.is_some());
    }
}

#[test]
fn a_file_that_cannot_be_made_costs_the_samples_only() {
    let nowhere = std::path::PathBuf::from("/nonexistent/run/samples");
    let (mut feed, keeper) = keep(nowhere, names());
    ordinary(1_000).iter().for_each(|sampled| feed.push(sampled));
    drop(feed);
    let record = keeper.end();
    assert_eq!((record.kept, record.lost), (0, 1_000));
    assert!(record.why.unwrap().contains("No such file"));
}

#[test]
fn a_disk_that_hangs_holds_nobody_up() {
    let samples = ordinary(100_000);
    let (go_on, stopped): (_, Receiver<()>) = channel();
    let file = Arc::<Mutex<Cursor<Vec<u8>>>>::default();
    let disk = Moody {
        file: file.clone(),
        fate: move || {
            let _ = stopped.recv();
            Ok(())
        },
    };
    let (mut feed, keeper) = keep_on(move || Ok(disk), names());
    // With a queue without bounds this would take all memory, with one that waits it would never end.
    samples.iter().for_each(|sampled| feed.push(sampled));
    drop(feed);
    let record = keeper.end_within(Duration::from_millis(1));
    assert_eq!(
        record,
        SamplesRecord { kept: 0, lost: 100_000, why: Some("the disk hangs".into()) }
    );
    drop(go_on);
}

#[test]
fn a_disk_that_is_too_slow_loses_what_does_not_fit_the_queue() {
    let samples = ordinary(100_000);
    let (go_on, stopped): (_, Receiver<()>) = channel();
    let file = Arc::<Mutex<Cursor<Vec<u8>>>>::default();
    let fate = move || {
        let _ = stopped.recv();
        Ok(())
    };
    let disk = Moody { file: file.clone(), fate };
    let (mut feed, keeper) = keep_on(move || Ok(disk), names());
    samples.iter().for_each(|sampled| feed.push(sampled));
    drop((feed, go_on));
    let record = keeper.end_within(Duration::from_secs(60));
    assert!((30_000..70_000).contains(&record.kept), "{record:?}");
    assert_eq!(record.kept + record.lost, 100_000);
    assert_eq!(record.why.as_deref(), Some("the disk is too slow"));
    let (all, damage) = read(file.lock().unwrap().get_ref());
    assert_eq!((all.len() as u64, damage), (record.kept, Damage::default()));
}
