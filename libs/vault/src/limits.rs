//! What the vault holds and carries at most.

use std::time::Duration;

/// Descriptors kept. Well above any router's sessions, well below what would hurt the machine.
pub const ENTRIES_MAX: usize = 65_536;
/// Bytes of a name: "bgp/" and an address with zone and port fit many times.
pub const NAME_MAX_LEN: usize = 255;
/// Bytes of an entry's kind.
pub const KIND_MAX_LEN: usize = 64;
/// Bytes of metadata per entry: session parameters, not tables.
pub const METADATA_MAX_LEN: usize = 32 * 1024;
/// Bytes of one packet, either way: metadata and its envelope; below the kernel's default socket buffer.
pub const PACKET_MAX_LEN: usize = 64 * 1024;
/// Entries in one page of a listing: names of full length still fit one packet.
pub const PAGE_ENTRIES_MAX: usize = 128;
/// Clients at once: two routing engines, each with a few connections, and tools.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a client waits. A call takes some 50 microseconds; a second means that chassisd is gone or starved.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(1000);
