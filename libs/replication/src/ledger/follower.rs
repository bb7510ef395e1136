use holdfast_proto::v1::{SessionUp, StreamBytes};

use super::{KernelCounters, Ledger};
use crate::ReplicationError;

/// The books of a session that another engine reads and writes, kept by its facts.
#[derive(Clone, Debug, Default)]
pub struct FollowerLedger {
    /// Offset up to which received bytes are known.
    consumed: u64,
    /// Offset up to which sent bytes are known.
    made: u64,
    /// The end of what was made: at least everything that the kernel might not have taken.
    tail: Vec<u8>,
    bases: KernelCounters,
}

/// What a successor has to do before the session goes on, and where the kernel stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remainder {
    /// Offset up to which the kernel's bytes were consumed.
    pub consumed: u64,
    /// Offset up to which the kernel has taken bytes.
    pub written: u64,
    /// Received and known, but not yet discarded from the kernel.
    pub to_discard: usize,
    /// Made and known, but not yet in the kernel.
    pub to_write: Vec<u8>,
}

impl FollowerLedger {
    /// Facts say that a session is up.
    pub fn from_fact(up: &SessionUp) -> Self {
        let bases = KernelCounters { consumed: up.kernel_received_base, written: up.kernel_written_base };
        Self { consumed: up.consumed, made: up.sent, tail: up.unwritten.clone(), bases }
    }

    /// The session was our own until now.
    pub fn from_own(ledger: &Ledger) -> Self {
        let tail = ledger.pending().to_vec();
        Self { consumed: ledger.consumed, made: ledger.made, tail, bases: ledger.bases }
    }

    /// Bytes were received.
    pub fn received(&mut self, bytes: &StreamBytes) -> Result<(), ReplicationError> {
        if bytes.offset != self.consumed {
            return Err(ReplicationError::Gap { stream: "received", told: bytes.offset, expected: self.consumed });
        }
        self.consumed += bytes.data.len() as u64;
        Ok(())
    }

    /// Bytes are about to be written.
    pub fn sent(&mut self, bytes: &StreamBytes) -> Result<(), ReplicationError> {
        if bytes.offset != self.made {
            return Err(ReplicationError::Gap { stream: "sent", told: bytes.offset, expected: self.made });
        }
        let passed = self.tail.len().checked_sub(bytes.unwritten as usize);
        let Some(passed) = passed else {
            return Err(ReplicationError::TailMissing { unwritten: bytes.unwritten, held: self.tail.len() });
        };
        self.made += bytes.data.len() as u64;
        self.tail.drain(..passed);
        self.tail.extend_from_slice(&bytes.data);
        Ok(())
    }

    /// Offset up to which received bytes are known.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Offset up to which sent bytes are known.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Holds the kernel's counters against the facts.
    pub fn remainder(&self, counters: KernelCounters) -> Result<Remainder, ReplicationError> {
        let consumed = counters.consumed.saturating_sub(self.bases.consumed);
        let written = counters.written.saturating_sub(self.bases.written);
        let Some(to_discard) = self.consumed.checked_sub(consumed) else {
            return Err(ReplicationError::ConsumedUntold { consumed, known: self.consumed });
        };
        let unwritten = self.made.checked_sub(written).filter(|bytes| *bytes <= self.tail.len() as u64);
        let Some(unwritten) = unwritten else {
            return Err(ReplicationError::WrittenUntold { written, known: self.made, held: self.tail.len() });
        };
        let to_write = self.tail[self.tail.len() - unwritten as usize..].to_vec();
        Ok(Remainder { consumed, written, to_discard: to_discard as usize, to_write })
    }

    /// The same of a session whose connection has ended: nothing is left to do but to find out how.
    pub fn nothing_left(&self) -> Remainder {
        Remainder { consumed: self.consumed, written: self.made, ..Remainder::default() }
    }

    /// This engine owns the session from now on.
    pub fn resume(self, remainder: &Remainder) -> Ledger {
        Ledger::resumed(self.consumed, self.made, remainder.to_write.clone(), self.bases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(offset: u64, data: &[u8], unwritten: u32) -> StreamBytes {
        StreamBytes { offset, data: data.to_vec(), mono_ns: 0, unwritten }
    }

    #[test]
    fn exactly_the_difference_between_facts_and_kernel_is_left_to_do() {
        let up = SessionUp { kernel_received_base: 1, kernel_written_base: 2, ..SessionUp::default() };
        let mut ledger = FollowerLedger::from_fact(&up);
        ledger.received(&bytes(0, b"0123456789", 0)).expect("in order");
        ledger.sent(&bytes(0, b"abcdefgh", 0)).expect("in order");
        let remainder = ledger.remainder(KernelCounters { consumed: 5, written: 5 }).expect("agrees");
        assert_eq!((remainder.consumed, remainder.written), (4, 3));
        assert_eq!((remainder.to_discard, remainder.to_write.as_slice()), (6, b"defgh".as_slice()));
        let own = ledger.resume(&remainder);
        assert_eq!((own.consumed(), own.made(), own.written()), (10, 8, 3));
        assert_eq!(own.untold(std::time::Duration::ZERO), None, "facts know it already");
    }

    #[test]
    fn the_tail_holds_what_the_kernel_may_not_have_and_no_more() {
        let mut ledger = FollowerLedger::default();
        ledger.sent(&bytes(0, b"first", 0)).expect("in order");
        // Two bytes of the first were still waiting when the second was made.
        ledger.sent(&bytes(5, b"second", 2)).expect("in order");
        assert_eq!(ledger.tail, b"stsecond");
        ledger.sent(&bytes(11, b"third", 0)).expect("in order");
        assert_eq!(ledger.tail, b"third");
    }

    #[test]
    fn bytes_that_wait_for_the_kernel_and_were_never_told_are_a_contradiction() {
        let mut ledger =
            FollowerLedger::from_fact(&SessionUp { sent: 5, unwritten: b"st".to_vec(), ..SessionUp::default() });
        assert!(ledger.sent(&bytes(5, b"x", 3)).expect_err("only two are held").to_string().contains("3 bytes"));
        assert!(ledger.sent(&bytes(5, b"x", 2)).is_ok());
    }

    #[test]
    fn a_gap_in_the_facts_is_a_contradiction() {
        let mut ledger = FollowerLedger::from_fact(&SessionUp { consumed: 7, ..SessionUp::default() });
        assert!(matches!(ledger.received(&bytes(8, b"x", 0)), Err(ReplicationError::Gap { expected: 7, .. })));
        assert!(ledger.received(&bytes(7, b"x", 0)).is_ok());
        assert!(ledger.sent(&bytes(1, b"x", 0)).is_err());
    }

    #[test]
    fn what_the_kernel_saw_and_nobody_told_is_refused() {
        let mut ledger = FollowerLedger::default();
        let error = ledger.remainder(KernelCounters { consumed: 2, written: 0 }).expect_err("nobody told us");
        assert!(error.to_string().contains("2 bytes were consumed"), "{error}");
        let error = ledger.remainder(KernelCounters { consumed: 0, written: 3 }).expect_err("nobody told us");
        assert!(error.to_string().contains("3 bytes were written"), "{error}");
        // Facts let the first four go, yet the kernel does not have them.
        ledger.sent(&bytes(0, b"1234", 0)).expect("in order");
        ledger.sent(&bytes(4, b"5", 0)).expect("in order");
        assert!(ledger.remainder(KernelCounters { consumed: 0, written: 3 }).is_err());
    }
}
