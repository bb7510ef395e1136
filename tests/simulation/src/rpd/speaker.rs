//! The routing protocol in small: what a neighbour says is told to all others and goes into the table.
//!
//! Like the real speaker it is a function of what was received and sent, so that a follower that knows these knows everything.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_proto::v1::TableDigest;

use crate::fib::Key;
use crate::message::Message;
use crate::replication::Tables;

/// Destinations per neighbour.
const DESTINATIONS: u32 = 6;
/// Updates made at once for one neighbour.
const UPDATES_AT_ONCE: u32 = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    heard: u32,
    updates_heard: u32,
    heard_sum: u64,
    said: u32,
    updates_said: u32,
    /// Updates of others that this neighbour has not been told.
    owed: u32,
}

impl Session {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let words = [self.heard, self.updates_heard, self.said, self.updates_said, self.owed];
        let mut bytes = self.heard_sum.to_be_bytes().to_vec();
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Session> {
        let (sum, words) = bytes.split_first_chunk::<8>()?;
        let word = |at: usize| Some(u32::from_be_bytes(words.get(at * 4..at * 4 + 4)?.try_into().ok()?));
        Some(Session {
            heard_sum: u64::from_be_bytes(*sum),
            heard: word(0)?,
            updates_heard: word(1)?,
            said: word(2)?,
            updates_said: word(3)?,
            owed: word(4)?,
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Speaker {
    pub sessions: BTreeMap<usize, Session>,
    pub table: BTreeMap<Key, u32>,
    /// Not yet told to pfed.
    pub changed: BTreeSet<Key>,
}

impl Speaker {
    pub(crate) fn up(&mut self, neighbor: usize, session: Session) {
        self.sessions.insert(neighbor, session);
    }

    pub(crate) fn down(&mut self, neighbor: usize) {
        self.sessions.remove(&neighbor);
    }

    /// Whole messages came.
    pub(crate) fn receive(&mut self, neighbor: usize, mut bytes: &[u8]) -> Result<(), String> {
        while let Some((message, length)) = Message::decode(bytes)? {
            let session = self.sessions.get_mut(&neighbor).ok_or("its session is not up")?;
            if (message.number, message.update) != (session.heard, session.updates_heard) {
                let expected = (session.heard, session.updates_heard);
                return Err(format!("{message:?} was received, number and update {expected:?} were due"));
            }
            session.heard += 1;
            session.heard_sum = session.heard_sum.wrapping_mul(31).wrapping_add(u64::from(message.maker));
            if message.is_update {
                session.updates_heard += 1;
                let key = (neighbor, message.update % DESTINATIONS);
                self.table.insert(key, message.update);
                self.changed.insert(key);
                self.sessions
                    .iter_mut()
                    .filter(|(other, _)| **other != neighbor)
                    .for_each(|(_, other)| other.owed += 1);
            }
            bytes = &bytes[length..];
        }
        Ok(())
    }

    pub(crate) fn owes(&self, neighbor: usize) -> bool {
        self.sessions.get(&neighbor).is_some_and(|session| session.owed > 0)
    }

    /// Appends some of what a neighbour is owed.
    pub(crate) fn fill(&mut self, neighbor: usize, out: &mut Vec<u8>, mut random: impl FnMut() -> u32) {
        for _ in 0..UPDATES_AT_ONCE {
            if self.owes(neighbor) {
                self.say(neighbor, true, out, random());
            }
        }
    }

    pub(crate) fn say(&mut self, neighbor: usize, is_update: bool, out: &mut Vec<u8>, maker: u32) {
        let Some(session) = self.sessions.get_mut(&neighbor) else { return };
        let (number, update, filler) = (session.said, session.updates_said, (maker % 150) as u16);
        Message { is_update, number, update, maker, filler }.encode(out);
        session.note_said(is_update);
    }

    /// A follower: its primary said these whole messages.
    pub(crate) fn said(&mut self, neighbor: usize, mut bytes: &[u8]) -> Result<(), String> {
        let session = self.sessions.get_mut(&neighbor).ok_or("its session is not up")?;
        while let Some((message, length)) = Message::decode(bytes)? {
            if (message.number, message.update) != (session.said, session.updates_said) {
                return Err(format!("facts say that {message:?} was sent"));
            }
            session.note_said(message.is_update);
            bytes = &bytes[length..];
        }
        if bytes.is_empty() { Ok(()) } else { Err("facts of what was sent end in the middle of a message".into()) }
    }

    pub(crate) fn tables(&self) -> Tables {
        let mut tables: Tables = self
            .sessions
            .iter()
            .map(|(neighbor, session)| TableDigest {
                table: format!("session/{neighbor}"),
                // Keepalives are of no consequence: they are not compared.
                digest: session.heard_sum ^ (u64::from(session.updates_said) << 32) ^ u64::from(session.owed),
                entries: u64::from(session.heard),
            })
            .collect();
        let digest = self.table.iter().fold(7u64, |sum, ((neighbor, destination), value)| {
            let entry = (*neighbor as u64) << 48 ^ u64::from(*destination) << 32 ^ u64::from(*value);
            sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(entry)
        });
        tables.push(TableDigest { table: "rib".into(), digest, entries: self.table.len() as u64 });
        tables
    }
}

impl Session {
    fn note_said(&mut self, is_update: bool) {
        self.said += 1;
        if is_update {
            self.updates_said += 1;
            self.owed = self.owed.saturating_sub(1);
        }
    }
}
