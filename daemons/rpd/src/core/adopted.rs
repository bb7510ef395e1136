//! Sessions that another engine owns, by their facts, and what it takes to go on with them.
//!
//! Facts say how many bytes were received and made; the kernel says how many of them were consumed and written. The
//! difference is what a successor still has to discard and to write, exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use holdfast_kernel::tcp;
use holdfast_proto::v1;
use holdfast_replication::ledger::{FollowerLedger, Ledger, Remainder};

use super::connections::Connection;
use super::sessions::kernel_counters;

/// One session by its facts.
struct Session {
    /// Its name in the vault.
    descriptor: String,
    /// The descriptor itself, where this engine led the session before: a way back that needs nobody else.
    own: Option<OwnedFd>,
    ledger: FollowerLedger,
    /// Set by [`Adopted::make_ready`]: the descriptor is here and its counters agree.
    ready: Option<(OwnedFd, Remainder)>,
    /// Set by [`Adopted::interrupt`].
    interrupted: Option<Interrupted>,
}

/// A session that begins anew.
struct Interrupted {
    /// Its connection, where it could be had.
    fd: Option<OwnedFd>,
    reason: String,
}

/// A session to go on with.
pub struct Resumed {
    /// The socket.
    pub fd: OwnedFd,
    /// Received and known, but not yet discarded from the kernel.
    pub to_discard: usize,
    /// Where its byte streams stand, with what is known and not yet in the kernel.
    pub ledger: Ledger,
}

/// Sessions that another engine owns, by neighbour.
#[derive(Default)]
pub struct Adopted {
    thawed: bool,
    /// Names in the vault of sessions that a dead owner told nobody of.
    untold: Vec<String>,
    sessions: BTreeMap<String, Session>,
}

/// What the kernel says of a session's streams; `None`: the connection has ended, reading it will say how.
fn counters(neighbor: &str, fd: BorrowedFd<'_>) -> Result<Option<tcp::TcpCounters>, String> {
    match tcp::tcp_counters(fd) {
        Ok(counters) if counters.state == tcp::TcpState::Closed => Ok(None),
        Ok(counters) => Ok(Some(counters)),
        // A socket that was reset answers some questions with an error.
        Err(_) if tcp::peer_address(fd).is_err() => Ok(None),
        Err(error) => Err(format!("neighbor {neighbor}: the kernel does not tell the session's counters: {error}")),
    }
}

impl Adopted {
    /// They were this engine's own before, and it goes on with them.
    pub fn thawed(&self) -> bool {
        self.thawed
    }

    /// Notes whether they were.
    pub fn set_thawed(&mut self, thawed: bool) {
        self.thawed = thawed;
    }

    /// Notes the names in the vault of sessions that nobody was told of.
    pub fn set_untold(&mut self, names: Vec<String>) {
        self.untold = names;
    }

    /// Takes them.
    pub fn take_untold(&mut self) -> Vec<String> {
        std::mem::take(&mut self.untold)
    }

    /// The vault's names of all that are known.
    pub fn descriptor_names(&self) -> BTreeSet<String> {
        self.sessions.values().map(|session| session.descriptor.clone()).collect()
    }

    /// A session is up.
    pub fn up(&mut self, neighbor: &str, up: &v1::SessionUp) {
        let ledger = FollowerLedger::from_fact(up);
        let session = Session { descriptor: up.descriptor.clone(), own: None, ledger, ready: None, interrupted: None };
        self.sessions.insert(neighbor.to_owned(), session);
    }

    /// A session of our own stands still.
    pub fn keep(&mut self, neighbor: String, descriptor: String, connection: Connection) {
        let ledger = FollowerLedger::from_own(&connection.ledger);
        let session = Session { descriptor, own: Some(connection.fd), ledger, ready: None, interrupted: None };
        self.sessions.insert(neighbor, session);
    }

    /// A session is over.
    pub fn down(&mut self, neighbor: &str) {
        self.sessions.remove(neighbor);
    }

    fn session(&mut self, neighbor: &str) -> Result<&mut Session, String> {
        self.sessions.get_mut(neighbor).ok_or_else(|| format!("bytes of neighbor {neighbor}, whose session is not up"))
    }

    /// Bytes were received.
    pub fn received(&mut self, neighbor: &str, bytes: &v1::StreamBytes) -> Result<(), String> {
        let result = self.session(neighbor)?.ledger.received(bytes);
        result.map_err(|error| format!("neighbor {neighbor}: {error}"))
    }

    /// Bytes are about to be written.
    pub fn sent(&mut self, neighbor: &str, bytes: &v1::StreamBytes) -> Result<(), String> {
        let result = self.session(neighbor)?.ledger.sent(bytes);
        result.map_err(|error| format!("neighbor {neighbor}: {error}"))
    }

    /// Whose sessions they are.
    pub fn neighbors(&self) -> Vec<String> {
        self.sessions.keys().cloned().collect()
    }

    /// A session's name in the vault.
    pub fn descriptor_name(&mut self, neighbor: &str) -> Result<String, String> {
        Ok(self.session(neighbor)?.descriptor.clone())
    }

    /// A duplicate of the descriptor, where this engine has one.
    pub fn own_descriptor(&mut self, neighbor: &str) -> Result<Option<OwnedFd>, String> {
        let own = self.session(neighbor)?.own.as_ref();
        own.map(|fd| fd.try_clone().map_err(|error| format!("neighbor {neighbor}: {error}"))).transpose()
    }

    /// Holds the kernel's counters against the facts. Nothing is read or written.
    pub fn make_ready(&mut self, neighbor: &str, fd: OwnedFd) -> Result<v1::SessionPosition, String> {
        let session = self.session(neighbor)?;
        let remainder = match counters(neighbor, fd.as_fd())? {
            Some(counters) => session.ledger.remainder(kernel_counters(&counters)),
            // The neighbour has ended it meanwhile. That is this session's own fate, not the others'.
            None => Ok(session.ledger.nothing_left()),
        };
        let remainder = remainder.map_err(|error| format!("neighbor {neighbor}: {error}"))?;
        let position = v1::SessionPosition {
            neighbor: neighbor.into(),
            bytes_consumed: remainder.consumed,
            bytes_written: remainder.written,
        };
        session.ready = Some((fd, remainder));
        Ok(position)
    }

    /// The session does not go over. Its connection stays as it is until [`Adopted::take_interrupted`].
    pub fn interrupt(&mut self, neighbor: &str, fd: Option<OwnedFd>, reason: &str) {
        if let Some(session) = self.sessions.get_mut(neighbor) {
            session.interrupted = Some(Interrupted { fd, reason: reason.to_owned() });
        }
    }

    /// Whose sessions begin anew, with their connections and the reasons.
    pub fn take_interrupted(&mut self) -> Vec<(String, Option<OwnedFd>, String)> {
        let taken = self.sessions.iter_mut().filter_map(|(neighbor, session)| {
            let Interrupted { fd, reason } = session.interrupted.take()?;
            Some((neighbor.clone(), fd, reason))
        });
        taken.collect()
    }

    /// All that are ready, to go on with. The rest is forgotten.
    pub fn take(&mut self) -> Vec<(String, Resumed)> {
        let sessions = std::mem::take(&mut self.sessions);
        let resumed = sessions.into_iter().filter_map(|(neighbor, session)| {
            let (fd, remainder) = session.ready?;
            let ledger = session.ledger.resume(&remainder);
            let resumed = Resumed { fd, to_discard: remainder.to_discard, ledger };
            Some((neighbor, resumed))
        });
        resumed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    const NEIGHBOR: &str = "192.0.2.2";

    /// Runs in a network namespace of its own.
    fn isolated(test: impl FnOnce() + Send + 'static) {
        let run = || {
            holdfast_kernel::process::unshare_network().expect("root");
            let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip");
            assert!(up.success());
            test();
        };
        if let Err(panic) = std::thread::spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    }

    /// A connection between us (first) and a neighbour.
    fn pair() -> (OwnedFd, OwnedFd) {
        let listener = tcp::listen(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0), 1).expect("listens");
        let address = tcp::local_address(listener.as_fd()).expect("address");
        let ours = tcp::connect(address, None, |_| Ok(())).expect("connects");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            match tcp::accept(listener.as_fd()) {
                Ok((theirs, _)) => return (ours, theirs),
                Err(_) if std::time::Instant::now() < deadline => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn wait_for_input(fd: &OwnedFd, length: u64) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while tcp::receive_queue(fd.as_fd()).expect("queue") < length {
            assert!(std::time::Instant::now() < deadline, "the bytes do not arrive");
            std::thread::yield_now();
        }
    }

    fn up(ours: &OwnedFd) -> v1::SessionUp {
        let counters = tcp::tcp_counters(ours.as_fd()).expect("counters");
        v1::SessionUp {
            descriptor: "bgp/session/192.0.2.2".into(),
            kernel_received_base: counters.consumed(),
            kernel_written_base: counters.written(),
            ..v1::SessionUp::default()
        }
    }

    fn bytes(offset: u64, data: &[u8], unwritten: u32) -> v1::StreamBytes {
        v1::StreamBytes { offset, data: data.to_vec(), mono_ns: 0, unwritten }
    }

    #[test]
    fn exactly_the_difference_between_facts_and_kernel_is_left_to_do() {
        isolated(|| {
            let (ours, theirs) = pair();
            let mut adopted = Adopted::default();
            adopted.up(NEIGHBOR, &up(&ours));
            // Ten bytes came and were replicated, four were consumed before the end.
            assert_eq!(tcp::send_nowait(theirs.as_fd(), b"0123456789").expect("sends"), 10);
            wait_for_input(&ours, 10);
            adopted.received(NEIGHBOR, &bytes(0, b"0123456789", 0)).expect("in order");
            tcp::discard(ours.as_fd(), 4).expect("discards");
            // Eight bytes were made and replicated, three were written.
            adopted.sent(NEIGHBOR, &bytes(0, b"abcdefgh", 0)).expect("in order");
            tcp::send_nowait(ours.as_fd(), b"abc").expect("sends");
            let position = adopted.make_ready(NEIGHBOR, ours).expect("agrees");
            assert_eq!((position.bytes_consumed, position.bytes_written), (4, 3));
            let (_, resumed) = adopted.take().pop().expect("one session");
            assert_eq!((resumed.to_discard, resumed.ledger.pending()), (6, b"defgh".as_slice()));
        });
    }

    #[test]
    fn a_gap_in_the_facts_is_a_contradiction() {
        let mut adopted = Adopted::default();
        adopted.up(NEIGHBOR, &v1::SessionUp { consumed: 7, ..v1::SessionUp::default() });
        assert!(adopted.received(NEIGHBOR, &bytes(8, b"x", 0)).is_err());
        assert!(adopted.received(NEIGHBOR, &bytes(7, b"x", 0)).is_ok());
        assert!(adopted.sent("192.0.2.9", &bytes(0, b"x", 0)).is_err(), "its session is not up");
    }

    #[test]
    fn more_consumed_than_known_is_refused() {
        isolated(|| {
            let (ours, theirs) = pair();
            let mut adopted = Adopted::default();
            adopted.up(NEIGHBOR, &up(&ours));
            tcp::send_nowait(theirs.as_fd(), b"12").expect("sends");
            wait_for_input(&ours, 2);
            tcp::discard(ours.as_fd(), 2).expect("discards");
            let error = adopted.make_ready(NEIGHBOR, ours).expect_err("nobody told us of these bytes");
            assert!(error.contains("2 bytes were consumed") && error.contains(NEIGHBOR), "{error}");
        });
    }

    #[test]
    fn a_session_that_the_neighbour_reset_does_not_hold_up_the_others() {
        isolated(|| {
            let (ours, theirs) = pair();
            let mut adopted = Adopted::default();
            adopted.up(NEIGHBOR, &up(&ours));
            // Closing with unread input resets the connection.
            tcp::send_nowait(ours.as_fd(), b"unread").expect("sends");
            wait_for_input(&theirs, 6);
            drop(theirs);
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
            while counters(NEIGHBOR, ours.as_fd()).expect("answers").is_some() {
                assert!(std::time::Instant::now() < deadline, "the reset does not arrive");
                std::thread::yield_now();
            }
            adopted.make_ready(NEIGHBOR, ours).expect("its end is its own matter");
            let (_, resumed) = adopted.take().pop().expect("it goes on, to find its end");
            let end = tcp::peek(resumed.fd.as_fd(), &mut [0; 16]);
            assert!(end.is_err() || matches!(end, Ok(0)), "{end:?}");
        });
    }
}
