//! "Did you mean": the known word that is nearest to an unknown one.

use super::finding::quote;

/// How many known words are looked at, so that a long plan full of typing errors stays fast.
const LOOKED_AT: usize = 1_000;
/// Words longer than this are no typing errors.
const LONGEST: usize = 64;

/// The word among `known` that is nearest to `word`, if one is near enough.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > LONGEST {
        return None;
    }
    let allowed = (word.chars().count() / 3).max(1);
    let word = word.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .take(LOOKED_AT)
        .filter(|known| known.len() <= LONGEST)
        .map(|known| {
            let plain = known.to_lowercase().replace('_', "-");
            (strsim::damerau_levenshtein(&word, &plain), known)
        })
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, known)| known)
}

/// What to write instead of `word`: the nearest of the known words, and all of them if they are few.
pub(super) fn instead<'k>(
    word: &str,
    kind: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> Option<String> {
    const FEW: usize = 12;
    let near = nearest(word, known.clone()).map(|near| format!("did you mean {}?", quote(near)));
    let some: Vec<&str> = known.into_iter().take(FEW + 1).collect();
    let all = match some.len() {
        0 => Some(format!("there are no {kind}")),
        1..=FEW => Some(format!("{kind}: {}", some.join(", "))),
        _ => None,
    };
    match (near, all) {
        (Some(near), Some(all)) if some.len() > 1 => Some(format!("{near} ({all})")),
        (near, all) => near.or(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_far_ones_are_not() {
        let known = ["pangyo", "pyeongchon", "recover_within"];
        assert_eq!(nearest("panyo", known), Some("pangyo"));
        assert_eq!(nearest("recover-within", known), Some("recover_within"));
        assert_eq!(nearest("RecoverWithin", known), Some("recover_within"));
        assert_eq!(nearest("seoul", known), None);
        assert_eq!(nearest("", known), None);
    }
}
