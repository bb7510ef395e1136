//! Addresses of links: `RTM_NEWADDR`, `RTM_DELADDR`, `RTM_GETADDR`.

use ipnet::IpNet;
use std::net::IpAddr;

use super::wire::{Attributes, Encoder, Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, address, u32_at};
use super::{AF_INET, AF_INET6, PROTOCOL_HOLDFAST};

pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_DELADDR: u16 = 21;
pub(crate) const RTM_GETADDR: u16 = 22;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
/// The address is usable at once, without duplicate address detection (RFC 4862 §5.4): a router's address that had to
/// wait a second would keep its sessions waiting too.
const IFA_F_NODAD: u32 = 0x02;
/// Length of `struct ifaddrmsg`: family, prefix length, flags, scope, index (4).
const IFADDRMSG_LENGTH: usize = 8;

/// An address as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The link that has it.
    pub interface_index: u32,
    /// The address with its prefix length, host bits kept.
    pub address: IpNet,
    /// On a point-to-point link, whose address the other end is given by: then that one's subnet is on the link, of the same prefix length.
    pub peer: Option<IpAddr>,
    /// Who put it there (`IFA_PROTO`), 0 for nobody in particular.
    pub protocol: u8,
}

impl Address {
    /// Whether it carries our mark.
    pub fn is_ours(&self) -> bool {
        self.protocol == PROTOCOL_HOLDFAST
    }

    /// The other end of a point-to-point link, with the prefix length.
    pub fn peer_net(&self) -> Option<IpNet> {
        IpNet::new(self.peer?, self.address.prefix_len()).ok()
    }

    /// Reads a `RTM_NEWADDR` or `RTM_DELADDR`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let header = message.payload.first_chunk::<IFADDRMSG_LENGTH>()?;
        let (mut own, mut peer, mut protocol) = (None, None, 0);
        for (attribute, value) in Attributes::after(message.payload, IFADDRMSG_LENGTH) {
            match attribute {
                IFA_LOCAL => own = Some(address(value)?),
                IFA_ADDRESS => peer = Some(address(value)?),
                IFA_PROTO => protocol = *value.first()?,
                _ => {}
            }
        }
        // IPv6 carries its own address in IFA_ADDRESS alone, unless the link is point-to-point.
        let address = IpNet::new(own.or(peer)?, header[1]).ok()?;
        let peer = peer.filter(|peer| *peer != address.addr());
        Some(Self { interface_index: u32_at(header, 4)?, address, peer, protocol })
    }
}

pub(crate) fn encode_address(buffer: &mut Vec<u8>, interface_index: u32, address: &IpNet) {
    let mut message = Encoder::begin(buffer, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
    fixed(&mut message, interface_index, address);
    message.attribute(IFA_PROTO, &[PROTOCOL_HOLDFAST]);
    if matches!(address, IpNet::V6(_)) {
        message.attribute_u32(IFA_FLAGS, IFA_F_NODAD);
    }
    message.end();
}

pub(crate) fn encode_address_removal(buffer: &mut Vec<u8>, interface_index: u32, address: &IpNet) {
    let mut message = Encoder::begin(buffer, RTM_DELADDR, NLM_F_REQUEST);
    fixed(&mut message, interface_index, address);
    message.end();
}

fn fixed(message: &mut Encoder<'_>, interface_index: u32, address: &IpNet) {
    let family = if matches!(address, IpNet::V4(_)) { AF_INET } else { AF_INET6 };
    message.fixed(&[family, address.prefix_len(), 0, 0]).fixed(&interface_index.to_ne_bytes());
    message.attribute_address(IFA_LOCAL, &address.addr()).attribute_address(IFA_ADDRESS, &address.addr());
}

pub(crate) fn encode_address_dump(buffer: &mut Vec<u8>, flags: u16) {
    let mut message = Encoder::begin(buffer, RTM_GETADDR, NLM_F_REQUEST | flags);
    message.fixed(&[0; IFADDRMSG_LENGTH]);
    message.end();
}
