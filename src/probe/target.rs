//! Where a probe goes: a host and a port, and the way to an open connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::connector::{Connector, Stream};
use super::sample::Progress;
use super::{PrepareError, failure};
use crate::model::{Outcome, Part, Phase, Reason, Text};

/// A host and a port, with the connector that leads there.
pub(super) struct Target {
    host: Host,
    port: u16,
    connector: Arc<dyn Connector>,
}

enum Host {
    /// Needs no look-up.
    Address(IpAddr),
    /// Looked up for each new connection.
    Name(String),
}

impl Target {
    /// The target `host` (a name, or an address with or without brackets) and `port`.
    pub(super) fn new(host: &str, port: u16, connector: Arc<dyn Connector>) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name(bare.to_owned()),
        };
        Target { host, port, connector }
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
        let name = match &self.host {
            Host::Address(address) => {
                progress.phase = Phase::Connect;
                return self.connect(*address).await;
            }
            Host::Name(name) => name,
        };
        progress.phase = Phase::LookUp;
        let addresses = self.connector.look_up(name).await.map_err(|e| failure::of_look_up(&e))?;
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
