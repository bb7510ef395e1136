//! What this crate bounds, and why.

/// AS numbers one term may prepend. Longer paths are what neighbours' filters drop first.
pub const PREPEND_MAX: usize = 32;

/// AS numbers that all terms of a chain prepend together; a term that asks for more is given what is left. As many as one segment of an
/// AS path holds (RFC 4271 §4.3): a quarter of an ordinary message, so that there is room for the path itself.
pub const PREPENDED_MAX: usize = 255;

/// Statements in one import or export list.
pub const CHAIN_MAX: usize = 64;

/// Symbols of one expression after its repetitions are written out: what an automaton holds and looks at per step.
pub const POSITIONS_MAX: usize = 256;

/// Repetitions that `{m,n}` may ask for. Longer AS paths are not seen.
pub const REPEAT_MAX: u32 = 255;

/// Parentheses within each other in one expression.
pub const NESTING_MAX: usize = 16;

/// Members of one set in brackets.
pub const SET_MAX: usize = 256;

/// Times that `as-path-expand` repeats an AS, over all terms: as Junos has it.
pub const EXPAND_MAX: u8 = 32;

/// Statements below each other by `from policy`.
pub const DEPTH_MAX: usize = 8;

/// Terms that one evaluation of a statement may run through, with those of its subroutines: what one route may cost.
pub const COST_MAX: usize = 65_536;
