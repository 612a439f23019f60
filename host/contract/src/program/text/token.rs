//! A line cut into words, numbers and signs.

use super::error::SyntaxError;

/// A word, a number or a sign, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Of its first character, counted from 1.
    pub(super) column: usize,
    pub(super) is_number: bool,
}

/// Signs of two characters; all others have one.
const ASSIGN: &str = ":=";
const SIGNS: &str = ":,(){}+-=/";

/// The tokens of a line, up to its comment.
pub(super) fn tokens(line: &str, number: usize) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let column = line[..line.len() - rest.len()].chars().count() + 1;
        let Some(first) = rest.chars().next().filter(|c| *c != '#') else { return Ok(tokens) };
        let len = |matches: fn(char) -> bool| rest.find(|c| !matches(c)).unwrap_or(rest.len());
        let (len, is_number) = match first {
            '0'..='9' if rest.starts_with("0x") || rest.starts_with("0X") => {
                (2 + rest[2..].find(|c: char| !c.is_ascii_hexdigit() && c != '_').unwrap_or(rest.len() - 2), true)
            }
            '0'..='9' => (len(|c| c.is_ascii_digit() || c == '_'), true),
            'a'..='z' | 'A'..='Z' | '_' => (len(|c| c.is_ascii_alphanumeric() || c == '_'), false),
            _ if rest.starts_with(ASSIGN) => (ASSIGN.len(), false),
            sign if SIGNS.contains(sign) => (1, false),
            other => {
                return Err(SyntaxError::new(number, column, format!("{other:?} has no meaning here")));
            }
        };
        tokens.push(Token { text: &rest[..len], column, is_number });
        rest = &rest[len..];
    }
}
