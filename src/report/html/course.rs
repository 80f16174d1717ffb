//! What several probes saw over time, as one.

use std::time::Duration;

use crate::model::Course;

/// More cells than this are not drawn: neighbours are put together.
const CELLS: u128 = 480;

/// The sum of what was counted, in cells of the longest length; of latencies, that of the slowest in each cell.
pub fn sum<'a>(courses: impl Iterator<Item = &'a Course> + Clone) -> Course {
    let seen = courses.filter(|course| !course.cell.is_zero() && !course.is_empty());
    let long = |course: &Course| course.cell.as_nanos().saturating_mul(course.len() as u128);
    let whole = seen.clone().map(long).max().unwrap_or(0);
    let mut cell = seen.clone().map(|course| course.cell.as_nanos()).max().unwrap_or(1);
    while whole.div_ceil(cell) > CELLS {
        cell = cell.saturating_mul(2);
    }
    let cells = usize::try_from(whole.div_ceil(cell)).unwrap_or(0);
    let mut sum = Course {
        cell: Duration::from_nanos(u64::try_from(cell).unwrap_or(u64::MAX)),
        good: vec![0; cells],
        stalled: vec![0; cells],
        bad: vec![0; cells],
        unknown: vec![0; cells],
        served: Default::default(),
        p50_us: vec![None; cells],
        p99_us: vec![None; cells],
    };
    for course in seen {
        // By its middle each cell lies in one of the sum's.
        let length = course.cell.as_nanos();
        let place = |index: usize| {
            let middle = length.saturating_mul(index as u128).saturating_add(length / 2);
            usize::try_from(middle / cell).unwrap_or(usize::MAX)
        };
        add(&mut sum.good, &course.good, place);
        add(&mut sum.stalled, &course.stalled, place);
        add(&mut sum.bad, &course.bad, place);
        add(&mut sum.unknown, &course.unknown, place);
        for (datacenter, answers) in &course.served {
            let into = sum.served.entry(datacenter.clone()).or_insert_with(|| vec![0; cells]);
            add(into, answers, place);
        }
        slowest(&mut sum.p50_us, &course.p50_us, place);
        slowest(&mut sum.p99_us, &course.p99_us, place);
    }
    sum
}

fn add(into: &mut [u64], counts: &[u64], place: impl Fn(usize) -> usize) {
    for (index, count) in counts.iter().enumerate() {
        if let Some(sum) = into.get_mut(place(index)) {
            *sum = sum.saturating_add(*count);
        }
    }
}

fn slowest(into: &mut [Option<u64>], latencies: &[Option<u64>], place: impl Fn(usize) -> usize) {
    for (index, latency) in latencies.iter().enumerate() {
        if let Some(slowest) = into.get_mut(place(index)) {
            *slowest = (*slowest).max(*latency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(cell: u64, good: &[u64]) -> Course {
        Course {
            cell: Duration::from_millis(cell),
            good: good.to_vec(),
            p99_us: good.iter().map(|count| (*count > 0).then_some(*count)).collect(),
            ..Course::default()
        }
    }

    #[test]
    fn nothing_is_lost_where_cells_differ() {
        let courses = [course(100, &[1, 2, 3, 4, 5]), course(200, &[10, 20]), Course::default()];
        let sum = sum(courses.iter());
        assert_eq!((sum.cell, &sum.good[..]), (Duration::from_millis(200), &[13, 27, 5][..]));
        assert_eq!(sum.p99_us, [Some(10), Some(20), Some(5)]);
    }

    #[test]
    fn a_record_with_too_many_cells_or_none_is_drawn_in_few() {
        let long = course(1, &vec![1; 100_000]);
        let sum_of_long = sum([long].iter());
        assert!(sum_of_long.len() as u128 <= CELLS);
        assert_eq!(sum_of_long.good.iter().sum::<u64>(), 100_000);
        assert!(sum([course(0, &[1])].iter()).is_empty());
        let ages = Course { cell: Duration::MAX, ..course(1, &[1]) };
        assert!(sum([ages].iter()).len() <= 1);
    }
}
