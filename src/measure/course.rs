//! Samples folded into the cells of a picture over time: memory is bounded whatever a drill lasts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::run::Kind;
use crate::model::{Course, Sample, ServedBy};

/// The first length of a cell. When there are too many cells, each two become one.
const FIRST: Duration = Duration::from_millis(100);

/// Latencies that share their leading bits are one: 4 bits after the first, so at most 1/16 apart.
const BITS: u32 = 4;

/// Cells under way.
#[derive(Debug)]
pub(super) struct Courses {
    most: usize,
    cell: Duration,
    cells: Vec<Cell>,
}

/// The samples that were due in one cell.
#[derive(Debug, Clone, Default)]
struct Cell {
    good: u64,
    stalled: u64,
    bad: u64,
    unknown: u64,
    served: BTreeMap<ServedBy, u64>,
    /// Samples by bucket of their latency.
    latency: BTreeMap<u16, u64>,
}

impl Courses {
    /// No cells yet, and never more than `most`; below 2 it is taken as 2.
    pub fn new(most: usize) -> Self {
        Courses { most: most.max(2), cell: FIRST, cells: Vec::new() }
    }

    /// Takes a sample in.
    pub fn push(&mut self, sample: &Sample, kind: Kind) {
        let place = loop {
            let place = u128::from(sample.due.as_nanos()) / self.cell.as_nanos();
            match usize::try_from(place) {
                Ok(place) if place < self.most => break place,
                _ => self.halve(),
            }
        };
        if self.cells.len() <= place {
            self.cells.resize(place + 1, Cell::default());
        }
        if let Some(cell) = self.cells.get_mut(place) {
            cell.push(sample, kind);
        }
    }

    /// Makes each two cells one.
    fn halve(&mut self) {
        self.cell = self.cell.saturating_mul(2);
        let pairs = self.cells.chunks(2);
        self.cells = pairs.map(|pair| pair.iter().fold(Cell::default(), Cell::with)).collect();
    }

    /// What there is to draw, with `name` for who answered.
    pub fn course(&self, name: impl Fn(ServedBy) -> String) -> Course {
        let all = |count: fn(&Cell) -> u64| self.cells.iter().map(count).collect();
        let quantile = |share: f64| self.cells.iter().map(|cell| cell.quantile(share)).collect();
        let mut served: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (place, cell) in self.cells.iter().enumerate() {
            for (by, count) in &cell.served {
                let row = served.entry(name(*by)).or_insert_with(|| vec![0; self.cells.len()]);
                row.iter_mut().skip(place).take(1).for_each(|sum| *sum += count);
            }
        }
        Course {
            cell: self.cell,
            good: all(|cell| cell.good),
            stalled: all(|cell| cell.stalled),
            bad: all(|cell| cell.bad),
            unknown: all(|cell| cell.unknown),
            served,
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
        }
    }
}

impl Cell {
    fn push(&mut self, sample: &Sample, kind: Kind) {
        match kind {
            Kind::Good => self.good += 1,
            Kind::Stalled => self.stalled += 1,
            Kind::Bad => self.bad += 1,
            Kind::Unknown => self.unknown += 1,
        }
        if matches!(kind, Kind::Good | Kind::Stalled) {
            let took = sample.done.since(sample.sent).as_micros();
            let took = u64::try_from(took).unwrap_or(u64::MAX);
            *self.latency.entry(bucket(took)).or_default() += 1;
        }
        if sample.outcome.is_good() || sample.served_by != ServedBy::Unnamed {
            *self.served.entry(sample.served_by).or_default() += 1;
        }
    }

    fn with(mut self, other: &Cell) -> Cell {
        self.good += other.good;
        self.stalled += other.stalled;
        self.bad += other.bad;
        self.unknown += other.unknown;
        for (by, count) in &other.served {
            *self.served.entry(*by).or_default() += count;
        }
        for (bucket, count) in &other.latency {
            *self.latency.entry(*bucket).or_default() += count;
        }
        self
    }

    /// The latency in microseconds that at least `share` of the samples did not exceed, by nearest rank.
    fn quantile(&self, share: f64) -> Option<u64> {
        let count: u64 = self.latency.values().sum();
        let rank = ((count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let mut buckets = self.latency.iter();
        buckets.find_map(|(bucket, count)| {
            seen += count;
            (seen >= rank).then(|| middle(*bucket))
        })
    }
}

/// The bucket of a value: how many bits it has beyond the first few, and those few.
fn bucket(value: u64) -> u16 {
    let beyond = (u64::BITS - value.leading_zeros()).saturating_sub(BITS + 1);
    let leading = (value >> beyond) as u16;
    // At most 59 and 31: far from what 16 bits hold.
    ((beyond as u16) << (BITS + 1)) | leading
}

/// The middle of a bucket.
fn middle(bucket: u16) -> u64 {
    let beyond = bucket >> (BITS + 1);
    let leading = u64::from(bucket & ((1 << (BITS + 1)) - 1));
    let low = leading << beyond;
    low + ((1 << beyond) - 1) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{DatacenterId, Offset, Outcome};

    fn sample(due_ms: u64, took_us: u64) -> Sample {
        let due = Offset::from_millis(due_ms);
        Sample {
            seq: 0,
            due,
            sent: due,
            done: due.plus(Duration::from_micros(took_us)),
            outcome: Outcome::Good,
            acknowledged: true,
            served_by: ServedBy::Datacenter(DatacenterId((due_ms % 2) as u16)),
        }
    }

    fn name(by: ServedBy) -> String {
        match by {
            ServedBy::Datacenter(id) => format!("dc{}", id.0),
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_bucket_is_at_most_a_sixteenth_wide(value: u64) {
            let middle = middle(bucket(value));
            prop_assert!(middle.abs_diff(value) <= value / 16, "{value}: {middle}");
        }

        #[test]
        fn nothing_is_lost_however_often_cells_are_joined(
            dues in prop::collection::vec(0u64..10_000_000, 1..200),
            most in 2usize..50,
        ) {
            let mut courses = Courses::new(most);
            for due in &dues {
                courses.push(&sample(*due, 1), Kind::Good);
            }
            let course = courses.course(name);
            prop_assert!(course.len() <= most);
            prop_assert_eq!(course.good.iter().sum::<u64>(), dues.len() as u64);
            let answers: u64 = course.served.values().flatten().sum();
            prop_assert_eq!(answers, dues.len() as u64);
            for (place, count) in course.good.iter().enumerate() {
                let cell = course.cell.as_millis() as u64;
                let here = |due: &&u64| **due / cell == place as u64;
                prop_assert_eq!(*count, dues.iter().filter(here).count() as u64);
            }
        }
    }

    #[test]
    fn each_kind_has_its_row_and_latency_is_of_answers() {
        let mut courses = Courses::new(10);
        for (due, took, kind) in [
            (0, 1_000, Kind::Good),
            (10, 1_000, Kind::Good),
            (20, 900_000, Kind::Stalled),
            (250, 5, Kind::Bad),
            (260, 5, Kind::Unknown),
        ] {
            courses.push(&sample(due, took), kind);
        }
        let course = courses.course(name);
        assert_eq!((course.len(), course.cell), (3, Duration::from_millis(100)));
        assert_eq!(course.good, [2, 0, 0]);
        assert_eq!(course.stalled, [1, 0, 0]);
        assert_eq!(course.bad, [0, 0, 1]);
        assert_eq!(course.unknown, [0, 0, 1]);
        assert_eq!((course.p50_us[1], course.p99_us[2]), (None, None));
        let near = |seen: Option<u64>, truth: u64| seen.unwrap().abs_diff(truth) <= truth / 16;
        assert!(near(course.p50_us[0], 1_000) && near(course.p99_us[0], 900_000), "{course:?}");
    }
}
