//! Samples as few bytes: what can be foreseen is left out.
//!
//! A probe's next sample has the next number and is due one period after the last one; most end in one of a few ways.
//! So a sample is mostly its probe, its way of ending, how late it was sent and how long it took: eight bytes.

use std::collections::HashMap;

use super::{BLOCK_HOLDS, BLOCK_LASTS};
use crate::model::{
    Blindness, DatacenterId, Offset, Outcome, Phase, ProbeId, Reason, Sample, Sampled, ServedBy,
    VantageId,
};

/// The number is not the next one.
const OTHER_SEQ: u64 = 1;
/// It was not due when that was foreseen.
const OTHER_DUE: u64 = 2;
/// Bits that these two take.
const FLAGS: u32 = 2;

/// What was last seen of a probe, which foresees what comes next. All arithmetic wraps, so that any sample is given
/// back as it was.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    seq: u64,
    due: u64,
    /// Nanoseconds from one to the next.
    step: i64,
}

impl Last {
    /// When sample `seq` should be due.
    fn due(&self, seq: u64) -> u64 {
        let ahead = seq.wrapping_sub(self.seq).cast_signed();
        self.due.wrapping_add_signed(self.step.wrapping_mul(ahead))
    }

    fn follow(&mut self, seq: u64, due: u64) {
        let ahead = seq.wrapping_sub(self.seq).cast_signed();
        if ahead > 0 {
            self.step = due.wrapping_sub(self.due).cast_signed() / ahead;
        }
        (self.seq, self.due) = (seq, due);
    }
}

/// A block that is being filled.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    count: u32,
    begun: Offset,
    probes: HashMap<(VantageId, ProbeId), (u64, Last)>,
    endings: HashMap<(u64, u64), u64>,
}

impl Block {
    /// How many samples are in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Its samples, encoded.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it takes no more, the next one being `next`.
    pub fn is_full(&self, next: &Sampled) -> bool {
        let lasts = next.sample.done.since(self.begun);
        self.count >= BLOCK_HOLDS || (self.count > 0 && lasts > BLOCK_LASTS)
    }

    /// Takes it all out.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.probes.clear();
        self.endings.clear();
        self.count = 0;
    }

    /// Adds a sample.
    pub fn push(&mut self, sampled: &Sampled) {
        if self.count == 0 {
            self.begun = sampled.sample.done;
        }
        self.count += 1;
        let Sample { seq, due, sent, done, outcome, acknowledged, served_by } = sampled.sample;
        let (due, sent, done) = (due.as_nanos(), sent.as_nanos(), done.as_nanos());
        let out = &mut self.bytes;
        let new = self.probes.len() as u64;
        let (place, last) =
            self.probes.entry((sampled.vantage, sampled.probe)).or_insert((new, Last::default()));
        put(out, *place);
        if *place == new {
            put(out, u64::from(sampled.vantage.0));
            put(out, u64::from(sampled.probe.service));
            put(out, u64::from(sampled.probe.probe));
        }
        let off_seq = seq.wrapping_sub(last.seq.wrapping_add(1));
        let off_due = due.wrapping_sub(last.due(seq));
        let flags =
            if off_seq == 0 { 0 } else { OTHER_SEQ } | if off_due == 0 { 0 } else { OTHER_DUE };
        let ending = (code(outcome, acknowledged), server(served_by));
        let new = self.endings.len() as u64;
        let known = *self.endings.entry(ending).or_insert(new);
        put(out, known << FLAGS | flags);
        if known == new {
            put(out, ending.0);
            put(out, ending.1);
        }
        if off_seq != 0 {
            put(out, zigzag(off_seq.cast_signed()));
        }
        if off_due != 0 {
            put(out, zigzag(off_due.cast_signed()));
        }
        put(out, sent.wrapping_sub(due));
        put(out, done.wrapping_sub(sent));
        last.follow(seq, due);
    }
}

/// The samples of a block; `None` if `bytes` is not what a block of `count` samples is.
pub fn samples(mut bytes: &[u8], count: u32) -> Option<Vec<Sampled>> {
    let from = &mut bytes;
    // A sample has four bytes at the least; a damaged count must not ask for all memory.
    let mut samples = Vec::with_capacity((count as usize).min(from.len() / 4 + 1));
    let mut probes: Vec<(VantageId, ProbeId, Last)> = Vec::new();
    let mut endings: Vec<((Outcome, bool), ServedBy)> = Vec::new();
    for _ in 0..count {
        let place = usize::try_from(take(from)?).ok()?;
        if place == probes.len() {
            let vantage = VantageId(u16::try_from(take(from)?).ok()?);
            let service = u32::try_from(take(from)?).ok()?;
            let probe = ProbeId { service, probe: u32::try_from(take(from)?).ok()? };
            probes.push((vantage, probe, Last::default()));
        }
        let (vantage, probe, last) = probes.get_mut(place)?;
        let ending = take(from)?;
        let known = usize::try_from(ending >> FLAGS).ok()?;
        if known == endings.len() {
            endings.push((ending_of(take(from)?)?, served_by(take(from)?)?));
        }
        let ((outcome, acknowledged), served_by) = *endings.get(known)?;
        let off_seq = if ending & OTHER_SEQ == 0 { 0 } else { unzigzag(take(from)?) };
        let off_due = if ending & OTHER_DUE == 0 { 0 } else { unzigzag(take(from)?) };
        let seq = last.seq.wrapping_add(1).wrapping_add_signed(off_seq);
        let due = last.due(seq).wrapping_add_signed(off_due);
        let sent = due.wrapping_add(take(from)?);
        let done = sent.wrapping_add(take(from)?);
        last.follow(seq, due);
        let [due, sent, done] = [due, sent, done].map(Offset::from_nanos);
        let sample = Sample { seq, due, sent, done, outcome, acknowledged, served_by };
        samples.push(Sampled { vantage: *vantage, probe: *probe, sample });
    }
    from.is_empty().then_some(samples)
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Small numbers of either sign as small ones without.
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Time-outs by phase begin here.
const TIME_OUT: u64 = 8;
/// A store that does not take a write.
const REJECTED: u64 = 13;
/// What made our side blind begins here.
const BLIND: u64 = 16;
/// Status codes begin here.
const STATUS: u64 = 32;
/// What a DNS server said begins here: above every status code.
const DNS: u64 = 1 << 17;
/// What else is wrong with an answer of the DNS begins here.
const DNS_ANSWER: u64 = 1 << 18;
/// Added where it was acknowledged although its outcome does not say so, or the other way round. Older versions wrote none of
/// these.
const AGAINST: u64 = 1 << 20;

const PHASES: [Phase; 5] = [Phase::LookUp, Phase::Connect, Phase::Tls, Phase::Answer, Phase::Body];

const BLINDNESS: [Blindness; 7] = [
    Blindness::NoFileDescriptor,
    Blindness::NoLocalPort,
    Blindness::NoMemory,
    Blindness::NoNetwork,
    Blindness::TooManyInFlight,
    Blindness::Stalled,
    Blindness::Ended,
];

/// Those without a number of their own, from code 1 on.
const REASONS: [Reason; 7] = [
    Reason::LookUp,
    Reason::Refused,
    Reason::Reset,
    Reason::Tls,
    Reason::Protocol,
    Reason::Body,
    Reason::Slow,
];

/// What is wrong with an answer of the DNS, from [`DNS_ANSWER`] on.
const DNS_ANSWERS: [Reason; 4] = [Reason::Empty, Reason::Records, Reason::Copy, Reason::Astray];

/// The numbers are part of the format: they never change.
fn code(outcome: Outcome, acknowledged: bool) -> u64 {
    let against = if acknowledged == outcome.is_answered() { 0 } else { AGAINST };
    against
        + match outcome {
            Outcome::Good => 0,
            Outcome::Bad(Reason::LookUp) => 1,
            Outcome::Bad(Reason::Refused) => 2,
            Outcome::Bad(Reason::Reset) => 3,
            Outcome::Bad(Reason::Tls) => 4,
            Outcome::Bad(Reason::Protocol) => 5,
            Outcome::Bad(Reason::Body) => 6,
            Outcome::Bad(Reason::Slow) => 7,
            Outcome::Bad(Reason::TimeOut(phase)) => TIME_OUT + phase as u64,
            Outcome::Bad(Reason::Rejected) => REJECTED,
            Outcome::Bad(Reason::Status(status)) => STATUS + u64::from(status),
            Outcome::Bad(Reason::Dns(code)) => DNS + u64::from(code),
            Outcome::Bad(Reason::Empty) => DNS_ANSWER,
            Outcome::Bad(Reason::Records) => DNS_ANSWER + 1,
            Outcome::Bad(Reason::Copy) => DNS_ANSWER + 2,
            Outcome::Bad(Reason::Astray) => DNS_ANSWER + 3,
            Outcome::Unknown(blindness) => BLIND + blindness as u64,
        }
}

/// An outcome, and whether it was acknowledged.
fn ending_of(code: u64) -> Option<(Outcome, bool)> {
    let outcome = outcome(if code < AGAINST { code } else { code - AGAINST })?;
    Some((outcome, outcome.is_answered() == (code < AGAINST)))
}

fn outcome(code: u64) -> Option<Outcome> {
    let at = |first: u64| usize::try_from(code - first).ok();
    Some(match code {
        0 => Outcome::Good,
        1..TIME_OUT => Outcome::Bad(*REASONS.get(at(1)?)?),
        REJECTED => Outcome::Bad(Reason::Rejected),
        TIME_OUT..BLIND => Outcome::Bad(Reason::TimeOut(*PHASES.get(at(TIME_OUT)?)?)),
        BLIND..STATUS => Outcome::Unknown(*BLINDNESS.get(at(BLIND)?)?),
        DNS..DNS_ANSWER => Outcome::Bad(Reason::Dns(u16::try_from(code - DNS).ok()?)),
        DNS_ANSWER.. => Outcome::Bad(*DNS_ANSWERS.get(at(DNS_ANSWER)?)?),
        _ => Outcome::Bad(Reason::Status(u16::try_from(code - STATUS).ok()?)),
    })
}

fn server(served_by: ServedBy) -> u64 {
    match served_by {
        ServedBy::Unnamed => 0,
        ServedBy::Foreign => 1,
        ServedBy::Datacenter(datacenter) => 2 + u64::from(datacenter.0),
    }
}

fn served_by(server: u64) -> Option<ServedBy> {
    Some(match server {
        0 => ServedBy::Unnamed,
        1 => ServedBy::Foreign,
        _ => ServedBy::Datacenter(DatacenterId(u16::try_from(server - 2).ok()?)),
    })
}
