use std::collections::{HashMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::{NeighborId, Transport};
use holdfast_kernel::tcp;
use holdfast_replication::ledger::Ledger;
use mio::Token;

use crate::limits::{HELD_BACK_MAX, LINGER, LINGERING_MAX};

/// One TCP connection of a neighbour.
pub struct Connection {
    /// The socket.
    pub fd: OwnedFd,
    /// Whose.
    pub neighbor: NeighborId,
    /// Who opened it.
    pub side: ConnectionSide,
    /// The handshake is not over.
    pub connecting: bool,
    /// The session on it is established: its bytes are facts.
    pub established: bool,
    /// The kernel may have bytes for us.
    pub readable: bool,
    /// When something of it was read.
    pub read_at: Duration,
    /// The kernel may take bytes.
    pub writable: bool,
    /// The speaker may have something to send.
    pub output: bool,
    /// Where its byte streams stand.
    pub ledger: Ledger,
    /// What protects it.
    pub transport: Transport,
}

impl Connection {
    /// A new connection.
    pub fn new(
        fd: OwnedFd,
        neighbor: NeighborId,
        side: ConnectionSide,
        connecting: bool,
        transport: Transport,
    ) -> Self {
        Self {
            fd,
            neighbor,
            side,
            connecting,
            established: false,
            readable: !connecting,
            read_at: Duration::ZERO,
            writable: !connecting,
            output: false,
            ledger: Ledger::default(),
            transport,
        }
    }

    /// The socket, borrowed.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// It may be read, if the bytes of sessions may be, or it has waited for that too long.
    pub fn may_read(&self, intake: bool, now: Duration) -> bool {
        self.readable && (intake || !self.established || now >= self.read_at + HELD_BACK_MAX)
    }

    /// Nothing speaks against reading more than one message at once.
    pub fn reads_all(&self, intake: bool) -> bool {
        self.established && (intake || self.ledger.is_told_ahead())
    }

    /// Reading or writing might get on, if sessions' bytes may be taken in, and routes told.
    fn has_work(&self, intake: bool, output: bool) -> bool {
        let writes = self.writable && ((output && self.output) || !self.ledger.pending().is_empty());
        let reads = self.readable && (intake || !self.established);
        !self.connecting && (reads || writes)
    }
}

/// All connections, by token.
pub struct Connections {
    by_token: HashMap<Token, Connection>,
    next: usize,
    turns: usize,
    /// Ended, each until when it is kept: what the neighbour still sends to one that is closed is answered with a reset, and who is
    /// writing when that comes does not read our NOTIFICATION before it.
    lingering: VecDeque<(Duration, TcpStream)>,
}

impl Connections {
    /// None yet; tokens begin with `from`.
    pub fn new(from: usize) -> Self {
        Self { by_token: HashMap::new(), next: from, turns: 0, lingering: VecDeque::new() }
    }

    /// Says the end of a connection; it is closed some time later. Duplicates may be elsewhere (the vault's, a frozen engine's): the end
    /// has to be said, not left to the last close.
    pub fn linger(&mut self, stream: TcpStream, now: Duration) {
        // A neighbour that closed first acknowledges our end without a socket, so with the TTL of its system, not of the session (RFC 5082):
        // dropped for that, our end would be repeated for minutes.
        let _ = tcp::set_minimum_ttl(stream.as_fd(), 0);
        // A connection that is gone already has nobody to say it to.
        let _ = stream.shutdown(Shutdown::Write);
        self.lingering.push_back((now + LINGER, stream));
        self.close_lingering(now);
    }

    /// Closes those whose time is over, and the oldest of too many.
    pub fn close_lingering(&mut self, now: Duration) {
        let is_over = |(until, _): &mut (Duration, TcpStream)| *until <= now;
        while let Some((_, stream)) = match self.lingering.len() > LINGERING_MAX {
            true => self.lingering.pop_front(),
            false => self.lingering.pop_front_if(is_over),
        } {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes a connection in. Tokens are never used twice, so a late event cannot hit another connection.
    pub fn insert(&mut self, connection: Connection) -> Token {
        let token = Token(self.next);
        self.next += 1;
        self.by_token.insert(token, connection);
        token
    }

    /// By token.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut Connection> {
        self.by_token.get_mut(&token)
    }

    /// By neighbour and side.
    pub fn find(&self, neighbor: NeighborId, side: ConnectionSide) -> Option<Token> {
        let found = self.by_token.iter().find(|(_, c)| c.neighbor == neighbor && c.side == side);
        found.map(|(token, _)| *token)
    }

    /// The connection that carries a neighbour's established session.
    pub fn find_established(&self, neighbor: NeighborId) -> Option<Token> {
        let found = self.by_token.iter().find(|(_, c)| c.neighbor == neighbor && c.established);
        found.map(|(token, _)| *token)
    }

    /// Takes a connection out.
    pub fn remove(&mut self, token: Token, registry: &mio::Registry) -> Option<Connection> {
        let connection = self.by_token.remove(&token)?;
        let raw = connection.fd.as_raw_fd();
        // A descriptor that epoll no longer knows is as good as deregistered.
        let _ = registry.deregister(&mut mio::unix::SourceFd(&raw));
        Some(connection)
    }

    /// All tokens, oldest first.
    pub fn tokens(&self) -> Vec<Token> {
        let mut tokens: Vec<Token> = self.by_token.keys().copied().collect();
        tokens.sort_unstable();
        tokens
    }

    /// Another connection is the first now.
    pub fn next_turn(&mut self) {
        self.turns = self.turns.wrapping_add(1);
    }

    /// All tokens, in each turn with another one first: what there is room for goes round.
    pub fn tokens_in_turn(&self) -> Vec<Token> {
        let mut tokens = self.tokens();
        let first = self.turns.checked_rem(tokens.len()).unwrap_or(0);
        tokens.rotate_left(first);
        tokens
    }

    /// All connections.
    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.by_token.values()
    }

    /// The kernel said something about a connection.
    pub fn mark(&mut self, token: Token, readable: bool, writable: bool) {
        if let Some(connection) = self.by_token.get_mut(&token) {
            connection.readable |= readable;
            connection.writable |= writable;
        }
    }

    /// The speaker may have output for anybody.
    pub fn mark_output_all(&mut self) {
        for connection in self.by_token.values_mut() {
            connection.output = connection.established;
        }
    }

    /// Any connection can get on, if sessions' bytes may be taken in, and routes told.
    pub fn has_work(&self, intake: bool, output: bool) -> bool {
        self.by_token.values().any(|connection| connection.has_work(intake, output))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let neighbor = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, neighbor)
    }

    fn wait_for(stream: &TcpStream, state: tcp::TcpState) {
        let end = std::time::Instant::now() + Duration::from_secs(5);
        while tcp::tcp_counters(stream.as_fd()).unwrap().state != state {
            assert!(std::time::Instant::now() < end, "{:?}", tcp::tcp_counters(stream.as_fd()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_neighbour_that_writes_when_its_connection_ends_reads_why() {
        let (mut own, mut neighbor) = pair();
        let mut connections = Connections::new(0);
        own.write_all(b"why").unwrap();
        connections.linger(own, Duration::ZERO);
        connections.close_lingering(LINGER / 2);
        // A reset would make the second of them fail.
        neighbor.write_all(b"still").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        neighbor.write_all(b" writing").unwrap();
        let mut read = String::new();
        neighbor.read_to_string(&mut read).unwrap();
        assert_eq!(read, "why");
        connections.close_lingering(LINGER);
        assert!(connections.lingering.is_empty());
    }

    #[test]
    fn the_end_of_a_protected_connection_that_the_neighbour_closed_first_is_heard() {
        let (own, neighbor) = pair();
        tcp::set_ttl(neighbor.as_fd(), u8::MAX).unwrap();
        tcp::set_minimum_ttl(own.as_fd(), u8::MAX).unwrap();
        neighbor.shutdown(Shutdown::Write).unwrap();
        let mut own_side = own.try_clone().unwrap();
        assert_eq!(own_side.read(&mut [0]).unwrap(), 0);
        wait_for(&neighbor, tcp::TcpState::FinWait2);
        // What it has said is acknowledged: from here on its kernel answers without a socket.
        drop(neighbor);
        Connections::new(0).linger(own, Duration::ZERO);
        // Its end is acknowledged at once, or repeated for minutes.
        wait_for(&own_side, tcp::TcpState::Closed);
    }

    #[test]
    fn of_too_many_the_oldest_are_closed() {
        let mut connections = Connections::new(0);
        let kept: Vec<TcpStream> = (0..LINGERING_MAX + 3)
            .map(|_| {
                let (own, neighbor) = pair();
                connections.linger(own, Duration::ZERO);
                neighbor
            })
            .collect();
        assert_eq!((connections.lingering.len(), kept.len()), (LINGERING_MAX, LINGERING_MAX + 3));
    }
}
