//! What a vendor published of its API, in the form of a discovery document of Google's: methods with their paths, and the
//! types of what is asked and answered. Doubles are held to it in both directions.

use serde_json::{Value, json};

use crate::rest::Asked;

/// A document.
pub struct Published(Value);

impl Published {
    pub fn new(text: &str) -> Published {
        Published(serde_json::from_str(text).unwrap())
    }

    /// The method that is called, the query and the body held to it.
    pub fn asked(&self, asked: &Asked) -> Value {
        let base = self.0["baseUrl"].as_str().unwrap().splitn(4, '/').last().unwrap();
        let below = asked.path.strip_prefix(&format!("/{base}"));
        let path = below.unwrap_or_else(|| panic!("{} is not below /{base}", asked.path));
        let fits = |method: &&Value| {
            let template: Vec<&str> = method["path"].as_str().unwrap().split('/').collect();
            let words: Vec<&str> = path.split('/').collect();
            // A verb of Google's stands behind a colon.
            let fits = |(due, is): (&&str, &&str)| match due.split_once('}') {
                Some((_, verb)) => is.strip_suffix(verb).is_some_and(|it| !it.is_empty()),
                None => due.eq_ignore_ascii_case(is),
            };
            method["httpMethod"] == asked.method
                && template.len() == words.len()
                && template.iter().zip(&words).all(fits)
        };
        // What is written out goes before what stands for anything.
        let holes = |method: &&Value| method["path"].as_str().unwrap().matches('{').count();
        let methods = self.0["methods"].as_object().unwrap().values();
        let found = methods.filter(fits).min_by_key(holes);
        let method = found.unwrap_or_else(|| panic!("there is no {} {path}", asked.method)).clone();
        for pair in asked.query.split('&').filter(|pair| !pair.is_empty()) {
            let key = pair.split('=').next().unwrap();
            let known = method["query"].as_array();
            assert!(known.is_some_and(|known| known.contains(&json!(key))), "{path}: no ?{key}");
        }
        match &method["request"] {
            Value::Null => assert_eq!(asked.body, Value::Null),
            due => self.hold(&asked.body, due, "request"),
        }
        method
    }

    /// Holds an answer to the type that `method` gives.
    pub fn answered(&self, method: &Value, value: &Value) {
        self.hold(value, &method["response"], "response");
    }

    /// Holds `value` to a type of the document.
    pub fn hold(&self, value: &Value, due: &Value, at: &str) {
        if let Err(why) = self.judge(value, due, at) {
            panic!("{why}");
        }
    }

    fn judge(&self, value: &Value, due: &Value, at: &str) -> Result<(), String> {
        if value.is_null() && due["nullable"] == true {
            return Ok(());
        }
        if let Some(name) = due["$ref"].as_str() {
            let schema = &self.0["schemas"][name];
            let known = schema.as_object().ok_or(format!("{at}: no {name} in the cut-out"))?;
            let required = known.get("required").and_then(Value::as_array);
            for key in required.into_iter().flatten().filter_map(Value::as_str) {
                if value.get(key).is_none() {
                    return Err(format!("{at}: {name} needs {key}"));
                }
            }
            let of = json!({ "type": "object", "properties": schema["properties"] });
            return self.judge(value, &of, at);
        }
        if let Some(choices) = due["oneOf"].as_array() {
            let judged: Vec<_> = choices.iter().map(|due| self.judge(value, due, at)).collect();
            return match judged.iter().any(Result::is_ok) {
                true => Ok(()),
                false => judged.into_iter().next().unwrap_or(Ok(())),
            };
        }
        let fits = match due["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("number") => value.is_number(),
            Some("integer") => value.is_i64(),
            Some("boolean") => value.is_boolean(),
            other => return Err(format!("{at}: {other:?} in the document")),
        };
        if !fits {
            return Err(format!("{at}: {value} is no {}", due["type"]));
        }
        if let Some(words) = due["enum"].as_array()
            && !words.contains(value)
        {
            return Err(format!("{at}: {value} is none of {words:?}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.judge(item, &due["items"], at)?;
        }
        for (key, inner) in value.as_object().into_iter().flatten() {
            let due = &due["properties"][key];
            if due.is_null() {
                return Err(format!("{at}: nothing is known of {key}"));
            }
            self.judge(inner, due, &format!("{at}/{key}"))?;
        }
        Ok(())
    }
}
