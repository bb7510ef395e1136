//! The two ends of the replication stream: what each keeps, and how it writes or reads. When, and what, is said in `replication`.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use holdfast_kernel::descriptor::send_room;
use holdfast_proto::v1::{Fact, HandoffMark, TableComparison};
use holdfast_replication::limits::STREAM_BUFFER_LEN;
use holdfast_replication::{Inbound, Outbound, Pace};

use crate::limits::BURST_LEN;

/// Bytes read from a stream at once.
const STREAM_READ_LEN: usize = 256 * 1024;

/// The primary's end.
pub struct Sender {
    pub(super) stream: UnixStream,
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    /// The follower has said who it is.
    pub(super) greeted: bool,
    /// Where the snapshot goes on; `None`: it is through, or not needed.
    pub(super) cursor: Option<u64>,
    pub(super) snapshot_done: bool,
    pub(super) next_mark: Duration,
    pub(super) marks: u64,
    pub(super) pace: Pace,
    pub(super) watermark_reached: bool,
}

impl Sender {
    pub(super) fn new(stream: UnixStream, inbound: Inbound, greeted: bool) -> Self {
        let room = send_room(stream.as_fd()).unwrap_or(STREAM_BUFFER_LEN as u64);
        Self {
            stream,
            outbound: Outbound::default(),
            inbound,
            greeted,
            cursor: None,
            snapshot_done: greeted,
            next_mark: Duration::ZERO,
            marks: 0,
            pace: Pace::new(room),
            watermark_reached: false,
        }
    }

    /// Puts a fact at the end of the stream.
    pub fn push(&mut self, fact: Fact) {
        if self.greeted {
            self.outbound.push_fact(fact);
        }
    }

    /// The same, of a fact whose bytes lie elsewhere: from there to the kernel, if nothing else waits. What it did not take, and why,
    /// shows as soon as the stream is flushed.
    pub fn push_stream(&mut self, fact: Fact, data: &[u8], now: Duration) {
        if self.greeted {
            self.pace.look(self.in_kernel(), now);
            let stream = &mut self.stream;
            self.outbound.push_stream(fact, data, |parts| stream.write_vectored(parts).unwrap_or(0));
        }
    }

    /// The kernel has everything.
    pub fn is_drained(&self) -> bool {
        self.outbound.is_drained()
    }

    /// What a follower that is behind leaves to be done now.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The next slice of the snapshot may be made.
    pub fn snapshot_may_go_on(&self) -> bool {
        self.cursor.is_some() && !self.watermark_reached
    }

    /// The follower has everything that was there when it joined.
    pub fn is_snapshot_done(&self) -> bool {
        self.snapshot_done
    }

    /// Frames sent.
    pub fn frames(&self) -> u64 {
        self.outbound.frames()
    }

    /// Bytes that the follower has not read.
    pub fn unread(&self) -> u64 {
        self.in_kernel() + self.outbound.pending().len() as u64
    }

    /// The part of it that the kernel has.
    pub(super) fn in_kernel(&self) -> u64 {
        holdfast_kernel::tcp::send_queue(self.stream.as_fd()).unwrap_or(0)
    }
}

/// The backup's end.
pub struct Follower {
    pub(super) stream: UnixStream,
    pub(super) inbound: Inbound,
    pub(super) readable: bool,
    /// There may be whole frames in `inbound`.
    pub(super) frames_waiting: bool,
    /// Bytes read since the stream was empty the last time.
    burst: usize,
    /// The stream is empty after much was read.
    may_rest: bool,
    pub(super) snapshot_done: bool,
    /// Since when frames have left marks, of what is to be told, that may be forgotten by now.
    pub(super) unsettled_since: Option<Duration>,
    /// The last marked digests against ours at that very place.
    pub(super) comparisons: Vec<TableComparison>,
    /// The primary's last frame.
    pub(super) handoff: Option<HandoffMark>,
    /// The primary's end is closed.
    pub(super) ended: bool,
}

impl Follower {
    pub(super) fn new(stream: UnixStream, inbound: Inbound, snapshot_done: bool) -> Self {
        Self {
            stream,
            inbound,
            readable: true,
            frames_waiting: true,
            burst: 0,
            may_rest: false,
            snapshot_done,
            unsettled_since: None,
            comparisons: Vec::new(),
            handoff: None,
            ended: false,
        }
    }

    /// Bytes, frames or marks wait.
    pub fn has_work(&self) -> bool {
        self.unsettled_since.is_some() || self.handoff.is_none() && (self.readable || self.frames_waiting)
    }

    /// Whether to let some of the stream gather, for [`crate::limits::FOLLOWER_REST`], before it is waited for again. A busy primary would
    /// wake this engine for each piece; and to a scheduler, who wakes another one by writing to it is about to wait itself, so both would come to
    /// share one processor, in turns, while another one is idle.
    pub fn take_rest(&mut self) -> bool {
        // After the primary's last frame nothing gathers, and the switch waits for us.
        std::mem::take(&mut self.may_rest) && self.handoff.is_none() && !self.ended
    }

    /// Everything that was there has come.
    pub fn is_snapshot_done(&self) -> bool {
        self.snapshot_done
    }

    /// The last comparison.
    pub fn comparisons(&self) -> &[TableComparison] {
        &self.comparisons
    }

    /// Received and not yet taken over.
    pub fn lag_bytes(&self) -> u64 {
        let waiting = holdfast_kernel::tcp::receive_queue(self.stream.as_fd()).unwrap_or(0);
        self.inbound.lag_bytes() as u64 + waiting
    }

    /// Frames taken.
    pub fn frames(&self) -> u64 {
        self.inbound.frames()
    }

    /// The primary's last frame, once it has come.
    pub fn handoff(&self) -> Option<&HandoffMark> {
        self.handoff.as_ref()
    }

    /// The primary is gone.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn read(&mut self) {
        let mut buffer = vec![0; STREAM_READ_LEN];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.ended = true;
                self.readable = false;
            }
            Ok(length) => {
                self.inbound.extend(&buffer[..length]);
                self.frames_waiting = true;
                self.burst += length;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                self.may_rest = std::mem::take(&mut self.burst) >= BURST_LEN;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => {
                self.ended = true;
                self.readable = false;
            }
        }
    }
}

pub(super) fn write_out(stream: &mut UnixStream, outbound: &mut Outbound) -> Result<(), std::io::Error> {
    while !outbound.is_drained() {
        match stream.write(outbound.pending()) {
            Ok(written) => outbound.advance(written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_rests_once_it_has_read_much_and_not_for_what_changes_all_the_time() {
        let (own, mut primary) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let mut follower = Follower::new(own, Inbound::default(), true);
        let mut rests_after = |length: usize| {
            primary.write_all(&vec![0; length]).unwrap();
            follower.readable = true;
            while follower.readable {
                follower.read();
            }
            (follower.take_rest(), follower.take_rest())
        };
        assert_eq!(rests_after(BURST_LEN - 1), (false, false));
        assert_eq!(rests_after(BURST_LEN), (true, false));
        assert_eq!(rests_after(100), (false, false), "what was read before the rest does not count twice");
    }

    #[test]
    fn what_the_kernel_does_not_take_waits() {
        let (own, mut follower) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let mut sender = Sender::new(own, Inbound::default(), true);
        let bytes = holdfast_proto::v1::StreamBytes::default();
        let fact = Fact { kind: Some(holdfast_proto::v1::fact::Kind::Received(bytes)), ..Fact::default() };
        let data: Vec<u8> = (0..3_900_000u32).map(|octet| octet as u8).collect();
        sender.push_stream(fact, &data, Duration::ZERO);
        assert!(!sender.is_drained(), "more than a socket holds");
        let mut inbound = Inbound::default();
        follower.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; STREAM_READ_LEN];
        let mut whole = None;
        while whole.is_none() {
            let _ = write_out(&mut sender.stream, &mut sender.outbound);
            match follower.read(&mut buffer) {
                Ok(length) => inbound.extend(&buffer[..length]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            whole = inbound.next_frame().unwrap();
        }
        let Some(holdfast_proto::v1::replication_frame::Body::Fact(fact)) = whole else { panic!("{whole:?}") };
        assert!(matches!(fact.kind, Some(holdfast_proto::v1::fact::Kind::Received(bytes)) if bytes.data == data));
    }
}
