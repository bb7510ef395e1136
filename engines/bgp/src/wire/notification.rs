//! NOTIFICATION (RFC 4271 §4.5, §6): what ends a session, by the names of the RFCs.

use super::header::{MessageType, begin_message, end_message};
use super::limits::{HEADER_LEN, MAX_MESSAGE_LEN, SHUTDOWN_TEXT_MAX};
use holdfast_rib::Family;
use std::fmt;

/// Why a session is ended: the same on the wire, in the log and for the operator.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NotificationMessage {
    /// Error code.
    pub code: u8,
    /// Error subcode; 0 where none is specific.
    pub subcode: u8,
    /// What goes with it: the offending field, attribute or text.
    pub data: Vec<u8>,
}

/// Why we end a session that is not at fault (RFC 4486 §4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Cease {
    /// The neighbour sent more prefixes than it may.
    MaximumPrefixes = 1,
    /// The session was shut down by the operator.
    AdministrativeShutdown = 2,
    /// The neighbour was removed from the configuration.
    PeerDeconfigured = 3,
    /// The operator asked for a restart of the session.
    AdministrativeReset = 4,
    /// The neighbour is not wanted now.
    ConnectionRejected = 5,
    /// A change of configuration that only a new OPEN can carry.
    ConfigurationChange = 6,
    /// The other of two connections was kept (RFC 4271 §6.8).
    ConnectionCollision = 7,
    /// We lack something.
    OutOfResources = 8,
    /// Routes are not to be kept; the true reason goes along (RFC 8538 §3).
    HardReset = 9,
    /// BFD says that the neighbour is not reachable (RFC 9384).
    BfdDown = 10,
}

const HEADER_ERROR: u8 = 1;
const OPEN_ERROR: u8 = 2;
const UPDATE_ERROR: u8 = 3;
const HOLD_TIMER_EXPIRED: u8 = 4;
const FSM_ERROR: u8 = 5;
const CEASE: u8 = 6;
const ROUTE_REFRESH_ERROR: u8 = 7;
const SEND_HOLD_TIMER_EXPIRED: u8 = 8;

impl NotificationMessage {
    /// A NOTIFICATION of any kind.
    pub fn new(code: u8, subcode: u8, data: &[u8]) -> Self {
        NotificationMessage { code, subcode, data: data.to_vec() }
    }

    /// The neighbour told more prefixes than it may; family and limit go along (RFC 4486 §4).
    pub fn maximum_prefixes(family: Family, maximum: u32) -> Self {
        let mut data = family.afi().to_be_bytes().to_vec();
        data.push(family.safi());
        data.extend(maximum.to_be_bytes());
        Self::new(CEASE, Cease::MaximumPrefixes as u8, &data)
    }

    /// The marker is not all ones.
    pub fn connection_not_synchronized() -> Self {
        Self::new(HEADER_ERROR, 1, &[])
    }

    /// The length cannot be; the field goes along.
    pub fn bad_message_length(length: u16) -> Self {
        Self::new(HEADER_ERROR, 2, &length.to_be_bytes())
    }

    /// No such message; the type goes along.
    pub fn bad_message_type(code: u8) -> Self {
        Self::new(HEADER_ERROR, 3, &[code])
    }

    /// An OPEN that is wrong in a way without a subcode.
    pub fn open_unspecific() -> Self {
        Self::new(OPEN_ERROR, 0, &[])
    }

    /// Not BGP-4; the version that we speak goes along.
    pub fn unsupported_version() -> Self {
        Self::new(OPEN_ERROR, 1, &[0, 4])
    }

    /// Not the AS that is configured.
    pub fn bad_peer_as() -> Self {
        Self::new(OPEN_ERROR, 2, &[])
    }

    /// Router id 0, or ours on an internal session (RFC 6286).
    pub fn bad_bgp_identifier() -> Self {
        Self::new(OPEN_ERROR, 3, &[])
    }

    /// An optional parameter other than capabilities.
    pub fn unsupported_optional_parameter() -> Self {
        Self::new(OPEN_ERROR, 4, &[])
    }

    /// A hold time of one or two seconds.
    pub fn unacceptable_hold_time() -> Self {
        Self::new(OPEN_ERROR, 6, &[])
    }

    /// The capabilities that we must have and the neighbour has not (RFC 5492 §5).
    pub fn unsupported_capability(capabilities: &[u8]) -> Self {
        Self::new(OPEN_ERROR, 7, capabilities)
    }

    /// The roles of both sides do not fit together (RFC 9234 §4.2).
    pub fn role_mismatch() -> Self {
        Self::new(OPEN_ERROR, 11, &[])
    }

    /// Lengths in an UPDATE contradict each other, or an attribute is there twice that must not be.
    pub fn malformed_attribute_list() -> Self {
        Self::new(UPDATE_ERROR, 1, &[])
    }

    /// A well-known attribute that is not known; the attribute goes along.
    pub fn unrecognized_well_known_attribute(attribute: &[u8]) -> Self {
        Self::update_error(2, attribute)
    }

    /// A mandatory attribute is not there; its type goes along.
    pub fn missing_well_known_attribute(code: u8) -> Self {
        Self::update_error(3, &[code])
    }

    /// An attribute has a length that it cannot have.
    pub fn attribute_length_error(attribute: &[u8]) -> Self {
        Self::update_error(5, attribute)
    }

    /// ORIGIN is none of the three.
    pub fn invalid_origin(attribute: &[u8]) -> Self {
        Self::update_error(6, attribute)
    }

    /// NEXT_HOP is not an address of a host.
    pub fn invalid_next_hop(attribute: &[u8]) -> Self {
        Self::update_error(8, attribute)
    }

    /// An optional attribute (MP_REACH_NLRI, MP_UNREACH_NLRI) that cannot be read.
    pub fn optional_attribute_error(attribute: &[u8]) -> Self {
        Self::update_error(9, attribute)
    }

    /// A prefix longer than its address or cut off.
    pub fn invalid_network_field() -> Self {
        Self::new(UPDATE_ERROR, 10, &[])
    }

    /// An UPDATE error by its subcode, with what data there is room for.
    pub fn update_error(subcode: u8, data: &[u8]) -> Self {
        Self::new(UPDATE_ERROR, subcode, &data[..data.len().min(MAX_MESSAGE_LEN - 21)])
    }

    /// Nothing was heard for the hold time.
    pub fn hold_timer_expired() -> Self {
        Self::new(HOLD_TIMER_EXPIRED, 0, &[])
    }

    /// The neighbour reads nothing (RFC 9687 §3.3).
    pub fn send_hold_timer_expired() -> Self {
        Self::new(SEND_HOLD_TIMER_EXPIRED, 0, &[])
    }

    /// A message that must not come in this state: 1 OpenSent, 2 OpenConfirm, 3 Established. Its type goes along (RFC 6608 §4).
    pub fn fsm_error(subcode: u8, unexpected: MessageType) -> Self {
        Self::new(FSM_ERROR, subcode, &[unexpected as u8])
    }

    /// A ROUTE-REFRESH of a wrong length; the whole message goes along, with its header (RFC 7313 §5).
    pub fn route_refresh_length(body: &[u8]) -> Self {
        let mut message = Vec::with_capacity(HEADER_LEN + body.len());
        let start = begin_message(&mut message, MessageType::RouteRefresh);
        message.extend_from_slice(body);
        end_message(&mut message, start);
        message.truncate(MAX_MESSAGE_LEN - 21);
        Self::new(ROUTE_REFRESH_ERROR, 1, &message)
    }

    /// The session is ended though nothing is wrong with it.
    pub fn cease(reason: Cease) -> Self {
        Self::new(CEASE, reason as u8, &[])
    }

    /// [`Cease::AdministrativeShutdown`] or [`Cease::AdministrativeReset`] with a word to the neighbour's operator
    /// (RFC 9003), cut at 255 octets between characters.
    pub fn cease_with_text(reason: Cease, text: &str) -> Self {
        if text.is_empty() {
            return Self::cease(reason);
        }
        let mut end = text.len().min(SHUTDOWN_TEXT_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut data = vec![end as u8];
        data.extend_from_slice(&text.as_bytes()[..end]);
        NotificationMessage { code: CEASE, subcode: reason as u8, data }
    }

    /// The same reason with the demand that routes are not kept (RFC 8538 §3.1).
    pub fn hard_reset(&self) -> Self {
        let mut data = vec![self.code, self.subcode];
        data.extend_from_slice(&self.data[..self.data.len().min(MAX_MESSAGE_LEN - 23)]);
        NotificationMessage { code: CEASE, subcode: Cease::HardReset as u8, data }
    }

    /// Are routes not to be kept?
    pub fn is_hard_reset(&self) -> bool {
        (self.code, self.subcode) == (CEASE, Cease::HardReset as u8)
    }

    /// The reason that a Hard Reset carries; of any other NOTIFICATION itself.
    pub fn reason(&self) -> NotificationMessage {
        match self.data.as_slice() {
            [code, subcode, data @ ..] if self.is_hard_reset() => Self::new(*code, *subcode, data),
            _ => self.clone(),
        }
    }

    /// Whether the session is ended for long, so that a neighbour has no reason to keep routes. RFC 8538 §5.1 suggests for which
    /// reasons and leaves Administrative Reset to us: who asks for it wants a session from nothing. A neighbour that
    /// BFD does not reach does not forward either.
    pub fn is_lasting(&self) -> bool {
        const LASTING: [Cease; 5] = [
            Cease::MaximumPrefixes,
            Cease::AdministrativeShutdown,
            Cease::PeerDeconfigured,
            Cease::AdministrativeReset,
            Cease::BfdDown,
        ];
        self.code == CEASE && LASTING.iter().any(|reason| *reason as u8 == self.subcode)
    }

    /// Is it a Cease?
    pub fn is_cease(&self) -> bool {
        self.reason().code == CEASE
    }

    /// The whole message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(21 + self.data.len());
        let start = begin_message(&mut out, MessageType::Notification);
        out.extend_from_slice(&[self.code, self.subcode]);
        out.extend_from_slice(&self.data[..self.data.len().min(MAX_MESSAGE_LEN - 21)]);
        end_message(&mut out, start);
        out
    }

    /// Reads a message's body. There is no answer to a malformed NOTIFICATION (RFC 4271 §6.4), so there is no error: what is
    /// too short is read as code 0.
    pub fn decode(body: &[u8]) -> Self {
        match body {
            [code, subcode, data @ ..] => Self::new(*code, *subcode, data),
            _ => Self::new(0, 0, &[]),
        }
    }

    /// Code and subcode by their names.
    pub fn name(&self) -> String {
        let plain = |said: &Self| Self { data: Vec::new(), ..said.clone() }.to_string();
        let reason = self.reason();
        if reason == *self { plain(self) } else { format!("{} ({})", plain(self), plain(&reason)) }
    }

    fn code_name(&self) -> &'static str {
        match self.code {
            HEADER_ERROR => "Message Header Error",
            OPEN_ERROR => "OPEN Message Error",
            UPDATE_ERROR => "UPDATE Message Error",
            HOLD_TIMER_EXPIRED => "Hold Timer Expired",
            FSM_ERROR => "Finite State Machine Error",
            CEASE => "Cease",
            ROUTE_REFRESH_ERROR => "ROUTE-REFRESH Message Error",
            SEND_HOLD_TIMER_EXPIRED => "Send Hold Timer Expired",
            _ => "Unknown Error",
        }
    }

    fn subcode_name(&self) -> Option<&'static str> {
        Some(match (self.code, self.subcode) {
            (HEADER_ERROR, 1) => "Connection Not Synchronized",
            (HEADER_ERROR, 2) => "Bad Message Length",
            (HEADER_ERROR, 3) => "Bad Message Type",
            (OPEN_ERROR, 1) => "Unsupported Version Number",
            (OPEN_ERROR, 2) => "Bad Peer AS",
            (OPEN_ERROR, 3) => "Bad BGP Identifier",
            (OPEN_ERROR, 4) => "Unsupported Optional Parameter",
            (OPEN_ERROR, 6) => "Unacceptable Hold Time",
            (OPEN_ERROR, 7) => "Unsupported Capability",
            (OPEN_ERROR, 11) => "Role Mismatch",
            (UPDATE_ERROR, 1) => "Malformed Attribute List",
            (UPDATE_ERROR, 2) => "Unrecognized Well-known Attribute",
            (UPDATE_ERROR, 3) => "Missing Well-known Attribute",
            (UPDATE_ERROR, 4) => "Attribute Flags Error",
            (UPDATE_ERROR, 5) => "Attribute Length Error",
            (UPDATE_ERROR, 6) => "Invalid ORIGIN Attribute",
            (UPDATE_ERROR, 8) => "Invalid NEXT_HOP Attribute",
            (UPDATE_ERROR, 9) => "Optional Attribute Error",
            (UPDATE_ERROR, 10) => "Invalid Network Field",
            (UPDATE_ERROR, 11) => "Malformed AS_PATH",
            (FSM_ERROR, 1) => "Receive Unexpected Message in OpenSent State",
            (FSM_ERROR, 2) => "Receive Unexpected Message in OpenConfirm State",
            (FSM_ERROR, 3) => "Receive Unexpected Message in Established State",
            (CEASE, 1) => "Maximum Number of Prefixes Reached",
            (CEASE, 2) => "Administrative Shutdown",
            (CEASE, 3) => "Peer De-configured",
            (CEASE, 4) => "Administrative Reset",
            (CEASE, 5) => "Connection Rejected",
            (CEASE, 6) => "Other Configuration Change",
            (CEASE, 7) => "Connection Collision Resolution",
            (CEASE, 8) => "Out of Resources",
            (CEASE, 9) => "Hard Reset",
            (CEASE, 10) => "BFD Down",
            (ROUTE_REFRESH_ERROR, 1) => "Invalid Message Length",
            _ => return None,
        })
    }

    /// The neighbour's operator's words (RFC 9003), made harmless: what moves the cursor, turns the direction of writing round or is not
    /// seen at all becomes a space, so that a log stays a log and a terminal shows what was sent (RFC 9003 §4).
    pub fn shutdown_text(&self) -> Option<String> {
        let (CEASE, 2 | 4, [length, text @ ..]) = (self.code, self.subcode, self.data.as_slice()) else {
            return None;
        };
        let text = text.get(..usize::from(*length)).filter(|text| !text.is_empty())?;
        let clean = |c: char| if is_harmful(c) { ' ' } else { c };
        Some(String::from_utf8_lossy(text).chars().map(clean).collect())
    }
}

/// Control and format characters (Unicode's categories Cc and Cf), and separators of lines.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for NotificationMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code_name())?;
        match self.subcode_name() {
            Some(name) => write!(f, " / {name}")?,
            None if self.code > SEND_HOLD_TIMER_EXPIRED || self.code == 0 => {
                write!(f, " / code {} subcode {}", self.code, self.subcode)?;
            }
            None if self.subcode != 0 => write!(f, " / subcode {}", self.subcode)?,
            None => {}
        }
        if self.is_hard_reset() && self.data.len() >= 2 && !self.reason().is_hard_reset() {
            return write!(f, " ({})", self.reason());
        }
        match self.shutdown_text() {
            Some(text) => write!(f, ": \"{text}\""),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{HEADER_LEN, frame};

    #[test]
    fn round_trip_on_the_wire() {
        let sent = NotificationMessage::new(3, 5, &[0x40, 1, 2, 0, 0]);
        let wire = sent.encode();
        assert_eq!(frame(&wire), Ok(Some((wire.len(), MessageType::Notification))));
        assert_eq!(NotificationMessage::decode(&wire[HEADER_LEN..]), sent);
    }

    #[test]
    fn names_are_those_of_the_rfcs() {
        let shown = |n: NotificationMessage| n.to_string();
        assert_eq!(shown(NotificationMessage::bad_peer_as()), "OPEN Message Error / Bad Peer AS");
        assert_eq!(shown(NotificationMessage::hold_timer_expired()), "Hold Timer Expired");
        assert_eq!(shown(NotificationMessage::new(9, 3, &[])), "Unknown Error / code 9 subcode 3");
        assert_eq!(shown(NotificationMessage::new(3, 77, &[])), "UPDATE Message Error / subcode 77");
        assert_eq!(
            shown(NotificationMessage::cease_with_text(Cease::AdministrativeShutdown, "back at\n6")),
            "Cease / Administrative Shutdown: \"back at 6\""
        );
    }

    #[test]
    fn a_hard_reset_carries_its_reason() {
        let reason = NotificationMessage::cease_with_text(Cease::AdministrativeShutdown, "back at 6");
        let hard = reason.hard_reset();
        assert!(hard.is_hard_reset() && hard.is_cease() && !reason.is_hard_reset());
        assert_eq!(hard.reason(), reason);
        assert_eq!(hard.to_string(), "Cease / Hard Reset (Cease / Administrative Shutdown: \"back at 6\")");
        assert!(!NotificationMessage::hold_timer_expired().hard_reset().is_cease());
        // One in another, and one without a reason: nothing is looked into.
        assert_eq!(hard.hard_reset().to_string(), "Cease / Hard Reset");
        assert_eq!(NotificationMessage::new(6, 9, &[]).to_string(), "Cease / Hard Reset");
    }

    #[test]
    fn a_shutdown_text_is_cut_between_characters() {
        let long = "ä".repeat(200);
        let cut = NotificationMessage::cease_with_text(Cease::AdministrativeReset, &long);
        assert_eq!(cut.data[0], 254);
        assert_eq!(cut.data.len(), 255);
        // A length that lies, and no text at all, show nothing.
        assert_eq!(NotificationMessage::new(6, 2, &[9, b'x']).to_string(), "Cease / Administrative Shutdown");
        assert_eq!(NotificationMessage::new(6, 2, &[]).to_string(), "Cease / Administrative Shutdown");
    }

    #[test]
    fn a_text_does_nothing_to_a_terminal() {
        let sent = "\u{1b}[2Jready\u{202e}txet\u{2066}\u{200b}\u{9b}0m\r\n";
        let shown = NotificationMessage::cease_with_text(Cease::AdministrativeReset, sent).shutdown_text();
        assert_eq!(shown.as_deref(), Some(" [2Jready txet   0m  "));
        // Octets that are no UTF-8 are shown as such.
        let shown = NotificationMessage::new(6, 2, &[3, b'a', 0xff, b'b']).shutdown_text();
        assert_eq!(shown.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(NotificationMessage::new(6, 2, &[1, b'a']).name(), "Cease / Administrative Shutdown");
    }

    #[test]
    fn oversized_data_is_cut_to_a_message() {
        let wire = NotificationMessage::new(1, 1, &vec![7; 9000]).encode();
        assert_eq!(wire.len(), MAX_MESSAGE_LEN);
    }
}
