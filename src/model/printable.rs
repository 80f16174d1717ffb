//! Strings of others, made safe to show.

/// The most characters of one foreign string that are shown.
const LONGEST: usize = 1000;

/// `text` without anything that could steer a terminal or turn the reading direction.
///
/// Line breaks and tabs become spaces; escapes, control, bidirectional and invisible characters
/// become `\u{fffd}`, so that they are seen to have been there. So does what a CI runner takes for a command of
/// its own wherever it stands in a line, as `##[error]`. Very long text is cut off with `…`.
pub fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).map(printable_char).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    if shown.contains("##") {
        for command in RUNNERS {
            let tame = command.replacen("##", "#\u{fffd}", 1);
            shown = shown.replace(command, &tame);
        }
    }
    shown
}

/// How commands begin that GitHub's runner (in its older form), Azure's and TeamCity's obey anywhere in a line.
const RUNNERS: [&str; 3] = ["##[", "##vso[", "##teamcity["];

/// Whether `c` steers what shows it: [`printable`] does not leave it as it is.
pub fn is_steering(c: char) -> bool {
    c.is_control() || is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

fn printable_char(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() || is_invisible(c) => '\u{fffd}',
        c => c,
    }
}

/// Characters of Unicode's category Cf and its kin, which show nothing and change what others show, and those that
/// XML forbids.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{e0000}'..='\u{e0fff}')
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
    fn what_steers_a_ci_runner_is_seen_and_does_nothing() {
        assert_eq!(printable("a ##[error]b"), "a #\u{fffd}[error]b");
        assert_eq!(printable("###[error]"), "##\u{fffd}[error]");
        assert_eq!(printable("##vso[task.x]"), "#\u{fffd}vso[task.x]");
        assert_eq!(printable("## not one"), "## not one");
    }

    #[test]
    fn very_long_text_is_cut_off() {
        let shown = printable(&"x".repeat(5000));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
    }
}
