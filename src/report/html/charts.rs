//! Who answered, how fast, and how much was asked: three charts of what a service's probes or a load saw.

use std::collections::BTreeMap;
use std::time::Duration;

use maud::{Markup, html};

use super::course;
use super::key::sign;
use super::picture::Cast;
use super::scale::{Bars, Scale, WIDTH, n};
use super::text::shown;
use crate::model::{Course, Offset, Promise, RunRecord, ServiceRecord};
use crate::report::words::{GAP, grouped, plural, time};

/// A chart is so high.
const HEIGHT: f64 = 120.0;
/// Services whose charts are drawn.
const SERVICES: usize = 12;
/// Loads whose charts are drawn.
const LOADS: usize = 8;
/// Datacenters that are told apart; the others are drawn as one.
const DATACENTERS: usize = 4;
const PATTERNS: [Option<&str>; 5] =
    [None, Some("url(#stripes)"), Some("url(#posts)"), Some("url(#grid)"), Some("url(#dots)")];

/// The charts of the first services and loads, those of the first one open.
pub fn draw(record: &RunRecord, cast: &Cast<'_>, scale: &Scale) -> Markup {
    let services = &cast.shown[..cast.shown.len().min(SERVICES)];
    let more = record.services.len() - services.len();
    html! {
        @for (place, service) in services.iter().enumerate() {
            (of_service(service, record, scale, place == 0))
        }
        @if more > 0 {
            p.dim { "The charts of " (plural(more as u64, "more service", "more services")) " are left out; the run record has their numbers." }
        }
        @for load in record.loads.iter().take(LOADS) {
            @let course = course::sum(std::iter::once(&load.course));
            @if !course.is_empty() {
                details.panel open[record.loads.len() == 1] {
                    summary { "Load " (shown(load.name.as_str())) }
                    div.charts { (offered(&course, scale, record)) (latency(&course, None, scale, record)) }
                }
            }
        }
    }
}

fn of_service(service: &ServiceRecord, record: &RunRecord, scale: &Scale, open: bool) -> Markup {
    let course = course::sum(service.probes.iter().map(|probe| &probe.course));
    let budget = service.promises.iter().find(|it| it.promise == Promise::P99WhileCut);
    html! {
        @if !course.is_empty() {
            details.panel open[open] {
                summary { (shown(service.name.as_str())) }
                div.charts {
                    (answers(&course, scale, record))
                    (latency(&course, budget.and_then(|it| it.budget), scale, record))
                    (offered(&course, scale, record))
                }
            }
        }
    }
}

/// A chart with its title, on a ground that shows the cut.
fn chart(
    title: Markup,
    words: &str,
    lines: Markup,
    labels: &[(f64, String)],
    scale: &Scale,
    record: &RunRecord,
    key: Markup,
) -> Markup {
    let cut = record.marks.cut_issued.map(|from| {
        let to = record.marks.restore_confirmed.unwrap_or(scale.end());
        format!("--from:{:.2}%;--to:{:.2}%", scale.percent(from), scale.percent(to))
    });
    html! {
        figure.chart.picture style=[cut] {
            figcaption { (title) }
            div.plot {
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(words) { (lines) }
                @for (y, label) in labels {
                    span.y style={ "top:" (n((y / HEIGHT * 100.0).clamp(4.0, 96.0))) "%" } { (label) }
                }
            }
            div.ticks aria-hidden="true" {
                @for tick in scale.ticks() {
                    span.first[tick.at < 4.0].last[tick.at > 96.0] style={ "left:" (format!("{:.2}", tick.at)) "%" } { (tick.label) }
                }
            }
            (key)
        }
    }
}

/// The edges of each cell that lies on the time line, with its index.
fn cells<'a>(course: &'a Course, scale: &'a Scale) -> impl Iterator<Item = (usize, f64, f64)> + 'a {
    let edge = |index: usize| {
        let cells = u32::try_from(index).unwrap_or(u32::MAX);
        scale.x(Offset::ZERO.plus(course.cell.saturating_mul(cells)))
    };
    (0..course.len())
        .map(move |index| (index, edge(index), edge(index + 1)))
        .filter(|(_, left, right)| right > left)
}

/// The share of answers that each datacenter gave, as a stacked area. Where nobody answered it is empty.
fn answers(course: &Course, scale: &Scale, record: &RunRecord) -> Markup {
    let groups = groups(course, record);
    if groups.is_empty() {
        let title = html! { "Who answered: the answers do not say which datacenter gave them" };
        return html! { figure.chart { figcaption.dim { (title) } } };
    }
    let mut areas: Vec<Bars> = groups.iter().map(|_| Bars::default()).collect();
    let all: Vec<(usize, f64, f64)> = cells(course, scale).collect();
    for cells in all.chunks(together(&groups, all.len())) {
        let (Some((first, left, _)), Some((last, _, right))) = (cells.first(), cells.last()) else {
            continue;
        };
        let within = |list: &Vec<u64>| {
            let counts = list.get(*first..list.len().min(last + 1)).unwrap_or_default();
            counts.iter().map(|count| *count as f64).sum()
        };
        let counts: Vec<f64> = groups.iter().map(|(_, list)| within(list)).collect();
        let all: f64 = counts.iter().sum();
        let mut bottom = HEIGHT;
        for (area, count) in areas.iter_mut().zip(counts) {
            if count > 0.0 {
                let top = bottom - count / all * HEIGHT;
                area.push(*left, *right, top, bottom);
                bottom = top;
            }
        }
    }
    let paths: Vec<String> = areas.into_iter().map(Bars::finish).collect();
    let lines = html! {
        @for (place, path) in paths.iter().enumerate() {
            path class={ "d" (place) } d=(path) {}
            @if let Some(pattern) = PATTERNS[place] { path fill=(pattern) d=(path) {} }
        }
    };
    let key = html! {
        ul.key {
            @for (place, (name, _)) in groups.iter().enumerate() {
                (sign("M0 0h34v20h-34z", &format!("d{place}"), PATTERNS[place], name))
            }
        }
    };
    let title = html! { b { "Who answered" } ", good or bad: share by datacenter" };
    let labels = [(0.0, format!("100{GAP}%")), (HEIGHT, format!("0{GAP}%"))];
    chart(
        title,
        "share of all answers, good or bad, by datacenter over time",
        lines,
        &labels,
        scale,
        record,
        key,
    )
}

/// So many cells are drawn as one that a share is one of a few answers at least: of two, it would only be noise.
fn together(groups: &[(String, Vec<u64>)], cells: usize) -> usize {
    const ANSWERS: f64 = 8.0;
    const CELLS: usize = 40;
    let all: f64 = groups.iter().flat_map(|(_, list)| list).map(|count| *count as f64).sum();
    let wanted = (ANSWERS * cells as f64 / all.max(1.0)).ceil() as usize;
    wanted.min(cells / CELLS).max(1)
}

/// The answers by datacenter: those that are cut first, then the others of the plan, then the rest as one.
fn groups(course: &Course, record: &RunRecord) -> Vec<(String, Vec<u64>)> {
    let cut = |id: usize| record.plan.cut.datacenters.iter().any(|it| it.index() == id);
    let named = || record.plan.datacenters.iter().enumerate();
    let ordered = named().filter(|(id, _)| cut(*id)).chain(named().filter(|(id, _)| !cut(*id)));
    let mut left: BTreeMap<&str, &Vec<u64>> =
        course.served.iter().map(|(name, list)| (name.as_str(), list)).collect();
    let mut groups = Vec::new();
    for (id, name) in ordered {
        if groups.len() == DATACENTERS {
            break;
        }
        if let Some(list) = left.remove(name.as_str()) {
            let note = if cut(id) { " (cut)" } else { "" };
            groups
                .push((format!("{}{note}", crate::model::printable(name.as_str())), list.clone()));
        }
    }
    // Where no answer ever said who gave it there is nothing to tell apart.
    if !left.is_empty() && (!groups.is_empty() || left.keys().any(|name| *name != "?")) {
        let mut rest = vec![0_u64; course.len()];
        for list in left.into_values() {
            rest.iter_mut().zip(list).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        }
        groups.push(("others, or not said".to_owned(), rest));
    }
    groups
}

/// Median and 99th percentile on a logarithmic scale.
fn latency(course: &Course, budget: Option<Duration>, scale: &Scale, record: &RunRecord) -> Markup {
    let seen = course.p50_us.iter().chain(&course.p99_us).flatten().copied();
    let budget_us = budget.map(|it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX));
    let seen = || seen.clone().chain(budget_us).map(|micros| micros.max(1));
    let (Some(least), Some(most)) = (seen().min(), seen().max()) else {
        return html! { figure.chart { figcaption.dim { "How fast: there was no answer" } } };
    };
    let low = least.ilog10();
    let high = if 10_u64.pow(most.ilog10()) == most { most.ilog10() } else { most.ilog10() + 1 };
    let decades = f64::from(high.max(low + 1) - low);
    let y = |micros: u64| {
        let above = (micros.max(1) as f64).log10() - f64::from(low);
        HEIGHT * (1.0 - above / decades)
    };
    let line =
        |values: &[Option<u64>]| {
            let cells = cells(course, scale);
            steps(cells.map(|(cell, left, right)| {
                (left, right, values.get(cell).copied().flatten().map(y))
            }))
        };
    let marks: Vec<(f64, String)> = (low..=low + decades as u32)
        .filter_map(|power| 10_u64.checked_pow(power))
        .map(|micros| (y(micros), time(Duration::from_micros(micros))))
        .collect();
    let cut = (record.marks.cut_issued, record.marks.restore_issued.unwrap_or(scale.end()));
    let lines = html! {
        @for (at, _) in &marks { path.grid d={ "M0 " (n(*at)) "h" (WIDTH) } {} }
        @if let (Some(budget), (Some(from), to)) = (budget_us, cut) {
            path.k d={ "M" (n(scale.x(from))) " " (n(y(budget))) "H" (n(scale.x(to))) } {}
        }
        path.line.dash d=(line(&course.p99_us)) {}
        path.line d=(line(&course.p50_us)) {}
    };
    let key = html! {
        ul.key {
            (stroke("line", "median (solid)")) (stroke("line dash", "99th percentile (dashed)"))
            @if let Some(budget) = budget { (stroke("k", &format!("budget of p99_while_cut, {}", time(budget)))) }
        }
    };
    let title = html! { b { "How fast" } ": latency, of the slowest probe" };
    chart(
        title,
        "median and 99th percentile of the latency over time",
        lines,
        &marks,
        scale,
        record,
        key,
    )
}

/// What was asked in each second, and what was answered well.
fn offered(course: &Course, scale: &Scale, record: &RunRecord) -> Markup {
    let seconds = course.cell.as_secs_f64().max(1e-9);
    let count = |list: &[u64], cell: usize| list.get(cell).copied().unwrap_or(0) as f64 / seconds;
    let good = |cell: usize| count(&course.good, cell) + count(&course.stalled, cell);
    let asked = |cell: usize| good(cell) + count(&course.bad, cell) + count(&course.unknown, cell);
    // The last cell is rarely whole, and would look as if less had been asked.
    let whole = |right: f64| right < WIDTH || course.len() < 2;
    let most = cells(course, scale).map(|(cell, ..)| asked(cell)).fold(1e-9, f64::max);
    let y = |rate: f64| HEIGHT * (1.0 - rate / (most * 1.1));
    let mut area = Bars::default();
    for (cell, left, right) in cells(course, scale).filter(|(.., right)| whole(*right)) {
        if good(cell) > 0.0 {
            area.push(left, right, y(good(cell)), HEIGHT);
        }
    }
    let line = cells(course, scale).filter(|(.., right)| whole(*right));
    let line = steps(line.map(|(cell, left, right)| (left, right, Some(y(asked(cell))))));
    let lines = html! { path.fill d=(area.finish()) {} path.line d=(line) {} };
    let key = html! {
        ul.key {
            (stroke("line", "offered (line)"))
            (sign("M0 6h34v14h-34z", "fill", None, "answered well (filled)"))
        }
    };
    let labels = [(y(most), format!("{}/s", rate(most))), (HEIGHT, "0".to_owned())];
    let title = html! { b { "How much" } ": requests a second" };
    chart(
        title,
        "requests a second over time, offered and answered",
        lines,
        &labels,
        scale,
        record,
        key,
    )
}

fn rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { grouped(rate.round() as u64) }
}

/// A line of steps, broken where there is nothing.
fn steps(cells: impl Iterator<Item = (f64, f64, Option<f64>)>) -> String {
    let mut path = String::new();
    let mut last: Option<(f64, String)> = None;
    for (left, right, y) in cells {
        let Some(y) = y.map(n) else {
            last = None;
            continue;
        };
        match &last {
            // A longer step of the same height.
            Some((end, height)) if (end - left).abs() < 0.05 && *height == y => {}
            Some((end, _)) if (end - left).abs() < 0.05 => path.push_str(&format!("V{y}")),
            _ => path.push_str(&format!("M{} {y}", n(left))),
        }
        path.push_str(&format!("H{}", n(right)));
        last = Some((right, y));
    }
    path
}

fn stroke(class: &str, words: &str) -> Markup {
    html! { li { svg viewBox="0 0 34 20" aria-hidden="true" { path class=(class) d="M0 10h34" {} } (words) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_nothing_was_seen() {
        let cells = [
            (0.0, 4.0, Some(1.0)),
            (4.0, 8.0, None),
            (8.0, 12.0, Some(1.0)),
            (12.0, 16.0, Some(2.0)),
        ];
        assert_eq!(steps(cells.into_iter()), "M0 1H4M8 1H12V2H16");
    }
}
