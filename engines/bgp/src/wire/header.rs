//! The message header (RFC 4271 §4.1, errors §6.1): where a message ends and what it is.

use super::limits::{EXTENDED_MESSAGE_LEN, HEADER_LEN, MAX_MESSAGE_LEN};
use super::notification::NotificationMessage;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum MessageType {
    /// Offers the parameters of a session.
    Open = 1,
    /// Announces and withdraws routes.
    Update = 2,
    /// Ends a session and says why.
    Notification = 3,
    /// Accepts an OPEN, then keeps the hold timer from expiring.
    Keepalive = 4,
    /// Asks for all routes again (RFC 2918).
    RouteRefresh = 5,
}

impl MessageType {
    fn from_code(code: u8) -> Option<MessageType> {
        Some(match code {
            1 => MessageType::Open,
            2 => MessageType::Update,
            3 => MessageType::Notification,
            4 => MessageType::Keepalive,
            5 => MessageType::RouteRefresh,
            _ => return None,
        })
    }

    /// The lengths that a message of this type can have (RFC 4271 §6.1, RFC 2918 §3). We always announce RFC 8654, and whoever
    /// announces it takes messages of any length but for OPEN and KEEPALIVE (§4).
    fn length_is_possible(self, length: usize) -> bool {
        match self {
            MessageType::Open => (HEADER_LEN + 10..=MAX_MESSAGE_LEN).contains(&length),
            MessageType::Update | MessageType::RouteRefresh => length >= HEADER_LEN + 4,
            MessageType::Notification => length >= HEADER_LEN + 2,
            MessageType::Keepalive => length == HEADER_LEN,
        }
    }
}

/// Length and type of the first whole message in `buffer`; `None`: more bytes are needed.
///
/// A wrong header is reported as soon as the wrong octet is there: what follows it could not be trusted (RFC 4271 §6.1).
pub fn frame(buffer: &[u8]) -> Result<Option<(usize, MessageType)>, NotificationMessage> {
    let marker = &buffer[..buffer.len().min(16)];
    if marker.iter().any(|octet| *octet != 0xff) {
        return Err(NotificationMessage::connection_not_synchronized());
    }
    let [length_high, length_low, code, ..] = buffer[marker.len()..] else {
        return Ok(None);
    };
    let wire_length = u16::from_be_bytes([length_high, length_low]);
    let length = usize::from(wire_length);
    if length < HEADER_LEN {
        return Err(NotificationMessage::bad_message_length(wire_length));
    }
    let Some(kind) = MessageType::from_code(code) else {
        return Err(NotificationMessage::bad_message_type(code));
    };
    if !kind.length_is_possible(length) {
        return Err(NotificationMessage::bad_message_length(wire_length));
    }
    Ok((buffer.len() >= length).then_some((length, kind)))
}

/// Begins a message whose length [`end_message`] fills in. Returns where it begins.
pub(crate) fn begin_message(out: &mut Vec<u8>, kind: MessageType) -> usize {
    let start = out.len();
    let mut header = [0xff; HEADER_LEN];
    header[16] = 0;
    header[17] = 0;
    header[18] = kind as u8;
    out.extend_from_slice(&header);
    start
}

/// Writes the length of the message that began at `start`.
pub(crate) fn end_message(out: &mut [u8], start: usize) {
    let length = out.len() - start;
    debug_assert!(length <= EXTENDED_MESSAGE_LEN, "a message of {length} octets was encoded");
    let octets = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    out[start + 16..start + 18].copy_from_slice(&octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u16, code: u8) -> Vec<u8> {
        let mut bytes = vec![0xff; 16];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.push(code);
        bytes
    }

    #[test]
    fn a_message_is_found_only_when_it_is_whole() {
        let mut bytes = header(23, 2);
        assert_eq!(frame(&bytes), Ok(None));
        bytes.extend_from_slice(&[0; 3]);
        assert_eq!(frame(&bytes), Ok(None));
        bytes.extend_from_slice(&[0; 40]);
        assert_eq!(frame(&bytes), Ok(Some((23, MessageType::Update))));
        assert_eq!(frame(&[]), Ok(None));
        assert_eq!(frame(&bytes[..18]), Ok(None));
    }

    #[test]
    fn each_header_error_has_its_subcode_and_data() {
        assert_eq!(frame(&[0xff, 0xfe]), Err(NotificationMessage::connection_not_synchronized()));
        assert_eq!(frame(&header(18, 4)), Err(NotificationMessage::bad_message_length(18)));
        assert_eq!(frame(&header(19, 9)), Err(NotificationMessage::bad_message_type(9)));
        for (length, code) in [(28, 1), (4097, 1), (22, 2), (20, 3), (20, 4), (4097, 4), (22, 5)] {
            let expected = NotificationMessage::bad_message_length(length);
            assert_eq!(frame(&header(length, code)), Err(expected), "type {code}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        let mut bytes = header(65_535, 2);
        bytes.resize(65_535, 0);
        assert_eq!(frame(&bytes), Ok(Some((65_535, MessageType::Update))));
        let mut bytes = header(4096, 1);
        bytes.resize(4096, 0);
        assert_eq!(frame(&bytes), Ok(Some((4096, MessageType::Open))));
        assert_eq!(frame(&header(19, 4)), Ok(Some((19, MessageType::Keepalive))));
    }
}
