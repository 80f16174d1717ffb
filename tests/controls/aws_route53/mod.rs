//! The `aws-route53` control against moto's Route 53, and against answers of AWS that moto does not give.

mod trouble;

use std::sync::Arc;

use firedrill::model::{
    AwsReach, ControlSpec, ControlState, CutOrder, Exchange, Mode, Passage, Provider,
    Route53HealthChecks, Route53Record, Route53Records, Route53Settings,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::aws::Route53;

use crate::contract;
use crate::journal_alone::puts_back_what_is_left;
use crate::moto::{Moto, answering, inside, reach_in};
use crate::world::{A, B};

const XMLNS: &str = r#"xmlns="https://route53.amazonaws.com/doc/2013-04-01/""#;

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

fn record(set: &str) -> Route53Record {
    Route53Record { name: "api.example.org".into(), kind: "A".into(), set: set.into() }
}

fn control_at(reach: AwsReach, zone: &str, checks: &[&str]) -> Route53 {
    let records = |datacenter, sets: &[&str]| Route53Records {
        datacenter,
        records: sets.iter().map(|set| record(set)).collect(),
    };
    let settings = Route53Settings {
        zone: Some(zone.to_owned()),
        records: vec![records(A, &["a1", "a2"]), records(B, &["b1"])],
        health_checks: vec![Route53HealthChecks {
            datacenter: A,
            ids: checks.iter().map(|id| (*id).to_owned()).collect(),
        }],
        reach,
    };
    let provider = Provider::AwsRoute53(settings.clone());
    Route53::new(&ControlSpec { name: "dns".into(), provider }, &settings)
}

/// A zone with three weighted records and one more of the same name and another type.
struct World {
    moto: Moto,
    zone: String,
    check: String,
}

impl World {
    async fn start() -> World {
        let moto = Moto::start().await;
        let zone = moto.post(
            "route53",
            "/2013-04-01/hostedzone",
            &format!(
                "<CreateHostedZoneRequest {XMLNS}><Name>example.org</Name><CallerReference>1</CallerReference></CreateHostedZoneRequest>"
            ),
        );
        let check = moto.post(
            "route53",
            "/2013-04-01/healthcheck",
            &format!(
                "<CreateHealthCheckRequest {XMLNS}><CallerReference>1</CallerReference><HealthCheckConfig><IPAddress>192.0.2.1</IPAddress><Port>80</Port><Type>HTTP</Type><ResourcePath>/</ResourcePath></HealthCheckConfig></CreateHealthCheckRequest>"
            ),
        );
        let zone = inside(&zone, "Id").rsplit('/').next().unwrap().to_owned();
        let world = World { zone, check: inside(&check, "Id"), moto };
        for (set, weight) in [("a1", 10), ("a2", 7), ("b1", 10)] {
            world.weigh(set, weight);
        }
        world.upsert("<Name>api.example.org</Name><Type>AAAA</Type><SetIdentifier>a1</SetIdentifier><Weight>3</Weight><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>2001:db8::1</Value></ResourceRecord></ResourceRecords>");
        world
    }

    fn control(&self) -> Route53 {
        control_at(self.moto.reach(), &self.zone, &[&self.check])
    }

    fn upsert(&self, set: &str) {
        self.change("UPSERT", set);
    }

    fn change(&self, action: &str, set: &str) {
        let body = format!(
            "<ChangeResourceRecordSetsRequest {XMLNS}><ChangeBatch><Changes><Change><Action>{action}</Action><ResourceRecordSet>{set}</ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        let path = format!("/2013-04-01/hostedzone/{}/rrset", self.zone);
        self.moto.post("route53", &path, &body);
    }

    fn weigh(&self, set: &str, weight: u8) {
        self.upsert(&weighted(set, weight));
    }
}

fn weighted(set: &str, weight: u8) -> String {
    format!(
        "<Name>api.example.org</Name><Type>A</Type><SetIdentifier>{set}</SetIdentifier><Weight>{weight}</Weight><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>"
    )
}

fn weight<'s>(state: &'s ControlState, set: &str) -> &'s str {
    &state.parts[&record(set).to_string()].settings["weight"]
}

#[tokio::test]
async fn route53_keeps_the_contract_and_leaves_another_hand_alone() {
    let world = World::start().await;
    contract::holds(&world.control(), &drain()).await;
    let hand = async { world.weigh("a1", 99) };
    contract::leaves_another_hand_alone(&world.control(), &drain(), "api.example.org/A/a1", hand)
        .await;
}

#[tokio::test]
async fn weights_and_health_checks_are_cut_and_what_was_closed_is_not_opened() {
    let world = World::start().await;
    world.weigh("a2", 0);
    let control = world.control();
    let before = control.inspect().await.unwrap();
    assert_eq!(before.parts["api.example.org/A/a2"].passage, Passage::Closed);
    assert_eq!(control.calls(&drain(), &before).len(), 2);
    control.cut(&drain(), &before).await.unwrap();
    let cut = control.inspect().await.unwrap();
    let check = &cut.parts[&format!("health-check/{}", world.check)];
    assert_eq!(
        (check.settings["disabled"].as_str(), check.settings["inverted"].as_str()),
        ("true", "true")
    );
    assert_eq!([weight(&cut, "a1"), weight(&cut, "a2"), weight(&cut, "b1")], ["0", "0", "10"]);
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    // The address that another hand gave the record meanwhile is not put back with the weight: only weights are ours.
    let told = control.exchanges();
    assert!(told.iter().any(|it| it.asked.contains("<Weight>0</Weight>")), "{told:?}");
    assert!(!format!("{told:?}").contains("only-for-moto"));
}

#[tokio::test]
async fn an_address_that_changed_while_cut_is_kept() {
    let world = World::start().await;
    let control = world.control();
    let before = control.inspect().await.unwrap();
    control.cut(&drain(), &before).await.unwrap();
    world.upsert(&weighted("a1", 0).replace("192.0.2.1", "192.0.2.77"));
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    let told = control.exchanges();
    let last = told.iter().rfind(|it| it.answered.contains("api.example.org")).unwrap();
    assert!(last.answered.contains("192.0.2.77"), "{last:?}");
}

#[tokio::test]
async fn a_record_that_is_gone_is_named_while_the_others_are_restored() {
    let world = World::start().await;
    let control = world.control();
    let before = control.inspect().await.unwrap();
    control.cut(&drain(), &before).await.unwrap();
    world.change("DELETE", &weighted("a1", 0));
    let error = control.restore(&before).await.unwrap_err();
    assert!(error.what.contains("api.example.org/A/a1"), "{error}");
    let after = control.inspect().await.unwrap();
    assert_eq!(weight(&after, "a2"), "7");
    let error = control.preflight().await.unwrap_err();
    assert!(error.what.contains("api.example.org/A/a1"), "{error}");
}

#[tokio::test]
async fn the_last_weighted_record_is_nobody_left() {
    let world = World::start().await;
    world.weigh("b1", 0);
    let survivors = world.control().survivors(&drain()).await.unwrap();
    assert_eq!(survivors.len(), 1);
    assert_eq!(survivors[0].left, 0, "{survivors:?}");
}

#[tokio::test]
async fn a_zone_and_a_health_check_that_are_not_there_are_told_apart() {
    let world = World::start().await;
    let error = control_at(world.moto.reach(), "Z0NOTTHERE", &[]).preflight().await.unwrap_err();
    assert!(error.what.contains("NoSuchHostedZone"), "{error}");
    assert!(error.hint.contains("see that what the plan names is there"), "{error}");
    let absent = "00000000-0000-0000-0000-000000000000";
    let error = control_at(world.moto.reach(), &world.zone, &[absent]).preflight().await;
    assert!(error.unwrap_err().what.contains(&format!("there is no health check {absent}")));
}

#[tokio::test]
async fn a_health_check_that_is_gone_keeps_no_record_cut() {
    let world = World::start().await;
    let control = Arc::new(world.control());
    let part = format!("health-check/{}", world.check);
    let path = format!("/2013-04-01/healthcheck/{}", world.check);
    let hand = async { world.moto.delete("route53", &path) };
    puts_back_what_is_left(control, &drain(), &[&part], hand).await;
}

/// The list of the zone's only record of ours.
fn listed(weight: u8) -> String {
    list_of(&[("a1", weight)])
}

/// The list of all that the plan names.
fn listed_all(a1: u8, a2: u8, b1: u8) -> String {
    list_of(&[("a1", a1), ("a2", a2), ("b1", b1)])
}

fn list_of(sets: &[(&str, u8)]) -> String {
    let sets = sets.iter().map(|(set, weight)| {
        format!("<ResourceRecordSet>{}</ResourceRecordSet>", weighted(set, *weight))
    });
    let sets = sets.collect::<String>();
    format!(
        "<ListResourceRecordSetsResponse {XMLNS}><ResourceRecordSets>{sets}</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>300</MaxItems></ListResourceRecordSetsResponse>"
    )
}

#[tokio::test]
async fn a_zone_that_has_none_of_it_is_not_taken_for_another_hand() {
    let theirs = listed(10).replace(">a1<", ">z9<");
    let port = answering(&[("200 OK", "content-type: text/xml\r\n", theirs.as_str())]).await;
    let home = tempfile::tempdir().unwrap();
    let error = control_at(reach_in(&home, port), "Z1", &[]).inspect().await.unwrap_err();
    assert!(error.what.contains("has none of the weighted records"), "{error}");
}

fn changed(answer: &str, status: &str) -> String {
    format!(
        "<{answer} {XMLNS}><ChangeInfo><Id>/change/C1</Id><Status>{status}</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></{answer}>"
    )
}

#[tokio::test]
async fn a_change_is_in_effect_when_route53_calls_it_in_sync() {
    let asked = changed("ChangeResourceRecordSetsResponse", "PENDING");
    let pending = changed("GetChangeResponse", "PENDING");
    let in_sync = changed("GetChangeResponse", "INSYNC");
    let (open, closed) = (listed(10), listed(0));
    // Read; cut: read and change; read twice, with the change.
    let bodies = [&open, &open, &asked, &closed, &pending, &closed, &in_sync, &closed];
    let answers = bodies.map(|body| ("200 OK", "content-type: text/xml\r\n", body.as_str()));
    let home = tempfile::tempdir().unwrap();
    let control = control_at(reach_in(&home, answering(&answers).await), "Z1", &[]);
    let before = control.inspect().await.unwrap();
    control.cut(&drain(), &before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before, "accepted, and not in effect");
    let cut = control.inspect().await.unwrap();
    assert_eq!(weight(&cut, "a1"), "0");
    assert_eq!(control.inspect().await.unwrap(), cut, "and nobody is asked for the change again");
}

#[tokio::test]
async fn a_restore_that_is_refused_does_not_read_as_back_because_the_cut_is_not_in_effect_yet() {
    let asked = changed("ChangeResourceRecordSetsResponse", "PENDING");
    let (open, closed, refused) = (listed(10), listed(0), no("AccessDenied"));
    // Read; cut: read and change; restore: read and change; read: nobody asks for the change of the cut.
    let answers = [
        ("200 OK", &open),
        ("200 OK", &open),
        ("200 OK", &asked),
        ("200 OK", &closed),
        ("403 Forbidden", &refused),
        ("200 OK", &closed),
    ]
    .map(|(status, body)| (status, "content-type: text/xml\r\n", body.as_str()));
    let home = tempfile::tempdir().unwrap();
    let control = control_at(reach_in(&home, answering(&answers).await), "Z1", &[]);
    let before = control.inspect().await.unwrap();
    control.cut(&drain(), &before).await.unwrap();
    control.restore(&before.cuttable(&drain())).await.unwrap_err();
    assert_eq!(weight(&control.inspect().await.unwrap(), "a1"), "0");
}

#[tokio::test]
async fn a_record_that_route53_does_not_take_keeps_no_other_cut() {
    let invalid = format!(
        "<InvalidChangeBatch {XMLNS}><Messages><Message>the target of an alias is gone</Message></Messages></InvalidChangeBatch>"
    );
    // The other form in which Route 53 says it.
    let other = no("InvalidChangeBatch");
    let asked = changed("ChangeResourceRecordSetsResponse", "PENDING");
    let in_sync = changed("GetChangeResponse", "INSYNC");
    let (open, closed) = (listed_all(10, 7, 10), listed_all(0, 0, 10));
    let half = listed_all(0, 7, 10);
    let bad = "400 Bad Request";
    // Read; cut: read and change, all or none; restore: read, change all, change each; read.
    let answers = [
        ("200 OK", &open),
        ("200 OK", &open),
        (bad, &other),
        ("200 OK", &closed),
        (bad, &invalid),
        (bad, &invalid),
        ("200 OK", &asked),
        ("200 OK", &half),
        ("200 OK", &in_sync),
    ]
    .map(|(status, body)| (status, "content-type: text/xml\r\n", body.as_str()));
    let home = tempfile::tempdir().unwrap();
    let control = control_at(reach_in(&home, answering(&answers).await), "Z1", &[]);
    let before = control.inspect().await.unwrap();
    let refused = control.cut(&drain(), &before).await.unwrap_err();
    assert!(refused.what.contains("InvalidChangeBatch"), "{refused}");
    let refused = control.restore(&before.cuttable(&drain())).await.unwrap_err();
    assert!(refused.what.contains("InvalidChangeBatch"), "{refused}");
    let after = control.inspect().await.unwrap();
    assert_eq!((weight(&after, "a1"), weight(&after, "a2")), ("0", "7"));
    let sent = |it: &Exchange| it.asked.matches("<Action>UPSERT</Action>").count();
    let sent: Vec<usize> = control.exchanges().iter().map(sent).filter(|it| *it > 0).collect();
    assert_eq!(sent, [2, 2, 1, 1]);
}

/// What Route 53 says no with; the codes are those of AWS's common errors.
fn no(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><ErrorResponse {XMLNS}><Error><Type>Sender</Type><Code>{code}</Code><Message>no, not-so</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )
}
