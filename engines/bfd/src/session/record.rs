//! A session in a fixed number of octets, so that whoever takes over goes on in the middle of it.

use super::config::SessionConfig;
use super::machine::Session;
use super::output::{Remote, Statistics};
use super::poll_sequence::PollSequence;
use super::sequence::Sequences;
use super::timing::{Random, Timing};
use crate::wire::{Authentication, Diagnostic, Key, State};
use crate::{BfdError, Discard};
use std::time::Duration;

/// Octets of a session's part of a record.
pub(crate) const SESSION_RECORD_LEN: usize = 208;
const KEY_LEN: usize = 20;
/// How a successor came to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inheritance {
    /// The predecessor has stopped and given it away: it is exact, and what arrived since waits in the sockets.
    HandedOver,
    /// The predecessor was killed. It may have sent packets after this, and what arrived since is lost: the neighbour is given a new
    /// detection time, because it was not it that was silent.
    Found,
}

/// Stands for "never".
const NEVER: u64 = u64::MAX;

/// Writes fields one after the other; the callers know that there is room.
pub(crate) struct Writer<'a> {
    octets: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub fn new(octets: &'a mut [u8]) -> Self {
        Writer { octets, at: 0 }
    }

    pub fn put(&mut self, field: &[u8]) {
        if let Some(place) = self.octets.get_mut(self.at..self.at + field.len()) {
            place.copy_from_slice(field);
        }
        debug_assert!(self.at + field.len() <= self.octets.len(), "a record is too short for what it holds");
        self.at += field.len();
    }

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn time(&mut self, time: Option<Duration>) {
        self.u64(time.map_or(NEVER, |time| u64::try_from(time.as_nanos()).unwrap_or(NEVER)));
    }
}

/// Reads them back; what is missing reads as zero, which is then refused where it matters.
pub(crate) struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(octets: &'a [u8]) -> Self {
        Reader { octets, at: 0 }
    }

    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        let field = self.octets.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied();
        self.at += N;
        field.unwrap_or([0; N])
    }

    fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn time(&mut self) -> Option<Duration> {
        Some(self.u64()).filter(|nanos| *nanos != NEVER).map(Duration::from_nanos)
    }
}

impl Session {
    /// Everything. A change that was not polled is told again by whoever adopts the session, as its state.
    pub(crate) fn write(&self, octets: &mut [u8]) {
        let mut writer = Writer::new(octets);
        write_config(&mut writer, &self.config);
        writer.u32(self.discriminator);
        writer.u64(self.random.0);
        writer.put(&[self.state as u8, self.diagnostic.bits()]);
        write_remote(&mut writer, &self.remote);
        writer.u32(self.timing.transmit_us);
        writer.u32(self.timing.receive_us);
        for time in [self.timing.next_transmit, self.timing.detection, self.timing.last_received] {
            writer.time(time);
        }
        writer.put(&[self.poll_sequence as u8, u8::from(self.prompt), u8::from(self.final_due)]);
        writer.u32(self.sequences.transmit);
        writer.u8(u8::from(self.sequences.received.is_some()));
        writer.u32(self.sequences.received.unwrap_or_default());
        writer.time(Some(self.state_since));
        writer.time(self.failed_since);
        write_statistics(&mut writer, &self.statistics);
        // Of a version that did not write it: zero, which is any.
        writer.u8(self.config.minimum_ttl);
    }

    /// The session that [`Session::write`] has written.
    pub(crate) fn read(octets: &[u8], inheritance: Inheritance, now: Duration) -> Result<Session, BfdError> {
        let mut reader = Reader::new(octets);
        let config = read_config(&mut reader)?;
        let discriminator = reader.u32();
        if discriminator == 0 {
            return Err(BfdError::Record { what: "a discriminator of zero" });
        }
        let random = Random(reader.u64());
        let mut session = Session::new(config, discriminator, 0, now);
        session.random = random;
        session.state = State::from_bits(reader.u8());
        session.diagnostic = Diagnostic::from_bits(reader.u8());
        session.remote = read_remote(&mut reader);
        session.timing = Timing {
            transmit_us: reader.u32(),
            receive_us: reader.u32(),
            next_transmit: reader.time(),
            detection: reader.time(),
            last_received: reader.time(),
            had_respite: false,
        };
        session.poll_sequence = match reader.u8() {
            0 => PollSequence::Idle,
            1 => PollSequence::Polling,
            2 => PollSequence::PollingAgain,
            _ => return Err(BfdError::Record { what: "poll sequence" }),
        };
        (session.prompt, session.final_due) = (reader.u8() != 0, reader.u8() != 0);
        let transmit = reader.u32();
        let known = reader.u8() != 0;
        let received = Some(reader.u32()).filter(|_| known);
        session.sequences = Sequences { transmit, received };
        session.state_since = reader.time().unwrap_or_default();
        session.failed_since = reader.time();
        session.statistics = read_statistics(&mut reader);
        session.config.minimum_ttl = reader.u8();
        if inheritance == Inheritance::Found {
            session.forgive(now);
        }
        Ok(session)
    }

    /// See [`Inheritance::Found`].
    fn forgive(&mut self, now: Duration) {
        self.sequences.skip();
        let anew = now + self.timing.detection_time(&self.remote);
        self.timing.detection = self.timing.detection.map(|deadline| deadline.max(anew));
        self.timing.last_received = self.timing.last_received.map(|_| now);
    }
}

fn write_config(writer: &mut Writer<'_>, config: &SessionConfig) {
    writer.u32(config.minimum_transmit_us);
    writer.u32(config.minimum_receive_us);
    writer.put(&[config.multiplier, u8::from(config.admin_down)]);
    let mut key = [0; KEY_LEN];
    let (kind, key_id, length) = match &config.authentication {
        None => (0, 0, 0),
        Some(authentication) => {
            let octets = authentication.key.octets();
            key[..octets.len()].copy_from_slice(octets);
            (1 + u8::from(authentication.meticulous), authentication.key_id, octets.len() as u8)
        }
    };
    writer.put(&[kind, key_id, length]);
    writer.put(&key);
}

fn read_config(reader: &mut Reader<'_>) -> Result<SessionConfig, BfdError> {
    let (minimum_transmit_us, minimum_receive_us) = (reader.u32(), reader.u32());
    let (multiplier, admin_down) = (reader.u8(), reader.u8() != 0);
    if multiplier == 0 || minimum_transmit_us == 0 {
        return Err(BfdError::Record { what: "an interval or a multiplier of zero" });
    }
    let [kind, key_id, length] = reader.take();
    let key: [u8; KEY_LEN] = reader.take();
    let authentication = match kind {
        0 => None,
        1 | 2 => {
            let octets = key.get(..usize::from(length)).ok_or(BfdError::Record { what: "length of the key" })?;
            Some(Authentication { meticulous: kind == 2, key_id, key: Key::new(octets)? })
        }
        _ => return Err(BfdError::Record { what: "type of authentication" }),
    };
    Ok(SessionConfig {
        minimum_transmit_us,
        minimum_receive_us,
        multiplier,
        authentication,
        minimum_ttl: 0, // it was added later: at the end of the record
        admin_down,
    })
}

fn write_remote(writer: &mut Writer<'_>, remote: &Remote) {
    writer.u32(remote.discriminator);
    let flags = u8::from(remote.control_plane_independent) | u8::from(remote.demand) << 1;
    writer.put(&[remote.state as u8, remote.diagnostic.bits(), flags, remote.multiplier]);
    writer.u32(remote.desired_min_tx_us);
    writer.u32(remote.required_min_rx_us);
}

fn read_remote(reader: &mut Reader<'_>) -> Remote {
    let discriminator = reader.u32();
    let [state, diagnostic, flags, multiplier] = reader.take();
    Remote {
        discriminator,
        state: State::from_bits(state),
        diagnostic: Diagnostic::from_bits(diagnostic),
        control_plane_independent: flags & 1 != 0,
        demand: flags & 2 != 0,
        multiplier,
        desired_min_tx_us: reader.u32(),
        required_min_rx_us: reader.u32(),
    }
}

fn write_statistics(writer: &mut Writer<'_>, statistics: &Statistics) {
    for count in [statistics.sent, statistics.received, statistics.discarded] {
        writer.u64(count);
    }
    writer.u8(statistics.last_discard.map_or(u8::MAX, |discard| discard.index() as u8));
    writer.u32(statistics.ups);
    writer.u32(statistics.downs);
    writer.time(Some(statistics.longest_silence));
}

fn read_statistics(reader: &mut Reader<'_>) -> Statistics {
    Statistics {
        sent: reader.u64(),
        received: reader.u64(),
        discarded: reader.u64(),
        last_discard: Discard::ALL.get(usize::from(reader.u8())).copied(),
        ups: reader.u32(),
        downs: reader.u32(),
        longest_silence: reader.time().unwrap_or_default(),
    }
}
