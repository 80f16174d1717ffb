//! Bodies with named values in them: `{"text": {{text}}}`.
//!
//! The plan writes the body, and values come from the drill: names, reasons, what a system answered. So that none of them
//! breaks out of its place, each is escaped for what it stands in. In JSON that is a string of its own, or a piece of
//! one: `{"text": {{title}}, "note": "drill of {{plan}}"}`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Part, Text, printable};

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON.
    Json,
    /// `application/x-www-form-urlencoded`.
    Fields,
    /// Text for people: values are one line each.
    Plain,
}

impl Form {
    /// The form of a content type, in the words of a header field; `None` for one that values cannot be escaped for.
    pub fn of(content_type: &str) -> Option<Form> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match &*kind {
            "application/json" => Some(Form::Json),
            kind if kind.starts_with("application/") && kind.ends_with("+json") => Some(Form::Json),
            "application/x-www-form-urlencoded" => Some(Form::Fields),
            "text/plain" => Some(Form::Plain),
            _ => None,
        }
    }
}

/// The values that a template may name.
pub const TEMPLATE_VALUES: [&str; 11] = [
    "event", "title", "text", "plan", "run", "verdict", "reason", "lost", "host", "time", "restore",
];

/// A body with places for values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    /// Written in the plan; it may be a secret.
    Fixed(String),
    /// The value of this name.
    Value(String),
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Piece::Fixed(_) => f.write_str("…"),
            Piece::Value(name) => write!(f, "{{{{{name}}}}}"),
        }
    }
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotATemplate {
    /// There is no value of this name.
    Unknown(String),
    /// A `{{` has no `}}`.
    Open,
}

impl Template {
    /// Reads the template in `text`. What a secret holds is never read as a place.
    ///
    /// # Errors
    /// The first that is wrong with it.
    pub fn parse(text: &Text) -> Result<Template, NotATemplate> {
        Template::parse_naming(text, &|name| TEMPLATE_VALUES.contains(&name))
    }

    /// As [`Template::parse`], with places for the values that `is_known` knows.
    ///
    /// # Errors
    /// The first that is wrong with it.
    pub fn parse_naming(
        text: &Text,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Result<Template, NotATemplate> {
        let mut pieces = Vec::new();
        for part in text.parts() {
            match part {
                Part::Plain(plain) => split(plain, is_known, &mut pieces)?,
                Part::Secret { value, .. } => pieces.push(Piece::Fixed(value.clone())),
                Part::Lab(_) => pieces.push(Piece::Fixed(part.to_string())),
            }
        }
        Ok(Template { pieces })
    }

    /// The body, each place filled with what `value` gives for its name; nothing is `null` in JSON, and empty elsewhere.
    pub fn fill(&self, form: Form, value: &dyn Fn(&str) -> Option<String>) -> String {
        self.fill_with(form, &|name| value(name).map(Value::from))
    }

    /// The text, each place filled with what `value` gives for its name, as it is.
    pub fn fill_raw(&self, value: &dyn Fn(&str) -> Option<String>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Fixed(text) => text.clone(),
            Piece::Value(name) => value(name).unwrap_or_default(),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// As [`Template::fill`], with values of JSON: one that is no string stands in JSON as it is, and as its JSON elsewhere.
    pub fn fill_with(&self, form: Form, value: &dyn Fn(&str) -> Option<Value>) -> String {
        let mut body = String::new();
        let mut json = InJson::default();
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => {
                    json.pass(text);
                    body.push_str(text);
                }
                Piece::Value(name) => body.push_str(&escaped(form, json.in_string, value(name))),
            }
        }
        body
    }
}

fn split(
    plain: &str,
    is_known: &dyn Fn(&str) -> bool,
    pieces: &mut Vec<Piece>,
) -> Result<(), NotATemplate> {
    let mut rest = plain;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, after) = behind.split_once("}}").ok_or(NotATemplate::Open)?;
        // `{{{text}}}`: a brace of JSON before a place.
        let (name, brace) = match name.strip_prefix('{') {
            Some(name) => (name, "{"),
            None => (name, ""),
        };
        let name = name.trim();
        if !is_known(name) {
            return Err(NotATemplate::Unknown(name.to_owned()));
        }
        pieces.push(Piece::Fixed(format!("{before}{brace}")));
        pieces.push(Piece::Value(name.to_owned()));
        rest = after;
    }
    pieces.push(Piece::Fixed(rest.to_owned()));
    Ok(())
}

fn escaped(form: Form, in_string: bool, value: Option<Value>) -> String {
    let value = match (form, value) {
        (Form::Json, Some(value)) if !in_string => return value.to_string(),
        (_, Some(Value::String(text))) => Some(text),
        (_, Some(value)) => Some(value.to_string()),
        (_, None) => None,
    };
    match (form, value) {
        (Form::Json, None) => if in_string { "" } else { "null" }.to_owned(),
        (Form::Json, Some(value)) => {
            let quoted = Value::from(value).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        (_, None) => String::new(),
        (Form::Fields, Some(value)) => query_value(&value),
        // Line by line: what steers a terminal or a reader's eye has no place in any of them.
        (Form::Plain, Some(value)) => value.lines().map(printable).collect::<Vec<_>>().join("\n"),
    }
}

/// What a query or a form takes as it is (RFC 3986, 2.3); all else is escaped.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `text` as a value in a query or a form.
pub fn query_value(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Whether what comes next stands in a string of JSON.
#[derive(Default)]
struct InJson {
    in_string: bool,
    escaped: bool,
}

impl InJson {
    fn pass(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' if self.in_string => self.escaped = true,
                '"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What would break out of JSON, a form or a line if it could.
    const HOSTILE: &str = "\", \"admin\": true, \"x\": \"\\\n{{run}}&a=b<!channel>\u{202e}\0";

    fn filled(form: Form, text: &str) -> String {
        let template = Template::parse(&Text::from(text)).unwrap();
        template.fill(form, &|name| (name != "verdict").then(|| HOSTILE.to_owned()))
    }

    #[test]
    fn no_value_breaks_out_of_its_place_in_json() {
        let body = filled(
            Form::Json,
            r#"{"a": {{title}}, "b": "plan \"{{ plan }}\" \\", "c": {{verdict}}, "d": "<{{verdict}}>", "e": [{{run}}], "f": {"g":{{text}}}}"#,
        );
        let value: Value = serde_json::from_str(&body).unwrap();
        let plan = format!("plan \"{HOSTILE}\" \\");
        let wanted = json!({
            "a": HOSTILE, "b": plan, "c": null, "d": "<>", "e": [HOSTILE], "f": { "g": HOSTILE }
        });
        assert_eq!(value, wanted);
    }

    #[test]
    fn nor_out_of_a_form_or_a_line() {
        let form = filled(Form::Fields, "a={{title}}&b={{verdict}}");
        assert!(form.starts_with("a=%22%2C%20") && form.ends_with("&b="), "{form}");
        assert!(form.bytes().all(|byte| byte.is_ascii_graphic()) && form.matches('&').count() == 1);
        let plain = filled(Form::Plain, "{{title}}!");
        assert!(!plain.contains(['\0', '\u{202e}']), "{plain:?}");
    }

    #[test]
    fn what_a_secret_holds_is_no_place_for_a_value() {
        let secret = Part::Secret { name: "S".into(), value: "{{run}} {{nothing}}".into() };
        let text = Text::new(vec![Part::Plain("\"".into()), secret, Part::Plain("\"".into())]);
        let template = Template::parse(&text).unwrap();
        assert_eq!(template.fill(Form::Json, &|_| None), "\"{{run}} {{nothing}}\"");
        assert!(!format!("{template:?}").contains("nothing"));
    }

    #[test]
    fn a_value_of_json_stands_as_it_is_and_breaks_out_of_no_string() {
        let is_known = |name: &str| name == "v";
        let fill = |form, text: &str, value: Value| {
            let template = Template::parse_naming(&Text::from(text), &is_known).unwrap();
            template.fill_with(form, &|_| Some(value.clone()))
        };
        let list = json!([{ "a": "\"" }]);
        assert_eq!(fill(Form::Json, "{{v}}", list.clone()), list.to_string());
        let inside = fill(Form::Json, r#""w-{{v}}""#, list.clone());
        assert_eq!(serde_json::from_str::<Value>(&inside).unwrap(), format!("w-{list}"));
        assert_eq!(fill(Form::Json, r#""w-{{v}}""#, json!(10)), r#""w-10""#);
        assert_eq!(fill(Form::Fields, "a={{v}}", json!("b/c d")), "a=b%2Fc%20d");
        assert_eq!(fill(Form::Fields, "a={{v}}", json!(true)), "a=true");
    }

    #[test]
    fn a_place_has_a_name_that_is_known_and_an_end() {
        let wrong = |text: &str| Template::parse(&Text::from(text)).unwrap_err();
        assert_eq!(wrong("{{titel}}"), NotATemplate::Unknown("titel".to_owned()));
        assert_eq!(wrong("{{title} }"), NotATemplate::Open);
        assert!(Template::parse(&Text::from("{\"a\":{\"b\":1}}")).is_ok());
    }

    #[test]
    fn the_form_is_that_of_the_content_type() {
        assert_eq!(Form::of("Application/JSON; charset=utf-8"), Some(Form::Json));
        assert_eq!(Form::of("application/vnd.x+json"), Some(Form::Json));
        assert_eq!(Form::of("text/plain"), Some(Form::Plain));
        assert_eq!(Form::of("application/x-www-form-urlencoded"), Some(Form::Fields));
        assert_eq!(Form::of("application/xml"), None);
    }
}
