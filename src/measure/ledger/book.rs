//! What a ledger's writer knows of each of its writes, in five bytes.

use std::time::Duration;

use crate::model::{DatacenterId, Fate, Offset, Sample, ServedBy};

/// The writes of one writer, by number.
#[derive(Debug)]
pub struct Book {
    every: Duration,
    first_due: Offset,
    /// What became of each, and who said so.
    tags: Vec<Tag>,
    /// Microseconds from due to done, rounded up.
    took: Vec<u32>,
    acknowledged: u64,
}

/// A fate and a datacenter in a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tag(u8);

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub seq: u64,
    /// `None` while it is under way.
    pub fate: Option<Fate>,
    /// `None` where nobody was named, or beyond the sixtieth datacenter.
    pub by: Option<DatacenterId>,
    /// It was sent no earlier.
    pub due: Offset,
    /// It was done no later, by less than 1 us.
    pub done: Offset,
}

impl Tag {
    /// Datacenters that fit beside a fate; answers of others count as of nobody.
    const MOST: u32 = 60;

    fn new(fate: Fate, by: ServedBy) -> Tag {
        let fate = match fate {
            Fate::NotSent => 0,
            Fate::Acknowledged => 1,
            Fate::Refused => 2,
            Fate::Unknown => 3,
        };
        let by = match by {
            ServedBy::Datacenter(id) if id.index() < Self::MOST as usize => id.0 as u8 + 2,
            _ => 1,
        };
        Tag(by << 2 | fate)
    }

    fn fate(self) -> Option<Fate> {
        (self.0 != 0).then_some(match self.0 & 3 {
            0 => Fate::NotSent,
            1 => Fate::Acknowledged,
            2 => Fate::Refused,
            _ => Fate::Unknown,
        })
    }

    fn by(self) -> Option<DatacenterId> {
        (self.0 >> 2).checked_sub(2).map(|id| DatacenterId(id.into()))
    }
}

impl Book {
    /// An empty one of a writer with the period `every`.
    pub fn new(every: Duration) -> Book {
        Book { every, first_due: Offset::ZERO, tags: Vec::new(), took: Vec::new(), acknowledged: 0 }
    }

    /// Takes in what became of a write. Numbers come in any order, and none beyond those of the schedule.
    pub fn push(&mut self, sample: &Sample) {
        let Ok(place) = usize::try_from(sample.seq) else { return };
        if self.tags.is_empty() {
            self.first_due = sample.due.minus(self.after(sample.seq));
        }
        if self.tags.len() <= place {
            self.tags.resize(place + 1, Tag::default());
            self.took.resize(place + 1, 0);
        }
        let fate = Fate::of(sample);
        self.acknowledged += u64::from(fate == Fate::Acknowledged);
        self.tags[place] = Tag::new(fate, sample.served_by);
        let took = sample.done.since(sample.due).as_nanos().div_ceil(1000);
        self.took[place] = u32::try_from(took).unwrap_or(u32::MAX);
    }

    /// How long after the first write the one with number `seq` is due.
    fn after(&self, seq: u64) -> Duration {
        let nanos = self.every.as_nanos().saturating_mul(seq.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many writes were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many numbers were given out, as far as was heard.
    pub(super) fn len(&self) -> u64 {
        self.tags.len() as u64
    }

    /// The writes, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.tags.iter().zip(&self.took).zip(0u64..).map(|((tag, took), seq)| {
            let due = self.first_due.plus(self.after(seq));
            let done = due.plus(Duration::from_micros((*took).into()));
            Entry { seq, fate: tag.fate(), by: tag.by(), due, done }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Blindness, Outcome, Phase, Reason};

    fn sample(seq: u64, outcome: Outcome, by: ServedBy) -> Sample {
        let due = Offset::from_millis(7 + 5 * seq);
        let done = due.plus(Duration::from_nanos(1_500));
        Sample {
            seq,
            due,
            sent: due,
            done,
            outcome,
            acknowledged: outcome.is_answered(),
            served_by: by,
        }
    }

    #[test]
    fn a_write_is_five_bytes_and_comes_back_as_it_was() {
        assert_eq!(size_of::<Tag>() + size_of::<u32>(), 5);
        let mut book = Book::new(Duration::from_millis(5));
        let by = |id| ServedBy::Datacenter(DatacenterId(id));
        for (seq, outcome, by) in [
            (3, Outcome::Good, by(59)),
            (0, Outcome::Bad(Reason::Reset), by(0)),
            (4, Outcome::Bad(Reason::Rejected), by(60)),
            (2, Outcome::Unknown(Blindness::TooManyInFlight), ServedBy::Foreign),
        ] {
            let mut sample = sample(seq, outcome, by);
            if let Outcome::Unknown(_) = outcome {
                sample.sent = sample.done;
            }
            book.push(&sample);
        }
        let got: Vec<_> = book.entries().map(|e| (e.fate, e.by.map(|id| id.0), e.due)).collect();
        let due = |seq: u64| Offset::from_millis(7 + 5 * seq);
        assert_eq!(
            got,
            [
                (Some(Fate::Unknown), Some(0), due(0)),
                (None, None, due(1)),
                (Some(Fate::NotSent), None, due(2)),
                (Some(Fate::Acknowledged), Some(59), due(3)),
                (Some(Fate::Refused), None, due(4)),
            ]
        );
        let last = book.entries().last().unwrap();
        assert_eq!(last.done, due(4).plus(Duration::from_micros(2)), "rounded up");
    }

    #[test]
    fn what_may_have_been_written_is_unknown() {
        let fate = |reason| Fate::of(&sample(0, Outcome::Bad(reason), ServedBy::Unnamed));
        for reason in [
            Reason::Reset,
            Reason::TimeOut(Phase::Answer),
            Reason::TimeOut(Phase::Body),
            Reason::Protocol,
            Reason::Body,
            Reason::Status(500),
            Reason::Status(503),
            Reason::Status(302),
            Reason::Status(406),
            Reason::Status(408),
            Reason::Status(409),
            Reason::Status(412),
            Reason::Status(422),
            Reason::Status(424),
            Reason::Status(460),
            Reason::Status(499),
        ] {
            assert_eq!(fate(reason), Fate::Unknown, "{reason:?}");
        }
        for reason in [
            Reason::LookUp,
            Reason::Refused,
            Reason::Tls,
            Reason::Rejected,
            Reason::TimeOut(Phase::Connect),
            Reason::Status(403),
            Reason::Status(404),
            Reason::Status(425),
            Reason::Status(429),
        ] {
            assert_eq!(fate(reason), Fate::Refused, "{reason:?}");
        }
        assert_eq!(fate(Reason::Slow), Fate::Acknowledged, "slow, and acknowledged");
        for late in
            [Outcome::Unknown(Blindness::Stalled), Outcome::Bad(Reason::TimeOut(Phase::Body))]
        {
            let heard = Sample { acknowledged: true, ..sample(0, late, ServedBy::Unnamed) };
            assert_eq!(Fate::of(&heard), Fate::Acknowledged, "{late:?}");
        }
        let ended = Outcome::Unknown(Blindness::Ended);
        assert_eq!(Fate::of(&sample(0, ended, ServedBy::Unnamed)), Fate::Unknown, "under way");
    }
}
