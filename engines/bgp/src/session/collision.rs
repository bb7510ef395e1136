//! Two connections with one neighbour (RFC 4271 §6.8): which one stays, decided so that neither router has to take back
//! what it has already called Established.
//!
//! The router with the higher identifier keeps the connection that it opened; both know that as soon as one OPEN has come.
//! The RFC decides when an OPEN comes and the other connection is in OpenConfirm. That alone leaves a race: one router goes
//! Established on one connection while the other, with octets still on their way, already prefers the other one; both
//! connections die. So a connection that would lose *waits* while the other one is connected: it answers an OPEN with
//! KEEPALIVE, and takes a KEEPALIVE for Established, only when the other connection is gone, or has not proven itself for
//! some seconds, or an UPDATE shows that the neighbour has decided for this one.

use super::cause::Cause;
use super::connection::{ConnectionSide, Deferred};
use super::fsm::{Event, State};
use super::limits::COLLISION_WAIT;
use super::machine::Session;
use crate::wire::OpenMessage;
use std::time::Duration;

impl Session {
    /// Which of two connections is to be closed now that an OPEN came on `side`.
    pub(crate) fn collision_loser(&self, side: ConnectionSide, open: &OpenMessage) -> Option<ConnectionSide> {
        let other = self.connection(side.other())?;
        match other.state {
            State::Established => Some(side),
            // In OpenSent it is not certain yet that the neighbour is at its other end.
            State::OpenConfirm => Some(self.weaker(open)),
            _ if other.deferred.is_some() => Some(self.weaker(open)),
            _ => None,
        }
    }

    /// The side that loses by the identifiers (RFC 4271 §6.8, equal ones: RFC 6286 §2.3).
    fn weaker(&self, remote: &OpenMessage) -> ConnectionSide {
        let ours = (u32::from(self.config.router_id), self.config.local_as);
        let theirs = (u32::from(remote.router_id), remote.autonomous_system);
        if ours > theirs { ConnectionSide::Accepted } else { ConnectionSide::Opened }
    }

    /// Would this connection lose to the other one, which is connected but has not had its OPEN?
    pub(crate) fn must_wait(&self, side: ConnectionSide) -> bool {
        let rival = self.connection(side.other()).is_some_and(|other| other.state == State::OpenSent);
        let remote = self.connection(side).and_then(|connection| connection.remote.as_ref());
        rival && remote.is_some_and(|(open, _)| self.weaker(&open.message) == side)
    }

    pub(crate) fn defer(&mut self, side: ConnectionSide, what: Deferred, now: Duration) {
        if let Some(connection) = self.connection_mut(side) {
            let until = connection.deferred.map_or(now + COLLISION_WAIT, |(_, until)| until);
            connection.deferred = Some((what, until));
        }
    }

    /// The wait is over: what came meanwhile takes effect.
    pub(crate) fn release(&mut self, side: ConnectionSide, now: Duration) {
        let Some((what, _)) = self.connection_mut(side).and_then(|connection| connection.deferred.take()) else {
            return;
        };
        let events: &[Event] = match what {
            Deferred::Open => &[Event::OpenReceived],
            Deferred::OpenAndKeepalive => &[Event::OpenReceived, Event::KeepaliveReceived],
            Deferred::Keepalive => &[Event::KeepaliveReceived],
        };
        for event in events {
            self.run(side, *event, Cause::none(), now);
        }
    }

    /// An UPDATE has come: the neighbour is Established on this connection.
    pub(crate) fn release_keepalive(&mut self, side: ConnectionSide, now: Duration) {
        if self.connection(side).is_some_and(|c| matches!(c.deferred, Some((Deferred::Keepalive, _)))) {
            self.release(side, now);
        }
    }
}
