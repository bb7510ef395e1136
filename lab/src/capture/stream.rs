//! One direction of one TCP connection put together again from its segments, and the BGP messages in it.
//!
//! A byte that is missing, or that was sent twice with different contents, breaks the stream; so does a byte too many,
//! because then the BGP framing (sixteen octets of ones, a length, a type) no longer fits.

use std::collections::BTreeMap;

use super::pcap::Segment;
use crate::bgp::message::{self, HEADER_BYTES};

/// Bytes kept for comparison with retransmissions.
const HISTORY_BYTES: usize = 1 << 20;
/// Segments held back while an earlier one is missing.
const HELD_MAX: usize = 4096;

/// A BGP message on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireMessage {
    /// When its last byte was captured.
    pub at_ns: u64,
    /// Its type.
    pub kind: u8,
    /// How long it was, header included.
    pub bytes: u16,
    /// What it said behind its header; of UPDATEs nothing is kept here.
    pub body: Box<[u8]>,
    /// It was equal, byte by byte, to the UPDATE before it.
    pub repeats_update: bool,
}

/// Something that must not be in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When the segment that showed it was captured.
    pub at_ns: u64,
    /// What it is.
    pub what: String,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Stream {
    next: Option<u32>,
    held: BTreeMap<u32, (u64, Vec<u8>)>,
    history: Vec<u8>,
    pending: Vec<u8>,
    last_update: Vec<u8>,
    /// What was said in it, where that is wanted.
    record: Option<Record>,
    /// Messages in order.
    pub messages: Vec<WireMessage>,
    /// Bytes sent again with the same contents (TCP's ordinary business).
    pub retransmitted_bytes: u64,
    /// What is wrong with the stream; nothing should be.
    pub faults: Vec<Fault>,
}

/// What was said in one direction: enough to say it again to somebody else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The OPEN.
    pub open: Vec<u8>,
    /// All UPDATEs, one behind the other.
    pub updates: Vec<u8>,
}

/// Distance from `from` to `to` on the circle of sequence numbers.
fn distance(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from) as i32)
}

impl Stream {
    /// One that keeps what is said in it.
    pub fn recording() -> Self {
        Self { record: Some(Record::default()), ..Self::default() }
    }

    /// What was said in it, if it was recorded.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Takes the next captured segment.
    pub fn push(&mut self, segment: &Segment) {
        if segment.truncated_bytes > 0 {
            self.fault(segment.at_ns, format!("{} bytes not captured", segment.truncated_bytes));
        }
        let first = if segment.flags & super::pcap::flags::SYN != 0 {
            self.next = Some(segment.sequence.wrapping_add(1));
            return;
        } else {
            segment.sequence
        };
        if segment.payload.is_empty() {
            return;
        }
        self.next.get_or_insert(first);
        self.take(first, segment.at_ns, &segment.payload);
        self.release_held();
    }

    fn take(&mut self, first: u32, at_ns: u64, payload: &[u8]) {
        let Some(next) = self.next else { return };
        let ahead = distance(next, first);
        if ahead > 0 {
            if self.held.len() < HELD_MAX {
                self.held.insert(first, (at_ns, payload.to_vec()));
            } else {
                self.fault(at_ns, format!("{ahead} bytes missing before sequence number {first}"));
            }
            return;
        }
        let behind = usize::try_from(-ahead).unwrap_or(usize::MAX);
        let (old, new) = payload.split_at(behind.min(payload.len()));
        self.compare_with_history(at_ns, behind, old);
        if !new.is_empty() {
            self.next = Some(next.wrapping_add(u32::try_from(new.len()).unwrap_or(0)));
            self.append(at_ns, new);
        }
    }

    fn release_held(&mut self) {
        while let Some(next) = self.next {
            let ready = self.held.keys().copied().find(|&first| distance(next, first) <= 0);
            let Some((at_ns, payload)) = ready.and_then(|first| self.held.remove(&first)) else { break };
            self.take(ready.unwrap_or(next), at_ns, &payload);
        }
    }

    /// `old` was sent `behind` bytes ago: it must be what it was.
    fn compare_with_history(&mut self, at_ns: u64, behind: usize, old: &[u8]) {
        self.retransmitted_bytes += old.len() as u64;
        let Some(start) = self.history.len().checked_sub(behind) else { return };
        if self.history.get(start..start + old.len()).is_some_and(|was| was != old) {
            self.fault(at_ns, format!("{} bytes sent again with other contents", old.len()));
        }
    }

    fn append(&mut self, at_ns: u64, bytes: &[u8]) {
        self.history.extend_from_slice(bytes);
        if self.history.len() > 2 * HISTORY_BYTES {
            self.history.drain(..HISTORY_BYTES);
        }
        self.pending.extend_from_slice(bytes);
        let mut start = 0;
        loop {
            let rest = self.pending.get(start..).unwrap_or_default();
            let length = match message::message_length(rest) {
                Ok(Some(length)) if length <= rest.len() => length,
                Ok(_) => break,
                Err(error) => {
                    self.fault(at_ns, format!("the stream is no longer BGP: {error}"));
                    start = self.pending.len();
                    break;
                }
            };
            let bytes = rest.get(..length).unwrap_or_default().to_vec();
            self.note(at_ns, &bytes);
            start += length;
        }
        self.pending.drain(..start);
    }

    fn note(&mut self, at_ns: u64, bytes: &[u8]) {
        let kind = bytes.get(HEADER_BYTES - 1).copied().unwrap_or(0);
        let is_update = kind == message::UPDATE;
        let repeats_update = is_update && bytes == self.last_update.as_slice();
        if is_update {
            self.last_update = bytes.to_vec();
        }
        if let Some(record) = &mut self.record {
            match kind {
                message::OPEN => record.open = bytes.to_vec(),
                message::UPDATE => record.updates.extend_from_slice(bytes),
                _ => {}
            }
        }
        let body = if is_update { &[] } else { bytes.get(HEADER_BYTES..).unwrap_or_default() };
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.messages.push(WireMessage { at_ns, kind, bytes: length, body: body.into(), repeats_update });
    }

    fn fault(&mut self, at_ns: u64, what: String) {
        const FAULTS_MAX: usize = 20;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { at_ns, what });
        }
    }

    /// The capture is over: what was held back waits for bytes that never came.
    pub fn finish(&mut self) {
        if let (Some(next), Some((first, (at_ns, _)))) = (self.next, self.held.pop_first()) {
            let missing = distance(next, first);
            self.held.clear();
            self.fault(at_ns, format!("{missing} bytes missing before sequence number {first}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keepalives(count: usize) -> Vec<u8> {
        let mut out = Vec::new();
        (0..count).for_each(|_| message::frame(&mut out, message::KEEPALIVE, &[]));
        out
    }

    fn segment(sequence: u32, payload: &[u8]) -> Segment {
        Segment {
            at_ns: 1,
            from: "10.0.0.1:179".parse().unwrap(),
            to: "10.0.0.2:4000".parse().unwrap(),
            ttl: 64,
            signed: false,
            sequence,
            flags: 0x10,
            payload: payload.to_vec(),
            truncated_bytes: 0,
        }
    }

    fn stream(segments: &[Segment]) -> Stream {
        let mut stream = Stream::default();
        segments.iter().for_each(|s| stream.push(s));
        stream.finish();
        stream
    }

    #[test]
    fn order_and_wrap_around_do_not_matter() {
        let bytes = keepalives(3);
        let start = u32::MAX - 20;
        let at = |offset: usize| start.wrapping_add(u32::try_from(offset).unwrap());
        let s = stream(&[segment(start, &bytes[..10]), segment(at(30), &bytes[30..]), segment(at(10), &bytes[10..30])]);
        assert_eq!((s.messages.len(), s.faults.len()), (3, 0), "{:?}", s.faults);
    }

    #[test]
    fn a_plain_retransmission_is_no_fault_but_other_contents_are() {
        let bytes = keepalives(2);
        let s = stream(&[segment(5, &bytes), segment(5, &bytes[..19])]);
        assert_eq!((s.faults.len(), s.retransmitted_bytes), (0, 19));
        let mut other = bytes.clone();
        other[18] = 2;
        assert_eq!(stream(&[segment(5, &bytes), segment(5, &other)]).faults.len(), 1);
    }

    #[test]
    fn a_missing_and_a_surplus_byte_are_found() {
        let bytes = keepalives(3);
        assert_eq!(stream(&[segment(0, &bytes[..19]), segment(20, &bytes[20..])]).faults.len(), 1);
        let mut surplus = bytes.clone();
        surplus.insert(19, 0xff);
        assert!(!stream(&[segment(0, &surplus)]).faults.is_empty());
    }

    #[test]
    fn a_repeated_update_is_noticed() {
        let mut bytes = Vec::new();
        for _ in 0..2 {
            message::withdraw(&mut bytes, &[message::Prefix::new(0x0102_0300, 24)]);
        }
        let s = stream(&[segment(0, &bytes)]);
        assert_eq!(s.messages.iter().filter(|m| m.repeats_update).count(), 1);
    }
}
