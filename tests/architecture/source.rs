//! Just enough reading of Rust for the house rules: what is code, which paths it names, how long its
//! functions are. Knows no macros and no types.

use std::path::{Path, PathBuf};

/// A source file, read in three ways.
pub struct Source {
    /// Where it lies, from the root of the repository, with `/`.
    pub path: String,
    /// As written.
    pub text: String,
    /// With comments and literals blanked out. As long as `text`, line by line.
    pub code: String,
    /// `code` with test modules blanked out too; empty for files that are tests.
    pub production: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let code = code(text);
        let production = match is_test_file(path) {
            true => String::new(),
            false => without_test_modules(&code),
        };
        Source { path: path.to_owned(), text: text.to_owned(), code, production }
    }

    /// The room that it belongs to: `src/plan/read.rs` is in `plan`, `src/clock.rs` is `clock`.
    pub fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let room = inside.split('/').next()?;
        Some(room.strip_suffix(".rs").unwrap_or(room))
    }

    /// Its module, from the crate's root: `src/plan/read.rs` is `plan::read`.
    fn module(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inside = inside.strip_suffix(".rs").unwrap_or(inside);
        let mut module: Vec<&str> = inside.split('/').collect();
        module.pop_if(|last| ["mod", "lib", "main"].contains(last));
        module
    }

    /// Every path that production code names, with groups unfolded, and with `self` and `super`
    /// resolved to `crate`.
    pub fn paths(&self) -> Vec<Named> {
        let file = self.module();
        let inline = modules(&self.production);
        let mut found = paths(&self.production);
        for named in &mut found {
            let around =
                inline.iter().filter(|(_, first, last)| (*first..=*last).contains(&named.line));
            let module: Vec<&str> =
                file.iter().copied().chain(around.map(|(name, ..)| name.as_str())).collect();
            let ups = named.path.iter().take_while(|part| *part == "super").count();
            let own = usize::from(named.path.first().is_some_and(|part| part == "self"));
            if ups + own > 0 {
                let kept = module.len().saturating_sub(ups);
                let mut whole = vec!["crate".to_owned()];
                whole.extend(module[..kept].iter().map(|part| (*part).to_owned()));
                whole.extend(named.path.drain(ups + own..));
                named.path = whole;
            }
        }
        found
    }
}

/// A path such as `std::time::Instant`, and the line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
}

impl Named {
    pub fn text(&self) -> String {
        self.path.join("::")
    }

    /// Whether `part` (`std::fs`, `Instant::now`) stands in it, at the bounds of its segments.
    pub fn has(&self, part: &str) -> bool {
        format!("::{}::", self.text()).contains(&format!("::{part}::"))
    }
}

fn is_test_file(path: &str) -> bool {
    let inside = path.strip_prefix("src/").unwrap_or("tests/");
    inside.ends_with("/tests.rs") || inside.split('/').any(|part| part == "tests")
}

/// Every file of `root/folder` that ends in `.rs`, in order.
pub fn read_all(root: &Path, folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(directory) = open.pop() {
        // A folder that is not there, such as `benches`, holds nothing.
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|kind| kind == "rs") => {
                    sources.push(Source::new(&inside(root, &path), &read(&path)));
                }
                false => {}
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn inside(root: &Path, path: &PathBuf) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `text` with comments, strings and characters blanked out; every line keeps its place.
pub fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at).max(at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        }
        while at < end.min(chars.len()) {
            out.push(if chars[at] == '\n' { '\n' } else { ' ' });
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` if none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let is = |ahead: usize, c: char| chars.get(at + ahead) == Some(&c);
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if is(1, '/') => find(chars, at, '\n'),
        '/' if is(1, '*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' if !in_word => raw_string_end(chars, at + 1).unwrap_or(at),
        'b' if !in_word && is(1, 'r') => raw_string_end(chars, at + 2).unwrap_or(at),
        '\'' if is(1, '\\') => find(chars, at + 3, '\'') + 1,
        '\'' if is(2, '\'') => at + 3,
        _ => at,
    }
}

fn find(chars: &[char], from: usize, wanted: char) -> usize {
    (from..chars.len()).find(|place| chars[*place] == wanted).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut place) = (0, at);
    while place + 1 < chars.len() {
        match (chars[place], chars[place + 1]) {
            ('/', '*') => (depth, place) = (depth + 1, place + 2),
            ('*', '/') if depth == 1 => return place + 2,
            ('*', '/') => (depth, place) = (depth - 1, place + 2),
            _ => place += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut place: usize) -> usize {
    while place < chars.len() {
        match chars[place] {
            '\\' => place += 2,
            '"' => return place + 1,
            _ => place += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
    if chars.get(from + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = from + hashes + 1;
    let close = chars[body..].windows(end.len()).position(|window| window == end);
    Some(close.map_or(chars.len(), |close| body + close + end.len()))
}

/// `code` with every `#[cfg(test)]` item that has a body blanked out.
fn without_test_modules(code: &str) -> String {
    let mut out: Vec<char> = code.chars().collect();
    let mark: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut at = 0;
    while let Some(found) = out[at..].windows(mark.len()).position(|window| window == mark) {
        let from = at + found;
        at = item_end(&out, from + mark.len());
        out[from..at].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
    }
    out.into_iter().collect()
}

/// Where the item at `from` ends: behind its braces, or at the `;` of one without.
fn item_end(code: &[char], from: usize) -> usize {
    let begins = |place: &usize| code[*place] == '{' || code[*place] == ';';
    let Some(open) = (from..code.len()).find(begins) else { return code.len() };
    if code[open] == ';' { open + 1 } else { closing(code, open) + 1 }
}

/// The brace that closes the one at `open`.
fn closing(code: &[char], open: usize) -> usize {
    let mut depth = 0_usize;
    for (place, c) in code.iter().enumerate().skip(open) {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return place,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len() - 1
}

/// Every path in `code`, with groups unfolded: `a::{b, c::d}` gives `a::b` and `a::c::d`.
pub fn paths(code: &str) -> Vec<Named> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = path_at(&tokens, at, &[], &mut found).max(at + 1);
    }
    found
}

/// Reads a path that begins at `at` and gives the place behind it.
fn path_at(
    tokens: &[(usize, String)],
    mut at: usize,
    before: &[String],
    found: &mut Vec<Named>,
) -> usize {
    let token = |place: usize| tokens.get(place).map_or("", |(_, text)| text.as_str());
    let line = tokens.get(at).map_or(0, |(line, _)| *line);
    let mut path = before.to_vec();
    loop {
        if token(at) == "{" && path.len() > before.len() {
            at += 1;
            while !["}", ""].contains(&token(at)) {
                at = path_at(tokens, at, &path, found).max(at + 1);
            }
            return at + 1;
        }
        if !is_word(token(at)) && token(at) != "*" {
            return at;
        }
        path.push(token(at).to_owned());
        at += 1;
        if token(at) == "::" && (is_word(token(at + 1)) || ["{", "*"].contains(&token(at + 1))) {
            at += 1;
            continue;
        }
        // One word alone is a path only within a group.
        if path.len() > 1 {
            found.push(Named { line, path });
        }
        return at;
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::` and single signs, each with its line from 1.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                c if c.is_alphanumeric() || c == '_' => {
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
                }
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            found.push((number + 1, rest[..length].to_owned()));
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// Every module within the file: its name, its first and its last line.
fn modules(code: &str) -> Vec<(String, usize, usize)> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let mut start = 0;
    for (number, line) in code.lines().enumerate() {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        if let (Some("mod"), Some(name), Some("{")) = (words.next(), words.next(), words.next()) {
            let open = (start..chars.len()).find(|place| chars[*place] == '{').unwrap_or(start);
            let lines = lines_between(&chars, open, closing(&chars, open));
            found.push((name.to_owned(), number + 1, number + 1 + lines));
        }
        start += line.chars().count() + 1;
    }
    found
}

fn lines_between(chars: &[char], from: usize, to: usize) -> usize {
    chars[from..to].iter().filter(|c| **c == '\n').count()
}

/// Every function with a body: its name, its first line and how many lines it has.
pub fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let chars: Vec<char> = code.chars().collect();
    let (mut line, mut counted) = (1, 0);
    let mut found = Vec::new();
    for (place, window) in chars.windows(3).enumerate() {
        let alone = place == 0 || !(chars[place - 1].is_alphanumeric() || chars[place - 1] == '_');
        if window != ['f', 'n', ' '] || !alone {
            continue;
        }
        let name: String =
            chars[place + 3..].iter().take_while(|c| **c != '(' && **c != '<').collect();
        let Some(open) = body(&chars, place) else { continue };
        line += lines_between(&chars, counted, place);
        counted = place;
        let length = lines_between(&chars, place, closing(&chars, open)) + 1;
        found.push((name, line, length));
    }
    found
}

/// The brace that opens the body of the function at `from`; `None` if it has none.
fn body(code: &[char], from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (place, c) in code.iter().enumerate().skip(from) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(place),
            // Also the end of a function type, as in `let f: fn (u8) = g;`.
            ';' | '=' | '}' if depth <= 0 => return None,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    None
}
