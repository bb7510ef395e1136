use holdfast_proto::v1::{ReplicationFrame, replication_frame::Body};
use prost::Message;

use crate::ReplicationError;
use crate::limits::FRAME_MAX_LEN;
use crate::outbound::LENGTH_LEN;

/// The follower's end of a replication stream: bytes in, frames out.
#[derive(Debug, Default)]
pub struct Inbound {
    buffer: Vec<u8>,
    start: usize,
    frames: u64,
}

impl Inbound {
    /// Takes bytes as they came from the socket.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if its bytes are there. A frame of an unknown kind (a newer sender's) is passed over.
    pub fn next_frame(&mut self) -> Result<Option<Body>, ReplicationError> {
        loop {
            let pending = &self.buffer[self.start..];
            let Some(field) = pending.first_chunk::<LENGTH_LEN>() else { return Ok(None) };
            let length = u32::from_be_bytes(*field) as usize;
            if length > FRAME_MAX_LEN {
                return Err(ReplicationError::FrameTooLong { length, limit: FRAME_MAX_LEN });
            }
            let Some(frame) = pending.get(LENGTH_LEN..LENGTH_LEN + length) else { return Ok(None) };
            let frame = ReplicationFrame::decode(frame)?;
            self.start += LENGTH_LEN + length;
            self.frames += 1;
            if let Some(body) = frame.body {
                return Ok(Some(body));
            }
        }
    }

    /// Bytes received and not yet taken as frames.
    pub fn lag_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Frames taken since the stream began.
    pub fn frames(&self) -> u64 {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outbound;
    use holdfast_proto::v1::{Fact, StreamBytes, fact::Kind};
    use proptest::prelude::*;

    fn fact(offset: u64, data: Vec<u8>) -> Body {
        let received = StreamBytes { offset, data, ..StreamBytes::default() };
        Body::Fact(Fact { neighbor: "10.0.0.2".into(), kind: Some(Kind::Received(received)), ..Fact::default() })
    }

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            sizes in prop::collection::vec(0usize..300, 1..20),
            chunk in 1usize..64,
        ) {
            let sent: Vec<Body> = sizes.iter().enumerate().map(|(i, n)| fact(i as u64, vec![i as u8; *n])).collect();
            let mut outbound = Outbound::default();
            for body in &sent {
                outbound.push(body.clone());
            }
            let mut inbound = Inbound::default();
            let mut received = Vec::new();
            while !outbound.is_drained() {
                let bytes = outbound.pending()[..chunk.min(outbound.pending().len())].to_vec();
                outbound.advance(bytes.len());
                inbound.extend(&bytes);
                while let Some(body) = inbound.next_frame().expect("well formed") {
                    received.push(body);
                }
            }
            prop_assert_eq!(received, sent);
            prop_assert_eq!(inbound.lag_bytes(), 0);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut inbound = Inbound::default();
            inbound.extend(&bytes);
            while let Ok(Some(_)) = inbound.next_frame() {}
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_memory_is_spent() {
        let mut inbound = Inbound::default();
        inbound.extend(&u32::MAX.to_be_bytes());
        assert!(matches!(inbound.next_frame(), Err(ReplicationError::FrameTooLong { .. })));
    }
}
