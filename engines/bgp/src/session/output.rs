//! What comes out of a session.

use super::connection::ConnectionSide;
use crate::wire::{NotificationMessage, RouteRefresh};

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Open a TCP connection to the neighbour, then say `tcp_connected` or `tcp_failed`.
    Connect,
    /// Write what is queued for this connection, if it can be written at once, and close it; an attempt to connect is
    /// given up. Nothing more is expected of it.
    Close {
        /// Which connection.
        side: ConnectionSide,
    },
    /// Write this message, whole, in order.
    Send {
        /// On which connection.
        side: ConnectionSide,
        /// The message.
        message: Vec<u8>,
    },
    /// The session is up: routes may be sent.
    Established {
        /// On which connection.
        side: ConnectionSide,
    },
    /// The session was up and is no more.
    Down {
        /// Why.
        reason: DownReason,
    },
}

impl Output {
    /// The connection that it is for.
    pub(crate) fn side(&self) -> Option<ConnectionSide> {
        match self {
            Output::Close { side } | Output::Send { side, .. } | Output::Established { side } => Some(*side),
            Output::Connect | Output::Down { .. } => None,
        }
    }
}

/// Why a session went down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DownReason {
    /// For the operator.
    pub text: String,
    /// The NOTIFICATION that we sent.
    pub notification_sent: Option<NotificationMessage>,
    /// The NOTIFICATION that we received.
    pub notification_received: Option<NotificationMessage>,
    /// The connection was lost, or replaced by the neighbour's new one, without a NOTIFICATION or with one that both sides agreed
    /// to survive (RFC 8538): the neighbour may be restarting and its routes may be kept (RFC 4724 §4.2).
    pub graceful: bool,
}

impl DownReason {
    /// Whether it was the neighbour's or an operator's own wish, or the neighbour is gone: nothing that this engine did
    /// wrong, and nothing that another engine would do better. Everything else (a NOTIFICATION that says that our messages
    /// are wrong or do not come, messages that we cannot read, a neighbour that we do not hear any more) may be ours.
    pub fn is_nobodys_fault(&self) -> bool {
        match (&self.notification_sent, &self.notification_received) {
            (_, Some(received)) => received.is_cease(),
            (Some(sent), None) => sent.is_cease(),
            (None, None) => true, // closed or reset by the other end, without a complaint
        }
    }
}

/// What a message was to the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// An UPDATE of the established session: the caller parses and uses it.
    Update,
    /// The neighbour wants all routes of a family again, or begins or ends to tell its own again.
    RouteRefresh(RouteRefresh),
    /// The session itself has dealt with it, or it came too late to matter.
    Handled,
}

/// What becomes of a connection that the neighbour opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is the session's [`ConnectionSide::Accepted`] from now on.
    Accept,
    /// It is too, and the connection that the session had on this side is dead: close it, forget what is queued for it.
    Replace {
        /// The side of the dead connection.
        closes: ConnectionSide,
    },
    /// Close it; why is for the log.
    Refuse(&'static str),
}

/// What a session has seen. A successor goes on with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Messages received, of every type.
    pub messages_in: u64,
    /// Messages sent, of every type.
    pub messages_out: u64,
    /// UPDATEs received while Established.
    pub updates_in: u64,
    /// UPDATEs sent.
    pub updates_out: u64,
    /// NOTIFICATIONs received.
    pub notifications_in: u64,
    /// NOTIFICATIONs sent.
    pub notifications_out: u64,
    /// How often the session came up.
    pub established: u32,
    /// How often it went down again.
    pub flaps: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Cease, MessageType};

    #[test]
    fn complaints_about_our_messages_may_be_our_fault_and_nothing_else() {
        let reason = |sent: Option<NotificationMessage>, received: Option<NotificationMessage>| DownReason {
            text: String::new(),
            graceful: sent.is_none() && received.is_none(),
            notification_sent: sent,
            notification_received: received,
        };
        let cease = || Some(NotificationMessage::cease(Cease::AdministrativeReset));
        assert!(reason(None, cease()).is_nobodys_fault());
        assert!(reason(cease(), None).is_nobodys_fault());
        assert!(reason(None, None).is_nobodys_fault());
        for ours in [
            NotificationMessage::hold_timer_expired(),
            NotificationMessage::malformed_attribute_list(),
            NotificationMessage::connection_not_synchronized(),
            NotificationMessage::fsm_error(3, MessageType::Open),
        ] {
            assert!(!reason(None, Some(ours.clone())).is_nobodys_fault(), "{ours}");
            assert!(!reason(Some(ours.clone()), None).is_nobodys_fault(), "{ours}");
        }
    }
}
