//! The numbered messages that neighbours and the router exchange.
//!
//! ```text
//!   length (2) | kind (1) | number (4) | update (4) | maker (4) | filler (0..) | check (4)
//! ```
//!
//! `number` counts a stream's messages, `update` those of them that say something. `maker` is a random number of whoever
//! made the message: a message that is made again by a successor looks different, so that the end of one behind
//! the beginning of the other is seen by the check.

/// Bytes around the filler.
const FRAME_LEN: usize = 19;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// It says something; else it is a keepalive.
    pub is_update: bool,
    pub number: u32,
    pub update: u32,
    pub maker: u32,
    pub filler: u16,
}

fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

impl Message {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let length = (FRAME_LEN + usize::from(self.filler)) as u16;
        out.extend_from_slice(&length.to_be_bytes());
        out.push(u8::from(self.is_update));
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.update.to_be_bytes());
        out.extend_from_slice(&self.maker.to_be_bytes());
        out.extend((0..self.filler).map(|at| (self.maker as u16).wrapping_add(at) as u8));
        let sum = check(&out[start..]);
        out.extend_from_slice(&sum.to_be_bytes());
    }

    /// The message at the front, and its length; `None`: it is not complete.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Message, usize)>, String> {
        let Some(length) = bytes.first_chunk::<2>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length < FRAME_LEN {
            return Err(format!("a message announces {length} bytes"));
        }
        let Some(message) = bytes.get(..length) else { return Ok(None) };
        let (body, sum) = message.split_at(length - 4);
        if check(body).to_be_bytes() != sum {
            return Err("a message is damaged".into());
        }
        let word = |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        let (number, update, maker) = (word(3), word(7), word(11));
        let filler = (length - FRAME_LEN) as u16;
        Ok(Some((Message { is_update: body[2] == 1, number, update, maker, filler }, length)))
    }
}

/// Bytes of whole messages at the front.
pub(crate) fn whole(bytes: &[u8]) -> Result<usize, String> {
    let mut length = 0;
    while let Some((_, more)) = Message::decode(&bytes[length..])? {
        length += more;
    }
    Ok(length)
}
