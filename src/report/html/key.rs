//! What the signs in the drawings mean, and the patterns that tell them apart without their colours.

use maud::{Markup, html};

/// The patterns, once for the whole page. Drawings are stretched to their width: these survive it.
pub fn patterns() -> Markup {
    html! {
        svg.defs aria-hidden="true" {
            defs {
                pattern id="stripes" width="8" height="4" patternUnits="userSpaceOnUse" { path.p d="M0 1h8" {} }
                pattern id="dots" width="6" height="5" patternUnits="userSpaceOnUse" { path.p d="M1 1h2M4 3.5h2" {} }
                pattern id="posts" width="9" height="8" patternUnits="userSpaceOnUse" { path.p d="M2 0v8" {} }
                pattern id="grid" width="9" height="7" patternUnits="userSpaceOnUse" { path.p d="M2 0v7M0 2h9" {} }
            }
        }
    }
}

/// The key of the lanes.
pub fn lanes() -> Markup {
    html! {
        ul.key aria-label="What the signs mean" {
            (sign("M0 10h34v4h-34z", "g", None, "answered (low band)"))
            (sign("M8 2h18v16h-18z", "b", None, "bad: users failed (solid column, as high as their share)"))
            (sign("M8 2h18v16h-18z", "s", Some("url(#stripes)"), "stalled: slow, not broken (striped)"))
            (sign("M8 2h18v16h-18z", "u", Some("url(#dots)"), "not observed (dotted)"))
            li {
                svg viewBox="0 0 34 20" aria-hidden="true" {
                    path.m d="M2 6h30v8h-30z" {} path.e d="M9 6h16v8h-16z" {}
                }
                "outage: filled is certain, the hollow ends are possible"
            }
            li { svg viewBox="0 0 34 20" aria-hidden="true" { path.k d="M13 1h9M17.5 0v20" {} } "end of a budget" }
            li { svg viewBox="0 0 34 20" style="background:var(--shade)" aria-hidden="true" {} "traffic is cut (shaded)" }
        }
    }
}

/// One sign.
pub fn sign(path: &str, class: &str, pattern: Option<&str>, words: &str) -> Markup {
    html! {
        li {
            svg viewBox="0 0 34 20" aria-hidden="true" {
                path class=(class) d=(path) {}
                @if let Some(pattern) = pattern { path fill=(pattern) d=(path) {} }
            }
            (words)
        }
    }
}
