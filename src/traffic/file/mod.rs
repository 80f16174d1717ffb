//! A server that is steered by a file: nginx, Envoy, Traefik, and any other.
//!
//! A cut puts other pieces of text into the places of those that lead to the datacenter, lets the server test the file, and
//! tells it to reload; a restore undoes these edits where they stand, so that whatever else another hand wrote meanwhile
//! stays. What the file says is not what the server does: it may ignore a reload. So a cut is in force only when nobody in
//! the cut datacenter answers requests as users make them.

mod disk;
mod edits;
mod notice;
mod served;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::edits::{Stands, changed, doubt, stands};
use self::notice::Notice;
use self::served::{Asker, Tally, serves};
use super::log::{Asked, Log};
use super::{ControlError, Survivors, TrafficControl};
use crate::command::quoted;
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, DatacenterId, Exchange, FileEdit, FileSettings,
    Passage,
};

/// How often the file is read and replaced again when another hand changed it in between.
const TRIES: u32 = 5;

/// So long after it gave no answer a datacenter is asked for again, before it is said to be cut.
const AGAIN: Duration = Duration::from_millis(250);

/// For so long it has to give none where not everybody is answered by others.
const LONG_QUIET: Duration = Duration::from_secs(3);

/// A file as a traffic control. Its parts are pieces of it, named by what is found on an ordinary day.
pub struct File {
    spec: ControlSpec,
    settings: FileSettings,
    notice: Notice,
    asker: Asker,
    log: Log,
    known: Mutex<Known>,
}

/// What this process knows of the server beyond what the file says.
#[derive(Debug, Default)]
struct Known {
    /// Parts that were put back in the file, by a restore whose reload did not succeed: the server may go on as it was told
    /// before.
    due: BTreeSet<String>,
    /// Datacenters whose cut was seen to be in force. From then on only an answer of theirs says otherwise.
    cut: BTreeSet<DatacenterId>,
    /// Since when those that the file says are cut gave no answer.
    quiet: BTreeMap<DatacenterId, Asked>,
}

impl File {
    /// The file of `settings`, which are those of `spec`. Nothing is read yet.
    ///
    /// # Errors
    /// When what is to be asked cannot be asked.
    pub fn new(spec: &ControlSpec, settings: &FileSettings) -> Result<File, ControlError> {
        Ok(File {
            spec: spec.clone(),
            notice: Notice::new(settings),
            asker: Asker::new(&settings.read)?,
            settings: settings.clone(),
            log: Log::default(),
            known: Mutex::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The edits of the parts in `state`.
    ///
    /// # Errors
    /// When it has parts that the plan does not.
    fn edits_of(&self, state: &ControlState) -> Result<Vec<&FileEdit>, ControlError> {
        let edit = |name: &String| {
            self.settings.replace.iter().find(|it| it.name() == *name).ok_or_else(|| ControlError {
                what: format!("`{name}` is no piece of {} that the plan names", self.settings.path),
                hint: "see whether the journal was changed by hand".to_owned(),
            })
        };
        state.parts.keys().map(edit).collect()
    }

    /// Puts the pieces of `edits` in the file as is wanted, and gives those that stand in another way, which are left alone.
    /// `strict`: not at all if there are such, or if the server would not take the new file.
    async fn write(
        &self,
        edits: &[&FileEdit],
        wanted: Stands,
        strict: bool,
    ) -> Result<Written, ControlError> {
        for _ in 0..TRIES {
            let file = disk::read(&self.settings.path).await?;
            let (text, strange) = changed(&file.bytes, edits.iter().copied(), wanted);
            if let (true, Some((edit, how))) = (strict, strange.first()) {
                return Err(self.strange(edit, *how));
            }
            let strange = strange.into_iter().map(|(edit, how)| self.strange(edit, how)).collect();
            if text == file.bytes {
                return Ok(Written { changed: false, strange });
            }
            let staged = file.stage(&text).await?;
            if strict && self.notice.tests_beside() {
                self.notice.test(staged.path(), &self.log).await.map_err(not_taken)?;
            }
            let asked = self.log.ask();
            let committed = staged.commit(&file).await;
            let line = format!("write {}: {}", self.settings.path, self.line(edits, wanted));
            let said = match &committed {
                Ok(true) => "written",
                Ok(false) => "another hand wrote it at the same moment",
                Err(error) => &error.what,
            };
            self.log.answer(asked, &line, said);
            if committed? {
                return Ok(Written { changed: true, strange });
            }
        }
        Err(ControlError {
            what: format!("{} is changed by another hand again and again", self.settings.path),
            hint: "see who else writes it".to_owned(),
        })
    }

    /// What is written, in one line.
    fn line(&self, edits: &[&FileEdit], wanted: Stands) -> String {
        let each = edits.iter().map(|edit| match wanted {
            Stands::Cut => format!("`{}` becomes `{}`", edit.find, edit.with),
            _ => format!("`{}` becomes `{}`", edit.with, edit.find),
        });
        each.collect::<Vec<_>>().join(", ")
    }

    fn strange(&self, edit: &FileEdit, how: Stands) -> ControlError {
        let (path, find, with) = (&self.settings.path, &edit.find, &edit.with);
        let what = match how {
            Stands::Nowhere => format!("in {path} stands neither `{find}` nor `{with}`"),
            _ => format!("in {path} `{find}` or `{with}` stands more than once"),
        };
        let hint = match how {
            Stands::Nowhere => {
                "write `find` as it stands there, blanks and all, and not behind a `#`"
            }
            _ => "take in more of the text around it, so that it stands there once",
        };
        ControlError { what, hint: hint.to_owned() }
    }

    /// Lets the server test the file where it lies.
    async fn test_in_place(&self) -> Result<(), ControlError> {
        let real = disk::real(&self.settings.path).await?;
        self.notice.test(&real, &self.log).await
    }

    /// After a test in place that failed: nothing of our cut stays in the file, but for a piece that another hand changed
    /// while it was tested.
    async fn take_back(&self, edits: &[&FileEdit], error: ControlError) -> ControlError {
        match self.write(edits, Stands::Open, false).await {
            Ok(Written { strange, .. }) => match strange.into_iter().next() {
                None => not_taken(error),
                Some(theirs) => ControlError {
                    what: format!(
                        "the server would not take the new file: {}; it was put back, but {}, which was left alone: another hand",
                        error.what, theirs.what
                    ),
                    hint: format!(
                        "{}; nothing was reloaded: decide what is right and write it by hand",
                        error.hint
                    ),
                },
            },
            Err(why) => ControlError {
                what: format!("{}, and the file could not be put back: {}", error.what, why.what),
                hint: format!("{}; {}", error.hint, why.hint),
            },
        }
    }

    /// The datacenters of which every piece of `text` is cut: nobody there may answer.
    fn wholly_cut(&self, text: &[u8]) -> BTreeSet<DatacenterId> {
        let edits = &self.settings.replace;
        let is_open = |edit: &&FileEdit| stands(text, edit) != Stands::Cut;
        let open: BTreeSet<_> = edits.iter().filter(is_open).map(|it| it.datacenter).collect();
        edits.iter().map(|it| it.datacenter).filter(|it| !open.contains(it)).collect()
    }

    /// Whether a datacenter of `cut` gave no answer for the first time.
    fn would_be_news(&self, cut: &BTreeSet<DatacenterId>, tallies: &[Tally]) -> bool {
        let known = self.known();
        cut.iter().any(|it| !known.cut.contains(it) && !serves(*it, tallies))
    }

    /// Takes in who answered while the file says that `cut` is: everybody was answered by others, and all is clear; or
    /// some were answered by nobody who can be named, and it is clear once that lasted. Others may only be on their
    /// way to serve, so that it must not hang on them.
    fn learn(&self, cut: &BTreeSet<DatacenterId>, tallies: &[Tally]) {
        let all: Vec<_> = cut.iter().copied().collect();
        let is_clear = tallies.iter().all(|it| it.is_by_others(&all));
        let mut known = self.known();
        for datacenter in all {
            if serves(datacenter, tallies) {
                known.cut.remove(&datacenter);
                known.quiet.remove(&datacenter);
                continue;
            }
            let since = *known.quiet.entry(datacenter).or_insert_with(|| self.log.ask());
            if is_clear || since.elapsed() >= LONG_QUIET {
                known.cut.insert(datacenter);
            }
        }
    }

    fn name(&self, datacenter: DatacenterId) -> &str {
        self.settings.datacenters.get(datacenter.index()).map_or("?", |name| name.as_str())
    }

    /// Holds that the pieces stand as the plan says, and that each datacenter's cut can be told and undone.
    fn holds(&self, text: &[u8]) -> Result<(), ControlError> {
        let edits = &self.settings.replace;
        for edit in edits {
            if let how @ (Stands::Nowhere | Stands::Repeatedly) = stands(text, edit) {
                return Err(self.strange(edit, how));
            }
        }
        let datacenters: BTreeSet<_> = edits.iter().map(|it| it.datacenter).collect();
        for datacenter in datacenters {
            let is_lost =
                |it: &&FileEdit| it.datacenter == datacenter && stands(text, it) == Stands::Open;
            let lost: Vec<&FileEdit> = edits.iter().filter(is_lost).collect();
            if let Some(edit) = doubt(text, edits, &lost) {
                return Err(ControlError {
                    what: format!(
                        "with {} cut, it could not be told how `{}` stands in {}",
                        self.name(datacenter),
                        edit.find,
                        self.settings.path
                    ),
                    hint: "choose pieces that have nothing in common with each other".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// A command that undoes an edit by hand.
    fn undo(&self, edit: &FileEdit) -> String {
        let path = quoted(&self.settings.path.to_string());
        if edit.find.contains('\n') || edit.with.contains('\n') {
            let (find, with) = (quoted(&edit.find), quoted(&edit.with));
            return format!("in {path}, write {find} in the place of {with}");
        }
        // Where it is back already, what is looked for may stand within it.
        let unless = match edit.find.contains(&edit.with) {
            true => format!("/{}/!", pattern(&edit.find)),
            false => String::new(),
        };
        let (with, find) = (pattern(&edit.with), replacement(&edit.find));
        format!("sed --follow-symlinks -i {} {path}", quoted(&format!("{unless}s/{with}/{find}/")))
    }
}

/// What came of writing.
struct Written {
    changed: bool,
    /// Pieces that were left alone, and why.
    strange: Vec<ControlError>,
}

/// That the server does not take the new file.
fn not_taken(error: ControlError) -> ControlError {
    ControlError {
        what: format!("the server would not take the new file: {}", error.what),
        hint: format!("{}; the file is as it was, and nothing was reloaded", error.hint),
    }
}

/// `text` as a pattern of `sed`.
fn pattern(text: &str) -> String {
    escaped(text, r"\/.*[]^$")
}

/// `text` as what `sed` puts in its place.
fn replacement(text: &str) -> String {
    escaped(text, r"\/&")
}

fn escaped(text: &str, special: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if special.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Commands and URLs may hold secrets.
        f.debug_struct("File").field("path", &self.settings.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl TrafficControl for File {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    /// Several links may lead to one file.
    async fn identity(&self) -> Result<Option<String>, ControlError> {
        Ok(Some(format!("file {}", disk::real(&self.settings.path).await?.display())))
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let file = disk::read(&self.settings.path).await?;
        self.holds(&file.bytes)?;
        file.prove()?;
        self.notice.prove().await?;
        // What it does not take now it will not take on the way back.
        self.notice.test(&file.real, &self.log).await?;
        let names = &self.settings.datacenters;
        for tally in self.asker.ask(&self.log, names).await {
            if tally.served.is_empty() {
                return Err(ControlError {
                    what: format!(
                        "no answer of {} says which datacenter it is from, so no cut could be read back: {}",
                        tally.url,
                        tally.words(names)
                    ),
                    hint: "see `read` in the plan, and whether the service answers".to_owned(),
                });
            }
            let cut = self.wholly_cut(&file.bytes);
            if let Some(datacenter) = cut.into_iter().find(|it| tally.of(*it) > 0) {
                return Err(ControlError {
                    what: format!(
                        "{} says that {} is cut, and it serves all the same",
                        self.settings.path,
                        self.name(datacenter)
                    ),
                    hint:
                        "see whether a reload is due, and whether the file is the one that steers"
                            .to_owned(),
                });
            }
        }
        Ok(())
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let file = disk::read(&self.settings.path).await?;
        let cut = self.wholly_cut(&file.bytes);
        if !cut.is_empty() {
            let mut tallies = self.asker.ask(&self.log, &self.settings.datacenters).await;
            if self.would_be_news(&cut, &tallies) {
                // Workers of before may take a connection yet: who is not busy now may be in a moment.
                tokio::time::sleep(AGAIN).await;
                tallies.extend(self.asker.ask(&self.log, &self.settings.datacenters).await);
            }
            self.learn(&cut, &tallies);
        }
        let mut known = self.known();
        known.cut.retain(|datacenter| cut.contains(datacenter));
        known.quiet.retain(|datacenter, _| cut.contains(datacenter));
        let part = |edit: &FileEdit| {
            let stands = stands(&file.bytes, edit);
            let in_force = !cut.contains(&edit.datacenter) || known.cut.contains(&edit.datacenter);
            let is_due = known.due.contains(&edit.name());
            (edit.name(), state::part(edit, stands, in_force, is_due))
        };
        Ok(ControlState { parts: self.settings.replace.iter().map(part).collect() })
    }

    /// Whoever else serves: by what the file says of the others, and by who answers now. Where only those to be lost answer,
    /// others may stand by, which nobody can tell.
    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let file = disk::read(&self.settings.path).await?;
        let lost = &order.datacenters;
        let others = || self.settings.replace.iter().filter(|it| !lost.contains(&it.datacenter));
        let left = others().filter(|it| stands(&file.bytes, it) == Stands::Open).count();
        let mut survivors = Vec::new();
        if others().next().is_some() {
            survivors.push(Survivors { group: self.settings.path.to_string(), left });
        }
        let tallies = self.asker.ask(&self.log, &self.settings.datacenters).await;
        let serving = tallies.into_iter().map(|it| (it.others(lost), it.url));
        survivors.extend(
            serving.filter(|(left, _)| *left > 0).map(|(left, group)| Survivors { group, left }),
        );
        Ok(survivors)
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        let edits = self.edits_of(&snapshot.cuttable(order))?;
        if !self.write(&edits, Stands::Cut, true).await?.changed {
            return Ok(());
        }
        if !self.notice.tests_beside()
            && let Err(error) = self.test_in_place().await
        {
            return Err(self.take_back(&edits, error).await);
        }
        // The cut stays in the file where this fails: it may have taken effect all the same, and the restore undoes both.
        self.notice.reload(&self.log).await
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let ours = snapshot.cuttable(order);
        let edits = self.edits_of(&ours).unwrap_or_default();
        let mut calls: Vec<CutCall> = edits
            .iter()
            .map(|edit| CutCall {
                call: format!("write {}: {}", self.settings.path, self.line(&[edit], Stands::Cut)),
                undone_by: Some(self.undo(edit)),
            })
            .collect();
        let path = self.settings.path.to_string();
        let same = [self.notice.test_line(&path), self.notice.reload_line()];
        calls.extend(
            same.into_iter().flatten().map(|call| CutCall { undone_by: Some(call.clone()), call }),
        );
        calls
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for edit in &self.settings.replace {
            let Some(part) = state.parts.get_mut(&edit.name()) else { continue };
            *part = state::part(edit, Stands::Cut, true, false);
        }
        state
    }

    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        let mut open = snapshot.clone();
        open.parts.retain(|_, part| part.passage != Passage::Closed && state::was_open(part));
        let edits = self.edits_of(&open)?;
        let written = self.write(&edits, Stands::Open, false).await?;
        // Even where nothing was to be written: who wrote it may have died before the reload.
        self.known().due.extend(open.parts.keys().cloned());
        self.test_in_place().await.map_err(|error| ControlError {
            what: format!("the file is put back, and the server would not take it: {}", error.what),
            hint: format!("{}; then have it reloaded", error.hint),
        })?;
        self.notice.reload(&self.log).await?;
        self.known().due.retain(|name| !open.parts.contains_key(name));
        match written.strange.into_iter().next() {
            Some(error) => Err(ControlError {
                what: format!("{}, so it was left alone: another hand", error.what),
                hint: "decide what is right and write it by hand".to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let mut open = snapshot.clone();
        open.parts.retain(|_, part| part.passage != Passage::Closed && state::was_open(part));
        let edits = self.edits_of(&open).unwrap_or_default();
        let undone = edits.into_iter().map(|edit| self.undo(edit));
        let path = self.settings.path.to_string();
        undone.chain(self.notice.test_line(&path)).chain(self.notice.reload_line()).collect()
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.log.take()
    }

    /// Each reading asks the service several times.
    fn pause(&self) -> Duration {
        Duration::from_millis(100)
    }
}
