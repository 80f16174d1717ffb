//! What became of a number from one run to another: a difference only where the bounds do not overlap.

use std::time::Duration;

use crate::model::{Bounds, Change, CountBounds, UserMinutes};

/// What became of a time.
pub fn of_time(before: Option<Bounds>, after: Option<Bounds>) -> Change {
    let ends = |bounds: Bounds| (bounds.low, bounds.high.unwrap_or(Duration::MAX));
    of_ends(before.map(ends), after.map(ends))
}

/// What became of the minutes that users lost.
pub fn of_minutes(before: Option<UserMinutes>, after: Option<UserMinutes>) -> Change {
    let ends = |minutes: UserMinutes| (minutes.low, minutes.high);
    of_ends(before.map(ends), after.map(ends))
}

/// What became of a number of lost writes.
pub fn of_count(before: Option<CountBounds>, after: Option<CountBounds>) -> Change {
    let ends = |count: CountBounds| (count.low, count.high.unwrap_or(u64::MAX));
    of_ends(before.map(ends), after.map(ends))
}

fn of_ends<T: PartialOrd>(before: Option<(T, T)>, after: Option<(T, T)>) -> Change {
    match (before, after) {
        (None, None) => Change::NeverMeasured,
        (None, Some(_)) => Change::NotMeasuredBefore,
        (Some(_), None) => Change::NotMeasuredNow,
        (Some((_, before_high)), Some((after_low, _))) if after_low > before_high => Change::Slower,
        (Some((before_low, _)), Some((_, after_high))) if after_high < before_low => Change::Faster,
        (Some(_), Some(_)) => Change::NoDifferenceShown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: (u64, u64), after: (u64, u64)) -> Change {
        let bounds = |(low, high)| Bounds {
            low: Duration::from_millis(low),
            high: (high > 0).then(|| Duration::from_millis(high)),
        };
        of_time(Some(bounds(before)), Some(bounds(after)))
    }

    #[test]
    fn only_bounds_that_do_not_overlap_show_a_difference() {
        assert_eq!(change((10, 20), (21, 30)), Change::Slower);
        assert_eq!(change((21, 30), (10, 20)), Change::Faster);
        // The truth may be 20 in both.
        assert_eq!(change((10, 20), (20, 30)), Change::NoDifferenceShown);
        assert_eq!(change((20, 30), (10, 20)), Change::NoDifferenceShown);
        assert_eq!(change((10, 40), (20, 30)), Change::NoDifferenceShown);
    }

    #[test]
    fn an_end_that_was_not_seen_may_lie_anywhere() {
        assert_eq!(change((10, 0), (20, 0)), Change::NoDifferenceShown);
        assert_eq!(change((10, 20), (30, 0)), Change::Slower);
        assert_eq!(change((30, 0), (10, 20)), Change::Faster);
        assert_eq!(change((10, 0), (20, 30)), Change::NoDifferenceShown);
    }

    #[test]
    fn what_was_not_measured_is_neither_slower_nor_faster() {
        let some = Some(Bounds { low: Duration::ZERO, high: Some(Duration::ZERO) });
        assert_eq!(of_time(None, some), Change::NotMeasuredBefore);
        assert_eq!(of_time(some, None), Change::NotMeasuredNow);
        assert_eq!(of_time(None, None), Change::NeverMeasured);
        let minutes = |low, high| Some(UserMinutes { low, high });
        assert_eq!(of_minutes(minutes(1.0, 2.0), minutes(2.5, 3.0)), Change::Slower);
        assert_eq!(
            of_minutes(minutes(1.0, f64::NAN), minutes(2.5, 3.0)),
            Change::NoDifferenceShown
        );
    }
}
