//! The `haproxy` control against a real HAProxy.

use std::net::SocketAddr;
use std::sync::Arc;

use firedrill::model::{ControlState, CutOrder, HaproxySocket, Mode, Passage, Text};
use firedrill::traffic::TrafficControl;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::contract;
use crate::dns::own_address;
use crate::world::{A, B, World, control, web_server, within_bounds};

fn reset() -> CutOrder {
    CutOrder::of(A, Mode::Reset)
}

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

fn state_of<'a>(state: &'a ControlState, server: &str) -> &'a str {
    &state.parts[server].settings["state"]
}

#[tokio::test]
async fn haproxy_keeps_the_contract_in_both_modes_over_the_unix_socket() {
    let world = World::start("", &[("dc-a-web2", "weight 7")]).await;
    contract::holds(&world.control(), &reset()).await;
    contract::holds(&world.control(), &drain()).await;
}

#[tokio::test]
async fn haproxy_keeps_the_contract_over_tcp() {
    // HAProxy takes no port 0 here that it would tell us.
    let free = crate::ports::free_address();
    let world = World::start(&format!("stats socket ipv4@{free} level admin"), &[]).await;
    let control = control(HaproxySocket::Tcp(Text::from(free.to_string().as_str())));
    contract::holds(&control, &reset()).await;
    drop(world);
}

#[tokio::test]
async fn haproxy_leaves_what_another_hand_changed_alone() {
    let world = World::start("", &[("dc-a-web2", "weight 7")]).await;
    for order in [reset(), drain()] {
        let hand = async { drop(world.by_hand("set server app/dc-a-web1 state drain").await) };
        let control = world.control();
        contract::leaves_another_hand_alone(&control, &order, "app/dc-a-web1", hand).await;
    }
}

#[tokio::test]
async fn a_haproxy_that_never_answers_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("silent.sock");
    // It takes connections and says nothing.
    let _silent = tokio::net::UnixListener::bind(&path).unwrap();
    let control = control(HaproxySocket::Unix(Text::from(path.to_str().unwrap())));
    contract::gives_up_within(&control, &reset(), std::time::Duration::from_secs(20)).await;
}

#[tokio::test]
async fn no_request_reaches_a_cut_datacenter_and_it_serves_again_after_the_restore() {
    let world = World::start("", &[]).await;
    let control = world.control();
    let before = world.served(6).await;
    assert!(before.contains(&"a".to_owned()) && before.contains(&"b".to_owned()), "{before:?}");

    let snapshot = control.inspect().await.unwrap();
    control.cut(&reset(), &snapshot).await.unwrap();
    assert_eq!(world.served(12).await, ["b"; 12]);

    control.restore(&snapshot).await.unwrap();
    assert!(world.served(6).await.contains(&"a".to_owned()));
}

#[tokio::test]
async fn a_client_with_a_sticky_cookie_is_moved_by_a_drain_too() {
    let world = World::start("", &[("dc-a-web1", "cookie a1")]).await;
    let control = world.control();
    assert_eq!(world.served_by("cookie: at=a1\r\n").await, "a");
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(world.served_by("cookie: at=a1\r\n").await, "b");
}

#[tokio::test]
async fn open_downloads_live_on_in_a_drain_and_end_with_a_reset() {
    let world = World::start("", &[("dc-b-web1", "weight 0")]).await;
    let control = world.control();
    let mut downloads = [world.download().await, world.download().await];
    assert!(downloads.iter().all(|download| download.datacenter == "a"));
    let snapshot = control.inspect().await.unwrap();

    control.cut(&drain(), &snapshot).await.unwrap();
    for download in &mut downloads {
        assert!(download.goes_on_for(4000).await, "a drained download ended");
    }
    control.restore(&snapshot).await.unwrap();
    control.cut(&reset(), &snapshot).await.unwrap();
    for download in &mut downloads {
        download.ended().await;
    }
}

#[tokio::test]
async fn what_was_not_up_before_the_drill_is_not_up_after_it() {
    let world = World::start("", &[("dc-a-web1", "weight 42")]).await;
    world.by_hand("set server app/dc-a-web2 state maint").await;
    world.by_hand("set server app/dc-b-web1 state drain").await;
    world.by_hand("set server app/dc-a-web1 weight 17").await;
    let control = world.control();

    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.parts["app/dc-a-web2"].passage, Passage::Closed);
    control.cut(&reset(), &snapshot).await.unwrap();
    control.restore(&snapshot).await.unwrap();

    let after = control.inspect().await.unwrap();
    assert_eq!(after, snapshot);
    assert_eq!(state_of(&after, "app/dc-a-web1"), "ready");
    assert_eq!(after.parts["app/dc-a-web1"].settings["weight"], "17");
    assert_eq!(state_of(&after, "app/dc-a-web2"), "maint");
    assert_eq!(state_of(&after, "app/dc-b-web1"), "drain");
}

#[tokio::test]
async fn a_weight_that_changed_while_cut_is_put_back() {
    let world = World::start("", &[("dc-a-web1", "weight 42")]).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&reset(), &snapshot).await.unwrap();
    world.by_hand("set server app/dc-a-web1 weight 3").await;
    assert_ne!(control.inspect().await.unwrap().parts, snapshot.parts);
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_weight_that_the_balancing_cannot_change_is_no_obstacle() {
    // `balance source` takes no other weight than the configured one and zero.
    let mut world = World::start("", &[("dc-a-web1", "weight 42")]).await;
    world.reload(|config| config.replace("balance roundrobin", "balance source")).await;
    contract::holds(&world.control(), &reset()).await;
}

#[tokio::test]
async fn after_a_reload_the_cut_is_gone_and_the_control_says_so() {
    let mut world = World::start("", &[]).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&reset(), &snapshot).await.unwrap();
    assert!(control.inspect().await.unwrap().is_cut(&reset()));

    world.reload(str::to_owned).await;
    let after = control.inspect().await.unwrap();
    assert!(!after.is_cut(&reset()), "{after:?}");
    assert_eq!(after, snapshot);
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_server_that_a_reload_took_away_is_named_while_the_others_are_restored() {
    let mut world = World::start("", &[]).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&reset(), &snapshot).await.unwrap();
    world
        .reload(|config| {
            let kept: Vec<&str> =
                config.lines().filter(|line| !line.contains("server dc-a-web1")).collect();
            kept.join("\n") + "\n"
        })
        .await;
    control.cut(&reset(), &ControlState { parts: others(&snapshot) }).await.unwrap();

    let error = control.restore(&snapshot).await.unwrap_err();
    assert!(error.what.contains("app/dc-a-web1"), "{error}");
    let after = control.inspect().await.unwrap();
    assert_eq!(after.parts, others(&snapshot));
    assert!(after.has_open(&reset()) && after.has_open(&CutOrder::of(B, Mode::Reset)));
}

fn others(
    snapshot: &ControlState,
) -> std::collections::BTreeMap<String, firedrill::model::PartState> {
    let mut parts = snapshot.parts.clone();
    parts.remove("app/dc-a-web1");
    parts
}

#[tokio::test]
async fn a_haproxy_that_is_gone_and_a_socket_without_rights_are_told_apart() {
    let mut world = World::start("", &[]).await;
    let control = world.control();
    world.reload(|config| config.replace("level admin", "level operator")).await;
    let error = control.preflight().await.unwrap_err();
    assert!(error.what.contains("level operator"), "{error}");
    let path = world.path("admin.sock");
    drop(world);
    let error = control.inspect().await.unwrap_err();
    assert!(error.what.contains(path.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn an_agent_that_says_ready_cannot_end_the_cut() {
    let (mut asked_a, at_a) = agent().await;
    let (mut asked_b, at_b) = agent().await;
    let check = |at: std::net::SocketAddr| {
        format!(
            "weight 50 agent-check agent-addr 127.0.0.1 agent-port {} agent-inter 30ms",
            at.port()
        )
    };
    let (a, b) = (check(at_a), check(at_b));
    let world = World::start("", &[("dc-a-web1", &a), ("dc-b-web1", &b)]).await;
    let control = world.control();
    let snapshot = control.inspect().await.unwrap();

    // That is what it does to a maintenance that people set by hand.
    world.by_hand("set server app/dc-a-web1 state maint").await;
    within_bounds("the agent puts its server back", async || {
        state_of(&control.inspect().await.unwrap(), "app/dc-a-web1") == "ready"
    })
    .await;

    control.cut(&reset(), &snapshot).await.unwrap();
    let before = *asked_b.borrow_and_update();
    asked_b.wait_for(|asked| *asked >= before + 5).await.unwrap();
    assert!(control.inspect().await.unwrap().is_cut(&reset()));

    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
    let before = *asked_a.borrow_and_update();
    asked_a.wait_for(|asked| *asked > before).await.expect("it is asked again");
}

/// An agent that calls its server ready, and how often it was asked.
async fn agent() -> (watch::Receiver<u32>, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, seen) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"up ready 50%\n").await;
            asked.send_modify(|asked| *asked += 1);
        }
    });
    (seen, address)
}

/// A web server that goes the way of servers: it dies, or it hangs, and it comes back.
struct Mortal {
    at: SocketAddr,
    /// Nobody listens where it is dead.
    listener: Option<Arc<TcpListener>>,
    serving: Option<JoinHandle<()>>,
}

impl Mortal {
    async fn of(datacenter: &'static str) -> Mortal {
        let mut server = Mortal { at: own_address(), listener: None, serving: None };
        server.lives(web_server(datacenter).await).await;
        server
    }

    /// What comes is handed on to `behind`.
    async fn lives(&mut self, behind: SocketAddr) {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => Arc::new(TcpListener::bind(self.at).await.unwrap()),
        };
        self.listener = Some(Arc::clone(&listener));
        self.serving = Some(tokio::spawn(async move {
            // Ended with the server, as those of a process are.
            let mut open = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                open.spawn(async move {
                    let mut server = TcpStream::connect(behind).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        }));
    }

    /// It takes connections, and nobody ever reads from them.
    async fn hangs(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            serving.await.unwrap_err();
        }
    }

    async fn dies(&mut self) {
        self.hangs().await;
        self.listener = None;
    }
}

/// A HAProxy before servers that can go, two in `a` and one in `b`, with its own health checks: those that only connect,
/// or, with `asks`, those that want an answer.
async fn mortals(asks: bool) -> (World, [Mortal; 2], Mortal) {
    let ([a1, a2], b) = ([Mortal::of("a").await, Mortal::of("a").await], Mortal::of("b").await);
    let mut world = World::start("", &[]).await;
    let at = [("dc-a-web1", a1.at), ("dc-a-web2", a2.at), ("dc-b-web1", b.at)];
    let placed = |line: &str| {
        let server = at.iter().find(|(name, _)| line.contains(&format!("server {name} ")));
        match server {
            Some((name, at)) => format!("  server {name} {at} check"),
            None if asks && line == "backend app" => {
                format!("{line}\n  option httpchk GET /\n  timeout check 1s")
            }
            None => line.to_owned(),
        }
    };
    world.reload(|config| config.lines().map(|line| placed(line) + "\n").collect()).await;
    within_bounds("all of them are up", async || up(&world).await.len() == 3).await;
    (world, [a1, a2], b)
}

/// Those that HAProxy calls up.
async fn up(world: &World) -> Vec<String> {
    let table = world.by_hand("show servers state app").await;
    let rows = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    // Behind the number of the backend: its name, the server's number, name and address, and `srv_op_state`.
    let up = rows.filter(|row| row.get(5) == Some(&"2")).map(|row| row[3].to_owned());
    up.collect()
}

async fn comes_back_from(world: &World, order: &CutOrder) {
    let control = world.control();
    contract::holds(&control, order).await;
    let snapshot = control.inspect().await.unwrap();
    control.cut(order, &snapshot).await.unwrap();
    assert!(control.inspect().await.unwrap().is_cut(order));
    assert_eq!(world.served(6).await, ["b"; 6]);
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
}

#[tokio::test]
async fn a_datacenter_that_was_killed_can_be_cut_and_put_back() {
    let (world, mut a, _b) = mortals(false).await;
    let before = world.served(6).await;
    assert!(before.contains(&"a".to_owned()) && before.contains(&"b".to_owned()), "{before:?}");
    for server in &mut a {
        server.dies().await;
    }
    let found_out = async || up(&world).await == ["dc-b-web1"];
    within_bounds("HAProxy finds them dead", found_out).await;
    for order in [reset(), drain()] {
        comes_back_from(&world, &order).await;
        // What leaves maintenance is up for HAProxy until its first check.
        within_bounds("HAProxy finds them dead again", found_out).await;
        assert_eq!(world.served(6).await, ["b"; 6], "as before the cut");
    }
    let behind = web_server("a").await;
    for server in &mut a {
        server.lives(behind).await;
    }
    within_bounds("they are well again", async || up(&world).await.len() == 3).await;
    assert!(world.served(6).await.contains(&"a".to_owned()));
}

#[tokio::test]
async fn a_datacenter_that_hangs_can_be_cut_and_put_back_whatever_the_checks_find() {
    for asks in [false, true] {
        let (world, mut a, _b) = mortals(asks).await;
        for server in &mut a {
            server.hangs().await;
        }
        // A check that only connects is content with the kernel's answer.
        let left = if asks { 1 } else { 3 };
        let found_out = async || up(&world).await.len() == left;
        within_bounds("HAProxy's checks find what they can", found_out).await;
        for order in [reset(), drain()] {
            comes_back_from(&world, &order).await;
            within_bounds("HAProxy's checks find it again", found_out).await;
        }
        let behind = web_server("a").await;
        for server in &mut a {
            server.lives(behind).await;
        }
        within_bounds("they are well again", async || up(&world).await.len() == 3).await;
        let after = world.served(6).await;
        assert!(after.contains(&"a".to_owned()) && after.contains(&"b".to_owned()), "{after:?}");
    }
}

#[tokio::test]
async fn nobody_is_left_where_haproxys_own_checks_find_the_other_datacenter_dead_or_hanging() {
    for dies in [true, false] {
        let (world, _a, mut b) = mortals(true).await;
        let control = world.control();
        let left = control.survivors(&reset()).await.unwrap();
        assert_eq!(left.iter().map(|it| it.left).collect::<Vec<_>>(), [1]);
        if dies {
            b.dies().await
        } else {
            b.hangs().await
        }
        within_bounds("HAProxy finds out", async || up(&world).await.len() == 2).await;
        let left = control.survivors(&reset()).await.unwrap();
        assert_eq!(left.iter().map(|it| it.left).collect::<Vec<_>>(), [0]);
    }
}
