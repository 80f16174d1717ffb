//! `powerdns`: where its API is, and which records lead where.

use super::{api, dns};
use crate::model::{PowerdnsKey, PowerdnsSettings};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};

/// Reads the settings of a `powerdns`.
pub(super) fn powerdns(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<PowerdnsSettings> {
    const KEYS: &[&str] = &[
        "url",
        "api_key",
        "api_key_file",
        "server",
        "zone",
        "records",
        "resolvers",
        "follow_within",
        "timeout",
    ];
    let fields = reader.fields(value, Label("", "powerdns"), KEYS)?;
    let url = fields.need(reader, "url", "\"http://127.0.0.1:8081\"");
    let url = url.and_then(|value| api(reader, value));
    let api_key = fields.one_of(reader, &["api_key", "api_key_file"]);
    let api_key = api_key.and_then(|value| match value.key {
        "api_key" => {
            let hint = "write `\"${env:PDNS_API_KEY}\"`, or name a file: `api_key_file`";
            dns::secret(reader, value, hint).map(PowerdnsKey::Given)
        }
        _ => dns::file(reader, value).map(PowerdnsKey::File),
    });
    let server = match fields.get("server") {
        Some(value) => server(reader, value),
        None => Some("localhost".to_owned()),
    };
    let common = dns::common(reader, fields, datacenters)?;
    Some(PowerdnsSettings {
        url: url?,
        api_key: api_key?,
        server: server?,
        zone: common.zone,
        records: common.records,
        resolvers: common.resolvers,
        follow_within: common.follow_within,
        timeout: common.timeout,
    })
}

/// A server's id, which becomes part of a path.
fn server(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "the server's id in PowerDNS's API")?;
    if dns::name(&text).is_some() {
        return Some(text.into_owned());
    }
    let what = format!("{} is no id of a server", quote(&text));
    reader.findings.error("bad-value", value.span(), what, "leave it out: it is `localhost`");
    None
}
