//! Our pieces on a host beside the table: a device of our own (`ifb`) whose queue is a netem, and on each device of the plan a filter
//! that leads marked packets through it. The queues of those devices stay as they are.
//!
//! Filters hang at a `clsact`, which many may share: it is made where there is none, and the alias of our device says at which devices
//! that was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use super::numbers::Numbers;
use super::seen::{Filter, Link, Queue, Seen};
use crate::traffic::nftables::table::Table;

/// Behind filters of all others: what they do to packets is done first. Those that the kernel numbers by itself end at 49152.
pub const PREFERENCE: u32 = 0xfd1e;
/// So much later than it should a packet may leave.
const LATE: Duration = Duration::from_millis(50);
/// Begins the alias of a device of ours; behind it stand the devices at which we made a `clsact`.
const ALIAS: &str = "firedrill:";

/// Whether packets of `table` are delayed and thinned by `numbers` at each of `devices`.
///
/// # Errors
/// In what it is not as we make it.
pub fn fit(seen: &Seen, table: &Table, numbers: Numbers, devices: &[String]) -> Result<(), String> {
    let ours = table.device("fd");
    if devices.is_empty() {
        return Err("it degrades, and the plan names no devices".to_owned());
    }
    match seen.links.get(&ours) {
        None => return Err(format!("our device {ours} is gone")),
        Some(link) if !is_ours(link) => return Err(format!("{ours} is no device of ours")),
        Some(link) if !link.is_up => return Err(format!("our device {ours} is down")),
        Some(_) => {}
    }
    match root(seen, &ours).and_then(|it| it.netem.as_ref()) {
        None => return Err(format!("the netem of our device {ours} is gone")),
        Some(netem) if !numbers.are(netem) => {
            return Err(format!("the netem of our device {ours} has other numbers than ours"));
        }
        Some(_) => {}
    }
    for device in devices {
        if !seen.links.contains_key(device) {
            return Err(format!("the device {device} is gone"));
        }
        match filter(seen, table, device) {
            None => return Err(format!("our filter at {device} is gone")),
            Some(it) if !leads(it, table.class(), &ours) => {
                return Err(format!("our filter at {device} is another"));
            }
            Some(_) => {}
        }
    }
    match ours_beside(seen, &[table], devices).next() {
        Some((device, _)) => {
            Err(format!("a filter of ours is at {device}, which the plan does not name"))
        }
        None => Ok(()),
    }
}

/// Filters in the place of ours at devices that are none of `devices`: those were named otherwise when they were made.
fn ours_beside<'s>(
    seen: &'s Seen,
    tables: &'s [&Table],
    devices: &'s [String],
) -> impl Iterator<Item = (&'s str, &'s Filter)> {
    let others = seen.egress.iter().filter(|(device, _)| !devices.contains(device));
    others.flat_map(move |(device, filters)| {
        let ours = filters.iter().filter(|it| tables.iter().any(|table| is_of(it, table)));
        ours.map(|filter| (device.as_str(), filter))
    })
}

fn root<'s>(seen: &'s Seen, device: &str) -> Option<&'s Queue> {
    seen.queues.iter().find(|it| it.device == device && it.is_root)
}

/// Whether nobody else has a device of that name.
pub fn is_ours(link: &Link) -> bool {
    // One of which the making was broken off has no alias yet.
    link.kind == "ifb" && (link.alias.is_empty() || link.alias.starts_with(ALIAS))
}

/// The filter at `device` that stands in the place of ours.
fn filter<'s>(seen: &'s Seen, table: &Table, device: &str) -> Option<&'s Filter> {
    let filters = seen.egress.get(device).map_or(&[][..], Vec::as_slice);
    filters.iter().find(|it| is_of(it, table))
}

/// Whether what was made for a trial is told in words by which it is known again.
///
/// # Errors
/// What of it is not.
pub fn is_known(
    filters: &[Filter],
    queues: &[Queue],
    table: &Table,
    numbers: Numbers,
) -> Result<(), String> {
    let (device, class) = (table.device("ft"), table.class());
    let netem = queues.iter().find(|it| it.device == device && it.is_root);
    if !netem.and_then(|it| it.netem.as_ref()).is_some_and(|it| numbers.are(it)) {
        return Err(format!("its netem is not known again: {netem:?}"));
    }
    let ours = |it: &&Filter| it.preference == PREFERENCE && it.handle == Some(class);
    match filters.iter().filter(ours).any(|it| leads(it, class, &device)) {
        true => Ok(()),
        false => Err(format!("its filter is not known again: {filters:?}")),
    }
}

/// Whether `filter` leads packets of `class`, and no others, to `device`.
fn leads(filter: &Filter, class: u32, device: &str) -> bool {
    let Some((which, action)) = filter.does.split_once("action order 1: ") else { return false };
    // A number, of which some versions say the sixteenths.
    let known = [format!("meta(priority eq {class})"), format!("meta(priority eq {class:#x})")];
    let to = format!("mirred (Egress Redirect to device {device}) stolen");
    filter.kind == "basic"
        && known.contains(&which.trim().to_owned())
        && action.starts_with(&to)
        && !action.contains("action order")
}

/// The devices at which a `clsact` is of our making.
fn made_at(link: &Link) -> impl Iterator<Item = &str> {
    let devices = link.alias.strip_prefix(ALIAS).unwrap_or_default();
    devices.split(',').filter(|it| !it.is_empty())
}

/// The same, by whichever device of ours.
pub fn with_our_clsact(links: &BTreeMap<String, Link>) -> BTreeSet<&str> {
    { links.values() }.filter(|it| is_ours(it)).flat_map(made_at).collect()
}

fn has_clsact(seen: &Seen, device: &str) -> bool {
    seen.queues.iter().any(|it| it.device == device && it.kind == "clsact")
}

/// What `ip` and `tc` are told to make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    pub ip: String,
    pub tc: String,
}

/// Makes what is missing of the pieces of `tables`. Nothing is delayed by it until their rules mark packets.
pub fn made(seen: &Seen, tables: &[&Table], numbers: Numbers, devices: &[String]) -> Script {
    let mut script = Script::default();
    // What another table of ours made goes with the last that uses it.
    let before = with_our_clsact(&seen.links);
    let bare = |device: &&String| !has_clsact(seen, device);
    let owned = devices.iter().filter(|it| bare(it) || before.contains(it.as_str()));
    let alias = format!("{ALIAS}{}", owned.cloned().collect::<Vec<_>>().join(","));
    for table in tables {
        let ours = table.device("fd");
        if !seen.links.contains_key(&ours) {
            let _ = writeln!(script.ip, "link add name {ours} type ifb");
        }
        let _ = writeln!(script.ip, "link set dev {ours} alias {alias}");
        let _ = writeln!(script.ip, "link set dev {ours} up");
        let root = root(seen, &ours).and_then(|it| it.netem.as_ref());
        if root.is_some_and(|it| !it.more.is_empty()) {
            // What it is not told again it would go on with.
            let _ = writeln!(script.tc, "qdisc del dev {ours} root");
        }
        let _ = writeln!(script.tc, "qdisc replace dev {ours} root {}", numbers.netem());
    }
    for (device, filter) in ours_beside(seen, tables, devices) {
        let _ = writeln!(script.tc, "{}", removed(device, filter));
    }
    for device in devices {
        if bare(&device) {
            let _ = writeln!(script.tc, "qdisc add dev {device} clsact");
        }
        for table in tables {
            let _ = writeln!(script.tc, "{}", leading(device, table.class(), &table.device("fd")));
        }
    }
    script
}

/// Makes a filter at `device` that leads packets of `class` to `ours`.
fn leading(device: &str, class: u32, ours: &str) -> String {
    format!(
        "filter replace dev {device} egress pref {PREFERENCE} protocol all handle {class:#x} basic \
         match 'meta(priority eq {class:#x})' action mirred egress redirect dev {ours}"
    )
}

/// All of it at a device of our own that leads to itself, to be deleted again: what a kernel makes here it makes everywhere.
pub fn trial(table: &Table, numbers: Numbers) -> Script {
    let ours = table.device("ft");
    Script {
        ip: format!("link add name {ours} type ifb\nlink set dev {ours} up\n"),
        tc: format!(
            "qdisc add dev {ours} root {}\nqdisc add dev {ours} clsact\n{}\n",
            numbers.netem(),
            leading(&ours, table.class(), &ours)
        ),
    }
}

/// The devices that shall lose their `clsact` with our filters there, as long as there is nothing else in it.
pub fn emptied<'s>(seen: &'s Seen, tables: &[&Table]) -> Vec<&'s str> {
    let ours = tables.iter().filter_map(|table| seen.links.get(&table.device("fd")));
    let made: BTreeSet<&str> = ours.filter(|it| is_ours(it)).flat_map(made_at).collect();
    let alone =
        |filters: &[Filter]| filters.iter().all(|it| tables.iter().any(|table| is_of(it, table)));
    let goes =
        seen.egress.iter().filter(|(it, filters)| made.contains(it.as_str()) && alone(filters));
    goes.map(|(device, _)| device.as_str()).collect()
}

fn is_of(filter: &Filter, table: &Table) -> bool {
    filter.preference == PREFERENCE && filter.handle == Some(table.class())
}

/// Deletes what is there of the pieces of `tables`, at whatever device, and the `clsact` of `emptied`. Their rules must be gone.
pub fn deleted(seen: &Seen, tables: &[&Table], emptied: &[&str]) -> Script {
    let mut script = Script::default();
    for device in emptied {
        let _ = writeln!(script.tc, "qdisc del dev {device} clsact");
    }
    let all = ours_beside(seen, tables, &[]).filter(|(device, _)| !emptied.contains(device));
    for (device, filter) in all {
        let _ = writeln!(script.tc, "{}", removed(device, filter));
    }
    for ours in tables.iter().map(|table| table.device("fd")) {
        if seen.links.get(&ours).is_some_and(is_ours) {
            let _ = writeln!(script.ip, "link del dev {ours}");
        }
    }
    script
}

/// How long packets may still be on their way through the devices of `tables`.
pub fn on_the_way(seen: &Seen, tables: &[&Table]) -> Duration {
    let is_ours = |device: &str| tables.iter().any(|table| table.device("fd") == device);
    let queues = seen.queues.iter().filter(|it| is_ours(&it.device));
    let netems = queues.filter_map(|it| it.netem.as_ref());
    let longest = netems.map(|it| it.delay + it.jitter).fold(0.0, f64::max);
    let longest = Duration::try_from_secs_f64(longest).unwrap_or(Duration::MAX);
    // Timers are late, and never early.
    if longest.is_zero() { longest } else { longest.saturating_add(LATE) }
}

fn removed(device: &str, filter: &Filter) -> String {
    removal(device, filter.handle.unwrap_or_default(), &filter.kind)
}

/// Deletes a filter of ours.
pub fn removal(device: &str, handle: u32, kind: &str) -> String {
    format!(
        "filter del dev {device} egress pref {PREFERENCE} protocol all handle {handle:#x} {kind}"
    )
}
