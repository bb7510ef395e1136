//! Both ends of the replication stream, and what flows on it when.
//!
//! A primary accepts one follower. It describes its sessions, sends its tables in slices between live facts, and then
//! marks its digests now and then. A fact counts as replicated when the kernel has it in the stream's buffer. A follower that works and is
//! behind sets the pace ([`holdfast_replication::Pace`]); one that lets the buffer be full and does not read is lost: routing goes on without it.
//!
//! At a handoff the roles of the two ends change and the stream stays: the frozen engine goes on as follower of the
//! new one, from exactly the place where it stopped. That is the way back.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use holdfast_kernel::descriptor::set_buffers;
use holdfast_proto::v1::replication_frame::Body;
use holdfast_proto::v1::{
    DigestMark, Fact, HandoffMark, ReplicationHello, Role, SnapshotDone, TableDigest, fact::Kind,
};
use holdfast_replication::limits::{DIGEST_MARK_INTERVAL, FULL_STREAM_MAX, SNAPSHOT_WATERMARK_LEN};
use holdfast_replication::{Inbound, Outbound, compare_tables};

use super::stream::{Follower, Sender, write_out};
use super::{Core, REPLICATION_STREAM, now, register};
use crate::fault_injection;
use crate::limits::{FRAMES_PER_TURN, MARK_BACKLOG_MAX, SNAPSHOT_BATCH, UNSETTLED_MAX};

/// Where followers come to.
pub fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (address, _directory) = holdfast_ipc::socket_address(path)?;
    let listener = UnixListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Core {
    /// When the primary has to look after its follower at the latest.
    pub(super) fn replication_deadline(&self) -> Option<Duration> {
        let sender = self.sender.as_ref()?;
        let mark = sender.snapshot_done.then_some(sender.next_mark);
        [sender.pace.next_look(), mark].into_iter().flatten().min()
    }

    pub(super) fn accept_follower(&mut self) {
        while let Ok((stream, _)) = self.replication_listener.accept() {
            if self.role != Role::Primary {
                tracing::warn!("a follower came to an engine that is not primary; it is sent away");
                continue;
            }
            if let Err(error) = self.attach_stream(&stream) {
                tracing::warn!("a follower cannot be served: {error}");
                continue;
            }
            // One follower: a new one takes the place of one that is gone or was forgotten.
            self.sender = Some(Sender::new(stream, Inbound::default(), false));
        }
    }

    fn attach_stream(&self, stream: &UnixStream) -> Result<(), String> {
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        set_buffers(stream.as_fd(), fault_injection::stream_room()).map_err(|error| error.to_string())?;
        register(&self.inputs, stream, REPLICATION_STREAM).map_err(|error| error.to_string())
    }

    /// The stream's socket has something to read, or room again.
    pub(super) fn replication_event(&mut self, readable: bool) {
        if let Some(follower) = &mut self.follower {
            follower.readable |= readable;
        }
        if self.role == Role::Primary && readable {
            self.hear_follower();
        }
    }

    /// A follower says who it is, or is gone.
    fn hear_follower(&mut self) {
        let Some(sender) = &mut self.sender else { return };
        let mut buffer = [0; 4096];
        loop {
            match sender.stream.read(&mut buffer) {
                Ok(0) => return self.follower_lost("it closed the stream"),
                Ok(length) => sender.inbound.extend(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.follower_lost(&error.to_string()),
            }
        }
        match sender.inbound.next_frame() {
            Ok(Some(Body::Hello(hello))) if !sender.greeted => self.greet_follower(&hello),
            Ok(_) => {}
            Err(error) => self.follower_lost(&error.to_string()),
        }
    }

    fn greet_follower(&mut self, hello: &ReplicationHello) {
        if hello.epoch != self.epoch {
            let reason = format!("it follows epoch {}, this is epoch {}", hello.epoch, self.epoch);
            return self.follower_lost(&reason);
        }
        tracing::info!("a follower (version {}) joins; it gets a snapshot and live facts", hello.version);
        let facts = self.describe_sessions(now());
        let Some(sender) = &mut self.sender else { return };
        sender.greeted = true;
        for fact in facts {
            sender.push(fact);
        }
        sender.cursor = Some(0);
        self.flush_replication(now());
    }

    fn follower_lost(&mut self, reason: &str) {
        if let Some(sender) = self.sender.take() {
            tracing::warn!("the backup is lost as a follower: {reason}; routing goes on without it");
            self.verification.follower_lost = reason.to_owned();
            let raw = std::os::fd::AsRawFd::as_raw_fd(&sender.stream);
            let _ = self.inputs.poll.registry().deregister(&mut mio::unix::SourceFd(&raw));
        }
    }

    /// Tells a follower, if there is one.
    pub(super) fn replicate(&mut self, fact: Fact) {
        if let Some(sender) = &mut self.sender {
            sender.push(fact);
        }
        self.flush_replication(now());
    }

    /// Gives the kernel what waits for the follower. True: everything pushed so far is replicated (or nobody follows).
    pub(super) fn flush_replication(&mut self, now: Duration) -> bool {
        let Some(sender) = &mut self.sender else { return true };
        sender.pace.look(sender.in_kernel(), now);
        let is_full = match write_out(&mut sender.stream, &mut sender.outbound) {
            Ok(()) => false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Err(error) => {
                self.follower_lost(&error.to_string());
                return true;
            }
        };
        sender.pace.wrote(sender.in_kernel(), is_full, now);
        if sender.pace.is_lost(now) {
            self.follower_lost(&format!("its stream was full for {} ms", FULL_STREAM_MAX.as_millis()));
            return true;
        }
        !is_full
    }

    /// Input of sessions may be taken: a follower is not too far behind for that.
    pub(super) fn admits_intake(&self) -> bool {
        self.sender.as_ref().is_none_or(|sender| sender.pace().admits_intake())
    }

    /// Routes may be told: the same.
    pub(super) fn admits_output(&self) -> bool {
        self.sender.as_ref().is_none_or(|sender| sender.pace().admits_output())
    }

    /// The next slice of a snapshot, or the digests when it is time.
    pub(super) fn send_to_follower(&mut self, now: Duration) {
        if !self.flush_replication(now) {
            return;
        }
        let Some(sender) = &mut self.sender else { return };
        sender.watermark_reached = sender.unread() > SNAPSHOT_WATERMARK_LEN as u64;
        if let Some(cursor) = sender.cursor {
            if sender.watermark_reached {
                sender.next_mark = now + Duration::from_millis(1); // look again soon
                return;
            }
            let (facts, next) = self.protocols.snapshot(&self.rib, cursor, SNAPSHOT_BATCH);
            for fact in facts {
                sender.push(fact);
            }
            sender.cursor = next;
            if next.is_none() {
                sender.outbound.push(Body::SnapshotDone(SnapshotDone {}));
                sender.snapshot_done = true;
                sender.next_mark = now;
            }
        } else if sender.greeted && sender.snapshot_done && now >= sender.next_mark {
            // While tables are being worked through, digests are of a moment that the follower never sees.
            if !self.protocols.bgp.has_background() && sender.unread() < MARK_BACKLOG_MAX {
                sender.marks += 1;
                let id = sender.marks;
                let tables = self.tables();
                if let Some(sender) = &mut self.sender {
                    sender.outbound.push(Body::DigestMark(DigestMark { id, tables }));
                }
            }
            if let Some(sender) = &mut self.sender {
                sender.next_mark = now + DIGEST_MARK_INTERVAL;
            }
        }
        self.flush_replication(now);
    }

    /// Digests of all tables.
    pub(super) fn tables(&self) -> Vec<TableDigest> {
        let mut tables = self.protocols.digests(&self.rib);
        for family in holdfast_rib::Family::ALL {
            let suffix = family.table().trim_end_matches(".0");
            for (kind, digest) in [("rib", self.rib.rib_digest(family)), ("fib", self.rib.fib_digest(family))] {
                tables.push(TableDigest {
                    table: format!("{kind}/{suffix}"),
                    digest: digest.sum,
                    entries: digest.entries,
                });
            }
        }
        tables
    }

    /// A backup goes to the primary, once it is configured.
    pub(super) fn follow(&mut self) -> Result<(), String> {
        let path = self.run_dir.replication_socket(self.peer_slot);
        let (address, _directory) = holdfast_ipc::socket_address(&path).map_err(|error| error.to_string())?;
        let stream = UnixStream::connect(address)
            .map_err(|error| format!("cannot reach the primary's facts at {}: {error}", path.display()))?;
        self.attach_stream(&stream)?;
        let mut outbound = Outbound::default();
        outbound.push(Body::Hello(ReplicationHello {
            version: env!("CARGO_PKG_VERSION").into(),
            resume: false,
            epoch: self.epoch,
        }));
        let mut stream = stream;
        write_out(&mut stream, &mut outbound).map_err(|error| error.to_string())?;
        self.follower = Some(Follower::new(stream, Inbound::default(), false));
        Ok(())
    }

    /// A bounded part of what the primary says; what is to be told to neighbours because of it is compared with what they were told once
    /// there is time for it: mostly that is among what has not been read yet.
    pub(super) fn follower_turn(&mut self) {
        let now = now();
        let taken = self.take_frames(FRAMES_PER_TURN);
        let Some(follower) = &mut self.follower else { return };
        if taken > 0 {
            follower.unsettled_since.get_or_insert(now);
        }
        let is_due =
            follower.unsettled_since.is_some_and(|since| taken < FRAMES_PER_TURN || now >= since + UNSETTLED_MAX);
        if is_due
            && !self.protocols.bgp.settle(&mut self.rib)
            && let Some(follower) = &mut self.follower
        {
            follower.unsettled_since = None;
        }
    }

    /// Takes up to `max` frames over; returns how many there were.
    pub(super) fn take_frames(&mut self, max: usize) -> usize {
        let now = now();
        for taken in 0..max {
            let Some(follower) = &mut self.follower else { return taken };
            if follower.handoff.is_some() {
                return taken;
            }
            match follower.inbound.next_frame() {
                Ok(Some(body)) => self.take_frame(body, now),
                Ok(None) if follower.readable => follower.read(),
                Ok(None) => {
                    follower.frames_waiting = false;
                    return taken;
                }
                Err(error) => {
                    self.following_failed(error.to_string());
                    return taken;
                }
            }
        }
        max
    }

    fn take_frame(&mut self, body: Body, now: Duration) {
        match body {
            Body::Fact(fact) => {
                let result = self.note_position(&fact).and_then(|()| self.protocols.adopt(&mut self.rib, &fact, now));
                if let Err(error) = result {
                    self.following_failed(error);
                }
            }
            Body::SnapshotDone(_) => {
                if let Some(follower) = &mut self.follower {
                    follower.snapshot_done = true;
                }
                self.converged = true;
            }
            Body::DigestMark(mark) => self.compare(&mark.tables),
            Body::Handoff(mark) => {
                self.finish_background();
                self.compare(&mark.tables);
                if let Some(follower) = &mut self.follower {
                    follower.handoff = Some(mark);
                }
            }
            Body::Hello(_) => {}
        }
    }

    fn compare(&mut self, primary: &[TableDigest]) {
        self.rib_turn();
        let comparisons = compare_tables(primary, &self.tables());
        if let Some(follower) = &mut self.follower {
            follower.comparisons = comparisons;
        }
    }

    /// What this engine holds cannot become right any more: chassisd is told, and starts anew.
    fn following_failed(&mut self, reason: String) {
        tracing::error!("following the primary failed: {reason}");
        self.failure = reason;
        if let Some(follower) = &mut self.follower {
            follower.ended = true;
            follower.readable = false;
            follower.inbound = Inbound::default();
            follower.frames_waiting = false;
        }
    }

    /// Where a session's byte streams stand by the facts.
    fn note_position(&mut self, fact: &Fact) -> Result<(), String> {
        match &fact.kind {
            Some(Kind::Up(up)) => self.adopted.up(&fact.neighbor, up),
            Some(Kind::Down(_)) => self.adopted.down(&fact.neighbor),
            Some(Kind::Received(bytes)) => return self.adopted.received(&fact.neighbor, bytes),
            Some(Kind::Sent(bytes)) => return self.adopted.sent(&fact.neighbor, bytes),
            _ => {}
        }
        Ok(())
    }

    /// The frozen primary's last word; then its end of the stream becomes a follower's.
    pub(super) fn hand_off(&mut self, epoch: u64, flush_until: Duration) -> Result<(), String> {
        let tables = self.tables();
        let Some(mut sender) = self.sender.take() else { return Ok(()) };
        sender.outbound.push(Body::Handoff(HandoffMark { epoch, tables }));
        loop {
            match write_out(&mut sender.stream, &mut sender.outbound) {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock && now() < flush_until => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(format!("the last facts cannot be given to the backup: {error}")),
            }
        }
        self.follower = Some(Follower::new(sender.stream, sender.inbound, true));
        Ok(())
    }

    /// The new primary's end of the stream becomes a sender's: the frozen engine follows from exactly here, without a snapshot.
    pub(super) fn turn_stream(&mut self) {
        if let Some(follower) = self.follower.take()
            && !follower.ended
        {
            let mut sender = Sender::new(follower.stream, follower.inbound, true);
            sender.next_mark = now();
            self.sender = Some(sender);
        }
    }
}
