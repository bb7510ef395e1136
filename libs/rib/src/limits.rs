//! What this crate bounds, and why.

use std::time::Duration;

/// Longest chain of static routes followed from a gateway to an interface.
pub const RESOLUTION_DEPTH_MAX: usize = 4;

/// Gateways looked at while one next hop is resolved; the rest counts as unreachable. Depth alone would allow
/// `GATEWAYS_MAX` to the power of `RESOLUTION_DEPTH_MAX`.
pub const RESOLUTION_STEPS_MAX: usize = 1024;

/// Members of one ECMP set, before and after resolution. The kernel's groups allow more; hardware rarely does.
pub const GATEWAYS_MAX: usize = 64;

/// The greatest weight of a gateway: what fits the octet that kernels before 6.12 have for it.
pub const WEIGHT_MAX: u16 = 255;

/// Into so many parts weights are divided before several ways share one: 2, 3, 4 and 6 do so evenly. All are reduced in the end.
pub const WEIGHT_PARTS: u16 = 12;

/// Changes of IPv4 forwarding entries that are put in order level by level at once: the whole of the Internet's table, or else the kernel's tree grows
/// in vain (ADR 32). 4 MiB of numbers while they are told; twice to thrice that while they are put in order, in steps.
pub const FIB_STRETCH: usize = 1 << 20;

/// Ids that are looked through for them in one step: about a millisecond.
pub const FIB_ORDER_STEP: usize = 1 << 17;

/// Changes that are put in order by address at once: 256 KiB of numbers, and some milliseconds. Fewer cost the kernel more for each route, more as well (ADR 29).
pub const FIB_STRETCH_BY_ADDRESS: usize = 65_536;

/// So many changes are put in order level by level, and so many more than half as many again make it worth to begin anew.
pub const FIB_LEVELS_MIN: usize = 16_384;

/// What waits is put in order level by level where it is at least this part of all: the order takes all into account.
pub const FIB_LEVELS_PART: u64 = 8;

/// Users of one prefix that are counted (24 bits). A prefix with more is kept for ever, which is safe.
pub const PREFIX_USES_MAX: u32 = (1 << 24) - 1;

/// For so long much that waits may become more before it is put in order: a million that are decided anew at once are all there then. What takes longer, as a table
/// that comes in from a neighbour, is not waited for to its end.
pub const FIB_WAIT: Duration = Duration::from_millis(250);

/// So many of those that wait are looked at to know whether most of them go: then the kernel's tree does not grow, and nothing is waited for.
pub const FIB_WAIT_SAMPLE: usize = 1024;

/// It becomes no more when it has not in so many looks, two in a turn of rpd.
pub const FIB_WAIT_IN_VAIN: u32 = 4;
