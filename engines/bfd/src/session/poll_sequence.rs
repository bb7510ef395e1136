//! Poll sequences (RFC 5880 §6.5): the neighbour confirms that it has heard of other intervals.

/// Where one stands. There is never more than one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollSequence {
    /// Everything announced is confirmed.
    Idle,
    /// Packets carry the P bit until one with F comes.
    Polling,
    /// The same; but what is announced has changed meanwhile, and the answer that is awaited may be one to what was
    /// announced before. So another sequence follows it.
    PollingAgain,
}

impl PollSequence {
    pub fn is_active(self) -> bool {
        self != PollSequence::Idle
    }

    /// What is announced has changed.
    pub fn begin(self) -> PollSequence {
        match self {
            PollSequence::Idle => PollSequence::Polling,
            PollSequence::Polling | PollSequence::PollingAgain => PollSequence::PollingAgain,
        }
    }

    /// A final packet has come.
    pub fn answered(self) -> PollSequence {
        match self {
            PollSequence::PollingAgain => PollSequence::Polling,
            PollSequence::Idle | PollSequence::Polling => PollSequence::Idle,
        }
    }
}
