//! A page of lines that never get wider than asked for, coloured or not.

use std::fmt::Write;

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table,
    TableStyle as Lines,
};
use unicode_width::UnicodeWidthStr;

use super::TableStyle;
use crate::model::printable;

/// Below this no table can be drawn.
const NARROWEST: usize = 40;
/// How far everything below a heading is moved in.
const INDENT: usize = 2;
/// Between two columns of a table, and before the first.
const GAP: u16 = 2;
/// A space that lines are not broken at, as between a number and its unit.
pub const GLUE: char = '\u{a0}';

/// What a piece of text means, which its colour says again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Text.
    Plain,
    /// Headings and names to look for.
    Bold,
    /// What can be skipped.
    Dim,
    /// As it should be.
    Good,
    /// Broken.
    Bad,
    /// Not proven, or stopped.
    Doubt,
    /// Ended by a hand or a guardrail.
    Stop,
    /// To be acted upon at once.
    Alarm,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Plain => "",
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Good => "1;32",
            Ink::Bad => "1;31",
            Ink::Doubt => "1;33",
            Ink::Stop => "1;35",
            Ink::Alarm => "1;97;41",
        }
    }

    fn color(self) -> Option<Color> {
        match self {
            Ink::Plain | Ink::Bold => None,
            Ink::Dim => Some(Color::DarkGrey),
            // The "dark" ones are those of the terminal's own palette, as in `code`.
            Ink::Good => Some(Color::DarkGreen),
            Ink::Bad | Ink::Alarm => Some(Color::DarkRed),
            Ink::Doubt => Some(Color::DarkYellow),
            Ink::Stop => Some(Color::DarkMagenta),
        }
    }
}

/// Text with its ink.
pub type Span = (Ink, String);

/// A name with what there is to say of it.
pub struct Entry {
    /// The name.
    pub label: String,
    /// What there is to say.
    pub text: Vec<Span>,
}

impl Entry {
    /// An entry in plain ink.
    pub fn plain(label: impl Into<String>, text: impl Into<String>) -> Self {
        Entry { label: label.into(), text: vec![(Ink::Plain, text.into())] }
    }
}

/// Lines under way.
pub struct Page {
    width: usize,
    color: bool,
    ascii: bool,
    out: String,
}

impl Page {
    /// An empty page.
    pub fn new(style: TableStyle) -> Self {
        let width = usize::from(style.width).max(NARROWEST);
        Page { width, color: style.color, ascii: style.ascii, out: String::new() }
    }

    /// The longest line.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The first of `tables` that fits, the widest being first; the last if none does.
    pub fn first_that_fits<const N: usize>(&mut self, tables: [Table; N]) {
        let mut chosen = None;
        for table in tables {
            let fits = self.fits(&table);
            chosen = Some(table);
            if fits {
                break;
            }
        }
        chosen.into_iter().for_each(|table| self.table(table));
    }

    /// Whether `table` can be drawn without breaking any cell.
    pub fn fits(&self, table: &Table) -> bool {
        let widths = table.column_max_content_widths();
        let columns: usize =
            widths.iter().map(|width| usize::from(*width) + usize::from(GAP)).sum();
        // The rule goes as far beyond the last column as it begins before the first.
        columns + usize::from(GAP) <= self.width
    }

    /// The whole text.
    pub fn finish(self) -> String {
        let out = if self.ascii { crate::model::in_ascii(&self.out) } else { self.out };
        if out.contains("::") { out.lines().map(no_command).collect() } else { out }
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.out.push('\n');
    }

    /// An empty line and a heading, with what there is to say of the whole section.
    pub fn heading(&mut self, title: &str, note: &[Span]) {
        self.blank();
        let mut text = vec![(Ink::Bold, title.to_owned())];
        if !note.is_empty() {
            text.push((Ink::Plain, ": ".to_owned()));
            text.extend_from_slice(note);
        }
        self.paragraph(0, INDENT, &text);
    }

    /// Text, its first line moved in by `first` and the others by `rest`.
    pub fn paragraph(&mut self, first: usize, rest: usize, text: &[Span]) {
        self.lay(&" ".repeat(first), first, rest, text);
    }

    /// A line to be copied: it is never broken.
    pub fn verbatim(&mut self, indent: usize, line: &str) {
        let _ = writeln!(self.out, "{}{}", " ".repeat(indent), printable(line));
    }

    /// A list in two columns: names, and what there is to say of them.
    pub fn entries(&mut self, entries: &[Entry]) {
        self.entries_at(INDENT, entries);
    }

    /// As [`Page::entries`], moved in by `indent`.
    pub fn entries_at(&mut self, indent: usize, entries: &[Entry]) {
        let labels: Vec<String> = entries.iter().map(|entry| printable(&entry.label)).collect();
        let room = self.width / 3;
        let widest = labels.iter().map(|label| label.width()).filter(|w| *w <= room).max();
        let column = indent + widest.unwrap_or(0) + 2;
        for (label, entry) in labels.iter().zip(entries) {
            if label.width() > room {
                self.paragraph(indent, indent, &[(Ink::Plain, label.clone())]);
                self.paragraph(column, column, &entry.text);
            } else {
                let gap = " ".repeat(column - indent - label.width());
                let start = format!("{}{label}{gap}", " ".repeat(indent));
                self.lay(&start, column, column, &entry.text);
            }
        }
    }

    /// Entries about the table above them.
    pub fn notes(&mut self, entries: &[Entry]) {
        if !entries.is_empty() {
            self.blank();
            self.entries(entries);
        }
    }

    /// A table of comfy-table's.
    pub fn table(&mut self, mut table: Table) {
        let width = u16::try_from(self.width).unwrap_or(u16::MAX);
        keep_numbers_whole(&mut table, width);
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        if self.color {
            table.enforce_styling().style_text_only();
        } else {
            table.force_no_tty();
        }
        for line in table.lines() {
            self.out.push_str(line.trim_end());
            self.out.push('\n');
        }
    }

    /// Breaks `text` into lines, the first after `start`, which is `first` wide.
    fn lay(&mut self, start: &str, first: usize, rest: usize, text: &[Span]) {
        let mut line: Vec<Span> = vec![(Ink::Plain, start.to_owned())];
        let mut at = first;
        let mut empty = true;
        for word in words(text, self.width.saturating_sub(rest.max(first)).max(1)) {
            let width: usize = word.iter().map(|(_, piece)| piece.width()).sum();
            if !empty && at + 1 + width > self.width {
                self.close(&line);
                line = vec![(Ink::Plain, " ".repeat(rest))];
                at = rest;
                empty = true;
            }
            if !empty {
                // A gap between two words of one ink belongs to them.
                let ink = word.first().map_or(Ink::Plain, |(ink, _)| *ink);
                let same = line.last().is_some_and(|(last, _)| *last == ink);
                join(&mut line, if same { ink } else { Ink::Plain }, " ");
                at += 1;
            }
            word.iter().for_each(|(ink, piece)| join(&mut line, *ink, piece));
            at += width;
            empty = false;
        }
        self.close(&line);
    }

    fn close(&mut self, line: &[Span]) {
        let mut painted = String::new();
        for (ink, piece) in line {
            let piece = piece.replace(GLUE, " ");
            if self.color && *ink != Ink::Plain {
                // Writing to a string cannot fail.
                let _ = write!(painted, "\x1b[{}m{piece}\x1b[0m", ink.code());
            } else {
                painted.push_str(&piece);
            }
        }
        self.out.push_str(painted.trim_end());
        self.out.push('\n');
    }
}

/// A line that a CI runner does not take for a command of its own, which `::` begins.
fn no_command(line: &str) -> String {
    match line.trim_start() {
        text if text.starts_with("::") => {
            let indent = &line[..line.len() - text.len()];
            format!("{indent}\u{fffd}{}\n", &text[1..])
        }
        _ => format!("{line}\n"),
    }
}

/// Adds to the last span if it has the same ink.
fn join(line: &mut Vec<Span>, ink: Ink, piece: &str) {
    match line.last_mut() {
        Some((last, text)) if *last == ink => text.push_str(piece),
        _ => line.push((ink, piece.to_owned())),
    }
}

/// The words of `text`, made safe to show; one wider than `room` is broken up.
fn words(text: &[Span], room: usize) -> Vec<Vec<Span>> {
    let mut words: Vec<Vec<Span>> = vec![];
    let mut word: Vec<Span> = vec![];
    let mut at = 0;
    for (ink, piece) in text {
        for c in printable(piece).chars() {
            let width = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
            if (c == ' ' || at + width > room) && !word.is_empty() {
                words.push(std::mem::take(&mut word));
                at = 0;
            }
            if c == ' ' {
                continue;
            }
            match word.last_mut() {
                Some((last, letters)) if last == ink => letters.push(c),
                _ => word.push((*ink, c.to_string())),
            }
            at += width;
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Leaves only the first column to be broken, where there is room for all the others.
fn keep_numbers_whole(table: &mut Table, width: u16) {
    const LEAST_FOR_FIRST: u16 = 8;
    let widths = table.column_max_content_widths();
    let others: u16 = widths.iter().skip(1).map(|width| width.saturating_add(GAP)).sum();
    if others.saturating_add(LEAST_FOR_FIRST + GAP) > width {
        return;
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

/// A table with a line under its head only, and two spaces between columns.
pub fn ruled(head: &[(&str, CellAlignment)]) -> Table {
    let mut table = Table::new();
    table.load_style(Lines::new().header_separator(LineStyle::new('─', '─', '─', '─')));
    table.set_header(head.iter().map(|(title, side)| Cell::new(title).set_alignment(*side)));
    for (column, (_, side)) in table.column_iter_mut().zip(head) {
        column.set_cell_alignment(*side);
        // The rule's junctions take the other column of each gap.
        column.set_padding((u16::from(column.index == 0), 1));
    }
    table
}

/// A cell; line breaks in it are kept, all else is made safe to show.
pub fn cell(ink: Ink, text: &str) -> Cell {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    let cell = Cell::new(lines.join("\n").replace(GLUE, " "));
    match ink.color() {
        Some(color) => cell.fg(color).add_attribute(Attribute::Bold),
        None => cell,
    }
}
