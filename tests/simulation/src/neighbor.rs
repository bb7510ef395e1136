//! A neighbour: says numbered messages, checks every byte that it gets, and ends a session on which nothing comes.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;

use crate::bgp::{DESTINATIONS, Peer};
use crate::message::Message;
use crate::world::{Event, Time, World};

/// As short as operators configure it: nothing for this long ends the session (RFC 4271 §4.2, at least three seconds).
pub(crate) const HOLD_TIME: Duration = Duration::from_secs(9);

/// A third of the hold time (RFC 4271 §4.4).
pub(crate) const KEEPALIVE_TIME: Duration = Duration::from_secs(3);

/// How often a neighbour looks at its timers.
const TICK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Neighbor {
    pub socket: Option<usize>,
    /// Said and not yet arrived at the router.
    outgoing: VecDeque<u8>,
    /// An arrival is due.
    arriving: bool,
    /// Messages said in this session.
    pub said: u32,
    pub updates_said: u32,
    incoming: Vec<u8>,
    /// Messages that came in this session.
    heard: u32,
    pub updates_heard: u32,
    heard_at: Time,
    said_at: Time,
    next_update: Time,
    /// How many sessions ended without having been meant to.
    pub flaps: u32,
    /// Bytes taken at once, and how often.
    appetite: usize,
    pace: Duration,
    /// The kernel of the router holds at most so much for it.
    pub send_queue_max: usize,
    blocked_until: Time,
    pub silence_max: Duration,
    /// Its BGP, in the second level.
    pub peer: Option<Peer>,
}

impl Neighbor {
    /// The last of them is slow.
    pub(crate) fn new(slow: bool, peer: Option<Peer>) -> Self {
        Neighbor {
            socket: None,
            outgoing: VecDeque::new(),
            arriving: false,
            said: 0,
            updates_said: 0,
            incoming: Vec::new(),
            heard: 0,
            updates_heard: 0,
            heard_at: Duration::ZERO,
            said_at: Duration::ZERO,
            next_update: Duration::ZERO,
            flaps: 0,
            appetite: if slow { 240 } else { 2000 },
            pace: if slow { Duration::from_millis(4) } else { Duration::from_micros(400) },
            send_queue_max: if slow { 200 } else { 3000 },
            blocked_until: Duration::ZERO,
            silence_max: Duration::ZERO,
            peer,
        }
    }

    /// Checks what came: every message once and in order.
    fn take(&mut self, bytes: &[u8], now: Time) -> Result<(), String> {
        self.silence_max = self.silence_max.max(now - self.heard_at);
        self.heard_at = now;
        self.incoming.extend_from_slice(bytes);
        if let Some(peer) = &mut self.peer {
            peer.hear(&mut self.incoming)?;
            self.outgoing.extend(peer.out.drain(..));
            return Ok(());
        }
        while let Some((message, length)) = Message::decode(&self.incoming)? {
            let expected = (self.heard, self.updates_heard);
            if (message.number, message.update) != expected {
                return Err(format!("{message:?} came, number and update {expected:?} were due"));
            }
            self.heard += 1;
            self.updates_heard += u32::from(message.is_update);
            self.incoming.drain(..length);
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn block_link(&mut self, id: usize, until: Time) {
        self.neighbors[id].blocked_until = until;
        self.note(|| format!("the link of neighbor {id} carries nothing until {until:?}"));
    }

    pub(crate) fn neighbor_tick(&mut self, id: usize) {
        self.neighbor_timers(id);
        let tick = self.now + TICK + self.some_us(0, 5000);
        let update = self.neighbors[id].next_update;
        let next = if update > self.now && !self.draining { tick.min(update) } else { tick };
        self.at(next, Event::Neighbor(id));
    }

    fn neighbor_timers(&mut self, id: usize) {
        if self.neighbors[id].socket.is_none() {
            return self.neighbor_connect(id);
        }
        if self.now - self.neighbors[id].heard_at >= HOLD_TIME {
            return self.end_session(id, "its hold timer expired");
        }
        if self.now >= self.neighbors[id].next_update && !self.draining {
            let busy = self.now < self.busy_until && self.now > self.busy_until / 2;
            let (low, high) = match self.chassis.end {
                None if busy => (4_000, 25_000),
                None => (80_000, 250_000),
                Some(_) => (900_000, 2_000_000),
            };
            let pause = self.some_us(low, high);
            let burst = if busy { self.random.random_range(1..=5) } else { 1 };
            let burst = if self.neighbors[id].peer.is_some() && !busy { burst.min(1) } else { burst };
            for _ in 0..burst {
                self.say(id, true);
            }
            self.neighbors[id].next_update = self.now + pause;
        } else if self.now - self.neighbors[id].said_at >= KEEPALIVE_TIME {
            self.say(id, false);
        }
        self.arrival_due(id);
    }

    fn say(&mut self, id: usize, is_update: bool) {
        let maker = self.random.random();
        let filler = self.random.random_range(0..220);
        let now = self.now;
        let neighbor = &mut self.neighbors[id];
        if let Some(peer) = &mut neighbor.peer {
            let (destination, length) = (self.random.random_range(0..DESTINATIONS), self.random.random_range(0..4));
            match is_update {
                _ if !peer.is_up => return,
                true => peer.change(destination, length, now),
                false => peer.keepalive(),
            }
            if !peer.out.is_empty() {
                neighbor.said_at = now;
            }
            return neighbor.outgoing.extend(peer.out.drain(..));
        }
        let message = Message { is_update, number: neighbor.said, update: neighbor.updates_said, maker, filler };
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        neighbor.outgoing.extend(bytes);
        neighbor.said += 1;
        neighbor.updates_said += u32::from(is_update);
        neighbor.said_at = now;
    }

    fn neighbor_connect(&mut self, id: usize) {
        let send_queue_max = self.neighbors[id].send_queue_max;
        let Some(socket) = self.connect(id, send_queue_max) else { return };
        let now = self.now;
        let old = std::mem::replace(&mut self.neighbors[id], Neighbor::new(false, None));
        let neighbor = &mut self.neighbors[id];
        (neighbor.appetite, neighbor.pace, neighbor.send_queue_max) = (old.appetite, old.pace, old.send_queue_max);
        (neighbor.flaps, neighbor.silence_max) = (old.flaps, old.silence_max);
        neighbor.blocked_until = old.blocked_until;
        neighbor.peer = old.peer;
        if let Some(peer) = &mut neighbor.peer {
            peer.connected();
            neighbor.outgoing.extend(peer.out.drain(..));
        }
        neighbor.socket = Some(socket);
        (neighbor.heard_at, neighbor.said_at, neighbor.next_update) = (now, now, now);
        self.note(|| format!("neighbor {id} connects"));
    }

    fn end_session(&mut self, id: usize, why: &str) {
        let neighbor = &mut self.neighbors[id];
        let Some(socket) = neighbor.socket.take() else { return };
        let planned = self.restarting >> id & 1 == 1 && self.sockets[socket].shut;
        match &mut neighbor.peer {
            None => neighbor.flaps += 1,
            Some(peer) => {
                peer.restarts += u32::from(peer.is_up && planned);
                peer.is_returning |= peer.is_up && planned;
                neighbor.flaps += u32::from(peer.is_up && !planned);
                peer.disconnected();
            }
        }
        neighbor.outgoing.clear();
        self.note(|| format!("neighbor {id} ends its session: {why}"));
        self.reset(socket);
    }

    fn arrival_due(&mut self, id: usize) {
        if !self.neighbors[id].outgoing.is_empty() && !std::mem::replace(&mut self.neighbors[id].arriving, true) {
            let delay = self.some_us(100, 3000);
            let at = (self.now + delay).max(self.neighbors[id].blocked_until);
            self.at(at, Event::FromNeighbor(id));
        }
    }

    /// Some of what a neighbour said reaches the router.
    pub(crate) fn neighbor_bytes_arrive(&mut self, id: usize) {
        self.neighbors[id].arriving = false;
        let Some(socket) = self.neighbors[id].socket else { return };
        if self.now >= self.neighbors[id].blocked_until {
            let mut outgoing = std::mem::take(&mut self.neighbors[id].outgoing);
            self.arrive(socket, &mut outgoing);
            self.neighbors[id].outgoing = outgoing;
        }
        self.arrival_due(id);
    }

    /// Some of what the router wrote reaches its neighbour, or the connection's end does.
    pub(crate) fn router_bytes_arrive(&mut self, socket: usize) {
        let id = self.sockets[socket].neighbor;
        if self.neighbors[id].socket != Some(socket) {
            return;
        }
        let blocked_until = self.neighbors[id].blocked_until;
        if self.now < blocked_until {
            return self.at(blocked_until, Event::ToNeighbor(socket));
        }
        let (appetite, pace) = (self.neighbors[id].appetite, self.neighbors[id].pace);
        let bytes = self.depart(socket, appetite);
        let now = self.now;
        if !bytes.is_empty()
            && let Err(what) = self.neighbors[id].take(&bytes, now)
        {
            return self.violate(format!("neighbor {id}: {what}"));
        }
        if self.waits_for_departure(socket) {
            self.after(pace, Event::ToNeighbor(socket));
        } else if self.sockets[socket].closed || self.sockets[socket].shut {
            self.end_session(id, "the router closed it");
        }
    }
}
