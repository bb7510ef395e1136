//! Regular expressions as Junos writes them, over AS numbers and over the characters of communities.
//!
//! ```text
//! choice   = sequence { "|" sequence }
//! sequence = { atom [ "*" | "+" | "?" | "{" m [ "," [ n ] ] "}" ] }
//! atom     = symbol | symbol "-" symbol (AS numbers) | "." | "(" choice ")" | "[" [ "^" ] { symbol [ "-" symbol ] } "]"
//! ```
//!
//! The whole input has to match: `^` and `$` may stand where they say only this, and nowhere else.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::automaton::{Automaton, Class, Expression};
use crate::limits::{NESTING_MAX, POSITIONS_MAX, REPEAT_MAX, SET_MAX};

/// Why an expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Something is where it cannot be.
    #[error("at character {at}: {what}")]
    Syntax {
        /// Characters before it, and one.
        at: usize,
        /// What was expected, or is wrong.
        what: &'static str,
    },
    /// It would take too much room.
    #[error("it has more than {POSITIONS_MAX} symbols when its repetitions are written out; split it")]
    TooLarge,
}

/// What an expression is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// AS numbers with spaces between them.
    AsNumbers,
    /// The digits, and what else a community is written with. `.` is any of them but the colon; a `*` that begins a
    /// field stands for a whole field.
    Characters,
}

/// Reads and compiles an expression.
pub(crate) fn compile(text: &str, alphabet: Alphabet) -> Result<Automaton, ExpressionError> {
    let mut parser =
        Parser { rest: text.char_indices().peekable(), alphabet, length: text.chars().count(), before: None };
    let place = &mut Place { begins: true, ended: false };
    let expression = parser.choice(place, 0)?;
    if parser.rest.peek().is_some() {
        return Err(parser.wrong("a ) without a ( before it"));
    }
    Automaton::new(&expression).ok_or(ExpressionError::TooLarge)
}

struct Parser<'t> {
    rest: Peekable<CharIndices<'t>>,
    alphabet: Alphabet,
    /// Characters of the whole.
    length: usize,
    /// The character read last.
    before: Option<char>,
}

/// Where in the input a part of the expression stands.
#[derive(Clone, Copy)]
struct Place {
    /// Nothing can have been matched before it.
    begins: bool,
    /// `$` was read: nothing may follow.
    ended: bool,
}

impl Parser<'_> {
    fn wrong(&mut self, what: &'static str) -> ExpressionError {
        let at = self.rest.peek().map_or(self.length, |(at, _)| *at) + 1;
        ExpressionError::Syntax { at, what }
    }

    fn peek(&mut self) -> Option<char> {
        if self.alphabet == Alphabet::AsNumbers {
            while self.rest.next_if(|(_, letter)| letter.is_whitespace()).is_some() {}
        }
        self.rest.peek().map(|(_, letter)| *letter)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next().map(|(_, letter)| letter);
        self.before = letter;
        letter
    }

    fn choice(&mut self, place: &mut Place, depth: usize) -> Result<Expression, ExpressionError> {
        let mut parts = Vec::new();
        let begins = *place;
        let (mut stays, mut ended) = (false, false);
        loop {
            let mut inside = begins;
            parts.push(self.sequence(&mut inside, depth)?);
            stays |= inside.begins;
            ended |= inside.ended;
            if !self.take('|') {
                break;
            }
        }
        *place = Place { begins: stays, ended };
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Choice(parts) })
    }

    fn sequence(&mut self, place: &mut Place, depth: usize) -> Result<Expression, ExpressionError> {
        let mut parts = Vec::new();
        loop {
            match self.peek() {
                None | Some('|') | Some(')') => break,
                Some('^') if place.begins && parts.is_empty() => {
                    self.next();
                    continue;
                }
                Some('^') => return Err(self.wrong("^ stands at the beginning only: the whole is matched")),
                Some('$') if !place.ended => {
                    self.next();
                    place.ended = true;
                    continue;
                }
                Some(_) if place.ended => return Err(self.wrong("nothing may follow $: the whole is matched")),
                Some(_) => {}
            }
            let atom = self.atom(place, depth)?;
            let part = self.repeated(atom)?;
            if part.positions() > POSITIONS_MAX {
                return Err(ExpressionError::TooLarge);
            }
            place.begins = false;
            parts.push(part);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Sequence(parts) })
    }

    fn atom(&mut self, place: &mut Place, depth: usize) -> Result<Expression, ExpressionError> {
        let field_begins = self.before.is_none_or(|before| "^(|:".contains(before));
        match self.peek() {
            Some('(') if depth < NESTING_MAX => {
                self.next();
                let mut inside = *place;
                let inner = self.choice(&mut inside, depth + 1)?;
                place.ended = inside.ended;
                if !self.take(')') {
                    return Err(self.wrong("the ) is missing"));
                }
                Ok(inner)
            }
            Some('(') => Err(self.wrong("too many parentheses within each other")),
            Some('[') => {
                self.next();
                self.set().map(Expression::Symbol)
            }
            Some('.') => {
                self.next();
                Ok(Expression::Symbol(self.any()))
            }
            Some('*') if self.alphabet == Alphabet::Characters && field_begins => {
                self.next();
                Ok(Expression::Repeat(Box::new(Expression::Symbol(self.any())), 0, None))
            }
            _ => self.symbols().map(Expression::Symbol),
        }
    }

    fn any(&self) -> Class {
        match self.alphabet {
            Alphabet::AsNumbers => Class::range(0, u32::MAX),
            Alphabet::Characters => Class { complemented: true, ..Class::range(':'.into(), ':'.into()) },
        }
    }

    /// The inside of brackets.
    fn set(&mut self) -> Result<Class, ExpressionError> {
        let mut class = Class { complemented: self.take('^'), ..Class::default() };
        loop {
            match self.peek() {
                Some(']') if !class.ranges.is_empty() => break,
                Some(']') | None => return Err(self.wrong("a set in [ ] has at least one member, and an end")),
                Some(_) if class.ranges.len() == SET_MAX => return Err(self.wrong("at most 256 members in a set")),
                Some(_) => class.ranges.push(self.range()?),
            }
        }
        self.next();
        if self.alphabet == Alphabet::Characters && class.complemented {
            class.ranges.push((':'.into(), ':'.into())); // like `.`, it stays within its field
        }
        Ok(class)
    }

    /// A symbol by itself; of AS numbers also a range.
    fn symbols(&mut self) -> Result<Class, ExpressionError> {
        match self.alphabet {
            Alphabet::AsNumbers => self.range().map(|(low, high)| Class::range(low, high)),
            Alphabet::Characters => self.symbol().map(|symbol| Class::range(symbol, symbol)),
        }
    }

    fn range(&mut self) -> Result<(u32, u32), ExpressionError> {
        let low = self.symbol()?;
        let high = if self.take('-') { self.symbol()? } else { low };
        if high < low {
            return Err(self.wrong("this range ends before it begins"));
        }
        Ok((low, high))
    }

    fn symbol(&mut self) -> Result<u32, ExpressionError> {
        match (self.alphabet, self.peek()) {
            (Alphabet::AsNumbers, Some(digit)) if digit.is_ascii_digit() => self.number(),
            (Alphabet::AsNumbers, _) => {
                Err(self.wrong("an AS number, a range such as 64512-65534, . or ( is expected"))
            }
            (Alphabet::Characters, Some(letter)) if letter.is_ascii_alphanumeric() || letter == ':' => {
                self.next();
                Ok(letter.into())
            }
            (Alphabet::Characters, _) => Err(self.wrong("a digit, :, . or ( is expected")),
        }
    }

    fn number(&mut self) -> Result<u32, ExpressionError> {
        let mut value: u32 = 0;
        while let Some((_, digit)) = self.rest.next_if(|(_, letter)| letter.is_ascii_digit()) {
            let more = digit.to_digit(10).and_then(|digit| value.checked_mul(10)?.checked_add(digit));
            value = more.ok_or_else(|| self.wrong("a number is at most 4294967295"))?;
        }
        Ok(value)
    }

    /// What says how often.
    fn repeated(&mut self, atom: Expression) -> Result<Expression, ExpressionError> {
        if self.alphabet == Alphabet::Characters && self.before == Some(':') {
            return Ok(atom); // a * behind it is the field
        }
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.next();
                let bounds = self.bounds()?;
                return self.repeat(atom, bounds);
            }
            _ => return Ok(atom),
        };
        self.next();
        self.repeat(atom, (least, most))
    }

    fn repeat(&mut self, atom: Expression, bounds: (u32, Option<u32>)) -> Result<Expression, ExpressionError> {
        if self.peek().is_some_and(|next| "*+?{".contains(next)) {
            return Err(self.wrong("how often is said once; put what is repeated in ( )"));
        }
        Ok(Expression::Repeat(Box::new(atom), bounds.0, bounds.1))
    }

    /// `m}`, `m,}` or `m,n}`.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), ExpressionError> {
        let least = self.count()?;
        let most = match self.take(',') {
            false => Some(least),
            true if self.peek() == Some('}') => None,
            true => Some(self.count()?),
        };
        if !self.take('}') {
            return Err(self.wrong("the } is missing"));
        }
        if most.is_some_and(|most| most < least || most == 0) {
            return Err(self.wrong("{m,n} needs an n of at least 1 and m"));
        }
        Ok((least, most))
    }

    fn count(&mut self) -> Result<u32, ExpressionError> {
        if !self.peek().is_some_and(|letter| letter.is_ascii_digit()) {
            return Err(self.wrong("a number is expected: {m}, {m,} or {m,n}"));
        }
        let count = self.number()?;
        if count > REPEAT_MAX {
            return Err(self.wrong("at most 255 repetitions"));
        }
        Ok(count)
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
