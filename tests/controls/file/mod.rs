//! The `file` control against the servers that it is for: a real nginx, Envoy and Traefik.

mod envoy;
mod hands;
mod nginx;
mod traefik;
mod world;

use firedrill::model::{CutOrder, Mode, Passage};
use firedrill::traffic::TrafficControl;

use self::world::{Server, Settled, World};
use crate::contract;
use crate::world::{A, B, within_bounds};

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

/// What holds of any server that is steered by a file.
async fn keeps_the_contract(server: Server) {
    let world = World::start(server).await;
    contract::holds(&Settled(world.control()), &drain()).await;
    assert_eq!(world.left_behind(), Vec::<String>::new());
}

/// Nobody new reaches what is cut, who is there may finish, nobody sees an error, and all is as before in the end.
async fn moves_new_requests_alone(server: Server) {
    let world = World::start(server).await;
    let control = Settled(world.control());
    let before = std::fs::read(world.file()).unwrap();
    let mut downloads = Vec::new();
    while !downloads.iter().any(|it: &crate::world::Download| it.datacenter == "a") {
        downloads.push(world.front.download().await);
    }
    let open = downloads.last_mut().unwrap();
    let watch = world.watch();
    watch.has_seen("a").await;

    let snapshot = control.inspect().await.unwrap();
    let cut_at = watch.now();
    control.cut(&drain(), &snapshot).await.unwrap();
    let in_force = watch.now();
    assert!(control.inspect().await.unwrap().is_cut(&drain()));
    assert_eq!(world.front.served(12).await, ["b"; 12]);
    assert!(open.goes_on_for(500).await, "an open download goes on");
    let restore_at = watch.now();
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    watch.has_seen("a").await;
    assert_eq!(control.inspect().await.unwrap(), snapshot);
    assert!(open.goes_on_for(500).await);

    let seen = watch.end();
    let of_a = |from: std::time::Duration, to: std::time::Duration| {
        seen.iter()
            .filter(move |it| it.served == Ok("a".to_owned()) && from <= it.sent && it.sent < to)
    };
    assert_eq!(
        of_a(in_force, restore_at).count(),
        0,
        "nobody reaches it while the control says cut"
    );
    assert_eq!(seen.iter().filter(|it| it.served.is_err()).count(), 0, "{seen:?}");
    let last = of_a(cut_at, restore_at).map(|it| it.done).max().unwrap_or(cut_at);
    let back = of_a(restore_at, std::time::Duration::MAX).map(|it| it.done).min().unwrap();
    println!(
        "{server:?}: last answer of the cut datacenter {:?} after the cut's start, in force after {:?}, back after {:?}",
        last - cut_at,
        in_force - cut_at,
        back - restore_at
    );
    assert_eq!(std::fs::read(world.file()).unwrap(), before, "to the letter");
}

/// A datacenter that is dead, and one that hangs, are cut and put back like any other.
async fn cuts_what_is_dead_or_hangs(server: Server) {
    let dead = crate::ports::free_address();
    // It takes connections, and nobody ever reads from them.
    let hangs = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let b = crate::world::web_server("b").await;
    for lost in [dead, hangs.local_addr().unwrap()] {
        let world = World::before(server, &[(A, lost), (B, b), (A, lost)]).await;
        contract::holds(&Settled(world.control()), &drain()).await;
        let control = Settled(world.control());
        let snapshot = control.inspect().await.unwrap();
        control.cut(&drain(), &snapshot).await.unwrap();
        assert_eq!(world.front.served(6).await, ["b"; 6]);
        control.restore(&snapshot).await.unwrap();
        assert_eq!(control.inspect().await.unwrap(), snapshot);
    }
}

/// What another hand changes of ours is seen and left alone, and what else it writes stays.
async fn leaves_another_hand_alone(server: Server) {
    use firedrill::journal::Says;
    use firedrill::restore::Reading;

    let world = World::start(server).await;
    let control = Settled(world.control());
    let before = control.inspect().await.unwrap();
    let (ours, expected) = (before.cuttable(&drain()), control.cut_state(&drain(), &before));
    control.cut(&drain(), &before).await.unwrap();
    let [mine, theirs] = [0, 2].map(|place| world.settings().replace[place].clone());
    world.edit(|text| text.replace(&theirs.with, "# 7") + "# theirs\n");
    let now = control.inspect().await.unwrap();
    let reading = Reading::of(&now, &ours, &expected);
    assert_eq!((reading.says(), reading.foreign), (Says::Neither, vec![theirs.name()]));
    assert_eq!(now.parts[&theirs.name()].passage, Passage::Open, "the cut does not hold");

    let error = control.restore(&ours).await.unwrap_err();
    assert!(error.what.contains("neither") && error.what.contains("another hand"), "{error}");
    let text = std::fs::read_to_string(world.file()).unwrap();
    assert!(
        text.contains(&mine.find) && text.contains("# 7") && text.ends_with("# theirs\n"),
        "{text}"
    );
    assert_eq!(control.inspect().await.unwrap().differences(&before), [theirs.name()]);

    world.edit(|text| text.replace("# 7", &theirs.find));
    control.restore(&ours).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    assert!(std::fs::read_to_string(world.file()).unwrap().ends_with("# theirs\n"));
}

/// Waits until the control says that it is cut, as a drill does.
async fn comes_into_force(control: &dyn TrafficControl) {
    within_bounds("the cut is in force", async || {
        control.inspect().await.unwrap().is_cut(&drain())
    })
    .await;
}
