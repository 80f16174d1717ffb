//! `degrade` of the `nftables` control: what netem does to packets, as users see it, in networks of one's own.
//!
//! It takes a kernel that has netem. One that has none runs these tests in a virtual machine ([`crate::machine`]).

use std::time::Duration;

use firedrill::journal::Says;
use firedrill::model::{
    CutOrder, Degrade, Mode, NftablesHost, NftablesPorts, NftablesSettings, Passage,
};
use firedrill::restore::Reading;
use firedrill::traffic::TrafficControl;
use firedrill::traffic::nftables::Nftables;

use crate::contract;
use crate::datagrams::{self, Path};
use crate::machine;
use crate::netns::{EAST, EAST_6, Networks, WEST, as_root};
use crate::nftables::{OTHERS, control, cut, hosts, order, settings};
use crate::nftables_ssh;
use crate::world::{B, within_bounds};

const MS: fn(u64) -> Duration = Duration::from_millis;
/// Where datagrams are answered.
const PORT: u16 = 7000;

fn degrade(latency: u64, jitter: u64, loss: f64) -> Mode {
    Mode::Degrade(Degrade { latency: MS(latency), jitter: MS(jitter), loss, bandwidth: None })
}

/// A host with its devices.
fn at(networks: &Networks, host: &str, devices: &[&str]) -> Vec<NftablesHost> {
    let mut hosts = hosts(networks, &[host]);
    hosts[0].devices = devices.iter().map(|it| (*it).to_owned()).collect();
    hosts
}

/// The gateway with the devices on the way to east: what comes and what goes passes one of them on its way out.
fn at_gateway(networks: &Networks) -> NftablesSettings {
    settings(at(networks, "gateway", &["client", "east"]))
}

/// Everything on a host that we could touch, without what only counts.
fn everything(networks: &Networks, host: &str) -> String {
    const ALL: &str = "ip -d link show | sed 's/ state [A-Z]*//'; tc qdisc show; nft list ruleset
        for it in client east west eth0; do for side in egress ingress; do
          tc filter show dev $it $side 2>/dev/null; done; done; true";
    networks.inside(host, "sh", &["-c", ALL])
}

/// Whether the kernel makes what `degrade` takes.
fn kernel_degrades() -> bool {
    let netns = format!("fd{}-try", std::process::id());
    let run = |program: &str, words: &[&str]| {
        as_root(program).args(words).output().is_ok_and(|it| it.status.success())
    };
    let inside = |words: &[&str]| run("ip", &[&["netns", "exec", &netns], words].concat());
    assert!(run("ip", &["netns", "add", &netns]), "a namespace of one's own");
    let can = inside(&["ip", "link", "add", "name", "try0", "type", "ifb"])
        && inside(&["tc", "qdisc", "add", "dev", "try0", "root", "netem", "delay", "1ms"])
        && inside(&["tc", "qdisc", "add", "dev", "try0", "clsact"])
        && inside(&[
            "tc",
            "filter",
            "add",
            "dev",
            "try0",
            "egress",
            "basic",
            "match",
            "meta(priority eq 1)",
            "action",
            "mirred",
            "egress",
            "redirect",
            "dev",
            "try0",
        ]);
    run("ip", &["netns", "del", &netns]);
    can
}

/// What was done, for whoever reads along; and that it was done is looked for.
fn told(what: &str) {
    println!("seen: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_are_delayed_and_lost_as_the_plan_says_and_nothing_else_is_touched() {
    if machine::is_inside() || kernel_degrades() {
        assert!(kernel_degrades(), "this machine is one that can");
        return all_of_it().await;
    }
    let name = "degrade::packets_are_delayed_and_lost_as_the_plan_says_and_nothing_else_is_touched";
    let said = machine::run(name);
    assert_eq!(said.matches("seen: ").count(), SEEN, "{said}");
    print!("{said}");
}

/// So much is told by [`all_of_it`].
const SEEN: usize = 10;

async fn all_of_it() {
    let mut networks = Networks::start().await;
    let _echoes = [("east", PORT), ("east", PORT + 1), ("west", PORT)]
        .map(|(at, port)| datagrams::echo(&networks, at, port));
    keeps_the_contract(&networks).await;
    latency_and_loss_as_users_see_them(&networks).await;
    on_an_end_host_its_own_half_of_the_ports_named(&networks).await;
    another_hand_is_seen(&networks).await;
    what_was_broken_off_is_mended(&networks).await;
    two_share_a_device_and_a_third_is_refused(&networks).await;
    it_ends_by_itself(&networks).await;
    through_ssh(&mut networks).await;
}

fn tc(networks: &Networks, line: &str) -> String {
    networks.inside("gateway", "tc", &line.split(' ').collect::<Vec<_>>())
}

/// On a host where others have queues, filters and rules of their own.
async fn keeps_the_contract(networks: &Networks) {
    networks.nft("gateway", OTHERS);
    tc(networks, "qdisc add dev east root handle 1: prio");
    tc(networks, "qdisc add dev client clsact");
    tc(
        networks,
        "filter add dev client egress pref 10 protocol ip handle 0x1 basic action continue",
    );
    let before = everything(networks, "gateway");
    let control = control(&at_gateway(networks));
    let order = order(degrade(50, 5, 0.1));
    contract::holds(&control, &order).await;
    assert_eq!(everything(networks, "gateway"), before, "as it was, letter by letter");

    // And what they put meanwhile where we began.
    let ours = cut(&control, &order).await;
    let queues = tc(networks, "qdisc show dev east");
    assert!(queues.contains("qdisc prio 1: root"), "the root stays: {queues}");
    tc(networks, "filter add dev east ingress pref 10 protocol ip handle 0x1 basic action pass");
    control.restore(&ours).await.unwrap();
    let left = tc(networks, "filter show dev east ingress");
    assert!(left.contains("pref 10 basic"), "{left}");
    for line in ["del dev east root", "del dev east clsact", "del dev client clsact"] {
        tc(networks, &format!("qdisc {line}"));
    }
    told("the contract is kept, and what others have stays as it is");
}

/// What becomes of datagrams of a user.
fn asked(networks: &Networks, address: &str, count: u32) -> Path {
    datagrams::ask(networks, "client", address, count)
}

/// Datagrams to a datacenter and back are undisturbed.
fn is_quick(networks: &Networks, address: &str) {
    let path = asked(networks, address, 100);
    assert!(path.back == 1.0 && path.fastest < MS(45), "{address}: {path:?}");
}

fn shown(path: Path) -> String {
    format!("{:.1} % came back, in {:?} to {:?}", path.back * 100.0, path.fastest, path.slowest)
}

fn port(address: &str) -> String {
    format!("{address}:{PORT}")
}

async fn latency_and_loss_as_users_see_them(networks: &Networks) {
    let control = control(&at_gateway(networks));
    for address in [EAST, EAST_6, WEST] {
        is_quick(networks, &port(address));
    }
    let mut download = networks.download(EAST).await;
    let ours = cut(&control, &order(degrade(100, 0, 0.2))).await;
    for address in [EAST, EAST_6] {
        let path = asked(networks, &port(address), 2000);
        // A fifth is lost on each of both ways; by chance the share is off by more than 0.06 once in fifty million times.
        assert!((path.back - 0.64).abs() < 0.06, "{path:?}");
        assert!(path.fastest >= MS(200) && path.fastest < MS(290), "{path:?}");
        told(&format!("100 ms and 20 % each way, to {address}: {}", shown(path)));
    }
    is_quick(networks, &port(WEST));
    assert!(download.goes_on_for(500).await, "slower, but on it goes");
    control.restore(&ours).await.unwrap();
    is_quick(networks, &port(EAST));

    // Other numbers; and a packet that is on its way at the restore arrives.
    let ours = cut(&control, &order(degrade(300, 60, 0.0))).await;
    let asking = datagrams::begin(networks, "client", &port(EAST), 500);
    control.restore(&ours).await.unwrap();
    let path = asking.end();
    assert_eq!(path.back, 1.0, "nothing is lost by a delay, or by its end");
    // One way at least, for those that came through before.
    assert!(path.slowest >= MS(240), "{path:?}");
    told(&format!("put back amid 300 ms give or take 60 ms: {}", shown(path)));
    is_quick(networks, &port(EAST));
}

async fn on_an_end_host_its_own_half_of_the_ports_named(networks: &Networks) {
    let before = everything(networks, "client");
    let mut settings = settings(at(networks, "client", &["eth0"]));
    settings.ports = vec![NftablesPorts { first: PORT, last: PORT }];
    let control = control(&settings);
    let ours = cut(&control, &order(degrade(100, 60, 0.0))).await;
    let path = asked(networks, &port(EAST), 500);
    // 40 to 160 ms.
    assert!(path.back == 1.0 && path.fastest >= MS(40) && path.fastest < MS(90), "{path:?}");
    assert!(path.slowest > path.fastest + MS(60), "{path:?}");
    is_quick(networks, &format!("{EAST}:{}", PORT + 1));
    control.restore(&ours).await.unwrap();
    is_quick(networks, &port(EAST));
    assert_eq!(everything(networks, "client"), before);
    told(&format!("100 ms give or take 60 ms on what a user's host sends: {}", shown(path)));
}

/// The device of ours for east.
fn our_device(control: &Nftables) -> String {
    format!("fd{}", control.tables()[0].rsplit('_').next().unwrap())
}

async fn another_hand_is_seen(networks: &Networks) {
    let before = everything(networks, "gateway");
    let control = control(&at_gateway(networks));
    let part = format!("local in {}/east", networks.netns("gateway"));
    let (table, ours) = (control.tables()[0].clone(), our_device(&control));
    let order = order(degrade(50, 5, 0.1));
    let open = control.inspect().await.unwrap();
    control.cut(&order, &open).await.unwrap();
    let filters = tc(networks, "filter show dev east egress");
    let handle = filters.split("handle ").nth(1).unwrap().split_whitespace().next().unwrap();
    let filter = format!("dev east egress pref 64798 protocol all handle {handle} basic");
    let rule = format!("nft insert rule inet {table} postrouting accept");
    for (hand, key, said) in [
        (rule.clone(), "rules", "another rule than our"),
        (
            format!(
                "tc qdisc change dev {ours} root netem limit 55000 delay 50ms 5ms loss 10% corrupt 1%"
            ),
            "path",
            "other numbers",
        ),
        (
            format!("tc filter replace {filter} match 'meta(priority eq 7)' action pass"),
            "path",
            "our filter at east is another",
        ),
    ] {
        networks.inside("gateway", "sh", &["-c", &hand]);
        let now = control.inspect().await.unwrap();
        let told = &now.parts[&part].settings[key];
        assert!(told.contains(said) && !now.is_cut(&order), "{hand}: {now:?}");
        // By somebody's decision.
        control.cut(&order, &open).await.unwrap();
    }
    assert!(control.inspect().await.unwrap().is_cut(&order), "made anew");
    control.restore(&open).await.unwrap();
    assert_eq!(everything(networks, "gateway"), before);
    let hand = async || drop(networks.inside("gateway", "sh", &["-c", &rule]));
    contract::leaves_another_hand_alone(&control, &order, &part, hand()).await;
    assert_eq!(everything(networks, "gateway"), before);

    // Without our device all of it may be lost: nobody waits for a decision before the table goes.
    control.cut(&order, &open).await.unwrap();
    networks.inside("gateway", "ip", &["link", "del", "dev", &ours]);
    let now = control.inspect().await.unwrap();
    let expected = control.cut_state(&order, &open);
    let reading = Reading::of(&now, &open.cuttable(&order), &expected);
    assert_eq!((reading.says(), now.is_cut(&order)), (Says::Cut, false), "{now:?}");
    control.restore(&open).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), open);
    // With it went what knew that these are ours. Empty, they do nothing.
    for device in ["client", "east"] {
        tc(networks, &format!("qdisc del dev {device} clsact"));
    }
    assert_eq!(everything(networks, "gateway"), before);
    told("what another hand does is seen and left alone");
}

async fn what_was_broken_off_is_mended(networks: &Networks) {
    let before = everything(networks, "gateway");
    let control = control(&at_gateway(networks));
    let (table, ours) = (control.tables()[0].clone(), our_device(&control));
    let order = order(degrade(50, 5, 0.1));
    let open = control.inspect().await.unwrap();
    let filters = "for it in client east; do tc filter del dev $it egress; done";
    // As a restore leaves it, or a cut, from one step to the next.
    for left in [
        "true".to_owned(),
        "tc qdisc del dev east clsact".to_owned(),
        format!("{filters}; tc qdisc del dev {ours} root; ip link set dev {ours} down"),
    ] {
        control.cut(&order, &open).await.unwrap();
        let broken = format!("nft delete table inet {table}; {left}");
        networks.inside("gateway", "sh", &["-c", &broken]);
        assert_eq!(control.inspect().await.unwrap(), open, "{left}: it does nothing");
        control.restore(&open).await.unwrap();
        assert_eq!(everything(networks, "gateway"), before, "{left}");
    }
    // At its very beginning a cut has made a device, and no more.
    networks.inside("gateway", "ip", &["link", "add", "name", &ours, "type", "ifb"]);
    control.cut(&order, &open).await.unwrap();
    control.restore(&open).await.unwrap();
    assert_eq!(everything(networks, "gateway"), before);

    // What hangs at a device that the plan names no more is found, and taken away.
    control.cut(&order, &open).await.unwrap();
    let narrower = self::control(&settings(at(networks, "gateway", &["client"])));
    let now = format!("{:?}", narrower.inspect().await.unwrap());
    assert!(now.contains("a filter of ours is at east, which the plan does not name"), "{now}");
    narrower.restore(&open).await.unwrap();
    assert_eq!(everything(networks, "gateway"), before);

    // A device that is gone keeps nothing else from being put back.
    control.cut(&order, &open).await.unwrap();
    networks.inside("gateway", "ip", &["link", "del", "dev", "client"]);
    let now = format!("{:?}", control.inspect().await.unwrap());
    assert!(now.contains("the device client is gone"), "{now}");
    control.restore(&open).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), open);
    networks.link_again("client");
    assert!(!everything(networks, "gateway").contains(&ours));
    told("what was broken off is mended");
}

async fn two_share_a_device_and_a_third_is_refused(networks: &Networks) {
    let before = everything(networks, "gateway");
    let (one, two) = (control(&at_gateway(networks)), control(&at_gateway(networks)));
    let west = CutOrder::of(B, degrade(20, 0, 0.0));
    let east = cut(&one, &order(degrade(50, 5, 0.1))).await;
    let theirs = two.inspect().await.unwrap();
    two.cut(&west, &theirs).await.unwrap();
    let now = two.inspect().await.unwrap();
    let degraded = |it: &firedrill::model::PartState| it.passage == Passage::Degraded;
    assert!(now.parts.values().all(degraded), "{now:?}");

    let said = two.preflight().await.unwrap_err().to_string();
    assert!(
        said.contains("in force: degrade latency=50000us jitter=5000us loss=100000ppm"),
        "{said}"
    );
    two.cut(&order(Mode::Reset), &now).await.unwrap();
    two.restore(&now).await.unwrap();
    assert_eq!(two.inspect().await.unwrap(), now, "not ours to cut, or to put back");

    one.restore(&east).await.unwrap();
    assert!(two.inspect().await.unwrap().is_cut(&west), "the other one stays");
    two.restore(&theirs.cuttable(&west)).await.unwrap();
    assert_eq!(everything(networks, "gateway"), before, "the last one took all with it");
    told("two share a device, and the last takes its leave");
}

async fn it_ends_by_itself(networks: &Networks) {
    let before = everything(networks, "gateway");
    let mut settings = at_gateway(networks);
    settings.expires_in = Duration::from_secs(20);
    let control = control(&settings);
    let order = order(degrade(100, 0, 0.0));
    let open = control.inspect().await.unwrap();
    control.cut(&order, &open).await.unwrap();
    let by_hand = control.by_hand(&open.cuttable(&order));
    assert_eq!(by_hand.len(), 4, "{by_hand:?}");
    // Nobody moves its end on.
    drop(control);
    let path = asked(networks, &port(EAST), 20);
    assert!(path.fastest >= MS(200), "{path:?}");
    let after = self::control(&settings);
    within_bounds("it is over", async || after.inspect().await.unwrap() == open).await;
    is_quick(networks, &port(EAST));
    // What is left does nothing. A person deletes it, with what is printed.
    for line in &by_hand {
        let done = std::process::Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(done.status.success(), "{line}: {done:?}");
    }
    for device in ["client", "east"] {
        tc(networks, &format!("qdisc del dev {device} clsact"));
    }
    assert_eq!(everything(networks, "gateway"), before);
    told(&format!("a cut that nobody keeps alive ends by itself: {}", shown(path)));
}

async fn through_ssh(networks: &mut Networks) {
    nftables_ssh::sshd(networks, nftables_ssh::PATH).await;
    let before = everything(networks, "gateway");
    let mut settings = nftables_ssh::through(networks, &["gw"]);
    settings.hosts[0].devices = ["client", "east"].map(str::to_owned).into();
    // Nobody is in a hurry in a machine that is emulated.
    settings.timeout = Duration::from_secs(60);
    let control = control(&settings);
    let ours = cut(&control, &order(degrade(100, 0, 0.0))).await;
    let path = asked(networks, &port(EAST), 20);
    assert!(path.back == 1.0 && path.fastest >= MS(200), "{path:?}");
    is_quick(networks, &port(WEST));
    // Each command is a log-in. There are no more of them for more devices.
    let calls = || {
        let calls = control.exchanges().into_iter().map(|it| it.asked);
        calls.filter(|it| !it.contains("delete element")).collect::<Vec<_>>()
    };
    calls();
    control.inspect().await.unwrap();
    let reading = calls();
    assert_eq!(reading.len(), 5, "{reading:#?}");
    control.restore(&ours).await.unwrap();
    let restore = calls();
    assert_eq!(restore.len(), 7, "{restore:#?}");
    is_quick(networks, &port(EAST));
    assert_eq!(everything(networks, "gateway"), before);
    told(&format!("through ssh, {} log-ins a reading: {}", reading.len(), shown(path)));
}
