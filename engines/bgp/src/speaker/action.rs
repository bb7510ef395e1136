use std::net::{IpAddr, SocketAddr};

use holdfast_proto::v1::Fact;

use crate::session::ConnectionSide;
use crate::wire::NotificationMessage;

use super::table::NeighborId;
use super::transport::Transport;

/// What the daemon has to do for the speaker.
#[derive(Debug)]
pub enum Action {
    /// Open a connection; answer with `tcp_connected` or `tcp_failed`.
    Connect {
        /// For whom.
        neighbor: NeighborId,
        /// How.
        spec: ConnectSpec,
    },
    /// Close a connection, after what was given to it to send.
    Close {
        /// Whose.
        neighbor: NeighborId,
        /// Which.
        side: ConnectionSide,
    },
    /// Send one message.
    Send {
        /// To whom.
        neighbor: NeighborId,
        /// On which connection.
        side: ConnectionSide,
        /// Whole, as on the wire.
        message: Vec<u8>,
    },
    /// The session is up. Deposit the descriptor, then call `established`.
    Established {
        /// Whose.
        neighbor: NeighborId,
        /// On which connection.
        side: ConnectionSide,
    },
    /// The session is over. Its descriptor leaves the vault.
    Down {
        /// Whose.
        neighbor: NeighborId,
        /// Why, for operators.
        reason: String,
        /// What becomes of its routes.
        kept: Kept,
    },
    /// Something that an operator should know.
    Warn {
        /// In words.
        text: String,
    },
    /// Neighbours may be told something that was held back until now.
    HasOutput,
    /// Something for the log that no other action says.
    Report {
        /// Whose session it is about.
        neighbor: NeighborId,
        /// In an operator's words.
        text: String,
    },
    /// A fact that a follower has to know.
    Replicate(Box<Fact>),
}

/// What becomes of a neighbour's routes when its session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// They go.
    Nothing,
    /// They wait: it seems to restart gracefully (RFC 4724 §4.2).
    WhileItRestarts,
    /// They wait: we restart gracefully (RFC 4724 §4.1).
    WhileWeRestart,
}

/// Why a connection that somebody made is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// For the log.
    pub reason: String,
    /// What the other side is to hear before the end (RFC 4486 §4); `None`: nothing.
    pub notification: Option<NotificationMessage>,
}

/// How to reach a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectSpec {
    /// Where to.
    pub remote: SocketAddr,
    /// Interface of a link-local address, else 0.
    pub scope: u32,
    /// Where from, if that is configured.
    pub local: Option<IpAddr>,
    /// What protects it.
    pub transport: Transport,
}
