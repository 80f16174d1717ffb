//! One lane of the picture: what was seen over time, the bounds of outages, and marks of budgets.

use maud::{Markup, html};

use super::scale::{Bars, Scale, WIDTH, n};
use crate::model::{Course, Offset, Outage, printable};

/// A lane is so high; in its upper part trouble stands as columns, below it the good samples are a band, and below
/// that the outages are spans.
const HEIGHT: f64 = 40.0;
const FLOOR: f64 = 20.0;
const TALLEST: f64 = 18.0;
/// Any trouble is at least so high.
const LEAST: f64 = 4.0;
const BAND: [f64; 2] = [21.5, 25.5];
const SPAN: [f64; 2] = [29.0, 37.0];

/// What there is to draw.
pub struct Lane<'a> {
    /// What was seen.
    pub course: &'a Course,
    /// The outages, as bounds.
    pub outages: &'a [Outage],
    /// Where a budget ends; one that ends after the drill is not drawn.
    pub budgets: &'a [Offset],
    /// The same in words, for who cannot see it.
    pub words: &'a str,
}

/// The lane as a drawing that is as wide as its place.
pub fn draw(lane: &Lane<'_>, scale: &Scale) -> Markup {
    let [good, bad, stalled, unknown] = columns(lane.course, scale);
    let paths = [("g", good), ("b", bad), ("s", stalled), ("u", unknown)];
    html! {
        div.plot {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label=(printable(lane.words)) {
                @for (class, path) in paths.iter().filter(|(_, path)| !path.is_empty()) {
                    path class=(class) d=(path) {}
                    // Patterns, for who does not see the colours.
                    @if *class == "s" { path fill="url(#stripes)" d=(path) {} }
                    @if *class == "u" { path fill="url(#dots)" d=(path) {} }
                }
                @for outage in lane.outages { (span(outage, scale)) }
                @for budget in lane.budgets.iter().filter(|it| **it <= scale.end()) {
                    path.k d=(mark(scale.x(*budget))) {}
                }
            }
        }
    }
}

/// Good, bad, stalled and unknown samples, cell by cell.
fn columns(course: &Course, scale: &Scale) -> [String; 4] {
    let [mut good, mut bad, mut stalled, mut unknown]: [Bars; 4] = Default::default();
    for index in 0..course.len() {
        let count = |list: &[u64]| list.get(index).copied().unwrap_or(0) as f64;
        let counts = [&course.bad, &course.stalled, &course.unknown].map(|list| count(list));
        let fine = count(&course.good);
        let all: f64 = counts.iter().sum::<f64>() + fine;
        let edge = |index: usize| {
            let cells = u32::try_from(index).unwrap_or(u32::MAX);
            scale.x(Offset::ZERO.plus(course.cell.saturating_mul(cells)))
        };
        let (left, right) = (edge(index), edge(index + 1));
        if all <= 0.0 || right - left <= 0.0 {
            continue;
        }
        if fine > 0.0 {
            good.push(left, right, BAND[0], BAND[1]);
        }
        let tall = counts.map(|it| if it > 0.0 { (it / all * TALLEST).max(LEAST) } else { 0.0 });
        let fit = (TALLEST / tall.iter().sum::<f64>().max(TALLEST)).min(1.0);
        let mut bottom = FLOOR;
        for (bars, tall) in [&mut bad, &mut stalled, &mut unknown].into_iter().zip(tall) {
            if tall > 0.0 {
                bars.push(left, right, bottom - tall * fit, bottom);
                bottom -= tall * fit;
            }
        }
    }
    [good, bad, stalled, unknown].map(Bars::finish)
}

/// What is certain of an outage, and what is only possible at either end.
fn span(outage: &Outage, scale: &Scale) -> Markup {
    let end = outage.ended_by.unwrap_or(scale.end());
    let rect = |from: Offset, to: Offset, least: f64| {
        let (left, right) = (scale.x(from), scale.x(to).max(scale.x(from) + least));
        let mut bars = Bars::default();
        bars.push(left, right, SPAN[0], SPAN[1]);
        bars.finish()
    };
    html! {
        path.m d=(rect(outage.began_after, end, 2.0)) {}
        path.e d=(rect(outage.began_by, outage.ended_after, 2.0)) {}
    }
}

/// A line from top to bottom, with a bar on top of it.
pub fn mark(x: f64) -> String {
    format!("M{} 1h9M{} 0V{HEIGHT}", n(x - 4.5), n(x))
}
