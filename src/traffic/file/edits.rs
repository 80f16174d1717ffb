//! Which pieces stand in a file, and the file with others in their place.
//!
//! A piece is found where it stands exactly, once. What stands behind a `#` on its line is a comment to most servers, and to
//! us; so a line that another hand commented out is not taken for one that is in force.

use crate::model::FileEdit;

/// How a piece stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// What is found on an ordinary day.
    Open,
    /// What our cut puts in its place.
    Cut,
    /// Neither of the two, nowhere.
    Nowhere,
    /// More than one of the two, or one more than once.
    Repeatedly,
}

/// How the piece of `edit` stands in `text`.
pub(super) fn stands(text: &[u8], edit: &FileEdit) -> Stands {
    match place(text, edit) {
        Ok((stands, _)) => stands,
        Err(stands) => stands,
    }
}

/// How it stands, and where.
fn place(text: &[u8], edit: &FileEdit) -> Result<(Stands, usize), Stands> {
    let (find, with) = (edit.find.as_bytes(), edit.with.as_bytes());
    let (mut open, mut cut) = (places(text, find), places(text, with));
    // One may be a part of the other: what stands there is the longer one.
    if find.len() < with.len() {
        open.retain(|at| !cut.iter().any(|whole| is_within((*at, find), (*whole, with))));
    } else {
        cut.retain(|at| !open.iter().any(|whole| is_within((*at, with), (*whole, find))));
    }
    match (&*open, &*cut) {
        ([at], []) => Ok((Stands::Open, *at)),
        ([], [at]) => Ok((Stands::Cut, *at)),
        ([], []) => Err(Stands::Nowhere),
        _ => Err(Stands::Repeatedly),
    }
}

fn is_within((at, piece): (usize, &[u8]), (whole_at, whole): (usize, &[u8])) -> bool {
    whole_at <= at && at + piece.len() <= whole_at + whole.len()
}

/// Wherever `piece` stands in `text`, but for comments.
fn places(text: &[u8], piece: &[u8]) -> Vec<usize> {
    let (Some(first), Some(last)) = (piece.first(), text.len().checked_sub(piece.len())) else {
        return Vec::new();
    };
    let begins = text[..=last].iter().enumerate().filter(|(_, byte)| *byte == first);
    let found = begins.map(|(at, _)| at).filter(|at| text[*at..].starts_with(piece));
    found.filter(|at| !is_comment(text, *at)).collect()
}

fn is_comment(text: &[u8], at: usize) -> bool {
    let mut before = text[..at].iter().rev().take_while(|byte| **byte != b'\n');
    before.any(|byte| *byte == b'#')
}

/// `text` with each of `edits` standing as is wanted, `Open` or `Cut`; and those that stand in neither way, which
/// are left alone.
pub(super) fn changed<'e>(
    text: &[u8],
    edits: impl IntoIterator<Item = &'e FileEdit>,
    wanted: Stands,
) -> (Vec<u8>, Vec<(&'e FileEdit, Stands)>) {
    let (mut text, mut strange) = (text.to_vec(), Vec::new());
    for edit in edits {
        let (was, new) = match wanted {
            Stands::Cut => (&edit.find, &edit.with),
            _ => (&edit.with, &edit.find),
        };
        match place(&text, edit) {
            Ok((stands, _)) if stands == wanted => {}
            Ok((_, at)) => {
                text.splice(at..at + was.len(), new.bytes());
            }
            Err(stands) => strange.push((edit, stands)),
        }
    }
    (text, strange)
}

/// Why a cut of `lost` in `text` could not be told, or not be undone to the letter; `None` if all is well.
pub(super) fn doubt<'e>(
    text: &[u8],
    all: &'e [FileEdit],
    lost: &[&'e FileEdit],
) -> Option<&'e FileEdit> {
    let is_lost = |edit: &FileEdit| lost.iter().any(|it| it.find == edit.find);
    let (cut, _) = changed(text, lost.iter().copied(), Stands::Cut);
    let unlike = all.iter().find(|edit| {
        let wanted = if is_lost(edit) { Stands::Cut } else { stands(text, edit) };
        stands(&cut, edit) != wanted
    });
    let (back, _) = changed(&cut, lost.iter().copied(), Stands::Open);
    unlike.or_else(|| lost.first().copied().filter(|_| back != text))
}
