//! What this crate bounds, and why.

/// AS numbers one term may prepend. Longer paths are what neighbours' filters drop first.
pub const PREPEND_MAX: usize = 32;

/// Statements in one import or export list.
pub const CHAIN_MAX: usize = 64;
