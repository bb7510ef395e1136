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
}
