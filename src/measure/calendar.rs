//! Whether a drill may begin at an instant: allowed windows and blocked dates.
//!
//! What counts is the clock on the wall: a window is open while a clock in its zone shows a time
//! within it. An hour that is skipped in spring opens no window, and one that comes twice in autumn opens it twice.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::model::{Allowed, Blocked, Calendar, Why, Window};

/// Why no drill may begin at `now`; `None` if one may.
pub fn closed(calendar: &Calendar, now: Timestamp) -> Option<Why> {
    let blocked = calendar.blocked.as_ref().and_then(|blocked| blocked_on(blocked, now));
    blocked.or_else(|| calendar.allowed.as_ref().and_then(|allowed| outside(allowed, now)))
}

fn blocked_on(blocked: &Blocked, now: Timestamp) -> Option<Why> {
    let today = blocked.zone.to_datetime(now).date();
    let (first, last) =
        blocked.dates.iter().find(|(first, last)| (*first..=*last).contains(&today))?;
    let dates = if first == last { first.to_string() } else { format!("{first}..{last}") };
    let zone = name(&blocked.zone);
    let text = format!("the plan blocks {dates}, and it is {today} in {zone}");
    Some(Why::new("blocked-date", text))
}

fn outside(allowed: &Allowed, now: Timestamp) -> Option<Why> {
    let wall = allowed.zone.to_datetime(now);
    if allowed.windows.iter().any(|window| is_open(window, wall)) {
        return None;
    }
    let shown = |at: DateTime| at.strftime("%a %F %H:%M").to_string();
    let next = match next(&allowed.windows, wall) {
        Some(next) => format!("; the next one begins on {}", shown(next)),
        None => String::new(),
    };
    let text = format!(
        "it is {} in {}, outside of the plan's allowed windows{next}",
        shown(wall),
        name(&allowed.zone)
    );
    Some(Why::new("outside-window", text))
}

fn is_open(window: &Window, wall: DateTime) -> bool {
    let (today, time) = (wall.date(), wall.time());
    let begins = |day: Option<Date>| day.is_some_and(|day| window.begins_on(day.weekday()));
    if window.from < window.to {
        return begins(Some(today)) && (window.from..window.to).contains(&time);
    }
    // Over midnight: it began today, or yesterday.
    (begins(Some(today)) && time >= window.from)
        || (begins(today.yesterday().ok()) && time < window.to)
}

/// When the next window begins by the clocks on the walls.
fn next(windows: &[Window], wall: DateTime) -> Option<DateTime> {
    let mut day = wall.date();
    for _ in 0..=7 {
        let begins = windows.iter().filter(|window| window.begins_on(day.weekday()));
        let begins = begins.map(|window| day.to_datetime(window.from)).filter(|at| *at > wall);
        if let Some(first) = begins.min() {
            return Some(first);
        }
        day = day.tomorrow().ok()?;
    }
    None
}

fn name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("the plan's zone")
}
