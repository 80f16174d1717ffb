//! The verdict in words that need no knowledge of drills.

use maud::{Markup, html};

use super::text::{class, shown, spans};
use crate::model::{
    Impact, Judgement, ModeKind, Restored, RunRecord, ServiceRecord, Verdict, printable,
};
use crate::report::page::Ink;
use crate::report::words::{grouped, list, plural, time};
use crate::report::{headline, impact, ledgers, traffic};

/// Services whose losses are told on top.
const TOLD: usize = 4;

/// What a verdict means.
fn means(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Every promise was kept, and that is proven.",
        Verdict::Fail => "A promise to users was broken.",
        Verdict::Inconclusive => "Not proven either way: this drill neither clears nor blames.",
        Verdict::Stopped => "The drill was stopped before its end.",
        Verdict::NotStarted => "The drill was not started, and nothing was cut.",
        Verdict::NotRestored => "Traffic may still be cut. Act now.",
    }
}

/// How a cut looks, for those who do not know our words.
fn like(mode: ModeKind) -> &'static str {
    match mode {
        ModeKind::Blackhole => "its packets vanish, as in a fire",
        ModeKind::Reset => "its connections are refused, as when its processes die",
        ModeKind::Drain => "new users are sent elsewhere, as in a planned evacuation",
        ModeKind::Degrade => "its network is slow or loses packets",
    }
}

/// The banner: the verdict, what it means, and what was cut, lost, promised and put back.
pub fn banner(record: &RunRecord) -> Markup {
    let ink = class(headline::ink(record.verdict));
    html! {
        div class={ "banner " (ink) } {
            h1 { "Drill of " (super::text::name(record.plan.name.as_str())) ", " (record.started_at.strftime("%-d %B %Y, %H:%M UTC").to_string()) }
            div.verdict {
                span class={ "word " (ink) } { (record.verdict.to_string()) }
                span.means { (means(record.verdict)) }
            }
            @if let Some(about) = &record.plan.about { p.about { (shown(about)) } }
            dl.facts {
                div { dt { "What was cut" } dd { (cut(record)) } }
                @if record.marks.cut_issued.is_some() { div { dt { "What users lost" } dd { (lost(record)) } } }
                div { dt { "What was promised" } dd { (promised(record)) } }
                div { dt { "Is traffic back?" } dd { (back(record)) } }
            }
        }
    }
}

fn cut(record: &RunRecord) -> Markup {
    let marks = &record.marks;
    let mode = record.plan.cut.mode.kind();
    html! {
        @if let Some(from) = marks.cut_issued {
            p.big {
                (shown(&record.plan.lost()))
                @if let Some(to) = marks.restore_confirmed { ", for " (time(to.since(from))) }
            }
            p { "On purpose, by " b { (mode.to_string()) } ": " (like(mode)) "." }
        } @else {
            p.big { "Nothing" }
            p { "Planned was " (shown(&record.plan.lost())) " by " (mode.to_string()) "." }
        }
    }
}

/// The services that lost most, each with its people and minutes. They are not added up: many people use several.
fn lost(record: &RunRecord) -> Markup {
    let mut all: Vec<(&ServiceRecord, &Impact)> = record
        .services
        .iter()
        .filter_map(|service| Some((service, service.impact.as_ref()?)))
        .filter(|(service, _)| impact::is_news(service))
        .collect();
    let minutes = |impact: &Impact| impact.user_minutes.map_or(0.0, |it| it.high);
    all.sort_by(|(_, a), (_, b)| minutes(b).total_cmp(&minutes(a)));
    let worst = all.first().and_then(|(_, impact)| impact.user_minutes).filter(|it| it.high > 0.0);
    let more = all.len().saturating_sub(TOLD);
    html! {
        @match worst {
            Some(worst) => {
                p.big {
                    @let (low, high) = (worst.low.round() as u64, worst.high.round() as u64);
                    @if low == high { (grouped(high)) } @else { (grouped(low)) " to " (grouped(high)) }
                    " user-minutes"
                }
            }
            None if all.is_empty() => { p.big { "Nothing that was measured" } }
            None => {}
        }
        @for (place, (service, impact)) in all.iter().take(TOLD).enumerate() {
            @let told = impact::lost(service, impact);
            // The minutes of the first stand above.
            @let (before, told) = match &told[..] {
                [_, rest @ ..] if place == 0 && worst.is_some() && !rest.is_empty() => ("", rest),
                all => (": ", all),
            };
            p { b { (shown(service.name.as_str())) } (before) (spans(told)) "." }
        }
        @if more > 0 { p { "And " (plural(more as u64, "more service", "more services")) ", below." } }
        @for written in ledgers::ledgers(record).iter().filter(|it| it.ledger.lost.low > 0).take(TOLD) {
            p { b { (shown(&written.name)) } ": " (spans(&ledgers::summary(written.ledger)[..1])) "." }
        }
    }
}

fn promised(record: &RunRecord) -> Markup {
    let all = || record.services.iter().flat_map(|service| &service.promises);
    let count = |judgement| all().filter(|it| it.judgement == judgement).count() as u64;
    let whole = all().count() as u64;
    let [kept, undecided, broken] =
        [Judgement::Kept, Judgement::Undecided, Judgement::Broken].map(count);
    html! {
        @if whole == 0 { p.big { "No promises" } }
        @else { p.big { (grouped(kept)) " of " (grouped(whole)) " kept" } }
        @if broken > 0 { p { (spans(&[(Ink::Bad, format!("{} broken", grouped(broken)))])) "." } }
        @if undecided > 0 { p { (spans(&[(Ink::Doubt, format!("{} undecided", grouped(undecided)))])) ", which is no pass." } }
        p { (shown(&headline::sentence(record))) "." }
    }
}

fn back(record: &RunRecord) -> Markup {
    let places = |wanted: Restored| -> Vec<String> {
        let its = record.controls.iter().filter(|control| control.restored == wanted);
        its.take(TOLD).map(|control| printable(control.name.as_str())).collect()
    };
    let open = places(Restored::No);
    let alarm = traffic::alarm(record).is_some();
    html! {
        @if alarm {
            p.big { span.alarm { "Not known to be back" } }
            @if !open.is_empty() { p { "At " (list(&open)) ". What to do stands below." } }
        } @else if record.marks.cut_issued.is_none() {
            p.big { "It was never touched" }
        } @else {
            p.big { "Yes" }
            p { "Every control was read back, and is as it was before the drill." }
        }
    }
}

/// Why the verdict is not PASS.
pub fn reasons(record: &RunRecord) -> Markup {
    const ALL: usize = 200;
    html! {
        @if record.verdict != Verdict::Pass && !record.reasons.is_empty() {
            ul.why { @for why in record.reasons.iter().take(ALL) { li { (shown(&why.text)) } } }
            @if record.reasons.len() > ALL { p.dim { "and " (record.reasons.len() - ALL) " more, in the run record" } }
        }
    }
}

/// If traffic may still be cut: that, where, and how to put it back.
pub fn alarm(record: &RunRecord) -> Markup {
    let Some(places) = traffic::alarm(record) else { return html! {} };
    html! {
        div.box role="alert" {
            p { (traffic::ALARM) }
            ol { @for (_, step) in traffic::STEPS { li { (step) } } }
            pre { (printable(&traffic::again(record))) }
            @for place in places {
                h3 { (shown(&place.place)) }
                @for note in &place.notes { p { (shown(note)) } }
                (super::text::entries(&place.parts))
                @if !place.commands.is_empty() {
                    pre { @for command in place.commands { (printable(command)) "\n" } }
                }
                @if let Some(more) = &place.more { p { (shown(more)) } }
            }
        }
    }
}
