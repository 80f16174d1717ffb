//! Secrets that are typed into a plan: its text is read by many, and kept with every run.

use super::finding::{Finding, quote};
use super::read::{At, Reader, Value};
use super::secrets::{
    is_secret, is_secret_in_query, is_typed_beside, mask, mask_by_name, names_one,
    without_placeholders,
};
use super::tree::{Entry, Kind, Node, Span};
use crate::model::Text;

/// The code of what is found here.
const PLAIN: &str = "plain-secret";

/// Shorter words of what is hidden may stand in any finding.
const SHORTEST: usize = 3;

/// What stands where a secret was.
const REDACTED: &str = "***";

/// Shorter words of a secret are not looked for elsewhere: they may be anything.
const TELLING: usize = 8;

/// Nor are more of them: no secret has so many.
const LOOKED_FOR: usize = 100;

/// The secrets that were found.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// Where something of one stands, and what it is: not to be drawn.
    places: Vec<(Span, String)>,
    /// Where the names of secrets stand as keys, so that their values are known.
    keys: Vec<Span>,
    /// Where one stands that records need not hold, and what it is.
    secrets: Vec<(Span, String)>,
}

/// Warns if the value of the header field `name` is a secret that is no `${env:NAME}`.
pub(super) fn header(reader: &mut Reader, name: &str, value: Value, text: &Text) {
    if is_secret(name) {
        sent(reader, &format!("the value of {}", quote(name)), value, text);
    }
}

/// Warns if `text`, which is sent as it is and stands as `value`, has a secret in it that is no `${env:NAME}`, beside one
/// too.
pub(super) fn sent(reader: &mut Reader, what: &str, value: Value, text: &Text) {
    let Kind::Scalar(scalar) = &value.node.resolve().kind else { return };
    if text.secrets().next().is_none() || is_typed_beside(&scalar.text) {
        plain(reader, what, value);
    }
}

/// Warns if `text`, which stands as `value` and is `what`, is a secret that is no `${env:NAME}`.
pub(super) fn secret(reader: &mut Reader, what: &str, value: Value, text: &Text) {
    if text.secrets().next().is_none() {
        plain(reader, what, value);
    }
}

fn plain(reader: &mut Reader, what: &str, value: Value) {
    let node = value.node.resolve();
    let Kind::Scalar(scalar) = &node.kind else { return };
    if scalar.text.trim().is_empty() {
        return;
    }
    let is_var = scalar.text.contains("${var:") && !is_typed_beside(&scalar.text);
    let (how, hint) = if is_var {
        ("comes by `--var`", "use `${env:NAME}`: run records hold what comes by `--var`")
    } else {
        reader.typed.hide(node.span, &scalar.text);
        reader.typed.secrets.push((node.span, without_placeholders(&scalar.text)));
        let hint = "use `${env:NAME}`: records leave this out, but whoever reads the plan has it";
        ("is typed into the plan", hint)
    };
    reader.findings.warning(PLAIN, value.span(), format!("{what} {how}"), hint);
}

/// Warns if a secret stands in the query of a URL and is no `${env:NAME}`.
pub(super) fn query(reader: &mut Reader, text: &At<Text>) {
    let shown = text.value.to_string();
    let Some((_, query)) = shown.split_once('?') else { return };
    let is_plain = |(name, value): &(&str, &str)| {
        let is_typed = !value.contains("${env:") || is_typed_beside(value);
        is_secret_in_query(name) && !value.is_empty() && is_typed
    };
    let pairs = query.split(['&', ';', '#']).filter_map(|pair| pair.split_once('='));
    for (name, _) in pairs.filter(is_plain) {
        let what = format!("the value of {} in this URL is typed into the plan", quote(name));
        let hint = "use `${env:NAME}`: run records and reports hold this as it is";
        reader.findings.warning(PLAIN, text.span, what, hint);
        hide(reader, text.span, &shown);
    }
}

/// Keeps what stands at `span`, which is `text`, from being drawn.
pub(super) fn hide(reader: &mut Reader, span: Span, text: &str) {
    reader.typed.hide(span, text);
}

/// Keeps from being drawn whatever stands under the name of a secret, before anything is made of it: what is wrong with it
/// is drawn too.
pub(super) fn conceal(typed: &mut Typed, root: &Node) {
    walk(typed, root, Under::Any);
    typed.keys.sort_unstable();
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Under {
    Any,
    /// Under header fields, by their proper name or a wrong one.
    Headers,
    /// Under the name of a secret: all of it is one.
    Secret,
}

fn walk(typed: &mut Typed, node: &Node, under: Under) {
    match &node.kind {
        Kind::Scalar(scalar) => {
            let text = &scalar.text;
            let comes = without_placeholders(text) != **text && !is_typed_beside(text);
            if (under == Under::Secret && !comes && !node.is_empty()) || names_one(text) {
                typed.hide(node.span, text);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| walk(typed, item, under)),
        Kind::Map(entries) => entries.iter().for_each(|entry| {
            if under == Under::Secret {
                typed.hide(entry.at, &entry.key);
            }
            let below = below(typed, entry, under);
            walk(typed, &entry.value, below);
        }),
        Kind::Shared(shared) => walk(typed, shared, under),
    }
}

fn below(typed: &mut Typed, entry: &Entry, under: Under) -> Under {
    if under == Under::Secret {
        return Under::Secret;
    }
    if is_secret(&entry.key) {
        typed.keys.push(entry.at);
        let is_map = matches!(entry.value.resolve().kind, Kind::Map(_));
        // A service may be called `session`: its map is no secret.
        return if is_map && under == Under::Any { Under::Any } else { Under::Secret };
    }
    match entry.key.to_ascii_lowercase().starts_with("header") {
        true => Under::Headers,
        false => under,
    }
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

    fn hide(&mut self, span: Span, text: &str) {
        self.places.push((span, text.to_owned()));
    }

    /// `text` for a terminal: each byte of a secret is a `*`, so that everything else is where it was.
    pub fn masked(&self, text: &[u8]) -> Vec<u8> {
        let mut masked = text.to_vec();
        for (span, _) in &self.places {
            mask(masked.get_mut(span.range()).unwrap_or_default());
        }
        // What is in no tree: a plan that is no YAML, a key that stands there twice, a comment.
        mask_by_name(text, &self.keys, &mut masked);
        masked
    }

    /// Takes out of `findings` what they quote of secrets.
    pub fn unquote(&self, findings: &mut [Finding]) {
        if self.places.is_empty() {
            return;
        }
        for finding in findings.iter_mut().filter(|finding| finding.code != PLAIN) {
            let touches = |span: &Span| {
                let (hidden, meant) = (span.range(), &finding.span);
                hidden.start <= meant.end && meant.start <= hidden.end
            };
            let hidden: Vec<&str> = self
                .places
                .iter()
                .filter(|(span, _)| touches(span))
                .take(LOOKED_FOR)
                .map(|(_, text)| &**text)
                .collect();
            if !hidden.is_empty() {
                finding.what = unquoted(&finding.what, &hidden);
                finding.hint = finding.hint.as_ref().map(|hint| unquoted(hint, &hidden));
            }
        }
    }
}

/// `text` with `***` for each quoted piece that has something of `hidden` in it.
fn unquoted(text: &str, hidden: &[&str]) -> String {
    let between = |c: char| c.is_whitespace() || "${}:;,=\"'".contains(c);
    let words = || hidden.iter().flat_map(|text| text.split(between));
    let tells = |piece: &str| {
        // Long text is quoted in part.
        let part = piece.trim_end_matches('…');
        let is_part = part.len() >= SHORTEST && hidden.iter().any(|text| text.contains(part));
        is_part || words().any(|word| word.len() >= SHORTEST && piece.contains(word))
    };
    let pieces = text.split('`').enumerate();
    let pieces =
        pieces.map(|(at, piece)| if at % 2 == 1 && tells(piece) { REDACTED } else { piece });
    pieces.collect::<Vec<_>>().join("`")
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
            ("authorization: \"Bearer ${env:TOKEN}typed-secret-1\"", "secret-1"),
            ("X-Auth-Key: typed-secret-1", "secret-1"),
            ("x-amz-signature: typed-secret-1", "secret-1"),
            ("x-session: typed-secret-1", "secret-1"),
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
    fn what_is_wrong_with_a_secret_is_said_without_it() {
        for headers in [
            "headers: { authorization: \"Bearer hunter2\\u0001x\" }",
            "headers: { authorization: hunter2, authorization: hunter2b }",
            "headers: { authorization: [hunter2] }",
            "headers: { authorization: { Bearer: hunter2, hunter2: x } }",
            "headers: { authorization: \"Bearer ${nope:hunter2}\" }",
            "headers: { authorization: \"Bearer ${hunter2}\" }",
            "header: { authorization: \"Bearer hunter2\" }",
            "headers: [ \"authorization: Bearer hunter2\" ]",
            "headers: \"authorization: Bearer hunter2\"",
            "headers: { authorization: \"Bearer hunter2",
            "headers: { authorization: hunter2 ] }",
            "headers: { \"X-Auth-Key\" : &a hunter2, x-session: *a, a: [",
            "url: \"http://talk.example/ x?sig=hunter2\"",
        ] {
            let (text, outcome) = match headers.starts_with("url") {
                true => of(headers),
                false => of(&format!("{URL}, {headers}")),
            };
            let drawn =
                render("drill.yaml", &outcome.masked(text.as_bytes()), &outcome.findings, false);
            assert!(outcome.plan.is_none() && drawn.contains("error"), "{headers}: {drawn}");
            assert!(!drawn.contains("hunter2"), "{headers}: {drawn}");
            assert!(drawn.contains("drill.yaml:2"), "{headers}: {drawn}");
        }
    }

    #[test]
    fn a_service_that_is_called_like_a_secret_is_drawn() {
        let text = GOOD.replace("talk:", "session:").replace("lab:talk", "lab:session");
        let text = text.replace("every:", "evrey:");
        let outcome = parsed_with(text.as_bytes(), &[]);
        let drawn =
            render("drill.yaml", &outcome.masked(text.as_bytes()), &outcome.findings, false);
        assert!(drawn.contains("evrey: "), "{drawn}");
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
        for name in ["sig", "access_key", "auth", "pass", "key"] {
            let found = found(&format!("url: \"http://talk.example/?{name}=x\""));
            assert_eq!(found.len(), 1, "{name}");
        }
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
