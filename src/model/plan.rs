//! A plan, checked: every reference points at something and every duration makes sense.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{
    Calendar, Cohort, ControlPlane, ControlSpec, CutOrder, DatacenterId, Dependency, DnsProbe,
    Guardrail, Home, LabSpec, LedgerProbe, LoadSpec, LookUp, LossBudget, Name, Networks,
    Notification, Part, ProbeId, RecordPattern, Text,
};

/// A drill, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The drill's name.
    pub name: Name,
    /// What it is for, in the author's words.
    pub about: Option<String>,
    /// The failure domains. A [`DatacenterId`] is an index into them.
    pub datacenters: Vec<Name>,
    /// The built-in world to drill, if it is not a system of the user's own.
    pub lab: Option<LabSpec>,
    /// Where traffic can be cut.
    pub traffic: Vec<ControlSpec>,
    /// What users see, and what that depends on.
    pub services: Vec<Service>,
    /// What must work for a failover to happen.
    pub control_plane: Vec<ControlPlane>,
    /// Which networks are whose.
    pub networks: Networks,
    /// What is asked beside that.
    pub loads: Vec<LoadSpec>,
    /// What is cut, and how.
    pub cut: CutOrder,
    /// Which controls it is cut through, indices into `traffic`: step after step, those of a step side by side.
    pub steps: Vec<Vec<usize>>,
    /// How long the stages take.
    pub timing: Timing,
    /// What stops the drill: its guardrails in the plan's order, then the kill switch.
    pub guardrails: Vec<Guardrail>,
    /// When it may begin.
    pub calendar: Calendar,
    /// Who is told of it.
    pub notify: Vec<Notification>,
}

impl Plan {
    /// The name of a datacenter of this plan.
    ///
    /// An id of another plan has no name here and is shown as `?`.
    pub fn datacenter(&self, id: DatacenterId) -> &str {
        self.datacenters.get(id.index()).map_or("?", Name::as_str)
    }

    /// What the plan cuts, in words.
    pub fn lost(&self) -> String {
        self.cut.words(&self.datacenters)
    }

    /// The controls that it is cut through, in order.
    pub fn cut_through(&self) -> impl Iterator<Item = &ControlSpec> {
        self.steps.iter().flat_map(|step| self.controls_of(step))
    }

    /// How many of [`Plan::cut_through`] each step has.
    pub fn cut_steps(&self) -> Vec<usize> {
        self.steps.iter().map(|step| self.controls_of(step).count()).collect()
    }

    /// How long what the controls of the cut accepted may take to be in effect, beyond what a call takes.
    pub fn lag(&self) -> Duration {
        let lags = self.cut_through().map(|control| control.provider.settings().lag());
        lags.max().unwrap_or_default()
    }

    fn controls_of(&self, step: &[usize]) -> impl Iterator<Item = &ControlSpec> {
        step.iter().filter_map(|place| self.traffic.get(*place))
    }

    /// The datacenters whose answers `probe` must miss while the plan's cut is in force. None where only services are
    /// cut that it does not ask itself: who answers it may well stand there.
    pub fn lost_to(&self, probe: &ProbeSpec) -> Vec<DatacenterId> {
        let asked = |service: &Name| probe.asks_in_the_lab().any(|asked| asked == service.as_str());
        match self.cut.services.is_empty() || self.cut.services.iter().any(asked) {
            true => self.cut.datacenters.clone(),
            false => Vec::new(),
        }
    }

    /// The services that have probes; the others are part of the topology alone.
    pub fn measured(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| !service.probes.is_empty())
    }

    /// Every probe with its id, in the plan's order.
    pub fn probes(&self) -> impl Iterator<Item = (ProbeId, &Service, &ProbeSpec)> {
        self.services.iter().zip(0..).flat_map(|(service, s)| {
            service
                .probes
                .iter()
                .zip(0..)
                .map(move |(probe, p)| (ProbeId { service: s, probe: p }, service, probe))
        })
    }
}

/// What users see.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// How many people use it.
    pub users: Option<u64>,
    /// The cut datacenter serves nothing on an ordinary day, and the plan knows it.
    pub standby: bool,
    /// Where it runs, if the plan says so.
    pub home: Option<Home>,
    /// What it cannot work without.
    pub depends_on: Vec<Dependency>,
    /// How it is looked at. Empty for one that is only part of the topology, and not measured.
    pub probes: Vec<ProbeSpec>,
    /// What it must keep.
    pub promises: Promises,
}

/// What the plan demands of a service.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Promises {
    /// The recovery time objective.
    pub recover_within: Option<Duration>,
    /// How soon after the restore the cut datacenter must serve again, without disturbance.
    pub failback_within: Option<Duration>,
    /// No bad sample at all, from the cut to the end of failback.
    pub sustain: bool,
    /// The share of samples that must be good while cut, above 0 and up to 1, once the time to recover is over. A
    /// service that keeps it counts as recovered: it may say so that it is degraded, and how much.
    pub good_while_cut: Option<f64>,
    /// The time within which 99 of 100 requests must be answered while cut, once the time to recover is over.
    pub p99_while_cut: Option<Duration>,
    /// The recovery point objective: what of the ledgers' acknowledged writes may be lost.
    pub lose_at_most: Option<LossBudget>,
    /// How many of the ledgers' records may be there more than once.
    pub duplicate_at_most: Option<u64>,
}

impl Promises {
    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        *self == Promises::default()
    }
}

impl Service {
    /// Whether it or a feature of it promises anything.
    pub fn promises_anything(&self) -> bool {
        !self.promises.is_empty() || self.probes.iter().any(|probe| !probe.promises.is_empty())
    }

    /// The promises of the service, and those of its features.
    pub fn all_promises(&self) -> impl Iterator<Item = &Promises> {
        std::iter::once(&self.promises).chain(self.probes.iter().map(|probe| &probe.promises))
    }

    /// The promises that `probe` is judged by: its own, or else those of the service.
    pub fn promises_of<'a>(&'a self, probe: &'a ProbeSpec) -> &'a Promises {
        if probe.promises.is_empty() { &self.promises } else { &probe.promises }
    }
}

/// One request, repeated open loop: what a feature of a service does for its users.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSpec {
    /// Its name within the service.
    pub name: Name,
    /// What is asked, and what must come back.
    pub kind: ProbeKind,
    /// The period: sample n is due at start + n x `every`.
    pub every: Duration,
    /// A sample that takes longer is bad.
    pub timeout: Duration,
    /// A right answer that takes longer is bad.
    pub slower_than: Option<Duration>,
    /// A new connection a sample, or one that is kept.
    pub connection: Connection,
    /// How the addresses of the name that it asks are come by; `None` for a fresh look-up by the system's resolver.
    pub look_up: Option<LookUp>,
    /// Its name among the `cohorts` that the plan asks the same by.
    pub cohort: Option<Name>,
    /// How to tell who gave an answer.
    pub served_by: Option<ServedBySource>,
    /// Whether it may go on being served from elsewhere after the restore, as by a primary that stays where it went.
    pub may_stay: bool,
    /// Whether the service's recovery time waits for this probe.
    pub required: bool,
    /// What this feature alone must keep, in the place of the service's promises; empty if it has none of its own.
    pub promises: Promises,
}

impl ProbeSpec {
    /// Which clients it stands for, for its record; `None` for those that look every name up anew by the system's resolver.
    pub fn cohort(&self) -> Option<Cohort> {
        let look_up = self.look_up.as_ref();
        let servers = match &self.kind {
            ProbeKind::Dns(dns) => Some(&dns.servers),
            _ => look_up.map(|look_up| &look_up.servers),
        };
        if servers.is_none() && self.cohort.is_none() {
            return None;
        }
        Some(Cohort {
            name: self.cohort.clone(),
            cache: look_up.map(|look_up| look_up.cache),
            servers: servers.into_iter().flatten().map(Text::to_string).collect(),
            every_address: look_up.is_some_and(|look_up| look_up.every_address),
            last_led_there: None,
        })
    }

    /// Whether its clients go on for a while with what they came to know before: connections, or answers of the DNS.
    pub fn holds_on(&self) -> bool {
        let is_a_copy = matches!(&self.kind, ProbeKind::Dns(dns) if !dns.authority);
        let is_kept = |look_up: &LookUp| look_up.cache != super::DnsCache::None;
        self.connection == Connection::KeepAlive
            || is_a_copy
            || self.look_up.as_ref().is_some_and(is_kept)
    }

    /// The services of the lab that it asks.
    pub fn asks_in_the_lab(&self) -> impl Iterator<Item = &str> {
        let at = match &self.kind {
            ProbeKind::Http(http) => vec![&http.url],
            ProbeKind::Tcp(tcp) => vec![&tcp.address],
            ProbeKind::Dns(_) => Vec::new(),
            ProbeKind::Ledger(ledger) => ledger.store.addresses(),
        };
        at.into_iter().flat_map(|text| text.parts()).filter_map(|part| match part {
            Part::Lab(service) => Some(service.as_str()),
            _ => None,
        })
    }
}

/// The two cohorts of connections, which fail over differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// A new connection and a fresh look-up per sample.
    New,
    /// Connections are kept open and used again while they live.
    KeepAlive,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeKind {
    /// An HTTP/1.1 request.
    Http(HttpProbe),
    /// A TCP connection, and perhaps a line each way.
    Tcp(TcpProbe),
    /// A question to the DNS.
    Dns(DnsProbe),
    /// A record written, and read back at both ends of the cut.
    Ledger(LedgerProbe),
}

impl ProbeKind {
    /// How it is connected where the plan does not say.
    pub fn connection(&self) -> Connection {
        match self {
            ProbeKind::Http(_) | ProbeKind::Tcp(_) | ProbeKind::Dns(_) => Connection::New,
            ProbeKind::Ledger(ledger) => ledger.store.connection(),
        }
    }

    /// What is asked, in a few words; placeholders stand for secrets and for the lab's addresses.
    pub fn asks(&self) -> String {
        match self {
            ProbeKind::Http(http) => format!("{} {}", http.method, http.url),
            ProbeKind::Tcp(tcp) => format!("TCP {}", tcp.address),
            ProbeKind::Dns(dns) => dns.asks(),
            ProbeKind::Ledger(ledger) => format!("write to {}", ledger.store.place()),
        }
    }
}

/// An HTTP request and the answer that it must get.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpProbe {
    /// `http://` or `https://`.
    pub url: Text,
    /// The method, in capitals.
    pub method: String,
    /// Header fields, in the plan's order; names in lower case.
    pub headers: Vec<(String, Text)>,
    /// The body to send.
    pub body: Option<Text>,
    /// A PEM file with the certificate authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// The answer that a user would call right.
    pub expect: HttpExpect,
}

impl HttpProbe {
    /// Every text of it: whatever may hold a placeholder.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let headers = self.headers.iter().map(|(_, text)| text);
        let rest = self.body.iter().chain(&self.expect.body);
        std::iter::once(&self.url).chain(headers).chain(rest)
    }
}

/// The answer that a user would call right. All of it must hold.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct HttpExpect {
    /// Status codes, as ranges with both ends included. Not empty.
    pub status: Vec<(u16, u16)>,
    /// Text that the body must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Text>,
    /// Values that a JSON body must hold, by JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<(String, serde_json::Value)>,
}

impl HttpExpect {
    /// Whether `status` is among those expected.
    pub fn allows(&self, status: u16) -> bool {
        self.status.iter().any(|&(first, last)| (first..=last).contains(&status))
    }
}

/// A TCP connection and what must come back on it.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpProbe {
    /// `HOST:PORT`.
    pub address: Text,
    /// What to send once connected.
    pub send: Option<Text>,
    /// What the answer must contain; without it, connecting is enough.
    pub expect: Option<Text>,
}

/// How to tell which datacenter gave an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ServedBySource {
    /// The value of a header field, in lower case.
    Header {
        /// The field's name.
        name: String,
        /// What values mean.
        values: ServedByValues,
    },
    /// A string in a JSON body.
    Json {
        /// Where it stands (RFC 6901).
        pointer: String,
        /// What values mean.
        values: ServedByValues,
    },
    /// The address at the other end of the connection.
    Peer(Vec<(DatacenterId, Vec<IpNet>)>),
    /// The records of a DNS answer, and the names that they stand behind.
    Answer {
        /// What records mean.
        places: Vec<(DatacenterId, Vec<RecordPattern>)>,
        /// The datacenters that the plan cuts: a record of theirs counts before all others, since it sends users there.
        lost: Vec<DatacenterId>,
    },
}

/// What the values of a header or field mean: patterns with `*` and `?`, by datacenter. Where the
/// plan says nothing of a datacenter, its own name stands here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServedByValues(pub Vec<(DatacenterId, Vec<String>)>);

/// How long the stages of a drill take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// How long to watch before the cut.
    pub baseline: Duration,
    /// How long a service must be good to count as recovered.
    pub stable_for: Duration,
    /// The share of samples that must be good meanwhile, above 0 and up to 1.
    pub stable_share: f64,
    /// How long to stay cut after all is decided.
    pub hold: Duration,
    /// The longest that traffic may stay cut.
    pub at_most: Duration,
}
