//! Secrets that are typed into a plan: its text is read by many, and kept with every run.

use super::finding::quote;
use super::read::{At, Reader, Value};
use super::tree::{Kind, Span};
use crate::model::Text;

/// What stands where a secret was.
const REDACTED: &str = "***";

/// Shorter words of a secret are not looked for elsewhere: they may be anything.
const TELLING: usize = 8;

/// Nor are more of them: no secret has so many.
const LOOKED_FOR: usize = 100;

/// The secrets that were found.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// Where something of one stands: not to be drawn.
    places: Vec<Span>,
    /// Where one stands that records need not hold, and what it is.
    secrets: Vec<(Span, String)>,
}

/// Warns if the value of the header field `name` is a secret that is no `${env:NAME}`.
pub(super) fn header(reader: &mut Reader, name: &str, value: Value, text: &Text) {
    if is_secret(name) {
        secret(reader, &format!("the value of {}", quote(name)), value, text);
    }
}

/// Warns if `text`, which stands as `value` and is `what`, is a secret that is no `${env:NAME}`.
pub(super) fn secret(reader: &mut Reader, what: &str, value: Value, text: &Text) {
    if text.secrets().next().is_some() {
        return;
    }
    let node = value.node.resolve();
    let Kind::Scalar(scalar) = &node.kind else { return };
    if scalar.text.trim().is_empty() {
        return;
    }
    let (how, hint) = if scalar.text.contains("${var:") {
        ("comes by `--var`", "use `${env:NAME}`: run records hold what comes by `--var`")
    } else {
        reader.typed.places.push(node.span);
        reader.typed.secrets.push((node.span, scalar.text.clone().into_owned()));
        let hint = "use `${env:NAME}`: records leave this out, but whoever reads the plan has it";
        ("is typed into the plan", hint)
    };
    reader.findings.warning("plain-secret", value.span(), format!("{what} {how}"), hint);
}

/// Warns if a secret stands in the query of a URL and is no `${env:NAME}`.
pub(super) fn query(reader: &mut Reader, text: &At<Text>) {
    let shown = text.value.to_string();
    let Some((_, query)) = shown.split_once('?') else { return };
    let is_plain = |(name, value): &(&str, &str)| {
        is_secret(name) && !value.is_empty() && !value.contains("${env:")
    };
    let pairs = query.split(['&', ';', '#']).filter_map(|pair| pair.split_once('='));
    for (name, _) in pairs.filter(is_plain) {
        let what = format!("the value of {} in this URL is typed into the plan", quote(name));
        let hint = "use `${env:NAME}`: run records and reports hold this as it is";
        reader.findings.warning("plain-secret", text.span, what, hint);
        hide(reader, text.span);
    }
}

/// Keeps what stands at `span` from being drawn.
pub(super) fn hide(reader: &mut Reader, span: Span) {
    reader.typed.places.push(span);
}

/// Whether something of this name is secret, as a header field or in a query.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let whole = ["authorization", "proxy-authorization", "cookie", "passwd", "pwd"];
    let ends = ["token", "secret", "password", "api-key", "apikey"];
    whole.contains(&&*name) || ends.iter().any(|end| name.ends_with(end))
}

impl Typed {
    /// `text` as records keep it.
    pub fn redacted(&self, text: &str) -> String {
        let mut secrets: Vec<&(Span, String)> = self.secrets.iter().collect();
        secrets.sort_by_key(|(span, _)| *span);
        let (mut kept, mut at) = (String::with_capacity(text.len()), 0);
        for (span, _) in &secrets {
            let range = span.range();
            // One that is used twice, through an anchor.
            if range.start < at {
                continue;
            }
            kept.push_str(text.get(at..range.start).unwrap_or_default());
            kept.push_str(REDACTED);
            at = range.end;
        }
        kept.push_str(text.get(at..).unwrap_or_default());
        // In a comment, or in another place that nobody takes for secret.
        let words = secrets.iter().flat_map(|(_, value)| value.split_whitespace());
        words.filter(|word| word.len() >= TELLING).take(LOOKED_FOR).fold(kept, |kept, word| {
            if kept.contains(word) { kept.replace(word, REDACTED) } else { kept }
        })
    }

    /// `text` for a terminal: each byte of a secret is a `*`, so that everything else is where it was.
    pub fn masked(&self, text: &[u8]) -> Vec<u8> {
        let mut masked = text.to_vec();
        for span in &self.places {
            let bytes = masked.get_mut(span.range()).unwrap_or_default();
            bytes
                .iter_mut()
                .filter(|byte| !byte.is_ascii_whitespace())
                .for_each(|byte| *byte = b'*');
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, parsed_with};
    use super::super::{Outcome, render};

    const URL: &str = "url: \"${lab:talk}/send\"";

    fn of(change: &str) -> (String, Outcome) {
        let text = GOOD.replace(URL, change);
        let outcome = parsed_with(text.as_bytes(), &[("KEY", "var-value-123")]);
        (text, outcome)
    }

    #[test]
    fn a_secret_that_is_typed_is_warned_of_and_neither_drawn_nor_kept() {
        for (field, secret) in [
            ("authorization: \"Bearer typed-secret-1\"", "typed-secret-1"),
            ("Cookie: 'typed-secret-1; a=b'", "typed-secret-1"),
            ("x-api-key: typed1", "typed1"),
            ("X-Vault-Token: !!str typed-secret-1", "typed-secret-1"),
            ("client_secret: &a typed-secret-1, my-token: *a", "typed-secret-1"),
            ("x-password: \"typed\\x2dsecret-1\"", "secret-1"),
            ("x-password: \"two-lined\n           typed-secret-1\"", "typed-secret-1"),
        ] {
            let headers = format!("{URL}, headers: {{ {field} }}, bad-key: 1");
            let (text, outcome) = of(&headers);
            let drawn =
                render("drill.yaml", &outcome.masked(text.as_bytes()), &outcome.findings, false);
            assert!(drawn.contains("is typed into the plan"), "{drawn}");
            assert!(drawn.contains("drill.yaml:23:") && drawn.contains("bad-key"), "{drawn}");
            let kept = outcome.source.text.unwrap();
            assert!(!drawn.contains(secret) && !kept.contains(secret), "{drawn}{kept}");
            assert!(kept.contains("***") && kept.contains("served_by"), "{kept}");
        }
    }

    #[test]
    fn it_is_not_kept_in_a_block_or_a_comment_either() {
        let block = "http:\n          url: \"${lab:talk}/send\"\n          headers:\n            authorization: |-\n              Bearer typed-secret-1\n            accept: x # not typed-secret-1\n";
        let http = "http: { url: \"${lab:talk}/send\", method: POST, expect: { status: 200 } }\n";
        let text = GOOD.replace(http, block);
        assert_ne!(text, GOOD);
        let outcome = parsed_with(text.as_bytes(), &[]);
        assert!(outcome.plan.is_some(), "{:?}", outcome.findings);
        let kept = outcome.source.text.unwrap();
        assert!(!kept.contains("typed-secret") && kept.contains("accept: x # not ***"), "{kept}");
    }

    #[test]
    fn what_comes_from_elsewhere_is_as_it_should_be_or_said() {
        let found = |change: &str| {
            let (_, outcome) = of(change);
            let plain =
                outcome.findings.into_iter().filter(|finding| finding.code == "plain-secret");
            plain.map(|finding| finding.what).collect::<Vec<_>>()
        };
        for fine in [
            "headers: { authorization: \"Bearer ${env:TOKEN}\" }",
            "headers: { accept: text/plain, tokens: x }",
            "headers: { cookie: \"a=${env:TOKEN}; theme=dark\" }",
        ] {
            assert_eq!(found(&format!("{URL}, {fine}")), [""; 0], "{fine}");
        }
        assert_eq!(found("url: \"${lab:talk}/?token=${env:TOKEN}&a=b\""), [""; 0]);
        let var = found(&format!("{URL}, headers: {{ authorization: \"${{var:KEY}}\" }}"));
        assert_eq!(var, ["the value of `authorization` comes by `--var`"]);
        let url = "url: \"http://talk.example/?a=b&Password=typed-secret-1\"";
        assert_eq!(found(url), ["the value of `Password` in this URL is typed into the plan"]);
        for url in [url, "url: \"http://me:typed-secret-1@talk.example/\""] {
            let (text, outcome) = of(url);
            let drawn =
                render("drill.yaml", &outcome.masked(text.as_bytes()), &outcome.findings, false);
            assert!(!drawn.contains("typed-secret") && drawn.contains(":23:"), "{drawn}");
        }
    }
}
