//! What the parts of the lab say of each other.

use std::collections::BTreeMap;

use crate::model::{LabSpec, Name};

use super::Gathered;
use crate::plan::finding::{Findings, quote};
use crate::plan::read::{Fields, Reader};
use crate::plan::suggest::instead;
use crate::plan::tree::Span;

/// Cycles with more members than this are not written out in full.
const WRITTEN_OUT: usize = 12;

/// Reports calls and controllers that do not exist, and calls that go round in a circle.
pub(super) fn check(reader: &mut Reader, spec: &LabSpec, gathered: &Gathered, lab: &Fields) {
    let findings = &mut reader.findings;
    let known = |name: &Name| gathered.names_at.contains_key(name);
    let answering = || spec.services.keys().chain(spec.stores.keys()).map(Name::as_str);
    for (_, called) in &gathered.calls {
        let name = called.value.as_str();
        if spec.controllers.contains_key(&called.value) {
            let what = format!("{} is a controller, and services cannot call it", quote(name));
            let hint = instead(name, "services and stores", answering());
            findings.error("reference", called.span, what, hint);
        } else if !known(&called.value) {
            let what = format!("the lab has no service or store {}", quote(name));
            let hint = instead(name, "services and stores", answering());
            findings.error("reference", called.span, what, hint);
        }
    }
    for (of, controller, has_another) in &gathered.switched {
        let name = controller.value.as_str();
        let is_controller = spec.controllers.contains_key(&controller.value);
        let is_other = spec.services.contains_key(&controller.value)
            || spec.stores.contains_key(&controller.value);
        if !is_controller && (is_other || !known(&controller.value)) {
            let what = format!("the lab has no controller {}", quote(name));
            let controllers = spec.controllers.keys().map(Name::as_str);
            let hint = match lab.get("controllers") {
                _ if is_other => Some("it is a service or store: name a controller".to_owned()),
                Some(_) => instead(name, "controllers", controllers),
                None => Some(format!("add `controllers: {{ {name}: {{ in: [east] }} }}`")),
            };
            findings.error("reference", controller.span, what, hint);
        }
        if !has_another {
            let what = format!("{} has nothing to switch to", quote(of.as_str()));
            let hint =
                "it stands in one datacenter only: give it another, or take `switched_by` out";
            findings.warning("nothing-to-switch-to", controller.span, what, hint);
        }
    }
    cycles(findings, gathered);
}

/// How far the search has come with a service.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Not,
    /// On the way to where it is now, at this place.
    Open(usize),
    Done,
}

/// Reports each call that closes a circle. Without recursion: a plan may be deep.
fn cycles(findings: &mut Findings, gathered: &Gathered) {
    let names: Vec<&Name> = gathered.names_at.keys().collect();
    let index: BTreeMap<&Name, usize> = names.iter().zip(0..).map(|(&name, i)| (name, i)).collect();
    let mut calls: Vec<Vec<(usize, Span)>> = vec![Vec::new(); names.len()];
    for (caller, called) in &gathered.calls {
        if let (Some(&from), Some(&to)) = (index.get(caller), index.get(&called.value)) {
            calls[from].push((to, called.span));
        }
    }
    let mut seen = vec![Seen::Not; names.len()];
    for start in 0..names.len() {
        if seen[start] != Seen::Not {
            continue;
        }
        seen[start] = Seen::Open(0);
        let mut way = vec![(start, 0)];
        while let Some((at, next)) = way.last_mut() {
            let Some(&(to, span)) = calls[*at].get(*next) else {
                seen[*at] = Seen::Done;
                way.pop();
                continue;
            };
            *next += 1;
            match seen[to] {
                Seen::Done => {}
                Seen::Not => {
                    seen[to] = Seen::Open(way.len());
                    way.push((to, 0));
                }
                Seen::Open(place) => {
                    let circle = way[place..].iter().map(|&(at, _)| names[at].as_str());
                    let what = format!("calls go round in a circle: {}", written(circle));
                    let hint = "a request would never end: take one of these calls out";
                    findings.error("cycle", span, what, hint);
                }
            }
        }
    }
}

/// `a -> b -> a`.
fn written<'n>(circle: impl ExactSizeIterator<Item = &'n str> + Clone) -> String {
    let mut shown: Vec<&str> = circle.clone().take(WRITTEN_OUT).collect();
    if circle.len() > WRITTEN_OUT {
        shown.push("…");
    }
    shown.extend(circle.take(1));
    format!("`{}`", shown.join(" -> "))
}
