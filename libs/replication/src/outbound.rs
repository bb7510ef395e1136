use holdfast_proto::v1::{Fact, ReplicationFrame, replication_frame::Body};
use prost::Message;

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
