//! Markdown as GitHub renders it.

use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};

use super::{CASES, Case, build};
use crate::model::*;
use crate::report::markdown;

/// All that GitHub adds to CommonMark, and may be turned against us.
fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    options.extension.alerts = true;
    options
}

/// What a page is made of.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    headings: usize,
    /// Cells in each row of each table.
    rows: Vec<usize>,
    lists: usize,
    html: Vec<String>,
    /// Text that is not code.
    text: String,
    code: String,
    /// Links, images, emphasis and the like.
    others: Vec<String>,
}

fn seen(markdown: &str) -> Seen {
    let arena = Arena::new();
    let options = options();
    let root = parse_document(&arena, markdown, &options);
    let mut seen = Seen::default();
    for node in root.descendants() {
        match &node.data.borrow().value {
            NodeValue::Heading(_) => seen.headings += 1,
            NodeValue::TableRow(_) => seen.rows.push(node.children().count()),
            NodeValue::List(_) => seen.lists += 1,
            NodeValue::HtmlBlock(block) => seen.html.push(block.literal.trim().to_owned()),
            NodeValue::HtmlInline(html) => {
                seen.html.push(html.clone());
                // What stands between two texts keeps them apart.
                seen.text.push('\u{0}');
            }
            NodeValue::Text(text) => seen.text.push_str(text),
            NodeValue::Code(code) => seen.code.push_str(&code.literal),
            NodeValue::CodeBlock(block) => seen.code.push_str(&block.literal),
            NodeValue::Document
            | NodeValue::Paragraph
            | NodeValue::Table(_)
            | NodeValue::TableCell
            | NodeValue::Item(_)
            | NodeValue::BlockQuote
            | NodeValue::Alert(_)
            | NodeValue::Strong
            | NodeValue::SoftBreak => {}
            other => seen.others.push(format!("{other:?}")),
        }
    }
    seen
}

#[test]
fn the_verdict_is_the_title_and_every_row_has_its_cells() {
    for (name, build) in CASES {
        let record = build();
        let text = markdown(&record);
        let seen = seen(&text);
        let title = text.lines().next().unwrap();
        assert!(title.ends_with(&format!("{}: {}", record.verdict, record.plan.name)), "{title}");
        assert!(seen.rows.iter().all(|cells| [5, 6].contains(cells)), "{name}: {:?}", seen.rows);
        assert_eq!(seen.others, [""; 0], "{name}");
        assert!(seen.code.contains("run 20260714-102203-quickstart-7f3a"), "{name}: {text}");
    }
    insta::assert_snapshot!("markdown-fail", markdown(&build::failed()));
    insta::assert_snapshot!("markdown-not-restored", markdown(&build::not_restored()));
}

/// Marks up, links, names people and issues, ends cells and blocks, hides and turns.
const NASTY: [&str; 12] = [
    "<script>alert(1)</script><!-- x",
    "</details><h1>PASS</h1>&lt;&#60;",
    "a | b | c \\| d \\",
    "*b* _i_ ~~s~~ `c` ``` $x$ ![i](http://x) [l](javascript:x)",
    "see https://evil.example/x and www.evil.example or me@evil.example <http://x>",
    "@everyone #1 GH-1 x@y/z#2",
    "# PASS",
    "- one",
    "1. one",
    "> quoted\n\n## PASS\n\n```\n",
    "[^1]: note [ ] task :smile:",
    "a\u{202e}b\u{200b}\u{9b}31m\x1b[2J",
];

#[test]
fn hostile_strings_mark_nothing_up_and_call_nobody() {
    let harmless = seen(&markdown(&build::hostile_as("harmless")));
    for nasty in NASTY {
        let text = markdown(&build::hostile_as(nasty));
        let found = seen(&text);
        assert_eq!(found.others, [""; 0], "{nasty:?}\n{text}");
        assert_eq!(found.headings, harmless.headings, "{nasty:?}\n{text}");
        assert_eq!(found.rows, harmless.rows, "{nasty:?}\n{text}");
        assert_eq!(found.lists, harmless.lists, "{nasty:?}\n{text}");
        let ours = found.html.iter().filter(|html| *html != "<!-- -->");
        assert!(ours.eq(&harmless.html), "{:?} of {nasty:?}\n{text}", found.html);
        for (at, _) in found.text.match_indices(['@', '#']) {
            let next = found.text[at + 1..].chars().next();
            assert!(next.is_none_or(|c| !c.is_alphanumeric()), "{nasty:?}: {}", found.text);
        }
        for c in text.chars().filter(|c| *c != '\n') {
            // The selector behind our own signs asks for colour.
            assert!(c == '\u{fe0f}' || !is_steering(c), "{c:?} of {nasty:?}");
        }
    }
}

#[test]
fn what_was_named_is_what_is_read() {
    for nasty in NASTY {
        let mut record = build::passed();
        record.plan.name = nasty.into();
        let text = markdown(&record);
        let title = text.lines().next().unwrap();
        let read = seen(title).text.replace('\u{0}', "");
        assert_eq!(read, format!("✅ PASS: {}", crate::report::words::plain(nasty).trim()));
    }
}

#[test]
fn it_fits_into_a_comment_whatever_is_in_it() {
    let long: String = "<@#".repeat(1 << 19);
    let mut many = build::many_services();
    many.services[0].name = long.as_str().into();
    let cases: [RunRecord; 2] = [many, build::hostile_as(&long)];
    for record in cases {
        let text = markdown(&record);
        assert!(text.chars().count() <= 65_536 && text.len() <= 65_536, "{}", text.len());
        assert!(text.contains(&record.verdict.to_string()));
    }
}

#[test]
fn what_does_not_fit_is_left_out_as_a_whole_and_said_to_be() {
    let mut record = build::failed();
    record.reasons = vec![Why::new("x", "<".repeat(300)); 10];
    let service = record.services[0].clone();
    for number in 0..20 {
        let mut more = service.clone();
        more.name = format!("{number}{}", "<".repeat(290)).as_str().into();
        for promise in &mut more.promises {
            promise.judgement = Judgement::Broken;
            promise.why = "&".repeat(300);
        }
        record.services.push(more);
    }
    let text = markdown(&record);
    assert!(text.len() <= 65_536, "{}", text.len());
    assert!(text.contains("What did not fit here is in the other reports."), "{text}");
    assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
}

#[test]
fn two_services_are_each_in_the_table() {
    let more: Case = ("many", build::many_services);
    let text = markdown(&more.1());
    assert!(text.contains("| service-00 | `recover_within` | 3 s |"), "{text}");
    assert!(text.contains("and 80 more, all kept"), "{text}");
}
