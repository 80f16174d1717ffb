//! How a probe comes to the addresses of a name: anew each time, or with an answer that it keeps as its cohort of clients does.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::PrepareError;
use super::connector::Connector;
use super::dns::Client;
use super::failure;
use super::look_up::known_without_asking;
use super::sample::Progress;
use crate::clock::Clock;
use crate::model::{DnsCache, LookUp, Offset, Outcome, Reason};

/// A name, and the way to its addresses.
pub(super) struct Names {
    host: String,
    connector: Arc<dyn Connector>,
    /// Where the DNS is asked by the probe itself: only there answers say how long they are good for.
    own: Option<Box<Own>>,
}

/// Questions of one's own, and the answer that is kept.
struct Own {
    client: Client,
    name: Name,
    cache: DnsCache,
    /// Only for what is kept: it is no part of a drill's time line.
    clock: Clock,
    kept: Mutex<Option<Kept>>,
}

/// An answer, and until when it is good.
struct Kept {
    addresses: Vec<IpAddr>,
    until: Offset,
}

impl Names {
    /// Looks `host` up by the system's resolver, anew each time.
    pub(super) fn fresh(host: &str, connector: Arc<dyn Connector>) -> Self {
        Names { host: host.to_owned(), connector, own: None }
    }

    /// The same name, looked up as `look_up` says. A question takes at most `timeout`.
    pub(super) fn kept_as(self, look_up: &LookUp, timeout: Duration) -> Result<Self, PrepareError> {
        let fresh = look_up.servers.is_empty() && look_up.cache == DnsCache::None;
        if fresh || known_without_asking(&self.host).is_some() {
            return Ok(self);
        }
        let name = Client::name(&self.host).ok_or_else(|| {
            let what = format!("`{}` is not a name", self.host);
            PrepareError::new(what, "write app.example.org")
        })?;
        let (servers, how) = (&look_up.servers, (false, false));
        let client = Client::prepare(servers, how, timeout, Arc::clone(&self.connector))?;
        let (cache, kept) = (look_up.cache, Mutex::default());
        let own = Own { client, name, cache, clock: Clock::start(), kept };
        Ok(Names { own: Some(Box::new(own)), ..self })
    }

    /// The addresses, in the order in which they are to be tried.
    pub(super) async fn addresses(&self, progress: &mut Progress) -> Result<Vec<IpAddr>, Outcome> {
        match &self.own {
            Some(own) => own.addresses(progress).await,
            None => {
                let found = self.connector.look_up(&self.host).await;
                found.map_err(|error| failure::of_look_up(&error))
            }
        }
    }
}

impl Own {
    async fn addresses(&self, progress: &mut Progress) -> Result<Vec<IpAddr>, Outcome> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let (addresses, ttl) = self.ask(progress).await?;
        let good_for = match self.cache {
            DnsCache::None => return Ok(addresses),
            DnsCache::Ttl => ttl,
            DnsCache::For(time) => time,
        };
        let until = self.clock.now().plus(good_for);
        *self.lock() = Some(Kept { addresses: addresses.clone(), until });
        Ok(addresses)
    }

    /// What is kept and still good. What is not is forgotten: nobody who asked in vain goes on with an old answer.
    fn kept(&self) -> Option<Vec<IpAddr>> {
        let mut kept = self.lock();
        let now = self.clock.now();
        kept.take_if(|kept| kept.until <= now);
        kept.as_ref().map(|kept| kept.addresses.clone())
    }

    /// Both kinds of addresses, IPv4 first, and for how long they are good. One kind is enough.
    async fn ask(&self, progress: &mut Progress) -> Result<(Vec<IpAddr>, Duration), Outcome> {
        let mut other = Progress::begun();
        let (four, six) = tokio::join!(
            self.client.ask(&self.name, RecordType::A, progress),
            self.client.ask(&self.name, RecordType::AAAA, &mut other),
        );
        let (mut addresses, mut ttl, mut failed) = (Vec::new(), Duration::MAX, None);
        for answer in [four, six] {
            match answer {
                Ok(answer) if answer.records.is_empty() => {}
                Ok(answer) => {
                    ttl = ttl.min(answer.ttl);
                    addresses.extend(answer.records.iter().filter_map(address));
                }
                Err(outcome) => failed = failed.or(Some(outcome)),
            }
        }
        match (addresses.is_empty(), failed) {
            (false, _) => Ok((addresses, ttl)),
            // Whatever a server did wrong, to its user the look-up failed.
            (true, None | Some(Outcome::Bad(_) | Outcome::Good)) => {
                Err(Outcome::Bad(Reason::LookUp))
            }
            (true, Some(unknown)) => Err(unknown),
        }
    }

    /// A panic elsewhere leaves the answer as whole as it was.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}
