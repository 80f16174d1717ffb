//! A program and its arguments.

use std::fmt;

use tokio::process::Command;

use crate::model::{Text, printable};

/// A program and its arguments, of which secrets are shown nowhere.
pub struct Words {
    words: Vec<String>,
    /// Values from the environment that stand in them, with what is shown in their place.
    secrets: Vec<(String, String)>,
}

impl Words {
    /// The words of a command; `None` if they name no program.
    pub fn new(command: &[Text]) -> Option<Words> {
        let words: Vec<String> = command.iter().map(Text::reveal_plain).collect();
        if words.first().is_none_or(String::is_empty) {
            return None;
        }
        let secrets = command.iter().flat_map(Text::secrets).filter(|secret| !secret.is_empty());
        let secrets = secrets.map(|secret| (secret.to_owned(), "[secret]".to_owned()));
        Some(Words { words, secrets: secrets.collect() })
    }

    /// The command, to be configured further.
    pub fn command(&self) -> Command {
        // `new` has seen to it that there is a program.
        let (program, arguments) =
            self.words.split_first().map_or(("", &[][..]), |(program, rest)| (program, rest));
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }

    /// The name of the program alone: its arguments may hold secrets that were typed.
    pub fn name(&self) -> String {
        self.shown(self.words.first().map_or("", String::as_str))
    }

    /// What a command said, without what it was told in confidence.
    pub fn shown(&self, said: &str) -> String {
        let said = self.secrets.iter().fold(said.to_owned(), |said, (secret, instead)| {
            said.replace(secret.as_str(), instead)
        });
        printable(said.trim())
    }

    /// Says that the command could not be run.
    pub fn not_run(&self, error: &dyn fmt::Display) -> String {
        format!("the command `{}` could not be run: {error}", self.name())
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Words").field(&self.name()).finish()
    }
}

/// `word` as one word of a shell (POSIX, 2.2.2).
pub fn quoted(word: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_stays_one_word_whatever_is_in_it() {
        for (word, typed) in [
            ("me@host:/a-b_c.d,e=f%+", "me@host:/a-b_c.d,e=f%+"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(x)`y`;*", "'$(x)`y`;*'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(quoted(word), typed);
        }
    }
}
