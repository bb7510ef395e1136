//! The last NOTIFICATION in each direction: what an operator asks for first when a session is down.

use super::machine::Session;
use crate::wire::NotificationMessage;
use std::time::Duration;

/// A NOTIFICATION and when it was sent or received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    /// The message.
    pub message: NotificationMessage,
    /// When.
    pub at: Duration,
}

/// The last one in each direction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notifications {
    /// Ours.
    pub sent: Option<Noted>,
    /// The neighbour's.
    pub received: Option<Noted>,
}

impl Notifications {
    /// Takes over what is newer.
    pub fn renew(&mut self, newer: Notifications) {
        self.sent = newer.sent.or(self.sent.take());
        self.received = newer.received.or(self.received.take());
    }
}

impl Session {
    /// Those since this was asked last; `None`: there was none.
    pub fn take_notifications(&mut self) -> Option<Notifications> {
        let taken = std::mem::take(&mut self.notifications);
        (taken != Notifications::default()).then_some(taken)
    }

    /// What ended the last connection, as another engine knew it.
    pub fn remember_error(&mut self, text: &str) {
        self.last_error = (!text.is_empty()).then(|| text.to_owned());
    }
}
