//! How the servers are reached: from parts, or from a URL as libpq reads it.

use std::str::FromStr;

use tokio_postgres::Config;

use crate::model::{PostgresHosts, PostgresServers, SslMode, Text};
use crate::probe::PrepareError;

/// Addresses and credentials, and what else a URL says.
pub(super) struct Access {
    pub(super) config: Config,
    pub(super) ssl: SslMode,
    /// Whether only a server that takes writes will do, also where there is one server or it is read from.
    pub(super) asks_for_writable: bool,
}

/// Those of a plan that names each.
pub(super) fn of_parts(hosts: &PostgresHosts) -> Result<Access, PrepareError> {
    let mut config = Config::new();
    for host in &hosts.hosts {
        let real = host.reveal_plain();
        let (name, port) = real.rsplit_once(':').unwrap_or((&real, "5432"));
        let port = port.parse().map_err(|_| {
            PrepareError::new(format!("`{host}` has no proper port"), "write HOST:PORT")
        })?;
        config.host(name.trim_matches(['[', ']'])).port(port);
    }
    config.user(hosts.user.reveal_plain()).dbname(hosts.dbname.reveal_plain());
    if let Some(password) = &hosts.password {
        config.password(password.reveal_plain());
    }
    Ok(Access { config, ssl: hosts.ssl, asks_for_writable: false })
}

/// Those of a URL, whose settings the plan has checked. Errors show the plan's own words.
pub(super) fn read(url: &Text) -> Result<Access, PrepareError> {
    let real = url.reveal_plain();
    let (before, query) = real.split_once('?').unwrap_or((&real, ""));
    let (mut ssl, mut asks_for_writable, mut rest) = (SslMode::default(), false, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "sslmode" => ssl = SslMode::named(value).unwrap_or_default(),
            "target_session_attrs" => asks_for_writable = value != "any",
            key if PostgresServers::WITHOUT_MEANING.contains(&key) => {}
            _ => rest.push(pair),
        }
    }
    let plain = match rest.is_empty() {
        true => before.to_owned(),
        false => format!("{before}?{}", rest.join("&")),
    };
    // The library's words may hold a part of the URL.
    let config = Config::from_str(&plain).map_err(|_| {
        PrepareError::new(
            format!("`{url}` is no URL of PostgreSQL"),
            "write `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`",
        )
    })?;
    Ok(Access { config, ssl, asks_for_writable })
}
