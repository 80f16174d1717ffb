//! What stands on a page of a list of records, in JSON, and where the next page is.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::LINK;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::super::{Key, whose};
use crate::model::{HttpLedger, NextPage};

/// Where in an answer the records stand.
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// The way to the list, word by word.
    items: Vec<String>,
    /// The pointer to the key in a record.
    key: String,
    /// The way to what leads to the next page, for an answer that has it.
    next: Option<Vec<String>>,
    /// What our keys begin with.
    prefix: String,
}

/// What stands on one page.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    /// The numbers of our records, in the order of the list.
    pub ours: Vec<u64>,
    /// How many of our keys make no sense.
    pub garbled: u64,
    /// How many records are others'.
    pub foreign: u64,
    /// How many have no key.
    pub strange: u64,
    /// What leads to the next page, as the answer says.
    pub next: Option<String>,
}

impl Form {
    pub(super) fn new(http: &HttpLedger, prefix: String) -> Form {
        let next = match &http.next {
            Some(NextPage::Json(pointer)) => Some(words(pointer)),
            Some(NextPage::Link) | None => None,
        };
        Form { items: words(&http.items), key: http.item_key.clone(), next, prefix }
    }

    /// Reads a whole page. It holds one record at a time, whatever else stands in `body`.
    ///
    /// # Errors
    /// A sentence that says why it is no list.
    pub(super) fn read(&self, body: &[u8]) -> Result<Page, String> {
        let mut page = Page::default();
        let items = Items { form: self, page: &mut page };
        let found = at(body, &self.items, items)
            .map_err(|error| format!("the list of records is no JSON: {error}"))?;
        if found != Some(true) {
            let place = pointer(&self.items);
            return Err(format!("the answer has no list of records at `{place}`"));
        }
        if let Some(next) = &self.next {
            page.next = cursor(body, next)?;
        }
        Ok(page)
    }
}

/// What the answer says of the next page: nothing, null and an empty text say that there is none.
fn cursor(body: &[u8], path: &[String]) -> Result<Option<String>, String> {
    let found = at(body, path, std::marker::PhantomData::<Value>);
    match found.map_err(|error| format!("the list of records is no JSON: {error}"))? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(format!(
            "what stands at `{}` is neither a text nor a number, so it leads to no page",
            pointer(path)
        )),
    }
}

/// The target of the `Link` with the relation `next` (RFC 8288), if there is one.
pub(super) fn next_link(headers: &HeaderMap) -> Result<Option<String>, String> {
    for value in headers.get_all(LINK) {
        let text = String::from_utf8_lossy(value.as_bytes());
        for link in split(&text, ',') {
            if link.trim().is_empty() {
                continue;
            }
            let broken = || "its `Link` header makes no sense, so pages may be missing".to_owned();
            let rest = link.trim().strip_prefix('<').ok_or_else(broken)?;
            let (target, parameters) = rest.split_once('>').ok_or_else(broken)?;
            let relation = split(parameters, ';').into_iter().find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                let is_it = name.trim().eq_ignore_ascii_case("rel");
                is_it.then(|| value.trim().trim_matches('"').to_owned())
            });
            let mut relations = relation.iter().flat_map(|it| it.split_ascii_whitespace());
            if relations.any(|it| it.eq_ignore_ascii_case("next")) {
                return Ok(Some(target.trim().to_owned()));
            }
        }
    }
    Ok(None)
}

/// The parts of `text` between signs `at` that stand neither in quotes nor in angle brackets.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut inside) = (Vec::new(), 0, false, false);
    for (place, sign) in text.char_indices() {
        match sign {
            '"' if !inside => quoted = !quoted,
            '<' if !quoted => inside = true,
            '>' if !quoted => inside = false,
            _ if sign == at && !quoted && !inside => {
                parts.push(&text[from..place]);
                from = place + sign.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// The words of a JSON pointer (RFC 6901).
fn words(pointer: &str) -> Vec<String> {
    let words = pointer.split('/').skip(1);
    words.map(|word| word.replace("~1", "/").replace("~0", "~")).collect()
}

fn pointer(words: &[String]) -> String {
    words.iter().map(|word| format!("/{}", word.replace('~', "~0").replace('/', "~1"))).collect()
}

/// What `leaf` makes of what stands at `path`; `None` if nothing does.
fn at<'de, L: DeserializeSeed<'de>>(
    body: &'de [u8],
    path: &[String],
    leaf: L,
) -> serde_json::Result<Option<L::Value>> {
    let mut from = serde_json::Deserializer::from_slice(body);
    let found = Walk { path, leaf }.deserialize(&mut from)?;
    from.end()?;
    Ok(found)
}

/// What a visitor makes of whatever is neither a list nor a map.
macro_rules! a_single_value_is {
    ($made:expr) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($made)
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($made)
        }

        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($made)
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($made)
        }

        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok($made)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($made)
        }
    };
}

/// Goes along `path`, and keeps nothing of what stands beside it.
struct Walk<'a, L> {
    path: &'a [String],
    leaf: L,
}

impl<'de, L: DeserializeSeed<'de>> DeserializeSeed<'de> for Walk<'_, L> {
    type Value = Option<L::Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        match self.path.is_empty() {
            true => self.leaf.deserialize(from).map(Some),
            false => from.deserialize_any(self),
        }
    }
}

impl<'de, L: DeserializeSeed<'de>> Visitor<'de> for Walk<'_, L> {
    type Value = Option<L::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut leaf, mut found) = (Some(self.leaf), None);
        while let Some(name) = map.next_key::<String>()? {
            match leaf.take_if(|_| self.path.first() == Some(&name)) {
                Some(leaf) => found = map.next_value_seed(Walk { path: &self.path[1..], leaf })?,
                // Which of the two counts is anybody's guess.
                None if self.path.first() == Some(&name) => {
                    return Err(A::Error::custom(format!("`{name}` stands there twice")));
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut leaf, mut found, mut place) = (Some(self.leaf), None, 0usize);
        let wanted = self.path.first().and_then(|word| word.parse().ok());
        loop {
            match leaf.take_if(|_| wanted == Some(place)) {
                Some(leaf) => match list.next_element_seed(Walk { path: &self.path[1..], leaf })? {
                    Some(it) => found = it,
                    None => return Ok(None),
                },
                None if list.next_element::<IgnoredAny>()?.is_none() => return Ok(found),
                None => {}
            }
            place += 1;
        }
    }

    a_single_value_is!(None);
}

/// Takes the records of a list into a page, one by one. False: it is no list.
struct Items<'a> {
    form: &'a Form,
    page: &'a mut Page,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while let Some(item) = list.next_element::<Value>()? {
            let Some(key) = item.pointer(&self.form.key).and_then(Value::as_str) else {
                self.page.strange += 1;
                continue;
            };
            match whose(&self.form.prefix, key) {
                Key::Ours(seq) => self.page.ours.push(seq),
                Key::Garbled => self.page.garbled += 1,
                Key::Foreign => self.page.foreign += 1,
            }
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    a_single_value_is!(false);
}
