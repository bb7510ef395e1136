//! The speaker's bounds, with their reasons.

use std::time::Duration;

/// A neighbour has not said everything before its table has stood still for this time: far more than the pause between two
/// UPDATEs of a full table.
pub const QUIET_MIN: Duration = Duration::from_secs(2);

/// The same for a neighbour that says it has restarted and has not said End-of-RIB: it may be waiting for ours. Long, because
/// FRR says so of itself whenever it has not run for 120 s.
pub const RESTARTING_QUIET_MIN: Duration = Duration::from_secs(10);

/// Sessions whose routes wait together, where one after the other ended in the long life (RFC 9494) that began with the first. A session's number
/// has eight bits, so it must be far from coming round.
pub const SESSIONS_KEPT_MAX: u8 = 100;

/// Routes by which a table may grow, beside a thousandth of it, without counting as still growing.
pub const GROWTH_NOISE: u64 = 16;

/// How often the log has a malformed UPDATE of a neighbour's, whole (RFC 7606 §8): each may have 65,535 octets, and a neighbour may send
/// nothing else.
pub const MALFORMED_LOG_SPACING: Duration = Duration::from_secs(60);

/// Routes of a malformed UPDATE that are named; all of them are in the message itself.
pub const MALFORMED_PREFIXES_SHOWN: usize = 4;

/// Attributes that were left out of an UPDATE and are named: a message has room for thousands that are there twice.
pub const MALFORMED_ATTRIBUTES_SHOWN: usize = 4;

/// Attributes of one route that we do not know and show: a message has room for one of each of some two hundred types.
pub const UNKNOWN_SHOWN_MAX: usize = 32;

/// Octets shown of the value of one: enough for a person to see what it is, and a page of routes stays one that can be sent.
pub const UNKNOWN_SHOWN_LEN: usize = 64;

/// IANA's port for BGP.
pub const BGP_PORT: u16 = 179;

/// For neighbours that need not be directly connected, and what RFC 5082 counts hops from.
pub const TTL_MAX: u8 = 255;

/// For directly connected neighbours: no router passes it on.
pub const TTL_DIRECT: u8 = 1;

/// Neighbours per speaker; a configuration with more is refused. Bounded by the two bytes of a neighbour's number.
pub const NEIGHBORS_MAX: usize = 4096;

/// Paths told to one destination, at most (RFC 7911 sets no bound): as many as the statement `path-count` takes.
pub const PATHS_MAX: u8 = 64;

/// Paths to one destination that are taken from one neighbour in one session (RFC 7911 sets no bound, and identifiers have four octets);
/// further ones are dropped, as by a prefix limit. Four times what this router tells at most; a reflector of some hundred
/// borders still finds room. Each change of a path has to pass by all of them.
pub const PATHS_RECEIVED_MAX: usize = 256;

/// Prefixes looked at in one go for a neighbour's output: some milliseconds of work.
pub const OUTPUT_BATCH: usize = 2048;

/// Octets of path attributes after which such a go ends all the same: ordinary ones stay far below, but each can be as long as a
/// message of RFC 8654, and what is made must fit into a frame of the replication stream (4 MiB).
pub const OUTPUT_BATCH_LEN: usize = 1024 * 1024;

/// Path attributes up to this length leave room for a prefix in a message to anybody, also where AS numbers of two octets make
/// AS4_PATH necessary, which at most doubles them.
pub const ALWAYS_FITS_LEN: usize = 1536;

/// Neighbours that are named with a route that is too long for them: enough to begin with, and a page of routes stays one that can be sent.
pub const TOO_LONG_SHOWN_MAX: usize = 16;

/// Prefixes looked at in one slice of background work: about a millisecond.
pub const BACKGROUND_BATCH: u32 = 2048;

/// Rounds in which a neighbour's paths are judged anew, each for its part of the attribute sets: the more, the fewer sets are there twice; each
/// costs a walk through the table (some 5 ms per million prefixes).
pub const REIMPORT_ROUNDS: usize = 8;

/// Bytes of output made ahead of what the kernel has taken, per neighbour. A neighbour that reads slowly gets
/// no more until it has read; what changes meanwhile is only marked, so memory stays bounded.
pub const OUTPUT_AHEAD_LEN: usize = 64 * 1024;

/// How long a session that is just coming up is worth waiting for before a switchover: an OPEN and a KEEPALIVE take round trips,
/// not seconds. A neighbour that connects and says nothing, or connects again and again, must not hold up a run.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Ways of reflection that an export group remembers results for: one for each internal neighbour that tells routes. When names
/// of neighbours have changed so often that there are more, what was remembered is worked out anew.
pub const REFLECTIONS_MAX: usize = NEIGHBORS_MAX;
