//! Messages from the neighbour.

use super::cause::Cause;
use super::connection::{ConnectionSide, OpenRecord};
use super::fsm::{Event, State};
use super::machine::Session;
use super::output::Received;
use super::validate::check_open;
use crate::wire::{
    Cease, MessageType, Negotiated, NotificationMessage, OpenMessage, RouteRefresh, decode_route_refresh,
};
use std::time::Duration;

impl Session {
    /// A message that [`crate::wire::frame`] found; `body` is what follows the header.
    pub fn receive(&mut self, side: ConnectionSide, kind: MessageType, body: &[u8], now: Duration) -> Received {
        if self.connection(side).is_none() {
            return Received::Handled; // it was on its way when we closed
        }
        self.counters.messages_in += 1;
        let received = match kind {
            MessageType::Open => self.receive_open(side, body, now),
            MessageType::Keepalive => self.plain(side, Event::KeepaliveReceived, now),
            MessageType::Notification => self.receive_notification(side, body, now),
            MessageType::RouteRefresh => self.receive_refresh(side, body, now),
            MessageType::Update => {
                let delivered = self.run(side, Event::UpdateReceived, Cause::none(), now);
                self.counters.updates_in += u64::from(delivered);
                if delivered { Received::Update } else { Received::Handled }
            }
        };
        self.note_state(now);
        received
    }

    fn plain(&mut self, side: ConnectionSide, event: Event, now: Duration) -> Received {
        self.run(side, event, Cause::none(), now);
        Received::Handled
    }

    fn receive_open(&mut self, side: ConnectionSide, body: &[u8], now: Duration) -> Received {
        if self.connection(side).is_none_or(|connection| connection.state != State::OpenSent) {
            return self.plain(side, Event::OpenReceived, now); // the table refuses it
        }
        let open = match OpenMessage::decode(body) {
            Ok(open) => open,
            Err(notification) => {
                let cause = Cause::sent_because(notification, "the neighbor's OPEN is malformed");
                self.run(side, Event::ErrorFound, cause, now);
                return Received::Handled;
            }
        };
        if let Err(refusal) = check_open(&self.config, &open) {
            let cause = Cause::sent_because(refusal.notification, &refusal.text);
            self.run(side, Event::ErrorFound, cause, now);
            return Received::Handled;
        }
        if let Some(loser) = self.collision_loser(side, &open) {
            let cause = Cause::sent(NotificationMessage::cease(Cease::ConnectionCollision));
            self.run(loser, Event::CollisionLost, cause, now);
        }
        if let Some(connection) = self.connection_mut(side) {
            let negotiated = Negotiated::from_opens(&connection.local_open.message, &open);
            connection.remote = Some((OpenRecord::received(open, body), negotiated));
        }
        self.plain(side, Event::OpenReceived, now)
    }

    /// Which of two connections is to be closed now that an OPEN came on `side` (RFC 4271 §6.8, RFC 6286 §2.3).
    ///
    /// Only a connection in OpenConfirm collides: before that it is not certain that the neighbour is at its other end. The
    /// router with the higher identifier keeps the one that it opened.
    fn collision_loser(&self, side: ConnectionSide, open: &OpenMessage) -> Option<ConnectionSide> {
        let other = self.connection(side.other())?;
        if other.state == State::Established {
            return Some(side);
        }
        if other.state != State::OpenConfirm {
            return None;
        }
        let ours = &self.connection(side)?.local_open.message;
        let we_keep_ours =
            (u32::from(ours.router_id), ours.autonomous_system) > (u32::from(open.router_id), open.autonomous_system);
        Some(if we_keep_ours { ConnectionSide::Accepted } else { ConnectionSide::Opened })
    }

    fn receive_notification(&mut self, side: ConnectionSide, body: &[u8], now: Duration) -> Received {
        self.counters.notifications_in += 1;
        let cause = Cause::received(NotificationMessage::decode(body));
        self.run(side, Event::NotificationReceived, cause, now);
        Received::Handled
    }

    fn receive_refresh(&mut self, side: ConnectionSide, body: &[u8], now: Duration) -> Received {
        if !self.run(side, Event::RefreshReceived, Cause::none(), now) {
            return Received::Handled;
        }
        match decode_route_refresh(body) {
            Ok(RouteRefresh::Request(family)) if self.carries(side, family) => Received::RouteRefresh { family },
            // Marks of RFC 7313 come only to one who announced it; other families are passed over (RFC 2918 §4).
            Ok(_) => Received::Handled,
            Err(notification) => {
                self.run(side, Event::ErrorFound, Cause::sent(notification), now);
                Received::Handled
            }
        }
    }

    fn carries(&self, side: ConnectionSide, family: holdfast_rib::Family) -> bool {
        self.connection(side).and_then(|c| c.negotiated()).is_some_and(|n| n.carries(family))
    }
}
