use crate::wire::Authentication;

/// What an operator wants of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// To send as often while Up, in microseconds (bfd.DesiredMinTxInterval).
    pub minimum_transmit_us: u32,
    /// To be sent to no more often, in microseconds (bfd.RequiredMinRxInterval).
    pub minimum_receive_us: u32,
    /// Packets that the neighbour may miss in a row (bfd.DetectMult); at least 1.
    pub multiplier: u8,
    /// None: packets are not authenticated.
    pub authentication: Option<Authentication>,
    /// Over several hops: the least TTL that a packet may arrive with (RFC 5883 §5 leaves it to us); 0: any. A single hop has its own rule.
    pub minimum_ttl: u8,
    /// Held in AdminDown.
    pub admin_down: bool,
}
