//! The second level: the real speaker and RIB behind the model's rpd, and neighbours that speak BGP.
//!
//! `engine`: speaker and RIB of one process. `peer`: a neighbour, which says routes and keeps a table of what it hears.
//! What the loop does otherwise with them: `crate::rpd::real`. `check`: what has to hold beyond the first level.

mod check;
mod engine;
mod peer;

pub(crate) use engine::{Engine, address, whole};
pub(crate) use peer::Peer;

/// Destinations that neighbours tell of; each of them may tell of each.
pub(crate) const DESTINATIONS: u32 = 8;
/// The router's AS.
const LOCAL_AS: u32 = 65000;
/// Its address on the link to all neighbours.
const LOCAL: &str = "10.0.0.254";

/// One destination's prefix.
fn prefix(destination: u32) -> ipnet::IpNet {
    let address = std::net::Ipv4Addr::new(172, 16, destination as u8, 0);
    ipnet::Ipv4Net::new_assert(address, 24).into()
}

/// Which destination a prefix is.
fn destination(prefix: &ipnet::IpNet) -> u32 {
    match prefix {
        ipnet::IpNet::V4(net) => u32::from(net.network().octets()[2]),
        ipnet::IpNet::V6(_) => DESTINATIONS,
    }
}
