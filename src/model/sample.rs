//! What probes see: samples and their outcomes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DatacenterId, Name, Offset, Plan, ProbeId, Service, VantageId};

/// One due request of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Its number: it was due at the probe's start + `seq` x period. No number is left out.
    pub seq: u64,
    /// When it should have been sent.
    pub due: Offset,
    /// When its first step (the look-up, or the connection) began. For one that was never sent:
    /// when that became clear.
    pub sent: Offset,
    /// When its outcome was known.
    pub done: Offset,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the answer that was wanted came, at whatever time: also one that was too late for its user, or that our own side
    /// heard so late that the outcome is unknown. A store has a write that it acknowledged so.
    pub acknowledged: bool,
    /// Who gave the answer, if there was one. Set for bad answers too.
    pub served_by: ServedBy,
}

/// A sample on its way from a probe to the conductor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// Where it left from.
    pub vantage: VantageId,
    /// Which probe sent it.
    pub probe: ProbeId,
    /// What it saw.
    pub sample: Sample,
}

/// What samples are of: their ids are places in the plan, which a record does not keep in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct SampleNames {
    /// The run's id.
    pub run: String,
    /// The datacenters.
    pub datacenters: Vec<Name>,
    /// The services, each with its probes.
    pub services: Vec<(Name, Vec<Name>)>,
    /// The loads.
    pub loads: Vec<Name>,
}

impl SampleNames {
    /// The names of `plan`, in a run of it.
    pub fn of(plan: &Plan, run: &str) -> SampleNames {
        let probes = |service: &Service| service.probes.iter().map(|it| it.name.clone()).collect();
        SampleNames {
            run: run.to_owned(),
            datacenters: plan.datacenters.clone(),
            services: plan.services.iter().map(|it| (it.name.clone(), probes(it))).collect(),
            loads: plan.loads.iter().map(|load| load.name.clone()).collect(),
        }
    }

    /// As bytes.
    ///
    /// # Errors
    /// None are known; serde's type leaves room for them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Back from bytes; `None` if they are none of ours.
    pub fn from_bytes(bytes: &[u8]) -> Option<SampleNames> {
        serde_json::from_slice(bytes).ok()
    }
}

/// What became of the samples of a run: they are kept beside its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SamplesRecord {
    /// Samples of probes and loads that are kept.
    pub kept: u64,
    /// Samples that are not. Nothing was judged by them less: only the file lacks them.
    pub lost: u64,
    /// Why some are not; `None` if all are kept.
    pub why: Option<String>,
}

/// How a sample ended. Never a boolean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The user was served.
    Good,
    /// A user would have failed.
    Bad(Reason),
    /// Our own side could not ask, so nothing is known of the service.
    Unknown(Blindness),
}

/// Why a user would have failed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The name could not be resolved, or resolved to nothing.
    LookUp,
    /// The connection was refused, or the path said that there is no such host.
    Refused,
    /// The connection broke, or was closed before the answer was whole.
    Reset,
    /// No end within the probe's time-out; says which phase it hung in.
    TimeOut(Phase),
    /// The TLS handshake failed, or the certificate was not to be trusted.
    Tls,
    /// What came was not HTTP.
    Protocol,
    /// An unexpected status code.
    Status(u16),
    /// The status was right, the body was not.
    Body,
    /// Right, but slower than `slower_than`.
    Slow,
    /// A store said that it does not take the write.
    Rejected,
    /// A DNS server answered with this code.
    Dns(u16),
    /// A DNS server knows the name, and no record of the type.
    Empty,
    /// A DNS server answered with other records than those expected.
    Records,
    /// A DNS server answered with a copy, and its zone was asked.
    Copy,
    /// A DNS server went on sending users to a datacenter that was cut.
    Astray,
}

/// The phases of a request, in order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Resolving the name.
    LookUp,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From sending the request to the head of the answer.
    Answer,
    /// From the head of the answer to its end.
    Body,
}

/// Why our side could not ask.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Blindness {
    /// No file descriptor was left.
    NoFileDescriptor,
    /// No local port was left.
    NoLocalPort,
    /// No memory or buffer space was left.
    NoMemory,
    /// Our own network is gone: no route from here, or the interface is down.
    NoNetwork,
    /// It was due while too many were in flight, and was given up.
    TooManyInFlight,
    /// It was due while the observer stalled, too long ago to be sent late.
    Stalled,
    /// The drill ended before its outcome was known.
    Ended,
}

/// The datacenter that gave an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ServedBy {
    /// There was no answer, or it did not say.
    #[default]
    Unnamed,
    /// One of the plan's datacenters.
    Datacenter(DatacenterId),
    /// The answer named something that is not a datacenter of the plan.
    Foreign,
}

impl Outcome {
    /// Whether the user was served.
    pub fn is_good(self) -> bool {
        self == Outcome::Good
    }

    /// Whether the outcome alone says that the answer that was wanted came.
    pub fn is_answered(self) -> bool {
        matches!(self, Outcome::Good | Outcome::Bad(Reason::Slow))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::LookUp => "look-up",
            Phase::Connect => "connect",
            Phase::Tls => "TLS",
            Phase::Answer => "answer",
            Phase::Body => "body",
        })
    }
}

/// The codes of answers that a probe may meet (RFC 1035, RFC 2136), by number.
const DNS_CODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
    "NXRRSET", "NOTAUTH", "NOTZONE",
];

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::LookUp => f.write_str("look-up failed"),
            Reason::Refused => f.write_str("refused"),
            Reason::Reset => f.write_str("reset"),
            Reason::TimeOut(phase) => write!(f, "time-out ({phase})"),
            Reason::Tls => f.write_str("TLS failed"),
            Reason::Protocol => f.write_str("not HTTP"),
            Reason::Rejected => f.write_str("rejected"),
            Reason::Dns(code) => match DNS_CODES.get(usize::from(*code)) {
                Some(word) => write!(f, "answered {word}"),
                None => write!(f, "answered code {code}"),
            },
            Reason::Empty => f.write_str("empty answer"),
            Reason::Records => f.write_str("wrong records"),
            Reason::Copy => f.write_str("answered by no authority"),
            Reason::Astray => f.write_str("leads to what is cut"),
            Reason::Status(status) => write!(f, "status {status}"),
            Reason::Body => f.write_str("wrong body"),
            Reason::Slow => f.write_str("slow"),
        }
    }
}

impl fmt::Display for Blindness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Blindness::NoFileDescriptor => "no file descriptor",
            Blindness::NoLocalPort => "no local port",
            Blindness::NoMemory => "no memory",
            Blindness::NoNetwork => "no network here",
            Blindness::TooManyInFlight => "too many in flight",
            Blindness::Stalled => "observer stalled",
            Blindness::Ended => "drill ended",
        })
    }
}
