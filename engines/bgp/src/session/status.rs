//! What can be asked of a session.

use super::config::SessionConfig;
use super::connection::{Connection, ConnectionSide};
use super::fsm::State;
use super::machine::Session;
use super::output::Counters;
use crate::wire::{Negotiated, OpenMessage};
use std::time::Duration;

impl Session {
    /// The state of the connection that has come farthest, or of the attempts to get one.
    pub fn state(&self) -> State {
        self.foremost().map_or(self.dialer.state, |(_, connection)| connection.state)
    }

    /// Since when it is in this state.
    pub fn state_since(&self) -> Duration {
        self.state_since
    }

    /// Since when the neighbour is about to come up: there is a connection, and it is not one that fails again and again. None: nobody should
    /// wait for it.
    pub fn coming_up_since(&self) -> Option<Duration> {
        let in_handshake = matches!(self.state(), State::OpenSent | State::OpenConfirm);
        // One failure may be the end of the session before.
        self.unproven_since.filter(|_| in_handshake && self.back_off.session_failures() <= 1)
    }

    /// The connection that has come farthest.
    pub fn active_side(&self) -> Option<ConnectionSide> {
        self.foremost().map(|(side, _)| side)
    }

    fn foremost(&self) -> Option<(ConnectionSide, &Connection)> {
        let both = ConnectionSide::ALL.into_iter().filter_map(|side| Some((side, self.connection(side)?)));
        both.max_by_key(|(side, connection)| (connection.state, std::cmp::Reverse(*side)))
    }

    /// Whether there is a TCP connection, up to whatever state.
    pub fn is_connected(&self) -> bool {
        self.connections.iter().any(Option::is_some)
    }

    /// What both OPENs agree on, from OpenConfirm on.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.foremost().and_then(|(_, connection)| connection.negotiated())
    }

    /// What the last established session ran by, also after its end: whether its routes may be kept depends on it.
    pub fn last_negotiated(&self) -> Option<&Negotiated> {
        self.last_negotiated.as_ref()
    }

    /// The OPEN that we sent.
    pub fn local_open(&self) -> Option<&OpenMessage> {
        self.foremost().map(|(_, connection)| &connection.local_open.message)
    }

    /// The same as on the wire.
    pub fn local_open_wire(&self) -> Option<&[u8]> {
        self.foremost().map(|(_, connection)| connection.local_open.wire.as_slice())
    }

    /// The neighbour's OPEN, from OpenConfirm on.
    pub fn remote_open(&self) -> Option<&OpenMessage> {
        self.foremost().and_then(|(_, connection)| Some(&connection.remote.as_ref()?.0.message))
    }

    /// The same as on the wire.
    pub fn remote_open_wire(&self) -> Option<&[u8]> {
        self.foremost().and_then(|(_, connection)| Some(connection.remote.as_ref()?.0.wire.as_slice()))
    }

    /// When the session came up; `None`: it is not.
    pub fn established_at(&self) -> Option<Duration> {
        let (_, connection) = self.foremost()?;
        (connection.state == State::Established).then_some(connection.established_at)
    }

    /// When it tries to connect again, or rests no longer; `None`: nothing of the kind is waited for.
    pub fn next_attempt(&self) -> Option<Duration> {
        let waits = matches!(self.dialer.state, State::Idle | State::Active) && !self.is_connected();
        self.dialer.deadline.filter(|_| waits)
    }

    /// Attempts and sessions in a row that failed: the delays grow with it (RFC 4271 §8, ConnectRetryCounter).
    pub fn failures(&self) -> u32 {
        self.back_off.failures()
    }

    /// What it has seen.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What it is configured with.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// What ended the last connection.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// What it is waiting for, with the last error; `None`: it is established.
    pub fn why_not_established(&self) -> Option<String> {
        let waiting = match (self.state(), self.enabled) {
            (State::Established, _) => return None,
            (State::Idle, false) => "the session is stopped",
            (State::Idle, true) => "resting after an error",
            (State::Active, _) if self.config.passive => "passive: waiting for the neighbor to connect",
            (State::Active, _) => "waiting for the next attempt to connect, or for the neighbor to connect",
            (State::Connect, _) => "connecting: TCP has had no answer yet",
            (State::OpenSent, _) => "connected: waiting for the neighbor's OPEN",
            (State::OpenConfirm, _) => "connected: waiting for the neighbor's KEEPALIVE",
        };
        // A neighbor that calls us and that we cannot call is refused for a reason of its own.
        Some(match (&self.dial_error, &self.last_error) {
            (Some(error), Some(end)) => format!("{waiting}; last error: {error}; the last connection ended: {end}"),
            (Some(error), None) | (None, Some(error)) => format!("{waiting}; last error: {error}"),
            (None, None) => waiting.to_owned(),
        })
    }
}
