//! Bytes between the kernel and the speaker: peek, replicate, discard; replicate, write.

use std::os::fd::AsFd;
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::{ConnectSpec, ConnectionEnds, Kept, NeighborId};
use holdfast_bgp::wire;
use holdfast_ipc::unix_ms;
use holdfast_kernel::tcp;
use holdfast_proto::v1::fact::Kind;
use holdfast_replication::ledger::KernelCounters;
use holdfast_vault::BGP_SESSION_PREFIX;
use mio::Token;

use super::connections::Connection;
use super::{Core, now, transport};
use crate::limits::{CLOSE_DISCARD_LEN, READ_LEN, WRITES_PER_TURN};

/// What the vault calls sessions.
pub const SESSION_KIND: &str = "session";

/// A session's name in the vault.
pub fn vault_name(neighbor: std::net::IpAddr) -> String {
    format!("{BGP_SESSION_PREFIX}{neighbor}")
}

/// What ledgers need of the kernel's counters.
pub(super) fn kernel_counters(counters: &tcp::TcpCounters) -> KernelCounters {
    KernelCounters { consumed: counters.consumed(), written: counters.written() }
}

impl Connection {
    /// Notes where the kernel's counters stand at the handshake, to turn them into offsets later.
    pub fn take_bases(&mut self) {
        if let Ok(counters) = tcp::tcp_counters(self.socket()) {
            self.ledger.set_bases(kernel_counters(&counters));
        }
    }
}

/// How far one read got.
pub(super) enum ReadStep {
    /// There may be more.
    Again,
    /// Nothing now.
    Idle,
    /// A follower's stream is full.
    Stalled,
}

impl Core {
    pub(super) fn connect(&mut self, neighbor: NeighborId, spec: ConnectSpec, now: Duration) {
        let mut remote = spec.remote;
        if let std::net::SocketAddr::V6(remote) = &mut remote {
            remote.set_scope_id(spec.scope);
        }
        let socket =
            tcp::connect(remote, spec.local, |socket| transport::prepare(socket, remote.ip(), &spec.transport));
        match socket {
            Ok(socket) => {
                let connection = Connection::new(socket, neighbor, ConnectionSide::Opened, true, spec.transport);
                self.add_connection(connection);
            }
            Err(error) => {
                self.protocols.bgp.tcp_failed(neighbor, &error.to_string(), &mut self.rib, now);
            }
        }
    }

    /// Reads every session that may have something, a bounded amount each.
    pub(super) fn read_sessions(&mut self, now: Duration) {
        for token in self.connections.tokens_in_turn() {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            if connection.connecting {
                if connection.writable {
                    self.finish_connect(token, now);
                }
                continue;
            }
            let intake = self.admits_intake();
            while self.connections.get_mut(token).is_some_and(|connection| connection.may_read(intake, now)) {
                match self.read(token, now) {
                    // Until a session is established messages go one by one; after that a read is enough for one turn.
                    ReadStep::Again if !self.connections.get_mut(token).is_some_and(|c| c.established) => self.act(),
                    ReadStep::Again | ReadStep::Stalled => break,
                    ReadStep::Idle => {}
                }
            }
            self.act();
        }
    }

    fn finish_connect(&mut self, token: Token, now: Duration) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let neighbor = connection.neighbor;
        let failure = match tcp::take_error(connection.socket()) {
            Ok(None) => tcp::peer_address(connection.socket()).err(),
            Ok(Some(error)) | Err(error) => Some(error),
        };
        match failure {
            None => {
                connection.connecting = false;
                connection.readable = true;
                connection.take_bases();
                self.protocols.bgp.tcp_connected(neighbor, &mut self.rib, now);
            }
            // Writable before the handshake's end happens when epoll reports a fresh socket; the real event follows.
            Some(error) if error.kind() == std::io::ErrorKind::NotConnected => connection.writable = false,
            Some(error) => {
                self.connections.remove(token, self.inputs.poll.registry());
                self.protocols.bgp.tcp_failed(neighbor, &error.to_string(), &mut self.rib, now);
            }
        }
        self.act();
    }

    pub(super) fn read(&mut self, token: Token, now: Duration) -> ReadStep {
        let mut buffer = [0; READ_LEN];
        let intake = self.admits_intake();
        let Some(connection) = self.connections.get_mut(token) else { return ReadStep::Idle };
        let (neighbor, side) = (connection.neighbor, connection.side);
        let length = match tcp::peek(connection.socket(), &mut buffer) {
            Ok(0) => return self.closed(token, "the neighbor closed the connection", now),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                connection.readable = false;
                return ReadStep::Idle;
            }
            Err(error) => return self.closed(token, &error.to_string(), now),
        };
        let whole = whole_messages(&buffer[..length], connection.reads_all(intake));
        if let Err(error) = whole.malformed {
            if whole.length == 0 {
                let _ = tcp::discard(connection.socket(), length);
                self.protocols.bgp.fail(neighbor, side, error, &mut self.rib, now);
                return ReadStep::Idle;
            }
        } else if whole.length == 0 {
            connection.readable = false; // the rest of the message comes with an event of its own
            return ReadStep::Idle;
        }
        let bytes = &buffer[..whole.length];
        if connection.established && !self.replicate_received(token, bytes, now) {
            return ReadStep::Stalled;
        }
        let Some(connection) = self.connections.get_mut(token) else { return ReadStep::Idle };
        if let Err(error) = tcp::discard(connection.socket(), bytes.len()) {
            return self.closed(token, &error.to_string(), now);
        }
        connection.ledger.consume(bytes.len());
        connection.read_at = now;
        connection.output = true;
        self.protocols.bgp.receive(neighbor, side, bytes, &mut self.rib, now);
        self.connections.mark_output_all();
        ReadStep::Again
    }

    /// Tells followers what is about to be consumed. False: their stream is full, nothing may be consumed yet.
    fn replicate_received(&mut self, token: Token, bytes: &[u8], now: Duration) -> bool {
        let (Some(connection), Some(sender)) = (self.connections.get_mut(token), &mut self.sender) else { return true };
        if let Some(received) = connection.ledger.tell_received(bytes, now)
            && let Some(fact) = self.protocols.bgp.received_fact(connection.neighbor, received.head)
        {
            sender.push_stream(fact, received.data, now);
        }
        self.flush_replication(now)
    }

    fn closed(&mut self, token: Token, reason: &str, now: Duration) -> ReadStep {
        if let Some(connection) = self.connections.remove(token, self.inputs.poll.registry()) {
            self.protocols.bgp.tcp_closed(connection.neighbor, connection.side, reason, &mut self.rib, now);
            self.act();
            self.connections.linger(connection.fd.into(), now);
        }
        ReadStep::Idle
    }

    /// Puts a message of the session's at the end of a connection's output.
    pub(super) fn enqueue(&mut self, neighbor: NeighborId, side: ConnectionSide, message: &[u8]) {
        let token = self.connections.find(neighbor, side);
        if let Some(connection) = token.and_then(|token| self.connections.get_mut(token)) {
            connection.ledger.make(message);
            connection.output = true;
        }
    }

    /// Gives every session's output to the kernel as far as it takes it.
    pub(super) fn write_sessions(&mut self, now: Duration) {
        for token in self.connections.tokens_in_turn() {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            if !connection.connecting
                && connection.writable
                && (connection.output || !connection.ledger.pending().is_empty())
            {
                self.write(token, now);
            }
        }
    }

    fn write(&mut self, token: Token, now: Duration) {
        for _ in 0..WRITES_PER_TURN {
            let output = self.admits_output();
            let Some(connection) = self.connections.get_mut(token) else { return };
            let (neighbor, side) = (connection.neighbor, connection.side);
            if connection.ledger.pending().is_empty() && connection.established && output {
                let (bgp, rib) = (&mut self.protocols.bgp, &mut self.rib);
                connection.ledger.fill(|output| bgp.fill_output(neighbor, rib, output, now));
                connection.output = self.protocols.bgp.has_output(neighbor);
            }
            if connection.ledger.pending().is_empty() {
                connection.output &= connection.established && self.protocols.bgp.has_output(neighbor);
                return;
            }
            if !self.replicate_sent(token, now) {
                return;
            }
            let Some(connection) = self.connections.get_mut(token) else { return };
            match tcp::send_nowait(connection.fd.as_fd(), connection.ledger.pending()) {
                Ok(taken) => {
                    connection.ledger.write(taken);
                    self.protocols.bgp.output_moves(neighbor, side);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    connection.writable = false;
                    self.protocols.bgp.output_blocked(neighbor, side, now);
                    return;
                }
                Err(error) => {
                    self.closed(token, &error.to_string(), now);
                    return;
                }
            }
        }
    }

    /// Tells followers what is about to be written. False: their stream is full, nothing may be written yet.
    fn replicate_sent(&mut self, token: Token, now: Duration) -> bool {
        let Some(connection) = self.connections.get_mut(token) else { return true };
        if !connection.established {
            return true;
        }
        let Some(sender) = &mut self.sender else {
            connection.ledger.skip_telling_sent();
            return true;
        };
        let neighbor = connection.neighbor;
        if let Some(sent) = connection.ledger.tell_sent(now)
            && let Some(fact) = self.protocols.bgp.sent_fact(neighbor, sent.head)
        {
            sender.push_stream(fact, sent.data, now);
        }
        self.flush_replication(now)
    }

    /// A session came up: its descriptor goes to the vault, its existence to followers.
    pub(super) fn established(&mut self, neighbor: NeighborId, side: ConnectionSide, now: Duration) {
        let Some(token) = self.connections.find(neighbor, side) else { return };
        let Some(connection) = self.connections.get_mut(token) else { return };
        let ends = (tcp::local_address(connection.socket()), tcp::peer_address(connection.socket()));
        let (Ok(local), Ok(remote)) = ends else {
            self.closed(token, "the connection has no addresses any more", now);
            return;
        };
        connection.established = true;
        connection.output = true;
        // What the handshake left unwritten belongs to what the facts begin with.
        connection.ledger.skip_telling();
        self.bfd.mark_stale(); // one that is not configured itself is watched, too
        self.protocols.bgp.established(neighbor, side, ConnectionEnds { local, remote }, unix_ms(), now, &mut self.rib);
        self.deposit(token, neighbor);
        if let Some(fact) = self.session_up(neighbor, token) {
            self.replicate(fact);
        }
        tracing::info!("BGP neighbor {} is established", remote.ip().to_canonical());
    }

    /// Gives the vault a duplicate of the session's descriptor. Where that fails, the session cannot go over to a successor.
    fn deposit(&mut self, token: Token, neighbor: NeighborId) {
        let Some(address) = self.protocols.bgp.neighbor_address(neighbor) else { return };
        let name = vault_name(address);
        let reached = self.vault().map(drop);
        let deposited = reached.and_then(|()| match (&mut self.vault, self.connections.get_mut(token)) {
            (Some(vault), Some(connection)) => {
                vault.deposit(&name, SESSION_KIND, &[], connection.socket()).map_err(|error| error.to_string())
            }
            _ => Err("its connection has ended".into()),
        });
        if let Err(error) = &deposited {
            tracing::error!("{name} cannot be deposited, its session cannot outlive this process: {error}");
        }
        self.protocols.bgp.set_deposited(neighbor, deposited.is_ok());
    }

    /// The fact that a session is up, with where its byte streams stand.
    fn session_up(&mut self, neighbor: NeighborId, token: Token) -> Option<holdfast_proto::v1::Fact> {
        let mut fact = self.protocols.bgp.session_up_fact(neighbor, false)?;
        self.place(&mut fact, neighbor, token);
        Some(fact)
    }

    /// Completes a session's fact by what only its connection knows: where the byte streams stand now.
    fn place(&mut self, fact: &mut holdfast_proto::v1::Fact, neighbor: NeighborId, token: Token) {
        let (Some(Kind::Up(up)), Some(connection)) = (&mut fact.kind, self.connections.get_mut(token)) else { return };
        if self.protocols.bgp.is_deposited(neighbor) {
            up.descriptor = format!("{BGP_SESSION_PREFIX}{}", fact.neighbor);
        }
        connection.ledger.describe(up);
    }

    /// Every established session, for a follower that joins.
    pub(super) fn describe_sessions(&mut self, now: Duration) -> Vec<holdfast_proto::v1::Fact> {
        let mut facts = self.protocols.describe_sessions(now);
        for fact in &mut facts {
            let address = fact.neighbor.parse().ok();
            let neighbor = address.and_then(|address| self.protocols.bgp.find_neighbor(address));
            let Some(neighbor) = neighbor else { continue };
            if let Some(token) = self.connections.find_established(neighbor) {
                self.place(fact, neighbor, token);
            }
        }
        facts
    }

    pub(super) fn session_down(&mut self, neighbor: NeighborId, reason: &str, kept: Kept, now: Duration) {
        let Some(address) = self.protocols.bgp.neighbor_address(neighbor) else { return };
        let routes = match kept {
            Kept::Nothing => "",
            Kept::WhileItRestarts => "; its routes are kept, it seems to restart gracefully",
            Kept::WhileWeRestart => "; its routes are kept while we restart gracefully",
        };
        tracing::info!("BGP neighbor {address} is down: {reason}{routes}");
        self.note_end(neighbor);
        self.watch_drops_of(neighbor);
        if let Some(fact) = self.protocols.bgp.session_down_fact(neighbor, reason, kept, now) {
            self.replicate(fact);
        }
        if let Ok(vault) = self.vault() {
            // Sessions that ended before they were established are not in it.
            let _ = vault.remove(&vault_name(address));
        }
    }

    /// What an operator should find in the log of sessions that do not come about.
    pub(super) fn report(&mut self, neighbor: NeighborId, text: &str) {
        if let Some(address) = self.protocols.bgp.neighbor_address(neighbor) {
            tracing::info!("BGP neighbor {address}: {text}");
        }
    }

    /// Closes a connection after giving the kernel what waits for it.
    pub(super) fn close(&mut self, neighbor: NeighborId, side: ConnectionSide) {
        let Some(token) = self.connections.find(neighbor, side) else { return };
        let Some(mut connection) = self.connections.remove(token, self.inputs.poll.registry()) else { return };
        while !connection.connecting && !connection.ledger.pending().is_empty() {
            match tcp::send_nowait(connection.fd.as_fd(), connection.ledger.pending()) {
                Ok(taken) => connection.ledger.write(taken),
                Err(_) => break,
            }
        }
        // Unread input would make the kernel answer with a reset that overtakes our NOTIFICATION.
        let _ = tcp::discard(connection.socket(), CLOSE_DISCARD_LEN);
        if let Some(address) = self.protocols.bgp.neighbor_address(neighbor)
            && connection.established
            && let Ok(vault) = self.vault()
        {
            let _ = vault.remove(&vault_name(address));
        }
        self.connections.linger(connection.fd.into(), now());
    }
}

/// What lies at the front of a buffer.
struct Whole {
    /// Bytes of whole messages.
    length: usize,
    /// What follows them is no message.
    malformed: Result<(), wire::NotificationMessage>,
}

/// Whole messages: all of them, or one only while the session is not established.
fn whole_messages(buffer: &[u8], all: bool) -> Whole {
    let mut length = 0;
    loop {
        match wire::frame(&buffer[length..]) {
            Ok(Some((message, _))) => {
                length += message;
                if !all {
                    return Whole { length, malformed: Ok(()) };
                }
            }
            Ok(None) => return Whole { length, malformed: Ok(()) },
            Err(error) => return Whole { length, malformed: Err(error) },
        }
    }
}
