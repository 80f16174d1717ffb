//! The `nftables` control on other hosts, through the system's `ssh` and a real sshd on a gateway.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use firedrill::model::{CutOrder, Degrade, Mode, NftablesHost, NftablesSettings, Passage};
use firedrill::traffic::TrafficControl;

use crate::contract;
use crate::netns::{Asked, EAST, GATEWAY, Networks, WEST, done};
use crate::nftables::{control, cut, order, settings};
use crate::world::{A, B, within_bounds};

/// Starts sshd on the gateway, and writes settings for `ssh` that reach it from `ops`: `gw` and `gw-again` with everything that it
/// takes, and others with something wrong. Who logs in has `path` as PATH.
pub async fn sshd(networks: &mut Networks, path: &str) {
    let home = networks.home().display().to_string();
    let key = |name: &str| {
        let file = format!("{home}/{name}");
        done(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file]));
        std::fs::read_to_string(format!("{file}.pub")).unwrap()
    };
    let (host_key, user_key) = (key("host"), key("user"));
    key("stranger");
    std::fs::write(format!("{home}/authorized"), user_key).unwrap();
    std::fs::write(format!("{home}/known"), format!("{GATEWAY} {host_key}")).unwrap();
    std::fs::write(format!("{home}/nobody"), "").unwrap();
    // Where sshd keeps nothing, but wants it to be there.
    done(crate::netns::as_root("mkdir").args(["-p", "/run/sshd"]));
    let server = format!(
        "ListenAddress {GATEWAY}\nHostKey {home}/host\nAuthorizedKeysFile {home}/authorized\nStrictModes no\n\
         PasswordAuthentication no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nSetEnv PATH={path}\n"
    );
    std::fs::write(format!("{home}/sshd_config"), server).unwrap();
    networks.spawn(
        "gateway",
        "/usr/sbin/sshd",
        &["-D", "-e", "-f", &format!("{home}/sshd_config")],
    );

    let proxy = |from: &str| format!("ip netns exec {} socat - TCP:%h:%p", networks.netns(from));
    let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo -n " };
    let host = |name: &str, from: &str, key: &str, known: &str| {
        format!(
            "Host {name}\n  HostName {GATEWAY}\n  User root\n  IdentityFile {home}/{key}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {home}/{known}\n  GlobalKnownHostsFile none\n  ProxyCommand {sudo}{}\n",
            proxy(from)
        )
    };
    let config = [
        host("gw gw-again", "ops", "user", "known"),
        host("from-east", "east", "user", "known"),
        host("unknown", "ops", "user", "nobody"),
        host("refused", "ops", "stranger", "known"),
        "Host gone\n  ProxyCommand false\nHost silent\n  ProxyCommand sleep 1000\n".to_owned(),
    ];
    std::fs::write(format!("{home}/ssh_config"), config.concat()).unwrap();
    let at = format!("TCP:{GATEWAY}:22");
    within_bounds("sshd listens", async || {
        let mut try_it = networks.command("ops", "socat", &["-u", "/dev/null", &at]);
        try_it.stderr(Stdio::null()).status().unwrap().success()
    })
    .await;
}

pub fn through(networks: &Networks, names: &[&str]) -> NftablesSettings {
    let host = |name: &&str| NftablesHost { ssh: Some((*name).into()), ..NftablesHost::default() };
    let mut settings = settings(names.iter().map(host).collect());
    settings.ssh_config = Some(networks.home().join("ssh_config").to_str().unwrap().into());
    settings
}

/// Puts a script into a folder of programs.
pub fn program(bin: &Path, name: &str, script: &str) {
    std::fs::create_dir_all(bin).unwrap();
    let path = bin.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What those who log in have.
pub const PATH: &str = "/usr/sbin:/usr/bin:/bin";

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_steered_through_ssh() {
    let mut networks = Networks::start().await;
    sshd(&mut networks, PATH).await;
    let control = control(&through(&networks, &["gw"]));
    contract::holds(&control, &order(Mode::Reset)).await;
    let identity = control.identity().await.unwrap().unwrap();
    assert!(identity.contains("net:["), "{identity}");

    let mut download = networks.download(EAST).await;
    let ours = cut(&control, &order(Mode::Blackhole)).await;
    assert_eq!(networks.ask_briefly(EAST).await, Asked::Hangs);
    assert_eq!(networks.ask(WEST).await, Asked::by("west"));
    download.stalls().await;
    let [line] = &control.by_hand(&ours)[..] else { panic!("one host") };
    assert!(line.starts_with("ssh -F "), "{line}");
    done(Command::new("sh").args(["-c", line]));
    assert!(download.goes_on_for(2000).await);
    assert_eq!(control.inspect().await.unwrap().only(&ours), ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_comes_back_though_the_drill_and_the_way_to_the_host_are_gone() {
    let mut networks = Networks::start().await;
    sshd(&mut networks, PATH).await;
    let mut settings = through(&networks, &["gw"]);
    settings.expires_in = Duration::from_secs(5);
    let control = control(&settings).renewing_every(Duration::from_millis(300));
    let ours = cut(&control, &order(Mode::Reset)).await;
    let mut renewed = 0;
    within_bounds("its end is moved on", async || {
        let calls = control.exchanges().into_iter();
        renewed += calls.filter(|it| it.asked.contains("delete element")).count();
        renewed >= 2
    })
    .await;
    assert!(networks.ask(EAST).await.is_refused());

    let link = networks.netns("ops");
    done(crate::netns::as_root("ip").args(["-n", &link, "link", "set", "eth0", "down"]));
    within_bounds("traffic is back", async || {
        networks.ask_briefly(EAST).await == Asked::by("east")
    })
    .await;
    let error = control.restore(&ours).await.unwrap_err();
    assert!(error.what.contains("ssh did not reach gw"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_cannot_be_moved_on_holds_up_no_other() {
    let mut networks = Networks::start().await;
    let home = networks.home().to_owned();
    // One that hangs over east, once it is told to.
    let hangs = home.join("hangs");
    let script = format!(
        "input=$(cat)\ncase $input in 'delete element inet firedrill_wan_east_'*) [ -e {} ] && exec sleep 1000;; esac\n\
         printf '%s\\n' \"$input\" | /usr/sbin/nft \"$@\"\n",
        hangs.display()
    );
    program(&home.join("bin"), "nft", &script);
    sshd(&mut networks, &format!("{}/bin:{PATH}", home.display())).await;
    let mut settings = through(&networks, &["gw"]);
    settings.expires_in = Duration::from_secs(3);
    let control = control(&settings).renewing_every(Duration::from_millis(500));
    let both = CutOrder { datacenters: vec![A, B], ..order(Mode::Blackhole) };
    let ours = cut(&control, &both).await;
    std::fs::write(&hangs, "").unwrap();
    within_bounds("east's end comes", async || {
        control.inspect().await.unwrap().parts["gw/east"].passage == Passage::Open
    })
    .await;
    assert_eq!(control.inspect().await.unwrap().parts["gw/west"].passage, Passage::Closed);
    assert_eq!(networks.ask(EAST).await, Asked::by("east"));
    assert_eq!(networks.ask_briefly(WEST).await, Asked::Hangs, "west's was moved on meanwhile");
    control.restore(&ours).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_never_cut() {
    let mut networks = Networks::start().await;
    // `nft` is found though it is not where users look.
    sshd(&mut networks, "/usr/bin:/bin").await;
    let control = control(&through(&networks, &["from-east"]));
    control.preflight().await.unwrap();
    let order = order(Mode::Blackhole);
    let before = control.inspect().await.unwrap();
    for error in [
        control.survivors(&order).await.unwrap_err(),
        control.cut(&order, &before).await.unwrap_err(),
    ] {
        let said = error.to_string();
        assert!(said.contains("has an end in 192.0.2.16/28"), "{said}");
        assert!(said.contains("cut off with east: the way back would be cut"), "{said}");
    }
    assert_eq!(control.inspect().await.unwrap(), before);
    assert_eq!(networks.ruleset("gateway"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_hosts_those_that_answer_are_cut_and_restored() {
    let mut networks = Networks::start().await;
    sshd(&mut networks, PATH).await;
    let mut both = through(&networks, &["gw"]);
    let sudo = !rustix::process::geteuid().is_root();
    let netns = Some(networks.netns("client"));
    both.hosts.push(NftablesHost { netns, sudo, ..NftablesHost::default() });
    let good = control(&both);
    contract::holds(&good, &order(Mode::Reset)).await;
    let before = good.inspect().await.unwrap();
    assert_eq!(before.parts.len(), 4);

    // One that is gone by the time of the cut.
    both.hosts[0].ssh = Some("gone".into());
    let half = control(&both);
    let renamed = before.parts.into_iter().map(|(name, part)| (name.replace("gw/", "gone/"), part));
    let before = firedrill::model::ControlState { parts: renamed.collect() };
    half.cut(&order(Mode::Blackhole), &before).await.unwrap_err();
    assert_eq!(networks.ruleset("client"), "", "nothing is cut where the way back is not known");
    for host in ["gw", "gone"] {
        let mut one = both.clone();
        one.hosts[0].ssh = Some(host.into());
        one.hosts.swap(0, 1);
        one.hosts.truncate(1);
        cut(&control(&one), &order(Mode::Blackhole)).await;
        let error = half.restore(&before).await.unwrap_err();
        assert!(error.what.contains("ssh did not reach gone"), "{error}");
        assert_eq!(networks.ask(EAST).await, Asked::by("east"), "the others are back");
    }
    let error = half.inspect().await.unwrap_err();
    assert!(error.what.contains("ssh did not reach gone"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_log_in_or_may_not_steer_is_told_so_and_nobody_is_asked() {
    let mut networks = Networks::start().await;
    sshd(&mut networks, PATH).await;
    let refused = async |name: &str| {
        control(&through(&networks, &[name])).preflight().await.unwrap_err().to_string()
    };
    for (name, why) in [
        ("unknown", "Host key verification failed"),
        ("refused", "Permission denied"),
        ("gone", "ssh did not reach gone"),
    ] {
        let said = refused(name).await;
        assert!(said.contains(why), "{name}: {said}");
        assert!(
            said.contains(&format!("`ssh -o BatchMode=yes {name} true` must log in")),
            "{said}"
        );
    }
    let mut settings = through(&networks, &["silent"]);
    settings.timeout = Duration::from_millis(500);
    let limit = Duration::from_secs(10);
    contract::gives_up_within(&control(&settings), &order(Mode::Reset), limit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_asked_of_sudo_and_a_host_without_nft_is_told_apart() {
    let mut networks = Networks::start().await;
    // A sudo that lets nobody do anything, and a host where nothing is installed.
    let bin = networks.home().join("bin");
    program(&bin, "sudo", "echo 'sudo: a password is required' >&2\nexit 1\n");
    let not_root = "echo 'Error: Operation not permitted (you must be root)' >&2\nexit 1\n";
    program(&bin, "nft", not_root);
    sshd(&mut networks, &format!("{}:{PATH}", bin.display())).await;

    let mut settings = through(&networks, &["gw"]);
    let said = control(&settings).preflight().await.unwrap_err().to_string();
    assert!(said.contains("you must be root") && said.contains("set `sudo: true`"), "{said}");
    settings.hosts[0].sudo = true;
    let said = control(&settings).preflight().await.unwrap_err().to_string();
    assert!(said.contains("a password is required"), "{said}");
    assert!(said.contains("must let the user run `nft` without a password"), "{said}");

    // One that works, and one that is not there.
    let works = "[ \"$1\" = -n ] || exit 1\nshift\nPATH=/usr/sbin:/usr/bin:/bin exec \"$@\"\n";
    program(&bin, "sudo", works);
    contract::holds(&control(&settings), &order(Mode::Reset)).await;
    program(&bin, "sudo", "shift\nPATH=/nowhere exec \"$@\"\n");
    let said = control(&settings).preflight().await.unwrap_err().to_string();
    assert!(said.contains("install nftables there"), "{said}");
}

const DEGRADES: &str = "version: 1
name: degrades
datacenters: [east, west]
traffic:
  wan:
    nftables:
      networks: { east: [192.0.2.16/28, '2001:db8:1::/64'], west: [192.0.2.32/28, '2001:db8:2::/64'] }
      hosts: { ssh: gw, devices: [east, client] }
      ssh_config: HOME/ssh_config
services:
  web:
    probes: { home: { http: 'http://EAST/', every: 100ms, timeout: 1s, served_by: { header: x-datacenter } } }
    promises: { recover_within: 3s }
cut: { datacenter: east, mode: degrade, degrade: { loss: 10% }, through: [wan] }
timing: { baseline: 1s, stable_for: 1s, hold: 1s, at_most: 20s }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_without_netem_is_told_before_anything_is_touched() {
    let mut networks = Networks::start().await;
    let bin = networks.home().join("bin");
    // What such a kernel says, whatever this one has.
    let lacks = "for it; do [ \"$it\" = -batch ] || continue\n  while read -r what; do case $what in *netem*)\n    \
                 echo 'Error: Specified qdisc kind is unknown.' >&2; echo 'Command failed -:1' >&2; exit 1\n  \
                 esac; done; done\nexec /usr/sbin/tc \"$@\"\n";
    program(&bin, "tc", lacks);
    sshd(&mut networks, &format!("{}:{PATH}", bin.display())).await;
    let mut settings = through(&networks, &["gw"]);
    settings.hosts[0].devices = vec!["east".to_owned(), "client".to_owned()];
    let order = order(Mode::Degrade(Degrade { loss: 0.1, ..Degrade::default() }));
    let everything = || {
        let all = [("ip", "link"), ("tc", "qdisc"), ("nft", "list")];
        let all = all.map(|(program, what)| {
            let what: &[&str] =
                if program == "nft" { &["list", "ruleset"] } else { &[what, "show"] };
            networks.inside("gateway", program, what)
        });
        all.concat()
    };
    let before = everything();
    let control = control(&settings);
    control.preflight().await.unwrap();
    let state = control.inspect().await.unwrap();
    for error in [
        control.survivors(&order).await.unwrap_err(),
        control.cut(&order, &state).await.unwrap_err(),
    ] {
        let said = error.to_string();
        assert!(said.contains("cannot degrade: `tc -batch -` on gw failed"), "{said}");
        assert!(said.contains("Specified qdisc kind is unknown"), "{said}");
        assert!(said.contains("sch_netem") && said.contains("linux-modules-extra"), "{said}");
        assert_eq!(everything(), before);
    }
    control.restore(&state).await.unwrap();
    assert_eq!(everything(), before);

    // Nor does a whole drill begin.
    let home = networks.home().display().to_string();
    let plan = format!("{home}/plan.yaml");
    std::fs::write(&plan, DEGRADES.replace("HOME", &home).replace("EAST", EAST)).unwrap();
    let mut drill = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    drill.args(["run", "--yes", "--state-dir", &format!("{home}/state"), &plan]);
    let drill = drill.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&drill.stdout);
    assert_eq!(drill.status.code(), Some(3), "{told}{}", String::from_utf8_lossy(&drill.stderr));
    assert!(told.contains("NOT STARTED") && told.contains("qdisc kind is unknown"), "{told}");
    assert_eq!(everything(), before);

    // Nor are there devices of whatever name.
    settings.hosts[0].devices[1] = "eth7".to_owned();
    let said = self::control(&settings).survivors(&order).await.unwrap_err().to_string();
    assert!(said.contains("gw has no network device eth7; `ip link` shows"), "{said}");
    // And a device of our name may be somebody else's.
    settings.hosts[0].devices.pop();
    let id = control.tables()[0].rsplit('_').next().unwrap().to_owned();
    let theirs = format!("fd{id}");
    networks.inside("gateway", "ip", &["link", "add", &theirs, "type", "veth"]);
    let before = everything();
    let other = self::control(&settings);
    let said = other.survivors(&order).await.unwrap_err().to_string();
    assert!(
        said.contains(&format!("a network device {theirs} that is not of our making")),
        "{said}"
    );
    other.restore(&state).await.unwrap();
    assert_eq!(everything(), before, "and stays theirs");
}
