//! Where a probe goes: a host and a port, and the way to an open connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::connector::{Connector, Stream};
use super::names::Names;
use super::sample::Progress;
use super::{PrepareError, failure};
use crate::model::{DatacenterId, LookUp, Outcome, Part, Phase, ProbeSpec, Reason, Text};

/// A host and a port, with the connector that leads there.
pub(super) struct Target {
    host: Host,
    port: u16,
    connector: Arc<dyn Connector>,
    /// In a sample that asks every address: whose answers count before those of others.
    every: Option<Vec<DatacenterId>>,
}

enum Host {
    /// Needs no look-up.
    Address(IpAddr),
    /// Looked up for each new connection, or as its cohort does it.
    Name(Names),
}

impl Target {
    /// The target `host` (a name, or an address with or without brackets) and `port`.
    pub(super) fn new(host: &str, port: u16, connector: Arc<dyn Connector>) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name(Names::fresh(bare, Arc::clone(&connector))),
        };
        Target { host, port, connector, every: None }
    }

    /// The same, with the addresses come by as `spec` says.
    pub(super) fn looked_up(self, spec: &ProbeSpec) -> Result<Self, PrepareError> {
        let Some(look_up) = &spec.look_up else { return Ok(self) };
        let LookUp { every_address, lost, .. } = look_up;
        let host = match self.host {
            Host::Address(address) => Host::Address(address),
            Host::Name(names) => Host::Name(names.kept_as(look_up, spec.timeout)?),
        };
        Ok(Target { host, every: every_address.then(|| lost.clone()), ..self })
    }

    /// Reads `HOST:PORT`, shown in errors as `shown`.
    pub(super) fn parse(
        text: &str,
        shown: &Text,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        let authority: hyper::http::uri::Authority = text
            .strip_prefix("http://")
            .unwrap_or(text)
            .parse()
            .map_err(|_| not_an_address(shown))?;
        let port = authority.port_u16().filter(|&port| port != 0);
        let port = port.ok_or_else(|| not_an_address(shown))?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(not_an_address(shown));
        }
        Ok(Target::new(authority.host(), port, connector))
    }

    /// Looks the name up and connects to its addresses in turn until one of them answers.
    pub(super) async fn open(
        &self,
        progress: &mut Progress,
    ) -> Result<(Box<dyn Stream>, SocketAddr), Outcome> {
        let addresses = self.addresses(progress).await?;
        progress.phase = Phase::Connect;
        let mut failed = Outcome::Bad(Reason::LookUp);
        for (tried, address) in addresses.into_iter().enumerate() {
            match self.connect(address).await {
                Ok(open) => return Ok(open),
                // An address that we cannot go to, such as IPv6 on a machine without it, does not
                // excuse one that refused us.
                Err(Outcome::Unknown(_)) if tried > 0 && matches!(failed, Outcome::Bad(_)) => {}
                Err(outcome) => failed = outcome,
            }
        }
        Err(failed)
    }

    /// The addresses, in the order in which they are to be tried.
    pub(super) async fn addresses(&self, progress: &mut Progress) -> Result<Vec<IpAddr>, Outcome> {
        match &self.host {
            Host::Address(address) => Ok(vec![*address]),
            Host::Name(names) => {
                progress.phase = Phase::LookUp;
                names.addresses(progress).await
            }
        }
    }

    /// Whether each sample asks every address, and the datacenters whose answers count before those of others.
    pub(super) fn every(&self) -> Option<&[DatacenterId]> {
        self.every.as_deref()
    }

    /// Connects to one address.
    pub(super) async fn open_at(
        &self,
        to: IpAddr,
        progress: &mut Progress,
    ) -> Result<(Box<dyn Stream>, SocketAddr), Outcome> {
        progress.phase = Phase::Connect;
        self.connect(to).await
    }

    async fn connect(&self, to: IpAddr) -> Result<(Box<dyn Stream>, SocketAddr), Outcome> {
        let to = SocketAddr::new(to, self.port);
        match self.connector.connect(to).await {
            Ok(stream) => Ok((stream, to)),
            Err(error) => Err(failure::of_connect(&error)),
        }
    }
}

/// The whole text, with lab addresses filled in.
pub(super) fn reveal(
    text: &Text,
    lab: &dyn Fn(&str) -> Option<String>,
) -> Result<String, PrepareError> {
    for part in text.parts() {
        if let Part::Lab(service) = part
            && lab(service).is_none()
        {
            return Err(PrepareError::new(
                format!("`{text}` names a service that the lab does not have: `{service}`"),
                "add it under `lab.services`, or write the address itself",
            ));
        }
    }
    Ok(text.reveal(lab))
}

fn not_an_address(shown: &Text) -> PrepareError {
    PrepareError::new(
        format!("`{shown}` is not an address"),
        "write HOST:PORT, such as db.example.org:5432 or [::1]:5432",
    )
}
