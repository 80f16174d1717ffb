//! Plan text to [`Plan`], or every finding in one pass.
//!
//! Three steps: `syntax` makes a tree in which everything knows its place; `decode` reads the
//! tree into a draft, going on after each finding; `sense` holds the parts together. Nothing here
//! reads a file or the environment: both come in from outside.

mod address;
mod calendar;
mod command;
mod cycle;
mod decode;
mod dns;
mod draft;
mod file;
mod fill;
mod finding;
mod guardrail;
mod kill_switch;
mod lab;
mod ledger;
mod load;
mod notify;
mod placed;
mod places;
mod probe;
mod promised;
mod read;
mod render;
mod seal;
mod secrets;
mod sense;
mod served_by;
mod service;
mod stay;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod topology;
mod traffic;
mod tree;
mod typed;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Name, Plan, PlanFile};

pub use file::hash;
pub use finding::{Finding, Severity};
pub use places::Objection;
pub use render::render;
pub use seal::{Choices, seal};
pub use syntax::SIZE_LIMIT;

use finding::quote;
use read::Reader;

/// Where placeholders get their values.
pub struct Inputs<'a> {
    /// `${var:NAME}`: the values given by `--var`.
    pub vars: &'a BTreeMap<String, String>,
    /// `${env:NAME}`: the environment. Its values are secret.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// What became of a plan's text.
#[derive(Debug)]
pub struct Outcome {
    /// The plan; there is one exactly when no finding is an error.
    pub plan: Option<Plan>,
    /// Everything that is wrong, in the order of the text.
    pub findings: Vec<Finding>,
    /// What a record keeps of it.
    pub source: PlanFile,
    /// The values of `${env:NAME}` wherever the plan says what is drilled: everything but what is sent in headers and
    /// bodies.
    pub chosen: Choices,
    places: places::Places,
    typed: typed::Typed,
}

impl Outcome {
    /// The plan's text, the same that was parsed, with nothing in it that must not be drawn. Everything else is where it
    /// was.
    pub fn masked(&self, text: &[u8]) -> Vec<u8> {
        self.typed.masked(text)
    }

    /// Adds what was found when the plan was read already, as errors among the other findings. `text` is the plan's text,
    /// the same that was parsed. The plan stays: whoever objects decides whether it is used.
    pub fn object(&mut self, text: &[u8], objections: Vec<Objection>) {
        let findings = std::mem::take(&mut self.findings);
        self.findings = self.places.object(text, findings, objections);
    }
}

/// What can be told of a plan without the secrets that it needs, and whatever else is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Its name.
    pub name: Name,
    /// Its services, in order; those without probes too.
    pub services: Vec<Name>,
    /// As [`Outcome::chosen`].
    pub chosen: Choices,
}

/// The outline of a plan, and what a record keeps of it; `None` if not even a name can be read.
pub fn outline(file: &str, text: &[u8], inputs: &Inputs) -> Option<(PlanFile, Outline)> {
    let mut reader = Reader::new(inputs);
    let (draft, asked) = drafted(file, text, &mut reader);
    let draft = draft?;
    let services = draft.services.into_iter().map(|draft| draft.service.name);
    let outline =
        Outline { name: draft.name?, services: services.collect(), chosen: reader.chosen };
    Some((file::source(file, text, inputs.vars, &asked, &reader.typed), outline))
}

/// The draft, and the variables that the text asks for.
fn drafted(
    file: &str,
    text: &[u8],
    reader: &mut Reader,
) -> (Option<draft::Draft>, BTreeSet<String>) {
    let text = syntax::decode(file, text, &mut reader.findings);
    let root = text.and_then(|text| syntax::tree(file, text, &mut reader.findings));
    let asked = root.as_ref().map(file::asked).unwrap_or_default();
    root.iter().for_each(|root| typed::conceal(&mut reader.typed, root));
    (root.and_then(|root| decode::draft(reader, &root)), asked)
}

/// Reads a plan and reports everything that is wrong with it.
///
/// `file` is only for display. Text longer than [`SIZE_LIMIT`] is refused unread. Warnings do not
/// prevent a plan.
pub fn parse(file: &str, text: &[u8], inputs: &Inputs) -> Outcome {
    let mut reader = Reader::new(inputs);
    let (draft, asked) = drafted(file, text, &mut reader);
    if let Some(draft) = &draft {
        sense::check(draft, &mut reader.findings);
        for name in inputs.vars.keys().filter(|name| !reader.used.contains(*name)) {
            let what = format!("{} is not used by the plan", quote(&format!("--var {name}")));
            let hint = format!("use it as `${{var:{name}}}`, or leave it out");
            reader.findings.whole(Severity::Warning, "unused-var", what, hint);
        }
    }
    let places = draft.as_ref().map(places::Places::of).unwrap_or_default();
    let plan = match reader.findings.errors() {
        0 => draft.and_then(draft::Draft::into_plan),
        _ => None,
    };
    let source = file::source(file, text, inputs.vars, &asked, &reader.typed);
    let (mut findings, typed) = (reader.findings.finish(text), reader.typed);
    typed.unquote(&mut findings);
    Outcome { plan, findings, source, chosen: reader.chosen, places, typed }
}
