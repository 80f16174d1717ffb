//! What a real PowerDNS does not do on demand.

use std::time::Duration;

use serde_json::Value;

use super::super::api::double::{Provider as Double, Reply, say};
use super::*;
use crate::model::{DatacenterId, DnsRecords, Mode, Part, Provider};

const EAST: DatacenterId = DatacenterId(0);
const KEY: &str = "hush-7f3a";

fn control(double: &Double) -> Powerdns {
    let records = |datacenter, address: &str| DnsRecords {
        datacenter,
        records: vec![DnsRecord {
            name: "app.drill.test".to_owned(),
            address: address.parse().unwrap(),
        }],
    };
    let key = Part::Secret { name: "KEY".to_owned(), value: KEY.to_owned() };
    let settings = PowerdnsSettings {
        url: Text::from(&*format!("http://{}", double.at)),
        api_key: PowerdnsKey::Given(Text::new(vec![key])),
        server: "localhost".to_owned(),
        zone: "drill.test".to_owned(),
        records: vec![records(EAST, "192.0.2.1"), records(DatacenterId(1), "192.0.2.2")],
        resolvers: Vec::new(),
        follow_within: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
    };
    let provider = Provider::Powerdns(settings.clone());
    Powerdns::new(&ControlSpec { name: "dns".into(), provider }, &settings)
}

/// The zone, with what we know nothing of, where east is `disabled`.
fn zone(disabled: bool) -> Reply {
    let body = json!({ "kind": "Native", "rrsets": [
        { "name": "other.drill.test.", "type": "A", "ttl": 1, "records": [] },
        { "name": "app.drill.test.", "type": "A", "ttl": 7, "comments": [{ "content": "ours" }], "records": [
            { "content": "192.0.2.1", "disabled": disabled, "modified_at": 5 },
            { "content": "192.0.2.2", "disabled": false, "modified_at": 6 },
            { "content": "192.0.2.9", "disabled": true },
        ] },
    ] });
    say("200 OK", "content-type: application/json\r\n", &body.to_string())
}

fn done() -> Reply {
    say("204 No Content", "", "")
}

fn drain() -> CutOrder {
    CutOrder::of(EAST, Mode::Drain)
}

#[tokio::test]
async fn a_set_is_sent_back_with_all_that_is_not_ours() {
    let double = Double::new([zone(false), zone(false), done(), zone(true)]).await;
    let control = control(&double);
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    let heard = double.heard();
    assert_eq!(
        heard.len(),
        4,
        "read, read again right before the write, written, and read: {heard:?}"
    );
    assert!(heard[0].starts_with("GET /api/v1/servers/localhost/zones/drill.test. "));
    assert!(
        heard[2].starts_with("PATCH /api/v1/servers/localhost/zones/drill.test. "),
        "{}",
        heard[2]
    );
    assert!(heard.iter().all(|it| it.contains(&format!("x-api-key: {KEY}"))));
    let body: Value = serde_json::from_str(heard[2].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let sent = json!({ "rrsets": [{
        "name": "app.drill.test.", "type": "A", "ttl": 7, "changetype": "REPLACE", "records": [
            { "content": "192.0.2.1", "disabled": true, "modified_at": 5 },
            { "content": "192.0.2.2", "disabled": false, "modified_at": 6 },
            { "content": "192.0.2.9", "disabled": true },
        ],
    }] });
    assert_eq!(body, sent, "comments that are not sent stay");
}

#[tokio::test]
async fn what_another_hand_undid_at_once_is_written_again_and_in_the_end_given_up() {
    let round = || [zone(false), done()];
    let undone = [zone(false), zone(false), done(), zone(false), done(), zone(true)];
    let double = Double::new(undone).await;
    let control = control(&double);
    let snapshot = control.inspect().await.unwrap();
    control.cut(&drain(), &snapshot).await.unwrap();
    let rounds = (0..TRIES).flat_map(|_| round());
    let double = Double::new([zone(false)].into_iter().chain(rounds)).await;
    let control = self::control(&double);
    let snapshot = control.inspect().await.unwrap();
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("accepts the change, and does not have it"), "{error}");
}

#[tokio::test]
async fn a_reading_is_tried_again_and_a_change_is_not() {
    let busy = || say("503 Service Unavailable", "", "busy");
    let double = Double::new([busy(), zone(false), zone(false), busy()]).await;
    let control = control(&double);
    let snapshot = control.inspect().await.unwrap();
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("503"), "{error}");
    let heard = double.heard();
    assert_eq!(heard.iter().filter(|it| it.starts_with("PATCH")).count(), 1, "{heard:?}");
    assert_eq!(heard.len(), 4);
}

#[tokio::test]
async fn a_change_that_is_not_answered_whole_or_well_is_asked_for_once_and_put_back() {
    let half = "HTTP/1.1 204 No Content\r\ncontent-".to_owned();
    let body = "HTTP/1.1 422 X\r\ncontent-length: 99\r\n\r\n{\"error\":".to_owned();
    for (reply, what, hint) in [
        (Reply::Say(half), "closed before the answer was whole", "may have taken effect"),
        (Reply::Say(body), "the answer broke off", "may have taken effect"),
        (say("429 Too Many Requests", "", ""), "429 Too Many Requests", "no more calls"),
        (say("500 Internal Server Error", "", "no"), "500 Internal Server Error: no", "not well"),
    ] {
        // It was made all the same, so that the restore finds it.
        let double =
            Double::new([zone(false), zone(false), reply, zone(true), done(), zone(false)]);
        let double = double.await;
        let control = control(&double);
        let snapshot = control.inspect().await.unwrap();
        let error = control.cut(&drain(), &snapshot).await.unwrap_err();
        assert!(error.what.contains(what) && error.hint.contains(hint), "{what}: {error}");
        assert_eq!(double.heard().len(), 3, "{what}: the change was asked for once");
        control.restore(&snapshot.cuttable(&drain())).await.unwrap();
        let heard = double.heard();
        assert_eq!(heard.len(), 6, "{heard:?}");
        let east = json!({ "content": "192.0.2.1", "disabled": false, "modified_at": 5 });
        assert!(heard[4].starts_with("PATCH") && heard[4].contains(&east.to_string()), "{heard:?}");
    }
}

#[tokio::test]
async fn half_a_reading_is_asked_for_again_and_no_state_where_it_stays_so() {
    let half = || {
        let text =
            "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"kind\": \"Native\", \"rrsets\": [";
        Reply::Say(text.to_owned())
    };
    let double = Double::new([half(), zone(false)]).await;
    assert!(control(&double).inspect().await.unwrap().has_open(&drain()));
    let double = Double::new(std::iter::repeat_n(half(), 8)).await;
    let error = control(&double).inspect().await.unwrap_err();
    assert!(error.what.contains("the answer broke off"), "{error}");
    assert!(double.heard().iter().all(|it| it.starts_with("GET")));
}

#[tokio::test]
async fn answers_that_are_none_of_powerdns_are_told_without_the_key() {
    let refused =
        json!({ "error": "RRset app.drill.test. IN A: Conflicts with pre-existing RRset" });
    for (reply, what, hint) in [
        (say("401 Unauthorized", "", "Unauthorized"), "does not take the API key", "pdns.conf"),
        (say("404 Not Found", "", "Not Found"), "has no zone drill.test", "list-all-zones"),
        (
            say("422 Unprocessable", "", &refused.to_string()),
            "Conflicts with pre-existing",
            "settings",
        ),
        (
            say("200 OK", "content-type: text/html\r\n", "<p>hello"),
            "not the JSON that was due",
            "the provider's API",
        ),
        (say("200 OK", "", "{\"rrsets\":7}"), "not the JSON that was due", "the provider's API"),
        (
            say("302 Found", "location: http://192.0.2.1/\r\n", ""),
            "which is not followed",
            "answers itself",
        ),
    ] {
        let double = Double::new([reply]).await;
        let control = control(&double);
        let error = control.inspect().await.unwrap_err();
        assert!(error.what.contains(what) && error.hint.contains(hint), "{what}: {error}");
        assert!(!error.to_string().contains(KEY), "{error}");
        assert!(!format!("{:?}", control.exchanges()).contains(KEY));
        assert_eq!(double.heard().len(), 1);
    }
}
