/// Why a replication stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// A length beyond [`crate::limits::FRAME_MAX_LEN`].
    #[error(
        "a replication frame announces {length} bytes, more than the {limit} allowed; the stream is not usable, the backup has to be synchronized anew"
    )]
    FrameTooLong {
        /// What the frame says.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a frame of ours.
    #[error(
        "a replication frame cannot be decoded ({0}); the stream is not usable, the backup has to be synchronized anew"
    )]
    Malformed(#[from] prost::DecodeError),
    /// A fact contradicts what the follower knows.
    #[error("fact of {protocol} neighbor {neighbor} does not fit: {reason}; the backup has to be synchronized anew")]
    Contradiction {
        /// The protocol that refused the fact.
        protocol: &'static str,
        /// Whose fact.
        neighbor: String,
        /// What does not fit.
        reason: String,
    },
    /// Facts of a session's stream do not follow each other.
    #[error("{stream} bytes begin at {told}, {expected} were expected")]
    Gap {
        /// "received" or "sent".
        stream: &'static str,
        /// Where the fact begins.
        told: u64,
        /// Where it has to begin.
        expected: u64,
    },
    /// More bytes wait for the kernel than facts have told of: a successor could not finish what was begun.
    #[error(
        "{unwritten} bytes wait for the kernel before the sent bytes, but only {held} of them are known from facts"
    )]
    TailMissing {
        /// By the fact.
        unwritten: u32,
        /// Bytes that are held.
        held: usize,
    },
    /// The kernel's counter is beyond the facts: somebody read without telling.
    #[error("{consumed} bytes were consumed from the kernel, but only {known} are known from facts")]
    ConsumedUntold {
        /// By the kernel's count.
        consumed: u64,
        /// By the facts.
        known: u64,
    },
    /// The kernel's counter does not lie within what facts hold: somebody wrote without telling.
    #[error("{written} bytes were written to the kernel, facts know {known} and hold the last {held}")]
    WrittenUntold {
        /// By the kernel's count.
        written: u64,
        /// By the facts.
        known: u64,
        /// Bytes that are still held.
        held: usize,
    },
}
