//! A neighbour that speaks BGP: it says routes of its own and keeps a table of what the router tells it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use holdfast_bgp::wire::{
    AsPath, Capability, Format, HEADER_LEN, MessageType, Negotiated, NextHop, NotificationMessage, OpenMessage,
    PathAttributes, Update, encode_announce, encode_end_of_rib, encode_keepalive, encode_withdraw, frame,
};
use holdfast_rib::Family;
use ipnet::IpNet;

use super::{address, prefix};
use crate::world::Time;

/// A route as it came over the wire: canonical attributes and next hop.
type Heard = (Vec<u8>, NextHop);

/// A route of the neighbour's own: how often its AS stands in the path, and a number that is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub length: usize,
    pub number: u32,
    /// When it was said first.
    pub since: Time,
}

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    neighbor: usize,
    open: OpenMessage,
    /// What goes to the router.
    pub out: Vec<u8>,
    negotiated: Option<Negotiated>,
    /// A KEEPALIVE has come: the session is up.
    pub is_up: bool,
    pub own: BTreeMap<u32, Own>,
    pub withdrawn_at: BTreeMap<u32, Time>,
    number: u32,
    /// What the router has told in this session.
    pub table: BTreeMap<IpNet, Heard>,
    pub ends_of_rib: u32,
    /// The connection ended without a word, and this session is planned to begin anew so.
    pub restarts: u32,
    /// Between that and the End-of-RIB of the session after it.
    pub is_returning: bool,
}

pub(super) fn autonomous_system(neighbor: usize) -> u32 {
    65001 + neighbor as u32
}

impl Peer {
    pub(crate) fn new(neighbor: usize, restarts: bool) -> Peer {
        let asn = autonomous_system(neighbor);
        let mut capabilities = vec![Capability::MultiProtocol(Family::Ipv4Unicast), Capability::FourOctetAs(asn)];
        if restarts {
            // It helps others restart, and says End-of-RIB.
            capabilities.push(Capability::GracefulRestart {
                restarting: false,
                notification: false,
                time_s: 0,
                families: Vec::new(),
            });
        }
        Peer {
            neighbor,
            open: OpenMessage {
                autonomous_system: asn,
                hold_time_s: crate::neighbor::HOLD_TIME.as_secs() as u16,
                router_id: Ipv4Addr::new(192, 0, 2, neighbor as u8 + 1),
                capabilities,
            },
            out: Vec::new(),
            negotiated: None,
            is_up: false,
            own: BTreeMap::new(),
            withdrawn_at: BTreeMap::new(),
            number: 0,
            table: BTreeMap::new(),
            ends_of_rib: 0,
            restarts: 0,
            is_returning: false,
        }
    }

    /// A connection is there.
    pub(crate) fn connected(&mut self) {
        self.disconnected();
        self.out = self.open.encode();
    }

    pub(crate) fn disconnected(&mut self) {
        self.out.clear();
        self.negotiated = None;
        self.is_up = false;
        self.table.clear();
        self.ends_of_rib = 0;
    }

    pub(crate) fn keepalive(&mut self) {
        encode_keepalive(&mut self.out);
    }

    /// Says a route, or takes one back.
    pub(crate) fn change(&mut self, destination: u32, length: usize, now: Time) {
        if length == 0 {
            if self.own.remove(&destination).is_some() {
                self.withdrawn_at.insert(destination, now);
                encode_withdraw(&mut self.out, Family::Ipv4Unicast, &[prefix(destination)], Format::plain(true));
            }
            return;
        }
        self.number += 1;
        self.own.insert(destination, Own { length, number: self.number, since: now });
        self.announce(destination);
    }

    fn announce(&mut self, destination: u32) {
        let (Some(own), Some(negotiated)) = (self.own.get(&destination), &self.negotiated) else { return };
        let attributes = PathAttributes {
            as_path: AsPath::sequence(&vec![autonomous_system(self.neighbor); own.length]),
            communities: vec![own.number],
            ..PathAttributes::default()
        };
        let IpAddr::V4(next_hop) = address(self.neighbor) else { return };
        let (block, net) = (attributes.encode(), [prefix(destination)]);
        let (family, next_hop) = (Family::Ipv4Unicast, NextHop::V4(next_hop));
        let taken = encode_announce(&mut self.out, family, &block, next_hop, &net, negotiated.format());
        debug_assert!(taken.is_ok(), "one route fits");
    }

    /// Everything it has, and that this is all.
    pub(super) fn announce_all(&mut self) {
        self.own.keys().copied().collect::<Vec<_>>().into_iter().for_each(|destination| self.announce(destination));
        encode_end_of_rib(&mut self.out, Family::Ipv4Unicast);
        self.is_returning = false;
    }

    /// Takes whole messages out of what came.
    pub(crate) fn hear(&mut self, incoming: &mut Vec<u8>) -> Result<(), String> {
        while let Some((length, kind)) = frame(incoming).map_err(|error| format!("what came is no BGP: {error}"))? {
            let message: Vec<u8> = incoming.drain(..length).collect();
            self.message(kind, &message[HEADER_LEN..])?;
        }
        Ok(())
    }

    fn message(&mut self, kind: MessageType, body: &[u8]) -> Result<(), String> {
        match kind {
            MessageType::Open if self.negotiated.is_some() => return Err("a second OPEN".into()),
            MessageType::Open => {
                let remote = OpenMessage::decode(body).map_err(|error| error.to_string())?;
                self.negotiated = Some(Negotiated::from_opens(&self.open, &remote));
                self.keepalive();
            }
            MessageType::Keepalive if !self.is_up => {
                self.is_up = true;
                self.announce_all();
            }
            MessageType::Update => self.update(body)?,
            MessageType::Notification => {
                return Err(format!("a NOTIFICATION: {:?}", NotificationMessage::decode(body)));
            }
            _ => {}
        }
        Ok(())
    }

    fn update(&mut self, body: &[u8]) -> Result<(), String> {
        let negotiated = self.negotiated.as_ref().ok_or("an UPDATE before the OPEN")?;
        let update = Update::parse(body, negotiated).map_err(|error| error.to_string())?;
        if let Some(reason) = &update.treat_as_withdraw {
            return Err(format!("an UPDATE that is not well-formed: {reason}"));
        }
        if update.end_of_rib().is_some() {
            self.ends_of_rib += 1;
            return if self.ends_of_rib > 1 { Err("End-of-RIB twice".into()) } else { Ok(()) };
        }
        let family = Family::Ipv4Unicast;
        for prefix in update.withdrawn(family) {
            if self.table.remove(&prefix).is_none() {
                return Err(format!("{prefix} is withdrawn, it was not told"));
            }
        }
        let (Some(block), Some(next_hop)) = (&update.attributes, update.next_hop(family)) else { return Ok(()) };
        for prefix in update.announced(family) {
            let heard = (block.to_vec(), next_hop);
            if self.table.insert(prefix, heard.clone()) == Some(heard) {
                return Err(format!("{prefix} is told again as it was told before"));
            }
        }
        Ok(())
    }
}
