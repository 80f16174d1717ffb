//! When a drill may begin: `allowed` windows and `blocked` dates.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::model::{Allowed, Blocked, Calendar, Window};

use super::finding::quote;
use super::read::{Fields, Label, Reader, Value};
use super::suggest::instead;

/// More windows or dates than anybody could mean.
const MOST: usize = 1_000;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Reads both.
pub(super) fn calendar(reader: &mut Reader, top: &Fields) -> Calendar {
    let allowed = top.get("allowed").and_then(|value| allowed(reader, value));
    let blocked = top.get("blocked").and_then(|value| blocked(reader, value));
    Calendar { allowed, blocked }
}

fn allowed(reader: &mut Reader, value: Value) -> Option<Allowed> {
    let fields = reader.fields(value, Label("", "allowed"), &["zone", "windows"])?;
    let zone = zone(reader, &fields);
    let example = "[\"Tue-Thu 10:00-16:00\"]";
    let windows = items(reader, &fields, "windows", example, |reader, item| {
        let text = reader.shown(item, "a window such as `Tue-Thu 10:00-16:00`")?;
        let read = window(text.trim());
        if let Err(why) = &read {
            let what = format!("{} is no window: {why}", quote(&text));
            let hint = "write `Tue-Thu 10:00-16:00`, `Mon,Fri 22:00-04:00` or `10:00-16:00`";
            reader.findings.error("bad-value", item.span(), what, hint);
        }
        read.ok()
    });
    Some(Allowed { zone: zone?, windows: windows? })
}

fn blocked(reader: &mut Reader, value: Value) -> Option<Blocked> {
    let fields = reader.fields(value, Label("", "blocked"), &["zone", "dates"])?;
    let zone = zone(reader, &fields);
    let example = "[\"2026-12-20..2027-01-06\"]";
    let dates = items(reader, &fields, "dates", example, |reader, item| {
        let text = reader.shown(item, "a date such as `2026-11-27`")?;
        let read = dates(text.trim());
        if let Err(why) = &read {
            let what = format!("{} is no date: {why}", quote(&text));
            let hint = "write `2026-11-27`, or `2026-12-20..2027-01-06` with both ends included";
            reader.findings.error("bad-value", item.span(), what, hint);
        }
        read.ok()
    });
    Some(Blocked { zone: zone?, dates: dates? })
}

/// Reads a list that must hold something.
fn items<T>(
    reader: &mut Reader,
    fields: &Fields,
    key: &'static str,
    example: &str,
    mut read: impl FnMut(&mut Reader, Value) -> Option<T>,
) -> Option<Vec<T>> {
    let value = fields.need(reader, key, example)?;
    let items = reader.one_or_more(value);
    if items.is_empty() || items.len() > MOST {
        let what = match items.is_empty() {
            true => format!("`{key}` is empty"),
            false => format!("`{key}` holds more than {MOST}"),
        };
        reader.findings.error("bad-value", value.at, what, format!("write `{key}: {example}`"));
        return None;
    }
    // All of them are read, so that all findings come at once.
    let found: Vec<Option<T>> = items.into_iter().map(|item| read(reader, item)).collect();
    found.into_iter().collect()
}

fn zone(reader: &mut Reader, fields: &Fields) -> Option<TimeZone> {
    let value = fields.need(reader, "zone", "Europe/Berlin")?;
    let name = reader.shown(value, "a time zone such as `Europe/Berlin`")?;
    if let Ok(zone) = TimeZone::get(&name) {
        return Some(zone);
    }
    let known: Vec<String> =
        jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    // UTC is known without any files.
    if known.iter().all(|name| name.eq_ignore_ascii_case("UTC")) {
        let what = format!("this machine knows no time zones, so not {} either", quote(&name));
        let hint = "install the tzdata package, or write `zone: UTC`";
        reader.findings.error("no-time-zones", value.span(), what, hint);
        return None;
    }
    let what = format!("there is no time zone {}", quote(&name));
    let hint = instead(&name, "time zones", known.iter().map(String::as_str));
    let hint = hint.unwrap_or_else(|| "write a name such as `Europe/Berlin` or `UTC`".to_owned());
    reader.findings.error("reference", value.span(), what, hint);
    None
}

/// Reads `Tue-Thu 10:00-16:00`; without days, every day.
fn window(text: &str) -> Result<Window, String> {
    let (days, times) = match text.rsplit_once(char::is_whitespace) {
        Some((days, times)) => (days_of(days.trim())?, times),
        None => ([true; 7], text),
    };
    let (from, to) = times.split_once('-').ok_or("it needs two times, as in 10:00-16:00")?;
    let (from, to) = (time(from)?, time(to)?);
    let from = from.ok_or("24:00 is no beginning: write 00:00 and the next day")?;
    // Until midnight is until the next day begins.
    let to = to.unwrap_or(Time::midnight());
    if from == to && from != Time::midnight() {
        return Err("it ends when it begins; for a whole day write 00:00-24:00".to_owned());
    }
    Ok(Window { days, from, to })
}

fn days_of(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for part in text.split(',').map(str::trim) {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        // Round the end of the week, if need be: Sat-Mon.
        let length = (last + 7 - first) % 7;
        for offset in 0..=length {
            if let Some(day) = days.get_mut((first + offset) % 7) {
                *day = true;
            }
        }
    }
    Ok(days)
}

fn day(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("{} is no day; days are {}", quote(text), DAYS.join(", ")))
}

/// Reads `HH:MM`; `None` is 24:00.
fn time(text: &str) -> Result<Option<Time>, String> {
    let text = text.trim();
    let wrong = || format!("{} is no time from 00:00 to 24:00", quote(text));
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str, longest: usize| {
        let good =
            (1..=longest).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<i8>().ok().filter(|_| good)
    };
    let hour = number(hour, 2).ok_or_else(wrong)?;
    let minute = number(minute, 2).filter(|_| minute.len() == 2).ok_or_else(wrong)?;
    if (hour, minute) == (24, 0) {
        return Ok(None);
    }
    Time::new(hour, minute, 0, 0).map(Some).map_err(|_| wrong())
}

/// Reads `2026-11-27` or `2026-12-20..2027-01-06`.
fn dates(text: &str) -> Result<(Date, Date), String> {
    let date = |text: &str| {
        let text = text.trim();
        // The parser would take times and zones too.
        let plain = text.len() == 10
            && text.bytes().enumerate().all(|(place, b)| match place {
                4 | 7 => b == b'-',
                _ => b.is_ascii_digit(),
            });
        match (plain, text.parse::<Date>()) {
            (true, Ok(date)) => Ok(date),
            (true, Err(_)) => Err("there is no such day".to_owned()),
            (false, _) => Err(format!("{} is not of the form YYYY-MM-DD", quote(text))),
        }
    };
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (date(first)?, date(last)?),
        None => (date(text)?, date(text)?),
    };
    match first <= last {
        true => Ok((first, last)),
        false => Err("it ends before it begins".to_owned()),
    }
}
