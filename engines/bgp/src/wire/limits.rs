//! The sizes that RFC 4271 and RFC 8654 fix.

/// Marker, length and type (RFC 4271 §4.1).
pub const HEADER_LEN: usize = 19;
/// The longest message (RFC 4271 §4.1): of every type to one who did not announce RFC 8654, of OPEN always.
pub const MAX_MESSAGE_LEN: usize = 4096;
/// The longest message between two who announced RFC 8654 (§3): what the length's field can say.
pub const EXTENDED_MESSAGE_LEN: usize = 65_535;
/// The longest canonical block of attributes that is taken. What a follower is told must fit into one message with a
/// prefix, also where AS numbers were two octets long on the wire and the next hop is the longest.
pub(crate) const ATTRIBUTES_MAX_LEN: usize = 65_000;
/// What stands for a 4-octet AS number where only two octets fit (RFC 6793 §9).
pub const AS_TRANS: u16 = 23456;
/// A segment counts its AS numbers in one octet (RFC 4271 §4.3).
pub(crate) const SEGMENT_ASNS_MAX: usize = 255;
/// Withdrawn Routes Length and Total Path Attribute Length: what every UPDATE carries (RFC 4271 §4.3).
pub(crate) const UPDATE_FIXED_LEN: usize = 4;
/// A shutdown communication (RFC 9003 §2) counts its octets in one octet.
pub(crate) const SHUTDOWN_TEXT_MAX: usize = 255;
