//! Tokens to statements: the grammar, which knows no names.
//!
//! ```text
//! text      = { statement }
//! statement = { "inactive:" | "replace:" } word { word | "[" { word } "]" } ( ";" | "{" { statement } "}" )
//! ```
//!
//! After a mistake the parser goes on with the next statement, so that one text gives all its mistakes at once.

use std::borrow::Cow;

use crate::{
    error::{Problem, Span},
    lexer::{Lexer, Token},
    limits,
};

#[derive(Debug)]
pub(crate) struct Word<'t> {
    pub span: Span,
    pub text: Cow<'t, str>,
    /// One of several values in brackets.
    pub bracketed: bool,
}

#[derive(Debug)]
pub(crate) struct Statement<'t> {
    pub inactive: bool,
    /// It is to take the place of what is there, where it is loaded.
    pub replace: bool,
    pub words: Vec<Word<'t>>,
    /// `None`: ended by a semicolon.
    pub block: Option<Vec<Statement<'t>>>,
}

/// What stands before a statement.
#[derive(Clone, Copy, Default)]
struct Marks {
    inactive: bool,
    replace: bool,
}

impl Marks {
    /// Takes a word that is one, once.
    fn take(&mut self, word: &str) -> bool {
        let mark = match word {
            "inactive:" => &mut self.inactive,
            "replace:" => &mut self.replace,
            _ => return false,
        };
        !std::mem::replace(mark, true)
    }

    fn last(self) -> &'static str {
        if self.replace { "replace:" } else { "inactive:" }
    }
}

/// Reads a whole text. With problems the statements are what could be made of it.
pub(crate) fn parse(text: &str) -> (Vec<Statement<'_>>, Vec<Problem>) {
    if text.len() > limits::TEXT_BYTES_MAX {
        let message = format!("the text has {} bytes; at most {} are read", text.len(), limits::TEXT_BYTES_MAX);
        return (Vec::new(), vec![Problem::new(Span { line: 1, column: 1 }, message)]);
    }
    let mut parser =
        Parser { lexer: Lexer::new(text), peeked: None, problems: Vec::new(), statements: 0, gave_up: false };
    let statements = parser.block(0, None);
    let mut problems = parser.problems;
    problems.append(&mut parser.lexer.problems);
    problems.sort_by_key(|problem| problem.span);
    (statements, problems)
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    peeked: Option<(Span, Token<'t>)>,
    problems: Vec<Problem>,
    statements: usize,
    gave_up: bool,
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Option<(Span, Token<'t>)> {
        if self.gave_up {
            return None;
        }
        self.peeked.take().or_else(|| self.lexer.next())
    }

    fn problem(&mut self, span: Span, message: impl Into<String>) {
        if self.problems.len() < limits::ERRORS_MAX {
            self.problems.push(Problem::new(span, message));
        }
    }

    fn give_up(&mut self, span: Span, message: String) {
        if !self.gave_up {
            self.problems.push(Problem::new(span, message));
        }
        self.gave_up = true;
    }

    /// Statements up to the closing brace (`opened` says where the block began) or the end of the text.
    fn block(&mut self, depth: usize, opened: Option<Span>) -> Vec<Statement<'t>> {
        let mut statements = Vec::new();
        loop {
            match self.next() {
                None => {
                    if let Some(opened) = opened.filter(|_| !self.gave_up) {
                        self.problem(opened, "this { is never closed: } is missing");
                    }
                    return statements;
                }
                Some((_, Token::CloseBrace)) if opened.is_some() => return statements,
                Some((span, Token::CloseBrace)) => self.problem(span, "} without a { before it"),
                Some((_, Token::Semicolon)) => {} // an empty statement, as Junos takes it
                Some((span, Token::OpenBrace)) => {
                    self.problem(span, "{ without a statement before it");
                    if self.deeper(depth, span) {
                        self.block(depth + 1, Some(span));
                    }
                }
                Some((span, Token::OpenBracket | Token::CloseBracket)) => {
                    self.problem(span, "a statement begins with a word, not with a bracket");
                }
                Some((span, Token::Word { text, quoted })) => {
                    self.statements += 1;
                    if self.statements > limits::STATEMENTS_MAX {
                        self.give_up(span, format!("more than {} statements", limits::STATEMENTS_MAX));
                        return statements;
                    }
                    if let Some(statement) = self.statement(depth, span, text, quoted) {
                        statements.push(statement);
                    }
                }
            }
        }
    }

    fn deeper(&mut self, depth: usize, span: Span) -> bool {
        let allowed = depth < limits::DEPTH_MAX;
        if !allowed {
            self.give_up(span, format!("braces nested deeper than {} levels", limits::DEPTH_MAX));
        }
        allowed
    }

    fn statement(&mut self, depth: usize, span: Span, first: Cow<'t, str>, quoted: bool) -> Option<Statement<'t>> {
        let mut marks = Marks::default();
        let mut words = Vec::new();
        if quoted || !marks.take(&first) {
            words.push(Word { span, text: first, bracketed: false });
        }
        loop {
            match self.next() {
                Some((_, Token::Word { text, quoted: false })) if words.is_empty() && marks.take(&text) => {}
                Some((span, Token::Word { text, .. })) => {
                    self.push_word(&mut words, Word { span, text, bracketed: false })
                }
                Some((span, Token::OpenBracket)) => self.bracket(span, &mut words),
                Some((span, Token::CloseBracket)) => self.problem(span, "] without a [ before it"),
                Some((at, Token::Semicolon)) => return self.finish(marks, words, None, at),
                Some((at, Token::OpenBrace)) => {
                    if !self.deeper(depth, at) {
                        return None;
                    }
                    let block = self.block(depth + 1, Some(at));
                    return self.finish(marks, words, Some(block), at);
                }
                end @ (None | Some((_, Token::CloseBrace))) => {
                    let at = words.last().map_or(span, |word| word.span);
                    let last = words.last().map_or(marks.last().into(), |word| word.text.clone());
                    if !self.gave_up {
                        self.problem(at, format!("; is missing after {last:?}"));
                    }
                    self.peeked = end;
                    return self.finish(marks, words, None, span);
                }
            }
        }
    }

    fn finish(
        &mut self,
        marks: Marks,
        words: Vec<Word<'t>>,
        block: Option<Vec<Statement<'t>>>,
        at: Span,
    ) -> Option<Statement<'t>> {
        if words.is_empty() {
            self.problem(at, format!("{} without a statement behind it", marks.last()));
            return None;
        }
        Some(Statement { inactive: marks.inactive, replace: marks.replace, words, block })
    }

    fn push_word(&mut self, words: &mut Vec<Word<'t>>, word: Word<'t>) {
        if words.len() < limits::WORDS_MAX {
            words.push(word);
        } else {
            self.give_up(word.span, format!("more than {} words in one statement", limits::WORDS_MAX));
        }
    }

    fn bracket(&mut self, opened: Span, words: &mut Vec<Word<'t>>) {
        let before = words.len();
        loop {
            match self.next() {
                Some((span, Token::Word { text, .. })) => self.push_word(words, Word { span, text, bracketed: true }),
                Some((_, Token::CloseBracket)) if words.len() == before => {
                    return self.problem(opened, "[ ] holds no value");
                }
                Some((_, Token::CloseBracket)) => return,
                end => {
                    if !self.gave_up {
                        self.problem(opened, "this [ is never closed: ] is missing");
                    }
                    self.peeked = end;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(statements: &[Statement<'_>]) -> String {
        let mut out = String::new();
        for statement in statements {
            if statement.inactive {
                out.push_str("inactive ");
            }
            for word in &statement.words {
                out.push_str(if word.bracketed { "+" } else { "" });
                out.push_str(&word.text);
                out.push(' ');
            }
            match &statement.block {
                Some(block) => out.push_str(&format!("({})", shape(block))),
                None => out.push(';'),
            }
        }
        out
    }

    fn messages(text: &str) -> Vec<String> {
        parse(text).1.into_iter().map(|problem| format!("{}: {}", problem.span, problem.message)).collect()
    }

    #[test]
    fn reads_words_strings_lists_comments_and_blocks() {
        let text = "a { b \"c \\\" d\"; # x }\n /* { */ e [ f g ] ; inactive: h { i; } }";
        let (statements, problems) = parse(text);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(shape(&statements), "a (b c \" d ;e +f +g ;inactive h (i ;))");
    }

    #[test]
    fn every_mistake_has_its_place_and_parsing_goes_on() {
        assert_eq!(messages("a { b"), ["1:3: this { is never closed: } is missing", "1:5: ; is missing after \"b\""]);
        assert_eq!(
            messages("a;\n}\nb }"),
            ["2:1: } without a { before it", "3:1: ; is missing after \"b\"", "3:3: } without a { before it"]
        );
        assert_eq!(messages("a \"b\nc;"), ["1:3: string without end: the closing quote is missing on this line"]);
        assert_eq!(messages("a; /* b"), ["1:4: comment without end: */ is missing"]);
        assert_eq!(messages("a [ b;"), ["1:3: this [ is never closed: ] is missing"]);
        assert_eq!(messages("a [ ];"), ["1:3: [ ] holds no value"]);
        assert_eq!(messages("inactive: ;"), ["1:11: inactive: without a statement behind it"]);
        assert_eq!(messages("a \u{1}b;"), ["1:3: control character U+0001"]);
        assert_eq!(messages("{ a; }"), ["1:1: { without a statement before it"]);
        assert_eq!(messages("é ];"), ["1:3: ] without a [ before it"]);
    }

    #[test]
    fn limits_stop_it() {
        assert_eq!(messages(&"a {".repeat(100)).len(), 1);
        assert!(messages(&"a ".repeat(limits::WORDS_MAX + 2))[0].contains("words in one statement"));
        assert!(messages(&" ".repeat(limits::TEXT_BYTES_MAX + 1))[0].contains("bytes"));
    }
}
