//! `nftables`: which networks are whose, and on which hosts they are cut off.

use std::time::Duration;

use ipnet::IpNet;

use crate::model::{
    DatacenterId, NftablesHost, NftablesNetworks, NftablesPorts, NftablesSettings, Text,
};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};
use crate::plan::served_by::network;

use super::command_limit;

/// When a cut ends by itself if the plan does not say.
const EXPIRES_IN: Duration = Duration::from_secs(120);
/// Shorter, and a slow command alone would end it; longer, and it is no safety net.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// More do not fit where a host keeps what is ours of them.
const MOST_DEVICES: usize = 12;
/// As the kernel has it.
const LONGEST_DEVICE: usize = 15;

/// What no datacenter is, and what a host does not work without.
const NOBODYS: &[(&str, &str)] = &[
    ("127.0.0.0/8", "loopback"),
    ("::1/128", "loopback"),
    ("0.0.0.0/8", "this host"),
    ("::/128", "this host"),
    ("169.254.0.0/16", "link-local addresses"),
    ("fe80::/10", "link-local addresses"),
    ("224.0.0.0/4", "multicast"),
    ("ff00::/8", "multicast"),
    ("::ffff:0:0/96", "IPv4 within IPv6"),
];

/// Reads the settings of an `nftables`.
pub(super) fn nftables(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<NftablesSettings> {
    const KEYS: &[&str] = &["networks", "ports", "hosts", "ssh_config", "expires_in", "timeout"];
    let fields = reader.fields(value, Label("", "nftables"), KEYS)?;
    let networks = fields.need(reader, "networks", "{ east: 10.1.0.0/16, west: 10.2.0.0/16 }");
    let networks = networks.map(|value| networks_of(reader, value, datacenters));
    let ports = fields.get("ports").map(|value| ports_of(reader, value)).unwrap_or_default();
    let hosts = match fields.get("hosts") {
        Some(value) => hosts_of(reader, value),
        None => vec![NftablesHost::default()],
    };
    let ssh_config = fields.get("ssh_config").and_then(|value| reader.text(value, false));
    let expires_in = fields.get("expires_in").and_then(|value| expires_in(reader, value));
    let timeout = command_limit(reader, &fields, Duration::from_secs(5));
    Some(NftablesSettings {
        networks: networks?,
        ports,
        hosts,
        ssh_config: ssh_config.map(|at| at.value),
        expires_in: expires_in.unwrap_or(EXPIRES_IN),
        timeout,
    })
}

fn networks_of(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Vec<NftablesNetworks> {
    let mut found: Vec<NftablesNetworks> = Vec::new();
    for (datacenter, value) in datacenters.map(reader, value, "networks by datacenter") {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has nothing to cut off", quote(value.key));
            let hint = "write networks such as `10.1.0.0/16`, or take it out";
            reader.findings.error("missing-key", value.at, what, hint);
        }
        let Some(name) = datacenters.names.get(datacenter.index()).cloned() else { continue };
        found.push(NftablesNetworks { datacenter, name, networks: Vec::new() });
        for item in items {
            let Some(network) = network(reader, item).map(|network| network.trunc()) else {
                continue;
            };
            if may_be_cut(reader, item, network, datacenter, &found)
                && let Some(last) = found.last_mut()
            {
                last.networks.push(network);
            }
        }
    }
    found
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

fn may_be_cut(
    reader: &mut Reader,
    item: Value,
    network: IpNet,
    datacenter: DatacenterId,
    found: &[NftablesNetworks],
) -> bool {
    let mut refuse = |what: String, hint: &str| {
        reader.findings.error("impossible", item.span(), what, hint);
        false
    };
    if network.prefix_len() == 0 {
        let what = format!("{network} is everybody, and the way back with them");
        return refuse(what, "name the networks of the datacenter");
    }
    let nobodys = NOBODYS
        .iter()
        .find(|(net, _)| net.parse::<IpNet>().is_ok_and(|nobodys| overlap(&network, &nobodys)));
    if let Some((net, what)) = nobodys {
        let what = format!("{network} holds addresses of {net}: {what}");
        return refuse(what, "no datacenter is there: name its own networks");
    }
    for other in found {
        let Some(twin) = other.networks.iter().find(|twin| overlap(&network, twin)) else {
            continue;
        };
        let (what, hint) = match other.datacenter == datacenter {
            true => (format!("{network} and {twin} overlap"), "keep the wider of the two"),
            false => (
                format!("{network} and {twin} of {} overlap", other.name),
                "to cut one would cut the other: give each datacenter networks of its own",
            ),
        };
        return refuse(what, hint);
    }
    true
}

fn ports_of(reader: &mut Reader, value: Value) -> Vec<NftablesPorts> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let hint =
            "name ports such as `443` and `8000-8100`, or take it out to cut off all traffic";
        reader.findings.error("missing-key", value.at, "`ports` names none", hint);
    }
    let mut found: Vec<NftablesPorts> = Vec::new();
    for item in items {
        let Some(text) = reader.shown(item, "a port, or two with `-` between") else { continue };
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let ends = first.trim().parse().ok().zip(last.trim().parse().ok());
        let Some((first, last)) =
            ends.filter(|&(first, last): &(u16, u16)| 0 < first && first <= last)
        else {
            let what = format!("{} is neither a port nor a range of them", quote(&text));
            reader.findings.error("bad-value", item.span(), what, "write `443` or `8000-8100`");
            continue;
        };
        if found.iter().any(|other| first <= other.last && other.first <= last) {
            let what = format!("{} overlaps with another", quote(&text));
            reader.findings.error("impossible", item.span(), what, "name each port once");
            continue;
        }
        found.push(NftablesPorts { first, last });
    }
    found
}

fn hosts_of(reader: &mut Reader, value: Value) -> Vec<NftablesHost> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let hint = "write `{ ssh: ops@gateway.example }`, or take it out for this host";
        reader.findings.error("missing-key", value.at, "`hosts` names none", hint);
    }
    let mut found: Vec<NftablesHost> = Vec::new();
    for item in items {
        let Some(host) = host(reader, item) else { continue };
        if found.iter().any(|other| other.name() == host.name()) {
            let what = format!("{} stands here twice", quote(&host.name()));
            reader.findings.error("impossible", item.span(), what, "keep one of the two");
            continue;
        }
        found.push(host);
    }
    found
}

fn host(reader: &mut Reader, item: Value) -> Option<NftablesHost> {
    let fields = reader.fields(item, Label("a host", ""), &["ssh", "netns", "sudo", "devices"])?;
    let before = reader.findings.errors();
    let ssh = fields.get("ssh").and_then(|value| target(reader, value));
    let netns = fields.get("netns").and_then(|value| {
        let name = reader.shown(value, "the name of a network namespace")?;
        plain(reader, value, &name, "a network namespace").then(|| name.into_owned())
    });
    let sudo = fields.get("sudo").and_then(|value| reader.flag(value)).unwrap_or_default();
    let devices = fields.get("devices").map(|value| devices(reader, value)).unwrap_or_default();
    (reader.findings.errors() == before).then_some(NftablesHost { ssh, netns, sudo, devices })
}

/// The network devices by which packets leave a host.
fn devices(reader: &mut Reader, value: Value) -> Vec<String> {
    let items = reader.one_or_more(value);
    if items.is_empty() || items.len() > MOST_DEVICES {
        let what = format!("`devices` names {}, and takes 1 to {MOST_DEVICES}", items.len());
        let hint = "name those by which packets leave the host, such as `[eth0, eth1]`";
        reader.findings.error("bad-value", value.at, what, hint);
    }
    let mut found: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = reader.shown(item, "the name of a network device") else { continue };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name = !name.starts_with(['-', '.']) && name.chars().all(fits);
        if name.is_empty() || name.len() > LONGEST_DEVICE || !is_name {
            let what = format!("{} is no name of a network device", quote(&name));
            let hint = "write it as `ip link` does, without what stands from `@` on: `eth0`";
            reader.findings.error("bad-value", item.span(), what, hint);
        } else if found.iter().any(|other| *other == *name) {
            let what = format!("{} stands here twice", quote(&name));
            reader.findings.error("impossible", item.span(), what, "keep one of the two");
        } else {
            found.push(name.into_owned());
        }
    }
    found
}

/// `USER@HOST`, an alias of `ssh`'s settings, or a URL.
fn target(reader: &mut Reader, value: Value) -> Option<Text> {
    let text = reader.text(value, false)?;
    let whole = text.value.reveal_plain();
    let bare = whole.strip_prefix("ssh://").unwrap_or(&whole);
    plain(reader, value, bare, "a host that ssh connects to").then_some(text.value)
}

/// Whether `word` can be an argument: none that a program takes for an option, or a shell for more than a word.
fn plain(reader: &mut Reader, value: Value, word: &str, wanted: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.@:[]".contains(&b);
    let is_plain = !word.is_empty() && !word.starts_with('-') && word.bytes().all(fits);
    if !is_plain {
        let what = format!("this is no name of {wanted}");
        let hint = "write letters, digits, `-`, `_` and `.`, such as `ops@gateway.example`";
        reader.findings.error("bad-value", value.span(), what, hint);
    }
    is_plain
}

fn expires_in(reader: &mut Reader, value: Value) -> Option<Duration> {
    let given = reader.duration(value, false)?;
    if (SHORTEST..=LONGEST).contains(&given.value) && given.value.subsec_nanos() == 0 {
        return Some(given.value);
    }
    let what = "a cut cannot end by itself then";
    let hint =
        "write whole seconds, from `10s` to `24h`: the end is moved on while the drill lives";
    reader.findings.error("bad-value", given.span, what, hint);
    None
}
