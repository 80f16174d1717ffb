//! The picture: the stages on a time line, and below it a lane for each service and probe.

use maud::{Markup, html};

use super::lane::{self, Lane};
use super::scale::Scale;
use super::text::{class, name, spans};
use super::{course, key};
use crate::model::{
    Course, Judgement, Marks, Offset, Outage, ProbeRecord, Promise, PromiseResult, RunRecord,
    ServiceRecord, Stage,
};
use crate::report::page::{Ink, Span};
use crate::report::words::{GAP, grouped, plural, time};
use crate::report::{impact, probes, promises};

/// Services beyond this many lanes are drawn together.
const LANES: usize = 120;
/// With more lanes than this, those of probes are folded away at first.
const FEW: usize = 30;

/// The services of a record that are drawn one by one, and the others.
pub struct Cast<'a> {
    /// Those with a lane of their own: the worst judged first, and among those the slowest.
    pub shown: Vec<&'a ServiceRecord>,
    /// Those that share one.
    pub folded: Vec<&'a ServiceRecord>,
}

impl<'a> Cast<'a> {
    /// As many services as fit.
    pub fn of(record: &'a RunRecord) -> Cast<'a> {
        let mut shown: Vec<&ServiceRecord> = record.services.iter().collect();
        shown.sort_by_key(|service| std::cmp::Reverse(worst(service)));
        let mut lanes = 0;
        let fit = |service: &&ServiceRecord| {
            lanes += lanes_of(service);
            lanes <= LANES
        };
        let count = shown.iter().copied().take_while(fit).count();
        let folded = shown.split_off(count.max(1).min(shown.len()));
        Cast { shown, folded }
    }

    fn lanes(&self) -> usize {
        self.shown.iter().map(|service| lanes_of(service)).sum()
    }
}

fn lanes_of(service: &ServiceRecord) -> usize {
    match service.probes.len() {
        0 | 1 => 1,
        probes => probes + 1,
    }
}

fn worst(service: &ServiceRecord) -> Option<Judgement> {
    service.promises.iter().map(|promise| promise.judgement).max()
}

/// The whole picture.
pub fn draw(record: &RunRecord, cast: &Cast<'_>, scale: &Scale) -> Markup {
    let marks = &record.marks;
    let cut = marks.cut_issued.map(|from| {
        let to = marks.restore_confirmed.unwrap_or(scale.end());
        format!("--from:{:.2}%;--to:{:.2}%", scale.percent(from), scale.percent(to))
    });
    let open = cast.lanes() <= FEW;
    html! {
        (key::lanes())
        div.picture style=[cut] {
            div.axis { div.row { div.who.dim { "time from the cut" } div { (bands(marks, scale)) (ticks(scale)) } } }
            @for (place, service) in cast.shown.iter().enumerate() {
                (of_service(service, record, scale, open || place < 3))
            }
            @if !cast.folded.is_empty() { (folded(cast, scale)) }
        }
        @if !cast.folded.is_empty() { (named(cast)) }
    }
}

fn bands(marks: &Marks, scale: &Scale) -> Markup {
    let end = marks.ended.unwrap_or(scale.end());
    let cut = marks.cut_issued.unwrap_or(end);
    let back = marks.restore_confirmed.unwrap_or(end);
    let long = |from: Offset, to: Offset| time(to.since(from));
    let bands = [
        ("", Stage::Baseline.to_string(), marks.started, cut),
        ("cut", format!("cut for {}", long(cut, back)), cut, back),
        ("", Stage::Failback.to_string(), back, end),
    ];
    html! {
        div.bands {
            @for (class, label, from, to) in bands.iter().filter(|(_, _, from, to)| to > from) {
                span class=(class) style={
                    "left:" (format!("{:.2}", scale.percent(*from)))
                    "%;width:" (format!("{:.2}", scale.percent(*to) - scale.percent(*from))) "%"
                } title=(label) { (label) }
            }
        }
    }
}

fn ticks(scale: &Scale) -> Markup {
    html! {
        div.ticks aria-hidden="true" {
            @for tick in scale.ticks() {
                span.first[tick.at < 4.0].last[tick.at > 96.0] style={ "left:" (format!("{:.2}", tick.at)) "%" } {
                    (tick.label)
                }
            }
        }
    }
}

/// A service: one lane if it has one probe, otherwise its own with those of its probes below it.
fn of_service(service: &ServiceRecord, record: &RunRecord, scale: &Scale, open: bool) -> Markup {
    if let [probe] = &service.probes[..] {
        let who = html! { (title(service)) span.note { (name(probe.name.as_str())) ": " (fate(service, probe, record)) } };
        return html! { div.lane { (row("who plain", who, &of_probe(service, probe, record), scale)) } };
    }
    let sum = course::sum(service.probes.iter().map(|probe| &probe.course));
    let words = format!("{}, all its probes together", service.name);
    let all =
        Drawn { course: sum, outages: &[], budgets: budgets(service, None, &record.marks), words };
    html! {
        div.lane {
            details.group open[open] {
                summary { (row("who", title(service), &all, scale)) }
                @for probe in &service.probes {
                    div.part {
                        (row("who", html! { (name(probe.name.as_str())) span.note { (fate(service, probe, record)) } },
                            &of_probe(service, probe, record), scale))
                    }
                }
            }
        }
    }
}

/// What a lane holds.
struct Drawn<'a> {
    course: Course,
    outages: &'a [Outage],
    budgets: Vec<Offset>,
    words: String,
}

fn row(class: &str, who: Markup, it: &Drawn<'_>, scale: &Scale) -> Markup {
    let lane =
        Lane { course: &it.course, outages: it.outages, budgets: &it.budgets, words: &it.words };
    html! { div.row { div class=(class) { (who) } (lane::draw(&lane, scale)) } }
}

fn of_probe<'a>(service: &ServiceRecord, probe: &'a ProbeRecord, record: &RunRecord) -> Drawn<'a> {
    let counts = &probe.counts;
    let mut words = format!(
        "{}: {} good, {} stalled, {} bad and {} unknown samples",
        probes::label(service, probe),
        grouped(counts.good),
        grouped(counts.stalled),
        grouped(counts.bad),
        grouped(counts.unknown)
    );
    if let Some(note) = probes::note(service, probe, &record.marks) {
        note.text.iter().for_each(|(_, text)| words.push_str(&format!("; {text}")));
    }
    Drawn {
        course: course::sum(std::iter::once(&probe.course)),
        outages: &probe.outages,
        budgets: budgets(service, Some(probe), &record.marks),
        words,
    }
}

/// The promises of a service as a whole, or those that one of its probes has to keep.
fn promised<'a>(
    service: &'a ServiceRecord,
    probe: Option<&'a ProbeRecord>,
) -> impl Iterator<Item = &'a PromiseResult> {
    service.promises.iter().filter(move |promise| match (&promise.feature, probe) {
        (Some(feature), Some(probe)) => *feature == probe.name,
        (None, Some(probe)) => probe.required,
        (None, None) => true,
        (Some(_), None) => false,
    })
}

/// Where the budgets of a service, or of one of its probes, end.
fn budgets(service: &ServiceRecord, probe: Option<&ProbeRecord>, marks: &Marks) -> Vec<Offset> {
    let end = |promise: &PromiseResult| match promise.promise {
        Promise::RecoverWithin => Some(marks.cut_issued?.plus(promise.budget?)),
        Promise::FailbackWithin => Some(marks.restore_issued?.plus(promise.budget?)),
        _ => None,
    };
    let mut ends: Vec<Offset> = promised(service, probe).filter_map(end).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// Its name, its users, and how it was judged.
fn title(service: &ServiceRecord) -> Markup {
    html! {
        b { (name(service.name.as_str())) } " "
        @if let Some(judgement) = worst(service) { (chip(judgement)) " " }
        @if let Some(users) = service.users { span.dim { (plural(users, "user", "users")) } }
    }
}

/// A judgement with a sign beside its colour.
pub fn chip(judgement: Judgement) -> Markup {
    let sign = match judgement {
        Judgement::Kept => "✓",
        Judgement::Undecided => "?",
        Judgement::Broken => "✕",
    };
    html! {
        span class={ "chip " (class(promises::ink(judgement))) } { (sign) " " (promises::word(judgement)) }
    }
}

/// What became of a probe where something was cut, and its budget.
fn fate(service: &ServiceRecord, probe: &ProbeRecord, record: &RunRecord) -> Markup {
    let due = plural(probe.counts.due, "sample", "samples");
    let text: Span = match record.marks.cut_issued {
        Some(_) => impact::feature(probe),
        None => (Ink::Dim, format!("{} bad of {due}", grouped(probe.counts.bad))),
    };
    let budget = promised(service, Some(probe))
        .find(|it| it.promise == Promise::RecoverWithin)
        .and_then(|it| it.budget);
    html! {
        (spans(&[text]))
        @if let Some(budget) = budget { ", " span.dim { "budget" (GAP) (time(budget)) } }
    }
}

/// One lane for all that have none of their own, and how many those are.
fn folded(cast: &Cast<'_>, scale: &Scale) -> Markup {
    let all = || cast.folded.iter().flat_map(|service| &service.probes);
    let services = plural(cast.folded.len() as u64, "more service", "more services");
    let probes = plural(all().count() as u64, "probe", "probes");
    let words = format!("{services} with {probes}, all together");
    let drawn = Drawn {
        course: course::sum(all().map(|probe| &probe.course)),
        outages: &[],
        budgets: Vec::new(),
        words,
    };
    html! {
        div.lane {
            (row("who", html! { b { (services) } span.note { (probes) ", drawn as one lane" } }, &drawn, scale))
        }
    }
}

/// Those among the folded that were not as they should be, by name.
fn named(cast: &Cast<'_>) -> Markup {
    let count = |judgement: Judgement| {
        cast.folded.iter().filter(|service| worst(service) == Some(judgement)).count()
    };
    let troubled = |service: &&&ServiceRecord| {
        worst(service).is_some_and(|it| it != Judgement::Kept)
            || service.probes.iter().any(|probe| probe.counts.bad > 0)
    };
    let troubled: Vec<&&ServiceRecord> = cast.folded.iter().filter(troubled).collect();
    html! {
        p {
            "Of these " (grouped(cast.folded.len() as u64)) " services, by the worst of each one's promises: "
            (count(Judgement::Broken)) " broken, " (count(Judgement::Undecided)) " undecided, "
            (count(Judgement::Kept)) " kept. "
            @if troubled.is_empty() { "None had a bad sample." }
        }
        @if !troubled.is_empty() {
            details.panel {
                summary { (grouped(troubled.len() as u64)) " of them had bad samples or a promise that was not kept" }
                ul.names {
                    @for service in troubled {
                        li {
                            (name(service.name.as_str()))
                            @if let Some(judgement) = worst(service).filter(|it| *it != Judgement::Kept) {
                                " " (spans(&[(promises::ink(judgement), promises::word(judgement).to_owned())]))
                            }
                        }
                    }
                }
            }
        }
    }
}
