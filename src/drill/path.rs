//! The path that the restore will take must not lead through what is cut.

use std::net::SocketAddr;
use std::time::Duration;

use crate::model::{ControlSpec, HaproxySocket, Plan, Provider, ServedBySource, Text, Why};

/// A name server that does not answer must not hold up a drill.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Where the calls of a control go, as `HOST:PORT`; `None` for what is reached without a network.
fn endpoint(control: &ControlSpec) -> Option<&Text> {
    match &control.provider {
        Provider::Lab | Provider::Proxy(_) => None,
        Provider::Haproxy(haproxy) => match &haproxy.socket {
            HaproxySocket::Unix(_) => None,
            HaproxySocket::Tcp(address) => Some(address),
        },
    }
}

/// Why the restore would have to go through the datacenter to be cut, as far as addresses tell.
pub(super) async fn through_the_cut(plan: &Plan) -> Vec<Why> {
    let mut reasons = Vec::new();
    for control in plan.through.iter().filter_map(|place| plan.traffic.get(*place)) {
        let Some(endpoint) = endpoint(control) else { continue };
        // A name that cannot be resolved is preflight's to report: it cannot be read either.
        let look_up = tokio::net::lookup_host(endpoint.reveal_plain());
        let Ok(Ok(addresses)) = tokio::time::timeout(LOOK_UP, look_up).await else { continue };
        let leads = |address| leads(plan, control, endpoint, address);
        reasons.extend(addresses.filter_map(leads).take(1));
    }
    reasons
}

fn leads(plan: &Plan, control: &ControlSpec, endpoint: &Text, address: SocketAddr) -> Option<Why> {
    let through = route(plan, address).or_else(|| network(plan, address))?;
    let text = format!(
        "the restore of {} would go to {endpoint}, which {through}: the way back would be cut with the \
         traffic; reach it by another path",
        control.name
    );
    Some(Why::new("way-back-cut", text))
}

/// A route of ours that is cut too, and listens there.
fn route(plan: &Plan, address: SocketAddr) -> Option<String> {
    let cut = plan.through.iter().filter_map(|place| plan.traffic.get(*place));
    cut.filter_map(|control| match &control.provider {
        Provider::Proxy(proxy) => Some((control, proxy)),
        _ => None,
    })
    .flat_map(|(control, proxy)| proxy.routes.iter().map(move |route| (control, route)))
    .filter(|(_, route)| plan.cut.datacenters.contains(&route.datacenter))
    .find(|(_, route)| {
        let any = route.listen.ip().is_unspecified();
        route.listen.port() == address.port() && (any || route.listen.ip() == address.ip())
    })
    .map(|(control, _)| format!("is the route of {} that is cut", control.name))
}

/// A network that the plan says is the cut datacenter's.
fn network(plan: &Plan, address: SocketAddr) -> Option<String> {
    let sources = plan.probes().filter_map(|(_, _, probe)| probe.served_by.as_ref());
    let networks = sources.filter_map(|source| match source {
        ServedBySource::Peer(networks) => Some(networks),
        _ => None,
    });
    let cut =
        networks.flatten().filter(|(datacenter, _)| plan.cut.datacenters.contains(datacenter));
    let cut =
        cut.flat_map(|(datacenter, networks)| networks.iter().map(move |net| (datacenter, net)));
    let (datacenter, found) = { cut }.find(|(_, net)| net.contains(&address.ip()))?;
    Some(format!("lies in {} ({found})", plan.datacenter(*datacenter)))
}
