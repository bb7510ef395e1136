//! What the daemon tells a session: the operator's will and what becomes of TCP connections.

use super::cause::Cause;
use super::config::SessionConfig;
use super::connection::ConnectionSide;
use super::fsm::{Event, State};
use super::limits::COLLISION_WAIT;
use super::machine::Session;
use super::output::{Output, Verdict};
use crate::wire::{Cease, NotificationMessage};
use std::time::Duration;

impl Session {
    /// The operator wants the session.
    pub fn start(&mut self, now: Duration) {
        if !self.enabled {
            self.enabled = true;
            self.back_off.forget();
            self.unproven_since = None;
            self.run_dialer(self.start_event(), now);
        }
        self.note_state(now);
    }

    /// The operator wants it no more; the neighbour is told why.
    pub fn stop(&mut self, reason: Cease, now: Duration) {
        self.stop_with(NotificationMessage::cease(reason), now);
    }

    /// [`Session::stop`] with a NOTIFICATION of the caller's, as one with a text for the neighbour's operator.
    pub fn stop_with(&mut self, notification: NotificationMessage, now: Duration) {
        self.enabled = false;
        for side in ConnectionSide::ALL {
            self.run(side, Event::Stop, Cause::sent(notification.clone()), now);
        }
        self.run_dialer(Event::Stop, now);
        self.dialer.deadline = None;
        self.note_state(now);
    }

    /// Ends what there is, with this NOTIFICATION, and begins anew, without delay where nothing had failed.
    pub fn reset(&mut self, notification: NotificationMessage, now: Duration) {
        if !self.enabled {
            return;
        }
        let connected = self.connections.iter().any(Option::is_some);
        self.back_off.forget();
        self.unproven_since = None;
        for side in ConnectionSide::ALL {
            self.run(side, Event::Reset, Cause::sent(notification.clone()), now);
        }
        match self.dialer.state {
            State::Idle => self.run_dialer(self.start_event(), now),
            State::Active if !connected && !self.config.passive => self.dialer.deadline = Some(now),
            _ => {}
        }
        self.note_state(now);
    }

    /// Takes over a new configuration. Returns whether what is connected must be ended for it to take effect: call
    /// [`Session::reset`] with [`Cease::ConfigurationChange`] then, at a moment of your choice.
    pub fn configure(&mut self, config: SessionConfig) -> bool {
        let needs_reset = self.config.needs_new_session(&config) && self.connections.iter().any(Option::is_some);
        let passive_before = self.config.passive;
        self.config = config;
        if passive_before != self.config.passive && self.dialer.state == State::Active {
            let alone = self.connections.iter().all(Option::is_none);
            // Long past: due with the next poll.
            self.dialer.deadline = (alone && !self.config.passive).then_some(Duration::ZERO);
        }
        needs_reset
    }

    /// The connection that [`Output::Connect`] asked for is up.
    pub fn tcp_connected(&mut self, now: Duration) {
        if self.dialer.state == State::Connect {
            self.begin_connection(ConnectionSide::Opened, now);
        }
        self.note_state(now);
    }

    /// It did not come about.
    pub fn tcp_failed(&mut self, reason: &str, now: Duration) {
        if self.dialer.state == State::Connect {
            self.dial_error = Some(format!("connecting failed: {reason}"));
            self.run_dialer(Event::ConnectFailed, now);
        }
        self.note_state(now);
    }

    /// The neighbour has opened a connection. The session's side of it is [`ConnectionSide::Accepted`] unless refused.
    pub fn tcp_accepted(&mut self, now: Duration) -> Verdict {
        let verdict = self.judge_accepted(now);
        if let Verdict::Refuse(_) = verdict {
            return verdict;
        }
        if let Verdict::Replace { closes } = verdict {
            // What was to be written there can be written no more.
            self.forget_outputs(closes);
            let cause = Cause::lost("the neighbor opened a new connection: it knows nothing of the old one".to_owned());
            self.run(closes, Event::Replaced, cause, now);
        }
        self.begin_connection(ConnectionSide::Accepted, now);
        self.note_state(now);
        verdict
    }

    fn judge_accepted(&self, now: Duration) -> Verdict {
        if !self.enabled {
            return Verdict::Refuse("the session is stopped");
        }
        for side in ConnectionSide::ALL {
            let Some(connection) = self.connection(side).filter(|c| c.state == State::Established) else { continue };
            // RFC 4724 §4.2: with graceful restart a new connection means that the neighbour has restarted; except in the
            // first moments, when it may be the late rest of a collision. Without graceful restart the established one
            // stays (RFC 4271 §6.8); if it is dead our next message finds that out.
            let restarts = connection.negotiated().and_then(|n| n.peer_graceful_restart.as_ref());
            let settled = now >= connection.established_at + COLLISION_WAIT;
            return match restarts.is_some_and(|restart| settled && !restart.families.is_empty()) {
                true => Verdict::Replace { closes: side },
                false => Verdict::Refuse("the session is established on another connection"),
            };
        }
        match (self.connection(ConnectionSide::Accepted), self.dialer.state) {
            // Nobody opens two: the older one is dead.
            (Some(_), _) => Verdict::Replace { closes: ConnectionSide::Accepted },
            (None, State::Idle) => Verdict::Refuse("the session rests after an error"),
            (None, _) => Verdict::Accept,
        }
    }

    fn forget_outputs(&mut self, side: ConnectionSide) {
        self.outputs.retain(|output| output.side() != Some(side) || matches!(output, Output::Established { .. }));
    }

    /// A connection has ended without our doing. The caller has dropped it already: no [`Output::Close`] follows.
    pub fn tcp_closed(&mut self, side: ConnectionSide, reason: &str, now: Duration) {
        let cause = Cause::lost(format!("connection lost: {reason}"));
        self.run(side, Event::ConnectionLost, cause, now);
        self.note_state(now);
    }

    /// The established session has an error that the caller found: a malformed UPDATE, too many prefixes, a way that BFD has lost. The
    /// neighbour is told, the session ends and rests.
    pub fn fail(&mut self, notification: NotificationMessage, now: Duration) {
        if let Some(side) = self.active_side().filter(|_| self.state() == State::Established) {
            self.fail_on(side, notification, now);
        }
    }

    /// The same for an error on either connection in any state: a header that [`crate::wire::frame`] refused.
    pub fn fail_on(&mut self, side: ConnectionSide, notification: NotificationMessage, now: Duration) {
        self.run(side, Event::ErrorFound, Cause::sent(notification), now);
        self.note_state(now);
    }

    /// The caller cannot write any more on this connection.
    pub fn output_blocked(&mut self, side: ConnectionSide, now: Duration) {
        if let Some(connection) = self.connection_mut(side) {
            let until = now + connection.send_hold_time();
            connection.send_hold_deadline.get_or_insert(until);
        }
    }

    /// It can again.
    pub fn output_moves(&mut self, side: ConnectionSide) {
        if let Some(connection) = self.connection_mut(side) {
            connection.send_hold_deadline = None;
        }
    }

    /// The caller has sent messages of its own, `updates` of them UPDATEs: the KEEPALIVE has time again.
    pub fn note_sent(&mut self, messages: u64, updates: u64, now: Duration) {
        self.counters.messages_out += messages;
        self.counters.updates_out += updates;
        // Before that nothing but the session itself sends, and a KEEPALIVE would be due that must not be sent.
        if let Some(side) = self.active_side().filter(|_| messages > 0 && self.state() == State::Established) {
            self.arm_keepalive(side, now);
        }
    }
}
