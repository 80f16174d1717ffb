//! What is read back of journals, whole and broken.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::model::{
    ControlSpec, ControlState, CutOrder, DatacenterId, Mode, Name, Provider, Verdict,
};

pub(super) fn opened() -> Record {
    Record::Opened(Opened {
        format: FORMAT,
        firedrill: "0.1.0".into(),
        run: "20221015T063319Z-0001".into(),
        host: "here".into(),
        pid: 1,
        at: jiff::Timestamp::UNIX_EPOCH,
        plan: "test".into(),
        datacenters: vec!["east".into(), "west".into()],
        order: CutOrder::of(DatacenterId(0), Mode::Blackhole),
        through: vec!["wan".into(), "lan".into()],
        at_most: Duration::from_secs(60),
    })
}

fn records() -> Vec<Record> {
    let spec = |name: &str| ControlSpec { name: name.into(), provider: Provider::Lab };
    let snapshot = |name| Record::Snapshot {
        control: spec(name),
        before: ControlState::default(),
        cut: ControlState::default(),
    };
    vec![
        opened(),
        snapshot("wan"),
        snapshot("lan"),
        Record::CutIntended { control: "wan".into() },
        Record::CutConfirmed { control: "wan".into() },
        Record::RestoreIntended { control: "wan".into(), by: Hand::Drill },
        Record::RestoreConfirmed { control: "wan".into(), by: Hand::Drill },
        Record::Closed { verdict: Verdict::Pass },
    ]
}

fn text(records: &[Record]) -> Vec<u8> {
    records.iter().map(|record| line(record).unwrap()).collect::<String>().into_bytes()
}

fn lasts(run: &Run) -> Vec<Last> {
    run.controls.iter().map(|entry| entry.last).collect()
}

#[test]
fn what_was_written_to_disk_is_read_back() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("runs/one");
    let mut journal = Journal::create(&directory).unwrap();
    records().iter().for_each(|record| journal.append(record).unwrap());
    let bytes = std::fs::read(directory.join(FILE)).unwrap();
    assert_eq!(bytes, text(&records()));
    let run = Run::read(&bytes).unwrap();
    assert_eq!(lasts(&run), [Last::RestoreConfirmed, Last::None]);
    assert_eq!(run.controls[0].by, Some(Hand::Drill));
    assert_eq!((run.closed, run.open().count()), (Some(Verdict::Pass), 0));
    assert_eq!((run.whole, &*run.lost_traffic()), (bytes.len() as u64, "east"));
}

#[test]
fn a_journal_cut_off_at_any_byte_says_what_its_whole_lines_say() {
    let (records, bytes) = (records(), text(&records()));
    for end in 0..bytes.len() {
        let whole = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
        let read = Run::read(&bytes[..end]);
        if whole == 0 {
            assert_eq!(read, Err(Unusable::Empty), "cut off at {end}");
        } else {
            let wanted = Run::read(&text(&records[..whole])).unwrap();
            let tail = if bytes[end - 1] == b'\n' { Tail::Whole } else { Tail::Torn };
            assert_eq!(read, Ok(Run { tail, ..wanted }), "cut off at {end}");
        }
    }
}

#[test]
fn no_flipped_bit_is_believed() {
    let bytes = text(&records());
    let good = Run::read(&bytes).unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            match Run::read(&flipped) {
                Ok(read) => {
                    // A checksum in capitals is the same number: nothing was changed then.
                    let same = read == good && flipped[place].eq_ignore_ascii_case(&bytes[place]);
                    let noticed = !read.damaged.is_empty() || read.whole < good.whole;
                    assert!(noticed || same, "byte {place}, bit {bit}");
                    assert!(
                        lasts(&read).iter().all(|last| *last != Last::None)
                            || same
                            || read.damaged.is_empty()
                    );
                }
                Err(error) => assert_eq!(error, Unusable::NotAJournal, "byte {place}, bit {bit}"),
            }
        }
    }
}

#[test]
fn what_stood_in_a_damaged_line_is_taken_to_be_an_intent() {
    let mut records = records();
    records.truncate(4);
    let mut bytes = text(&records);
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    let run = Run::read(&bytes).unwrap();
    assert_eq!(run.damaged, [4]);
    assert_eq!(lasts(&run), [Last::CutIntended, Last::CutIntended]);
    assert_eq!(run.lost().count(), 0);
}

/// What `firedrill provider-test` writes of three controls, one after another.
fn test_of_controls() -> Vec<Record> {
    let names = ["wan", "lan", "dns"];
    let Record::Opened(opened) = opened() else { unreachable!() };
    let through = names.map(Name::from).to_vec();
    let snapshots = names.map(|name| Record::Snapshot {
        control: ControlSpec { name: name.into(), provider: Provider::Lab },
        before: ControlState::default(),
        cut: ControlState::default(),
    });
    let mut all = vec![Record::Opened(Opened { through, ..opened })];
    all.extend(snapshots);
    for name in names {
        let steps = [
            Last::RestoreIntended,
            Last::RestoreIntended,
            Last::RestoreConfirmed,
            Last::CutIntended,
            Last::CutConfirmed,
            Last::RestoreIntended,
            Last::RestoreConfirmed,
            Last::RestoreIntended,
            Last::RestoreIntended,
            Last::RestoreConfirmed,
        ];
        all.extend(steps.map(|step| step_of(name, step, Hand::Drill)));
    }
    all.push(Record::Closed { verdict: Verdict::Pass });
    all
}

fn step_of(name: &str, step: Last, by: Hand) -> Record {
    let control = Name::from(name);
    match step {
        Last::None => unreachable!("it stands for no record"),
        Last::CutIntended => Record::CutIntended { control },
        Last::CutConfirmed => Record::CutConfirmed { control },
        Last::RestoreIntended => Record::RestoreIntended { control, by },
        Last::RestoreConfirmed => Record::RestoreConfirmed { control, by },
    }
}

fn lines(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(|record| line(record).unwrap().into_bytes()).collect()
}

fn open(run: &Run) -> BTreeSet<Name> {
    run.open().map(|entry| entry.control.name.clone()).collect()
}

/// The controls that a reader of `lines` puts back, or names as those that nobody can.
fn feared(lines: &[Vec<u8>]) -> BTreeSet<Name> {
    let run = Run::read(&lines.concat()).unwrap();
    open(&run).into_iter().chain(run.lost().cloned()).collect()
}

/// Holds that whatever may be cut, as whole `lines` say, is feared by who reads `damaged`.
#[track_caller]
fn nothing_is_overlooked(lines: &[Vec<u8>], damaged: &[Vec<u8>], about: &dyn std::fmt::Debug) {
    let (cut, feared) = (open(&Run::read(&lines.concat()).unwrap()), feared(damaged));
    assert!(cut.is_subset(&feared), "{cut:?} may be cut, {feared:?} feared: {about:?}");
}

/// The same lines with one or two of them damaged: each has a wrong byte in its middle.
fn damaged_within(lines: &[Vec<u8>], places: [usize; 2]) -> Vec<Vec<u8>> {
    let mut damaged = lines.to_vec();
    for place in places {
        let middle = damaged[place].len() / 2;
        damaged[place][middle] = b'~';
    }
    damaged
}

/// The same lines, where one does not end any more: the next one is lost with it.
fn without_its_end(lines: &[Vec<u8>], place: usize) -> Vec<Vec<u8>> {
    let mut damaged = lines.to_vec();
    *damaged[place].last_mut().unwrap() = b'~';
    damaged
}

#[test]
fn wherever_a_test_of_controls_ends_and_its_journal_is_damaged_no_cut_is_overlooked() {
    let all = lines(&test_of_controls());
    for end in 2..=all.len() {
        let lines = &all[..end];
        for first in 1..end {
            nothing_is_overlooked(lines, &without_its_end(lines, first), &(end, first));
            for second in first..end {
                let damaged = damaged_within(lines, [first, second]);
                nothing_is_overlooked(lines, &damaged, &(end, first, second));
            }
        }
    }
}

/// Every journal of two controls with so many records after the snapshots: the drill cuts what is not cut, and puts back what
/// it likes; once its watchdog has begun, the drill is dead, and nobody cuts any more.
fn every_order(length: usize) -> Vec<Vec<(usize, Last, Hand)>> {
    let mut all: Vec<Vec<(usize, Last, Hand)>> = vec![Vec::new()];
    for _ in 0..length {
        let longer = |known: &Vec<_>| {
            next(known).into_iter().map(|it| [&known[..], &[it]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

fn next(known: &[(usize, Last, Hand)]) -> Vec<(usize, Last, Hand)> {
    let dead = known.iter().any(|(_, _, by)| *by == Hand::Watchdog);
    let last = |control| {
        known.iter().rfind(|(of, ..)| *of == control).map_or(Last::None, |(_, last, _)| *last)
    };
    let mut all = Vec::new();
    for control in 0..2 {
        let last = last(control);
        if last.is_open() {
            all.push((control, Last::RestoreIntended, Hand::Watchdog));
        }
        if last == Last::RestoreIntended {
            all.push((control, Last::RestoreConfirmed, Hand::Watchdog));
        }
        if dead {
            continue;
        }
        all.push((control, Last::RestoreIntended, Hand::Drill));
        all.extend(match last {
            Last::None | Last::RestoreConfirmed => Some((control, Last::CutIntended, Hand::Drill)),
            Last::CutIntended => Some((control, Last::CutConfirmed, Hand::Drill)),
            Last::RestoreIntended => Some((control, Last::RestoreConfirmed, Hand::Drill)),
            Last::CutConfirmed => None,
        });
    }
    all
}

#[test]
fn in_whatever_order_controls_are_cut_and_put_back_no_cut_is_overlooked() {
    let orders = every_order(5);
    assert!(orders.len() > 1_000, "{}", orders.len());
    for order in orders {
        let steps =
            order.iter().map(|(control, step, by)| step_of(["wan", "lan"][*control], *step, *by));
        let lines = lines(&records().into_iter().take(3).chain(steps).collect::<Vec<_>>());
        for place in 1..lines.len() {
            nothing_is_overlooked(&lines, &damaged_within(&lines, [place, place]), &order);
            nothing_is_overlooked(&lines, &without_its_end(&lines, place), &order);
        }
    }
}

#[test]
fn what_was_put_back_after_the_damaged_line_is_not_feared() {
    let lines = lines(&test_of_controls());
    // The first cut of `wan`, in a test that went on to its end.
    assert_eq!(feared(&damaged_within(&lines, [7, 7])), BTreeSet::new());
    // Right after `wan` was put back for the last time; the others were not touched before that.
    let damaged = damaged_within(&lines, [14, 14]);
    assert_eq!(feared(&damaged[..15]), BTreeSet::from(["wan", "lan", "dns"].map(Name::from)));
    assert_eq!(feared(&damaged), BTreeSet::from(["wan".into()]));
}

#[test]
fn a_control_whose_snapshot_is_damaged_is_lost_and_named() {
    let mut bytes = text(&records());
    let second = text(&records()[..1]).len() + 20;
    bytes[second] ^= 1;
    let run = Run::read(&bytes).unwrap();
    assert_eq!(run.lost().count(), 0, "a later line says that it was restored");
    let begun = Run::read(&bytes[..bytes.len() - text(&records()[6..]).len()]).unwrap();
    assert_eq!(begun.lost().map(|name| name.as_str()).collect::<Vec<_>>(), ["wan"]);
    let early = Run::read(&text(&records()[..2])).unwrap();
    assert_eq!(early.lost().count(), 0, "a crash before the snapshots were complete cut nothing");
    // It was put back, and cut again after that.
    let cut = text(&[Record::CutIntended { control: "wan".into() }]);
    let closed = text(&[Record::Closed { verdict: Verdict::Pass }]).len();
    let again = Run::read(&[&bytes[..bytes.len() - closed], &cut].concat()).unwrap();
    assert_eq!(again.lost().map(|name| name.as_str()).collect::<Vec<_>>(), ["wan"]);
}

#[test]
fn another_format_is_refused_by_its_number_whatever_it_looks_like() {
    let Record::Opened(newer) = opened() else { unreachable!() };
    let known = text(&[Record::Opened(Opened { format: 9, ..newer })]);
    assert_eq!(Run::read(&known), Err(Unusable::OtherFormat { found: 9, ended: false }));
    let back = [known, text(&[Record::Closed { verdict: Verdict::Fail }])].concat();
    assert_eq!(Run::read(&back), Err(Unusable::OtherFormat { found: 9, ended: true }));
    let cut = [back, text(&[Record::Closed { verdict: Verdict::NotRestored }])].concat();
    assert_eq!(Run::read(&cut), Err(Unusable::OtherFormat { found: 9, ended: false }));
    let json = r#"{"opened":{"format":10,"nothing":"we know"}}"#;
    let unknown = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    assert_eq!(
        Run::read(unknown.as_bytes()),
        Err(Unusable::OtherFormat { found: 10, ended: false })
    );
    for no_journal in [&b"hello\n"[..], b"\n", b"\xff\xfe\n", &text(&records()[1..])] {
        assert_eq!(Run::read(no_journal), Err(Unusable::NotAJournal));
    }
}

#[test]
fn only_the_owner_can_read_it_and_it_is_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let _journal = Journal::create(home.path()).unwrap();
    let mode = std::fs::metadata(home.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Journal::create(home.path()).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
}

#[test]
fn who_goes_on_with_a_journal_finds_it_locked_or_takes_the_torn_line_away() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(FILE);
    let mut journal = Journal::create(home.path()).unwrap();
    journal.append(&opened()).unwrap();
    let busy = Journal::resume(&path).unwrap_err();
    assert_eq!(busy.kind(), std::io::ErrorKind::WouldBlock);
    drop(journal);
    let mut bytes = std::fs::read(&path).unwrap();
    let whole = bytes.len() as u64;
    bytes.extend(b"0123abcd {\"cut-int");
    std::fs::write(&path, &bytes).unwrap();
    let (run, mut journal) = Journal::resume(&path).unwrap();
    assert_eq!(run.whole, whole);
    // Not before there is something to write: its disk may hang.
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    journal.append(&Record::Closed { verdict: Verdict::Stopped }).unwrap();
    let run = Run::read(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((run.closed, run.damaged), (Some(Verdict::Stopped), vec![]));
}

#[test]
fn a_last_line_of_which_the_end_is_damaged_stays_and_is_ended() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(FILE);
    let mut bytes = text(&records()[..3]);
    for end in [&b"\x0b"[..], b"\0", b"\x0b\0\0\0", b"\0\0"] {
        bytes.truncate(text(&records()[..3]).len() - 1);
        bytes.extend(end);
        std::fs::write(&path, &bytes).unwrap();
        let (run, _) = Journal::resume(&path).unwrap();
        let wanted = (bytes.len() as u64, Tail::Unended, &[3][..]);
        assert_eq!((run.whole, run.tail, &*run.damaged), wanted, "{end:?}");
    }
    let (run, mut journal) = Journal::resume(&path).unwrap();
    for verdict in [Verdict::Stopped, Verdict::NotRestored] {
        journal.append(&Record::Closed { verdict }).unwrap();
    }
    let after = Run::read(&std::fs::read(&path).unwrap()).unwrap();
    let wanted =
        Run { whole: after.whole, tail: Tail::Whole, closed: Some(Verdict::NotRestored), ..run };
    assert_eq!(after, wanted, "what stood there is still feared");
}

#[test]
fn a_line_without_an_end_is_ended_however_often_that_fails() {
    /// What is on it, and how often it still fails: it takes half of what is written, and gives none of it back.
    #[derive(Clone)]
    struct Sick(std::sync::Arc<std::sync::Mutex<(Vec<u8>, u32)>>);
    impl Sick {
        fn acted(&self, act: impl FnOnce(&mut Vec<u8>, bool)) -> std::io::Result<()> {
            let mut disk = self.0.lock().unwrap();
            let fails = disk.1 > 0;
            disk.1 = disk.1.saturating_sub(1);
            act(&mut disk.0, fails);
            if fails { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }
    impl Disk for Sick {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
            let taken = |fails| if fails { bytes.len() / 2 } else { bytes.len() };
            self.acted(|disk, fails| disk.extend(&bytes[..taken(fails)]))
        }
        fn sync(&mut self) -> std::io::Result<()> {
            Ok(())
        }
        fn truncate(&mut self, length: u64) -> std::io::Result<()> {
            let kept = |disk: &Vec<u8>, fails| if fails { disk.len() } else { length as usize };
            self.acted(|disk, fails| disk.truncate(kept(disk, fails)))
        }
    }
    for failures in 0..5 {
        let mut bytes = text(&records()[..3]);
        *bytes.last_mut().unwrap() = b' ';
        let run = Run::read(&bytes).unwrap();
        let disk = Sick(std::sync::Arc::new(std::sync::Mutex::new((bytes, failures))));
        let mut journal = Journal::on(disk.clone(), run.whole, run.tail);
        let closed = Record::Closed { verdict: Verdict::Stopped };
        assert!((0..5).any(|_| journal.append(&closed).is_ok()), "{failures} failures");
        let after = Run::read(&disk.0.lock().unwrap().0).unwrap();
        let found = (after.closed, &*after.damaged, after.tail);
        assert_eq!(found, (Some(Verdict::Stopped), &[3][..], Tail::Whole), "{failures} failures");
    }
}

#[test]
fn nothing_is_asked_of_the_disk_before_the_first_record_and_then_the_torn_line_goes_first() {
    struct Asked(std::sync::mpsc::Sender<String>);
    impl Asked {
        fn ask(&self, what: String) -> std::io::Result<()> {
            self.0.send(what).map_err(std::io::Error::other)
        }
    }
    impl Disk for Asked {
        fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
            self.ask("write".to_owned())
        }
        fn sync(&mut self) -> std::io::Result<()> {
            self.ask("sync".to_owned())
        }
        fn truncate(&mut self, length: u64) -> std::io::Result<()> {
            self.ask(format!("truncate {length}"))
        }
    }
    for (tail, wanted) in [
        (Tail::Torn, &["truncate 7", "write", "sync"][..]),
        (Tail::Whole, &["write", "sync"]),
        (Tail::Unended, &["write", "sync"]),
    ] {
        let (ask, asked) = std::sync::mpsc::channel();
        let mut journal = Journal::on(Asked(ask), 7, tail);
        assert_eq!(asked.try_iter().count(), 0);
        journal.append(&opened()).unwrap();
        assert!(asked.try_iter().eq(wanted.iter().map(|what| (*what).to_owned())));
    }
}

#[test]
fn a_disk_that_hangs_holds_nobody_up_for_long() {
    struct Hangs(std::sync::mpsc::Receiver<()>);
    impl Append for Hangs {
        fn append(&mut self, _: &Record) -> std::io::Result<()> {
            let _ = self.0.recv();
            Ok(())
        }
    }
    let (_never, hangs) = std::sync::mpsc::channel();
    let mut aside = Aside::new(Hangs(hangs)).unwrap();
    for _ in 0..100 {
        let error = aside.append(&opened()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
