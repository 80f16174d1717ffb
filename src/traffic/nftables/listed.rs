//! What `nft` lists as JSON, held against what we would have made.
//!
//! Versions of `nft` write one rule in several ways. So a rule is known by its comment, the sets that it looks into and
//! its verdict, and not letter by letter.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::netem::Numbers;
use super::table::{ALIVE, Chain, NETWORKS_4, NETWORKS_6, PORTS, Rule, Table, Verdict, Way};

/// What is there in a table's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// No table.
    Nothing,
    /// Ours, and as we make it. Where it is no longer alive, it lets all traffic pass.
    Ours { way: Way, alive: bool, packets: u64 },
    /// Ours and in force, but what its packets are led through is not as we make it, and how. What becomes of them nobody
    /// knows, so that it is put back as ours.
    Broken { way: Way, how: String },
    /// Not as we make it, and how.
    Changed(String),
}

/// The objects of a listing.
///
/// # Errors
/// Why it makes no sense.
fn objects(said: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let whole: Value = serde_json::from_slice(said).map_err(|error| error.to_string())?;
    let Some(list) = whole.get("nftables").and_then(Value::as_array) else {
        return Err("it has no `nftables`".to_owned());
    };
    let objects = list.iter().filter_map(Value::as_object);
    let objects = objects.flat_map(|object| object.iter());
    Ok(objects.map(|(kind, value)| (kind.clone(), value.clone())).collect())
}

/// The names of the tables in `list tables inet`.
///
/// # Errors
/// Why that makes no sense.
pub(super) fn tables(said: &[u8]) -> Result<BTreeSet<String>, String> {
    let is_inet = |table: &Value| table.get("family").and_then(Value::as_str) == Some("inet");
    let objects = objects(said)?;
    let tables = objects.iter().filter(|(kind, table)| kind == "table" && is_inet(table));
    Ok(tables.filter_map(|(_, table)| Some(text(table, "name")?.to_owned())).collect())
}

/// What `list table inet NAME` says of `table`.
///
/// # Errors
/// Why that makes no sense.
pub(super) fn judged(said: &[u8], table: &Table) -> Result<Found, String> {
    let listed = Listed::new(objects(said)?);
    let mut differences = Vec::new();
    for way in listed.degrading().into_iter().chain(Way::CLOSING) {
        match listed.is(table, way) {
            Ok(alive) => return Ok(Found::Ours { way, alive, packets: listed.packets }),
            Err(difference) => differences.push(difference),
        }
    }
    // The one that got further is the one that it was.
    let furthest = differences.into_iter().rev().max_by_key(|it| it.after);
    Ok(Found::Changed(furthest.map(|it| it.what).unwrap_or_default()))
}

/// A table, taken apart.
#[derive(Default)]
struct Listed {
    sets: BTreeMap<String, Value>,
    chains: BTreeMap<String, Value>,
    /// In their order, chain by chain.
    rules: BTreeMap<String, Vec<Value>>,
    /// A kind of object that we do not make.
    strange: Option<String>,
    /// How many packets met a rule.
    packets: u64,
}

/// In what a table differs from ours.
struct Difference {
    /// How many rules were as we make them.
    after: usize,
    what: String,
}

impl Listed {
    fn new(objects: Vec<(String, Value)>) -> Listed {
        let mut listed = Listed::default();
        for (kind, value) in objects {
            let name = text(&value, "name").unwrap_or_default().to_owned();
            match kind.as_str() {
                "metainfo" => {}
                // Dormant, it lists everything and does nothing.
                "table" if value.get("flags").is_none() => {}
                "table" => listed.strange = Some("flag of its own".to_owned()),
                "set" => drop(listed.sets.insert(name, value)),
                "chain" => drop(listed.chains.insert(name, value)),
                "rule" => {
                    listed.packets = listed.packets.saturating_add(packets(&value));
                    let chain = text(&value, "chain").unwrap_or_default().to_owned();
                    listed.rules.entry(chain).or_default().push(value);
                }
                _ => listed.strange = Some(kind),
            }
        }
        listed
    }

    /// The numbers stand in every rule of a table that degrades; one that has lost them all has its chain.
    fn degrading(&self) -> Option<Way> {
        let comments = self.rules.values().flatten().filter_map(|rule| text(rule, "comment"));
        let said = { comments }.find_map(Way::degrading);
        let lost = Way::Degrade(Numbers::default());
        let has_chain = lost.chains().iter().any(|chain| self.chains.contains_key(chain.name));
        said.or(has_chain.then_some(lost))
    }

    /// Whether it is what we make, and if so whether it is still alive.
    fn is(&self, table: &Table, way: Way) -> Result<bool, Difference> {
        let differs = |after, what| Difference { after, what };
        let sets = self.sets_of(table).map_err(|what| differs(0, what));
        let wanted = table.rules(way);
        let mut after = 0;
        for chain @ Chain { name, .. } in way.chains() {
            self.chain(chain).map_err(|what| differs(after, what))?;
            let wanted: Vec<&Rule> = wanted.iter().filter(|rule| rule.chain == *name).collect();
            let there = self.rules.get(*name).map_or(&[][..], Vec::as_slice);
            for (rule, is) in wanted.iter().zip(there) {
                if !is_ours(is, rule) {
                    let what =
                        format!("in chain {name} there is another rule than our {}", rule.comment);
                    return Err(differs(after, what));
                }
                after += 1;
            }
            if wanted.len() != there.len() {
                let what = format!("chain {name} has {} rules, ours {}", there.len(), wanted.len());
                return Err(differs(after, what));
            }
        }
        if let Some(kind) = &self.strange {
            return Err(differs(after, format!("it has a {kind}, which we make none of")));
        }
        let is_ours = |name: &str| way.chains().iter().any(|chain| chain.name == name);
        if let Some(chain) = self.chains.keys().find(|name| !is_ours(name)) {
            return Err(differs(after, format!("it has a chain {chain}, which we make none of")));
        }
        sets
    }

    fn chain(&self, Chain { name, priority }: &Chain) -> Result<(), String> {
        let Some(chain) = self.chains.get(*name) else {
            return Err(format!("chain {name} is gone"));
        };
        let is = |key: &str, wanted: &str| text(chain, key) == Some(wanted);
        let prio = chain.get("prio").and_then(Value::as_i64);
        let ours = is("type", "filter") && is("hook", name) && is("policy", "accept");
        match ours && prio == Some(*priority) {
            true => Ok(()),
            false => Err(format!("chain {name} is at another place, or has another policy")),
        }
    }

    /// Whether the sets hold what ours hold; and whether `alive` does, which nobody but time empties.
    fn sets_of(&self, table: &Table) -> Result<bool, String> {
        let ranges = |set: &str| -> Result<Vec<(u128, u128)>, String> {
            let Some(there) = self.sets.get(set) else { return Ok(Vec::new()) };
            let elements = there.get("elem").and_then(Value::as_array);
            let elements = elements.map_or(&[][..], Vec::as_slice).iter();
            let ranges: Option<Vec<(u128, u128)>> = elements.map(range).collect();
            ranges.map(merged).ok_or_else(|| format!("set {set} holds what we do not know"))
        };
        for set in [NETWORKS_4, NETWORKS_6] {
            let wanted =
                table.of_family(set).map(|net| (number(net.network()), number(net.broadcast())));
            if ranges(set)? != merged(wanted.collect()) {
                return Err(format!("set {set} holds other networks than ours"));
            }
        }
        let wanted = table.ports.iter().map(|it| (it.first.into(), it.last.into()));
        if ranges(PORTS)? != merged(wanted.collect()) {
            return Err("set ports holds other ports than ours".to_owned());
        }
        let known = [ALIVE, NETWORKS_4, NETWORKS_6, PORTS];
        if let Some(set) = self.sets.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("it has a set {set}, which we make none of"));
        }
        let Some(alive) = self.sets.get(ALIVE) else {
            return Err(format!("set {ALIVE} is gone"));
        };
        let elements = alive.get("elem").and_then(Value::as_array);
        let mut families = BTreeSet::new();
        for element in elements.map_or(&[][..], Vec::as_slice) {
            let element = element.get("elem");
            let ends = element.and_then(|it| it.get("timeout")).is_some();
            match element.and_then(|it| text(it, "val")) {
                Some(family) if ends => drop(families.insert(family)),
                _ => return Err(format!("set {ALIVE} holds what never ends")),
            }
        }
        Ok(families == ["ipv4", "ipv6"].into())
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn expressions(rule: &Value) -> &[Value] {
    rule.get("expr").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn packets(rule: &Value) -> u64 {
    let counters = expressions(rule).iter().filter_map(|it| it.get("counter"));
    counters.filter_map(|it| it.get("packets").and_then(Value::as_u64)).sum()
}

fn is_ours(is: &Value, rule: &Rule) -> bool {
    let mut sets = Vec::new();
    expressions(is).iter().for_each(|it| sets_in(it, &mut sets));
    text(is, "comment") == Some(rule.comment.as_str())
        && sets == rule.sets
        && expressions(is).last().and_then(verdict) == Some(rule.verdict)
}

/// The sets that an expression looks into, in order.
fn sets_in<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix('@')),
        Value::Array(list) => list.iter().for_each(|it| sets_in(it, found)),
        Value::Object(map) => map.values().for_each(|it| sets_in(it, found)),
        _ => {}
    }
}

fn verdict(expression: &Value) -> Option<Verdict> {
    let (kind, value) = expression.as_object()?.iter().next()?;
    match kind.as_str() {
        "accept" => Some(Verdict::Accept),
        "drop" => Some(Verdict::Drop),
        "reject" if text(value, "type") == Some("tcp reset") => Some(Verdict::Reset),
        "reject" => Some(Verdict::Unreachable),
        "mangle" => class(value).map(Verdict::Mark),
        _ => None,
    }
}

/// The class that packets get: `7abc:def0`, or as one number.
fn class(mangle: &Value) -> Option<u32> {
    let key = mangle.get("key")?.get("meta")?;
    if text(key, "key") != Some("priority") {
        return None;
    }
    let value = mangle.get("value")?;
    if let Some(number) = value.as_u64() {
        return u32::try_from(number).ok();
    }
    let (major, minor) = value.as_str()?.split_once(':')?;
    let half = |text: &str| u16::from_str_radix(text, 16).ok().map(u32::from);
    Some(half(major)? << 16 | half(minor)?)
}

/// The first and the last of what an element holds.
fn range(element: &Value) -> Option<(u128, u128)> {
    if let Some(inner) = element.get("elem").and_then(|it| it.get("val")) {
        return range(inner);
    }
    if let Some(prefix) = element.get("prefix") {
        let address: IpAddr = text(prefix, "addr")?.parse().ok()?;
        let length = u8::try_from(prefix.get("len")?.as_u64()?).ok()?;
        let net = IpNet::new(address, length).ok()?;
        return Some((number(net.network()), number(net.broadcast())));
    }
    if let Some(ends) = element.get("range").and_then(Value::as_array) {
        let [first, last] = ends.as_slice() else { return None };
        return Some((single(first)?, single(last)?));
    }
    single(element).map(|it| (it, it))
}

fn single(value: &Value) -> Option<u128> {
    match value {
        Value::Number(port) => port.as_u64().map(u128::from),
        Value::String(address) => address.parse().ok().map(number),
        _ => None,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// Neighbours in one, so that it does not matter how they were divided.
fn merged(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}
