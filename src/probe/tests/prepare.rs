//! What is refused before the first request.

use super::*;

fn refused(spec: &ProbeSpec) -> String {
    try_prepare(spec, system()).unwrap_err().to_string()
}

#[test]
fn urls_that_cannot_be_asked_are_refused_with_a_hint() {
    for (url, what) in [
        ("example.org/x", "is not a URL"),
        ("example.org", "no scheme"),
        ("ftp://example.org/", "neither http nor https"),
        ("http://exa mple.org/", "is not a URL"),
        ("http://user:word@example.org/", "`authorization` header"),
        ("http://example.org:99999/", "1 to 65535"),
        ("http://example.org:0/", "1 to 65535"),
        ("", "is not a URL"),
        ("/only/a/path", "no scheme"),
    ] {
        let text = refused(&http_spec(url));
        assert!(text.starts_with("probe `send`: ") && text.contains(what), "{url}: {text}");
    }
}

#[test]
fn secrets_never_reach_an_error() {
    let secret = || Part::Secret { name: "TOKEN".into(), value: "hunter2\n".into() };
    let mut spec = http_spec("http://example.org/");
    http_of(&mut spec).headers = vec![("authorization".into(), Text::new(vec![secret()]))];
    let text = refused(&spec);
    assert!(text.contains("${env:TOKEN}") && !text.contains("hunter2"), "{text}");
    let url = Text::new(vec![Part::Plain("http://a b/".into()), secret()]);
    let mut spec = http_spec("");
    http_of(&mut spec).url = url;
    let text = refused(&spec);
    assert!(text.contains("${env:TOKEN}") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_lab_service_that_is_not_there_is_named() {
    let mut spec = http_spec("");
    http_of(&mut spec).url = Text::new(vec![Part::Lab("talk".into())]);
    let text = refused(&spec);
    assert!(text.contains("`talk`") && text.contains("lab.services"), "{text}");
}

#[test]
fn certificate_files_are_read_before_the_drill() {
    let mut spec = http_spec("https://example.org/");
    http_of(&mut spec).ca = Some("/nonexistent/ca.pem".into());
    let error = refused(&spec);
    // The path may come from the environment, so it is not shown.
    assert!(error.contains("`ca`") && !error.contains("/nonexistent"), "{error}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    http_of(&mut spec).ca = Some(empty.path().to_owned());
    assert!(refused(&spec).contains("no certificate in it"));
    http_of(&mut spec).url = "http://example.org/".into();
    assert!(refused(&spec).contains("not encrypted"));
}

#[test]
fn headers_methods_periods_and_addresses_are_checked() {
    let mut spec = http_spec("http://example.org/");
    http_of(&mut spec).headers = vec![("connection".into(), "keep-alive".into())];
    assert!(refused(&spec).contains("for firedrill to set"));
    http_of(&mut spec).headers = vec![("x y".into(), "z".into())];
    assert!(refused(&spec).contains("name that is none"));
    http_of(&mut spec).headers = Vec::new();
    http_of(&mut spec).method = "GE T".into();
    assert!(refused(&spec).contains("not an HTTP method"));
    let zero = ProbeSpec { every: Duration::ZERO, ..http_spec("http://example.org/") };
    assert!(refused(&zero).contains("`every` is zero"));
    for address in ["example.org", "example.org:0", "example.org:http", "::1:80", "a b:1", ""] {
        let tcp = TcpProbe { address: address.into(), send: None, expect: None };
        let spec = ProbeSpec { kind: ProbeKind::Tcp(tcp), ..http_spec("") };
        assert!(refused(&spec).contains("is not an address"), "{address}");
    }
}
