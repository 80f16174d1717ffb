//! Strings of others, made safe to show.

/// The most characters of one foreign string that are shown.
const LONGEST: usize = 1000;

/// The most characters of a line of our own, which may hold paths and commands to type.
const LONGEST_LINE: usize = 8192;

/// `text` without anything that could steer a terminal or turn the reading direction.
///
/// Line breaks and tabs become spaces; escapes, control, bidirectional and invisible characters
/// become `\u{fffd}`, so that they are seen to have been there. So does what a CI runner takes for a command of
/// its own, as `##[error]` and `::error::`. Very long text is cut off with `…`.
pub fn printable(text: &str) -> String {
    cut_off(text, LONGEST)
}

/// As [`printable`], for a whole line.
pub fn printable_line(line: &str) -> String {
    cut_off(line, LONGEST_LINE)
}

fn cut_off(text: &str, longest: usize) -> String {
    let mut shown: String = text.chars().take(longest).map(printable_char).collect();
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    tame(shown)
}

/// `text` in which no CI runner finds a command of its own; all else stays as it is.
pub fn tame(text: String) -> String {
    if !text.contains("##") && !text.contains("::") {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let follows_its_like = shown.ends_with(c) && matches!(c, '#' | ':');
        let is_command = follows_its_like && begins_a_command(c, &text[at + 1..]);
        shown.push(if is_command { char::REPLACEMENT_CHARACTER } else { c });
    }
    shown
}

/// Whether the character at `at` is the second `#` of a command that a CI runner obeys wherever it stands, as
/// `##[error]`.
pub fn is_runner_command(text: &str, at: usize) -> bool {
    let (before, rest) = text.split_at(at);
    let rest = rest.strip_prefix('#').filter(|_| before.ends_with('#'));
    rest.is_some_and(|rest| begins_a_command('#', rest))
}

/// Whether `rest`, behind two of `c`, makes a command of them.
fn begins_a_command(c: char, rest: &str) -> bool {
    let commands = if c == '#' { &RUNNERS[..] } else { &GITHUB[..] };
    let begins = |command: &&str| {
        rest.get(..command.len()).is_some_and(|head| head.eq_ignore_ascii_case(command))
    };
    commands.iter().any(begins)
}

/// How commands go on behind `##` that GitHub's runner (in its older form), Azure's and TeamCity's obey anywhere in a
/// line.
const RUNNERS: [&str; 3] = ["[", "vso[", "teamcity["];

/// And behind `::` those that GitHub's runner obeys at the beginning of a line, which is wherever a report breaks one.
const GITHUB: [&str; 16] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "internal-set-repo-path",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

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
        assert_eq!(printable("a ::error::b"), "a :\u{fffd}error::b");
        assert_eq!(printable(":::Stop-Commands::x"), "::\u{fffd}Stop-Commands::x");
        for harmless in ["fe80::1", "[::]:80", "a::b", "::", "##", "::é"] {
            assert_eq!(printable(harmless), harmless);
        }
    }

    #[test]
    fn very_long_text_is_cut_off() {
        let shown = printable(&"x".repeat(5000));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
        assert_eq!(printable_line(&"x".repeat(9000)).chars().count(), LONGEST_LINE + 1);
    }
}
