//! The token that a caller from elsewhere has to show.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

/// A secret. It is in no text that anybody sees.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Fewer characters than this are guessed.
const SHORTEST: usize = 16;

impl Token {
    /// The token in `text`, without white space around it.
    ///
    /// # Errors
    /// When it cannot be sent in a header, or is easily guessed. The text is not in the sentence.
    pub fn new(text: &str) -> Result<Token, String> {
        let text = text.trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token is letters, digits and signs, without blanks".to_owned());
        }
        if text.len() < SHORTEST {
            return Err(format!(
                "a token has {SHORTEST} characters or more; `openssl rand -hex 32` makes one"
            ));
        }
        Ok(Token(text.to_owned()))
    }

    /// Whether a request with these headers shows it.
    pub(super) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, shown)) = shown.as_bytes().split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.is(shown)
    }

    /// The time that it takes tells nothing but the length of what was shown.
    fn is(&self, shown: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut differs = own.len() ^ shown.len();
        for (at, byte) in shown.iter().enumerate() {
            differs |= usize::from(byte ^ own[at % own.len()]);
        }
        std::hint::black_box(differs) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_it_and_it_is_never_drawn() {
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            token.is_shown(&headers)
        };
        assert!(shown("Bearer 0123456789abcdef"));
        assert!(shown("bearer 0123456789abcdef"));
        for wrong in [
            "Bearer 0123456789abcdeg",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0123456789abcdef",
            "Bearer ",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
            "",
        ] {
            assert!(!shown(wrong), "{wrong}");
        }
        assert!(!token.is_shown(&HeaderMap::new()));
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(Token::new("short").unwrap_err().contains("16 characters"));
        assert!(Token::new("with blanks in between").unwrap_err().contains("without blanks"));
    }
}
