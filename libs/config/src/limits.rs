//! Bounds on what a configuration may be, so that no text can exhaust memory or the stack.

/// Longest configuration text in bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting of braces; the models need fewer than ten.
pub const DEPTH_MAX: usize = 32;
/// Most statements of one text; a full set of static routes of a large site stays far below.
pub const STATEMENTS_MAX: usize = 1_000_000;
/// Most words of one statement, members of a bracketed list included.
pub const WORDS_MAX: usize = 4_096;
/// Most mistakes reported of one text; the rest is only counted.
pub const ERRORS_MAX: usize = 100;
/// BFD sessions of one router: as many as ppmd takes, which refuses more in its turn (`holdfast_bfd::SESSIONS_MAX`).
pub const BFD_SESSIONS_MAX: usize = 2048;
/// Minutes that a session rests after too many prefixes: 40 hours, as in Junos. Who wants more wants `forever`.
pub(crate) const IDLE_MINUTES_MAX: u32 = 2400;
/// Text for a neighbour's operator: what its length octet can say (RFC 9003 §2).
pub const SHUTDOWN_MESSAGE_OCTETS_MAX: usize = 255;
