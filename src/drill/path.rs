//! The path that the restore will take must not lead through what is cut.

use std::net::SocketAddr;

use super::addresses::{host_and_port, look_up};
use crate::model::{ControlSpec, DatacenterId, Plan, Provider, ServedBySource, Text, Why};

/// Why the restore would have to go through the datacenter to be cut, as far as addresses tell.
pub(super) async fn through_the_cut(plan: &Plan) -> Vec<Why> {
    let mut reasons = Vec::new();
    for control in plan.cut_through() {
        for endpoint in control.provider.settings().endpoints() {
            // A name that cannot be resolved is preflight's to report: it cannot be read either.
            let Some(address) = host_and_port(&endpoint.reveal_plain()) else { continue };
            let addresses = look_up(&address).await;
            let leads = |address| leads(plan, control, endpoint, address);
            reasons.extend(addresses.into_iter().filter_map(leads).take(1));
        }
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
    let cut = plan.cut_through();
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
    let is_cut = |id: &DatacenterId| plan.cut.datacenters.contains(id);
    let by_networks = plan.networks.find(address.ip()).filter(|(id, _)| is_cut(id));
    let sources = plan.probes().filter_map(|(_, _, probe)| probe.served_by.as_ref());
    let peers = sources.filter_map(|source| match source {
        ServedBySource::Peer(networks) => Some(networks),
        _ => None,
    });
    let mut peers = peers.flatten().filter(|(id, _)| is_cut(id)).flat_map(|(id, networks)| {
        let held = networks.iter().filter(|net| net.contains(&address.ip()));
        held.map(|net| (*id, *net))
    });
    let (datacenter, found) = by_networks.or_else(|| peers.next())?;
    Some(format!("lies in {} ({found})", plan.datacenter(datacenter)))
}
