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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
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

impl Values<'_> {
    /// `call` with these values; `as_shown`: a secret stays the placeholder that the plan has.
    ///
    /// # Errors
    /// When a piece of what was before is named that is not there.
    pub fn fill(&self, call: &HttpCall, as_shown: bool) -> Result<Filled, ControlError> {
        let missing = RefCell::new(None);
        let value = |name: &str| {
            let value = self.get(name);
            if value.is_none() {
                missing.borrow_mut().get_or_insert(name.to_owned());
            }
            value
        };
        let fill = |text: &Text, form: Form| {
            let text = if as_shown { Text::from(&*text.to_string()) } else { text.clone() };
            // The plan was checked for its places.
            let template = Template::parse_naming(&text, &|_| true).unwrap_or_default();
            template.fill_with(form, &value)
        };
        let form = Form::of(&call.content_type).unwrap_or(Form::Json);
        let filled = Filled {
            // A value in a path or a query is percent-encoded, as one of a form is.
            path: fill(&call.path, Form::Fields),
            body: call.body.as_ref().map(|body| fill(body, form)),
        };
        match missing.into_inner() {
            None => Ok(filled),
            Some(name) => Err(ControlError {
                what: format!("{} was read without what `{{{{{name}}}}}` names", self.part),
                hint: "see `keep` of `inspect`, and what the API answers".to_owned(),
            }),
        }
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

/// `word` for a shell; what the environment holds is left to it.
pub(super) fn shell(word: &str) -> String {
    if !word.contains("${env:") {
        return format!("'{}'", word.replace('\'', "'\\''"));
    }
    let (mut quoted, mut rest) = (String::from("\""), word);
    let escaped = |text: &str| {
        let escape = |c: char| match c {
            '\\' | '"' | '$' | '`' => format!("\\{c}"),
            c => c.to_string(),
        };
        text.chars().map(escape).collect::<String>()
    };
    while let Some((before, behind)) = rest.split_once("${env:") {
        let Some((name, after)) = behind.split_once('}') else { break };
        // Only a name is the environment's; what an API said may look like one.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            quoted += &escaped(&format!("{before}${{env:"));
            rest = behind;
            continue;
        }
        quoted += &format!("{}${{{name}}}", escaped(before));
        rest = after;
    }
    format!("{quoted}{}\"", escaped(rest))
}
