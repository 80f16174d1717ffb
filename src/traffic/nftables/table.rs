//! A table of our own: what it holds, and how it is made, kept alive and deleted.
//!
//! Every chain begins with a rule that lets all traffic pass where the set `alive` is empty. The kernel itself empties that
//! set when its time is over, so that a cut that nobody keeps alive ends, whether or not anybody can reach the host.

use std::fmt::Write;
use std::time::Duration;

use ipnet::IpNet;
use ring::digest::{SHA256, digest};

use super::netem::Numbers;
use crate::model::{Name, NftablesNetworks, NftablesPorts};

/// The sets, by their names.
pub(super) const ALIVE: &str = "alive";
pub(super) const NETWORKS_4: &str = "networks4";
pub(super) const NETWORKS_6: &str = "networks6";
pub(super) const PORTS: &str = "ports";

/// A chain, named after the hook that it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    pub name: &'static str,
    pub priority: i64,
}

/// After addresses were translated, and before most filters, so that no other refusal comes first. An `accept` elsewhere
/// overrides no `drop`.
const CUT: [Chain; 3] = [
    Chain { name: "input", priority: -5 },
    Chain { name: "forward", priority: -5 },
    Chain { name: "output", priority: -5 },
];
/// Behind all others who say how urgent packets are, and before servers' addresses are translated back.
const DEGRADE: [Chain; 1] = [Chain { name: "postrouting", priority: 99 }];

/// Of a name in the plan this much stands in the name of a table.
const SLUG: usize = 40;

/// What is done to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Blackhole,
    Reset,
    /// They are marked, and on their way out delayed and thinned by what [`super::netem`] makes.
    Degrade(Numbers),
}

impl Way {
    /// Those in which nothing passes.
    pub const CLOSING: [Way; 2] = [Way::Blackhole, Way::Reset];

    /// By which it is known again.
    pub fn word(self) -> String {
        match self {
            Way::Blackhole => "blackhole".to_owned(),
            Way::Reset => "reset".to_owned(),
            Way::Degrade(numbers) => format!("degrade {}", numbers.word()),
        }
    }

    /// The way of a rule with this comment, if it is one of degraded packets.
    pub fn degrading(comment: &str) -> Option<Way> {
        let (word, _) = comment.strip_prefix("firedrill degrade ")?.rsplit_once(' ')?;
        Numbers::read(word).map(Way::Degrade)
    }

    pub fn chains(self) -> &'static [Chain] {
        match self {
            Way::Blackhole | Way::Reset => &CUT,
            Way::Degrade(_) => &DEGRADE,
        }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    /// The sender gets a RST.
    Reset,
    /// The sender is told that nobody listens there.
    Unreachable,
    /// It goes on, as one of this class.
    Mark(u32),
}

impl Verdict {
    fn text(self) -> String {
        let plain = match self {
            Verdict::Accept => "accept",
            Verdict::Drop => "drop",
            Verdict::Reset => "reject with tcp reset",
            Verdict::Unreachable => "reject with icmpx port-unreachable",
            Verdict::Mark(class) => {
                return format!("meta priority set {:x}:{:x}", class >> 16, class & 0xffff);
            }
        };
        plain.to_owned()
    }
}

/// A rule of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub chain: &'static str,
    matches: String,
    /// The sets that it looks into, in order.
    pub sets: Vec<&'static str>,
    pub verdict: Verdict,
    /// By which it is known again.
    pub comment: String,
}

/// The table that cuts off one datacenter on a host.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub name: String,
    id: u32,
    pub networks: Vec<IpNet>,
    pub ports: Vec<NftablesPorts>,
}

impl Table {
    /// That of a datacenter. Its name is the same in every process, and another where something else is to be cut.
    pub fn new(control: &Name, of: &NftablesNetworks, ports: &[NftablesPorts]) -> Table {
        let networks = of.networks.iter().map(IpNet::trunc).collect();
        let mut table = Table { name: String::new(), id: 0, networks, ports: ports.to_vec() };
        // By how they are written, which no version of ours may change: another one may do the restore.
        let mut whole = format!("{control} {}", of.name);
        table.networks.iter().for_each(|net| whole += &format!(" {net}"));
        table.ports.iter().for_each(|it| whole += &format!(" {}-{}", it.first, it.last));
        let id = digest(&SHA256, whole.as_bytes());
        table.id = id.as_ref().iter().take(4).fold(0, |id, byte| id << 8 | u32::from(*byte));
        table.name = format!("firedrill_{}_{}_{:08x}", slug(control), slug(&of.name), table.id);
        table
    }

    /// The name of a network device that only this table has.
    pub fn device(&self, kind: &str) -> String {
        format!("{kind}{:08x}", self.id)
    }

    /// The class of packets that it degrades (`skb->priority`), which is none that queues hand out by themselves (`8000:`
    /// on) or that people write (`1:10`). Its last digit is that of ordinary packets, so that queues without classes treat
    /// them as before.
    pub fn class(&self) -> u32 {
        0x4000_0000 | (self.id & 0x3fff_fff0)
    }

    /// The networks of a family.
    pub fn of_family(&self, set: &str) -> impl Iterator<Item = &IpNet> {
        let is_4 = set == NETWORKS_4;
        self.networks.iter().filter(move |net| matches!(net, IpNet::V4(_)) == is_4)
    }

    /// The sets of networks that it has, each with the word for its family in rules.
    fn families(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let both = [(NETWORKS_4, "ip"), (NETWORKS_6, "ip6")];
        both.into_iter().filter(|(set, _)| self.of_family(set).next().is_some())
    }

    /// All of its rules, chain by chain in their order.
    pub fn rules(&self, way: Way) -> Vec<Rule> {
        let mut rules = Vec::new();
        for Chain { name: chain, .. } in way.chains().iter().copied() {
            let first = rules.len();
            let mut add = |matches: String, sets: &[&'static str], verdict| {
                let (sets, comment) = (sets.to_vec(), String::new());
                rules.push(Rule { chain, matches, sets, verdict, comment });
            };
            add(format!("meta nfproto != @{ALIVE}"), &[ALIVE], Verdict::Accept);
            if self.ports.is_empty() && self.of_family(NETWORKS_6).next().is_some() {
                // A neighbour, such as the router to everybody else, is found by these.
                for kind in ["nd-neighbor-solicit", "nd-neighbor-advert"] {
                    add(format!("icmpv6 type {kind}"), &[], Verdict::Accept);
                }
            }
            for (set, family) in self.families() {
                if chain != "input" {
                    self.to(way, &format!("{family} daddr @{set}"), set, &mut add);
                }
                if chain != "output" {
                    self.from(way, &format!("{family} saddr @{set}"), set, &mut add);
                }
            }
            for (number, rule) in rules.iter_mut().skip(first).enumerate() {
                rule.comment = format!("firedrill {} {}", way.word(), number + 1);
            }
        }
        rules
    }

    /// What is done to packets towards the datacenter.
    fn to(
        &self,
        way: Way,
        there: &str,
        set: &'static str,
        add: &mut impl FnMut(String, &[&'static str], Verdict),
    ) {
        let of_port = |kind: &str| format!("{there} {kind} dport @{PORTS}");
        let limited = !self.ports.is_empty();
        match (way, limited) {
            (Way::Blackhole, false) => add(there.to_owned(), &[set], Verdict::Drop),
            (Way::Blackhole, true) => {
                add(of_port("tcp"), &[set, PORTS], Verdict::Drop);
                add(of_port("udp"), &[set, PORTS], Verdict::Drop);
            }
            // A RST passes: so the other end learns that the connection is over, too.
            (Way::Reset, false) => {
                add(format!("{there} tcp flags rst"), &[set], Verdict::Accept);
                add(format!("{there} meta l4proto tcp"), &[set], Verdict::Reset);
                add(there.to_owned(), &[set], Verdict::Unreachable);
            }
            (Way::Reset, true) => {
                let rst = format!("{} tcp flags rst", of_port("tcp"));
                add(rst, &[set, PORTS], Verdict::Accept);
                add(of_port("tcp"), &[set, PORTS], Verdict::Reset);
                add(of_port("udp"), &[set, PORTS], Verdict::Unreachable);
            }
            (Way::Degrade(_), false) => add(there.to_owned(), &[set], self.mark()),
            (Way::Degrade(_), true) => {
                add(of_port("tcp"), &[set, PORTS], self.mark());
                add(of_port("udp"), &[set, PORTS], self.mark());
            }
        }
    }

    /// What is done to packets from the datacenter.
    fn from(
        &self,
        way: Way,
        there: &str,
        set: &'static str,
        add: &mut impl FnMut(String, &[&'static str], Verdict),
    ) {
        let of_port = |kind: &str| format!("{there} {kind} sport @{PORTS}");
        let limited = !self.ports.is_empty();
        match (way, limited) {
            (Way::Blackhole, false) => add(there.to_owned(), &[set], Verdict::Drop),
            (Way::Blackhole, true) => {
                add(of_port("tcp"), &[set, PORTS], Verdict::Drop);
                add(of_port("udp"), &[set, PORTS], Verdict::Drop);
            }
            // What is on the way passes. Who only listens, as in a download, would never learn that the connection is over
            // if it did not: it is the answer, on its way to the datacenter, that is answered with a RST.
            (Way::Reset, false) => {
                let new = format!("{there} tcp flags & (fin|syn|rst|ack) == syn");
                add(new, &[set], Verdict::Reset);
                add(format!("{there} meta l4proto tcp"), &[set], Verdict::Accept);
                add(there.to_owned(), &[set], Verdict::Drop);
            }
            (Way::Reset, true) => add(of_port("udp"), &[set, PORTS], Verdict::Drop),
            (Way::Degrade(_), false) => add(there.to_owned(), &[set], self.mark()),
            (Way::Degrade(_), true) => {
                add(of_port("tcp"), &[set, PORTS], self.mark());
                add(of_port("udp"), &[set, PORTS], self.mark());
            }
        }
    }

    fn mark(&self) -> Verdict {
        Verdict::Mark(self.class())
    }

    /// Makes it, in the place of one that is there. Nothing of this is in force unless all of it is.
    pub fn made(&self, way: Way, expires_in: Duration) -> String {
        let mut text = self.deleted();
        // Within one pair of braces: of a script that breaks off nothing is carried out.
        let _ = writeln!(text, "table inet {} {{", self.name);
        let lease = lease(expires_in);
        set(&mut text, ALIVE, "typeof meta nfproto", "timeout", &lease);
        for (name, _) in self.families() {
            let kind = if name == NETWORKS_4 { "type ipv4_addr" } else { "type ipv6_addr" };
            let networks: Vec<String> = self.of_family(name).map(IpNet::to_string).collect();
            set(&mut text, name, kind, "interval", &networks.join(", "));
        }
        if !self.ports.is_empty() {
            let ports = self.ports.iter().map(|it| match it.first == it.last {
                true => it.first.to_string(),
                false => format!("{}-{}", it.first, it.last),
            });
            let ports: Vec<String> = ports.collect();
            set(&mut text, PORTS, "type inet_service", "interval", &ports.join(", "));
        }
        let rules = self.rules(way);
        for Chain { name: chain, priority } in way.chains() {
            let _ = writeln!(text, "  chain {chain} {{");
            let _ =
                writeln!(text, "    type filter hook {chain} priority {priority}; policy accept;");
            for Rule { matches, verdict, comment, .. } in
                rules.iter().filter(|it| it.chain == *chain)
            {
                let verdict = verdict.text();
                let _ = writeln!(text, "    {matches} counter {verdict} comment \"{comment}\"");
            }
            text += "  }\n";
        }
        text + "}\n"
    }

    /// Moves its end on. Fails where it has ended already, which is not to begin again.
    pub fn kept_alive(&self, expires_in: Duration) -> String {
        let set = format!("element inet {} {ALIVE}", self.name);
        format!("delete {set} {{ ipv4, ipv6 }}; add {set} {{ {} }}\n", lease(expires_in))
    }

    /// Deletes it, if it is there.
    pub fn deleted(&self) -> String {
        format!("add table inet {0}\ndelete table inet {0}\n", self.name)
    }
}

fn lease(expires_in: Duration) -> String {
    let seconds = expires_in.as_secs().max(1);
    format!("ipv4 timeout {seconds}s, ipv6 timeout {seconds}s")
}

fn set(text: &mut String, name: &str, kind: &str, flags: &str, elements: &str) {
    let _ = writeln!(text, "  set {name} {{\n    {kind}\n    flags {flags}");
    let _ = writeln!(text, "    elements = {{ {elements} }}\n  }}");
}

/// A name of the plan as nftables takes names.
fn slug(name: &Name) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.as_str().chars().take(SLUG).map(fits).collect()
}
