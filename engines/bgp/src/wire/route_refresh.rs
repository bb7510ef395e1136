//! ROUTE-REFRESH (RFC 2918), with the begin and end marks of RFC 7313.

use super::header::{MessageType, begin_message, end_message};
use super::notification::NotificationMessage;
use holdfast_rib::Family;

/// What a ROUTE-REFRESH says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteRefresh {
    /// Send all routes of this family again.
    Request(Family),
    /// The neighbour begins to send its routes again (RFC 7313).
    Begin(Family),
    /// It has sent them; what was not among them is gone.
    End(Family),
    /// A family or subtype that is not ours: ignored (RFC 2918 §4, RFC 7313 §5).
    Ignored,
}

/// Reads a message's body.
pub fn decode_route_refresh(body: &[u8]) -> Result<RouteRefresh, NotificationMessage> {
    let &[a, b, subtype, safi, ref rest @ ..] = body else {
        return Err(NotificationMessage::route_refresh_length(body));
    };
    if matches!(subtype, 1 | 2) && !rest.is_empty() {
        return Err(NotificationMessage::route_refresh_length(body));
    }
    let Some(family) = Family::from_afi_safi(u16::from_be_bytes([a, b]), safi) else {
        return Ok(RouteRefresh::Ignored);
    };
    Ok(match subtype {
        // With outbound route filters behind it (RFC 5291), which are never negotiated, it is a request all the same.
        0 => RouteRefresh::Request(family),
        1 => RouteRefresh::Begin(family),
        2 => RouteRefresh::End(family),
        _ => RouteRefresh::Ignored,
    })
}

/// Appends a request for all routes of a family.
pub fn encode_route_refresh(out: &mut Vec<u8>, family: Family) {
    encode(out, family, 0);
}

/// Appends the mark that all routes of a family follow, or that they were all (RFC 7313 §3.2).
pub fn encode_refresh_mark(out: &mut Vec<u8>, family: Family, mark: RefreshMark) {
    encode(out, family, mark as u8);
}

/// Where a repetition begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RefreshMark {
    /// Beginning of Route Refresh.
    Begin = 1,
    /// End of Route Refresh.
    End = 2,
}

fn encode(out: &mut Vec<u8>, family: Family, subtype: u8) {
    let start = begin_message(out, MessageType::RouteRefresh);
    out.extend_from_slice(&family.afi().to_be_bytes());
    out.extend_from_slice(&[subtype, family.safi()]);
    end_message(out, start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HEADER_LEN;

    #[test]
    fn requests_and_marks_round_trip() {
        for family in Family::ALL {
            let (mut request, mut begin, mut end) = (Vec::new(), Vec::new(), Vec::new());
            encode_route_refresh(&mut request, family);
            encode_refresh_mark(&mut begin, family, RefreshMark::Begin);
            encode_refresh_mark(&mut end, family, RefreshMark::End);
            for (wire, message) in [
                (request, RouteRefresh::Request(family)),
                (begin, RouteRefresh::Begin(family)),
                (end, RouteRefresh::End(family)),
            ] {
                assert_eq!(decode_route_refresh(&wire[HEADER_LEN..]), Ok(message));
            }
        }
    }

    #[test]
    fn marks_and_strangers() {
        assert_eq!(decode_route_refresh(&[0, 1, 1, 1]), Ok(RouteRefresh::Begin(Family::Ipv4Unicast)));
        assert_eq!(decode_route_refresh(&[0, 2, 2, 1]), Ok(RouteRefresh::End(Family::Ipv6Unicast)));
        assert_eq!(decode_route_refresh(&[0, 25, 0, 70]), Ok(RouteRefresh::Ignored));
        assert_eq!(decode_route_refresh(&[0, 1, 9, 1]), Ok(RouteRefresh::Ignored));
        let too_long = [0, 1, 1, 1, 0];
        let refused = decode_route_refresh(&too_long).unwrap_err();
        let header = [[0xff; 16].as_slice(), &[0, 24, 5]].concat();
        assert_eq!((refused.code, refused.subcode), (7, 1));
        assert_eq!(refused.data, [header.as_slice(), &too_long].concat(), "the whole message");
        assert!(decode_route_refresh(&[0, 1]).is_err());
    }
}
