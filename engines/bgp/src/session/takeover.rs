//! Going on with a session that another process has led until now.

use super::connection::{Connection, ConnectionSide, OpenRecord};
use super::fsm::State;
use super::machine::{Dialer, Session};
use super::output::Counters;
use crate::wire::{HEADER_LEN, Negotiated, NotificationMessage, OpenMessage};
use std::time::Duration;

/// Failures in a row, and until when a session rests after the last one. What follows from it is the same on whichever engine leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Sessions and handshakes in a row that ended before they were steady.
    pub failures: u32,
    /// The neighbour is left alone until then; none: it does not rest.
    pub until: Option<Duration>,
}

impl Session {
    /// For a successor.
    pub fn rest(&self) -> Rest {
        let rests = self.enabled && self.dialer.state == State::Idle;
        Rest { failures: self.back_off.session_failures(), until: self.dialer.deadline.filter(|_| rests) }
    }

    /// The operator wants the session, which goes on resting where another process had it rest.
    pub fn start_after(&mut self, rest: Rest, now: Duration) {
        match rest.until.filter(|until| *until > now) {
            Some(until) => {
                self.enabled = true;
                self.dialer = Dialer { state: State::Idle, deadline: Some(until) };
                self.note_state(now);
            }
            None => self.start(now),
        }
        self.remember_failures(rest);
    }

    /// What failed before, in another process, counts for the next rest.
    pub fn remember_failures(&mut self, rest: Rest) {
        self.back_off.resume(rest.failures);
    }

    /// Is Established at once, on [`ConnectionSide::Opened`] whoever opened it, with all timers restarted. What was there
    /// before is forgotten; nothing is sent and nothing reported. Both OPENs are kept octet by octet, as they were on the wire.
    pub fn adopt_established_wire(
        &mut self,
        local_open: &[u8],
        remote_open: &[u8],
        established_at: Duration,
        counters: Counters,
        now: Duration,
    ) -> Result<(), NotificationMessage> {
        let (local, remote) = (record(local_open)?, record(remote_open)?);
        self.adopt(local, remote, established_at, counters, now);
        Ok(())
    }

    fn adopt(
        &mut self,
        local: OpenRecord,
        remote: OpenRecord,
        established_at: Duration,
        counters: Counters,
        now: Duration,
    ) {
        let negotiated = Negotiated::from_opens(&local.message, &remote.message);
        self.enabled = true;
        self.outputs.clear();
        self.counters = counters;
        self.dialer = Dialer { state: State::Active, deadline: None };
        self.last_negotiated = Some(negotiated.clone());
        let connection = Connection {
            state: State::Established,
            local_open: local,
            remote: Some((remote, negotiated)),
            hold_deadline: None,
            keepalive_deadline: None,
            send_hold_deadline: None, // it runs from what this process cannot write
            established_at,
            deferred: None,
        };
        self.connections = [Some(connection), None];
        (self.shown_state, self.state_since) = (State::Established, established_at);
        self.restart_timers(now);
    }

    /// Restarts hold and keepalive timers: for the moment at which a process begins to lead, or to lead again. The
    /// neighbour may have waited for a KEEPALIVE for a while already, so the first one comes in half the time.
    pub fn restart_timers(&mut self, now: Duration) {
        for side in ConnectionSide::ALL {
            let half = self.connection(side).and_then(Connection::keepalive_interval).map(|interval| interval / 2);
            let keepalive = half.map(|half| now + self.back_off.jitter(half));
            if let Some(connection) = self.connection_mut(side) {
                connection.restart_hold(now);
                connection.keepalive_deadline = keepalive;
            }
        }
    }
}

fn record(wire: &[u8]) -> Result<OpenRecord, NotificationMessage> {
    let body = wire.get(HEADER_LEN..).ok_or_else(NotificationMessage::open_unspecific)?;
    Ok(OpenRecord { message: OpenMessage::decode(body)?, wire: wire.to_vec() })
}
