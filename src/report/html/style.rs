//! How the report looks: its colours, which are held to WCAG AA, and its style sheet.

use std::fmt::Write;

/// A colour of the report in both schemes, as `#rrggbb`.
struct Paint {
    name: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn paint(name: &'static str, light: &'static str, dark: &'static str) -> Paint {
    Paint { name, light, dark }
}

/// Every colour of the style sheet, which names no other.
const PALETTE: [Paint; 20] = [
    paint("bg", "#ffffff", "#0f1419"),
    paint("panel", "#f5f7f9", "#171e26"),
    paint("shade", "#fbe9e7", "#2d1d20"),
    paint("rule", "#d0d7de", "#333c47"),
    paint("text", "#1b1f24", "#e6edf3"),
    paint("dim", "#57606a", "#9da9b6"),
    paint("link", "#0b5cad", "#6cb6ff"),
    // What is written on a field of one of the next four.
    paint("on", "#ffffff", "#0f1419"),
    paint("good", "#19703a", "#4ac26b"),
    paint("bad", "#b3261e", "#ff8a80"),
    paint("doubt", "#8a5300", "#e6ae45"),
    paint("stop", "#74379c", "#d2a8ff"),
    paint("alarm", "#b3261e", "#b3261e"),
    paint("on-alarm", "#ffffff", "#ffffff"),
    paint("dc0", "#0b5cad", "#6cb6ff"),
    paint("dc1", "#a34a00", "#ffa657"),
    paint("dc2", "#006d77", "#56d4dd"),
    paint("dc3", "#74379c", "#d2a8ff"),
    paint("dc4", "#57606a", "#9da9b6"),
    paint("none", "#6a737d", "#8b96a3"),
];

/// The whole style sheet.
pub fn sheet() -> String {
    let mut css = String::from(":root{color-scheme:light dark;");
    variables(&mut css, |paint| paint.light);
    // Paper is white: what is printed is light in both schemes.
    css.push_str("}@media screen and (prefers-color-scheme:dark){:root{");
    variables(&mut css, |paint| paint.dark);
    css.push_str("}}");
    css.push_str(include_str!("style.css"));
    css
}

fn variables(css: &mut String, of: fn(&Paint) -> &'static str) {
    for paint in &PALETTE {
        // Writing to a string cannot fail.
        let _ = write!(css, "--{}:{};", paint.name, of(paint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance by WCAG 2.2.
    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The pairs of a front and a back that have less contrast than `least` in one of the schemes.
    fn too_weak(fronts: &[&str], backs: &[&str], least: f64) -> Vec<String> {
        let find = |name: &str| PALETTE.iter().find(|paint| paint.name == name).unwrap();
        let pairs = fronts.iter().flat_map(|front| backs.iter().map(move |back| (*front, *back)));
        let weak = pairs.flat_map(|(front, back)| {
            let (f, b) = (find(front), find(back));
            [("light", contrast(f.light, b.light)), ("dark", contrast(f.dark, b.dark))].map(
                |(scheme, seen)| {
                    (seen < least).then(|| format!("{front} on {back}, {scheme}: {seen:.2}"))
                },
            )
        });
        weak.flatten().collect()
    }

    #[test]
    fn contrast_is_what_wcag_says_it_is() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        assert!((contrast("#777777", "#ffffff") - 4.478).abs() < 1e-3);
    }

    const PAGES: [&str; 3] = ["bg", "panel", "shade"];
    const NONE: [String; 0] = [];

    #[test]
    fn text_keeps_to_aa_in_both_schemes() {
        let text = ["text", "dim", "link", "good", "bad", "doubt", "stop"];
        assert_eq!(too_weak(&text, &PAGES, 4.5), NONE);
        assert_eq!(too_weak(&["on"], &["good", "bad", "doubt", "stop"], 4.5), NONE);
        assert_eq!(too_weak(&["on-alarm"], &["alarm"], 4.5), NONE);
    }

    #[test]
    fn what_is_drawn_stands_out_in_both_schemes() {
        let drawn = ["dc0", "dc1", "dc2", "dc3", "dc4", "none", "good", "bad", "doubt", "text"];
        assert_eq!(too_weak(&drawn, &PAGES, 3.0), NONE);
    }

    #[test]
    fn the_style_sheet_names_no_colour_of_its_own_and_only_variables_that_are_there() {
        let css = include_str!("style.css");
        assert!(!css.contains('#'), "a colour, or an id, which is not styled");
        for piece in css.split("var(--").skip(1) {
            let name = piece.split([')', ',']).next().unwrap();
            let set = ["from", "to"].contains(&name);
            assert!(set || PALETTE.iter().any(|paint| paint.name == name), "{name}");
        }
        assert!(!css.contains("url(") && !css.contains("@import"), "nothing from outside");
    }
}
