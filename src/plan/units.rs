//! Durations, shares, byte rates and numbers as people write them.

use std::time::Duration;

use jiff::fmt::friendly::SpanParser;

/// Longer than any drill: the longest duration that a plan may hold.
pub(super) const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// Why a value cannot be read. Holds nothing of the value, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// A number without its unit.
    NoUnit,
    /// Below zero.
    Negative,
    /// Beyond what a drill could need.
    TooLarge,
    /// Not of the wanted form.
    Form,
}

/// Reads a duration with its unit: `50ms`, `3s`, `1m 30s`.
pub(super) fn duration(text: &str) -> Result<Duration, Malformed> {
    static PARSER: SpanParser = SpanParser::new();
    let text = text.trim();
    if text.parse::<f64>().is_ok() {
        return Err(if text.starts_with('-') { Malformed::Negative } else { Malformed::NoUnit });
    }
    // The parser would take a sign, "ago" and 00:01:30; plans are plainer than that.
    if text.starts_with(['-', '+']) {
        return Err(Malformed::Negative);
    }
    if text.contains(':') {
        return Err(Malformed::Form);
    }
    let read = PARSER.parse_unsigned_duration(text).map_err(|_| Malformed::Form)?;
    if read > LONGEST { Err(Malformed::TooLarge) } else { Ok(read) }
}

/// The duration in the plan's notation, in the largest unit that leaves no rest.
pub(super) fn written(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (unit, size) in [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)] {
        if nanos > 0 && nanos.is_multiple_of(size) {
            return format!("{}{unit}", nanos / size);
        }
    }
    match nanos {
        0 => "0s".to_owned(),
        _ if nanos.is_multiple_of(1_000_000) => format!("{}ms", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => format!("{}us", nanos / 1_000),
        _ => format!("{nanos}ns"),
    }
}

/// Reads a share: `99%` or `0.99`. The caller checks its range.
pub(super) fn share(text: &str) -> Result<f64, Malformed> {
    let text = text.trim();
    let (number, scale) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let number = decimal(number)?;
    if number < 0.0 { Err(Malformed::Negative) } else { Ok(number / scale) }
}

/// Reads a byte rate: `1MB/s`, `512 KiB/s`, `10Mbit/s`. At least one byte a second.
pub(super) fn rate(text: &str) -> Result<u64, Malformed> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic() && c != 'e').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number = decimal(number.trim_end())?;
    let scale = match unit {
        "" => return Err(Malformed::NoUnit),
        "B/s" => 1.0,
        "kB/s" | "KB/s" => 1e3,
        "MB/s" => 1e6,
        "GB/s" => 1e9,
        "KiB/s" => 1024.0,
        "MiB/s" => 1024.0 * 1024.0,
        "GiB/s" => 1024.0 * 1024.0 * 1024.0,
        "kbit/s" => 1e3 / 8.0,
        "Mbit/s" => 1e6 / 8.0,
        "Gbit/s" => 1e9 / 8.0,
        _ => return Err(Malformed::Form),
    };
    let bytes = number * scale;
    match bytes {
        _ if number < 0.0 => Err(Malformed::Negative),
        _ if bytes < 1.0 => Err(Malformed::Form),
        _ if bytes > 1e15 => Err(Malformed::TooLarge),
        _ => Ok(bytes as u64),
    }
}

/// Reads a whole number, in which `_` may part the digits.
pub(super) fn integer(text: &str) -> Result<u64, Malformed> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let begins = digits.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !begins || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return Err(Malformed::Form);
    }
    if sign {
        return Err(Malformed::Negative);
    }
    digits.replace('_', "").parse().map_err(|_| Malformed::TooLarge)
}

/// A finite decimal number; `inf`, `nan` and hexadecimal ones are none.
pub(super) fn decimal(text: &str) -> Result<f64, Malformed> {
    let plain = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'e'));
    let number: Option<f64> = if plain { text.parse().ok() } else { None };
    number.filter(|number| number.is_finite()).ok_or(Malformed::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_a_unit() {
        assert_eq!(duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("127h 33m"), Ok(Duration::from_secs(459_180)));
        assert_eq!(duration("3"), Err(Malformed::NoUnit));
        assert_eq!(duration("-3"), Err(Malformed::Negative));
        assert_eq!(duration("-3s"), Err(Malformed::Negative));
        assert_eq!(duration("9999h"), Err(Malformed::TooLarge));
        for bad in ["", "soon", "3 parsecs", "1mo", "00:00:03", "3s ago", "ms", "3s3"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_written_duration_reads_back_as_itself() {
        for nanos in [0, 1, 1_500, 50_000_000, 3_000_000_000, 90_000_000_000, 459_180_000_000_000] {
            let original = Duration::from_nanos(nanos);
            assert_eq!(duration(&written(original)), Ok(original), "{}", written(original));
        }
        assert_eq!(written(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn shares_rates_and_integers_are_read_strictly() {
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(share("0.25"), Ok(0.25));
        assert_eq!(share("-1%"), Err(Malformed::Negative));
        assert_eq!(share("nan"), Err(Malformed::Form));
        assert_eq!(rate("1MB/s"), Ok(1_000_000));
        assert_eq!(rate("512 KiB/s"), Ok(524_288));
        assert_eq!(rate("8kbit/s"), Ok(1_000));
        assert_eq!(rate("100"), Err(Malformed::NoUnit));
        assert_eq!(rate("0B/s"), Err(Malformed::Form));
        assert_eq!(rate("1XB/s"), Err(Malformed::Form));
        assert_eq!(integer("47_430_000"), Ok(47_430_000));
        assert_eq!(integer("-1"), Err(Malformed::Negative));
        assert_eq!(integer("99999999999999999999"), Err(Malformed::TooLarge));
        for bad in ["", "_1", "1.0", "0x10", "1e3"] {
            assert_eq!(integer(bad), Err(Malformed::Form), "{bad}");
        }
    }
}
