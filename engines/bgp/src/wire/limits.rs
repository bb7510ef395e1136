//! The sizes that RFC 4271 fixes. Messages longer than 4,096 octets (RFC 8654) are never announced, so never accepted.

/// Marker, length and type (RFC 4271 §4.1).
pub const HEADER_LEN: usize = 19;
/// The longest message (RFC 4271 §4.1).
pub const MAX_MESSAGE_LEN: usize = 4096;
/// What stands for a 4-octet AS number where only two octets fit (RFC 6793 §9).
pub const AS_TRANS: u16 = 23456;
/// A segment counts its AS numbers in one octet (RFC 4271 §4.3).
pub(crate) const SEGMENT_ASNS_MAX: usize = 255;
/// Withdrawn Routes Length and Total Path Attribute Length: what every UPDATE carries (RFC 4271 §4.3).
pub(crate) const UPDATE_FIXED_LEN: usize = 4;
/// A shutdown communication (RFC 9003 §2) counts its octets in one octet.
pub(crate) const SHUTDOWN_TEXT_MAX: usize = 255;
