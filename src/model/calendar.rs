//! When drills may begin: allowed windows and blocked dates, by the clocks on the walls of a zone.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

/// When a drill may begin. The default is always.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calendar {
    /// Only within these windows.
    pub allowed: Option<Allowed>,
    /// Never on these dates.
    pub blocked: Option<Blocked>,
}

/// Windows in which a drill may begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed {
    /// Whose clocks count.
    pub zone: TimeZone,
    /// The windows. Not empty.
    pub windows: Vec<Window>,
}

/// A window: begins on some days of the week, ends the same day or the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// On which days it begins, Monday first.
    pub days: [bool; 7],
    /// When it begins.
    pub from: Time,
    /// When it has ended. At or before `from` that is on the next day.
    pub to: Time,
}

impl Window {
    /// Whether it begins on `day`.
    pub fn begins_on(&self, day: Weekday) -> bool {
        self.days
            .get(usize::from(day.to_monday_zero_offset().unsigned_abs()))
            .copied()
            .unwrap_or(false)
    }
}

/// Dates on which no drill may begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocked {
    /// Whose calendar counts.
    pub zone: TimeZone,
    /// First and last dates, both included.
    pub dates: Vec<(Date, Date)>,
}
