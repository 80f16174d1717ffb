//! The cut of a proxy, which Toxiproxy does not have: in the words of a plan's mode.

use serde_json::{Value, json};

use super::answer::ApiError;
use crate::model::{Degrade, Mode};
use crate::proxy::{Degradation, Fault, Gate};

/// The cut in force and what passed during it, or during the last one.
pub(super) fn state(gate: &Gate) -> Value {
    let counters = gate.counters();
    json!({
        "mode": mode(gate),
        "connections": counters.connections,
        "bytes": counters.bytes,
    })
}

/// The mode in force; `null` while the gate is open.
pub(super) fn mode(gate: &Gate) -> Value {
    gate.fault().map_or(Value::Null, |fault| json!(words(fault)))
}

/// The fault that the body of a request asks for.
pub(super) fn asked(body: &[u8]) -> Result<Fault, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(ApiError::body)?;
    let mode = value.get("mode").ok_or_else(|| ApiError::missing("mode"))?;
    let mut mode = mode.clone();
    if let Some(degrade) = mode.get_mut("degrade").and_then(Value::as_object_mut) {
        // What is not said does no harm.
        for (key, nothing) in
            [("latency_ms", json!(0)), ("jitter_ms", json!(0)), ("loss", json!(0))]
        {
            degrade.entry(key).or_insert(nothing);
        }
    }
    let mode: Mode = serde_json::from_value(mode)
        .map_err(|error| ApiError::body(format_args!("mode: {error}")))?;
    if let Mode::Degrade(how) = &mode {
        sensible(how)?;
    }
    Ok(fault(mode))
}

fn sensible(how: &Degrade) -> Result<(), ApiError> {
    if !(0.0..=1.0).contains(&how.loss) {
        return Err(ApiError::body("mode: loss is a share from 0 to 1"));
    }
    if how.jitter > how.latency {
        return Err(ApiError::body("mode: jitter_ms is at most latency_ms"));
    }
    if how.bandwidth == Some(0) {
        return Err(ApiError::body("mode: a bandwidth of 0 is a blackhole"));
    }
    Ok(())
}

fn fault(mode: Mode) -> Fault {
    match mode {
        Mode::Blackhole => Fault::Blackhole,
        Mode::Reset => Fault::Reset,
        Mode::Drain => Fault::Drain,
        Mode::Degrade(how) => Fault::Degrade(Degradation {
            latency: how.latency,
            jitter: how.jitter,
            loss: how.loss,
            bandwidth: how.bandwidth,
        }),
    }
}

/// The mode that `fault` is.
pub(super) fn words(fault: Fault) -> Mode {
    match fault {
        Fault::Blackhole => Mode::Blackhole,
        Fault::Reset => Mode::Reset,
        Fault::Drain => Mode::Drain,
        Fault::Degrade(how) => Mode::Degrade(Degrade {
            latency: how.latency,
            jitter: how.jitter,
            loss: how.loss,
            bandwidth: how.bandwidth,
        }),
    }
}
