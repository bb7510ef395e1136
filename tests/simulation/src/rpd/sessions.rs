//! Bytes between the kernel and the speaker: peek, tell, discard; tell, write. See `core/sessions.rs` of the daemon.

use holdfast_bgp::session::ConnectionSide;
use holdfast_proto::v1::{Fact, SessionDown, SessionUp, StreamBytes, fact::Kind};
use rand::Rng;

use super::speaker::Session;
use super::{Connection, Rpd};
use crate::bgp::Engine;
use crate::fault::Bug;
use crate::message;
use crate::neighbor::KEEPALIVE_TIME;
use crate::process::Role;
use crate::tcp::{Holder, Peek, Sent};
use crate::world::World;

/// Bytes looked at in one read.
const READ_LEN: usize = 700;
/// Writes per session and turn.
const WRITES_PER_TURN: usize = 4;

pub(super) fn fact(neighbor: usize, kind: Kind) -> Fact {
    Fact { protocol: "bgp".into(), neighbor: crate::bgp::address(neighbor).to_string(), kind: Some(kind) }
}

/// The number of the neighbour that a fact is about.
pub(super) fn neighbor_of(fact: &Fact) -> Option<usize> {
    let address: std::net::Ipv4Addr = fact.neighbor.parse().ok()?;
    usize::from(address.octets()[3]).checked_sub(1)
}

impl Rpd {
    /// Something can be read, and what was read last is not all that is there.
    pub(super) fn may_read(&self, world: &World, connection: &Connection) -> bool {
        match world.peek(connection.socket, READ_LEN) {
            Peek::Nothing => false,
            Peek::Ended => true,
            Peek::Bytes(bytes) => self.whole(&bytes, connection.established) != Ok(0),
        }
    }

    fn whole(&self, bytes: &[u8], established: bool) -> Result<usize, String> {
        match self.engine {
            Some(_) => crate::bgp::whole(bytes, established),
            None => message::whole(bytes),
        }
    }

    pub(super) async fn accept_connections(&mut self) {
        while !self.os.world.borrow().backlog.is_empty() {
            let accepted = self
                .os
                .call(|world, pid| {
                    let socket = world.backlog.pop_front()?;
                    world.hold(socket, Holder::Process(pid));
                    let counters = world.counters(socket)?;
                    Some((socket, world.sockets[socket].neighbor, counters))
                })
                .await;
            let Some((socket, neighbor, counters)) = accepted else { continue };
            if self.connections.contains_key(&neighbor) {
                self.closed(neighbor, "the neighbor opened another one").await;
            }
            if self.engine.is_some() {
                self.real_accepted(neighbor, socket, counters).await;
                continue;
            }
            let (keepalive_due, side) = (self.os.now() + KEEPALIVE_TIME, ConnectionSide::Accepted);
            let mut connection =
                Connection { socket, ledger: Default::default(), keepalive_due, established: true, side };
            connection.ledger.set_bases(counters);
            self.connections.insert(neighbor, connection);
            self.speaker.up(neighbor, Session::default());
            let epoch = self.standing.epoch;
            let deposited = self.os.vault(|world, pid| world.deposit(pid, epoch, socket)).await;
            if let Err(error) = deposited {
                self.os.world.borrow_mut().note(|| format!("a session cannot be deposited: {error}"));
            }
            if let Some(up) = self.describe(neighbor) {
                self.replicate(up).await;
            }
        }
    }

    /// The fact that a session is up, with where its byte streams stand.
    pub(super) fn describe(&mut self, neighbor: usize) -> Option<Fact> {
        let connection = self.connections.get_mut(&neighbor)?;
        let session = self.speaker.sessions.get(&neighbor)?;
        let mut up = SessionUp { state: session.to_bytes(), ..SessionUp::default() };
        connection.ledger.describe(&mut up);
        Some(fact(neighbor, Kind::Up(up)))
    }

    pub(super) async fn read_sessions(&mut self) {
        for neighbor in self.connections.keys().copied().collect::<Vec<_>>() {
            let held_back = !self.admits_intake() && self.connections.get(&neighbor).is_some_and(|c| c.established);
            if !held_back {
                self.read(neighbor).await;
            }
        }
    }

    /// One read of a session.
    pub(super) async fn read(&mut self, neighbor: usize) {
        let Some(connection) = self.connections.get(&neighbor) else { return };
        let socket = connection.socket;
        if !self.os.world.borrow().is_readable(socket) {
            return; // poll(2) has said so
        }
        let bytes = match self.os.call(|world, _| world.peek(socket, READ_LEN)).await {
            Peek::Bytes(bytes) => bytes,
            Peek::Nothing => return,
            Peek::Ended => return self.closed(neighbor, "the neighbor closed the connection").await,
        };
        let established = connection.established;
        let length = match self.whole(&bytes, established) {
            Ok(length) => length,
            Err(what) => {
                let what = format!("neighbor {neighbor}: {what}");
                return self.os.world.borrow_mut().violate(what);
            }
        };
        if length == 0 && self.os.world.borrow().sockets[socket].reset {
            return self.closed(neighbor, "the neighbor closed the connection").await;
        }
        let bytes = &bytes[..length];
        if bytes.is_empty() {
            return;
        }
        let consumes_first = self.bug(Bug::ConsumeBeforeTelling);
        if consumes_first {
            self.os.call(|world, pid| world.discard(pid, socket, bytes.len())).await;
        }
        let may_consume = !established || self.tell_received(neighbor, bytes).await;
        if !may_consume && !consumes_first {
            return;
        }
        if !consumes_first {
            self.os.call(|world, pid| world.discard(pid, socket, bytes.len())).await;
        }
        let Some(connection) = self.connections.get_mut(&neighbor) else { return };
        connection.ledger.consume(bytes.len());
        if self.engine.is_some() {
            return self.real_receive(neighbor, bytes).await;
        }
        if let Err(what) = self.speaker.receive(neighbor, bytes) {
            self.os.world.borrow_mut().violate(format!("rpd, neighbor {neighbor}: {what}"));
        }
    }

    /// Tells the follower what is about to be consumed. False: its stream is full, nothing may be consumed yet.
    async fn tell_received(&mut self, neighbor: usize, bytes: &[u8]) -> bool {
        let now = self.os.now();
        let (Some(connection), Some(sender)) = (self.connections.get_mut(&neighbor), &mut self.sender) else {
            return true;
        };
        if let Some(received) = connection.ledger.tell_received(bytes, now) {
            sender.push_stream(fact(neighbor, Kind::Received(received.head)), received.data);
        }
        self.flush_replication().await
    }

    /// KEEPALIVEs that are due.
    pub(super) fn keep_alive(&mut self) {
        let now = self.os.now();
        let due: Vec<usize> =
            self.connections.iter().filter(|(_, c)| c.keepalive_due <= now).map(|(neighbor, _)| *neighbor).collect();
        due.into_iter().for_each(|neighbor| self.make_keepalive(neighbor));
    }

    pub(super) fn make_keepalive(&mut self, neighbor: usize) {
        if self.engine.is_some() {
            return self.real_keepalive(neighbor);
        }
        let maker = self.os.world.borrow_mut().random.random();
        let now = self.os.now();
        let Some(connection) = self.connections.get_mut(&neighbor) else { return };
        connection.ledger.fill(|output| self.speaker.say(neighbor, false, output, maker));
        connection.keepalive_due = now + KEEPALIVE_TIME;
    }

    pub(super) async fn write_sessions(&mut self) {
        for neighbor in self.connections.keys().copied().collect::<Vec<_>>() {
            self.write(neighbor).await;
        }
    }

    async fn write(&mut self, neighbor: usize) {
        for _ in 0..WRITES_PER_TURN {
            let (now, output) = (self.os.now(), self.admits_output());
            let Some(connection) = self.connections.get_mut(&neighbor) else { return };
            let socket = connection.socket;
            if !self.os.world.borrow().is_writable(socket) {
                return; // poll(2) has said so
            }
            if let Some(engine) = self.engine.as_mut().filter(|_| connection.ledger.pending().is_empty()) {
                if connection.established && output {
                    let id = engine.id(neighbor);
                    let Engine { speaker, rib } = engine;
                    connection.ledger.fill(|output| speaker.fill_output(id, rib, output, now));
                }
            } else if connection.ledger.pending().is_empty() && output {
                let world = &self.os.world;
                let random = || world.borrow_mut().random.random();
                connection.ledger.fill(|output| self.speaker.fill(neighbor, output, random));
                if !connection.ledger.pending().is_empty() {
                    connection.keepalive_due = now + KEEPALIVE_TIME;
                }
            }
            if connection.ledger.pending().is_empty() {
                return;
            }
            let bytes = connection.ledger.pending().to_vec();
            if self.bug(Bug::WriteBeforeTelling) {
                if let Sent::Taken(taken) = self.os.call(|world, pid| world.send(pid, socket, &bytes)).await {
                    self.tell_sent(neighbor).await;
                    self.connections.get_mut(&neighbor).into_iter().for_each(|c| c.ledger.write(taken));
                }
                continue;
            }
            if !self.tell_sent(neighbor).await {
                return;
            }
            match self.os.call(|world, pid| world.send(pid, socket, &bytes)).await {
                Sent::Taken(taken) => {
                    let Some(connection) = self.connections.get_mut(&neighbor) else { return };
                    connection.ledger.write(taken);
                }
                Sent::Full => return,
                Sent::Ended => return self.closed(neighbor, "connection lost").await,
            }
        }
    }

    /// Tells the follower what is about to be written. False: its stream is full, nothing may be written yet.
    async fn tell_sent(&mut self, neighbor: usize) -> bool {
        let now = self.os.now();
        let Some(connection) = self.connections.get_mut(&neighbor).filter(|c| c.established) else { return true };
        let Some(sender) = &mut self.sender else {
            connection.ledger.skip_telling_sent();
            return true;
        };
        if let Some(sent) = connection.ledger.tell_sent(now) {
            sender.push_stream(fact(neighbor, Kind::Sent(sent.head)), sent.data);
        }
        self.flush_replication().await
    }

    /// The neighbour has ended the session.
    pub(super) async fn closed(&mut self, neighbor: usize, reason: &str) {
        if self.engine.is_some() {
            return self.real_closed(neighbor, reason).await;
        }
        let Some(connection) = self.connections.remove(&neighbor) else { return };
        self.speaker.down(neighbor);
        let epoch = self.standing.epoch;
        let _ = self.os.vault(|world, pid| world.remove(pid, epoch, neighbor)).await;
        self.os.call(|world, pid| world.release(connection.socket, Holder::Process(pid))).await;
        let down = SessionDown { reason: reason.into(), ..SessionDown::default() };
        self.replicate(fact(neighbor, Kind::Down(down))).await;
        debug_assert!(self.standing.role == Role::Primary || self.standing.role == Role::Frozen);
    }

    /// A fact about a session, taken over by a follower.
    pub(super) fn adopt(&mut self, fact: &Fact) -> Result<(), String> {
        let neighbor = neighbor_of(fact).ok_or_else(|| format!("neighbor {} is unknown", fact.neighbor))?;
        let named = |error: holdfast_replication::ReplicationError| format!("neighbor {neighbor}: {error}");
        match &fact.kind {
            Some(Kind::Up(up)) if self.engine.is_some() => {
                self.real_adopt(fact)?;
                let ledger = holdfast_replication::ledger::FollowerLedger::from_fact(up);
                self.adopted.insert(neighbor, super::Adopted { own: None, ledger, ready: None, interrupted: None });
            }
            Some(Kind::Up(up)) => self.adopt_up(neighbor, up)?,
            Some(Kind::Down(_)) => {
                self.adopted.remove(&neighbor);
                match self.engine {
                    Some(_) => self.real_adopt(fact)?,
                    None => self.speaker.down(neighbor),
                }
            }
            Some(Kind::Received(StreamBytes { data, .. })) => {
                let Some(Kind::Received(bytes)) = &fact.kind else { return Ok(()) };
                self.known(neighbor)?.ledger.received(bytes).map_err(named)?;
                match self.engine {
                    Some(_) => self.real_adopt(fact)?,
                    None => self.speaker.receive(neighbor, data)?,
                }
            }
            Some(Kind::Sent(bytes)) => {
                self.known(neighbor)?.ledger.sent(bytes).map_err(named)?;
                match self.engine {
                    Some(_) => self.real_adopt(fact)?,
                    None => self.speaker.said(neighbor, &bytes.data)?,
                }
            }
            Some(Kind::Slice(_) | Kind::Event(_)) if self.engine.is_some() => self.real_adopt(fact)?,
            Some(Kind::Slice(slice)) => self.adopt_slice(&slice.messages),
            _ => {}
        }
        Ok(())
    }

    fn known(&mut self, neighbor: usize) -> Result<&mut super::Adopted, String> {
        self.adopted.get_mut(&neighbor).ok_or_else(|| format!("bytes of neighbor {neighbor}, whose session is not up"))
    }

    fn adopt_up(&mut self, neighbor: usize, up: &SessionUp) -> Result<(), String> {
        let session = Session::from_bytes(&up.state).ok_or("a session's state is malformed")?;
        self.speaker.up(neighbor, session);
        let ledger = holdfast_replication::ledger::FollowerLedger::from_fact(up);
        self.adopted.insert(neighbor, super::Adopted { own: None, ledger, ready: None, interrupted: None });
        Ok(())
    }
}
