//! What happens on neighbours' connections, as the daemon tells it: they come up, bring bytes, and end.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use holdfast_rib::Rib;

use crate::session::{ConnectionSide, Received, Verdict};
use crate::wire::{self, Cease, MessageType, NotificationMessage};

use super::Speaker;
use super::action::{ConnectSpec, Rejection};
use super::limits::BGP_PORT;
use super::table::NeighborId;
use super::transport::Transport;

impl Speaker {
    /// A connection that [`super::Action::Connect`] asked for is up.
    pub fn tcp_connected(&mut self, id: NeighborId, rib: &mut Rib, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.tcp_connected(now);
        }
        self.collect(id, rib, now);
    }

    /// It could not be made.
    pub fn tcp_failed(&mut self, id: NeighborId, reason: &str, rib: &mut Rib, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.tcp_failed(reason, now);
        }
        self.collect(id, rib, now);
    }

    /// Somebody connected to us. With the neighbour comes the side of a dead connection that this one replaces: it is to be
    /// closed first. `Err` says why the new connection is to be closed at once.
    pub fn tcp_accepted(
        &mut self,
        from: IpAddr,
        rib: &mut Rib,
        now: Duration,
    ) -> Result<(NeighborId, Option<ConnectionSide>), Rejection> {
        let from = from.to_canonical();
        let id = match self.find_neighbor(from) {
            Some(id) => id,
            None => self.welcome(from, rib, now)?,
        };
        self.renew_scope(id, rib);
        let gone = || Rejection { reason: format!("{from} is not a configured neighbor"), notification: None };
        let neighbor = self.get_mut(id).ok_or_else(gone)?;
        if neighbor.config.disable {
            let notification = Some(neighbor.shutdown_notification());
            return Err(Rejection { reason: format!("neighbor {from} is shut down here"), notification });
        }
        let replaced = match neighbor.session.tcp_accepted(now) {
            Verdict::Accept => None,
            Verdict::Replace { closes } => Some(closes),
            Verdict::Refuse(reason) => {
                // RFC 4271 §6.8: the established one is kept.
                let collision = neighbor.up.is_some().then(|| NotificationMessage::cease(Cease::ConnectionCollision));
                return Err(Rejection { reason: format!("neighbor {from}: {reason}"), notification: collision });
            }
        };
        self.collect(id, rib, now);
        Ok((id, replaced))
    }

    /// A connection has ended without our doing.
    pub fn tcp_closed(&mut self, id: NeighborId, side: ConnectionSide, reason: &str, rib: &mut Rib, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.tcp_closed(side, reason, now);
        }
        self.collect(id, rib, now);
    }

    /// Takes whole messages (one or many) of one connection. Until a session is established the caller passes one message
    /// at a time, so that [`super::Action::Established`] falls exactly between two messages.
    pub fn receive(&mut self, id: NeighborId, side: ConnectionSide, bytes: &[u8], rib: &mut Rib, now: Duration) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match wire::frame(rest) {
                Ok(Some((length, kind))) => {
                    let body = &rest[wire::HEADER_LEN..length];
                    rest = &rest[length..];
                    if let Err(error) = self.message(id, side, kind, body, rib, now) {
                        self.fail(id, side, error, rib, now);
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.fail(id, side, error, rib, now);
                    break;
                }
            }
            self.collect(id, rib, now);
        }
        self.forget_freed();
        self.collect(id, rib, now);
    }

    /// The bytes on a connection are not BGP, in whatever state it is (RFC 4271 §6.1).
    pub fn fail(
        &mut self,
        id: NeighborId,
        side: ConnectionSide,
        error: NotificationMessage,
        rib: &mut Rib,
        now: Duration,
    ) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.fail_on(side, error, now);
        }
        self.collect(id, rib, now);
    }

    /// The kernel takes no more of what was made for this connection. A neighbour that goes on saying KEEPALIVE and reads nothing
    /// is given up in the end (RFC 9687).
    pub fn output_blocked(&mut self, id: NeighborId, side: ConnectionSide, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.output_blocked(side, now);
        }
    }

    /// The kernel has taken some of it.
    pub fn output_moves(&mut self, id: NeighborId, side: ConnectionSide) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.output_moves(side);
        }
    }

    /// A KEEPALIVE that no timer asks for: it is sent to be acknowledged, and counts as every other.
    pub fn keepalive(&mut self, id: NeighborId, now: Duration) -> Vec<u8> {
        let mut message = Vec::new();
        wire::encode_keepalive(&mut message);
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.counters.messages_out += 1;
            neighbor.last_written = now;
        }
        message
    }

    fn message(
        &mut self,
        id: NeighborId,
        side: ConnectionSide,
        kind: MessageType,
        body: &[u8],
        rib: &mut Rib,
        now: Duration,
    ) -> Result<(), NotificationMessage> {
        let Some(neighbor) = self.get_mut(id) else { return Ok(()) };
        neighbor.counters.messages_in += 1;
        neighbor.last_read = now;
        match neighbor.session.receive(side, kind, body, now) {
            Received::Update => {
                neighbor.counters.updates_in += 1;
                neighbor.note_growth(now);
                self.update(id, body, rib, now)?;
                self.enforce_limits(id, now);
            }
            Received::RouteRefresh(message) => self.refresh_heard(id, message, now),
            Received::Handled => {}
        }
        Ok(())
    }

    pub(super) fn connect_spec(&self, id: NeighborId, rib: &Rib) -> Result<ConnectSpec, String> {
        let neighbor = self.get(id).ok_or("the neighbor is gone")?;
        if !neighbor.config.interface.is_empty() && neighbor.scope.is_none() {
            return Err(format!("there is no interface {}", neighbor.config.interface));
        }
        if let Some(why) = rib.why_nobody_elses(neighbor.address, neighbor.scope) {
            return Err(format!("{} is {why}: configure the neighbor by its address", neighbor.address));
        }
        let port = u16::try_from(neighbor.config.port).ok().filter(|port| *port != 0).unwrap_or(BGP_PORT);
        Ok(ConnectSpec {
            remote: SocketAddr::new(neighbor.address, port),
            scope: neighbor.scope.unwrap_or_default(),
            local: neighbor.config.local_address.parse().ok(),
            transport: Transport::of(&neighbor.config),
        })
    }
}
