//! Windows and dates, as tables: what a clock on the wall shows, and whether a drill may begin.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::measure::closed;
use crate::model::{Allowed, Blocked, Calendar, Window};

/// From Monday to Sunday, `x` for a day on which it begins.
fn window(days: &str, from: (i8, i8), to: (i8, i8)) -> Window {
    let mut begins = [false; 7];
    for (place, day) in begins.iter_mut().zip(days.chars()) {
        *place = day == 'x';
    }
    let time = |(hour, minute)| Time::new(hour, minute, 0, 0).unwrap();
    Window { days: begins, from: time(from), to: time(to) }
}

fn allowed(zone: &str, windows: Vec<Window>) -> Calendar {
    let zone = TimeZone::get(zone).unwrap();
    Calendar { allowed: Some(Allowed { zone, windows }), blocked: None }
}

fn holds(calendar: &Calendar, table: &[(&str, bool)]) {
    for (at, open) in table {
        let at: Timestamp = at.parse().unwrap();
        let why = closed(calendar, at);
        assert_eq!(why.is_none(), *open, "{at}: {why:?}");
    }
}

#[test]
fn a_window_opens_on_its_days_and_closes_at_its_end() {
    // Berlin is an hour ahead of UTC in winter. 2026-11-24 is a Tuesday.
    let calendar = allowed("Europe/Berlin", vec![window("-xxx---", (10, 0), (16, 0))]);
    holds(
        &calendar,
        &[
            ("2026-11-23T09:30:00Z", false),
            ("2026-11-24T08:59:59.999Z", false),
            ("2026-11-24T09:00:00Z", true),
            ("2026-11-24T14:59:59.999Z", true),
            ("2026-11-24T15:00:00Z", false),
            ("2026-11-26T12:00:00Z", true),
            ("2026-11-27T12:00:00Z", false),
            // Summer: two hours ahead.
            ("2026-07-14T08:00:00Z", true),
            ("2026-07-14T14:00:00Z", false),
        ],
    );
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
    // Fridays from 22:00 to 04:00: 2026-11-27 is a Friday.
    let calendar = allowed("UTC", vec![window("----x--", (22, 0), (4, 0))]);
    holds(
        &calendar,
        &[
            ("2026-11-27T03:00:00Z", false),
            ("2026-11-27T21:59:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T00:00:00Z", true),
            ("2026-11-28T03:59:59Z", true),
            ("2026-11-28T04:00:00Z", false),
            ("2026-11-28T22:30:00Z", false),
        ],
    );
    let sundays = allowed("UTC", vec![window("------x", (22, 0), (4, 0))]);
    holds(&sundays, &[("2026-11-23T03:00:00Z", true), ("2026-11-23T05:00:00Z", false)]);
}

#[test]
fn whole_days_end_at_midnight() {
    let calendar = allowed("UTC", vec![window("x------", (0, 0), (0, 0))]);
    holds(
        &calendar,
        &[
            ("2026-11-22T23:59:59Z", false),
            ("2026-11-23T00:00:00Z", true),
            ("2026-11-23T23:59:59Z", true),
            ("2026-11-24T00:00:00Z", false),
        ],
    );
}

#[test]
fn an_hour_that_is_skipped_in_spring_opens_nothing() {
    // Berlin, 2027-03-28: from 02:00 the clocks show 03:00, at 01:00 UTC.
    let gap = allowed("Europe/Berlin", vec![window("xxxxxxx", (2, 0), (3, 0))]);
    holds(
        &gap,
        &[
            ("2027-03-27T01:30:00Z", true),
            ("2027-03-28T00:59:59Z", false),
            ("2027-03-28T01:00:00Z", false),
            ("2027-03-28T01:30:00Z", false),
            ("2027-03-29T00:30:00Z", true),
        ],
    );
    // What begins before the gap ends with it.
    let into = allowed("Europe/Berlin", vec![window("xxxxxxx", (1, 30), (2, 30))]);
    holds(&into, &[("2027-03-28T00:59:59Z", true), ("2027-03-28T01:00:00Z", false)]);
}

#[test]
fn an_hour_that_comes_twice_in_autumn_opens_twice() {
    // Berlin, 2026-10-25: at 03:00 the clocks show 02:00 again, at 01:00 UTC.
    let fold = allowed("Europe/Berlin", vec![window("xxxxxxx", (2, 0), (2, 30))]);
    holds(
        &fold,
        &[
            ("2026-10-24T23:59:59Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T00:30:00Z", false),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T01:29:59Z", true),
            ("2026-10-25T01:30:00Z", false),
        ],
    );
}

#[test]
fn a_zone_of_half_hours_far_from_utc_has_its_own_date() {
    // Chatham, UTC+13:45 in southern summer: 2026-11-24 begins there at 10:15 UTC on the 23rd.
    let calendar = allowed("Pacific/Chatham", vec![window("-x-----", (0, 0), (1, 0))]);
    holds(
        &calendar,
        &[
            ("2026-11-23T10:14:59Z", false),
            ("2026-11-23T10:15:00Z", true),
            ("2026-11-23T11:15:00Z", false),
        ],
    );
}

#[test]
fn blocked_dates_are_whole_days_of_their_zone_and_outrank_windows() {
    let date = |text: &str| text.parse::<Date>().unwrap();
    let mut calendar = allowed("UTC", vec![window("xxxxxxx", (0, 0), (0, 0))]);
    calendar.blocked = Some(Blocked {
        zone: TimeZone::get("America/New_York").unwrap(),
        dates: vec![
            (date("2026-11-27"), date("2026-11-27")),
            (date("2026-12-20"), date("2027-01-06")),
        ],
    });
    holds(
        &calendar,
        &[
            ("2026-11-27T04:59:59Z", true),
            ("2026-11-27T05:00:00Z", false),
            ("2026-11-28T04:59:59Z", false),
            ("2026-11-28T05:00:00Z", true),
            ("2026-12-31T12:00:00Z", false),
            ("2027-01-07T04:59:59Z", false),
            ("2027-01-07T05:00:00Z", true),
        ],
    );
    let why = closed(&calendar, "2026-12-24T12:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(why.code, "blocked-date");
    assert_eq!(
        why.text,
        "the plan blocks 2026-12-20..2027-01-06, and it is 2026-12-24 in America/New_York"
    );
}

#[test]
fn the_reason_says_when_the_next_window_begins() {
    let calendar = allowed(
        "Europe/Berlin",
        vec![window("-xxx---", (10, 0), (16, 0)), window("x------", (9, 0), (10, 0))],
    );
    let said = |at: &str| closed(&calendar, at.parse().unwrap()).unwrap().text;
    assert_eq!(
        said("2026-11-26T16:00:00Z"),
        "it is Thu 2026-11-26 17:00 in Europe/Berlin, outside of the plan's allowed windows; the next \
         one begins on Mon 2026-11-30 09:00"
    );
    let once = allowed("UTC", vec![window("x------", (9, 0), (10, 0))]);
    let why = closed(&once, "2026-11-23T10:00:00Z".parse().unwrap()).unwrap();
    assert!(why.text.ends_with("begins on Mon 2026-11-30 09:00"), "{}", why.text);
}

#[test]
fn a_plan_without_a_calendar_is_open_at_the_ends_of_time_too() {
    for at in [Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(closed(&Calendar::default(), at), None);
        let calendar = allowed("UTC", vec![window("-------", (22, 0), (4, 0))]);
        assert!(closed(&calendar, at).is_some());
    }
}
