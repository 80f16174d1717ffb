//! What is secret by its name, and text that is masked by names alone.

use super::tree::Span;

/// Shorter pieces of a value tell nothing by themselves.
const TELLING: usize = 8;

/// No name of a header field or key that we know is longer.
const LONGEST_NAME: usize = 64;

/// Whether something of this name is secret, as a header field or in a query.
pub(super) fn is_secret(name: &str) -> bool {
    const WHOLE: [&str; 6] =
        ["authorization", "proxy-authorization", "cookie", "passwd", "pwd", "sig"];
    const ENDS: [&str; 14] = [
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
        "auth-key",
        "authkey",
        "access-key",
        "accesskey",
        "signature",
        "credential",
        "session",
        "session-id",
        "-sig",
    ];
    let name = name.to_ascii_lowercase().replace('_', "-");
    WHOLE.contains(&&*name) || ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a value of this name in a query is secret: there even short names are.
pub(super) fn is_secret_in_query(name: &str) -> bool {
    let short = ["auth", "pass", "key"];
    is_secret(name) || short.iter().any(|short| name.eq_ignore_ascii_case(short))
}

/// Whether something secret stands in the plan beside the placeholders of `value`: a long piece that is joined to one,
/// or a word that has digits. Not so `Bearer`, nor a cookie such as `theme=dark`.
pub(super) fn is_typed_beside(value: &str) -> bool {
    value.split([' ', '\t', '\n', '\r', ';', ',', '&']).any(|word| {
        let (name, value) = word.split_once('=').unwrap_or(("", word));
        let plain = without_placeholders(value);
        let is_joined = plain != value;
        let is_alone = !is_joined && !value.is_empty();
        let tells = |piece: &str, is_clear: bool| {
            piece.len() >= TELLING && (is_clear || piece.bytes().any(|byte| byte.is_ascii_digit()))
        };
        let words = |with: &'static str| {
            plain.split(move |c: char| !c.is_ascii_alphanumeric() && !with.contains(c))
        };
        without_placeholders(word).contains("${")
            || words("").any(|piece| tells(piece, is_joined))
            || (is_joined && words("-_+").any(|piece| tells(piece, false)))
            || (is_alone && is_secret(name))
    })
}

/// `text` with a space for each `${env:NAME}` and `${var:NAME}`.
pub(super) fn without_placeholders(text: &str) -> String {
    let mut pieces = text.split("${");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}').filter(|(inner, _)| is_placeholder(inner)) {
            Some((_, rest)) => {
                plain.push(' ');
                plain.push_str(rest);
            }
            None => {
                plain.push_str("${");
                plain.push_str(piece);
            }
        }
    }
    plain
}

fn is_placeholder(inner: &str) -> bool {
    let name = inner.strip_prefix("env:").or_else(|| inner.strip_prefix("var:"));
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(fits))
}

/// Whether a secret's name and a colon stand in `text`, as in `authorization: …`.
pub(super) fn names_one(text: &str) -> bool {
    places(text.as_bytes()).next().is_some()
}

/// Where the name of a secret and a colon stand in `text`: where the name begins, and the byte behind the colon.
fn places(text: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let colons = text.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
    colons.filter_map(|colon| {
        let from = colon.saturating_sub(LONGEST_NAME);
        let before = text.get(from..colon)?.trim_ascii_end();
        let before = before.strip_suffix(b"\"").or(before.strip_suffix(b"'")).unwrap_or(before);
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let length = before.iter().rev().take_while(|byte| fits(byte)).count();
        let name = before.get(before.len() - length..)?;
        let begins = from + before.len() - length;
        let name = std::str::from_utf8(name).ok()?;
        is_secret(name).then_some((begins, colon + 1))
    })
}

/// Masks in `masked` what stands behind the names of secrets in `text`, to the ends of their lines and in the deeper lines
/// below. Where a name stands in one of `known`, the sorted places of keys, the value was found by the tree.
pub(super) fn mask_by_name(text: &[u8], known: &[Span], masked: &mut [u8]) {
    let mut done = 0;
    for (name, value) in places(text) {
        let at = known.partition_point(|span| span.range().start <= name);
        let is_known = at.checked_sub(1).is_some_and(|at| known[at].range().contains(&name));
        if is_known || value < done {
            continue;
        }
        done = end_of_value(text, value);
        mask(masked.get_mut(value..done).unwrap_or_default());
    }
}

/// Each byte becomes a `*`, so that everything else is where it was.
pub(super) fn mask(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = b'*');
}

/// Where the value that begins at `value` ends, as far as its layout tells.
fn end_of_value(text: &[u8], value: usize) -> usize {
    let line_end = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
    };
    let begins = text.get(..value).and_then(|before| before.iter().rposition(|b| *b == b'\n'));
    let begins = begins.map_or(0, |at| at + 1);
    let indent = |line: &[u8]| line.iter().take_while(|byte| **byte == b' ').count();
    let depth = indent(text.get(begins..).unwrap_or_default());
    let mut end = line_end(value);
    while end < text.len() {
        let next = line_end(end + 1);
        let line = text.get(end + 1..next).unwrap_or_default();
        if !line.trim_ascii().is_empty() && indent(line) <= depth {
            break;
        }
        end = next;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut masked = text.as_bytes().to_vec();
        mask_by_name(text.as_bytes(), &[], &mut masked);
        String::from_utf8(masked).unwrap()
    }

    #[test]
    fn what_stands_behind_a_secret_name_is_masked_to_where_its_layout_ends() {
        assert_eq!(
            masked("a: 1\nX-Auth-Key : x y\nb: 2"),
            "a: 1\nX-Auth-Key :* *\nb: 2".replace(":*", ": *")
        );
        assert_eq!(
            masked("  \"cookie\": |\n    a\n\n    b\n  c: d"),
            "  \"cookie\": *\n    *\n\n    *\n  c: d"
        );
        assert_eq!(masked("# my_token: x"), "# my_token: *");
        for fine in ["tokens: x", "a: token", "http://x:1/", ":", ""] {
            assert_eq!(masked(fine), fine);
        }
    }

    #[test]
    fn a_secret_beside_a_placeholder_is_told_from_what_goes_with_it() {
        for typed in [
            "Bearer ${env:TK}hunter2typed",
            "abcdefgh${env:TK}",
            "${env:TK}ab-cd-ef-1",
            "Bearer ${env:TK} hunter2typed",
            "a=${env:TK}; session=x",
            "${env:TK}${nope:x}",
        ] {
            assert!(is_typed_beside(typed), "{typed}");
        }
        for fine in [
            "Bearer ${env:TOKEN}",
            "a=${env:TOKEN}; theme=dark",
            "Token token=${env:TOKEN}",
            "github_pat_${env:TOKEN}",
            "${env:USER}@example.com",
            "sso-key ${env:ID}:${env:SECRET}",
            "AWS4-HMAC-SHA256 Signature=${env:SIGNATURE_1}",
        ] {
            assert!(!is_typed_beside(fine), "{fine}");
        }
    }
}
