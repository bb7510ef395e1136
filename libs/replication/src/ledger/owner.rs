use std::time::Duration;

use holdfast_proto::v1::{SessionUp, StreamBytes};

use super::{KernelCounters, OutputBuffer};

/// The books of a session that this engine reads and writes.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub(super) consumed: u64,
    told_in: u64,
    pub(super) made: u64,
    told_out: u64,
    pub(super) output: OutputBuffer,
    /// The kernel's counts when both offsets were zero.
    pub(super) bases: KernelCounters,
}

impl Ledger {
    /// Of a session taken over: everything that is known of it was told, by the one who had it before.
    pub(super) fn resumed(consumed: u64, made: u64, unwritten: Vec<u8>, bases: KernelCounters) -> Self {
        let output = OutputBuffer::with(unwritten);
        Self { consumed, told_in: consumed, made, told_out: made, output, bases }
    }

    /// Where the kernel's counters stand at the handshake, to turn them into offsets later.
    pub fn set_bases(&mut self, counters: KernelCounters) {
        self.bases = counters;
    }

    /// The kernel's counts when both offsets were zero.
    pub fn bases(&self) -> KernelCounters {
        self.bases
    }

    /// Bytes discarded from the kernel.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Bytes made for the neighbour, whether the kernel has them or not.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Bytes that the kernel has taken.
    pub fn written(&self) -> u64 {
        self.made - self.output.pending().len() as u64
    }

    /// Made and not yet taken by the kernel.
    pub fn pending(&self) -> &[u8] {
        self.output.pending()
    }

    /// Followers were told of bytes that have not been discarded, because their stream was full in between.
    pub fn is_told_ahead(&self) -> bool {
        self.told_in > self.consumed
    }

    /// `bytes`, which lie at the front of the kernel's queue, are about to be consumed: what followers have to be told
    /// first. They may be discarded once the kernel has that in the replication stream.
    pub fn tell_received<'b>(&mut self, bytes: &'b [u8], now: Duration) -> Option<Told<'b>> {
        let known = self.told_in.saturating_sub(self.consumed) as usize;
        let data = bytes.get(known..).filter(|fresh| !fresh.is_empty())?;
        let offset = self.consumed + known as u64;
        self.told_in = offset + data.len() as u64;
        Some(Told::new(offset, data, 0, now))
    }

    /// So many bytes were discarded from the kernel.
    pub fn consume(&mut self, length: usize) {
        self.consumed += length as u64;
    }

    /// Puts one message at the end of the output.
    pub fn make(&mut self, message: &[u8]) {
        self.fill(|output| output.extend_from_slice(message));
    }

    /// Lets `append` put messages at the end of the output.
    pub fn fill(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        let output = self.output.tail();
        let before = output.len();
        append(output);
        self.made += (output.len() - before) as u64;
    }

    /// Output that was made and not yet told to followers, as the fact that tells it. It may be written once the kernel has
    /// that in the replication stream.
    pub fn tell_sent(&mut self, now: Duration) -> Option<Told<'_>> {
        let from = std::mem::replace(&mut self.told_out, self.made);
        self.made_since(from, now)
    }

    /// The same, of books that are about to be closed.
    pub fn untold(&self, now: Duration) -> Option<Told<'_>> {
        self.made_since(self.told_out, now)
    }

    fn made_since(&self, offset: u64, now: Duration) -> Option<Told<'_>> {
        let fresh = (self.made - offset) as usize;
        let pending = self.output.pending();
        let older = pending.len().checked_sub(fresh).filter(|_| fresh > 0)?;
        Some(Told::new(offset, &pending[older..], older as u32, now))
    }

    /// Nobody follows: what was made need not be told, nor copied for it.
    pub fn skip_telling_sent(&mut self) {
        self.told_out = self.made;
    }

    /// Facts begin from here.
    pub fn skip_telling(&mut self) {
        self.told_in = self.consumed;
        self.told_out = self.made;
    }

    /// The kernel has taken so many bytes of the output.
    pub fn write(&mut self, taken: usize) {
        self.output.advance(taken);
    }

    /// Completes the fact that the session is up by where its streams stand. From here on facts tell what is new.
    pub fn describe(&mut self, up: &mut SessionUp) {
        up.consumed = self.consumed;
        up.sent = self.made;
        up.kernel_received_base = self.bases.consumed;
        up.kernel_written_base = self.bases.written;
        up.unwritten = self.output.pending().to_vec();
        self.skip_telling();
    }
}

/// What followers are to be told of a session's bytes, while these stay where they are: a full table is copied once only, into the
/// stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// The fact without its `data`.
    pub head: StreamBytes,
    /// Its data.
    pub data: &'a [u8],
}

impl<'a> Told<'a> {
    fn new(offset: u64, data: &'a [u8], unwritten: u32, now: Duration) -> Self {
        let mono_ns = now.as_nanos() as u64;
        Self { head: StreamBytes { offset, data: Vec::new(), mono_ns, unwritten }, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn what_was_told_before_a_stall_is_not_told_again() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.tell_received(b"12345", NOW).expect("all of it").data, b"12345");
        assert!(ledger.is_told_ahead(), "the follower's stream was full: nothing was discarded");
        let more = ledger.tell_received(b"1234567", NOW).expect("what has come meanwhile");
        assert_eq!((more.head.offset, more.data), (5, b"67".as_slice()));
        assert_eq!(ledger.tell_received(b"123", NOW), None);
        ledger.consume(7);
        assert!(!ledger.is_told_ahead());
    }

    #[test]
    fn output_is_told_once_and_with_what_was_still_waiting_before_it() {
        let mut ledger = Ledger::default();
        ledger.make(b"first");
        assert_eq!(ledger.tell_sent(NOW).expect("fresh").head.unwritten, 0);
        ledger.write(3);
        ledger.make(b"second");
        let sent = ledger.tell_sent(NOW).expect("fresh");
        assert_eq!((sent.head.offset, sent.data, sent.head.unwritten), (5, b"second".as_slice(), 2));
        assert_eq!(ledger.tell_sent(NOW), None);
        assert_eq!((ledger.made(), ledger.written(), ledger.pending()), (11, 3, b"stsecond".as_slice()));
    }

    #[test]
    fn a_description_is_where_facts_begin() {
        let mut ledger = Ledger::default();
        ledger.set_bases(KernelCounters { consumed: 1, written: 2 });
        ledger.tell_received(b"abc", NOW);
        ledger.make(b"xyz");
        ledger.write(1);
        let mut up = SessionUp::default();
        ledger.describe(&mut up);
        assert_eq!((up.consumed, up.sent, up.unwritten.as_slice()), (0, 3, b"yz".as_slice()));
        assert_eq!((up.kernel_received_base, up.kernel_written_base), (1, 2));
        assert_eq!(ledger.tell_sent(NOW), None, "the description holds it");
        assert_eq!(ledger.tell_received(b"abc", NOW).expect("not described").head.offset, 0);
    }
}
