//! What `ip` and `tc` say of a host.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::numbers::Netem;
use super::pieces::PREFERENCE;

/// What is there on a host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// Its network devices.
    pub links: BTreeMap<String, Link>,
    pub queues: Vec<Queue>,
    /// What is done to packets that leave by each device that has a `clsact`.
    pub egress: BTreeMap<String, Vec<Filter>>,
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// `ifb`, `veth`; empty for a card.
    pub kind: String,
    pub is_up: bool,
    pub alias: String,
}

/// A queueing discipline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Queue {
    pub device: String,
    pub kind: String,
    pub is_root: bool,
    /// Of a netem, what it does.
    pub netem: Option<Netem>,
}

/// A filter of packets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    pub preference: u32,
    /// What it is a filter of, and for what it is known again: `basic`.
    pub kind: String,
    pub handle: Option<u32>,
    /// Which packets it is for, and what is done to them.
    pub does: String,
}

/// The network devices in `ip -j -d link show`.
///
/// # Errors
/// Why that makes no sense.
pub fn links(said: &[u8]) -> Result<BTreeMap<String, Link>, String> {
    let link = |it: &Value| {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = it.get("ifname")?.as_str()?.to_owned();
        let flags = it.get("flags").and_then(Value::as_array);
        let link = Link {
            kind: text(it.get("linkinfo").and_then(|it| it.get("info_kind"))),
            is_up: flags.is_some_and(|flags| flags.iter().any(|flag| flag == "UP")),
            alias: text(it.get("ifalias")),
        };
        Some((name, link))
    };
    Ok(list(said)?.iter().filter_map(link).collect())
}

/// The queueing disciplines in `tc -j qdisc show`.
///
/// # Errors
/// Why that makes no sense.
pub fn queues(said: &[u8]) -> Result<Vec<Queue>, String> {
    let queue = |it: &Value| {
        let kind = it.get("kind")?.as_str()?.to_owned();
        let netem = (kind == "netem").then(|| netem(it.get("options").unwrap_or(&Value::Null)));
        Some(Queue {
            device: it.get("dev")?.as_str()?.to_owned(),
            is_root: it.get("root").and_then(Value::as_bool).unwrap_or_default(),
            kind,
            netem,
        })
    };
    Ok(list(said)?.iter().filter_map(queue).collect())
}

/// The objects of a list. Of nothing to list `tc` says nothing, or an empty list.
fn list(said: &[u8]) -> Result<Vec<Value>, String> {
    if said.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(said).map_err(|error| error.to_string())
}

fn netem(options: &Value) -> Netem {
    let mut netem = Netem::default();
    let number =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_f64).unwrap_or_default();
    for (key, value) in options.as_object().into_iter().flatten() {
        match key.as_str() {
            "limit" => netem.limit = value.as_u64().unwrap_or_default(),
            "delay" => {
                (netem.delay, netem.jitter) = (number(value, "delay"), number(value, "jitter"));
            }
            "loss-random" => netem.loss = number(value, "loss"),
            // How it draws lots; and what says of others that they do nothing.
            "seed" => {}
            _ if matches!(value, Value::Bool(false)) || value.as_u64() == Some(0) => {}
            _ => netem.more.push(key.clone()),
        }
        // Where one lot depends on that before.
        if number(value, "correlation") != 0.0 {
            netem.more.push(format!("correlation of {key}"));
        }
    }
    netem
}

/// The filters of each of `devices` in what `tc` says of a batch of [`asked`]; nothing if one of them lost its `clsact`
/// meanwhile. It is no JSON where one looks into metadata (iproute2 6.1): that has line breaks within texts.
pub fn filters(said: &[u8], devices: &[&str]) -> Option<BTreeMap<String, Vec<Filter>>> {
    let said = String::from_utf8_lossy(said);
    let mut sections: Vec<Vec<Filter>> = Vec::new();
    let mut is_of_filter = false;
    for line in said.lines() {
        if line.starts_with("qdisc clsact ") {
            sections.push(Vec::new());
        }
        let Some(section) = sections.last_mut() else { continue };
        if let Some(head) = line.strip_prefix("filter ") {
            section.push(headed(head));
            is_of_filter = true;
        } else if line.starts_with("qdisc ") {
            is_of_filter = false;
        } else if let Some(filter) = section.last_mut().filter(|_| is_of_filter) {
            let words = line.split_whitespace();
            filter.does =
                { filter.does.split_whitespace() }.chain(words).collect::<Vec<_>>().join(" ");
        }
    }
    if sections.len() != devices.len() {
        return None;
    }
    for filters in &mut sections {
        // Ahead of those that do something stands one for them together.
        filters.retain(|filter| filter.handle.is_some() || !filter.does.is_empty());
    }
    Some(devices.iter().map(|it| (*it).to_owned()).zip(sections).collect())
}

/// The devices that have a `clsact`, without which there are no filters of ours. Those with names that no plan can name, and a
/// batch might misread, are nobody's whom we know.
pub fn with_clsact(queues: &[Queue]) -> impl Iterator<Item = &str> {
    let plain = |it: &str| it.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let devices = queues.iter().filter(|it| it.kind == "clsact").map(|it| it.device.as_str());
    devices.filter(move |it| plain(it))
}

/// What `tc` is asked in one batch for the filters on one side of `devices`: for all of them at those that are `whole`, and else
/// for those at our place. Neither filters nor queues say there whose they are; but each `clsact`, shown ahead of its filters,
/// is the next.
pub fn asked(devices: &[&str], side: &str, whole: &BTreeSet<&str>) -> String {
    let line = |device: &&str| {
        let ours =
            if whole.contains(device) { String::new() } else { format!(" pref {PREFERENCE}") };
        format!("qdisc show dev {device}\nfilter show dev {device} {side}{ours}\n")
    };
    devices.iter().map(line).collect()
}

/// `protocol all pref 49152 basic chain 0 handle 0x1`. Without `pref` it is what was asked for.
fn headed(head: &str) -> Filter {
    let mut words = head.split_whitespace();
    let mut filter = Filter { preference: PREFERENCE, ..Filter::default() };
    while let Some(word) = words.next() {
        match word {
            "protocol" => drop(words.next()),
            "pref" => {
                filter.preference = words.next().and_then(|it| it.parse().ok()).unwrap_or_default();
            }
            "handle" => {
                let handle = words.next().map(|it| it.trim_start_matches("0x"));
                filter.handle = handle.and_then(|it| u32::from_str_radix(it, 16).ok());
            }
            kind if filter.kind.is_empty() => kind.clone_into(&mut filter.kind),
            _ => {}
        }
    }
    filter
}
