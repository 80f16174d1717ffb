//! `dns-update`: which name server takes updates, signed with what, and which records lead where.

use super::{dns, target};
use crate::model::{DnsKey, DnsKeyAlgorithm, DnsUpdateSettings, Part};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};

/// Reads the settings of a `dns-update`.
pub(super) fn dns_update(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<DnsUpdateSettings> {
    const KEYS: &[&str] =
        &["server", "zone", "key", "key_file", "records", "resolvers", "follow_within", "timeout"];
    let fields = reader.fields(value, Label("", "dns-update"), KEYS)?;
    let server = fields.need(reader, "server", "\"10.0.0.53:53\"");
    let server = server.and_then(|value| target(reader, value));
    let key = fields.one_of(reader, &["key", "key_file"]).and_then(|value| match value.key {
        "key" => key(reader, value),
        _ => dns::file(reader, value).map(DnsKey::File),
    });
    let common = dns::common(reader, fields, datacenters)?;
    Some(DnsUpdateSettings {
        server: server?,
        key: key?,
        zone: common.zone,
        records: common.records,
        resolvers: common.resolvers,
        follow_within: common.follow_within,
        timeout: common.timeout,
    })
}

/// `{ name: …, algorithm: …, secret: … }`.
fn key(reader: &mut Reader, value: Value) -> Option<DnsKey> {
    let fields = reader.fields(value, Label("a key", ""), &["name", "algorithm", "secret"])?;
    let name = fields.need(reader, "name", "firedrill").and_then(|value| {
        let text = reader.shown(value, "the key's name at the name server")?;
        let name = dns::name(&text);
        if name.is_none() {
            let what = format!("{} is no name of a key", quote(&text));
            reader.findings.error(
                "bad-value",
                value.span(),
                what,
                "write it as the name server does",
            );
        }
        name
    });
    let algorithm = match fields.get("algorithm") {
        Some(value) => reader.choice(value, &DnsKeyAlgorithm::ALL.map(|it| (it.name(), it))),
        None => Some(DnsKeyAlgorithm::HmacSha256),
    };
    let hint = "write `\"${env:TSIG_SECRET}\"`, or name a file: `key_file`";
    let secret = fields.need(reader, "secret", "\"${env:TSIG_SECRET}\"");
    let secret = secret.and_then(|value| {
        let secret = dns::secret(reader, value, hint)?;
        // One that is of the environment by a part is mostly typed.
        let whole = matches!(secret.parts(), [Part::Secret { .. }]);
        if !whole {
            let what = "a part of the secret stands in the plan";
            reader.findings.error("plain-secret", value.span(), what, hint);
        }
        whole.then_some(secret)
    });
    Some(DnsKey::Given { name: name?, algorithm: algorithm?, secret: secret? })
}
