//! The `exec` control with a tool of ten lines that steers a real HAProxy, and with one whose parts have settings.

use std::time::Duration;

use firedrill::model::{ControlSpec, CutOrder, ExecSettings, Mode, ModeKind, Name, Provider, Text};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::exec::Exec;
use serde_json::{Value, json};

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

/// A tool whose parts stand in a file, $1, each with a weight that a cut keeps and a restore puts back.
const KEEPER: &str = r#"
request=$(cat)
change() { echo "$request" | jq --slurpfile all "$file" "$1" > "$file.new" && mv "$file.new" "$file"; }
file=$1
case $(echo "$request" | jq -r .act) in
  inspect) jq '{ parts: . }' "$file" ;;
  cut)     change '$all[0] + (.parts | map_values(.passage = "closed"))' ;;
  restore) change '$all[0] + .parts' ;;
esac"#;

/// A file of parts, and a tool that is called with it.
fn with_parts(tool: &str) -> (tempfile::NamedTempFile, Exec) {
    let part =
        |at: &str| json!({ "datacenter": at, "passage": "open", "settings": { "weight": "10" } });
    let parts = json!({ "app/a1": part("dc-a"), "app/a2": part("dc-a"), "app/b1": part("dc-b") });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), parts.to_string()).unwrap();
    let command = ["sh", "-c", tool, "tool", file.path().to_str().unwrap()];
    let control = control(&command, Duration::from_secs(20));
    (file, control)
}

#[tokio::test]
async fn a_tool_with_settings_keeps_the_contract() {
    let (_file, control) = with_parts(KEEPER);
    contract::holds(&control, &drain()).await;
}

#[tokio::test]
async fn a_tool_leaves_what_another_hand_changed_alone() {
    let (file, control) = with_parts(KEEPER);
    let hand = async {
        let text = std::fs::read(file.path()).unwrap();
        let mut parts: Value = serde_json::from_slice(&text).unwrap();
        parts["app/a1"]["settings"]["weight"] = json!("3");
        std::fs::write(file.path(), parts.to_string()).unwrap();
    };
    contract::leaves_another_hand_alone(&control, &drain(), "app/a1", hand).await;
}

#[tokio::test]
async fn a_tool_that_accepts_and_does_nothing_is_never_cut() {
    let (_file, control) = with_parts(r#"cat > /dev/null; jq '{ parts: . }' "$1""#);
    let before = control.inspect().await.unwrap();
    control.cut(&drain(), &before).await.unwrap();
    let now = control.inspect().await.unwrap();
    assert!(!now.is_cut(&drain()), "{now:?}");
    assert_eq!(now, before);
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
