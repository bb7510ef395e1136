//! The books of one session's two byte streams: what makes it possible to hand a TCP session over without losing a byte.
//!
//! Offsets count a stream's bytes since the handshake. The kernel counts too, from another zero (the *bases*), and its
//! counts outlive every process. Two rules, kept by the owner of a session ([`Ledger`]):
//!
//! ```text
//!   in:   peek -> told to the follower -> discarded from the kernel          told     >= consumed (kernel)
//!   out:  made -> told to the follower -> written to the kernel       made >= told    >= written  (kernel)
//! ```
//!
//! Then whatever happens to the owner, and between whichever two of its instructions, facts know at least what the kernel has
//! seen, and the follower ([`FollowerLedger`]) finds by subtraction what is left to do: so many bytes to discard, these bytes to
//! write. Of what was made the follower keeps the *tail* only: what the kernel had not taken by the owner's last word, and
//! what was told with it.
//!
//! Nothing here reads or writes a socket, so the simulation drives the very code that the daemon runs.

mod follower;
mod output;
mod owner;

pub use follower::{FollowerLedger, Remainder};
pub use output::OutputBuffer;
pub use owner::{Ledger, Told};

/// The kernel's count of what processes have done to a socket since it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Bytes that were read and not only looked at.
    pub consumed: u64,
    /// Bytes that were written, acknowledged or not.
    pub written: u64,
}
