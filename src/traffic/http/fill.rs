//! Values put into the places of a request, escaped for what they stand in.

use std::cell::RefCell;

use serde_json::Value;

use crate::model::{Form, HttpCall, ModeKind, Template, Text};
use crate::traffic::ControlError;

/// What stands for the names in a request.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub part: &'a str,
    pub datacenter: &'a str,
    /// Known when it is cut.
    pub mode: Option<ModeKind>,
    /// What was read before the cut.
    pub before: Option<&'a Value>,
}

/// A request whose places are filled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filled {
    pub path: String,
    pub body: Option<String>,
}

impl Filled {
    /// In one line.
    pub fn line(&self, call: &HttpCall) -> String {
        match &self.body {
            Some(body) => format!("{} {} {body}", call.method, self.path),
            None => format!("{} {}", call.method, self.path),
        }
    }
}

/// A value in a path or a query is percent-encoded, as one of a form is.
const PATH: Form = Form::Fields;

fn form_of_body(call: &HttpCall) -> Form {
    Form::of(&call.content_type).unwrap_or(Form::Json)
}

impl Values<'_> {
    /// `call` with these values.
    ///
    /// # Errors
    /// When a piece of what was before is named that is not there.
    pub fn fill(&self, call: &HttpCall) -> Result<Filled, ControlError> {
        self.filled(call).map_err(|name| ControlError {
            what: format!("{} was read without what `{{{{{name}}}}}` names", self.part),
            hint: "see `keep` of `inspect`, and what the API answers".to_owned(),
        })
    }

    /// `call` with these values, or else the first name that has none.
    fn filled(&self, call: &HttpCall) -> Result<Filled, String> {
        let path = self.text(&call.path, PATH)?;
        let body = call.body.as_ref().map(|body| self.text(body, form_of_body(call)));
        Ok(Filled { path, body: body.transpose()? })
    }

    /// `call` to be shown: a secret stays the placeholder that the plan has, and a path or a body that names what is not
    /// known stays as the plan has it.
    pub fn shown(&self, call: &HttpCall) -> Filled {
        let shown = |text: &Text, form: Form| {
            let text = Text::from(&*text.to_string());
            self.text(&text, form).unwrap_or_else(|_| text.to_string())
        };
        Filled {
            path: shown(&call.path, PATH),
            body: call.body.as_ref().map(|body| shown(body, form_of_body(call))),
        }
    }

    /// `text` with these values, or else the first name that has none.
    fn text(&self, text: &Text, form: Form) -> Result<String, String> {
        let missing = RefCell::new(None);
        let value = |name: &str| {
            let value = self.get(name);
            if value.is_none() {
                missing.borrow_mut().get_or_insert(name.to_owned());
            }
            value
        };
        // The plan was checked for its places.
        let template = Template::parse_naming(text, &|_| true).unwrap_or_default();
        let filled = template.fill_with(form, &value);
        missing.into_inner().map_or(Ok(filled), Err)
    }

    fn get(&self, name: &str) -> Option<Value> {
        match name {
            "part" => Some(self.part.into()),
            "datacenter" => Some(self.datacenter.into()),
            "mode" => self.mode.map(|mode| mode.to_string().into()),
            "before" => self.before.cloned(),
            _ => self.before?.pointer(name.strip_prefix("before:")?).cloned(),
        }
    }
}

/// A JSON pointer with these values in it, each a step or a piece of one (RFC 6901).
pub(super) fn pointer(template: &str, values: &Values<'_>) -> String {
    let escaped = |name: &str| {
        let text = match values.get(name)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Some(text.replace('~', "~0").replace('/', "~1"))
    };
    let parsed = Template::parse_naming(&Text::from(template), &|_| true).unwrap_or_default();
    parsed.fill_raw(&escaped)
}

/// How a value of the environment is written: in a plan, and with a check of it in what was read; percent-encoded in a path.
struct Place {
    open: &'static str,
    check: &'static str,
    close: &'static str,
}

const PLACES: [Place; 2] = [
    Place { open: "${env:", check: "#", close: "}" },
    Place { open: "%24%7Benv%3A", check: "%23", close: "%7D" },
];

impl Place {
    /// What stands before the first of them in `text`, its name, and what stands behind it.
    fn first<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str, &'t str)> {
        text.match_indices(self.open).find_map(|(at, open)| {
            let (inner, behind) = text[at + open.len()..].split_once(self.close)?;
            let (name, check) = inner.split_once(self.check).unwrap_or((inner, ""));
            // Only a name is the environment's; what an API said may look like one.
            let is_name = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
            let is_one = !name.is_empty()
                && name.bytes().all(is_name)
                && check.bytes().all(|c| c.is_ascii_hexdigit());
            is_one.then_some((&text[..at], name, behind))
        })
    }
}

/// The first place in `text`, however it is written.
fn first_place(text: &str) -> Option<(&str, &str, &str)> {
    PLACES.iter().filter_map(|it| it.first(text)).min_by_key(|(before, _, _)| before.len())
}

/// `word` for a shell; what the environment holds is left to it.
pub(super) fn shell(word: &str) -> String {
    let (mut quoted, mut rest) = (String::new(), word);
    while let Some((before, name, behind)) = first_place(rest) {
        quoted += &format!("{}${{{name}}}", escaped(before));
        rest = behind;
    }
    match quoted.is_empty() {
        true => format!("'{}'", word.replace('\'', "'\\''")),
        false => format!("\"{quoted}{}\"", escaped(rest)),
    }
}

/// `text` as it stands in double quotes.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '\\' | '"' | '$' | '`' => format!("\\{c}"),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_holds_is_left_to_the_shell() {
        for (word, wanted) in [
            ("it's", r"'it'\''s'"),
            ("a $b ${env:} ${env:A-B}", "'a $b ${env:} ${env:A-B}'"),
            ("$x ${env:A} \"${env:B#0a1f}\"", r#""\$x ${A} \"${B}\"""#),
            ("${env:A#zz} ${env:${env:B}", r#""\${env:A#zz} \${env:${B}""#),
            ("/a%20b/%24%7Benv%3AA%230a1f%7D?x=${env:B}", r#""/a%20b/${A}?x=${B}""#),
        ] {
            assert_eq!(shell(word), wanted);
        }
        let read = crate::model::query_value("${env:A#0a1f}");
        assert_eq!(shell(&read), "\"${A}\"");
    }
}
