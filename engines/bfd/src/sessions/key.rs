use crate::BfdError;
use crate::session::{Reader, Writer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whose session it is. Two sessions never have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// The neighbour's address.
    pub peer: IpAddr,
    /// The interface's index, where the address alone does not name the neighbour (link-local ones); else 0.
    pub interface: u32,
    /// Over several hops (RFC 5883), else a single one (RFC 5881).
    pub multihop: bool,
}

impl SessionKey {
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        write_address(writer, Some(self.peer));
        writer.u32(self.interface);
        writer.put(&[u8::from(self.multihop)]);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<SessionKey, BfdError> {
        let peer = read_address(reader)?.ok_or(BfdError::Record { what: "no address of the neighbor" })?;
        let interface = reader.u32();
        let [multihop] = reader.take();
        Ok(SessionKey { peer, interface, multihop: multihop != 0 })
    }
}

/// Family (0: none) and 16 octets.
pub(super) fn write_address(writer: &mut Writer<'_>, address: Option<IpAddr>) {
    let mut octets = [0; 17];
    match address {
        None => {}
        Some(IpAddr::V4(address)) => {
            octets[0] = 4;
            octets[1..5].copy_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            octets[0] = 6;
            octets[1..].copy_from_slice(&address.octets());
        }
    }
    writer.put(&octets);
}

pub(super) fn read_address(reader: &mut Reader<'_>) -> Result<Option<IpAddr>, BfdError> {
    let [family] = reader.take();
    let octets: [u8; 16] = reader.take();
    match family {
        0 => Ok(None),
        4 => Ok(Some(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into())),
        6 => Ok(Some(Ipv6Addr::from(octets).into())),
        _ => Err(BfdError::Record { what: "address family" }),
    }
}

/// What the kernel says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The sender's address.
    pub source: IpAddr,
    /// The index of the interface that it came in by.
    pub interface: u32,
    /// TTL or hop limit as it arrived; None: the kernel did not say, which is not believed for a single hop.
    pub ttl: Option<u8>,
    /// It came to the port for several hops.
    pub multihop: bool,
}
