//! Addresses of stores that are no web servers: `redis://db.example:6379/0`, `nats://one.example`.

use std::net::Ipv6Addr;

/// The parts of `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH]`. It is not shown: it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    /// In small letters.
    pub scheme: String,
    /// Before the `@`, its escapes read; `None` where it is empty.
    pub user: Option<String>,
    /// Behind the user, likewise.
    pub password: Option<String>,
    /// A name or an address; that of IPv6 in brackets.
    pub host: String,
    /// The port, where one is given.
    pub port: Option<u16>,
    /// Behind the first `/`.
    pub path: String,
}

impl StoreUrl {
    /// Reads `text`, whose scheme must be one of `schemes`.
    ///
    /// # Errors
    /// What is wrong, without a part of the text: it may be secret.
    pub fn parse(text: &str, schemes: &[&str]) -> Result<StoreUrl, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it has spaces or special characters: write them as `%20` and so on");
        }
        let (scheme, rest) = text.split_once("://").ok_or("it does not begin with a scheme")?;
        let scheme = scheme.to_ascii_lowercase();
        if !schemes.contains(&&*scheme) {
            return Err("it has a scheme of something else");
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains(['?', '#']) || authority.contains(['?', '#']) {
            return Err("it has a query, and settings stand under keys of their own");
        }
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (credentials, place),
            None => ("", authority),
        };
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (host, port) = host_and_port(place)?;
        Ok(StoreUrl {
            scheme,
            user: unescaped(user)?,
            password: unescaped(password)?,
            host,
            port,
            path: path.to_owned(),
        })
    }
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let is_good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
        None => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=253).contains(&host.len()) && host.bytes().all(fits)
        }
    };
    if !is_good {
        return Err("it has no proper host");
    }
    let port = match port {
        None => None,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err("it has no proper port: they go from 1 to 65535"),
        },
    };
    Ok((host.to_owned(), port))
}

/// `text` with its escapes read (RFC 3986); `None` for nothing.
fn unescaped(text: &str) -> Result<Option<String>, &'static str> {
    const WRONG: &str = "its user or password has an escape that makes no sense: a `%` is `%25`";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        let digits = behind.get(..2).filter(|it| it.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(WRONG)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| WRONG)?);
        rest = behind.get(2..).unwrap_or_default();
    }
    let text = String::from_utf8(bytes).map_err(|_| WRONG)?;
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a URL is made of, with `-` for what it does not have: user, password, host, port, path.
    fn parsed(text: &str) -> Option<[String; 5]> {
        let url = StoreUrl::parse(text, &["redis", "nats"]).ok()?;
        let or = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        let port = url.port.map(|port| port.to_string());
        Some([or(url.user), or(url.password), url.host, or(port), url.path])
    }

    #[test]
    fn urls_of_stores_are_taken_apart() {
        for (text, wanted) in [
            ("redis://a", ["-", "-", "a", "-", ""]),
            ("REDIS://a:1/2", ["-", "-", "a", "1", "2"]),
            ("redis://u:p@a:1", ["u", "p", "a", "1", ""]),
            ("redis://:p%40%3A%25@a", ["-", "p@:%", "a", "-", ""]),
            ("nats://token@[::1]:4222", ["token", "-", "[::1]", "4222", ""]),
            ("redis://u:a@b@c", ["u", "a@b", "c", "-", ""]),
        ] {
            assert_eq!(parsed(text), Some(wanted.map(str::to_owned)), "{text}");
        }
        for bad in [
            "",
            "redis:",
            "redis://",
            "http://a",
            "redis://a:0",
            "redis://a:b",
            "redis://a b",
            "redis://u:%zz@a",
            "redis://u:%4@a",
            "redis://[::x]",
            "redis://ä",
            "redis://a/0?x=1",
            "redis://u:%ff@a",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
