//! The forms of addresses: `HOST:PORT` and URLs.
//!
//! The values may be secret, so findings say what is wrong and never show them.

use crate::model::{Part, Text};

use super::read::{At, Reader};
use super::typed;

/// What stands for a lab service's address while its port is not known.
pub(super) const LAB_STAND_IN: &str = "http://127.0.0.1:1";

/// Whether `real`, the value of `text`, is `HOST:PORT`; reports it if not.
pub(super) fn host_and_port(reader: &mut Reader, text: &At<Text>, real: &str) -> bool {
    let good = real.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && is_port(port));
    if !good {
        let what = format!("{} is no address", super::finding::quote(&text.value.to_string()));
        let hint = "write `HOST:PORT`, as in `db.example:5432` or `[::1]:5432`";
        reader.findings.error("bad-value", text.span, what, hint);
    }
    good
}

/// Whether `text` is a URL that a probe can ask; reports it if not.
pub(super) fn url(reader: &mut Reader, text: &At<Text>) -> bool {
    let lab_inside = text.value.parts().iter().skip(1).any(|part| matches!(part, Part::Lab(_)));
    let real = text.value.reveal(&|_| Some(LAB_STAND_IN.to_owned()));
    let problem = match lab_inside {
        true => Some(("a lab address stands for the whole beginning", "begin the URL with it")),
        false => url_problem(&real),
    };
    if let Some((what, hint)) = problem {
        let what = match what {
            USER => what.to_owned(),
            _ => format!("{}: {what}", super::finding::quote(&text.value.to_string())),
        };
        if what == USER {
            typed::hide(reader, text.span, &text.value.to_string());
        }
        reader.findings.error("bad-value", text.span, what, hint);
    }
    typed::query(reader, text);
    problem.is_none()
}

/// What is wrong with a URL that holds a password.
const USER: &str = "a URL of a plan holds no user and password";

/// What is wrong with a URL, and what to write instead.
fn url_problem(url: &str) -> Option<(&'static str, &'static str)> {
    // What RFC 3986 leaves out of URLs, except braces and bars, which many servers take.
    if !url.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"\\^`".contains(&b)) {
        return Some((
            "a URL has no spaces or special characters",
            "write them as `%20` and so on",
        ));
    }
    let scheme = url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let rest = match &scheme {
        Some((scheme, rest)) if scheme == "http" || scheme == "https" => *rest,
        _ => return Some(("a URL begins with `http://` or `https://`", "add it")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    if authority.contains('@') {
        let hint = "send `headers: { authorization: \"${env:TOKEN}\" }`";
        return Some((USER, hint));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if !is_host(host) {
        return Some(("the URL has no proper host", "write `https://HOST/PATH`"));
    }
    if !port.is_none_or(is_port) {
        return Some(("the URL has no proper port", "ports go from 1 to 65535"));
    }
    let path = &rest[end..];
    path.contains(['{', '}', '|'])
        .then_some(("braces and bars in a URL must be escaped", "write `%7B`, `%7D` and `%7C`"))
}

pub(super) fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_held_to_their_form() {
        for good in [
            "http://a",
            "https://talk.example:8443/send?x=1#y",
            "http://[::1]:80/",
            "HTTP://A/",
            "http://127.0.0.1:1/a%20b",
            "http://[::1]",
        ] {
            assert_eq!(url_problem(good), None, "{good}");
        }
        for bad in [
            "",
            "talk.example",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a b",
            "http://u:p@a",
            "http://a:0",
            "http://a:99999",
            "http://a:",
            "http://ä",
            "http://a/\n",
            "http://a/{x}",
            "http://[::x]/",
        ] {
            assert!(url_problem(bad).is_some(), "{bad}");
        }
    }
}
