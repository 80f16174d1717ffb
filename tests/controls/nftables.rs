//! The `nftables` control against the kernel's own rules, in networks of one's own.

use std::time::Duration;

use firedrill::model::{
    ControlSpec, ControlState, CutOrder, Mode, NftablesHost, NftablesNetworks, NftablesPorts,
    NftablesSettings, Passage, Provider,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::nftables::Nftables;

use crate::contract;
use crate::netns::{Asked, EAST, EAST_6, EAST_NETS, Networks, WEST, WEST_6, WEST_NETS};
use crate::world::{A, B, within_bounds};

/// What somebody else has on the host.
pub const OTHERS: &str = "table inet filter {
  set friends { type ipv4_addr; elements = { 192.0.2.18 }; }
  chain input { type filter hook input priority 0; policy accept; ip saddr @friends accept; }
  chain forward { type filter hook forward priority 0; policy accept; ip daddr @friends accept; }
}";

pub fn order(mode: Mode) -> CutOrder {
    CutOrder::of(A, mode)
}

/// The namespaces named, as hosts.
pub fn hosts(networks: &Networks, names: &[&str]) -> Vec<NftablesHost> {
    let sudo = !rustix::process::geteuid().is_root();
    let host = |name: &&str| NftablesHost {
        netns: Some(networks.netns(name)),
        sudo,
        ..NftablesHost::default()
    };
    names.iter().map(host).collect()
}

pub fn settings(hosts: Vec<NftablesHost>) -> NftablesSettings {
    let of = |datacenter, name: &str, nets: &[&str]| NftablesNetworks {
        datacenter,
        name: name.into(),
        networks: nets.iter().map(|net| net.parse().unwrap()).collect(),
    };
    NftablesSettings {
        networks: vec![of(A, "east", EAST_NETS), of(B, "west", WEST_NETS)],
        ports: Vec::new(),
        hosts,
        ssh_config: None,
        expires_in: Duration::from_secs(60),
        // On a processor that is itself a program, beside others, a command may take its time.
        timeout: Duration::from_secs(if crate::machine::is_inside() { 60 } else { 10 }),
    }
}

pub fn spec(settings: &NftablesSettings) -> ControlSpec {
    ControlSpec { name: "wan".into(), provider: Provider::Nftables(settings.clone()) }
}

pub fn control(settings: &NftablesSettings) -> Nftables {
    Nftables::new(&spec(settings), settings)
}

/// Cuts, and gives what a restore needs.
pub async fn cut(control: &dyn TrafficControl, order: &CutOrder) -> ControlState {
    let before = control.inspect().await.unwrap();
    control.cut(order, &before).await.unwrap();
    let now = control.inspect().await.unwrap();
    assert!(now.is_cut(order), "{now:?}");
    before.cuttable(order)
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_in_both_modes_at_users_and_on_the_way_and_touches_nobody_elses_rules() {
    let networks = Networks::start().await;
    for host in ["client", "gateway"] {
        networks.nft(host, OTHERS);
        let before = networks.ruleset(host);
        let control = control(&settings(hosts(&networks, &[host])));
        contract::holds(&control, &order(Mode::Blackhole)).await;
        contract::holds(&control, &order(Mode::Reset)).await;
        assert_eq!(networks.ruleset(host), before, "byte for byte");

        let ours = cut(&control, &order(Mode::Reset)).await;
        let with_ours = networks.ruleset(host);
        assert!(with_ours.starts_with(&before), "{with_ours}");
        control.restore(&ours).await.unwrap();
        assert_eq!(networks.ruleset(host), before, "byte for byte");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_blackhole_requests_hang_and_downloads_stall_and_go_on_after_the_restore() {
    let networks = Networks::start().await;
    for host in ["client", "gateway"] {
        // Who accepts elsewhere accepts in vain.
        networks.nft(host, OTHERS);
        let control = control(&settings(hosts(&networks, &[host])));
        let (mut east, mut west) = (networks.download(EAST).await, networks.download(WEST).await);
        let mut east_6 = networks.download(EAST_6).await;

        let ours = cut(&control, &order(Mode::Blackhole)).await;
        assert_eq!(networks.ask_briefly(EAST).await, Asked::Hangs, "{host}");
        assert_eq!(networks.ask_briefly(EAST_6).await, Asked::Hangs, "{host}");
        east.stalls().await;
        east_6.stalls().await;
        assert_eq!(networks.ask(WEST).await, Asked::by("west"), "{host}");
        assert_eq!(networks.ask(WEST_6).await, Asked::by("west"), "{host}");
        assert!(west.goes_on_for(2000).await, "{host}");

        control.restore(&ours).await.unwrap();
        assert_eq!(networks.ask(EAST).await, Asked::by("east"), "{host}");
        assert_eq!(networks.ask(EAST_6).await, Asked::by("east"), "{host}");
        assert!(east.goes_on_for(2000).await, "{host}: it goes on where it was");
        assert!(east_6.goes_on_for(2000).await, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_refuses_at_once_and_breaks_downloads_at_both_ends() {
    let networks = Networks::start().await;
    for host in ["client", "gateway"] {
        let control = control(&settings(hosts(&networks, &[host])));
        let (mut east, mut west) = (networks.download(EAST).await, networks.download(WEST).await);
        let mut east_6 = networks.download(EAST_6).await;

        let ours = cut(&control, &order(Mode::Reset)).await;
        for address in [EAST, EAST_6] {
            let asked = networks.ask(address).await;
            assert!(asked.is_refused(), "{host}, {address}: {asked:?}");
        }
        for (download, address) in [(&mut east, EAST), (&mut east_6, EAST_6)] {
            let told = download.breaks().await;
            assert!(told.contains("reset"), "{host}, {address}: {told}");
        }
        let established =
            || networks.inside("east", "ss", &["-Htn", "state", "established", "( sport = :80 )"]);
        within_bounds("the servers know it, too", async || established().is_empty()).await;
        assert_eq!(networks.ask(WEST).await, Asked::by("west"), "{host}");
        assert!(west.goes_on_for(2000).await, "{host}");

        control.restore(&ours).await.unwrap();
        assert_eq!(networks.ask(EAST).await, Asked::by("east"), "{host}");
        assert_eq!(networks.ask(EAST_6).await, Asked::by("east"), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_ports_named_are_cut_off() {
    let networks = Networks::start().await;
    for (port, mode) in [(80, Mode::Blackhole), (80, Mode::Reset), (443, Mode::Reset)] {
        let mut settings = settings(hosts(&networks, &["client"]));
        let other = NftablesPorts { first: 8000, last: 8100 };
        settings.ports = vec![NftablesPorts { first: port, last: port }, other];
        let control = control(&settings);
        contract::holds(&control, &order(mode)).await;
        let mut download = networks.download(EAST).await;
        let ours = cut(&control, &order(mode)).await;
        let asked = match (port, mode) {
            (80, Mode::Blackhole) => networks.ask_briefly(EAST).await,
            _ => networks.ask(EAST).await,
        };
        match (port, mode) {
            (80, Mode::Blackhole) => {
                assert_eq!(asked, Asked::Hangs);
                download.stalls().await;
            }
            (80, _) => {
                assert!(asked.is_refused(), "{asked:?}");
                assert!(download.breaks().await.contains("reset"));
            }
            _ => {
                assert_eq!(asked, Asked::by("east"), "accepted, and moves nothing");
                assert!(download.goes_on_for(2000).await);
            }
        }
        let other = format!("TCP:{EAST}:81");
        let other = networks.command("client", "socat", &["-u", "/dev/null", &other]).output();
        let told = String::from_utf8(other.unwrap().stderr).unwrap();
        assert!(told.contains("refused"), "nobody listens there, and says so: {told}");
        control.restore(&ours).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datacenter_that_is_dead_or_hangs_is_cut_and_restored_like_any_other() {
    let mut networks = Networks::start().await;
    let control = control(&settings(hosts(&networks, &["client"])));
    networks.signal("east", "-STOP");
    assert_eq!(networks.ask_briefly(EAST).await, Asked::Hangs);
    contract::holds(&control, &order(Mode::Blackhole)).await;
    let ours = cut(&control, &order(Mode::Reset)).await;
    assert!(networks.ask(EAST).await.is_refused(), "what hangs no longer does");
    control.restore(&ours).await.unwrap();
    networks.signal("east", "-CONT");
    assert_eq!(networks.ask(EAST).await, Asked::by("east"));

    networks.signal("east", "-KILL");
    within_bounds("it is dead", async || networks.ask_briefly(EAST).await.is_refused()).await;
    contract::holds(&control, &order(Mode::Reset)).await;
    let ours = cut(&control, &order(Mode::Blackhole)).await;
    assert_eq!(networks.ask_briefly(EAST).await, Asked::Hangs);
    control.restore(&ours).await.unwrap();
    networks.serve("east");
    within_bounds("it is back", async || networks.ask_briefly(EAST).await == Asked::by("east"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_hand_does_to_our_table_is_seen_and_left_alone() {
    let networks = Networks::start().await;
    let control = control(&settings(hosts(&networks, &["client", "gateway"])));
    let table = format!("inet {}", control.tables()[0]);
    let part = format!("local in {}/east", networks.netns("gateway"));
    let elsewhere = "add rule inet filter input accept";
    networks.nft("gateway", OTHERS);
    for script in [
        format!("flush table {table}"),
        format!("flush chain {table} forward"),
        format!("delete chain {table} input; delete chain {table} output"),
        format!("insert rule {table} forward accept"),
        format!("add rule {table} output counter"),
        format!("add element {table} networks4 {{ 198.51.100.0/24 }}"),
        format!("delete element {table} networks6 {{ 2001:db8:1::/64 }}"),
        format!("add chain {table} forward {{ policy drop; }}"),
        format!("add chain {table} mine"),
        format!("add set {table} mine {{ type ipv4_addr; }}"),
        format!("add counter {table} mine"),
        format!("flush set {table} alive; add element {table} alive {{ ipv4, ipv6 }}"),
    ] {
        // A chain has to be empty to go.
        let script = match script.starts_with("delete chain") {
            true => format!("flush table {table}; {script}"),
            false => script,
        };
        let hand = async || networks.nft("gateway", &format!("{script}; {elsewhere}"));
        contract::leaves_another_hand_alone(&control, &order(Mode::Blackhole), &part, hand()).await;
    }
    // Deleted, or with its time run out, it is no longer cut, and nothing is left to put back.
    for script in [format!("delete table {table}"), format!("flush set {table} alive")] {
        let ours = cut(&control, &order(Mode::Blackhole)).await;
        networks.nft("gateway", &script);
        let now = control.inspect().await.unwrap();
        assert_eq!(now.parts[&part], ours.parts[&part], "{script}");
        assert_eq!(now.parts[&part].passage, Passage::Open, "{script}");
        control.restore(&ours).await.unwrap();
    }
    assert_eq!(networks.ask(EAST).await, Asked::by("east"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_ends_by_itself_when_nobody_keeps_it_alive_and_only_then() {
    let networks = Networks::start().await;
    let mut settings = settings(hosts(&networks, &["gateway"]));
    settings.expires_in = Duration::from_secs(2);
    let control = control(&settings).renewing_every(Duration::from_millis(200));
    let mut download = networks.download(EAST).await;
    let ours = cut(&control, &order(Mode::Blackhole)).await;
    let mut renewed = 0;
    within_bounds("its end was moved on for twice its time", async || {
        let asked = control.exchanges().into_iter().map(|it| it.asked);
        renewed += asked.filter(|asked| asked.contains("delete element")).count();
        renewed >= 20
    })
    .await;
    assert!(control.inspect().await.unwrap().is_cut(&order(Mode::Blackhole)));
    download.stalls().await;

    // The drill dies, and nobody can reach the host.
    drop(control);
    within_bounds("traffic is back", async || {
        networks.ask_briefly(EAST).await == Asked::by("east")
    })
    .await;
    assert!(download.goes_on_for(2000).await);
    let after = self::control(&settings);
    assert_eq!(after.inspect().await.unwrap().only(&ours), ours);
    contract::holds(&after, &order(Mode::Reset)).await;
    assert!(!networks.ruleset("gateway").contains("firedrill"), "what was left over is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_over_is_not_moved_on() {
    let networks = Networks::start().await;
    let settings = settings(hosts(&networks, &["client"]));
    let control = control(&settings).renewing_every(Duration::from_millis(50));
    let table = format!("inet {}", control.tables()[0]);
    cut(&control, &order(Mode::Blackhole)).await;
    // As the kernel does it.
    networks.nft("client", &format!("flush set {table} alive"));
    control.exchanges();
    let mut refused = 0;
    within_bounds("it was tried again and again", async || {
        let calls = control.exchanges().into_iter();
        let calls = calls.filter(|it| it.asked.contains("delete element"));
        refused += calls.filter(|it| it.answered.contains("No such file")).count();
        refused >= 5
    })
    .await;
    assert!(!control.inspect().await.unwrap().is_cut(&order(Mode::Blackhole)));
    assert_eq!(networks.ask(EAST).await, Asked::by("east"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_hand_ended_keeps_no_other_end_from_being_moved_on() {
    let networks = Networks::start().await;
    let mut settings = settings(hosts(&networks, &["gateway", "client"]));
    settings.expires_in = Duration::from_secs(2);
    let control = control(&settings).renewing_every(Duration::from_millis(200));
    let both = CutOrder { datacenters: vec![A, B], ..order(Mode::Blackhole) };
    let ours = cut(&control, &both).await;
    let part = format!("local in {}/east", networks.netns("gateway"));
    let east = &control.tables()[0];
    networks.nft("gateway", &format!("delete table inet {east}"));
    control.exchanges();
    let (mut refused, mut renewed) = (0, 0);
    within_bounds("for twice its time it was tried, and all others were moved on", async || {
        for call in control.exchanges().into_iter().filter(|it| it.asked.contains("add element")) {
            match call.answered.contains("No such file") {
                true => refused += 1,
                false => renewed += 1,
            }
        }
        refused >= 20 && renewed >= 60
    })
    .await;
    let now = control.inspect().await.unwrap();
    for (name, state) in &now.parts {
        let expected = if *name == part { Passage::Open } else { Passage::Closed };
        assert_eq!(state.passage, expected, "{name}");
    }
    control.restore(&ours).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_finds_the_cut_again_and_puts_it_back() {
    let networks = Networks::start().await;
    let settings = settings(hosts(&networks, &["client"]));
    let ours = cut(&control(&settings), &order(Mode::Blackhole)).await;
    let kept = serde_json::to_string(&spec(&settings)).unwrap();
    let kept: ControlSpec = serde_json::from_str(&kept).unwrap();
    let other = firedrill::traffic::reach(&kept).unwrap().unwrap();
    assert!(other.inspect().await.unwrap().is_cut(&order(Mode::Blackhole)));
    let by_hand = other.by_hand(&ours);
    assert_eq!(by_hand.len(), 1);
    other.restore(&ours).await.unwrap();
    assert_eq!(networks.ask(EAST).await, Asked::by("east"));

    // And a person, with what is printed.
    cut(&control(&settings), &order(Mode::Reset)).await;
    let shell = std::process::Command::new("sh").args(["-c", &by_hand[0]]).status().unwrap();
    assert!(shell.success(), "{by_hand:?}");
    assert_eq!(networks.ask(EAST).await, Asked::by("east"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_before_the_cut_is_neither_cut_nor_opened() {
    let networks = Networks::start().await;
    let both = control(&settings(hosts(&networks, &["client", "gateway"])));
    let first = control(&settings(hosts(&networks, &["gateway"])));
    let theirs = cut(&first, &order(Mode::Blackhole)).await;
    let ours = cut(&both, &order(Mode::Blackhole)).await;
    assert_eq!(ours.parts.len(), 1);
    both.restore(&ours).await.unwrap();
    assert!(first.inspect().await.unwrap().is_cut(&order(Mode::Blackhole)));
    first.restore(&theirs).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_says_what_is_in_the_way_and_changes_nothing() {
    let networks = Networks::start().await;
    let refused = async |hosts: Vec<NftablesHost>| {
        let error = control(&settings(hosts)).preflight().await.unwrap_err();
        error.to_string()
    };
    let control = control(&settings(hosts(&networks, &["client"])));
    control.preflight().await.unwrap();
    assert_eq!(networks.ruleset("client"), "");

    let table = &control.tables()[0];
    networks.nft("client", &format!("add table inet {table}"));
    let before = networks.ruleset("client");
    let said = refused(hosts(&networks, &["client"])).await;
    assert!(said.contains(table) && said.contains("chain input is gone"), "{said}");
    assert!(said.contains(&format!("nft delete table inet {table}")), "{said}");
    assert_eq!(networks.ruleset("client"), before);

    let mut nowhere = hosts(&networks, &["client"]);
    nowhere[0].netns = Some("no-such-namespace".to_owned());
    let said = refused(nowhere).await;
    assert!(said.contains("network namespace") && said.contains("ip netns list"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_noted_with_what_was_answered() {
    let networks = Networks::start().await;
    let control = control(&settings(hosts(&networks, &["client"])));
    let ours = cut(&control, &order(Mode::Blackhole)).await;
    assert_eq!(networks.ask_briefly(EAST).await, Asked::Hangs);
    control.exchanges();
    control.inspect().await.unwrap();
    let table = &control.tables()[0];
    let calls = control.exchanges();
    let asked: Vec<bool> = calls.iter().map(|it| it.asked.contains("nft -j list table")).collect();
    assert_eq!(asked, [true, true]);
    assert_eq!(calls[0].answered, format!("1 tables, ours: [{table}]"));
    let met = calls[1].answered.strip_prefix("our blackhole, in force; ").unwrap();
    let packets: u64 = met.strip_suffix(" packets met its rules").unwrap().parse().unwrap();
    assert!(packets > 0, "{met}");
    control.restore(&ours).await.unwrap();
    assert_eq!(control.by_hand(&ours).len(), 1);
    assert_eq!(control.calls(&order(Mode::Reset), &ours).len(), 1);
}
