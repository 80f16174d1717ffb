//! `postgres`: a table of PostgreSQL.

use crate::model::{
    Part, PostgresHosts, PostgresLedger, PostgresServers, PostgresTable, SslMode, Text,
};
use crate::plan::address;
use crate::plan::finding::quote;
use crate::plan::probe;
use crate::plan::read::{At, Fields, Label, Reader, Value};
use crate::plan::tree::{Kind, Span};
use crate::plan::typed;

/// The table, if the plan does not say.
const TABLE: &str = "firedrill_ledger";

/// Connections that are open for writing at most, if the plan does not say: a sixth of what a server takes out of the box.
const CONNECTIONS: usize = 16;

/// The ways to encrypt.
const MODES: [(&str, SslMode); 4] = [
    ("disable", SslMode::Disable),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-full", SslMode::VerifyFull),
];

/// The longest name that PostgreSQL keeps, in bytes.
const LONGEST_NAME: usize = 63;

/// Reads `postgres: { url: …, table: firedrill_ledger, ca: …, read: …, connections: 16 }`.
pub(super) fn postgres(reader: &mut Reader, value: Value) -> Option<PostgresLedger> {
    const KEYS: &[&str] = &[
        "url",
        "hosts",
        "user",
        "password",
        "dbname",
        "sslmode",
        "table",
        "ca",
        "read",
        "connections",
    ];
    let fields = reader.fields(value, Label("", "postgres"), KEYS)?;
    let servers = servers(reader, &fields);
    let table = match fields.get("table") {
        Some(value) => table(reader, value),
        None => Some(PostgresTable { schema: None, name: TABLE.to_owned() }),
    };
    let ca = fields.get("ca").and_then(|value| probe::path(reader, value));
    let read = fields.get("read").map(|value| elsewhere(reader, value));
    let connections = fields.get("connections").map(|value| reader.count(value, 1..=1000));
    let connections = match connections {
        Some(count) => usize::try_from(count?).ok()?,
        None => CONNECTIONS,
    };
    let read = match read {
        Some(read) => Some(read?),
        None => None,
    };
    let servers = servers?;
    if let Some(value) = fields.get("ca")
        && [&servers].into_iter().chain(&read).any(|it| ssl_of(it).may_be_plain())
    {
        let what = "`ca` promises who the server is, and this `sslmode` does not ask";
        let hint = "write `sslmode: verify-full`, or leave `ca` out";
        reader.findings.error("impossible", value.at, what, hint);
        return None;
    }
    Some(PostgresLedger { servers, read, table: table?, ca, connections })
}

fn ssl_of(servers: &PostgresServers) -> SslMode {
    match servers {
        PostgresServers::Hosts(hosts) => hosts.ssl,
        PostgresServers::Url(url) => {
            let real = url.reveal_plain();
            let modes = settings_of(&real).filter(|(key, _)| *key == "sslmode");
            modes.last().and_then(|(_, mode)| SslMode::named(mode)).unwrap_or_default()
        }
    }
}

/// Reads `read: URL` or `read: { hosts: … }`.
fn elsewhere(reader: &mut Reader, value: Value) -> Option<PostgresServers> {
    const KEYS: &[&str] = &["url", "hosts", "user", "password", "dbname", "sslmode"];
    if let Kind::Scalar(_) = value.node.resolve().kind {
        return url(reader, value).map(PostgresServers::Url);
    }
    let fields = reader.fields(value, Label("", "read"), KEYS)?;
    servers(reader, &fields)
}

fn servers(reader: &mut Reader, fields: &Fields) -> Option<PostgresServers> {
    let chosen = fields.one_of(reader, &["url", "hosts"])?;
    if chosen.key == "hosts" {
        return hosts(reader, fields, chosen).map(PostgresServers::Hosts);
    }
    for key in ["user", "password", "dbname", "sslmode"] {
        if let Some(value) = fields.get(key) {
            let what = format!("{} has no meaning beside `url`", quote(key));
            let hint = "the URL says it: `postgres://USER:${env:PGPASSWORD}@HOST/DATABASE?sslmode=verify-full`";
            reader.findings.error("impossible", value.at, what, hint);
        }
    }
    url(reader, chosen).map(PostgresServers::Url)
}

fn hosts(reader: &mut Reader, fields: &Fields, value: Value) -> Option<PostgresHosts> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let what = "`hosts` names no server";
        reader.findings.error("missing-key", value.at, what, "write `hosts: [\"10.1.0.1:5432\"]`");
    }
    let mut hosts = Vec::new();
    let mut whole = !items.is_empty();
    for item in items {
        let text = reader.text(item, false);
        let good = text.filter(|at| address::host_and_port(reader, at, &at.value.reveal_plain()));
        whole &= good.is_some();
        hosts.extend(good.map(|at| at.value));
    }
    let user = fields.need(reader, "user", "firedrill");
    let user = user.and_then(|value| word(reader, value));
    let dbname = fields.need(reader, "dbname", "shop");
    let dbname = dbname.and_then(|value| word(reader, value));
    let password = fields.get("password").map(|value| password(reader, value));
    let ssl = fields.get("sslmode").map(|value| reader.choice(value, &MODES));
    let password = match password {
        Some(password) => Some(password?),
        None => None,
    };
    let ssl = match ssl {
        Some(ssl) => ssl?,
        None => SslMode::default(),
    };
    whole.then_some(PostgresHosts { hosts, user: user?, password, dbname: dbname?, ssl })
}

/// A name that goes into the first message to the server, which ends at a zero.
fn word(reader: &mut Reader, value: Value) -> Option<Text> {
    let At { value: text, span } = reader.text(value, false)?;
    let real = text.reveal_plain();
    if real.is_empty() || real.chars().any(char::is_control) {
        let what = format!("{} is empty, or holds a control character", quote(value.key));
        reader.findings.error("bad-value", span, what, "write a name");
        return None;
    }
    Some(text)
}

/// A password, which a plan must not hold itself: it is shown in reports.
fn password(reader: &mut Reader, value: Value) -> Option<Text> {
    let At { value: text, span } = reader.text(value, false)?;
    if text.parts().iter().any(|part| matches!(part, Part::Plain(_))) {
        typed_in(reader, span, &text);
        return None;
    }
    Some(text)
}

fn typed_in(reader: &mut Reader, span: Span, text: &Text) {
    // Nor is it shown with what was found.
    typed::hide(reader, span, &text.to_string());
    let what = "a password stands in the plan, which is kept and shown in reports";
    let hint = "set it in the environment, and write `${env:PGPASSWORD}` in its place";
    reader.findings.error("bad-value", span, what, hint);
}

/// A URL as libpq takes it. What is in it may be secret, so findings show the plan's words alone.
fn url(reader: &mut Reader, value: Value) -> Option<Text> {
    let At { value: text, span } = reader.text(value, false)?;
    if holds_a_password(&text) {
        typed_in(reader, span, &text);
        return None;
    }
    let real = text.reveal_plain();
    let scheme = real.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let problem = match &scheme {
        Some((scheme, _)) if scheme != "postgres" && scheme != "postgresql" => {
            Some("does not begin with `postgres://`")
        }
        None => Some("does not begin with `postgres://`"),
        _ if !real.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Some("holds characters that a URL writes as `%20` and so on")
        }
        Some((_, rest)) if servers_of(rest).is_empty() => Some("names no server"),
        Some(_) => settings_of(&real).find_map(not_kept_to),
    };
    if let Some(problem) = problem {
        let what = format!("{} {problem}", quote(&text.to_string()));
        let hint = "write `postgres://USER:${env:PGPASSWORD}@HOST:PORT/DATABASE`";
        reader.findings.error("bad-value", span, what, hint);
        return None;
    }
    Some(text)
}

/// The settings behind the question mark.
fn settings_of(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Why a setting of a URL cannot be kept to.
fn not_kept_to((key, value): (&str, &str)) -> Option<&'static str> {
    let known = || PostgresServers::SETTINGS.iter().chain(&PostgresServers::WITHOUT_MEANING);
    match key {
        "sslmode" if SslMode::named(value).is_none() => {
            Some("has another `sslmode` than disable, prefer, require and verify-full")
        }
        "target_session_attrs" if !["any", "read-write", "primary"].contains(&value) => {
            Some("asks for a server that takes no writes (`target_session_attrs`)")
        }
        "sslrootcert" => Some("has `sslrootcert`: write the file as `ca: PATH` beside the URL"),
        "sslcert" | "sslkey" => Some("has a client certificate, which is not supported"),
        _ if !known().any(|it| *it == key) => {
            Some("has a setting that is not known: sslmode, target_session_attrs and options are")
        }
        _ => None,
    }
}

/// What stands between the credentials and the path.
fn servers_of(rest: &str) -> &str {
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, servers)| servers)
}

/// Whether the plan itself says the password, or a part of it.
fn holds_a_password(text: &Text) -> bool {
    // A secret may hold any sign that divides a URL, so a sign that none has stands for it.
    let secret = "\u{1}";
    let parts = text.parts().iter().map(|part| match part {
        Part::Plain(plain) => plain.as_str(),
        Part::Secret { .. } | Part::Lab(_) => secret,
    });
    let masked: String = parts.collect();
    let rest = masked.split_once("://").map_or(&*masked, |(_, rest)| rest);
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let credentials = before.rsplit_once('@').map_or("", |(credentials, _)| credentials);
    let in_front = credentials.split_once(':').map_or("", |(_, password)| password);
    let behind = query.split('&').filter_map(|pair| pair.strip_prefix("password="));
    let mut passwords = behind.chain([in_front]);
    passwords.any(|password| password.chars().any(|letter| letter != '\u{1}'))
}

/// Reads `TABLE` or `SCHEMA.TABLE`.
fn table(reader: &mut Reader, value: Value) -> Option<PostgresTable> {
    let text = reader.shown(value, "a table such as `firedrill_ledger`")?;
    let parts: Vec<&str> = text.split('.').collect();
    let good = |part: &&str| !part.is_empty() && part.len() <= LONGEST_NAME;
    let table = match parts[..] {
        [name] if good(&name) => Some(PostgresTable { schema: None, name: name.to_owned() }),
        [schema, name] if good(&schema) && good(&name) => {
            Some(PostgresTable { schema: Some(schema.to_owned()), name: name.to_owned() })
        }
        _ => None,
    };
    if table.is_none() {
        let what = format!("{} is no name of a table", quote(&text));
        let hint = "write `TABLE` or `SCHEMA.TABLE`, each of at most 63 bytes";
        reader.findings.error("bad-value", value.span(), what, hint);
    }
    table
}
