//! UPDATEs that cannot be taken as they are (RFC 7606): what is counted of them, what an operator finds of the last one, and what the log has.
//!
//! §8 wants the whole message in the log, and the routes in it: without it nobody finds out why a route is gone. A neighbour that sends
//! nothing else must not fill the disk, so of many the log has one a minute.

use std::fmt::Write;
use std::time::Duration;

use holdfast_proto::v1::BgpMalformed;
use holdfast_rib::Family;

use crate::wire::{HEADER_LEN, MessageType, NotificationMessage, Update};

use super::Speaker;
use super::action::Action;
use super::limits::{MALFORMED_ATTRIBUTES_SHOWN, MALFORMED_LOG_SPACING, MALFORMED_PREFIXES_SHOWN};
use super::table::NeighborId;

/// What is remembered of a neighbour's malformed UPDATEs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Malformed {
    /// Those whose routes were taken as withdrawn.
    pub withdrawn: u64,
    /// Attributes that were left out of others.
    pub discarded: u64,
    /// What was wrong with the last one, and what became of it.
    pub last: String,
    /// When it came.
    pub at: Duration,
    /// When the log has got one.
    logged_at: Option<Duration>,
    /// How many it has not got since.
    unlogged: u64,
}

impl Malformed {
    /// For a follower that has not seen the messages themselves.
    pub fn fact(&self) -> Option<BgpMalformed> {
        let Self { withdrawn, discarded, ref last, at, .. } = *self;
        let mono_ns = at.as_nanos() as u64;
        (!last.is_empty()).then(|| BgpMalformed { withdrawn, discarded, last: last.clone(), mono_ns })
    }

    /// The inverse.
    pub fn adopt(&mut self, told: &BgpMalformed) {
        (self.withdrawn, self.discarded) = (told.withdrawn, told.discarded);
        told.last.clone_into(&mut self.last);
        self.at = Duration::from_nanos(told.mono_ns);
    }

    /// One more. The line for the log, if it is to have one.
    fn note(&mut self, fault: String, body: &[u8], now: Duration) -> Option<String> {
        (self.last, self.at) = (fault, now);
        if self.logged_at.is_some_and(|logged_at| now < logged_at + MALFORMED_LOG_SPACING) {
            self.unlogged += 1;
            return None;
        }
        self.logged_at = Some(now);
        let unlogged = std::mem::take(&mut self.unlogged);
        let before = if unlogged > 0 { format!(" ({unlogged} more since the last line)") } else { String::new() };
        let (fault, message) = (&self.last, hexadecimal(body));
        Some(format!("malformed UPDATE{before}: {fault}; show its operator the message: {message}"))
    }
}

impl Speaker {
    /// Notes what is wrong with an UPDATE that is used all the same.
    pub(super) fn note_faults(&mut self, id: NeighborId, update: &Update<'_>, body: &[u8], now: Duration) {
        if update.treat_as_withdraw.is_none() && update.discarded.is_empty() {
            return;
        }
        let routes = routes_in(update);
        let fault = match &update.treat_as_withdraw {
            Some(reason) => format!("{reason}; taken as withdrawn: {routes}"),
            None => {
                let shown = &update.discarded[..update.discarded.len().min(MALFORMED_ATTRIBUTES_SHOWN)];
                format!("{}; left out of: {routes}", shown.join(", "))
            }
        };
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.malformed.withdrawn += u64::from(update.treat_as_withdraw.is_some());
        neighbor.malformed.discarded += update.discarded.len() as u64;
        self.note_malformed(id, fault, body, now);
    }

    /// Notes an UPDATE that ends the session.
    pub(super) fn note_fatal(&mut self, id: NeighborId, error: &NotificationMessage, body: &[u8], now: Duration) {
        self.note_malformed(id, format!("{error}; the session ends"), body, now);
    }

    fn note_malformed(&mut self, id: NeighborId, fault: String, body: &[u8], now: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let address = neighbor.address;
        let line = neighbor.malformed.note(fault, body, now);
        if let Some(line) = line.filter(|_| !self.following) {
            self.actions.push_back(Action::Warn { text: format!("neighbor {address}: {line}") });
        }
    }
}

/// The routes that an UPDATE announces, the first of them by name.
fn routes_in(update: &Update<'_>) -> String {
    let mut routes = Family::ALL.into_iter().flat_map(|family| update.announced(family));
    let mut shown: Vec<String> =
        routes.by_ref().take(MALFORMED_PREFIXES_SHOWN).map(|prefix| prefix.to_string()).collect();
    match routes.count() {
        0 if shown.is_empty() => shown.push("no route".to_owned()),
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    shown.join(", ")
}

/// A whole UPDATE, of which `body` is what follows the header.
fn hexadecimal(body: &[u8]) -> String {
    let mut text = "ff".repeat(16);
    let _ = write!(text, "{:04x}{:02x}", HEADER_LEN + body.len(), MessageType::Update as u8);
    for octet in body {
        let _ = write!(text, "{octet:02x}");
    }
    text
}
