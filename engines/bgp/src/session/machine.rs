//! The session's inside: the dialer, the connections, and how the table's actions are carried out.

use super::back_off::BackOff;
use super::cause::Cause;
use super::config::SessionConfig;
use super::connection::{Connection, ConnectionSide};
use super::fsm::{Action, Event, State, step};
use super::limits::{CONNECT_TIMEOUT, REST_MAX, STEADY};
use super::notifications::{Noted, Notifications};
use super::output::{Counters, Output};
use crate::wire::{MessageType, Negotiated, NotificationMessage, encode_keepalive};
use std::collections::VecDeque;
use std::time::Duration;

/// What holds the states before a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialer {
    /// Idle, Active or Connect.
    pub state: State,
    /// Idle: end of the rest. Active: next attempt. Connect: end of the attempt. `None` while a connection is there, when
    /// stopped, and when the neighbour is to connect.
    pub deadline: Option<Duration>,
}

/// One neighbour's session.
///
/// Every method that takes `now` may leave outputs to be polled. Each input makes a handful at most, so the queue is
/// bounded by the caller polling to the end after each.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) config: SessionConfig,
    pub(crate) enabled: bool,
    pub(crate) dialer: Dialer,
    pub(crate) connections: [Option<Connection>; 2],
    pub(crate) back_off: BackOff,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) counters: Counters,
    /// What ended the last connection.
    pub(crate) last_error: Option<String>,
    /// Why there has been no connection since.
    pub(crate) dial_error: Option<String>,
    pub(crate) last_negotiated: Option<Negotiated>,
    pub(crate) notifications: Notifications,
    pub(crate) shown_state: State,
    pub(crate) state_since: Duration,
    /// When the first connection came since a session was established last, or the operator wanted one.
    pub(crate) unproven_since: Option<Duration>,
}

impl Session {
    /// A session that is stopped. The seed decides its delays.
    pub fn new(config: SessionConfig, seed: u64) -> Session {
        Session {
            config,
            enabled: false,
            dialer: Dialer { state: State::Idle, deadline: None },
            connections: [None, None],
            back_off: BackOff::new(seed),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            last_error: None,
            dial_error: None,
            last_negotiated: None,
            notifications: Notifications::default(),
            shown_state: State::Idle,
            state_since: Duration::ZERO,
            unproven_since: None,
        }
    }

    /// It has not been there before: it is in its first state from now on.
    pub fn appear(&mut self, now: Duration) {
        self.state_since = now;
    }

    /// What is to be done next. Call until `None` after every input, and when [`Session::next_deadline`] has come.
    pub fn poll(&mut self, now: Duration) -> Option<Output> {
        self.expire(now);
        self.note_state(now);
        self.outputs.pop_front()
    }

    /// When [`Session::poll`] is to be called at the latest; already past if outputs are waiting.
    pub fn next_deadline(&self) -> Option<Duration> {
        if !self.outputs.is_empty() {
            return Some(Duration::ZERO);
        }
        let connections = self.connections.iter().flatten().filter_map(Connection::deadline);
        connections.chain(self.dialer.deadline).min()
    }

    /// Lets every timer that is due take effect.
    fn expire(&mut self, now: Duration) {
        let due = |deadline: Option<Duration>| deadline.is_some_and(|deadline| deadline <= now);
        for side in ConnectionSide::ALL {
            if due(self.connection(side).and_then(|c| c.hold_deadline)) {
                let cause = Cause::sent_because(NotificationMessage::hold_timer_expired(), &self.silence(side));
                self.run(side, Event::HoldExpired, cause, now);
            }
            if due(self.connection(side).and_then(|c| c.send_hold_deadline)) {
                let cause = Cause::sent_because(NotificationMessage::send_hold_timer_expired(), &self.standstill(side));
                self.run(side, Event::SendHoldExpired, cause, now);
            }
            if due(self.connection(side).and_then(|c| c.keepalive_deadline)) {
                self.run(side, Event::KeepaliveDue, Cause::none(), now);
            }
            if due(self.connection(side).and_then(|c| c.deferred).map(|(_, until)| until)) {
                self.release(side, now);
            }
        }
        if due(self.dialer.deadline) {
            self.dialer.deadline = None;
            match self.dialer.state {
                State::Idle => self.run_dialer(self.start_event(), now),
                _ => self.run_dialer(Event::RetryExpired, now),
            }
        }
    }

    fn silence(&self, side: ConnectionSide) -> String {
        match self.connection(side).map(|c| (c.state, c.negotiated().map_or(0, |n| n.hold_time_s))) {
            Some((State::OpenSent, _)) | None => "the neighbor accepted the connection but sent no OPEN".to_owned(),
            Some((_, hold_time_s)) => {
                format!("nothing was heard from the neighbor for its hold time of {hold_time_s} s")
            }
        }
    }

    fn standstill(&self, side: ConnectionSide) -> String {
        let seconds = self.connection(side).map_or(0, |connection| connection.send_hold_time().as_secs());
        format!("the neighbor has read nothing of ours for {seconds} s, though its TCP answers")
    }

    pub(crate) fn connection(&self, side: ConnectionSide) -> Option<&Connection> {
        self.connections[side.index()].as_ref()
    }

    pub(crate) fn connection_mut(&mut self, side: ConnectionSide) -> Option<&mut Connection> {
        self.connections[side.index()].as_mut()
    }

    pub(crate) fn start_event(&self) -> Event {
        if self.config.passive { Event::StartPassive } else { Event::Start }
    }

    /// A TCP connection is up: our OPEN goes out.
    pub(crate) fn begin_connection(&mut self, side: ConnectionSide, now: Duration) {
        let (state, actions) = step(State::Active, Event::Connected);
        self.connections[side.index()] = Some(Connection::new(state, self.config.open(), now));
        if self.dialer.state == State::Active || side == ConnectionSide::Opened {
            self.dialer = Dialer { state: State::Active, deadline: None };
        }
        self.back_off.dial_succeeded();
        self.dial_error = None;
        self.unproven_since.get_or_insert(now);
        actions.iter().for_each(|action| self.act(side, *action, state, &Cause::none(), now));
    }

    /// One event on one connection. Returns whether the message is to be delivered to the caller.
    pub(crate) fn run(&mut self, side: ConnectionSide, event: Event, mut cause: Cause, now: Duration) -> bool {
        let Some(connection) = self.connection_mut(side) else { return false };
        let before = connection.state;
        let (next, actions) = step(before, event);
        connection.state = next;
        if actions.contains(&Action::SendNotification) && cause.sent.is_none() {
            cause = unexpected(before, event);
        }
        if before == State::Established && self.survives_notification(side) {
            cause.harden();
        }
        actions.iter().for_each(|action| self.act(side, *action, before, &cause, now));
        if next < State::OpenSent {
            self.end_connection(side, next, actions, cause, now);
        }
        actions.contains(&Action::Deliver)
    }

    fn survives_notification(&self, side: ConnectionSide) -> bool {
        self.connection(side).and_then(Connection::negotiated).is_some_and(|n| n.notification_restart)
    }

    fn act(&mut self, side: ConnectionSide, action: Action, before: State, cause: &Cause, now: Duration) {
        match action {
            Action::SendOpen => {
                if let Some(message) = self.connection(side).map(|c| c.local_open.wire.clone()) {
                    self.send(side, message);
                }
            }
            Action::SendKeepalive => self.send_keepalive(side, now),
            Action::SendNotification => {
                if let Some(notification) = &cause.sent {
                    self.counters.notifications_out += 1;
                    self.notifications.sent = Some(Noted { message: notification.clone(), at: now });
                    self.send(side, notification.encode());
                }
            }
            Action::Close => self.outputs.push_back(Output::Close { side }),
            Action::RestartHold => {
                if let Some(connection) = self.connection_mut(side) {
                    connection.restart_hold(now);
                }
            }
            Action::Up => self.came_up(side, now),
            Action::Down => self.went_down(side, cause, now),
            // The dialer's, and the caller's.
            Action::Dial | Action::AbandonDial | Action::ArmRetry | Action::Rest | Action::Deliver => {}
        }
        debug_assert!(action != Action::Down || before == State::Established);
    }

    fn send(&mut self, side: ConnectionSide, message: Vec<u8>) {
        self.counters.messages_out += 1;
        self.outputs.push_back(Output::Send { side, message });
    }

    fn send_keepalive(&mut self, side: ConnectionSide, now: Duration) {
        let mut message = Vec::new();
        encode_keepalive(&mut message);
        self.send(side, message);
        self.arm_keepalive(side, now);
    }

    /// Something has just been sent: the next KEEPALIVE has time.
    pub(crate) fn arm_keepalive(&mut self, side: ConnectionSide, now: Duration) {
        let interval = self.connection(side).and_then(Connection::keepalive_interval);
        let deadline = interval.map(|interval| now + self.back_off.jitter(interval));
        if let Some(connection) = self.connection_mut(side) {
            connection.keepalive_deadline = deadline;
        }
    }

    fn came_up(&mut self, side: ConnectionSide, now: Duration) {
        let collision = Cause::sent(NotificationMessage::cease(crate::wire::Cease::ConnectionCollision));
        self.run(side.other(), Event::CollisionLost, collision, now);
        self.run_dialer(Event::Superseded, now);
        self.counters.established += 1;
        self.unproven_since = None;
        if let Some(connection) = self.connection_mut(side) {
            connection.established_at = now;
            self.last_negotiated = connection.negotiated().cloned();
        }
        self.outputs.push_back(Output::Established { side });
    }

    fn went_down(&mut self, side: ConnectionSide, cause: &Cause, now: Duration) {
        self.counters.flaps += 1;
        let up_for = self.connection(side).map(|c| now.saturating_sub(c.established_at));
        if up_for.is_some_and(|up_for| up_for >= STEADY) {
            self.back_off.forget();
        }
        let reason = cause.down(self.survives_notification(side));
        self.outputs.push_back(Output::Down { reason });
    }

    /// The connection is gone. Unless the other one lives, its state goes back to the dialer.
    fn end_connection(&mut self, side: ConnectionSide, next: State, actions: &[Action], cause: Cause, now: Duration) {
        self.connections[side.index()] = None;
        let collided = actions == [Action::SendNotification, Action::Close] && self.enabled;
        if !collided && !cause.text.is_empty() {
            self.last_error = Some(cause.text);
        }
        if self.connection(side.other()).is_some() {
            self.release(side.other(), now);
            return;
        }
        if actions.contains(&Action::Rest) {
            self.back_off.session_failed();
            self.run_dialer(Event::Stop, now); // gives up an attempt
            let rest = self.back_off.rest(REST_MAX);
            self.dialer = Dialer { state: State::Idle, deadline: Some(now + rest) };
        } else if self.dialer.state != State::Connect {
            self.dialer = Dialer { state: next, deadline: None };
            if actions.contains(&Action::ArmRetry) {
                self.back_off.session_failed();
                self.arm_retry(now);
            }
        }
    }

    pub(crate) fn run_dialer(&mut self, event: Event, now: Duration) {
        let (next, actions) = step(self.dialer.state, event);
        if next >= State::OpenSent {
            return; // connections have their own way in: `begin_connection`
        }
        if next != self.dialer.state || !actions.is_empty() {
            self.dialer = Dialer { state: next, deadline: None };
        }
        for action in actions {
            match action {
                Action::Dial => {
                    self.dialer.deadline = Some(now + CONNECT_TIMEOUT);
                    self.outputs.push_back(Output::Connect);
                }
                Action::AbandonDial => self.outputs.push_back(Output::Close { side: ConnectionSide::Opened }),
                Action::ArmRetry => {
                    self.back_off.dial_failed();
                    self.arm_retry(now);
                }
                _ => {}
            }
        }
    }

    /// The time of the next attempt; none while there is a connection or where the neighbour is to connect.
    pub(crate) fn arm_retry(&mut self, now: Duration) {
        let alone = self.connections.iter().all(Option::is_none);
        self.dialer.deadline =
            (alone && !self.config.passive).then(|| now + self.back_off.retry(self.config.restarting));
    }

    pub(crate) fn note_state(&mut self, now: Duration) {
        let state = self.state();
        if state != self.shown_state {
            (self.shown_state, self.state_since) = (state, now);
        }
    }
}

/// A message that must not come in this state (RFC 6608).
fn unexpected(state: State, event: Event) -> Cause {
    let (subcode, kind) = match (state, event) {
        (State::OpenSent, Event::KeepaliveReceived) => (1, MessageType::Keepalive),
        (State::OpenSent, Event::RefreshReceived) => (1, MessageType::RouteRefresh),
        (State::OpenSent, _) => (1, MessageType::Update),
        (State::OpenConfirm, Event::OpenReceived) => (2, MessageType::Open),
        (State::OpenConfirm, Event::RefreshReceived) => (2, MessageType::RouteRefresh),
        (State::OpenConfirm, _) => (2, MessageType::Update),
        _ => (3, MessageType::Open),
    };
    let text = format!("the neighbor sent a message of type {kind:?} in state {state}");
    Cause::sent_because(NotificationMessage::fsm_error(subcode, kind), &text)
}
