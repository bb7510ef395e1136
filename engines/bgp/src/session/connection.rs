//! One TCP connection of a session, from its OPEN on.

use super::fsm::State;
use super::limits::{OPEN_HOLD, SEND_HOLD_MIN};
use crate::wire::{HEADER_LEN, Negotiated, OpenMessage};
use std::time::Duration;

/// Who opened a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ConnectionSide {
    /// We did.
    Opened,
    /// The neighbour did.
    Accepted,
}

impl ConnectionSide {
    /// Both.
    pub const ALL: [ConnectionSide; 2] = [ConnectionSide::Opened, ConnectionSide::Accepted];

    /// The other one.
    pub const fn other(self) -> ConnectionSide {
        match self {
            ConnectionSide::Opened => ConnectionSide::Accepted,
            ConnectionSide::Accepted => ConnectionSide::Opened,
        }
    }

    /// Its place in an array with one element per side.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// An OPEN as a value and as it was on the wire.
#[derive(Clone, Debug)]
pub(crate) struct OpenRecord {
    pub message: OpenMessage,
    pub wire: Vec<u8>,
}

impl OpenRecord {
    pub fn sent(message: OpenMessage) -> OpenRecord {
        OpenRecord { wire: message.encode(), message }
    }

    /// From a body that was just decoded; a header has no freedom, so it can be put back.
    pub fn received(message: OpenMessage, body: &[u8]) -> OpenRecord {
        let mut wire = vec![0xff; 16];
        wire.extend_from_slice(&((HEADER_LEN + body.len()) as u16).to_be_bytes());
        wire.push(1);
        wire.extend_from_slice(body);
        OpenRecord { message, wire }
    }
}

/// What has been received but waits for a collision to be decided (see `collision`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deferred {
    /// The OPEN: our KEEPALIVE is not sent yet.
    Open,
    /// The OPEN, and the neighbour's KEEPALIVE already.
    OpenAndKeepalive,
    /// The KEEPALIVE: we are not Established yet.
    Keepalive,
}

/// One TCP connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// OpenSent, OpenConfirm or Established.
    pub state: State,
    pub local_open: OpenRecord,
    /// Both from the moment that the neighbour's OPEN is accepted.
    pub remote: Option<(OpenRecord, Negotiated)>,
    pub hold_deadline: Option<Duration>,
    pub keepalive_deadline: Option<Duration>,
    /// Set while our output stands still (RFC 9687 §3).
    pub send_hold_deadline: Option<Duration>,
    pub established_at: Duration,
    /// With the time until which it waits at most.
    pub deferred: Option<(Deferred, Duration)>,
}

impl Connection {
    /// A connection that has just come up.
    pub fn new(state: State, open: OpenMessage, now: Duration) -> Connection {
        Connection {
            state,
            local_open: OpenRecord::sent(open),
            remote: None,
            hold_deadline: Some(now + OPEN_HOLD),
            keepalive_deadline: None,
            send_hold_deadline: None,
            established_at: Duration::ZERO,
            deferred: None,
        }
    }

    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.remote.as_ref().map(|(_, negotiated)| negotiated)
    }

    /// Something was heard. Without a hold time only the wait for the first KEEPALIVE is bounded.
    pub fn restart_hold(&mut self, now: Duration) {
        let hold_time_s = self.negotiated().map_or(0, |negotiated| negotiated.hold_time_s);
        self.hold_deadline = match (hold_time_s, self.state) {
            (0, State::Established) => None,
            (0, _) => Some(now + OPEN_HOLD),
            (seconds, _) => Some(now + Duration::from_secs(u64::from(seconds))),
        };
    }

    /// How long our output may stand still.
    pub fn send_hold_time(&self) -> Duration {
        let hold_time_s = self.negotiated().map_or(0, |negotiated| negotiated.hold_time_s);
        SEND_HOLD_MIN.max(2 * Duration::from_secs(u64::from(hold_time_s)))
    }

    /// The interval between KEEPALIVEs; `None`: none are sent.
    pub fn keepalive_interval(&self) -> Option<Duration> {
        let seconds = self.negotiated()?.keepalive_s;
        (seconds != 0).then(|| Duration::from_secs(u64::from(seconds)))
    }

    /// When this connection wants to be looked at.
    pub fn deadline(&self) -> Option<Duration> {
        let deferred = self.deferred.map(|(_, until)| until);
        self.hold_deadline
            .into_iter()
            .chain(self.keepalive_deadline)
            .chain(self.send_hold_deadline)
            .chain(deferred)
            .min()
    }
}
