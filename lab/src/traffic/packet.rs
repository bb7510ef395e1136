//! A probe: which lab, which flow, which number, sent when.

/// Payload of a probe.
pub const PROBE_BYTES: usize = 64;
/// Where probes are sent to.
pub const PROBE_PORT: u16 = 40_000;

/// What a probe carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Tells labs apart.
    pub nonce: u64,
    /// The flow.
    pub flow: u32,
    /// The number within the flow, from 0.
    pub number: u64,
    /// CLOCK_MONOTONIC at the sender (the same machine as the receiver).
    pub sent_ns: u64,
}

impl Probe {
    /// As bytes.
    pub fn encode(&self) -> [u8; PROBE_BYTES] {
        let mut bytes = [0; PROBE_BYTES];
        bytes[..8].copy_from_slice(&self.nonce.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.flow.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.number.to_be_bytes());
        bytes[20..28].copy_from_slice(&self.sent_ns.to_be_bytes());
        bytes
    }

    /// From bytes; anything that is not a probe is nothing.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != PROBE_BYTES {
            return None;
        }
        let word = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let flow = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
        Some(Self { nonce: word(0)?, flow, number: word(12)?, sent_ns: word(20)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back() {
        let probe = Probe { nonce: 1 << 60, flow: 7, number: u64::MAX - 1, sent_ns: 99 };
        assert_eq!(Probe::decode(&probe.encode()), Some(probe));
        assert_eq!(Probe::decode(&[0; 63]), None);
    }
}
