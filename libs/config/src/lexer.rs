//! Text to tokens: words, quoted strings, braces, brackets, semicolons. Comments (`#` to the end of the line, and
//! `/* */`) and white space go.

use std::borrow::Cow;

use crate::error::{Problem, Span};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    Word { text: Cow<'t, str>, quoted: bool },
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Semicolon,
}

/// True for a character that may stand in a word without quotes.
pub(crate) fn is_plain(character: char) -> bool {
    !character.is_whitespace() && !character.is_control() && !"{}[];\"#".contains(character)
}

pub(crate) struct Lexer<'t> {
    text: &'t str,
    position: usize,
    span: Span,
    pub problems: Vec<Problem>,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, position: 0, span: Span { line: 1, column: 1 }, problems: Vec::new() }
    }

    pub(crate) fn next(&mut self) -> Option<(Span, Token<'t>)> {
        loop {
            self.skip_blank();
            let span = self.span;
            let character = self.peek()?;
            let token = match character {
                '{' => self.single(Token::OpenBrace),
                '}' => self.single(Token::CloseBrace),
                '[' => self.single(Token::OpenBracket),
                ']' => self.single(Token::CloseBracket),
                ';' => self.single(Token::Semicolon),
                '"' => self.quoted(span),
                _ if is_plain(character) => self.word(),
                _ => {
                    self.advance();
                    self.problem(span, format!("control character U+{:04X}", u32::from(character)));
                    continue;
                }
            };
            return Some((span, token));
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn advance(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += character.len_utf8();
        if character == '\n' {
            self.span = Span { line: self.span.line + 1, column: 1 };
        } else {
            self.span.column += 1;
        }
        Some(character)
    }

    fn single(&mut self, token: Token<'t>) -> Token<'t> {
        self.advance();
        token
    }

    fn problem(&mut self, span: Span, message: impl Into<String>) {
        if self.problems.len() < crate::limits::ERRORS_MAX {
            self.problems.push(Problem::new(span, message));
        }
    }

    fn skip_blank(&mut self) {
        loop {
            match self.peek() {
                Some(character) if character.is_whitespace() => {
                    self.advance();
                }
                Some('#') => while self.advance().is_some_and(|character| character != '\n') {},
                Some('/') if self.rest().starts_with("/*") => self.comment(),
                _ => return,
            }
        }
    }

    fn comment(&mut self) {
        let start = self.span;
        self.advance();
        self.advance();
        loop {
            if self.rest().starts_with("*/") {
                self.advance();
                self.advance();
                return;
            }
            if self.advance().is_none() {
                return self.problem(start, "comment without end: */ is missing");
            }
        }
    }

    fn word(&mut self) -> Token<'t> {
        let start = self.position;
        while self.peek().is_some_and(is_plain) {
            self.advance();
        }
        Token::Word { text: Cow::Borrowed(self.text.get(start..self.position).unwrap_or_default()), quoted: false }
    }

    /// A string ends on its own line, so that a forgotten quote is reported where it is.
    fn quoted(&mut self, start: Span) -> Token<'t> {
        self.advance();
        let mut text = String::new();
        loop {
            let here = self.span;
            match self.peek() {
                None | Some('\n') => {
                    self.problem(start, "string without end: the closing quote is missing on this line");
                    break;
                }
                Some('"') => {
                    self.advance();
                    break;
                }
                Some('\\') => {
                    self.advance();
                    match self.peek() {
                        Some(escaped @ ('"' | '\\')) => {
                            self.advance();
                            text.push(escaped);
                        }
                        _ => self.problem(here, "a backslash in a string stands only before a quote or a backslash"),
                    }
                }
                Some(character) => {
                    self.advance();
                    if character.is_control() || matches!(character, '\u{FFFE}' | '\u{FFFF}') {
                        self.problem(here, format!("control character U+{:04X} in a string", u32::from(character)));
                    } else {
                        text.push(character);
                    }
                }
            }
        }
        Token::Word { text: Cow::Owned(text), quoted: true }
    }
}
