//! What comes out of a session, and what can be seen of it.

use crate::Discard;
use crate::wire::{Datagram, Diagnostic, State};
use std::time::Duration;

/// To be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this now.
    Send {
        /// The octets.
        datagram: Datagram,
        /// When a periodic packet ought to have gone: what lateness is measured against. None: one that is told at once.
        due: Option<Duration>,
    },
    /// The state is another one.
    Changed(Change),
    /// The session is over and its place is free; said by the table of sessions alone.
    Left,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub from: State,
    /// Now.
    pub to: State,
    /// Ours: why.
    pub diagnostic: Diagnostic,
}

/// What the neighbour has said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Zero: not known.
    pub discriminator: u32,
    /// bfd.RemoteSessionState.
    pub state: State,
    /// Its diagnostic.
    pub diagnostic: Diagnostic,
    /// Its BFD does not share its control plane's fate.
    pub control_plane_independent: bool,
    /// bfd.RemoteDemandMode.
    pub demand: bool,
    /// How many of its packets may be missing.
    pub multiplier: u8,
    /// It would like to send as often, in microseconds.
    pub desired_min_tx_us: u32,
    /// It is to be sent to no more often; zero: not at all (bfd.RemoteMinRxInterval).
    pub required_min_rx_us: u32,
}

impl Remote {
    /// Before anything was heard (RFC 5880 §6.8.1).
    pub(super) const UNKNOWN: Remote = Remote {
        discriminator: 0,
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        control_plane_independent: false,
        demand: false,
        multiplier: 0,
        desired_min_tx_us: 0,
        required_min_rx_us: 1,
    };
}

/// Counted since the session was made; a successor goes on counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets handed out to be sent.
    pub sent: u64,
    /// Packets believed.
    pub received: u64,
    /// Packets not believed.
    pub discarded: u64,
    /// Why the last one was not.
    pub last_discard: Option<Discard>,
    /// Times that it came Up.
    pub ups: u32,
    /// Times that it left Up.
    pub downs: u32,
    /// The longest time between two packets of the neighbour while Up.
    pub longest_silence: Duration,
}
