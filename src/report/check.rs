//! Plans that were checked and not run: the placement check, and what a drill would do.

use serde::Serialize;

use super::TableStyle;
use super::notified;
use super::page::{Entry, Ink, Page};
use super::placement::write_loss;
use super::words::{mode, plural, time};
use crate::model::{
    Ahead, Checked, ControlSpec, ControlState, CutCall, Measurable, Mode, Name, Notification,
    NotifyEvent, Plan,
};

/// What the placement check found in a plan; empty if it found nothing.
pub fn placement(checked: &Checked, style: TableStyle) -> String {
    if !checked.has_news() {
        return String::new();
    }
    let mut page = Page::new(style);
    page.paragraph(0, 2, &[(Ink::Bold, checked.file.clone())]);
    write_placement(checked, &mut page);
    page.blank();
    page.finish()
}

fn write_placement(checked: &Checked, page: &mut Page) {
    // Where the plan cuts some services alone, the others are losses of all there is.
    let some_alone = checked.placement.iter().any(|loss| !loss.only.is_empty());
    for loss in &checked.placement {
        write_loss(loss, some_alone, page);
    }
    if !checked.addresses.is_empty() {
        page.heading("Addresses", &[]);
        for against in &checked.addresses {
            page.paragraph(2, 4, &[(Ink::Plain, against.clone())]);
        }
    }
}

/// All plans that were checked, as JSON, with a line break at its end.
///
/// # Errors
/// None are known; serde's type leaves room for them.
pub fn checks(checked: &[Checked]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes =
        serde_json::to_vec_pretty(&std::collections::BTreeMap::from([("plans", checked)]))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A control as it is now, and what a cut would make of it.
pub struct Previewed {
    /// What the plan says of it.
    pub spec: ControlSpec,
    /// What is there to be cut, and what the cut makes of it; or why it could not be read. `None`: it is there only
    /// while the drill lasts.
    pub states: Option<Result<(ControlState, ControlState), String>>,
    /// The calls of the cut, in order.
    pub calls: Vec<CutCall>,
    /// How the cut is undone by hand, a command or a sentence each.
    pub by_hand: Vec<String>,
}

/// What a drill would do, for programs: the form of `firedrill preview --format json`.
#[derive(Serialize)]
struct PreviewJson<'p> {
    plan: &'p str,
    lost: String,
    mode: Mode,
    controls: Vec<ControlJson<'p>>,
    #[serde(flatten)]
    ahead: &'p Ahead,
    /// Who is told of what.
    notify: Vec<ToldJson>,
    #[serde(flatten)]
    checked: &'p Checked,
}

#[derive(Serialize)]
struct ToldJson {
    name: String,
    kind: &'static str,
    host: String,
    on: Vec<NotifyEvent>,
}

#[derive(Serialize)]
struct ControlJson<'p> {
    name: &'p Name,
    provider: &'static str,
    /// The step of the cut that it is cut in, from 1.
    step: usize,
    /// Why it could not be read.
    unread: Option<&'p str>,
    calls: &'p [CutCall],
    by_hand: &'p [String],
}

/// What a drill would do, as JSON with a line break at its end.
///
/// # Errors
/// None are known; serde's type leaves room for them.
pub fn preview_json(
    plan: &Plan,
    checked: &Checked,
    controls: &[Previewed],
    ahead: &Ahead,
) -> Result<Vec<u8>, serde_json::Error> {
    let controls = controls.iter().zip(step_of_each(plan)).map(|(control, step)| ControlJson {
        step: step + 1,
        name: &control.spec.name,
        provider: control.spec.provider.key(),
        unread: control.states.as_ref().and_then(|it| it.as_ref().err()).map(String::as_str),
        calls: &control.calls,
        by_hand: &control.by_hand,
    });
    let (lost, mode) = (plan.lost(), plan.cut.mode);
    let controls = controls.collect();
    let told = |to: &Notification| ToldJson {
        name: to.name.to_string(),
        kind: to.kind.key(),
        host: to.host(),
        on: NotifyEvent::ALL.into_iter().filter(|event| to.wants(*event)).collect(),
    };
    let notify = plan.notify.iter().map(told).collect();
    let preview =
        PreviewJson { plan: plan.name.as_str(), lost, mode, controls, ahead, notify, checked };
    let mut bytes = serde_json::to_vec_pretty(&preview)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What a drill would do, in order.
pub fn preview(
    plan: &Plan,
    checked: &Checked,
    controls: &[Previewed],
    ahead: &Ahead,
    style: TableStyle,
) -> String {
    let mut page = Page::new(style);
    let what = format!(
        ": would cut {} ({}), for at most {}",
        plan.lost(),
        mode(&plan.cut.mode),
        time(plan.timing.at_most)
    );
    page.paragraph(0, 2, &[(Ink::Bold, plan.name.to_string()), (Ink::Plain, what)]);
    stages(plan, &mut page);
    page.heading("Calls, in order", &[]);
    let (steps, places) = (plan.cut_steps(), step_of_each(plan));
    let mut before = None;
    for (at, control) in controls.iter().enumerate() {
        let step = places.get(at).copied();
        if steps.len() > 1 && step != before {
            step_heading(&steps, step.unwrap_or_default(), &mut page);
        }
        before = step;
        calls(control, &mut page);
    }
    ledgers(ahead, &mut page);
    needs(ahead, &mut page);
    measurable(ahead, &mut page);
    duration(ahead, &mut page);
    notified::write_ahead(plan, &mut page);
    write_placement(checked, &mut page);
    page.finish()
}

fn stages(plan: &Plan, page: &mut Page) {
    let timing = &plan.timing;
    let probes = plural(plan.probes().count() as u64, "probe", "probes");
    page.heading("Stages", &[]);
    page.entries(&[
        Entry::plain(
            "preflight",
            "every control is read, and the way back proven; nothing is changed",
        ),
        Entry::plain("baseline", format!("{}, with {probes}", time(timing.baseline))),
        Entry::plain("cut", cut_words(&plan.cut_steps())),
        Entry::plain(
            "observe",
            format!(
                "until every promise is decided; traffic is back at most {} after the cut",
                time(timing.at_most)
            ),
        ),
        Entry::plain("hold", format!("{} more, if all recovered", time(timing.hold))),
        Entry::plain("restore", "every control as it was, read back"),
        Entry::plain(
            "failback",
            format!("until the services are as before; at most {}", time(timing.at_most)),
        ),
    ]);
}

/// How the controls of `steps`, so many each, are cut.
fn cut_words(steps: &[usize]) -> String {
    match steps {
        [_] | [] if steps.iter().sum::<usize>() < 2 => "read back until it says so".to_owned(),
        [all] => format!("{all} controls side by side, each read back until it says so"),
        _ => format!(
            "{} controls in {} steps, one step after another; each is read back until it says so",
            steps.iter().sum::<usize>(),
            steps.len()
        ),
    }
}

/// The step of each control of [`Plan::cut_through`], from 0.
fn step_of_each(plan: &Plan) -> Vec<usize> {
    let steps = plan.cut_steps().into_iter().enumerate();
    steps.flat_map(|(step, count)| std::iter::repeat_n(step, count)).collect()
}

fn step_heading(steps: &[usize], step: usize, page: &mut Page) {
    let together = if steps.get(step).is_some_and(|it| *it > 1) { ", side by side" } else { "" };
    let words = format!("step {} of {}{together}", step + 1, steps.len());
    page.paragraph(2, 4, &[(Ink::Dim, words)]);
}

fn calls(control: &Previewed, page: &mut Page) {
    let (name, place) = (&control.spec.name, control.spec.provider.settings().place());
    page.paragraph(2, 4, &[(Ink::Bold, name.to_string()), (Ink::Plain, format!(" ({place})"))]);
    for (number, call) in (1..).zip(&control.calls) {
        let undone = call.undone_by.as_deref().unwrap_or("nothing: clients connect anew");
        page.paragraph(4, 8, &[(Ink::Plain, format!("{number}. {}", call.call))]);
        page.paragraph(8, 10, &[(Ink::Dim, format!("undone by: {undone}"))]);
    }
    let mut entries = Vec::new();
    match &control.states {
        None => {
            entries.push(Entry::plain("now", "not there: it lives while the drill does"));
            entries.push(Entry::plain("undone by", "its end, whatever ends the drill"));
        }
        Some(Err(error)) => {
            entries.push(Entry {
                label: "now".to_owned(),
                text: vec![(Ink::Doubt, format!("could not be read: {error}"))],
            });
        }
        Some(Ok((before, _))) if before.parts.is_empty() => {
            entries.push(Entry::plain("cut", "nothing: no part of it is open"));
        }
        Some(Ok((before, after))) => {
            for (part, state) in &before.parts {
                let settings = |state: Option<&crate::model::PartState>| -> String {
                    let settings = state.into_iter().flat_map(|state| &state.settings);
                    let each = settings.map(|(key, value)| format!("{key} {value}"));
                    each.collect::<Vec<_>>().join(", ")
                };
                let (now, then) = (settings(Some(state)), settings(after.parts.get(part)));
                entries.push(Entry::plain("cut", format!("{part}: {now} becomes {then}")));
            }
        }
    }
    page.entries_at(4, &entries);
    if !control.by_hand.is_empty() {
        page.paragraph(4, 4, &[(Ink::Plain, "undone by restore, or by hand:".to_owned())]);
        control.by_hand.iter().for_each(|line| page.verbatim(6, line));
    }
}

/// What is written into systems, and what becomes of it.
fn ledgers(ahead: &Ahead, page: &mut Page) {
    if ahead.ledgers.is_empty() {
        return;
    }
    page.heading("What it writes", &[]);
    let entries = ahead.ledgers.iter().flat_map(|it| {
        let creates = if it.creates { ", its place made where it is missing" } else { "" };
        let removed = match &it.removes {
            Some(by) => (Ink::Plain, format!("removed at the end: {by}")),
            None => (Ink::Doubt, "not removed: the records stay".to_owned()),
        };
        let lines = [
            (Ink::Plain, format!("a record every {}: {}{creates}", time(it.every), it.writes)),
            (
                Ink::Plain,
                format!(
                    "read back while cut and after failback: {}; missing ones are waited for {}",
                    it.reads,
                    time(it.settle)
                ),
            ),
            removed,
        ];
        let name = format!("{}/{}", it.service, it.probe);
        let labels = [name, String::new(), String::new()];
        labels.into_iter().zip(lines).map(|(label, line)| Entry { label, text: vec![line] })
    });
    page.entries(&entries.collect::<Vec<_>>());
}

fn needs(ahead: &Ahead, page: &mut Page) {
    page.heading("What it needs", &[]);
    ahead.needs.iter().for_each(|need| page.paragraph(2, 4, &[(Ink::Plain, need.clone())]));
}

fn measurable(ahead: &Ahead, page: &mut Page) {
    page.heading("What can be measured", &[]);
    let entry = |it: &Measurable| {
        let feature = it.feature.as_ref().map(|feature| format!("/{feature}")).unwrap_or_default();
        let budget = it.budget.map(|budget| format!(" {}", time(budget))).unwrap_or_default();
        let k = match it.k {
            Some(1) => String::new(),
            Some(k) => format!(", k up to {k}"),
            None => ", k from the baseline".to_owned(),
        };
        let by = format!("{budget}: every {} by {}{k}: ", time(it.every), it.probe);
        let ink = if it.can_be_kept { Ink::Plain } else { Ink::Bad };
        let label = format!("{}{feature}", it.service);
        let text =
            vec![(Ink::Bold, it.promise.to_string()), (Ink::Plain, by), (ink, it.meaning.clone())];
        Entry { label, text }
    };
    page.entries(&ahead.promises.iter().map(entry).collect::<Vec<_>>());
    ahead.not_judged.iter().for_each(|it| page.paragraph(2, 4, &[(Ink::Plain, it.clone())]));
}

fn duration(ahead: &Ahead, page: &mut Page) {
    let length = &ahead.length;
    page.heading("How long it takes", &[]);
    page.entries(&[
        Entry::plain("shortest", format!("{}, if nothing ever fails", time(length.shortest))),
        Entry::plain("typical", format!("{}, if every promise is just kept", time(length.typical))),
        Entry::plain("longest", format!("{}, if every limit is used up", time(length.longest))),
    ]);
}
