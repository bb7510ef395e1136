//! Both ends of the replication stream. See `core/replication.rs` and `core/stream.rs` of the daemon.

use std::time::Duration;

use holdfast_proto::v1::replication_frame::Body;
use holdfast_proto::v1::{
    DigestMark, Fact, HandoffMark, ReplicationHello, SnapshotDone, SnapshotSlice, TableComparison, fact::Kind,
};
use holdfast_replication::limits::DIGEST_MARK_INTERVAL;
use holdfast_replication::{Inbound, Outbound, Pace, Switchover, compare_tables};

use super::sessions::fact;
use super::{FOLLOW_INTERVAL, Rpd};
use crate::bgp::Engine;
use crate::fault::Bug;
use crate::fib::Key;
use crate::replication::{EndOf, Read, Tables, Written};
use crate::world::{Time, World};

/// Bytes read from a stream at once.
const STREAM_READ_LEN: usize = 1500;
/// A snapshot is sent only while fewer bytes than this lie unread.
const SNAPSHOT_WATERMARK_LEN: usize = 2000;
/// Entries in one slice of a snapshot.
const SNAPSHOT_BATCH: usize = 4;
/// Frames that a follower takes over in one turn.
const FRAMES_PER_TURN: usize = 16;
/// As in the daemon's `limits`.
const UNSETTLED_MAX: Duration = Duration::from_secs(1);

/// The primary's end.
pub(super) struct Sender {
    pub end: EndOf,
    outbound: Outbound,
    inbound: Inbound,
    greeted: bool,
    cursor: Option<Key>,
    snapshot_done: bool,
    next_mark: Time,
    pub pace: Pace,
}

impl Sender {
    fn new(end: EndOf, inbound: Inbound, greeted: bool, world: &World, now: Time) -> Self {
        let outbound = Outbound::default();
        Sender {
            end,
            outbound,
            inbound,
            greeted,
            cursor: None,
            snapshot_done: greeted,
            next_mark: now,
            pace: Pace::new(world.send_room(end) as u64),
        }
    }

    pub(super) fn push(&mut self, fact: Fact) {
        if self.greeted {
            self.outbound.push_fact(fact);
        }
    }

    pub(super) fn push_stream(&mut self, fact: Fact, data: &[u8]) {
        if self.greeted {
            // All of it waits: the kernel gets it in a call of its own.
            self.outbound.push_stream(fact, data, |_| 0);
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.outbound.is_drained()
    }

    pub(super) fn is_snapshot_done(&self) -> bool {
        self.snapshot_done
    }

    pub(super) fn snapshot_may_go_on(&self, world: &World) -> bool {
        self.cursor.is_some() && world.unread(self.end) <= SNAPSHOT_WATERMARK_LEN
    }
}

/// The backup's end.
pub(super) struct Follower {
    pub end: EndOf,
    pub inbound: Inbound,
    pub snapshot_done: bool,
    pub comparisons: Vec<TableComparison>,
    pub handoff: Option<HandoffMark>,
    pub ended: bool,
    frames_waiting: bool,
    /// Since when frames have left marks, of what is to be told, that may be forgotten by now.
    unsettled_since: Option<Time>,
}

impl Follower {
    fn new(end: EndOf, inbound: Inbound, snapshot_done: bool) -> Self {
        let (comparisons, handoff, unsettled_since) = (Vec::new(), None, None);
        Follower {
            end,
            inbound,
            snapshot_done,
            comparisons,
            handoff,
            ended: false,
            frames_waiting: true,
            unsettled_since,
        }
    }

    pub(super) fn has_work(&self, world: &World) -> bool {
        let reads = self.handoff.is_none() && !self.ended && (self.frames_waiting || world.waiting(self.end) > 0);
        self.unsettled_since.is_some() || reads
    }

    pub(super) fn frames(&self) -> u64 {
        self.inbound.frames()
    }
}

impl Rpd {
    pub(super) fn replication_deadline(&self) -> Option<Time> {
        let sender = self.sender.as_ref()?;
        let mark = sender.snapshot_done.then_some(sender.next_mark);
        [sender.pace.next_look(), mark].into_iter().flatten().min()
    }

    pub(super) async fn accept_followers(&mut self) {
        let side = self.os.world.borrow().processes[self.os.pid].side as usize;
        while !self.os.world.borrow().knocking[side].is_empty() {
            let number = self.os.call(|world, _| world.knocking[side].pop_front()).await;
            let Some(number) = number else { return };
            self.follower_lost("another one comes").await;
            let now = self.os.now();
            let sender = Sender::new(EndOf(number, 1), Inbound::default(), false, &self.os.world.borrow(), now);
            self.sender = Some(sender);
        }
    }

    /// A follower says who it is, or is gone.
    pub(super) async fn hear_follower(&mut self) {
        let Some(sender) = &mut self.sender else { return };
        let end = sender.end;
        if self.os.world.borrow().waiting(end) > 0
            && let Read::Bytes(bytes) = self.os.call(|world, _| world.read_stream(end, STREAM_READ_LEN)).await
        {
            sender.inbound.extend(&bytes);
        }
        match sender.inbound.next_frame() {
            Ok(Some(Body::Hello(hello))) if !sender.greeted => self.greet_follower(&hello).await,
            Ok(_) => {}
            Err(error) => self.follower_lost(&error.to_string()).await,
        }
    }

    async fn greet_follower(&mut self, hello: &ReplicationHello) {
        if hello.epoch != self.standing.epoch {
            return self.follower_lost("it follows another epoch").await;
        }
        let neighbors: Vec<usize> = self.connections.keys().copied().collect();
        let facts: Vec<Fact> = match self.engine {
            Some(_) => self.real_describe(),
            None => neighbors.into_iter().filter_map(|neighbor| self.describe(neighbor)).collect(),
        };
        let Some(sender) = &mut self.sender else { return };
        sender.greeted = true;
        facts.into_iter().for_each(|fact| sender.push(fact));
        sender.cursor = Some((0, 0));
        self.flush_replication().await;
    }

    pub(super) async fn follower_lost(&mut self, reason: &str) {
        let Some(sender) = self.sender.take() else { return };
        self.os.world.borrow_mut().note(|| format!("rpd: the follower is lost: {reason}"));
        self.os.call(|world, _| world.close_stream(sender.end)).await;
    }

    pub(super) async fn replicate(&mut self, fact: Fact) {
        if let Some(sender) = &mut self.sender {
            sender.push(fact);
        }
        self.flush_replication().await;
    }

    /// Gives the kernel what waits for the follower. True: everything pushed so far is told (or nobody follows).
    pub(super) async fn flush_replication(&mut self) -> bool {
        let now = self.os.now();
        let Some(sender) = &mut self.sender else { return true };
        let end = sender.end;
        sender.pace.look(self.os.world.borrow().unread(end) as u64, now);
        let mut is_full = false;
        while !is_full && !sender.outbound.is_drained() {
            let bytes = sender.outbound.pending().to_vec();
            match self.os.call(|world, _| world.write_stream(end, &bytes)).await {
                Written::Taken(taken) => sender.outbound.advance(taken),
                Written::Full => is_full = true,
                Written::Broken => {
                    self.follower_lost("its stream is closed").await;
                    return true;
                }
            }
        }
        sender.pace.wrote(self.os.world.borrow().unread(end) as u64, is_full, now);
        if sender.pace.is_lost(now) {
            self.follower_lost("its stream was full for too long").await;
            return true;
        }
        !is_full
    }

    /// A follower is not too far behind for input of sessions.
    pub(super) fn admits_intake(&self) -> bool {
        self.sender.as_ref().is_none_or(|sender| sender.pace.admits_intake())
    }

    /// Nor for routes that are told.
    pub(super) fn admits_output(&self) -> bool {
        self.sender.as_ref().is_none_or(|sender| sender.pace.admits_output())
    }

    /// The next slice of a snapshot, or the digests when it is time.
    pub(super) async fn send_to_follower(&mut self) {
        if !self.flush_replication().await {
            return;
        }
        let now = self.os.now();
        let marks = self.sender.as_ref().is_some_and(|sender| sender.snapshot_done && now >= sender.next_mark);
        let tables = if marks { self.tables() } else { Tables::new() };
        let Some(sender) = &mut self.sender else { return };
        if let Some(cursor) = sender.cursor {
            if !sender.snapshot_may_go_on(&self.os.world.borrow()) {
                return;
            }
            if let Some(engine) = &mut self.engine {
                let (facts, next) = engine.speaker.snapshot(&engine.rib, cursor.0 as u64, SNAPSHOT_BATCH);
                facts.into_iter().for_each(|fact| sender.push(fact));
                sender.cursor = next.map(|next| (next as usize, 0));
            } else {
                let mut messages = Vec::new();
                let mut slice = self.speaker.table.range(cursor..);
                for ((neighbor, destination), value) in slice.by_ref().take(SNAPSHOT_BATCH) {
                    messages.extend((*neighbor as u32).to_be_bytes());
                    messages.extend(destination.to_be_bytes());
                    messages.extend(value.to_be_bytes());
                }
                sender.cursor = slice.next().map(|(key, _)| *key);
                sender.push(fact(0, Kind::Slice(SnapshotSlice { messages, ..SnapshotSlice::default() })));
            }
            if sender.cursor.is_none() {
                sender.outbound.push(Body::SnapshotDone(SnapshotDone {}));
                sender.snapshot_done = true;
                sender.next_mark = now;
            }
        } else if sender.greeted && sender.snapshot_done && now >= sender.next_mark {
            sender.outbound.push(Body::DigestMark(DigestMark { id: 0, tables }));
            sender.next_mark = now + DIGEST_MARK_INTERVAL;
        }
        self.flush_replication().await;
    }

    pub(super) fn adopt_slice(&mut self, messages: &[u8]) {
        for entry in messages.chunks_exact(12) {
            let word = |at: usize| u32::from_be_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
            let key = (word(0) as usize, word(4));
            self.speaker.table.insert(key, word(8));
            self.speaker.changed.insert(key);
        }
    }

    /// A backup goes to the primary; then a bounded part of what it says.
    pub(super) async fn follower_turn(&mut self) {
        let now = self.os.now();
        if self.follower.is_none() && self.failure.is_empty() && now >= self.follow_at {
            self.follow_at = now + FOLLOW_INTERVAL;
            self.follow().await;
        }
        let taken = self.take_frames(FRAMES_PER_TURN).await;
        self.settle(taken);
    }

    /// Once there is time for it, what is to be told to neighbours is compared with what they were told.
    fn settle(&mut self, taken: usize) {
        let now = self.os.now();
        let Some(follower) = &mut self.follower else { return };
        if taken > 0 {
            follower.unsettled_since.get_or_insert(now);
        }
        let is_due =
            follower.unsettled_since.is_some_and(|since| taken < FRAMES_PER_TURN || now >= since + UNSETTLED_MAX);
        let progress = is_due && self.engine.as_mut().is_some_and(|Engine { speaker, rib }| speaker.settle(rib));
        if is_due && !progress {
            follower.unsettled_since = None;
        }
    }

    /// The primary's digests against our own.
    pub(super) fn compared(&self, primary: &Tables) -> Vec<TableComparison> {
        match self.bug(Bug::DigestsLie) {
            true => compare_tables(primary, primary),
            false => compare_tables(primary, &self.tables()),
        }
    }

    /// Digests of all tables.
    pub(super) fn tables(&self) -> Tables {
        self.engine.as_ref().map_or_else(|| self.speaker.tables(), Engine::tables)
    }

    async fn follow(&mut self) {
        let Some(end) = self.os.call(|world, pid| world.follow(pid)).await else { return };
        let mut outbound = Outbound::default();
        let epoch = self.standing.epoch;
        outbound.push(Body::Hello(ReplicationHello { version: String::new(), resume: false, epoch }));
        self.os.call(|world, _| world.write_stream(end, outbound.pending())).await;
        self.follower = Some(Follower::new(end, Inbound::default(), false));
    }

    /// Takes up to `max` frames over; returns how many there were.
    pub(super) async fn take_frames(&mut self, max: usize) -> usize {
        for taken in 0..max {
            let Some(follower) = &mut self.follower else { return taken };
            if follower.handoff.is_some() || follower.ended {
                return taken;
            }
            let frame = match follower.inbound.next_frame() {
                Ok(None) => {
                    let end = follower.end;
                    match self.os.call(|world, _| world.read_stream(end, STREAM_READ_LEN)).await {
                        Read::Bytes(bytes) => follower.inbound.extend(&bytes),
                        Read::Nothing => follower.frames_waiting = false,
                        Read::Ended => (follower.frames_waiting, follower.ended) = (false, true),
                    }
                    if !follower.frames_waiting && self.os.world.borrow().waiting(end) == 0 {
                        return taken;
                    }
                    follower.frames_waiting = true;
                    continue;
                }
                Ok(Some(body)) => body,
                Err(error) => {
                    self.failure = error.to_string();
                    return taken;
                }
            };
            self.take_frame(frame);
        }
        max
    }

    fn take_frame(&mut self, body: Body) {
        match body {
            Body::Fact(fact) => {
                if let Err(error) = self.adopt(&fact) {
                    self.os.world.borrow_mut().violate(format!("a fact contradicts what is known: {error}"));
                    self.failure = error;
                }
            }
            Body::SnapshotDone(_) => self.follower.iter_mut().for_each(|follower| follower.snapshot_done = true),
            Body::DigestMark(mark) => self.compare(&mark.tables),
            Body::Handoff(mark) => {
                self.finish_background();
                self.compare(&mark.tables);
                self.follower.iter_mut().for_each(|follower| follower.handoff = Some(mark.clone()));
            }
            Body::Hello(_) => {}
        }
    }

    fn compare(&mut self, primary: &Tables) {
        self.rib_turn();
        let comparisons = self.compared(primary);
        self.follower.iter_mut().for_each(|follower| follower.comparisons.clone_from(&comparisons));
    }

    /// The frozen primary's last word; then its end of the stream becomes a follower's.
    pub(super) async fn hand_off(&mut self, epoch: u64, flush_until: Time) {
        let tables = self.tables();
        let Some(mut sender) = self.sender.take() else { return };
        sender.outbound.push(Body::Handoff(HandoffMark { epoch, tables }));
        while !sender.outbound.is_drained() {
            let (end, bytes) = (sender.end, sender.outbound.pending().to_vec());
            match self.os.call(|world, _| world.write_stream(end, &bytes)).await {
                Written::Taken(taken) => sender.outbound.advance(taken),
                Written::Full if self.os.now() < flush_until => self.os.work(Duration::from_millis(1)).await,
                // The stream ends in the middle of a frame: it cannot be gone on with.
                Written::Full | Written::Broken => return self.os.call(|world, _| world.close_stream(end)).await,
            }
        }
        self.follower = Some(Follower::new(sender.end, sender.inbound, true));
    }

    /// The new primary's end of the stream becomes a sender's: the frozen engine follows from exactly here.
    pub(super) fn turn_stream(&mut self) {
        if let Some(follower) = self.follower.take().filter(|follower| !follower.ended) {
            let now = self.os.now();
            let sender = Sender::new(follower.end, follower.inbound, true, &self.os.world.borrow(), now);
            self.sender = Some(sender);
        }
    }
}
