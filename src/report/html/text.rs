//! Text of the other reports, as HTML: the same sentences, with their inks as classes.

use maud::{Markup, html};

use crate::model::printable;
use crate::report::page::{Entry, Ink, Span};

/// The class of an ink; the colour only says again what the words say.
pub fn class(ink: Ink) -> &'static str {
    match ink {
        Ink::Plain => "plain",
        Ink::Bold => "bold",
        Ink::Dim => "dim",
        Ink::Good => "good",
        Ink::Bad => "bad",
        Ink::Doubt => "doubt",
        Ink::Stop => "stop",
        Ink::Alarm => "alarm",
    }
}

/// A name or a sentence of others: it steers nothing, and its own direction of reading stays within it.
pub fn shown(text: &str) -> Markup {
    html! { bdi { (printable(text)) } }
}

/// A name in a drawing or a long list, where no more of it than this fits.
pub fn name(text: &str) -> Markup {
    const LONGEST: usize = 80;
    let mut name: String = text.chars().take(LONGEST).collect();
    if name.len() < text.len() {
        name.push('…');
    }
    shown(&name)
}

/// Pieces of text, each in its ink.
pub fn spans(text: &[Span]) -> Markup {
    html! {
        @for (ink, piece) in text {
            @if *ink == Ink::Plain { (printable(piece)) }
            @else { span class=(class(*ink)) { (printable(piece)) } }
        }
    }
}

/// One piece of text in its ink.
pub fn span(span: Span) -> Markup {
    spans(&[span])
}

/// Names, and what there is to say of them.
pub fn entries(entries: &[Entry]) -> Markup {
    html! {
        dl.entries {
            @for entry in entries {
                @match entry.label.strip_prefix("- ") {
                    Some(part) => { dt.part { (shown(part)) } }
                    None if entry.label.is_empty() => {}
                    None => { dt { (shown(&entry.label)) } }
                }
                dd { (spans(&entry.text)) }
            }
        }
    }
}

/// A section under a heading that can be linked to.
pub fn section(id: &str, title: &str, note: Option<Span>, body: Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) @if let Some(note) = note { ": " (span(note)) } }
            (body)
        }
    }
}
