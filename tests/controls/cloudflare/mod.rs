//! The `cloudflare` control against a double that is held to the models of Cloudflare's own client.

mod account;
mod pools;
mod records;
mod trouble;

use std::time::Duration;

use firedrill::model::{
    CloudflareBy, CloudflarePools, CloudflareRecord, CloudflareRecords, CloudflareSettings,
    ControlSpec, CutOrder, DatacenterId, Mode, Part, Provider, Text,
};
use firedrill::traffic::cloudflare::Cloudflare as Control;

use self::account::{ACCOUNT, TOKEN, ZONE};
use crate::world::{A, B};

fn drain() -> CutOrder {
    CutOrder::of(A, Mode::Drain)
}

fn both() -> CutOrder {
    CutOrder { datacenters: vec![A, B], ..drain() }
}

fn www() -> CloudflareBy {
    let record = |content: &str| CloudflareRecord {
        name: "www.shop.example".into(),
        kind: if content.contains(':') { "AAAA" } else { "A" }.into(),
        content: content.into(),
    };
    let of = |datacenter: DatacenterId, addresses: &[&str]| CloudflareRecords {
        datacenter,
        records: addresses.iter().map(|it| record(it)).collect(),
    };
    let records = vec![
        of(A, &["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
        of(B, &["198.51.100.1", "2001:db8:b::1"]),
    ];
    CloudflareBy::Records { zone: ZONE.into(), records }
}

fn front() -> CloudflareBy {
    let of = |datacenter: DatacenterId, patterns: &[&str]| CloudflarePools {
        datacenter,
        patterns: patterns.iter().map(|it| (*it).to_owned()).collect(),
    };
    let pools = vec![of(A, &["front-a", "mixed/a-*"]), of(B, &["front-b", "mixed/b-?"])];
    CloudflareBy::Pools { account: ACCOUNT.into(), pools }
}

fn control(at: std::net::SocketAddr, by: CloudflareBy) -> Control {
    limited(at, by, TOKEN, Duration::from_secs(5))
}

fn limited(at: std::net::SocketAddr, by: CloudflareBy, token: &str, timeout: Duration) -> Control {
    let token = Part::Secret { name: "TOKEN".into(), value: token.into() };
    let settings = CloudflareSettings {
        by,
        token: Some(Text::new(vec![token])),
        endpoint: Some(Text::from(&*format!("http://{at}/client/v4"))),
        timeout,
    };
    let provider = Provider::Cloudflare(settings);
    Control::new(&ControlSpec { name: "edge".into(), provider }).unwrap()
}
