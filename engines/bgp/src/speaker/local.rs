//! What import policy says about a route that is no attribute: it stays with us and is told to nobody.

use holdfast_policy::{Changes, NextHopAction};
use holdfast_rib::NexthopSpec;

/// What packets to the destination meet instead of the next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// The next hop.
    #[default]
    NextHop,
    /// They are dropped in silence.
    Discard,
    /// They are dropped, and the sender is told.
    Reject,
}

impl Forwarding {
    /// The RIB's word for it; none: it is the next hop.
    pub fn spec(self) -> Option<NexthopSpec> {
        match self {
            Forwarding::NextHop => None,
            Forwarding::Discard => Some(NexthopSpec::Discard),
            Forwarding::Reject => Some(NexthopSpec::Reject),
        }
    }
}

/// Part of an attribute set, so that routes of the same attributes that policy treats differently are different sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalPart {
    /// Preference against routes of other protocols; none: BGP's.
    pub preference: Option<u8>,
    /// A number for other policies; 0: none.
    pub tag: u32,
    /// Where packets go.
    pub forwarding: Forwarding,
    /// The next hop is the one that policy has named, not the neighbour.
    pub next_hop_named: bool,
}

/// Beside [`Forwarding`] in the same octet.
const NEXT_HOP_NAMED: u8 = 0x80;

impl LocalPart {
    /// What an accepted route's changes ask for.
    pub fn of(changes: &Changes) -> LocalPart {
        LocalPart {
            preference: changes.preference.map(|preference| u8::try_from(preference).unwrap_or(u8::MAX)),
            tag: changes.tag.unwrap_or(0),
            forwarding: match changes.next_hop {
                Some(NextHopAction::Discard) => Forwarding::Discard,
                Some(NextHopAction::Reject) => Forwarding::Reject,
                _ => Forwarding::NextHop,
            },
            next_hop_named: matches!(changes.next_hop, Some(NextHopAction::Address(_))),
        }
    }

    /// Canonical bytes; none when there is nothing to say.
    pub fn encode(&self) -> impl AsRef<[u8]> + use<> {
        let mut bytes = smallvec::SmallVec::<[u8; 8]>::new();
        if *self != LocalPart::default() {
            let named = if self.next_hop_named { NEXT_HOP_NAMED } else { 0 };
            let forwarding = self.forwarding as u8 | named;
            bytes.extend([u8::from(self.preference.is_some()), self.preference.unwrap_or(0), forwarding]);
            bytes.extend(self.tag.to_be_bytes());
        }
        bytes
    }

    /// The inverse.
    pub fn decode(bytes: &[u8]) -> LocalPart {
        let &[preferred, preference, forwarding, a, b, c, d] = bytes else { return LocalPart::default() };
        LocalPart {
            preference: (preferred != 0).then_some(preference),
            tag: u32::from_be_bytes([a, b, c, d]),
            next_hop_named: forwarding & NEXT_HOP_NAMED != 0,
            forwarding: match forwarding & !NEXT_HOP_NAMED {
                1 => Forwarding::Discard,
                2 => Forwarding::Reject,
                _ => Forwarding::NextHop,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        for preference in [None, Some(0), Some(9)] {
            for (tag, forwarding) in
                [(0, Forwarding::NextHop), (7, Forwarding::Discard), (u32::MAX, Forwarding::Reject)]
            {
                for next_hop_named in [false, true] {
                    let part = LocalPart { preference, tag, forwarding, next_hop_named };
                    assert_eq!(LocalPart::decode(part.encode().as_ref()), part);
                }
            }
        }
        assert!(LocalPart::default().encode().as_ref().is_empty());
    }
}
