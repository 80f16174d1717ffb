//! Where in JSON text something stands.

/// A place as people count: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

/// The place of what a JSON pointer names in `text`, which is JSON; of what is around it if it is not there.
pub(super) fn of(text: &str, pointer: &str) -> Place {
    let mut scan = Scan { text, at: 0 };
    scan.blanks();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let outer = scan.at;
        if scan.enter(&step).is_none() {
            scan.at = outer;
            break;
        }
    }
    let before = text.get(..scan.at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Place { line, column }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    /// Goes to the element of a list, or to the key of an object whose value is named.
    fn enter(&mut self, step: &str) -> Option<()> {
        match self.next()? {
            b'[' => {
                let wanted: usize = step.parse().ok()?;
                for _ in 0..wanted {
                    self.blanks();
                    self.value()?;
                    self.blanks();
                    self.is(b',')?;
                }
                self.blanks();
                Some(())
            }
            b'{' => self.member(step),
            b'"' => {
                // At the key of an object: go on in what it holds.
                self.at -= 1;
                self.key()?;
                self.enter(step)
            }
            _ => None,
        }
    }

    fn member(&mut self, wanted: &str) -> Option<()> {
        // The last one counts, as it does for whoever reads the value.
        let mut found = None;
        loop {
            self.blanks();
            let start = self.at;
            if self.key()? == wanted {
                found = Some(start);
            }
            self.value()?;
            self.blanks();
            if self.next()? != b',' {
                self.at = found?;
                return Some(());
            }
        }
    }

    /// Reads a key up to its value.
    fn key(&mut self) -> Option<String> {
        let start = self.at;
        self.string()?;
        let key = serde_json::from_str(self.text.get(start..self.at)?).ok();
        self.blanks();
        self.is(b':')?;
        self.blanks();
        key
    }

    /// Skips a value.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.blanks();
            match self.peek()? {
                b'"' => self.string()?,
                b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b']' | b'}' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => self.at += 1,
                _ => {
                    while self.peek().is_some_and(|byte| !b",:]} \t\r\n".contains(&byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.is(b'"')?;
        loop {
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn is(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_its_place_or_to_what_is_around_it() {
        let text = "[\n  {\"name\": \"a\\\"}\", \"é\": 1, \"toxics\": [{}, {\"x\": [1, -2e5]}]},\n  {\"a/b\": null}\n]";
        let place = |pointer| {
            let Place { line, column } = of(text, pointer);
            (line, column)
        };
        assert_eq!(place(""), (1, 1));
        assert_eq!(place("/0"), (2, 3));
        assert_eq!(place("/0/name"), (2, 4));
        assert_eq!(place("/0/toxics"), (2, 28));
        assert_eq!(place("/0/toxics/1"), (2, 43));
        assert_eq!(place("/0/toxics/1/x/1"), (2, 53));
        assert_eq!(place("/1/a~1b"), (3, 4));
        assert_eq!(place("/0/nothing"), (2, 3), "the object around it");
        assert_eq!(of("", "/0/x"), Place { line: 1, column: 1 });
    }
}
