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
    let mut toxiproxy = passed();
    toxiproxy.controls[0].provider = Provider::Toxiproxy(ToxiproxySettings {
        url: "http://127.0.0.1:8474".into(),
        token: Some("t".into()),
        proxies: vec![ToxiproxyProxies {
            datacenter: DatacenterId(0),
            patterns: vec!["east-*".into()],
        }],
        timeout: ms(5000),
    });
    let [watched, told, signalled] = file();
    let tcp = haproxy(HaproxySocket::Tcp("10.1.0.2:9999".into()));
    let unix = haproxy(HaproxySocket::Unix("/run/haproxy.sock".into()));
    let aws = [route53(), zonal_shift()].into_iter().chain(more_of_aws());
    let local = [proxy, toxiproxy, caddy, nftables(), exec, http(), watched, told, signalled];
    local.into_iter().chain([tcp, unix]).chain(clouds()).chain(aws).chain(names()).collect()
}

fn nftables() -> RunRecord {
    let mut record = passed();
    record.controls[0].provider = Provider::Nftables(NftablesSettings {
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
            devices: vec!["eth0".into()],
        }],
        ssh_config: Some("/etc/firedrill/ssh".into()),
        expires_in: ms(120_000),
        timeout: ms(5000),
    });
    record
}

fn file() -> [RunRecord; 3] {
    let told = |reload, by| {
        let mut record = passed();
        record.controls[0].provider = Provider::File(FileSettings {
            path: "/etc/nginx/app.upstream".into(),
            replace: vec![FileEdit {
                datacenter: DatacenterId(0),
                find: "server 10.1.0.1:80;".into(),
                with: "server 10.1.0.1:80 down;".into(),
            }],
            test: vec!["nginx".into(), "-t".into()],
            reload,
            read: FileRead {
                urls: vec!["http://127.0.0.1/".into()],
                times: 20,
                timeout: ms(2000),
                by,
                values: vec![FileServing {
                    datacenter: DatacenterId(0),
                    patterns: vec!["east".into()],
                }],
            },
            modes: vec![ModeKind::Drain],
            dir: "/srv".into(),
            datacenters: vec!["east".into()],
            timeout: ms(6000),
        });
        record
    };
    let header = || FileServedBy::Header("x-datacenter".into());
    let command = FileReload::Command(vec!["nginx".into(), "-s".into(), "reload".into()]);
    let signal = FileReload::Signal { pid_file: "/run/nginx.pid".into(), signal: FileSignal::Hup };
    let json = FileServedBy::Json("/datacenter".into());
    [told(FileReload::Watched, header()), told(command, header()), told(signal, json)]
}

/// Those of zones in DNS.
fn names() -> Vec<RunRecord> {
    let records = || {
        let address = "192.0.2.1".parse().unwrap();
        let record = DnsRecord { name: "app.example.org".into(), address };
        vec![DnsRecords { datacenter: DatacenterId(0), records: vec![record] }]
    };
    let powerdns = |api_key| {
        let mut record = passed();
        record.controls[0].provider = Provider::Powerdns(PowerdnsSettings {
            url: "http://127.0.0.1:8081".into(),
            api_key,
            server: "localhost".into(),
            zone: "example.org".into(),
            records: records(),
            resolvers: vec!["10.0.0.53:53".into()],
            follow_within: ms(120_000),
            timeout: ms(5000),
        });
        record
    };
    let update = |key| {
        let mut record = passed();
        record.controls[0].provider = Provider::DnsUpdate(DnsUpdateSettings {
            server: "10.0.0.53:53".into(),
            zone: "example.org".into(),
            key,
            records: records(),
            resolvers: Vec::new(),
            follow_within: ms(120_000),
            timeout: ms(5000),
        });
        record
    };
    let given = DnsKey::Given {
        name: "firedrill".into(),
        algorithm: DnsKeyAlgorithm::HmacSha256,
        secret: "${env:TSIG_SECRET}".into(),
    };
    vec![
        powerdns(PowerdnsKey::Given("${env:PDNS_API_KEY}".into())),
        powerdns(PowerdnsKey::File("/etc/firedrill/pdns.key".into())),
        update(given),
        update(DnsKey::File("/etc/firedrill/tsig.key".into())),
    ]
}

fn http() -> RunRecord {
    let call = |method: &str, body: Option<&str>| HttpCall {
        method: method.into(),
        path: "/pools/{{part}}".into(),
        body: body.map(Into::into),
        content_type: "application/json".into(),
        expect: HttpExpect {
            status: vec![(200, 299)],
            body: Some("ok".into()),
            json: vec![("/ok".into(), true.into())],
        },
        repeatable: true,
    };
    let mut record = passed();
    record.controls[0].provider = Provider::Http(Box::new(HttpSettings {
        url: "https://lb.example/api".into(),
        headers: vec![("x-key".into(), "k".into())],
        ca: Some("/etc/ca.pem".into()),
        parts: vec![HttpPart { datacenter: DatacenterId(0), name: "pool-a".into() }],
        datacenters: vec!["east".into()],
        modes: vec![ModeKind::Drain],
        survivors: true,
        inspect: HttpReading {
            call: call("GET", None),
            read: "/enabled".into(),
            closed: false.into(),
            keep: Some("/weight".into()),
        },
        cut: call("PATCH", Some("{}")),
        restore: call("PUT", Some("{{before}}")),
        timeout: ms(10_000),
    }));
    record
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
    let policies = KubernetesBy::Policies(KubernetesPolicies {
        label: "zone".into(),
        zones: vec![KubernetesZone { datacenter: DatacenterId(0), zone: "a".into() }],
        namespaces: vec!["shop".into()],
    });
    let context = KubernetesAccess::Context { name: "drill".into(), kubeconfig: None };
    let kubernetes = |access, by| {
        let server = Some("https://api.example:6443".into());
        let timeout = ms(5000);
        cloud(Provider::Kubernetes(KubernetesSettings { access, server, by, timeout }))
    };
    let gcp = |by| {
        let (endpoint, timeout) = (None, ms(5000));
        cloud(Provider::Gcp(GcpSettings { project: "shop-1".into(), by, endpoint, timeout }))
    };
    let [glb, dns] = gcp_by().map(gcp);
    let azure = |by| {
        let (subscription, resource_group) = ("sub-1".into(), "shop".into());
        let timeout = ms(5000);
        let endpoint = None;
        cloud(Provider::Azure(AzureSettings {
            subscription,
            resource_group,
            by,
            endpoint,
            timeout,
        }))
    };
    let [names, door] = azure_by().map(azure);
    let cloudflare = |by| {
        let token = Some(Text::from("${env:TOKEN}"));
        let endpoint = Some("https://cloudflare.example".into());
        cloud(Provider::Cloudflare(CloudflareSettings { by, token, endpoint, timeout: ms(5000) }))
    };
    let [zone, account] = cloudflare_by().map(cloudflare);
    let pod = || KubernetesAccess::InCluster;
    let cluster =
        [kubernetes(context, routes), kubernetes(pod(), nodes), kubernetes(pod(), policies)];
    [names, door, glb, dns, zone, account].into_iter().chain(cluster).collect()
}

fn gcp_by() -> [GcpBy; 2] {
    let datacenter = DatacenterId(0);
    let item = GcpItem { name: "www.example".into(), kind: "A".into(), data: "192.0.2.1".into() };
    [
        GcpBy::Backends {
            services: vec![GcpService { region: Some("r1".into()), name: "web".into() }],
            groups: vec![GcpGroups { datacenter, patterns: vec!["r1-a/*".into()] }],
        },
        GcpBy::Dns { zone: "shop".into(), items: vec![GcpItems { datacenter, items: vec![item] }] },
    ]
}

fn azure_by() -> [AzureBy; 2] {
    let parts = || vec![AzureParts { datacenter: DatacenterId(0), patterns: vec!["a-*".into()] }];
    [
        AzureBy::TrafficManager { profile: "web".into(), endpoints: parts() },
        AzureBy::FrontDoor { profile: "web".into(), origins: parts() },
    ]
}

fn cloudflare_by() -> [CloudflareBy; 2] {
    let record = CloudflareRecord {
        name: "www.example".into(),
        kind: "A".into(),
        content: "192.0.2.1".into(),
    };
    let records = CloudflareRecords { datacenter: DatacenterId(0), records: vec![record] };
    let pools = CloudflarePools { datacenter: DatacenterId(0), patterns: vec!["east".into()] };
    [
        CloudflareBy::Records { zone: "0".repeat(32), records: vec![records] },
        CloudflareBy::Pools { account: "0".repeat(32), pools: vec![pools] },
    ]
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

fn more_of_aws() -> [RunRecord; 4] {
    let of = |provider| {
        let mut record = passed();
        record.controls[0].provider = provider;
        record
    };
    let (datacenter, here) = (DatacenterId(0), || vec!["arn:aws:a".to_owned()]);
    let switches = RoutingControlSettings {
        endpoints: vec![RoutingControlEndpoint {
            region: "us-east-1".into(),
            url: "https://a.example/v1".into(),
        }],
        controls: vec![RoutingControls { datacenter, arns: here() }],
        override_safety_rules: here(),
        reach: aws_reach(),
    };
    let elb = |target_groups, load_balancers, targets, zones| {
        let reach = aws_reach();
        ElbSettings { target_groups, load_balancers, targets, zones, reach }
    };
    let targets = vec![ElbTarget { id: "10.1.0.4".into(), port: Some(8080) }];
    let targets = vec![ElbTargets { datacenter, targets }];
    let zones = vec![ElbZones { datacenter, names: vec!["eu-west-1a".into()] }];
    let fis = FisSettings {
        region: "eu-west-1".into(),
        templates: vec![FisTemplate { datacenter, id: "EXT1a2b".into() }],
        modes: vec![ModeKind::Blackhole],
        at_most: ms(60_000),
        reach: aws_reach(),
    };
    [
        of(Provider::AwsRoutingControl(switches)),
        of(Provider::AwsElb(elb(here(), Vec::new(), targets, Vec::new()))),
        of(Provider::AwsElb(elb(Vec::new(), here(), Vec::new(), zones))),
        of(Provider::AwsFis(fis)),
    ]
}
