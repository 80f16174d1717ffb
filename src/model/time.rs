//! Instants and spans on the drill's one monotonic clock.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An instant of the drill: nanoseconds since its clock started.
///
/// Serialised as milliseconds with fractions, under names that end in `_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// The start of the clock.
    pub const ZERO: Offset = Offset(0);

    /// The instant `nanos` nanoseconds after the clock started.
    pub const fn from_nanos(nanos: u64) -> Self {
        Offset(nanos)
    }

    /// The instant `millis` milliseconds after the clock started.
    pub const fn from_millis(millis: u64) -> Self {
        Offset(millis * 1_000_000)
    }

    /// Nanoseconds since the clock started.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time that passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Offset) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved later by `by`, saturating (the clock holds 584 years).
    pub fn plus(self, by: Duration) -> Offset {
        Offset(self.0.saturating_add(nanos_of(by)))
    }

    /// This instant moved earlier by `by`, never before the clock's start.
    pub fn minus(self, by: Duration) -> Offset {
        Offset(self.0.saturating_sub(nanos_of(by)))
    }
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown(Duration::from_nanos(self.0)))
    }
}

/// A number of milliseconds.
impl JsonSchema for Offset {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Milliseconds".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        f64::json_schema(generator)
    }
}

impl Serialize for Offset {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        millis::serialize(&Duration::from_nanos(self.0), serializer)
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        millis::deserialize(deserializer).map(|duration| Offset(nanos_of(duration)))
    }
}

/// A measured duration, known only to lie between two bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bounds {
    /// It took at least this long.
    #[serde(rename = "low_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub low: Duration,
    /// It took at most this long; `None` when the end was not seen.
    #[serde(rename = "high_ms", with = "optional_millis")]
    #[schemars(with = "Option<f64>")]
    pub high: Option<Duration>,
}

impl Bounds {
    /// Whether `truth` lies within the bounds.
    pub fn contains(&self, truth: Duration) -> bool {
        self.low <= truth && self.high.is_none_or(|high| truth <= high)
    }

    /// The distance between the bounds; `None` when the end was not seen.
    pub fn width(&self) -> Option<Duration> {
        self.high.map(|high| high.saturating_sub(self.low))
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.high {
            Some(high) => write!(f, "[{}, {}]", Shown(self.low), Shown(high)),
            None => write!(f, "[{}, not seen]", Shown(self.low)),
        }
    }
}

/// A duration as people read it in a report: `0 ms`, `47 ms`, `1.234 s`, `2 min 5 s`, `5 h 7 min`.
#[derive(Debug, Clone, Copy)]
pub struct Shown(pub Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let seconds = self.0.as_secs();
        let text = match micros {
            0 => "0 ms".to_owned(),
            1..10_000 => format!("{:.1} ms", self.0.as_secs_f64() * 1e3),
            10_000..999_500 => format!("{:.0} ms", self.0.as_secs_f64() * 1e3),
            999_500..60_000_000 => {
                let text = format!("{:.3}", self.0.as_secs_f64());
                format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
            }
            60_000_000..3_600_000_000 => match seconds % 60 {
                0 => format!("{} min", seconds / 60),
                rest => format!("{} min {rest} s", seconds / 60),
            },
            _ => match seconds % 3600 / 60 {
                0 => format!("{} h", seconds / 3600),
                rest => format!("{} h {rest} min", seconds / 3600),
            },
        };
        f.pad(&text)
    }
}

/// Durations as milliseconds with fractions, for fields whose names end in `_ms`.
pub mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Below 2^33 ms a number with fractions still tells one nanosecond from the next.
    const EXACT: f64 = 8_589_934_592.0;

    /// Writes `duration` as a number of milliseconds, exact to the nanosecond up to 99 days.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_nanos() as f64 / 1e6)
    }

    /// Reads a number of milliseconds; negative, infinite and absurd ones are errors.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let millis = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(millis / 1e3)
            .map(|duration| {
                // Back to the nanosecond that was written: the division above may be off by one, and so may be a
                // product of the whole number, which the parts are not.
                match millis < EXACT {
                    true => Duration::from_nanos(
                        millis.trunc() as u64 * 1_000_000 + (millis.fract() * 1e6).round() as u64,
                    ),
                    false => duration,
                }
            })
            .map_err(D::Error::custom)
    }
}

/// As [`millis`], with `null` for a duration that is not known.
pub mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a number of milliseconds, or `null`.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::millis::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a number of milliseconds, or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Millis(#[serde(with = "super::millis")] Duration);
        Ok(Option::<Millis>::deserialize(deserializer)?.map(|Millis(duration)| duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_with_the_unit_that_people_would_choose() {
        let shown = |nanos| Shown(Duration::from_nanos(nanos)).to_string();
        assert_eq!(shown(0), "0 ms");
        assert_eq!(shown(1_500_000), "1.5 ms");
        assert_eq!(shown(47_200_000), "47 ms");
        assert_eq!(shown(999_700_000), "1 s");
        assert_eq!(shown(1_234_000_000), "1.234 s");
        assert_eq!(shown(3_000_000_000), "3 s");
        assert_eq!(shown(125_000_000_000), "2 min 5 s");
        assert_eq!(shown(459_180_000_000_000), "127 h 33 min");
    }

    #[test]
    fn instants_survive_a_round_trip_through_json_to_the_nanosecond() {
        for nanos in [0, 1, 999_999_999, 1_234_567_891, 459_180_000_000_001, 4_358_613_129_540_833]
        {
            let instant = Offset::from_nanos(nanos);
            let json = serde_json::to_string(&instant).unwrap();
            assert_eq!(serde_json::from_str::<Offset>(&json).unwrap(), instant, "{json}");
        }
    }
}
