//! Strings of others, made safe to show.

/// The most characters of one foreign string that are shown.
const LONGEST: usize = 1000;

/// `text` without anything that could steer a terminal or turn the reading direction.
///
/// Line breaks and tabs become spaces; escapes, control, bidirectional and invisible characters
/// become `\u{fffd}`, so that they are seen to have been there. Very long text is cut off with `…`.
pub fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).map(printable_char).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn printable_char(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() || is_invisible(c) => '\u{fffd}',
        c => c,
    }
}

/// Characters of Unicode's category Cf and its kin, which show nothing and change what others show.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_seen_and_does_nothing() {
        assert_eq!(printable("a\x1b[31mb\u{9b}c"), "a\u{fffd}[31mb\u{fffd}c");
        assert_eq!(printable("one\r\ntwo\tthree"), "one  two three");
        assert_eq!(printable("safe\u{202e}txt.exe\u{200b}"), "safe\u{fffd}txt.exe\u{fffd}");
        assert_eq!(printable("판교 café"), "판교 café");
    }

    #[test]
    fn very_long_text_is_cut_off() {
        let shown = printable(&"x".repeat(5000));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
    }
}
