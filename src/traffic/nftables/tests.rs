//! Scripts and listings without a kernel.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Nftables;
use super::host::Host;
use super::listed::{self, Found};
use super::table::{Table, Way};
use crate::model::{
    ControlSpec, DatacenterId, NftablesHost, NftablesNetworks, NftablesPorts, NftablesSettings,
    Provider,
};
use crate::traffic::TrafficControl;
use crate::traffic::log::Log;

fn networks(networks: &[&str]) -> NftablesNetworks {
    NftablesNetworks {
        datacenter: DatacenterId(0),
        name: "east-1".into(),
        networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
    }
}

fn table(nets: &[&str], ports: &[(u16, u16)]) -> Table {
    let ports: Vec<_> = ports.iter().map(|&(first, last)| NftablesPorts { first, last }).collect();
    Table::new(&"wan".into(), &networks(nets), &ports)
}

fn settings() -> NftablesSettings {
    NftablesSettings {
        networks: Vec::new(),
        ports: Vec::new(),
        hosts: Vec::new(),
        ssh_config: None,
        expires_in: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
    }
}

/// The table as a listing, each rule as its own comment, sets and verdict have it.
fn listing(table: &Table, way: Way) -> Vec<Value> {
    let mut objects = vec![json!({ "metainfo": { "version": "1.0.6" } })];
    let elements = |set: &str| -> Vec<Value> {
        let of = table.of_family(set);
        of.map(|net| json!({ "prefix": { "addr": net.network(), "len": net.prefix_len() } }))
            .collect()
    };
    for set in ["networks4", "networks6"] {
        objects.push(json!({ "set": { "name": set, "elem": elements(set) } }));
    }
    let alive =
        ["ipv4", "ipv6"].map(|it| json!({ "elem": { "val": it, "timeout": 60, "expires": 9 } }));
    objects.push(json!({ "set": { "name": "alive", "elem": alive } }));
    for hook in ["input", "forward", "output"] {
        objects.push(json!({ "chain": {
            "name": hook, "type": "filter", "hook": hook, "prio": -5, "policy": "accept",
        } }));
    }
    for rule in table.rules(way) {
        let sets = rule
            .sets
            .iter()
            .map(|set| json!({ "match": { "op": "in", "right": format!("@{set}") } }));
        let verdict = match format!("{:?}", rule.verdict).as_str() {
            "Accept" => json!({ "accept": null }),
            "Drop" => json!({ "drop": null }),
            "Reset" => json!({ "reject": { "type": "tcp reset" } }),
            _ => json!({ "reject": { "type": "icmpx", "expr": "port-unreachable" } }),
        };
        let counter = json!({ "counter": { "packets": 2, "bytes": 80 } });
        let all: Vec<Value> = sets.chain([counter, verdict]).collect();
        objects
            .push(json!({ "rule": { "chain": rule.chain, "comment": rule.comment, "expr": all } }));
    }
    objects
}

fn judged(objects: &[Value], table: &Table) -> Found {
    listed::judged(json!({ "nftables": objects }).to_string().as_bytes(), table).unwrap()
}

#[test]
fn a_script_makes_the_table_anew_within_one_pair_of_braces() {
    let table = table(&["10.1.2.3/16"], &[(443, 443), (8000, 8100)]);
    assert_eq!(table.name, "firedrill_wan_east_1_99f84581");
    let script = table.made(Way::Reset, Duration::from_secs(60));
    let expected = format!(
        "add table inet {0}
delete table inet {0}
table inet {0} {{
  set alive {{
    typeof meta nfproto
    flags timeout
    elements = {{ ipv4 timeout 60s, ipv6 timeout 60s }}
  }}
  set networks4 {{
    type ipv4_addr
    flags interval
    elements = {{ 10.1.0.0/16 }}
  }}
  set ports {{
    type inet_service
    flags interval
    elements = {{ 443, 8000-8100 }}
  }}
  chain input {{
    type filter hook input priority -5; policy accept;
    meta nfproto != @alive counter accept comment \"firedrill reset 1\"
    ip saddr @networks4 udp sport @ports counter drop comment \"firedrill reset 2\"
  }}
  chain forward {{
    type filter hook forward priority -5; policy accept;
    meta nfproto != @alive counter accept comment \"firedrill reset 1\"
    ip daddr @networks4 tcp dport @ports tcp flags rst counter accept comment \"firedrill reset 2\"
    ip daddr @networks4 tcp dport @ports counter reject with tcp reset comment \"firedrill reset 3\"
    ip daddr @networks4 udp dport @ports counter reject with icmpx port-unreachable comment \"firedrill reset 4\"
    ip saddr @networks4 udp sport @ports counter drop comment \"firedrill reset 5\"
  }}
  chain output {{
    type filter hook output priority -5; policy accept;
    meta nfproto != @alive counter accept comment \"firedrill reset 1\"
    ip daddr @networks4 tcp dport @ports tcp flags rst counter accept comment \"firedrill reset 2\"
    ip daddr @networks4 tcp dport @ports counter reject with tcp reset comment \"firedrill reset 3\"
    ip daddr @networks4 udp dport @ports counter reject with icmpx port-unreachable comment \"firedrill reset 4\"
  }}
}}
",
        table.name
    );
    assert_eq!(script, expected);
}

#[test]
fn a_table_has_one_name_for_what_it_cuts_and_another_for_anything_else() {
    let one = table(&["10.1.0.0/16"], &[]).name;
    assert_eq!(table(&["10.1.9.9/16"], &[]).name, one, "the same network");
    assert_ne!(table(&["10.1.0.0/17"], &[]).name, one);
    assert_ne!(table(&["10.1.0.0/16"], &[(80, 80)]).name, one);
    let other = Table::new(&"lan".into(), &networks(&["10.1.0.0/16"]), &[]).name;
    assert_ne!(other, one);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(one.chars().all(fits), "{one}");
    let hostile = Table::new(&"a b;{}\n\u{e9}".into(), &networks(&[]), &[]).name;
    assert!(hostile.chars().all(fits), "{hostile}");
    // So a restore, which deletes by name, may be called where nothing can be read.
    let spec = ControlSpec { name: "wan".into(), provider: Provider::Nftables(settings()) };
    assert!(Nftables::new(&spec, &settings()).takes_back_only_ours());
}

#[test]
fn a_listing_is_ours_in_whatever_words_it_says_so() {
    let table = table(&["10.1.0.0/16", "10.2.0.0/17", "10.2.128.0/17", "2001:db8::/32"], &[]);
    for way in Way::CLOSING {
        let packets = 2 * table.rules(way).len() as u64;
        let mut objects = listing(&table, way);
        assert_eq!(judged(&objects, &table), Found::Ours { way, alive: true, packets });
        // Neighbours in one, and as a range.
        objects[1] = json!({ "set": { "name": "networks4", "elem": [{ "range": ["10.1.0.0", "10.2.255.255"] }] } });
        assert_eq!(judged(&objects, &table), Found::Ours { way, alive: true, packets });
        objects[3] = json!({ "set": { "name": "alive" } });
        assert_eq!(judged(&objects, &table), Found::Ours { way, alive: false, packets });
    }
}

#[test]
fn a_listing_is_not_ours_if_anything_of_it_is_not() {
    let table = table(&["10.1.0.0/16", "2001:db8::/32"], &[]);
    let good = listing(&table, Way::Blackhole);
    let changed = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut objects = good.clone();
        change(&mut objects);
        match judged(&objects, &table) {
            Found::Changed(how) => how,
            other => panic!("{other:?}"),
        }
    };
    let last = good.len() - 1;
    let said = changed(&|all| drop(all.pop()));
    assert_eq!(said, "chain output has 4 rules, ours 5");
    let said = changed(&|all| all.swap(last, last - 1));
    assert_eq!(said, "in chain output there is another rule than our firedrill blackhole 4");
    let said = changed(&|all| all[last]["rule"]["expr"] = json!([{ "accept": null }]));
    assert_eq!(said, "in chain output there is another rule than our firedrill blackhole 5");
    let said = changed(&|all| all[4]["chain"]["policy"] = json!("drop"));
    assert_eq!(said, "chain input is at another place, or has another policy");
    let said = changed(&|all| all[1]["set"]["elem"] = json!([]));
    assert_eq!(said, "set networks4 holds other networks than ours");
    let said = changed(&|all| all[2]["set"]["elem"] = json!([{ "what": 1 }]));
    assert_eq!(said, "set networks6 holds what we do not know");
    let said = changed(&|all| all[3]["set"]["elem"] = json!(["ipv4", "ipv6"]));
    assert_eq!(said, "set alive holds what never ends");
    let said = changed(&|all| all.push(json!({ "quota": { "name": "q" } })));
    assert_eq!(said, "it has a quota, which we make none of");
    assert_eq!(changed(&|all| all.truncate(4)), "chain input is gone");
    assert_eq!(changed(&Vec::clear), "chain input is gone");
}

#[test]
fn what_is_no_listing_makes_no_sense() {
    let table = table(&["10.1.0.0/16"], &[]);
    for said in ["", "{", "[]", "{}", "{\"nftables\":1}", "Error: syntax"] {
        assert!(listed::judged(said.as_bytes(), &table).is_err(), "{said}");
        assert!(listed::tables(said.as_bytes()).is_err(), "{said}");
    }
    // Half of one does not, either; and of strange objects the rest is read.
    let whole = json!({ "nftables": [
        1, { "table": { "family": "inet", "name": "a" } }, { "table": { "family": "ip", "name": "b" } },
        { "table": {} }, { "table": null },
    ] });
    let whole = whole.to_string();
    assert!(listed::tables(&whole.as_bytes()[..whole.len() - 1]).is_err());
    assert_eq!(listed::tables(whole.as_bytes()).unwrap(), ["a".to_owned()].into());
}

#[test]
fn what_a_person_types_is_one_command() {
    let host = |ssh: Option<&str>, netns: Option<&str>, sudo| {
        let host = NftablesHost {
            ssh: ssh.map(Into::into),
            netns: netns.map(Into::into),
            sudo,
            devices: Vec::new(),
        };
        let host = Host::new(&settings(), &host, &Arc::new(Log::default()));
        format!("{}: {}", host.name, host.by_hand(&["nft", "delete table", "it's"]))
    };
    assert_eq!(host(None, None, false), r"local: nft 'delete table' 'it'\''s'");
    assert_eq!(
        host(None, Some("edge"), true),
        r"local in edge: sudo -n ip netns exec edge nft 'delete table' 'it'\''s'"
    );
    assert_eq!(
        host(Some("ops@gw1"), None, true),
        r"ops@gw1: ssh ops@gw1 'sudo -n nft '\''delete table'\'' '\''it'\''\'\'''\''s'\'''"
    );
}
