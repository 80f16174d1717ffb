//! Probes: what users would see, asked open loop.
//!
//! A [`Prober`] sends one sample a period, each in a task of its own, and reports every one of them
//! exactly once, also those that could not be sent. It judges a single answer and nothing else:
//! what a series of them means is decided in `measure`.

mod connector;
mod dns;
mod every;
mod expect;
mod failure;
mod fetch;
mod http;
mod ledger;
mod line;
mod look_up;
mod names;
mod sample;
mod schedule;
mod served_by;
mod target;
mod tcp;
mod tls;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

pub use connector::{Connector, Datagrams, LookUpError, Stream, SystemConnector};
pub use fetch::{Answer, Fetcher};
pub use ledger::{LedgerHandle, Writer};
pub use schedule::Running;

use crate::clock::Clock;
use crate::model::{LedgerProbe, LoadSpec, Name, Offset, ProbeId, ProbeKind, ProbeSpec, Sampled};
use crate::wire::Unusable;
use sample::{Asker, Desk, Sampler};
use schedule::Pace;

/// A probe made ready.
pub struct Prober {
    sampler: Sampler,
    every: std::time::Duration,
    pace: Pace,
    ledger: Option<LedgerHandle>,
}

impl Prober {
    /// Makes a load ready, as [`Prober::prepare`] does a probe.
    ///
    /// # Errors
    /// As there.
    pub fn prepare_load(
        id: ProbeId,
        spec: &LoadSpec,
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Prober, PrepareError> {
        let prober = Prober::prepare(id, &spec.as_probe(), lab, connector)?;
        Ok(Prober { pace: Pace::Rising(spec.ramp), ..prober })
    }

    /// Checks everything that can be checked before the first request: the address, the CA file, the
    /// TLS settings, the header values. `lab` gives the address of a lab service.
    ///
    /// # Errors
    /// What is wrong and what to do, without secrets.
    pub fn prepare(
        id: ProbeId,
        spec: &ProbeSpec,
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Prober, PrepareError> {
        let named = |error: PrepareError| error.at(&spec.name);
        for (key, value) in [("every", spec.every), ("timeout", spec.timeout)] {
            if value.is_zero() {
                let what = format!("`{key}` is zero");
                return Err(named(PrepareError::new(what, "give it a duration, such as 100ms")));
            }
        }
        let asker = match &spec.kind {
            ProbeKind::Http(http) => Asker::Http(Box::new(
                http::HttpAsker::prepare(http, spec, lab, connector).map_err(named)?,
            )),
            ProbeKind::Tcp(tcp) => {
                Asker::Tcp(tcp::TcpAsker::prepare(tcp, spec, lab, connector).map_err(named)?)
            }
            ProbeKind::Dns(dns) => {
                Asker::Dns(Box::new(dns::DnsAsker::prepare(dns, spec, connector).map_err(named)?))
            }
            ProbeKind::Ledger(_) => {
                let what = "a ledger needs a run to write for";
                return Err(named(PrepareError::new(what, "use it as a probe of a service")));
            }
        };
        Ok(Prober::asking(id, spec, asker))
    }

    /// Makes a ledger ready, as [`Prober::prepare`] does a probe that only asks.
    ///
    /// # Errors
    /// As there.
    pub fn prepare_ledger(
        id: ProbeId,
        (spec, ledger): (&ProbeSpec, &LedgerProbe),
        (writer, datacenters): (Writer, &[Name]),
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Prober, PrepareError> {
        let name = format!("{}/{}", writer.service, writer.probe);
        let store = ledger::prepare((spec, ledger), (writer, datacenters), lab, connector)
            .map_err(|error| error.at(&spec.name))?;
        let handle = LedgerHandle::new(id, (name, Arc::clone(&store)), (spec, ledger));
        let prober = Prober::asking(id, spec, Asker::Ledger(store));
        Ok(Prober { ledger: Some(handle), ..prober })
    }

    fn asking(id: ProbeId, spec: &ProbeSpec, asker: Asker) -> Prober {
        let sampler =
            Sampler { probe: id, asker, timeout: spec.timeout, slower_than: spec.slower_than };
        Prober { sampler, every: spec.every, pace: Pace::Every(spec.every), ledger: None }
    }

    /// The ledger that it writes, if it is one.
    pub fn ledger(&self) -> Option<LedgerHandle> {
        self.ledger.clone()
    }

    /// The period.
    pub fn every(&self) -> std::time::Duration {
        self.every
    }

    /// Sends sample n at `start` + n x period, or as its load rises, whatever happens to earlier ones. Every number yields
    /// exactly one [`Sampled`] on `out`. Needs a tokio runtime.
    pub fn start(self, clock: Clock, start: Offset, out: UnboundedSender<Sampled>) -> Running {
        schedule::start(Arc::new(Desk { sampler: self.sampler, clock, out }), start, self.pace)
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").field("probe", &self.sampler.probe).finish_non_exhaustive()
    }
}

/// Why a probe cannot be used: what, and what to do next. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareError {
    /// What is wrong, and where.
    pub what: String,
    /// What to do next.
    pub hint: String,
}

impl PrepareError {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        PrepareError { what: what.into(), hint: hint.into() }
    }

    fn at(self, probe: &impl fmt::Display) -> Self {
        PrepareError { what: format!("probe `{probe}`: {}", self.what), ..self }
    }
}

impl From<Unusable> for PrepareError {
    fn from(Unusable { what, hint }: Unusable) -> Self {
        PrepareError { what, hint }
    }
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

impl std::error::Error for PrepareError {}
