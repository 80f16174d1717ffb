//! The identity of a plan: a digest of its text and of what fills it in.

use std::collections::BTreeMap;
use std::fmt::Write;

use ring::digest::{Context, SHA256};

use crate::model::PlanFile;

/// What is known of the plan in `text` by its file alone: whether it is a plan at all is for
/// [`super::parse`] to say.
///
/// Of `vars` only those count that the text asks for, so that a value meant for another plan makes no difference.
pub fn plan_file(path: &str, text: &[u8], vars: &BTreeMap<String, String>) -> PlanFile {
    let readable = String::from_utf8_lossy(text);
    let asked = |name: &str| readable.contains(&format!("${{var:{name}}}"));
    let vars: BTreeMap<String, String> = vars
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let hash = Some(hash(text, &vars));
    let keep = text.len() <= PlanFile::LONGEST;
    PlanFile {
        path: path.to_owned(),
        hash,
        text: keep.then(|| readable.into_owned()),
        vars,
        env: None,
    }
}

/// Without variables it is the digest of the file, which anybody can compute. A zero byte cannot stand in a plan,
/// nor in an argument of a command, nor `=` in a variable's name: no two pairs of text and variables are hashed as one.
fn hash(text: &[u8], vars: &BTreeMap<String, String>) -> String {
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
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn hash_of(text: &str, pairs: &[(&str, &str)]) -> String {
        plan_file("plan.yaml", text.as_bytes(), &vars(pairs)).hash.unwrap()
    }

    #[test]
    fn without_variables_it_is_the_digest_of_the_file() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_of("abc", &[]), abc);
        assert_eq!(hash_of("abc", &[("other", "1")]), abc, "a variable it does not ask for");
    }

    #[test]
    fn every_change_of_the_text_or_of_a_value_it_asks_for_changes_it() {
        let text = "${var:a} ${var:b}";
        let all = [
            hash_of(text, &[("a", "1"), ("b", "2")]),
            hash_of(text, &[("a", "2"), ("b", "1")]),
            hash_of(text, &[("a", "1")]),
            hash_of(text, &[("a", "1=b=2")]),
            hash_of(text, &[]),
            hash_of("${var:a} ${var:b}\n", &[("a", "1"), ("b", "2")]),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[0], hash_of(text, &[("b", "2"), ("a", "1")]), "whatever their order");
    }

    #[test]
    fn a_very_long_text_is_hashed_and_not_kept() {
        let file = plan_file("plan.yaml", &vec![b'#'; PlanFile::LONGEST + 1], &vars(&[]));
        assert!(file.hash.is_some() && file.text.is_none());
        let file = plan_file("plan.yaml", b"# short", &vars(&[]));
        assert_eq!(file.text.as_deref(), Some("# short"));
    }
}
