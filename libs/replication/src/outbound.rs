use std::io::IoSlice;

use holdfast_proto::v1::{Fact, ReplicationFrame, fact::Kind, replication_frame::Body};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// Field numbers of the messages around a session's bytes (`proto/holdfast/v1/replication.proto`).
mod field {
    pub const FRAME_FACT: u32 = 2;
    pub const FACT_PROTOCOL: u32 = 1;
    pub const FACT_NEIGHBOR: u32 = 2;
    pub const FACT_RECEIVED: u32 = 5;
    pub const FACT_SENT: u32 = 6;
    pub const STREAM_DATA: u32 = 2;
}

/// Bytes of a frame's length field.
pub(crate) const LENGTH_LEN: usize = 4;

/// The sender's end of a replication stream: frames in, bytes for the socket out.
#[derive(Debug, Default)]
pub struct Outbound {
    buffer: Vec<u8>,
    start: usize,
    frames: u64,
}

impl Outbound {
    /// Puts one frame at the end of the stream.
    pub fn push(&mut self, body: Body) {
        let frame = ReplicationFrame { body: Some(body) };
        // A frame is far below 4 GiB: its parts are bounded by reads and slices.
        let length = frame.encoded_len() as u32;
        self.buffer.reserve(LENGTH_LEN + length as usize);
        self.buffer.extend_from_slice(&length.to_be_bytes());
        frame.encode_raw(&mut self.buffer);
        self.frames += 1;
    }

    /// Puts one fact at the end of the stream.
    pub fn push_fact(&mut self, fact: Fact) {
        self.push(Body::Fact(fact));
    }

    /// Puts a fact of a session's bytes at the end of the stream, which lie elsewhere. A full table passes through this: if nothing
    /// else waits, `write` gets them from where they are, behind what leads to them, and says how many bytes it took; only the rest is
    /// copied, to wait here. `fact` is all of it but them; any other fact goes as it is.
    pub fn push_stream(&mut self, fact: Fact, data: &[u8], write: impl FnOnce(&[IoSlice<'_>]) -> usize) {
        let (number, head) = match &fact.kind {
            Some(Kind::Received(head)) => (field::FACT_RECEIVED, head),
            Some(Kind::Sent(head)) => (field::FACT_SENT, head),
            _ => return self.push_fact(fact),
        };
        let was_drained = self.is_drained();
        let envelope_len =
            field_len(field::FACT_PROTOCOL, fact.protocol.len()) + field_len(field::FACT_NEIGHBOR, fact.neighbor.len());
        let stream_len = head.encoded_len() + field_len(field::STREAM_DATA, data.len());
        let fact_len = envelope_len + field_len(number, stream_len);
        let frame_len = field_len(field::FRAME_FACT, fact_len);
        let buffer = &mut self.buffer;
        buffer.extend_from_slice(&(frame_len as u32).to_be_bytes());
        begin_field(buffer, field::FRAME_FACT, fact_len);
        for (number, text) in [(field::FACT_PROTOCOL, &fact.protocol), (field::FACT_NEIGHBOR, &fact.neighbor)] {
            begin_field(buffer, number, text.len());
            buffer.extend_from_slice(text.as_bytes());
        }
        begin_field(buffer, number, stream_len);
        head.encode_raw(buffer);
        begin_field(buffer, field::STREAM_DATA, data.len());
        self.frames += 1;
        let leading = self.pending().len();
        let taken = if was_drained { write(&[IoSlice::new(self.pending()), IoSlice::new(data)]) } else { 0 };
        let of_data = taken.saturating_sub(leading).min(data.len());
        self.buffer.extend_from_slice(&data[of_data..]);
        self.advance(taken - of_data);
    }

    /// What the socket has not taken yet.
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The socket has taken the first `written` bytes of [`Self::pending`].
    pub fn advance(&mut self, written: usize) {
        self.start = (self.start + written).min(self.buffer.len());
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Everything is in the socket: what was pushed is replicated.
    pub fn is_drained(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Frames pushed since the stream began.
    pub fn frames(&self) -> u64 {
        self.frames
    }
}

/// Octets of a field that holds `length` octets.
fn field_len(number: u32, length: usize) -> usize {
    key_len(number) + encoded_len_varint(length as u64) + length
}

fn begin_field(buffer: &mut Vec<u8>, number: u32, length: usize) {
    encode_key(number, WireType::LengthDelimited, buffer);
    encode_varint(length as u64, buffer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Inbound;
    use holdfast_proto::v1::StreamBytes;
    use proptest::prelude::*;

    fn fact(neighbor: String, sent: bool, bytes: StreamBytes) -> Fact {
        let kind = if sent { Kind::Sent(bytes) } else { Kind::Received(bytes) };
        Fact { protocol: "bgp".into(), neighbor, kind: Some(kind) }
    }

    proptest! {
        #[test]
        fn bytes_that_lie_elsewhere_arrive_as_if_they_had_been_in_the_fact(
            neighbor in "[0-9a-f:.]{0,40}",
            sent: bool,
            data in prop::collection::vec(any::<u8>(), 0..70_000),
            (offset, mono_ns, unwritten) in (any::<u64>(), any::<u64>(), any::<u32>()),
            taken: prop::sample::Index,
        ) {
            let head = StreamBytes { offset, mono_ns, unwritten, data: Vec::new() };
            let mut stream = Vec::new();
            let mut outbound = Outbound::default();
            outbound.push_stream(fact(neighbor.clone(), sent, head.clone()), &data, |parts| {
                let waiting: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
                let taken = taken.index(waiting.len() + 1);
                stream.extend_from_slice(&waiting[..taken]);
                taken
            });
            // A second one waits behind what is left of the first.
            let drained = outbound.is_drained();
            outbound.push_stream(fact(neighbor.clone(), sent, head.clone()), &data, |_| {
                assert!(drained, "it has overtaken");
                0
            });
            stream.extend_from_slice(outbound.pending());
            let mut inbound = Inbound::default();
            inbound.extend(&stream);
            let whole = fact(neighbor, sent, StreamBytes { data, ..head });
            for _ in 0..2 {
                prop_assert_eq!(inbound.next_frame().expect("well formed"), Some(Body::Fact(whole.clone())));
            }
            prop_assert_eq!((inbound.lag_bytes(), outbound.frames()), (0, 2));
        }
    }
}
