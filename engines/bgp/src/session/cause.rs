//! Why something ends.

use super::output::DownReason;
use crate::wire::NotificationMessage;

/// Why a connection ends: for the neighbour, the speaker and the operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    /// For the operator.
    pub text: String,
    /// What we tell the neighbour.
    pub sent: Option<NotificationMessage>,
    /// What the neighbour told us.
    pub received: Option<NotificationMessage>,
}

impl Cause {
    /// Nothing ends.
    pub fn none() -> Cause {
        Cause::default()
    }

    /// Without a NOTIFICATION.
    pub fn lost(text: String) -> Cause {
        Cause { text, ..Cause::default() }
    }

    /// We end it and say so.
    pub fn sent(notification: NotificationMessage) -> Cause {
        Cause { text: format!("NOTIFICATION sent: {notification}"), sent: Some(notification), received: None }
    }

    /// We end it, with more for the operator than the neighbour gets.
    pub fn sent_because(notification: NotificationMessage, text: &str) -> Cause {
        let text = format!("{text} (NOTIFICATION sent: {notification})");
        Cause { text, sent: Some(notification), received: None }
    }

    /// The neighbour ends it and said so.
    pub fn received(notification: NotificationMessage) -> Cause {
        Cause { text: format!("NOTIFICATION received: {notification}"), sent: None, received: Some(notification) }
    }

    /// The neighbour is to give our routes up at once, where it would else keep them (RFC 8538 §3).
    pub fn harden(&mut self) {
        if let Some(sent) = self.sent.take_if(|sent| sent.is_lasting()) {
            self.sent = Some(sent.hard_reset());
        }
    }

    /// What the speaker is told. `notification_restart`: routes outlive a NOTIFICATION that is no Hard Reset.
    pub fn down(&self, notification_restart: bool) -> DownReason {
        let keeps = |said: &NotificationMessage| notification_restart && !said.is_hard_reset();
        DownReason {
            text: self.text.clone(),
            notification_sent: self.sent.clone(),
            notification_received: self.received.clone(),
            graceful: self.sent.as_ref().is_none_or(keeps) && self.received.as_ref().is_none_or(keeps),
        }
    }
}
