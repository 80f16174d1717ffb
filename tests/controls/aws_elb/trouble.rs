//! What goes wrong on the way to load balancing's API, and there.

use std::time::Duration;

use firedrill::model::{ControlState, ElbSettings, PartState, Passage};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::aws::Elb;

use super::{GROUP, XML, answer, by_zone, control, drain, health, none, zones};
use crate::moto::{answering, reach_in};
use crate::strangers::Elsewhere;
use crate::world::A;

const BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/shop/0f0f0f0f0f0f0f0f";

fn no(code: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no, not-so</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )
}

/// An open part of A.
fn snapshot(of: &str, key: &str, setting: &str) -> ControlState {
    let part = PartState {
        datacenter: A,
        passage: Passage::Open,
        settings: [(key.to_owned(), setting.to_owned())].into(),
    };
    ControlState { parts: [(format!("{of}/us-east-1a"), part)].into() }
}

fn targets() -> ControlState {
    snapshot(GROUP, "targets", "10.0.0.1:8080@us-east-1a")
}

fn subnet() -> ControlState {
    snapshot(BALANCER, "subnet", "subnet-a")
}

/// A load balancer in zones a, b and c, as AWS tells it; the subnet in zone a may be gone.
fn balancer(zones: &[&str]) -> String {
    let zones = zones.iter().map(|it| {
        format!(
            "<member><ZoneName>us-east-1{it}</ZoneName><SubnetId>subnet-{it}</SubnetId></member>"
        )
    });
    let zones = zones.collect::<String>();
    answer(
        "DescribeLoadBalancers",
        &format!(
            "<LoadBalancers><member><LoadBalancerArn>{BALANCER}</LoadBalancerArn><Type>application</Type><State><Code>active</Code></State><AvailabilityZones>{zones}</AvailabilityZones></member></LoadBalancers>"
        ),
    )
}

fn of_the_balancer(port: u16, home: &tempfile::TempDir) -> Elb {
    control(&ElbSettings {
        load_balancers: vec![BALANCER.to_owned()],
        zones: zones("us-east-1a", &["us-east-1b", "us-east-1c"]),
        ..none(reach_in(home, port))
    })
}

/// What is done to whom: to a group's targets, or to a load balancer's zones.
async fn error(act: &str, port: u16) -> String {
    let home = tempfile::tempdir().unwrap();
    let (group, balancer) = (by_zone(port, &home), of_the_balancer(port, &home));
    let error = match act {
        "cut" => group.cut(&drain(), &targets()).await.unwrap_err(),
        "restore" => group.restore(&targets()).await.unwrap_err(),
        "preflight" => group.preflight().await.unwrap_err(),
        "cut of a zone" => balancer.cut(&drain(), &subnet()).await.unwrap_err(),
        "restore of a zone" => balancer.restore(&subnet()).await.unwrap_err(),
        _ => balancer.preflight().await.unwrap_err(),
    };
    error.to_string()
}

#[tokio::test]
async fn refusals_are_told_for_each_call_with_the_permission_that_is_lacking() {
    let all = health(&[("10.0.0.1", "us-east-1a", "healthy", "")]);
    let gone = health(&[]);
    let groups = answer("DescribeTargetGroups", "<TargetGroups/>");
    let (three, two) = (balancer(&["a", "b", "c"]), balancer(&["b", "c"]));
    let cases: [(&str, &[&String], &str); 8] = [
        ("DescribeTargetHealth", &[], "restore"),
        ("DeregisterTargets", &[&all], "cut"),
        ("RegisterTargets", &[&gone], "restore"),
        ("DescribeTargetGroups", &[], "preflight"),
        ("DescribeTargetGroupAttributes", &[&groups], "preflight"),
        ("DescribeLoadBalancers", &[], "preflight of zones"),
        ("SetSubnets", &[&three], "cut of a zone"),
        ("SetSubnets", &[&two], "restore of a zone"),
    ];
    for (call, before, act) in cases {
        for (status, code, hint) in [
            (
                "403 Forbidden",
                "AccessDenied",
                format!("lack the permission `elasticloadbalancing:{call}`"),
            ),
            ("403 Forbidden", "ExpiredToken", "the credentials have expired".to_owned()),
            ("400 Bad Request", "Throttling", "AWS takes no more calls".to_owned()),
            ("503 Service Unavailable", "ServiceUnavailable", "AWS is not well".to_owned()),
        ] {
            let refusal = no(code);
            let answers = before.iter().map(|body| ("200 OK", XML, body.as_str()));
            let answers: Vec<_> = answers.chain([(status, XML, refusal.as_str())]).collect();
            let told = error(act, answering(&answers).await).await;
            assert!(told.contains(code) && told.contains(&hint), "{call}: {told}");
            assert!(told.contains(&format!("`elasticloadbalancing:{call}`")), "{call}: {told}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_of_aws_is_told_and_a_redirect_is_not_followed() {
    let elsewhere = Elsewhere::new();
    let location = format!("location: http://127.0.0.1:{}/\r\n", elsewhere.port());
    let long = format!("{XML}content-length: 9000\r\n");
    let (targets, zones) =
        (health(&[("10.0.0.1", "us-east-1a", "healthy", "")]), balancer(&["a", "b", "c"]));
    for (whole, acts, preflight) in [
        (&targets, ["cut", "restore"], "preflight"),
        (&zones, ["cut of a zone", "restore of a zone"], "preflight of zones"),
    ] {
        let half = &whole[..whole.len() / 2];
        for (status, headers, body, told) in [
            ("500 Internal Server Error", "", "<html>oops</html>", "AWS is not well"),
            ("200 OK", XML, "<html>hello", "hello"),
            ("200 OK", XML, half, "the answer breaks off"),
            ("200 OK", &long, half, "the answer broke off"),
            ("", "", "", "closed before the answer was whole"),
            ("307 Temporary Redirect", &location, "", "which is not followed"),
        ] {
            let error = error(preflight, answering(&[(status, headers, body)]).await).await;
            assert!(error.contains(told), "{status} {headers}: {error}");
        }
        // Half of what is registered would be changed, or put back.
        for act in acts {
            let error = error(act, answering(&[("200 OK", XML, half)]).await).await;
            assert!(error.contains("the answer breaks off"), "{act}: {error}");
        }
    }
    elsewhere.heard_nothing();
}

#[tokio::test]
async fn one_that_never_answers_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut reach = reach_in(&home, silent.local_addr().unwrap().port());
    reach.timeout = Duration::from_millis(300);
    let control = control(&ElbSettings {
        target_groups: vec![GROUP.to_owned()],
        zones: zones("us-east-1a", &["us-east-1b"]),
        ..none(reach)
    });
    assert!(control.inspect().await.is_err() && control.preflight().await.is_err());
    assert!(control.cut(&drain(), &targets()).await.is_err());
    assert!(control.restore(&targets()).await.is_err());
}
