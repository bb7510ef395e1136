//! Communities that BGP itself knows what to do with.

/// RFC 8326 §4.1: the session over which it came is about to go.
pub const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;
/// RFC 7999 §3.1: traffic to this destination is to be discarded.
pub const BLACKHOLE: u32 = 0xffff_029a;
/// RFC 1997: not to be advertised to other ASes.
pub const NO_EXPORT: u32 = 0xffff_ff01;
/// RFC 1997: not to be advertised to anybody.
pub const NO_ADVERTISE: u32 = 0xffff_ff02;
/// RFC 1997: not outside the local (member) AS.
pub const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;
/// RFC 3765: not to neighbours that are each other's peers.
pub const NO_PEER: u32 = 0xffff_ff04;

/// Adds one that is missing.
pub fn add(communities: &mut Vec<u32>, community: u32) {
    if !communities.contains(&community) {
        communities.push(community);
    }
}

/// Whether an extended community leaves the AS that it was given in (RFC 4360 §6).
pub fn is_transitive(extended: &[u8; 8]) -> bool {
    extended[0] & crate::wire::NON_TRANSITIVE == 0
}
