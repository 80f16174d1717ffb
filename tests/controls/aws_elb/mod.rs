//! The `aws-elb` control against moto's load balancers, and against answers of AWS that moto does not give.

mod trouble;

use std::sync::Arc;

use firedrill::model::{
    AwsReach, ControlSpec, CutOrder, ElbSettings, ElbTarget, ElbTargets, ElbZones, Mode, Passage,
    Provider,
};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::aws::Elb;

use crate::contract;
use crate::journal_alone::{End, puts_back_what_is_left, restored};
use crate::moto::{Moto, answering, inside, reach_in};
use crate::world::{A, B};

const GROUP: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/shop/0f0f0f0f0f0f0f0f";
const XML: &str = "content-type: text/xml\r\n";

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

fn none(reach: AwsReach) -> ElbSettings {
    ElbSettings {
        target_groups: Vec::new(),
        load_balancers: Vec::new(),
        targets: Vec::new(),
        zones: Vec::new(),
        reach,
    }
}

fn control(settings: &ElbSettings) -> Elb {
    let provider = Provider::AwsElb(settings.clone());
    Elb::new(&ControlSpec { name: "balancer".into(), provider }, settings)
}

/// Two addresses in A, one of them with a port, and one in B.
fn by_targets(reach: AwsReach, groups: &[&str]) -> ElbSettings {
    let target = |id: &str, port| ElbTarget { id: id.to_owned(), port };
    ElbSettings {
        target_groups: groups.iter().map(|it| (*it).to_owned()).collect(),
        targets: vec![
            ElbTargets {
                datacenter: A,
                targets: vec![target("10.0.0.1", Some(8080)), target("10.0.0.2", None)],
            },
            ElbTargets { datacenter: B, targets: vec![target("10.0.1.1", None)] },
        ],
        ..none(reach)
    }
}

fn zones(a: &str, b: &[&str]) -> Vec<ElbZones> {
    let of = |datacenter, names: &[&str]| ElbZones {
        datacenter,
        names: names.iter().map(|it| (*it).to_owned()).collect(),
    };
    vec![of(A, &[a]), of(B, b)]
}

/// A load balancer in zones a, b and c of moto's own network, and its target group.
struct World {
    moto: Moto,
    balancer: String,
    group: String,
    subnets: Vec<String>,
}

impl World {
    async fn start(kind: &str, zones: usize) -> World {
        let moto = Moto::start().await;
        let found = moto.query("ec2", "Action=DescribeSubnets&Version=2016-11-15");
        let of = |zone: &str| {
            let subnets = found.split("</item>").filter(|it| it.contains(&format!(">{zone}<")));
            inside(subnets.last().unwrap(), "subnetId")
        };
        let all = ["us-east-1a", "us-east-1b", "us-east-1c"];
        let subnets: Vec<String> = all[..zones].iter().map(|zone| of(zone)).collect();
        let vpc = inside(&found, "vpcId");
        let listed = subnets.iter().enumerate();
        let listed =
            listed.map(|(n, it)| format!("&Subnets.member.{}={it}", n + 1)).collect::<String>();
        let balancer = elb(&moto, "CreateLoadBalancer", &format!("Name=shop&Type={kind}{listed}"));
        let balancer = inside(&balancer, "LoadBalancerArn");
        let protocol = if kind == "network" { "TCP" } else { "HTTP" };
        let group = elb(
            &moto,
            "CreateTargetGroup",
            &format!("Name=shop&Protocol={protocol}&Port=8080&VpcId={vpc}&TargetType=ip"),
        );
        let group = inside(&group, "TargetGroupArn");
        elb(
            &moto,
            "CreateListener",
            &format!(
                "LoadBalancerArn={balancer}&Protocol={protocol}&Port=80&DefaultActions.member.1.Type=forward&DefaultActions.member.1.TargetGroupArn={group}"
            ),
        );
        let world = World { moto, balancer, group, subnets };
        for (address, port) in [("10.0.0.1", 8080), ("10.0.0.2", 9090), ("10.0.1.1", 8080)] {
            world.register(address, port);
        }
        world
    }

    fn register(&self, address: &str, port: u16) {
        let targets = format!("&Targets.member.1.Id={address}&Targets.member.1.Port={port}");
        elb(&self.moto, "RegisterTargets", &format!("TargetGroupArn={}{targets}", self.group));
    }

    fn targets(&self) -> ElbSettings {
        by_targets(self.moto.reach(), &[&self.group])
    }

    fn zones(&self, a: &str, b: &[&str]) -> ElbSettings {
        ElbSettings {
            load_balancers: vec![self.balancer.clone()],
            zones: zones(a, b),
            ..none(self.moto.reach())
        }
    }

    fn part(&self, of: &str, name: &str) -> String {
        format!("{of}/{name}")
    }
}

fn elb(moto: &Moto, action: &str, rest: &str) -> String {
    moto.query("elasticloadbalancing", &format!("Action={action}&Version=2015-12-01&{rest}"))
}

#[tokio::test]
async fn targets_keep_the_contract_and_leave_another_hand_alone() {
    let world = World::start("application", 3).await;
    let control = control(&world.targets());
    contract::holds(&control, &drain()).await;
    let before = control.inspect().await.unwrap();
    let part = world.part(&world.group, "10.0.0.2");
    assert_eq!(before.parts[&part].settings["targets"], "10.0.0.2:9090");
    let calls = control.calls(&drain(), &before);
    assert_eq!(calls.len(), 1, "one call a group: {calls:?}");
    assert!(calls[0].call.ends_with("may go on for 300 s"), "{calls:?}");
    // The same address with another port is another hand's.
    let hand = async { world.register("10.0.0.2", 7070) };
    contract::leaves_another_hand_alone(&control, &drain(), &part, hand).await;
}

#[tokio::test]
async fn a_target_group_that_is_gone_keeps_no_other_cut() {
    let world = World::start("application", 3).await;
    let vpc =
        inside(&world.moto.query("ec2", "Action=DescribeSubnets&Version=2016-11-15"), "vpcId");
    let group = format!("Name=gone&Protocol=HTTP&Port=80&VpcId={vpc}&TargetType=ip");
    let made = elb(&world.moto, "CreateTargetGroup", &group);
    let gone = inside(&made, "TargetGroupArn");
    let target = "&Targets.member.1.Id=10.0.0.1&Targets.member.1.Port=8080";
    elb(&world.moto, "RegisterTargets", &format!("TargetGroupArn={gone}{target}"));
    let parts = ["10.0.0.1:8080", "10.0.0.2", "10.0.1.1"].map(|it| world.part(&gone, it));
    let control = control(&by_targets(world.moto.reach(), &[&world.group, &gone]));
    let hand =
        async { drop(elb(&world.moto, "DeleteTargetGroup", &format!("TargetGroupArn={gone}"))) };
    let parts = parts.each_ref().map(String::as_str);
    puts_back_what_is_left(Arc::new(control), &drain(), &parts, hand).await;
}

#[tokio::test]
async fn a_target_that_was_out_before_is_not_registered_and_others_are_never_touched() {
    let world = World::start("application", 3).await;
    elb(
        &world.moto,
        "DeregisterTargets",
        &format!("TargetGroupArn={}&Targets.member.1.Id=10.0.0.1", world.group),
    );
    let control = control(&world.targets());
    let before = control.inspect().await.unwrap();
    let out = world.part(&world.group, "10.0.0.1:8080");
    assert_eq!(before.parts[&out].passage, Passage::Closed);
    control.cut(&drain(), &before).await.unwrap();
    world.register("10.0.0.9", 8080);
    control.restore(&before).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    let told = control.exchanges();
    let asked = |call: &str| told.iter().filter(|it| it.asked.contains(call)).collect::<Vec<_>>();
    let (out, back) = (asked("Action=DeregisterTargets"), asked("Action=RegisterTargets"));
    assert_eq!((out.len(), back.len()), (1, 1), "{told:?}");
    assert!(!back[0].asked.contains("10.0.0.1&") && !out[0].asked.contains("10.0.1.1"), "{told:?}");
    assert!(!format!("{told:?}").contains("only-for-moto"));
    let error = self::control(&by_targets(world.moto.reach(), &[&world.group]));
    assert!(error.preflight().await.unwrap_err().what.contains("for 10.0.0.1:8080"));
}

#[tokio::test]
async fn the_last_healthy_targets_are_nobody_left() {
    let world = World::start("application", 3).await;
    let control = control(&world.targets());
    assert_eq!(control.survivors(&drain()).await.unwrap()[0].left, 1);
    elb(
        &world.moto,
        "DeregisterTargets",
        &format!("TargetGroupArn={}&Targets.member.1.Id=10.0.1.1", world.group),
    );
    assert_eq!(control.survivors(&drain()).await.unwrap()[0].left, 0);
}

#[tokio::test]
async fn zones_keep_the_contract_and_come_back_with_the_same_subnets() {
    let world = World::start("application", 3).await;
    let settings = world.zones("us-east-1a", &["us-east-1b", "us-east-1c"]);
    let control = control(&settings);
    contract::holds(&control, &drain()).await;
    let before = control.inspect().await.unwrap();
    let part = world.part(&world.balancer, "us-east-1a");
    assert_eq!(before.parts[&part].settings["subnet"], world.subnets[0]);
    // Another hand gives the zone another subnet, while it is cut.
    let hand = async {
        let vpc =
            inside(&world.moto.query("ec2", "Action=DescribeSubnets&Version=2016-11-15"), "vpcId");
        let made = format!(
            "Action=CreateSubnet&Version=2016-11-15&VpcId={vpc}&CidrBlock=172.31.250.0/24&AvailabilityZone=us-east-1a"
        );
        let other = inside(&world.moto.query("ec2", &made), "subnetId");
        let all = [&other, &world.subnets[1], &world.subnets[2]];
        let all = all.iter().enumerate();
        let all = all.map(|(n, it)| format!("&Subnets.member.{}={it}", n + 1)).collect::<String>();
        elb(&world.moto, "SetSubnets", &format!("LoadBalancerArn={}{all}", world.balancer));
    };
    let (ours, expected) = (before.cuttable(&drain()), control.cut_state(&drain(), &before));
    control.cut(&drain(), &before).await.unwrap();
    hand.await;
    let now = control.inspect().await.unwrap();
    let reading = firedrill::restore::Reading::of(&now, &ours, &expected);
    assert_eq!(reading.foreign, [part], "{now:?}");
}

#[tokio::test]
async fn a_zone_that_aws_would_not_give_up_or_not_give_back_is_refused_in_words() {
    let two = World::start("application", 2).await;
    let control_of_two = control(&two.zones("us-east-1a", &["us-east-1b"]));
    let error = control_of_two.survivors(&drain()).await.unwrap_err();
    assert!(error.what.contains("would be left with 1 zone"), "{error}");
    let before = control_of_two.inspect().await.unwrap();
    let error = control_of_two.cut(&drain(), &before).await.unwrap_err();
    assert!(error.what.contains("no fewer than 2"), "{error}");
    assert_eq!(control_of_two.inspect().await.unwrap(), before);

    let network = World::start("network", 3).await;
    let control_of_network = control(&network.zones("us-east-1a", &["us-east-1b"]));
    let error = control_of_network.preflight().await.unwrap_err();
    assert!(error.what.contains("of the type `network`"), "{error}");
    assert!(error.hint.contains("aws-zonal-shift"), "{error}");
    let before = control_of_network.inspect().await.unwrap();
    let error = control_of_network.cut(&drain(), &before).await.unwrap_err();
    assert!(error.what.contains("of the type `network`"), "{error}");
    assert_eq!(control_of_network.inspect().await.unwrap(), before);
    let error = control(&two.zones("us-east-1a", &["us-east-1f"])).preflight().await.unwrap_err();
    assert!(error.what.contains("has no subnet in us-east-1f"), "{error}");
    assert!(error.hint.contains("it has us-east-1"), "{error}");
}

#[tokio::test]
async fn groups_and_load_balancers_that_are_not_there_are_told() {
    let moto = Moto::start().await;
    // It loads what knows of load balancers at the first request.
    elb(&moto, "DescribeTargetGroups", "");
    let error = control(&by_targets(moto.reach(), &[GROUP])).preflight().await.unwrap_err();
    assert!(error.what.contains("TargetGroupNotFound"), "{error}");
    assert!(error.hint.contains("see that what the plan names is there"), "{error}");
    let error = control(&by_targets(moto.reach(), &[GROUP])).inspect().await.unwrap_err();
    assert!(error.what.contains("there is none of the target groups"), "{error}");
    let absent = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/no/0f0f";
    let settings = ElbSettings {
        load_balancers: vec![absent.to_owned()],
        zones: zones("us-east-1a", &["us-east-1b"]),
        ..none(moto.reach())
    };
    let error = control(&settings).preflight().await.unwrap_err();
    assert!(error.what.contains(absent), "{error}");
    let error = control(&settings).inspect().await.unwrap_err();
    assert!(error.what.contains("there is none of the load balancers"), "{error}");
}

/// Targets as AWS tells them, which moto does not: with their zones, and draining.
fn health(targets: &[(&str, &str, &str, &str)]) -> String {
    let told = targets.iter().map(|(id, zone, state, reason)| {
        format!("<member><Target><Id>{id}</Id><Port>8080</Port><AvailabilityZone>{zone}</AvailabilityZone></Target><TargetHealth><State>{state}</State>{reason}</TargetHealth></member>")
    });
    let told = told.collect::<String>();
    answer(
        "DescribeTargetHealth",
        &format!("<TargetHealthDescriptions>{told}</TargetHealthDescriptions>"),
    )
}

fn answer(call: &str, inside: &str) -> String {
    format!(
        r#"<{call}Response xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><{call}Result>{inside}</{call}Result></{call}Response>"#
    )
}

fn by_zone(port: u16, home: &tempfile::TempDir) -> Elb {
    control(&ElbSettings {
        target_groups: vec![GROUP.to_owned()],
        zones: zones("us-east-1a", &["us-east-1b"]),
        ..none(reach_in(home, port))
    })
}

const DRAINS: &str = "<Reason>Target.DeregistrationInProgress</Reason>";

#[tokio::test]
async fn a_zones_targets_are_cut_while_they_drain_and_are_registered_as_they_were() {
    let west = ("10.0.1.1", "us-east-1b", "healthy", "");
    let all = health(&[
        ("10.0.0.1", "us-east-1a", "healthy", ""),
        ("10.0.0.2", "us-east-1a", "unhealthy", "<Reason>Target.Timeout</Reason>"),
        west,
    ]);
    let draining = health(&[("10.0.0.1", "us-east-1a", "draining", DRAINS), west]);
    let gone = health(&[west]);
    let delay = "<Attributes><member><Key>deregistration_delay.timeout_seconds</Key><Value>45</Value></member></Attributes>";
    let delay = answer("DescribeTargetGroupAttributes", delay);
    let (out, back) = (answer("DeregisterTargets", ""), answer("RegisterTargets", ""));
    // Read; cut: read and change; read, draining, and gone; restore: read and change; read.
    let bodies = [&delay, &all, &all, &out, &draining, &gone, &gone, &back, &all];
    let answers = bodies.map(|body| ("200 OK", XML, body.as_str()));
    let home = tempfile::tempdir().unwrap();
    let control = by_zone(answering(&answers).await, &home);
    let before = control.inspect().await.unwrap();
    let east = format!("{GROUP}/us-east-1a");
    assert_eq!(
        before.parts[&east].settings["targets"],
        "10.0.0.1:8080@us-east-1a 10.0.0.2:8080@us-east-1a"
    );
    assert!(control.calls(&drain(), &before)[0].call.ends_with("may go on for 45 s"));
    control.cut(&drain(), &before).await.unwrap();
    for how in ["draining", "gone"] {
        let now = control.inspect().await.unwrap();
        assert!(now.is_cut(&drain()), "{how}: {now:?}");
        assert_eq!(now.parts[&east].settings["targets"], "none", "{how}");
    }
    control.restore(&before.cuttable(&drain())).await.unwrap();
    assert_eq!(control.inspect().await.unwrap(), before);
    let told = control.exchanges();
    let back = told.iter().find(|it| it.asked.contains("Action=RegisterTargets")).unwrap();
    for id in ["10.0.0.1", "10.0.0.2"] {
        assert!(back.asked.contains(&format!("Id={id}")), "{back:?}");
    }
    assert_eq!(back.asked.matches("AvailabilityZone=us-east-1a").count(), 2, "{back:?}");
}

#[tokio::test]
async fn a_target_that_others_register_in_a_zone_that_is_cut_stays_and_ours_come_back() {
    let all =
        [("10.0.0.1", "us-east-1a", "healthy", ""), ("10.0.1.1", "us-east-1b", "healthy", "")];
    let new = ("10.0.0.9", "us-east-1a", "initial", "");
    let (theirs, both) = (health(&[all[1], new]), health(&[all[0], all[1], new]));
    let all = health(&all);
    let delay = answer("DescribeTargetGroupAttributes", "<Attributes/>");
    let (out, back) = (answer("DeregisterTargets", ""), answer("RegisterTargets", ""));
    // Read; cut: read and change; read by the restore: read and change; and both from then on.
    let bodies = [&delay, &all, &all, &out, &theirs, &theirs, &back, &both];
    let answers = bodies.map(|body| ("200 OK", XML, body.as_str()));
    let home = tempfile::tempdir().unwrap();
    let control: Arc<dyn TrafficControl> = Arc::new(by_zone(answering(&answers).await, &home));
    let end = restored(&control, &drain(), async {}).await;
    assert_eq!(end, End::Restored { undone: false });
    let now = control.inspect().await.unwrap();
    let targets = &now.parts[&format!("{GROUP}/us-east-1a")].settings["targets"];
    assert_eq!(targets, "10.0.0.1:8080@us-east-1a 10.0.0.9:8080@us-east-1a");
}

#[tokio::test]
async fn targets_without_a_zone_are_told_before_the_cut() {
    let groups = answer(
        "DescribeTargetGroups",
        &format!(
            "<TargetGroups><member><TargetGroupArn>{GROUP}</TargetGroupArn><TargetType>instance</TargetType></member></TargetGroups>"
        ),
    );
    let attributes = answer("DescribeTargetGroupAttributes", "<Attributes/>");
    let instances = health(&[("i-0abc", "", "healthy", "")])
        .replace("<AvailabilityZone></AvailabilityZone>", "");
    let bodies = [&groups, &attributes, &instances];
    let answers = bodies.map(|body| ("200 OK", XML, body.as_str()));
    let home = tempfile::tempdir().unwrap();
    let error = by_zone(answering(&answers).await, &home).preflight().await.unwrap_err();
    assert!(
        error.what.contains("for us-east-1a") && error.what.contains("for us-east-1b"),
        "{error}"
    );
    assert!(error.hint.contains("under `targets`"), "{error}");
}
