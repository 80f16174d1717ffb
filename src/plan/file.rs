//! The identity of a plan: a digest of its text and of what fills it in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use ring::digest::{Context, SHA256};

use super::tree::{Kind, Node};
use super::typed::Typed;
use crate::model::PlanFile;

/// What a record keeps of the plan in `text`, which asks for the variables `asked` and in which secrets are `typed`.
/// Whether it is a plan at all is for [`super::parse`] to say.
///
/// Of `vars` only those count that it asks for, so that a value meant for another plan makes no difference. The digest
/// is that of the text as it is, secrets and all.
pub(super) fn source(
    path: &str,
    text: &[u8],
    vars: &BTreeMap<String, String>,
    asked: &BTreeSet<String>,
    typed: &Typed,
) -> PlanFile {
    let vars: BTreeMap<String, String> = vars
        .iter()
        .filter(|(name, _)| asked.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let hash = Some(hash(text, &vars));
    let keep = text.len() <= PlanFile::LONGEST;
    let text = keep.then(|| typed.redacted(&String::from_utf8_lossy(text)));
    PlanFile { path: path.to_owned(), hash, text, vars, env: None }
}

/// The variables that stand in the keys and values of `root`, however YAML spells them. The reader would ask for the
/// same, but not behind a secret that is missing: a gate needs none, and must know what was hashed.
pub(super) fn asked(root: &Node) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    gather(root, &mut asked);
    asked
}

fn gather(node: &Node, asked: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Scalar(scalar) => asked.extend(variables(&scalar.text)),
        Kind::List(items) => items.iter().for_each(|item| gather(item, asked)),
        Kind::Map(entries) => {
            for entry in entries {
                asked.extend(variables(&entry.key));
                gather(&entry.value, asked);
            }
        }
        Kind::Shared(shared) => gather(shared, asked),
    }
}

/// The names of all `${var:NAME}` in `text`.
fn variables(text: &str) -> impl Iterator<Item = String> {
    let behind = text.split("${var:").skip(1);
    behind.filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned())
}

/// The digest of a plan by its text and the variables that it asks for.
///
/// Without variables it is the digest of the file, which anybody can compute. A zero byte cannot stand in a plan,
/// nor in an argument of a command, nor `=` in a variable's name: no two pairs of text and variables are hashed as one.
pub fn hash(text: &[u8], vars: &BTreeMap<String, String>) -> String {
    let mut digest = Context::new(&SHA256);
    digest.update(text);
    for (name, value) in vars {
        for piece in ["\0", name, "=", value] {
            digest.update(piece.as_bytes());
        }
    }
    hex(digest.finish().as_ref())
}

/// `bytes` in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Inputs, parse};
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn source_of(text: &[u8], pairs: &[(&str, &str)]) -> PlanFile {
        let env = |_: &str| None;
        parse("plan.yaml", text, &Inputs { vars: &vars(pairs), env: &env }).source
    }

    fn hash_of(text: &str, pairs: &[(&str, &str)]) -> String {
        source_of(text.as_bytes(), pairs).hash.unwrap()
    }

    #[test]
    fn without_variables_it_is_the_digest_of_the_file() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_of("abc", &[]), abc);
        assert_eq!(hash_of("abc", &[("other", "1")]), abc, "a variable it does not ask for");
    }

    #[test]
    fn every_change_of_the_text_or_of_a_value_it_asks_for_changes_it() {
        let text = "x: ${var:a} ${var:b}";
        let all = [
            hash_of(text, &[("a", "1"), ("b", "2")]),
            hash_of(text, &[("a", "2"), ("b", "1")]),
            hash_of(text, &[("a", "1")]),
            hash_of(text, &[("a", "1=b=2")]),
            hash_of(text, &[]),
            hash_of("x: ${var:a} ${var:b}\n", &[("a", "1"), ("b", "2")]),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[0], hash_of(text, &[("b", "2"), ("a", "1")]), "whatever their order");
    }

    #[test]
    fn a_variable_counts_however_it_is_spelled_and_wherever_it_stands() {
        for text in [
            "x: \"${var:\\x61}\"",
            "x: \"\\u0024{var:a}\"",
            "${var:a}: 1",
            "x: [1, { y: &k \"${var:a}\" }]",
            "x: |\n  ${var:a}",
            // Behind a secret that is missing.
            "x: \"${env:MISSING} ${var:a}\"",
        ] {
            assert_ne!(hash_of(text, &[("a", "1")]), hash_of(text, &[("a", "2")]), "{text}");
        }
        assert_eq!(hash_of("x: 1 # ${var:a}", &[("a", "1")]), hash_of("x: 1 # ${var:a}", &[]));
    }

    #[test]
    fn a_very_long_text_is_hashed_and_not_kept() {
        let file = source_of(&vec![b'#'; PlanFile::LONGEST + 1], &[]);
        assert!(file.hash.is_some() && file.text.is_none());
        let file = source_of(b"# short", &[]);
        assert_eq!(file.text.as_deref(), Some("# short"));
    }
}
