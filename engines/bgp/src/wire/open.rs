//! OPEN (RFC 4271 §4.2): what each side offers. What both offered is [`super::Negotiated`].

use super::capability::{Capability, FOUR_OCTET_AS};
use super::header::{MessageType, begin_message, end_message};
use super::limits::AS_TRANS;
use super::notification::NotificationMessage;
use holdfast_rib::Family;
use std::net::Ipv4Addr;

const VERSION: u8 = 4;
const PARAMETER_CAPABILITIES: u8 = 2;
/// Says that the parameters follow with lengths of two octets (RFC 9072 §2).
const PARAMETER_EXTENDED: u8 = 255;

/// One side's offer. The judgement on its contents (the right AS, a sane hold time) is the session's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OpenMessage {
    /// The speaker's AS number: from its 4-octet AS capability if it sent one, else from the field of two octets.
    pub autonomous_system: u32,
    /// Hold time proposed, in seconds; 0: none.
    pub hold_time_s: u16,
    /// BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Capabilities in the order in which they came.
    pub capabilities: Vec<Capability>,
}

impl OpenMessage {
    /// The whole message: all capabilities in one optional parameter, in the format of RFC 9072 if they need it.
    pub fn encode(&self) -> Vec<u8> {
        let mut capabilities = Vec::with_capacity(64);
        self.capabilities.iter().for_each(|c| c.encode(&mut capabilities));
        let mut out = Vec::with_capacity(36 + capabilities.len());
        let start = begin_message(&mut out, MessageType::Open);
        out.push(VERSION);
        let short_as = u16::try_from(self.autonomous_system).unwrap_or(AS_TRANS);
        out.extend_from_slice(&short_as.to_be_bytes());
        out.extend_from_slice(&self.hold_time_s.to_be_bytes());
        out.extend_from_slice(&self.router_id.octets());
        encode_parameters(&mut out, &capabilities);
        end_message(&mut out, start);
        out
    }

    /// Reads a message's body (RFC 4271 §6.2 for what is wrong with it).
    pub fn decode(body: &[u8]) -> Result<OpenMessage, NotificationMessage> {
        let &[version, as_high, as_low, hold_high, hold_low, a, b, c, d, length, ref rest @ ..] = body else {
            return Err(NotificationMessage::open_unspecific());
        };
        if version != VERSION {
            return Err(NotificationMessage::unsupported_version());
        }
        let mut capabilities = Vec::new();
        read_parameters(length, rest, &mut capabilities)?;
        let short_as = u16::from_be_bytes([as_high, as_low]);
        let long_as = capabilities.iter().find_map(|c| match c {
            Capability::FourOctetAs(asn) => Some(*asn),
            _ => None,
        });
        Ok(OpenMessage {
            autonomous_system: long_as.unwrap_or(u32::from(short_as)),
            hold_time_s: u16::from_be_bytes([hold_high, hold_low]),
            router_id: Ipv4Addr::new(a, b, c, d),
            capabilities,
        })
    }

    /// Does the speaker understand 4-octet AS numbers?
    pub fn four_octet_as(&self) -> bool {
        self.capabilities.iter().any(|c| matches!(c, Capability::FourOctetAs(_)))
    }

    /// The numbers of the roles that it claims (RFC 9234 §4.1).
    pub fn roles(&self) -> impl Iterator<Item = u8> + '_ {
        self.capabilities.iter().filter_map(|capability| match capability {
            Capability::Role(role) => Some(*role),
            _ => None,
        })
    }

    /// Which families it offers, by [`Family::index`]. One who says nothing of families means IPv4 unicast (RFC 4760 §8).
    pub fn families(&self) -> [bool; 2] {
        let mut families = [false; 2];
        let mut silent = true;
        for capability in &self.capabilities {
            match capability {
                Capability::MultiProtocol(family) => families[family.index()] = true,
                Capability::UnknownMultiProtocol { .. } => {}
                _ => continue,
            }
            silent = false;
        }
        families[Family::Ipv4Unicast.index()] |= silent;
        families
    }
}

fn encode_parameters(out: &mut Vec<u8>, capabilities: &[u8]) {
    let length = capabilities.len();
    if length == 0 {
        out.push(0);
    } else if length + 2 <= 254 {
        // 255 as the length of all would mean RFC 9072.
        out.extend_from_slice(&[(length + 2) as u8, PARAMETER_CAPABILITIES, length as u8]);
        out.extend_from_slice(capabilities);
    } else {
        // Configuration bounds what we offer to a few dozen octets; what a neighbour offered fitted into its message.
        let total = u16::try_from(length + 3).unwrap_or(u16::MAX).to_be_bytes();
        let value = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        out.extend_from_slice(&[255, PARAMETER_EXTENDED, total[0], total[1]]);
        out.extend_from_slice(&[PARAMETER_CAPABILITIES, value[0], value[1]]);
        out.extend_from_slice(capabilities);
    }
}

/// Takes the first `length` octets off, or says that the OPEN is malformed.
fn take<'a>(field: &mut &'a [u8], length: usize) -> Result<&'a [u8], NotificationMessage> {
    let (taken, rest) = field.split_at_checked(length).ok_or_else(NotificationMessage::open_unspecific)?;
    *field = rest;
    Ok(taken)
}

fn take_u8(field: &mut &[u8]) -> Result<u8, NotificationMessage> {
    Ok(take(field, 1)?[0])
}

fn take_u16(field: &mut &[u8]) -> Result<u16, NotificationMessage> {
    let octets = take(field, 2)?;
    Ok(u16::from_be_bytes([octets[0], octets[1]]))
}

fn read_parameters(
    length: u8,
    mut field: &[u8],
    capabilities: &mut Vec<Capability>,
) -> Result<(), NotificationMessage> {
    // RFC 9072 §2: the first parameter's type decides; the length of one octet is then not to be relied upon, but for 0.
    let extended = length != 0 && field.first() == Some(&PARAMETER_EXTENDED);
    let declared = if extended {
        take_u8(&mut field)?;
        usize::from(take_u16(&mut field)?)
    } else {
        usize::from(length)
    };
    if field.len() != declared {
        return Err(NotificationMessage::open_unspecific());
    }
    while !field.is_empty() {
        let kind = take_u8(&mut field)?;
        let length = match extended {
            true => usize::from(take_u16(&mut field)?),
            false => usize::from(take_u8(&mut field)?),
        };
        let value = take(&mut field, length)?;
        if kind != PARAMETER_CAPABILITIES {
            return Err(NotificationMessage::unsupported_optional_parameter());
        }
        read_capabilities(value, capabilities)?;
    }
    Ok(())
}

fn read_capabilities(mut field: &[u8], capabilities: &mut Vec<Capability>) -> Result<(), NotificationMessage> {
    while !field.is_empty() {
        let code = take_u8(&mut field)?;
        let length = usize::from(take_u8(&mut field)?);
        let value = take(&mut field, length)?;
        if code == FOUR_OCTET_AS && length != 4 {
            // Unlike other capabilities it cannot be passed over: every AS_PATH to come would be misread.
            return Err(NotificationMessage::open_unspecific());
        }
        capabilities.push(Capability::decode(code, value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{HEADER_LEN, frame};

    fn full() -> OpenMessage {
        OpenMessage {
            autonomous_system: 4_200_000_001,
            hold_time_s: 90,
            router_id: Ipv4Addr::new(192, 0, 2, 1),
            capabilities: vec![
                Capability::MultiProtocol(Family::Ipv4Unicast),
                Capability::MultiProtocol(Family::Ipv6Unicast),
                Capability::UnknownMultiProtocol { afi: 25, safi: 70 },
                Capability::RouteRefresh,
                Capability::EnhancedRouteRefresh,
                Capability::FourOctetAs(4_200_000_001),
                Capability::GracefulRestart {
                    restarting: true,
                    notification: false,
                    time_s: 120,
                    families: vec![(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, false)],
                },
                Capability::ExtendedMessage,
                Capability::Role(3),
                Capability::LongLivedGracefulRestart(vec![LongLived {
                    family: Family::Ipv4Unicast,
                    forwarding_kept: true,
                    time_s: 0x00ff_eedd,
                }]),
                Capability::AddPath(vec![(1, 1, 3)]),
                Capability::ExtendedNextHop(vec![ExtendedNextHopEntry { afi: 1, safi: 1, next_hop_afi: 2 }]),
                Capability::Unknown { code: 73, data: b"name".to_vec() },
            ],
        }
    }
    use crate::wire::{ExtendedNextHopEntry, LongLived};

    fn round_trip(open: &OpenMessage) -> OpenMessage {
        let wire = open.encode();
        assert_eq!(frame(&wire), Ok(Some((wire.len(), MessageType::Open))));
        OpenMessage::decode(&wire[HEADER_LEN..]).unwrap()
    }

    #[test]
    fn every_capability_round_trips() {
        assert_eq!(round_trip(&full()), full());
    }

    #[test]
    fn no_capabilities_and_very_many() {
        let bare = OpenMessage { autonomous_system: 65001, capabilities: Vec::new(), ..full() };
        assert_eq!(round_trip(&bare), bare);
        for size in [247, 248, 249, 250, 251, 252, 253, 255] {
            let data = vec![1; size];
            let big = OpenMessage {
                autonomous_system: 65001,
                capabilities: vec![Capability::Unknown { code: 200, data }; 1 + size % 2],
                ..full()
            };
            assert_eq!(round_trip(&big), big, "{size}");
        }
    }

    #[test]
    fn a_short_as_number_stands_in_its_field() {
        let wire = full().encode();
        assert_eq!(&wire[20..22], &AS_TRANS.to_be_bytes());
        let old = OpenMessage { autonomous_system: 65001, capabilities: Vec::new(), ..full() };
        assert_eq!(old.families(), [true, false]);
        assert!(!old.four_octet_as());
    }

    #[test]
    fn each_malformed_open_has_its_subcode() {
        let good = full().encode()[HEADER_LEN..].to_vec();
        let changed = |f: &dyn Fn(&mut Vec<u8>)| {
            let mut body = good.clone();
            f(&mut body);
            OpenMessage::decode(&body).unwrap_err()
        };
        assert_eq!(changed(&|b| b[0] = 3), NotificationMessage::unsupported_version());
        assert_eq!(changed(&|b| b.truncate(9)), NotificationMessage::open_unspecific());
        assert_eq!(changed(&|b| b[9] -= 1), NotificationMessage::open_unspecific());
        assert_eq!(changed(&|b| b[10] = 1), NotificationMessage::unsupported_optional_parameter());
        assert_eq!(changed(&|b| b[13] = 200), NotificationMessage::open_unspecific());
    }

    #[test]
    fn a_four_octet_as_capability_of_a_wrong_length_is_refused() {
        let body = [4, 0, 1, 0, 90, 1, 1, 1, 1, 6, 2, 4, FOUR_OCTET_AS, 2, 0, 1];
        assert_eq!(OpenMessage::decode(&body), Err(NotificationMessage::open_unspecific()));
        // Any other of a wrong length is kept and means nothing.
        let body = [4, 0, 1, 0, 90, 1, 1, 1, 1, 5, 2, 3, 2, 1, 7];
        let open = OpenMessage::decode(&body).unwrap();
        assert_eq!(open.capabilities, [Capability::Unknown { code: 2, data: vec![7] }]);
    }
}
