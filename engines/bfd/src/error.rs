/// Why a packet was not believed (RFC 5880 §6.8.6, RFC 5881 §5, RFC 5880 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum Discard {
    /// Fewer octets than a control packet has.
    #[error("shorter than a control packet")]
    TooShort,
    /// Another version than 1.
    #[error("version is not 1")]
    Version,
    /// The length field says more than arrived, or less than is needed.
    #[error("length field does not fit the packet")]
    Length,
    /// A detection multiplier of zero.
    #[error("detection multiplier is zero")]
    ZeroMultiplier,
    /// The multipoint bit.
    #[error("multipoint bit is set")]
    Multipoint,
    /// My Discriminator of zero.
    #[error("the sender's discriminator is zero")]
    ZeroMyDiscriminator,
    /// Your Discriminator of zero from a session that must know ours.
    #[error("our discriminator is missing in state Init or Up")]
    NoYourDiscriminator,
    /// No session has this discriminator.
    #[error("no session has the discriminator; the neighbor may remember an earlier session, which passes")]
    UnknownDiscriminator,
    /// No session is configured for the sender.
    #[error("no session is configured for the sender, or one of the other session-mode (single-hop, multihop)")]
    UnknownSource,
    /// The session with this discriminator is with somebody else.
    #[error("the discriminator belongs to a session with another address")]
    WrongSource,
    /// A single-hop packet that has passed a router (RFC 5881 §5, RFC 5082).
    #[error("TTL is not 255: sent from farther away than the next hop")]
    Ttl,
    /// We authenticate, the neighbour does not.
    #[error("no authentication; set the same authentication on both sides")]
    AuthenticationMissing,
    /// The neighbour authenticates, we do not.
    #[error("authentication where none is configured; set the same authentication on both sides")]
    AuthenticationUnexpected,
    /// Another type of authentication than ours.
    #[error("another type of authentication than the one configured")]
    AuthenticationType,
    /// Another key identifier than ours.
    #[error("another authentication key-id than the one configured")]
    AuthenticationKeyId,
    /// A sequence number that is outside the window: replayed, or after too many losses.
    #[error("authentication sequence number outside the window (replayed?)")]
    AuthenticationSequence,
    /// The digest is not that of this packet with our key.
    #[error("authentication digest does not match: another key on the other side?")]
    AuthenticationDigest,
    /// We are administratively down.
    #[error("the session is administratively down on our side")]
    AdminDown,
    /// A multihop packet from farther away than is configured.
    #[error("TTL is below the minimum-ttl: sent from farther away than is configured")]
    MinimumTtl,
}

impl Discard {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Discard; 19] = [
        Discard::TooShort,
        Discard::Version,
        Discard::Length,
        Discard::ZeroMultiplier,
        Discard::Multipoint,
        Discard::ZeroMyDiscriminator,
        Discard::NoYourDiscriminator,
        Discard::UnknownDiscriminator,
        Discard::UnknownSource,
        Discard::WrongSource,
        Discard::Ttl,
        Discard::AuthenticationMissing,
        Discard::AuthenticationUnexpected,
        Discard::AuthenticationType,
        Discard::AuthenticationKeyId,
        Discard::AuthenticationSequence,
        Discard::AuthenticationDigest,
        Discard::AdminDown,
        Discard::MinimumTtl,
    ];

    /// For an array with one counter for each reason.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BfdError {
    /// No room for another session.
    #[error("{SESSIONS} BFD sessions exist, which is the most there can be; remove some", SESSIONS = crate::SESSIONS_MAX)]
    Full,
    /// Another session has the same neighbour, or the same discriminator.
    #[error("there is such a session already")]
    Duplicate,
    /// A record that this version does not understand.
    #[error("a session's record has version {found}, this program reads {known}")]
    RecordVersion {
        /// In the record.
        found: u16,
        /// What is written here.
        known: u16,
    },
    /// A record with a value that no session has.
    #[error("a session's record holds an impossible value: {what}")]
    Record {
        /// Which.
        what: &'static str,
    },
    /// A key of a length that RFC 5880 §6.7.4 does not allow.
    #[error("an authentication key has 1 to 20 bytes, this one has {found}")]
    KeyLength {
        /// Bytes given.
        found: usize,
    },
}
