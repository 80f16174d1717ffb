//! Toxics as the API names and numbers them.

use std::time::Duration;

use serde_json::{Map, Number, Value, json};

use crate::proxy::{Kind, Stream, Toxic};

/// A toxic and its name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    pub name: String,
    pub toxic: Toxic,
}

impl Named {
    /// As Toxiproxy writes it.
    pub fn json(&self) -> Value {
        let of = Type::of(&self.toxic.kind);
        let attributes: Map<String, Value> = of
            .keys()
            .iter()
            .zip(of.numbers(&self.toxic.kind))
            .map(|(key, number)| ((*key).to_owned(), number.into()))
            .collect();
        let stream = match self.toxic.stream {
            Stream::Upstream => "upstream",
            Stream::Downstream => "downstream",
        };
        json!({
            "name": self.name,
            "type": of.name(),
            "stream": stream,
            "toxicity": share(self.toxic.toxicity),
            "attributes": attributes,
        })
    }
}

/// A number without a fraction that says nothing.
fn share(number: f64) -> Value {
    if number == 0.0 || number == 1.0 {
        return Value::from(number as u64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// What a toxic does, without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Latency,
    Bandwidth,
    SlowClose,
    Timeout,
    ResetPeer,
    Slicer,
    LimitData,
}

/// Every type by its name, with the names of its numbers.
const TYPES: [(&str, Type, &[&str]); 7] = [
    ("latency", Type::Latency, &["latency", "jitter"]),
    ("bandwidth", Type::Bandwidth, &["rate"]),
    ("slow_close", Type::SlowClose, &["delay"]),
    ("timeout", Type::Timeout, &["timeout"]),
    ("reset_peer", Type::ResetPeer, &["timeout"]),
    ("slicer", Type::Slicer, &["average_size", "size_variation", "delay"]),
    ("limit_data", Type::LimitData, &["bytes"]),
];

/// The most numbers that a toxic has; those that it lacks are 0.
const NUMBERS: usize = 3;
/// A KB of `rate`.
const KILO: u64 = 1000;

impl Type {
    pub fn named(name: &str) -> Option<Type> {
        TYPES.iter().find(|(known, ..)| *known == name).map(|(_, of, _)| *of)
    }

    pub fn of(kind: &Kind) -> Type {
        match kind {
            Kind::Latency { .. } => Type::Latency,
            Kind::Bandwidth { .. } => Type::Bandwidth,
            Kind::SlowClose { .. } => Type::SlowClose,
            Kind::Timeout { .. } => Type::Timeout,
            Kind::ResetPeer { .. } => Type::ResetPeer,
            Kind::Slicer { .. } => Type::Slicer,
            Kind::LimitData { .. } => Type::LimitData,
        }
    }

    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(_, of, _)| *of == self).map_or("", |(name, ..)| name)
    }

    /// The names of its numbers, in the order of [`Type::numbers`].
    pub fn keys(self) -> &'static [&'static str] {
        TYPES.iter().find(|(_, of, _)| *of == self).map_or(&[], |(.., keys)| keys)
    }

    /// With every number 0, as Toxiproxy begins.
    pub fn default(self) -> Kind {
        self.kind([0; NUMBERS])
    }

    /// With these numbers: times in ms, but for the slicer's `delay` in us; `rate` in KB/s.
    pub fn kind(self, [first, second, third]: [u64; NUMBERS]) -> Kind {
        let ms = Duration::from_millis;
        match self {
            Type::Latency => Kind::Latency { latency: ms(first), jitter: ms(second) },
            Type::Bandwidth => Kind::Bandwidth { rate: first.saturating_mul(KILO) },
            Type::SlowClose => Kind::SlowClose { delay: ms(first) },
            Type::Timeout => Kind::Timeout { after: (first > 0).then(|| ms(first)) },
            Type::ResetPeer => Kind::ResetPeer { after: ms(first) },
            Type::Slicer => Kind::Slicer {
                average: first,
                variation: second,
                delay: Duration::from_micros(third),
            },
            Type::LimitData => Kind::LimitData { bytes: first },
        }
    }

    /// The numbers of `kind`, the opposite of [`Type::kind`].
    pub fn numbers(self, kind: &Kind) -> [u64; NUMBERS] {
        let whole = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        let ms = |time: Duration| whole(time.as_millis());
        match *kind {
            Kind::Latency { latency, jitter } => [ms(latency), ms(jitter), 0],
            Kind::Bandwidth { rate } => [rate / KILO, 0, 0],
            Kind::SlowClose { delay } => [ms(delay), 0, 0],
            Kind::Timeout { after } => [after.map_or(0, ms), 0, 0],
            Kind::ResetPeer { after } => [ms(after), 0, 0],
            Kind::Slicer { average, variation, delay } => {
                [average, variation, whole(delay.as_micros())]
            }
            Kind::LimitData { bytes } => [bytes, 0, 0],
        }
    }
}
