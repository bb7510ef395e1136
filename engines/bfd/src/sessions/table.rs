//! The table.

use super::deadlines::Deadlines;
use super::key::{Arrival, SessionKey, read_address, write_address};
use crate::limits::{FAREWELL, SESSIONS_MAX};
use crate::session::{Inheritance, Output, Random, Reader, SESSION_RECORD_LEN, Session, SessionConfig, Writer};
use crate::wire::ControlPacket;
use crate::{BfdError, Discard};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// The version of records; another one is not understood.
const RECORD_VERSION: u16 = 1;
/// Octets of a record. Those behind what is used are zero.
pub const RECORD_LEN: usize = 256;
/// Version, neighbour, interface, kind, our address, source port.
const KEY_RECORD_LEN: usize = 2 + 17 + 4 + 1 + 17 + 2;
const _: () = assert!(KEY_RECORD_LEN + SESSION_RECORD_LEN <= RECORD_LEN);
/// A packet that comes in from a single hop has this TTL (RFC 5881 §5).
const TTL_OF_THE_NEXT_HOP: u8 = 255;

/// Where a session lies.
pub type Place = usize;

/// A session with everything that a successor needs.
pub type Record = [u8; RECORD_LEN];

#[derive(Clone, Debug)]
struct Entry {
    key: SessionKey,
    /// What it is sent from; None: the kernel chooses.
    local: Option<IpAddr>,
    /// The UDP port that it is sent from, the same for the session's life (RFC 5881 §4).
    source_port: u16,
    session: Session,
    /// Nobody wants it any more; until then it says so.
    leaves_at: Option<Duration>,
}

/// All sessions of a router.
#[derive(Debug)]
pub struct Sessions {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_key: HashMap<SessionKey, u32>,
    by_discriminator: HashMap<u32, u32>,
    deadlines: Deadlines,
    /// Discriminators and seeds of new sessions.
    random: Random,
}

impl Sessions {
    /// No session yet. The seed ought to be another one in each life of the router.
    pub fn new(seed: u64) -> Sessions {
        Sessions {
            entries: vec![None; SESSIONS_MAX],
            free: (0..SESSIONS_MAX as u32).rev().collect(),
            by_key: HashMap::with_capacity(2 * SESSIONS_MAX),
            by_discriminator: HashMap::with_capacity(2 * SESSIONS_MAX),
            deadlines: Deadlines::new(SESSIONS_MAX),
            random: Random(seed),
        }
    }

    /// The session exists and is configured so. One that was about to leave stays.
    pub fn ensure(
        &mut self,
        key: SessionKey,
        local: Option<IpAddr>,
        config: SessionConfig,
        now: Duration,
    ) -> Result<Place, BfdError> {
        if let Some(place) = self.find(&key) {
            if let Some(entry) = &mut self.entries[place] {
                entry.leaves_at = None;
                entry.local = local;
                if *entry.session.config() != config {
                    entry.session.configure(config, now);
                }
            }
            self.reschedule(place);
            return Ok(place);
        }
        let discriminator = self.new_discriminator();
        let session = Session::new(config, discriminator, self.random.next_u64(), now);
        self.insert(Entry { key, local, source_port: 0, session, leaves_at: None }, None)
    }

    fn new_discriminator(&mut self) -> u32 {
        loop {
            let discriminator = self.random.next();
            if discriminator != 0 && !self.by_discriminator.contains_key(&discriminator) {
                return discriminator;
            }
        }
    }

    fn insert(&mut self, entry: Entry, at: Option<Place>) -> Result<Place, BfdError> {
        let discriminator = entry.session.discriminator();
        if self.by_key.contains_key(&entry.key) || self.by_discriminator.contains_key(&discriminator) {
            return Err(BfdError::Duplicate);
        }
        let place = match at {
            None => self.free.pop().ok_or(BfdError::Full)?,
            Some(at) => {
                let index = self.free.iter().position(|free| *free as usize == at).ok_or(BfdError::Duplicate)?;
                self.free.swap_remove(index)
            }
        };
        self.by_key.insert(entry.key, place);
        self.by_discriminator.insert(discriminator, place);
        self.entries[place as usize] = Some(entry);
        self.reschedule(place as usize);
        Ok(place as usize)
    }

    /// Nobody wants the session any more. It says so to the neighbour for a while (RFC 5880 §6.8.16), then its place is free.
    pub fn leave(&mut self, key: &SessionKey, now: Duration) {
        let Some(place) = self.find(key) else { return };
        if let Some(entry) = &mut self.entries[place]
            && entry.leaves_at.is_none()
        {
            entry.leaves_at = Some(now + FAREWELL);
            let config = SessionConfig { admin_down: true, ..*entry.session.config() };
            entry.session.configure(config, now);
        }
        self.reschedule(place);
    }

    /// Where the session with this neighbour lies.
    pub fn find(&self, key: &SessionKey) -> Option<Place> {
        self.by_key.get(key).map(|place| *place as usize)
    }

    /// A datagram has come. The session that it belongs to is to be polled, whether or not it was believed.
    pub fn packet_received(&mut self, octets: &[u8], arrival: &Arrival, now: Duration) -> Result<Place, Discard> {
        if !arrival.multihop && arrival.ttl != Some(TTL_OF_THE_NEXT_HOP) {
            return Err(Discard::Ttl);
        }
        let packet = ControlPacket::decode(octets)?;
        let place = self.demultiplex(&packet, arrival)?;
        let entry = self.entries[place].as_mut().ok_or(Discard::UnknownDiscriminator)?;
        if arrival.multihop && arrival.ttl.unwrap_or(0) < entry.session.config().minimum_ttl {
            entry.session.refuse(Discard::MinimumTtl);
            return Err(Discard::MinimumTtl);
        }
        let result = entry.session.receive(&packet, octets, now);
        self.reschedule(place);
        result.map(|()| place)
    }

    /// By our discriminator; by the neighbour's address as long as it does not know ours (RFC 5880 §6.3). A discriminator alone is
    /// not believed: it could be guessed.
    fn demultiplex(&self, packet: &ControlPacket, arrival: &Arrival) -> Result<Place, Discard> {
        let Arrival { source, interface, multihop, .. } = *arrival;
        if packet.your_discriminator == 0 {
            let of = |interface| self.find(&SessionKey { peer: source, interface, multihop });
            return of(interface).or_else(|| of(0)).ok_or(Discard::UnknownSource);
        }
        let place = *self.by_discriminator.get(&packet.your_discriminator).ok_or(Discard::UnknownDiscriminator)?;
        let key = self.entries[place as usize].as_ref().map(|entry| entry.key);
        let fits = |key: SessionKey| {
            key.peer == source && key.multihop == multihop && (key.interface == 0 || key.interface == interface)
        };
        if key.is_some_and(fits) { Ok(place as usize) } else { Err(Discard::WrongSource) }
    }

    /// What is to be done next, and where. Call until `None`. Silence is measured up to `now`: all that had arrived by then must have been fed.
    pub fn poll(&mut self, now: Duration) -> Option<(Place, Output)> {
        loop {
            let (place, deadline) = self.deadlines.first()?;
            if deadline > now {
                return None;
            }
            let entry = self.entries[place].as_mut()?;
            let output = entry.session.poll(now);
            let gone = output.is_none() && entry.leaves_at.is_some_and(|leaves_at| leaves_at <= now);
            if gone {
                self.remove(place);
                return Some((place, Output::Left));
            }
            self.reschedule(place);
            if let Some(output) = output {
                return Some((place, output));
            }
        }
    }

    /// The same of one session: what follows from a packet for it, before the next one is fed.
    pub fn poll_one(&mut self, place: Place, now: Duration) -> Option<Output> {
        let output = self.entries.get_mut(place)?.as_mut()?.session.poll(now);
        self.reschedule(place);
        output
    }

    /// Nobody has looked for a while. Who is silent for too long now has this long yet, if it had not before: to be said when all that has arrived was fed.
    pub fn stood_still(&mut self, now: Duration, respite: Duration) {
        for place in 0..self.entries.len() {
            if let Some(entry) = &mut self.entries[place] {
                entry.session.give_respite(now, respite);
                self.reschedule(place);
            }
        }
    }

    fn remove(&mut self, place: Place) {
        self.deadlines.set(place, None);
        if let Some(entry) = self.entries[place].take() {
            self.by_key.remove(&entry.key);
            self.by_discriminator.remove(&entry.session.discriminator());
            self.free.push(place as u32);
        }
    }

    fn reschedule(&mut self, place: Place) {
        let entry = self.entries[place].as_ref();
        let deadline = entry.and_then(|entry| entry.session.next_deadline().into_iter().chain(entry.leaves_at).min());
        self.deadlines.set(place, deadline);
    }

    /// When [`Sessions::poll`] is to be called at the latest.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(_, deadline)| deadline)
    }

    /// The session of a place, and whose it is.
    pub fn get(&self, place: Place) -> Option<(&SessionKey, &Session)> {
        self.entries.get(place)?.as_ref().map(|entry| (&entry.key, &entry.session))
    }

    /// Where packets of a place come from: our address, if one is configured, and the UDP port, 0 as long as there is none.
    pub fn source(&self, place: Place) -> Option<(Option<IpAddr>, u16)> {
        self.entries.get(place)?.as_ref().map(|entry| (entry.local, entry.source_port))
    }

    /// Keeps the port for whoever takes over.
    pub fn set_source_port(&mut self, place: Place, port: u16) {
        if let Some(entry) = self.entries.get_mut(place).and_then(Option::as_mut) {
            entry.source_port = port;
        }
    }

    /// Every session, with its place.
    pub fn iter(&self) -> impl Iterator<Item = (Place, &SessionKey, &Session)> {
        let present = self.entries.iter().enumerate();
        present.filter_map(|(place, entry)| entry.as_ref().map(|entry| (place, &entry.key, &entry.session)))
    }

    /// Whether somebody wants the session; one that nobody wants says farewell.
    pub fn is_wanted(&self, place: Place) -> bool {
        self.entries.get(place).and_then(Option::as_ref).is_some_and(|entry| entry.leaves_at.is_none())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        SESSIONS_MAX - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything of a session, in octets. None: there is no session at this place.
    pub fn record(&self, place: Place) -> Option<Record> {
        let entry = self.entries.get(place)?.as_ref()?;
        let mut record = [0; RECORD_LEN];
        let mut writer = Writer::new(&mut record);
        writer.put(&RECORD_VERSION.to_le_bytes());
        entry.key.write(&mut writer);
        write_address(&mut writer, entry.local);
        writer.put(&entry.source_port.to_le_bytes());
        entry.session.write(&mut record[KEY_RECORD_LEN..]);
        Some(record)
    }

    /// Whose session a record is; None: it is not one of this version.
    pub fn key_of(record: &Record) -> Option<SessionKey> {
        let mut reader = Reader::new(record);
        let version = u16::from_le_bytes(reader.take());
        SessionKey::read(&mut reader).ok().filter(|_| version == RECORD_VERSION)
    }

    /// Goes on with a session of a predecessor, at the same place.
    pub fn adopt(
        &mut self,
        place: Place,
        record: &Record,
        inheritance: Inheritance,
        now: Duration,
    ) -> Result<(), BfdError> {
        let mut reader = Reader::new(record);
        let version = u16::from_le_bytes(reader.take());
        if version != RECORD_VERSION {
            return Err(BfdError::RecordVersion { found: version, known: RECORD_VERSION });
        }
        let key = SessionKey::read(&mut reader)?;
        let local = read_address(&mut reader)?;
        let source_port = u16::from_le_bytes(reader.take());
        let session = Session::read(&record[KEY_RECORD_LEN..], inheritance, now)?;
        // One that was leaving is adopted as wanted; whoever tells what is wanted lets it leave again.
        self.insert(Entry { key, local, source_port, session, leaves_at: None }, Some(place)).map(|_| ())
    }
}
