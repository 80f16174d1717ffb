//! The `exec` control with a tool of ten lines that steers a real HAProxy.

use std::time::Duration;

use firedrill::model::{ControlSpec, CutOrder, ExecSettings, Mode, ModeKind, Name, Provider, Text};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::exec::Exec;

use crate::contract;
use crate::world::{A, World};

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/exec/traffic.sh");

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

fn control(command: &[&str], timeout: Duration) -> Exec {
    let command: Vec<Text> = command.iter().map(|word| Text::from(*word)).collect();
    let settings = ExecSettings {
        inspect: command.clone(),
        cut: command.clone(),
        restore: command,
        dir: Text::from("."),
        modes: vec![ModeKind::Drain],
        datacenters: vec![Name::from("dc-a"), Name::from("dc-b")],
        timeout,
    };
    let provider = Provider::Exec(settings.clone());
    Exec::new(&ControlSpec { name: "edge".into(), provider }, &settings).unwrap()
}

fn tool(world: &World) -> Exec {
    control(&[TOOL, world.path("admin.sock").to_str().unwrap()], Duration::from_secs(20))
}

#[tokio::test]
async fn a_tool_of_ten_lines_keeps_the_contract() {
    let world = World::start("", &[]).await;
    contract::holds(&tool(&world), &drain()).await;
}

#[tokio::test]
async fn nobody_new_reaches_what_the_tool_cut_until_it_is_put_back() {
    let world = World::start("", &[]).await;
    let control = tool(&world);
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(world.served(6).await, ["b"; 6]);
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert!(world.served(6).await.contains(&"a".to_owned()));
    assert_eq!(control.exchanges().len(), 3);
}

#[tokio::test]
async fn what_was_closed_before_and_what_is_opened_meanwhile_is_left_alone() {
    let world = World::start("", &[]).await;
    let control = tool(&world);
    world.by_hand("set server app/dc-a-web1 state maint").await;
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot, "in maintenance as before");
}

#[tokio::test]
async fn a_tool_that_never_ends_is_killed() {
    let control = control(&["sleep", "1000"], Duration::from_millis(200));
    contract::gives_up_within(&control, &drain(), Duration::from_secs(20)).await;
}
