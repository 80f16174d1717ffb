//! Records with the settings of every provider.

use super::{many_services, ms, passed};
use crate::model::*;

/// Records that hold the settings of every provider and mode.
pub fn every_provider() -> Vec<RunRecord> {
    let mut proxy = many_services();
    proxy.controls[0].provider = Provider::Proxy(ProxySettings {
        routes: vec![ProxyRoute {
            datacenter: DatacenterId(0),
            listen: "127.0.0.1:8080".parse().unwrap(),
            to: "10.1.0.4:80".into(),
        }],
    });
    let haproxy = |socket| {
        let mut record = passed();
        record.controls[0].provider = Provider::Haproxy(HaproxySettings {
            socket,
            servers: vec![HaproxyServers {
                datacenter: DatacenterId(0),
                patterns: vec!["app/web*".into()],
            }],
            timeout: ms(2000),
        });
        record
    };
    let mut caddy = passed();
    caddy.controls[0].provider = Provider::Caddy(CaddySettings {
        url: "http://127.0.0.1:2019".into(),
        id: "edge".into(),
        upstreams: vec![CaddyUpstream { datacenter: DatacenterId(0), dial: "10.1.0.1:80".into() }],
        timeout: ms(5000),
    });
    let mut exec = passed();
    let words = |act: &str| vec!["./traffic".into(), act.into()];
    exec.controls[0].provider = Provider::Exec(ExecSettings {
        inspect: words("inspect"),
        cut: words("cut"),
        restore: words("restore"),
        dir: "/srv".into(),
        modes: vec![ModeKind::Drain],
        datacenters: vec!["east".into()],
        timeout: ms(10_000),
    });
    let mut nftables = passed();
    nftables.controls[0].provider = Provider::Nftables(NftablesSettings {
        networks: vec![NftablesNetworks {
            datacenter: DatacenterId(0),
            name: "east".into(),
            networks: vec!["10.1.0.0/16".parse().unwrap()],
        }],
        ports: vec![NftablesPorts { first: 443, last: 443 }],
        hosts: vec![NftablesHost {
            ssh: Some("ops@gw1.example".into()),
            netns: Some("edge".into()),
            sudo: true,
        }],
        ssh_config: Some("/etc/firedrill/ssh".into()),
        expires_in: ms(120_000),
        timeout: ms(5000),
    });
    let tcp = haproxy(HaproxySocket::Tcp("10.1.0.2:9999".into()));
    let unix = haproxy(HaproxySocket::Unix("/run/haproxy.sock".into()));
    let aws = [route53(), zonal_shift()];
    [proxy, caddy, nftables, exec, tcp, unix].into_iter().chain(clouds()).chain(aws).collect()
}

/// Those of providers in the cloud.
fn clouds() -> Vec<RunRecord> {
    let cloud = |provider| {
        let mut record = passed();
        record.controls[0].provider = provider;
        record
    };
    let routes = KubernetesBy::Routes(vec![KubernetesBackends {
        datacenter: DatacenterId(0),
        backends: vec![KubernetesBackend {
            namespace: "shop".into(),
            route: "web".into(),
            service: "web-a".into(),
        }],
    }]);
    let nodes = KubernetesBy::Nodes(KubernetesNodes {
        label: "zone".into(),
        zones: vec![KubernetesZone { datacenter: DatacenterId(0), zone: "a".into() }],
        namespaces: vec!["shop".into()],
        evict_within: ms(12_000),
    });
    let context = KubernetesAccess::Context { name: "drill".into(), kubeconfig: None };
    let kubernetes = |access, by| {
        let server = Some("https://api.example:6443".into());
        let timeout = ms(5000);
        cloud(Provider::Kubernetes(KubernetesSettings { access, server, by, timeout }))
    };
    let gcp = GcpSettings {
        project: "shop-1".into(),
        services: vec![GcpService { region: Some("r1".into()), name: "web".into() }],
        groups: vec![GcpGroups { datacenter: DatacenterId(0), patterns: vec!["r1-a/*".into()] }],
        endpoint: None,
        timeout: ms(5000),
    };
    let azure = AzureSettings {
        subscription: "sub-1".into(),
        resource_group: "shop".into(),
        profile: "web".into(),
        endpoints: vec![AzureEndpoints {
            datacenter: DatacenterId(0),
            patterns: vec!["a-*".into()],
        }],
        endpoint: None,
        timeout: ms(5000),
    };
    let [cluster, pod] =
        [kubernetes(context, routes), kubernetes(KubernetesAccess::InCluster, nodes)];
    vec![cloud(Provider::Azure(azure)), cloud(Provider::Gcp(gcp)), cluster, pod]
}

fn route53() -> RunRecord {
    let mut record = passed();
    record.controls[0].provider = Provider::AwsRoute53(Route53Settings {
        zone: Some("Z0123".into()),
        records: vec![Route53Records {
            datacenter: DatacenterId(0),
            records: vec![Route53Record {
                name: "api.example".into(),
                kind: "A".into(),
                set: "east".into(),
            }],
        }],
        health_checks: vec![Route53HealthChecks {
            datacenter: DatacenterId(0),
            ids: vec!["0f1e".into()],
        }],
        reach: aws_reach(),
    });
    record
}

fn aws_reach() -> AwsReach {
    AwsReach {
        profile: Some("drills".into()),
        credentials: Some("/run/aws".into()),
        endpoint: Some("https://aws.example".into()),
        timeout: ms(10_000),
    }
}

fn zonal_shift() -> RunRecord {
    let mut record = passed();
    record.controls[0].provider = Provider::AwsZonalShift(ZonalShiftSettings {
        resources: vec!["arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/0".into()],
        zones: vec![ZonalShiftZone { datacenter: DatacenterId(0), id: "euw1-az1".into() }],
        expires_in: ms(1_800_000),
        reach: aws_reach(),
    });
    record
}
