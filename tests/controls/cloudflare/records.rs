//! Records of a zone.

use firedrill::model::{ControlSpec, Passage};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::cloudflare::Cloudflare as Control;
use serde_json::json;

use super::account::{Cloudflare, TOKEN, record};
use super::{both, control, drain, www};
use crate::contract;
use crate::world::A;

const ONE: &str = "www.shop.example/A/192.0.2.1";

#[tokio::test]
async fn records_keep_the_contract_and_only_ids_are_new() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    let before = cloudflare.state().set();
    contract::holds(&control, &drain()).await;
    assert_eq!(
        cloudflare.state().set(),
        before,
        "ttl, comments and tags too, and what is not ours"
    );
    assert_eq!(
        cloudflare.state().count("POST", "/batch"),
        2,
        "one for the cut, one for the restore"
    );
    let shown = format!("{:?}", control.exchanges());
    assert!(shown.contains("deletes") && !shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_cut_takes_out_the_addresses_of_the_datacenter_at_once_and_nothing_else() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.parts.len(), 5);
    control.cut(&drain(), &snapshot).await.unwrap();
    let left = ["198.51.100.1", "2001:db8:b::1", "203.0.113.9"];
    assert_eq!(cloudflare.state().addresses(), left);
    assert_eq!(cloudflare.state().count("POST", "/batch"), 1);
    assert!(cloudflare.state().records.iter().any(|it| it["name"] == "other.example"));
}

#[tokio::test]
async fn traffic_comes_back_by_the_journal_alone() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    let before = cloudflare.state().set();
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    // As the journal has them: written down without the token, and read back by another process.
    let spec = serde_json::to_string(control.spec()).unwrap();
    assert!(spec.contains("${env:TOKEN}") && !spec.contains(TOKEN), "{spec}");
    let ours = serde_json::to_string(&snapshot.cuttable(&drain())).unwrap();
    let spec: ControlSpec = serde_json::from_str(&spec).unwrap();
    let provider = spec.provider.filled(&|_| Some(TOKEN.to_owned())).unwrap();
    let other = Control::new(&ControlSpec { provider, ..spec }).unwrap();
    other.restore(&serde_json::from_str(&ours).unwrap()).await.unwrap();
    assert_eq!(cloudflare.state().set(), before);
}

#[tokio::test]
async fn a_record_that_another_hand_made_meanwhile_is_left_alone() {
    let cloudflare = Cloudflare::start().await;
    let hand = async {
        let mut other = record("www.shop.example", "A", "192.0.2.1");
        other["ttl"] = json!(30);
        other["id"] = json!("theirs");
        cloudflare.state().records.push(other);
    };
    contract::leaves_another_hand_alone(&control(cloudflare.at, www()), &drain(), ONE, hand).await;
    let state = cloudflare.state();
    let one: Vec<_> = state.records.iter().filter(|it| it["id"] == "theirs").collect();
    assert_eq!((one.len(), &one[0]["ttl"]), (1, &json!(60)), "overwritten, and not made twice");
}

#[tokio::test]
async fn no_name_is_left_without_an_address() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    let snapshot = control.inspect().await.unwrap();
    cloudflare.state().records.retain(|it| it["content"] != "2001:db8:b::1");
    let survivors = control.survivors(&drain()).await.unwrap();
    let left: Vec<_> = survivors.iter().map(|it| (&*it.group, it.left)).collect();
    assert_eq!(left, [("www.shop.example A", 2), ("www.shop.example AAAA", 0)]);
    // It went after they were counted.
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(
        error.what.contains("www.shop.example would be left without any AAAA record"),
        "{error}"
    );
    let error = control.cut(&both(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("without any AAAA"), "{error}");
    assert_eq!(cloudflare.state().count("POST", ""), 0);
}

#[tokio::test]
async fn an_answer_that_is_lost_deletes_and_makes_nothing_twice() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    let before = cloudflare.state().set();
    let snapshot = control.inspect().await.unwrap();
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"success\": tr".to_owned();
    cloudflare.state().instead.push_back(("POST", half.clone(), true));
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(cloudflare.state().addresses().len(), 3);
    cloudflare.state().instead.push_back(("POST", half, true));
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(cloudflare.state().set(), before);
}

#[tokio::test]
async fn a_change_by_another_hand_at_the_same_moment_holds_nothing_up() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    let snapshot = control.inspect().await.unwrap();
    cloudflare.state().meanwhile = Some(|it| it.records.retain(|it| it["content"] != "192.0.2.2"));
    control.cut(&drain(), &snapshot).await.unwrap();
    assert_eq!(cloudflare.state().addresses().len(), 3);
    cloudflare.state().meanwhile =
        Some(|it| it.records.push(record("www.shop.example", "A", "192.0.2.1")));
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
    assert_eq!(cloudflare.state().addresses().len(), 6);
}

#[tokio::test]
async fn one_record_that_is_refused_does_not_hold_up_the_others() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    cloudflare.state().refused =
        Some(("POST", "192.0.2.2", 400, 9003, "Invalid 'proxied' value, must be a boolean"));
    let error = control.restore(&snapshot.cuttable(&drain())).await.unwrap_err();
    assert!(
        error.what.starts_with("not put back: ") && error.what.contains("'proxied'"),
        "{error}"
    );
    let state = cloudflare.state();
    assert!(state.addresses().contains(&"192.0.2.1".to_owned()));
    assert!(state.addresses().contains(&"2001:db8::1".to_owned()));
}

#[tokio::test]
async fn every_page_of_a_long_list_is_read() {
    let cloudflare = Cloudflare::start().await;
    cloudflare.state().page = 2;
    let control = control(cloudflare.at, www());
    let snapshot = control.inspect().await.unwrap();
    assert!(snapshot.parts.values().all(|part| part.passage == Passage::Open), "{snapshot:?}");
    assert_eq!(cloudflare.state().count("GET", "page=2"), 2);
    contract::holds(&control, &drain()).await;
}

#[tokio::test]
async fn a_record_that_was_gone_before_is_not_made() {
    let cloudflare = Cloudflare::start().await;
    cloudflare.state().records.remove(0);
    let control = control(cloudflare.at, www());
    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.parts[ONE].passage, Passage::Closed);
    control.cut(&drain(), &snapshot).await.unwrap();
    control.restore(&snapshot).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), snapshot);
    let error = control.preflight().await.unwrap_err();
    assert!(error.what.contains(&format!("the zone has no record {ONE}")), "{error}");
}

#[tokio::test]
async fn what_could_not_be_put_back_is_not_taken_out() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    control.preflight().await.unwrap();
    let mut body = cloudflare.state().records[0].clone();
    body["flavour"] = json!("new");
    let said = |result: serde_json::Value| {
        let text = json!({ "success": true, "errors": [], "result": result }).to_string();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
    };
    let token = said(json!({ "id": "t", "status": "active" }));
    let answers = [token, said(json!([body])), said(json!([]))];
    cloudflare.state().instead.extend(answers.map(|text| ("GET", text, false)));
    let error = control.preflight().await.unwrap_err();
    assert!(
        error.what.contains("192.0.2.1 has flavour, which firedrill would not know"),
        "{error}"
    );
}

#[tokio::test]
async fn the_way_back_by_hand_is_a_command_for_each_record() {
    let cloudflare = Cloudflare::start().await;
    let control = control(cloudflare.at, www());
    cloudflare.state().records[0]["comment"] = json!("it's ours");
    let snapshot = control.inspect().await.unwrap();
    assert_eq!(snapshot.parts[ONE].datacenter, A);
    let by_hand = control.by_hand(&snapshot.cuttable(&drain()));
    assert_eq!(by_hand.len(), 3);
    let url = format!("http://{}/client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353", cloudflare.at);
    let body = "{\"comment\":\"it'\\''s ours\",\"content\":\"192.0.2.1\",\"name\":\"www.shop.example\",\
                \"proxied\":false,\"tags\":[\"app:shop\",\"team:edge\"],\"ttl\":60,\"type\":\"A\"}";
    let expected = format!(
        "curl -X POST -H \"authorization: Bearer $CLOUDFLARE_API_TOKEN\" -H 'content-type: application/json' \
         -d '{body}' '{url}/dns_records'"
    );
    assert_eq!(by_hand[0], expected);
    let calls = control.calls(&drain(), &snapshot);
    assert!(calls[0].call.ends_with("/dns_records/batch: deletes www.shop.example/A/192.0.2.1"));
    assert!(calls[0].undone_by.as_ref().unwrap().contains(": posts {\"comment\":"));
}
