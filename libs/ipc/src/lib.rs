//! How the router's processes find and reach each other on one machine.
//!
//! Every path derives from the run-dir ([`RunDir`]), so that any number of routers live side by side. The
//! processes speak gRPC over Unix sockets: [`bind`] and [`serve`] on one side, [`channel`] and [`connect`] on the
//! other. A Unix socket's address holds 107 bytes only; run-dirs may be longer, so every address here
//! goes through the directory's own descriptor (`/proc/self/fd/N/name`) when it has to.
//!
//! Also what every daemon does in the same way: its arguments ([`DaemonArgs`]), its log ([`init_logging`]), its
//! clocks ([`mono_ns`], [`unix_ms`]). No protocol, no policy, no state.

mod args;
mod clock;
mod error;
mod logging;
mod run_dir;
mod socket;

/// Longest configuration as daemons take it. Its text has 16 MiB at most, of which little is repeated for each neighbour; a message is
/// bounded all the same.
pub const CONFIGURATION_BYTES_MAX: usize = 64 * 1024 * 1024;

pub use args::{DaemonArgs, RoleArg};
pub use clock::{mono_ns, unix_ms};
pub use error::IpcError;
pub use logging::init_logging;
pub use run_dir::{RunDir, other_slot};
pub use socket::{bind, channel, connect, serve, socket_address};
