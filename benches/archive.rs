//! What it costs to keep the samples of a drill of one hour with 1,000 samples a second, and to read them again.
//!
//! Prints the size of the file, the bytes of a sample, the time to encode and write all of them, and the time to read
//! and decode them.

// A measurement that cannot be made stops here: nothing is cut, and a wrong figure would be worse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::time::Instant;

use firedrill::archive::{Reader, Writer};
use firedrill::model::{
    DatacenterId, Offset, Outcome, Phase, ProbeId, Reason, Sample, SampleNames, Sampled, ServedBy,
    VantageId,
};

const SAMPLES: u64 = 3_600_000;
const PROBES: u64 = 50;

fn main() {
    let path = tempfile::tempdir().unwrap().keep().join("samples");
    let begun = Instant::now();
    let made: u64 = (0..SAMPLES).map(|n| sampled(n).sample.done.as_nanos() & 1).sum();
    let making = begun.elapsed();
    let begun = Instant::now();
    let mut writer = Writer::new(File::create(&path).unwrap(), &SampleNames::default()).unwrap();
    for n in 0..SAMPLES {
        writer.push(&sampled(n)).unwrap();
    }
    writer.flush().unwrap();
    writer.end().unwrap();
    let wrote = begun.elapsed().saturating_sub(making);
    let bytes = std::fs::metadata(&path).unwrap().len();
    let begun = Instant::now();
    let mut reader = Reader::new(File::open(&path).unwrap()).unwrap();
    let mut count = 0;
    while let Some(samples) = reader.block().unwrap() {
        count += samples.len() as u64;
    }
    let read = begun.elapsed();
    assert_eq!((count, reader.damage().is_any()), (SAMPLES, false));
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    println!(
        "{SAMPLES} samples of {PROBES} probes ({made}): {bytes} bytes, {:.2} each; written and synced in {:.2} s, read in {:.2} s",
        bytes as f64 / SAMPLES as f64,
        wrote.as_secs_f64(),
        read.as_secs_f64()
    );
}

/// Sample `n` of all: the probes take turns, are sent up to 0.3 ms late, and answered after 0.4 to 40 ms.
fn sampled(n: u64) -> Sampled {
    let (probe, seq) = (n % PROBES, n / PROBES);
    // Numbers without a pattern that the encoding could use.
    let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let due = probe * 1_000_000 + seq * PROBES * 1_000_000;
    let sent = due + 20_000 + noise % 280_000;
    let slow = if noise.is_multiple_of(10) { 40_000_000 } else { 1_600_000 };
    let done = sent + 400_000 + (noise >> 8) % slow;
    let outcome = match n % 100 {
        98 => Outcome::Bad(Reason::TimeOut(Phase::Connect)),
        99 => Outcome::Bad(Reason::Status(503)),
        _ => Outcome::Good,
    };
    let served_by = ServedBy::Datacenter(DatacenterId((noise & 1) as u16));
    let [due, sent, done] = [due, sent, done].map(Offset::from_nanos);
    let sample =
        Sample { seq, due, sent, done, outcome, acknowledged: outcome.is_answered(), served_by };
    let probe = ProbeId { service: probe as u32 / 5, probe: probe as u32 % 5 };
    Sampled { vantage: VantageId(0), probe, sample }
}
