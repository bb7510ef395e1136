//! The descriptor vault: where a session's kernel half is kept while the process that owns it is replaced.
//!
//! **What it is for.** A TCP session lives in the kernel; a process only holds a descriptor of it. Whoever deposits
//! a duplicate of that descriptor here can be killed at any instruction: the session stays, and a successor
//! withdraws it and goes on.
//!
//! **The idea.** chassisd outlives every routing engine and holds one [`Vault`]: name -> descriptor, kind, metadata,
//! and the epoch of the depositor. The vault knows the current epoch, which only chassisd raises, and refuses every
//! request that carries an older one: a primary that does not know yet that it is none any more cannot
//! replace or remove what its successor owns.
//!
//! ```text
//!   rpd --- VaultClient --- DIR/vault.sock (SOCK_SEQPACKET) --- VaultServer (one thread) --- Arc<Mutex<Vault>> --- chassisd
//!              one packet per request, one per reply; a descriptor beside Deposit and beside Withdraw's reply
//! ```
//!
//! **The parts.** [`Vault`]: the store. `protocol`: one request to one reply. [`VaultServer`]: sockets and the
//! thread. [`VaultClient`]: blocking, some 50 microseconds per call. [`limits`].
//!
//! **What it must never do.** `shutdown()` a descriptor (that would reach the neighbour; closing the last duplicate
//! of one is the only end it makes), lose one while replying, or block for one client because of another.

/// What the names of BGP's sessions begin with; the neighbour's address follows. chassisd reads from it whose sessions an rpd that
/// died has left.
pub const BGP_SESSION_PREFIX: &str = "bgp/session/";

mod client;
mod error;
pub mod limits;
mod protocol;
mod server;
mod socket;
mod vault;

pub use client::VaultClient;
pub use error::VaultError;
pub use protocol::{Reply, answer};
pub use server::VaultServer;
pub use vault::{Entry, Vault};
