//! The providers of AWS: whose credentials, which address; and what each of them steers.

use std::time::Duration;

use crate::model::{
    AwsReach, DatacenterId, Route53HealthChecks, Route53Record, Route53Records, Route53Settings,
};
use crate::plan::address::url;
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Fields, Label, Reader, Value};

/// How long a call may take if the plan does not say: AWS answers within a second, or is busy and asked again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads what all providers of AWS have: `profile`, `credentials`, `endpoint`, `timeout`.
pub(super) fn reach(reader: &mut Reader, fields: Fields) -> AwsReach {
    let profile = fields.get("profile");
    let profile = profile.and_then(|it| reader.shown(it, "the name of a profile in ~/.aws"));
    let credentials = fields.get("credentials");
    let credentials = credentials.and_then(|value| reader.text(value, false));
    let endpoint = fields.get("endpoint").and_then(|value| reader.text(value, false));
    let endpoint = endpoint.filter(|endpoint| url(reader, endpoint));
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    AwsReach {
        profile: profile.map(|it| it.into_owned()),
        credentials: credentials.map(|it| it.value),
        endpoint: endpoint.map(|it| it.value),
        timeout: timeout.map_or(TIMEOUT, |it| it.value),
    }
}

/// Reads the settings of an `aws-route53`.
pub(super) fn route53(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<Route53Settings> {
    const KEYS: &[&str] =
        &["zone", "records", "health_checks", "profile", "credentials", "endpoint", "timeout"];
    let fields = reader.fields(value, Label("", "aws-route53"), KEYS)?;
    let (records_at, checks_at) = (fields.get("records"), fields.get("health_checks"));
    if records_at.is_none() && checks_at.is_none() {
        let hint = "add `records: { east: api.example.org/A/east }`, or `health_checks`";
        let what = "`aws-route53` steers neither `records` nor `health_checks`";
        reader.findings.error("missing-key", fields.at, what, hint);
    }
    let zone = match records_at {
        Some(_) => fields.need(reader, "zone", "Z0123456789ABCDEFGHIJ"),
        None => fields.get("zone"),
    };
    let zone = zone
        .and_then(|value| plain(reader, value, "the id of a hosted zone", "Z0123456789ABCDEFGHIJ"));
    let records = records_at.map(|value| by_datacenter(reader, value, datacenters, record));
    let checks = checks_at.map(|value| {
        by_datacenter(reader, value, datacenters, |reader, value| {
            let example = "abcdef11-2222-3333-4444-555555fedcba";
            plain(reader, value, "the id of a health check", example)
        })
    });
    let records = records.unwrap_or_default().into_iter();
    let checks = checks.unwrap_or_default().into_iter();
    Some(Route53Settings {
        zone,
        records: records
            .map(|(datacenter, records)| Route53Records { datacenter, records })
            .collect(),
        health_checks: checks
            .map(|(datacenter, ids)| Route53HealthChecks { datacenter, ids })
            .collect(),
        reach: reach(reader, fields),
    })
}

/// One or more of something for each datacenter; what stands in two is reported.
pub(super) fn by_datacenter<T: PartialEq>(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
    mut read: impl FnMut(&mut Reader, Value) -> Option<T>,
) -> Vec<(DatacenterId, Vec<T>)> {
    let wanted = format!("`DATACENTER: {}`", value.key);
    let mut all: Vec<(DatacenterId, Vec<T>)> = Vec::new();
    for (datacenter, value) in datacenters.map(reader, value, &wanted) {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has nothing here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let mut found = Vec::new();
        for item in items {
            let Some(it) = read(reader, item) else { continue };
            if found.contains(&it) || all.iter().any(|(_, others)| others.contains(&it)) {
                let what = "this stands here twice, and can lead to one datacenter only";
                reader.findings.error("impossible", item.span(), what, "keep one of the two");
            }
            found.push(it);
        }
        all.push((datacenter, found));
    }
    all
}

/// `NAME/TYPE/SET`.
fn record(reader: &mut Reader, value: Value) -> Option<Route53Record> {
    const TYPES: &[&str] = &["A", "AAAA", "CNAME", "HTTPS", "MX", "SRV", "SVCB", "TXT"];
    let text = reader.shown(value, "`NAME/TYPE/SET-IDENTIFIER` of a weighted record")?;
    let mut parts = text.splitn(3, '/');
    let name = parts.next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    let kind = parts.next().unwrap_or_default().to_ascii_uppercase();
    let set = parts.next().unwrap_or_default().to_owned();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.*".contains(&b);
    let named = !name.is_empty() && name.bytes().all(fits);
    if named && TYPES.contains(&kind.as_str()) && !set.is_empty() && set.chars().count() <= 128 {
        return Some(Route53Record { name, kind, set });
    }
    let what = format!("{} names no weighted record", quote(&text));
    let hint = "write `NAME/TYPE/SET-IDENTIFIER`: `api.example.org/A/east`";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

/// An identifier, which becomes part of a path.
pub(super) fn plain(
    reader: &mut Reader,
    value: Value,
    wanted: &str,
    example: &str,
) -> Option<String> {
    let text = reader.shown(value, wanted)?;
    let id = text.rsplit('/').next().unwrap_or_default();
    if !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Some(id.to_owned());
    }
    let what = format!("{} is not {wanted}", quote(&text));
    reader.findings.error("bad-value", value.span(), what, format!("write it as `{example}`"));
    None
}

/// The name of a region, which becomes part of a host's name.
pub(super) fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An ARN of `service` with `kind` before the last part of what it names.
pub(super) fn arn(
    reader: &mut Reader,
    value: Value,
    (service, kind): (&str, &str),
    example: &str,
) -> Option<String> {
    let text = reader.shown(value, "an ARN")?;
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b":./_-".contains(&b);
    let whole = parts.len() == 6
        && parts[0] == "arn"
        && parts[2] == service
        && parts[5].split_once(kind).is_some_and(|(_, rest)| !rest.is_empty());
    if whole && text.len() <= 255 && text.bytes().all(fits) {
        return Some(text.into_owned());
    }
    let kind = kind.trim_matches('/');
    let what = format!("{} is no ARN of a `{kind}` of `{service}`", quote(&text));
    let hint = format!("write it whole, as AWS shows it: `{example}`");
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

/// Reports what stands twice in a list.
pub(super) fn once<T: PartialEq>(reader: &mut Reader, value: Value, all: &[T], it: &T) {
    if all.contains(it) {
        let what = "this stands here twice";
        reader.findings.error("impossible", value.span(), what, "keep one of the two");
    }
}
