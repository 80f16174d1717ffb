//! Scripts and readings without a kernel. What `ip` and `tc` say here was said by iproute2 6.1 on Linux 6.1.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Numbers;
use super::pieces::{self, PREFERENCE};
use super::seen::{self, Filter, Link, Seen};
use crate::model::{DatacenterId, Degrade, NftablesNetworks};
use crate::traffic::nftables::table::Table;

const LINKS: &str = r#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK"],"mtu":65536,"qdisc":"noop","operstate":"DOWN","linkmode":"DEFAULT","group":"default","txqlen":1000,"link_type":"loopback","address":"00:00:00:00:00:00","broadcast":"00:00:00:00:00:00","promiscuity":0,"allmulti":0,"min_mtu":0,"max_mtu":0,"inet6_addr_gen_mode":"eui64","num_tx_queues":1,"num_rx_queues":1,"gso_max_size":65536,"gso_max_segs":65535},
{"ifindex":2,"ifname":"t0","flags":["BROADCAST","NOARP","UP","LOWER_UP"],"mtu":1500,"qdisc":"netem","operstate":"UNKNOWN","linkmode":"DEFAULT","group":"default","txqlen":32,"link_type":"ether","address":"9e:6d:82:95:e1:e9","broadcast":"ff:ff:ff:ff:ff:ff","promiscuity":0,"allmulti":0,"min_mtu":0,"max_mtu":0,"linkinfo":{"info_kind":"ifb"},"inet6_addr_gen_mode":"eui64","num_tx_queues":1,"num_rx_queues":1,"gso_max_size":65536,"gso_max_segs":65535,"ifalias":"firedrill:eth0,eth1"}]"#;

const QUEUES: &str = r#"[{"kind":"netem","handle":"8001:","dev":"t0","root":true,"refcnt":2,"options":{"limit":55000,"delay":{"delay":0.05,"jitter":0.005,"correlation":0},"loss-random":{"loss":0.1,"correlation":0},"ecn":false,"gap":0}},{"kind":"clsact","handle":"ffff:","dev":"t0","parent":"ffff:fff1","options":{}}]"#;

const MUCH: &str = r#"[{"kind":"netem","handle":"8001:","dev":"t0","root":true,"refcnt":2,"options":{"limit":1000,"delay":{"delay":0.051,"jitter":0.005,"correlation":0.25},"duplicate":{"duplicate":0.01,"correlation":0},"reorder":{"reorder":0.01,"correlation":0},"corrupt":{"corrupt":0.01,"correlation":0},"rate":{"rate":125000,"packetoverhead":0,"cellsize":0,"celloverhead":0},"ecn":false,"gap":5}}]"#;

const FILTERS: &str = "qdisc prio 1: root refcnt 2 bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1 
qdisc clsact ffff: parent ffff:fff1 
qdisc clsact ffff: parent ffff:fff1 
filter protocol all pref 10 basic chain 0 
filter protocol all pref 10 basic chain 0 handle 0x1 
	action order 1: gact action pass
	 random type none pass val 0
	 index 1 ref 1 bind 1

filter protocol all pref 64798 basic chain 0 
filter protocol all pref 64798 basic chain 0 handle 0x7455667f 
  meta(priority eq 1951753855)

	action order 1: mirred (Egress Redirect to device t0) stolen
	index 2 ref 1 bind 1

filter protocol all pref 64798 basic chain 0 handle 0x44556670 
  meta(priority eq 7)
  AND meta(nf_mark eq 1)

	action order 1: gact action pass
	 random type none pass val 0
	 index 1 ref 1 bind 1

qdisc mq 0: root 
 a line more
qdisc clsact ffff: parent ffff:fff1 
";

fn table() -> Table {
    let networks = vec!["10.1.0.0/16".parse().unwrap()];
    let of = NftablesNetworks { datacenter: DatacenterId(0), name: "east".into(), networks };
    Table::new(&"wan".into(), &of, &[])
}

fn numbers() -> Numbers {
    let ms = Duration::from_millis;
    Numbers::of(&Degrade { latency: ms(50), jitter: ms(5), loss: 0.1, bandwidth: None })
}

fn devices() -> Vec<String> {
    vec!["eth0".to_owned(), "eth1".to_owned()]
}

/// A host with all of ours, as `tc` would tell it.
fn whole(table: &Table) -> Seen {
    let ours = table.device("fd");
    let card = Link { is_up: true, ..Link::default() };
    let ifb = Link { kind: "ifb".to_owned(), is_up: true, alias: "firedrill:eth1".to_owned() };
    let links = [("eth0".to_owned(), card.clone()), ("eth1".to_owned(), card), (ours.clone(), ifb)];
    let named = |it: &str| it.replace("\"t0\"", &format!("\"{ours}\""));
    let mut queues = seen::queues(named(QUEUES).as_bytes()).unwrap();
    queues.retain(|it| it.kind == "netem");
    for device in devices() {
        let clsact = QUEUES.replace("\"t0\"", &format!("\"{device}\""));
        queues.extend(seen::queues(clsact.as_bytes()).unwrap().into_iter().skip(1));
    }
    let class = table.class();
    let filter = Filter {
        preference: PREFERENCE,
        kind: "basic".to_owned(),
        handle: Some(class),
        does: format!(
            "meta(priority eq {class}) action order 1: mirred (Egress Redirect to device {ours}) stolen index 2 ref 1 bind 1"
        ),
    };
    let egress = devices().into_iter().map(|it| (it, vec![filter.clone()])).collect();
    Seen { links: links.into(), queues, egress }
}

#[test]
fn what_ip_and_tc_say_is_read() {
    let links = seen::links(LINKS.as_bytes()).unwrap();
    assert_eq!(links["lo"], Link::default());
    let alias = "firedrill:eth0,eth1".to_owned();
    assert_eq!(links["t0"], Link { kind: "ifb".to_owned(), is_up: true, alias });

    let queues = seen::queues(QUEUES.as_bytes()).unwrap();
    let told: Vec<_> = queues.iter().map(|it| (&*it.device, &*it.kind, it.is_root)).collect();
    assert_eq!(told, [("t0", "netem", true), ("t0", "clsact", false)]);
    assert!(numbers().are(queues[0].netem.as_ref().unwrap()), "{queues:?}");
    let much = seen::queues(MUCH.as_bytes()).unwrap();
    let mut more = much[0].netem.clone().unwrap().more;
    more.sort_unstable();
    assert_eq!(more, ["correlation of delay", "corrupt", "duplicate", "gap", "rate", "reorder"]);
    for nothing in ["", "\n", "[]", "[ ]\n"] {
        assert!(seen::queues(nothing.as_bytes()).unwrap().is_empty());
    }
    for nonsense in ["{", "{}", "Error: what"] {
        assert!(seen::queues(nonsense.as_bytes()).is_err(), "{nonsense}");
        assert!(seen::links(nonsense.as_bytes()).is_err(), "{nonsense}");
    }
}

#[test]
fn filters_are_read_though_they_are_no_json() {
    let devices = ["east", "eth0", "eth1"];
    let all = seen::filters(FILTERS.as_bytes(), &devices).unwrap();
    assert!(all["east"].is_empty() && all["eth1"].is_empty());
    let filters = all["eth0"].clone();
    let heads: Vec<_> = filters.iter().map(|it| (it.preference, &*it.kind, it.handle)).collect();
    assert_eq!(
        heads,
        [
            (10, "basic", Some(1)),
            (64798, "basic", Some(0x7455_667f)),
            (64798, "basic", Some(0x4455_6670))
        ]
    );
    assert_eq!(
        filters[1].does,
        "meta(priority eq 1951753855) action order 1: mirred (Egress Redirect to device t0) stolen index 2 ref 1 bind 1"
    );
    assert!(
        filters[2]
            .does
            .starts_with("meta(priority eq 7) AND meta(nf_mark eq 1) action order 1: gact")
    );
    assert!(filters[2].does.ends_with("bind 1"), "{filters:?}");
    // Whose they are nobody knows if one went meanwhile.
    assert_eq!(seen::filters(FILTERS.as_bytes(), &devices[1..]), None);
    assert_eq!(seen::filters(b"", &devices), None);
    assert_eq!(seen::filters(b"\xff what\nfilter\n", &[]), Some(BTreeMap::new()));
    let said = "qdisc show dev a\nfilter show dev a egress pref 64798\nqdisc show dev b\nfilter show dev b egress\n";
    assert_eq!(seen::asked(&["a", "b"], "egress", &["b"].into()), said);
    // `tc` does not repeat what it was asked.
    let short = FILTERS.replace(" pref 64798", "");
    assert_eq!(seen::filters(short.as_bytes(), &devices), Some(all));
    let queues = QUEUES.replace("\"t0\"", "\"a#b\"") + QUEUES;
    let queues = seen::queues(queues.replace("][", ",").as_bytes()).unwrap();
    assert_eq!(seen::with_clsact(&queues).collect::<Vec<_>>(), ["t0"]);
}

#[test]
fn a_degraded_path_is_ours_only_if_all_of_it_is() {
    let (table, numbers) = (table(), numbers());
    let ours = table.device("fd");
    let fits = |seen: &Seen| pieces::fit(seen, &table, numbers, &devices());
    assert_eq!(fits(&whole(&table)), Ok(()));
    let changed = |change: &dyn Fn(&mut Seen)| {
        let mut seen = whole(&table);
        change(&mut seen);
        fits(&seen).unwrap_err().replace(&ours, "OURS")
    };
    let link = |change: fn(&mut Link)| changed(&|it| change(it.links.get_mut(&ours).unwrap()));
    let filter =
        |change: fn(&mut Filter)| changed(&|it| change(&mut it.egress.get_mut("eth1").unwrap()[0]));
    assert_eq!(changed(&|it| drop(it.links.remove(&ours))), "our device OURS is gone");
    assert_eq!(link(|it| it.is_up = false), "our device OURS is down");
    assert_eq!(link(|it| it.kind = "veth".into()), "OURS is no device of ours");
    assert_eq!(link(|it| it.alias = "mine".into()), "OURS is no device of ours");
    assert_eq!(changed(&|it| it.queues.clear()), "the netem of our device OURS is gone");
    assert_eq!(
        changed(&|it| it.queues[0].netem.as_mut().unwrap().delay = 0.051),
        "the netem of our device OURS has other numbers than ours"
    );
    assert_eq!(changed(&|it| drop(it.links.remove("eth0"))), "the device eth0 is gone");
    assert_eq!(changed(&|it| drop(it.egress.remove("eth0"))), "our filter at eth0 is gone");
    assert_eq!(filter(|it| it.handle = Some(1)), "our filter at eth1 is gone");
    assert_eq!(filter(|it| it.preference = 1), "our filter at eth1 is gone");
    assert_eq!(filter(|it| it.kind = "u32".into()), "our filter at eth1 is another");
    assert_eq!(
        filter(|it| it.does.insert_str(0, "meta(nf_mark eq 1) AND ")),
        "our filter at eth1 is another"
    );
    assert_eq!(filter(|it| it.does += " action order 2: gact"), "our filter at eth1 is another");
    assert_eq!(
        filter(|it| it.does = it.does.replace("stolen", "pipe")),
        "our filter at eth1 is another"
    );
    let beside = |it: &mut Seen| drop(it.egress.insert("eth2".into(), it.egress["eth1"].clone()));
    assert_eq!(changed(&beside), "a filter of ours is at eth2, which the plan does not name");
    assert_eq!(
        pieces::fit(&whole(&table), &table, numbers, &[]),
        Err("it degrades, and the plan names no devices".to_owned())
    );
}

#[test]
fn what_is_missing_is_made_and_no_root_queue_of_others_is_named() {
    let (table, numbers) = (table(), numbers());
    let mut bare = whole(&table);
    bare.links.remove(&table.device("fd"));
    bare.queues.retain(|it| it.device == "eth0");
    bare.egress.clear();
    let (ours, class) = (table.device("fd"), table.class());
    let script = pieces::made(&bare, &[&table], numbers, &devices());
    assert_eq!(
        script.ip,
        format!(
            "link add name {ours} type ifb\nlink set dev {ours} alias firedrill:eth1\nlink set dev {ours} up\n"
        )
    );
    let filter = |device: &str| {
        format!(
            "filter replace dev {device} egress pref 64798 protocol all handle {class:#x} basic \
             match 'meta(priority eq {class:#x})' action mirred egress redirect dev {ours}\n"
        )
    };
    assert_eq!(
        script.tc,
        format!(
            "qdisc replace dev {ours} root netem limit 55000 delay 50000us 5000us loss 10.0000%\n{}\
             qdisc add dev eth1 clsact\n{}",
            filter("eth0"),
            filter("eth1")
        )
    );
    assert!((0x4000_0000..0x8000_0000).contains(&class) && class & 0xf == 0, "{class:#x}");

    // What a plan that named another device left there would swallow its packets.
    let mut before = whole(&table);
    before.egress.insert("eth2".to_owned(), before.egress["eth1"].clone());
    let script = pieces::made(&before, &[&table], numbers, &devices());
    let removal =
        format!("filter del dev eth2 egress pref 64798 protocol all handle {class:#x} basic\n");
    assert!(script.tc.contains(&removal), "{script:?}");

    // What is there is kept; what netem does besides it is not told again, and would stay.
    let mut there = whole(&table);
    there.queues[0].netem.as_mut().unwrap().more.push("corrupt".to_owned());
    let script = pieces::made(&there, &[&table], numbers, &devices());
    assert!(
        !script.ip.contains("link add") && script.ip.contains("alias firedrill:eth1\n"),
        "{script:?}"
    );
    assert!(script.tc.starts_with(&format!("qdisc del dev {ours} root\n")), "{script:?}");
    assert!(!script.tc.contains("clsact"), "{script:?}");
}

#[test]
fn only_what_is_ours_is_deleted_and_a_clsact_only_where_it_is_empty() {
    let table = table();
    let (ours, class) = (table.device("fd"), table.class());
    let tables = [&table];
    let deleted = |seen: &Seen| {
        let emptied = pieces::emptied(seen, &tables);
        pieces::deleted(seen, &tables, &emptied)
    };
    let removal = |device: &str| {
        format!("filter del dev {device} egress pref 64798 protocol all handle {class:#x} basic\n")
    };
    let gone = format!("link del dev {ours}\n");
    let seen = whole(&table);
    let script = deleted(&seen);
    assert_eq!(script.tc, format!("qdisc del dev eth1 clsact\n{}", removal("eth0")));
    assert_eq!(script.ip, gone);

    let mut shared = whole(&table);
    let theirs = Filter { preference: 10, handle: Some(1), ..Filter::default() };
    shared.egress.get_mut("eth1").unwrap().push(theirs);
    let script = deleted(&shared);
    assert_eq!(script.tc, removal("eth0") + &removal("eth1"));
    assert_eq!(script.ip, gone);

    let mut elsewhere = whole(&table);
    elsewhere.egress.insert("eth2".to_owned(), seen.egress["eth0"].clone());
    assert!(deleted(&elsewhere).tc.ends_with(&removal("eth2")), "{elsewhere:?}");

    let mut theirs = whole(&table);
    theirs.links.get_mut(&ours).unwrap().alias = "mine".to_owned();
    assert_eq!(deleted(&theirs).ip, "");
    assert_eq!(deleted(&Seen::default()), pieces::Script::default());
    assert_eq!(pieces::on_the_way(&seen, &tables), Duration::from_millis(105));
    assert_eq!(pieces::on_the_way(&Seen::default(), &tables), Duration::ZERO);
}
