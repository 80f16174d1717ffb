//! Where the plan's addresses lie: what names resolve to, held against its networks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use crate::model::{
    Against, ControlPlane, DatacenterId, Name, NatsLedger, Plan, ProbeKind, ProbeSpec, RedisLedger,
    Subject, Text, dns_server,
};

/// A name server that does not answer must not hold up a drill.
const LOOK_UP: Duration = Duration::from_secs(5);
/// Names that are looked up at once.
const AT_ONCE: usize = 32;
/// The longest for all of them, however many there are.
const ALL: Duration = Duration::from_secs(20);
/// Sentences about probes; more are counted.
const PROBES: usize = 5;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Where the address of each control plane lies, in the plan's order; empty where nobody knows.
    pub located: Vec<Vec<DatacenterId>>,
    /// What lies where it must not, or where nobody knows.
    pub against: Vec<Against>,
}

/// What `HOST:PORT` resolves to; nothing where it cannot be told in time.
pub(super) async fn look_up(address: &str) -> Vec<SocketAddr> {
    match tokio::time::timeout(LOOK_UP, tokio::net::lookup_host(address)).await {
        Ok(Ok(found)) => found.collect(),
        _ => Vec::new(),
    }
}

/// Resolves the addresses that the plan has and holds them against its networks. Without networks nothing is
/// looked up. What cannot be resolved is taken to lie nowhere.
pub async fn locate(plan: &Plan) -> Addresses {
    let mut addresses =
        Addresses { located: vec![Vec::new(); plan.control_plane.len()], against: Vec::new() };
    if plan.networks.0.is_empty() {
        return addresses;
    }
    let ends = plan.traffic.iter().flat_map(|control| control.provider.settings().endpoints());
    let ends = ends.filter_map(|end| host_and_port(&end.reveal_plain()));
    let wanted = of_control_planes(plan).chain(ends).chain(asked(plan).into_values().flatten());
    let found = resolve(wanted.collect()).await;
    addresses.located = located_by(plan, &found);
    let parts = plan.control_plane.iter().zip(&addresses.located);
    let parts = parts.filter_map(|(part, located)| control_plane(plan, part, located, &found));
    addresses.against.extend(parts);
    addresses.against.extend(controls(plan, &found));
    addresses.against.extend(probes(plan, &found));
    addresses.against.extend(own(plan).await);
    addresses
}

/// As [`Addresses::located`], looking nothing else up.
pub(super) async fn located(plan: &Plan) -> Vec<Vec<DatacenterId>> {
    match plan.networks.0.is_empty() {
        true => Vec::new(),
        false => located_by(plan, &resolve(of_control_planes(plan).collect()).await),
    }
}

fn of_control_planes(plan: &Plan) -> impl Iterator<Item = String> {
    plan.control_plane.iter().filter_map(|part| part.address.as_ref()).map(Text::reveal_plain)
}

fn located_by(plan: &Plan, found: &Found) -> Vec<Vec<DatacenterId>> {
    let address = |address: &Text| found.get(&address.reveal_plain());
    let parts = plan.control_plane.iter().map(|part| part.address.as_ref().and_then(address));
    parts.map(|found| found.map(|found| places(plan, found)).unwrap_or_default()).collect()
}

/// What the address of a control plane says against its `in`; or, where it has none, that nobody knows where it lies.
fn control_plane(
    plan: &Plan,
    part: &ControlPlane,
    located: &[DatacenterId],
    found: &Found,
) -> Option<Against> {
    let address = part.address.as_ref()?;
    let is_strange = |id: &&DatacenterId| !part.home.contains(id);
    let (why, is_sure) = match (part.home.is_empty(), located) {
        (true, []) => {
            let resolved = found.get(&address.reveal_plain()).is_some_and(|ips| !ips.is_empty());
            let why = match resolved {
                true => "lies in none of the `networks`",
                false => "could not be resolved",
            };
            (format!("{why}, so nobody knows where it lies: say `in` too"), false)
        }
        (true, _) => return None,
        (false, _) => {
            let strange = located.iter().filter(is_strange).map(|id| plan.datacenter(*id));
            let places = strange.collect::<Vec<_>>().join(" and ");
            (format!("lies in {places}, and its `in` does not say so"), !places.is_empty())
        }
    };
    // Where `in` is said and nothing speaks against it, there is nothing to say.
    let is_said = part.home.is_empty() || is_sure;
    is_said.then(|| Against {
        about: Subject::ControlPlane(part.name.clone()),
        what: format!("control plane {} is at {address}, which {why}", part.name),
        is_sure,
    })
}

type Found = BTreeMap<String, Vec<IpAddr>>;

/// Looks up every address once.
async fn resolve(wanted: BTreeSet<String>) -> Found {
    let look_ups = wanted.into_iter().map(|address| async move {
        let found = look_up(&address).await;
        (address, found.into_iter().map(|address| address.ip()).collect())
    });
    let mut found = Found::new();
    let mut under_way = stream::iter(look_ups).buffer_unordered(AT_ONCE);
    let late = tokio::time::sleep(ALL);
    tokio::pin!(late);
    loop {
        tokio::select! {
            () = &mut late => return found,
            next = under_way.next() => match next {
                Some((address, ips)) => drop(found.insert(address, ips)),
                None => return found,
            }
        }
    }
}

/// What probes ask outside of the lab, as `HOST:PORT`, by the names of the service and the probe.
fn asked(plan: &Plan) -> BTreeMap<(Name, Name), Option<String>> {
    let named = plan.probes().filter(|(_, _, probe)| probe.asks_in_the_lab().next().is_none());
    let asked = named.map(|(_, service, probe)| {
        let address = match &probe.kind {
            // Whoever is asked there finds its own way to the name.
            ProbeKind::Tcp(_) | ProbeKind::Http(_) if asks_elsewhere(probe) => None,
            ProbeKind::Dns(dns) => match dns.servers.as_slice() {
                [server] => dns_server(&server.reveal_plain()).map(|server| server.to_string()),
                // Of several, none is a way that must not burn; the system's own are not the service's.
                _ => None,
            },
            ProbeKind::Tcp(tcp) => Some(tcp.address.reveal_plain()),
            ProbeKind::Http(http) => host_and_port(&http.url.reveal_plain()),
            ProbeKind::Ledger(ledger) => {
                // With several servers to choose from, none of them is a way that must not burn.
                let addresses = ledger.store.addresses();
                let first = addresses.first().filter(|_| ledger.store.is_one_way());
                first.and_then(|url| host_and_port(&url.reveal_plain()))
            }
        };
        ((service.name.clone(), probe.name.clone()), address)
    });
    asked.collect()
}

/// Whether it looks names up by other DNS servers than the system's.
fn asks_elsewhere(probe: &ProbeSpec) -> bool {
    probe.look_up.as_ref().is_some_and(|look_up| !look_up.servers.is_empty())
}

/// `HOST:PORT` of a URL, or of what is `HOST:PORT` already.
pub(super) fn host_and_port(url: &str) -> Option<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.contains(':').then(|| url.to_owned());
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, servers)| servers);
    if authority.contains(',') {
        return None;
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let port = match &*scheme.to_ascii_lowercase() {
        "https" => 443,
        "postgres" | "postgresql" => 5432,
        "redis" | "rediss" => RedisLedger::PORT,
        "nats" | "tls" => NatsLedger::PORT,
        _ => 80,
    };
    Some(if has_port { authority.to_owned() } else { format!("{authority}:{port}") })
}

/// The datacenters that addresses lie in, each once and in the plan's order.
fn places(plan: &Plan, addresses: &[IpAddr]) -> Vec<DatacenterId> {
    let known = addresses.iter().filter_map(|address| plan.networks.find(*address));
    known.map(|(id, _)| id).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Where all of some addresses lie, if that is what the plan cuts. One that lies elsewhere is a way around.
fn all_cut(plan: &Plan, addresses: &[IpAddr]) -> Option<String> {
    let found: Vec<_> = addresses.iter().map(|address| plan.networks.find(*address)).collect();
    let is_cut = |id: &DatacenterId| plan.cut.datacenters.contains(id);
    let (id, network) = (*found.first()?)?;
    let all = found.iter().all(|found| found.as_ref().is_some_and(|(id, _)| is_cut(id)));
    all.then(|| format!("lies in {} ({network})", plan.datacenter(id)))
}

fn controls(plan: &Plan, found: &Found) -> Vec<Against> {
    let through = plan.cut_through();
    let ends = through.flat_map(|control| {
        control.provider.settings().endpoints().into_iter().map(move |end| (control, end))
    });
    ends.filter_map(|(control, end)| {
        let lies = all_cut(plan, found.get(&host_and_port(&end.reveal_plain())?)?)?;
        let what = format!(
            "traffic control {} is steered at {end}, which {lies}: the way back would be cut with it",
            control.name
        );
        Some(Against { about: Subject::Control(control.name.clone()), what, is_sure: true })
    })
    .collect()
}

fn probes(plan: &Plan, found: &Found) -> Vec<Against> {
    let mut told: Vec<Against> = asked(plan)
        .into_iter()
        .filter_map(|((service, probe), address)| {
            let lies = all_cut(plan, found.get(&address?)?)?;
            let what = format!(
                "probe {service}/{probe} asks an address that {lies}: its users could ask no other"
            );
            Some(Against { about: Subject::Probe(service, probe), what, is_sure: true })
        })
        .collect();
    if let Some(more) = told.len().checked_sub(PROBES).filter(|more| *more > 0) {
        told.truncate(PROBES);
        let what = format!("{more} more probes ask addresses that lie in what is cut");
        told.push(Against { about: Subject::Cut, what, is_sure: true });
    }
    told
}

/// Whether this machine itself stands in what is cut: the address that it would use towards there.
async fn own(plan: &Plan) -> Option<Against> {
    let cut = plan.cut.datacenters.iter().flat_map(|id| plan.networks.of(*id));
    for network in cut {
        let Some(peer) = network.hosts().next() else { continue };
        let any: IpAddr = match peer {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let Ok(socket) = tokio::net::UdpSocket::bind((any, 0)).await else { continue };
        // Connecting a datagram socket sends nothing: it only picks the way, and with it our address. Port 9 is
        // the one whose packets are thrown away.
        if socket.connect((peer, 9)).await.is_err() {
            continue;
        }
        let own = socket.local_addr().map(|address| address.ip());
        if let Some(lies) = own.ok().and_then(|own| all_cut(plan, &[own])) {
            let what = format!("this machine {lies}: firedrill itself would be lost with it");
            return Some(Against { about: Subject::Cut, what, is_sure: true });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_and_port_of_a_url_are_found() {
        let found = |url: &str| host_and_port(url).unwrap();
        assert_eq!(found("https://pay.example/x?y:1"), "pay.example:443");
        assert_eq!(found("HTTP://pay.example"), "pay.example:80");
        assert_eq!(found("http://[::1]/"), "[::1]:80");
        assert_eq!(found("http://[::1]:8080/"), "[::1]:8080");
        assert_eq!(found("http://10.1.0.1:81#x"), "10.1.0.1:81");
        assert_eq!(found("postgres://app:p@ss@db.example/shop?sslmode=require"), "db.example:5432");
        assert_eq!(found("10.1.0.1:5432"), "10.1.0.1:5432");
        assert_eq!(host_and_port("postgresql://app@a:1,b:2/shop"), None, "a way around");
    }
}
