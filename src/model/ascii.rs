//! Text for terminals that show ASCII alone.

use unicode_width::UnicodeWidthStr;

/// `text` in ASCII, each line as wide as before: our own signs have their counterparts, all else becomes `?`.
pub fn in_ascii(text: &str) -> String {
    // Two columns for two: `>` alone would leave out the bound itself.
    let text = text.replace("≥ ", ">=").replace("≤ ", "<=");
    let mut ascii = String::with_capacity(text.len());
    let mut foreign = String::new();
    for c in text.chars() {
        let ours = match c {
            '─' => '-',
            '·' => '|',
            // Spark lines, the lowest sign first.
            '▁' => '.',
            '▂' => ':',
            '▃' => '-',
            '▄' => '=',
            '▅' => '+',
            '▆' => '*',
            '▇' => '%',
            '█' => '#',
            '…' => '~',
            '░' => '.',
            '✓' => '+',
            '✗' => 'x',
            '▸' => '>',
            c if c.is_ascii() => c,
            c => {
                foreign.push(c);
                continue;
            }
        };
        ascii.push_str(&"?".repeat(foreign.width()));
        foreign.clear();
        ascii.push(ours);
    }
    ascii.push_str(&"?".repeat(foreign.width()));
    ascii
}
