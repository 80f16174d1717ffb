//! `toxiproxy`: where its API is, and which proxies lead where.

use std::time::Duration;

use super::api;
use crate::model::{Text, ToxiproxyProxies, ToxiproxySettings};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};

/// Where both servers listen if nobody says otherwise.
const URL: &str = "http://127.0.0.1:8474";

/// Reads the settings of a `toxiproxy`.
pub(super) fn toxiproxy(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<ToxiproxySettings> {
    const KEYS: &[&str] = &["url", "token", "proxies", "timeout"];
    let fields = reader.fields(value, Label("", "toxiproxy"), KEYS)?;
    let url = match fields.get("url") {
        Some(value) => api(reader, value),
        None => Some(Text::from(URL)),
    };
    let token = match fields.get("token") {
        Some(value) => Some(reader.credential(value, false)?.value),
        None => None,
    };
    let timeout = fields.get("timeout").and_then(|value| reader.duration(value, false));
    let named = fields.need(reader, "proxies", "{ east: \"east-*\", west: west-web }")?;
    let mut proxies = Vec::new();
    for (datacenter, value) in datacenters.map(reader, named, "proxies by datacenter") {
        let items = reader.one_or_more(value);
        if items.is_empty() {
            let what = format!("{} has no proxies here", quote(value.key));
            reader.findings.error("missing-key", value.at, what, "name some, or take it out");
        }
        let patterns = items.into_iter().filter_map(|item| pattern(reader, item)).collect();
        proxies.push(ToxiproxyProxies { datacenter, patterns });
    }
    let timeout = timeout.map_or(Duration::from_secs(5), |at| at.value);
    Some(ToxiproxySettings { url: url?, token, proxies, timeout })
}

fn pattern(reader: &mut Reader, value: Value) -> Option<String> {
    let text =
        reader.shown(value, "the name of a proxy, where `*` and `?` may stand for others")?;
    // The API has the name in its path, and its slashes would lead elsewhere.
    if !text.is_empty() && !text.contains('/') {
        return Some(text.into_owned());
    }
    let what = format!("{} names no proxy", quote(&text));
    let hint = "write its name, without `/`; `*` and `?` may stand for other characters";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}
