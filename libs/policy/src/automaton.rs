//! Expressions as position automata (Glushkov 1961): one state per symbol of the expression, no empty moves.
//!
//! All states that can be reached are followed at once, as a set of bits, so a match takes one step per symbol of the input
//! and a bounded amount of work in each, whatever the expression is. Nothing is tried twice and nothing is allocated.

use smallvec::SmallVec;

use crate::limits::POSITIONS_MAX;

/// The symbols that fit one position: AS numbers, or characters. Ranges with both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Class {
    pub ranges: SmallVec<[(u32, u32); 1]>,
    /// The ranges are what does not fit.
    pub complemented: bool,
}

impl Class {
    pub fn range(low: u32, high: u32) -> Class {
        Class { ranges: SmallVec::from_slice(&[(low, high)]), complemented: false }
    }

    fn contains(&self, symbol: u32) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&symbol)) != self.complemented
    }
}

/// An expression as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    Symbol(Class),
    /// One after the other; without any: nothing at all.
    Sequence(Vec<Expression>),
    Choice(Vec<Expression>),
    /// `None`: as often as one likes.
    Repeat(Box<Expression>, u32, Option<u32>),
}

impl Expression {
    /// Symbols when repetitions are written out.
    pub fn positions(&self) -> usize {
        match self {
            Expression::Symbol(_) => 1,
            Expression::Sequence(parts) | Expression::Choice(parts) => {
                parts.iter().map(Expression::positions).fold(0, usize::saturating_add)
            }
            Expression::Repeat(inner, least, most) => {
                inner.positions().saturating_mul(most.unwrap_or(*least).max(1) as usize)
            }
        }
    }
}

const WORDS: usize = POSITIONS_MAX / 64;

/// A set of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Positions([u64; WORDS]);

impl Positions {
    fn only(position: usize) -> Positions {
        let mut set = Positions::default();
        set.insert(position);
        set
    }

    fn insert(&mut self, position: usize) {
        self.0[position / 64] |= 1 << (position % 64);
    }

    fn with(mut self, other: &Positions) -> Positions {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
        self
    }

    fn meets(&self, other: &Positions) -> bool {
        self.0.iter().zip(other.0).any(|(word, other)| word & other != 0)
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(index, word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

/// A compiled expression. It is matched from the first symbol to the last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Automaton {
    classes: Vec<Class>,
    /// By position: those that may come next.
    follow: Vec<Positions>,
    first: Positions,
    last: Positions,
    /// No symbol at all matches.
    nullable: bool,
}

/// What a part of the expression begins and ends with.
struct Fragment {
    first: Positions,
    last: Positions,
    nullable: bool,
}

impl Fragment {
    fn nothing() -> Fragment {
        Fragment { first: Positions::default(), last: Positions::default(), nullable: true }
    }
}

impl Automaton {
    /// `None`: the expression has more than [`POSITIONS_MAX`] positions.
    pub fn new(expression: &Expression) -> Option<Automaton> {
        if expression.positions() > POSITIONS_MAX {
            return None;
        }
        let none = Positions::default();
        let mut automaton =
            Automaton { classes: Vec::new(), follow: Vec::new(), first: none, last: none, nullable: true };
        let whole = automaton.build(expression);
        (automaton.first, automaton.last, automaton.nullable) = (whole.first, whole.last, whole.nullable);
        Some(automaton)
    }

    /// Begins a match.
    pub fn run(&self) -> Run<'_> {
        Run { automaton: self, reached: None }
    }

    fn build(&mut self, expression: &Expression) -> Fragment {
        match expression {
            Expression::Symbol(class) => {
                let here = Positions::only(self.classes.len());
                self.classes.push(class.clone());
                self.follow.push(Positions::default());
                Fragment { first: here, last: here, nullable: false }
            }
            Expression::Sequence(parts) => parts.iter().fold(Fragment::nothing(), |before, part| {
                let next = self.build(part);
                self.concatenate(&before, &next)
            }),
            Expression::Choice(parts) => {
                let none = Fragment { nullable: false, ..Fragment::nothing() };
                parts.iter().fold(none, |before, part| {
                    let other = self.build(part);
                    Fragment {
                        first: before.first.with(&other.first),
                        last: before.last.with(&other.last),
                        nullable: before.nullable || other.nullable,
                    }
                })
            }
            Expression::Repeat(inner, least, most) => self.repeat(inner, *least, *most),
        }
    }

    fn concatenate(&mut self, before: &Fragment, next: &Fragment) -> Fragment {
        for position in before.last.iter() {
            self.follow[position] = self.follow[position].with(&next.first);
        }
        Fragment {
            first: if before.nullable { before.first.with(&next.first) } else { before.first },
            last: if next.nullable { next.last.with(&before.last) } else { next.last },
            nullable: before.nullable && next.nullable,
        }
    }

    fn repeat(&mut self, inner: &Expression, least: u32, most: Option<u32>) -> Fragment {
        if inner.positions() == 0 {
            return Fragment::nothing(); // nothing as often as one likes is nothing, and would be built in vain
        }
        let copies = most.unwrap_or(least.max(1));
        let mut whole = Fragment::nothing();
        for copy in 1..=copies {
            let mut part = self.build(inner);
            if most.is_none() && copy == copies {
                for position in part.last.iter() {
                    self.follow[position] = self.follow[position].with(&part.first);
                }
            }
            part.nullable |= copy > least;
            whole = self.concatenate(&whole, &part);
        }
        whole
    }
}

/// A match in progress.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    automaton: &'a Automaton,
    /// `None`: no symbol was seen.
    reached: Option<Positions>,
}

impl Run<'_> {
    /// The next symbol is one of these.
    pub fn step(&mut self, symbols: &[u32]) {
        let follow = &self.automaton.follow;
        let next = match &self.reached {
            None => self.automaton.first,
            Some(reached) => reached.iter().fold(Positions::default(), |next, at| next.with(&follow[at])),
        };
        let mut fitting = Positions::default();
        for position in next.iter() {
            if symbols.iter().any(|symbol| self.automaton.classes[position].contains(*symbol)) {
                fitting.insert(position);
            }
        }
        self.reached = Some(fitting);
    }

    /// Whether what was seen so far is a match.
    pub fn matches(&self) -> bool {
        self.reached.map_or(self.automaton.nullable, |reached| reached.meets(&self.automaton.last))
    }
}
