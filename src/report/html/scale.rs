//! The time line from left to right, and numbers in drawings.

use std::time::Duration;

use crate::model::{Marks, Offset, RunRecord};
use crate::report::words::time;

/// A drawing is so many units wide, however wide it is shown.
pub const WIDTH: f64 = 1000.0;
/// So many ticks still fit on a phone.
const TICKS: u64 = 6;

/// From instants to places.
pub struct Scale {
    from: Offset,
    span: Duration,
    /// What ticks are counted from: the cut, or the start where nothing was cut.
    origin: Offset,
}

/// A tick with its label.
pub struct Tick {
    /// Its place in per cent.
    pub at: f64,
    /// Such as `+2 s`.
    pub label: String,
}

impl Scale {
    /// The time line of a drill: from the start of probing to its end, or to the last that was seen.
    pub fn of(record: &RunRecord) -> Scale {
        let marks = &record.marks;
        let Marks { cut_issued, cut_confirmed, restore_issued, restore_confirmed, ended, .. } =
            marks;
        let known = [cut_issued, cut_confirmed, restore_issued, restore_confirmed, ended];
        let to = known.into_iter().flatten().max().copied().unwrap_or(marks.started);
        let seen = record.services.iter().flat_map(|service| &service.probes);
        let seen = seen.map(|probe| &probe.course).chain(record.loads.iter().map(|it| &it.course));
        let seen = seen.map(|it| {
            Offset::ZERO.plus(it.cell.saturating_mul(u32::try_from(it.len()).unwrap_or(u32::MAX)))
        });
        let to = if marks.ended.is_some() { to } else { seen.max().unwrap_or(to).max(to) };
        let span = to.since(marks.started).max(Duration::from_millis(1));
        Scale { from: marks.started, span, origin: cut_issued.unwrap_or(marks.started) }
    }

    /// The place of an instant, 0 to [`WIDTH`].
    pub fn x(&self, at: Offset) -> f64 {
        (at.since(self.from).as_secs_f64() / self.span.as_secs_f64() * WIDTH).clamp(0.0, WIDTH)
    }

    /// The same in per cent.
    pub fn percent(&self, at: Offset) -> f64 {
        self.x(at) / WIDTH * 100.0
    }

    /// Its end.
    pub fn end(&self) -> Offset {
        self.from.plus(self.span)
    }

    /// A few round times before and after the cut.
    pub fn ticks(&self) -> Vec<Tick> {
        let step = step(self.span);
        let nanos = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX).max(1);
        let before = u64::try_from(self.origin.since(self.from).as_nanos()).unwrap_or(0) / nanos;
        let after = u64::try_from(self.end().since(self.origin).as_nanos()).unwrap_or(0) / nanos;
        let by = |count: u64| Duration::from_nanos(nanos.saturating_mul(count));
        let tick = |at: Offset, label: String| Tick { at: self.percent(at), label };
        let early = (1..=before.min(2 * TICKS)).rev();
        let mut ticks: Vec<Tick> = early
            .map(|n| tick(self.origin.minus(by(n)), format!("\u{2212}{}", time(by(n)))))
            .collect();
        ticks.push(tick(self.origin, "0".to_owned()));
        let late = 1..=after.min(2 * TICKS);
        ticks.extend(late.map(|n| tick(self.origin.plus(by(n)), format!("+{}", time(by(n))))));
        ticks
    }
}

/// The distance of two ticks.
fn step(span: Duration) -> Duration {
    let enough = |step: &Duration| span.as_nanos() / step.as_nanos().max(1) <= u128::from(TICKS);
    let small = (0..4).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let seconds = [10, 20, 30].map(|it| it * 1_000);
    let minutes = [1, 2, 5, 10, 20, 30, 60, 120, 240, 360, 720, 1440].map(|it| it * 60_000);
    let days = (1..30).map(|power| 86_400_000 << power);
    small
        .chain(seconds)
        .chain(minutes)
        .chain(days)
        .map(Duration::from_millis)
        .find(enough)
        .unwrap_or(span)
}

/// A number of a drawing: a tenth of a unit is finer than any screen.
pub fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Rectangles under way, neighbours of one height drawn as one.
#[derive(Default)]
pub struct Bars {
    path: String,
    open: Option<[f64; 4]>,
}

impl Bars {
    /// Adds a rectangle from `left` to `right` and from `top` to `bottom`, to the right of those before it.
    pub fn push(&mut self, left: f64, right: f64, top: f64, bottom: f64) {
        match &mut self.open {
            Some([_, end, t, b])
                if (*end - left).abs() < 0.05
                    && (*t - top).abs() < 0.05
                    && (*b - bottom).abs() < 0.05 =>
            {
                *end = right;
            }
            _ => {
                self.close();
                self.open = Some([left, right, top, bottom]);
            }
        }
    }

    fn close(&mut self) {
        if let Some([left, right, top, bottom]) = self.open.take() {
            let (width, height) = (n((right - left).max(1.0)), n(bottom - top));
            self.path.push_str(&format!("M{} {}h{width}v{height}h-{width}z", n(left), n(top)));
        }
    }

    /// The path; empty if there were none.
    pub fn finish(mut self) -> String {
        self.close();
        self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (span, wanted) in
            [(1, 1), (5, 1), (12_000, 2_000), (90_000, 20_000), (150_000, 30_000), (0, 1)]
        {
            assert_eq!(step(Duration::from_millis(span)), Duration::from_millis(wanted), "{span}");
        }
        assert_eq!(step(Duration::from_secs(3 * 3600)), Duration::from_secs(1800));
        assert!(step(Duration::MAX) > Duration::from_secs(86_400));
    }

    #[test]
    fn neighbours_of_one_height_are_one() {
        let mut bars = Bars::default();
        bars.push(0.0, 4.0, 1.0, 3.0);
        bars.push(4.0, 8.5, 1.0, 3.0);
        bars.push(8.5, 9.0, 0.0, 3.0);
        assert_eq!(bars.finish(), "M0 1h8.5v2h-8.5zM8.5 0h1v3h-1z");
    }
}
